//! The error function.

use cranelift_codegen::ir::Value;
use cranelift_codegen::ir::condcodes::FloatCC;

use super::Math;
use super::tables::{ERF_LARGE, ERF_SATURATES, ERF_SEAM, ERF_SMALL};

impl Math<'_, '_> {
    /// erf x in `f32`, ±0 at ±0 and ±1 from 4 on: an odd polynomial near zero, `1 − exp(−p(|x|))` further out.
    pub(super) fn erf(&mut self, x: Value) -> Value {
        let square = self.mul(x, x);
        let small = self.polynomial(square, ERF_SMALL);
        let small = self.multiply_add(small, x, x);

        let magnitude = self.abs(x);
        let t = self.code.at_most(self.width, self.dtype, magnitude, ERF_SATURATES);
        let tail = self.polynomial(t, ERF_LARGE);
        let exponent = self.multiply_add(tail, t, t);
        let exponent = self.neg(exponent);
        let complement = self.exp_of_moderate(exponent);
        let one = self.constant(1.0);
        let large = self.sub(one, complement);
        let large = self.with_sign_of(large, x);
        self.choose(FloatCC::LessThan, magnitude, ERF_SEAM, small, large)
    }
}
