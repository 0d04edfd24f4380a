//! Every rule of the tables, sampled on both sides: at zeros of both signs, infinities, NaN, subnormal numbers, where
//! functions saturate, and at random.
//!
//! - strict: equal bits, in f32 and f64;
//! - accurate: in f32 and in f64, against what the formula is in arithmetic of many digits, not a larger error than the left
//!   side (but for a unit in the last place); NaN or infinite for finite operands only where the left side is, and finite
//!   only where the left side is, unless that is what is wrong with the left side;
//! - accurate, too: equal in arithmetic of many digits, at the extremes as well, but for the rounding of new constants;
//! - fast, and all others too: equal in f64 on ordinary numbers up to rounding.

mod evaluate;
mod samples;

use gradc_ir::{DType, Tensor};
use gradc_testing::{Arithmetic, ExactTensor};

use super::compiled::{Compiled, Outcome, RuleSet, all};
use super::{Flaw, FpClass, InSums, Lhs, Rule, Subject, table};
use crate::canonical::Arena;
use crate::facts::{Facts, Range};
use crate::pattern::build;
use crate::terms::Terms;
use evaluate::{Precision, evaluate, evaluate_exactly};
use samples::{Draw, Sample};

/// Both sides of one application of a rule in an arena, with what its leaves are.
struct Sides<'r> {
    arena: Arena<'r>,
    left: egg::Id,
    outcome: Outcome,
}

/// Applies a rule to its own left side at a sample.
fn sides<'r>(compiled: &Compiled, sample: &Sample, none: &'r RuleSet) -> Option<Sides<'r>> {
    let mut arena = Arena::new(none);
    let bindings = sample.bind(&mut arena);
    let left = build(&mut arena, &sample.left, &bindings, Some(&sample.vector()));
    let left = left.unwrap_or_else(|| panic!("{}: the left side has no type at {}", compiled.rule.name, sample.text));
    let node = arena.node(left);
    let (term, facts) = (node.term.clone(), node.facts.clone());
    let matches = compiled.matches(&arena, &term);
    let outcome = matches.iter().find_map(|bindings| compiled.apply(&mut arena, &term, None, &facts, bindings));
    Some(Sides { arena, left, outcome: outcome? })
}

fn check(compiled: &Compiled) {
    let none = RuleSet::new(|_| false);
    for dtype in [DType::F32, DType::F64, DType::F16, DType::Bf16] {
        for sample in samples::of(compiled, dtype) {
            let Some(sides) = sides(compiled, &sample, &none) else {
                // Some rules are not for floats of 16 bits.
                assert!(dtype.is_half(), "{} does not apply at {}", compiled.rule.name, sample.text);
                continue;
            };
            match &sides.outcome {
                Outcome::Learnt(facts) => check_facts(compiled.rule, &sides, facts, &sample),
                Outcome::Equal(right) => check_values(compiled.rule, &sides, *right, &sample, dtype),
            }
        }
    }
}

fn check_values(rule: &Rule, sides: &Sides<'_>, right: egg::Id, sample: &Sample, dtype: DType) {
    let both = |leaves: &[Tensor], precision| {
        (evaluate(&sides.arena, sides.left, leaves, precision), evaluate(&sides.arena, right, leaves, precision))
    };
    for round in 0..samples::ROUNDS {
        if rule.class == FpClass::Strict {
            let (left, found) = both(&sample.draw(Draw::Anything, round), Precision::AsTyped);
            assert_same_bits(rule, sample, dtype, &left, &found);
        }
        // Constants of 16 bits are too far from the real ones.
        if !dtype.is_half() {
            let (left, found) = both(&sample.draw(Draw::Ordinary, round), Precision::Double);
            assert_close(rule, sample, &left, &found);
        }
    }
    if rule.class == FpClass::Accurate {
        let mut arithmetic = Arithmetic::new(digits(dtype));
        let mut errors = Errors::new(dtype);
        for round in 0..samples::exact_rounds(dtype) {
            let leaves = sample.draw(Draw::Finite, round);
            let (left, found) = both(&leaves, Precision::AsTyped);
            let mut exact = |id| evaluate_exactly(&sides.arena, id, &leaves, &mut arithmetic);
            errors.compare(rule, sample, [&left, &found], [exact(sides.left), exact(right)]);
        }
        errors.assert_not_worse(rule, sample);
    }
}

