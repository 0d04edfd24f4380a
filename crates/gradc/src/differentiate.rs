//! The derivative that a goal asks for.
//!
//! What it is of, and by what, is looked up by name before the graph is stabilised, which renumbers it: until the
//! derivative is written, the values are held on to as results. Which parameters have a gradient is decided then, too: where
//! stabilising finds that the loss does not depend on one after all, the gradient is zeros and not absent, so that what a
//! training step does to a parameter does not depend on how much is optimised.

use std::collections::BTreeSet;

use gradc_autodiff::{NonlinearRule, Rules};
use gradc_diagnostics::{Diagnostic, codes};
use gradc_ir::{Graph, LeafKind, Role, ValueId};

use crate::pipeline::{Goal, GoalError, find_value};

/// What the names of results begin with that hold on to what is differentiated, and by what. No name of a program has two dots
/// in a row, and those of the text form may.
const OF: &str = "of..";
const WRT: &str = "wrt..";

/// Marks what `goal` differentiates, and by what.
pub(crate) fn mark(graph: &mut Graph, goal: &Goal) -> Result<(), GoalError> {
    let (of, wrt) = match goal {
        Goal::Gradient { wrt } | Goal::Hvp { wrt } => (&[][..], &wrt[..]),
        Goal::Vjp { of, wrt } | Goal::Jvp { of, wrt } => (&of[..], &wrt[..]),
        Goal::Outputs | Goal::Forward | Goal::Training(_) => return Ok(()),
    };
    let is_by_parameters = wrt.is_empty() && !matches!(goal, Goal::Gradient { .. });
    if is_by_parameters && parameters(graph).is_empty() {
        return Err(GoalError::NoParameters);
    }
    let of = of.iter().map(|name| Ok((OF, name, find_result(graph, name)?)));
    let wrt = wrt.iter().map(|name| Ok((WRT, name, find_value(graph, name)?)));
    let found: Vec<(&str, &String, ValueId)> = of.chain(wrt).collect::<Result<_, GoalError>>()?;
    for (prefix, name, value) in found {
        let mark = format!("{prefix}{name}");
        if graph.outputs().iter().all(|output| *output.name != *mark) {
            graph.add_output(Role::Metric, mark, value);
        }
    }
    Ok(())
}

/// Warnings where forward mode, which a goal is by, meets a rule of the program that is not linear in its cotangent.
///
/// # Errors
/// Where the goal does not fit the model.
pub(crate) fn nonlinear_rules(forward: &Graph, goal: &Goal) -> Result<Vec<Diagnostic>, GoalError> {
    let mut graph = forward.settled();
    mark(&mut graph, goal)?;
    let (of, wrt) = (unmark(&mut graph, OF), unmark(&mut graph, WRT));
    let wrt = values(&or_parameters(&graph, wrt));
    let to = match goal {
        Goal::Jvp { .. } => values(&or_results(&graph, of)),
        Goal::Hvp { .. } => {
            let loss = graph.loss().ok_or(GoalError::NoLoss)?;
            let first = gradc_autodiff::gradient(&graph, loss, &wrt);
            graph = first.graph;
            first.cotangents.into_iter().flatten().collect()
        }
        _ => return Ok(Vec::new()),
    };
    let rules = gradc_autodiff::nonlinear_rules(&graph, &wrt, &to);
    Ok(rules
        .into_iter()
        .map(|NonlinearRule { function, span }| {
            let message = format!(
                "forward mode goes by the slope at 0 of the rule of `{function}`, which is not linear in its cotangent"
            );
            let diagnostic = Diagnostic::warning(codes::NONLINEAR_RULE, message)
                .note("a derivative is linear: reverse mode does what the rule says, and forward mode cannot")
                .help("multiply the cotangent with something that does not depend on it, or take the gradient alone");
            match span {
                Some(span) => diagnostic.primary(span, "this has the rule"),
                None => diagnostic,
            }
        })
        .collect())
}

/// The names of the parameters that have a gradient: those that the loss depends on.
pub(crate) fn trained(graph: &Graph) -> BTreeSet<String> {
    let Some(loss) = graph.loss() else { return BTreeSet::new() };
    let all = parameters(graph);
    let reached = gradc_autodiff::reached(graph, loss, &values(&all));
    all.into_iter().zip(reached).filter(|(_, reached)| *reached).map(|((name, _), _)| name).collect()
}

/// An output, the loss, or another value of this name.
fn find_result(graph: &Graph, name: &str) -> Result<ValueId, GoalError> {
    let is_it = |role: Role, own: &str| own == name || role == Role::Loss && name == "loss";
    let mut results = graph.outputs_of(Role::Output).chain(graph.outputs_of(Role::Loss));
    match results.find(|output| is_it(output.role, &output.name)).map(|output| output.value) {
        Some(value) if graph.dtype(value).is_float() => Ok(value),
        Some(value) => Err(GoalError::NotDifferentiable { name: name.to_owned(), dtype: graph.dtype(value) }),
        None => find_value(graph, name),
    }
}

/// Names and values.
type Named = Vec<(String, ValueId)>;

