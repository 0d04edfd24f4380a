//! Products of matrices read their operands through movements, and are written through them: nothing is copied.

mod common;

use gradc_ir::op::window::Windows;
use gradc_ir::{DType, Graph, Role, TensorType, ValueId};
use gradc_schedule::plan::{Gemm, MatrixRef, Plan, Step};
use gradc_testing::{random_bindings, random_movements};

fn f32s<const N: usize>(shape: [usize; N]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

/// The plan, which computes what the interpreter does.
fn checked(graph: &Graph) -> Plan {
    common::check(graph, &random_bindings(graph, 5), 1e-4)
}

fn products(plan: &Plan) -> Vec<&Gemm> {
    plan.steps.iter().filter_map(|step| if let Step::Gemm(gemm) = step { Some(&**gemm) } else { None }).collect()
}

/// `[batch, length, heads · size]` as `[batch, heads, length, size]`.
fn heads(graph: &mut Graph, value: ValueId, heads: usize) -> ValueId {
    let [batch, length, width] = graph.shape(value)[..] else { unreachable!("it has three axes") };
    let split = graph.reshape(value, &[batch, length, heads, width / heads]);
    graph.transpose(split, &[0, 2, 1, 3])
}

/// Linear maps to heads, their products, and a linear map of all heads together: each of these is one step.
#[test]
fn heads_are_neither_copied_nor_put_together() {
    let (batch, length, width, count) = (2, 5, 12, 3);
    let mut graph = Graph::new("attention");
    let x = graph.input("x", f32s([batch * length, width]));
    let maps: Vec<ValueId> = ["q", "k", "v", "out"].map(|name| graph.input(name, f32s([width, width]))).to_vec();
    let parts: Vec<ValueId> = maps[..3]
        .iter()
        .map(|&map| {
            let mapped = graph.matmul(x, map);
            let rows = graph.reshape(mapped, &[batch, length, width]);
            heads(&mut graph, rows, count)
        })
        .collect();
    let scores = graph.matmul_with(parts[0], false, parts[1], true);
    let results = graph.matmul(scores, parts[2]);
    let together = graph.transpose(results, &[0, 2, 1, 3]);
    let rows = graph.reshape(together, &[batch * length, width]);
    let y = graph.matmul(rows, maps[3]);
    graph.add_output(Role::Output, "y", y);
    let plan = checked(&graph);
    assert_eq!((products(&plan).len(), plan.steps.len()), (6, 6), "{}", gradc_schedule::plan::print(&plan));
    let [.., scores, results, _] = products(&plan)[..] else { unreachable!("there are six products") };
    assert_eq!((scores.batch, scores.a.batch.len(), scores.b.batch.len()), (6, 2, 2));
    // The results of the heads are side by side in the rows of the last product.
    assert_eq!((results.c.batch.len(), results.c.rows.stride()), (2, Some(width)));
}

/// A slice of the columns of one product, and windows, whose rows have three axes and whose columns have two.
#[test]
fn slices_and_windows_are_read_where_they_are() {
    let mut graph = Graph::new("slices");
    let (x, w) = (graph.input("x", f32s([2, 9, 9, 4])), graph.input("w", f32s([18, 5])));
    let half = graph.slice(x, &[0, 0, 0, 2], &[2, 9, 9, 4], &[1, 1, 1, 1]);
    let rows = graph.window(half, 1, Windows { size: 3, stride: 2, dilation: 1 });
    let both = graph.window(rows, 3, Windows { size: 3, stride: 1, dilation: 2 });
    let parts = graph.transpose(both, &[0, 1, 3, 2, 4, 5]);
    let matrix = graph.reshape(parts, &[2 * 4 * 5, 18]);
    let y = graph.matmul(matrix, w);
    graph.add_output(Role::Output, "y", y);
    let plan = checked(&graph);
    let [gemm] = products(&plan)[..] else { unreachable!("there is one product") };
    assert_eq!((plan.steps.len(), plan.arena_bytes), (1, 0));
    assert_eq!((gemm.a.offset, gemm.a.rows.len(), gemm.a.columns.len()), (2, 3, 3));
}

/// The gradient of windows is added up where it belongs, and is nowhere else.
#[test]
fn gradients_of_windows_take_no_memory() {
    let mut graph = Graph::new("gradient");
    let (g, w) = (graph.input("g", f32s([2 * 6 * 6, 5])), graph.input("w", f32s([27, 5])));
    let products = graph.matmul_with(g, false, w, true);
    let parts = graph.reshape(products, &[2, 6, 6, 3, 3, 3]);
    let both = graph.transpose(parts, &[0, 1, 3, 2, 4, 5]);
    let rows = graph.overlap_add(both, 3, 8, 1, 1);
    let x = graph.overlap_add(rows, 1, 8, 1, 1);
    graph.add_output(Role::Output, "x", x);
    let plan = checked(&graph);
    assert_eq!((plan.steps.len(), plan.arena_bytes), (2, 0), "{}", gradc_schedule::plan::print(&plan));
}

/// Where something else reads what products read through, or where it has too many axes, it is in memory as before.
#[test]
fn what_others_read_is_copied() {
    let mut graph = Graph::new("shared");
    let (x, w) = (graph.input("x", f32s([4, 5, 6])), graph.input("w", f32s([20, 3])));
    let turned = graph.transpose(x, &[1, 0, 2]);
    let matrix = graph.reshape(turned, &[20, 6]);
    let y = graph.matmul_with(matrix, true, w, false);
    graph.add_output(Role::Output, "y", y);
    let wave = graph.tanh(matrix);
    let sum = graph.reduce_sum(wave, &[1]);
    graph.add_output(Role::Output, "sum", sum);
    let plan = checked(&graph);
    assert_eq!(plan.steps.len(), 3, "{}", gradc_schedule::plan::print(&plan));

    let mut graph = Graph::new("deep");
    let (x, w) = (graph.input("x", f32s([2, 2, 2, 2, 2, 2, 2, 2, 2, 2])), graph.input("w", f32s([32, 3])));
    let turned = graph.transpose(x, &[1, 0, 3, 2, 5, 4, 7, 6, 9, 8]);
    let turned = graph.transpose(turned, &[0, 2, 4, 6, 8, 1, 3, 5, 7, 9]);
    let matrix = graph.reshape(turned, &[32, 32]);
    let y = graph.matmul(matrix, w);
    graph.add_output(Role::Output, "y", y);
    assert_eq!(checked(&graph).steps.len(), 2);
}

#[test]
fn random_movements_around_products() {
    let (mut nested, mut moved, mut added) = (0, 0, 0);
    for seed in 0..600 {
        let graph = random_movements(seed, DType::F64);
        let plan = common::check(&graph, &random_bindings(&graph, seed), 1e-9);
        for Gemm { batch, m, n, a, b, c, .. } in products(&plan) {
            nested += usize::from(!a.is_plain() || !b.is_plain());
            moved += usize::from(c.is_plain() && *c != MatrixRef::plain(c.buffer, *batch, *m, *n));
            added += usize::from(!c.is_plain());
        }
    }
    assert!(
        nested > 50 && moved > 100 && added > 100,
        "{nested} are read, {moved} and {added} written through movements"
    );
}
