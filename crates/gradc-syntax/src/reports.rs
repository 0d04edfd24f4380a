//! Where lexer and parser leave their diagnostics.

use gradc_diagnostics::Diagnostic;

/// How many diagnostics of one file are shown; the others are counted.
pub(crate) const MAX_REPORTS: usize = 100;

/// The first [`MAX_REPORTS`] diagnostics, and the number of all.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    kept: Vec<Diagnostic>,
    count: usize,
}

impl Reports {
    /// Adds one. It is only built if it will be kept.
    pub(crate) fn add(&mut self, build: impl FnOnce() -> Diagnostic) {
        if self.kept.len() < MAX_REPORTS {
            self.kept.push(build());
        }
        self.count += 1;
    }

    /// All of both, in source order, at most [`MAX_REPORTS`].
    pub(crate) fn merge(self, other: Reports) -> Vec<Diagnostic> {
        let count = self.count + other.count;
        let mut all = self.kept;
        all.extend(other.kept);
        all.sort_by_key(|diagnostic| diagnostic.span());
        all.truncate(MAX_REPORTS);
        let more = count - all.len();
        if more > 0
            && let Some(last) = all.pop()
        {
            all.push(last.note(format!("{more} more errors in this file are not shown")));
        }
        all
    }
}
