//! Selection.

use super::FpClass::{Accurate, Strict};
use super::{Rule, rule};

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("select-same",         Strict,   "select(c, a, a)",         "a",                  "both branches are the same").local(),
    rule("select-true",         Strict,   "select(1, a, b)",         "a",                  "the condition holds everywhere").local(),
    rule("select-false",        Strict,   "select(0, a, b)",         "b",                  "the condition holds nowhere").local(),
    rule("select-not",          Strict,   "select(not(c), a, b)",    "select(c, b, a)",    "the branches change places").local(),
    rule("select-then-select",  Strict,   "select(c, select(c, a, b), d)", "select(c, a, d)", "where c holds, it holds").local(),
    rule("select-else-select",  Strict,   "select(c, a, select(c, b, d))", "select(c, a, d)", "where c does not hold, it does not").local(),
    rule("selected-factor",     Accurate, "select(c, a, 0) * b",     "select(c, a * b, 0)", "finite b times zero is zero; only its sign differs"),
    rule("excluded-factor",     Accurate, "select(c, 0, a) * b",     "select(c, 0, a * b)", "finite b times zero is zero; only its sign differs"),
    rule("sum-of-selected",     Strict,   "select(c, a, b) + select(c, d, e)", "select(c, a + d, b + e)", "the sum of the branch that is taken"),
    rule("zero-for-zero",       Accurate, "select(x == 0, 0, x)",    "x",                  "only the sign of a zero differs").local(),
    rule("multiple-for-zero",   Accurate, "select(x == 0, 0, #c * x)", "#c * x",           "a number times zero is zero; only its sign differs").at(&["#c: 0.1", "#c: -3"]),
    rule("negated-selection",   Accurate, "-select(c, a, 0)",        "select(c, -a, 0)",   "only the sign of a zero differs"),
];
