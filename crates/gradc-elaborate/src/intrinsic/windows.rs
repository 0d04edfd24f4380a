//! Windows along an axis, and adding them up again.

use gradc_diagnostics::codes;
use gradc_ir::DType;
use gradc_ir::op::window::Windows;
use gradc_syntax::ast::BinaryOp;

use super::Arguments;
use crate::eval::{Evaluator, error_at, explain_dims, extent_text};
use crate::int::Int;
use crate::value::{Tensor, Value};

/// `window(x, axis, size, stride = 1, dilation = 1)`
pub(super) fn window(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    let axis = arguments.axis(evaluator, 1, 0, x)?;
    let size = arguments.extent(evaluator, 2)?;
    let (stride, dilation) = steps(evaluator, arguments)?;
    let span = span(&size, &dilation);
    let count = span.as_ref().and_then(|span| count(&x.extents[axis], span, &stride));
    let Some(count) = count else {
        let have = extent_text(&x.extents[axis]);
        let need = span.map_or_else(|| "too many".to_owned(), |span| extent_text(&span));
        let message = format!("axis {axis} is too short for a window");
        let diagnostic = error_at(codes::BAD_WINDOW, message, arguments.place(2), format!("a window spans {need}"))
            .secondary(arguments.place(0), format!("this is `{x}`: the axis has {have}"))
            .help("make the window smaller, or pad the axis");
        evaluator.report(explain_dims(diagnostic, &[&x.extents]));
        return None;
    };
    let mut extents = x.extents.to_vec();
    let windows = Windows { size: size.extent(), stride: stride.extent(), dilation: dilation.extent() };
    extents.splice(axis..=axis, [count, size]);
    evaluator.checked(&extents, arguments.span)?;
    let id = evaluator.graph.window(x.id, axis, windows);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `overlap_add(x, axis, extent, stride = 1, dilation = 1)`
pub(super) fn overlap_add(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    if x.dtype == DType::Bool {
        let message = "`overlap_add` takes numbers, not bool";
        evaluator.report(error_at(codes::WRONG_DTYPE, message, arguments.place(0), format!("this is `{x}`")));
        return None;
    }
    let axis = arguments.axis(evaluator, 1, 0, x)?;
    let within = arguments.checked_axis(evaluator, 1, i64::try_from(axis + 1).ok()?, x)?;
    let (stride, dilation) = steps(evaluator, arguments)?;
    let covered = covered(&x.extents[axis], &x.extents[within], &stride, &dilation);
    let extent = match arguments.given(2) {
        Some(_) => arguments.extent(evaluator, 2)?,
        None => evaluator.extent(&Value::Int(covered.clone()?), arguments.span)?,
    };
    let span = span(&x.extents[within], &dilation)?;
    if count(&extent, &span, &stride).is_none_or(|count| count.value() != x.extents[axis].value()) {
        return other_windows(evaluator, arguments, x, axis, covered);
    }
    let mut extents = x.extents.to_vec();
    extents.splice(axis..=within, [extent.clone()]);
    evaluator.checked(&extents, arguments.span)?;
    let (extent, stride, dilation) = (extent.extent(), stride.extent(), dilation.extent());
    let id = evaluator.graph.overlap_add(x.id, axis, extent, stride, dilation);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// Reports that an axis of the extent that was asked for has another number of windows.
fn other_windows(
    evaluator: &mut Evaluator<'_>,
    arguments: &Arguments<'_>,
    x: &Tensor,
    axis: usize,
    covered: Option<Int>,
) -> Option<Value> {
    let message = format!("these are not the windows of axis {axis}");
    let have = extent_text(&x.extents[axis]);
    let diagnostic = error_at(codes::BAD_WINDOW, message, arguments.place(2), "an axis of this extent has others")
        .secondary(arguments.place(0), format!("this is `{x}`, which has {have} of them"));
    let diagnostic = explain_dims(diagnostic, &[&x.extents]);
    evaluator.report(match covered {
        Some(covered) => diagnostic.help(format!("they reach over {} elements", extent_text(&covered))),
        None => diagnostic,
    });
    None
}

/// The arguments `stride` and `dilation`.
fn steps(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<(Int, Int)> {
    let mut step = |position: usize| match arguments.given(position) {
        Some(_) => arguments.extent(evaluator, position),
        None => Some(Int::literal(1)),
    };
    let (stride, dilation) = (step(3), step(4));
    Some((stride?, dilation?))
}

/// From the first element of a window to the last, both counted: `dilation · (size - 1) + 1`.
fn span(size: &Int, dilation: &Int) -> Option<Int> {
    let one = Int::literal(1);
    let steps = size.arithmetic(BinaryOp::Sub, &one).ok()??;
    dilation.arithmetic(BinaryOp::Mul, &steps).ok()??.arithmetic(BinaryOp::Add, &one).ok()?
}

/// How many windows fit: `(extent - span) / stride + 1`, rounded down; `None` where none does.
fn count(extent: &Int, span: &Int, stride: &Int) -> Option<Int> {
    let one = Int::literal(1);
    let rest = extent.arithmetic(BinaryOp::Sub, span).ok()??;
    if rest.value() < 0 {
        return None;
    }
    let beyond = rest.arithmetic(BinaryOp::Rem, stride).ok()??;
    let last = match beyond.value() {
        0 => rest.arithmetic(BinaryOp::Div, stride).ok()??,
        _ => Int::literal(rest.value() / stride.value()),
    };
    last.arithmetic(BinaryOp::Add, &one).ok()?
}

/// How far windows reach: `stride · (count - 1) + span`.
fn covered(count: &Int, size: &Int, stride: &Int, dilation: &Int) -> Option<Int> {
    let last = count.arithmetic(BinaryOp::Sub, &Int::literal(1)).ok()??;
    stride.arithmetic(BinaryOp::Mul, &last).ok()??.arithmetic(BinaryOp::Add, &span(size, dilation)?).ok()?
}
