//! Loops around random graphs.

use std::sync::Arc;

use gradc_ir::op::scan::Scan;
use gradc_ir::{Body, DType, Graph, Init, Role, TensorType, ValueId};

use crate::grow::random_graph;
use crate::random::Random;

/// The most carries, sequences and stacks.
const MOST: usize = 4;

/// A graph with one loop, whose body is a random graph of about `size` applications: leaves of that are carries, slices and
/// constants, values of it the next carries and what is stacked. Some results are outputs, others nothing reads; the loop
/// begins with states, which it updates, or with inputs.
///
/// The body is well conditioned for what [`random_bindings`](crate::random_bindings) gives, but not for what it makes of
/// that itself: results may be infinite or NaN.
pub fn random_loop(seed: u64, size: usize, float: DType) -> Graph {
    let mut random = Random::new(seed);
    let step = random_graph(seed, size, float);
    let mut inputs: Vec<ValueId> = step.values().filter(|&value| step.leaf(value).is_some()).collect();
    (1..inputs.len()).rev().for_each(|i| inputs.swap(i, random.below(i + 1)));
    let carries = 1 + random.below(MOST);
    let sequences = random.below(MOST);
    let length = random.below(4);

    let values: Vec<ValueId> = step.values().filter(|&value| !step.is_packed(value)).collect();
    let mut results: Vec<(Arc<str>, ValueId)> = Vec::new();
    for (number, &carry) in inputs[..carries].iter().enumerate() {
        let alike: Vec<ValueId> = values.iter().copied().filter(|&value| step.ty(value) == step.ty(carry)).collect();
        results.push((format!("next{number}").into(), *random.pick(&alike)));
    }
    for number in 0..random.below(MOST) {
        results.push((format!("all{number}").into(), *random.pick(&values)));
    }
    let body =
        Body::new(&step.part(&inputs, &results)).unwrap_or_else(|error| panic!("the body is a function: {error}"));
    let scan = Scan { body, carries, sequences, length, reverse: random.chance(0.5) };

    let mut graph = Graph::new(format!("loop_{seed}"));
    let operands: Vec<ValueId> =
        (0..inputs.len()).map(|index| operand(&mut graph, &scan, index, &mut random)).collect();
    let looped = graph.scan(&scan, &operands);
    for index in 0..scan.results() {
        if random.chance(0.7) {
            let result = graph.result_of(looped, index);
            graph.add_output(Role::Output, format!("out{index}"), result);
        }
        let state = operands.get(index).filter(|_| index < carries).copied().filter(|&start| is_state(&graph, start));
        if let Some(name) = state.and_then(|start| graph.value_name(start).cloned()) {
            let last = graph.result_of(looped, index);
            graph.add_output(Role::Update, name, last);
        }
    }
    graph
}

/// A leaf for an operand of the loop.
fn operand(graph: &mut Graph, scan: &Scan, index: usize, random: &mut Random) -> ValueId {
    let (name, ty): (String, TensorType) = (format!("x{index}"), scan.operand_type(index));
    if index < scan.carries && random.chance(0.5) {
        return graph.state(name, ty, Init::Constant(0.0.into()));
    }
    graph.input(name, ty)
}

fn is_state(graph: &Graph, value: ValueId) -> bool {
    graph.leaf(value) == Some(gradc_ir::LeafKind::State)
}
