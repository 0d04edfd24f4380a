//! Means, variances and what is normalised by them.

use egg::Id;
use gradc_ir::op::{add::ADD, div::DIV, mul::MUL, reduce_sum::REDUCE_SUM, rsqrt::RSQRT, sub::SUB};

use super::Fact::SumsToZero;
use super::Flaw::{Breaks, Cancels};
use super::FpClass::{Accurate, Strict};
use super::product::Factors;
use super::{InSums, Match, Rule, rule};
use crate::ops;
use crate::facts::{Facts, Range, mask};
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[

    rule("variance",            Accurate, "#c * sum[A](x * x) - (#c * sum[A](x)) * (#c * sum[A](x))", "#c * sum[A](d * d)", "for #c = 1 / n and d, which is x without its mean: the squares of a large mean cancel").built(|t, m| variance(t, m, false)).flawed(Breaks).stabilises().at(&["x: 5 4; A: 1; #c: 0.25"]),
    rule("variance-by-quotient",Accurate, "sum[A](x * x) / #c - (sum[A](x) / #c) * (sum[A](x) / #c)", "sum[A](d * d) / #c", "for #c = n and d, which is x without its mean: the squares of a large mean cancel").built(|t, m| variance(t, m, true)).flawed(Breaks).stabilises().at(&["x: 5 3; A: 1; #c: 3"]),
    rule("slope-of-unit-norm",  Accurate, "y * rsqrt(x * x + #e) - z", "y * (#e * r * r * r)", "for r = rsqrt(x * x + #e) and z = y * x * x * r * r * r: where #e is small, the difference has no digits left").built(slope_of_unit_norm).where_product("z", cubed_slope).flawed(Cancels).overflows().in_sums(InSums::Fast).at(&["y * rsqrt(x * x + 0.00001) - x * (y * x * (rsqrt(x * x + 0.00001) * (rsqrt(x * x + 0.00001) * rsqrt(x * x + 0.00001)))) @"]),
    rule("slope-of-unit",       Accurate, "rsqrt(x * x + #e) - z",   "#e * r * r * r", "for r = rsqrt(x * x + #e) and z = x * x * r * r * r: where #e is small, the difference has no digits left").built(slope_of_unit_norm).where_product("z", cubed_slope).flawed(Cancels).overflows().in_sums(InSums::Fast).at(&["rsqrt(x * x + 0.00001) - x * (x * (rsqrt(x * x + 0.00001) * (rsqrt(x * x + 0.00001) * rsqrt(x * x + 0.00001)))) @"]),
    rule("square-range",        Strict,   "x * x",                   "not negative",       "the signs are equal").learns(|_, _, facts| facts.range = facts.range.intersection(Range::NOT_NEGATIVE)),
    rule("centred",             Accurate, "x - spread[A](#c * sum[A](x))", "sums to zero", "for #c = 1 / n: the mean is taken out").learns(|t, m, facts| learn_centred(t, m, facts, |n| 1.0 / n)).at(&["x: 5 4; A: 1; #c: 0.25"]),
    rule("centred-by-quotient", Accurate, "x - spread[A](sum[A](x) / #c)", "sums to zero", "for #c = n: the mean is taken out").learns(|t, m, facts| learn_centred(t, m, facts, |n| n)).at(&["x: 5 3; A: 1; #c: 3"]),
    rule("multiple-of-centred", Accurate, "#c * z",                  "sums to zero",       "the factor is common to all").when(&[("#c", super::Fact::Finite)]).learns(learn_multiple).at(&["z: 5 4 centred 1; #c: 3"]),
    rule("shared-factor-of-centred", Accurate, "spread[A](y) * z",   "sums to zero",       "the factor is common to all").when(&[("z", SumsToZero("A"))]).learns(learn_scaled).at(&["y: 5 in -2..2; z: 5 4 centred 1; A: 1"]),
    rule("shared-divisor-of-centred", Accurate, "z / spread[A](y)",  "sums to zero",       "the divisor is common to all").when(&[("z", SumsToZero("A"))]).learns(learn_scaled).at(&["y: 5 in 1..3; z: 5 4 centred 1; A: 1"]),
    rule("normalised-range",    Accurate, "z / spread[A](sqrt(#c * sum[A](z * z) + #e))", "moderate", "no square exceeds the sum of squares, so no quotient 1 / sqrt(#c)").learns(learn_normalised).at(&["z: 5 4; A: 1; #c: 0.25; #e: 0.00001"]),
];

