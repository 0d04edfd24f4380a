//! Training and inference with the state inside: the short way for programs that embed gradc.

use gradc_ir::Role;

use crate::error::Error;
use crate::executable::Executable;
use crate::optimizer::UpdateRule;
use crate::pipeline::{Goal, Options};
use crate::program::Model;
use crate::state::State;
use crate::{Tensor, TensorView};

/// A compiled training step with the parameters it trains.
pub struct TrainingStep {
    executable: Executable,
    state: State,
    learning_rate: f64,
    steps: u64,
}

/// A compiled forward pass with its parameters.
pub struct Inference {
    executable: Executable,
    state: State,
}

impl Model {
    /// Compiles forward pass, backward pass and optimiser as one step, by what the `train` block says (Adam where there is
    /// none), with first values drawn by its seed (0 where there is none).
    ///
    /// # Errors
    /// Where the model has no loss or nothing to train, or there is not enough memory.
    pub fn compile_training(&self, options: &Options) -> Result<TrainingStep, Error> {
        let rule = self.train_config().map(UpdateRule::from).unwrap_or_default();
        let learning_rate = rule.learning_rate();
        let executable = self.compile(&Goal::Training(rule), options)?;
        let state = executable.initial_state(self.train_config().map_or(0, |config| config.seed));
        Ok(TrainingStep { executable, state, learning_rate, steps: 0 })
    }

    /// Compiles the outputs, with first values drawn by the seed of the `train` block (0 where there is none). The inputs
    /// that only the loss needs are not needed.
    ///
    /// # Errors
    /// Where there is not enough memory.
    pub fn compile_inference(&self, options: &Options) -> Result<Inference, Error> {
        let executable = self.compile(&Goal::Outputs, options)?;
        let state = executable.initial_state(self.train_config().map_or(0, |config| config.seed));
        Ok(Inference { executable, state })
    }
}

impl TrainingStep {
    /// Learns from a batch and returns its loss, as it was before.
    ///
    /// # Errors
    /// Where the inputs do not fit the model.
    pub fn run(&mut self, inputs: &[(&str, TensorView<'_>)]) -> Result<f64, Error> {
        self.executable.run_training(&mut self.state, inputs, self.learning_rate, self.steps + 1)?;
        self.steps += 1;
        Ok(self.executable.loss().unwrap_or(f64::NAN))
    }

    /// A metric of the last batch, as it was before it was learned from.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.executable.number(Role::Metric, name)
    }

    /// The learning rate of the next steps.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// The steps made so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Parameters and optimiser state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Parameters and optimiser state, to be changed.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Inference {
    /// Takes over the parameters and states of `state`, such as a training step's.
    pub fn load(&mut self, state: &State) {
        self.state.adopt(state);
    }

    /// The parameters, to be changed.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Computes the outputs.
    ///
    /// # Errors
    /// Where the inputs do not fit the model.
    pub fn run(&mut self, inputs: &[(&str, TensorView<'_>)]) -> Result<(), Error> {
        self.executable.run(&mut self.state, inputs)
    }

    /// An output of the last run.
    pub fn output(&self, name: &str) -> Option<Tensor> {
        self.executable.result(Role::Output, name)
    }

    /// The names of the outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.executable.results(Role::Output)
    }
}
