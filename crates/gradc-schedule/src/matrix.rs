//! Matrices that are read, and written, where they are.
//!
//! Transposed heads, the windows of an image, the part of a tensor that a slice takes: what movements make of a value is still in
//! its memory, at positions that are affine functions of a few indices. So an operand of a product is read through them, and
//! nothing is copied, as long as its rows, its columns and its batches are nested axes of that memory ([`Axes`]).
//!
//! It is the same the other way round: where all that is done with a product is to move it, its elements are written to where
//! they go. Where they overlap there (the gradient of windows), they are added.

use gradc_ir::op::{broadcast, overlap_add, reshape, slice, transpose, window};
use gradc_ir::{Class, Graph, Op, Shape, ValueId};
use smallvec::{SmallVec, smallvec};

use crate::plan::{Axes, Axis};

/// A value as batches of matrices in the memory of another value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatrixView {
    /// The value whose memory it is.
    pub(crate) value: ValueId,
    /// Its first element there.
    pub(crate) offset: usize,
    /// From batch to batch.
    pub(crate) batch: Axes,
    /// From row to row.
    pub(crate) rows: Axes,
    /// From column to column.
    pub(crate) columns: Axes,
}

impl MatrixView {
    /// Rows and columns exchanged.
    pub(crate) fn transposed(self) -> MatrixView {
        MatrixView { rows: self.columns, columns: self.rows, ..self }
    }

    /// The matrices of an array, whose last two axes are rows and columns.
    fn of(array: &Array) -> Option<MatrixView> {
        let (matrix, outer) = (array.axes.len().checked_sub(2)?, &array.axes);
        Some(MatrixView {
            value: array.value,
            offset: array.offset,
            batch: Axes::new(outer[..matrix].iter().flatten().copied())?,
            rows: Axes::new(outer[matrix].iter().copied())?,
            columns: Axes::new(outer[matrix + 1].iter().copied())?,
        })
    }
}

/// `operand` as matrices, seen through movements as far as `through` holds for these; `None` where that is more than nested axes,
/// or repeats rows or columns.
pub(crate) fn matrix_view(graph: &Graph, operand: ValueId, through: impl Fn(ValueId) -> bool) -> Option<MatrixView> {
    let view = MatrixView::of(&array(graph, operand, through)?)?;
    let repeats = |axes: &Axes| axes.iter().any(|axis| axis.stride == 0);
    (!repeats(&view.rows) && !repeats(&view.columns)).then_some(view)
}

/// Whether `value` is in the memory of another value, seen through movements as far as `through` holds for these.
pub(crate) fn is_nested(graph: &Graph, value: ValueId, through: impl Fn(ValueId) -> bool) -> bool {
    array(graph, value, through).is_some()
}

fn array(graph: &Graph, operand: ValueId, through: impl Fn(ValueId) -> bool) -> Option<Array> {
    let mut movements: SmallVec<[ValueId; 8]> = SmallVec::new();
    let mut base = operand;
    while through(base) && graph.op(base).is_some_and(is_movement) {
        movements.push(base);
        base = graph.operands(base)[0];
    }
    // What is computed for this is no more than what is read.
    if through(base) && graph.shape(base).elements() > graph.shape(operand).elements() {
        return None;
    }
    let mut array = Array::plain(graph, base);
    for movement in movements.into_iter().rev() {
        array = array.moved(graph.op(movement)?, graph.shape(movement))?;
    }
    Some(array)
}

/// The plain view of a value in its own memory.
pub(crate) fn plain_view(graph: &Graph, value: ValueId) -> MatrixView {
    let shape = graph.shape(value);
    let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
    let batch = shape[..shape.rank() - 2].iter().product();
    MatrixView {
        value,
        offset: 0,
        batch: Axes::one(batch, rows * columns),
        rows: Axes::one(rows, columns),
        columns: Axes::one(columns, 1),
    }
}

/// Where a product goes that is nothing but moved.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// What it is in the end.
    pub(crate) value: ValueId,
    /// What is between.
    pub(crate) between: SmallVec<[ValueId; 4]>,
    /// Whether what is there is a sum of several of its elements.
    pub(crate) overlaps: bool,
}

