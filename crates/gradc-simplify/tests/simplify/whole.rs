//! Whole graphs: simplified ones compute what they were made from, in every mode, and are made in the same way every time.

use gradc_interp::evaluate;
use gradc_ir::text::print;
use gradc_ir::verify::verify;
use gradc_ir::{DType, Graph};
use gradc_simplify::{Level, Mode, Options, simplify};
use gradc_testing::{random_bindings, random_graph};

/// Indices of random graphs may be out of range.
fn options(mode: Mode) -> Options {
    Options { trust_indices: false, ..Options::in_mode(mode) }
}

/// Simplifies, and holds what comes out against what went in.
fn check(graph: &Graph, options: &Options, tolerance: f64, what: &str) {
    let simplified = simplify(graph, options);
    assert_eq!(verify(&simplified.graph), Ok(()), "{what}");
    assert_eq!(simplified.report.made_by.len(), simplified.graph.len(), "{what}");
    let report = &simplified.report;
    assert!(report.cost_after <= report.cost_before || report.repaired > 0, "{what}: {report:?}");
    assert_eq!(print(&simplified.graph), print(&simplify(graph, options).graph), "{what}: not deterministic");
    let names = |graph: &Graph| graph.outputs().iter().map(|o| (o.role, o.name.clone())).collect::<Vec<_>>();
    assert_eq!(names(graph), names(&simplified.graph), "{what}");
    for seed in 0..3 {
        let leaves = random_bindings(graph, seed);
        let by_name = leaves.iter().map(|(leaf, tensor)| {
            let name = graph.value_name(*leaf).expect("leaves have names");
            let kind = graph.leaf(*leaf).expect("it is a leaf");
            (simplified.graph.find_leaf(kind, name).expect("leaves stay"), tensor.clone())
        });
        let by_name: Vec<_> = by_name.collect();
        let expected = evaluate(graph, &leaves).unwrap();
        let found = evaluate(&simplified.graph, &by_name).unwrap();
        for ((expected, found), output) in expected.iter().zip(&found).zip(graph.outputs()) {
            for (a, b) in expected.data().iter().zip(found.data()) {
                let close = (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()));
                let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
                assert!(
                    same || (tolerance > 0.0 && close),
                    "{what}: {} is {a:e}, then {b:e}\n{}\n{}",
                    output.name,
                    print(graph),
                    print(&simplified.graph)
                );
            }
        }
    }
}

#[test]
fn random_graphs_keep_their_values() {
    for seed in 0..60 {
        for size in [6, 25] {
            let graph = random_graph(seed, size, DType::F64);
            for (mode, tolerance) in [(Mode::Strict, 0.0), (Mode::Accurate, 1e-9), (Mode::Fast, 1e-9)] {
                check(&graph, &options(mode), tolerance, &format!("{mode} {seed} {size}"));
            }
            let local = Options { level: Level::Local, ..options(Mode::Accurate) };
            check(&graph, &local, 1e-9, &format!("local {seed} {size}"));
        }
    }
}

#[test]
fn simplified_graphs_are_simple() {
    for seed in 0..60 {
        let graph = random_graph(seed, 20, DType::F64);
        let options = options(Mode::Accurate);
        let once = simplify(&graph, &options).graph;
        let twice = simplify(&once, &options);
        assert!(crate::common::operations(&twice.graph) <= crate::common::operations(&once), "{seed}");
    }
}

#[test]
fn level_none_changes_nothing() {
    let graph = random_graph(1, 30, DType::F32);
    let options = Options { level: Level::None, ..Options::default() };
    assert_eq!(print(&simplify(&graph, &options).graph), print(&graph));
}
