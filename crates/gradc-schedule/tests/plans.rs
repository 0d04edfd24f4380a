//! Plans of small programs, as a person reads them.

mod common;

use common::{check, leaves};
use gradc_ir::op::window::Windows;
use gradc_ir::{DType, Graph, Init, Role, Tensor, TensorType, ValueId};
use gradc_schedule::plan::{self, Plan, Step};
use gradc_testing::random_bindings;

/// The plan's text and that of its kernels.
fn text(plan: &Plan) -> String {
    format!("{}\n{}", plan::print(plan), plan::print_kernels(plan))
}

fn f32s<const N: usize>(shape: [usize; N]) -> TensorType {
    TensorType::new(DType::F32, shape)
}

fn checked(graph: &Graph) -> Plan {
    check(graph, &random_bindings(graph, 1), 1e-4)
}

fn softmax(graph: &mut Graph, x: ValueId) -> ValueId {
    let shape = graph.shape(x).clone();
    let max = graph.reduce_max(x, &[1]);
    let max = graph.broadcast_back(max, &[1], &shape);
    let shifted = graph.sub(x, max);
    let e = graph.exp(shifted);
    let sum = graph.reduce_sum(e, &[1]);
    let sum = graph.broadcast_back(sum, &[1], &shape);
    graph.div(e, sum)
}

/// A graph may have an operation twice, on the same operands. A kernel has it once, whoever reads it.
#[test]
fn a_kernel_computes_nothing_twice() {
    let mut graph = Graph::new("twice");
    let x = graph.input("x", f32s([64, 10]));
    let twice = |graph: &mut Graph| {
        let square = graph.mul(x, x);
        graph.exp(square)
    };
    let (one, other) = (twice(&mut graph), twice(&mut graph));
    let (sum, cube) = (graph.add(one, x), graph.mul(other, x));
    graph.add_output(Role::Output, "y", sum);
    graph.add_output(Role::Output, "z", cube);
    let plan = checked(&graph);
    assert_eq!(plan.kernels.len(), 1);
    assert_eq!(plan::print_kernels(&plan).matches(" = exp ").count(), 1, "{}", text(&plan));
}

#[test]
fn softmax_is_one_kernel_over_rows() {
    let mut graph = Graph::new("softmax");
    let x = graph.input("x", f32s([64, 10]));
    let y = softmax(&mut graph, x);
    graph.add_output(Role::Output, "y", y);
    let plan = checked(&graph);
    assert_eq!(plan.steps.len(), 1);
    insta::assert_snapshot!(text(&plan));
}

/// The derivatives of sigmoid and tanh at a value that a product of matrices gives, as the simplifier writes them, after
/// another product.
#[test]
fn slopes_share_the_exponential_of_the_function() {
    let mut graph = Graph::new("slopes");
    let (x, w) = (graph.input("x", f32s([5, 7])), graph.param("w", f32s([7, 7]), Init::Constant(0.1.into())));
    let h = graph.matmul(x, w);
    let (s, t) = (graph.sigmoid(h), graph.tanh(h));
    let (y, z) = (graph.matmul(s, w), graph.matmul(t, w));
    let negative = graph.neg(h);
    let complement = graph.sigmoid(negative);
    let slope = graph.mul(s, complement);
    let d_sigmoid = graph.mul(y, slope);
    let magnitude = graph.abs(h);
    let minus_two = graph.full_like(h, -2.0);
    let scaled = graph.mul(minus_two, magnitude);
    let tail = graph.sigmoid(scaled);
    let (size, one) = (graph.abs(t), graph.full_like(t, 1.0));
    let factor = graph.add(size, one);
    let slope = graph.mul(factor, tail);
    let d_tanh = graph.mul(z, slope);
    graph.add_output(Role::Output, "d_sigmoid", d_sigmoid);
    graph.add_output(Role::Output, "d_tanh", d_tanh);
    let plan = checked(&graph);
    insta::assert_snapshot!(text(&plan));
}

