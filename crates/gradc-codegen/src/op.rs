//! Scalar operations, in each lane.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use gradc_ir::{DType, ScalarOp};

use crate::half::Halves;
use crate::imports::Import;
use crate::lanes::{Lanes, LanesExt};
use crate::math::Function;

/// An operand of a scalar operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<V> {
    /// Its value.
    pub(crate) value: V,
    /// Its type.
    pub(crate) dtype: DType,
    /// Its number, if it is a constant.
    pub(crate) constant: Option<f64>,
}

/// Scalar operations as [`Lanes`] say them.
pub(crate) trait Operations: Lanes + Sized {
    /// One operation. The plan has been checked: operands are as many, and of such types, as the operation takes.
    fn operation(&mut self, op: ScalarOp, operands: &[Operand<Self::Value>]) -> Self::Value {
        let first = operands[0];
        let (a, dtype) = (first.value, first.dtype);
        let second = operands.get(1).copied().unwrap_or(first);
        let b = second.value;
        let float = dtype.is_float();
        match op {
            ScalarOp::Add if float => self.fadd(a, b),
            ScalarOp::Add => self.iadd(a, b),
            ScalarOp::Sub if float => self.fsub(a, b),
            ScalarOp::Sub => self.isub(a, b),
            ScalarOp::Mul if float => self.fmul(a, b),
            ScalarOp::Mul => self.imul(a, b),
            ScalarOp::Div => self.fdiv(a, b),
            ScalarOp::Neg if float => self.fneg(a),
            ScalarOp::Neg => self.ineg(a),
            ScalarOp::Abs if float => self.fabs(a),
            ScalarOp::Abs => self.iabs(a),
            ScalarOp::Sign => self.sign(dtype, a),
            ScalarOp::Floor if self.has_rounding() => self.floor(a),
            ScalarOp::Floor => self.function(dtype, Function::Floor, a),
            ScalarOp::Ceil if self.has_rounding() => self.ceil(a),
            ScalarOp::Ceil => self.function(dtype, Function::Ceil, a),
            ScalarOp::Round if self.has_rounding() => self.nearest(a),
            ScalarOp::Round => self.function(dtype, Function::Round, a),
            ScalarOp::Min | ScalarOp::Max => self.extremum(op == ScalarOp::Max, first, second),
            ScalarOp::Sqrt => self.sqrt(a),
            ScalarOp::Rsqrt => {
                let one = self.constant(dtype, 1.0);
                let root = self.sqrt(a);
                self.fdiv(one, root)
            }
            ScalarOp::Exp => self.function(dtype, Function::Exp, a),
            ScalarOp::Expm1 => self.function(dtype, Function::Expm1, a),
            ScalarOp::Log => self.function(dtype, Function::Log, a),
            ScalarOp::Log1p => self.function(dtype, Function::Log1p, a),
            ScalarOp::Tanh => self.function(dtype, Function::Tanh, a),
            ScalarOp::Sigmoid => self.function(dtype, Function::Sigmoid, a),
            ScalarOp::Erf if dtype == DType::F64 => self.runtime(Import::ErfF64, &[a]),
            ScalarOp::Erf => self.function(dtype, Function::Erf, a),
            ScalarOp::Erfc if dtype == DType::F64 => self.runtime(Import::ErfcF64, &[a]),
            ScalarOp::Erfc => self.function(dtype, Function::Erfc, a),
            ScalarOp::Pow => self.power(first, second),
            ScalarOp::Eq => self.compare(Comparison::Equal, first, second),
            ScalarOp::Ne => self.compare(Comparison::NotEqual, first, second),
            ScalarOp::Lt => self.compare(Comparison::Less, first, second),
            ScalarOp::Le => self.compare(Comparison::LessOrEqual, first, second),
            ScalarOp::Gt => self.compare(Comparison::Less, second, first),
            ScalarOp::Ge => self.compare(Comparison::LessOrEqual, second, first),
            ScalarOp::And => self.band(a, b),
            ScalarOp::Or => self.bor(a, b),
            ScalarOp::Not => self.not(a),
            ScalarOp::Select => self.select(second.dtype, a, b, operands[2].value),
            ScalarOp::Cast(to) => self.conversion(dtype, to, a),
            ScalarOp::Xor => self.bxor(a, b),
            ScalarOp::RotateLeft(0) | ScalarOp::ShiftRight(0) => a,
            ScalarOp::RotateLeft(bits) => self.rotate_left(a, bits),
            ScalarOp::ShiftRight(bits) => self.ushr(a, bits),
        }
    }

    /// 1, −1, or the operand itself where it is ±0 or NaN.
    fn sign(&mut self, dtype: DType, a: Self::Value) -> Self::Value {
        let zero = self.constant(dtype, 0.0);
        if dtype.is_integer() {
            let negative = self.icmp(IntCC::SignedLessThan, a, zero);
            let positive = self.icmp(IntCC::SignedGreaterThan, a, zero);
            let (negative, positive) = (self.mask_bits(dtype, negative), self.mask_bits(dtype, positive));
            return self.isub(negative, positive);
        }
        let (one, minus_one) = (self.constant(dtype, 1.0), self.constant(dtype, -1.0));
        let negative = self.fcmp(FloatCC::LessThan, a, zero);
        let positive = self.fcmp(FloatCC::LessThan, zero, a);
        let not_positive = self.select(dtype, negative, minus_one, a);
        self.select(dtype, positive, one, not_positive)
    }

