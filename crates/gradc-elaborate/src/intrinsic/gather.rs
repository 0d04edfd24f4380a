//! Reading at positions that a tensor holds.

use gradc_diagnostics::codes;
use gradc_ir::DType;

use super::Arguments;
use crate::eval::{Evaluator, error_at};
use crate::value::{Tensor, Value};

/// `gather(x, indices, axis = 0)`
pub(super) fn gather(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    let indices = indices(evaluator, arguments, 1)?;
    let axis = arguments.axis(evaluator, 2, 0, x)?;
    evaluator.countable(&x.extents[axis], arguments.place(0))?;
    let extents = [&x.extents[..axis], &indices.extents[..], &x.extents[axis + 1..]].concat();
    evaluator.checked(&extents, arguments.span)?;
    let id = evaluator.graph.gather(x.id, indices.id, axis);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `one_hot(indices, n, type = f32)`
pub(super) fn one_hot(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let indices = indices(evaluator, arguments, 0)?;
    let depth = arguments.extent(evaluator, 1)?;
    let dtype = arguments.dtype(evaluator, 2, DType::F32)?;
    evaluator.countable(&depth, arguments.place(1))?;
    let extents = [&indices.extents[..], std::slice::from_ref(&depth)].concat();
    evaluator.checked(&extents, arguments.span)?;
    let id = evaluator.graph.one_hot(indices.id, depth.extent(), dtype);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// A tensor of positions.
fn indices<'s>(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'s>, position: usize) -> Option<&'s Tensor> {
    let indices = arguments.tensor(evaluator, position)?;
    if indices.dtype.is_integer() {
        return Some(indices);
    }
    let message = format!("the indices of `{}` must be integers, not {}", arguments.intrinsic.name, indices.dtype);
    let place = arguments.place(position);
    let operand = evaluator.quoted(place).unwrap_or("…");
    let diagnostic = error_at(codes::WRONG_DTYPE, message, place, format!("this is `{indices}`"));
    evaluator.report(diagnostic.help(format!("convert them: `cast({operand}, i32)`")));
    None
}
