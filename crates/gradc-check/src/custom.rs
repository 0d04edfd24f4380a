//! Derivative rules that a program gives.
//!
//! Such a rule is taken at its word: a model is checked as if the values that have one moved as the rule says. For that, such
//! a value is written as what it is at the point plus the transpose of the rule applied to how far its operands have moved.
//! Whether the rule is the derivative of what is computed is a question of its own.

use gradc::autodiff::Rules;
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
    let after = graph.descendants(from.iter().copied());
    let before = graph.ancestors(to.iter().copied());
    let on_way = |value: &ValueId| after[value.index()] && before[value.index()];
    graph.values().filter(on_way).any(|value| has(graph, value, &|custom| custom.nonlinear().is_some()))
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
    for_each_graph(graph, point, &mut |graph, point| {
        for value in graph.values() {
            let Some(custom) = graph.as_custom(value) else { continue };
            let (function, span) = (custom.name().to_owned(), graph.node(value).origin.span);
            let known = |other: &Finding| matches!(other, Finding::OtherRule { function: f, span: s, .. } if *f == function && *s == span);
            if found.iter().any(known) {
                continue;
            }
            if let Some(reason) = disagreement(graph, point, value, &custom, options) {
                found.push(Finding::OtherRule { function, span, reason, fails: options.check_custom });
            }
        }
    });
    found
}

/// Why a rule is not the derivative of what is computed, if it is not.
fn disagreement(graph: &Graph, point: &Bindings, value: ValueId, custom: &Custom, options: &Options) -> Option<Reason> {
    if custom.nonlinear().is_some() {
        return Some(Reason::NotLinear);
    }
    let operands = graph.operands(value);
    let arguments = custom.arguments(operands);
    let mut random = Random::new(options.seed, &format!("rule {}", value.index()));
    let weights: Vec<Tensor> = (0..custom.results).map(|index| random.tensor(custom.result_type(index))).collect();
    let cotangents = cotangents(graph, point, value, custom, &weights);
    let function = function_of(graph, &operands[..custom.results], arguments);
    let at = values(graph, point, arguments);
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

/// What the rule gives the arguments when the values receive `weights`.
fn cotangents(graph: &Graph, point: &Bindings, value: ValueId, custom: &Custom, weights: &[Tensor]) -> Vec<Tensor> {
    let mut graph = graph.clone();
    let (own, read) = graph.operands(value).split_at(custom.results);
    let mut inputs: Vec<ValueId> = read.iter().chain(own).copied().collect();
    let mut point = point.clone();
    for (index, weights) in weights.iter().enumerate() {
        let name = format!("weights of result {index} of a rule");
        inputs.push(graph.input(name.as_str(), weights.ty().clone()));
        point.push((name, weights.clone()));
    }
    let found = graph.instantiate(&custom.rule, &inputs);
    values(&graph, &point, &found)
}

/// The input that an argument of a function becomes. No name of a user's has a space.
fn argument(index: usize) -> String {
    format!("argument {index}")
}

/// Values as a function of others, which become inputs.
fn function_of(graph: &Graph, results: &[ValueId], arguments: &[ValueId]) -> Graph {
    let mut function = graph.emptied();
    let mut copies: Vec<ValueId> = Vec::with_capacity(graph.len());
    for own in graph.values() {
        let operands: Vec<ValueId> = graph.operands(own).iter().map(|operand| copies[operand.index()]).collect();
        copies.push(match arguments.iter().position(|&argument| argument == own) {
            Some(index) => function.input(argument(index), graph.ty(own).clone()),
            None => function.copy_node(graph, own, &operands),
        });
    }
    for (index, result) in results.iter().enumerate() {
        function.add_output(Role::Output, format!("value {index}"), copies[result.index()]);
    }
    function
}
