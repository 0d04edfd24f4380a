//! Broadcasts, reshapes, transposes, conversions.

use egg::Id;
use gradc_ir::op::{self, broadcast::BROADCAST, concat::CONCAT, reshape::RESHAPE, transpose::TRANSPOSE};
use gradc_ir::{Attrs, Class, DType, Op, Shape, TensorType};

use super::FpClass::{Accurate, Strict};
use super::{InSums, Match, Rule, Wanted, rule};
use crate::ops;
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // Elementwise operators before movement: fewer elements to compute, and movements meet.
    rule("apply-before-broadcast", Strict, "f(broadcast[B](x), broadcast[B](y))", "broadcast[B](f(x, y))", "each element is computed once from the same operands").any(Class::Elementwise).to(Wanted::All(&BROADCAST)).built(|t, m| before_movement(t, m, &BROADCAST)).sees(2).local().at(&["broadcast[B](x) * broadcast[B](y) @ x: 3; y: 3; B: 0 / 3 2", "exp(broadcast[B](x)) @ x: 3; B: 1 / 2 3", "broadcast[B](x) > 0 @ x: 3; B: 1 / 2 3"]),
    rule("apply-before-reshape", Strict,  "f(reshape[R](x), reshape[R](y))", "reshape[R](f(x, y))", "the same elements elsewhere").any(Class::Elementwise).to(Wanted::All(&RESHAPE)).built(|t, m| before_movement(t, m, &RESHAPE)).sees(2).local().at(&["reshape[R](x) * reshape[R](y) @ x: 3; y: 3; R: 3 1", "reshape[R](x) * broadcast[B](y) @ x: 3 4; y: 3; R: 3 2 2; B: 0 / 3 2 2"]),
    rule("apply-before-transpose", Strict, "f(transpose[P](x), transpose[P](y))", "transpose[P](f(x, y))", "the same elements elsewhere").any(Class::Elementwise).to(Wanted::All(&TRANSPOSE)).built(|t, m| before_movement(t, m, &TRANSPOSE)).sees(2).local().at(&["transpose[P](x) * transpose[P](y) @ x: 3 2; y: 3 2; P: 1 0", "transpose[P](x) * broadcast[B](y) @ x: 3 2; y: 3; P: 1 0; B: 1 / 2 3"]),

    rule("broadcast-broadcast", Strict,   "broadcast[A](broadcast[B](x))", "broadcast[AB](x)", "the same elements in the same places").built(broadcast_broadcast).local().at(&["x: 3; B: 0 / 3 2; A: 1 2 / 4 3 2", "x: 2 3; B: 0 2 / 2 4 3; A: 0 2 3 / 2 5 4 3"]),
    rule("broadcast-nothing",   Strict,   "broadcast[B](x)",         "x",                  "there is no new axis").built(|_, m| (m.attrs("B")?.ints("axes").len() == m.ty.shape.rank()).then_some(m.value("x")?)).local().at(&["x: 2 3; B: 0 1 / 2 3"]),
    rule("broadcast-units",     Strict,   "broadcast[B](x)",         "reshape(x)",         "every new axis has the extent 1").built(broadcast_units).local().at(&["x: 3; B: 0 / 3 1", "x: 2 3; B: 1 2 / 1 2 3"]),
    rule("reshape-reshape",     Strict,   "reshape[A](reshape[B](x))", "reshape[A](x)",    "the order of the elements is the same").local().at(&["x: 6; B: 2 3; A: 3 2", "x: 2 3; B: 6; A: 1 6"]),
    rule("reshape-nothing",     Strict,   "reshape[R](x)",           "x",                  "the shape is the same").built(|t, m| m.value("x").filter(|&x| t.facts(x).ty == *m.ty)).local().at(&["x: 2 3; R: 2 3"]),
    rule("transpose-transpose", Strict,   "transpose[P](transpose[Q](x))", "transpose[PQ](x)", "permutations compose").built(transpose_transpose).local().at(&["x: 2 3 4; Q: 1 2 0; P: 2 1 0", "x: 2 3; Q: 1 0; P: 1 0"]),
    rule("transpose-nothing",   Strict,   "transpose[P](x)",         "x",                  "no axis moves").built(|_, m| if m.attrs("P")?.ints("permutation").is_sorted() { m.value("x") } else { None }).local().at(&["x: 2 3; P: 0 1"]),
    rule("transpose-broadcast", Strict,   "transpose[P](broadcast[B](x))", "broadcast(x)", "the axes of x stay in order").built(transpose_broadcast).local().at(&["x: 3; B: 0 / 3 2; P: 1 0", "x: 3 4; B: 0 1 / 3 4 2; P: 2 0 1"]),
    rule("transpose-units",     Strict,   "transpose[P](x)",         "reshape(x)",         "only axes of extent 1 move past others").built(transpose_units).local().at(&["x: 1 3; P: 1 0", "x: 2 1 3; P: 0 2 1"]),

    rule("windows-apart",       Strict,   "window[W](x)",            "reshape(x)",         "the windows follow one another and leave nothing over").built(|t, m| apart(t, m, m.ty.shape.clone())).local().at(&["x: 6; W: 0 / 2 / 2 / 1", "x: 3 4 2; W: 1 / 4 / 5 / 1", "x: 4 3; W: 1 / 1 / 1 / 1"]),
    rule("windows-apart-added", Accurate, "overlap_add[W](x)",       "reshape(x)",         "the windows follow one another; -0 stays -0").built(|t, m| { let wide = t.facts(m.value("x")?).ty.shape.clone(); apart(t, m, wide) }).local().at(&["x: 3 2; W: 0 / 6 / 2 / 1", "x: 3 1 4 2; W: 1 / 4 / 5 / 1"]),

    // What several slices of one value give back is put together, not added up.
    rule("sum-of-pads",         Accurate, "pad[P](x) + pad[Q](y)",   "concat(x, y)",       "where one is, the other is zero; only the sign of a zero differs").built(sum_of_pads).local().in_sums(InSums::Exact).at(&["x: 3 2; y: 3 4; P: 0 0 / 0 4 / 0 0 / 0; Q: 0 2 / 0 0 / 0 0 / 0", "x: 2 3; y: 1 3; P: 3 0 / 1 0 / 0 0 / 0; Q: 1 0 / 4 0 / 0 0 / 0"]),
    rule("concat-of-concat",    Strict,   "concat(x, concat(y, z))", "concat(x, y, z)",    "the same elements in the same places").any(Class::Movement).to(Wanted::One(&CONCAT)).built(concat_of_concat).local().at(&["concat[C](x, concat[C](y, z)) @ x: 3 2; y: 3 1; z: 3 2; C: 1", "concat[C](concat[C](x, y), z) @ x: 3 2; y: 1 2; z: 2 2; C: 0"]),

    rule("cast-nothing",        Strict,   "cast[D](x)",              "x",                  "it is of this type already").built(|t, m| m.value("x").filter(|&x| t.facts(x).ty == *m.ty)).local().at(&["x: 4; D: float"]),
    rule("cast-back",           Strict,   "cast[D](cast[E](x))",     "x",                  "the type in between has a number for each of the first, which is what it becomes again").built(cast_back).local().at(&["x: bool; E: float; D: bool", "x: i32; E: f64; D: i32", "x: f32; E: f64; D: f32", "x: bf16; E: f32; D: bf16"]),
    rule("stop-gradient",       Strict,   "stop_gradient(x)",        "x",                  "the graph is differentiated already").differentiated().local(),

    // In the e-graph a broadcast is there on both sides of the operator, so that formulas are found whichever way they were
    // written.
    rule("broadcast-sum",       Strict,   "broadcast[B](x + y)",     "broadcast[B](x) + broadcast[B](y)", "the same elements from the same operands").at(&["x: 3; y: 3; B: 0 / 3 2"]),
    rule("broadcast-difference",Strict,   "broadcast[B](x - y)",     "broadcast[B](x) - broadcast[B](y)", "the same elements from the same operands").at(&["x: 3; y: 3; B: 0 / 3 2"]),
    rule("broadcast-product",   Strict,   "broadcast[B](x * y)",     "broadcast[B](x) * broadcast[B](y)", "the same elements from the same operands").at(&["x: 3; y: 3; B: 0 / 3 2"]),
    rule("broadcast-quotient",  Strict,   "broadcast[B](x / y)",     "broadcast[B](x) / broadcast[B](y)", "the same elements from the same operands").at(&["x: 3; y: 3; B: 0 / 3 2"]),
    rule("broadcast-negation",  Strict,   "broadcast[B](-x)",        "-broadcast[B](x)",   "the same elements from the same operands").at(&["x: 3; B: 0 / 3 2"]),
];