/// So many that no sum of two numbers of the type is rounded, nor what is left of one beside what is subnormal.
fn digits(dtype: DType) -> usize {
    if dtype == DType::F64 { 1280 } else { 384 }
}

fn assert_same_bits(rule: &Rule, sample: &Sample, dtype: DType, left: &Tensor, right: &Tensor) {
    // A product of matrices may add up from −0 or from +0; of 16 bits, many a small number is 0.
    let product = matches!(rule.lhs, Lhs::Formula(formula) if formula.contains("matmul"));
    let signless = dtype.is_half() && product;
    for (a, b) in left.data().iter().zip(right.data()) {
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()) || signless && a == b;
        assert!(same, "{} is not strict at {}: {a:e} becomes {b:e}", rule.name, sample.text);
    }
}

/// Over the reals the sides are equal, so in double precision they differ by rounding only.
fn assert_close(rule: &Rule, sample: &Sample, left: &Tensor, right: &Tensor) {
    assert_eq!(left.ty(), right.ty(), "{}", rule.name);
    for (a, b) in left.data().iter().zip(right.data()) {
        let close = (a - b).abs() <= 1e-6 * (a.abs() + b.abs()) + 1e-9 || a == b || (a.is_nan() && b.is_nan());
        assert!(close, "{} is not an identity at {}: {a:e} becomes {b:e}", rule.name, sample.text);
    }
}

/// The errors that are compared: that which so large a share of the elements does not exceed.
const SHARES: [f64; 4] = [0.5, 0.8, 0.95, 1.0];

/// The errors of both sides in units in the last place.
struct Errors {
    dtype: DType,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Errors {
    fn new(dtype: DType) -> Errors {
        Errors { dtype, left: Vec::new(), right: Vec::new() }
    }

    fn compare(&mut self, rule: &Rule, sample: &Sample, sides: [&Tensor; 2], exact: [ExactTensor; 2]) {
        let half = self.dtype.is_half();
        let rounded = exact.each_ref().map(ExactTensor::rounded);
        let distances = sides.map(|side| exact.each_ref().map(|exact| exact.distances(side.data())));
        for (i, (&left, &right)) in sides[0].data().iter().zip(sides[1].data()).enumerate() {
            let of_sides = [rounded[0][i], rounded[1][i]];
            let at = || format!("{} at {}: {:e} is {left:e}, then {right:e}", rule.name, sample.text, of_sides[0]);
            // Over the reals the left side is what it says; where it is not even there (inf / inf), the right side is asked.
            // A constant of 16 bits in a flawed formula is not asked either.
            let asked = usize::from(!of_sides[0].is_finite() || half && rule.flaw.is_some());
            let exact = of_sides[asked];
            let constants = 1e-6 * of_sides[0].abs() + f64::from(f32::from_bits(1));
            let equal = (of_sides[0] - of_sides[1]).abs() <= constants || of_sides[0] == of_sides[1];
            assert!(equal || half || !of_sides[0].is_finite(), "{} is no identity: {:e}", at(), of_sides[1]);
            if sample.is_about_ordinary_results() && !self.is_inner(exact) {
                continue;
            }
            let ordinary = exact.abs() < self.dtype.greatest_finite();
            assert!(!left.is_finite() || right.is_finite() || !ordinary, "not finite any more: {}", at());
            let same = left.is_finite() || left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan());
            assert!(same || half || rule.may_break(), "finite where it was not: {}", at());
            if left.is_finite() && right.is_finite() && exact.is_finite() {
                // What is stable adds the greatest element again, which may cancel: of few digits, few are left.
                let least = if half && rule.flaw == Some(Flaw::Breaks) { 1.0 } else { 0.0 };
                let unit = unit(self.dtype, exact, least);
                self.left.push(distances[0][asked][i] / unit);
                self.right.push(distances[1][asked][i] / unit);
            }
        }
    }

