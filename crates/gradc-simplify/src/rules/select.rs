//! Selection.

use egg::Id;
use gradc_ir::op::select::SELECT;
use gradc_ir::{Class, Op};
use smallvec::SmallVec;

use super::Fact::{Finite, NonNegative};
use super::FpClass::{Accurate, Strict};
use super::{InSums, Match, Rule, rule};
use crate::facts::Range;
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("select-same",         Strict,   "select(c, a, a)",         "a",                  "both branches are the same").local(),
    rule("select-true",         Strict,   "select(1, a, b)",         "a",                  "the condition holds everywhere").local(),
    rule("select-false",        Strict,   "select(0, a, b)",         "b",                  "the condition holds nowhere").local(),
    rule("select-not",          Strict,   "select(not(c), a, b)",    "select(c, b, a)",    "the branches change places").local(),
    rule("select-then-select",  Strict,   "select(c, select(c, a, b), d)", "select(c, a, d)", "where c holds, it holds").local(),
    rule("select-else-select",  Strict,   "select(c, a, select(c, b, d))", "select(c, a, d)", "where c does not hold, it does not").local(),
    rule("selected-factor",     Accurate, "select(c, a, 0) * b",     "select(c, a * b, 0)", "b times zero is zero; only its sign differs").when(&[("b", Finite)]).at(&["b: 96 in -2..2"]),
    rule("excluded-factor",     Accurate, "select(c, 0, a) * b",     "select(c, 0, a * b)", "b times zero is zero; only its sign differs").when(&[("b", Finite)]).at(&["b: 96 in -2..2"]),
    // What was not taken has no effect, even where it is infinite: the selection is made once, outside.
    rule("selected-then-factor", Strict,  "select(c, select(c, a, d) * b, e)", "select(c, a * b, e)", "where c holds, it holds"),
    rule("selected-then-dividend", Strict, "select(c, select(c, a, d) / b, e)", "select(c, a / b, e)", "where c holds, it holds"),
    rule("selected-then-negation", Strict, "select(c, -select(c, a, d), e)", "select(c, -a, e)", "where c holds, it holds"),
    rule("selected-else-factor", Strict,  "select(c, e, select(c, d, a) * b)", "select(c, e, a * b)", "where c does not hold, it does not"),
    rule("selected-else-dividend", Strict, "select(c, e, select(c, d, a) / b)", "select(c, e, a / b)", "where c does not hold, it does not"),
    rule("selected-else-negation", Strict, "select(c, e, -select(c, d, a))", "select(c, e, -a)", "where c does not hold, it does not"),
    rule("sum-of-selected",     Strict,   "select(c, a, b) + select(c, d, e)", "select(c, a + d, b + e)", "the sum of the branch that is taken").in_sums(InSums::Derivative),
    rule("difference-of-selected", Strict, "select(c, a, b) - select(c, d, e)", "select(c, a - d, b - e)", "the difference of the branch that is taken").in_sums(InSums::Derivative),
    rule("product-of-selected", Strict,   "select(c, a, b) * select(c, d, e)", "select(c, a * d, b * e)", "the product of the branch that is taken"),
    rule("quotient-of-selected", Strict,  "select(c, a, b) / select(c, d, e)", "select(c, a / d, b / e)", "the quotient of the branch that is taken"),
    rule("selected-operand",    Strict,   "select(c, f(x, a), f(x, b))", "f(x, select(c, a, b))", "whichever branch is taken, the operator is applied once").any(Class::Elementwise).built(selected_operand).sees(2).at(&["select(c, x * a, x * b) @", "select(c, x - a, x - b) @", "select(c, a / x, b / x) @", "select(c, exp(a), exp(b)) @", "select(c, -a, -b) @"]),
    // What a range says about a choice by magnitude.
    rule("positive-part-range", Strict,   "select(x <= 0, 0, x)",    "not negative",       "what is not above zero is zero").learns(|_, _, facts| facts.range = facts.range.intersection(Range::NOT_NEGATIVE)),
    rule("positive-part-of-positive", Accurate, "select(x <= 0, 0, x)", "x",              "x is 0 where it is not above it; only the sign of a zero differs").when(&[("x", NonNegative)]).local().at(&["x: 96 in 0..3"]),
    rule("maximum-by-range",    Accurate, "max(x, #c)",              "x",                  "for x that is nowhere below #c: only the sign of a zero differs").built(|t, m| by_range(t, m, |range, c| range.low >= c)).local().at(&["#c: -1; x: 96 in -1..2", "#c: 0; x: 96 in 0..3"]),
    rule("minimum-by-range",    Accurate, "min(x, #c)",              "x",                  "for x that is nowhere above #c: only the sign of a zero differs").built(|t, m| by_range(t, m, |range, c| range.high <= c)).local().at(&["#c: 1; x: 96 in -2..1"]),
    rule("zero-for-zero",       Accurate, "select(x == 0, 0, x)",    "x",                  "only the sign of a zero differs").local(),
    rule("multiple-for-zero",   Accurate, "select(x == 0, 0, #c * x)", "#c * x",           "a number times zero is zero; only its sign differs").when(&[("#c", Finite)]).at(&["#c: 0.1", "#c: -3"]),
    rule("negated-selection",   Accurate, "-select(c, a, 0)",        "select(c, -a, 0)",   "only the sign of a zero differs"),
];

/// The value, where its range and the number are so.
fn by_range(terms: &mut dyn Terms, found: &Match<'_>, is_so: fn(Range, f64) -> bool) -> Option<Id> {
    let (x, number) = (found.value("x")?, found.number(terms, "#c")?);
    is_so(terms.facts(x).range, number).then_some(x)
}

/// One application to a selection, of two branches that apply the same operator to operands of which at most one differs.
fn selected_operand(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (_, &[condition, first, second]) = found.term.applies(&SELECT)? else { return None };
    let applications = |terms: &dyn Terms, class: Id| -> Vec<(Op, SmallVec<[Id; 3]>)> {
        // What is a number is a number, not what it was computed from.
        let class_terms = if terms.facts(class).constant.is_some() { &[] } else { terms.terms(class) };
        let elementwise = |op: &&Op| op.def.class == Class::Elementwise && !op.is(&SELECT);
        let of = |term: &crate::term::Term| {
            let op = term.op().filter(elementwise)?;
            Some((op.clone(), term.operands().iter().map(|&id| terms.find(id)).collect()))
        };
        class_terms.iter().filter_map(of).collect()
    };
    for (op, own) in applications(terms, first) {
        for (other_op, mut others) in applications(terms, second) {
            if op != other_op {
                continue;
            }
            if op.def.algebra.commutative && own[0] != others[0] && own[1] != others[1] {
                others.reverse();
            }
            let differing: SmallVec<[usize; 3]> = (0..own.len()).filter(|&i| own[i] != others[i]).collect();
            let &[position] = &differing[..] else { continue };
            // What is a number in one branch stays one there.
            let mut operands = own.clone();
            operands[position] = terms.apply(SELECT.op(), &[condition, own[position], others[position]])?;
            return terms.apply(op, &operands);
        }
    }
    None
}
