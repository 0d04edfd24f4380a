//! Differentiation as a transformation from graphs to graphs.
//!
//! [`gradient`] and [`vjp`] (reverse mode), [`jvp`] (forward mode) and [`hvp`] (forward over reverse) append the derivative
//! to a copy of the graph: forward and derivative are one graph, in which later passes see across both. The values of the
//! original keep their numbers.
//!
//! This crate names no operator but addition, which sums cotangents that meet. Every rule is the operator's own
//! ([`gradc_ir::OpDef::derivative`]), unless other [`Rules`] are given, and is closed over the operators, so what comes
//! out can be differentiated again, to any order.
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

use gradc_ir::{Derivative, Graph, Jvp, Origin, ValueId, Vjp};

mod mask;
mod rules;

use mask::{Mask, carried, may_be_infinite};
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
        let reached = between(graph, wrt, &[loss])[loss.index()];
        let seeds = if reached { vec![(loss, result.full_like(loss, 1.0))] } else { Vec::new() };
        let cotangents = self.pull_back(graph, &mut result, &seeds, wrt);
        Gradient { graph: result, cotangents }
    }

    /// As [`vjp`](fn@vjp), by these rules.
    pub fn vjp(&self, graph: &Graph, of: &[ValueId], wrt: &[ValueId]) -> Pullback {
        let mut result = graph.clone();
        let mut inputs = Vec::with_capacity(of.len());
        for &value in of {
            let name = derivative_name(&result, graph, value, "d_");
            inputs.push(result.input(name, graph.ty(value).clone()));
        }
        let seeds: Vec<(ValueId, ValueId)> = of.iter().copied().zip(inputs.iter().copied()).collect();
        let cotangents = self.pull_back(graph, &mut result, &seeds, wrt);
        Pullback { graph: result, inputs, cotangents }
    }

    /// As [`jvp`](fn@jvp), by these rules.
    pub fn jvp(&self, graph: &Graph, wrt: &[ValueId], of: &[ValueId]) -> Tangents {
        let between = between(graph, wrt, of);
        let mut result = graph.clone();
        let mut tangents: Vec<Option<ValueId>> = vec![None; graph.len()];
        let mut inputs = Vec::with_capacity(wrt.len());
        for &value in wrt {
            let name = derivative_name(&result, graph, value, "t_");
            let input = result.input(name, graph.ty(value).clone());
            inputs.push(input);
            tangents[value.index()] = Some(input);
        }
        for value in graph.values().filter(|value| between[value.index()]) {
            let Some(Derivative::Rules { jvp, .. }) = self.of(graph, value) else { continue };
            let operands: Vec<Option<ValueId>> =
                graph.operands(value).iter().map(|operand| tangents[operand.index()]).collect();
            if operands.iter().all(Option::is_none) {
                continue;
            }
            result.set_origin(origin_of(graph, value));
            let mut rule = Jvp::new(&mut result, value, &operands);
            jvp(&mut rule);
            let Some(tangent) = rule.finish() else { continue };
            let slot = &mut tangents[value.index()];
            *slot = Some(match *slot {
                None => tangent,
                Some(own) => result.add(own, tangent),
            });
            if let Some(tangent) = *slot {
                name_after(&mut result, graph, value, tangent, "t_");
            }
        }
        result.set_origin(Origin::default());
        Tangents { graph: result, inputs, tangents: of.iter().map(|value| tangents[value.index()]).collect() }
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

    /// The reverse sweep: writes to `result`, a copy of `graph` with more values, what each of `wrt` receives where the
    /// first of each of `seeds` has the second as its cotangent.
    fn pull_back(
        &self,
        graph: &Graph,
        result: &mut Graph,
        seeds: &[(ValueId, ValueId)],
        wrt: &[ValueId],
    ) -> Vec<Option<ValueId>> {
        let of: Vec<ValueId> = seeds.iter().map(|&(value, _)| value).collect();
        let between = between(graph, wrt, &of);
        let suspect = may_be_infinite(graph);
        let mut cotangents: Vec<Option<(ValueId, Mask)>> = vec![None; graph.len()];
        for &(value, seed) in seeds.iter().filter(|(value, _)| between[value.index()]) {
            receive(result, &mut cotangents[value.index()], seed, Mask::default());
        }
        for value in graph.values().rev() {
            let Some((cotangent, mask)) = cotangents[value.index()].clone() else { continue };
            name_after(result, graph, value, cotangent, "d_");
            let Some(Derivative::Rules { vjp, .. }) = self.of(graph, value) else { continue };
            result.set_origin(origin_of(graph, value));
            let wanted: Vec<bool> = graph.operands(value).iter().map(|operand| between[operand.index()]).collect();
            let mut rule = Vjp::new(result, value, cotangent, &wanted);
            vjp(&mut rule);
            let contributions = rule.finish();
            for (&operand, contribution) in graph.operands(value).iter().zip(contributions) {
                let Some(contribution) = contribution else { continue };
                let (contribution, mask) = carried(result, value, &suspect, &mask, contribution);
                receive(result, &mut cotangents[operand.index()], contribution, mask);
            }
        }
        result.set_origin(Origin::default());
        wrt.iter().map(|value| cotangents[value.index()].as_ref().map(|(cotangent, _)| *cotangent)).collect()
    }
}

