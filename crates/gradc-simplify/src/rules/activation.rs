//! Sigmoid, hyperbolic tangent, and what is made of them.

use egg::Id;
use gradc_ir::op::{mul::MUL, neg::NEG, sigmoid::SIGMOID};

use super::Fact::Truth;
use super::Flaw::{Cancels, Breaks};
use super::FpClass::{Accurate, Fast};
use super::{Match, Rule, rule};
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // The derivative of s = sigmoid(x) is s * (1 - s). In f32, 1 - s is exactly 0 from x = 17.4 on, where the derivative is
    // 3e-8. s * sigmoid(-x) has all its digits everywhere; it costs one exponential, and the reader still sees s.
    rule("sigmoid-complement",  Accurate, "1 - sigmoid(x)",          "sigmoid(-x)",        "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("sigmoid-of-negation", Fast,     "sigmoid(-x)",             "1 - sigmoid(x)",     "cheaper where the sigmoid is there; no digits are left where it saturates"),
    rule("sigmoid",             Accurate, "1 / (1 + exp(-x))",       "sigmoid(x)",         "the exponential overflows below -88 and the quotient vanishes too early").flawed(Breaks).stabilises(),
    rule("sigmoid-negated",     Accurate, "1 / (1 + exp(x))",        "sigmoid(-x)",        "the exponential overflows above 88 and the quotient vanishes too early").flawed(Breaks).stabilises(),
    rule("sigmoid-of-quotient", Accurate, "exp(x) / (1 + exp(x))",   "sigmoid(x)",         "the exponential overflows above 88, and then the quotient is NaN").flawed(Breaks).stabilises(),
    rule("exp-times-sigmoid",   Accurate, "exp(-x) * sigmoid(x)",    "sigmoid(-x)",        "the exponential overflows where the sigmoid vanishes").flawed(Breaks),
    rule("exp-times-sigmoid-negated", Accurate, "exp(x) * sigmoid(-x)", "sigmoid(x)",      "the exponential overflows where the sigmoid vanishes").flawed(Breaks),

    // The derivative of t = tanh(x) is 1 - t * t, that is (1 + |t|) * (1 - |t|), and 1 - |t| is 2 * sigmoid(-2 * |x|).
    rule("tanh-slope",          Accurate, "1 - tanh(x) * tanh(x)",   "(1 + abs(tanh(x))) * (2 * sigmoid(-2 * abs(x)))", "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("tanh",                Accurate, "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "tanh(x)", "the exponentials overflow, and cancel near zero").flawed(Breaks).stabilises(),
    rule("tanh-of-sigmoid",     Accurate, "2 * sigmoid(2 * x) - 1",  "tanh(x)",            "the difference loses the digits of a small x").flawed(Cancels).stabilises(),

    rule("times-truth",         Accurate, "cast[D](p) * x",          "select(p, x, 0)",    "finite x times 1 or 0; only the sign of a zero differs").when(&[("p", Truth)]).local().at(&["p: bool 64; D: float"]),
    rule("times-mask",          Accurate, "x * select(p, 1, 0)",     "select(p, x, 0)",    "finite x times 1 or 0; only the sign of a zero differs").local(),
    rule("signed",              Accurate, "select(x > 0, g, select(x < 0, -g, 0))", "g * sign(x)", "finite g times 1, -1 or 0"),
    rule("signed-opposite",     Accurate, "select(x > 0, -g, select(x < 0, g, 0))", "-(g * sign(x))", "finite g times 1, -1 or 0"),
    // Above zero, sigmoid(x) is 1 - sigmoid(-x); below, it is sigmoid(-|x|); at zero, both are a half.
    rule("softplus-slope",      Accurate, "select(x > 0, g, select(x == 0, h, 0)) - g * sigmoid(-abs(x)) * sign(x)", "g * sigmoid(x)", "for h = g / 2; all digits instead of a difference").built(|t, m| step_slope(t, m, false)).flawed(Cancels).in_sums().at(&[HALVES_POSITIVE]),
    rule("log-sigmoid-slope",   Accurate, "select(x < 0, g, select(x == 0, h, 0)) + g * sigmoid(-abs(x)) * sign(x)", "g * sigmoid(-x)", "for h = g / 2; all digits instead of a difference").built(|t, m| step_slope(t, m, true)).flawed(Cancels).in_sums().at(&[HALVES_NEGATIVE]),
];

const HALVES_POSITIVE: &str = "select(x > 0, g, select(x == 0, 0.5 * g, 0)) - g * sigmoid(-abs(x)) * sign(x) @ g: 96 in -2..2";
const HALVES_NEGATIVE: &str = "select(x < 0, g, select(x == 0, 0.5 * g, 0)) + g * sigmoid(-abs(x)) * sign(x) @ g: 96 in -2..2";

/// `g * sigmoid(x)`, or of `-x`, where `h` is half of `g`.
fn step_slope(terms: &mut dyn Terms, found: &Match<'_>, negated: bool) -> Option<Id> {
    let (x, g, h) = (found.value("x")?, found.value("g")?, found.value("h")?);
    let is_half = match (terms.facts(g).constant, terms.facts(h).constant) {
        (Some(whole), Some(half)) => 2.0 * half == whole,
        _ => {
            let half = terms.literal(0.5, found.ty)?;
            let half = terms.apply(MUL.op(), &[half, g])?;
            terms.find(half) == terms.find(h)
        }
    };
    let argument = if negated { terms.apply(NEG.op(), &[x])? } else { x };
    let slope = if is_half { terms.apply(SIGMOID.op(), &[argument]) } else { None }?;
    terms.apply(MUL.op(), &[g, slope])
}
