//! The time that each stage of the compiler takes.

use std::time::{Duration, Instant};

use gradc::pipeline::{Artefact, Observer, Report, Stage};

/// Measures stages, in the order in which they run. Given to the pipeline as its observer.
#[derive(Clone, Debug, Default)]
pub struct StageTimes {
    begun: Option<Instant>,
    simplified: Option<Report>,
    stages: Vec<StageTime>,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct StageTime {
    /// Its name.
    pub stage: String,
    /// How long it took.
    pub time: Duration,
    /// What the simplifier did, if it is one of its stages.
    pub simplified: Option<Report>,
}

impl StageTimes {
    /// Measures a stage that comes before those that are observed, such as parsing.
    pub fn measure<T>(&mut self, stage: &str, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.stages.push(StageTime { stage: stage.to_owned(), time: begun.elapsed(), simplified: None });
        result
    }

    /// The stages, in order.
    pub fn stages(&self) -> &[StageTime] {
        &self.stages
    }

    /// The time of all stages together.
    pub fn total(&self) -> Duration {
        self.stages.iter().map(|stage| stage.time).sum()
    }
}

impl Observer for StageTimes {
    fn begin(&mut self, _: Stage) {
        self.begun = Some(Instant::now());
    }

    fn simplified(&mut self, _: Stage, report: &Report) {
        self.simplified = Some(report.clone());
    }

    fn end(&mut self, stage: Stage, _: Artefact<'_>) {
        if let Some(begun) = self.begun.take() {
            let (time, simplified) = (begun.elapsed(), self.simplified.take());
            self.stages.push(StageTime { stage: stage.to_string(), time, simplified });
        }
    }
}
