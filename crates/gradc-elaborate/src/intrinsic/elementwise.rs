//! Elementwise builtins.

use gradc_diagnostics::codes;
use gradc_ir::op::{self, Evaluate, OpDef};

use super::Arguments;
use crate::eval::{Evaluator, error_at};
use crate::int::shape_of;
use crate::value::Value;

/// `exp(x)`: of a tensor in the graph, of a number right away.
pub(super) fn unary(evaluator: &mut Evaluator<'_>, def: &'static OpDef, arguments: &Arguments<'_>) -> Option<Value> {
    let span = arguments.span;
    match arguments.value(0) {
        Value::Tensor(x) => Some(evaluator.unary_tensor(def, x, arguments.place(0), span)),
        Value::Int(x) if std::ptr::eq(def, &op::abs::ABS) && x.value() >= 0 => Some(Value::Int(x.clone())),
        Value::Int(_) | Value::Float(_) => on_numbers(evaluator, def, arguments, 1),
        _ => arguments.wrong(evaluator, 0, "a tensor or a number"),
    }
}

/// `pow(a, b)`
pub(super) fn binary(evaluator: &mut Evaluator<'_>, def: &'static OpDef, arguments: &Arguments<'_>) -> Option<Value> {
    let operands = [0, 1].map(|position| (arguments.value(position).clone(), arguments.place(position)));
    let tensors = operands.iter().any(|(value, _)| matches!(value, Value::Tensor(_)));
    for position in [0, 1] {
        if !matches!(arguments.value(position), Value::Tensor(_) | Value::Int(_) | Value::Float(_)) {
            return arguments.wrong(evaluator, position, "a tensor or a number");
        }
    }
    if tensors {
        let (name, span) = (arguments.intrinsic.name, arguments.span);
        return Some(evaluator.elementwise(def, name, span, &operands, span));
    }
    if let (Value::Int(a), Value::Int(b)) = (&operands[0].0, &operands[1].0) {
        let first_is_less = a.value() <= b.value();
        if std::ptr::eq(def, &op::min::MIN) {
            return Some(Value::Int(if first_is_less { a } else { b }.clone()));
        }
        if std::ptr::eq(def, &op::max::MAX) {
            return Some(Value::Int(if first_is_less { b } else { a }.clone()));
        }
    }
    on_numbers(evaluator, def, arguments, 2)
}

/// `max(a, b)`, of the function that with one operand is a reduction.
pub(super) fn binary_without_axis(
    evaluator: &mut Evaluator<'_>,
    def: &'static OpDef,
    arguments: &Arguments<'_>,
) -> Option<Value> {
    if let Some(extra) = arguments.given(2).or(arguments.given(3)) {
        let name = arguments.intrinsic.name;
        let message = format!("`{name}` of two tensors compares element by element, along no axis");
        let diagnostic = error_at(codes::WRONG_KIND, message, extra.span, "this is only for a single tensor");
        evaluator.report(diagnostic.help(format!("write `{name}({name}(a, b), axis = …)`")));
        return None;
    }
    binary(evaluator, def, arguments)
}

/// What the operator means, on numbers.
fn on_numbers(
    evaluator: &mut Evaluator<'_>,
    def: &'static OpDef,
    arguments: &Arguments<'_>,
    count: usize,
) -> Option<Value> {
    let Evaluate::Scalar { real, .. } = def.evaluate else { return None };
    let numbers = (0..count).map(|position| arguments.number(evaluator, position, 0.0));
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    Some(evaluator.finite(real(&numbers), arguments.span))
}

/// `select(condition, a, b)`
pub(super) fn select(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let (condition, place) = match arguments.value(0) {
        Value::Tensor(condition) => (condition.clone(), arguments.place(0)),
        // Known when compiling: a choice between whole values.
        Value::Bool(true) => return Some(arguments.value(1).clone()),
        Value::Bool(false) => return Some(arguments.value(2).clone()),
        _ => return arguments.wrong(evaluator, 0, "a tensor of truth values"),
    };
    if condition.dtype != gradc_ir::DType::Bool {
        let message = format!("the condition of `select` must hold truth values, not {}", condition.dtype);
        let diagnostic = error_at(codes::WRONG_DTYPE, message, place, format!("this is `{condition}`"));
        evaluator.report(diagnostic.help("compare it, for example with `> 0`"));
        return None;
    }
    let branches = [1, 2].map(|position| (arguments.value(position).clone(), arguments.place(position)));
    let span = arguments.span;
    // The branches agree in element type; all three in shape.
    let typed = branches.iter().any(|(value, _)| matches!(value, Value::Tensor(_)));
    let (dtype, extents) = if typed {
        let (dtype, extents) = evaluator.common("select", span, &branches)?;
        let stand_in = crate::value::Tensor { extents, ..condition.clone() };
        let at = branches.iter().find(|(value, _)| matches!(value, Value::Tensor(_))).map_or(span, |(_, at)| *at);
        let extents = evaluator.broadcast_shapes("select", span, (&condition, place), (&stand_in, at))?;
        (dtype, extents)
    } else {
        let dtype = match &branches {
            [(Value::Bool(_), _), (Value::Bool(_), _)] => gradc_ir::DType::Bool,
            _ => gradc_ir::DType::F32,
        };
        (dtype, condition.extents.clone())
    };
    let c = evaluator.broadcast_to(&condition, &extents);
    let a = evaluator.spread(&branches[0].0, branches[0].1, dtype, &extents)?;
    let b = evaluator.spread(&branches[1].0, branches[1].1, dtype, &extents)?;
    let id = evaluator.graph.select(c, a, b);
    Some(Value::Tensor(evaluator.tensor(id, extents, span)))
}

/// `cast(x, f64)`
pub(super) fn cast(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let dtype = arguments.dtype(evaluator, 1, gradc_ir::DType::F32)?;
    let x = match arguments.value(0) {
        value @ (Value::Int(_) | Value::Float(_)) => {
            let number = match value {
                Value::Int(whole) if dtype.is_integer() => dtype.wrap(whole.value()),
                other => dtype.round(other.number().unwrap_or(0.0)),
            };
            let id = evaluator.full(number, dtype, &[]);
            return Some(Value::Tensor(evaluator.tensor(id, [], arguments.span)));
        }
        _ => arguments.tensor(evaluator, 0)?,
    };
    let id = evaluator.graph.cast(x.id, dtype);
    Some(Value::Tensor(evaluator.tensor(id, x.extents.clone(), arguments.span)))
}

/// `stop_gradient(x)`
pub(super) fn stop_gradient(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    match arguments.value(0) {
        number @ (Value::Int(_) | Value::Float(_)) => Some(number.clone()),
        _ => {
            let x = arguments.tensor(evaluator, 0)?;
            // A reshape is moved to the outside, where one that follows absorbs it.
            let id = match evaluator.reshaped_from(x.id) {
                Some(base) => {
                    let stopped = evaluator.graph.stop_gradient(base);
                    evaluator.reshape(stopped, &shape_of(&x.extents))
                }
                None => evaluator.graph.stop_gradient(x.id),
            };
            Some(Value::Tensor(evaluator.tensor(id, x.extents.clone(), arguments.span)))
        }
    }
}
