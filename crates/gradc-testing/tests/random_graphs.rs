//! What random graphs promise.

use std::collections::{BTreeMap, BTreeSet};

use gradc_interp::{bind, evaluate, evaluate_all};
use gradc_ir::text::{print, read};
use gradc_ir::verify::verify;
use gradc_ir::{Class, DType, Graph, LeafKind, Role, Tensor, ValueId};
use gradc_testing::{random_bindings, random_graph};

fn graphs() -> impl Iterator<Item = (u64, Graph)> {
    (0..300).map(|seed| (seed, random_graph(seed, 4 + seed as usize % 40, DType::F32)))
}

#[test]
fn they_are_well_typed_and_have_a_loss() {
    for (seed, graph) in graphs() {
        assert_eq!(verify(&graph), Ok(()), "seed {seed}");
        assert!(graph.loss().is_some(), "seed {seed}");
    }
}

#[test]
fn every_operator_occurs() {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (_, graph) in graphs() {
        seen.extend(graph.values().filter_map(|value| graph.op(value)).map(|op| op.def.name));
    }
    // Loops are not grown: what the other operators compute is compiled into kernels.
    let defs = gradc_ir::op::ALL.iter().filter(|def| def.class != Class::Scan);
    let mut all: BTreeSet<&str> = defs.map(|def| def.name).collect();
    all.extend(["custom", "result"]);
    assert_eq!(seen, all);
}

/// Also rules of several values, and some of whose results nothing reads.
#[test]
fn rules_of_all_kinds_occur() {
    let (mut several, mut unread) = (0, 0);
    for (_, graph) in graphs() {
        for packed in graph.values().filter(|&value| graph.as_custom(value).is_some()) {
            let results = graph.results_of(packed);
            several += usize::from(results.len() > 1);
            unread += usize::from(results.contains(&None));
        }
    }
    assert!(several > 50 && unread > 20, "{several} {unread}");
}

/// Gradients and Hessian-vector products are those of the graph without rules.
#[test]
fn rules_are_true() {
    for seed in 0..300 {
        let graph = random_graph(seed, 4 + seed as usize % 40, DType::F64);
        for (with, without) in derivatives(&graph, seed).iter().zip(&derivatives(&graph.without_rules(), seed)) {
            for (a, b) in with.data().iter().zip(without.data()) {
                assert!((a - b).abs() <= 1e-9 * (1.0 + b.abs()), "seed {seed}: {a} and {b}");
            }
        }
    }
}

/// The gradient of the loss by all float leaves, then its derivative along some direction; zeros where there is none.
fn derivatives(graph: &Graph, seed: u64) -> Vec<Tensor> {
    let wrt: Vec<ValueId> = graph.values().filter(|&v| graph.leaf(v).is_some() && graph.dtype(v).is_float()).collect();
    let loss = graph.loss().expect("random graphs have a loss");
    let (first, second) = (gradc_autodiff::gradient(graph, loss, &wrt), gradc_autodiff::hvp(graph, loss, &wrt));
    let evaluated = |derived: &Graph, found: &[Option<ValueId>]| -> Vec<Tensor> {
        let values = evaluate_all(derived, &random_bindings(derived, seed)).expect("all leaves are bound");
        let tensor = |(found, leaf): (&Option<ValueId>, &ValueId)| match found {
            Some(value) => values[*value].clone(),
            None => Tensor::from_fn(graph.ty(*leaf).clone(), |_| 0.0),
        };
        found.iter().zip(&wrt).map(tensor).collect()
    };
    let mut all = evaluated(&first.graph, &first.cotangents);
    all.extend(evaluated(&second.graph, &second.tangents));
    all
}

#[test]
fn values_are_finite_and_small() {
    for (seed, graph) in graphs() {
        let values = evaluate_all(&graph, &random_bindings(&graph, seed)).unwrap();
        for value in graph.values() {
            let bound = if graph.dtype(value).is_float() { 1e4 } else { 2e3 };
            let fine = values[value].data().iter().all(|x| x.abs() <= bound);
            assert!(fine, "seed {seed}, value {} {:?}", value.index(), graph.node(value).kind);
        }
    }
}

#[test]
fn both_precisions_agree() {
    for (seed, single) in graphs() {
        let double = single.in_precision(DType::F64);
        let bindings = random_bindings(&single, seed);
        let widened: Vec<_> = bindings.iter().map(|(leaf, tensor)| (*leaf, tensor.cast(double.dtype(*leaf)))).collect();
        let (single_values, double_values) =
            (evaluate_all(&single, &bindings).unwrap(), evaluate_all(&double, &widened).unwrap());
        for value in single.values() {
            let (a, b) = (&single_values[value], &double_values[value]);
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-3 * (1.0 + b.abs());
            assert!(a.data().iter().zip(b.data()).all(close), "seed {seed}, value {}", value.index());
        }
    }
}

#[test]
fn a_seed_is_a_graph() {
    for seed in 0..20 {
        assert_eq!(print(&random_graph(seed, 30, DType::F64)), print(&random_graph(seed, 30, DType::F64)));
    }
}

#[test]
fn their_gradients_are_finite() {
    for (seed, graph) in graphs().map(|(seed, graph)| (seed, graph.in_precision(DType::F64))) {
        let wrt: Vec<_> = graph.values().filter(|&v| graph.leaf(v).is_some() && graph.dtype(v).is_float()).collect();
        let gradient = gradc_autodiff::gradient(&graph, graph.loss().unwrap(), &wrt);
        assert_eq!(verify(&gradient.graph), Ok(()), "seed {seed}");
        let values = evaluate_all(&gradient.graph, &random_bindings(&gradient.graph, seed)).unwrap();
        for cotangent in gradient.cotangents.iter().flatten() {
            assert!(values[*cotangent].data().iter().all(|x| x.abs() < 1e6), "seed {seed}");
        }
    }
}

#[test]
fn their_text_reads_back_gradients_too() {
    for (seed, graph) in graphs() {
        let wrt: Vec<_> = graph.leaves(LeafKind::Param).collect();
        let gradient = gradc_autodiff::gradient(&graph, graph.loss().unwrap(), &wrt);
        let mut graph = gradient.graph;
        for (leaf, cotangent) in wrt.into_iter().zip(gradient.cotangents) {
            let name = graph.value_name(leaf).unwrap().clone();
            cotangent.into_iter().for_each(|cotangent| graph.add_output(Role::Gradient, name.clone(), cotangent));
        }
        let text = print(&graph);
        let back = read(None, &text).unwrap_or_else(|error| panic!("seed {seed}: {error:?}\n{text}"));
        assert_eq!(print(&back), text, "seed {seed}");
        let bindings = random_bindings(&graph, seed);
        let by_name = bindings.iter().map(|(leaf, tensor)| (&**graph.value_name(*leaf).unwrap(), tensor.clone()));
        let (before, after) = (evaluate(&graph, &bindings), evaluate(&back, &bind(&back, by_name).unwrap()));
        let (before, after) = (named(&graph, before.unwrap()), named(&back, after.unwrap()));
        assert_eq!(before, after, "seed {seed}");
    }
}

/// Results by role and name.
fn named(graph: &Graph, tensors: Vec<Tensor>) -> BTreeMap<(Role, String), Tensor> {
    graph.outputs().iter().map(|output| (output.role, output.name.to_string())).zip(tensors).collect()
}
