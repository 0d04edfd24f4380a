//! Reductions.

use egg::Id;
use gradc_ir::op::{self, broadcast::BROADCAST, mul::MUL, reduce_sum::REDUCE_SUM, reshape::RESHAPE, transpose::TRANSPOSE};
use gradc_ir::{Class, DType, Op, OpDef, Shape};

use super::Fact::{Moderate, NotTiny, SumsToOne, SumsToZero};
use super::FpClass::{Accurate, Fast, Strict};
use super::arithmetic::is_grouped_enough;
use super::{Match, Rule, Wanted, rule};
use crate::ops;
use crate::term::Term;
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("mean-as-sum",         Strict,   "mean[A](x)",              "sum[A](x) / n",      "that is what a mean is; all rules are about sums").built(mean_as_sum).local().at(&["x: 3 2; A: 1", "x: 3 2; A: 0 1", "x: 3 0; A: 1", "x: 5; A: 0"]),
    rule("sum-of-number",       Accurate, "sum[A](#c)",              "n * #c",             "one rounding instead of many").built(sum_of_number).local().at(&["#c: 0.1; A: 0", "#c: 1; A: 0"]),
    rule("extreme-of-number",   Strict,   "amax(#c) or amin(#c)",    "#c",                 "the extreme of equal numbers is that number").any(Class::Reduce).built(extreme_of_number).local().at(&["amax[A](#c) @ A: 0", "amin[A](#c) @ A: 0"]),
    rule("sum-of-broadcast",    Accurate, "sum[A](broadcast[B](x))", "n * sum(x)",         "one rounding instead of many").built(sum_of_broadcast).local().at(&["x: 3; B: 0 / 3 2; A: 1", "x: 3; B: 1 / 2 3; A: 0 1", "x: 2 3; B: 0 2 / 2 5 3; A: 1 2", "x: 3; B: 0 / 3 2; A: 0"]),
    rule("extreme-of-broadcast",Strict,   "amax[A](broadcast[B](x))","amax(x)",            "repeated elements do not change the extreme").any(Class::Reduce).to(Wanted::One(&BROADCAST)).built(extreme_of_broadcast).local().at(&["amax[A](broadcast[B](x)) @ x: 3; B: 0 / 3 2; A: 1", "amin[A](broadcast[B](x)) @ x: 3; B: 1 / 2 3; A: 0 1"]),
    rule("reduce-transposed",   Strict,   "sum[A](transpose[P](x))", "transpose(sum(x))",  "the axes keep their order, and so does the accumulation").any(Class::Reduce).to(Wanted::One(&TRANSPOSE)).built(reduce_transposed).local().at(&["sum[A](transpose[P](x)) @ x: 2 3 4; P: 1 0 2; A: 0", "amax[A](transpose[P](x)) @ x: 2 3 4; P: 2 1 0; A: 1", "sum[A](transpose[P](x)) @ x: 2 3 4; P: 1 2 0; A: 0 1"]),
    rule("reduce-reshaped",     Strict,   "sum[A](reshape[R](x))",   "reshape(sum(x))",    "the same elements in the same order").any(Class::Reduce).to(Wanted::One(&RESHAPE)).built(reduce_reshaped).at(&["sum[A](reshape[R](x)) @ x: 3 4; R: 3 2 2; A: 1 2", "amax[A](reshape[R](x)) @ x: 2 3 4; R: 6 4; A: 1", "sum[A](reshape[R](x)) @ x: 2 3; R: 6; A: 0"]),
    rule("sum-of-concatenation",Accurate, "sum[A](concat[C](x, y))", "sum[A](x) + sum[A](y)", "as many additions, and nothing is moved").built(sum_of_concat).at(&["x: 3 2 in 0..2; y: 4 2 in 0..2; C: 0; A: 0 1", "x: 3 2 in 0..2; y: 3 1 in 0..2; C: 1; A: 1"]),
    rule("reduce-unit-axes",    Accurate, "sum[A](x)",               "reshape(x)",         "there is one element to reduce; -0 stays -0").built(reduce_unit_axes).local().at(&["x: 3 1; A: 1", "x: 1 3 1; A: 0 2"]),
    rule("sum-of-sum",          Accurate, "sum[A](sum[B](x))",       "sum[AB](x)",         "as many additions; the sum of a kernel is accumulated in parts anyway").built(|t, m| merged(t, m, &REDUCE_SUM)).at(&["x: 2 3 4 in 0..2; B: 1; A: 0", "x: 2 3 4 in 0..2; B: 0 2; A: 0"]),
    rule("maximum-of-maximum",  Strict,   "amax[A](amax[B](x))",     "amax[AB](x)",        "the order does not matter").built(|t, m| merged(t, m, &op::reduce_max::REDUCE_MAX)).at(MERGED),
    rule("minimum-of-minimum",  Strict,   "amin[A](amin[B](x))",     "amin[AB](x)",        "the order does not matter").built(|t, m| merged(t, m, &op::reduce_min::REDUCE_MIN)).at(MERGED),
    rule("sum-of-negation",     Accurate, "sum[A](-x)",              "-sum[A](x)",         "only the sign of a zero differs").local().at(&["x: 3 2; A: 1"]),
    rule("sum-of-ones",         Accurate, "sum[A](x)",               "1",                  "the elements are known to add up to one").when(&[("x", SumsToOne("A"))]).local().at(&["x: 3 4 one_hot; A: 1"]),
    rule("sum-of-multiple",     Accurate, "sum[A](#c * x)",          "#c * sum[A](x)",     "one rounding instead of many").at(&["#c: 0.1; x: 5 3 in -2..2; A: 1", "#c: -3; x: 5 3 in 0..1; A: 0"]),
    rule("sum-of-shared-factor",Accurate, "sum[A](spread[A](y) * x)","y * sum[A](x)",      "one rounding instead of many").when(&[("y", Moderate)]).at(&["y: 5 in -2..2; x: 5 3 in -2..2; A: 1"]),
    rule("sum-of-shared-divisor", Accurate, "sum[A](x / spread[A](s))", "sum[A](x) / s",   "one rounding instead of many").when(&[("s", NotTiny)]).at(&["s: 5 in 0.01..100; x: 5 3 in -2..2; A: 1"]),
    rule("factor-there-already", Accurate, "y * sum[A](a * b)",     "sum[A]((spread[A](y) * a) * b)", "as many roundings, one of them before the sum, as that of its terms").when(&[("y", Moderate)]).built(factor_there_already).at(FACTOR_THERE_ALREADY),
    rule("factor-of-product-there-already", Accurate, "(y * q) * sum[A](a * b)", "q * sum[A]((spread[A](y) * a) * b)", "as many roundings, one of them before the sum, as that of its terms").when(&[("y", Moderate)]).built(factor_there_already).at(&["y: 5 in 0.001..1; q: 5 in 0.5..2; a: 5 3 in 0..4; b: 5 3 in 0..4; A: 1"]),
    rule("sum-of-any-shared-factor", Fast, "sum[A](spread[A](y) * x)", "y * sum[A](x)",    "distributivity").at(&["y: 5; x: 5 3; A: 1"]),
    rule("sum-of-any-shared-divisor", Fast, "sum[A](x / spread[A](s))", "sum[A](x) / s",   "distributivity").at(&["s: 5 in 1..3; x: 5 3; A: 1"]),
    rule("sum-of-centred",      Accurate, "sum[A](z)",               "0",                  "what is left after the mean is taken out adds up to zero, and to rounding errors if it is computed").when(&[("z", SumsToZero("A"))]).at(&["z: 5 4 centred 1; A: 1"]),
    rule("sum-with-centred",    Fast, "sum[A](x + z)",           "sum[A](x)",          "what is left after the mean is taken out adds up to zero; as it is computed, to rounding errors, which a mean that is taken out next is to have, too").when(&[("z", SumsToZero("A"))]).at(&["x: 5 4; z: 5 4 centred 1; A: 1"]),
    rule("sum-minus-centred",   Fast, "sum[A](x - z)",           "sum[A](x)",          "what is left after the mean is taken out adds up to zero; as it is computed, to rounding errors, which a mean that is taken out next is to have, too").when(&[("z", SumsToZero("A"))]).at(&["x: 5 4; z: 5 4 centred 1; A: 1"]),
];

