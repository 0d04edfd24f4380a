//! Tensors that depend on nothing, and recipes for parameters.

use gradc_diagnostics::codes;
use gradc_ir::{DType, TensorType};

use super::{Arguments, InitKind};
use crate::eval::{Evaluator, error_at};
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
    let extent = arguments.extent(evaluator, 0)?;
    let dtype = arguments.dtype(evaluator, 1, DType::I32)?;
    if dtype == DType::Bool {
        return arguments.wrong(evaluator, 1, "a type of numbers");
    }
    evaluator.countable(&extent, arguments.place(0))?;
    if !counts_to(dtype, extent.value() - 1) {
        let message = format!("`{dtype}` does not hold every whole number from 0 to {}", extent.value() - 1);
        let diagnostic =
            error_at(codes::LITERAL_DOES_NOT_FIT, message, arguments.place(0), format!("this is {}", extent.value()));
        evaluator.report(diagnostic.help(format!("`{}` does", DType::I32)));
        return None;
    }
    let extents = vec![extent];
    let id = evaluator.graph.iota(0, &TensorType::new(dtype, shape_of(&extents)));
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// Whether a type holds `last` and every whole number before it. Where floats leave some out, they leave out one of any two
/// that follow each other.
fn counts_to(dtype: DType, last: i64) -> bool {
    [last, last - 1].into_iter().all(|number| number < 0 || dtype.represents(number as f64))
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
