//! The gradient that each operator's rule writes, as text: tests/grad/OPERATOR.snap, as the rule writes it and as it is
//! simplified. The cotangent is `w`, so that a rule that loses it is seen.

use std::collections::BTreeSet;
use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use gradc_ir::op::ALL;
use gradc_ir::text::print;
use gradc_ir::verify::verify;
use gradc_ir::{Case, DType, Derivative, Graph, OpDef, Role, ValueId};

/// The names of the operands.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// The first case whose derivative exists: with a float operand and a float result.
fn example(def: &'static OpDef) -> Option<Case> {
    let differentiable = |case: &Case| {
        let result = def.with(case.attrs.clone()).infer(&case.operands.iter().collect::<Vec<_>>());
        result.is_ok_and(|ty| ty.dtype.is_float()) && case.operands.iter().any(|ty| ty.dtype.is_float())
    };
    (def.cases)(4, DType::F32).into_iter().find(differentiable)
}

/// `loss = sum(w * op(a, b, …))` with its gradient by all float operands.
fn gradient_of(def: &'static OpDef, case: &Case) -> Graph {
    let mut graph = Graph::new(def.name);
    let operands: Vec<ValueId> =
        case.operands.iter().zip(NAMES).map(|(ty, name)| graph.input(name, ty.clone())).collect();
    let y = case.apply(&mut graph, def, &operands);
    graph.set_value_name(y, "y");
    let w = graph.input("w", graph.ty(y).clone());
    let product = graph.mul(w, y);
    let axes: Vec<usize> = (0..graph.shape(product).rank()).collect();
    let loss = graph.reduce_sum(product, &axes);
    graph.set_value_name(loss, "loss");
    graph.add_output(Role::Loss, "loss", loss);

    let wrt: Vec<ValueId> = operands.into_iter().filter(|&operand| graph.dtype(operand).is_float()).collect();
    let found = gradc_autodiff::gradient(&graph, loss, &wrt);
    let mut graph = found.graph;
    for (operand, cotangent) in wrt.into_iter().zip(found.cotangents) {
        let name = graph.value_name(operand).expect("operands are inputs").clone();
        let cotangent = cotangent.unwrap_or_else(|| panic!("{} gives {name} no gradient", def.name));
        graph.add_output(Role::Gradient, name, cotangent);
    }
    graph
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(directory());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

#[test]
fn gradients_as_text() {
    let mut names = BTreeSet::new();
    for &def in ALL.iter().filter(|def| !matches!(def.derivative, Derivative::None(_))) {
        let case = example(def).unwrap_or_else(|| panic!("{} has no case with a derivative", def.name));
        let graph = gradient_of(def, &case);
        assert_eq!(verify(&graph), Ok(()), "{}", def.name);
        let simplified = gradc_simplify::simplify(&graph, &gradc_simplify::Options::default()).graph;
        let text = format!("{}\n// simplified (accurate)\n{}", print(&graph), print(&simplified));
        settings().bind(|| insta::assert_snapshot!(def.name, text));
        names.insert(format!("{}.snap", def.name));
    }
    let file_name = |entry: std::io::Result<DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let files: BTreeSet<String> = std::fs::read_dir(directory()).unwrap().map(file_name).collect();
    let left_over: Vec<&String> = files.difference(&names).collect();
    assert!(left_over.is_empty(), "no operator has these snapshots: {left_over:?}");
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/grad")
}
