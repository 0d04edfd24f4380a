//! `--emit` and `--timings`.

use std::collections::BTreeMap;
use std::fmt::Write;

use gradc::certificate::Reasons;
use gradc::ir::{Graph, Role, text};
use gradc::pipeline::{Artefact, Listings, Observer, Stage};
use gradc::{Goal, Model, Options, Program, UpdateRule};
use gradc_bench::{StageTime, StageTimes};

use crate::args::{Emit, EmitStage, GoalArg, InspectArgs};
use crate::model::{Said, options};
use crate::output::{Failure, Outcome, Output, counted, write_file};

/// What the arguments ask for.
pub(crate) fn requested(args: &InspectArgs) -> Vec<Emit> {
    let short = args.emit_grad.then_some(Emit { stage: EmitStage::Grad, file: None });
    short.into_iter().chain(args.emit.iter().cloned()).collect()
}

/// Syntax trees alone, which need no model.
pub(crate) fn ast(program: &Program, emits: &[Emit], output: &mut Output) -> Outcome {
    let tree = program.syntax_tree().ok_or_else(|| Failure::Usage("a graph has no syntax tree".into()))?;
    emits.iter().try_for_each(|emit| deliver(emit, &tree, false, output))
}

/// Everything that is asked for, in the order of the pipeline.
pub(crate) fn emit(
    model: &Model,
    args: &InspectArgs,
    emits: &[Emit],
    mut timings: StageTimes,
    output: &mut Output,
) -> Outcome {
    let mut texts: BTreeMap<EmitStage, String> = BTreeMap::new();
    let wants = |stage| emits.iter().any(|emit| emit.stage == stage);
    if wants(EmitStage::Ast) {
        let tree = model.program().syntax_tree();
        texts.insert(EmitStage::Ast, tree.ok_or_else(|| Failure::Usage("a graph has no syntax tree".into()))?);
    }
    let mut options = Options { phase: args.phase.map(Into::into), ..options(&args.compile, None) };
    if wants(EmitStage::Graph) {
        let graph = model.graph_for(&args.goal.map_or(Goal::Forward, |_| goal(model, args)), &options);
        texts.insert(EmitStage::Graph, text::print(&graph.pruned().settled()));
    }
    if [EmitStage::Stable, EmitStage::GradRaw, EmitStage::Grad, EmitStage::Proof].into_iter().any(wants) {
        let goal = Goal::Gradient { wrt: args.wrt.clone() };
        let mut stages = Stages { wants_reasons: args.blame || wants(EmitStage::Proof), ..Stages::default() };
        let graph = gradc::pipeline::lower(&model.graph_for(&goal, &options), &goal, &options, &mut stages);
        let graph = graph.said_of(model)?;
        texts.insert(EmitStage::GradRaw, text::print(&stages.raw.unwrap_or_else(|| graph.clone()).pruned()));
        texts.insert(EmitStage::Stable, text::print(&stages.stable.unwrap_or_else(|| graph.clone()).pruned()));
        if wants(EmitStage::Proof) {
            let certificates = stages.reasons.iter().map(|reasons| reasons.certificate().to_string());
            texts.insert(EmitStage::Proof, certificates.collect::<Vec<_>>().join("\n"));
        }
        let graph = titled(graph, "gradient");
        let blamed = stages.reasons.last_mut().filter(|_| args.blame).map(Reasons::blame);
        texts.insert(
            EmitStage::Grad,
            match blamed {
                None => text::print(&graph),
                Some(rules) => text::print_with_notes(&graph, &|value| {
                    let rules = &rules[value.index()];
                    (!rules.is_empty()).then(|| rules.join(", "))
                }),
            },
        );
    }
    let products = [
        (EmitStage::Jvp, "jvp", Goal::Jvp { of: Vec::new(), wrt: args.wrt.clone() }),
        (EmitStage::Hvp, "hvp", Goal::Hvp { wrt: args.wrt.clone() }),
    ];
    for (stage, title, goal) in products.into_iter().filter(|(stage, ..)| wants(*stage)) {
        let forward = model.graph_for(&goal, &options);
        warn_of_rules(model, &forward, &goal, output)?;
        let graph = gradc::pipeline::lower(&forward, &goal, &options, &mut Stages::default());
        texts.insert(stage, text::print(&titled(graph.said_of(model)?, title)));
    }
    let goal = goal(model, args);
    if wants(EmitStage::Dot) {
        let forward = model.graph_for(&goal, &options);
        let graph = gradc::pipeline::lower(&forward, &goal, &options, &mut Stages::default());
        texts.insert(EmitStage::Dot, dot(&graph.said_of(model)?));
    }
    let machine = [EmitStage::Kernels, EmitStage::Plan, EmitStage::Clif, EmitStage::Asm];
    if machine.iter().any(|&stage| wants(stage)) || args.timings {
        options.listings = Listings { clif: wants(EmitStage::Clif), assembly: wants(EmitStage::Asm) };
        let forward = model.graph_for(&goal, &options);
        let graph = gradc::pipeline::lower(&forward, &goal, &options, &mut timings);
        let graph = graph.said_of(model)?;
        let compiled = gradc::pipeline::compile(&graph, &options, &mut timings);
        let (plan, machine) = compiled.said_of(model)?;
        let kernels = plan.all_kernels().into_iter().map(gradc::schedule::kernel::print).collect::<Vec<_>>();
        texts.insert(EmitStage::Kernels, kernels.join("\n"));
        texts.insert(EmitStage::Plan, gradc::schedule::plan::print(&plan));
        texts.insert(EmitStage::Clif, machine.clif());
        texts.insert(EmitStage::Asm, machine.assembly());
    }
    let several = emits.iter().filter(|emit| emit.file.is_none()).count() > 1;
    for emit in emits {
        deliver(emit, texts.get(&emit.stage).map_or("", String::as_str), several, output)?;
    }
    if args.timings {
        report(&timings, output);
    }
    Ok(())
}