/// Where `product` goes, if that is anywhere else than to its own memory: through transpositions, reshapes and sums of windows.
pub(crate) fn destination(graph: &Graph, product: ValueId, uses: &impl Uses) -> Option<Destination> {
    let mut found = None;
    let (mut value, mut overlaps) = (product, false);
    let mut between: SmallVec<[ValueId; 4]> = SmallVec::new();
    while !uses.is_result(value) {
        let mut users = graph.users(value).filter(|(user, _)| uses.is_live(*user));
        let (Some((user, _)), None) = (users.next(), users.next()) else { break };
        let Some(op) = graph.op(user).filter(|op| is_placement(op)) else { break };
        between.push(value);
        value = user;
        overlaps |= op.is(&overlap_add::OVERLAP_ADD);
        // What is reshaped is in the same memory.
        if op.is(&reshape::RESHAPE) {
            continue;
        }
        let destination = Destination { value, between: SmallVec::from_slice(&between[1..]), overlaps };
        if placed_view(graph, product, &destination).is_some() {
            found = Some(destination);
        }
    }
    found
}

/// A product in the memory of its destination, if it can be written there.
pub(crate) fn placed_view(graph: &Graph, product: ValueId, destination: &Destination) -> Option<MatrixView> {
    let mut array = Array::plain(graph, destination.value);
    let placements = destination.between.iter().rev().chain([&product]);
    let mut placed = destination.value;
    for &value in placements {
        array = array.before(graph.op(placed)?, graph.shape(value))?;
        placed = value;
    }
    let view = MatrixView::of(&array)?;
    let is_plain = view.rows.len() <= 1 && view.columns.len() <= 1;
    // Elements are written in vectors. What is added to where it overlaps is told from that by its axes, and adjacent along the
    // columns.
    let fits = match destination.overlaps {
        true => !is_plain && view.columns.last().is_none_or(|axis| axis.stride == 1),
        false => is_plain && [&view.rows, &view.columns].iter().any(|axes| axes.stride() == Some(1)),
    };
    fits.then_some(view)
}

/// Whether an operator moves elements so that products can read through it.
pub(crate) fn is_movement(op: &Op) -> bool {
    let known = [&transpose::TRANSPOSE, &broadcast::BROADCAST, &reshape::RESHAPE, &slice::SLICE, &window::WINDOW];
    known.into_iter().any(|known| op.is(known))
}

fn is_placement(op: &Op) -> bool {
    [&transpose::TRANSPOSE, &reshape::RESHAPE, &overlap_add::OVERLAP_ADD].into_iter().any(|known| op.is(known))
}

/// Whether all that reads `value`, through movements or at once, are products of matrices: then it need not be in memory.
pub(crate) fn is_for_products(graph: &Graph, value: ValueId, uses: &impl Uses) -> bool {
    !uses.is_result(value)
        && graph.users(value).filter(|(user, _)| uses.is_live(*user)).all(|(user, _)| match graph.op(user) {
            Some(op) if op.def.class == Class::Contract => true,
            Some(op) if is_movement(op) => is_for_products(graph, user, uses),
            _ => false,
        })
}

/// What values are used for.
pub(crate) trait Uses {
    /// Whether the value is a result of the graph.
    fn is_result(&self, value: ValueId) -> bool;

    /// Whether a result depends on it.
    fn is_live(&self, value: ValueId) -> bool;
}

/// A tensor in the memory of a value. Each of its axes is nested axes of that memory, none of which has extent 1.
struct Array {
    value: ValueId,
    offset: usize,
    axes: SmallVec<[Parts; 6]>,
}

/// The axes of memory that an axis is made of, outermost first.
type Parts = SmallVec<[Axis; 4]>;

fn parts(extent: usize, stride: usize) -> Parts {
    if extent == 1 { Parts::new() } else { smallvec![Axis { extent, stride }] }
}

impl Array {
    fn plain(graph: &Graph, value: ValueId) -> Array {
        let shape = graph.shape(value);
        let axes = shape.iter().zip(shape.strides()).map(|(&extent, stride)| parts(extent, stride));
        Array { value, offset: 0, axes: axes.collect() }
    }

