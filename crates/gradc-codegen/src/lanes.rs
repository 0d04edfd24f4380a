//! What lane-by-lane code is made of.
//!
//! [`Lanes`] is the one vocabulary in which scalar operations ([`crate::op`]), floats of 16 bits ([`crate::half`]) and the
//! functions of mathematics ([`crate::math`]) are written. Two back ends speak it: [`Narrow`](crate::narrow::Narrow) makes
//! Cranelift's IR, [`wide`](crate::wide) the wide vectors of x86. Every lane is computed by the same sequence of
//! roundings in both.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use gradc_ir::DType;
use gradc_schedule::kernel::Combine;

use crate::imports::Import;
use crate::math::{Function, Math};

/// Emission of operations that do the same in each lane.
///
/// A value is a vector of numbers, or a mask: a truth value for each lane. Integers are as wide as the numbers that they
/// are among. Where a method takes a type, it is that of the operands in registers; see [`DType::arithmetic`].
pub(crate) trait Lanes {
    /// A vector or a mask.
    type Value: Copy;

    /// Whether rounding to whole numbers is one instruction.
    fn has_rounding(&self) -> bool;
    /// Whether minimum and maximum are to be mended around the machine's, which are those of x86.
    fn mends_extrema(&self) -> bool;

    /// `value` in each lane; a mask for truth values.
    fn constant(&mut self, dtype: DType, value: f64) -> Self::Value;
    /// An integer in each lane, as wide as `dtype`.
    fn bits(&mut self, dtype: DType, bits: u64) -> Self::Value;