const FACTOR_THERE_ALREADY: &[&str] = &["y: 5 in 0.001..1; a: 5 3 in 0..4; b: 5 3 in 0..4; A: 1"];
const MERGED: &[&str] = &["x: 2 3 4; B: 1; A: 0", "x: 2 3 4; B: 0; A: 1", "x: 2 3 4; B: 0 2; A: 0"];

fn is_extreme(def: &'static OpDef) -> bool {
    std::ptr::eq(def, &op::reduce_max::REDUCE_MAX) || std::ptr::eq(def, &op::reduce_min::REDUCE_MIN)
}

/// The one application of `def` in a class: its attributes and its operand.
fn application(terms: &dyn Terms, class: Id, def: &'static OpDef) -> Option<(Op, Id)> {
    terms.terms(class).iter().find_map(|term| term.applies(def)).map(|(op, operands)| (op.clone(), operands[0]))
}

/// How many elements a reduction makes into one.
fn count(terms: &dyn Terms, operand: Id, axes: &[usize]) -> usize {
    axes.iter().map(|&axis| terms.facts(operand).ty.shape[axis]).product()
}

fn mean_as_sum(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, axes) = (found.value("x")?, found.attrs("A")?.ints("axes"));
    let count = count(terms, x, axes);
    // A sum of floats of 16 bits has more digits than they until it is divided.
    let wide = found.ty.with_dtype(found.ty.dtype.arithmetic());
    let x = converted(terms, x, wide.dtype)?;
    let sum = terms.apply(ops::reduce(&REDUCE_SUM, axes), &[x])?;
    let count = terms.literal(count as f64, &wide)?;
    let mean = terms.apply(op::div::DIV.op(), &[sum, count])?;
    converted(terms, mean, found.ty.dtype)
}

