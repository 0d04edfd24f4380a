//! Floats of 16 bits against the crate `half`: every one of them, and what rounds to them.

use gradc_codegen::{Features, Options, Vectors};
use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::LoopKind;
use half::{bf16, f16};

use crate::support::{Memory, elementwise, plan_of, run, widths};

/// What machine code makes of numbers, as a conversion to `to`.
fn converted(numbers: Memory, from: DType, to: DType, count: usize, (kind, features, vectors): Way) -> Memory {
    let kernel = elementwise(ScalarOp::Cast(to), &[from], to, count, kind);
    let program = gradc_codegen::compile(&plan_of(kernel), &Options { features, vectors, ..Options::default() });
    let program = program.unwrap_or_else(|error| panic!("{error}"));
    let mut memory = [numbers, Memory::new(to, &vec![0.0; count])];
    run(&program, &mut memory);
    let [_, result] = memory;
    result
}

/// How a kernel is compiled.
type Way = (LoopKind, Features, Vectors);

fn ways() -> impl Iterator<Item = Way> {
    let wide = widths().map(|vectors| (LoopKind::Vector, Features::Native, vectors));
    let others = [LoopKind::Vector, LoopKind::Serial].map(|kind| (kind, Features::Baseline, Vectors::Bits128));
    wide.chain(others).chain([(LoopKind::Serial, Features::Native, Vectors::Widest)])
}

/// Numbers whose rounding is a decision: each float of 16 bits, the points halfway to the next, what is just above and
/// below these, and a spread of others, subnormal and beyond the range among them.
fn singles(single: impl Fn(u16) -> f32) -> Vec<f32> {
    let near = (0..=u16::MAX).flat_map(|bits| {
        let (this, next) = (single(bits), single(bits.wrapping_add(1)));
        let halfway = ((f64::from(this) + f64::from(next)) / 2.0) as f32;
        [this, halfway, halfway.next_up(), halfway.next_down()]
    });
    let spread = (0..100_003u32).map(|i| f32::from_bits(i.wrapping_mul(42_947)));
    near.chain(spread).collect()
}

#[test]
fn every_f16_is_widened_exactly() {
    let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
    for way in ways() {
        let found = converted(Memory::F16(all.clone()), DType::F16, DType::F32, all.len(), way);
        let Memory::F32(found) = found else { panic!("f32 was asked for") };
        for (half, found) in all.iter().zip(found) {
            let same = found.to_bits() == half.to_f32().to_bits() || half.is_nan() && found.is_nan();
            assert!(same, "{:04x} is {found:e}, not {:e}", half.to_bits(), half.to_f32());
        }
    }
}

#[test]
fn every_bf16_is_widened_exactly() {
    let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    for way in ways() {
        let found = converted(Memory::Bf16(all.clone()), DType::Bf16, DType::F32, all.len(), way);
        let Memory::F32(found) = found else { panic!("f32 was asked for") };
        for (half, found) in all.iter().zip(found) {
            let same = found.to_bits() == half.to_f32().to_bits() || half.is_nan() && found.is_nan();
            assert!(same, "{:04x} is {found:e}, not {:e}", half.to_bits(), half.to_f32());
        }
    }
}

#[test]
fn f32_are_rounded_to_the_nearest_f16() {
    let numbers = singles(|bits| f16::from_bits(bits).to_f32());
    for way in ways() {
        let found = converted(Memory::F32(numbers.clone()), DType::F32, DType::F16, numbers.len(), way);
        let Memory::F16(found) = found else { panic!("f16 was asked for") };
        for (number, found) in numbers.iter().zip(found) {
            let expected = f16::from_f32(*number);
            let same = found.to_bits() == expected.to_bits() || expected.is_nan() && found.is_nan();
            assert!(same, "{number:e} becomes {:04x}, not {:04x}", found.to_bits(), expected.to_bits());
        }
    }
}

#[test]
fn f32_are_rounded_to_the_nearest_bf16() {
    let numbers = singles(|bits| bf16::from_bits(bits).to_f32());
    for way in ways() {
        let found = converted(Memory::F32(numbers.clone()), DType::F32, DType::Bf16, numbers.len(), way);
        let Memory::Bf16(found) = found else { panic!("bf16 was asked for") };
        for (number, found) in numbers.iter().zip(found) {
            let expected = bf16::from_f32(*number);
            let same = found.to_bits() == expected.to_bits() || expected.is_nan() && found.is_nan();
            assert!(same, "{number:e} becomes {:04x}, not {:04x}", found.to_bits(), expected.to_bits());
        }
    }
}

/// What is only moved keeps its bits, in whatever part of a vector it stands.
#[test]
fn moved_halves_keep_their_bits() {
    for count in [1, 2, 3, 4, 5, 6, 7, 8, 33] {
        let all: Vec<f16> = (0..count as u16).map(|i| f16::from_bits(i.wrapping_mul(7919))).collect();
        for way in ways() {
            let found = converted(Memory::F16(all.clone()), DType::F16, DType::F16, count, way);
            let Memory::F16(found) = found else { panic!("f16 was asked for") };
            let bits = |halves: &[f16]| halves.iter().map(|half| half.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&all));
        }
    }
}
