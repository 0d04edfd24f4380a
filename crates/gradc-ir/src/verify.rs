//! The verifier: run after every pass in debug builds and in tests.
//!
//! It checks that
//! - operands come before their users, and each value has the type that its operator's own rule gives it;
//! - a loop's value is read by its results alone, each once and with the type that the body gives it; bodies are verified
//!   when they are made;
//! - leaves have names, unique among all leaves, and parameters and state have a first value;
//! - results are named uniquely within a role; there is at most one loss, a float scalar;
//! - an update has the type of the parameter or state it is for.

use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::op::Op;
use crate::op::scan::RESULT;
use crate::{Graph, LeafKind, NodeKind, Role, TensorType, ValueId};

/// What is wrong with a graph, and at which value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    /// The value, if it is about one.
    pub value: Option<ValueId>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(f, "value {}: {}", value.index(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Checks a graph; the first thing that is wrong is the error.
pub fn verify(graph: &Graph) -> Result<(), VerifyError> {
    let mut leaves = FxHashMap::default();
    for value in graph.values() {
        verify_value(graph, value, &mut leaves).map_err(|message| VerifyError { value: Some(value), message })?;
    }
    verify_outputs(graph, &leaves).map_err(|(value, message)| VerifyError { value, message })
}

fn verify_value<'g>(graph: &'g Graph, value: ValueId, leaves: &mut FxHashMap<&'g str, ValueId>) -> Result<(), String> {
    let node = graph.node(value);
    if let Some(operand) = node.operands.iter().find(|&&operand| operand >= value) {
        return Err(format!("operand {} comes after its user", operand.index()));
    }
    match &node.kind {
        NodeKind::Op(op) => {
            let types: SmallVec<[&TensorType; 4]> = node.operands.iter().map(|&operand| graph.ty(operand)).collect();
            let ty = op.infer(&types).map_err(|error| format!("{}: {error}", op.def.name))?;
            if ty != node.ty {
                return Err(format!("{} gives {ty}, not {}", op.def.name, node.ty));
            }
            verify_results(graph, value, op)?;
        }
        NodeKind::Leaf { kind, init } => {
            let name = node.name.as_deref().ok_or("a leaf has no name")?;
            if leaves.insert(name, value).is_some() {
                return Err(format!("two leaves are called {name}"));
            }
            if init.is_none() && *kind != LeafKind::Input {
                return Err(format!("{name} has no first value"));
            }
        }
    }
    Ok(())
}

/// Loops are read by their results, and these read nothing else.
fn verify_results(graph: &Graph, value: ValueId, op: &Op) -> Result<(), String> {
    if !op.is(&RESULT) {
        let packed = graph.operands(value).iter().find(|&&operand| graph.as_scan(operand).is_some());
        return match packed {
            Some(operand) => Err(format!("{} reads the loop {} itself, not its results", op.def.name, operand.index())),
            None => Ok(()),
        };
    }
    let (scan, index) = (graph.operands(value)[0], op.attrs.int("index"));
    match graph.as_scan(scan) {
        Some(scan) if index < scan.results() && scan.result_type(index) == *graph.ty(value) => {}
        _ => return Err(format!("value {} has no result {index} of type {}", scan.index(), graph.ty(value))),
    }
    if graph.scan_results(scan)[index] != Some(value) {
        return Err(format!("result {index} of the loop {} is read twice", scan.index()));
    }
    Ok(())
}

fn verify_outputs(graph: &Graph, leaves: &FxHashMap<&str, ValueId>) -> Result<(), (Option<ValueId>, String)> {
    let mut names = FxHashSet::default();
    for output in graph.outputs() {
        let fail = |message: String| Err((Some(output.value), message));
        if output.value.index() >= graph.len() {
            return fail(format!("the result {} is not a value of this graph", output.name));
        }
        if !names.insert((output.role, &output.name)) {
            return fail(format!("two results are called {} {}", output.role.keyword(), output.name));
        }
        let ty = graph.ty(output.value);
        if graph.as_scan(output.value).is_some() {
            return fail(format!("the result {} is a loop itself, not one of its results", output.name));
        }
        match output.role {
            Role::Loss if ty.shape.rank() != 0 || !ty.dtype.is_float() => {
                return fail(format!("the loss is {ty}, not a float scalar"));
            }
            Role::Update => {
                let leaf = leaves.get(&*output.name).filter(|&&leaf| graph.leaf(leaf) != Some(LeafKind::Input));
                match leaf {
                    None => return fail(format!("the update of {} has nothing to update", output.name)),
                    Some(&leaf) if graph.ty(leaf) != ty => {
                        return fail(format!("{} is {}, its update {ty}", output.name, graph.ty(leaf)));
                    }
                    Some(_) => {}
                }
            }
            _ => {}
        }
    }
    match graph.outputs_of(Role::Loss).nth(1) {
        Some(second) => Err((Some(second.value), "there are two losses".into())),
        None => Ok(()),
    }
}
