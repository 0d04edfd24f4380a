//! Work grows with the net, not with its square; and nets of many equal layers are mostly one layer.

use gradc_ir::{DType, Graph, Init, Role, TensorType, ValueId};
use gradc_simplify::{Limits, Mode, Options, simplify};

use crate::common::{model, raw_gradient};

/// A chain of dense layers with sigmoids and a squared error, whose widths are what `width` says.
fn chain(layers: usize, width: impl Fn(usize) -> usize) -> Graph {
    let mut graph = Graph::new("chain");
    let mut value = graph.input("x", TensorType::new(DType::F32, [16, width(0)]));
    for layer in 0..layers {
        value = dense(&mut graph, layer, value, width(layer + 1));
        value = graph.sigmoid(value);
    }
    let squares = graph.mul(value, value);
    let loss = graph.reduce_sum(squares, &[0, 1]);
    graph.add_output(Role::Loss, "loss", loss);
    graph
}

fn dense(graph: &mut Graph, layer: usize, x: ValueId, units: usize) -> ValueId {
    let (rows, inputs) = (graph.shape(x)[0], graph.shape(x)[1]);
    let init = Init::Constant(0.1.into());
    let w = graph.param(format!("w{layer}"), TensorType::new(DType::F32, [inputs, units]), init.clone());
    let b = graph.param(format!("b{layer}"), TensorType::new(DType::F32, [units]), init);
    let product = graph.matmul(x, w);
    let bias = graph.broadcast(b, &[1], &[rows, units]);
    graph.add(product, bias)
}

#[test]
fn equal_layers_are_solved_once() {
    let options = Options::in_mode(Mode::Accurate);
    let solve = |layers| simplify(&raw_gradient(&chain(layers, |_| 8), options.mode), &options);
    let (small, large) = (solve(100), solve(1000));
    assert!(large.report.regions >= 9 * small.report.regions, "a region is a block");
    assert!(large.report.regions <= 11 * small.report.regions, "the number of regions is linear");
    assert!(large.report.distinct_regions <= 12, "{:?}", large.report.distinct_regions);
    assert_eq!(large.report.terms, small.report.terms, "more of the same layers make no new e-graph");
    assert_eq!(large.report.limited_regions, 0);
    let per_layer = |simplified: &gradc_simplify::Simplified, layers| simplified.graph.len() / layers;
    assert_eq!(per_layer(&small, 100), per_layer(&large, 1000));
}

#[test]
fn different_layers_take_work_in_proportion() {
    let options = Options::in_mode(Mode::Accurate);
    let solve = |layers| simplify(&raw_gradient(&chain(layers, |layer| layer + 3), options.mode), &options).report;
    let (small, large) = (solve(10), solve(40));
    assert!(large.terms <= 5 * small.terms, "{} terms for 40 layers, {} for 10", large.terms, small.terms);
    assert_eq!(large.limited_regions, 0);
}

/// Small formulas to which rules apply at ever more places, or about which ever more is known.
#[test]
fn limits_end_what_has_no_end() {
    let centred = "
        model m {
            param w: DTYPE[3] = normal(0, 0.7)
            let v = w - mean(w)
            loss sum(v) / (1 + sum(abs(v)))
        }";
    let kinks = "
        model m {
            input x: DTYPE[1, 17]
            param w: DTYPE[17] = normal(0, 0.7)
            let v = max(x * w, x * 2)
            loss log(1 + sum(v * v))
        }";
    for (text, dtype) in [centred, kinks].into_iter().flat_map(|text| ["f32", "f64"].map(|dtype| (text, dtype))) {
        for mode in Mode::ALL {
            let options = Options { trust_indices: false, ..Options::in_mode(mode) };
            let graph = raw_gradient(&model("small", &text.replace("DTYPE", dtype)), mode);
            let report = simplify(&graph, &options).report;
            // Places are what there are more and more of, long before there are as many terms as may be.
            assert!(report.terms < options.limits.terms / 4, "{mode}, {dtype}: {} terms", report.terms);
            let limits = Limits { applications: 100, ..options.limits };
            let limited = simplify(&graph, &Options { limits, ..options }).report;
            assert!(limited.terms <= report.terms);
            if mode == Mode::Fast {
                assert!(limited.limited_regions > 0, "this has few places, and shows nothing about limits: {text}");
            }
        }
    }
}

/// The factors of a normalised activation's derivative can be grouped in a great many ways.
#[test]
fn products_of_many_factors_need_no_limit() {
    for activation in ["tanh", "sigmoid", "gelu", "mish"] {
        for norm in ["layer_norm", "rms_norm"] {
            let text = format!(
                "model m {{\n input x: f32[8, 16]\n let h = {activation}({norm}(dense(x, 17)))\n loss mean(square(dense(h, 3)))\n}}"
            );
            let options = Options::in_mode(Mode::Accurate);
            let report = simplify(&raw_gradient(&model("normalised", &text), options.mode), &options).report;
            assert_eq!(report.limited_regions, 0, "{activation}({norm}): {} terms", report.terms);
            assert!(report.terms < 1500, "{activation}({norm}): {} terms", report.terms);
        }
    }
}
