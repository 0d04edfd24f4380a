//! The order of the passes: the one place that knows it.
//!
//! ```text
//! forward graph ─stabilise→ ─differentiate→ ─update→ ─simplify→ graph ─schedule→ plan ─codegen→ program
//! ```

use std::fmt;
use std::num::NonZeroUsize;

use gradc_autodiff::Rules;
use gradc_codegen::{Contraction, OptLevel, Program};
use gradc_diagnostics::{Code, Diagnostic, codes};
use gradc_elaborate::Phase;
use gradc_ir::verify::verify;
use gradc_ir::{DType, Graph, Role, ValueId, work};
use gradc_schedule::Plan;
use gradc_simplify::certificate::{Reasons, simplify_with_reasons, stabilise_with_reasons};

use crate::coded::{About, Coded};
use crate::differentiate;
use crate::error::Error;
use crate::optimizer::{UpdateRule, append_update};
use crate::summary::{Demand, cost};
use crate::threads::available_threads;

pub use gradc_codegen::{Listings, Vectors};
pub use gradc_simplify::rules::Subject;
pub use gradc_simplify::{Level, Mode, Report};

/// How a model is compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which identities of floating-point arithmetic the compiler may use.
    pub mode: Mode,
    /// How much the compiler does.
    pub level: Level,
    /// Replaces every float type of the model, if given.
    pub float: Option<DType>,
    /// Whether the model is `training`, if given; else that is so for gradients and training steps: see
    /// [`Goal::phase`].
    pub phase: Option<Phase>,
    /// What of the simplifier is left out, in order to see what it is good for.
    pub without: Option<Without>,
    /// How wide the vectors of kernels are.
    pub vectors: Vectors,
    /// Which texts of the machine code are kept.
    pub listings: Listings,
    /// The most bytes of memory that a program works in, beside what is given to it and taken from it: where keeping everything
    /// takes more, values are computed again.
    pub memory_limit: Option<usize>,
    /// How many threads compiled code runs on, where the work is worth it; as many as [`available_threads`], if not given.
    /// Results do not depend on it.
    pub threads: Option<NonZeroUsize>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mode: Mode::Accurate,
            level: Level::Full,
            float: None,
            phase: None,
            without: None,
            vectors: Vectors::Widest,
            listings: Listings::default(),
            memory_limit: None,
            threads: None,
        }
    }
}

/// A part of the simplifier that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// All of it: what differentiation gives is scheduled as it is.
    Simplifier,
    /// The e-graph; the canonical form stays, with the rules that improve on the spot.
    EGraph,
    /// The rules about a subject.
    Rules(Subject),
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
    /// Also a row of a Jacobian, or a combination of rows: for a cotangent of each of `of` that is a new input, what each
    /// of `wrt` receives, as [`Role::Gradient`]. The input is called `d_` and the name.
    Vjp {
        /// Names of outputs or values; `loss` is the loss.
        of: Vec<String>,
        /// Names of parameters, inputs or values; all parameters where there are none.
        wrt: Vec<String>,
    },
    /// Also a column of a Jacobian, or a combination of columns: for a tangent of each of `wrt` that is a new input, the
    /// tangents of `of`, as [`Role::Tangent`]. The input is called `t_` and the name.
    Jvp {
        /// Names of outputs or values; all outputs and the loss where there are none.
        of: Vec<String>,
        /// As for [`Goal::Vjp`].
        wrt: Vec<String>,
    },
    /// Also the gradient, and the product of the Hessian of the loss and a tangent of each of `wrt` that is a new input, as
    /// [`Role::HessianVector`]. The input is called `t_` and the name.
    Hvp {
        /// As for [`Goal::Vjp`].
        wrt: Vec<String>,
    },
    /// Also the optimiser's step.
    Training(UpdateRule),
}

impl Goal {
    /// What `training` is in the model, unless [`Options::phase`] says otherwise: true for gradients and training steps.
    pub fn phase(&self) -> Phase {
        match self {
            Goal::Outputs | Goal::Forward => Phase::Inference,
            Goal::Gradient { .. } | Goal::Vjp { .. } | Goal::Jvp { .. } | Goal::Hvp { .. } | Goal::Training(_) => {
                Phase::Training
            }
        }
    }
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

    /// What the simplifier did in [`Stage::Stabilise`] or [`Stage::Simplify`]. Told before the stage ends.
    fn simplified(&mut self, stage: Stage, report: &Report) {
        let _ = (stage, report);
    }

    /// Whether it is to be told why the simplifier made what it made: finding that out takes time.
    fn wants_reasons(&self) -> bool {
        false
    }

    /// Why the stage made what it made. Told of [`Stage::Stabilise`] and [`Stage::Simplify`], after all graphs are made.
    fn reasons(&mut self, stage: Stage, reasons: Reasons) {
        let _ = (stage, reasons);
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
    /// It is not said by what to differentiate, and the model has no parameters.
    NoParameters,
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
            GoalError::NoParameters => {
                f.write_str("the model has no parameters: say by what to differentiate, as `--wrt NAME` does")
            }
        }
    }
}

impl std::error::Error for GoalError {}