/// What is converted to a type that holds all its numbers, and back.
fn cast_back(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, between) = (found.value("x")?, found.attrs("E")?.dtype("dtype"));
    let from = terms.facts(x).ty.dtype;
    (found.ty.dtype == from && holds_all(between, from)).then_some(x)
}

/// Whether each number of a type is one of another.
fn holds_all(wide: DType, narrow: DType) -> bool {
    let digits = |dtype: DType| match dtype {
        DType::Bool => 1,
        DType::U8 | DType::Bf16 => 8,
        DType::F16 => 11,
        DType::F32 => 24,
        DType::I32 => 31,
        DType::F64 => 53,
        DType::I64 => 63,
    };
    match (narrow.is_float(), wide.is_float()) {
        _ if narrow == wide => true,
        (true, false) => false,
        (true, true) => digits(wide) > digits(narrow) && wide.greatest_finite() >= narrow.greatest_finite() && (wide != DType::F16),
        (false, true) => digits(wide) >= digits(narrow),
        (false, false) => narrow.least() >= wide.least() && narrow.greatest() <= wide.greatest(),
    }
}

/// `f` of operands that were all moved in one way (numbers aside) is the moved `f` of what they were before.
fn before_movement(terms: &mut dyn Terms, found: &Match<'_>, movement: &'static gradc_ir::OpDef) -> Option<Id> {
    let op = found.term.op()?;
    let moved = |terms: &dyn Terms, id: Id| -> Option<(Op, Id, TensorType)> {
        let (movement, from) = terms.terms(id).iter().find_map(|term| term.applies(movement))?;
        Some((movement.clone(), from[0], terms.facts(from[0]).ty.clone()))
    };
    let operands = found.term.operands();
    let (movement, _, from) = operands.iter().find_map(|&operand| moved(terms, operand))?;
    let mut sources = Vec::with_capacity(operands.len());
    for &operand in operands {
        let source = match moved(terms, operand) {
            Some((other, source, ty)) if other == movement && ty.shape == from.shape => source,
            _ if terms.facts(operand).constant.is_none() => broadcast_before(terms, operand, &movement, &from)?,
            _ => {
                let number = terms.facts(operand).constant?;
                let ty = terms.facts(operand).ty.with_shape(from.shape.clone());
                terms.literal(number, &ty)?
            }
        };
        sources.push(source);
    }
    let image = terms.apply(op.clone(), &sources)?;
    terms.apply(movement, &[image])
}