    /// Whether a result is further from the ends of the element type's range than factors that are small.
    fn is_inner(&self, result: f64) -> bool {
        let most = 2.0 * Range::small_factors(self.dtype).end();
        let inner = self.dtype.least_normal() * most..self.dtype.greatest_finite() / most;
        result == 0.0 || inner.contains(&result.abs())
    }

    /// Neither in the middle nor at the worst is the error of the right side larger.
    fn assert_not_worse(&mut self, rule: &Rule, sample: &Sample) {
        self.left.sort_by(f64::total_cmp);
        self.right.sort_by(f64::total_cmp);
        // Where the left side overflows somewhere, a few units elsewhere are what stability costs: what is subtracted within
        // an exponential is rounded, and that error is multiplied by as much as the exponent.
        let is_broken = rule.flaw == Some(Flaw::Breaks);
        let (shares, price) =
            if is_broken { (&[1.0][..], 0.6 * self.dtype.greatest_finite().ln()) } else { (&SHARES[..], 0.0) };
        for share in shares {
            let at = |errors: &[f64]| errors.get(((errors.len() as f64 * share) as usize).saturating_sub(1)).copied();
            let (Some(left), Some(right)) = (at(&self.left), at(&self.right)) else { return };
            // The difference that stability takes is itself rounded to 16 bits.
            let more = if self.dtype.is_half() && rule.flaw == Some(Flaw::Breaks) { 2.0 } else { 1.0 };
            assert!(
                right <= price.max(left + more),
                "{} loses accuracy at {}: {left} ulps become {right} ({share})",
                rule.name,
                sample.text
            );
        }
    }
}

/// A unit in the last place of the nearest number of a type that is at least `least`.
fn unit(dtype: DType, exact: f64, least: f64) -> f64 {
    let magnitude = dtype.round(exact).abs().clamp(dtype.least_normal().max(least), dtype.greatest_finite());
    // The power of two that is not above it.
    f64::from_bits(magnitude.to_bits() >> 52 << 52) * dtype.epsilon()
}

/// What a rule learns holds for every element.
fn check_facts(rule: &Rule, sides: &Sides<'_>, facts: &Facts, sample: &Sample) {
    assert_ne!(*facts, *sides.arena.facts(sides.left), "{} learns nothing at {}", rule.name, sample.text);
    for round in 0..samples::ROUNDS {
        let leaves = sample.draw(Draw::Finite, round);
        let value = evaluate(&sides.arena, sides.left, &leaves, Precision::AsTyped);
        assert!(facts.hold_for(&value), "{} is wrong at {}: {value:?} against {facts:?}", rule.name, sample.text);
    }
}

#[test]
fn every_rule_holds() {
    let fails = |compiled: &&Compiled| std::panic::catch_unwind(|| check(compiled)).is_err();
    let failed: Vec<&str> = all().iter().filter(fails).map(|compiled| compiled.rule.name).collect();
    assert!(failed.is_empty(), "rules that do not hold, as said above: {failed:?}");
}

