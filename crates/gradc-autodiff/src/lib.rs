//! Differentiation as a transformation from graphs to graphs.
//!
//! [`gradient`] (reverse mode) and [`jvp`] (forward mode) append the derivative to a copy of the graph: forward and
//! derivative are one graph, in which later passes see across both. The values of the original keep their numbers.
//!
//! This crate names no operator but addition, which sums cotangents that meet, and the loop, whose derivative is a loop
//! around the derivative of its body. Every rule is the operator's own ([`gradc_ir::OpDef::derivative`]) and is closed over
//! the operators, so what comes out can be differentiated again.
//!
//! "No gradient" is an absence, not a tensor of zeros: a value that the loss does not depend on smoothly has `None`.
//!
//! ```
//! use gradc_ir::{DType, Graph, Init, Role, TensorType};
//!
//! let mut graph = Graph::new("square");
//! let x = graph.param("x", TensorType::new(DType::F32, [3]), Init::Constant(1.0.into()));
//! let y = graph.mul(x, x);
//! let loss = graph.reduce_sum(y, &[0]);
//! graph.add_output(Role::Loss, "loss", loss);
//!
//! let gradient = gradc_autodiff::gradient(&graph, loss, &[x]);
//! let d_x = gradient.cotangents[0].expect("the loss depends on x");
//! assert_eq!(gradient.graph.ty(d_x), graph.ty(x));
//! ```

use std::sync::Arc;

use gradc_ir::{Graph, ValueId};

mod residuals;
mod scan;
mod sweep;

/// A graph with its reverse-mode derivative appended.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// The original values under their numbers, then the derivative's. A loop among them stacks more than it did: what its
    /// derivative reads.
    pub graph: Graph,
    /// For each value that was asked for, the derivative of the loss by it, of its type; `None` where the loss does
    /// not depend on it, or only through operators that pass no derivative.
    pub cotangents: Vec<Option<ValueId>>,
}

/// The derivative of `loss`, a float scalar of `graph`, by each of `wrt`, which may be any of its float values.
///
/// Cotangents that meet are added in the order of the reverse sweep: later users first.
pub fn gradient(graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Gradient {
    let mut result = graph.clone();
    let seed = result.full_like(loss, 1.0);
    let cotangents = sweep::pull_back(&mut result, &[(loss, seed)], wrt);
    Gradient { graph: result, cotangents }
}

/// A graph with its forward-mode derivative appended.
#[derive(Clone, Debug)]
pub struct Tangents {
    /// The original values under their numbers, then new inputs for the tangents of `wrt`, then the derivative's.
    pub graph: Graph,
    /// For each value of `wrt`, the input that its tangent is given as; it is called `t_` and the value's name.
    pub inputs: Vec<ValueId>,
    /// For each value of `of`, its tangent; `None` where it does not depend on any of `wrt`.
    pub tangents: Vec<Option<ValueId>>,
}

/// The directional derivative of each of `of` as each of `wrt` moves along a tangent that is a new input.
///
/// A value of `wrt` that depends on others of `wrt` moves by its own tangent and theirs.
pub fn jvp(graph: &Graph, wrt: &[ValueId], of: &[ValueId]) -> Tangents {
    let mut result = graph.clone();
    let mut seeds = Vec::with_capacity(wrt.len());
    for &value in wrt {
        let name = match graph.value_name(value) {
            Some(name) => format!("t_{name}"),
            None => format!("t_{}", value.index()),
        };
        seeds.push((value, result.input(unused_name(&result, &name), graph.ty(value).clone())));
    }
    let tangents = sweep::push_forward(&mut result, &seeds, of);
    Tangents { graph: result, inputs: seeds.into_iter().map(|(_, input)| input).collect(), tangents }
}

/// For each of `wrt`, whether [`gradient`] finds a cotangent for it: whether there is a path from it to the loss on which
/// every operator passes a derivative.
pub fn reached(graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Vec<bool> {
    let mut flows = vec![false; graph.len()];
    flows[loss.index()] = graph.dtype(loss).is_float();
    for value in graph.values().rev().filter(|value| graph.dtype(*value).is_float()) {
        if flows[value.index()] && sweep::passes(graph, value) {
            graph.operands(value).iter().for_each(|operand| flows[operand.index()] = true);
        }
    }
    wrt.iter().map(|&value| flows[value.index()] && graph.dtype(value).is_float()).collect()
}

/// A name for a leaf that no leaf has: this one, or this one with a number.
pub(crate) fn unused_name(graph: &Graph, name: &str) -> Arc<str> {
    let taken = |name: &str| {
        graph.values().any(|v| graph.leaf(v).is_some() && graph.value_name(v).is_some_and(|leaf| **leaf == *name))
    };
    let mut candidates = std::iter::once(name.to_owned()).chain((1..).map(|i| format!("{name}_{i}")));
    candidates.find(|name| !taken(name)).unwrap_or_else(|| name.to_owned()).into()
}
