//! Reductions: `sum`, `mean`, and `max` and `min` of a single tensor.

use gradc_diagnostics::codes;
use gradc_ir::op::OpDef;
use gradc_ir::op::reduce_mean::REDUCE_MEAN;
use gradc_ir::{Attr, Attrs, DType};

use super::Arguments;
use crate::eval::{Evaluator, error_at};
use crate::int::{Int, shape_of};
use crate::value::Value;

/// `sum(x, axis = all, keep = false)`
pub(super) fn reduce(evaluator: &mut Evaluator<'_>, def: &'static OpDef, arguments: &Arguments<'_>) -> Option<Value> {
    along(evaluator, def, arguments, 1)
}

/// `max(x, axis = all, keep = false)`, of the function that with two operands is elementwise.
pub(super) fn reduce_or_keep(
    evaluator: &mut Evaluator<'_>,
    def: &'static OpDef,
    arguments: &Arguments<'_>,
) -> Option<Value> {
    along(evaluator, def, arguments, 2)
}

/// `axis` and `keep` are the parameters from position `first` on.
fn along(evaluator: &mut Evaluator<'_>, def: &'static OpDef, arguments: &Arguments<'_>, first: usize) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    if x.dtype == DType::Bool {
        let message = format!("`{}` takes numbers, not bool", arguments.intrinsic.name);
        let diagnostic = error_at(codes::WRONG_DTYPE, message, arguments.place(0), format!("this is `{x}`"));
        evaluator.report(diagnostic.help("count with `sum(cast(…, f32))`"));
        return None;
    }
    if !x.dtype.is_float() && std::ptr::eq(def, &REDUCE_MEAN) {
        let message = format!("`{}` takes floats, not {}", arguments.intrinsic.name, x.dtype);
        let diagnostic = error_at(codes::WRONG_DTYPE, message, arguments.place(0), format!("this is `{x}`"));
        evaluator.report(diagnostic.help("convert it first: `cast(…, f32)`"));
        return None;
    }
    let axes = arguments.axes(evaluator, first, x)?;
    let keep = arguments.flag(evaluator, first + 1)?;
    let reduced = match axes.is_empty() {
        true => x.id,
        false => evaluator.emit(def.with(Attrs::new([("axes", Attr::from(axes.as_slice()))])), &[x.id]),
    };
    let of_axis = |(axis, extent): (usize, &Int)| match (axes.contains(&axis), keep) {
        (false, _) => Some(extent.clone()),
        (true, true) => Some(Int::literal(1)),
        (true, false) => None,
    };
    let extents: Vec<Int> = x.extents.iter().enumerate().filter_map(of_axis).collect();
    let id = evaluator.reshape(reduced, &shape_of(&extents));
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}
