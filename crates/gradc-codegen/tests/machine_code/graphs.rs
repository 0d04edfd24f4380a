//! Graphs, scheduled and compiled, against the interpreter: every operator alone, and random graphs of all of them.

use crate::support::{Memory, run};
use gradc_codegen::{Contraction, Options, compile, packing, scratch_bytes};
use gradc_ir::op::ALL;
use gradc_ir::{Class, DType, Graph, LeafKind, Role, Tensor, ValueId};
use gradc_schedule::plan::{Plan, Slot, SlotKind};
use gradc_schedule::schedule;
use gradc_testing::{Random, random_bindings, random_graph, random_operands};

/// The door of these tests: a graph's results as machine code are those of the interpreter, to a relative error.
pub(crate) fn check_graph(graph: &Graph, bindings: &[(ValueId, Tensor)], tolerance: f64, options: &Options) {
    let expected = gradc_interp::evaluate(graph, bindings).expect("every leaf is bound");
    // Alone, an operator is one kernel either way.
    let schedules: &[bool] = if graph.outputs().len() == 1 { &[true] } else { &[true, false] };
    for &fuse in schedules {
        let plan = schedule(
            graph,
            &gradc_schedule::Options { fuse, refine: fuse, memory_limit: None, lean: true, scratch_bytes, packing },
        );
        let context =
            || format!("{}\n{}", gradc_schedule::plan::print(&plan), gradc_schedule::plan::print_kernels(&plan));
        let program = compile(&plan, options).unwrap_or_else(|error| panic!("{error}\n{}", context()));
        let mut memory = memory_of(graph, &plan, bindings);
        run(&program, &mut memory);
        for (output, expected) in graph.outputs().iter().zip(&expected) {
            let slot = plan.interface.iter().position(|slot| holds(slot, output.role, &output.name));
            let found = memory[slot.expect("every result has a slot")].values();
            for (at, (&found, &expected)) in found.iter().zip(expected.data()).enumerate() {
                let close = found == expected
                    || found.is_nan() && expected.is_nan()
                    || (found - expected).abs() <= tolerance * (1.0 + expected.abs());
                assert!(close, "{}[{at}] is {found}, not {expected}\n{}", output.name, context());
            }
        }
    }
}

/// Tensors for the slots of a plan: those of the leaves, and zeros for the results.
pub(crate) fn memory_of(graph: &Graph, plan: &Plan, bindings: &[(ValueId, Tensor)]) -> Vec<Memory> {
    let leaf = |slot: &Slot, kind: LeafKind| {
        let named = |leaf: &ValueId| graph.value_name(*leaf).is_some_and(|name| **name == *slot.name);
        let leaf = graph.leaves(kind).find(named).expect("a slot has the name of its leaf");
        bindings.iter().find(|binding| binding.0 == leaf).expect("every leaf is bound").1.data().to_vec()
    };
    let memory = |slot: &Slot| {
        let values = match slot.kind {
            SlotKind::Leaf(kind) => leaf(slot, kind),
            SlotKind::Result(_) => vec![0.0; slot.ty.shape.elements()],
        };
        Memory::new(slot.ty.dtype, &values)
    };
    plan.interface.iter().map(memory).collect()
}

fn holds(slot: &Slot, role: Role, name: &str) -> bool {
    let role_fits = match slot.kind {
        SlotKind::Result(found) => found == role,
        SlotKind::Leaf(kind) => role == Role::Update && kind != LeafKind::Input,
    };
    role_fits && slot.name == name
}

pub(crate) fn tolerance(float: DType) -> f64 {
    match float {
        DType::F64 => 1e-12,
        // Where a function is not rounded rightly in `f32`, its result may round to a neighbour.
        DType::F16 | DType::Bf16 => float.epsilon(),
        _ => 2e-5,
    }
}

