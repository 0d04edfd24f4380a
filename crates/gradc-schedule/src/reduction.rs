//! Reductions as loops: what is combined where.

use gradc_ir::op::{reduce_max, reduce_min, reduce_sum};
use gradc_ir::{DType, Graph, Shape, ValueId};

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

/// The loops of a reduction, or `None` where `value` is none.
pub(crate) fn reduction(graph: &Graph, value: ValueId) -> Option<Reduction> {
    let op = graph.op(value)?;
    let dtype = graph.dtype(value);
    let (combine, start) = if op.is(&reduce_sum::REDUCE_SUM) {
        (Combine::Sum, 0.0)
    } else if op.is(&reduce_max::REDUCE_MAX) {
        (Combine::Max, if dtype == DType::I32 { f64::from(i32::MIN) } else { f64::NEG_INFINITY })
    } else if op.is(&reduce_min::REDUCE_MIN) {
        (Combine::Min, if dtype == DType::I32 { f64::from(i32::MAX) } else { f64::INFINITY })
    } else {
        return None;
    };
    let source = graph.shape(graph.operands(value)[0]);
    let axes = op.attrs.ints("axes");
    let reduced: Vec<bool> =
        source.iter().enumerate().filter(|(_, extent)| **extent != 1).map(|(axis, _)| axes.contains(&axis)).collect();
    let depth = reduced.iter().rposition(|reduced| !reduced).map_or(0, |last| last + 1);
    let in_memory = reduced[..depth].contains(&true);
    let kept = (0..reduced.len()).filter(|&axis| !reduced[axis]);
    let strides = squeezed(graph.shape(value)).strides();
    let address = kept
        .zip(strides)
        .fold(Affine::default(), |sum, (axis, stride)| sum.plus(&Affine::var(LoopVar(axis as u32)), stride as i64));
    Some(Reduction { combine, start, depth, in_memory, address })
}

/// The loops that compute `value`, outermost first: over the operand of a reduction, else over the value itself.
pub(crate) fn loops_of(graph: &Graph, value: ValueId) -> Shape {
    match reduction(graph, value) {
        Some(_) => squeezed(graph.shape(graph.operands(value)[0])),
        None => squeezed(graph.shape(value)),
    }
}
