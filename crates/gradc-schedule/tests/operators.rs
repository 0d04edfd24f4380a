//! Every operator alone, and random graphs of all of them, against the interpreter.

mod common;

use common::check;
use gradc_ir::op::ALL;
use gradc_ir::{Class, DType, Graph, LeafKind, Role, Tensor, TensorType};
use gradc_testing::{Random, random_bindings, random_graph, random_loop, random_operands};

fn tolerance(float: DType) -> f64 {
    match float {
        DType::F64 => 1e-12,
        // Where a function is not rounded rightly in `f32`, its result may round to a neighbour.
        DType::F16 | DType::Bf16 => float.epsilon(),
        _ => 2e-5,
    }
}

/// Each operator's cases at each size and in each precision.
#[test]
fn operators_agree_with_the_interpreter() {
    // Loops are tested as machine code, with all their results.
    let defs = ALL.iter().filter(|def| def.class != Class::Scan);
    for (def, float) in
        defs.flat_map(|def| [DType::F64, DType::F32, DType::F16, DType::Bf16].map(|float| (*def, float)))
    {
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
        let graph = random_graph(seed, size, DType::F64).without_rules();
        check(&graph, &random_bindings(&graph, seed), 1e-9);
    }
}

/// Softmax, with a sum over the columns beside it, where there are no rows, no columns, or one.
#[test]
fn rows_of_any_size() {
    for (rows, columns) in [(0, 0), (0, 3), (3, 0), (1, 1), (1, 5), (5, 1), (4, 17)] {
        let mut graph = Graph::new("softmax");
        let x = graph.input("x", TensorType::new(DType::F64, [rows, columns]));
        let max = graph.reduce_max(x, &[1]);
        let max = graph.broadcast_back(max, &[1], &[rows, columns]);
        let shifted = graph.sub(x, max);
        let e = graph.exp(shifted);
        let sum = graph.reduce_sum(e, &[1]);
        let log = graph.log(sum);
        let sum = graph.broadcast_back(sum, &[1], &[rows, columns]);
        let y = graph.div(e, sum);
        let columns = graph.reduce_sum(y, &[0]);
        let total = graph.reduce_sum(log, &[0]);
        for (name, value) in [("y", y), ("columns", columns), ("log", log), ("total", total)] {
            graph.add_output(Role::Output, name, value);
        }
        let plan = check(&graph, &random_bindings(&graph, 1), 1e-12);
        assert!(plan.steps.len() <= 2, "{}", gradc_schedule::plan::print(&plan));
    }
}

/// What is out of range reads NaN, and is passed over; an empty table has nothing in range.
#[test]
fn indices_out_of_range() {
    for extent in [0, 1, 4] {
        let mut graph = Graph::new("range");
        let table = graph.input("table", TensorType::new(DType::F64, [extent, 3]));
        let ids = graph.input("ids", TensorType::new(DType::I32, [5]));
        let rows = graph.gather(table, ids, 0);
        let updates = graph.full(1.5, &TensorType::new(DType::F64, [5, 3]));
        let sums = graph.scatter_add(ids, updates, 0, extent);
        graph.add_output(Role::Output, "rows", rows);
        graph.add_output(Role::Output, "sums", sums);
        let numbers = (0..3 * extent).map(|i| i as f64).collect();
        let bindings = [
            (table, Tensor::new(TensorType::new(DType::F64, [extent, 3]), numbers)),
            (ids, Tensor::new(TensorType::new(DType::I32, [5]), vec![-1.0, 0.0, 3.0, 4.0, -2147483648.0])),
        ];
        check(&graph, &bindings, 0.0);
    }
}

/// Training steps of random graphs: gradients by all float leaves, and every parameter updated by its own.
#[test]
fn training_steps_agree_with_the_interpreter() {
    for (seed, size) in (1000..1150).map(|seed| (seed, 2 + seed as usize % 30)) {
        let graph = training_step(&random_graph(seed, size, DType::F64)).without_rules();
        check(&graph, &random_bindings(&graph, seed), 1e-8);
    }
}

/// Any value a result, inner ones and leaves among them, some twice; the next value of each parameter and state any value of
/// its type, another leaf among them.
#[test]
fn results_and_updates_of_all_kinds_agree_with_the_interpreter() {
    for (seed, size) in (2000..2400).map(|seed| (seed, 2 + seed as usize % 40)) {
        let graph = with_any_results(&random_graph(seed, size, DType::F64).without_rules(), &mut Random::new(seed));
        check(&graph, &random_bindings(&graph, seed), 1e-9);
    }
}

fn with_any_results(forward: &Graph, random: &mut Random) -> Graph {
    let mut graph = forward.clone();
    graph.retain_outputs(|_| false);
    let values: Vec<_> = graph.values().collect();
    for number in 0..1 + random.below(8) {
        let value = *random.pick(&values);
        graph.add_output(Role::Output, format!("out{number}"), value);
    }
    for leaf in [LeafKind::Param, LeafKind::State].into_iter().flat_map(|kind| forward.leaves(kind)) {
        let alike: Vec<_> = values.iter().copied().filter(|&value| graph.ty(value) == graph.ty(leaf)).collect();
        let (next, name) = (*random.pick(&alike), forward.value_name(leaf).expect("leaves have names").clone());
        graph.add_output(Role::Update, name, next);
    }
    graph
}

/// Also those whose carries are exchanged or stay what they are, whose results are leaves of the body, twice the same, or
/// not read.
#[test]
fn random_loops_agree_with_the_interpreter() {
    for (seed, size) in (0..300).map(|seed| (seed, 2 + seed as usize % 30)) {
        let graph = random_loop(seed, size, DType::F64).without_rules();
        check(&graph, &random_bindings(&graph, seed), 1e-8);
    }
}

/// The operand of the product is seen through two broadcasts, of which one is a result.
#[test]
fn a_product_of_what_is_repeated_twice() {
    let ty = |shape: &[usize]| TensorType::new(DType::F64, shape);
    let mut graph = Graph::new("product");
    let (x, w) = (graph.input("x", ty(&[3, 4])), graph.input("w", ty(&[5, 2, 4, 6])));
    let twice = graph.broadcast(x, &[1, 2], &[2, 3, 4]);
    let often = graph.broadcast(twice, &[1, 2, 3], &[5, 2, 3, 4]);
    let y = graph.matmul(often, w);
    graph.add_output(Role::Output, "twice", twice);
    graph.add_output(Role::Output, "y", y);
    check(&graph, &random_bindings(&graph, 1), 1e-12);
}

fn training_step(forward: &Graph) -> Graph {
    let Some(loss) = forward.loss() else { return forward.clone() };
    let leaves: Vec<_> =
        forward.values().filter(|&value| forward.leaf(value).is_some() && forward.dtype(value).is_float()).collect();
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
