//! Functions of mathematics, written out in the kernel.
//!
//! Every function is one sequence of vector operations for `f32` and `f64`; only the constants of
//! [`tables`](mod@tables) differ. Scalars are computed in the first lane of a vector, so a scalar and a vector loop
//! give the same bits. Whole domains are covered: subnormal arguments and results, overflow, ±0, ±inf and NaN.
//!
//! The greatest errors, in units in the last place, that the tests measure and hold:
//!
//! |           | `f32` | without fused multiply-add | `f64` |
//! |-----------|-------|----------------------------|-------|
//! | exp       | 1.1   | 1.0                        | 1     |
//! | expm1     | 1.5   | 1.6                        | 2     |
//! | log       | 0.8   | 0.8                        | 1     |
//! | log1p     | 0.8   | 0.8                        | 1     |
//! | tanh      | 2.4   | 2.4                        | 3     |
//! | sigmoid   | 2.2   | 2.2                        | 2     |
//! | erf       | 1.1   | 1.2                        | –     |
//! | erfc      | 4.0   | 4.0                        | –     |
//!
//! In `f64` they are counted in whole units against a reference that is rounded as well, and erf and erfc are the runtime's. Powers
//! in `f32` are within 0.51 units; in `f64` they are the runtime's, to one. Rounding to whole numbers is exact.

mod erf;
mod exp;
mod log;
mod pow;
mod tables;
mod whole;

use cranelift_codegen::ir::condcodes::FloatCC;
use gradc_ir::DType;

use crate::lanes::Lanes;
use tables::{F32, F64, Table};

/// A function of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// eˣ
    Exp,
    /// eˣ − 1
    Expm1,
    /// ln x
    Log,
    /// ln (1 + x)
    Log1p,
    /// The hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
    /// The error function; in `f32` only.
    Erf,
    /// One less the error function; in `f32` only.
    Erfc,
    /// The greatest whole number that is not greater.
    Floor,
    /// The least whole number that is not less.
    Ceil,
    /// The nearest whole number, of two the even one.
    Round,
}

/// Emission of functions on the lanes of one float type.
pub(crate) struct Math<'l, L> {
    lanes: &'l mut L,
    dtype: DType,
    table: &'static Table,
}

impl<'l, L: Lanes> Math<'l, L> {
    /// Emission of functions on vectors of `dtype`, a float type.
    pub(crate) fn new(lanes: &'l mut L, dtype: DType) -> Math<'l, L> {
        let table = if dtype == DType::F64 { &F64 } else { &F32 };
        Math { lanes, dtype, table }
    }

    /// A function of a vector.
    pub(crate) fn function(&mut self, function: Function, x: L::Value) -> L::Value {
        match function {
            Function::Exp => self.exp(x),
            Function::Expm1 => self.expm1(x),
            Function::Log => self.log(x),
            Function::Log1p => self.log1p(x),
            Function::Tanh => self.tanh(x),
            Function::Sigmoid => self.sigmoid(x),
            Function::Erf => self.erf(x),
            Function::Erfc => self.erfc(x),
            Function::Floor => self.floor(x),
            Function::Ceil => self.ceil(x),
            Function::Round => self.nearest_whole(x),
        }
    }

    fn constant(&mut self, value: f64) -> L::Value {
        self.lanes.constant(self.dtype, value)
    }

    fn add(&mut self, a: L::Value, b: L::Value) -> L::Value {
        self.lanes.fadd(a, b)
    }

    fn sub(&mut self, a: L::Value, b: L::Value) -> L::Value {
        self.lanes.fsub(a, b)
    }

    fn mul(&mut self, a: L::Value, b: L::Value) -> L::Value {
        self.lanes.fmul(a, b)
    }

    fn div(&mut self, a: L::Value, b: L::Value) -> L::Value {
        self.lanes.fdiv(a, b)
    }

    fn abs(&mut self, a: L::Value) -> L::Value {
        self.lanes.fabs(a)
    }

    fn neg(&mut self, a: L::Value) -> L::Value {
        self.lanes.fneg(a)
    }

    fn add_constant(&mut self, a: L::Value, b: f64) -> L::Value {
        let b = self.constant(b);
        self.add(a, b)
    }

    fn mul_constant(&mut self, a: L::Value, b: f64) -> L::Value {
        let b = self.constant(b);
        self.mul(a, b)
    }

    /// `a · b + c`
    fn multiply_add(&mut self, a: L::Value, b: L::Value, c: L::Value) -> L::Value {
        self.lanes.multiply_add(a, b, c)
    }

    /// `a · b + c` with a constant factor.
    fn scale_add(&mut self, a: L::Value, b: f64, c: L::Value) -> L::Value {
        let b = self.constant(b);
        self.lanes.multiply_add(a, b, c)
    }

    /// The polynomial with these coefficients, lowest first.
    fn polynomial(&mut self, x: L::Value, coefficients: &[f64]) -> L::Value {
        let Some((&highest, lower)) = coefficients.split_last() else { return self.constant(0.0) };
        let mut sum = self.constant(highest);
        for &coefficient in lower.iter().rev() {
            let coefficient = self.constant(coefficient);
            sum = self.multiply_add(sum, x, coefficient);
        }
        sum
    }

    /// `condition(a, b) ? yes : no`
    fn choose(&mut self, condition: FloatCC, a: L::Value, b: f64, yes: L::Value, no: L::Value) -> L::Value {
        let b = self.constant(b);
        let mask = self.lanes.fcmp(condition, a, b);
        self.lanes.select(self.dtype, mask, yes, no)
    }

    /// `magnitude`, which is not negative where `sign` is not, with the sign bit of `sign` set as well.
    fn with_sign_of(&mut self, magnitude: L::Value, sign: L::Value) -> L::Value {
        let sign_bit = self.constant(-0.0);
        let sign = self.lanes.band(sign, sign_bit);
        self.lanes.bor(magnitude, sign)
    }

    /// The bits of floats as integers.
    fn bits_of(&mut self, value: L::Value) -> L::Value {
        self.lanes.bits_of(self.dtype, value)
    }

    /// Integers as the bits of floats.
    fn float_of(&mut self, bits: L::Value) -> L::Value {
        self.lanes.float_of(self.dtype, bits)
    }

    /// An integer constant as wide as the floats.
    fn bits_constant(&mut self, bits: u64) -> L::Value {
        self.lanes.bits(self.dtype, bits)
    }
}
