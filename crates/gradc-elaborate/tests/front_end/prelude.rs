//! The functions of the prelude compute what they say, and stay finite where the textbook form does not.

use gradc_autodiff::gradient;
use gradc_interp::{bind, evaluate, evaluate_values};
use gradc_ir::{DType, LeafKind, Tensor, TensorType};

use crate::support::run_text;

/// Far from 0 on both sides, where naive forms overflow, underflow or cancel.
const POINTS: [f64; 15] = [-1e4, -750.0, -100.0, -40.0, -3.0, -1.0, -1e-9, 0.0, 1e-9, 0.5, 1.0, 3.0, 40.0, 750.0, 1e4];

fn vector(values: &[f64]) -> Tensor {
    Tensor::new(TensorType::new(DType::F64, [values.len()]), values.to_vec())
}

/// The value of an expression of `x`, and the derivative of its sum, at each point.
fn curve(expression: &str, points: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let text = format!("model m {{\n input x: f64[{}]\n output y = {expression}\n loss sum(y)\n}}\n", points.len());
    let run = run_text(&text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let graph = &run.models[0].graph;
    let x = graph.find_leaf(LeafKind::Input, "x").expect("the model has this input");
    let loss = graph.loss().expect("the model has a loss");
    let derived = gradient(graph, loss, &[x]);
    let bindings = bind(graph, [("x", vector(points))]).expect("the input is there");
    let values = evaluate(graph, &bindings).expect("the graph evaluates")[0].data().to_vec();
    let dx = derived.cotangents[0].expect("the loss depends on x");
    let bindings = bind(&derived.graph, [("x", vector(points))]).expect("the input is there");
    let slopes = evaluate_values(&derived.graph, &bindings, &[dx]).expect("the gradient evaluates");
    (values, slopes[0].data().to_vec())
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 * b.abs().max(1e-3)
}

fn check(expression: &str, value: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64) {
    let (values, slopes) = curve(expression, &POINTS);
    for (i, &x) in POINTS.iter().enumerate() {
        assert!(close(values[i], value(x)), "{expression} at {x}: {} is not {}", values[i], value(x));
        assert!(close(slopes[i], slope(x)), "derivative of {expression} at {x}: {} is not {}", slopes[i], slope(x));
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

#[test]
fn rectifiers() {
    let step = |x: f64| if x > 0.0 { 1.0 } else { 0.0 };
    check("relu(x)", |x| x.max(0.0), step);
    check("leaky_relu(x)", |x| if x > 0.0 { x } else { 0.01 * x }, |x| if x > 0.0 { 1.0 } else { 0.01 });
    check("leaky_relu(x, 0.3)", |x| if x > 0.0 { x } else { 0.3 * x }, |x| if x > 0.0 { 1.0 } else { 0.3 });
}

#[test]
fn exponential_units() {
    let elu = |x: f64, alpha: f64| if x > 0.0 { x } else { alpha * x.exp_m1() };
    let slope = |x: f64, alpha: f64| if x > 0.0 { 1.0 } else { alpha * x.exp() };
    check("elu(x)", |x| elu(x, 1.0), |x| slope(x, 1.0));
    check("elu(x, 2)", |x| elu(x, 2.0), |x| slope(x, 2.0));
    let (alpha, scale) = (1.673_263_242_354_377_2, 1.050_700_987_355_480_5);
    check("selu(x)", |x| scale * elu(x, alpha), |x| scale * slope(x, alpha));
}

#[test]
fn smooth_units() {
    check("silu(x)", |x| x * sigmoid(x), |x| sigmoid(x) + x * sigmoid(x) * sigmoid(-x));
    check("softplus(x)", |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), sigmoid);
    check("square(x)", |x| x * x, |x| 2.0 * x);
}

#[test]
fn gaussian_units() {
    // Φ(x) and φ(x) of the standard normal, from tables.
    let points = [-40.0, -1.0, 0.0, 1.0, 2.0, 40.0];
    let (values, slopes) = curve("gelu(x)", &points);
    let distribution = [0.0, 0.158_655_253_931_457_07, 0.5, 0.841_344_746_068_542_9, 0.977_249_868_051_820_8, 1.0];
    for (i, &x) in points.iter().enumerate() {
        let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        assert!(close(values[i], x * distribution[i]), "gelu({x}) = {}", values[i]);
        assert!(close(slopes[i], distribution[i] + x * density), "gelu'({x}) = {}", slopes[i]);
    }
    let (values, slopes) = curve("gelu_tanh(x)", &POINTS);
    for (i, &x) in POINTS.iter().enumerate() {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        assert!(close(values[i], 0.5 * x * (1.0 + inner.tanh())), "gelu_tanh({x}) = {}", values[i]);
        assert!(slopes[i].is_finite(), "gelu_tanh'({x}) = {}", slopes[i]);
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for expression in ["relu(x)", "leaky_relu(x)", "elu(x)", "selu(x)", "gelu(x)", "silu(x)", "softplus(x)"] {
        let (values, _) = curve(expression, &[f64::NAN]);
        assert!(values[0].is_nan(), "{expression}");
    }
}

#[test]
fn softmax_sums_to_one_however_large_its_input() {
    let points = [-1e4, 0.0, 1.0, 1e4, 1e4 + 1.0];
    let (values, slopes) = curve("softmax(x)", &points);
    assert!(close(values.iter().sum(), 1.0), "{values:?}");
    assert!(close(values[4] / values[3], std::f64::consts::E), "{values:?}");
    // The sum is always 1, so its derivative is 0.
    assert!(slopes.iter().all(|slope| slope.abs() < 1e-12), "{slopes:?}");
    let (logs, slopes) = curve("log_softmax(x)", &points);
    assert!(close(logs[0], -2e4 - 1.0 - (-1f64).exp().ln_1p()), "{logs:?}");
    assert!(slopes.iter().all(|slope| slope.is_finite()), "{slopes:?}");
    let (total, share) = curve("logsumexp(x)", &points);
    assert!(close(total[0], 1e4 + 1.0 + (-1f64).exp().ln_1p()), "{total:?}");
    assert!(share.iter().zip(&values).all(|(a, b)| close(*a, *b)), "{share:?}");
}

/// As docs/conventions.md says: a choice for this case would stand in every gradient of a softmax.
#[test]
fn a_row_of_nothing_but_minus_infinity_has_no_logsumexp() {
    let row = |x: &str| results(&format!("model m {{ output y = logsumexp({x}) }}"), &[])[0].1[0];
    assert!(row("full([3], -inf)").is_nan());
    assert_eq!(row("concat([full([2], -inf), zeros([1])])"), 0.0);
}

/// The results of a model for given inputs, by name.
fn results(text: &str, inputs: &[(&str, Tensor)]) -> Vec<(String, Vec<f64>)> {
    let run = run_text(text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let graph = &run.models[0].graph;
    let bindings = bind(graph, inputs.iter().cloned()).expect("the inputs are there");
    let values = evaluate(graph, &bindings).expect("the graph evaluates");
    graph.outputs().iter().zip(values).map(|(output, value)| (output.name.to_string(), value.data().to_vec())).collect()
}

#[test]
fn regression_losses() {
    let text = "model m {\n input y: f64[2, 2]\n input t: f64[2, 2]\n output a = mse(y, t)\n output b = mae(y, t)\n\
                output c = huber(y, t)\n output d = huber(y, t, 3)\n}\n";
    let matrix = |values: [f64; 4]| Tensor::new(TensorType::new(DType::F64, [2, 2]), values.to_vec());
    let inputs = [("y", matrix([1.0, 2.0, 3.0, 4.0])), ("t", matrix([1.0, 2.5, 1.0, 8.0]))];
    let found = results(text, &inputs);
    // Errors of 0, 0.5, 2 and 4.
    let expected = [20.25 / 4.0, 6.5 / 4.0, (0.125 + 1.5 + 3.5) / 4.0, (0.125 + 2.0 + 3.0 * 2.5) / 4.0];
    for ((name, value), expected) in found.iter().zip(expected) {
        assert!(close(value[0], expected), "{name}: {} is not {expected}", value[0]);
    }
}

#[test]
fn yes_or_no_losses_do_not_overflow() {
    let loss = |target: f64| format!("bce_with_logits(x, broadcast(cast({target}, f64), [{}])) * {0}", POINTS.len());
    for target in [0.0, 0.25, 1.0] {
        let (values, slopes) = curve(&loss(target), &POINTS);
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let expected: f64 = POINTS.iter().map(|&x| target * softplus(-x) + (1.0 - target) * softplus(x)).sum();
        assert!(close(values[0], expected), "{} is not {expected}", values[0]);
        for (slope, &x) in slopes.iter().zip(&POINTS) {
            assert!((slope - (sigmoid(x) - target)).abs() < 1e-12, "{slope} at {x}");
        }
    }
}

#[test]
fn cross_entropy_takes_ids_and_probabilities() {
    let ids = "model m {\n input x: f64[2, 3]\n input t: i32[2]\n loss cross_entropy(x, t)\n}\n";
    let shares = "model m {\n input x: f64[2, 3]\n input t: f64[2, 3]\n loss cross_entropy(x, t)\n}\n";
    let logits = Tensor::new(TensorType::new(DType::F64, [2, 3]), vec![1.0, 2.0, 3.0, 1e4, 0.0, -1e4]);
    let classes = Tensor::new(TensorType::new(DType::I32, [2]), vec![2.0, 1.0]);
    let one_hot = Tensor::new(TensorType::new(DType::F64, [2, 3]), vec![0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    let expected = ((1.0 + (-1f64).exp() + (-2f64).exp()).ln() + 1e4) / 2.0;
    for (text, target) in [(ids, classes), (shares, one_hot)] {
        let found = results(text, &[("x", logits.clone()), ("t", target)]);
        assert_eq!(found[0].0, "loss");
        assert!(close(found[0].1[0], expected), "{} is not {expected}", found[0].1[0]);
        assert_eq!(found[1], ("accuracy".to_owned(), vec![0.5]));
    }
}

#[test]
fn accuracy_counts_the_first_of_equal_logits_and_no_nan() {
    let text =
        "model m {\n input x: f64[4, 3]\n input t: i32[4]\n output a = accuracy(x, t)\n output b = argmax(x)\n}\n";
    let rows = [[0.0, 0.0, 0.0], [1.0, 5.0, 5.0], [f64::NAN, 1.0, 2.0], [3.0, 2.0, 1.0]].concat();
    let x = Tensor::new(TensorType::new(DType::F64, [4, 3]), rows);
    let t = Tensor::new(TensorType::new(DType::I32, [4]), vec![0.0, 2.0, 2.0, 0.0]);
    let found = results(text, &[("x", x), ("t", t)]);
    // A row with NaN has no greatest element; 3 is no class.
    assert_eq!(found[1].1, [0.0, 1.0, 3.0, 0.0]);
    assert_eq!(found[0].1, [0.5]);
}

#[test]
fn dense_is_a_linear_map_of_the_last_axis() {
    let text = "model m {\n input x: f64[2, 1, 2]\n output y = dense(x, 3, init = 2, bias_init = 0.5)\n\
                output z = dense(x, 1, init = 1, bias = false)\n}\n";
    let run = run_text(text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let graph = &run.models[0].graph;
    let fill = |value: gradc_ir::ValueId, number: f64| {
        let ty = graph.ty(value).clone();
        let count = ty.shape.elements();
        (value, Tensor::new(ty, vec![number; count]))
    };
    let mut bindings: Vec<_> = graph.leaves(LeafKind::Param).zip([2.0, 0.5, 1.0]).map(|(p, n)| fill(p, n)).collect();
    let x = graph.find_leaf(LeafKind::Input, "x").expect("the model has this input");
    bindings.push((x, Tensor::new(graph.ty(x).clone(), vec![1.0, 2.0, 3.0, 4.0])));
    let found = evaluate(graph, &bindings).expect("the graph evaluates");
    assert_eq!(found[0].shape()[..], [2, 1, 3]);
    assert_eq!(found[0].data(), [6.5, 6.5, 6.5, 14.5, 14.5, 14.5]);
    assert_eq!(found[1].data(), [3.0, 7.0]);
}

#[test]
fn pooling_shares_ties_and_leaves_padding_out() {
    // The windows [1, 1], [0, 2] and [3, -inf]: what is equal shares the derivative, and padding has none of it.
    let (tops, slopes) =
        curve("reshape(max_pool1d(reshape(x, [5, 1]), 2, padding = [[0, 1]]), [3])", &[1.0, 1.0, 0.0, 2.0, 3.0]);
    assert_eq!((tops, slopes), (vec![1.0, 2.0, 3.0], vec![0.5, 0.5, 0.0, 1.0, 1.0]));
    // Overlapping windows [1, 2, 2] and [2, 2, 0]: each element receives from both.
    let (tops, slopes) = curve("reshape(max_pool1d(reshape(x, [4, 1]), 3, stride = 1), [2])", &[1.0, 2.0, 2.0, 0.0]);
    assert_eq!((tops, slopes), (vec![2.0, 2.0], vec![0.0, 1.0, 1.0, 0.0]));
    let pool = |more: &str| {
        let expression = format!("avg_pool1d(reshape(x, [5, 1]), 3, stride = 2, padding = 1, ceil_mode = true{more})");
        curve(&format!("reshape({expression}, [3])"), &[3.0, 6.0, 9.0, 12.0, 15.0]).0
    };
    assert_eq!(pool(""), [3.0, 9.0, 9.0]);
    assert_eq!(pool(", count_include_pad = false"), [4.5, 9.0, 13.5]);
}

#[test]
fn convolutions_slide_filters_that_are_not_flipped() {
    // The filter 1, 10, 100 reads the digits of its results from the window.
    let filter = "reshape(10.0 ** iota(3, f64), [3, 1, 1])";
    let slid = |function: &str, more: &str| {
        let expression = format!("{function}(reshape(x, [5, 1]), {filter}{more})");
        curve(&format!("reshape({expression}, [-1])"), &[1.0, 2.0, 3.0, 4.0, 5.0]).0
    };
    assert_eq!(slid("convolve", ""), [321.0, 432.0, 543.0]);
    assert_eq!(slid("convolve", ", padding = \"same\""), [210.0, 321.0, 432.0, 543.0, 54.0]);
    assert_eq!(slid("convolve", ", stride = 2, padding = [[1, 0]]"), [210.0, 432.0]);
    assert_eq!(slid("convolve", ", dilation = 2"), [531.0]);
    assert_eq!(slid("convolve_transposed", ""), [1.0, 12.0, 123.0, 234.0, 345.0, 450.0, 500.0]);
    assert_eq!(slid("convolve_transposed", ", padding = \"same\""), [12.0, 123.0, 234.0, 345.0, 450.0]);
    let spread = [10.0, 102.0, 20.0, 203.0, 30.0, 304.0, 40.0, 405.0, 50.0, 500.0];
    assert_eq!(slid("convolve_transposed", ", stride = 2, padding = 1, output_padding = 1"), spread);
}
