//! Differentiation as a transformation from graphs to graphs.
//!
//! [`gradient`] and [`vjp`] (reverse mode), [`jvp`] (forward mode) and [`hvp`] (forward over reverse) append the derivative
//! to a copy of the graph: forward and derivative are one graph, in which later passes see across both. The values of the
//! original keep their numbers.
//!
//! This crate names no operator but addition, which sums cotangents that meet, `select`, which keeps those of branches not
//! taken at zero, the loop, whose derivative is a loop around the derivative of its body, and values with a rule of the
//! program's own. Every rule is the operator's own ([`gradc_ir::OpDef::derivative`]), unless other [`Rules`] are given, and is
//! closed over the operators, so what comes out can be differentiated again, to any order.
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

use gradc_ir::op::custom::Custom;
use gradc_ir::{Graph, ValueId};

mod custom;
mod mask;
mod residuals;
mod rules;
mod scan;
mod sweep;

pub use custom::{NonlinearRule, Transpose, nonlinear_rules};
pub use rules::Rules;

/// A graph with its reverse-mode derivative appended.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// The original values under their numbers, then the derivative's.
    pub graph: Graph,
    /// For each value that was asked for, the derivative of the loss by it, of its type; `None` where the loss does
    /// not depend on it, or only through operators that pass no derivative.
    pub cotangents: Vec<Option<ValueId>>,
}

/// A graph with the product of a cotangent and its Jacobian appended.
#[derive(Clone, Debug)]
pub struct Pullback {
    /// The original values under their numbers, then new inputs for the cotangents of `of`, then the derivative's.
    pub graph: Graph,
    /// For each value of `of`, the input that its cotangent is given as; it is called `d_` and the value's name.
    pub inputs: Vec<ValueId>,
    /// For each value of `wrt`, its cotangent, as in [`Gradient::cotangents`].
    pub cotangents: Vec<Option<ValueId>>,
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

/// The derivative of `loss`, a float scalar of `graph`, by each of `wrt`, which may be any of its float values.
///
/// Cotangents that meet are added in the order of the reverse sweep: later users first.
pub fn gradient(graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Gradient {
    Rules::default().gradient(graph, loss, wrt)
}

/// For cotangents of each of `of` that are new inputs, the cotangents of each of `wrt`: the product of the transposed
/// Jacobian and a vector.
pub fn vjp(graph: &Graph, of: &[ValueId], wrt: &[ValueId]) -> Pullback {
    Rules::default().vjp(graph, of, wrt)
}

/// The directional derivative of each of `of` as each of `wrt` moves along a tangent that is a new input.
///
/// A value of `wrt` that depends on others of `wrt` moves by its own tangent and theirs.
pub fn jvp(graph: &Graph, wrt: &[ValueId], of: &[ValueId]) -> Tangents {
    Rules::default().jvp(graph, wrt, of)
}

/// The product of the Hessian of `loss` by `wrt` and a tangent of each of these that is a new input: the directional
/// derivative of the gradient, forward mode over reverse mode (Pearlmutter, 1994).
pub fn hvp(graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Tangents {
    Rules::default().hvp(graph, loss, wrt)
}

impl Rules<'_> {
    /// As [`gradient`](fn@gradient), by these rules.
    pub fn gradient(&self, graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Gradient {
        let mut result = graph.clone();
        let reached = sweep::between(graph, wrt, &[loss])[loss.index()];
        let seeds = if reached { vec![(loss, result.full_like(loss, 1.0))] } else { Vec::new() };
        let cotangents = sweep::pull_back(&mut result, self, &seeds, wrt);
        Gradient { graph: result, cotangents }
    }

    /// As [`vjp`](fn@vjp), by these rules.
    pub fn vjp(&self, graph: &Graph, of: &[ValueId], wrt: &[ValueId]) -> Pullback {
        let mut result = graph.clone();
        let seeds: Vec<(ValueId, ValueId)> =
            of.iter().map(|&value| (value, derivative_input(&mut result, value, "d_"))).collect();
        let cotangents = sweep::pull_back(&mut result, self, &seeds, wrt);
        Pullback { graph: result, inputs: seeds.into_iter().map(|(_, input)| input).collect(), cotangents }
    }

    /// As [`jvp`](fn@jvp), by these rules.
    pub fn jvp(&self, graph: &Graph, wrt: &[ValueId], of: &[ValueId]) -> Tangents {
        let mut result = graph.clone();
        let seeds: Vec<(ValueId, ValueId)> =
            wrt.iter().map(|&value| (value, derivative_input(&mut result, value, "t_"))).collect();
        let tangents = sweep::push_forward(&mut result, self, &seeds, of);
        Tangents { graph: result, inputs: seeds.into_iter().map(|(_, input)| input).collect(), tangents }
    }

    /// The transpose of a program's own rule, as all operands move that it gives a cotangent.
    pub fn transpose(&self, custom: &Custom) -> Transpose {
        Transpose::new(self, custom, &(0..custom.wrt).collect::<Vec<_>>())
    }

    /// As [`hvp`](fn@hvp), by these rules.
    pub fn hvp(&self, graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Tangents {
        let first = self.gradient(graph, loss, wrt);
        let present: Vec<ValueId> = first.cotangents.iter().flatten().copied().collect();
        let second = self.jvp(&first.graph, wrt, &present);
        let mut found = second.tangents.into_iter();
        let tangents = first.cotangents.iter().map(|cotangent| cotangent.and_then(|_| found.next().flatten()));
        Tangents { graph: second.graph, inputs: second.inputs, tangents: tangents.collect() }
    }
}

/// For each of `wrt`, whether [`gradient`] finds a cotangent for it: whether there is a path from it to the loss on which
/// every operator passes a derivative.
pub fn reached(graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Vec<bool> {
    let mut flows = vec![false; graph.len()];
    flows[loss.index()] = graph.dtype(loss).is_float();
    for value in graph.values().rev().filter(|value| graph.dtype(*value).is_float()) {
        if flows[value.index()] && sweep::passes(graph, value) {
            graph.differentiable_operands(value).iter().for_each(|operand| flows[operand.index()] = true);
        }
    }
    wrt.iter().map(|&value| flows[value.index()] && graph.dtype(value).is_float()).collect()
}

/// A new input for the derivative of a value, which is named after it.
fn derivative_input(graph: &mut Graph, value: ValueId, prefix: &str) -> ValueId {
    let name = match graph.value_name(value) {
        Some(name) => format!("{prefix}{name}"),
        None => format!("{prefix}{}", value.index()),
    };
    graph.input(unused_name(graph, &name), graph.ty(value).clone())
}

/// A name for a leaf that no leaf has: this one, or this one with a number.
pub(crate) fn unused_name(graph: &Graph, name: &str) -> Arc<str> {
    let taken = |name: &str| {
        graph.values().any(|v| graph.leaf(v).is_some() && graph.value_name(v).is_some_and(|leaf| **leaf == *name))
    };
    let mut candidates = std::iter::once(name.to_owned()).chain((1..).map(|i| format!("{name}_{i}")));
    candidates.find(|name| !taken(name)).unwrap_or_else(|| name.to_owned()).into()
}
