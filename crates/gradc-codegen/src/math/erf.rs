//! The error function and what it is short of one.

use cranelift_codegen::ir::condcodes::FloatCC;

use super::Math;
use super::tables::{ERF_LARGE, ERF_SATURATES, ERF_SEAM, ERF_SMALL, ERFC_SCALED, ERFC_SEAM, ERFC_VANISHES};
use crate::lanes::{Lanes, LanesExt};

impl<L: Lanes> Math<'_, L> {
    /// erf x in `f32`, ±0 at ±0 and ±1 from 4 on: an odd polynomial near zero, `1 − exp(−p(|x|))` further out.
    pub(super) fn erf(&mut self, x: L::Value) -> L::Value {
        let square = self.mul(x, x);
        let small = self.polynomial(square, ERF_SMALL);
        let small = self.multiply_add(small, x, x);

        let magnitude = self.abs(x);
        let t = self.lanes.at_most(self.dtype, magnitude, ERF_SATURATES);
        let tail = self.polynomial(t, ERF_LARGE);
        let exponent = self.multiply_add(tail, t, t);
        let exponent = self.neg(exponent);
        let complement = self.exp_of_moderate(exponent);
        let one = self.constant(1.0);
        let large = self.sub(one, complement);
        let large = self.with_sign_of(large, x);
        self.choose(FloatCC::LessThan, magnitude, ERF_SEAM, small, large)
    }

    /// erfc x in `f32`: `1 − erf x` near zero, `exp(−x²) p(|x|) / (1 + 2|x|)` further out.
    pub(super) fn erfc(&mut self, x: L::Value) -> L::Value {
        let one = self.constant(1.0);
        let square = self.mul(x, x);
        let small = self.polynomial(square, ERF_SMALL);
        let small = self.multiply_add(small, x, x);
        let small = self.sub(one, small);

        let magnitude = self.abs(x);
        let t = self.lanes.at_most(self.dtype, magnitude, ERFC_VANISHES);
        let (less, more) = (self.add_constant(t, -3.0), self.add_constant(t, 3.0));
        let place = self.div(less, more);
        let scaled = self.polynomial(place, ERFC_SCALED);
        let twice = self.add(t, t);
        let denominator = self.add(one, twice);
        let scaled = self.div(scaled, denominator);
        // A rounded square would cost as many digits as it has before the point. What it lacks is known: the square of a
        // number of half the digits is exact.
        let square = self.mul(t, t);
        let exponent = self.neg(square);
        let bell = self.exp_of_negative(exponent);
        let high = self.with_half_the_digits(t);
        let low = self.sub(t, high);
        let exact = self.mul(high, high);
        let lacking = self.sub(exact, square);
        let sum = self.add(t, high);
        let cross = self.mul(low, sum);
        let lacking = self.add(lacking, cross);
        let correction = self.mul(scaled, lacking);
        let scaled = self.sub(scaled, correction);
        let tail = self.mul(bell, scaled);

        let two = self.constant(2.0);
        let rest = self.sub(two, tail);
        let large = self.choose(FloatCC::LessThan, x, 0.0, rest, tail);
        self.choose(FloatCC::LessThan, magnitude, ERFC_SEAM, small, large)
    }

    /// A number without the lower twelve digits of its 24.
    fn with_half_the_digits(&mut self, x: L::Value) -> L::Value {
        let bits = self.bits_of(x);
        let mask = self.bits_constant(0xffff_f000);
        let high = self.lanes.band(bits, mask);
        self.float_of(high)
    }
}
