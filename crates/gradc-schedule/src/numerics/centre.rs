//! What is left of numbers without their mean has all its digits.
//!
//! A mean is rounded like a number of the size of the elements. Where these are close to one another, that is much to what
//! is left of them: of `[1, 1, 1, 1.0001]` in `f32`, `x - mean(x)` has three digits, and so have the variance and all that
//! is normalised by it. But the mean of what is left is just what the first mean was off by, and is small, so that its own
//! rounding does not matter: with `d = x - mean(x)`, `x` without its mean is `d - mean(d)`. (Two passes with a correction, as
//! in Chan, Golub, LeVeque, "Algorithms for computing the sample variance", 1983.)
//!
//! That is for data, which may be all digits and far from zero. The elements of a derivative are sums of products, each off by as
//! much as their mean is by now; so what only derivatives depend on takes no
//! second pass, in a graph that has other results.
//!
//! The simplifier must not see this: to it, `mean(d)` is zero.

use std::borrow::Cow;

use gradc_ir::op::{broadcast::BROADCAST, div::DIV, mul::MUL, reduce_sum::REDUCE_SUM, reshape::RESHAPE, sub::SUB};
use gradc_ir::{Graph, LeafKind, Op, OpDef, Output, Role, Shape, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

/// The graph with each value that its mean is subtracted from without the mean of the rest, too.
pub(super) fn centre(graph: &Graph) -> Cow<'_, Graph> {
    // What something depends on that is no derivative, nor made of one. What a model keeps between runs may be either.
    let states: FxHashSet<&str> =
        graph.leaves(LeafKind::State).filter_map(|leaf| graph.value_name(leaf).map(|name| &**name)).collect();
    let is_forward = |output: &&Output| match output.role {
        Role::Output | Role::Loss | Role::Metric => true,
        Role::Update => states.contains(&*output.name),
        Role::Gradient | Role::Tangent | Role::HessianVector => false,
    };
    let has_forward = graph.outputs().iter().any(|output| is_forward(&output));
    let results = graph.outputs().iter().filter(|output| !has_forward || is_forward(output));
    let forward = graph.ancestors(results.map(|output| output.value));
    // By the difference, the axes of the mean.
    let differences: FxHashMap<ValueId, Vec<usize>> = graph
        .values()
        .filter(|value| forward[value.index()])
        .filter_map(|value| Some((value, without_mean(graph, value)?)))
        .collect();
    if differences.is_empty() {
        return Cow::Borrowed(graph);
    }
    Cow::Owned(super::rewritten(graph, |value, new, places| {
        let axes = differences.get(&value)?;
        let operands: Vec<ValueId> = graph.operands(value).iter().map(|operand| places[operand.index()]).collect();
        let rest = new.copy_node(graph, value, &operands);
        Some(corrected(new, rest, axes))
    }))
}

/// The axes of the mean, where a value is another one without its mean.
fn without_mean(graph: &Graph, value: ValueId) -> Option<Vec<usize>> {
    let &[x, subtracted] = applied(graph, value, &SUB)?.1 else { return None };
    if !graph.dtype(x).is_float() {
        return None;
    }
    // From what is subtracted back to the mean, which may have passed through reshapes.
    let mut movements = Vec::new();
    let mut mean = subtracted;
    while let Some((op, &[operand])) = applied(graph, mean, &BROADCAST).or_else(|| applied(graph, mean, &RESHAPE)) {
        movements.push((op, mean));
        mean = operand;
    }
    let (sum, factor) = quotient(graph, mean)?;
    let (reduction, &[summed]) = applied(graph, sum, &REDUCE_SUM)? else { return None };
    if before_reshapes(graph, summed) != before_reshapes(graph, x) {
        return None;
    }
    let of_summed = reshaped(&all_axes(graph.shape(x)), graph.shape(x), graph.shape(summed))?;
    let reduced = reduction.attrs.ints("axes");
    let axes: Vec<usize> = reduced.iter().filter_map(|&axis| of_summed[axis]).collect();
    let count: usize = axes.iter().map(|&axis| graph.shape(x)[axis]).product();
    if !factor.is_mean_of(count, graph.dtype(x)) || graph.shape(x).elements() == 0 {
        return None;
    }
    // Which axis of `x` each axis of the mean is, and then of what is made of it.
    let kept = (0..of_summed.len()).filter(|axis| !reduced.contains(axis)).map(|axis| of_summed[axis]).collect();
    let spread = movements.iter().rev().try_fold(kept, |axes: Vec<Option<usize>>, (op, value)| {
        let shape = graph.shape(*value);
        if op.is(&RESHAPE) {
            return reshaped(&axes, graph.shape(x), shape);
        }
        let mut spread = vec![None; shape.rank()];
        op.attrs.ints("axes").iter().zip(axes).for_each(|(&to, axis)| spread[to] = axis);
        Some(spread)
    })?;
    let expected = all_axes(graph.shape(x)).into_iter().map(|axis| axis.filter(|axis| !axes.contains(axis)));
    expected.eq(spread).then_some(axes)
}

