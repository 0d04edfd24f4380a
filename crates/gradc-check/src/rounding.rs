//! How much of a number is rounding.
//!
//! Where terms cancel, what is left may be nothing but their rounding, and two ways to compute it agree in no digit. How large
//! that is follows from what every value would change by if each value that it is computed from were another by its rounding,
//! which is a derivative (F. L. Bauer, *Computational graphs and rounding error*, 1974). Roundings have random signs here, a few
//! times.

use std::sync::Arc;

use gradc::autodiff::Rules;
use gradc::ir::op::scan::Scan;
use gradc::ir::op::stop_gradient::STOP_GRADIENT;
use gradc::ir::{Body, Graph, LeafKind, Tensor, TensorType, ValueId};

use crate::evaluate::{Bindings, values};
use crate::point::Random;

/// Ulps that a value may be wrong by: it may be a sum of many terms.
const ULPS: f64 = 512.0;

/// How often signs are drawn.
const DRAWS: usize = 4;

/// What the greatest element of each of some float values may be wrong by. Zero where that is infinite or NaN: nothing is
/// excused at a pole.
pub(crate) fn noise(graph: &Graph, point: &Bindings, wanted: &[ValueId]) -> Vec<f64> {
    // What a function with a rule of its own computes rounds, whatever the rule says.
    let (graph, numbers) = graph.replacing_rules(&mut |_, custom, operands| operands[..custom.results].to_vec());
    let perturbed = Perturbed::new(&graph);
    let of: Vec<ValueId> = wanted.iter().map(|value| perturbed.renumbered[numbers[value.index()].index()]).collect();
    let moved = Rules::default().jvp(&perturbed.graph, &perturbed.shares, &of);
    let present: Vec<ValueId> = moved.tangents.iter().flatten().copied().collect();
    let mut greatest = vec![0.0f64; present.len()];
    let mut random = Random::new(0, "rounding");
    for _ in 0..DRAWS {
        let mut point = point.clone();
        for (inputs, draws) in [(&perturbed.shares, false), (&moved.inputs, true)] {
            for &input in inputs {
                let name = moved.graph.value_name(input).map(ToString::to_string).unwrap_or_default();
                let ty = moved.graph.ty(input);
                let zeros = || Tensor::from_fn(ty.clone(), |_| 0.0);
                point.push((name, if draws { random.signs(ty) } else { zeros() }));
            }
        }
        for (greatest, tangent) in greatest.iter_mut().zip(values(&moved.graph, &point, &present)) {
            *greatest = tangent.data().iter().fold(*greatest, |greatest, x| greatest.max(x.abs()));
            if tangent.data().iter().any(|x| x.is_nan()) {
                *greatest = f64::INFINITY;
            }
        }
    }
    let mut greatest = greatest.into_iter();
    let of_tangent = |tangent: &Option<ValueId>| tangent.and_then(|_| greatest.next()).unwrap_or(0.0);
    let noise = moved.tangents.iter().map(of_tangent).map(|greatest| ULPS * f64::EPSILON * greatest);
    noise.map(|noise| if noise.is_finite() { noise } else { 0.0 }).collect()
}

/// A graph with inputs for the relative rounding of each float value.
struct Perturbed {
    graph: Graph,
    /// For each value of the graph it was made from, the value there.
    renumbered: Vec<ValueId>,
    /// By what share each value is another.
    shares: Vec<ValueId>,
}

impl Perturbed {
    /// Every float value of a graph as `x + x * share`, in loops too. A `stop_gradient` does not stop what was rounded before it.
    fn new(graph: &Graph) -> Perturbed {
        let mut result = Perturbed { graph: graph.emptied(), renumbered: Vec::new(), shares: Vec::new() };
        for value in graph.values() {
            let operands: Vec<ValueId> =
                graph.operands(value).iter().map(|operand| result.renumbered[operand.index()]).collect();
            let is_stop = graph.op(value).is_some_and(|op| op.is(&STOP_GRADIENT));
            let copy = match graph.as_scan(value) {
                Some(scan) => result.scan(&scan, operands),
                None if is_stop => operands[0],
                None => result.graph.copy_node(graph, value, &operands),
            };
            let rounds = graph.dtype(value).is_float() && !graph.is_packed(value) && !is_stop;
            let copy = if rounds { result.rounded(copy) } else { copy };
            result.renumbered.push(copy);
        }
        result
    }

    fn rounded(&mut self, value: ValueId) -> ValueId {
        let share = self.share(self.graph.ty(value).clone());
        let part = self.graph.mul(value, share);
        self.graph.add(value, part)
    }

    /// A new input. No name of a user's has a space.
    fn share(&mut self, ty: TensorType) -> ValueId {
        let share = self.graph.input(format!("share {}", self.graph.len()), ty);
        self.shares.push(share);
        share
    }

    /// A loop that is given the shares of its body, the same in each step.
    fn scan(&mut self, scan: &Scan, mut operands: Vec<ValueId>) -> ValueId {
        let step = Perturbed::new(scan.body.graph());
        // The inputs of a body are its leaves in order, and shares come in order, too.
        let is_given = |leaf: &ValueId| step.shares.binary_search(leaf).is_err();
        let given = step.graph.leaves(LeafKind::Input).filter(is_given);
        let inputs: Vec<ValueId> = given.chain(step.shares.iter().copied()).collect();
        let outputs = scan.body.graph().outputs().iter();
        let results: Vec<(Arc<str>, ValueId)> =
            outputs.map(|output| (output.name.clone(), step.renumbered[output.value.index()])).collect();
        let body = Body::new(&step.graph.part(&inputs, &results));
        let body = body.unwrap_or_else(|error| unreachable!("gradc has a bug: {error}"));
        for &share in &step.shares {
            let share = self.share(step.graph.ty(share).clone());
            operands.push(share);
        }
        self.graph.scan(&Scan { body, ..scan.clone() }, &operands)
    }
}