fn converted(terms: &mut dyn Terms, x: Id, dtype: DType) -> Option<Id> {
    if terms.facts(x).ty.dtype == dtype { Some(x) } else { terms.apply(ops::cast(dtype), &[x]) }
}

fn sum_of_number(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let operand = found.value("#c")?;
    let count = count(terms, operand, found.attrs("A")?.ints("axes"));
    let sum = found.number(terms, "#c")? * count as f64;
    let fits = found.ty.dtype.is_float() || found.ty.dtype.represents(sum);
    if fits { terms.literal(sum, found.ty) } else { None }
}

fn extreme_of_number(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[x]) = (found.term.op()?, found.term.operands()) else { return None };
    let number = terms.facts(x).constant?;
    let is_some = count(terms, x, op.attrs.ints("axes")) > 0;
    if is_extreme(op.def) && is_some { terms.literal(number, found.ty) } else { None }
}

/// A reduction over `axes` of a broadcast of `x`: the reduced `x`, broadcast as far as is left, and how often each of its
/// elements was there.
struct OfBroadcast {
    /// Axes of `x` to reduce.
    inner: Vec<usize>,
    /// Where the axes of `x` that are left are in the result.
    kept: Vec<usize>,
    /// How often each element was repeated along the reduced axes.
    times: usize,
}

fn of_broadcast(axes: &[usize], broadcast: &Op) -> OfBroadcast {
    let (own, shape) = (broadcast.attrs.ints("axes"), broadcast.attrs.ints("shape"));
    let inner = (0..own.len()).filter(|&i| axes.contains(&own[i])).collect();
    let left = ops::other_axes(axes, shape.len());
    let kept = (0..left.len()).filter(|&i| own.contains(&left[i])).collect();
    let times = axes.iter().filter(|axis| !own.contains(axis)).map(|&axis| shape[axis]).product();
    OfBroadcast { inner, kept, times }
}

/// The reduction of a broadcast without the repetitions, in the shape of the result.
fn reduced_source(terms: &mut dyn Terms, def: &'static OpDef, x: Id, parts: &OfBroadcast) -> Option<Id> {
    if parts.inner.is_empty() { Some(x) } else { terms.apply(ops::reduce(def, &parts.inner), &[x]) }
}

fn spread_to(terms: &mut dyn Terms, x: Id, kept: &[usize], shape: &Shape) -> Option<Id> {
    if kept.len() == shape.rank() { Some(x) } else { terms.apply(ops::broadcast(kept, shape), &[x]) }
}

fn sum_of_broadcast(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let broadcast = BROADCAST.with(found.attrs("B")?.clone());
    let parts = of_broadcast(found.attrs("A")?.ints("axes"), &broadcast);
    // A sum of nothing is 0, and no multiple of what may be infinite.
    if !found.ty.dtype.is_float() || parts.times == 0 {
        return None;
    }
    let reduced = reduced_source(terms, &REDUCE_SUM, found.value("x")?, &parts)?;
    let ty = terms.facts(reduced).ty.clone();
    // A sum of floats of 16 bits is rounded once. So must the product be.
    if ty.dtype.is_half() && (!parts.inner.is_empty() || !ty.dtype.represents(parts.times as f64)) {
        return None;
    }
    let times = terms.literal(parts.times as f64, &ty)?;
    let sum = terms.apply(op::mul::MUL.op(), &[times, reduced])?;
    spread_to(terms, sum, &parts.kept, &found.ty.shape)
}

fn extreme_of_broadcast(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[operand]) = (found.term.op()?.clone(), found.term.operands()) else { return None };
    let (broadcast, x) = application(terms, operand, &BROADCAST)?;
    let parts = of_broadcast(op.attrs.ints("axes"), &broadcast);
    if !is_extreme(op.def) || parts.times == 0 {
        return None;
    }
    let reduced = reduced_source(terms, op.def, x, &parts)?;
    spread_to(terms, reduced, &parts.kept, &found.ty.shape)
}

