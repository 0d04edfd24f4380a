//! How much a program may ask for. What a user writes must not make gradc hang or run out of memory.

/// The most values that a model may be unrolled into.
pub(crate) const MOST_VALUES: usize = 2_000_000;

/// The most steps of evaluation: one for each expression, statement, iteration and entry of a list.
const MOST_STEPS: u64 = 10_000_000;

/// The most iterations of one `for`.
pub(crate) const MOST_ITERATIONS: i64 = 1_000_000;

/// The most problems that are reported at once: of the files, and of each model.
pub(crate) const MOST_DIAGNOSTICS: usize = 100;

/// The most functions that may be active at once.
pub(crate) const DEEPEST_CALL: usize = 128;

/// The most entries of a list.
pub(crate) const LONGEST_LIST: usize = 4096;

/// How deeply lists and calls with open arguments may be nested in a value.
pub(crate) const DEEPEST_VALUE: u32 = 64;

/// The most comparisons of entries in one comparison of lists.
pub(crate) const MOST_COMPARISONS: u32 = 1_000_000;

/// The stack that evaluation gets, in bytes. An expression is at most 256 nodes deep
/// ([`gradc_syntax::ast::MAX_HEIGHT`]) and at most [`DEEPEST_CALL`] functions are active, so that at most 32,768
/// levels are nested; a level takes about 3 kB. The pages that are not used are never backed by memory.
pub(crate) const STACK_BYTES: usize = 256 << 20;

/// The longest axis whose positions are counted, or chosen from by indices: machine code holds a position as an `i32`.
pub(crate) const MOST_POSITIONS: i64 = 1 << 31;

/// What is left of the above.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    steps: u64,
    stopped: bool,
}

/// Whether to go on.
pub(crate) enum Verdict {
    GoOn,
    /// A limit has just been reached.
    StopNow(String),
    /// A limit has been reached before.
    Stopped,
}

impl Budget {
    pub(crate) fn spend(&mut self, values: usize) -> Verdict {
        if self.stopped {
            return Verdict::Stopped;
        }
        self.steps += 1;
        let message = if values > MOST_VALUES {
            format!("the model unrolls into more than {MOST_VALUES} operations")
        } else if self.steps > MOST_STEPS {
            format!("unrolling the model takes more than {MOST_STEPS} steps")
        } else {
            return Verdict::GoOn;
        };
        self.stopped = true;
        Verdict::StopNow(message)
    }

    /// Counts what a single step makes many of, such as entries of a list.
    pub(crate) fn charge(&mut self, steps: usize) {
        self.steps = self.steps.saturating_add(steps as u64);
    }

    /// Gives evaluation up.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }
}
