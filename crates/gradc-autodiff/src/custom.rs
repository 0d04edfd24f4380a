//! The derivative of a value with a rule of the program's own.
//!
//! In reverse mode the rule is written to the graph, with the value itself as the result that it reads, so that a derivative
//! of the derivative goes by the rule again. In forward mode it is transposed: the tangent of the value is the cotangent
//! that the rule's own cotangent receives when the rule's results receive the tangents of the operands. For a rule that is
//! linear in its cotangent that is the function of which it is the transpose; of any other it is the slope at 0.

use std::sync::Arc;

use gradc_ir::op::custom::Custom;
use gradc_ir::{Body, Graph, ValueId};

use crate::rules::Rules;
use crate::sweep;

/// For each operand the cotangent it receives, given that of the value. `wanted` says which are needed.
pub(crate) fn pull_back(
    graph: &mut Graph,
    value: ValueId,
    custom: &Custom,
    cotangent: ValueId,
    wanted: &[bool],
) -> Vec<Option<ValueId>> {
    let mut contributions = vec![None; wanted.len()];
    let operands = graph.operands(value).to_vec();
    let inputs: Vec<ValueId> = operands[1..].iter().copied().chain([value, cotangent]).collect();
    let found = graph.instantiate(&custom.rule, &inputs);
    for (index, found) in found.into_iter().enumerate().filter(|(index, _)| wanted[index + 1]) {
        contributions[index + 1] = Some(found);
    }
    contributions
}

/// The tangent of the value, given those of its operands.
pub(crate) fn push_forward(
    graph: &mut Graph,
    rules: &Rules<'_>,
    value: ValueId,
    custom: &Custom,
    tangents: &[Option<ValueId>],
) -> Option<ValueId> {
    let moved: Vec<usize> = (0..custom.wrt).filter(|&index| tangents[index + 1].is_some()).collect();
    let transposed = transposed(rules, custom, &moved)?;
    let operands = graph.operands(value).to_vec();
    let zero = graph.full_like(value, 0.0);
    let moved = moved.into_iter().filter_map(|index| tangents[index + 1]);
    let inputs: Vec<ValueId> = operands[1..].iter().copied().chain([value, zero]).chain(moved).collect();
    graph.instantiate(&transposed, &inputs).pop()
}

/// The transpose of a rule as a function of its inputs and of a tangent for each of these operands; none where the rule does
/// not depend on its cotangent.
pub(crate) fn transposed(rules: &Rules<'_>, custom: &Custom, moved: &[usize]) -> Option<Body> {
    let mut graph = custom.rule.graph().clone();
    graph.retain_outputs(|_| false);
    let results: Vec<ValueId> = custom.rule.results().collect();
    let mut seeds = Vec::with_capacity(moved.len());
    for &index in moved {
        let name = graph.value_name(custom.rule.inputs()[index]).cloned().unwrap_or_else(|| "x".into());
        let name = crate::unused_name(&graph, &format!("t_{name}"));
        let tangent = graph.input(name, graph.ty(results[index]).clone());
        seeds.push((results[index], tangent));
    }
    let found = sweep::pull_back(&mut graph, rules, &seeds, &[custom.cotangent()]).pop().flatten()?;
    let inputs: Vec<ValueId> =
        custom.rule.inputs().iter().copied().chain(seeds.into_iter().map(|(_, tangent)| tangent)).collect();
    let part = graph.part(&inputs, &[(Arc::from("tangent"), found)]);
    Some(Body::new(&part).unwrap_or_else(|error| panic!("gradc has a bug: {error}")))
}
