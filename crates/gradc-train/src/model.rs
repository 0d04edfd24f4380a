//! Compiled models as the training loop sees them.

use crate::array::Array;
use crate::batches::Batch;
use crate::data::{InputSpec, Mapping};
use crate::predict::PredictStep;
use crate::schedule::Schedule;
use crate::step::{StepInput, TrainState, TrainStep};
use crate::tensors;
use crate::weights::ParameterSpec;
use gradc::elaborate;
use gradc::ir::{Role, TensorType};
use gradc::{About, Coded, Problems};
use gradc::{Error, Executable, Goal, Model, Options, Phase, State, TensorView, UpdateRule, index_bounds};
use gradc_diagnostics::{Code, codes};
use std::collections::BTreeMap;
use std::fmt;
use xxhash_rust::xxh3::xxh3_128;

/// A model with its parameters, compiled for every size of batch that it is given.
///
/// Programs for different sizes share the parameters. A size is compiled when it first occurs: a training run has two,
/// the full batch and what is left over.
pub struct CompiledModel {
    model: Model,
    options: Options,
    rule: UpdateRule,
    state: State,
    /// What the first values of `state` are drawn with.
    seed: u64,
    /// Compiled programs by what they are for and the size of the batch.
    programs: BTreeMap<(Purpose, usize), Executable>,
    metrics: Vec<String>,
    outputs: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Train,
    Evaluate,
    Predict,
}