    /// `a + b` of floats.
    fn fadd(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a − b` of floats.
    fn fsub(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a · b` of floats.
    fn fmul(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a / b` of floats.
    fn fdiv(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `−a` of floats.
    fn fneg(&mut self, a: Self::Value) -> Self::Value;
    /// `|a|` of floats.
    fn fabs(&mut self, a: Self::Value) -> Self::Value;
    /// The square root.
    fn sqrt(&mut self, a: Self::Value) -> Self::Value;
    /// The greatest whole number that is not greater; only where [`Lanes::has_rounding`].
    fn floor(&mut self, a: Self::Value) -> Self::Value;
    /// The least whole number that is not less; only where [`Lanes::has_rounding`].
    fn ceil(&mut self, a: Self::Value) -> Self::Value;
    /// The nearest whole number, of two the even one; only where [`Lanes::has_rounding`].
    fn nearest(&mut self, a: Self::Value) -> Self::Value;
    /// `a · b + c`, rounded once where the machine can and twice where it cannot.
    fn multiply_add(&mut self, a: Self::Value, b: Self::Value, c: Self::Value) -> Self::Value;

    /// `a + b` of integers.
    fn iadd(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a − b` of integers.
    fn isub(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `a · b` of integers.
    fn imul(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `−a` of integers.
    fn ineg(&mut self, a: Self::Value) -> Self::Value;
    /// `|a|` of integers.
    fn iabs(&mut self, a: Self::Value) -> Self::Value;
    /// The greater of signed integers.
    fn smax(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// The lesser of signed integers.
    fn smin(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// Integers shifted towards the highest bit.
    fn ishl(&mut self, a: Self::Value, by: u8) -> Self::Value;
    /// Integers shifted towards the lowest bit, with zeros.
    fn ushr(&mut self, a: Self::Value, by: u8) -> Self::Value;
    /// Integers rotated towards the highest bit, by more than 0 and fewer than 32 places.
    fn rotate_left(&mut self, a: Self::Value, by: u8) -> Self::Value {
        let high = self.ishl(a, by);
        let low = self.ushr(a, 32 - by);
        self.bor(high, low)
    }

    /// The bits that are in both: of numbers of one type, or of masks.
    fn band(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// The bits that are in either.
    fn bor(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// The bits that are in one of them.
    fn bxor(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// The opposite of a mask.
    fn not(&mut self, mask: Self::Value) -> Self::Value;

    /// The bits of floats of this type as integers.
    fn bits_of(&mut self, dtype: DType, a: Self::Value) -> Self::Value;
    /// Integers as the bits of floats of this type.
    fn float_of(&mut self, dtype: DType, bits: Self::Value) -> Self::Value;
    /// A mask as integers of this type: all ones or all zeros.
    fn mask_bits(&mut self, dtype: DType, mask: Self::Value) -> Self::Value;

    /// Where a comparison of floats holds.
    fn fcmp(&mut self, condition: FloatCC, a: Self::Value, b: Self::Value) -> Self::Value;
    /// Where a comparison of integers holds.
    fn icmp(&mut self, condition: IntCC, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `mask ? a : b`
    fn select(&mut self, dtype: DType, mask: Self::Value, a: Self::Value, b: Self::Value) -> Self::Value;
    /// `value`, but all ones, which is NaN, where a mask holds.
    fn nan_where(&mut self, dtype: DType, mask: Self::Value, value: Self::Value) -> Self::Value;

    /// The machine's own maximum where it is not mended; NaN where either is, and −0 is below +0.
    fn fmax(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;
    /// The machine's own minimum where it is not mended.
    fn fmin(&mut self, a: Self::Value, b: Self::Value) -> Self::Value;

    /// `b < a ? a : b`: `b` where either is NaN and where both are zero; one instruction on x86.
    fn pseudo_maximum(&mut self, dtype: DType, a: Self::Value, b: Self::Value) -> Self::Value {
        let greater = self.fcmp(FloatCC::LessThan, b, a);
        self.select(dtype, greater, a, b)
    }

    /// `a < b ? a : b`: `b` where either is NaN and where both are zero; one instruction on x86.
    fn pseudo_minimum(&mut self, dtype: DType, a: Self::Value, b: Self::Value) -> Self::Value {
        let less = self.fcmp(FloatCC::LessThan, a, b);
        self.select(dtype, less, a, b)
    }

    /// A conversion between different types of numbers, each with an arithmetic of its own: see [`DType::convert`].
    fn convert(&mut self, from: DType, to: DType, a: Self::Value) -> Self::Value;

    /// A function of floats.
    fn function(&mut self, dtype: DType, function: Function, x: Self::Value) -> Self::Value
    where
        Self: Sized,
    {
        Math::new(self, dtype).function(function, x)
    }

    /// xʸ in `f32`.
    fn power_of_single(&mut self, x: Self::Value, y: Self::Value) -> Self::Value;
    /// A function of the runtime for each lane of `f64`.
    fn runtime(&mut self, import: Import, operands: &[Self::Value]) -> Self::Value;

    /// `mantissa · 2ⁿ` for a whole number n, rounded once, for a mantissa from ½ to 2 and as far as the result is at most
    /// twice as large as the greatest number, and twice as small as the least. A power is applied in halves, since 2ⁿ may be
    /// neither finite nor normal where the result is.
    fn scale(&mut self, dtype: DType, mantissa: Self::Value, n: Self::Value) -> Self::Value
    where
        Self: Sized,
    {
        Math::new(self, dtype).scale_in_halves(mantissa, n)
    }

    /// 2ⁿ for a whole number n whose power is a normal number.
    fn power_of_two(&mut self, dtype: DType, n: Self::Value) -> Self::Value
    where
        Self: Sized,
    {
        Math::new(self, dtype).power_in_exponent(n)
    }
}

/// What is made of the operations of [`Lanes`], the same for every back end.
pub(crate) trait LanesExt: Lanes + Sized {
    /// A word in each lane.
    fn word(&mut self, word: u32) -> Self::Value {
        self.constant(DType::I32, f64::from(word as i32))
    }

    /// The greater of `value` and a constant that is neither NaN nor +0; NaN where `value` is.
    fn at_least(&mut self, dtype: DType, value: Self::Value, bound: f64) -> Self::Value {
        let bound = self.constant(dtype, bound);
        self.pseudo_maximum(dtype, bound, value)
    }

    /// The lesser of `value` and a constant that is neither NaN nor −0; NaN where `value` is.
    fn at_most(&mut self, dtype: DType, value: Self::Value, bound: f64) -> Self::Value {
        let bound = self.constant(dtype, bound);
        self.pseudo_minimum(dtype, bound, value)
    }

    /// The greater; NaN where either is, and −0 is below +0.
    fn maximum(&mut self, dtype: DType, a: Self::Value, b: Self::Value) -> Self::Value {
        match dtype {
            DType::Bool => self.bor(a, b),
            DType::U8 | DType::I32 | DType::I64 => self.smax(a, b),
            _ if !self.mends_extrema() => self.fmax(a, b),
            _ => {
                // Where they differ, both are zeros, or one is NaN.
                let one = self.pseudo_maximum(dtype, a, b);
                let other = self.pseudo_maximum(dtype, b, a);
                let both = self.band(one, other);
                let unordered = self.fcmp(FloatCC::Unordered, a, b);
                self.nan_where(dtype, unordered, both)
            }
        }
    }

    /// The lesser; NaN where either is, and −0 is below +0.
    fn minimum(&mut self, dtype: DType, a: Self::Value, b: Self::Value) -> Self::Value {
        match dtype {
            DType::Bool => self.band(a, b),
            DType::U8 | DType::I32 | DType::I64 => self.smin(a, b),
            _ if !self.mends_extrema() => self.fmin(a, b),
            _ => {
                let one = self.pseudo_minimum(dtype, a, b);
                let other = self.pseudo_minimum(dtype, b, a);
                let both = self.bor(one, other);
                let unordered = self.fcmp(FloatCC::Unordered, a, b);
                self.nan_where(dtype, unordered, both)
            }
        }
    }

    /// The step of an accumulator.
    fn combine(&mut self, dtype: DType, combine: Combine, a: Self::Value, b: Self::Value) -> Self::Value {
        match combine {
            Combine::Sum if dtype.is_float() => self.fadd(a, b),
            Combine::Sum => self.iadd(a, b),
            Combine::Max => self.maximum(dtype, a, b),
            Combine::Min => self.minimum(dtype, a, b),
        }
    }
}

impl<L: Lanes> LanesExt for L {}
