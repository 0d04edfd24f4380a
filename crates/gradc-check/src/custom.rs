//! Derivative rules that a program gives.
//!
//! Such a rule is taken at its word: a model is checked as if the values that have one moved as the rule says. For that, such
//! a value is written as what it is at the point plus the transpose of the rule applied to how far its operands have moved.
//! Whether the rule is the derivative of what is computed is a question of its own.

use gradc::autodiff::{Rules, nonlinear_rules};
use gradc::ir::op::custom::Custom;
use gradc::ir::op::stop_gradient::STOP_GRADIENT;
use gradc::ir::{Graph, Role, Tensor, ValueId};

use crate::difference::{Slope, compare};
use crate::evaluate::{Bindings, values};
use crate::finding::{Finding, Reason};
use crate::locate::displaced;
use crate::options::Options;
use crate::point::Random;
use crate::report::Verdict;
use crate::steps::for_each_graph;

/// The graph with what each rule says in its place, and the new number of each value. The values are the same, and so is the
/// first derivative by a rule that is linear in its cotangent.
pub(crate) fn as_declared(rules: &Rules<'_>, graph: &Graph) -> (Graph, Vec<ValueId>) {
    graph.replacing_rules(&mut |graph, custom, operands| {
        let fixed: Vec<ValueId> = operands.iter().map(|&operand| still(graph, operand)).collect();
        let (values, read) = fixed.split_at(custom.results);
        let moved = custom.arguments(operands).iter().zip(read);
        let moved: Vec<ValueId> = moved.map(|(&operand, &fixed)| graph.sub(operand, fixed)).collect();
        let read = read.iter().chain(values).copied();
        let tangents = rules.transpose(custom).apply(graph, custom, read, moved);
        let values = values.iter().zip(tangents);
        values.map(|(&value, tangent)| tangent.map_or(value, |tangent| graph.add(value, tangent))).collect()
    })
}

/// A value that is held still, if it could move.
fn still(graph: &mut Graph, value: ValueId) -> ValueId {
    if graph.dtype(value).is_float() { graph.stop_gradient(value) } else { value }
}

/// Whether the values of a graph, or of the bodies of its loops, include some with a rule that `holds` is true for.
fn has(graph: &Graph, value: ValueId, holds: &dyn Fn(&Custom) -> bool) -> bool {
    let in_loop = |body: &Graph| body.values().any(|value| has(body, value, holds));
    graph.as_custom(value).is_some_and(|custom| holds(&custom))
        || graph.as_scan(value).is_some_and(|scan| in_loop(scan.body.graph()))
}

/// Whether on the way from one of `from` to one of `to` is a rule that is not linear in its cotangent: it has no transpose,
/// so there is no function that it is the derivative of.
pub(crate) fn is_nonlinear(graph: &Graph, from: &[ValueId], to: &[ValueId]) -> bool {
    !nonlinear_rules(graph, from, to).is_empty()
}

/// Whether a rule has a `stop_gradient`: it is not what it would be as a function to differentiate again.
pub(crate) fn hold_still(graph: &Graph) -> bool {
    let stops = |custom: &Custom| {
        let rule = custom.rule.graph();
        rule.values().any(|value| rule.op(value).is_some_and(|op| op.is(&STOP_GRADIENT)))
    };
    graph.values().any(|value| has(graph, value, &stops))
}

/// The rules that are not the derivative of what their function computes, each place in the source once.
pub(crate) fn others(graph: &Graph, point: &Bindings, options: &Options) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    if !graph.values().any(|value| has(graph, value, &|_| true)) {
        // The steps of loops need not be gone through.
        return found;
    }
    for_each_graph(graph, point, &mut |graph, point| {
        let customs: Vec<(ValueId, Custom)> =
            graph.values().filter_map(|value| Some((value, graph.as_custom(value)?))).collect();
        let operands: Vec<ValueId> = customs.iter().flat_map(|(value, _)| graph.operands(*value)).copied().collect();
        let mut operands = values(graph, point, &operands).into_iter();
        for (value, custom) in customs {
            let at: Vec<Tensor> = operands.by_ref().take(graph.operands(value).len()).collect();
            let (function, span) = (custom.name().to_owned(), graph.node(value).origin.span);
            let known = |other: &Finding| matches!(other, Finding::OtherRule { function: f, span: s, .. } if *f == function && *s == span);
            if found.iter().any(known) {
                continue;
            }
            if let Some(reason) = disagreement(graph, point, value, &custom, &at, options) {
                found.push(Finding::OtherRule { function, span, reason, fails: options.check_custom });
            }
        }
    });
    found
}

