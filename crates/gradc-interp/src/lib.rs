//! The reference interpreter: evaluates any graph, plainly.
//!
//! It is the oracle that compiled code is checked against. Each operator is applied by its own reference evaluation
//! ([`Op::evaluate`](gradc_ir::op::Op::evaluate)): an element is computed in `f64` and rounded once to the element type of the value. A graph of
//! `f32` thus rounds after each operator but never inside one (a sum or a matrix product is rounded once, at its end);
//! [`Graph::in_precision`](gradc_ir::Graph::in_precision) gives the same graph in `f64`.
//!
//! ```
//! use gradc_interp::{bind, evaluate};
//! use gradc_ir::{DType, Graph, Role, Tensor, TensorType};
//!
//! let mut graph = Graph::new("norm");
//! let x = graph.input("x", TensorType::new(DType::F32, [2]));
//! let square = graph.mul(x, x);
//! let sum = graph.reduce_sum(square, &[0]);
//! let norm = graph.sqrt(sum);
//! graph.add_output(Role::Output, "norm", norm);
//!
//! let x = Tensor::new(TensorType::new(DType::F32, [2]), vec![3.0, 4.0]);
//! let results = evaluate(&graph, &bind(&graph, [("x", x)])?)?;
//! assert_eq!(results[0].data(), [5.0]);
//! # Ok::<(), gradc_interp::EvalError>(())
//! ```

use std::borrow::Cow;
use std::sync::Arc;

use gradc_ir::{Graph, NodeKind, Tensor, ValueId};

mod error;

pub use error::EvalError;

/// A tensor for each of some leaves of a graph.
pub type Bindings = Vec<(ValueId, Tensor)>;

/// Tensors for the leaves of these names.
///
/// # Errors
/// [`EvalError::UnknownLeaf`] where the graph has no such leaf.
pub fn bind<'n>(graph: &Graph, tensors: impl IntoIterator<Item = (&'n str, Tensor)>) -> Result<Bindings, EvalError> {
    let leaf = |name: &str| {
        let named =
            |value: &ValueId| graph.leaf(*value).is_some() && graph.value_name(*value).is_some_and(|n| **n == *name);
        graph.values().find(named).ok_or_else(|| EvalError::UnknownLeaf { name: name.into() })
    };
    tensors.into_iter().map(|(name, tensor)| Ok((leaf(name)?, tensor))).collect()
}

/// The results of a graph, in the order of [`Graph::outputs`]. Leaves that no result depends on need no binding.
///
/// # Errors
/// Where the bindings do not fit the graph's leaves.
pub fn evaluate(graph: &Graph, bindings: &[(ValueId, Tensor)]) -> Result<Vec<Tensor>, EvalError> {
    let wanted: Vec<ValueId> = graph.outputs().iter().map(|output| output.value).collect();
    evaluate_values(graph, bindings, &wanted)
}

/// Some values of a graph, in the order in which they are asked for. Only what they depend on is computed, and a value is
/// let go after its last use.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_values(
    graph: &Graph,
    bindings: &[(ValueId, Tensor)],
    wanted: &[ValueId],
) -> Result<Vec<Tensor>, EvalError> {
    let needed = graph.ancestors(wanted.iter().copied());
    let mut uses = uses(graph, &needed);
    wanted.iter().for_each(|value| uses[value.index()] += 1);
    let mut values = bound(graph, bindings)?;
    for value in graph.values().filter(|value| needed[value.index()]) {
        compute(graph, &mut values, value)?;
        for operand in graph.operands(value) {
            uses[operand.index()] -= 1;
            if uses[operand.index()] == 0 {
                values[operand.index()] = None;
            }
        }
    }
    Ok(wanted.iter().map(|&value| held(&values, value).clone()).collect())
}

/// Every value of a graph.
///
/// # Errors
/// As [`evaluate`], but every leaf needs a binding.
pub fn evaluate_all(graph: &Graph, bindings: &[(ValueId, Tensor)]) -> Result<Values, EvalError> {
    let mut values = bound(graph, bindings)?;
    graph.values().try_for_each(|value| compute(graph, &mut values, value))?;
    Ok(Values(values.into_iter().flatten().map(Cow::into_owned).collect()))
}

/// What every value of a graph is, for given leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Vec<Tensor>);

impl Values {
    /// The tensor that `value` is.
    pub fn get(&self, value: ValueId) -> &Tensor {
        &self.0[value.index()]
    }
}

impl std::ops::Index<ValueId> for Values {
    type Output = Tensor;
    fn index(&self, value: ValueId) -> &Tensor {
        self.get(value)
    }
}

/// What has been computed and not let go, by [`ValueId::index`].
type Slots<'b> = Vec<Option<Cow<'b, Tensor>>>;

/// The leaves that have a binding.
fn bound<'b>(graph: &Graph, bindings: &'b [(ValueId, Tensor)]) -> Result<Slots<'b>, EvalError> {
    let mut values: Slots<'b> = vec![None; graph.len()];
    for (value, tensor) in bindings {
        if value.index() >= graph.len() || graph.leaf(*value).is_none() {
            return Err(EvalError::NotALeaf { value: *value });
        }
        if tensor.ty() != graph.ty(*value) {
            let expected = graph.ty(*value).clone();
            return Err(EvalError::WrongType { name: leaf_name(graph, *value), expected, found: tensor.ty().clone() });
        }
        values[value.index()] = Some(Cow::Borrowed(tensor));
    }
    Ok(values)
}

/// Puts `value` into its slot, if it is not there.
fn compute(graph: &Graph, values: &mut Slots<'_>, value: ValueId) -> Result<(), EvalError> {
    match &graph.node(value).kind {
        NodeKind::Leaf { .. } if values[value.index()].is_none() => {
            Err(EvalError::MissingBinding { name: leaf_name(graph, value), expected: graph.ty(value).clone() })
        }
        NodeKind::Leaf { .. } => Ok(()),
        NodeKind::Op(op) => {
            let operands: Vec<&Tensor> = graph.operands(value).iter().map(|&operand| held(values, operand)).collect();
            let tensor = op.evaluate(&operands).map_err(|error| EvalError::IllTyped { value, error })?;
            values[value.index()] = Some(Cow::Owned(tensor));
            Ok(())
        }
    }
}

fn held<'v>(values: &'v Slots<'_>, value: ValueId) -> &'v Tensor {
    values[value.index()].as_ref().expect("a value is computed after its operands and held until its last use")
}

/// For each value, how often the needed ones have it as an operand.
fn uses(graph: &Graph, needed: &[bool]) -> Vec<usize> {
    let mut uses = vec![0; graph.len()];
    for value in graph.values().filter(|value| needed[value.index()]) {
        graph.operands(value).iter().for_each(|operand| uses[operand.index()] += 1);
    }
    uses
}

fn leaf_name(graph: &Graph, leaf: ValueId) -> Arc<str> {
    graph.value_name(leaf).cloned().unwrap_or_else(|| format!("value {}", leaf.index()).into())
}
