//! Operators with their attributes, as rules and canonical forms write them.

use gradc_ir::op::{broadcast, cast, full, matmul, reshape, transpose};
use gradc_ir::{Attr, Attrs, DType, Op, OpDef, TensorType};

/// `full(value)` of a type, in the one way in which each constant is written.
pub(crate) fn full(value: f64, ty: &TensorType) -> Op {
    let value = if value.is_nan() { f64::NAN } else { ty.dtype.round(value) };
    let shape: &[usize] = &ty.shape;
    full::FULL.with(Attrs::new([("value", Attr::from(value)), ("dtype", ty.dtype.into()), ("shape", shape.into())]))
}

/// `cast` to `dtype`.
pub(crate) fn cast(dtype: DType) -> Op {
    cast::CAST.with(Attrs::new([("dtype", Attr::from(dtype))]))
}

/// `broadcast` to `shape`, axis `i` of the operand as axis `axes[i]`.
pub(crate) fn broadcast(axes: &[usize], shape: &[usize]) -> Op {
    broadcast::BROADCAST.with(Attrs::new([("axes", Attr::from(axes)), ("shape", shape.into())]))
}

/// `reshape` to `shape`.
pub(crate) fn reshape(shape: &[usize]) -> Op {
    reshape::RESHAPE.with(Attrs::new([("shape", Attr::from(shape))]))
}

/// `transpose` by `permutation`.
pub(crate) fn transpose(permutation: &[usize]) -> Op {
    transpose::TRANSPOSE.with(Attrs::new([("permutation", Attr::from(permutation))]))
}

/// `matmul` with either operand transposed.
pub(crate) fn matmul(transpose_a: bool, transpose_b: bool) -> Op {
    matmul::MATMUL.with(Attrs::new([("transpose_a", Attr::from(transpose_a)), ("transpose_b", transpose_b.into())]))
}

/// A reduction over `axes`.
pub(crate) fn reduce(def: &'static OpDef, axes: &[usize]) -> Op {
    def.with(axes_attr(axes))
}

/// The attributes of a reduction over `axes`.
pub(crate) fn axes_attr(axes: &[usize]) -> Attrs {
    Attrs::new([("axes", Attr::from(axes))])
}

/// The axes of `0..rank` that are not among `axes`.
pub(crate) fn other_axes(axes: &[usize], rank: usize) -> Vec<usize> {
    (0..rank).filter(|axis| !axes.contains(axis)).collect()
}
