//! Powers, roots and quotients.

use super::Fact::{NonNegative, Positive};
use super::FpClass::{Accurate, Fast, Strict};
use super::{Rule, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("power-zero",          Strict,   "pow(x, 0)",               "1",                  "anything to the power of zero is one, NaN included").local(),
    rule("square",              Accurate, "pow(x, 2)",               "x * x",              "the product is rounded once").local(),
    rule("cube",                Accurate, "pow(x, 3)",               "x * x * x",          "two roundings, and what overflows or vanishes in between does so in the end").local(),
    rule("fourth-power",        Fast,     "pow(x, 4)",               "(x * x) * (x * x)",  "products are cheaper than a power; two roundings more").local(),
    rule("half-power",          Accurate, "pow(x, 0.5)",             "sqrt(x)",            "the root is rounded once; at -0 the sign of the zero differs").local(),
    rule("inverse-power",       Accurate, "pow(x, -1)",              "1 / x",              "the quotient is rounded once").local(),
    rule("inverse-square",      Fast,     "pow(x, -2)",              "1 / (x * x)",        "the square may overflow or vanish").local(),
    rule("inverse-root-power",  Accurate, "pow(x, -0.5)",            "rsqrt(x)",           "the root is not rounded in between; at -0 the sign of the infinity would differ").when(&[("x", Positive)]).local().at(&["x: 64 in 0.001..3"]),
    rule("three-halves-power",  Accurate, "pow(x, 1.5)",             "x * sqrt(x)",        "two roundings; at -0 the sign of the zero differs").local(),
    rule("inverse-of-inverse",  Accurate, "1 / (1 / x)",             "x",                  "exact instead of rounded twice").overflows(),
    rule("quotient-of-quotients", Fast,   "(a / b) / (c / d)",       "(a * d) / (b * c)",  "one quotient instead of three; the products may overflow or vanish"),
    rule("factor-over-itself",  Fast,     "(x * y) / x",             "y",                  "x is taken to be finite and not zero"),
    rule("times-quotient-by-itself", Fast, "x * (y / x)",            "y",                  "x is taken to be finite and not zero"),
    rule("inverse-root",        Accurate, "1 / sqrt(x)",             "rsqrt(x)",           "the reciprocal root is not rounded in between"),
    rule("over-root",           Fast,     "x / sqrt(y)",             "x * rsqrt(y)",       "one rounding more"),
    rule("square-of-root",      Accurate, "sqrt(x) * sqrt(x)",       "x",                  "exact instead of rounded twice").when(&[("x", NonNegative)]).at(&["x: 64 in 0..3"]),
    rule("root-of-square",      Accurate, "sqrt(x * x)",             "abs(x)",             "exact instead of rounded twice, and without a square that could overflow or vanish").overflows().stabilises(),
];
