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
    let Some(scan) = graph.as_scan(value) else { return Vec::new() };
    let operands = values(graph, point, graph.operands(value));
    let wanted = [0, scan.length / 2, scan.length.saturating_sub(1)];
    let mut carries: Vec<Tensor> = operands[..scan.carries].to_vec();
    let mut found = Vec::new();
    for number in 0..scan.length {
        let at = if scan.reverse { scan.length - 1 - number } else { number };
        let inputs = inputs(&scan, &operands, &carries, at);
        if wanted.contains(&number) {
            let body = scan.body.graph();
            let named = body.leaves(LeafKind::Input).zip(&inputs);
            let bound = named.filter_map(|(leaf, tensor)| Some((body.value_name(leaf)?.to_string(), tensor.clone())));
            found.push((body.clone(), bound.collect()));
        }
        let all: Vec<&Tensor> = inputs.iter().collect();
        let mut results = scan.body.evaluate(&all).unwrap_or_else(|error| unreachable!("a body was verified: {error}"));
        results.truncate(scan.carries);
        carries = results;
    }
    found
}

/// What the inputs of the body are in the step that reads the slices at `at`.
fn inputs(scan: &Scan, operands: &[Tensor], carries: &[Tensor], at: usize) -> Vec<Tensor> {
    let slice = |index: usize| {
        let ty = scan.body.graph().ty(scan.body.inputs()[index]);
        let count = ty.shape.elements();
        Tensor::new(ty.clone(), operands[index].data()[at * count..(at + 1) * count].to_vec())
    };
    let slices = (scan.carries..scan.first_constant()).map(slice);
    carries.iter().cloned().chain(slices).chain(operands[scan.first_constant()..].iter().cloned()).collect()
}
