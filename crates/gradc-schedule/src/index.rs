//! Which element of a value an expression reads: index maps, and how each operator reads its operands.

use gradc_ir::op::{broadcast, gather, one_hot, reshape, slice, transpose, window};
use gradc_ir::{Class, Graph, Op, Shape, ValueId};
use smallvec::{SmallVec, smallvec};

use crate::kernel::{Affine, LoopVar};

/// The position of an element on each axis of a value, or only in row-major order, as functions of loop indices.
#[derive(Clone, Debug)]
pub(crate) enum Index {
    /// On each axis.
    Axes(Vec<Affine>),
    /// In row-major order.
    Flat(Affine),
}

impl Index {
    /// The element that the loops over [`squeezed`] `shape` are at. The loop over the `k`th axis that is kept has index
    /// `k`.
    pub(crate) fn identity(shape: &Shape) -> Index {
        let mut loops = 0..;
        let axis = |&extent: &usize| match extent {
            1 => Affine::constant(0),
            _ => Affine::var(LoopVar(loops.next().unwrap_or_default())),
        };
        Index::Axes(shape.iter().map(axis).collect())
    }

    /// The position in row-major order.
    pub(crate) fn flat(&self, shape: &Shape) -> Affine {
        match self {
            Index::Flat(position) => position.clone(),
            Index::Axes(axes) => {
                let strides = shape.strides();
                axes.iter().zip(strides).fold(Affine::default(), |sum, (axis, stride)| sum.plus(axis, stride as i64))
            }
        }
    }

    /// The position on one axis. Where it cannot be told, it is a bug to ask.
    pub(crate) fn on_axis(&self, shape: &Shape, axis: usize) -> Affine {
        let axes = self.axes(shape).unwrap_or_else(|| unreachable!("gradc has a bug: a position has no axes"));
        axes[axis].clone()
    }

    /// The position on each axis, if it can be told.
    fn axes(&self, shape: &Shape) -> Option<Vec<Affine>> {
        match self {
            Index::Axes(axes) => Some(axes.clone()),
            Index::Flat(position) if squeezed(shape).rank() <= 1 => {
                let axis = |&extent: &usize| if extent == 1 { Affine::constant(0) } else { position.clone() };
                Some(shape.iter().map(axis).collect())
            }
            Index::Flat(_) => None,
        }
    }
}

/// The extents of the loops over a shape: those that are not 1.
pub(crate) fn squeezed(shape: &Shape) -> Shape {
    shape.iter().copied().filter(|&extent| extent != 1).collect()
}

/// How an expression reads an operand.
pub(crate) struct OperandRead {
    /// The operand.
    pub(crate) operand: ValueId,
    /// The element, or `None` where it is found at run time.
    pub(crate) at: Option<Index>,
}

/// How the element of `value` at `at` reads the operands of `value`, in order.
///
/// Concatenation, padding, contraction, accumulation and most reductions are not expressions of single elements: for
/// these, and where the positions cannot be told, it is a bug to ask. [`Places`](crate::places::Places) sees to that.
pub(crate) fn operand_reads(graph: &Graph, value: ValueId, at: &Index) -> SmallVec<[OperandRead; 3]> {
    let Some(op) = graph.op(value) else { return SmallVec::new() };
    let operands = graph.operands(value);
    let read = |operand: ValueId, axes: Vec<Affine>| OperandRead { operand, at: Some(Index::Axes(axes)) };
    let axes = || {
        let axes = at.axes(graph.shape(value));
        axes.unwrap_or_else(|| unreachable!("gradc has a bug: {} is read by flat positions", op.def.name))
    };
    if op.is(&gather::GATHER) {
        let (axis, rank) = (op.attrs.int("axis"), graph.shape(operands[1]).rank());
        let table = OperandRead { operand: operands[0], at: None };
        return smallvec![table, read(operands[1], axes()[axis..axis + rank].into())];
    }
    if op.is(&reshape::RESHAPE) {
        let source = operands[0];
        let at = reshape_source(graph.shape(source), graph.shape(value), at);
        return smallvec![OperandRead { operand: source, at: Some(at) }];
    }
    match op.def.class {
        Class::Source => SmallVec::new(),
        Class::Reduce => {
            reduced_elements(op, graph.shape(operands[0]), &axes()).map(|axes| read(operands[0], axes)).collect()
        }
        Class::Elementwise => operands.iter().map(|&operand| OperandRead { operand, at: Some(at.clone()) }).collect(),
        _ => smallvec![read(operands[0], moved(op, graph.shape(operands[0]), &axes()))],
    }
}

