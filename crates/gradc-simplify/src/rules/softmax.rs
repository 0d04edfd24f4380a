//! Softmax, its logarithm and the gradients of losses on them.

use egg::Id;
use gradc_ir::Class;
use gradc_ir::op::{
    div::DIV, exp::EXP, gather::GATHER, log::LOG, mul::MUL, reduce_sum::REDUCE_SUM, select::SELECT,
};

use super::Fact::{NotShifted, OneHot, Positive, Shifted, Truth, Vanishing};
use super::Flaw::{Cancels, Breaks};
use super::FpClass::{Accurate, Strict};
use super::log_exp::log_with_number;
use super::{Match, Rule, rule};
use crate::ops;
use crate::facts::{Facts, Range, mask};
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // What is known about x minus its maximum.
    rule("shifted",             Strict,   "x - spread[A](amax[A](x))", "greatest is 0",     "no element exceeds the maximum, and one is it").learns(learn_shifted).at(SHIFTED),
    rule("shifted-constant",    Strict,   "x - spread[A](stop_gradient(amax[A](x)))", "greatest is 0", "no element exceeds the maximum, and one is it").learns(learn_shifted).at(SHIFTED),
    rule("sum-of-shifted-exps", Strict,   "sum[A](exp(z))",          "at least 1",         "the exponential of the greatest element is 1").when(&[("z", Shifted("A"))]).learns(learn_at_least_one).at(SHIFTED_Z),
    rule("softmax-range",       Accurate, "exp(z) / spread[A](sum[A](exp(z)))", "0 to 1, sums to one", "no part of a sum of positive numbers exceeds it").when(&[("z", Shifted("A"))]).learns(learn_softmax).stabilises().at(SHIFTED_Z),

    // Stable forms.
    rule("softmax",             Accurate, "exp(x) / spread[A](sum[A](exp(x)))", "exp(x - spread[A](stop_gradient(amax[A](x)))) / spread[A](sum[A](exp(x - spread[A](stop_gradient(amax[A](x))))))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED),
    rule("log-sum-exp",         Accurate, "log(sum[A](exp(x)))",     "stop_gradient(amax[A](x)) + log(sum[A](exp(x - spread[A](stop_gradient(amax[A](x))))))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED),
    rule("log-softmax",         Accurate, "log(exp(z) / spread[A](sum[A](exp(z))))", "z - spread[A](log(sum[A](exp(z))))", "the logarithm of a quotient that vanishes").when(&[("z", Shifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED_Z),
    rule("log-of-moved",        Accurate, "log(x)",                  "f(log(y))",          "for x, which is y moved: what has vanished has no logarithm, wherever it is").when(&[("x", Vanishing)]).built(log_of_moved).flawed(Breaks).stabilises().at(&["log(slice[S](x)) @ x: 5 4 vanishing; S: 1 0 / 4 3 / 1 1", "log(transpose[P](x)) @ x: 5 4 vanishing; P: 1 0", "log(reshape[R](x)) @ x: 5 4 vanishing; R: 20"]),
    rule("log-of-product",      Accurate, "log(x * y)",              "log(x) + log(y)",    "the product vanishes before its factors do").when(&[("x", Vanishing), ("y", Vanishing)]).flawed(Breaks).stabilises().at(&["x: 20 vanishing; y: 20 vanishing"]),
    rule("log-of-quotient",     Accurate, "log(x / y)",              "log(x) - log(y)",    "the quotient is that of what has vanished").when(&[("x", Vanishing), ("y", Vanishing)]).flawed(Breaks).stabilises().at(&["x: 20 vanishing; y: 20 vanishing"]),
    rule("log-of-multiple",     Accurate, "log(#c * x)",             "log(#c) + log(x)",   "what has vanished has no logarithm").when(&[("x", Vanishing), ("#c", Positive)]).built(|t, m| log_of_factor(t, m, false)).flawed(Breaks).stabilises().at(&["x: 20 vanishing; #c: 0.3"]),
    rule("log-of-share",        Accurate, "log(x / #c)",             "log(x) - log(#c)",   "what has vanished has no logarithm").when(&[("x", Vanishing), ("#c", Positive)]).built(|t, m| log_of_factor(t, m, true)).flawed(Breaks).stabilises().at(&["x: 20 vanishing; #c: 3"]),
    rule("log-of-power",        Accurate, "log(pow(x, #c))",         "#c * log(x)",        "the power vanishes before x does").when(&[("x", Vanishing), ("#c", Positive)]).flawed(Breaks).stabilises().at(&["x: 20 vanishing; #c: 2.5"]),
    rule("log-of-vanishing-root", Accurate, "log(sqrt(x))",          "0.5 * log(x)",       "what has vanished has no logarithm").when(&[("x", Vanishing)]).flawed(Breaks).stabilises().at(&["x: 20 vanishing"]),
    rule("log-of-chosen",       Accurate, "log(sum[A](y * x))",      "sum[A](select(y == 0, 0, log(x)))", "only one element is there, and it may have vanished").when(&[("y", OneHot("A")), ("x", Vanishing)]).flawed(Breaks).stabilises().at(&["x: 5 4 vanishing; y: 5 4 one_hot; A: 1"]),
    rule("log-mean-exp",        Accurate, "log(#c * sum[A](exp(x)))", "log(#c) + log(sum[A](exp(x)))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A")), ("#c", Positive)]).built(|t, m| log_of_multiple(t, m, false)).flawed(Breaks).stabilises().at(&["x: 5 3 in 1..3; #c: 0.25; A: 1"]),
    rule("log-mean-exp-by-quotient", Accurate, "log(sum[A](exp(x)) / #c)", "log(sum[A](exp(x))) - log(#c)", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A")), ("#c", Positive)]).built(|t, m| log_of_multiple(t, m, true)).flawed(Breaks).stabilises().at(&["x: 5 3 in 1..3; #c: 3; A: 1"]),
    rule("softmax-by-reciprocal", Accurate, "exp(x) * spread[A](1 / sum[A](exp(x)))", "exp(x) / spread[A](sum[A](exp(x)))", "one rounding instead of two, and the sum may overflow").when(&[("x", NotShifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED),
    rule("softmax-by-mean",     Accurate, "exp(x) / spread[A](#c * sum[A](exp(x)))", "1/#c * (exp(x) / spread[A](sum[A](exp(x))))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A")), ("#c", Positive)]).built(|t, m| multiple_of_softmax(t, m, false)).flawed(Breaks).stabilises().at(&["x: 5 4; #c: 0.25; A: 1"]),
    rule("softmax-by-mean-quotient", Accurate, "exp(x) / spread[A](sum[A](exp(x)) / #c)", "#c * (exp(x) / spread[A](sum[A](exp(x))))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A")), ("#c", Positive)]).built(|t, m| multiple_of_softmax(t, m, true)).flawed(Breaks).stabilises().at(&["x: 5 3; #c: 3; A: 1"]),
    // Of what is masked out, the exponential is that of -inf: so a masked softmax is a softmax.
    rule("masked-exp",          Strict,   "select(p, exp(x), 0)",    "exp(select(p, x, -inf))", "the exponential of -inf is 0").built(|t, m| masked_exp(t, m, true)).stabilises(),
    rule("exp-times-truth",     Accurate, "cast[D](p) * exp(x)",    "exp(select(p, x, -inf))", "the exponential of -inf is 0, and one that overflows is no number times 0").when(&[("p", Truth)]).built(|t, m| masked_exp(t, m, true)).overflows().stabilises().at(&["p: bool 64; D: float"]),
    rule("masked-out-exp",      Strict,   "select(p, 0, exp(x))",    "exp(select(p, -inf, x))", "the exponential of -inf is 0").built(|t, m| masked_exp(t, m, false)).stabilises(),
    rule("shift-first",         Accurate, "x - spread[A](amax[A](x) + y)", "(x - spread[A](amax[A](x))) - spread[A](y)", "a large maximum swallows the digits of y").flawed(Cancels).at(SHIFT_FIRST),
    rule("shift-constant-first",Accurate, "x - spread[A](stop_gradient(amax[A](x)) + y)", "(x - spread[A](stop_gradient(amax[A](x)))) - spread[A](y)", "a large maximum swallows the digits of y").flawed(Cancels).stabilises().at(SHIFT_FIRST),

    // Softmax found again.
    rule("exp-of-log-softmax",  Accurate, "exp(z - spread[A](log(sum[A](exp(z)))))", "exp(z) / spread[A](sum[A](exp(z)))", "without a logarithm whose error the exponential magnifies").when(&[("z", Shifted("A"))]).at(SHIFTED_Z),
];

