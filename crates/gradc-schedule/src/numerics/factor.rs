//! Few sums are multiplied before they are added up.
//!
//! `c * sum(x)` takes fewer multiplications than `sum(c * x)`, and that is how people read it. But where a kernel adds up along its
//! outer loops, a sum is there when all of it is done: to multiply it takes another kernel, and to begin that one costs more
//! than as many multiplications as there are in a small `x`, which is being computed or read in any case.

use std::borrow::Cow;

use gradc_ir::op::{mul::MUL, reduce_sum::REDUCE_SUM};
use gradc_ir::{Graph, ValueId};

use crate::groups::SMALL;
use crate::reduction::reduction;

/// Factors further from 1 than this, or its inverse, might make what is added up too small or too large.
const GREATEST: f64 = 1e6;

/// The graph with the factors of sums where they cost least.
pub(super) fn distribute(graph: &Graph) -> Cow<'_, Graph> {
    let live = graph.live();
    let wanted = |value: &ValueId| live[value.index()] && multiple_of_sum(graph, *value).is_some();
    if !graph.values().any(|value| wanted(&value)) {
        return Cow::Borrowed(graph);
    }
    Cow::Owned(super::rewritten(graph, |value, new, places| {
        let (sum, number) = multiple_of_sum(graph, value).filter(|_| live[value.index()])?;
        let summed = places[graph.operands(sum)[0].index()];
        let factor = new.full_like(summed, number);
        let product = new.mul(factor, summed);
        Some(new.copy_node(graph, sum, &[product]))
    }))
}

/// The sum and the number, where a value is a number times a sum that is for nothing else, of few elements, and along outer loops.
fn multiple_of_sum(graph: &Graph, value: ValueId) -> Option<(ValueId, f64)> {
    let &[a, b] = graph.op(value).filter(|op| op.is(&MUL)).map(|_| graph.operands(value))? else { return None };
    let (sum, number) = match (graph.as_full(a), graph.as_full(b)) {
        (Some(number), _) => (b, number),
        (_, Some(number)) => (a, number),
        _ => return None,
    };
    graph.op(sum).filter(|op| op.is(&REDUCE_SUM) && graph.dtype(sum).is_float())?;
    let is_near = (GREATEST.recip()..=GREATEST).contains(&number.abs());
    let is_small = graph.shape(graph.operands(sum)[0]).elements() <= SMALL;
    let is_alone = graph.users(sum).count() == 1 && graph.outputs().iter().all(|output| output.value != sum);
    (is_near && is_small && is_alone && reduction(graph, sum)?.in_memory).then_some((sum, number))
}