    /// What a movement makes of it, of shape `to`.
    fn moved(mut self, op: &Op, to: &Shape) -> Option<Array> {
        if to.elements() == 0 {
            return None;
        }
        if op.is(&transpose::TRANSPOSE) {
            self.axes = op.attrs.ints("permutation").iter().map(|&axis| self.axes[axis].clone()).collect();
        } else if op.is(&broadcast::BROADCAST) {
            let mut axes: SmallVec<[Parts; 6]> = to.iter().map(|&extent| parts(extent, 0)).collect();
            for (&axis, own) in op.attrs.ints("axes").iter().zip(self.axes) {
                axes[axis] = own;
            }
            self.axes = axes;
        } else if op.is(&reshape::RESHAPE) {
            self.axes = reshaped(&self.axes, to)?;
        } else if op.is(&slice::SLICE) {
            let (starts, strides) = (op.attrs.ints("start"), op.attrs.ints("stride"));
            for (axis, own) in self.axes.iter_mut().enumerate() {
                let stride = match **own {
                    [Axis { stride, .. }] => stride,
                    [] => 0,
                    _ if starts[axis] == 0 && own.iter().map(|part| part.extent).product::<usize>() == to[axis] => {
                        continue;
                    }
                    _ => return None,
                };
                self.offset += starts[axis] * stride;
                *own = parts(to[axis], strides[axis] * stride);
            }
        } else {
            self.windowed(op, to)?;
        }
        Some(self)
    }

    /// What a placement has made this of: of shape `from`.
    fn before(mut self, op: &Op, from: &Shape) -> Option<Array> {
        if from.elements() == 0 {
            return None;
        }
        if op.is(&transpose::TRANSPOSE) {
            let mut axes: SmallVec<[Parts; 6]> = SmallVec::from_elem(Parts::new(), self.axes.len());
            op.attrs.ints("permutation").iter().zip(self.axes).for_each(|(&axis, own)| axes[axis] = own);
            self.axes = axes;
        } else if op.is(&reshape::RESHAPE) {
            self.axes = reshaped(&self.axes, from)?;
        } else {
            self.windowed(op, from)?;
        }
        Some(self)
    }

    /// The axis of windows and their elements as two, as they are in `wide`.
    fn windowed(&mut self, op: &Op, wide: &Shape) -> Option<()> {
        let (axis, stride, dilation) = (op.attrs.int("axis"), op.attrs.int("stride"), op.attrs.int("dilation"));
        let own = match *self.axes[axis] {
            [Axis { stride, .. }] => stride,
            [] => 0,
            _ => return None,
        };
        self.axes[axis] = parts(wide[axis], stride * own);
        self.axes.insert(axis + 1, parts(wide[axis + 1], dilation * own));
        Some(())
    }
}

/// Axes in another shape of as many elements; `None` where an axis of it would begin or end within a step of memory.
fn reshaped(axes: &[Parts], to: &Shape) -> Option<SmallVec<[Parts; 6]>> {
    // Those that follow one another in memory are one, to be cut anywhere.
    let mut rest: SmallVec<[Axis; 8]> = SmallVec::new();
    for &axis in axes.iter().flatten() {
        match rest.last_mut() {
            Some(last) if last.stride == axis.extent * axis.stride => {
                *last = Axis { extent: last.extent * axis.extent, stride: axis.stride };
            }
            _ => rest.push(axis),
        }
    }
    let mut reshaped: SmallVec<[Parts; 6]> = SmallVec::from_elem(Parts::new(), to.rank());
    for (own, &extent) in reshaped.iter_mut().zip(to.iter()).rev() {
        let mut missing = extent;
        while missing > 1 {
            let Axis { extent, stride } = rest.pop()?;
            if missing.is_multiple_of(extent) {
                own.insert(0, Axis { extent, stride });
                missing /= extent;
            } else if extent.is_multiple_of(missing) {
                own.insert(0, Axis { extent: missing, stride });
                rest.push(Axis { extent: extent / missing, stride: missing * stride });
                missing = 1;
            } else {
                return None;
            }
        }
    }
    Some(reshaped)
}