const SHIFTED: &[&str] = &["x: 5 3; A: 1", "x: 3 4; A: 0", "x: 2 3 2; A: 0 2"];
const SHIFTED_Z: &[&str] = &["z: 5 3 shifted 1; A: 1", "z: 3 4 shifted 0; A: 0"];
const SHIFT_FIRST: &[&str] = &["x: 5 3; y: 5; A: 1", "x: 3 4; y: 4 in 0..3; A: 0"];

/// What is moved is the logarithm.
fn log_of_moved(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (op, mut operands) = terms.terms(found.value("x")?).iter().find_map(|term| {
        let op = term.op()?;
        let moves = match op.def.class {
            Class::Movement => term.operands().len() == 1 && op.attrs.get("value").is_none(),
            Class::Indexed => op.is(&GATHER),
            _ => false,
        };
        moves.then(|| (op.clone(), term.operands().to_vec()))
    })?;
    operands[0] = terms.apply(LOG.op(), &[operands[0]])?;
    terms.apply(op, &operands)
}

/// The logarithm of `sum[A](exp(x))`, which is multiplied or divided with a number.
fn log_of_multiple(terms: &mut dyn Terms, found: &Match<'_>, divides: bool) -> Option<Id> {
    let (x, axes) = (found.value("x")?, found.attrs("A")?.ints("axes"));
    let exp = terms.apply(EXP.op(), &[x])?;
    let sum = terms.apply(ops::reduce(&REDUCE_SUM, axes), &[exp])?;
    log_with_number(terms, found, sum, divides)
}

