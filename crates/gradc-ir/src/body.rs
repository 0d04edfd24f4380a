//! The body of a loop: a graph that an operator holds as an attribute.

use std::cmp::Ordering;
use std::fmt::{self, Write};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxHasher;

use crate::op::TypeError;
use crate::{Attr, Graph, LeafKind, NodeKind, Origin, Role, Tensor, TensorType, ValueId, verify};

/// A verified graph that stands for a function of tensors: its leaves are inputs, its results are outputs, both in order.
/// Nothing in it is dead but inputs. Cheap to clone; compared, ordered and hashed by its structure, so that names and
/// places in the source make no difference.
#[derive(Clone)]
pub struct Body(Arc<Contents>);

struct Contents {
    graph: Graph,
    inputs: Vec<ValueId>,
    depth: usize,
    /// The structure as a text, and its hash.
    key: String,
    hash: u64,
}

impl Body {
    /// How many bodies may lie within each other.
    pub const MAX_DEPTH: usize = 8;

    /// The function that a graph computes.
    ///
    /// # Errors
    /// Where the graph is not well-formed, has leaves or results of other kinds than inputs and outputs, or holds bodies
    /// within bodies deeper than [`Body::MAX_DEPTH`].
    pub fn new(graph: &Graph) -> Result<Body, TypeError> {
        let graph = graph.pruned();
        verify::verify(&graph).map_err(|error| TypeError(format!("the body is no graph: {error}")))?;
        let leaves = || graph.values().filter_map(|value| graph.leaf(value));
        if leaves().any(|kind| kind != LeafKind::Input) {
            return Err(TypeError("a body has no parameters and no state of its own".into()));
        }
        if graph.outputs().iter().any(|output| output.role != Role::Output) {
            return Err(TypeError("the results of a body are outputs".into()));
        }
        let depth = 1 + graph.values().filter_map(|value| body_of(&graph, value)).map(Body::depth).max().unwrap_or(0);
        if depth > Body::MAX_DEPTH {
            return Err(TypeError(format!(
                "loops and derivative rules may lie within each other at most {} deep",
                Body::MAX_DEPTH
            )));
        }
        let inputs = graph.leaves(LeafKind::Input).collect();
        let key = structure(&graph);
        let mut hasher = FxHasher::default();
        key.hash(&mut hasher);
        Ok(Body(Arc::new(Contents { graph, inputs, depth, key, hash: hasher.finish() })))
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// The inputs in order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.0.inputs
    }

    /// The values that are the results, in order.
    pub fn results(&self) -> impl ExactSizeIterator<Item = ValueId> + '_ {
        self.graph().outputs().iter().map(|output| output.value)
    }

    /// The type of a result.
    pub fn result_type(&self, index: usize) -> &TensorType {
        self.graph().ty(self.graph().outputs()[index].value)
    }

    /// How deep bodies lie within this one, itself included.
    pub fn depth(&self) -> usize {
        self.0.depth
    }

    /// The reference evaluation: the results for these inputs, whose types fit. A value is let go after its last use.
    ///
    /// # Errors
    /// Where an operator does not fit its operands; the body was verified, so that is a bug.
    pub fn evaluate(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, TypeError> {
        let graph = self.graph();
        let mut uses = vec![0usize; graph.len()];
        graph.values().flat_map(|value| graph.operands(value)).for_each(|operand| uses[operand.index()] += 1);
        self.results().for_each(|value| uses[value.index()] += 1);
        let mut computed: Vec<Option<Tensor>> = vec![None; graph.len()];
        let given: rustc_hash::FxHashMap<ValueId, &Tensor> =
            self.inputs().iter().copied().zip(inputs.iter().copied()).collect();
        for value in graph.values() {
            let Some(op) = graph.op(value) else { continue };
            let operands = graph.operands(value);
            let tensor = {
                let held = |operand: &ValueId| given.get(operand).copied().or(computed[operand.index()].as_ref());
                let tensors: Option<Vec<&Tensor>> = operands.iter().map(held).collect();
                op.evaluate(&tensors.ok_or_else(|| TypeError("an operand is not there".into()))?)?
            };
            computed[value.index()] = Some(tensor);
            for operand in operands {
                uses[operand.index()] -= 1;
                if uses[operand.index()] == 0 {
                    computed[operand.index()] = None;
                }
            }
        }
        let result = |value: ValueId| given.get(&value).copied().or(computed[value.index()].as_ref()).cloned();
        let results: Option<Vec<Tensor>> = self.results().map(result).collect();
        results.ok_or_else(|| TypeError("a result is not there".into()))
    }
}

impl Graph {
    /// Writes the values of a body to this graph, with the inputs as given: its results. Values keep names and places.
    pub fn instantiate(&mut self, body: &Body, inputs: &[ValueId]) -> Vec<ValueId> {
        let (graph, origin) = (body.graph(), self.origin());
        let mut copies: Vec<ValueId> = Vec::with_capacity(graph.len());
        let mut given = inputs.iter().copied();
        for value in graph.values() {
            let copy = match graph.op(value) {
                // Leaves are inputs, in order.
                None => given.next().unwrap_or_else(|| unreachable!("gradc has a bug: a body lacks an input")),
                Some(op) => {
                    let operands: Vec<ValueId> =
                        graph.operands(value).iter().map(|operand| copies[operand.index()]).collect();
                    let span = graph.node(value).origin.span.or(origin.span);
                    self.set_origin(Origin { span, ..origin });
                    // Constants are made anew in places of their own.
                    let copy = self.emit(op.clone(), &operands);
                    if let Some(name) = graph.value_name(value) {
                        self.set_value_name(copy, name.clone());
                    }
                    copy
                }
            };
            copies.push(copy);
        }
        self.set_origin(origin);
        body.results().map(|result| copies[result.index()]).collect()
    }
}

/// The body that a value's operator holds.
fn body_of(graph: &Graph, value: ValueId) -> Option<&Body> {
    graph.op(value)?.attrs.iter().find_map(|(_, attr)| if let Attr::Body(body) = attr { Some(body) } else { None })
}

/// Everything about a graph but names and origins, in one line.
fn structure(graph: &Graph) -> String {
    let mut text = String::new();
    for value in graph.values() {
        let _ = match &graph.node(value).kind {
            NodeKind::Leaf { .. } => write!(text, "{};", graph.ty(value)),
            NodeKind::Op(op) => write!(text, "{}{:?}(", op.def.name, op.attrs),
        };
        if graph.leaf(value).is_none() {
            graph.operands(value).iter().for_each(|operand| {
                let _ = write!(text, "{},", operand.index());
            });
            let _ = write!(text, "):{};", graph.ty(value));
        }
    }
    graph.outputs().iter().for_each(|output| {
        let _ = write!(text, ">{}", output.value.index());
    });
    text
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0.key)
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.hash == other.0.hash && self.0.key == other.0.key)
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash.hash(state);
    }
}

impl PartialOrd for Body {
    fn partial_cmp(&self, other: &Body) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Body {
    fn cmp(&self, other: &Body) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) { Ordering::Equal } else { self.0.key.cmp(&other.0.key) }
    }
}