/// Why a model cannot be fed with examples.
#[derive(Debug)]
pub enum SetupError {
    /// An input has no axis for the examples.
    NoBatchAxis {
        /// The input.
        input: String,
        /// Its type.
        ty: TensorType,
    },
    /// The first axis of the inputs is not one and the same dim.
    NoBatchDim,
    /// The model is a graph that was read from its text: its batch has one size.
    FixedShapes,
    /// The model cannot be compiled.
    Compile(Error),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SetupError::NoBatchAxis { input, ty } => {
                write!(f, "the input `{input}` is {ty}: it has no first axis that counts examples")
            }
            SetupError::NoBatchDim => f.write_str(
                "the first axis of every input must be one dim, so that batches of any size can be made: \
                 declare `dim batch = 64` and write `input x: f32[batch, …]`",
            ),
            SetupError::FixedShapes => f.write_str(
                "a graph has fixed shapes, so it cannot be fed with batches: `gradc run` evaluates it once; train the `.net` \
                 file that it was emitted from",
            ),
            SetupError::Compile(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetupError {}

impl Coded for SetupError {
    fn code(&self) -> Code {
        match self {
            SetupError::NoBatchAxis { .. } | SetupError::NoBatchDim => codes::NO_BATCH,
            SetupError::FixedShapes => codes::FIXED_SHAPES,
            SetupError::Compile(error) => error.code(),
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            SetupError::NoBatchAxis { input, .. } => Some(About::Input(input)),
            SetupError::NoBatchDim => Some(About::Model),
            SetupError::FixedShapes => None,
            SetupError::Compile(error) => error.about(),
        }
    }

    fn problems(&self) -> Option<&Problems> {
        match self {
            SetupError::Compile(error) => error.problems(),
            _ => None,
        }
    }
}

impl From<Error> for SetupError {
    fn from(error: Error) -> SetupError {
        SetupError::Compile(error)
    }
}

impl CompiledModel {
    /// A model with the first values that `seed` gives. `rule` is what a training step does.
    ///
    /// # Errors
    /// Where the inputs have no common axis of examples.
    pub fn new(model: Model, options: Options, rule: UpdateRule, seed: u64) -> Result<CompiledModel, SetupError> {
        if model.program().is_graph() {
            return Err(SetupError::FixedShapes);
        }
        if let Some((name, ty)) = model.inputs().find(|(_, ty)| ty.shape.rank() == 0) {
            return Err(SetupError::NoBatchAxis { input: name.to_owned(), ty: ty.clone() });
        }
        if model.batch_dim().is_none() {
            return Err(SetupError::NoBatchDim);
        }
        let named = |role| model.graph().outputs_of(role).map(|output| output.name.to_string()).collect();
        let (metrics, outputs) = (named(Role::Metric), named(Role::Output));
        let in_precision = |phase| {
            let graph = model.elaborated().graph_for(phase);
            options.float.map_or_else(|| graph.clone(), |float| graph.in_precision(float))
        };
        // Both have the same parameters and states, but each may have a place of its own in the random numbers.
        let (inference, training) = (in_precision(Phase::Inference), in_precision(Phase::Training));
        gradc::ensure_state_fits(&training)?;
        let mut state = State::initial(&training, seed);
        state.include(&inference, seed);
        Ok(CompiledModel { model, options, rule, state, seed, programs: BTreeMap::new(), metrics, outputs })
    }

    /// Compiles the training step for a size of batch, so that a mistake that only this size shows is found before training.
    ///
    /// # Errors
    /// Where the model does not fit the size.
    pub fn prepare(&mut self, examples: usize) -> Result<(), Error> {
        self.program(Purpose::Train, examples).map(|_| ())
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The size of a full batch: the value of the dim that leads the inputs.
    pub fn batch_size(&self) -> usize {
        self.model.batch_dim().map_or(1, |dim| dim.value)
    }

    /// Parameters and states, and what the optimiser remembers once a step is compiled.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the data must hold for each input.
    pub fn input_specs(&self) -> Vec<InputSpec> {
        self.specs(|_| true)
    }

    /// What the data must hold for each input that an output depends on.
    pub fn predict_specs(&self) -> Vec<InputSpec> {
        let graph = self.model.graph();
        let outputs = graph.outputs_of(Role::Output).map(|output| output.value);
        let reached = graph.ancestors(outputs);
        self.specs(|name| graph.find_leaf(gradc::ir::LeafKind::Input, name).is_some_and(|leaf| reached[leaf.index()]))
    }

    fn specs(&self, wanted: impl Fn(&str) -> bool) -> Vec<InputSpec> {
        let bounds = index_bounds(self.model.graph());
        let spec = |(name, ty): (&str, &TensorType)| {
            let dtype = if ty.dtype.is_float() { self.options.float.unwrap_or(ty.dtype) } else { ty.dtype };
            let spec = InputSpec::new(name, dtype, ty.shape[1..].to_vec());
            match bounds.get(name) {
                Some(&bound) if ty.dtype.is_integer() => spec.below(bound as u64),
                _ => spec,
            }
        };
        self.model.inputs().filter(|(name, _)| wanted(name)).map(spec).collect()
    }

    /// What a weight file must hold.
    pub fn parameter_specs(&self) -> Vec<ParameterSpec> {
        parameter_specs(&self.state)
    }

    /// Replaces parameters and states of the model.
    ///
    /// # Errors
    /// Where there is none of a name, or it has another type.
    pub fn load(&mut self, parameters: &BTreeMap<String, Array>) -> Result<(), Error> {
        parameters.iter().try_for_each(|(name, array)| set(&mut self.state, name, array))
    }

    /// The parameters and the states of the model, by name: what a weight file holds.
    pub fn parameters(&self) -> BTreeMap<String, Array> {
        self.state.weights().map(|(name, value)| (name.to_owned(), tensors::array(value))).collect()
    }

    /// A text that is the same for the same model, dims, optimiser and way to compile. The learning rate is no part of it:
    /// each step is told its own.
    pub fn fingerprint(&self) -> String {
        let text = gradc::ir::text::print(self.model.elaborated().graph_for(Phase::Training));
        let Options { float, mode, level, .. } = self.options;
        let settings = format!("{:?} {float:?} {mode:?} {level:?}", self.rule.with_learning_rate(0.0));
        let hash = xxh3_128(format!("{text}{settings}").as_bytes());
        format!("{}-{hash:032x}", self.model.name())
    }

    /// The Euclidean norm of each parameter's gradient on a batch, in the order of the model, with the present
    /// parameters. Parameters that the loss does not depend on are left out.
    ///
    /// # Errors
    /// Where the model has no loss, or the batch does not fit.
    pub fn gradient_norms(&mut self, batch: &Batch) -> Result<Vec<(String, f64)>, Error> {
        let model = self.sized(batch.examples())?;
        let mut executable = model.compile(&Goal::Gradient { wrt: Vec::new() }, &self.options)?;
        executable.run(&mut self.state, &inputs(batch))?;
        let norm = |name: &str| {
            let gradient = executable.result(Role::Gradient, name)?;
            Some((name.to_owned(), gradient.numbers().iter().map(|g| g * g).sum::<f64>().sqrt()))
        };
        Ok(self.state.parameters().filter_map(|(name, _)| norm(name)).collect())
    }

    fn sized(&self, examples: usize) -> Result<Model, Error> {
        match self.model.batch_dim() {
            Some(dim) if dim.value != examples => {
                let name = dim.name.clone();
                self.model.bind(&name, examples)
            }
            _ => Ok(self.model.clone()),
        }
    }

    /// The program for a purpose and a size of batch, and the state it works on.
    fn program(&mut self, purpose: Purpose, examples: usize) -> Result<(&mut Executable, &mut State), Error> {
        let key = (purpose, examples);
        if !self.programs.contains_key(&key) {
            let goal = match purpose {
                Purpose::Train => Goal::Training(self.rule.clone()),
                Purpose::Evaluate => Goal::Forward,
                Purpose::Predict => Goal::Outputs,
            };
            let executable = self.sized(examples)?.compile(&goal, &self.options)?;
            self.state.include(executable.graph(), self.seed);
            self.programs.insert(key, executable);
        }
        match self.programs.get_mut(&key) {
            Some(executable) => Ok((executable, &mut self.state)),
            None => unreachable!("it has just been compiled"),
        }
    }
}

impl TrainStep for CompiledModel {
    type Error = Error;

    fn metrics(&self) -> &[String] {
        &self.metrics
    }

    fn train_batch(&mut self, batch: &Batch, input: StepInput, metrics: &mut [f64]) -> Result<f64, Error> {
        let (executable, state) = self.program(Purpose::Train, batch.examples())?;
        executable.run_training(state, &inputs(batch), input.learning_rate, input.step + 1)?;
        Ok(self.measured(Purpose::Train, batch.examples(), metrics))
    }

    fn evaluate_batch(&mut self, batch: &Batch, metrics: &mut [f64]) -> Result<f64, Error> {
        let (executable, state) = self.program(Purpose::Evaluate, batch.examples())?;
        executable.run(state, &inputs(batch))?;
        Ok(self.measured(Purpose::Evaluate, batch.examples(), metrics))
    }

    fn state(&self) -> TrainState {
        TrainState {
            parameters: self.parameters(),
            optimizer: self.state.optimizer().map(|(name, value)| (name.to_owned(), tensors::array(value))).collect(),
        }
    }

    fn restore(&mut self, state: &TrainState) -> Result<(), Error> {
        // The optimiser's state exists once a step is compiled.
        self.program(Purpose::Train, self.batch_size())?;
        let mut restored = self.state.clone();
        for (name, array) in state.parameters.iter().chain(&state.optimizer) {
            set(&mut restored, name, array)?;
        }
        self.state = restored;
        Ok(())
    }
}

impl CompiledModel {
    /// The loss and the metrics of the last run of a program.
    fn measured(&self, purpose: Purpose, examples: usize, metrics: &mut [f64]) -> f64 {
        let Some(executable) = self.programs.get(&(purpose, examples)) else { return f64::NAN };
        for (slot, name) in metrics.iter_mut().zip(&self.metrics) {
            *slot = executable.number(Role::Metric, name).unwrap_or(f64::NAN);
        }
        executable.loss().unwrap_or(f64::NAN)
    }
}

impl PredictStep for CompiledModel {
    type Error = Error;

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn predict_batch(&mut self, batch: &Batch) -> Result<Vec<Array>, Error> {
        let (executable, state) = self.program(Purpose::Predict, batch.examples())?;
        executable.run(state, &inputs(batch))?;
        let results = executable.results(Role::Output).filter_map(|name| executable.result(Role::Output, name));
        Ok(results.map(|tensor| tensors::array(&tensor)).collect())
    }
}

/// What a weight file must hold: the parameters and the states of the model.
pub fn parameter_specs(state: &State) -> Vec<ParameterSpec> {
    let spec = |(name, value): (&str, &gradc::Tensor)| {
        let ty = value.ty();
        ParameterSpec { name: name.to_owned(), dtype: ty.dtype, shape: ty.shape.to_vec() }
    };
    state.weights().map(spec).collect()
}

/// The keys that a `train` block gives for inputs whose data bears another name.
pub fn mapping(source: &elaborate::DataSource) -> Mapping {
    source.fields.iter().map(|field| (field.input.clone(), field.key.clone())).collect()
}

impl From<elaborate::Schedule> for Schedule {
    fn from(schedule: elaborate::Schedule) -> Schedule {
        match schedule {
            elaborate::Schedule::Constant => Schedule::Constant,
            elaborate::Schedule::Step { every, factor } => Schedule::Step { every, factor },
            elaborate::Schedule::Exponential { rate } => Schedule::Exponential { rate },
            elaborate::Schedule::Cosine { warmup, last } => Schedule::Cosine { warmup, final_factor: last },
            elaborate::Schedule::Linear { warmup, last } => Schedule::Linear { warmup, final_factor: last },
        }
    }
}

fn inputs(batch: &Batch) -> Vec<(&str, TensorView<'_>)> {
    batch.inputs().iter().map(|(name, array)| (name.as_str(), tensors::view(array))).collect()
}

fn set(state: &mut State, name: &str, array: &Array) -> Result<(), Error> {
    Ok(state.set(name, tensors::view(array))?)
}
