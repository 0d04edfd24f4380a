//! Where values are: updates in place, results that are leaves or appear twice, buffers that are taken over.

mod common;

use common::check;
use gradc_ir::{DType, Graph, Init, Role, TensorType, ValueId};
use gradc_schedule::plan::{Location, Plan, Step};
use gradc_schedule::{Options, schedule};
use gradc_testing::random_bindings;

/// A graph with parameters `p` and `q`, both f64[4, 4], whose next values (and an output, if there is one) `build` gives.
fn check_updates(build: impl Fn(&mut Graph, ValueId, ValueId) -> (Option<ValueId>, [ValueId; 2])) -> Plan {
    let mut graph = Graph::new("updates");
    let ty = TensorType::new(DType::F64, [4, 4]);
    let p = graph.param("p", ty.clone(), Init::Constant(0.0.into()));
    let q = graph.param("q", ty, Init::Constant(0.0.into()));
    let (output, updates) = build(&mut graph, p, q);
    if let Some(output) = output {
        graph.add_output(Role::Output, "y", output);
    }
    graph.add_output(Role::Update, "p", updates[0]);
    graph.add_output(Role::Update, "q", updates[1]);
    check(&graph, &random_bindings(&graph, 3), 1e-12)
}

fn kernels(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Kernel { .. })).count()
}

#[test]
fn elementwise_updates_are_in_place_and_together() {
    let plan = check_updates(|graph, p, q| {
        let sum = graph.add(p, q);
        let next_p = graph.exp(sum);
        let next_q = graph.mul(next_p, q);
        (None, [next_p, next_q])
    });
    assert_eq!((plan.steps.len(), plan.arena_bytes), (1, 0));
}

#[test]
fn an_update_in_several_passes_is_in_place() {
    let plan = check_updates(|graph, p, q| {
        let mean = graph.reduce_sum(p, &[1]);
        let mean = graph.broadcast_back(mean, &[1], &[4, 4]);
        (None, [graph.sub(p, mean), q])
    });
    assert_eq!((plan.steps.len(), plan.arena_bytes), (1, 0));
}

#[test]
fn products_share_scratch_memory() {
    let mut graph = Graph::new("products");
    let x = graph.input("x", TensorType::new(DType::F32, [4, 4]));
    let (mut y, products) = (x, 5);
    for _ in 0..products {
        y = graph.matmul(y, x);
    }
    graph.add_output(Role::Output, "y", y);
    let plan = schedule(&graph, &Options { scratch_bytes: |_| 1000, ..Options::default() });
    let scratch = |step: &Step| match step {
        Step::Gemm(gemm) => gemm.scratch.map(|id| plan.buffers[id.0 as usize].location),
        _ => None,
    };
    let places: Vec<_> = plan.steps.iter().map(scratch).collect();
    assert_eq!(places, vec![Some(Location::Arena(0)); products]);
    // Two of the values between are in use at once.
    assert_eq!(plan.arena_bytes, 1024 + 2 * 64);
    check(&graph, &random_bindings(&graph, 3), 1e-3);
}

#[test]
fn leaves_may_be_exchanged() {
    check_updates(|_, p, q| (None, [q, p]));
}

#[test]
fn a_leaf_may_become_another_that_changes() {
    check_updates(|graph, p, q| (Some(p), [q, graph.neg(q)]));
}

#[test]
fn a_leaf_that_does_not_change_needs_no_step() {
    let plan = check_updates(|_, p, q| (None, [p, q]));
    assert!(plan.steps.is_empty());
}

#[test]
fn an_update_waits_for_readers_that_come_later() {
    let plan = check_updates(|graph, p, q| {
        let next = graph.neg(p);
        (Some(graph.matmul(p, q)), [next, q])
    });
    assert_eq!((plan.steps.len(), plan.arena_bytes), (2, 0));
}

#[test]
fn an_update_that_moves_elements_is_copied() {
    let plan = check_updates(|graph, p, q| {
        let t = graph.transpose_last(p);
        (None, [graph.exp(t), q])
    });
    assert_eq!(kernels(&plan), 2);
}