#[test]
fn shared_exponentials_are_right_where_functions_saturate() {
    let mut graph = Graph::new("saturated");
    let x = graph.input("x", f32s([19]));
    let (s, t, negative, magnitude) = (graph.sigmoid(x), graph.tanh(x), graph.neg(x), graph.abs(x));
    let minus_two = graph.full_like(x, -2.0);
    let scaled = graph.mul(magnitude, minus_two);
    let (complement, tail) = (graph.sigmoid(negative), graph.sigmoid(scaled));
    // As in the derivative of an approximation of GELU.
    let factors = [1.6, -1.6].map(|factor| graph.full_like(x, factor));
    let [scaled, opposite] = factors.map(|factor| graph.mul(x, factor));
    let (steep, opposite) = (graph.sigmoid(scaled), graph.sigmoid(opposite));
    for (name, value) in
        [("s", s), ("t", t), ("complement", complement), ("tail", tail), ("steep", steep), ("opposite", opposite)]
    {
        graph.add_output(Role::Output, name, value);
    }
    let inf = f64::INFINITY;
    let numbers = [
        0.0,
        -0.0,
        1e-30,
        -1e-30,
        1e-3,
        -1e-3,
        0.4,
        -0.4,
        1.0,
        -1.0,
        9.0,
        -9.0,
        17.5,
        -17.5,
        43.0,
        -43.0,
        inf,
        -inf,
        f64::NAN,
    ];
    let bindings = [(x, Tensor::new(f32s([19]), numbers.to_vec()))];
    let plan = check(&graph, &bindings, 1e-6);
    let kernels = plan::print_kernels(&plan);
    assert!(!kernels.contains("= sigmoid") && kernels.matches("= exp").count() == 3, "{kernels}");
    let results = plan::evaluate(&plan, &leaves(&graph, &bindings));
    let expected = gradc_interp::evaluate(&graph, &bindings).unwrap();
    for (output, expected) in graph.outputs().iter().zip(&expected) {
        let slot = plan.interface.iter().position(|slot| slot.name == *output.name).unwrap();
        for (&found, &right) in results[slot].data().iter().zip(expected.data()) {
            let close = (found - right).abs() <= 1e-6 * right.abs() || found.is_nan() && right.is_nan();
            assert!(close, "{}: {found:e}, not {right:e}", output.name);
        }
    }
}

/// What is made of a few values that both readers load anyway is computed by both, however often it reads these.
#[test]
fn what_is_in_an_expression_several_times_is_computed_once() {
    let mut graph = Graph::new("square");
    let (product, bias) = (graph.input("product", f32s([6, 6])), graph.input("bias", f32s([6])));
    let bias = graph.broadcast(bias, &[1], &[6, 6]);
    let x = graph.add(product, bias);
    let scaled = graph.scale(x, 0.5);
    let square = graph.mul(x, scaled);
    let h = graph.exp(square);
    let y = graph.matmul(h, product);
    let z = graph.mul(square, y);
    graph.add_output(Role::Output, "z", z);
    let plan = checked(&graph);
    // Leaves, the result, `h` and `y` are in memory.
    assert_eq!(plan.buffers.len(), 5, "{}", text(&plan));
}

/// A scaled image that is read as rows is not written for it.
#[test]
fn a_reshape_of_what_is_broadcast_takes_no_memory() {
    let mut graph = Graph::new("rows");
    let (x, w) = (graph.input("x", f32s([6, 5])), graph.param("w", f32s([5, 8]), Init::Constant(0.1.into())));
    let (gain, shift) = (graph.input("gain", f32s([4])), graph.input("shift", f32s([3, 2])));
    let product = graph.matmul(x, w);
    let image = graph.reshape(product, &[3, 4, 4]);
    let gain = graph.broadcast(gain, &[2], &[3, 4, 4]);
    let scaled = graph.mul(image, gain);
    let rows = graph.reshape(scaled, &[12, 4]);
    let total = graph.reduce_sum(rows, &[0]);
    let spread = graph.broadcast(total, &[1], &[12, 4]);
    let centred = graph.sub(rows, spread);
    // Its axes are merged to one of which it has a part only: no broadcast is left.
    let wide = graph.reshape(product, &[3, 2, 8]);
    let shift = graph.broadcast(shift, &[0, 1], &[3, 2, 8]);
    let shifted = graph.add(wide, shift);
    let flat = graph.reshape(shifted, &[3, 16]);
    let negative = graph.neg(flat);
    graph.add_output(Role::Output, "centred", centred);
    graph.add_output(Role::Output, "negative", negative);
    let plan = checked(&graph);
    // Leaves, results, the product, which `shifted` is written over, and `total`.
    assert_eq!(plan.buffers.len(), 8, "{}", text(&plan));
}