/// The broadcast whose transpose or reshape is the broadcast `operand`, if there is one.
fn broadcast_before(terms: &mut dyn Terms, operand: Id, movement: &Op, from: &TensorType) -> Option<Id> {
    let (op, y) = terms.terms(operand).iter().find_map(|term| term.applies(&BROADCAST)).map(|(op, y)| (op.clone(), y[0]))?;
    let (own, shape) = (op.attrs.ints("axes"), op.attrs.ints("shape"));
    let axes: Vec<usize> = if movement.is(&TRANSPOSE) {
        let permutation = movement.attrs.ints("permutation");
        own.iter().map(|&axis| permutation[axis]).collect()
    } else if movement.is(&RESHAPE) {
        let blocks = ops::reshape_blocks(&from.shape, shape)?;
        // Axes of extent 1 are new or not as it suits.
        let source = |axis: &usize| blocks.iter().find(|(_, to)| to[..] == [*axis]).filter(|(of, _)| of.len() == 1).map(|(of, _)| of[0]);
        own.iter().map(source).collect::<Option<_>>()?
    } else {
        return None;
    };
    if axes.is_sorted() { terms.apply(ops::broadcast(&axes, &from.shape), &[y]) } else { None }
}

/// A reshape, where there are new axes and none of them has more than one element.
fn broadcast_units(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, shape) = (found.value("x")?, &found.ty.shape);
    let grows = shape.elements() != terms.facts(x).ty.shape.elements();
    if grows || shape.rank() == terms.facts(x).ty.shape.rank() {
        return None;
    }
    terms.apply(ops::reshape(shape), &[x])
}

fn broadcast_broadcast(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (outer, inner) = (found.attrs("A")?, found.attrs("B")?.ints("axes"));
    let axes: Vec<usize> = inner.iter().map(|&axis| outer.ints("axes")[axis]).collect();
    terms.apply(ops::broadcast(&axes, outer.ints("shape")), &[found.value("x")?])
}

fn transpose_transpose(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (outer, inner) = (found.attrs("P")?.ints("permutation"), found.attrs("Q")?.ints("permutation"));
    let permutation: Vec<usize> = outer.iter().map(|&axis| inner[axis]).collect();
    terms.apply(ops::transpose(&permutation), &[found.value("x")?])
}

