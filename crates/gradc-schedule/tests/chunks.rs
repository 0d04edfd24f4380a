//! Reductions along whole kernels, which are cut into chunks.

mod common;

use common::check;
use gradc_ir::{DType, Graph, Role, TensorType, ValueId};
use gradc_schedule::kernel::{Kernel, split};
use gradc_schedule::plan::{self, Plan};
use gradc_testing::random_bindings;

fn f64s<const N: usize>(shape: [usize; N]) -> TensorType {
    TensorType::new(DType::F64, shape)
}

fn checked(graph: &Graph) -> Plan {
    check(graph, &random_bindings(graph, 1), 1e-10)
}

/// The kernel of the chunks, and that of the total.
fn parts(plan: &Plan) -> (&Kernel, &Kernel) {
    let part = |name: &str| {
        let mut parts = plan.kernels.iter().filter(|kernel| kernel.name.contains(name));
        let part = parts.next().unwrap_or_else(|| panic!("{name}\n{}", plan::print_kernels(plan)));
        assert!(parts.next().is_none());
        part
    };
    (part("_chunks"), part("_total"))
}

fn is_whole(plan: &Plan) -> bool {
    plan.kernels.iter().all(|kernel| !kernel.name.contains("_chunks"))
}

/// A loss and what its gradient needs: `Σ (tanh x − y)²` and `2 (tanh x − y)`.
fn loss(extent: usize) -> Graph {
    let mut graph = Graph::new("loss");
    let (x, y) = (graph.input("x", f64s([extent])), graph.input("y", f64s([extent])));
    let h = graph.tanh(x);
    let difference = graph.sub(h, y);
    let square = graph.mul(difference, difference);
    let sum = graph.reduce_sum(square, &[0]);
    let mean = graph.scale(sum, 1.0 / extent as f64);
    let gradient = graph.scale(difference, 2.0);
    graph.add_output(Role::Loss, "loss", mean);
    graph.add_output(Role::Output, "gradient", gradient);
    graph
}

#[test]
fn a_sum_over_everything_is_a_sum_of_sums() {
    let plan = checked(&loss(1 << 13));
    insta::assert_snapshot!(format!("{}\n{}", plan::print(&plan), plan::print_kernels(&plan)));
    assert!(split(parts(&plan).0).is_some());
}

#[test]
fn what_is_left_over_is_in_the_total() {
    for extent in [10_007, 12_345, 16_385] {
        let plan = checked(&loss(extent));
        let (chunks, _) = parts(&plan);
        assert!(split(chunks).is_some());
    }
}

#[test]
fn small_kernels_stay_whole() {
    assert!(is_whole(&checked(&loss(999))));
}

/// Rows are normalised, and the gradients of gain and shift are sums over rows: in registers and in memory at once.
fn normalised(rows: usize, columns: usize) -> Graph {
    let mut graph = Graph::new("normalised");
    let (x, dy) = (graph.input("x", f64s([rows, columns])), graph.input("dy", f64s([rows, columns])));
    let shape = graph.shape(x).clone();
    let square = graph.mul(x, x);
    let sum = graph.reduce_sum(square, &[1]);
    let mean = graph.scale(sum, 1.0 / columns as f64);
    let scale = graph.rsqrt(mean);
    let scale = graph.broadcast(scale, &[0], &shape);
    let normal = graph.mul(x, scale);
    let product = graph.mul(normal, dy);
    let (gain, shift) = (graph.reduce_sum(product, &[0]), graph.reduce_sum(dy, &[0]));
    let total = graph.reduce_sum(product, &[0, 1]);
    let greatest = graph.reduce_max(product, &[0, 1]);
    let least = graph.reduce_min(normal, &[0]);
    for (name, value) in [
        ("normal", normal),
        ("gain", gain),
        ("shift", shift),
        ("total", total),
        ("greatest", greatest),
        ("least", least),
    ] {
        graph.add_output(Role::Output, name, value);
    }
    graph
}

#[test]
fn sums_of_rows_have_partial_rows() {
    for (rows, columns) in [(192, 60), (193, 61), (700, 17), (3001, 3), (60, 200)] {
        let plan = checked(&normalised(rows, columns));
        assert!(split(parts(&plan).0).is_some(), "{rows} × {columns}");
    }
    let plan = checked(&normalised(193, 61));
    insta::assert_snapshot!(format!("{}\n{}", plan::print(&plan), plan::print_kernels(&plan)));
}

/// Where columns are so many that they can be shared out, rows are added up as they come.
#[test]
fn many_columns_stay_whole() {
    let mut graph = Graph::new("columns");
    let x = graph.input("x", f64s([40, 600]));
    let h: ValueId = graph.exp(x);
    let sum = graph.reduce_sum(h, &[0]);
    graph.add_output(Role::Output, "sum", sum);
    assert!(is_whole(&checked(&graph)));
}

/// The gradient of a filter: few elements, each a sum over all windows.
#[test]
fn products_along_a_long_depth_are_sums_of_products() {
    let mut graph = Graph::new("filters");
    let (x, dy) = (graph.input("x", f64s([12_000, 15])), graph.input("dy", f64s([12_000, 6])));
    let gradient = graph.matmul_with(x, true, dy, false);
    graph.add_output(Role::Output, "gradient", gradient);
    let plan = checked(&graph);
    insta::assert_snapshot!(format!("{}\n{}", plan::print(&plan), plan::print_kernels(&plan)));
    // Nothing to cut it into evenly.
    let mut graph = Graph::new("filters");
    let (x, dy) = (graph.input("x", f64s([12_007, 15])), graph.input("dy", f64s([12_007, 6])));
    let gradient = graph.matmul_with(x, true, dy, false);
    graph.add_output(Role::Output, "gradient", gradient);
    assert_eq!(checked(&graph).steps.len(), 1);
}

/// Numbers that are converted before they are added up, and whole numbers.
#[test]
fn numbers_of_other_types() {
    let mut graph = Graph::new("types");
    let x = graph.input("x", TensorType::new(DType::Bf16, [20_011]));
    let k = graph.input("k", TensorType::new(DType::I32, [30_011]));
    let (sum, count) = (graph.reduce_sum(x, &[0]), graph.reduce_sum(k, &[0]));
    let least = graph.reduce_min(k, &[0]);
    for (name, value) in [("sum", sum), ("count", count), ("least", least)] {
        graph.add_output(Role::Output, name, value);
    }
    let bindings = random_bindings(&graph, 1);
    check(&graph, &bindings, 2e-2);
}