impl Coded for GoalError {
    fn code(&self) -> Code {
        match self {
            GoalError::NoLoss => codes::NO_LOSS,
            GoalError::UnknownValue { .. } => codes::UNKNOWN_VALUE,
            GoalError::InLoop { .. } | GoalError::NotDifferentiable { .. } => codes::NOT_DIFFERENTIABLE,
            GoalError::NothingToTrain | GoalError::NoParameters => codes::NOTHING_TO_TRAIN,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            GoalError::NoLoss | GoalError::UnknownValue { .. } | GoalError::NoParameters => Some(About::Model),
            GoalError::InLoop { name } | GoalError::NotDifferentiable { name, .. } => Some(About::Value(name)),
            GoalError::NothingToTrain => Some(About::Loss),
        }
    }
}

/// Makes sure that a forward graph has what `goal` needs, before anything is made for it: [`lower`] fails where this fails.
///
/// # Errors
/// Where the goal does not fit the model.
pub fn ensure_goal(forward: &Graph, goal: &Goal) -> Result<(), GoalError> {
    differentiate::mark(&mut forward.clone(), goal)?;
    let is_differentiated = forward.outputs_of(Role::Gradient).next().is_some();
    match goal {
        Goal::Gradient { wrt } if !wrt.is_empty() || !is_differentiated => {
            forward.loss().map(drop).ok_or(GoalError::NoLoss)
        }
        Goal::Hvp { .. } => forward.loss().map(drop).ok_or(GoalError::NoLoss),
        Goal::Training(_) if !is_differentiated => match forward.loss() {
            None => Err(GoalError::NoLoss),
            Some(_) if differentiate::trained(forward).is_empty() => Err(GoalError::NothingToTrain),
            Some(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Warnings about forward mode, where a goal is by it: a rule of the program that is not linear in its cotangent is no derivative
/// of anything, and what forward mode makes of it is something else than reverse mode.
///
/// # Errors
/// Where the goal does not fit the model.
pub fn nonlinear_rules(forward: &Graph, goal: &Goal) -> Result<Vec<Diagnostic>, GoalError> {
    differentiate::nonlinear_rules(forward, goal)
}

/// From a forward graph to the simplified graph of everything that `goal` needs. Which forward graph a model has for a
/// goal, [`Model::graph_for`](crate::Model::graph_for) says.
///
/// A graph that has gradients or updates already (one that gradc emitted) keeps them.
///
/// # Errors
/// Where the goal does not fit the model.
pub fn lower(forward: &Graph, goal: &Goal, options: &Options, observer: &mut dyn Observer) -> Result<Graph, GoalError> {
    lower_by(&Rules::default(), forward, goal, options, observer)
}

/// As [`lower`], differentiating by `rules`: for those who check what the pipeline makes of a rule.
///
/// # Errors
/// As [`lower`].
pub fn lower_by(
    rules: &Rules<'_>,
    forward: &Graph,
    goal: &Goal,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Graph, GoalError> {
    let mut graph = match options.float {
        Some(float) => forward.in_precision(float),
        None => forward.settled(),
    };
    let trained = differentiate::trained(&graph);
    let wants_reasons = observer.wants_reasons();
    let (mut of_stabilising, mut of_simplifying) = (None, None);
    let mut pass = |stage: Stage, graph: &mut Graph, run: &mut dyn FnMut(&mut Graph) -> Result<Made, GoalError>| {
        observer.begin(stage);
        let made = run(graph)?;
        debug_assert_eq!(verify(graph), Ok(()), "after {stage}");
        if let Made::Simplified(report) = made {
            observer.simplified(stage, &report);
        }
        observer.end(stage, Artefact::Graph(graph));
        Ok(())
    };
    match goal {
        Goal::Outputs => graph.retain_outputs(|output| output.role == Role::Output),
        other => differentiate::mark(&mut graph, other)?,
    }
    let simplify = simplifier_options(options);
    let is_differentiated = !matches!(goal, Goal::Outputs | Goal::Forward);
    // In the other modes, they would not be computed otherwise than from the activation.
    let has_digits = options.mode == Mode::Accurate && simplify.level == Level::Full;
    let rules = &if has_digits { rules.keeping_complements() } else { *rules };
    let differentiate = |graph: &mut Graph| match is_differentiated {
        true => differentiate::append(graph, goal, rules, &trained),
        false => Ok(()),
    };
    pass(Stage::Stabilise, &mut graph, &mut |graph| {
        if simplify.level == Level::None {
            return Ok(Made::Changed);
        }
        let mut stabilise = |options: &gradc_simplify::Options| {
            if wants_reasons {
                let (simplified, reasons) = stabilise_with_reasons(graph, options);
                of_stabilising = Some(reasons);
                simplified
            } else {
                gradc_simplify::stabilise(graph, options)
            }
        };
        let mut stable = stabilise(&simplify);
        // Where elements are moved otherwise, the derivative may have fewer loops in common. Without a flawed formula there is no need
        // for that.
        if stable.report.repaired == 0
            && stable.report.has_moved()
            && simplify.is_timed(graph)
            && derivative_costs_more(&stable.graph, graph, &differentiate, options.mode)?
        {
            stable = stabilise(&gradc_simplify::Options { level: Level::None, ..simplify });
        }
        *graph = stable.graph;
        Ok(Made::Simplified(stable.report))
    })?;
    if is_differentiated {
        pass(Stage::Differentiate, &mut graph, &mut |graph| differentiate(graph).map(|()| Made::Changed))?;
    }
    if let Goal::Training(rule) = goal {
        pass(Stage::Update, &mut graph, &mut |graph| update(graph, rule).map(|()| Made::Changed))?;
    }
    pass(Stage::Simplify, &mut graph, &mut |graph| {
        // The derivative is written: from here on, a value with a rule of its own is what it is computed as.
        if graph.has_rules() {
            *graph = graph.without_rules();
        }
        let simplified = if wants_reasons {
            let (simplified, reasons) = simplify_with_reasons(graph, &simplify);
            of_simplifying = Some(reasons);
            simplified
        } else {
            gradc_simplify::simplify(graph, &simplify)
        };
        *graph = simplified.graph;
        Ok(Made::Simplified(simplified.report))
    })?;
    for (stage, reasons) in [(Stage::Stabilise, of_stabilising), (Stage::Simplify, of_simplifying)] {
        if let Some(reasons) = reasons {
            observer.reasons(stage, reasons);
        }
    }
    Ok(graph)
}

/// Whether what `differentiate` appends to `graph` makes it dearer than another of the same results: more arithmetic, or more time.
fn derivative_costs_more(
    graph: &Graph,
    than: &Graph,
    differentiate: &dyn Fn(&mut Graph) -> Result<(), GoalError>,
    mode: Mode,
) -> Result<bool, GoalError> {
    let derivative = |graph: &Graph| {
        let mut graph = graph.clone();
        differentiate(&mut graph).map(|()| graph.without_rules())
    };
    let (graph, than) = (derivative(graph)?, derivative(than)?);
    Ok(work(&graph).exceeds(work(&than)) || seconds(&graph, mode) > seconds(&than, mode))
}

fn simplifier_options(options: &Options) -> gradc_simplify::Options {
    let (level, without) = match options.without {
        None => (options.level, None),
        Some(Without::Simplifier) => (Level::None, None),
        Some(Without::EGraph) => (options.level.min(Level::Local), None),
        Some(Without::Rules(subject)) => (options.level, Some(subject)),
    };
    gradc_simplify::Options { mode: options.mode, level, without, seconds: Some(seconds), ..Default::default() }
}

/// By what the simplifier compares alternatives: the time of the plan that they would have if there were memory for everything. To save
/// memory takes time, and more of it where there is more to save, which says nothing about an alternative.
fn seconds(graph: &Graph, mode: Mode) -> f64 {
    let options = schedule_options(&Options { mode, ..Options::default() });
    let options = gradc_schedule::Options { lean: false, ..options };
    let plan = gradc_schedule::schedule(&graph.without_rules(), &options);
    Demand::of(&plan, cost(graph).flops).seconds()
}

/// What a pass has done to a graph.
enum Made {
    Changed,
    Simplified(Report),
}

/// From a graph to machine code.
///
/// # Errors
/// Where the machine cannot run what gradc emits, or the program would work in more memory than it may.
pub fn compile(graph: &Graph, options: &Options, observer: &mut dyn Observer) -> Result<(Plan, Program), Error> {
    observer.begin(Stage::Schedule);
    // A graph that was not lowered may have rules left.
    let plan = gradc_schedule::schedule(&graph.without_rules(), &schedule_options(options));
    observer.end(Stage::Schedule, Artefact::Plan(&plan));
    if let Some(limit) = options.memory_limit.filter(|&limit| plan.arena_bytes > limit) {
        return Err(Error::OverMemoryLimit { limit, least: plan.arena_bytes });
    }
    observer.begin(Stage::Codegen);
    let program = gradc_codegen::compile(&plan, &codegen_options(options))?;
    observer.end(Stage::Codegen, Artefact::Program(&program));
    Ok((plan, program))
}

fn schedule_options(options: &Options) -> gradc_schedule::Options {
    let fuse = options.level != Level::None;
    gradc_schedule::Options {
        fuse,
        refine: fuse && options.mode != Mode::Strict,
        memory_limit: options.memory_limit,
        lean: true,
        scratch_bytes: gradc_codegen::scratch_bytes,
        packing: if fuse { gradc_codegen::packing } else { |_| None },
    }
}

fn codegen_options(options: &Options) -> gradc_codegen::Options {
    let contraction = if options.mode == Mode::Fast { Contraction::Fuse } else { Contraction::Never };
    let opt_level = if options.level == Level::None { OptLevel::None } else { OptLevel::Speed };
    let Options { vectors, listings, .. } = *options;
    let threads = Some(options.threads.unwrap_or_else(available_threads));
    gradc_codegen::Options { contraction, opt_level, vectors, listings, threads, ..Default::default() }
}

/// The float value of this name.
///
/// # Errors
/// Where there is none, or it is not made of floats.
pub fn find_value(graph: &Graph, name: &str) -> Result<ValueId, GoalError> {
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
