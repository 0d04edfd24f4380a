//! Sigmoid, hyperbolic tangent, and what is made of them.

use egg::Id;
use gradc_ir::op::{abs::ABS, neg::NEG, sigmoid::SIGMOID};

use super::Fact::{Finite, Float, NotPositive, PerhapsPositive, Truth};
use super::Flaw::{Cancels, Breaks};
use super::FpClass::{Accurate, Fast, Strict};
use super::opposite::are_opposite;
use super::{InSums, Match, Rule, rule};
use crate::facts::{Facts, Range};
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // The derivative of s = sigmoid(x) is s * (1 - s). In f32, 1 - s is exactly 0 from x = 17.4 on, where the derivative is
    // 3e-8. s * sigmoid(-x) has all its digits everywhere, and the reader still sees s. The scheduler computes both sigmoids
    // with one exponential.
    rule("sigmoid-complement",  Accurate, "1 - sigmoid(x)",          "sigmoid(-x)",        "the difference loses the digits of a small result").when(&[("x", PerhapsPositive)]).flawed(Cancels).stabilises().in_sums(InSums::Fast),
    rule("sigmoid-complement-of-tail", Accurate, "1 - sigmoid(x)",   "sigmoid(-x)",        "for two terms of a longer sum; either has all its digits").when(&[("x", NotPositive)]).built(complement_in_sum).in_sums(InSums::Derivative).at(&["x: 96 in -100..0"]),
    rule("sigmoid-of-negation", Fast,     "sigmoid(-x)",             "1 - sigmoid(x)",     "cheaper where the sigmoid is there; no digits are left where it saturates"),
    rule("sigmoid",             Accurate, "1 / (1 + exp(-x))",       "sigmoid(x)",         "the exponential overflows below -88 and the quotient vanishes too early").flawed(Breaks).stabilises(),
    rule("sigmoid-negated",     Accurate, "1 / (1 + exp(x))",        "sigmoid(-x)",        "the exponential overflows above 88 and the quotient vanishes too early").flawed(Breaks).stabilises(),
    rule("sigmoid-of-power",    Accurate, "pow(1 + exp(-x), -1)",    "sigmoid(x)",         "the exponential overflows below -88 and the power vanishes too early").flawed(Breaks).stabilises(),
    rule("sigmoid-of-power-negated", Accurate, "pow(1 + exp(x), -1)", "sigmoid(-x)",       "the exponential overflows above 88 and the power vanishes too early").flawed(Breaks).stabilises(),
    rule("sigmoid-of-share",    Accurate, "exp(x) / (exp(x) + exp(y))", "sigmoid(x - y)",  "the exponentials overflow, or both vanish").flawed(Breaks).stabilises(),
    rule("sigmoid-of-quotient", Accurate, "exp(x) / (1 + exp(x))",   "sigmoid(x)",         "the exponential overflows above 88, and then the quotient is NaN").flawed(Breaks).stabilises(),
    rule("exp-times-sigmoid",   Accurate, "exp(-x) * sigmoid(x)",    "sigmoid(-x)",        "the exponential overflows where the sigmoid vanishes").flawed(Breaks).stabilises(),
    rule("exp-times-sigmoid-negated", Accurate, "exp(x) * sigmoid(-x)", "sigmoid(x)",      "the exponential overflows where the sigmoid vanishes").flawed(Breaks).stabilises(),

    // The derivative of t = tanh(x) is 1 - t * t. With m = sigmoid(-2 * |x|), 1 - |t| is 2 * m and 1 + |t| is 2 * (1 - m). The
    // scheduler computes t and m with one exponential.
    rule("tanh-slope",          Accurate, "1 - tanh(x) * tanh(x)",   "4 * (sigmoid(-2 * abs(x)) * (1 - sigmoid(-2 * abs(x))))", "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("tanh",                Accurate, "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "tanh(x)", "the exponentials overflow, and cancel near zero").flawed(Breaks).stabilises(),
    rule("tanh-of-sigmoid",     Accurate, "2 * sigmoid(x) - 1",      "tanh(0.5 * x)",      "the difference loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("tanh-of-sigmoid-opposite", Accurate, "1 - 2 * sigmoid(x)", "tanh(-0.5 * x)",     "the difference loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("tanh-of-quotient",    Accurate, "(exp(x) - 1) / (1 + exp(x))", "tanh(0.5 * x)",  "the exponentials overflow, and cancel near zero").flawed(Breaks).stabilises(),
    rule("tanh-of-quotient-opposite", Accurate, "(1 - exp(x)) / (1 + exp(x))", "tanh(-0.5 * x)", "the exponentials overflow, and cancel near zero").flawed(Breaks).stabilises(),
    rule("tanh-less-pole",      Accurate, "1 + tanh(x)",             "2 * sigmoid(2 * x)", "the sum loses the digits of a small result").flawed(Cancels).stabilises().in_sums(InSums::Fast),
    rule("tanh-from-pole",      Accurate, "1 - tanh(x)",             "2 * sigmoid(-2 * x)", "the difference loses the digits of a small result").flawed(Cancels).stabilises().in_sums(InSums::Fast),
    rule("erf-less-pole",       Accurate, "1 + erf(x)",              "erfc(-x)",           "the sum loses the digits of a small result").flawed(Cancels).stabilises().in_sums(InSums::Fast),
    rule("erf-from-pole",       Accurate, "1 - erf(x)",              "erfc(x)",            "the difference loses the digits of a small result").flawed(Cancels).stabilises().in_sums(InSums::Fast),
    rule("erfc-from-pole",      Accurate, "1 - erfc(x)",             "erf(x)",             "the difference loses the digits of a small result").flawed(Cancels).stabilises().in_sums(InSums::Fast),
    rule("pole-from-tanh",      Accurate, "tanh(x) - 1",             "-2 * sigmoid(-2 * x)", "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("pole-from-erf",       Accurate, "erf(x) - 1",              "-erfc(x)",           "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("pole-from-erfc",      Accurate, "2 - erfc(x)",             "erfc(-x)",           "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("erf-from-erfc",       Accurate, "erfc(x) - 1",             "-erf(x)",            "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("part-of-tanh-less-pole", Accurate, "#c + #c * tanh(x)",    "#c * (2 * sigmoid(2 * x))", "the sum loses the digits of a small result").flawed(Cancels).stabilises().at(&["#c: 0.5; x: 96 in -20..20"]),
    rule("part-of-erf-less-pole", Accurate, "#c + #c * erf(x)",      "#c * erfc(-x)",      "the sum loses the digits of a small result").flawed(Cancels).stabilises().at(&["#c: 0.5; x: 96 in -6..6"]),
    rule("odds",                Fast,     "sigmoid(x) / sigmoid(-x)", "exp(x)",            "the quotient of two rounded numbers, which both may vanish"),
    rule("odds-by-complement",  Fast,     "sigmoid(x) / (1 - sigmoid(x))", "exp(x)",       "the complement has no digits left where the sigmoid saturates"),

    rule("times-truth",         Accurate, "cast[D](p) * x",          "select(p, x, 0)",    "finite x times 1 or 0; only the sign of a zero differs").when(&[("p", Truth)]).local().at(&["p: bool 64; D: float"]),
    rule("one-less-truth",      Strict,   "1 - cast[D](p)",          "select(p, 0, 1)",    "one less one, or less nothing").when(&[("p", Truth)]).local().at(&["p: bool 64; D: float"]),
    rule("times-opposite-mask", Accurate, "x * select(p, 0, 1)",     "select(p, 0, x)",    "finite x times 1 or 0; only the sign of a zero differs").local(),
    rule("times-mask",          Accurate, "x * select(p, 1, 0)",     "select(p, x, 0)",    "finite x times 1 or 0; only the sign of a zero differs").local(),
    // The choice that a magnitude makes at its kink gives back nothing there, even of an infinite slope: not so a product.
    rule("signed",              Accurate, "select(x > 0, g, select(x < 0, -g, 0))", "g * sign(x)", "g times 1, -1 or 0").when(&[("g", Finite)]).at(SIGNED),
    rule("signed-opposite",     Accurate, "select(x > 0, -g, select(x < 0, g, 0))", "-(g * sign(x))", "g times 1, -1 or 0").when(&[("g", Finite)]).at(SIGNED),
    rule("signed-slope",        Fast,     "select(x > 0, g, select(x < 0, -g, 0))", "g * sign(x)", "g times 1, -1 or 0, if g is finite"),
    rule("signed-slope-opposite", Fast,   "select(x > 0, -g, select(x < 0, g, 0))", "-(g * sign(x))", "g times 1, -1 or 0, if g is finite"),

    // A quotient by a logistic denominator is a product with a sigmoid.
    rule("over-logistic",       Accurate, "y / (1 + exp(-x))",       "y * sigmoid(x)",     "the exponential overflows below -88 and the quotient vanishes too early").flawed(Breaks).stabilises(),
    rule("over-logistic-negated", Accurate, "y / (1 + exp(x))",      "y * sigmoid(-x)",    "the exponential overflows above 88 and the quotient vanishes too early").flawed(Breaks).stabilises(),

    // A softplus that is written by parts has a derivative by parts.
    rule("sigmoid-by-parts",    Strict,   "select(x > 0, sigmoid(abs(x)), sigmoid(-abs(x)))", "sigmoid(x)", "each part is the sigmoid of x; both are a half at zero").when(&[("x", Float)]),
    rule("sigmoid-by-parts-negated", Strict, "select(x > 0, sigmoid(-abs(x)), sigmoid(abs(x)))", "sigmoid(-x)", "each part is the sigmoid of -x; both are a half at zero").when(&[("x", Float)]),
    rule("sigmoid-by-complement", Accurate, "select(x > 0, 1 - sigmoid(-abs(x)), sigmoid(-abs(x)))", "sigmoid(x)", "each part is the sigmoid of x, which has one rounding fewer").when(&[("x", Float)]),
    rule("sigmoid-by-complement-negated", Accurate, "select(x > 0, sigmoid(-abs(x)), 1 - sigmoid(-abs(x)))", "sigmoid(-x)", "each part is the sigmoid of -x, which has one rounding fewer").when(&[("x", Float)]),
    rule("negative-magnitude-range", Strict, "select(x > 0, y, x)",  "not positive",       "for y, which is -x: the one of them that is not above zero").learns(learn_not_positive).at(OPPOSITES),
    rule("negative-magnitude",  Accurate, "select(x > 0, y, x)",     "-abs(x)",            "for y, which is -x: only the sign of a zero differs").built(negative_magnitude).at(OPPOSITES),
    rule("positive-part",       Accurate, "select(x > 0, x, 0)",     "max(x, 0)",          "the same but for NaN, which stays NaN"),
];

/// By itself, the complement is cheap; within a sum, it is in the way of what that is.
fn complement_in_sum(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    if found.root.is_some() {
        return None;
    }
    let opposite = terms.apply(NEG.op(), &[found.value("x")?])?;
    terms.apply(SIGMOID.op(), &[opposite])
}

const SIGNED: &[&str] = &["g: 96 in -2..2"];
const OPPOSITES: &[&str] = &["select(x > 0, -x, x) @", "select(2 * x > 0, -2 * x, 2 * x) @", "select(x - z > 0, z - x, x - z) @"];

fn is_negative(terms: &dyn Terms, found: &Match<'_>) -> bool {
    found.value("x").zip(found.value("y")).is_some_and(|(x, y)| are_opposite(terms, x, y))
}

fn learn_not_positive(terms: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    if is_negative(terms, found) {
        facts.range = facts.range.intersection(Range { low: f64::NEG_INFINITY, high: 0.0, nan: true });
    }
}

fn negative_magnitude(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let magnitude = if is_negative(terms, found) { terms.apply(ABS.op(), &[found.value("x")?]) } else { None }?;
    terms.apply(NEG.op(), &[magnitude])
}
