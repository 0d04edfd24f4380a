//! The order of the passes: the one place that knows it.
//!
//! ```text
//! forward graph ─stabilise→ ─differentiate→ ─update→ ─simplify→ graph ─schedule→ plan ─codegen→ program
//! ```

use std::fmt;

use gradc_autodiff::gradient;
use gradc_codegen::{CodegenError, Contraction, OptLevel, Program};
use gradc_ir::verify::verify;
use gradc_ir::{Class, DType, Graph, LeafKind, Role, ValueId};
use gradc_schedule::Plan;

use crate::optimizer::{UpdateRule, append_update};

pub use gradc_codegen::Listings;
pub use gradc_simplify::{Level, Mode};

/// How a model is compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which identities of floating-point arithmetic the compiler may use.
    pub mode: Mode,
    /// How much the compiler does.
    pub level: Level,
    /// Replaces every float type of the model, if given.
    pub float: Option<DType>,
    /// Which texts of the machine code are kept.
    pub listings: Listings,
}

impl Default for Options {
    fn default() -> Options {
        Options { mode: Mode::Accurate, level: Level::Full, float: None, listings: Listings::default() }
    }
}

/// What a compiled program is for.
#[derive(Clone, Debug, PartialEq, Default)]
pub enum Goal {
    /// Outputs alone: no loss, no metrics, and no input that only these need.
    Outputs,
    /// Outputs, loss and metrics.
    #[default]
    Forward,
    /// Also the derivative of the loss by every parameter, and by the inputs and named values listed.
    Gradient {
        /// Names of inputs or values.
        wrt: Vec<String>,
    },
    /// Also the optimiser's step.
    Training(UpdateRule),
}

/// A stage of the compiler after elaboration, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Rewrites that keep values finite, before differentiation.
    Stabilise,
    /// The derivative.
    Differentiate,
    /// The optimiser's step.
    Update,
    /// The e-graph.
    Simplify,
    /// Kernels and memory.
    Schedule,
    /// Machine code.
    Codegen,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Stabilise => "stabilise",
            Stage::Differentiate => "differentiate",
            Stage::Update => "update",
            Stage::Simplify => "simplify",
            Stage::Schedule => "schedule",
            Stage::Codegen => "codegen",
        })
    }
}

/// What a stage made.
#[derive(Clone, Copy)]
pub enum Artefact<'a> {
    /// A graph.
    Graph(&'a Graph),
    /// Kernels and memory.
    Plan(&'a Plan),
    /// Machine code.
    Program(&'a Program),
}

/// Is told of each stage when it begins and of what it has made: the door for emitting, timing and checking.
pub trait Observer {
    /// A stage begins.
    fn begin(&mut self, stage: Stage) {
        let _ = stage;
    }

    /// A stage has ended.
    fn end(&mut self, stage: Stage, artefact: Artefact<'_>) {
        let _ = (stage, artefact);
    }
}

/// Looks at nothing.
pub struct Unobserved;

impl Observer for Unobserved {}

/// Why a goal cannot be reached with a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GoalError {
    /// The model has no loss to differentiate.
    NoLoss,
    /// There is no input and no value of this name.
    UnknownValue {
        /// The name that was asked for.
        name: String,
        /// A name that may have been meant.
        suggestion: Option<String>,
    },
    /// The value is computed in each step of a loop, where it is another one each time.
    InLoop {
        /// Its name.
        name: String,
    },
    /// The value is not made of floats.
    NotDifferentiable {
        /// Its name.
        name: String,
        /// Its element type.
        dtype: DType,
    },
    /// The model has no parameter that its loss depends on.
    NothingToTrain,
}

impl fmt::Display for GoalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GoalError::NoLoss => f.write_str("the model has no loss: say what is to become small with `loss …`"),
            GoalError::UnknownValue { name, suggestion } => {
                write!(f, "the model has no input and no value called `{name}`")?;
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
                    None => Ok(()),
                }
            }
            GoalError::InLoop { name } => write!(
                f,
                "`{name}` is computed in each step of a `scan`: there is a derivative by what goes into the loop and by \
                 what comes out of it, not by what is within"
            ),
            GoalError::NotDifferentiable { name, dtype } => {
                write!(f, "`{name}` is {dtype}: only floats have derivatives")
            }
            GoalError::NothingToTrain => f.write_str("the loss depends on no parameter: there is nothing to train"),
        }
    }
}

impl std::error::Error for GoalError {}

/// From a forward graph to the simplified graph of everything that `goal` needs.
///
/// A graph that has gradients or updates already (one that gradc emitted) keeps them.
///
/// # Errors
/// Where the goal does not fit the model.
pub fn lower(forward: &Graph, goal: &Goal, options: &Options, observer: &mut dyn Observer) -> Result<Graph, GoalError> {
    let mut graph = match options.float {
        Some(float) => forward.in_precision(float),
        None => forward.settled(),
    };
    let mut pass = |stage: Stage, graph: &mut Graph, run: &mut dyn FnMut(&mut Graph) -> Result<(), GoalError>| {
        observer.begin(stage);
        run(graph)?;
        debug_assert_eq!(verify(graph), Ok(()), "after {stage}");
        observer.end(stage, Artefact::Graph(graph));
        Ok(())
    };
    match goal {
        Goal::Outputs => graph.retain_outputs(|output| output.role == Role::Output),
        Goal::Gradient { wrt } => mark_targets(&mut graph, wrt)?,
        Goal::Forward | Goal::Training(_) => {}
    }
    let simplify = gradc_simplify::Options { mode: options.mode, level: options.level, ..Default::default() };
    pass(Stage::Stabilise, &mut graph, &mut |graph| {
        if options.level != Level::None {
            *graph = gradc_simplify::stabilise(graph, options.mode).graph;
        }
        Ok(())
    })?;
    match goal {
        Goal::Outputs | Goal::Forward => {}
        Goal::Gradient { .. } => pass(Stage::Differentiate, &mut graph, &mut differentiate)?,
        Goal::Training(rule) => {
            pass(Stage::Differentiate, &mut graph, &mut differentiate)?;
            pass(Stage::Update, &mut graph, &mut |graph| update(graph, rule))?;
        }
    }
    pass(Stage::Simplify, &mut graph, &mut |graph| {
        *graph = gradc_simplify::simplify(graph, &simplify).graph;
        Ok(())
    })?;
    Ok(graph)
}

