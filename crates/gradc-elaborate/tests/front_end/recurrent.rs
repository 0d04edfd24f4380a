//! The recurrent layers of the prelude against JAX: tests/reference/recurrent.txt, written by recurrent.py beside it.

use gradc_autodiff::gradient;
use gradc_interp::{bind, evaluate_values};
use gradc_ir::{DType, LeafKind, Tensor, TensorType, ValueId};

use crate::support::run_text;

const REFERENCE: &str = include_str!("../../../../tests/reference/recurrent.txt");

/// The same numbers as in recurrent.py.
fn numbers(ty: &TensorType, phase: f64) -> Tensor {
    Tensor::new(ty.clone(), (0..ty.shape.elements()).map(|k| 0.8 * (phase + 1.7 * k as f64).sin()).collect())
}

/// What the tensor of a leaf begins with, by its name or the last part of its path.
fn phase(name: &str) -> f64 {
    let phases = [("w", 0.1), ("u", 0.2), ("b", 0.3), ("b_n", 0.4), ("x", 0.5), ("h0", 0.6), ("weights", 0.7)];
    let part = name.rsplit('.').next().unwrap_or(name);
    phases.iter().find(|(known, _)| *known == part).unwrap_or_else(|| panic!("{name} is not known")).1
}

/// What a case gives: `y`, and the derivative by each leaf, by the last part of its name.
fn found(layer: &str, options: &str) -> Vec<(String, Tensor)> {
    let text = format!(
        "model m {{\n input x: f64[2, 5, 3]\n input h0: f64[2, 2]\n input weights: f64[2, 5, 2]\n input lengths: \
         i32[2]\n let y = {layer}(x, 2, h0 = h0{options})\n output y\n output n = lengths\n loss sum(weights * y)\n}}\n"
    );
    let run = run_text(&text);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let graph = &run.models[0].graph;
    let is_wrt = |leaf: &ValueId| graph.dtype(*leaf).is_float() && &**graph.value_name(*leaf).unwrap() != "weights";
    let leaves: Vec<ValueId> = graph.values().filter(|&value| graph.leaf(value).is_some()).filter(is_wrt).collect();
    let derived = gradient(graph, graph.loss().expect("the model has a loss"), &leaves);
    let y = graph.outputs().iter().find(|output| &*output.name == "y").expect("it is an output").value;
    let wanted: Vec<ValueId> =
        std::iter::once(y).chain(derived.cotangents.into_iter().map(|d| d.expect("all have an influence"))).collect();
    let all = graph.values().filter(|&value| graph.leaf(value).is_some());
    let bindings = bind(
        graph,
        all.map(|leaf| {
            let (name, ty) = (graph.value_name(leaf).expect("leaves have names"), graph.ty(leaf));
            let lengths = || Tensor::new(ty.clone(), vec![5.0, 2.0]);
            (&**name, if ty.dtype == DType::I32 { lengths() } else { numbers(ty, phase(name)) })
        }),
    );
    let tensors = evaluate_values(&derived.graph, &bindings.expect("all are leaves"), &wanted).expect("it evaluates");
    let part = |leaf: ValueId| graph.value_name(leaf).unwrap().rsplit('.').next().unwrap().to_owned();
    let names = leaves.into_iter().map(|leaf| format!("d_{}", part(leaf)));
    std::iter::once("y".to_owned()).chain(names).zip(tensors).collect()
}

#[test]
fn recurrent_layers_agree_with_jax() {
    let cases = [
        ("plain", ""),
        ("lengths", ", lengths = lengths"),
        ("reverse", ", reverse = true"),
        ("reverse_lengths", ", reverse = true, lengths = lengths"),
        ("truncate", ", truncate = 2"),
        ("reverse_truncate", ", reverse = true, truncate = 2"),
    ];
    let mut compared = 0;
    for (layer, (case, options)) in ["rnn", "lstm", "gru"].into_iter().flat_map(|layer| cases.map(|case| (layer, case)))
    {
        let found = found(layer, options);
        for line in REFERENCE.lines().filter(|line| line.starts_with(&format!("{layer} {case} "))) {
            let mut words = line.split(' ').skip(2);
            let name = words.next().expect("a quantity");
            let expected: Vec<f64> = words.map(|word| word.parse().expect("a number")).collect();
            let (_, tensor) = found.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}"));
            assert_eq!(tensor.data().len(), expected.len(), "{layer} {case} {name}");
            for (found, expected) in tensor.data().iter().zip(&expected) {
                let close = (found - expected).abs() <= 1e-12 * expected.abs().max(1.0);
                assert!(close, "{layer} {case} {name}: {found} is not {expected}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, REFERENCE.lines().count());
}

#[test]
fn cells_share_their_parameters_over_all_steps() {
    let run = run_text("model m {\n input x: f32[2, 1000, 3]\n output y = lstm(x, 4)[:, -1]\n}\n");
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
    let graph = &run.models[0].graph;
    let mut params: Vec<String> =
        graph.leaves(LeafKind::Param).map(|leaf| graph.value_name(leaf).unwrap().to_string()).collect();
    params.sort_unstable();
    assert_eq!(params, ["lstm.0.cell.b", "lstm.0.cell.u", "lstm.0.cell.w"]);
    assert!(graph.len() < 100, "a loop is as small as its body: {}", graph.len());
}
