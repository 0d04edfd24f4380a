//! The derivative of values with a rule of the program's own.
//!
//! In reverse mode the rule is written to the graph once, with the cotangents of all its values and with the values
//! themselves as the results that it reads, so that a derivative of the derivative goes by the rule again. A value that has
//! no cotangent is left out of the rule: what the rule makes of it is zero, whatever it is multiplied by. In forward mode
//! the rule is transposed: the tangents of the values are the cotangents that the rule's own cotangents receive when the
//! rule's results receive the tangents of the operands. For a rule that is linear in its cotangents that is the function of
//! which it is the transpose; of any other it is the slope at 0.

use std::sync::Arc;

use gradc_diagnostics::Span;
use gradc_ir::op::custom::Custom;
use gradc_ir::{Body, Graph, ValueId};

use crate::rules::Rules;
use crate::sweep;

/// For each operand the cotangent it receives, given those of the values, of which there is one at least. `wanted` says
/// which are needed.
pub(crate) fn pull_back(
    graph: &mut Graph,
    packed: ValueId,
    custom: &Custom,
    cotangents: &[Option<ValueId>],
    wanted: &[bool],
) -> Vec<Option<ValueId>> {
    let absent: Vec<ValueId> = custom
        .cotangents()
        .iter()
        .zip(cotangents)
        .filter(|(_, given)| given.is_none())
        .map(|(&leaf, _)| leaf)
        .collect();
    let (rule, vanishes) = match absent.is_empty() {
        true => (custom.rule.clone(), vec![false; custom.wrt]),
        false => custom.rule.where_absent(&absent),
    };
    let zeros = |graph: &mut Graph, index: usize| graph.full(0.0, custom.result_type(index));
    let mut inputs = read(graph, packed, custom);
    for (index, cotangent) in cotangents.iter().enumerate() {
        inputs.push(cotangent.unwrap_or_else(|| zeros(graph, index)));
    }
    let mut contributions = vec![None; wanted.len()];
    for (index, found) in graph.instantiate(&rule, &inputs).into_iter().enumerate() {
        let operand = custom.results + index;
        contributions[operand] = Some(found).filter(|_| wanted[operand] && !vanishes[index]);
    }
    contributions
}

/// The tangent of each value, given those of the operands.
pub(crate) fn push_forward(
    graph: &mut Graph,
    rules: &Rules<'_>,
    packed: ValueId,
    custom: &Custom,
    tangents: &[Option<ValueId>],
) -> Vec<Option<ValueId>> {
    let given = &tangents[custom.results..custom.results + custom.wrt];
    let moved: Vec<usize> = (0..custom.wrt).filter(|&index| given[index].is_some()).collect();
    let transpose = Transpose::new(rules, custom, &moved);
    let read = read(graph, packed, custom);
    transpose.apply(graph, custom, read, given.iter().flatten().copied())
}

/// A derivative rule of a program that is not linear in its cotangent, so that forward mode, which goes by its slope at 0, is
/// something else than reverse mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonlinearRule {
    /// The name of the function whose rule it is.
    pub function: String,
    /// Where that is called.
    pub span: Option<Span>,
}

/// The rules that are not linear in their cotangents on the way from one of `from` to one of `to`, those in the bodies of loops
/// among them, each place once. What forward mode makes of them is no derivative.
pub fn nonlinear_rules(graph: &Graph, from: &[ValueId], to: &[ValueId]) -> Vec<NonlinearRule> {
    let after = graph.descendants(from.iter().copied());
    let before = graph.ancestors(to.iter().copied());
    let mut found = Vec::new();
    for value in graph.values().filter(|value| after[value.index()] && before[value.index()]) {
        add_nonlinear(graph, value, &mut found);
    }
    found
}

fn add_nonlinear(graph: &Graph, value: ValueId, found: &mut Vec<NonlinearRule>) {
    if let Some(custom) = graph.as_custom(value).filter(|custom| custom.nonlinear().is_some()) {
        let rule = NonlinearRule { function: custom.name().to_owned(), span: graph.node(value).origin.span };
        if !found.contains(&rule) {
            found.push(rule);
        }
    }
    if let Some(scan) = graph.as_scan(value) {
        let body = scan.body.graph();
        body.values().for_each(|value| add_nonlinear(body, value, found));
    }
}

/// What the rule reads beside cotangents: operands and results.
fn read(graph: &mut Graph, packed: ValueId, custom: &Custom) -> Vec<ValueId> {
    let mut read = graph.operands(packed)[custom.results..].to_vec();
    read.extend((0..custom.results).map(|index| graph.result_of(packed, index)));
    read
}

/// The transpose of a rule: the tangents of the values that it is the rule of, as a function of the rule's inputs and of
/// tangents of operands.
#[derive(Clone, Debug)]
pub struct Transpose {
    function: Body,
    /// Which of the values each result of the function is the tangent of. The others do not move.
    of: Vec<usize>,
}

impl Transpose {
    /// Of the rule, as these of the operands move that it gives a cotangent.
    pub(crate) fn new(rules: &Rules<'_>, custom: &Custom, moved: &[usize]) -> Transpose {
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
        let found = sweep::pull_back(&mut graph, rules, &seeds, custom.cotangents());
        let (mut of, mut tangents): (_, Vec<(Arc<str>, ValueId)>) = (Vec::new(), Vec::new());
        for (index, tangent) in found.into_iter().enumerate() {
            if let Some(tangent) = tangent {
                of.push(index);
                tangents.push(("tangent".into(), tangent));
            }
        }
        let inputs = custom.rule.inputs().iter().copied().chain(seeds.into_iter().map(|(_, tangent)| tangent));
        let part = graph.part(&inputs.collect::<Vec<_>>(), &tangents);
        let function = Body::new(&part).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
        Transpose { function, of }
    }

    /// Writes the transpose to a graph: the tangent of each value, or none of those that do not move. `read` are the operands
    /// of the rule and its results, `tangents` those of the operands that move.
    pub fn apply(
        &self,
        graph: &mut Graph,
        custom: &Custom,
        read: impl IntoIterator<Item = ValueId>,
        tangents: impl IntoIterator<Item = ValueId>,
    ) -> Vec<Option<ValueId>> {
        let mut moved = vec![None; custom.results];
        if self.of.is_empty() {
            return moved;
        }
        let zeros = custom.cotangents().iter().map(|&leaf| graph.full(0.0, custom.rule.graph().ty(leaf)));
        let zeros: Vec<ValueId> = zeros.collect();
        let inputs: Vec<ValueId> = read.into_iter().chain(zeros).chain(tangents).collect();
        let found = graph.instantiate(&self.function, &inputs);
        self.of.iter().zip(found).for_each(|(&index, tangent)| moved[index] = Some(tangent));
        moved
    }
}
