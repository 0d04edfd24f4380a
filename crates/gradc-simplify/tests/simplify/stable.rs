//! Naive formulas give finite and right values and gradients at ±1e4 in f32.

use gradc_interp::evaluate;
use gradc_ir::text::print;
use gradc_ir::{DType, Graph, LeafKind, Role, Tensor};
use gradc_simplify::{Mode, Options, simplify};

use crate::common::{model, raw_gradient};

/// Inputs at which naive formulas break.
const X: [f64; 12] = [1e4, -1e4, 100.0, -100.0, 20.0, -20.0, 0.0, 1e-6, -1.0, 3.0, 5e3, -7e3];

/// The loss of a model on `x: f32[3, 4]`, and its gradient by `x`.
fn loss_and_gradient(graph: &Graph, x_values: &[f64]) -> (f64, Vec<f64>) {
    let x = graph.find_leaf(LeafKind::Input, "x").expect("the model has an input x");
    let tensor = Tensor::new(graph.ty(x).clone(), x_values.to_vec());
    let results = evaluate(graph, &[(x, tensor)]).expect("x is the only input");
    let result = |role: Role| {
        let position = graph.outputs().iter().position(|output| output.role == role).expect("there is one");
        results[position].data().to_vec()
    };
    (result(Role::Loss)[0], result(Role::Gradient))
}

/// The loss written naively against the value and the gradient that a stable definition has in double precision.
fn check(naive: &str, stable: &str) {
    check_at(&X, naive, stable);
}

fn check_at(x: &[f64], naive: &str, stable: &str) {
    let text = |loss: &str| format!("model m {{ input x: f32[3, 4]\n loss {loss} }}");
    for mode in [Mode::Accurate, Mode::Fast] {
        let raw = raw_gradient(&model(naive, &text(naive)), mode);
        let simplified = simplify(&raw, &Options::in_mode(mode)).graph;
        let (value, gradient) = loss_and_gradient(&simplified, x);
        let oracle = crate::common::differentiated(&model(stable, &text(stable)).in_precision(DType::F64));
        let (expected, expected_gradient) = loss_and_gradient(&oracle, x);
        let context = || format!("{mode}: {naive}\n{}", print(&simplified));
        assert!((value - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{value} not {expected}\n{}", context());
        for (found, expected) in gradient.iter().zip(&expected_gradient) {
            let close = (found - expected).abs() <= 1e-5 * (expected.abs() + 1e-3);
            assert!(close, "gradient {found:e} not {expected:e}\n{}", context());
        }
    }
}

#[test]
fn log_of_softmax() {
    let naive = "-sum(log(exp(x) / sum(exp(x), axis = -1, keep = true)) * 0.25)";
    check(naive, "-sum(log_softmax(x) * 0.25)");
}

#[test]
fn log_of_softmax_of_the_prelude() {
    check("-sum(log(softmax(x)) * 0.25)", "-sum(log_softmax(x) * 0.25)");
}

#[test]
fn softmax() {
    let weights = "cast(iota(4), f32)";
    check(
        &format!("sum(exp(x) / sum(exp(x), axis = -1, keep = true) * {weights})"),
        &format!("sum(softmax(x) * {weights})"),
    );
}

#[test]
fn log_sum_exp() {
    check("sum(log(sum(exp(x), axis = -1)))", "sum(logsumexp(x))");
}

#[test]
fn softplus() {
    check("sum(log(1 + exp(x)))", "sum(softplus(x))");
    check("sum(log1p(exp(x)))", "sum(softplus(x))");
}

#[test]
fn sigmoid() {
    check("sum(1 / (1 + exp(-x)))", "sum(sigmoid(x))");
    check("sum(exp(x) / (1 + exp(x)))", "sum(sigmoid(x))");
    check("sum(1 / (exp(-x) + 1))", "sum(sigmoid(x))");
}

#[test]
fn log_of_sigmoid() {
    check("-sum(log(sigmoid(x)))", "sum(softplus(-x))");
    check("-sum(log(1 - sigmoid(x)))", "sum(softplus(x))");
    check("-sum(log(1 / (1 + exp(-x))))", "sum(softplus(-x))");
}

#[test]
fn tanh_of_exponentials() {
    check("sum((exp(x) - exp(-x)) / (exp(x) + exp(-x)))", "sum(tanh(x))");
}

#[test]
fn root_of_variance() {
    let far = [10001.0, 10002.0, 10003.0, 10005.0, -9999.0, -9998.0, -9990.0, -9991.0, 1e4, 9e3, 8e3, 7e3];
    let mean = "mean(x, axis = -1)";
    check_at(
        &far,
        &format!("sum(sqrt(mean(x * x, axis = -1) - {mean} * {mean}))"),
        "sum(sqrt(mean(square(x - mean(x, axis = -1, keep = true)), axis = -1)))",
    );
}
