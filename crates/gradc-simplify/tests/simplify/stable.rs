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
    check_in(&[Mode::Accurate, Mode::Fast], x, naive, stable);
}

fn check_in(modes: &[Mode], x: &[f64], naive: &str, stable: &str) {
    let text = |loss: &str| format!("model m {{ input x: f32[3, 4]\n loss {loss} }}");
    for &mode in modes {
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

/// Textbook formulas and what they are, stably written. All are held to their values and gradients at ±1e4.
const SPELLINGS: &[(&str, &str)] = &[
    // log(1 + exp(x)), with its argument scaled and shifted, in other places and views.
    ("sum(log(1 + exp(x)))", "sum(softplus(x))"),
    ("sum(log(exp(x) + 1))", "sum(softplus(x))"),
    ("sum(log1p(exp(x)))", "sum(softplus(x))"),
    ("sum(log(1 + exp(-x)))", "sum(softplus(-x))"),
    ("sum(log(1 + exp(2 * x + 1)))", "sum(softplus(2 * x + 1))"),
    ("sum(log(1 + exp(-0.5 * x - 3)) / 7)", "sum(softplus(-0.5 * x - 3)) / 7"),
    ("sum(log(1 + exp(x.T)) * 0.5)", "sum(softplus(x)) * 0.5"),
    ("sum(log(1 + exp(x[:, 1:3])))", "sum(softplus(x[:, 1:3]))"),
    ("sum(log(1 + exp(x[:, 1:] - x[:, :3])))", "sum(softplus(x[:, 1:] - x[:, :3]))"),
    ("sum(log(exp(x[:, 1:]) + exp(x[:, :3])))", "sum(logsumexp(stack([x[:, 1:], x[:, :3]], -1)))"),
    // The sigmoid.
    ("sum(1 / (1 + exp(-x)))", "sum(sigmoid(x))"),
    ("sum(1 / (exp(-x) + 1))", "sum(sigmoid(x))"),
    ("sum(1 / (1 + exp(x)))", "sum(sigmoid(-x))"),
    ("sum(exp(x) / (1 + exp(x)))", "sum(sigmoid(x))"),
    ("sum(exp(-x) / (1 + exp(-x)))", "sum(sigmoid(-x))"),
    ("sum(1 / (1 + exp(-(3 * x - 2))))", "sum(sigmoid(3 * x - 2))"),
    ("sum(1 - sigmoid(x))", "sum(sigmoid(-x))"),
    ("sum(1 - 1 / (1 + exp(-x)))", "sum(sigmoid(-x))"),
    ("sum(x / (1 + exp(-x)))", "sum(silu(x))"),
    ("sum(2 * x / (1 + exp(-1.702 * x)))", "2 * sum(x * sigmoid(1.702 * x))"),
    // Its logarithm.
    ("-sum(log(sigmoid(x)))", "sum(softplus(-x))"),
    ("-sum(log(1 - sigmoid(x)))", "sum(softplus(x))"),
    ("-sum(log(1 / (1 + exp(-x))))", "sum(softplus(-x))"),
    ("-sum(log(1 - 1 / (1 + exp(-x))))", "sum(softplus(x))"),
    ("-sum(log(sigmoid(2 * x)))", "sum(softplus(-2 * x))"),
    ("-sum(log(sigmoid(x.T)))", "sum(softplus(-x))"),
    ("-sum(log(sigmoid(x)[:, 1:3]))", "sum(softplus(-x[:, 1:3]))"),
    ("-sum(log(sigmoid(x[:, 1:] - x[:, :3])))", "sum(softplus(x[:, :3] - x[:, 1:]))"),
    ("-sum(log(sigmoid(x) * sigmoid(2 * x)))", "sum(softplus(-x) + softplus(-2 * x))"),
    ("-sum(log(sigmoid(x[:, 0]) * sigmoid(x[:, 1]) * sigmoid(x[:, 2])))", "sum(softplus(-x[:, :3]))"),
    // Binary cross-entropy.
    ("-mean(0.3 * log(sigmoid(x)) + 0.7 * log(1 - sigmoid(x)))", "mean(softplus(x) - 0.3 * x)"),
    ("-mean(log(1 / (1 + exp(-x))) * 0.9 + log(1 - 1 / (1 + exp(-x))) * 0.1)", "mean(softplus(x) - 0.9 * x)"),
    // The hyperbolic tangent.
    ("sum((exp(x) - exp(-x)) / (exp(x) + exp(-x)))", "sum(tanh(x))"),
    ("sum((exp(2 * x) - 1) / (exp(2 * x) + 1))", "sum(tanh(x))"),
    ("sum((1 - exp(-2 * x)) / (1 + exp(-2 * x)))", "sum(tanh(x))"),
    ("sum(2 / (1 + exp(-2 * x)) - 1)", "sum(tanh(x))"),
    ("sum(1 - 2 / (exp(2 * x) + 1))", "sum(tanh(x))"),
    // Softmax, over any axis, with batch dims.
    ("sum(exp(x) / sum(exp(x), axis = -1, keep = true) * cast(iota(4), f32))", "sum(softmax(x) * cast(iota(4), f32))"),
    ("sum(exp(x) / sum(exp(x), axis = 0, keep = true) * x)", "sum(softmax(x, 0) * x)"),
    ("sum(exp(x.T) / sum(exp(x.T), axis = 0) * x.T)", "sum(softmax(x) * x)"),
    ("sum(exp(3 * x - 1) / sum(exp(3 * x - 1), axis = -1, keep = true) * x)", "sum(softmax(3 * x - 1) * x)"),
    ("sum(exp(x) * (1 / sum(exp(x), axis = -1, keep = true)) * x)", "sum(softmax(x) * x)"),
    (
        "sum(exp(reshape(x, [3, 2, 2])) / sum(exp(reshape(x, [3, 2, 2])), axis = [1, 2], keep = true) * reshape(x, [3, 2, 2]))",
        "sum(softmax(x) * x)",
    ),
    // Its logarithm.
    ("-sum(log(exp(x) / sum(exp(x), axis = -1, keep = true)) * 0.25)", "-sum(log_softmax(x) * 0.25)"),
    ("-sum(log(softmax(x)) * 0.25)", "-sum(log_softmax(x) * 0.25)"),
    ("-sum(log(softmax(x, 0)))", "-sum(log_softmax(x, 0))"),
    ("-sum(log(softmax(x).T))", "-sum(log_softmax(x))"),
    ("-sum(log(softmax(x)[:, 1:3]))", "-sum(log_softmax(x)[:, 1:3])"),
    ("-sum(log(softmax(x).T[1:3]))", "-sum(log_softmax(x)[:, 1:3])"),
    ("-sum(log((exp(x) / sum(exp(x), axis = -1, keep = true))[:, 2]))", "-sum(log_softmax(x)[:, 2])"),
    ("-sum(log(reshape(softmax(2 * x - 1), [12])))", "-sum(log_softmax(2 * x - 1))"),
    ("sum(x - log(sum(exp(x), axis = -1, keep = true)))", "sum(log_softmax(x))"),
    // log(sum(exp(x))).
    ("sum(log(sum(exp(x), axis = -1)))", "sum(logsumexp(x))"),
    ("sum(log(sum(exp(x), axis = 0)))", "sum(logsumexp(x, 0))"),
    ("log(sum(exp(x)))", "logsumexp(reshape(x, [12]))"),
    ("sum(log(sum(exp(-2 * x), axis = -1)))", "sum(logsumexp(-2 * x))"),
    ("sum(log(mean(exp(x), axis = -1)))", "sum(logsumexp(x) - log(4.0))"),
    ("sum(sqrt(x * x))", "sum(abs(x))"),
];

#[test]
fn naive_formulas_are_made_stable() {
    let fails = |(naive, stable): &&(&str, &str)| std::panic::catch_unwind(|| check(naive, stable)).is_err();
    let failed: Vec<&str> = SPELLINGS.iter().filter(fails).map(|(naive, _)| *naive).collect();
    assert!(failed.is_empty(), "not stable, as said above: {failed:#?}");
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

/// Formulas in which a selection keeps out what is not finite, in the value or in the derivative. Fast mode takes all numbers to
/// be finite.
const GUARDED: &[&str] = &[
    "sum(select(2 * x == 0, 0, 2 * x * log(abs(x))))",
    "sum(select(x == 0, 0, 1 / x))",
    "0.5 * sum(square(select(x == 0, 0, 1 / x)))",
    "sum(sqrt(abs(x))) * sum(sqrt(abs(x)))",
    "sum(select(x > 0, tanh(3 * sqrt(x) * (1 / x)) * x, 0))",
    "sum(select(x > 0, log(x), 0) * select(x > 0, x, 0))",
    "sum(select(x > 0, sqrt(x), 0) - select(x > 0, log(x), 1) / 3)",
];

#[test]
fn what_is_not_selected_has_no_effect() {
    for formula in GUARDED {
        check_in(
            &[Mode::Strict, Mode::Accurate],
            &[0.0, 4.0, 1.0, 0.0, 9.0, 0.25, 0.0, 2.0, -1.0, -4.0, 0.0, 3.0],
            formula,
            formula,
        );
    }
}

/// A formula without a product of matrices is one block, and a long one is cut. Its slopes have to stay with what they are slopes of.
#[test]
fn slopes_in_long_formulas_keep_their_digits() {
    for steps in [10, 60, 150] {
        for (at, naive) in
            [(17.0, "1 / (1 + exp(-x - 0.001 * s))"), (17.0, "sigmoid(x + 0.001 * s)"), (9.0, "tanh(x + 0.001 * s)")]
        {
            let text = format!(
                "model m {{
                    input x: f32[3, 4]
                    let s = 0 * x
                    for i in 0..{steps} {{ s = s * 0.9 + {naive} }}
                    loss sum(s)
                }}"
            );
            let oracle = crate::common::differentiated(&model(naive, &text).in_precision(DType::F64));
            let (_, expected) = loss_and_gradient(&oracle, &[at; 12]);
            let raw = raw_gradient(&model(naive, &text), Mode::Accurate);
            let (_, found) = loss_and_gradient(&simplify(&raw, &Options::in_mode(Mode::Accurate)).graph, &[at; 12]);
            let error = (found[0] / expected[0] - 1.0).abs();
            assert!(error < 1e-4, "{naive}, {steps} steps: {} not {}", found[0], expected[0]);
        }
    }
}