/// `x` without its mean over rows, as a result in a role, beside the sums as an output.
fn centred(role: Role) -> Plan {
    let mut graph = Graph::new("centred");
    let x = graph.input("x", f32s([64, 10]));
    let sum = graph.reduce_sum(x, &[1]);
    let share = graph.full_like(sum, 0.1);
    let mean = graph.mul(share, sum);
    let shape = graph.shape(x).clone();
    let mean = graph.broadcast_back(mean, &[1], &shape);
    let y = graph.sub(x, mean);
    graph.add_output(Role::Output, "sum", sum);
    graph.add_output(role, "x", y);
    checked(&graph)
}

#[test]
fn derivatives_take_no_second_pass_for_their_mean() {
    let passes = |plan: &Plan| plan::print_kernels(plan).matches("accumulator").count();
    assert_eq!(passes(&centred(Role::Output)), 2);
    assert_eq!(passes(&centred(Role::Gradient)), 1);
}

/// Two functions of unrelated vectors.
fn unrelated(elements: usize) -> Plan {
    let mut graph = Graph::new("unrelated");
    for name in ["a", "b"] {
        let x = graph.input(name, f32s([elements]));
        let y = graph.exp(x);
        graph.add_output(Role::Output, format!("e.{name}"), y);
    }
    checked(&graph)
}

#[test]
fn what_is_small_is_computed_beside_anything_of_its_shape() {
    assert_eq!(unrelated(17).steps.len(), 1);
    assert_eq!(unrelated(10_000).steps.len(), 2);
}

#[test]
fn a_constant_result_is_written_beside_anything_of_its_shape() {
    let mut graph = Graph::new("constant");
    let x = graph.input("x", f32s([10_000]));
    let (y, zero) = (graph.exp(x), graph.full_like(x, 0.0));
    graph.add_output(Role::Output, "y", y);
    graph.add_output(Role::Gradient, "x", zero);
    assert_eq!(checked(&graph).steps.len(), 1);
}

/// A number times the sums of columns.
fn multiple_of_sums(rows: usize) -> Plan {
    let mut graph = Graph::new("multiple");
    let x = graph.input("x", f32s([rows, 3]));
    let sum = graph.reduce_sum(x, &[0]);
    let factor = graph.full_like(sum, 0.3);
    let y = graph.mul(factor, sum);
    graph.add_output(Role::Gradient, "y", y);
    checked(&graph)
}

#[test]
fn few_sums_are_multiplied_before_they_are_added_up() {
    assert_eq!(multiple_of_sums(100).steps.len(), 1);
    assert_eq!(plan::print_kernels(&multiple_of_sums(100)).matches("mul").count(), 1);
    assert!(multiple_of_sums(2_000).steps.len() > 1);
}

/// A vector that rows of a matrix are multiplied by is there before them, wherever the graph has it.
#[test]
fn what_is_spread_is_computed_before_what_reads_it_elsewhere() {
    let mut graph = Graph::new("spread");
    let x = graph.input("x", f32s([50, 6]));
    let (v, shape) = (graph.input("v", f32s([6])), graph.shape(x).clone());
    let root = graph.reduce_sum(x, &[0]);
    let y = graph.exp(x);
    let root = graph.exp(root);
    let factor = graph.mul(root, v);
    let spread = graph.broadcast_back(factor, &[0], &shape);
    let z = graph.mul(y, spread);
    graph.add_output(Role::Output, "y", y);
    graph.add_output(Role::Output, "z", z);
    assert_eq!(checked(&graph).steps.len(), 3);
}

#[test]
fn a_sum_over_an_axis_is_computed_with_what_reads_it_as_several() {
    let mut graph = Graph::new("split");
    let x = graph.input("x", f32s([80, 6]));
    let e = graph.neg(x);
    let bias = graph.reduce_sum(e, &[0]);
    let rows = graph.reshape(e, &[8, 10, 6]);
    let max = graph.reduce_max(rows, &[2]);
    graph.add_output(Role::Gradient, "bias", bias);
    graph.add_output(Role::Output, "max", max);
    assert_eq!(checked(&graph).steps.len(), 1);
}