/// The logarithm of `x`, which is multiplied or divided with a number.
fn log_of_factor(terms: &mut dyn Terms, found: &Match<'_>, divides: bool) -> Option<Id> {
    log_with_number(terms, found, found.value("x")?, divides)
}

/// The quotient by the sum itself, times what that was divided by, or divided by what it was multiplied with.
fn multiple_of_softmax(terms: &mut dyn Terms, found: &Match<'_>, divides: bool) -> Option<Id> {
    let (x, axes, number) = (found.value("x")?, found.attrs("A")?.ints("axes"), found.number(terms, "#c")?);
    let exp = terms.apply(EXP.op(), &[x])?;
    let sum = terms.apply(ops::reduce(&REDUCE_SUM, axes), &[exp])?;
    let shape = &found.ty.shape;
    let spread = terms.apply(ops::broadcast(&ops::other_axes(axes, shape.rank()), shape), &[sum])?;
    let softmax = terms.apply(DIV.op(), &[exp, spread])?;
    let factor = terms.literal(if divides { number } else { 1.0 / number }, found.ty)?;
    terms.apply(MUL.op(), &[factor, softmax])
}

fn masked_exp(terms: &mut dyn Terms, found: &Match<'_>, keeps_true: bool) -> Option<Id> {
    let (condition, x) = (found.value("p")?, found.value("x")?);
    let out = terms.literal(f64::NEG_INFINITY, found.ty)?;
    let branches = if keeps_true { [x, out] } else { [out, x] };
    let masked = terms.apply(SELECT.op(), &[condition, branches[0], branches[1]])?;
    terms.apply(EXP.op(), &[masked])
}

fn learn_shifted(_: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    let Some(axes) = found.attrs("A") else { return };
    facts.shifted_along = mask(axes.ints("axes"));
    facts.range = facts.range.intersection(Range { low: f64::NEG_INFINITY, high: 0.0, nan: true });
}

/// Whether there is a greatest element along the axes `A` of `z`: none of them is empty.
fn has_greatest(terms: &dyn Terms, found: &Match<'_>) -> bool {
    let (Some(z), Some(axes)) = (found.value("z"), found.attrs("A")) else { return false };
    let shape = &terms.facts(z).ty.shape;
    axes.ints("axes").iter().all(|&axis| shape[axis] > 0)
}

fn learn_at_least_one(terms: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    if !has_greatest(terms, found) {
        return;
    }
    facts.range = facts.range.intersection(Range { low: 1.0, high: f64::INFINITY, nan: true });
}

fn learn_softmax(terms: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    if !has_greatest(terms, found) {
        return;
    }
    facts.range = facts.range.intersection(Range { low: 0.0, high: 1.0, nan: true });
    facts.vanishing = true;
    if let Some(&[axis]) = found.attrs("A").map(|axes| axes.ints("axes")) {
        facts.sums_to_one = Some(axis);
    }
}
