//! Type rules that several operators share.

use super::TypeError;
use crate::attr::Attrs;
use crate::{DType, TensorType};

/// All operands have one float type, which the result has too.
pub(super) fn same_float(_: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let ty = same(operands)?;
    if ty.dtype.is_float() { Ok(ty) } else { Err(TypeError(format!("expected floats, found {ty}"))) }
}

/// All operands have one numeric type, which the result has too.
pub(super) fn same_number(_: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let ty = same(operands)?;
    if ty.dtype == DType::Bool { Err(TypeError(format!("expected numbers, found {ty}"))) } else { Ok(ty) }
}

/// All operands are truth values, and so is the result.
pub(super) fn same_bool(_: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let ty = same(operands)?;
    if ty.dtype == DType::Bool { Ok(ty) } else { Err(TypeError(format!("expected truth values, found {ty}"))) }
}

/// All operands have one type; the result has truth values in its place.
pub(super) fn comparison(_: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    Ok(same(operands)?.with_dtype(DType::Bool))
}

/// The type that all operands have.
pub(super) fn same(operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let first = operands[0];
    match operands.iter().find(|ty| **ty != first) {
        None => Ok(first.clone()),
        Some(other) => Err(TypeError(format!("operands differ: {first} and {other}"))),
    }
}

/// Reductions: the operand without `axes`, which are distinct, in order and within its rank.
pub(super) fn reduce(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (axes, ty) = (attrs.ints("axes"), operands[0]);
    axes_of(axes, ty)?;
    if ty.dtype == DType::Bool {
        return Err(TypeError(format!("expected numbers, found {ty}")));
    }
    Ok(ty.with_shape(ty.shape.without(axes)))
}

/// Reductions of floats.
pub(super) fn reduce_float(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    if !operands[0].dtype.is_float() {
        return Err(TypeError(format!("expected floats, found {}", operands[0])));
    }
    reduce(attrs, operands)
}

/// `axes` are distinct axes of `ty`, in increasing order.
pub(super) fn axes_of(axes: &[usize], ty: &TensorType) -> Result<(), TypeError> {
    let increasing = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if increasing && axes.last().is_none_or(|&axis| axis < ty.shape.rank()) {
        Ok(())
    } else {
        Err(TypeError(format!("{axes:?} are not increasing axes of {ty}")))
    }
}