/// Why a rule is not the derivative of what is computed, if it is not; `at` are the operands.
fn disagreement(
    graph: &Graph,
    point: &Bindings,
    value: ValueId,
    custom: &Custom,
    at: &[Tensor],
    options: &Options,
) -> Option<Reason> {
    if custom.nonlinear().is_some() {
        return Some(Reason::NotLinear);
    }
    let operands = graph.operands(value);
    let arguments = custom.arguments(operands);
    let mut random = Random::new(options.seed, &format!("rule {}", value.index()));
    let weights: Vec<Tensor> = (0..custom.results).map(|index| random.tensor(custom.result_type(index))).collect();
    let cotangents = cotangents(custom, at, &weights);
    let function = function_of(graph, &operands[..custom.results], arguments);
    let at = custom.arguments(at);
    (0..custom.wrt).find_map(|index| {
        let direction = random.tensor(at[index].ty());
        // An argument that is given several times moves as one.
        let same = |other: &usize| arguments[*other] == arguments[index];
        if (0..index).any(|other| same(&other)) {
            return None;
        }
        let received = (0..custom.wrt).filter(same).map(|other| Slope::of(cotangents[other].data(), direction.data()));
        let claimed = received.fold(Slope::default(), Slope::plus);
        let mut along = |t: f64| -> Result<f64, std::convert::Infallible> {
            let mut point = point.clone();
            point.extend(at.iter().enumerate().map(|(other, tensor)| {
                let tensor = if other == index { displaced(tensor, direction.data(), t) } else { tensor.clone() };
                (argument(other), tensor)
            }));
            let results: Vec<ValueId> = function.outputs().iter().map(|output| output.value).collect();
            let results = values(&function, &point, &results);
            let weighted =
                results.iter().zip(&weights).map(|(result, weights)| Slope::of(result.data(), weights.data()));
            Ok(weighted.fold(Slope::default(), Slope::plus).value)
        };
        let Ok(comparison) = compare(&mut along, claimed, options.step, options.tolerance);
        let by = custom.rule.graph().outputs()[index].name.to_string();
        (comparison.verdict == Verdict::Fail).then_some(Reason::Differs { by, error: comparison.error })
    })
}

/// What the rule gives the arguments when the values receive `weights`; `at` are its operands.
fn cotangents(custom: &Custom, at: &[Tensor], weights: &[Tensor]) -> Vec<Tensor> {
    let (own, read) = at.split_at(custom.results);
    let inputs: Vec<&Tensor> = read.iter().chain(own).chain(weights).collect();
    custom.rule.evaluate(&inputs).unwrap_or_else(|error| unreachable!("a rule was verified: {error}"))
}

/// The input that an argument of a function becomes. No name of a user's has a space.
fn argument(index: usize) -> String {
    format!("argument {index}")
}

/// Values as a function of others, which become inputs.
fn function_of(graph: &Graph, results: &[ValueId], arguments: &[ValueId]) -> Graph {
    let mut needed = vec![false; graph.len()];
    results.iter().for_each(|result| needed[result.index()] = true);
    for value in graph.values().rev().filter(|value| !arguments.contains(value)) {
        if needed[value.index()] {
            graph.operands(value).iter().for_each(|operand| needed[operand.index()] = true);
        }
    }
    let mut function = graph.emptied();
    let mut copies: Vec<Option<ValueId>> = vec![None; graph.len()];
    for own in graph.values().filter(|own| needed[own.index()]) {
        let copy = match arguments.iter().position(|&argument| argument == own) {
            Some(index) => function.input(argument(index), graph.ty(own).clone()),
            None => {
                let operands = graph.operands(own).iter().filter_map(|operand| copies[operand.index()]);
                function.copy_node(graph, own, &operands.collect::<Vec<_>>())
            }
        };
        copies[own.index()] = Some(copy);
    }
    for (index, result) in results.iter().enumerate() {
        let copy = copies[result.index()].expect("a result is needed");
        function.add_output(Role::Output, format!("value {index}"), copy);
    }
    function
}
