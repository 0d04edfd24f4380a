//! Every operator alone, and random graphs of all of them, against the interpreter.

mod common;

use common::check;
use gradc_ir::op::ALL;
use gradc_ir::{DType, Graph, LeafKind, Role};
use gradc_testing::{Random, random_bindings, random_graph, random_operands};

fn tolerance(float: DType) -> f64 {
    if float == DType::F64 { 1e-12 } else { 2e-5 }
}

/// Each operator's cases at each size and in each precision.
#[test]
fn operators_agree_with_the_interpreter() {
    for (def, float) in ALL.iter().flat_map(|def| [DType::F64, DType::F32].map(|float| (*def, float))) {
        for (size, case) in
            [0, 1, 3, 5, 17].into_iter().flat_map(|n| (def.cases)(n, float).into_iter().map(move |c| (n, c)))
        {
            let mut graph = Graph::new(def.name);
            let leaves: Vec<_> = (0..)
                .zip(&case.operands)
                .map(|(i, ty)| graph.add_leaf(LeafKind::Input, format!("x{i}"), ty.clone(), None))
                .collect();
            let result = graph.emit(def.with(case.attrs), &leaves);
            graph.add_output(Role::Output, "y", result);
            let tensors = random_operands(&def.domain, &case.operands, &mut Random::new(size as u64));
            let bindings: Vec<_> = leaves.into_iter().zip(tensors).collect();
            check(&graph, &bindings, tolerance(float));
        }
    }
}

#[test]
fn random_graphs_agree_with_the_interpreter() {
    for (seed, size) in (0..300).map(|seed| (seed, 2 + seed as usize % 40)) {
        let graph = random_graph(seed, size, DType::F64);
        check(&graph, &random_bindings(&graph, seed), 1e-9);
    }
}

/// Training steps of random graphs: gradients by all float leaves, and every parameter updated by its own.
#[test]
fn training_steps_agree_with_the_interpreter() {
    for (seed, size) in (1000..1150).map(|seed| (seed, 2 + seed as usize % 30)) {
        let graph = training_step(&random_graph(seed, size, DType::F64));
        check(&graph, &random_bindings(&graph, seed), 1e-8);
    }
}

fn training_step(forward: &Graph) -> Graph {
    let Some(loss) = forward.loss() else { return forward.clone() };
    let leaves: Vec<_> = forward
        .values()
        .filter(|&value| forward.leaf(value).is_some() && forward.dtype(value).is_float())
        .collect();
    let gradient = gradc_autodiff::gradient(forward, loss, &leaves);
    let mut graph = gradient.graph;
    for (leaf, cotangent) in leaves.into_iter().zip(gradient.cotangents) {
        let (Some(cotangent), Some(name)) = (cotangent, forward.value_name(leaf).cloned()) else { continue };
        graph.add_output(Role::Gradient, name.clone(), cotangent);
        if forward.leaf(leaf) == Some(LeafKind::Param) {
            let step = graph.scale(cotangent, 0.1);
            let next = graph.sub(leaf, step);
            graph.add_output(Role::Update, name, next);
        }
    }
    graph
}