fn check_operators(float: DType) {
    // Loops are tested with all their results, elsewhere.
    for def in ALL.iter().filter(|def| def.class != Class::Scan) {
        for size in [0, 1, 3, 5, 17, 63, 65] {
            for case in (def.cases)(size, float) {
                let mut graph = Graph::new(def.name);
                let leaves: Vec<_> = (0..)
                    .zip(&case.operands)
                    .map(|(i, ty)| graph.add_leaf(LeafKind::Input, format!("x{i}"), ty.clone(), None))
                    .collect();
                let result = graph.emit(def.with(case.attrs), &leaves);
                graph.add_output(Role::Output, "y", result);
                let tensors = random_operands(&def.domain, &case.operands, &mut Random::new(size as u64));
                let bindings: Vec<_> = leaves.into_iter().zip(tensors).collect();
                check_graph(&graph, &bindings, tolerance(float), &Options::default());
            }
        }
    }
}

#[test]
fn operators_in_f32_agree_with_the_interpreter() {
    check_operators(DType::F32);
}

#[test]
fn operators_in_f64_agree_with_the_interpreter() {
    check_operators(DType::F64);
}

#[test]
fn operators_in_f16_agree_with_the_interpreter() {
    check_operators(DType::F16);
}

#[test]
fn operators_in_bf16_agree_with_the_interpreter() {
    check_operators(DType::Bf16);
}

#[test]
fn random_graphs_in_f64_agree_with_the_interpreter() {
    for (seed, size) in (0..100).map(|seed| (seed, 2 + seed as usize % 40)) {
        let graph = random_graph(seed, size, DType::F64).without_rules();
        check_graph(&graph, &random_bindings(&graph, seed), 1e-9, &Options::default());
    }
}

#[test]
fn random_graphs_in_f32_agree_with_the_interpreter() {
    for (seed, size) in (0..100).map(|seed| (seed, 2 + seed as usize % 40)) {
        let graph = random_graph(seed, size, DType::F32).without_rules();
        check_graph(&graph, &random_bindings(&graph, seed), 1e-3, &Options::default());
    }
}

/// The sums of kernels are in another order than the interpreter's, so that results of 16 bits may round to a neighbour, and what
/// comes after it goes on from there.
#[test]
fn random_graphs_in_16_bits_agree_with_the_interpreter() {
    for (float, steps) in [(DType::F16, 32.0), (DType::Bf16, 16.0)] {
        for (seed, size) in (200..260).map(|seed| (seed, 2 + seed as usize % 40)) {
            let graph = random_graph(seed, size, float).without_rules();
            let tolerance = steps * float.epsilon();
            check_graph(&graph, &random_bindings(&graph, seed), tolerance, &Options::default());
        }
    }
}

/// Larger kernels than those of the graphs themselves, with reductions and scatters among the rest.
#[test]
fn gradients_of_random_graphs_agree_with_the_interpreter() {
    for (seed, size) in (150..190).map(|seed| (seed, 2 + seed as usize % 60)) {
        let graph = random_graph(seed, size, DType::F64);
        let leaves: Vec<ValueId> = graph.leaves(LeafKind::Param).filter(|&leaf| graph.dtype(leaf).is_float()).collect();
        let loss = graph.loss().expect("random graphs have a loss");
        let gradient = gradc_autodiff::gradient(&graph, loss, &leaves);
        let mut graph = gradient.graph;
        for (&leaf, cotangent) in leaves.iter().zip(&gradient.cotangents) {
            if let (Some(name), Some(cotangent)) = (graph.value_name(leaf).cloned(), cotangent) {
                graph.add_output(Role::Gradient, name.to_string(), *cotangent);
            }
        }
        let graph = graph.without_rules();
        check_graph(&graph, &random_bindings(&graph, seed), 1e-8, &Options::default());
    }
}

#[test]
fn fused_products_and_sums_stay_close() {
    let options = Options { contraction: Contraction::Fuse, ..Options::default() };
    for (seed, size) in (100..150).map(|seed| (seed, 2 + seed as usize % 40)) {
        let graph = random_graph(seed, size, DType::F64).without_rules();
        check_graph(&graph, &random_bindings(&graph, seed), 1e-9, &options);
    }
}
