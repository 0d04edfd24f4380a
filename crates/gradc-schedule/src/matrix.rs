//! Operands of matrix products: transposed and repeated matrices are read where they are.

use gradc_ir::op::{broadcast, transpose};
use gradc_ir::{Graph, ValueId};
use smallvec::SmallVec;

/// A value as batches of matrices in the memory of another value. Strides are in elements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MatrixView {
    /// The value whose memory it is.
    pub(crate) value: ValueId,
    /// From row to row.
    pub(crate) row_stride: usize,
    /// From column to column.
    pub(crate) column_stride: usize,
    /// From batch to batch.
    pub(crate) batch_stride: usize,
}

impl MatrixView {
    /// Rows and columns exchanged.
    pub(crate) fn transposed(self) -> MatrixView {
        MatrixView { row_stride: self.column_stride, column_stride: self.row_stride, ..self }
    }
}

/// `operand` as matrices, seen through transpositions and repetitions as far as `through` holds for these; `None` where
/// these leave it without a stride from batch to batch, or repeat rows or columns.
pub(crate) fn matrix_view(graph: &Graph, operand: ValueId, through: impl Fn(ValueId) -> bool) -> Option<MatrixView> {
    let (value, strides) = strided(graph, operand, through);
    let shape = graph.shape(operand);
    let matrix = shape.rank() - 2;
    if (matrix..shape.rank()).any(|axis| strides[axis] == 0 && shape[axis] > 1) {
        return None;
    }
    let mut batch: Option<(usize, usize)> = None;
    for (&stride, &extent) in strides[..matrix].iter().zip(&shape[..matrix]).rev().filter(|(_, extent)| **extent != 1) {
        batch = match batch {
            None => Some((stride, extent)),
            Some((inner, count)) if stride == inner * count => Some((inner, count * extent)),
            Some(_) => return None,
        };
    }
    let batch_stride = batch.map_or(0, |batch| batch.0);
    Some(MatrixView { value, row_stride: strides[matrix], column_stride: strides[matrix + 1], batch_stride })
}

/// The plain view of a value in its own memory.
pub(crate) fn plain_view(graph: &Graph, value: ValueId) -> MatrixView {
    let shape = graph.shape(value);
    let (rows, columns) = (shape[shape.rank() - 2], shape[shape.rank() - 1]);
    MatrixView { value, row_stride: columns, column_stride: 1, batch_stride: rows * columns }
}

/// The value in whose memory `value` is, and the stride of each axis.
fn strided(graph: &Graph, value: ValueId, through: impl Fn(ValueId) -> bool) -> (ValueId, SmallVec<[usize; 4]>) {
    let mut steps: SmallVec<[ValueId; 4]> = SmallVec::new();
    let mut base = value;
    while through(base) && graph.op(base).is_some_and(|op| op.is(&transpose::TRANSPOSE) || op.is(&broadcast::BROADCAST))
    {
        steps.push(base);
        base = graph.operands(base)[0];
    }
    let mut strides = graph.shape(base).strides();
    for step in steps.into_iter().rev() {
        let Some(op) = graph.op(step) else { continue };
        strides = if op.is(&transpose::TRANSPOSE) {
            op.attrs.ints("permutation").iter().map(|&axis| strides[axis]).collect()
        } else {
            let mut spread = SmallVec::from_elem(0, graph.shape(step).rank());
            op.attrs.ints("axes").iter().zip(&strides).for_each(|(&axis, &stride)| spread[axis] = stride);
            spread
        };
    }
    (base, strides)
}
