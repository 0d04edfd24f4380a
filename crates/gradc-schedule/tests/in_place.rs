//! Products that are added to the parameter that they are for.

mod common;

use common::check;
use gradc_ir::{DType, Graph, Init, Role, TensorType, ValueId};
use gradc_schedule::plan::{Plan, Step};
use gradc_schedule::{Options, schedule};
use gradc_testing::random_bindings;

/// The depth of the products.
const DEPTH: usize = 7;

fn f32s<const N: usize>(shape: [usize; N]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

fn checked(graph: &Graph) -> Plan {
    check(graph, &random_bindings(graph, 1), 1e-4)
}

/// A parameter `w`, the product that is its gradient, and the rate, an input.
fn start(depth: usize) -> (Graph, [ValueId; 3]) {
    let mut graph = Graph::new("update");
    let x = graph.input("x", f32s([depth, 5]));
    let g = graph.input("g", f32s([depth, 3]));
    let rate = graph.input("rate", f32s([]));
    let w = graph.param("w", f32s([5, 3]), Init::Constant(0.5.into()));
    let d = graph.matmul_with(x, true, g, false);
    (graph, [w, d, rate])
}

/// `w - rate · d`
fn descent(graph: &mut Graph, [w, d, rate]: [ValueId; 3]) -> ValueId {
    let rate = graph.broadcast(rate, &[], &[5, 3]);
    let step = graph.mul(rate, d);
    graph.sub(w, step)
}

fn added(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Gemm(gemm) if gemm.accumulate)).count()
}

/// How many products are added to what they update, in a plan that computes what the graph means.
fn added_in(graph: &Graph) -> usize {
    added(&checked(graph))
}

#[test]
fn a_step_of_descent_is_one_product() {
    let (mut graph, values) = start(DEPTH);
    let next = descent(&mut graph, values);
    graph.add_output(Role::Update, "w", next);
    let plan = checked(&graph);
    assert_eq!((added(&plan), plan.steps.len(), plan.arena_bytes), (1, 1, 0));
}

#[test]
fn rates_may_be_numbers_or_computed_and_signs_may_differ() {
    let formulas: [fn(&mut Graph, [ValueId; 3]) -> ValueId; 4] = [
        |graph, [w, d, _]| {
            let step = graph.scale(d, 0.1);
            graph.sub(w, step)
        },
        |graph, [w, d, _]| graph.add(d, w),
        |graph, [w, d, _]| {
            let opposite = graph.neg(d);
            graph.add(w, opposite)
        },
        |graph, [w, d, rate]| {
            let rate = graph.exp(rate);
            graph.add_output(Role::Output, "rate", rate);
            descent(graph, [w, d, rate])
        },
    ];
    for (number, formula) in formulas.into_iter().enumerate() {
        let (mut graph, values) = start(DEPTH);
        let next = formula(&mut graph, values);
        graph.add_output(Role::Update, "w", next);
        assert_eq!(added_in(&graph), 1, "formula {number}");
    }
}

#[test]
fn other_readers_come_first_or_prevent_it() {
    // The parameter is read before.
    let (mut graph, values) = start(DEPTH);
    let next = descent(&mut graph, values);
    let transposed = graph.matmul_with(values[0], true, values[0], false);
    graph.add_output(Role::Output, "gram", transposed);
    graph.add_output(Role::Update, "w", next);
    assert_eq!(added_in(&graph), 1);

    // The gradient is a result, too.
    let (mut graph, values) = start(DEPTH);
    let next = descent(&mut graph, values);
    graph.add_output(Role::Output, "d", values[1]);
    graph.add_output(Role::Update, "w", next);
    assert_eq!(added_in(&graph), 0);

    // The next value is read.
    let (mut graph, values) = start(DEPTH);
    let next = descent(&mut graph, values);
    let square = graph.mul(next, next);
    graph.add_output(Role::Output, "square", square);
    graph.add_output(Role::Update, "w", next);
    assert_eq!(added_in(&graph), 0);

    // Two parameters become the same value.
    let (mut graph, values) = start(DEPTH);
    let other = graph.param("v", f32s([5, 3]), Init::Constant(0.25.into()));
    let next = descent(&mut graph, values);
    let difference = graph.sub(other, next);
    graph.add_output(Role::Output, "difference", difference);
    graph.add_output(Role::Update, "w", next);
    graph.add_output(Role::Update, "v", next);
    assert_eq!(added_in(&graph), 0);
}

#[test]
fn a_product_of_the_parameter_is_not_added_to_it() {
    let mut graph = Graph::new("power");
    let w = graph.param("w", f32s([4, 4]), Init::Constant(0.5.into()));
    let d = graph.matmul(w, w);
    let next = graph.sub(w, d);
    graph.add_output(Role::Update, "w", next);
    assert_eq!(added_in(&graph), 0);
}

/// An average of a parameter is of its old value, and of no part of the new one.
#[test]
fn averages_read_the_old_value() {
    let (mut graph, values) = start(DEPTH);
    let average = graph.state("average", f32s([5, 3]), Init::Constant(1.0.into()));
    let next = descent(&mut graph, values);
    let (kept, part) = (graph.scale(average, 0.75), graph.scale(values[0], 0.25));
    let averaged = graph.add(kept, part);
    let shown = graph.exp(average);
    graph.add_output(Role::Output, "shown", shown);
    graph.add_output(Role::Update, "w", next);
    graph.add_output(Role::Update, "average", averaged);
    let plan = checked(&graph);
    assert!(added(&plan) <= 1);
}

#[test]
fn deep_products_and_strict_plans_are_computed_as_written() {
    let (mut graph, values) = start(513);
    let next = descent(&mut graph, values);
    graph.add_output(Role::Update, "w", next);
    assert_eq!(added_in(&graph), 0);

    let (mut graph, values) = start(DEPTH);
    let next = descent(&mut graph, values);
    graph.add_output(Role::Update, "w", next);
    assert_eq!(added(&schedule(&graph, &Options { refine: false, ..Options::default() })), 0);
    assert_eq!(added(&schedule(&graph, &Options { fuse: false, ..Options::default() })), 0);
}