    /// The greater or the lesser. Where one is a constant, NaN can come from one side only.
    fn extremum(&mut self, greater: bool, a: Operand<Self::Value>, b: Operand<Self::Value>) -> Self::Value {
        let dtype = a.dtype;
        let (value, bound) = if b.constant.is_some() { (a.value, b.constant) } else { (b.value, a.constant) };
        let (a, b) = (a.value, b.value);
        match (bound.filter(|bound| dtype.is_float() && !bound.is_nan()), greater) {
            (None, true) => self.maximum(dtype, a, b),
            (None, false) => self.minimum(dtype, a, b),
            (Some(bound), true) => {
                let result = self.at_least(dtype, value, bound);
                if bound == 0.0 && bound.is_sign_positive() { self.positive_zero(dtype, result) } else { result }
            }
            (Some(bound), false) if bound == 0.0 && bound.is_sign_negative() => {
                let bound = self.constant(dtype, bound);
                let reaches = self.fcmp(FloatCC::GreaterThanOrEqual, value, bound);
                self.select(dtype, reaches, bound, value)
            }
            (Some(bound), false) => self.at_most(dtype, value, bound),
        }
    }

    /// `value`, with −0 as +0.
    fn positive_zero(&mut self, dtype: DType, value: Self::Value) -> Self::Value {
        let zero = self.constant(dtype, 0.0);
        self.fadd(value, zero)
    }

    /// A power. Small whole exponents are products; in `f64`, all others are the runtime's.
    fn power(&mut self, base: Operand<Self::Value>, exponent: Operand<Self::Value>) -> Self::Value {
        let (x, dtype) = (base.value, base.dtype);
        let whole = exponent.constant.filter(|value| value.fract() == 0.0 && (-1.0..=4.0).contains(value));
        match whole.map(|value| value as i32) {
            Some(-1) => {
                let one = self.constant(dtype, 1.0);
                self.fdiv(one, x)
            }
            Some(0) => self.constant(dtype, 1.0),
            Some(1) => x,
            Some(2) => self.fmul(x, x),
            Some(3) => {
                let square = self.fmul(x, x);
                self.fmul(square, x)
            }
            Some(_) => {
                let square = self.fmul(x, x);
                self.fmul(square, square)
            }
            None if dtype == DType::F32 => self.power_of_single(x, exponent.value),
            None => self.runtime(Import::PowF64, &[x, exponent.value]),
        }
    }

    /// A comparison; false where either operand is NaN, but for `NotEqual`.
    fn compare(&mut self, comparison: Comparison, a: Operand<Self::Value>, b: Operand<Self::Value>) -> Self::Value {
        let dtype = a.dtype;
        let (a, b) = (a.value, b.value);
        match (dtype, comparison) {
            _ if dtype.is_float() => self.fcmp(comparison.float(), a, b),
            // An `u8` is held as an `i32` from 0 to 255.
            _ if dtype.is_integer() => self.icmp(comparison.integer(), a, b),
            (_, Comparison::NotEqual) => self.bxor(a, b),
            (_, Comparison::Equal) => {
                let differ = self.bxor(a, b);
                self.not(differ)
            }
            (_, Comparison::Less) => {
                let not_a = self.not(a);
                self.band(not_a, b)
            }
            (_, Comparison::LessOrEqual) => {
                let not_a = self.not(a);
                self.bor(not_a, b)
            }
        }
    }

    /// A conversion: see [`DType::convert`].
    fn conversion(&mut self, from: DType, to: DType, a: Self::Value) -> Self::Value {
        match (from, to) {
            _ if from == to => a,
            (_, DType::Bool) => {
                let zero = self.constant(from, 0.0);
                if from.is_float() {
                    self.fcmp(FloatCC::NotEqual, a, zero)
                } else {
                    self.icmp(IntCC::NotEqual, a, zero)
                }
            }
            (DType::Bool, _) => {
                let one = self.constant(to, 1.0);
                let zero = self.constant(to, 0.0);
                self.select(to, a, one, zero)
            }
            (DType::F32, DType::F16 | DType::Bf16) => self.round_to_half(to, a),
            // An element of a storage type is in its register as the type of its arithmetic.
            (DType::F16 | DType::Bf16, _) | (DType::U8, _) => a,
            (_, DType::U8) => {
                let byte = self.word(0xff);
                self.band(a, byte)
            }
            _ => self.convert(from, to, a),
        }
    }
}

impl<L: Lanes> Operations for L {}

/// The comparisons that the others are made of.
#[derive(Clone, Copy)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    fn float(self) -> FloatCC {
        match self {
            Comparison::Equal => FloatCC::Equal,
            Comparison::NotEqual => FloatCC::NotEqual,
            Comparison::Less => FloatCC::LessThan,
            Comparison::LessOrEqual => FloatCC::LessThanOrEqual,
        }
    }

    fn integer(self) -> IntCC {
        match self {
            Comparison::Equal => IntCC::Equal,
            Comparison::NotEqual => IntCC::NotEqual,
            Comparison::Less => IntCC::SignedLessThan,
            Comparison::LessOrEqual => IntCC::SignedLessThanOrEqual,
        }
    }
}
