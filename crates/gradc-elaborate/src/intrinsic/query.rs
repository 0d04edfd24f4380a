//! What is known about a tensor or a list when compiling.

use gradc_diagnostics::codes;

use super::Arguments;
use crate::eval::{Evaluator, error_at};
use crate::int::Int;
use crate::value::Value;

/// `dim(x, axis)`
pub(super) fn dim(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    let axis = arguments.axis(evaluator, 1, 0, x)?;
    Some(Value::Int(x.extents[axis].clone()))
}

/// `rank(x)`
pub(super) fn rank(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor_or_number(evaluator, 0)?;
    Some(Value::Int(Int::extent_of(x.rank())))
}

/// `size(x)`
pub(super) fn size(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor_or_number(evaluator, 0)?;
    // The shape has been checked: the product is at most 2^40.
    Int::product(x.extents.iter()).map(Value::Int)
}

/// `dtype(x)`
pub(super) fn dtype(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor_or_number(evaluator, 0)?;
    Some(Value::DType(x.dtype))
}

/// `len(list)`
pub(super) fn len(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    match arguments.value(0) {
        Value::List(list) => Some(Value::Int(Int::extent_of(list.len()))),
        _ => arguments.wrong(evaluator, 0, "a list"),
    }
}

/// `is_int(x)`: whether the elements are integers, as class ids are.
pub(super) fn is_int(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    Some(Value::Bool(x.dtype.is_integer()))
}

/// `is_list(x)`
pub(super) fn is_list(_: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    Some(Value::Bool(matches!(arguments.value(0), Value::List(_))))
}

/// `is_number(x)`
pub(super) fn is_number(_: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    Some(Value::Bool(arguments.value(0).number().is_some()))
}

/// `is_tensor(x)`
pub(super) fn is_tensor(_: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    Some(Value::Bool(matches!(arguments.value(0), Value::Tensor(_))))
}

/// `fail(message)`: an error at the call, where elaboration comes to it.
pub(super) fn fail(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let Value::String(message) = arguments.value(0) else {
        return arguments.wrong(evaluator, 0, "a string");
    };
    let message: String = message.chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect();
    evaluator.report(error_at(codes::FAILED, message, arguments.span, "this is reached"));
    None
}

/// A message is not longer than this.
const LONGEST_MESSAGE: usize = 400;
