//! Rounding to whole numbers, for machines without an instruction for it.

use cranelift_codegen::ir::condcodes::FloatCC;
use gradc_ir::DType;

use super::Math;
use crate::lanes::Lanes;

impl<L: Lanes> Math<'_, L> {
    /// The nearest whole number, of two the even one: a sum with a number so large that its neighbours are whole numbers
    /// is rounded to one.
    pub(super) fn nearest_whole(&mut self, x: L::Value) -> L::Value {
        let large = if self.dtype == DType::F64 { 2.0_f64.powi(52) } else { 2.0_f64.powi(23) };
        let magnitude = self.abs(x);
        let sum = self.add_constant(magnitude, large);
        let nearest = self.add_constant(sum, -large);
        let nearest = self.with_sign_of(nearest, x);
        // Larger numbers are whole already, and NaN stays NaN.
        self.choose(FloatCC::LessThan, magnitude, large, nearest, x)
    }

    /// The greatest whole number that is not greater.
    pub(super) fn floor(&mut self, x: L::Value) -> L::Value {
        let nearest = self.nearest_whole(x);
        let below = self.add_constant(nearest, -1.0);
        let is_greater = self.lanes.fcmp(FloatCC::LessThan, x, nearest);
        self.lanes.select(self.dtype, is_greater, below, nearest)
    }

    /// The least whole number that is not less.
    pub(super) fn ceil(&mut self, x: L::Value) -> L::Value {
        let nearest = self.nearest_whole(x);
        let above = self.add_constant(nearest, 1.0);
        // −1 + 1 is −0 here.
        let above = self.with_sign_of(above, x);
        let is_less = self.lanes.fcmp(FloatCC::LessThan, nearest, x);
        self.lanes.select(self.dtype, is_less, above, nearest)
    }
}