#[test]
fn a_product_of_a_leaf_is_not_in_its_place() {
    check_updates(|graph, p, q| (None, [graph.matmul(p, p), q]));
}

#[test]
fn an_old_value_that_is_read_with_the_new_one_stays() {
    check_updates(|graph, p, q| {
        let next = graph.exp(p);
        let product = graph.matmul(next, p);
        (Some(product), [next, q])
    });
}

#[test]
fn one_value_may_update_two_leaves_and_be_a_result() {
    check_updates(|graph, p, q| {
        let next = graph.add(p, q);
        (Some(next), [next, next])
    });
}

#[test]
fn row_and_column_results_of_what_is_updated() {
    check_updates(|graph, p, q| {
        let e = graph.exp(p);
        let columns = graph.reduce_sum(e, &[0]);
        let rows = graph.reduce_sum(e, &[1]);
        let both = graph.add(columns, rows);
        let both = graph.broadcast(both, &[0], &[4, 4]);
        (Some(columns), [graph.mul(e, both), graph.mul(q, e)])
    });
}

#[test]
fn results_may_be_leaves_views_and_each_other() {
    let mut graph = Graph::new("results");
    let x = graph.input("x", TensorType::new(DType::F64, [2, 3]));
    let y = graph.exp(x);
    let flat = graph.reshape(y, &[6]);
    let flat_leaf = graph.reshape(x, &[3, 2]);
    let constant = graph.full_like(x, 2.5);
    let turned = graph.transpose_last(x);
    for (i, value) in [x, y, y, flat, flat_leaf, constant, turned].into_iter().enumerate() {
        graph.add_output(Role::Output, format!("y{i}"), value);
    }
    check(&graph, &random_bindings(&graph, 5), 1e-12);
}

/// A chain of steps needs two buffers, whatever its length.
#[test]
fn buffers_are_used_again() {
    let mut graph = Graph::new("chain");
    let x = graph.input("x", TensorType::new(DType::F64, [8, 8]));
    let mut y = x;
    for _ in 0..10 {
        y = graph.matmul(y, x);
        y = graph.tanh(y);
    }
    graph.add_output(Role::Output, "y", y);
    let plan = check(&graph, &random_bindings(&graph, 5), 1e-12);
    assert_eq!(plan.arena_bytes, 2 * 8 * 8 * 8);
    assert_eq!(plan.kernels.len(), 2, "in place, and to the result");
}

/// Softmax keeps its exponentials where the quotients go.
#[test]
fn a_value_of_one_step_is_kept_in_the_slot_of_its_reader() {
    let mut graph = Graph::new("normalised");
    let x = graph.input("x", TensorType::new(DType::F64, [3, 5]));
    let e = graph.exp(x);
    let sum = graph.reduce_sum(e, &[1]);
    let sum = graph.broadcast_back(sum, &[1], &[3, 5]);
    let y = graph.div(e, sum);
    graph.add_output(Role::Output, "y", y);
    let plan = check(&graph, &random_bindings(&graph, 5), 1e-12);
    assert_eq!((plan.steps.len(), plan.arena_bytes), (1, 0));
}

/// Only one of two values can be where the result goes.
#[test]
fn a_slot_is_lent_once() {
    let mut graph = Graph::new("lent");
    let x = graph.input("x", TensorType::new(DType::F64, [3, 5]));
    let (e, t) = (graph.exp(x), graph.tanh(x));
    let product = graph.mul(e, t);
    let sum = graph.reduce_sum(product, &[1]);
    let sum = graph.broadcast_back(sum, &[1], &[3, 5]);
    let quotient = graph.div(e, sum);
    let y = graph.sub(quotient, t);
    graph.add_output(Role::Output, "y", y);
    let plan = check(&graph, &random_bindings(&graph, 5), 1e-12);
    assert_eq!(plan.steps.len(), 1);
}
