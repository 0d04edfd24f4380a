//! Sigmoid, hyperbolic tangent, and what is made of them.

use super::Fact::Truth;
use super::Flaw::{Cancels, Overflows};
use super::FpClass::{Accurate, Fast};
use super::{Rule, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // The derivative of s = sigmoid(x) is s * (1 - s). In f32, 1 - s is exactly 0 from x = 17.4 on, where the derivative is
    // 3e-8. s * sigmoid(-x) has all its digits everywhere; it costs one exponential, and the reader still sees s.
    rule("sigmoid-complement",  Accurate, "1 - sigmoid(x)",          "sigmoid(-x)",        "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("sigmoid-of-negation", Fast,     "sigmoid(-x)",             "1 - sigmoid(x)",     "cheaper where the sigmoid is there; no digits are left where it saturates"),
    rule("sigmoid",             Accurate, "1 / (1 + exp(-x))",       "sigmoid(x)",         "the exponential overflows below -88 and the quotient vanishes too early").flawed(Overflows).stabilises(),
    rule("sigmoid-negated",     Accurate, "1 / (1 + exp(x))",        "sigmoid(-x)",        "the exponential overflows above 88 and the quotient vanishes too early").flawed(Overflows).stabilises(),
    rule("sigmoid-of-quotient", Accurate, "exp(x) / (1 + exp(x))",   "sigmoid(x)",         "the exponential overflows above 88, and then the quotient is NaN").flawed(Overflows).stabilises(),
    rule("exp-times-sigmoid",   Accurate, "exp(-x) * sigmoid(x)",    "sigmoid(-x)",        "the exponential overflows where the sigmoid vanishes").flawed(Overflows),
    rule("exp-times-sigmoid-negated", Accurate, "exp(x) * sigmoid(-x)", "sigmoid(x)",      "the exponential overflows where the sigmoid vanishes").flawed(Overflows),

    // The derivative of t = tanh(x) is 1 - t * t, that is (1 + |t|) * (1 - |t|), and 1 - |t| is 2 * sigmoid(-2 * |x|).
    rule("tanh-slope",          Accurate, "1 - tanh(x) * tanh(x)",   "(1 + abs(tanh(x))) * (2 * sigmoid(-2 * abs(x)))", "the difference loses the digits of a small result").flawed(Cancels).stabilises(),
    rule("tanh",                Accurate, "(exp(x) - exp(-x)) / (exp(x) + exp(-x))", "tanh(x)", "the exponentials overflow, and cancel near zero").flawed(Overflows).stabilises(),
    rule("tanh-of-sigmoid",     Accurate, "2 * sigmoid(2 * x) - 1",  "tanh(x)",            "the difference loses the digits of a small x").flawed(Cancels).stabilises(),

    rule("times-truth",         Accurate, "cast[D](p) * x",          "select(p, x, 0)",    "finite x times 1 or 0; only the sign of a zero differs").when(&[("p", Truth)]).local().at(&["p: bool 64; D: float"]),
    rule("times-mask",          Accurate, "x * select(p, 1, 0)",     "select(p, x, 0)",    "finite x times 1 or 0; only the sign of a zero differs").local(),
    rule("signed",              Accurate, "select(x > 0, g, select(x < 0, -g, 0))", "g * sign(x)", "finite g times 1, -1 or 0"),
    rule("softplus-slope",      Accurate, "select(x > 0, g, select(x == 0, 0.5 * g, 0)) - sigmoid(-abs(x)) * g * sign(x)", "g * sigmoid(x)", "sigmoid(x) is 1 - sigmoid(-x) above zero, and sigmoid(-|x|) below").flawed(Cancels),
];
