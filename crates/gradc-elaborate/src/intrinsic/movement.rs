//! Builtins that move elements.

use gradc_diagnostics::codes;
use gradc_syntax::ast::BinaryOp;

use super::Arguments;
use crate::eval::{Evaluator, error_at, explain_dims, extent_text, shape_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};

/// `reshape(x, dims)`, of which one may be -1.
pub(super) fn reshape(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor_or_number(evaluator, 0)?;
    let dims = arguments.ints(evaluator, 1)?;
    let place = arguments.place(1);
    let open: Vec<usize> = (0..dims.len()).filter(|&axis| dims[axis].value() == -1).collect();
    let mut extents = Vec::with_capacity(dims.len());
    for (axis, dim) in dims.iter().enumerate() {
        let stand_in = if open.contains(&axis) { Int::literal(1) } else { dim.clone() };
        extents.push(evaluator.extent(&Value::Int(stand_in), place)?);
    }
    match open[..] {
        [] => {}
        [axis] => {
            let Some(inferred) = remaining(&x, &extents) else { return misfit(evaluator, &x, &dims, arguments) };
            extents[axis] = inferred;
        }
        _ => {
            let message = "only one dim of `reshape` can be left open with -1";
            evaluator.report(error_at(codes::BAD_RESHAPE, message, place, "two are open here"));
            return None;
        }
    }
    evaluator.checked(&extents, place)?;
    if shape_of(&extents).elements() != shape_of(&x.extents).elements() {
        return misfit(evaluator, &x, &extents, arguments);
    }
    let id = evaluator.reshape(x.id, &shape_of(&extents));
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// What is left of a shape when these extents are taken out of it, as an expression if that is simple.
fn remaining(x: &Tensor, given: &[Int]) -> Option<Int> {
    let mut left: Vec<Int> = x.extents.to_vec();
    let mut unmatched = Vec::new();
    for extent in given.iter().filter(|extent| extent.value() != 1) {
        match left.iter().position(|known| known.value() == extent.value()) {
            Some(position) => {
                left.remove(position);
            }
            None => unmatched.push(extent.clone()),
        }
    }
    let (total, taken) = (Int::product(&left)?, Int::product(&unmatched)?);
    total.arithmetic(BinaryOp::Div, &taken).ok().flatten()
}

fn misfit(evaluator: &mut Evaluator<'_>, x: &Tensor, dims: &[Int], arguments: &Arguments<'_>) -> Option<Value> {
    let wanted = shape_text(dims);
    let message = format!("`{}` cannot be reshaped to `{wanted}`", shape_text(&x.extents));
    let count = |extents: &[Int]| Int::product(extents.iter().filter(|extent| extent.value() != -1));
    let shown =
        |extents: &[Int]| count(extents).map_or_else(|| "too many".to_owned(), |count| count.value().to_string());
    let (have, want) = (shown(&x.extents), shown(dims));
    let open = dims.iter().any(|dim| dim.value() == -1);
    let label = if open { format!("{have} is no multiple of {want}") } else { format!("this has {want} elements") };
    let diagnostic = error_at(codes::BAD_RESHAPE, message, arguments.place(1), label)
        .secondary(arguments.place(0), format!("this is `{x}`, which has {have} elements"));
    let diagnostic = explain_dims(diagnostic, &[&x.extents, dims]);
    evaluator.report(if open { diagnostic } else { diagnostic.help("one of the dims may be -1: it is what remains") });
    None
}

/// `transpose(x, axes)`
pub(super) fn transpose(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    let listed = arguments.ints(evaluator, 1)?;
    let axes = listed.iter().map(|axis| arguments.checked_axis(evaluator, 1, axis.value(), x));
    let axes: Vec<usize> = axes.collect::<Option<_>>()?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..x.rank()) {
        let message = format!("`transpose` needs every axis of `{x}` once");
        let diagnostic =
            error_at(codes::BAD_PERMUTATION, message, arguments.place(1), "this is no permutation of them");
        let example: Vec<String> = (0..x.rank()).rev().map(|axis| axis.to_string()).collect();
        evaluator.report(diagnostic.help(format!("for example `[{}]`, which reverses them", example.join(", "))));
        return None;
    }
    let extents: Vec<Int> = axes.iter().map(|&axis| x.extents[axis].clone()).collect();
    let id = evaluator.graph.transpose(x.id, &axes);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `broadcast(x, dims)`
pub(super) fn broadcast(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor_or_number(evaluator, 0)?;
    let extents = arguments.shape(evaluator, 1)?;
    let tail = extents.len().checked_sub(x.rank());
    let fits = |missing: usize| {
        x.extents.iter().zip(&extents[missing..]).all(|(have, want)| have.value() == 1 || have.value() == want.value())
    };
    if !tail.is_some_and(fits) {
        let message = format!("`{}` cannot be broadcast to `{}`", shape_text(&x.extents), shape_text(&extents));
        let diagnostic = error_at(codes::BAD_BROADCAST, message, arguments.place(1), "to this")
            .secondary(arguments.place(0), format!("this is `{x}`"))
            .note("the last axes must agree, or be 1 in the tensor; new axes are added in front");
        evaluator.report(explain_dims(diagnostic, &[&x.extents, &extents]));
        return None;
    }
    let id = evaluator.broadcast_to(&x, &extents);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// `concat([a, b], axis = 0)`
pub(super) fn concat(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let parts = match arguments.value(0) {
        Value::List(list) => list.iter().map(|part| match part {
            Value::Tensor(tensor) => Some(tensor),
            _ => None,
        }),
        _ => return arguments.wrong(evaluator, 0, "a list of tensors such as `[a, b]`"),
    };
    let Some(parts) = parts.collect::<Option<Vec<&Tensor>>>().filter(|parts| !parts.is_empty()) else {
        return arguments.wrong(evaluator, 0, "a list of tensors such as `[a, b]`");
    };
    let first = parts[0];
    let axis = arguments.axis(evaluator, 1, 0, first)?;
    let mut total = first.extents[axis].clone();
    for part in &parts[1..] {
        if part.dtype != first.dtype {
            let place = arguments.place(0);
            evaluator.dtype_mismatch("concat", arguments.span, (first, place), (part, place));
            return None;
        }
        let others = |tensor: &Tensor| {
            let others = tensor.extents.iter().enumerate().filter(|(at, _)| *at != axis);
            others.map(|(_, extent)| extent.value()).collect::<Vec<i64>>()
        };
        if part.rank() != first.rank() || others(part) != others(first) {
            return parts_differ(evaluator, first, part, axis, arguments);
        }
        total = total.arithmetic(BinaryOp::Add, &part.extents[axis]).ok().flatten()?;
    }
    let mut extents = first.extents.to_vec();
    extents[axis] = total;
    evaluator.checked(&extents, arguments.span)?;
    let ids: Vec<gradc_ir::ValueId> = parts.iter().map(|part| part.id).collect();
    let id = evaluator.graph.concat(&ids, axis);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

fn parts_differ(
    evaluator: &mut Evaluator<'_>,
    first: &Tensor,
    part: &Tensor,
    axis: usize,
    arguments: &Arguments<'_>,
) -> Option<Value> {
    let (a, b) = (shape_text(&first.extents), shape_text(&part.extents));
    let message = format!("`concat` along axis {axis} does not fit the shapes `{a}` and `{b}`");
    let diagnostic = error_at(codes::CONCAT_SHAPES, message, arguments.span, "")
        .secondary(first.origin, format!("this is `{first}`"))
        .secondary(part.origin, format!("this is `{part}`"))
        .note(format!("the parts must agree in every axis but {axis}"));
    let diagnostic = explain_dims(diagnostic, &[&first.extents, &part.extents]);
    // Another axis may be what was meant.
    let differing: Vec<usize> = match first.rank() == part.rank() {
        true => (0..first.rank()).filter(|&at| first.extents[at].value() != part.extents[at].value()).collect(),
        false => Vec::new(),
    };
    evaluator.report(match differing[..] {
        [only] => diagnostic.help(format!("did you mean `axis = {only}`?")),
        _ => diagnostic,
    });
    None
}

/// `pad(x, low, high, value = 0)`
pub(super) fn pad(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let x = arguments.tensor(evaluator, 0)?;
    let low = counts(evaluator, arguments, 1, x)?;
    let high = counts(evaluator, arguments, 2, x)?;
    let value = match arguments.given(3) {
        None => 0.0,
        Some(argument) => evaluator.literal_as(&argument.value, argument.span, x.dtype)?,
    };
    let mut extents = Vec::with_capacity(x.rank());
    for axis in 0..x.rank() {
        let padded = x.extents[axis].arithmetic(BinaryOp::Add, &low[axis]).ok().flatten();
        let padded = padded.and_then(|sum| sum.arithmetic(BinaryOp::Add, &high[axis]).ok().flatten());
        match padded {
            Some(extent) => extents.push(evaluator.extent(&Value::Int(extent), arguments.span)?),
            None => {
                let message = format!("axis {axis} becomes too long");
                evaluator.report(error_at(codes::TENSOR_TOO_LARGE, message, arguments.span, ""));
                return None;
            }
        }
    }
    evaluator.checked(&extents, arguments.span)?;
    let counts = |list: &[Int]| list.iter().map(Int::extent).collect::<Vec<usize>>();
    let id = evaluator.graph.pad(x.id, &counts(&low), &counts(&high), &vec![0; x.rank()], value);
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

/// One count for each axis, none negative.
fn counts(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>, position: usize, x: &Tensor) -> Option<Vec<Int>> {
    let list = arguments.ints(evaluator, position)?;
    let place = arguments.place(position);
    let name = arguments.intrinsic.parameters[position].0;
    if list.len() != x.rank() {
        let message = format!("`{name}` of `pad` needs one count for each axis of `{x}`");
        evaluator.report(error_at(codes::BAD_PADDING, message, place, format!("this has {}", list.len())));
        return None;
    }
    if let Some(negative) = list.iter().find(|count| count.value() < 0) {
        let message = format!("`pad` cannot add {} elements", extent_text(negative));
        let diagnostic = error_at(codes::BAD_PADDING, message, place, "a count is negative");
        evaluator.report(diagnostic.help("remove elements with a slice: `x[1:-1]`"));
        return None;
    }
    Some(list)
}