/// Takes the marks with this prefix off the graph.
fn unmark(graph: &mut Graph, prefix: &str) -> Named {
    let marked = graph
        .outputs_of(Role::Metric)
        .filter_map(|output| Some((output.name.strip_prefix(prefix)?.to_owned(), output.value)))
        .collect();
    graph.retain_outputs(|output| !output.name.starts_with(prefix));
    marked
}

fn values(named: &Named) -> Vec<ValueId> {
    named.iter().map(|&(_, value)| value).collect()
}

/// Appends the derivative that `goal` asks for, of what is marked and by what is marked; a gradient is also by the parameters
/// called `trained`.
pub(crate) fn append(
    graph: &mut Graph,
    goal: &Goal,
    rules: &Rules<'_>,
    trained: &BTreeSet<String>,
) -> Result<(), GoalError> {
    let (of, wrt) = (unmark(graph, OF), unmark(graph, WRT));
    match goal {
        Goal::Vjp { .. } => append_vjp(graph, rules, &of, &or_parameters(graph, wrt)),
        Goal::Jvp { .. } => append_jvp(graph, rules, &or_results(graph, of), &or_parameters(graph, wrt)),
        Goal::Hvp { .. } => append_hvp(graph, rules, &or_parameters(graph, wrt))?,
        Goal::Gradient { .. } | Goal::Training(_) => append_gradient(graph, rules, trained, wrt)?,
        Goal::Outputs | Goal::Forward => {}
    }
    Ok(())
}

fn parameters(graph: &Graph) -> Named {
    let params = graph.leaves(LeafKind::Param).filter(|&param| graph.dtype(param).is_float());
    params.filter_map(|param| Some((graph.value_name(param)?.to_string(), param))).collect()
}

/// What was asked for, or all parameters.
fn or_parameters(graph: &Graph, wrt: Named) -> Named {
    if wrt.is_empty() { parameters(graph) } else { wrt }
}

/// What was asked for, or all outputs and the loss.
fn or_results(graph: &Graph, of: Named) -> Named {
    if !of.is_empty() {
        return of;
    }
    let results = graph.outputs_of(Role::Output).chain(graph.outputs_of(Role::Loss));
    let floats = results.filter(|output| graph.dtype(output.value).is_float());
    floats.map(|output| (output.name.to_string(), output.value)).collect()
}

/// The derivative of the loss by every parameter that is trained, and by `wrt`.
fn append_gradient(
    graph: &mut Graph,
    rules: &Rules<'_>,
    trained: &BTreeSet<String>,
    wrt: Named,
) -> Result<(), GoalError> {
    if graph.outputs_of(Role::Gradient).next().is_some() && wrt.is_empty() {
        return Ok(());
    }
    let loss = graph.loss().ok_or(GoalError::NoLoss)?;
    let mut targets = parameters(graph);
    targets.retain(|(name, _)| trained.contains(name));
    targets.extend(wrt.into_iter().filter(|(name, _)| graph.find_leaf(LeafKind::Param, name).is_none()));
    let derivative = rules.gradient(graph, loss, &values(&targets));
    *graph = derivative.graph;
    graph.retain_outputs(|output| output.role != Role::Gradient);
    add(graph, Role::Gradient, &targets, derivative.cotangents);
    Ok(())
}

fn append_vjp(graph: &mut Graph, rules: &Rules<'_>, of: &Named, wrt: &Named) {
    let derivative = rules.vjp(graph, &values(of), &values(wrt));
    *graph = derivative.graph;
    graph.retain_outputs(|output| output.role != Role::Gradient);
    add(graph, Role::Gradient, wrt, derivative.cotangents);
}

fn append_jvp(graph: &mut Graph, rules: &Rules<'_>, of: &Named, wrt: &Named) {
    let derivative = rules.jvp(graph, &values(wrt), &values(of));
    *graph = derivative.graph;
    graph.retain_outputs(|output| output.role != Role::Tangent);
    add(graph, Role::Tangent, of, derivative.tangents);
}

fn append_hvp(graph: &mut Graph, rules: &Rules<'_>, wrt: &Named) -> Result<(), GoalError> {
    let loss = graph.loss().ok_or(GoalError::NoLoss)?;
    let first = rules.gradient(graph, loss, &values(wrt));
    *graph = first.graph;
    graph.retain_outputs(|output| !matches!(output.role, Role::Gradient | Role::HessianVector));
    // An absent gradient is zero everywhere, so its tangent is too.
    let gradients: Vec<ValueId> = first
        .cotangents
        .into_iter()
        .zip(wrt)
        .map(|(cotangent, &(_, value))| cotangent.unwrap_or_else(|| graph.full_like(value, 0.0)))
        .collect();
    add(graph, Role::Gradient, wrt, gradients.iter().copied().map(Some).collect());
    let second = rules.jvp(graph, &values(wrt), &gradients);
    *graph = second.graph;
    add(graph, Role::HessianVector, wrt, second.tangents);
    Ok(())
}

/// Adds results that were asked for by name: where one is absent, the zero that it is, of the type of the value that it is
/// named after.
fn add(graph: &mut Graph, role: Role, named: &Named, derivatives: Vec<Option<ValueId>>) {
    for ((name, value), derivative) in named.iter().zip(derivatives) {
        let derivative = derivative.unwrap_or_else(|| graph.full_like(*value, 0.0));
        graph.add_output(role, name.as_str(), derivative);
    }
}
