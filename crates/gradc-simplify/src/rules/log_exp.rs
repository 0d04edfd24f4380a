//! Logarithms and exponentials.

use egg::Id;
use gradc_ir::Op;
use gradc_ir::op::{
    add::ADD, exp::EXP, ge::GE, gt::GT, log::LOG, log1p::LOG1P, neg::NEG, select::SELECT, sub::SUB,
};

use super::Fact::{NonNegative, Positive, Unbounded};
use super::Flaw::{Breaks, Cancels, Kinks};
use super::FpClass::{Accurate, Fast};
use super::opposite::{Signed, signed};
use super::{InSums, Match, Rule, rule};
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("log1p",               Accurate, "log(1 + x)",              "log1p(x)",           "the sum loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("expm1",               Accurate, "exp(x) - 1",              "expm1(x)",           "the difference loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("exp-of-expm1",        Accurate, "expm1(x) + 1",            "exp(x)",             "the sum loses the digits of a small result").flawed(Cancels),
    rule("log-of-exp",          Accurate, "log(exp(x))",             "x",                  "exact, and without an exponential that could overflow").flawed(Breaks).stabilises(),
    rule("exp-of-log",          Accurate, "exp(log(x))",             "x",                  "exact instead of rounded twice").when(&[("x", NonNegative)]).at(&["x: 64 in 0..3"]),
    rule("one-minus-exp",       Accurate, "1 - exp(x)",              "-expm1(x)",          "the difference loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("exp-of-any-log",      Accurate, "exp(log(x))",             "select(x >= 0, x, NaN)", "exact instead of rounded twice").built(exp_of_log),
    rule("inverse-exp",         Accurate, "1 / exp(x)",              "exp(-x)",            "one rounding, and no quotient that overflows early").overflows().stabilises(),
    rule("log-of-root",         Accurate, "log(sqrt(x))",            "0.5 * log(x)",       "halving is exact; the root is not rounded in between"),
    rule("product-of-exps",     Fast,     "exp(x) * exp(y)",         "exp(x + y)",         "the rounding of the sum is magnified"),
    rule("over-exp",            Fast,     "x / exp(y)",              "x * exp(-y)",        "the one overflows where the other vanishes"),

    // Written by parts, a softplus has the right derivative also where its parts meet. See `softplus` below.
    rule("softplus",            Accurate, "log(1 + exp(x))",         SOFTPLUS,             "the exponential of a large x overflows").when(&[("x", Unbounded)]).built(softplus).flawed(Breaks).stabilises(),
    rule("softplus-of-log1p",   Accurate, "log1p(exp(x))",           SOFTPLUS,             "the exponential of a large x overflows").when(&[("x", Unbounded)]).built(softplus).flawed(Breaks).stabilises(),
    rule("softplus-of-maximum", Accurate, "max(x, 0) + log1p(exp(-abs(x)))", SOFTPLUS,     "its derivative is a sum of halves at the kinks of the maximum and the magnitude, where the softplus has none").built(softplus).flawed(Kinks).in_sums(InSums::Exact).before(),
    rule("softplus-of-maximum-negated", Accurate, "max(-x, 0) + log1p(exp(-abs(x)))", "select(x > 0, 0, -x) + log1p(exp(select(x > 0, -x, x)))",     "its derivative is a sum of halves at the kinks of the maximum and the magnitude, where the softplus has none").built(softplus_of_negation).flawed(Kinks).in_sums(InSums::Exact).before(),
    rule("log-add-exp",         Accurate, "log(exp(x) + exp(y))",    "select(x > y, x, y) + log1p(exp(select(x > y, y - x, x - y)))", "the exponentials overflow, or both vanish").flawed(Breaks).stabilises(),
    rule("log-add-three-exps",  Accurate, "log(exp(x) + exp(y) + exp(z))", "log(exp(log(exp(x) + exp(y))) + exp(z))", "two at a time, of which the exponentials do not overflow").flawed(Breaks).stabilises(),
    rule("log-of-multiple-of-exps", Accurate, "log(#c * (exp(x) + exp(y)))", "log(#c) + log(exp(x) + exp(y))", "the exponentials overflow, or both vanish").when(&[("#c", Positive)]).built(|t, m| log_of_sum_of_exps(t, m, false)).flawed(Breaks).stabilises().at(&["#c: 0.5; x: 96 in 1..95; y: 96 in 1..95"]),
    rule("log-of-share-of-exps", Accurate, "log((exp(x) + exp(y)) / #c)", "log(exp(x) + exp(y)) - log(#c)", "the exponentials overflow, or both vanish").when(&[("#c", Positive)]).built(|t, m| log_of_sum_of_exps(t, m, true)).flawed(Breaks).stabilises().at(&["#c: 3; x: 96 in 3..95; y: 96 in 3..95"]),
    rule("softplus-of-number",  Accurate, "log(#c + exp(x))",        "log(#c) + softplus(x - log(#c))", "the exponential of a large x overflows").when(&[("#c", Positive)]).built(softplus_of_number).flawed(Breaks).stabilises().at(&["#c: 2; x: 96 in -20..95", "#c: 0.3; x: 96 in 1..95"]),
    rule("softplus-of-multiple", Accurate, "log(1 + #c * exp(x))",   "log(1 + exp(x + log(#c)))", "the exponential of a large x overflows").when(&[("#c", Positive)]).built(|t, m| softplus_of_multiple(t, m, LOG.op())).flawed(Breaks).stabilises().at(&["#c: 2; x: 96 in -20..60", "#c: 0.3; x: 96 in -20..60"]),
    rule("softplus-of-multiple-log1p", Accurate, "log1p(#c * exp(x))", "log1p(exp(x + log(#c)))", "the exponential of a large x overflows").when(&[("#c", Positive)]).built(|t, m| softplus_of_multiple(t, m, LOG1P.op())).flawed(Breaks).stabilises().at(&["#c: 2; x: 96 in -20..60", "#c: 0.3; x: 96 in -20..60"]),
    rule("log-of-sigmoid",      Accurate, "log(sigmoid(x))",         "select(x > 0, 0, x) - log1p(exp(select(x > 0, -x, x)))", "the sigmoid of a small x vanishes, that of a large x has no digits left below one").built(log_sigmoid).flawed(Breaks).stabilises(),
    rule("log-sigmoid-of-minimum", Accurate, "min(x, 0) - log1p(exp(-abs(x)))", "select(x > 0, 0, x) - log1p(exp(select(x > 0, -x, x)))", "its derivative is a sum of halves at the kinks of the minimum and the magnitude, where the logarithm has none").built(log_sigmoid).flawed(Kinks).in_sums(InSums::Exact).before(),
];

/// A number that is not negative, and NaN for one that is.
fn exp_of_log(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let x = found.value("x")?;
    let (zero, undefined) = (terms.literal(0.0, found.ty)?, terms.literal(f64::NAN, found.ty)?);
    let is_defined = terms.apply(GE.op(), &[x, zero])?;
    terms.apply(SELECT.op(), &[is_defined, x, undefined])
}

const SOFTPLUS: &str = "select(x > 0, x, 0) + log1p(exp(select(x > 0, -x, x)))";

/// The parts of a softplus or of the logarithm of a sigmoid: `x` or what it is the negative of where that is of this sign and
/// 0 elsewhere, and `log1p(exp(-|x|))`. Those of `x` and of `-x` are written in terms of the same value, so that their
/// derivatives have the same conditions.
fn parts(terms: &mut dyn Terms, x: Id, keeps_positive: bool) -> Option<(Id, Id)> {
    let ty = terms.facts(x).ty.clone();
    let Signed { value, negative } = signed(terms, x)?;
    let zero = terms.literal(0.0, &ty)?;
    let is_positive = terms.apply(GT.op(), &[value, zero])?;
    let opposite = terms.apply(NEG.op(), &[value])?;
    let own = if negative { opposite } else { value };
    let branches = if negative == keeps_positive { [zero, own] } else { [own, zero] };
    let part = terms.apply(SELECT.op(), &[is_positive, branches[0], branches[1]])?;
    let magnitude = terms.apply(SELECT.op(), &[is_positive, opposite, value])?;
    let small = terms.apply(EXP.op(), &[magnitude])?;
    Some((part, terms.apply(LOG1P.op(), &[small])?))
}

/// `log(1 + exp(x))`
fn softplus(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (part, small) = parts(terms, found.value("x")?, true)?;
    terms.apply(ADD.op(), &[part, small])
}

/// `log(1 + exp(-x))`
fn softplus_of_negation(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let opposite = terms.apply(NEG.op(), &[found.value("x")?])?;
    let (part, small) = parts(terms, opposite, true)?;
    terms.apply(ADD.op(), &[part, small])
}

/// The logarithm of a value that is multiplied with the number `#c`, or divided by it: its own, and that of the number.
pub(super) fn log_with_number(terms: &mut dyn Terms, found: &Match<'_>, of: Id, divides: bool) -> Option<Id> {
    let log = terms.apply(LOG.op(), &[of])?;
    let number = found.number(terms, "#c")?.ln();
    let number = terms.literal(if divides { -number } else { number }, found.ty)?;
    terms.apply(ADD.op(), &[log, number])
}

/// The logarithm of `exp(x) + exp(y)`, which is multiplied or divided with a number.
fn log_of_sum_of_exps(terms: &mut dyn Terms, found: &Match<'_>, divides: bool) -> Option<Id> {
    let (x, y) = (found.value("x")?, found.value("y")?);
    let (x, y) = (terms.apply(EXP.op(), &[x])?, terms.apply(EXP.op(), &[y])?);
    let sum = terms.apply(ADD.op(), &[x, y])?;
    log_with_number(terms, found, sum, divides)
}

/// The softplus of `x - log(c)`, and the logarithm of the number; that of 1 is another rule's.
fn softplus_of_number(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let number = found.number(terms, "#c").filter(|&number| number != 1.0)?.ln();
    let shift = terms.literal(-number, found.ty)?;
    let shifted = terms.apply(ADD.op(), &[found.value("x")?, shift])?;
    let (part, small) = parts(terms, shifted, true)?;
    let softplus = terms.apply(ADD.op(), &[part, small])?;
    let number = terms.literal(number, found.ty)?;
    terms.apply(ADD.op(), &[softplus, number])
}

/// The factor of an exponential is a term of its exponent.
fn softplus_of_multiple(terms: &mut dyn Terms, found: &Match<'_>, log: Op) -> Option<Id> {
    let number = terms.literal(found.number(terms, "#c")?.ln(), found.ty)?;
    let exponent = terms.apply(ADD.op(), &[found.value("x")?, number])?;
    let mut exp = terms.apply(EXP.op(), &[exponent])?;
    if log.is(&LOG) {
        let one = terms.literal(1.0, found.ty)?;
        exp = terms.apply(ADD.op(), &[one, exp])?;
    }
    terms.apply(log, &[exp])
}

/// `log(sigmoid(x))`
fn log_sigmoid(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (part, small) = parts(terms, found.value("x")?, false)?;
    terms.apply(SUB.op(), &[part, small])
}
