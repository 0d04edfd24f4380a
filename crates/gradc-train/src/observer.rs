//! What is said in the course of training, and to whom.

use crate::checkpoint::{Checkpoint, CheckpointError};
use serde::Serialize;
use std::collections::BTreeMap;

/// Someone who is told what happens and may ask for a checkpoint or an end: a progress bar, a log, a monitor.
///
/// Every method has an answer that changes nothing, so an observer says only what it cares about.
pub trait Observer {
    /// Training begins, or goes on.
    fn on_start(&mut self, start: &Start) {
        let _ = start;
    }

    /// A step was made.
    fn on_step(&mut self, report: &StepReport) -> Signal {
        let _ = report;
        Signal::Continue
    }

    /// An epoch ended, and its held-out examples were judged.
    fn on_epoch(&mut self, report: &EpochReport) -> Signal {
        let _ = report;
        Signal::Continue
    }

    /// Here is the checkpoint that was asked for with [`Signal::Checkpoint`].
    ///
    /// # Errors
    /// Where it could not be kept; training ends then.
    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let _ = checkpoint;
        Ok(())
    }

    /// Training came to its end, or was stopped. Not called after an error.
    fn on_end(&mut self, end: &End) {
        let _ = end;
    }
}

/// An observer that does not care.
impl Observer for () {}

/// What an observer asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// Nothing.
    #[default]
    Continue,
    /// A checkpoint of this moment; then go on.
    Checkpoint,
    /// An end at this moment, from which training can be resumed.
    Stop,
}

/// How training begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The epochs that will have been made at the end.
    pub epochs: u64,
    /// The epochs that are already complete: more than 0 where training is resumed.
    pub epochs_done: u64,
    /// The steps that are already made.
    pub steps_done: u64,
    /// The steps of one epoch.
    pub steps_per_epoch: u64,
    /// The examples that are learned from.
    pub examples: usize,
    /// The examples that are held out.
    pub held_out: usize,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The steps made so far, with this one.
    pub step: u64,
    /// The batches of this epoch so far, with this one.
    pub batch: u64,
    /// The batches of an epoch.
    pub batches: u64,
    /// The examples of this batch.
    pub examples: usize,
    /// The loss of this batch, before the update.
    pub loss: f64,
    /// The learning rate of this step.
    pub learning_rate: f64,
}

/// One epoch. Loss and metrics are means over its examples, each as it was when the epoch came to it; those of held-out
/// examples are means over all of them at the end of the epoch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EpochReport {
    /// The epoch, from 1.
    pub epoch: u64,
    /// The steps made so far.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// The accuracy, if the network has such a metric: see [`accuracy`].
    pub accuracy: Option<f64>,
    /// The loss of held-out examples, if there are any.
    pub val_loss: Option<f64>,
    /// The accuracy on held-out examples, if there are any and the network has that metric.
    pub val_accuracy: Option<f64>,
    /// How long the epoch took, by the clock that was given; of a resumed epoch, the part since then.
    pub seconds: f64,
    /// The learning rate of the last step.
    pub learning_rate: f64,
    /// All metrics.
    pub metrics: BTreeMap<String, f64>,
    /// All metrics on held-out examples.
    pub val_metrics: BTreeMap<String, f64>,
}

/// The accuracy among metrics: the one of that name, or else the first whose name ends in `_accuracy`.
pub fn accuracy(metrics: &BTreeMap<String, f64>) -> Option<f64> {
    let of_a_kind = || metrics.iter().find(|(name, _)| name.ends_with("_accuracy")).map(|(_, value)| value);
    metrics.get("accuracy").or_else(of_a_kind).copied()
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Whether all epochs were made or an observer stopped it.
    pub outcome: Outcome,
    /// The epochs that are complete.
    pub epochs_done: u64,
    /// The steps that are made.
    pub steps_done: u64,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All epochs were made.
    Finished,
    /// An observer stopped it.
    Stopped,
}

/// Something that says how much time has passed. The loop itself reads no clock.
pub trait Clock {
    /// The seconds since some fixed moment.
    fn seconds(&mut self) -> f64;
}

impl<F: FnMut() -> f64> Clock for F {
    fn seconds(&mut self) -> f64 {
        self()
    }
}
