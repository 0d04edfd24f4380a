//! Deep networks: plans grow linearly, and equal layers share their kernels.

use gradc_ir::{DType, Graph, Init, Role, TensorType, ValueId};
use gradc_schedule::plan::{Plan, Step};
use gradc_schedule::{Options, schedule};

/// A training step of a residual network of dense layers with layer norm, written out by hand: forward, backward, momentum.
fn network(layers: usize) -> Graph {
    let (batch, width) = (8, 16);
    let mut graph = Graph::new("deep");
    let ty = TensorType::new(DType::F32, [batch, width]);
    let x = graph.input("x", ty.clone());
    let mut h = x;
    let mut saved = Vec::new();
    for i in 0..layers {
        let w = graph.param(format!("w.{i}"), TensorType::new(DType::F32, [width, width]), Init::Constant(0.1.into()));
        let b = graph.param(format!("b.{i}"), TensorType::new(DType::F32, [width]), Init::Constant(0.0.into()));
        let normal = normalise(&mut graph, h);
        let product = graph.matmul(normal, w);
        let bias = graph.broadcast(b, &[1], &[batch, width]);
        let z = graph.add(product, bias);
        let a = graph.tanh(z);
        saved.push((w, b, normal, a));
        h = graph.add(h, a);
    }
    let loss = graph.reduce_sum(h, &[0, 1]);
    graph.add_output(Role::Loss, "loss", loss);
    let mut g = graph.full(1.0, &ty);
    for (i, (w, b, normal, a)) in saved.into_iter().enumerate().rev() {
        let square = graph.mul(a, a);
        let one = graph.full(1.0, &ty);
        let slope = graph.sub(one, square);
        let dz = graph.mul(g, slope);
        let dw = graph.matmul_with(normal, true, dz, false);
        let db = graph.reduce_sum(dz, &[0]);
        let dh = graph.matmul_with(dz, false, w, true);
        g = graph.add(g, dh);
        momentum(&mut graph, w, dw, &format!("w.{i}"));
        momentum(&mut graph, b, db, &format!("b.{i}"));
    }
    graph
}

fn normalise(graph: &mut Graph, x: ValueId) -> ValueId {
    let shape = graph.shape(x).clone();
    let sum = graph.reduce_sum(x, &[1]);
    let mean = graph.scale(sum, 1.0 / shape[1] as f64);
    let mean = graph.broadcast_back(mean, &[1], &shape);
    let centred = graph.sub(x, mean);
    let square = graph.mul(centred, centred);
    let sum = graph.reduce_sum(square, &[1]);
    let eps = graph.full_like(sum, 1e-5);
    let sum = graph.add(sum, eps);
    let scale = graph.rsqrt(sum);
    let scale = graph.broadcast_back(scale, &[1], &shape);
    graph.mul(centred, scale)
}

fn momentum(graph: &mut Graph, leaf: ValueId, gradient: ValueId, name: &str) {
    let ty = graph.ty(leaf).clone();
    let velocity = graph.state(format!("v.{name}"), ty, Init::Constant(0.0.into()));
    let decayed = graph.scale(velocity, 0.9);
    let velocity = graph.add(decayed, gradient);
    let step = graph.scale(velocity, 0.01);
    let next = graph.sub(leaf, step);
    graph.add_output(Role::Update, name, next);
    graph.add_output(Role::Update, format!("v.{name}"), velocity);
}

fn plan(layers: usize) -> Plan {
    schedule(&network(layers), &Options::default())
}

fn products(plan: &Plan) -> usize {
    plan.steps.iter().filter(|step| matches!(step, Step::Gemm(_))).count()
}

#[test]
fn plans_grow_linearly() {
    let plans = [100, 200, 1000].map(plan);
    let steps = plans.each_ref().map(|plan| plan.steps.len());
    let buffers = plans.each_ref().map(|plan| plan.buffers.len());
    assert_eq!(steps[2] - steps[1], 8 * (steps[1] - steps[0]));
    assert_eq!(buffers[2] - buffers[1], 8 * (buffers[1] - buffers[0]));
    // Three products (the input needs no derivative), one kernel forward, one backward, two updates.
    assert_eq!(steps[1] - steps[0], 100 * 7);
    assert_eq!(plans.each_ref().map(products), [299, 599, 2999]);
    assert_eq!(plans[0].kernels.len(), plans[2].kernels.len(), "equal layers share their kernels");
}
