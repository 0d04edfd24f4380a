//! Where there is a model of time, a simplified graph takes no longer by it, whatever it says.

use gradc_interp::evaluate;
use gradc_ir::text::print;
use gradc_ir::{DType, Graph};
use gradc_simplify::certificate::{read, simplify_with_reasons, stabilise_with_reasons};
use gradc_simplify::{Mode, Options, simplify, stabilise};
use gradc_testing::{random_bindings, random_graph};

use crate::common::{differentiated, model_with};

/// A model by which an operator takes as long as its name says: what is a gain in arithmetic is none in time, half of the times.
fn seconds(graph: &Graph, _: Mode) -> f64 {
    let live = graph.live();
    let names = graph.values().filter(|value| live[value.index()]).filter_map(|value| Some(graph.op(value)?.def.name));
    names
        .map(|name| f64::from(name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31) + u32::from(byte)) % 97))
        .sum()
}

/// A model by which nothing takes as long as what is simple.
fn less_is_longer(graph: &Graph, _: Mode) -> f64 {
    -(gradc_ir::work(graph).operations as f64)
}

fn timed(mode: Mode) -> Options {
    Options { trust_indices: false, seconds: Some(seconds), ..Options::in_mode(mode) }
}

#[test]
fn simplified_graphs_take_no_longer() {
    let mut gained = 0;
    for seed in 0..60 {
        let graph = random_graph(seed, 25, DType::F64);
        for mode in Mode::ALL {
            let simplified = simplify(&graph, &timed(mode));
            // The rules that keep every bit repair nothing.
            let right = match simplified.report.repaired {
                0 => graph.clone(),
                _ => stabilise(&graph, &Options { differentiated: true, ..timed(mode) }).graph,
            };
            let bound = seconds(&graph, mode).max(seconds(&right, mode));
            let taken = seconds(&simplified.graph, mode);
            assert!(taken <= bound, "{seed} {mode}: {taken} instead of {bound}\n{}", print(&simplified.graph));
            gained += usize::from(taken < bound);
        }
    }
    assert!(gained > 60, "{gained} of 180 take less time");
}

/// What is given back is given back correctly.
#[test]
fn timed_graphs_compute_the_same() {
    for seed in 0..60 {
        let graph = random_graph(seed, 25, DType::F64);
        for mode in Mode::ALL {
            let simplified = simplify(&graph, &timed(mode));
            assert_eq!(simplified.report.made_by.len(), simplified.graph.len());
            let leaves = random_bindings(&graph, seed);
            let place = |leaf| {
                let name = graph.value_name(leaf).expect("leaves have names");
                simplified.graph.find_leaf(graph.leaf(leaf).expect("it is a leaf"), name).expect("leaves stay")
            };
            let moved: Vec<_> = leaves.iter().map(|(leaf, tensor)| (place(*leaf), tensor.clone())).collect();
            let (expected, found) = (evaluate(&graph, &leaves).unwrap(), evaluate(&simplified.graph, &moved).unwrap());
            for (a, b) in expected.iter().zip(&found).flat_map(|(a, b)| a.data().iter().zip(b.data())) {
                let is_close = (a - b).abs() <= 1e-9 * (1.0 + a.abs().max(b.abs()));
                let is_same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert!(is_same || mode != Mode::Strict && is_close, "{seed} {mode}: {a:e}, then {b:e}");
            }
        }
    }
}

#[test]
fn a_graph_that_nothing_makes_faster_stays() {
    let graph = random_graph(3, 25, DType::F64);
    let options = Options { seconds: Some(less_is_longer), ..timed(Mode::Strict) };
    assert_eq!(print(&simplify(&graph, &options).graph), print(&graph));
    assert_ne!(print(&simplify(&graph, &Options { seconds: None, ..options }).graph), print(&graph));
}

/// Certificates account for graphs that took several runs: they were repaired first and simplified then, with loops and without.
#[test]
fn timed_graphs_have_certificates() {
    let texts = [
        "model m { input x: f32[4, 3]\n let h = dense(x, 3)\n let s = exp(h) / reshape(sum(exp(h), axis = 1), [4, 1])\n loss mean(square(s)) }",
        "model m { input x: f32[2, 3, 4]\n let h = lstm(x, 3)\n loss mean(log(1 + exp(h))) }",
        "model m { input x: f32[4, 3]\n let h = glu(dense(x, 4))\n loss mean(log(1 - sigmoid(h))) }",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let graph = model_with("m", text, &[]);
        for mode in Mode::ALL {
            for seconds in [seconds, less_is_longer] {
                let options = Options { trust_indices: true, seconds: Some(seconds), ..timed(mode) };
                let (stable, before) = stabilise_with_reasons(&graph, &options);
                let (_, after) = simplify_with_reasons(&differentiated(&stable.graph), &options);
                for reasons in [before, after] {
                    let text = reasons.certificate().to_string();
                    let certificates = read(&text).unwrap_or_else(|error| panic!("{number} {mode}: {error:?}\n{text}"));
                    let checked = certificates[0].check().unwrap_or_else(|rejection| {
                        panic!("{number} {mode}: {}: {}\n{text}", &text[rejection.at.clone()], rejection.message)
                    });
                    assert_eq!(checked.results, certificates[0].raw().outputs().len());
                }
            }
        }
    }
}