fn reduce_transposed(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[operand]) = (found.term.op()?.clone(), found.term.operands()) else { return None };
    let (transpose, x) = application(terms, operand, &TRANSPOSE)?;
    let permutation = transpose.attrs.ints("permutation");
    let axes: Vec<usize> = op.attrs.ints("axes").iter().map(|&axis| permutation[axis]).collect();
    if !axes.is_sorted() {
        return None;
    }
    let reduced = terms.apply(ops::reduce(op.def, &axes), &[x])?;
    // What is left of the permutation, with the reduced axes closed up.
    let left: Vec<usize> = permutation.iter().copied().filter(|axis| !axes.contains(axis)).collect();
    let closed: Vec<usize> = left.iter().map(|&axis| axis - axes.iter().filter(|&&gone| gone < axis).count()).collect();
    if closed.is_sorted() { Some(reduced) } else { terms.apply(ops::transpose(&closed), &[reduced]) }
}

/// A reduction over axes that are whole axes of what was reshaped.
fn reduce_reshaped(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, &[operand]) = (found.term.op()?.clone(), found.term.operands()) else { return None };
    let (reshape, x) = application(terms, operand, &RESHAPE)?;
    let axes = op.attrs.ints("axes");
    let blocks = ops::reshape_blocks(&terms.facts(x).ty.shape, reshape.attrs.ints("shape"))?;
    let mut reduced = Vec::new();
    for (own, other) in blocks {
        match other.iter().filter(|axis| axes.contains(axis)).count() {
            0 => {}
            all if all == other.len() => reduced.extend(own),
            _ => return None,
        }
    }
    // Only axes of extent 1 may have been reduced.
    let image = if reduced.is_empty() { return None } else { terms.apply(ops::reduce(op.def, &reduced), &[x])? };
    if terms.facts(image).ty == *found.ty { Some(image) } else { terms.apply(ops::reshape(&found.ty.shape), &[image]) }
}

fn sum_of_concat(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let axes = found.attrs("A")?.ints("axes");
    if !axes.contains(&found.attrs("C")?.int("axis")) {
        return None;
    }
    let sum = ops::reduce(&REDUCE_SUM, axes);
    let parts = [found.value("x")?, found.value("y")?].map(|part| terms.apply(sum.clone(), &[part]));
    terms.apply(op::add::ADD.op(), &[parts[0]?, parts[1]?])
}

fn reduce_unit_axes(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let x = found.value("x")?;
    if count(terms, x, found.attrs("A")?.ints("axes")) != 1 {
        return None;
    }
    terms.apply(ops::reshape(&found.ty.shape), &[x])
}

/// Where what the factor makes of one factor of the terms is there already: else there would be no end of rearranging.
fn factor_there_already(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (y, a, b) = (found.value("y")?, found.value("a")?, found.value("b")?);
    if is_grouped_enough(terms, found) || found.root.is_some() && terms.facts(y).constant.is_some() {
        return None;
    }
    let sum = ops::reduce(&REDUCE_SUM, found.attrs("A")?.ints("axes"));
    let shape = terms.facts(a).ty.shape.clone();
    let spread = Term::apply(ops::broadcast(&ops::other_axes(sum.attrs.ints("axes"), shape.rank()), &shape), [y]);
    if found.root.is_some() && !terms.is_there(&spread) {
        return None;
    }
    let spread = terms.add(spread)?;
    let product = Term::apply(MUL.op(), [spread, a]);
    if found.root.is_some() && !terms.is_there(&product) {
        return None;
    }
    let product = terms.add(product)?;
    let product = terms.apply(MUL.op(), &[product, b])?;
    let sum = terms.apply(sum, &[product])?;
    match found.value("q") {
        Some(q) => terms.apply(MUL.op(), &[q, sum]),
        None => Some(sum),
    }
}

fn merged(terms: &mut dyn Terms, found: &Match<'_>, def: &'static OpDef) -> Option<Id> {
    let x = found.value("x")?;
    let (outer, inner) = (found.attrs("A")?.ints("axes"), found.attrs("B")?.ints("axes"));
    let left = ops::other_axes(inner, terms.facts(x).ty.shape.rank());
    let mut axes: Vec<usize> = inner.iter().copied().chain(outer.iter().map(|&axis| left[axis])).collect();
    axes.sort_unstable();
    terms.apply(ops::reduce(def, &axes), &[x])
}
