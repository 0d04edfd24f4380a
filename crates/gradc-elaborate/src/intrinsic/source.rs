//! Tensors that depend on nothing, and recipes for parameters.

use gradc_ir::{DType, TensorType};

use super::{Arguments, InitKind};
use crate::eval::Evaluator;
use crate::int::shape_of;
use crate::value::Value;

/// `full(dims, value, type = f32)`
pub(super) fn full(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let extents = arguments.shape(evaluator, 0)?;
    let dtype = arguments.dtype(evaluator, 2, DType::F32)?;
    let value = match (arguments.value(1), dtype) {
        (Value::Bool(value), DType::Bool) => f64::from(u8::from(*value)),
        (value, _) => evaluator.literal_as(value, arguments.place(1), dtype)?,
    };
    let id = evaluator.full(value, dtype, &extents);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `zeros(dims, type = f32)`, `ones(dims, type = f32)`
pub(super) fn filled(evaluator: &mut Evaluator<'_>, value: f64, arguments: &Arguments<'_>) -> Option<Value> {
    let extents = arguments.shape(evaluator, 0)?;
    let dtype = arguments.dtype(evaluator, 1, DType::F32)?;
    let id = evaluator.full(value, dtype, &extents);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `iota(n, type = i32)`: 0, 1, 2, …
pub(super) fn iota(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let extents = vec![arguments.extent(evaluator, 0)?];
    let dtype = arguments.dtype(evaluator, 1, DType::I32)?;
    if dtype == DType::Bool {
        return arguments.wrong(evaluator, 1, "a type of numbers");
    }
    evaluator.checked(&extents, arguments.place(0))?;
    let id = evaluator.graph.iota(0, &TensorType::new(dtype, shape_of(&extents)));
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `uniform(low, high)` and the like.
pub(super) fn recipe(evaluator: &mut Evaluator<'_>, kind: InitKind, arguments: &Arguments<'_>) -> Option<Value> {
    let defaults = kind.defaults().iter().enumerate();
    let numbers = defaults.map(|(position, &default)| arguments.number(evaluator, position, default));
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    Some(evaluator.recipe(kind, &numbers, arguments.span))
}

/// `random(dims, type = f32)`: uniform on [0, 1).
pub(super) fn random(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let extents = arguments.shape(evaluator, 0)?;
    let dtype = arguments.dtype(evaluator, 1, DType::F32)?;
    if !dtype.is_float() {
        return arguments.wrong(evaluator, 1, "a type of floats");
    }
    Some(Value::Tensor(evaluator.random(&extents, dtype, arguments.span)))
}
