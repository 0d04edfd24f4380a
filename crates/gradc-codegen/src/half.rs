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
use gradc_ir::DType;

use crate::lanes::{Lanes, LanesExt};

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

/// Floats of 16 bits in registers.
pub(crate) trait Halves: Lanes + Sized {
    /// `f32` rounded to `dtype`.
    fn round_to_half(&mut self, dtype: DType, value: Self::Value) -> Self::Value {
        let bits = self.bits_of(DType::F32, value);
        let sign = self.and(bits, SIGN);
        let magnitude = self.bxor(bits, sign);
        let rounded = match dtype {
            DType::Bf16 => self.bf16_magnitude(magnitude),
            _ => self.f16_magnitude(magnitude),
        };
        let rounded = self.bor(rounded, sign);
        self.float_of(DType::F32, rounded)
    }

    /// The words of elements in memory, from elements in registers. Their upper halves are 0.
    fn half_to_bits(&mut self, dtype: DType, value: Self::Value) -> Self::Value {
        let bits = self.bits_of(DType::F32, value);
        if dtype == DType::Bf16 {
            return self.ushr(bits, 16);
        }
        let sign = self.and(bits, SIGN);
        let magnitude = self.bxor(bits, sign);
        let sign = self.ushr(sign, 16);
        let shifted = self.ushr(magnitude, 13);
        let fraction = self.and(shifted, 0x3ff);
        let exponent = self.word(0x7c00);
        let special = self.bor(fraction, exponent);
        let bias = self.word(BIAS >> 13);
        let normal = self.isub(shifted, bias);
        let with_half = self.plus_half(magnitude);
        let half = self.word(ONE_HALF);
        let subnormal = self.isub(with_half, half);
        let finite = self.choose((magnitude, LEAST_NORMAL), subnormal, normal);
        let bits = self.choose((magnitude, INFINITY), finite, special);
        self.bor(bits, sign)
    }

    /// Elements in registers, from their words in memory, whose upper halves are 0.
    fn half_from_bits(&mut self, dtype: DType, bits: Self::Value) -> Self::Value {
        if dtype == DType::Bf16 {
            let bits = self.ishl(bits, 16);
            return self.float_of(DType::F32, bits);
        }
        let sign = self.and(bits, 0x8000);
        let magnitude = self.bxor(bits, sign);
        let sign = self.ishl(sign, 16);
        let shifted = self.ishl(magnitude, 13);
        // As an `f32` this is the number times 2⁻¹¹², subnormal where the exponent is 0; the product is exact.
        let scaled = self.float_of(DType::F32, shifted);
        let scale = self.constant(DType::F32, 2f64.powi(112));
        let finite = self.fmul(scaled, scale);
        let finite = self.bits_of(DType::F32, finite);
        let infinity = self.word(INFINITY);
        let special = self.bor(shifted, infinity);
        let bits = self.choose((magnitude, 0x7c00), finite, special);
        let bits = self.bor(bits, sign);
        self.float_of(DType::F32, bits)
    }

    /// The word of a positive number, rounded to 16 bits before 16 zeros.
    fn bf16_magnitude(&mut self, magnitude: Self::Value) -> Self::Value {
        let rounded = self.nearest_even(magnitude, 16);
        let quiet = self.word(QUIET);
        let nan = self.bor(magnitude, quiet);
        self.choose((magnitude, INFINITY + 1), rounded, nan)
    }

    /// The word of a positive number, rounded to an `f16`.
    fn f16_magnitude(&mut self, magnitude: Self::Value) -> Self::Value {
        let normal = self.nearest_even(magnitude, 13);
        let with_half = self.plus_half(magnitude);
        let with_half = self.float_of(DType::F32, with_half);
        let half = self.constant(DType::F32, 0.5);
        let subnormal = self.fsub(with_half, half);
        let subnormal = self.bits_of(DType::F32, subnormal);
        let quiet = self.word(QUIET);
        let nan = self.bor(magnitude, quiet);
        let infinity = self.word(INFINITY);
        let special = self.choose((magnitude, INFINITY + 1), infinity, nan);
        let finite = self.choose((magnitude, LEAST_NORMAL), subnormal, normal);
        self.choose((magnitude, OVERFLOW), finite, special)
    }

    /// The word of the positive number `magnitude + ½`.
    fn plus_half(&mut self, magnitude: Self::Value) -> Self::Value {
        let number = self.float_of(DType::F32, magnitude);
        let half = self.constant(DType::F32, 0.5);
        let sum = self.fadd(number, half);
        self.bits_of(DType::F32, sum)
    }

    /// A word without its last `dropped` bits, rounded to the nearest and to an even one halfway.
    fn nearest_even(&mut self, word: Self::Value, dropped: u8) -> Self::Value {
        let last = self.ushr(word, dropped);
        let odd = self.and(last, 1);
        let below_half = self.word((1 << (dropped - 1)) - 1);
        let rounded = self.iadd(word, below_half);
        let rounded = self.iadd(rounded, odd);
        self.and(rounded, !((1 << dropped) - 1))
    }

    fn and(&mut self, word: Self::Value, mask: u32) -> Self::Value {
        let mask = self.word(mask);
        self.band(word, mask)
    }

    /// `word < bound ? below : otherwise`, for words and bounds that are not negative.
    fn choose(&mut self, (word, bound): (Self::Value, u32), below: Self::Value, otherwise: Self::Value) -> Self::Value {
        let bound = self.word(bound);
        let is_below = self.icmp(IntCC::SignedLessThan, word, bound);
        self.select(DType::I32, is_below, below, otherwise)
    }
}

impl<L: Lanes> Halves for L {}