/// A rule that makes of two terms what is exactly their sum, in a sum of three of them. The third may be what cancels one of the
/// two, which leaves the digits of the other.
fn check_in_sum(compiled: &Compiled, dtype: DType) {
    let none = RuleSet::new(|_| false);
    for sample in samples::of(compiled, dtype) {
        let Some(Sides { mut arena, left, outcome: Outcome::Equal(made) }) = sides(compiled, &sample, &none) else {
            continue;
        };
        let (op, &[first, second]) = (arena.node(left).term.op().expect("a sum").clone(), arena.operands(left)) else {
            panic!("{} is about no sum", compiled.rule.name)
        };
        let third = arena.leaf(u32::MAX, Facts::of_type(arena.facts(left).ty.clone()));
        // As a search writes it: where what is made is a sum, its terms stand where the two did.
        let parts = arena.node(made).term.op().filter(|own| **own == op).map(|_| arena.operands(made).to_vec());
        let mut sum = |op: &gradc_ir::Op, a, b| arena.apply(op.clone(), &[a, b]).expect("operands of one type");
        let add = gradc_ir::op::add::ADD.op();
        let before = sum(&add, first, third);
        let before = sum(&op, before, second);
        let after = match parts.as_deref() {
            Some(&[first, second]) => {
                let after = sum(&add, first, third);
                sum(&op, after, second)
            }
            _ => sum(&add, made, third),
        };
        let mut arithmetic = Arithmetic::new(digits(dtype));
        let mut errors = Errors::new(dtype);
        for round in 0..samples::exact_rounds(dtype) {
            let mut leaves = sample.draw(Draw::Finite, round);
            for cancelled in [first, second] {
                let value = evaluate(&arena, cancelled, &leaves, Precision::AsTyped);
                // Next to what cancels it, and exactly that.
                let nearly = |(i, x): (usize, &f64)| dtype.round(-x * (1.0 + (i % 3) as f64 * dtype.epsilon()));
                let opposite = value.data().iter().enumerate().map(nearly).collect();
                leaves.push(Tensor::new(value.ty().clone(), opposite));
                let both = [before, after].map(|id| evaluate(&arena, id, &leaves, Precision::AsTyped));
                let exact = [before, after].map(|id| evaluate_exactly(&arena, id, &leaves, &mut arithmetic));
                errors.compare(compiled.rule, &sample, [&both[0], &both[1]], exact);
                leaves.pop();
            }
        }
        errors.assert_not_worse(compiled.rule, &sample);
    }
}

#[test]
fn rules_that_hold_in_all_sums_lose_no_digits_there() {
    let exact = || all().iter().filter(|compiled| compiled.rule.in_sums == Some(InSums::Exact));
    assert!(exact().count() > 3);
    for compiled in exact() {
        check_in_sum(compiled, DType::F32);
        check_in_sum(compiled, DType::F64);
    }
    // The complement of a sigmoid is rounded, and by more than what is left where the 1 is cancelled.
    let rounded =
        all().iter().find(|compiled| compiled.rule.name == "sigmoid-complement").expect("there is such a rule");
    assert!(std::panic::catch_unwind(|| check_in_sum(rounded, DType::F32)).is_err());
}

#[test]
fn names_are_unique_and_reasons_given() {
    let mut names: Vec<&str> = table().map(|(_, rule)| rule.name).collect();
    assert!(table().all(|(_, rule)| !rule.reason.is_empty()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Rules that are wrong in one way each: the checks above must notice.
#[test]
fn wrong_rules_are_noticed() {
    use super::FpClass::{Accurate, Fast, Strict};
    use super::rule;
    static WRONG: [Rule; 7] = [
        rule("zero", Strict, "x + 0", "x", "-0 becomes +0"),
        rule("cancelled", Strict, "x - x", "0", "inf - inf is NaN"),
        rule("reciprocal", Accurate, "x / y", "x * (1 / y)", "rounded twice, and the reciprocal overflows"),
        rule("complement", Accurate, "sigmoid(-x)", "1 - sigmoid(x)", "cancels"),
        rule("unshifted", Accurate, "log1p(exp(x))", "log(1 + exp(x))", "loses the digits of small results"),
        rule("exponent", Accurate, "exp(x) * exp(y)", "exp(x + y)", "magnifies the rounding of the sum"),
        rule("sign", Fast, "x - y", "y - x", "not even an identity"),
    ];
    for rule in &WRONG {
        let compiled = Compiled::new(Subject("wrong"), rule).expect("the formulas are well formed");
        let noticed = std::panic::catch_unwind(|| check(&compiled)).is_err();
        assert!(noticed, "{} went unnoticed", rule.name);
    }
}