/// From a graph to machine code.
///
/// # Errors
/// Where the machine cannot run what gradc emits.
pub fn compile(graph: &Graph, options: &Options, observer: &mut dyn Observer) -> Result<(Plan, Program), CodegenError> {
    if graph.values().filter_map(|value| graph.op(value)).any(|op| op.def.class == Class::Scan) {
        return Err(CodegenError::Unsupported("loops (`scan`)".into()));
    }
    observer.begin(Stage::Schedule);
    let plan = schedule(graph, options);
    observer.end(Stage::Schedule, Artefact::Plan(&plan));
    observer.begin(Stage::Codegen);
    let program = gradc_codegen::compile(&plan, &codegen_options(options))?;
    observer.end(Stage::Codegen, Artefact::Program(&program));
    Ok((plan, program))
}

fn schedule(graph: &Graph, options: &Options) -> Plan {
    let fuse = options.level != Level::None;
    gradc_schedule::schedule(graph, &gradc_schedule::Options { fuse, scratch_bytes: gradc_codegen::scratch_bytes })
}

fn codegen_options(options: &Options) -> gradc_codegen::Options {
    let contraction = if options.mode == Mode::Fast { Contraction::Fuse } else { Contraction::Never };
    let opt_level = if options.level == Level::None { OptLevel::None } else { OptLevel::Speed };
    gradc_codegen::Options { contraction, opt_level, listings: options.listings, ..Default::default() }
}

/// What the names of results begin with that hold on to a value by which the loss is to be differentiated, while
/// the graph is stabilised. No name of a user's has a space.
const TARGET: &str = "wrt ";

fn mark_targets(graph: &mut Graph, wrt: &[String]) -> Result<(), GoalError> {
    for name in wrt {
        let value = find_value(graph, name)?;
        graph.add_output(Role::Metric, format!("{TARGET}{name}"), value);
    }
    Ok(())
}

/// Appends the derivative of the loss by every parameter it depends on, and by each value that is marked.
fn differentiate(graph: &mut Graph) -> Result<(), GoalError> {
    let marked: Vec<(String, ValueId)> = graph
        .outputs_of(Role::Metric)
        .filter_map(|output| Some((output.name.strip_prefix(TARGET)?.to_owned(), output.value)))
        .collect();
    graph.retain_outputs(|output| !output.name.starts_with(TARGET));
    if graph.outputs_of(Role::Gradient).next().is_some() && marked.is_empty() {
        return Ok(());
    }
    let loss = graph.loss().ok_or(GoalError::NoLoss)?;
    let params = graph.leaves(LeafKind::Param).filter(|&param| graph.dtype(param).is_float());
    let mut targets: Vec<(String, ValueId)> =
        params.map(|param| (graph.value_name(param).map(|name| name.to_string()).unwrap_or_default(), param)).collect();
    let asked_from = targets.len();
    targets.extend(marked.into_iter().filter(|(name, _)| graph.find_leaf(LeafKind::Param, name).is_none()));
    let values: Vec<ValueId> = targets.iter().map(|&(_, value)| value).collect();
    let derivative = gradient(graph, loss, &values);
    *graph = derivative.graph;
    graph.retain_outputs(|output| output.role != Role::Gradient);
    for (i, ((name, value), cotangent)) in targets.into_iter().zip(derivative.cotangents).enumerate() {
        // Asked for by name, an absent gradient is answered with the zero that it is; unasked, it stays an absence.
        let cotangent = cotangent.or_else(|| (i >= asked_from).then(|| graph.full_like(value, 0.0)));
        if let Some(cotangent) = cotangent {
            graph.add_output(Role::Gradient, name, cotangent);
        }
    }
    Ok(())
}

fn find_value(graph: &Graph, name: &str) -> Result<ValueId, GoalError> {
    let value = graph.find_value(name).ok_or_else(|| {
        if is_in_loop(graph, name) {
            return GoalError::InLoop { name: name.to_owned() };
        }
        let mut known: Vec<&str> = graph.values().filter_map(|v| graph.value_name(v)).map(|name| &**name).collect();
        known.sort_unstable();
        known.dedup();
        let suggestion = gradc_diagnostics::did_you_mean(name, known).map(str::to_owned);
        GoalError::UnknownValue { name: name.to_owned(), suggestion }
    })?;
    let dtype = graph.dtype(value);
    if dtype.is_float() { Ok(value) } else { Err(GoalError::NotDifferentiable { name: name.to_owned(), dtype }) }
}

/// Whether the body of a loop has a value of this name.
fn is_in_loop(graph: &Graph, name: &str) -> bool {
    let is_in = |body: &Graph| body.find_value(name).is_some() || is_in_loop(body, name);
    graph.values().filter_map(|value| graph.as_scan(value)).any(|scan| is_in(scan.body.graph()))
}

fn update(graph: &mut Graph, rule: &UpdateRule) -> Result<(), GoalError> {
    if graph.outputs_of(Role::Gradient).next().is_none() {
        return Err(GoalError::NothingToTrain);
    }
    append_update(graph, rule);
    graph.retain_outputs(|output| output.role != Role::Gradient);
    Ok(())
}
