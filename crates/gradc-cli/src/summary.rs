//! The summary of a model.

use gradc::elaborate::LeafInfo;
use gradc::ir::{Graph, LeafKind, NodeKind, Role};
use gradc::pipeline::{compile, lower};
use gradc::schedule::Plan;
use gradc::schedule::plan::{Recomputed, Step};
use gradc::{Cost, Goal, Model, Options, cost};
use gradc_bench::StageTimes;
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::model::{Said, options};
use crate::output::{Outcome, Output, counted};

/// One line of the list of leaves.
struct Leaf {
    name: String,
    ty: String,
    init: Option<String>,
    count: usize,
}

/// Prints what a model is and what it costs.
pub(crate) fn print(model: &Model, args: &InspectArgs, mut timings: StageTimes, output: &mut Output) -> Outcome {
    let options = Options { phase: args.phase.map(Into::into), ..options(&args.compile, None) };
    let goal = crate::emit::goal(model, args);
    let forward = model.graph_for(&goal, &options);
    let graph = lower(&forward, &goal, &options, &mut timings).said_of(model)?;
    let (plan, _) = compile(&graph, &options, &mut timings).said_of(model)?;
    let forward = cost(&results(model.graph()));
    let compiled = cost(&graph);
    if output.json() {
        output.object(&as_json(model, &forward, &compiled, &plan))?;
    } else {
        let mut text = heading(model);
        text.push_str(&leaves(model));
        text.push_str(&costs(&forward, &compiled, &goal, &plan));
        output.text(&text)?;
    }
    if args.timings {
        crate::emit::report(&timings, output);
    }
    Ok(())
}

/// What the model itself computes: an emitted graph has its derivatives beside it.
fn results(graph: &Graph) -> Graph {
    let mut results = graph.clone();
    results.retain_outputs(|output| !matches!(output.role, Role::Gradient | Role::Tangent | Role::HessianVector));
    results
}

fn heading(model: &Model) -> String {
    let graph = model.graph();
    let mut text = format!("model {}\n", model.name());
    let dims = &model.elaborated().dims;
    if !dims.is_empty() {
        let list: Vec<String> = dims.iter().map(|dim| format!("{} = {}", dim.name, dim.value)).collect();
        text.push_str(&format!("  dims     {}\n", list.join(", ")));
    }
    for (i, leaf) in list(model, LeafKind::Input).iter().enumerate() {
        text.push_str(&format!("  {:<8} {} : {}\n", if i == 0 { "inputs" } else { "" }, leaf.name, leaf.ty));
    }
    let mut result = |role: Role, title: &str| {
        let outputs = graph.outputs_of(role);
        for (i, output) in outputs.enumerate() {
            let info = model.elaborated().results.iter().find(|r| r.role == role && r.name == *output.name);
            let ty = info.map_or_else(|| graph.ty(output.value).to_string(), |info| info.symbolic.clone());
            text.push_str(&format!("  {:<8} {} : {ty}\n", if i == 0 { title } else { "" }, output.name));
        }
    };
    result(Role::Output, "outputs");
    result(Role::Loss, "loss");
    result(Role::Metric, "metrics");
    result(Role::Gradient, "grads");
    text
}

fn leaves(model: &Model) -> String {
    let params = list(model, LeafKind::Param);
    let mut text = match params.is_empty() {
        true => "\n  no parameters\n".to_owned(),
        false => table("parameter", &params),
    };
    let states = list(model, LeafKind::State);
    if !states.is_empty() {
        text.push_str(&table("state", &states));
    }
    text
}

fn table(title: &str, leaves: &[Leaf]) -> String {
    let width = |of: &dyn Fn(&Leaf) -> usize, least: usize| leaves.iter().map(of).max().unwrap_or(0).max(least);
    let name = width(&|leaf| leaf.name.chars().count(), title.len());
    let ty = width(&|leaf| leaf.ty.chars().count(), "type".len());
    let mut text = format!("\n  {:<name$}  {:<ty$}  {:>11}  first value\n", title, "type", "numbers");
    for leaf in leaves {
        let init = leaf.init.as_deref().unwrap_or("");
        text.push_str(&format!(
            "  {:<name$}  {:<ty$}  {:>11}  {init}\n",
            leaf.name,
            leaf.ty,
            grouped(leaf.count as u64)
        ));
    }
    text
}

