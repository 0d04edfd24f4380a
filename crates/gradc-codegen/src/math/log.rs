//! Logarithms.

use cranelift_codegen::ir::condcodes::FloatCC;

use super::Math;
use crate::lanes::Lanes;

/// A positive normal number as `2ᵏ · (1 + f)`, with `1 + f` between √½ and √2.
struct Parts<V> {
    k: V,
    f: V,
}

impl<L: Lanes> Math<'_, L> {
    /// ln x: −inf at ±0, NaN below.
    pub(super) fn log(&mut self, x: L::Value) -> L::Value {
        let table = self.table;
        let enlarged = self.mul_constant(x, table.subnormal_scale);
        let normal = self.choose(FloatCC::LessThan, x, table.least_normal, enlarged, x);
        let zero = self.constant(0.0);
        let correction = self.constant(-table.subnormal_scale.log2());
        let correction = self.choose(FloatCC::LessThan, x, table.least_normal, correction, zero);
        let Parts { k, f } = self.parts(normal);
        let k = self.add(k, correction);
        let low = self.mul_constant(k, table.ln2_low);
        let result = self.log_of_parts(k, f, low);
        self.log_edges(x, 0.0, result)
    }

    /// ln (1 + x): −inf at −1, NaN below, ±0 at ±0.
    pub(super) fn log1p(&mut self, x: L::Value) -> L::Value {
        let table = self.table;
        let u = self.add_constant(x, 1.0);
        let Parts { k, f } = self.parts(u);
        // What rounding took from 1 + x, relative to it: x − (u − 1), or 1 − (u − x) where x is the larger.
        let above = self.add_constant(u, -1.0);
        let lost = self.sub(x, above);
        let one = self.constant(1.0);
        let added = self.sub(u, x);
        let lost_of_large = self.sub(one, added);
        let lost = self.choose(FloatCC::LessThan, x, 1.0, lost, lost_of_large);
        let correction = self.div(lost, u);
        // Near zero 1 + x is not looked at.
        let f = self.choose(FloatCC::Equal, k, 0.0, x, f);
        let zero = self.constant(0.0);
        let correction = self.choose(FloatCC::Equal, k, 0.0, zero, correction);
        let low = self.scale_add(k, table.ln2_low, correction);
        let result = self.log_of_parts(k, f, low);
        let result = self.with_sign_of(result, x);
        self.log_edges(x, -1.0, result)
    }

    /// `k · ln 2 + ln (1 + f)`, of which `low` holds what `k · ln2_high` lacks.
    ///
    /// With s = f / (2 + f), ln (1 + f) = 2 artanh s = f − ½f² + s(½f² + R(s²)), as in Sun's fdlibm.
    fn log_of_parts(&mut self, k: L::Value, f: L::Value, low: L::Value) -> L::Value {
        let denominator = self.add_constant(f, 2.0);
        let s = self.div(f, denominator);
        let z = self.mul(s, s);
        let tail = self.polynomial(z, self.table.log);
        let half_square = self.mul(f, f);
        let half_square = self.mul_constant(half_square, 0.5);
        let correction = self.multiply_add(z, tail, half_square);
        let correction = self.multiply_add(s, correction, low);
        let correction = self.sub(half_square, correction);
        let log1p = self.sub(f, correction);
        self.scale_add(k, self.table.ln2_high, log1p)
    }

    /// `result`, but −inf at the `pole`, NaN below it, and inf and NaN where x is.
    fn log_edges(&mut self, x: L::Value, pole: f64, result: L::Value) -> L::Value {
        let result = self.choose(FloatCC::LessThan, x, f64::INFINITY, result, x);
        let nan = self.constant(f64::NAN);
        let infinite = self.constant(f64::NEG_INFINITY);
        let edge = self.choose(FloatCC::Equal, x, pole, infinite, nan);
        self.choose(FloatCC::LessThanOrEqual, x, pole, edge, result)
    }

    /// Splits positive normal numbers.
    fn parts(&mut self, x: L::Value) -> Parts<L::Value> {
        let table = self.table;
        let mantissa_bits = table.mantissa_bits;
        let bits = self.bits_of(x);
        // Moves the seam between two exponents from 1 to √½.
        let shift = self.bits_constant(table.one_bits.wrapping_sub(table.sqrt_half_bits));
        let bits = self.lanes.iadd(bits, shift);
        let exponent = self.lanes.ushr(bits, mantissa_bits);
        // An integer in the low bits of a large power of two is that power plus the integer.
        let power = self.bits_constant(table.integer_bits);
        let exponent = self.lanes.bor(exponent, power);
        let exponent = self.float_of(exponent);
        let k = self.add_constant(exponent, -(table.integer_value + f64::from(table.exponent_bias)));
        let mask = self.bits_constant((1 << mantissa_bits) - 1);
        let mantissa = self.lanes.band(bits, mask);
        let seam = self.bits_constant(table.sqrt_half_bits);
        let mantissa = self.lanes.iadd(mantissa, seam);
        let mantissa = self.float_of(mantissa);
        let f = self.add_constant(mantissa, -1.0);
        Parts { k, f }
    }
}
