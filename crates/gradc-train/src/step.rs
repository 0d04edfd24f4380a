//! What the training loop needs from a compiled network.

use crate::array::Array;
use crate::batches::Batch;
use std::collections::BTreeMap;

/// A network that can be trained: whatever runs a step, the loop sees only this.
///
/// The loss and the metrics of a batch are means over its examples, so that the mean over several batches, weighted
/// by their examples, is the mean over all. What a step computes may depend on nothing but the state, the batch and
/// the [`StepInput`]: then a training that was interrupted and resumed ends with the same bits.
pub trait TrainStep {
    /// What can go wrong in a step.
    type Error: std::error::Error + 'static;

    /// The names of the metrics beside the loss, in the order in which they are reported. A metric called `accuracy`
    /// appears as such in reports.
    fn metrics(&self) -> &[String];

    /// Learns from a batch, which may be smaller than the others: puts its metrics, before the update, into `metrics`
    /// and returns its loss, before the update.
    ///
    /// # Errors
    /// Where the step cannot be run.
    fn train_batch(&mut self, batch: &Batch, input: StepInput, metrics: &mut [f64]) -> Result<f64, Self::Error>;

    /// Judges a batch without learning from it: puts its metrics into `metrics` and returns its loss.
    ///
    /// # Errors
    /// Where the step cannot be run.
    fn evaluate_batch(&mut self, batch: &Batch, metrics: &mut [f64]) -> Result<f64, Self::Error>;

    /// Everything that training changes.
    fn state(&self) -> TrainState;

    /// Puts back what [`TrainStep::state`] gave, here or in another process.
    ///
    /// # Errors
    /// Where the state is not one of this network.
    fn restore(&mut self, state: &TrainState) -> Result<(), Self::Error>;
}

/// What changes from step to step besides the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepInput {
    /// The optimizer steps before this one.
    pub step: u64,
    /// The learning rate of this step, after the schedule.
    pub learning_rate: f64,
}

/// Everything that training changes, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainState {
    /// The parameters and the states of the model, by their paths.
    pub parameters: BTreeMap<String, Array>,
    /// What the training step remembers, by names of its own: `optimizer.m.dense.0.w`.
    pub optimizer: BTreeMap<String, Array>,
}
