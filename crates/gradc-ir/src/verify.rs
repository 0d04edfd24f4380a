//! The verifier: run after every pass in debug builds and in tests.
//!
//! It checks that
//! - operands come before their users, and each value has the type that its operator's own rule gives it;
//! - packed results are read one by one, each once and with its own type; bodies are verified when they are made;
//! - leaves have names, unique among all leaves, and parameters and state have a first value;
//! - results are named uniquely within a role; there is at most one loss, a float scalar;
//! - an update has the type of the parameter or state it is for.

use std::fmt;

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::op::Op;
use crate::op::result::RESULT;
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

/// Packed results are read one by one, and what reads one of them reads nothing else.
fn verify_results(graph: &Graph, value: ValueId, op: &Op) -> Result<(), String> {
    if !op.is(&RESULT) {
        let packed = graph.operands(value).iter().find(|&&operand| graph.is_packed(operand));
        return match packed {
            Some(operand) => Err(format!("{} reads all results of {} at once", op.def.name, operand.index())),
            None => Ok(()),
        };
    }
    let (packed, index) = (graph.operands(value)[0], op.attrs.int("index"));
    match graph.result_type(packed, index) {
        Some(ty) if ty == *graph.ty(value) => {}
        _ => return Err(format!("value {} has no result {index} of type {}", packed.index(), graph.ty(value))),
    }
    if graph.results_of(packed)[index] != Some(value) {
        return Err(format!("result {index} of {} is read twice", packed.index()));
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
        if graph.is_packed(output.value) {
            return fail(format!("the result {} is several results at once", output.name));
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
