//! Floats of 16 bits: machine code against the interpreter, which rounds each value once.

use gradc::ir::op::{self, ALL};
use gradc::ir::{Class, DType, OpDef};
use gradc::{Level, Mode, Options};
use gradc_testing::{Sample, smooth_samples, special_samples};

use crate::subject::{Order, Results, Subject};

const HALVES: [DType; 2] = [DType::F16, DType::Bf16];

/// Functions that machine code has to a few units in the last place of `f32`: what is rounded to 16 bits may come out as
/// the neighbour then.
static APPROXIMATED: [&OpDef; 9] = [
    &op::erf::ERF,
    &op::exp::EXP,
    &op::expm1::EXPM1,
    &op::log::LOG,
    &op::log1p::LOG1P,
    &op::pow::POW,
    &op::rsqrt::RSQRT,
    &op::sigmoid::SIGMOID,
    &op::tanh::TANH,
];

/// Whether every bit of a result follows from those of the operands: sums are added up in another order.
fn is_exact(def: &'static OpDef) -> bool {
    let moves = matches!(def.class, Class::Source | Class::Elementwise | Class::Movement);
    moves && APPROXIMATED.iter().all(|other| !std::ptr::eq(*other, def))
}

/// The door of these tests: a distance of `units` to the neighbour, of numbers of at least `least`, is allowed.
#[track_caller]
fn check(what: &str, found: &Results, expected: &Results, float: DType, units: f64, least: f64) {
    for (name, expected) in expected {
        for (i, (&found, &expected)) in found[name].iter().zip(expected).enumerate() {
            let same = found == expected || found.is_nan() && expected.is_nan();
            let unit = float.epsilon() * expected.abs().max(least);
            // What rounds to infinity may have been the greatest number.
            let close = |number: f64| number.clamp(-float.greatest_finite(), float.greatest_finite());
            let near = units > 0.0 && (close(found) - close(expected)).abs() <= units * unit;
            assert!(same || near, "{what}: {name}[{i}] is {found:e}, not {expected:e}");
        }
    }
}

fn for_each(samples: fn(&'static OpDef) -> Vec<Sample>, order: Order, units: impl Fn(&'static OpDef) -> (f64, f64)) {
    for &def in ALL {
        for sample in samples(def) {
            let subject = Subject::new(def, &sample, order);
            for float in HALVES {
                let expected = subject.interpreted(float);
                let options = Options { mode: Mode::Strict, float: Some(float), ..Options::default() };
                for level in [Level::None, Level::Full] {
                    let found = subject.compiled(&Options { level, ..options.clone() });
                    let (units, least) = units(def);
                    check(
                        &format!("{}, {float}, {level:?}", sample.label(def)),
                        &found,
                        &expected,
                        float,
                        units,
                        least,
                    );
                }
            }
        }
    }
}

fn one_unit_or_none(def: &'static OpDef) -> (f64, f64) {
    (if is_exact(def) { 0.0 } else { 1.0 }, DType::F16.least_normal())
}

#[test]
fn operators_round_once() {
    for_each(smooth_samples, Order::Zero, one_unit_or_none);
}

#[test]
fn special_numbers_are_the_interpreters() {
    for_each(special_samples, Order::Zero, one_unit_or_none);
}

/// Derivatives are several operators, of which each rounds: where one comes out as the neighbour, what is computed from
/// it differs by as much.
#[test]
fn derivatives_round_at_each_operator() {
    for_each(smooth_samples, Order::First, |_| (8.0, 1.0));
}
