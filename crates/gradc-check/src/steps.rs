//! The bodies of loops, at steps of theirs.

use gradc::ir::op::scan::Scan;
use gradc::ir::{Graph, LeafKind, Tensor, ValueId};

use crate::evaluate::{Bindings, values};

/// Calls `visit` with a graph and what its leaves are; then with the bodies of its loops and what their leaves are in the first
/// step, in one in the middle and in the last, and so on within.
pub(crate) fn for_each_graph(graph: &Graph, point: &Bindings, visit: &mut dyn FnMut(&Graph, &Bindings)) {
    visit(graph, point);
    for value in graph.values().filter(|&value| graph.as_scan(value).is_some()) {
        for (body, point) in steps(graph, point, value) {
            for_each_graph(&body, &point, visit);
        }
    }
}

/// The body of a loop with what its inputs are, in the first step, in one in the middle and in the last.
pub(crate) fn steps(graph: &Graph, point: &Bindings, value: ValueId) -> Vec<(Graph, Bindings)> {
    let Some(steps) = Steps::new(graph, point, value) else { return Vec::new() };
    let length = steps.scan.length;
    let body = steps.scan.body.graph().clone();
    let wanted = [0, length / 2, length.saturating_sub(1)];
    let chosen = steps.enumerate().filter(|(number, _)| wanted.contains(number));
    chosen.map(|(_, inputs)| (body.clone(), bound(&body, &inputs))).collect()
}

/// What the inputs of a body are, by name.
pub(crate) fn bound(body: &Graph, inputs: &[Tensor]) -> Bindings {
    let named = body.leaves(LeafKind::Input).zip(inputs);
    named.filter_map(|(leaf, tensor)| Some((body.value_name(leaf)?.to_string(), tensor.clone()))).collect()
}

/// The steps of a loop in their order: what the inputs of its body are in each.
pub(crate) struct Steps {
    scan: Scan,
    operands: Vec<Tensor>,
    carries: Vec<Tensor>,
    number: usize,
}

impl Steps {
    /// The steps of `value`, if it is a loop.
    pub(crate) fn new(graph: &Graph, point: &Bindings, value: ValueId) -> Option<Steps> {
        let scan = graph.as_scan(value)?;
        let operands = values(graph, point, graph.operands(value));
        let carries = operands[..scan.carries].to_vec();
        Some(Steps { scan, operands, carries, number: 0 })
    }

    /// What the inputs of the body are in a step that is given these carries.
    pub(crate) fn inputs(&self, carries: &[Tensor], number: usize) -> Vec<Tensor> {
        let scan = &self.scan;
        let at = if scan.reverse { scan.length - 1 - number } else { number };
        let slice = |index: usize| {
            let ty = scan.body.graph().ty(scan.body.inputs()[index]);
            let count = ty.shape.elements();
            Tensor::new(ty.clone(), self.operands[index].data()[at * count..(at + 1) * count].to_vec())
        };
        let slices = (scan.carries..scan.first_constant()).map(slice);
        carries.iter().cloned().chain(slices).chain(self.operands[scan.first_constant()..].iter().cloned()).collect()
    }
}

impl Iterator for Steps {
    type Item = Vec<Tensor>;

    fn next(&mut self) -> Option<Vec<Tensor>> {
        if self.number == self.scan.length {
            return None;
        }
        let inputs = self.inputs(&self.carries, self.number);
        let all: Vec<&Tensor> = inputs.iter().collect();
        let results = self.scan.body.evaluate(&all);
        let mut results = results.unwrap_or_else(|error| unreachable!("a body was verified: {error}"));
        results.truncate(self.scan.carries);
        self.carries = results;
        self.number += 1;
        Some(inputs)
    }
}