#[test]
fn layer_norm_is_one_kernel_over_rows() {
    let mut graph = Graph::new("layer_norm");
    let x = graph.input("x", f32s([64, 128]));
    let gain = graph.param("gain", f32s([128]), Init::Constant(1.0.into()));
    let shape = graph.shape(x).clone();
    let sum = graph.reduce_sum(x, &[1]);
    let mean = graph.scale(sum, 1.0 / 128.0);
    let mean = graph.broadcast_back(mean, &[1], &shape);
    let centred = graph.sub(x, mean);
    let square = graph.mul(centred, centred);
    let sum = graph.reduce_sum(square, &[1]);
    let variance = graph.scale(sum, 1.0 / 128.0);
    let eps = graph.full_like(variance, 1e-5);
    let variance = graph.add(variance, eps);
    let scale = graph.rsqrt(variance);
    let scale = graph.broadcast_back(scale, &[1], &shape);
    let normal = graph.mul(centred, scale);
    let gain = graph.broadcast(gain, &[1], &shape);
    let y = graph.mul(normal, gain);
    graph.add_output(Role::Output, "y", y);
    let plan = checked(&graph);
    assert_eq!(plan.steps.len(), 1);
    insta::assert_snapshot!(text(&plan));
}

/// A dense layer with relu, its backward pass, and Adam.
#[test]
fn dense_layer_and_its_update() {
    let mut graph = Graph::new("dense");
    let x = graph.input("x", f32s([8, 4]));
    let w = graph.param("w", f32s([4, 6]), Init::Constant(0.5.into()));
    let b = graph.param("b", f32s([6]), Init::Constant(0.5.into()));
    let product = graph.matmul(x, w);
    let bias = graph.broadcast(b, &[1], &[8, 6]);
    let h = graph.add(product, bias);
    let zero = graph.full_like(h, 0.0);
    let negative = graph.le(h, zero);
    let y = graph.select(negative, zero, h);
    let loss = graph.reduce_sum(y, &[0, 1]);
    graph.add_output(Role::Loss, "loss", loss);
    let one = graph.full_like(h, 1.0);
    let dh = graph.select(negative, zero, one);
    let dw = graph.matmul_with(x, true, dh, false);
    let db = graph.reduce_sum(dh, &[0]);
    for (name, leaf, gradient) in [("w", w, dw), ("b", b, db)] {
        adam(&mut graph, name, leaf, gradient);
    }
    let plan = checked(&graph);
    insta::assert_snapshot!(text(&plan));
    assert_eq!(plan.steps.len(), 5);
}

fn adam(graph: &mut Graph, name: &str, leaf: ValueId, gradient: ValueId) {
    let ty = graph.ty(leaf).clone();
    let m = graph.state(format!("m.{name}"), ty.clone(), Init::Constant(0.0.into()));
    let v = graph.state(format!("v.{name}"), ty, Init::Constant(0.0.into()));
    let (old, new) = (graph.scale(m, 0.9), graph.scale(gradient, 0.1));
    let m_next = graph.add(old, new);
    let square = graph.mul(gradient, gradient);
    let (old, new) = (graph.scale(v, 0.999), graph.scale(square, 0.001));
    let v_next = graph.add(old, new);
    // The state is drawn from both sides of zero here.
    let root = graph.abs(v_next);
    let root = graph.sqrt(root);
    let eps = graph.full_like(root, 1e-3);
    let root = graph.add(root, eps);
    let step = graph.div(m_next, root);
    let step = graph.scale(step, 1e-3);
    let next = graph.sub(leaf, step);
    graph.add_output(Role::Update, name, next);
    graph.add_output(Role::Update, format!("m.{name}"), m_next);
    graph.add_output(Role::Update, format!("v.{name}"), v_next);
}

#[test]
fn steps_of_products_and_kernels_alternate() {
    let mut graph = Graph::new("products");
    let x = graph.input("x", f32s([4, 4]));
    let t = graph.transpose_last(x);
    let y = graph.matmul(t, x);
    let y = graph.matmul(y, t);
    graph.add_output(Role::Output, "y", y);
    let plan = checked(&graph);
    assert!(plan.steps.iter().all(|step| matches!(step, Step::Gemm(_))), "transpositions are strides");
}

/// What moves elements or finds them at run time, in one graph: gather, one-hot, slices, concatenation, padding, scatter.
#[test]
fn moved_and_indexed_elements() {
    let mut graph = Graph::new("moved");
    let table = graph.param("table", f32s([9, 4]), Init::Constant(0.5.into()));
    let ids = graph.input("ids", TensorType::new(DType::I32, [6]));
    let rows = graph.gather(table, ids, 0);
    let marks = graph.one_hot(ids, 4, DType::F32);
    let sum = graph.add(rows, marks);
    let left = graph.slice(sum, &[0, 0], &[6, 2], &[1, 1]);
    let right = graph.slice(sum, &[0, 2], &[6, 4], &[1, 1]);
    let product = graph.mul(left, right);
    let joined = graph.concat(&[product, left], 1);
    graph.add_output(Role::Output, "joined", joined);
    let padded = graph.pad(right, &[1, 0], &[0, 0], &[0, 1], 0.0);
    graph.add_output(Role::Output, "padded", padded);
    let gradient = graph.scatter_add(ids, joined, 0, 9);
    let step = graph.scale(gradient, 0.1);
    let next = graph.sub(table, step);
    graph.add_output(Role::Update, "table", next);
    let plan = checked(&graph);
    insta::assert_snapshot!(text(&plan));
}