fn costs(forward: &Cost, compiled: &Cost, goal: &Goal, plan: &Plan) -> String {
    let what = match goal {
        Goal::Gradient { .. } => "forward and backward",
        Goal::Training(_) => "training step",
        Goal::Vjp { .. } | Goal::Jvp { .. } | Goal::Hvp { .. } => "forward and derivatives",
        Goal::Outputs | Goal::Forward => "compiled",
    };
    // A body counts once, however often it is run.
    let steps = plan.all_steps();
    let products = steps.iter().filter(|step| matches!(step, Step::Gemm(_))).count();
    let kernels = steps.iter().filter(|step| matches!(step, Step::Kernel { .. })).count();
    let line = |title: &str, value: String| format!("  {title:<22} {value}\n");
    let work = |cost: &Cost| format!("{}, {}", flops(cost.flops), counted(cost.operations, "operation"));
    let mut text = String::from("\n");
    let parameters = format!("{} numbers, {}", grouped(forward.parameters as u64), bytes(forward.parameter_bytes));
    text.push_str(&line("parameters", parameters));
    text.push_str(&line("forward", work(forward)));
    text.push_str(&line(what, work(compiled)));
    text.push_str(&line(
        "",
        format!(
            "{} ({} distinct), {}, {} of memory",
            counted(kernels, "kernel"),
            plan.all_kernels().len(),
            counted(products, "matrix product"),
            bytes(plan.arena_bytes)
        ),
    ));
    if let Some(recomputed) = plan.recomputed {
        text.push_str(&line("computed again", computed_again(&recomputed)));
    }
    text
}

fn list(model: &Model, kind: LeafKind) -> Vec<Leaf> {
    let graph: &Graph = model.graph();
    let known: &[LeafInfo] = match kind {
        LeafKind::Input => &model.elaborated().inputs,
        LeafKind::Param => &model.elaborated().params,
        LeafKind::State => &model.elaborated().states,
    };
    let leaf = |value| {
        let node = graph.node(value);
        let symbolic = known.iter().find(|info| info.value == value).map(|info| info.symbolic.clone());
        let NodeKind::Leaf { init, .. } = &node.kind else { unreachable!("a leaf is a leaf") };
        Leaf {
            name: node.name.as_deref().unwrap_or_default().to_owned(),
            ty: symbolic.unwrap_or_else(|| node.ty.to_string()),
            init: init.as_ref().map(|init| short(&init.to_string())),
            count: node.ty.shape.elements(),
        }
    };
    graph.leaves(kind).map(leaf).collect()
}

/// A recipe with its numbers to four digits.
fn short(recipe: &str) -> String {
    let Some((name, arguments)) = recipe.trim_end_matches(')').split_once('(') else { return recipe.to_owned() };
    let rounded = arguments.split(", ").map(|argument| match argument.parse::<f64>() {
        Ok(number) if number.fract() != 0.0 => format!("{number:.4}").trim_end_matches('0').to_owned(),
        _ => argument.to_owned(),
    });
    format!("{name}({})", rounded.collect::<Vec<_>>().join(", "))
}

fn as_json(model: &Model, forward: &Cost, compiled: &Cost, plan: &Plan) -> Value {
    let leaf = |leaf: Leaf| json!({ "name": leaf.name, "type": leaf.ty, "init": leaf.init, "numbers": leaf.count });
    let leaves = |kind| list(model, kind).into_iter().map(leaf).collect::<Vec<_>>();
    let results = |role| {
        model
            .graph()
            .outputs_of(role)
            .map(|output| json!({ "name": &*output.name, "type": model.graph().ty(output.value).to_string() }))
            .collect::<Vec<_>>()
    };
    let dims: serde_json::Map<String, Value> =
        model.elaborated().dims.iter().map(|dim| (dim.name.clone(), json!(dim.value))).collect();
    json!({
        "model": model.name(),
        "dims": dims,
        "inputs": leaves(LeafKind::Input),
        "parameters": leaves(LeafKind::Param),
        "states": leaves(LeafKind::State),
        "outputs": results(Role::Output),
        "loss": results(Role::Loss),
        "metrics": results(Role::Metric),
        "parameter_numbers": forward.parameters,
        "parameter_bytes": forward.parameter_bytes,
        "forward_flops": forward.flops,
        "compiled_flops": compiled.flops,
        "forward_operations": forward.operations,
        "compiled_operations": compiled.operations,
        "arena_bytes": plan.arena_bytes,
        "computed_again": recomputed_as_json(plan.recomputed.as_ref()),
    })
}

/// What a limit of memory costs.
pub(crate) fn recomputed_as_json(recomputed: Option<&Recomputed>) -> Value {
    let object = |recomputed: &Recomputed| {
        let Recomputed { values, flops, bytes_without } = *recomputed;
        json!({ "values": values, "flops": flops, "arena_bytes_without": bytes_without })
    };
    recomputed.map_or(Value::Null, object)
}

/// What a limit of memory costs, and what it would take without.
pub(crate) fn computed_again(recomputed: &Recomputed) -> String {
    let Recomputed { values, flops: again, bytes_without } = *recomputed;
    let what = format!("{}, {}", counted(values, "value"), flops(again));
    format!("{what}, instead of {} of memory", bytes(bytes_without))
}

/// `1,234,567`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With a unit that keeps the number below a thousand.
fn scaled(number: f64, step: f64, units: &[&str]) -> String {
    let mut number = number;
    let mut unit = 0;
    while number >= step && unit + 1 < units.len() {
        number /= step;
        unit += 1;
    }
    if unit == 0 { format!("{number} {}", units[0]) } else { format!("{number:.1} {}", units[unit]) }
}

pub(crate) fn bytes(count: usize) -> String {
    scaled(count as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

pub(crate) fn flops(count: u64) -> String {
    scaled(count as f64, 1000.0, &["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"])
}
