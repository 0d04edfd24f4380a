//! What a caller can choose.

use std::fmt;

use gradc_ir::Graph;

use crate::rules::Subject;

/// Which rewrites are allowed, by what they do to floating-point results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Only rewrites that keep every bit.
    Strict,
    /// Also identities over the reals that never lose accuracy and keep NaN and infinity behaviour on finite inputs.
    #[default]
    Accurate,
    /// Also reassociation, and identities of finite numbers only.
    Fast,
}

impl Mode {
    /// Every mode, the most careful first.
    pub const ALL: [Mode; 3] = [Mode::Strict, Mode::Accurate, Mode::Fast];

    /// The word on the command line and in snapshots.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Accurate => "accurate",
            Mode::Fast => "fast",
        }
    }

    /// The mode that [`Mode::name`] gives this name to.
    pub fn from_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    None,
    /// The canonical form: common subexpressions, dead code, constant folding and rules that improve on the spot.
    Local,
    /// The e-graph too.
    #[default]
    Full,
}

impl Level {
    /// The level of `-O0`, `-O1` and `-O2`; larger numbers are the last.
    pub fn from_number(number: u8) -> Level {
        match number {
            0 => Level::None,
            1 => Level::Local,
            _ => Level::Full,
        }
    }
}

/// Bounds on the work, all of them counts, so that a result does not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Values that a region may have at most.
    pub max_region_values: usize,
    /// Terms at which the e-graph of a region stops growing.
    pub terms: usize,
    /// Places at which rules apply to the e-graph of a region in one round: sums of many terms have more of them than terms.
    pub applications: usize,
    /// Rounds of applying all rules to the e-graph of a region.
    pub iterations: usize,
    /// Passes over all regions.
    pub passes: usize,
    /// Values of a graph that is held against what it was by the time that it takes as a whole.
    pub timed_values: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_region_values: 400,
            terms: 6_000,
            applications: 10_000,
            iterations: 40,
            passes: 2,
            timed_values: 4_000,
        }
    }
}

/// What to do.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which rules are allowed.
    pub mode: Mode,
    /// How much is done.
    pub level: Level,
    /// Whether `stop_gradient` has done its work and can go: it has in a graph that is not differentiated again.
    pub differentiated: bool,
    /// Whether integers that the graph takes as inputs are in range where they are used as indices, because whoever feeds
    /// it checks them. Only then do the rows of `one_hot(label)` sum to one.
    pub trust_indices: bool,
    /// Rules that are not used, in order to see what they are good for.
    pub without: Option<Subject>,
    /// Bounds on the work.
    pub limits: Limits,
    /// How many seconds a machine takes for a graph, by a model. The search goes by arithmetic, but in the end no region that is
    /// simplified takes longer than it did.
    pub seconds: Option<fn(&Graph, Mode) -> f64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mode: Mode::default(),
            level: Level::default(),
            differentiated: true,
            trust_indices: true,
            without: None,
            limits: Limits::default(),
            seconds: None,
        }
    }
}

impl Options {
    /// Whether a graph is held against what it was by the time that it takes as a whole.
    pub fn is_timed(&self, graph: &Graph) -> bool {
        self.seconds.is_some() && graph.len() <= self.limits.timed_values
    }

    /// The usual options in a mode.
    pub fn in_mode(mode: Mode) -> Options {
        Options { mode, ..Options::default() }
    }
}
