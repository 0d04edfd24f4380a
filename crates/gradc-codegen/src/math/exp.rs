//! The exponential and what is made of it.

use cranelift_codegen::ir::condcodes::FloatCC;

use super::Math;
use crate::lanes::{Lanes, LanesExt};

/// `x = n · ln 2 + r`, with |r| ≤ ½ ln 2.
struct Reduced<V> {
    /// A whole number.
    n: V,
    /// eʳ − 1, to the last place.
    expm1: V,
}

impl<L: Lanes> Math<'_, L> {
    /// eˣ: 0 and inf where it under- and overflows, subnormal in between.
    pub(super) fn exp(&mut self, x: L::Value) -> L::Value {
        let (low, high) = self.table.exp_range;
        let x = self.lanes.at_least(self.dtype, x, low);
        let x = self.lanes.at_most(self.dtype, x, high);
        let reduced = self.reduce(x);
        self.exp_reduced(&reduced)
    }

    /// eˣ for x ≤ 0.
    pub(super) fn exp_of_negative(&mut self, x: L::Value) -> L::Value {
        let low = self.table.exp_range.0;
        let x = self.lanes.at_least(self.dtype, x, low);
        let reduced = self.reduce(x);
        self.exp_reduced(&reduced)
    }

    /// e⁻ˣ where it is neither subnormal nor inf.
    pub(super) fn exp_of_moderate(&mut self, x: L::Value) -> L::Value {
        let reduced = self.reduce(x);
        let mantissa = self.add_constant(reduced.expm1, 1.0);
        let scale = self.power_of_two(reduced.n);
        self.mul(mantissa, scale)
    }

    /// 2ⁿ · eʳ
    fn exp_reduced(&mut self, reduced: &Reduced<L::Value>) -> L::Value {
        let mantissa = self.add_constant(reduced.expm1, 1.0);
        self.lanes.scale(self.dtype, mantissa, reduced.n)
    }

    /// `mantissa · 2ⁿ`: see [`Lanes::scale`].
    pub(crate) fn scale_in_halves(&mut self, mantissa: L::Value, n: L::Value) -> L::Value {
        let half = self.mul_constant(n, 0.5);
        let half = self.round(half);
        let rest = self.sub(n, half);
        let (half, rest) = (self.power_of_two(half), self.power_of_two(rest));
        let scaled = self.mul(mantissa, half);
        self.mul(scaled, rest)
    }

    /// eˣ − 1, and ±0 at ±0.
    pub(super) fn expm1(&mut self, x: L::Value) -> L::Value {
        let low = self.table.expm1_low;
        let high = self.table.exp_range.1;
        let clamped = self.lanes.at_least(self.dtype, x, low);
        let clamped = self.lanes.at_most(self.dtype, clamped, high);
        let result = self.expm1_of_moderate(clamped);
        self.with_sign_of(result, x)
    }

    /// eˣ − 1 in the range in which it is neither −1 nor inf, but for the sign of zero.
    fn expm1_of_moderate(&mut self, x: L::Value) -> L::Value {
        let Reduced { n, expm1 } = self.reduce(x);
        // 2ⁿ(eʳ − 1) + (2ⁿ − 1), computed at half its size: 2ⁿ itself may overflow.
        let one_less = self.add_constant(n, -1.0);
        let scale = self.power_of_two(one_less);
        let offset = self.add_constant(scale, -0.5);
        let half = self.multiply_add(scale, expm1, offset);
        let whole = self.add(half, half);
        // Halving would lose the last bit of a subnormal.
        self.choose(FloatCC::Equal, n, 0.0, expm1, whole)
    }

    /// (e²ˣ − 1) / (e²ˣ + 1) with the numerator from expm1; it saturates at ±1 and is ±0 at ±0.
    pub(super) fn tanh(&mut self, x: L::Value) -> L::Value {
        let magnitude = self.abs(x);
        let double = self.add(magnitude, magnitude);
        let double = self.lanes.at_most(self.dtype, double, self.table.tanh_high);
        let numerator = self.expm1_of_moderate(double);
        let denominator = self.add_constant(numerator, 2.0);
        let quotient = self.div(numerator, denominator);
        self.with_sign_of(quotient, x)
    }

    /// 1 / (1 + e⁻ˣ), and eˣ / (1 + eˣ) for negative x: the small tail keeps all its digits.
    pub(super) fn sigmoid(&mut self, x: L::Value) -> L::Value {
        let magnitude = self.abs(x);
        let negative = self.neg(magnitude);
        let exp = self.exp_of_negative(negative);
        let one = self.constant(1.0);
        let numerator = self.choose(FloatCC::LessThan, x, 0.0, exp, one);
        let denominator = self.add(exp, one);
        self.div(numerator, denominator)
    }

    /// The reduction by multiples of ln 2, whose leading part times n is exact.
    fn reduce(&mut self, x: L::Value) -> Reduced<L::Value> {
        let table = self.table;
        let turns = self.mul_constant(x, std::f64::consts::LOG2_E);
        let n = self.round(turns);
        let r = self.scale_add(n, -table.ln2_high, x);
        let r = self.scale_add(n, -table.ln2_low, r);
        let square = self.mul(r, r);
        let tail = self.polynomial(r, table.expm1);
        let expm1 = self.multiply_add(square, tail, r);
        Reduced { n, expm1 }
    }

    /// The nearest whole number, for numbers of less than half the precision's range.
    pub(super) fn round(&mut self, x: L::Value) -> L::Value {
        let shifted = self.add_constant(x, self.table.round_shift);
        self.add_constant(shifted, -self.table.round_shift)
    }

    fn power_of_two(&mut self, n: L::Value) -> L::Value {
        self.lanes.power_of_two(self.dtype, n)
    }

    /// 2ⁿ for a whole n whose power is a normal number: n, biased, is shifted into the place of the exponent.
    pub(crate) fn power_in_exponent(&mut self, n: L::Value) -> L::Value {
        let table = self.table;
        let biased = self.add_constant(n, table.round_shift + f64::from(table.exponent_bias));
        let bits = self.bits_of(biased);
        let bits = self.lanes.ishl(bits, table.mantissa_bits);
        self.float_of(bits)
    }
}
