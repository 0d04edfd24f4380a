//! Logarithms and exponentials.

use super::Fact::{NonNegative, Unbounded};
use super::Flaw::{Cancels, Breaks};
use super::FpClass::{Accurate, Fast};
use super::{Rule, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("log1p",               Accurate, "log(1 + x)",              "log1p(x)",           "the sum loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("expm1",               Accurate, "exp(x) - 1",              "expm1(x)",           "the difference loses the digits of a small x").flawed(Cancels).stabilises(),
    rule("exp-of-expm1",        Accurate, "expm1(x) + 1",            "exp(x)",             "the sum loses the digits of a small result").flawed(Cancels),
    rule("log-of-exp",          Accurate, "log(exp(x))",             "x",                  "exact, and without an exponential that could overflow").flawed(Breaks).stabilises(),
    rule("exp-of-log",          Accurate, "exp(log(x))",             "x",                  "exact instead of rounded twice").when(&[("x", NonNegative)]).at(&["x: 64 in 0..3"]),
    rule("inverse-exp",         Accurate, "1 / exp(x)",              "exp(-x)",            "one rounding, and no quotient that overflows early"),
    rule("log-of-root",         Accurate, "log(sqrt(x))",            "0.5 * log(x)",       "halving is exact; the root is not rounded in between").when(&[("x", NonNegative)]).at(&["x: 64 in 0..3"]),
    rule("product-of-exps",     Fast,     "exp(x) * exp(y)",         "exp(x + y)",         "the rounding of the sum is magnified"),
    rule("over-exp",            Fast,     "x / exp(y)",              "x * exp(-y)",        "the one overflows where the other vanishes"),
    rule("softplus",            Accurate, "log(1 + exp(x))",         "max(x, 0) + log1p(exp(-abs(x)))", "the exponential of a large x overflows").when(&[("x", Unbounded)]).flawed(Breaks).stabilises(),
    rule("softplus-of-log1p",   Accurate, "log1p(exp(x))",           "max(x, 0) + log1p(exp(-abs(x)))", "the exponential of a large x overflows").when(&[("x", Unbounded)]).flawed(Breaks).stabilises(),
    rule("log-of-sigmoid",      Accurate, "log(sigmoid(x))",         "min(x, 0) - log1p(exp(-abs(x)))", "the sigmoid of a small x vanishes, that of a large x has no digits left below one").flawed(Breaks).stabilises(),
];
