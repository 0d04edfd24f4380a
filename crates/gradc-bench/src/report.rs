//! What was measured.

use std::time::Duration;

use gradc::diagnostics::Span;
use gradc::schedule::plan::Recomputed;

use crate::stages::StageTimes;
use crate::work::Work;

/// What a model costs.
#[derive(Clone, Debug)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// The time of each stage of the compiler.
    pub stages: StageTimes,
    /// The time of a run.
    pub runs: Runs,
    /// Arithmetic and traffic of a run.
    pub work: Work,
    /// Operations of the compiled graph.
    pub operations: usize,
    /// Bytes of the arena, with what the parts of products pack their operands in.
    pub arena_bytes: usize,
    /// What is computed again, where the arena had to become smaller.
    pub recomputed: Option<Recomputed>,
    /// The threads that it runs on: one, where it is too small for more.
    pub threads: usize,
    /// The machine's peak, in floating-point operations a second.
    pub peak: f64,
    /// The machine's bandwidth for this working set, in bytes a second.
    pub bandwidth: f64,
    /// Each step of the plan, if asked for.
    pub steps: Option<Vec<StepReport>>,
}

/// The times of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runs {
    /// In the middle.
    pub median: Duration,
    /// The least.
    pub least: Duration,
    /// How many.
    pub count: usize,
}

impl Runs {
    /// Of several times; of none, zero.
    pub fn of(mut times: Vec<Duration>) -> Runs {
        times.sort_unstable();
        let at = |position: usize| times.get(position).copied().unwrap_or_default();
        Runs { median: at(times.len() / 2), least: at(0), count: times.len() }
    }
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// The kernel, product or loop.
    pub step: String,
    /// The values that it computes.
    pub values: Vec<String>,
    /// Where in the source these come from.
    pub spans: Vec<Span>,
    /// Its time.
    pub runs: Runs,
    /// Floating-point operations, of a product.
    pub flops: Option<u64>,
    /// Bytes that it reads and writes.
    pub bytes: u64,
}

/// The time that the machine cannot do without: that of all arithmetic at the peak, or of moving all bytes at full
/// bandwidth, whichever is longer (Williams, Waterman and Patterson, 2009).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Seconds of arithmetic at the peak.
    pub arithmetic: f64,
    /// Seconds of traffic at full bandwidth.
    pub traffic: f64,
}

impl Roofline {
    /// In seconds.
    pub fn bound(&self) -> f64 {
        self.arithmetic.max(self.traffic)
    }
}

impl Report {
    /// Floating-point operations a second in the median run, in thousands of millions.
    pub fn gflops(&self) -> f64 {
        self.work.flops as f64 / self.runs.median.as_secs_f64().max(1e-12) / 1e9
    }

    /// What bounds a run.
    pub fn roofline(&self) -> Roofline {
        Roofline { arithmetic: self.work.flops as f64 / self.peak, traffic: self.work.bytes as f64 / self.bandwidth }
    }

    /// The share of the roofline that the median run reaches: 1 where nothing is left to gain.
    pub fn roofline_share(&self) -> f64 {
        self.roofline().bound() / self.runs.median.as_secs_f64().max(1e-12)
    }
}

#[cfg(test)]
mod tests {
    use super::{Report, Runs};
    use crate::{StageTimes, Work};
    use std::time::Duration;

    #[test]
    fn median_and_least() {
        let runs = |times: &[u64]| Runs::of(times.iter().map(|&time| Duration::from_micros(time)).collect());
        let expected = |median, least, count| Runs {
            median: Duration::from_micros(median),
            least: Duration::from_micros(least),
            count,
        };
        assert_eq!(runs(&[5, 1, 3]), expected(3, 1, 3));
        assert_eq!(runs(&[2]), expected(2, 2, 1));
        assert_eq!(runs(&[]), expected(0, 0, 0));
    }

    #[test]
    fn the_roofline_is_the_longer_of_the_two() {
        let report = |flops, bytes| Report {
            model: "m".into(),
            stages: StageTimes::default(),
            runs: Runs { median: Duration::from_secs(2), least: Duration::from_secs(1), count: 5 },
            work: Work { flops, bytes, working_set: 0 },
            operations: 1,
            threads: 1,
            arena_bytes: 0,
            recomputed: None,
            peak: 1e9,
            bandwidth: 1e10,
            steps: None,
        };
        let bound_by_arithmetic = report(1_000_000_000, 1_000_000_000);
        assert_eq!(bound_by_arithmetic.roofline_share(), 0.5);
        assert_eq!(bound_by_arithmetic.gflops(), 0.5);
        assert_eq!(report(1_000_000_000, 20_000_000_000).roofline_share(), 1.0);
    }
}