/// Sums over the first, the last, the middle and all axes; and a reshape that moves nothing.
#[test]
fn reductions_over_any_axes() {
    let mut graph = Graph::new("reductions");
    let x = graph.input("x", f32s([4, 3, 5]));
    let square = graph.mul(x, x);
    for axes in [&[0][..], &[2], &[1], &[0, 2], &[0, 1, 2]] {
        let sum = graph.reduce_sum(square, axes);
        graph.add_output(Role::Output, format!("over {axes:?}"), sum);
    }
    let flat = graph.reshape(square, &[12, 5]);
    let last = graph.reduce_max(flat, &[1]);
    graph.add_output(Role::Output, "reshaped", last);
    let plan = checked(&graph);
    insta::assert_snapshot!(text(&plan));
}

/// A convolution is a product that reads the windows where they are; bias, rectifier and pooling are one kernel. What overlaps is
/// added up in vectors.
#[test]
fn windows_are_read_through() {
    let windows = |size, stride| Windows { size, stride, dilation: 1 };
    let mut graph = Graph::new("convolution");
    let x = graph.input("x", f32s([2, 8, 8, 3]));
    let filters = graph.param("filters", f32s([27, 4]), Init::Constant(0.5.into()));
    let bias = graph.param("bias", f32s([4]), Init::Constant(0.5.into()));
    let rows = graph.window(x, 1, windows(3, 1));
    let both = graph.window(rows, 3, windows(3, 1));
    let parts = graph.transpose(both, &[0, 1, 3, 2, 4, 5]);
    let matrix = graph.reshape(parts, &[72, 27]);
    let product = graph.matmul(matrix, filters);
    let image = graph.reshape(product, &[2, 6, 6, 4]);
    let shape = graph.shape(image).clone();
    let bias = graph.broadcast(bias, &[3], &shape);
    let sum = graph.add(image, bias);
    let zero = graph.full_like(sum, 0.0);
    let active = graph.max(sum, zero);
    let rows = graph.window(active, 1, windows(2, 2));
    let both = graph.window(rows, 3, windows(2, 2));
    let pool = graph.reduce_max(both, &[2, 4]);
    graph.add_output(Role::Output, "pool", pool);
    let back = graph.overlap_add(both, 3, 7, 2, 1);
    graph.add_output(Role::Output, "back", back);
    let plan = checked(&graph);
    insta::assert_snapshot!(text(&plan));
}

/// The gradient of a pool goes to each element of its windows, and through the rectifier before it: that is one kernel, although
/// what the rectifier has is the rows of a matrix.
#[test]
fn what_is_computed_for_windows_is_in_memory_once() {
    let mut graph = Graph::new("pool");
    let (x, w) = (graph.input("x", f32s([32, 5])), graph.input("w", f32s([5, 3])));
    let (g, bias) = (graph.input("g", f32s([2, 2, 2, 3])), graph.input("bias", f32s([3])));
    let product = graph.matmul(x, w);
    let wide = graph.broadcast(bias, &[1], &[32, 3]);
    let sum = graph.add(product, wide);
    let zero = graph.full_like(sum, 0.0);
    let mask = graph.le(sum, zero);
    let windows = graph.broadcast(g, &[0, 1, 3, 5], &[2, 2, 2, 2, 2, 3]);
    let image = graph.reshape(sum, &[2, 2, 2, 2, 2, 3]);
    let wave = graph.tanh(image);
    let spread = graph.mul(windows, wave);
    let rows = graph.reshape(spread, &[32, 3]);
    let back = graph.select(mask, zero, rows);
    let total = graph.reduce_sum(back, &[0]);
    graph.add_output(Role::Output, "total", total);
    let dw = graph.matmul_with(x, true, back, false);
    graph.add_output(Role::Output, "dw", dw);
    let plan = checked(&graph);
    // The product, the gradient in its place, its sum, and the gradient of the weights.
    assert_eq!((plan.steps.len(), plan.arena_bytes), (4, 32 * 3 * 4), "{}", text(&plan));
}