/// Says where forward mode is something else than reverse mode.
fn warn_of_rules(model: &Model, forward: &Graph, goal: &Goal, output: &mut Output) -> Outcome {
    let warnings = gradc::pipeline::nonlinear_rules(forward, goal).said_of(model)?;
    output.diagnostics(&warnings, model.program().sources())
}

/// What kernels and what follows are made for.
pub(crate) fn goal(model: &Model, args: &InspectArgs) -> Goal {
    let default = if model.graph().loss().is_some() { GoalArg::Gradient } else { GoalArg::Forward };
    goal_of(args.goal.unwrap_or(default), model, &args.wrt)
}

/// The goal that an argument stands for.
pub(crate) fn goal_of(goal: GoalArg, model: &Model, wrt: &[String]) -> Goal {
    match goal {
        GoalArg::Outputs => Goal::Outputs,
        GoalArg::Forward => Goal::Forward,
        GoalArg::Gradient => Goal::Gradient { wrt: wrt.to_vec() },
        GoalArg::Training => Goal::Training(model.train_config().map(UpdateRule::from).unwrap_or_default()),
    }
}

fn deliver(emit: &Emit, text: &str, with_title: bool, output: &mut Output) -> Outcome {
    match &emit.file {
        Some(file) => write_file(file, text.as_bytes()),
        None => {
            if with_title {
                output.line(format_args!("// ---- {} ----", stage_name(emit.stage)))?;
            }
            output.text(text)
        }
    }
}

fn stage_name(stage: EmitStage) -> String {
    clap::ValueEnum::to_possible_value(&stage).map_or(String::new(), |value| value.get_name().to_owned())
}

/// The graph under a name that says what it is.
fn titled(mut graph: Graph, suffix: &str) -> Graph {
    if !graph.name().ends_with(suffix) {
        let name = format!("{}.{suffix}", graph.name());
        graph.set_name(name);
    }
    graph
}

/// Keeps what is differentiated, the gradient as it was before simplification, and the reasons where they are wanted.
#[derive(Default)]
struct Stages {
    stable: Option<Graph>,
    raw: Option<Graph>,
    wants_reasons: bool,
    reasons: Vec<Reasons>,
}

impl Observer for Stages {
    fn end(&mut self, stage: Stage, artefact: Artefact<'_>) {
        match (stage, artefact) {
            (Stage::Stabilise, Artefact::Graph(graph)) => self.stable = Some(graph.clone()),
            (Stage::Differentiate, Artefact::Graph(graph)) => self.raw = Some(graph.clone()),
            _ => {}
        }
    }

    fn wants_reasons(&self) -> bool {
        self.wants_reasons
    }

    fn reasons(&mut self, _: Stage, reasons: Reasons) {
        self.reasons.push(reasons);
    }
}

/// Prints the time of each stage, and of all together.
pub(crate) fn report(timings: &StageTimes, output: &mut Output) {
    for StageTime { stage, time, simplified } in timings.stages() {
        let note = simplified.as_ref().map_or(String::new(), work_of_simplifier);
        output.note(format_args!("{stage:<14} {:>10.3} ms{note}", time.as_secs_f64() * 1e3));
    }
    output.note(format_args!("{:<14} {:>10.3} ms", "total", timings.total().as_secs_f64() * 1e3));
}

/// How much there was to do; where the search for a better way ended before it was done, and where it found nothing.
fn work_of_simplifier(report: &gradc::pipeline::Report) -> String {
    let gradc::pipeline::Report { regions, distinct_regions, terms, limited_regions, kept_regions, .. } = report;
    let mut note = String::new();
    if *regions > 0 {
        let (regions, terms) = (counted(*regions, "region"), counted(*terms, "term"));
        note = format!("  {regions} ({distinct_regions} distinct), {terms}");
    }
    if *limited_regions > 0 {
        let _ = write!(note, "; a limit ended the search in {}", counted(*limited_regions, "region"));
    }
    if *kept_regions > 0 {
        let _ = write!(note, "; nothing that takes less time in {}", counted(*kept_regions, "region"));
    }
    note
}

/// The graph in the language of Graphviz: leaves as boxes, results with double lines.
fn dot(graph: &Graph) -> String {
    let live = graph.live();
    let shown = |value: gradc::ir::ValueId| live[value.index()];
    let names = text::Names::new(graph, graph.values().filter(|&value| shown(value)));
    let mut dot = format!("digraph \"{}\" {{\n    rankdir=TB;\n    node [fontname=\"monospace\"];\n", graph.name());
    for value in graph.values().filter(|&value| shown(value)) {
        let (shape, label) = match graph.op(value) {
            Some(op) => ("ellipse", op.def.name),
            None => ("box", ""),
        };
        let name = names.get(value);
        let _ = writeln!(
            dot,
            "    v{} [shape={shape}, label=\"{name}\\n{label}{}{}\"];",
            value.index(),
            if label.is_empty() { "" } else { " : " },
            graph.ty(value)
        );
        for operand in graph.operands(value) {
            let _ = writeln!(dot, "    v{} -> v{};", operand.index(), value.index());
        }
    }
    for (number, output) in graph.outputs().iter().enumerate() {
        let role = match output.role {
            Role::Output => "output",
            other => other.keyword(),
        };
        let _ = writeln!(dot, "    r{number} [shape=box, peripheries=2, label=\"{role} {}\"];", output.name);
        let _ = writeln!(dot, "    v{} -> r{number};", output.value.index());
    }
    dot.push_str("}\n");
    dot
}