fn transpose_broadcast(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let inverse = op::transpose::inverse(found.attrs("P")?.ints("permutation"));
    let axes: Vec<usize> = found.attrs("B")?.ints("axes").iter().map(|&axis| inverse[axis]).collect();
    if !axes.is_sorted() {
        return None;
    }
    terms.apply(ops::broadcast(&axes, &found.ty.shape), &[found.value("x")?])
}

/// A reshape, if the windows along an axis of `wide` and the next are that axis cut up.
fn apart(terms: &mut dyn Terms, found: &Match<'_>, wide: Shape) -> Option<Id> {
    let x = found.value("x")?;
    let attrs = found.attrs("W")?;
    let axis = attrs.int("axis");
    let (count, size) = (wide[axis], wide[axis + 1]);
    let follow = size == 1 || attrs.int("dilation") == 1;
    if !follow || count != 1 && attrs.int("stride") != size || found.ty.shape.elements() != terms.facts(x).ty.shape.elements() {
        return None;
    }
    terms.apply(ops::reshape(&found.ty.shape), &[x])
}

fn transpose_units(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let x = found.value("x")?;
    let permutation = found.attrs("P")?.ints("permutation");
    let shape = &terms.facts(x).ty.shape;
    let moving = permutation.iter().filter(|&&axis| shape[axis] != 1);
    if permutation.is_sorted() || !moving.is_sorted() {
        return None;
    }
    terms.apply(ops::reshape(&found.ty.shape), &[x])
}

/// Where a margin of zeros along one axis puts a tensor.
struct Placed {
    axis: usize,
    start: usize,
    end: usize,
}

/// The place of a padded value of type `from`, if the margin is of zeros and along one axis.
fn placed(attrs: &Attrs, from: &TensorType) -> Option<Placed> {
    let (low, high) = (attrs.ints("low"), attrs.ints("high"));
    let mut axes = (0..low.len()).filter(|&axis| low[axis] + high[axis] > 0);
    let axis = axes.next()?;
    let is_plain = axes.next().is_none() && attrs.float("value") == 0.0;
    let is_whole = attrs.ints("interior").iter().all(|&gap| gap == 0);
    (is_plain && is_whole).then(|| Placed { axis, start: low[axis], end: low[axis] + from.shape[axis] })
}

/// The parts one after the other, with zeros between them where there is a gap and around them where there is a margin.
fn sum_of_pads(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, y) = (found.value("x")?, found.value("y")?);
    let part = |terms: &dyn Terms, attrs: &str, value: Id| {
        Some((placed(found.attrs(attrs)?, &terms.facts(value).ty)?, value))
    };
    let (mut first, mut second) = (part(terms, "P", x)?, part(terms, "Q", y)?);
    if second.0.start < first.0.start {
        std::mem::swap(&mut first, &mut second);
    }
    let axis = first.0.axis;
    let gap = second.0.start.checked_sub(first.0.end)?;
    if second.0.axis != axis {
        return None;
    }
    let mut parts = vec![first.1];
    if gap > 0 {
        let extents = (0..found.ty.shape.rank()).map(|i| if i == axis { gap } else { found.ty.shape[i] });
        parts.push(terms.literal(0.0, &found.ty.with_shape(extents.collect::<Shape>()))?);
    }
    parts.push(second.1);
    let joined = terms.apply(ops::concat(axis), &parts)?;
    let margin = |extent: usize| (0..found.ty.shape.rank()).map(|i| if i == axis { extent } else { 0 }).collect();
    let (low, high): (Vec<usize>, Vec<usize>) = (margin(first.0.start), margin(found.ty.shape[axis] - second.0.end));
    if low[axis] + high[axis] == 0 { Some(joined) } else { terms.apply(ops::pad(&low, &high), &[joined]) }
}

fn concat_of_concat(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, operands) = found.term.applies(&CONCAT)?;
    let op = op.clone();
    let inner = |&operand: &Id| {
        let own = terms.terms(operand).iter().find_map(|term| term.applies(&CONCAT)).filter(|(inner, _)| **inner == op);
        own.map_or_else(|| vec![operand], |(_, parts)| parts.to_vec())
    };
    let parts: Vec<Id> = operands.iter().flat_map(inner).collect();
    if parts.len() == operands.len() { None } else { terms.apply(op, &parts) }
}