/// The mean of the squares of `x` without its mean, where `#c` is the number of elements or its reciprocal.
fn variance(terms: &mut dyn Terms, found: &Match<'_>, by_quotient: bool) -> Option<Id> {
    let (x, c, axes) = (found.value("x")?, found.number(terms, "#c")?, found.attrs("A")?.ints("axes"));
    let shape = terms.facts(x).ty.shape.clone();
    let count: usize = axes.iter().map(|&axis| shape[axis]).product();
    let is_mean = if by_quotient { c == count as f64 } else { c == found.ty.dtype.round(1.0 / count as f64) };
    if !is_mean {
        return None;
    }
    let number = terms.literal(c, found.ty)?;
    let sum = ops::reduce(&REDUCE_SUM, axes);
    let mean = |terms: &mut dyn Terms, values: Id| {
        let total = terms.apply(sum.clone(), &[values])?;
        if by_quotient { terms.apply(DIV.op(), &[total, number]) } else { terms.apply(MUL.op(), &[number, total]) }
    };
    let of_x = mean(terms, x)?;
    let spread = terms.apply(ops::broadcast(&ops::other_axes(axes, shape.rank()), &shape), &[of_x])?;
    let centred = terms.apply(SUB.op(), &[x, spread])?;
    let squares = terms.apply(MUL.op(), &[centred, centred])?;
    mean(terms, squares)
}

/// The factors of `x * x * r * r * r` for `r = rsqrt(x * x + #e)`, and `y` if there is one.
fn cubed_slope(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Factors> {
    if found.number(terms, "#e")? <= 0.0 {
        return None;
    }
    let (x, r) = (found.value("x")?, reciprocal_norm(terms, found)?);
    let mut factors = Factors::from_slice(&[x, x, r, r, r]);
    factors.extend(found.value("y"));
    Some(factors)
}

fn reciprocal_norm(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (x, e) = (found.value("x")?, found.value("#e")?);
    let square = terms.apply(MUL.op(), &[x, x])?;
    let shifted = terms.apply(ADD.op(), &[square, e])?;
    terms.apply(RSQRT.op(), &[shifted])
}

/// `e * r^3`, times `y` if there is one.
fn slope_of_unit_norm(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (e, r) = (found.value("#e")?, reciprocal_norm(terms, found)?);
    // In this order: what is added to a square is not more than that, so nothing overflows.
    let slope = terms.apply(MUL.op(), &[e, r])?;
    let slope = terms.apply(MUL.op(), &[slope, r])?;
    let slope = terms.apply(MUL.op(), &[slope, r])?;
    match found.value("y") {
        Some(y) => terms.apply(MUL.op(), &[y, slope]),
        None => Some(slope),
    }
}

/// `mean(n)` is what the sum of so many is multiplied or divided by where it is the mean that was taken out.
fn learn_centred(terms: &dyn Terms, found: &Match<'_>, facts: &mut Facts, mean: fn(f64) -> f64) {
    let Some(axes) = found.attrs("A").map(|attrs| attrs.ints("axes")) else { return };
    let count: usize = axes.iter().map(|&axis| found.ty.shape[axis]).product();
    if found.number(terms, "#c") == Some(found.ty.dtype.round(mean(count as f64))) {
        facts.sums_to_zero_along = mask(axes);
    }
}

fn learn_multiple(terms: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    if let Some(z) = found.value("z") {
        facts.sums_to_zero_along = terms.facts(z).sums_to_zero_along;
    }
}

fn learn_scaled(_: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    if let Some(axes) = found.attrs("A") {
        facts.sums_to_zero_along = mask(axes.ints("axes"));
    }
}

fn learn_normalised(terms: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    let (Some(c), Some(e)) = (found.number(terms, "#c"), found.number(terms, "#e")) else { return };
    if c > 0.0 && e >= 0.0 {
        let bound = 1.001 / c.sqrt();
        facts.range = facts.range.intersection(Range { low: -bound, high: bound, nan: true });
    }
}
