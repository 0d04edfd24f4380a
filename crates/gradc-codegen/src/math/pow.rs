//! Powers in `f32`.

use cranelift_codegen::ir::condcodes::FloatCC;

use super::Math;
use crate::lanes::{Lanes, LanesExt};

/// From here on, every number of type `f32` is whole and even.
const EVEN: f64 = 33_554_432.0;

impl<L: Lanes> Math<'_, L> {
    /// xʸ of numbers of type `f32` held as `f64`: the logarithm of `f64` has enough digits for every exponent. It is
    /// the `pow` of IEEE 754 in all its cases.
    pub(crate) fn pow(&mut self, x: L::Value, y: L::Value) -> L::Value {
        let magnitude = self.abs(x);
        let log = self.log(magnitude);
        let exponent = self.mul(y, log);
        let power = self.exp(exponent);

        let bounded = self.lanes.at_least(self.dtype, y, -EVEN);
        let bounded = self.lanes.at_most(self.dtype, bounded, EVEN);
        let whole = self.round(bounded);
        let half = self.mul_constant(whole, 0.5);
        let half_whole = self.round(half);
        let fraction = self.compare(FloatCC::NotEqual, bounded, whole);
        let odd = self.compare(FloatCC::NotEqual, half, half_whole);
        let is_whole = self.lanes.not(fraction);
        let odd = self.lanes.band(odd, is_whole);

        // A negative base gives a negative power where the exponent is odd, and none where it has a fraction.
        let minus = self.constant(-0.0);
        let sign = self.lanes.band(x, minus);
        let odd = self.lanes.mask_bits(self.dtype, odd);
        let odd = self.float_of(odd);
        let sign = self.lanes.band(sign, odd);
        let power = self.lanes.bor(power, sign);
        let negative = self.compare_constant(FloatCC::LessThan, x, 0.0);
        let finite = self.compare_constant(FloatCC::GreaterThan, x, f64::NEG_INFINITY);
        let negative = self.lanes.band(negative, finite);
        let undefined = self.lanes.band(negative, fraction);
        let nan = self.constant(f64::NAN);
        let power = self.lanes.select(self.dtype, undefined, nan, power);

        // Ones, where the product of exponent and logarithm is not a number.
        let steepness = self.abs(y);
        let infinite = self.compare_constant(FloatCC::Equal, steepness, f64::INFINITY);
        let unit = self.compare_constant(FloatCC::Equal, magnitude, 1.0);
        let unit = self.lanes.band(unit, infinite);
        let constant = self.compare_constant(FloatCC::Equal, y, 0.0);
        let one_base = self.compare_constant(FloatCC::Equal, x, 1.0);
        let one = self.lanes.bor(constant, one_base);
        let is_one = self.lanes.bor(one, unit);
        let one = self.constant(1.0);
        self.lanes.select(self.dtype, is_one, one, power)
    }

    fn compare(&mut self, condition: FloatCC, a: L::Value, b: L::Value) -> L::Value {
        self.lanes.fcmp(condition, a, b)
    }

    fn compare_constant(&mut self, condition: FloatCC, a: L::Value, b: f64) -> L::Value {
        let b = self.constant(b);
        self.compare(condition, a, b)
    }
}
