//! Powers in `f32`.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value};

use super::Math;

/// From here on, every number of type `f32` is whole and even.
const EVEN: f64 = 33_554_432.0;

impl Math<'_, '_> {
    /// xʸ of numbers of type `f32` held as `f64`: the logarithm of `f64` has enough digits for every exponent. It is
    /// the `pow` of IEEE 754 in all its cases.
    pub(crate) fn pow(&mut self, x: Value, y: Value) -> Value {
        let magnitude = self.abs(x);
        let log = self.log(magnitude);
        let exponent = self.mul(y, log);
        let power = self.exp(exponent);

        let bounded = self.code.at_least(self.width, self.dtype, y, -EVEN);
        let bounded = self.code.at_most(self.width, self.dtype, bounded, EVEN);
        let whole = self.round(bounded);
        let half = self.mul_constant(whole, 0.5);
        let half_whole = self.round(half);
        let fraction = self.compare(FloatCC::NotEqual, bounded, whole);
        let odd = self.compare(FloatCC::NotEqual, half, half_whole);
        let odd = self.code.builder.ins().band_not(odd, fraction);

        // A negative base gives a negative power where the exponent is odd, and none where it has a fraction.
        let minus = self.constant(-0.0);
        let sign = self.code.builder.ins().band(x, minus);
        let odd = self.float_of(odd);
        let sign = self.code.builder.ins().band(sign, odd);
        let power = self.code.builder.ins().bor(power, sign);
        let negative = self.compare_constant(FloatCC::LessThan, x, 0.0);
        let finite = self.compare_constant(FloatCC::GreaterThan, x, f64::NEG_INFINITY);
        let negative = self.code.builder.ins().band(negative, finite);
        let undefined = self.code.builder.ins().band(negative, fraction);
        let nan = self.constant(f64::NAN);
        let power = self.code.select(self.width, self.dtype, undefined, nan, power);

        // Ones, where the product of exponent and logarithm is not a number.
        let steepness = self.abs(y);
        let infinite = self.compare_constant(FloatCC::Equal, steepness, f64::INFINITY);
        let unit = self.compare_constant(FloatCC::Equal, magnitude, 1.0);
        let unit = self.code.builder.ins().band(unit, infinite);
        let constant = self.compare_constant(FloatCC::Equal, y, 0.0);
        let one_base = self.compare_constant(FloatCC::Equal, x, 1.0);
        let one = self.code.builder.ins().bor(constant, one_base);
        let is_one = self.code.builder.ins().bor(one, unit);
        let one = self.constant(1.0);
        self.code.select(self.width, self.dtype, is_one, one, power)
    }

    fn compare(&mut self, condition: FloatCC, a: Value, b: Value) -> Value {
        self.code.builder.ins().fcmp(condition, a, b)
    }

    fn compare_constant(&mut self, condition: FloatCC, a: Value, b: f64) -> Value {
        let b = self.constant(b);
        self.compare(condition, a, b)
    }
}
