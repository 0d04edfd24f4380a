//! Reductions as loops: what is combined where.
//!
//! A reduction whose reduced loops are not innermost has to combine in memory, which is worth it for many elements only.
//! Of few (a pooling window, the heads of an attention) each element of the result is *unrolled* into one expression of
//! all that it combines, so that the loops are those over the result and nothing is written but what is done.

use gradc_ir::op::{reduce_max, reduce_min, reduce_sum};
use gradc_ir::{Graph, Shape, ValueId};

use crate::index::squeezed;
use crate::kernel::{Affine, Combine, LoopVar};

/// How the loops over the operand of a reduction (see [`squeezed`]) compute it.
///
/// The innermost loops whose axes are all reduced combine into a register; `depth` is the number of loops around these.
/// Where one of the loops around is reduced too, the register (or the element itself, where there are no such innermost
/// loops) is combined into memory.
#[derive(Clone, Debug)]
pub(crate) struct Reduction {
    /// How it combines.
    pub(crate) combine: Combine,
    /// The result over no elements.
    pub(crate) start: f64,
    /// The number of loops around those that combine into a register.
    pub(crate) depth: usize,
    /// Whether results are combined in memory.
    pub(crate) in_memory: bool,
    /// The element of the result.
    pub(crate) address: Affine,
}

/// A reduction over more elements than this is never unrolled: it would become too much code.
const UNROLL_LIMIT: usize = 64;

/// The loops of a reduction, or `None` where `value` is none or is unrolled.
pub(crate) fn reduction(graph: &Graph, value: ValueId) -> Option<Reduction> {
    let (combine, start) = combination(graph, value)?;
    let reduced = reduced_loops(graph, value);
    let depth = reduced.iter().rposition(|reduced| !reduced).map_or(0, |last| last + 1);
    let in_memory = reduced[..depth].contains(&true);
    if in_memory && !reduced[0] && count(graph, value) <= UNROLL_LIMIT {
        return None;
    }
    let kept = (0..reduced.len()).filter(|&axis| !reduced[axis]);
    let strides = squeezed(graph.shape(value)).strides();
    let address = kept
        .zip(strides)
        .fold(Affine::default(), |sum, (axis, stride)| sum.plus(&Affine::var(LoopVar(axis as u32)), stride as i64));
    Some(Reduction { combine, start, depth, in_memory, address })
}

/// How a reduction is unrolled, or `None` where `value` is none or has loops of its own.
pub(crate) fn unrolled(graph: &Graph, value: ValueId) -> Option<(Combine, f64)> {
    combination(graph, value).filter(|_| reduction(graph, value).is_none())
}

/// How many elements a reduction combines into one.
pub(crate) fn count(graph: &Graph, reduction: ValueId) -> usize {
    let axes = graph.op(reduction).map_or(&[][..], |op| op.attrs.ints("axes"));
    let source = graph.shape(graph.operands(reduction)[0]);
    axes.iter().map(|&axis| source[axis]).product()
}

/// For each loop over the operand of a reduction, whether its axis is reduced.
fn reduced_loops(graph: &Graph, value: ValueId) -> Vec<bool> {
    let axes = graph.op(value).map_or(&[][..], |op| op.attrs.ints("axes"));
    let source = graph.shape(graph.operands(value)[0]).iter().enumerate();
    source.filter(|(_, extent)| **extent != 1).map(|(axis, _)| axes.contains(&axis)).collect()
}

/// How a reduction combines, and its result over no elements.
fn combination(graph: &Graph, value: ValueId) -> Option<(Combine, f64)> {
    let op = graph.op(value)?;
    let dtype = graph.dtype(value);
    let combination = if op.is(&reduce_sum::REDUCE_SUM) {
        (Combine::Sum, 0.0)
    } else if op.is(&reduce_max::REDUCE_MAX) {
        (Combine::Max, dtype.least())
    } else if op.is(&reduce_min::REDUCE_MIN) {
        (Combine::Min, dtype.greatest())
    } else {
        return None;
    };
    Some(combination)
}

/// The loops that compute `value`, outermost first: over the operand of a reduction, else over the value itself.
pub(crate) fn loops_of(graph: &Graph, value: ValueId) -> Shape {
    match reduction(graph, value) {
        Some(_) => squeezed(graph.shape(graph.operands(value)[0])),
        None => squeezed(graph.shape(value)),
    }
}
