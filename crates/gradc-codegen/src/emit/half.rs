//! Floats of 16 bits.
//!
//! In a register, such a float is an `f32` that its type can represent. It is converted where it is loaded and stored,
//! and an `f32` becomes one by rounding in place: to the nearest, ties to even, what is too large to infinity. All of it
//! is arithmetic on 32-bit words, the same for one element and for a vector, so that no machine needs instructions for
//! such floats. NaN becomes a quiet NaN.
//!
//! A `bf16` is the upper half of an `f32`. An `f16` has 5 bits of exponent and 10 of fraction: an `f32` of the same value
//! has 13 zeros after them, and an exponent that is greater by 112. What is below 2⁻¹⁴ is subnormal, a multiple of 2⁻²⁴,
//! which is also the distance between `f32` from ½ to 1: adding ½ rounds to it, and leaves the multiple in the low bits.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use gradc_ir::DType;

use crate::code::Code;
use crate::width::Width;

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
const QUIET: u32 = 0x0040_0000;
const ONE_HALF: u32 = 0x3f00_0000;
/// 2⁻¹⁴, the least normal `f16`.
const LEAST_NORMAL: u32 = 0x3880_0000;
/// Halfway from the greatest `f16` to what would follow it.
const OVERFLOW: u32 = 0x477f_f000;
/// The difference of the exponents' biases, in place.
const BIAS: u32 = 112 << 23;