/// Adds a part of a cotangent to what there is of it.
fn receive(result: &mut Graph, slot: &mut Option<(ValueId, Mask)>, part: ValueId, mask: Mask) {
    *slot = Some(match slot.take() {
        None => (part, mask),
        Some((sum, known)) => {
            let mask = known.of_sum(&mask, result);
            (result.add(sum, part), mask)
        }
    });
}

/// For each of `wrt`, whether [`gradient`] finds a cotangent for it: whether there is a path from it to the loss on which
/// every operator passes a derivative.
pub fn reached(graph: &Graph, loss: ValueId, wrt: &[ValueId]) -> Vec<bool> {
    let mut flows = vec![false; graph.len()];
    flows[loss.index()] = graph.dtype(loss).is_float();
    for value in graph.values().rev().filter(|value| graph.dtype(*value).is_float()) {
        let passes = matches!(graph.op(value).map(|op| op.def.derivative), Some(Derivative::Rules { .. }));
        if flows[value.index()] && passes {
            graph.operands(value).iter().for_each(|operand| flows[operand.index()] = true);
        }
    }
    wrt.iter().map(|&value| flows[value.index()] && graph.dtype(value).is_float()).collect()
}

/// For each value, whether a derivative flows through it from one of `from` to one of `to`: it is a float that lies on
/// a path between them.
fn between(graph: &Graph, from: &[ValueId], to: &[ValueId]) -> Vec<bool> {
    let after = graph.descendants(from.iter().copied());
    let before = graph.ancestors(to.iter().copied());
    let on_path = |value: ValueId| after[value.index()] && before[value.index()] && graph.dtype(value).is_float();
    graph.values().map(on_path).collect()
}

fn origin_of(graph: &Graph, value: ValueId) -> Origin {
    graph.node(value).origin
}

/// Names a derivative after the value it belongs to, if that has a name and the derivative none yet.
fn name_after(result: &mut Graph, graph: &Graph, value: ValueId, derivative: ValueId, prefix: &str) {
    if let Some(name) = graph.value_name(value)
        && result.value_name(derivative).is_none()
        && result.as_full(derivative).is_none()
    {
        result.set_value_name(derivative, format!("{prefix}{name}"));
        // Named under the layer of the value, wherever the rule was that made it.
        result.set_value_scope(derivative, origin_of(graph, value).scope);
    }
}

/// A name for the derivative of a value that is given as an input: one that no leaf has.
fn derivative_name(result: &Graph, graph: &Graph, value: ValueId, prefix: &str) -> Arc<str> {
    let base = match graph.value_name(value) {
        Some(name) => format!("{prefix}{name}"),
        None => format!("{prefix}{}", value.index()),
    };
    let taken = |name: &str| {
        result.values().any(|v| result.leaf(v).is_some() && result.value_name(v).is_some_and(|leaf| **leaf == *name))
    };
    let candidates = std::iter::once(base.clone()).chain((1..).map(|i| format!("{base}_{i}")));
    candidates.into_iter().find(|name| !taken(name)).unwrap_or(base).into()
}
