//! Infinities, NaN, zeros of both signs, and numbers at which functions overflow or saturate: machine code against the
//! interpreter. That the interpreter is right about them is a matter of [`crate::reference`] and of the tables in
//! gradc-interp.

use gradc::ir::op::ALL;
use gradc::ir::{Class, DType};
use gradc::{Level, Mode, Options};
use gradc_testing::{Sample, special_samples};

use crate::subject::{Order, Results, Subject};

/// What a result is held to.
#[derive(Clone, Copy, PartialEq)]
enum Demand {
    /// The same kind of number everywhere (NaN, infinite, zero with its sign), and close where it is ordinary.
    Strict,
    /// The same, but for the sign of zeros.
    UnsignedZeros,
    /// The same where the operands are finite, but for the sign of zeros; closer to the truth where the rules as they are
    /// written underflow.
    OnFiniteOperands,
}

/// The door of these tests.
#[track_caller]
fn check(what: &str, demand: Demand, class: Class, sample: &Sample, found: &Results, expected: &Results, float: DType) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    let elementwise = class == Class::Elementwise;
    let precision = if float == DType::F64 { 1e-14 } else { 1e-6 };
    // The terms of sums are around one or far above, so what is left of them is judged against one.
    let least = if elementwise && demand != Demand::OnFiniteOperands { f64::MIN_POSITIVE } else { 1.0 };
    // A product of matrices may add up from −0 or from +0, that in a loop too.
    let signed_zeros = demand == Demand::Strict && !matches!(class, Class::Contract | Class::Scan);
    for (name, expected) in expected {
        for (i, (&found, &expected)) in found[name].iter().zip(expected).enumerate() {
            let finite = |i: usize| sample.operands.iter().all(|operand| operand.data()[i].is_finite());
            if demand == Demand::OnFiniteOperands && elementwise && !finite(i) {
                continue;
            }
            let same = found == expected || (found.is_nan() && expected.is_nan());
            let close = (found - expected).abs() <= precision * expected.abs().max(least);
            let signed = !signed_zeros || expected != 0.0 || found.to_bits() == expected.to_bits();
            assert!((same || close) && signed, "{what}: {name}[{i}] is {found:e}, not {expected:e}");
        }
    }
}

fn for_each_sample(order: Order, modes: &[Mode], demand: Demand) {
    for &def in ALL {
        for sample in special_samples(def) {
            let subject = Subject::new(def, &sample, order);
            for float in [DType::F64, DType::F32] {
                let expected = subject.interpreted(float);
                for (&mode, level) in
                    modes.iter().flat_map(|mode| [Level::None, Level::Full].map(|level| (mode, level)))
                {
                    let options = Options { mode, level, float: Some(float), ..Options::default() };
                    let what = format!("{}, {float}, {mode}, {level:?}", sample.label(def));
                    check(&what, demand, def.class, &sample, &subject.compiled(&options), &expected, float);
                }
            }
        }
    }
}

#[test]
fn operators_in_strict_mode() {
    for_each_sample(Order::Zero, &[Mode::Strict], Demand::Strict);
}

/// One operator alone: there is little that a mode would allow to rewrite (an `overlap_add` of single elements moves them,
/// it does not add them to 0).
#[test]
fn operators_in_the_other_modes() {
    for_each_sample(Order::Zero, &[Mode::Accurate, Mode::Fast], Demand::UnsignedZeros);
}

/// Derivatives are several operators, of which only the strict mode keeps every bit.
#[test]
fn derivatives_in_strict_mode() {
    for_each_sample(Order::First, &[Mode::Strict], Demand::Strict);
}

#[test]
fn derivatives_in_the_other_modes() {
    for_each_sample(Order::First, &[Mode::Accurate, Mode::Fast], Demand::OnFiniteOperands);
}

/// Each operator that takes floats is given NaN, both infinities and both zeros, and so is every operand of it.
#[test]
fn special_samples_are_special() {
    for &def in ALL {
        let samples = special_samples(def);
        assert!(!samples.is_empty(), "{} has no special samples", def.name);
        let operands = samples.iter().map(|sample| sample.operands.len()).max().unwrap_or(0);
        for i in 0..operands {
            let tensors = samples.iter().filter_map(|sample| sample.operands.get(i));
            let numbers: Vec<f64> = tensors
                .filter(|tensor| tensor.ty().dtype.is_float())
                .flat_map(|tensor| tensor.data().to_vec())
                .collect();
            let kinds: [fn(f64) -> bool; 5] = [
                f64::is_nan,
                |x| x == f64::INFINITY,
                |x| x == f64::NEG_INFINITY,
                |x| x.to_bits() == 0.0f64.to_bits(),
                |x| x.to_bits() == (-0.0f64).to_bits(),
            ];
            let all = kinds.iter().all(|kind| numbers.iter().any(|&x| kind(x)));
            assert!(numbers.is_empty() || all, "operand {i} of {} lacks a kind of number", def.name);
        }
    }
}