impl Code<'_> {
    /// A word in each lane.
    pub(crate) fn word(&mut self, width: Width, word: u32) -> Value {
        self.constant(width, DType::I32, f64::from(word as i32))
    }

    /// `f32` rounded to `dtype`.
    pub(super) fn round_to_half(&mut self, width: Width, dtype: DType, value: Value) -> Value {
        let bits = self.bits_as(width.ty(DType::I32), value);
        let sign = self.and(width, bits, SIGN);
        let magnitude = self.builder.ins().bxor(bits, sign);
        let rounded = match dtype {
            DType::Bf16 => self.bf16_magnitude(width, magnitude),
            _ => self.f16_magnitude(width, magnitude),
        };
        let rounded = self.builder.ins().bor(rounded, sign);
        self.bits_as(width.ty(DType::F32), rounded)
    }

    /// The words of elements in memory, from elements in registers. Their upper halves are 0.
    pub(super) fn half_to_bits(&mut self, width: Width, dtype: DType, value: Value) -> Value {
        let bits = self.bits_as(width.ty(DType::I32), value);
        if dtype == DType::Bf16 {
            return self.builder.ins().ushr_imm_u(bits, 16);
        }
        let sign = self.and(width, bits, SIGN);
        let magnitude = self.builder.ins().bxor(bits, sign);
        let sign = self.builder.ins().ushr_imm_u(sign, 16);
        let shifted = self.builder.ins().ushr_imm_u(magnitude, 13);
        let fraction = self.and(width, shifted, 0x3ff);
        let exponent = self.word(width, 0x7c00);
        let special = self.builder.ins().bor(fraction, exponent);
        let bias = self.word(width, BIAS >> 13);
        let normal = self.builder.ins().isub(shifted, bias);
        let with_half = self.plus_half(width, magnitude);
        let half = self.word(width, ONE_HALF);
        let subnormal = self.builder.ins().isub(with_half, half);
        let finite = self.choose(width, (magnitude, LEAST_NORMAL), subnormal, normal);
        let bits = self.choose(width, (magnitude, INFINITY), finite, special);
        self.builder.ins().bor(bits, sign)
    }

    /// Elements in registers, from their words in memory, whose upper halves are 0.
    pub(super) fn half_from_bits(&mut self, width: Width, dtype: DType, bits: Value) -> Value {
        if dtype == DType::Bf16 {
            let bits = self.builder.ins().ishl_imm_u(bits, 16);
            return self.bits_as(width.ty(DType::F32), bits);
        }
        let sign = self.and(width, bits, 0x8000);
        let magnitude = self.builder.ins().bxor(bits, sign);
        let sign = self.builder.ins().ishl_imm_u(sign, 16);
        let shifted = self.builder.ins().ishl_imm_u(magnitude, 13);
        // As an `f32` this is the number times 2⁻¹¹², subnormal where the exponent is 0; the product is exact.
        let scaled = self.bits_as(width.ty(DType::F32), shifted);
        let scale = self.constant(width, DType::F32, 2f64.powi(112));
        let finite = self.builder.ins().fmul(scaled, scale);
        let finite = self.bits_as(width.ty(DType::I32), finite);
        let infinity = self.word(width, INFINITY);
        let special = self.builder.ins().bor(shifted, infinity);
        let bits = self.choose(width, (magnitude, 0x7c00), finite, special);
        let bits = self.builder.ins().bor(bits, sign);
        self.bits_as(width.ty(DType::F32), bits)
    }

    /// The word of a positive number, rounded to 16 bits before 16 zeros.
    fn bf16_magnitude(&mut self, width: Width, magnitude: Value) -> Value {
        let rounded = self.nearest_even(width, magnitude, 16);
        let quiet = self.word(width, QUIET);
        let nan = self.builder.ins().bor(magnitude, quiet);
        self.choose(width, (magnitude, INFINITY + 1), rounded, nan)
    }

    /// The word of a positive number, rounded to an `f16`.
    fn f16_magnitude(&mut self, width: Width, magnitude: Value) -> Value {
        let normal = self.nearest_even(width, magnitude, 13);
        let with_half = self.plus_half(width, magnitude);
        let with_half = self.bits_as(width.ty(DType::F32), with_half);
        let half = self.constant(width, DType::F32, 0.5);
        let subnormal = self.builder.ins().fsub(with_half, half);
        let subnormal = self.bits_as(width.ty(DType::I32), subnormal);
        let quiet = self.word(width, QUIET);
        let nan = self.builder.ins().bor(magnitude, quiet);
        let infinity = self.word(width, INFINITY);
        let special = self.choose(width, (magnitude, INFINITY + 1), infinity, nan);
        let finite = self.choose(width, (magnitude, LEAST_NORMAL), subnormal, normal);
        self.choose(width, (magnitude, OVERFLOW), finite, special)
    }

    /// The word of the positive number `magnitude + ½`.
    fn plus_half(&mut self, width: Width, magnitude: Value) -> Value {
        let number = self.bits_as(width.ty(DType::F32), magnitude);
        let half = self.constant(width, DType::F32, 0.5);
        let sum = self.builder.ins().fadd(number, half);
        self.bits_as(width.ty(DType::I32), sum)
    }

    /// A word without its last `dropped` bits, rounded to the nearest and to an even one halfway.
    fn nearest_even(&mut self, width: Width, word: Value, dropped: u32) -> Value {
        let last = self.builder.ins().ushr_imm_u(word, i64::from(dropped));
        let odd = self.and(width, last, 1);
        let below_half = self.word(width, (1 << (dropped - 1)) - 1);
        let rounded = self.builder.ins().iadd(word, below_half);
        let rounded = self.builder.ins().iadd(rounded, odd);
        self.and(width, rounded, !((1 << dropped) - 1))
    }

    fn and(&mut self, width: Width, word: Value, mask: u32) -> Value {
        let mask = self.word(width, mask);
        self.builder.ins().band(word, mask)
    }

    /// `word < bound ? below : otherwise`, for words and bounds that are not negative.
    fn choose(&mut self, width: Width, (word, bound): (Value, u32), below: Value, otherwise: Value) -> Value {
        let bound = self.word(width, bound);
        let is_below = self.builder.ins().icmp(IntCC::SignedLessThan, word, bound);
        self.select(width, DType::I32, is_below, below, otherwise)
    }
}
