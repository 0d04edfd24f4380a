//! Gradients of whole random graphs.

use gradc_ir::op::stop_gradient::STOP_GRADIENT;
use gradc_ir::{DType, Graph, Role, ValueId};
use gradc_testing::{Random, random_bindings, random_graph};

use crate::check::{Subject, reverse_mode, transpose};

fn subject(seed: u64) -> (Subject, ValueId) {
    let graph = random_graph(seed, 3 + seed as usize % 30, DType::F64);
    let loss = graph.outputs_of(Role::Loss).next().unwrap().value;
    let wrt = graph.values().filter(|&v| graph.leaf(v).is_some() && graph.dtype(v).is_float()).collect();
    let bindings = random_bindings(&graph, seed);
    (Subject { graph, bindings, wrt, random: Random::new(seed) }, loss)
}

#[test]
fn gradients_of_random_graphs_agree_with_finite_differences() {
    // Differences see through a stop_gradient; the gradient must not.
    let subjects = (0..200).map(|seed| (seed, subject(seed))).filter(|(_, (subject, _))| !stops(&subject.graph));
    let mut checked = 0;
    let failures: Vec<String> = subjects
        .filter_map(|(seed, (subject, loss))| {
            checked += 1;
            reverse_mode(&subject, loss).err().map(|error| format!("seed {seed}: {error}"))
        })
        .collect();
    assert!(checked > 100);
    // A step across a kink is no error of a rule; it is rare.
    assert!(failures.len() <= 4, "{failures:#?}");
}

fn stops(graph: &Graph) -> bool {
    graph.values().filter_map(|value| graph.op(value)).any(|op| op.is(&STOP_GRADIENT))
}

#[test]
fn tangents_of_random_graphs_are_the_transpose_of_cotangents() {
    for seed in 0..200 {
        let (subject, loss) = subject(seed);
        let largest = transpose(&subject, loss).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(largest > 0.0, "seed {seed}");
    }
}
