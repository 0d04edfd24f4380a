//! What is left of numbers without their mean has all its digits.
//!
//! A mean is rounded like a number of the size of the elements. Where these are close to one another, that is much to what
//! is left of them: of `[1, 1, 1, 1.0001]` in `f32`, `x - mean(x)` has three digits, and so have the variance and all that
//! is normalised by it. So the mean is taken of the distances from one of the elements, which are exact where the elements
//! are close: with `s`, the first of them, `x - mean(x)` is `(x - s) - mean(x - s)`, and `mean(x)` is `s + mean(x - s)`.
//! (The shifted data algorithm of Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.)

use std::borrow::Cow;

use gradc_ir::op::{broadcast::BROADCAST, div::DIV, mul::MUL, reduce_sum::REDUCE_SUM, sub::SUB};
use gradc_ir::{Graph, ValueId};
use rustc_hash::FxHashMap;

/// The mean of a value along axes.
struct Mean<'g> {
    of: ValueId,
    axes: &'g [usize],
    /// How many elements each is the mean of.
    count: usize,
}

/// What a mean is computed from, in the new graph.
#[derive(Clone, Copy)]
struct Shifted {
    /// The first of the elements, of the type of the mean.
    first: ValueId,
    /// The elements without that.
    rest: ValueId,
    /// The mean of these.
    mean: ValueId,
}

/// The graph with each value that its mean is subtracted from in terms of distances from an element.
pub(super) fn centre(graph: &Graph) -> Cow<'_, Graph> {
    let live = graph.live();
    // By the mean, its parts; by the difference, the mean.
    let mut means: FxHashMap<ValueId, Mean<'_>> = FxHashMap::default();
    let mut differences: FxHashMap<ValueId, ValueId> = FxHashMap::default();
    for value in graph.values().filter(|value| live[value.index()]) {
        if let Some((of_mean, mean)) = centred(graph, value) {
            differences.insert(value, of_mean);
            means.insert(of_mean, mean);
        }
    }
    if differences.is_empty() {
        return Cow::Borrowed(graph);
    }
    let mut shifted: FxHashMap<ValueId, Shifted> = FxHashMap::default();
    Cow::Owned(super::rewritten(graph, |value, new, places| {
        if let Some(mean) = means.get(&value) {
            let parts = shift(new, places[mean.of.index()], mean);
            shifted.insert(value, parts);
            Some(new.add(parts.first, parts.mean))
        } else {
            let of_mean = differences.get(&value)?;
            let parts = shifted[of_mean];
            let spread = new.broadcast_back(parts.mean, means[of_mean].axes, &graph.shape(value).clone());
            Some(new.sub(parts.rest, spread))
        }
    }))
}

/// The mean that is subtracted from what it is the mean of, if that is what a value is.
fn centred(graph: &Graph, value: ValueId) -> Option<(ValueId, Mean<'_>)> {
    let applied = |value: ValueId, def| graph.op(value).filter(|op| op.is(def)).map(|op| (op, graph.operands(value)));
    let (_, &[x, subtracted]) = applied(value, &SUB)? else { return None };
    let (broadcast, &[average]) = applied(subtracted, &BROADCAST)? else { return None };
    let (sum, reciprocal) = match (applied(average, &MUL), applied(average, &DIV)) {
        (Some((_, &[a, b])), _) => match (graph.as_full(a), graph.as_full(b)) {
            (Some(number), _) => (b, number),
            (_, Some(number)) => (a, number),
            _ => return None,
        },
        (_, Some((_, &[sum, number]))) => (sum, 1.0 / graph.as_full(number)?),
        _ => return None,
    };
    let (reduction, &[summed]) = applied(sum, &REDUCE_SUM)? else { return None };
    let axes = reduction.attrs.ints("axes");
    let shape = graph.shape(x);
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let kept = (0..shape.rank()).filter(|axis| !axes.contains(axis));
    let is_mean = summed == x
        && shape.elements() > 0
        && graph.dtype(x).is_float()
        && (reciprocal * count as f64 - 1.0).abs() < 1e-6
        && kept.eq(broadcast.attrs.ints("axes").iter().copied());
    is_mean.then_some((average, Mean { of: x, axes, count }))
}

fn shift(graph: &mut Graph, x: ValueId, mean: &Mean<'_>) -> Shifted {
    let shape = graph.shape(x).clone();
    let start = vec![0; shape.rank()];
    let stride = vec![1; shape.rank()];
    let limit: Vec<usize> =
        (0..shape.rank()).map(|axis| if mean.axes.contains(&axis) { 1 } else { shape[axis] }).collect();
    let reduced: Vec<usize> =
        (0..shape.rank()).filter(|axis| !mean.axes.contains(axis)).map(|axis| shape[axis]).collect();
    let first = graph.slice(x, &start, &limit, &stride);
    let first = graph.reshape(first, &reduced);
    let spread = graph.broadcast_back(first, mean.axes, &shape);
    let rest = graph.sub(x, spread);
    let sum = graph.reduce_sum(rest, mean.axes);
    let share = graph.full_like(sum, 1.0 / mean.count as f64);
    let mean = graph.mul(share, sum);
    Shifted { first, rest, mean }
}
