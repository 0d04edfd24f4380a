//! Running a model again and again.

use std::time::{Duration, Instant};

use gradc::{Demand, Error, Executable, Goal, Model, State, Tensor, TensorView, cost};

use crate::data;
use crate::machine::Machine;
use crate::report::{Report, Runs, StepReport};
use crate::stages::StageTimes;
use crate::work::{Work, gemm_flops};

/// What is measured, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the model is compiled for; a complete training step by what its `train` block says, if `None`, or its outputs
    /// where it has no loss.
    pub goal: Option<Goal>,
    /// How it is compiled.
    pub compile: gradc::Options,
    /// For how long runs are timed, at least. There are five at the fewest.
    pub time: Duration,
    /// Seed of the data.
    pub seed: u64,
    /// Whether each step of the plan is timed too, in further runs.
    pub profile: bool,
}

impl Default for Options {
    fn default() -> Options {
        let compile = gradc::Options::default();
        Options { goal: None, compile, time: Duration::from_secs(2), seed: 0, profile: false }
    }
}

/// Runs before those that count.
const WARM_UP: usize = 3;

/// The fewest runs that count.
const FEWEST: usize = 5;

/// The most runs that count: so many that more change nothing.
const MOST: usize = 200_000;

/// Compiles a model and measures it. `stages` are those that were measured before, such as parsing.
///
/// # Errors
/// Where the goal does not fit the model, or there is not enough memory.
pub fn bench(model: &Model, options: &Options, machine: &mut Machine, mut stages: StageTimes) -> Result<Report, Error> {
    let goal = options.goal.clone().unwrap_or_else(|| default_goal(model));
    let mut executable = model.compile_observed(&goal, &options.compile, &mut stages)?;
    let mut subject = Subject::new(model, &mut executable, options.seed)?;
    (0..WARM_UP).try_for_each(|_| subject.run())?;
    let runs = Runs::of(repeat(options.time, || subject.run())?);
    let steps = match options.profile {
        true => Some(profile(&mut subject, options.time)?),
        false => None,
    };
    let work = Work::of(executable.plan(), cost(executable.graph()).flops);
    let bandwidth = machine.bandwidth(work.working_set);
    Ok(Report {
        model: model.name().to_owned(),
        stages,
        runs,
        work,
        operations: cost(executable.graph()).operations,
        arena_bytes: executable.machine().arena_bytes(),
        recomputed: executable.plan().recomputed,
        threads: executable.machine().threads(),
        peak: machine.peak(),
        bandwidth,
        steps,
    })
}

/// A training step, or the outputs where nothing can be trained.
pub(crate) fn default_goal(model: &Model) -> Goal {
    match model.graph().loss().is_some() && model.parameters().next().is_some() {
        true => Goal::Training(model.train_config().map(gradc::UpdateRule::from).unwrap_or_default()),
        false => Goal::Outputs,
    }
}

/// A compiled model with its state and data.
pub(crate) struct Subject<'e> {
    executable: &'e mut Executable,
    state: State,
    inputs: Vec<(String, Tensor)>,
}

impl Subject<'_> {
    pub(crate) fn new<'e>(model: &Model, executable: &'e mut Executable, seed: u64) -> Result<Subject<'e>, Error> {
        gradc::ensure_state_fits(executable.graph())?;
        let state = executable.initial_state(model.train_config().map_or(0, |config| config.seed));
        let inputs = data::inputs(executable, seed).ok_or(Error::OutOfMemory { bytes: usize::MAX })?;
        let rate = model.train_config().map_or(1e-3, |config| gradc::UpdateRule::from(config).learning_rate());
        executable.set_training(rate, 1);
        Ok(Subject { executable, state, inputs })
    }

    pub(crate) fn run(&mut self) -> Result<(), Error> {
        let views: Vec<(&str, TensorView<'_>)> =
            self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        self.executable.run(&mut self.state, &views)
    }

    fn run_observed(&mut self, done: &mut impl FnMut(usize)) -> Result<(), Error> {
        let views: Vec<(&str, TensorView<'_>)> =
            self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        self.executable.run_observed(&mut self.state, &views, done)
    }
}

/// The time of each of several runs.
pub(crate) fn repeat(time: Duration, mut run: impl FnMut() -> Result<(), Error>) -> Result<Vec<Duration>, Error> {
    let begun = Instant::now();
    let mut times = Vec::new();
    while times.len() < FEWEST || (begun.elapsed() < time && times.len() < MOST) {
        let start = Instant::now();
        run()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// The median time of each step of the plan, after which all threads wait for one another.
fn profile(subject: &mut Subject<'_>, time: Duration) -> Result<Vec<StepReport>, Error> {
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); subject.executable.plan().steps.len()];
    repeat(time, || {
        let mut last = Instant::now();
        subject.run_observed(&mut |step| {
            let now = Instant::now();
            times[step].push(now - last);
            last = now;
        })
    })?;
    let plan = subject.executable.plan();
    // What is done once for many runs is not part of one.
    let steps = plan.steps.iter().zip(&plan.computed).zip(times).skip(plan.prologue.steps);
    Ok(steps
        .map(|((step, computed), times)| StepReport {
            step: describe(plan, step),
            values: computed.values.clone(),
            spans: computed.spans.clone(),
            runs: Runs::of(times),
            flops: match step {
                gradc::schedule::plan::Step::Gemm(gemm) => Some(gemm_flops(gemm)),
                _ => None,
            },
            bytes: Demand::of_step(plan, step).bytes,
        })
        .collect())
}

/// A step in a few words.
fn describe(plan: &gradc::schedule::Plan, step: &gradc::schedule::plan::Step) -> String {
    use gradc::schedule::plan::Step;
    match step {
        Step::Kernel { kernel, .. } => plan.kernels[*kernel].name.clone(),
        Step::Gemm(gemm) => {
            let batch = if gemm.batch == 1 { String::new() } else { format!("{} x ", gemm.batch) };
            format!("gemm {batch}{} x {} x {}", gemm.m, gemm.n, gemm.k)
        }
        Step::Pack(gemm) => format!("pack for gemm {} x {} x {}", gemm.m, gemm.n, gemm.k),
        Step::Scan(scan) => format!("scan of {} steps", scan.length),
    }
}
