//! Softmax, its logarithm and the gradients of losses on them.

use super::Fact::{NotShifted, Shifted};
use super::Flaw::{Cancels, Breaks};
use super::FpClass::{Accurate, Strict};
use super::{Match, Rule, rule};
use crate::facts::{Facts, Range, mask};
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    // What is known about x minus its maximum.
    rule("shifted",             Strict,   "x - spread[A](amax[A](x))", "greatest is 0",     "no element exceeds the maximum, and one is it").learns(learn_shifted).at(SHIFTED),
    rule("shifted-constant",    Strict,   "x - spread[A](stop_gradient(amax[A](x)))", "greatest is 0", "no element exceeds the maximum, and one is it").learns(learn_shifted).at(SHIFTED),
    rule("sum-of-shifted-exps", Strict,   "sum[A](exp(z))",          "at least 1",         "the exponential of the greatest element is 1").when(&[("z", Shifted("A"))]).learns(learn_at_least_one).at(SHIFTED_Z),
    rule("softmax-range",       Accurate, "exp(z) / spread[A](sum[A](exp(z)))", "0 to 1, sums to one", "no part of a sum of positive numbers exceeds it").when(&[("z", Shifted("A"))]).learns(learn_softmax).at(SHIFTED_Z),

    // Stable forms.
    rule("softmax",             Accurate, "exp(x) / spread[A](sum[A](exp(x)))", "exp(x - spread[A](stop_gradient(amax[A](x)))) / spread[A](sum[A](exp(x - spread[A](stop_gradient(amax[A](x))))))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED),
    rule("log-sum-exp",         Accurate, "log(sum[A](exp(x)))",     "stop_gradient(amax[A](x)) + log(sum[A](exp(x - spread[A](stop_gradient(amax[A](x))))))", "without the maximum taken out, exponentials overflow, or all vanish").when(&[("x", NotShifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED),
    rule("log-softmax",         Accurate, "log(exp(z) / spread[A](sum[A](exp(z))))", "z - spread[A](log(sum[A](exp(z))))", "the logarithm of a quotient that vanishes").when(&[("z", Shifted("A"))]).flawed(Breaks).stabilises().at(SHIFTED_Z),
    rule("shift-first",         Accurate, "x - spread[A](amax[A](x) + y)", "(x - spread[A](amax[A](x))) - spread[A](y)", "a large maximum swallows the digits of y").flawed(Cancels).at(SHIFT_FIRST),
    rule("shift-constant-first",Accurate, "x - spread[A](stop_gradient(amax[A](x)) + y)", "(x - spread[A](stop_gradient(amax[A](x)))) - spread[A](y)", "a large maximum swallows the digits of y").flawed(Cancels).stabilises().at(SHIFT_FIRST),

    // Softmax found again.
    rule("exp-of-log-softmax",  Accurate, "exp(z - spread[A](log(sum[A](exp(z)))))", "exp(z) / spread[A](sum[A](exp(z)))", "without a logarithm whose error the exponential magnifies").when(&[("z", Shifted("A"))]).at(SHIFTED_Z),
];

const SHIFTED: &[&str] = &["x: 5 3; A: 1", "x: 3 4; A: 0", "x: 2 3 2; A: 0 2"];
const SHIFTED_Z: &[&str] = &["z: 5 3 shifted 1; A: 1", "z: 3 4 shifted 0; A: 0"];
const SHIFT_FIRST: &[&str] = &["x: 5 3; y: 5; A: 1", "x: 3 4; y: 4 in 0..3; A: 0"];

fn learn_shifted(_: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    let Some(axes) = found.attrs("A") else { return };
    facts.shifted_along = mask(axes.ints("axes"));
    facts.range = facts.range.intersection(Range { low: f64::NEG_INFINITY, high: 0.0, nan: true });
}

fn learn_at_least_one(_: &dyn Terms, _: &Match<'_>, facts: &mut Facts) {
    facts.range = facts.range.intersection(Range { low: 1.0, high: f64::INFINITY, nan: true });
}

fn learn_softmax(_: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    facts.range = facts.range.intersection(Range { low: 0.0, high: 1.0, nan: true });
    if let Some(&[axis]) = found.attrs("A").map(|axes| axes.ints("axes")) {
        facts.sums_to_one = Some(axis);
    }
}
