//! Products that are added to what they update.
//!
//! The step of gradient descent `w - rate * d`, where `d` is a product of matrices, needs no memory for `d`: the product
//! is added to `w` where it is, with the factor `-rate`, tile by tile while these are in registers. A sum is rounded once less
//! than the formula says, so this is not done where values are computed as they are written.

use gradc_ir::op::{add, broadcast, matmul, mul, neg, reshape, sub};
use gradc_ir::{Graph, ValueId};
use rustc_hash::FxHashMap;

use crate::depth;
use crate::groups::{element, updates};
use crate::needs::Need;
use crate::places::Places;

/// The deepest product that is added to what it updates. A deeper one is summed in blocks; each would be rounded as what it is
/// added to is, and small ones be lost.
const DEEPEST: usize = 512;

/// The next value of a leaf, which a product changes in place: the leaf, plus the product times a factor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    /// The next value.
    pub(crate) value: ValueId,
    /// The leaf.
    pub(crate) leaf: ValueId,
    /// The root that is the product.
    pub(crate) product: ValueId,
    /// The factor, or its sign.
    pub(crate) scale: f64,
    /// The rest of the factor: a leaf or a root of one element.
    pub(crate) factor: Option<ValueId>,
}

/// The updates that products can make in place, in the order of the results, if nothing reads a leaf too late.
pub(crate) fn candidates(graph: &Graph, places: &Places<'_>, needs: &[Vec<Need>]) -> Vec<Update> {
    let mut reads = vec![0usize; graph.len()];
    needs.iter().flatten().for_each(|need| reads[need.value.index()] += 1);
    graph.outputs().iter().filter_map(|output| places.memory(output.value)).for_each(|root| reads[root.index()] += 1);
    let is_candidate = |update: &Update| {
        let Update { value, leaf, product, .. } = *update;
        let same_element = element(graph, value);
        let mut own = needs[value.index()].iter().filter(|need| need.value == leaf || need.value == product);
        // One reader of the product; and the next value is that of one leaf, and nothing else.
        own.all(|need| need.at.as_ref() == Some(&same_element))
            && reads[product.index()] == 1
            && reads[value.index()] == 1
    };
    let updates = updates(graph).into_iter();
    let found = updates.filter_map(|(leaf, next)| matched(graph, places, leaf, places.memory(next)?));
    found.filter(is_candidate).collect()
}

/// Those of the candidates that are right in this order of the roots, by the next value: a product is a step of its own, and
/// whatever else reads the leaf has come before it.
pub(crate) fn in_place(
    graph: &Graph,
    candidates: &[Update],
    needs: &[Vec<Need>],
    order: &[ValueId],
) -> FxHashMap<ValueId, Update> {
    let mut position = vec![0; graph.len()];
    order.iter().enumerate().for_each(|(at, root)| position[root.index()] = at);
    // The last reader of each leaf, its next value apart, one further on.
    let next: FxHashMap<ValueId, ValueId> = candidates.iter().map(|update| (update.leaf, update.value)).collect();
    let mut read_until = vec![0; graph.len()];
    for (at, &root) in order.iter().enumerate() {
        let others = needs[root.index()].iter().filter(|need| next.get(&need.value) != Some(&root));
        others.for_each(|need| read_until[need.value.index()] = at + 1);
    }
    let is_right = |update: &&Update| {
        let product = position[update.product.index()];
        let factor = update.factor.filter(|factor| graph.leaf(*factor).is_none());
        read_until[update.leaf.index()] <= product && factor.is_none_or(|factor| position[factor.index()] < product)
    };
    candidates.iter().filter(is_right).map(|update| (update.value, *update)).collect()
}

/// The formula of an update as a leaf and a product with a factor, if it is one.
fn matched(graph: &Graph, places: &Places<'_>, leaf: ValueId, value: ValueId) -> Option<Update> {
    let op = graph.op(value)?;
    let &[first, second] = graph.operands(value) else { return None };
    let (other, sign) = if op.is(&sub::SUB) && first == leaf {
        (second, -1.0)
    } else if op.is(&add::ADD) && (first == leaf || second == leaf) {
        (if first == leaf { second } else { first }, 1.0)
    } else {
        return None;
    };
    let Scaled { value: product, scale, factor } = scaled(graph, places, other)?;
    if places.placed(product).is_some_and(|placed| placed.destination.overlaps) {
        return None;
    }
    let multiplied = places.product(product)?;
    let (op, operands) = (graph.op(multiplied)?, graph.operands(multiplied));
    let (m, n, k) = matmul::sizes(&op.attrs, graph.ty(operands[0]), graph.ty(operands[1]));
    let batch = graph.shape(product).elements().checked_div(m * n)?;
    let fits =
        k <= DEEPEST && graph.dtype(product) == graph.dtype(leaf) && depth::chunks_of([batch, m, n, k]).is_none();
    fits.then_some(Update { value, leaf, product, scale: sign * scale, factor })
}

/// A value in memory and what it is multiplied with: a number, and a value of one element.
struct Scaled {
    value: ValueId,
    scale: f64,
    factor: Option<ValueId>,
}

/// A value as another one in memory with a factor.
fn scaled(graph: &Graph, places: &Places<'_>, value: ValueId) -> Option<Scaled> {
    if let Some(value) = places.memory(value) {
        return Some(Scaled { value, scale: 1.0, factor: None });
    }
    let op = graph.op(value)?;
    let operands = graph.operands(value);
    if op.is(&neg::NEG) {
        return Some(Scaled { value: places.memory(operands[0])?, scale: -1.0, factor: None });
    }
    if !op.is(&mul::MUL) {
        return None;
    }
    let of = |number: ValueId, value: ValueId| {
        let (value, number) = (places.memory(value)?, repeated(graph, places, number));
        let in_memory = || {
            let factor = places.memory(number).filter(|&factor| graph.shape(factor).elements() == 1)?;
            Some(Scaled { value, scale: 1.0, factor: Some(factor) })
        };
        match graph.as_full(number) {
            Some(number) => Some(Scaled { value, scale: graph.dtype(value).round(number), factor: None }),
            None => in_memory(),
        }
    };
    of(operands[0], operands[1]).or_else(|| of(operands[1], operands[0]))
}

/// What is repeated to make a value that is not in memory.
fn repeated(graph: &Graph, places: &Places<'_>, value: ValueId) -> ValueId {
    let is_movement = |op: &gradc_ir::Op| op.is(&broadcast::BROADCAST) || op.is(&reshape::RESHAPE);
    match graph.op(value) {
        Some(op) if places.memory(value).is_none() && is_movement(op) => {
            repeated(graph, places, graph.operands(value)[0])
        }
        _ => value,
    }
}