/// What a sum is multiplied or divided by.
enum Factor {
    Times(f64),
    Over(f64),
}

impl Factor {
    /// Whether it makes a mean of a sum of so many elements, as the element type has it.
    fn is_mean_of(&self, count: usize, dtype: gradc_ir::DType) -> bool {
        match *self {
            Factor::Times(number) => number == dtype.round(1.0 / count as f64),
            Factor::Over(number) => number == count as f64,
        }
    }
}

/// What is multiplied or divided by a number, and by which.
fn quotient(graph: &Graph, value: ValueId) -> Option<(ValueId, Factor)> {
    if let Some((_, &[a, number])) = applied(graph, value, &DIV) {
        return Some((a, Factor::Over(graph.as_full(number)?)));
    }
    let &[a, b] = applied(graph, value, &MUL)?.1 else { return None };
    match (graph.as_full(a), graph.as_full(b)) {
        (Some(number), _) => Some((b, Factor::Times(number))),
        (_, Some(number)) => Some((a, Factor::Times(number))),
        _ => None,
    }
}

fn applied<'g>(graph: &'g Graph, value: ValueId, def: &'static OpDef) -> Option<(&'g Op, &'g [ValueId])> {
    graph.op(value).filter(|op| op.is(def)).map(|op| (op, graph.operands(value)))
}

/// Each axis by its number; none where there is only one element along it, since such axes come and go.
fn all_axes(shape: &Shape) -> Vec<Option<usize>> {
    (0..shape.rank()).map(|axis| (shape[axis] != 1).then_some(axis)).collect()
}

/// What a value was before it was reshaped.
fn before_reshapes(graph: &Graph, mut value: ValueId) -> ValueId {
    while let Some((_, &[from])) = applied(graph, value, &RESHAPE) {
        value = from;
    }
    value
}

/// Which axes of `of` those of a reshaped value are, if it only has other axes of extent 1 than before.
fn reshaped(axes: &[Option<usize>], of: &Shape, shape: &Shape) -> Option<Vec<Option<usize>>> {
    let mut known = axes.iter().flatten().copied();
    let named = shape.iter().map(|&extent| match extent {
        1 => Some(None),
        _ => known.next().filter(|&axis| of[axis] == extent).map(Some),
    });
    let named: Vec<Option<usize>> = named.collect::<Option<_>>()?;
    known.next().is_none().then_some(named)
}

/// A value without its mean.
fn corrected(graph: &mut Graph, rest: ValueId, axes: &[usize]) -> ValueId {
    let shape = graph.shape(rest).clone();
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let sum = graph.reduce_sum(rest, axes);
    let share = graph.full_like(sum, 1.0 / count as f64);
    let mean = graph.mul(share, sum);
    // Where something is infinite, what is left says so already.
    let magnitude = graph.abs(mean);
    let (infinite, zero) = (graph.full_like(mean, f64::INFINITY), graph.full_like(mean, 0.0));
    let is_finite = graph.lt(magnitude, infinite);
    let mean = graph.select(is_finite, mean, zero);
    let spread = graph.broadcast_back(mean, axes, &shape);
    graph.sub(rest, spread)
}