/// Where a reduction that is unrolled reads its operand, of shape `source`, in row-major order.
fn reduced_elements<'a>(op: &'a Op, source: &'a Shape, axes: &'a [Affine]) -> impl Iterator<Item = Vec<Affine>> + 'a {
    let reduced = op.attrs.ints("axes");
    let window: Shape = reduced.iter().map(|&axis| source[axis]).collect();
    (0..window.elements()).map(move |linear| {
        let mut kept = axes.iter().cloned();
        let mut within = window.unravel(linear).into_iter();
        let position = |axis: usize| match reduced.contains(&axis) {
            true => within.next().map(|at| Affine::constant(at as i64)),
            false => kept.next(),
        };
        (0..source.rank()).filter_map(position).collect()
    })
}

/// Where a movement (or `one_hot`) reads its only operand, of shape `source`.
fn moved(op: &Op, source: &Shape, axes: &[Affine]) -> Vec<Affine> {
    if op.is(&broadcast::BROADCAST) {
        op.attrs.ints("axes").iter().map(|&axis| axes[axis].clone()).collect()
    } else if op.is(&transpose::TRANSPOSE) {
        let mut moved = vec![Affine::default(); source.rank()];
        for (axis, &from) in axes.iter().zip(op.attrs.ints("permutation")) {
            moved[from] = axis.clone();
        }
        moved
    } else if op.is(&slice::SLICE) {
        let (start, stride) = (op.attrs.ints("start"), op.attrs.ints("stride"));
        axes.iter().zip(start).zip(stride).map(|((axis, &s), &t)| axis.scaled(t as i64, s as i64)).collect()
    } else if op.is(&window::WINDOW) {
        merged_windows(op, axes)
    } else if op.is(&one_hot::ONE_HOT) {
        axes[..source.rank()].into()
    } else {
        unreachable!("gradc has a bug: {} does not read single elements", op.def.name)
    }
}

/// The position of an element of a window, for positions `axes` of windows and their elements: the two axes from that of
/// the attribute `axis` on are one, along which windows start `stride` apart and their elements are `dilation` apart.
pub(crate) fn merged_windows(op: &Op, axes: &[Affine]) -> Vec<Affine> {
    let (axis, stride, dilation) = (op.attrs.int("axis"), op.attrs.int("stride"), op.attrs.int("dilation"));
    let element = axes[axis].scaled(stride as i64, 0).plus(&axes[axis + 1], dilation as i64);
    axes[..axis].iter().chain([&element]).chain(&axes[axis + 2..]).cloned().collect()
}

/// Whether every position on the axes of `from` is an affine function of the positions on those of `to`: each axis of
/// `from` is one axis of `to` or split into several.
pub(crate) fn splits(from: &Shape, to: &Shape) -> bool {
    split(from, to).is_some()
}

/// For each axis of `from`, the axes of `to` that it is split into.
pub(crate) fn split(from: &Shape, to: &Shape) -> Option<SmallVec<[std::ops::Range<usize>; 4]>> {
    if from.elements() == 0 {
        return None;
    }
    let mut next = 0;
    let mut parts = SmallVec::new();
    for &extent in from.iter() {
        let (begin, mut product) = (next, 1);
        while product < extent && next < to.rank() {
            product *= to[next];
            next += 1;
        }
        if product != extent {
            return None;
        }
        parts.push(begin..next);
    }
    Some(parts)
}

/// Where the element at `at` of a reshape to `to` is in the operand, of shape `from`.
fn reshape_source(from: &Shape, to: &Shape, at: &Index) -> Index {
    let (Index::Axes(axes), Some(parts)) = (at, split(from, to)) else { return Index::Flat(at.flat(to)) };
    let merged =
        |part: std::ops::Range<usize>| part.fold(Affine::default(), |sum, axis| axes[axis].plus_scaled(&sum, to[axis]));
    Index::Axes(parts.into_iter().map(merged).collect())
}

impl Affine {
    /// `sum · extent + self`
    fn plus_scaled(&self, sum: &Affine, extent: usize) -> Affine {
        sum.scaled(extent as i64, 0).plus(self, 1)
    }
}
