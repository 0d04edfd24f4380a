//! Scalar operations, on one element or on a vector of them.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use gradc_ir::{DType, ScalarOp};

use crate::code::Code;
use crate::imports::Import;
use crate::math::{Function, Math};
use crate::width::Width;

/// An operand of a scalar operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand {
    /// Its value, of the width that is being emitted.
    pub(crate) value: Value,
    /// Its type.
    pub(crate) dtype: DType,
    /// Its number, if it is a constant.
    pub(crate) constant: Option<f64>,
}

impl Code<'_> {
    /// One operation. The plan has been checked: operands are as many, and of such types, as the operation takes.
    pub(crate) fn operation(&mut self, width: Width, op: ScalarOp, operands: &[Operand]) -> Value {
        let first = operands[0];
        let (a, dtype) = (first.value, first.dtype);
        let second = operands.get(1).copied().unwrap_or(first);
        let b = second.value;
        let float = dtype.is_float();
        match op {
            ScalarOp::Add if float => self.builder.ins().fadd(a, b),
            ScalarOp::Add => self.builder.ins().iadd(a, b),
            ScalarOp::Sub if float => self.builder.ins().fsub(a, b),
            ScalarOp::Sub => self.builder.ins().isub(a, b),
            ScalarOp::Mul if float => self.builder.ins().fmul(a, b),
            ScalarOp::Mul => self.builder.ins().imul(a, b),
            ScalarOp::Div => self.builder.ins().fdiv(a, b),
            ScalarOp::Neg if float => self.builder.ins().fneg(a),
            ScalarOp::Neg => self.builder.ins().ineg(a),
            ScalarOp::Abs if float => self.builder.ins().fabs(a),
            ScalarOp::Abs => self.builder.ins().iabs(a),
            ScalarOp::Sign => self.sign(width, dtype, a),
            ScalarOp::Floor if self.facts.has_rounding => self.builder.ins().floor(a),
            ScalarOp::Floor => self.function(width, dtype, Function::Floor, a),
            ScalarOp::Ceil if self.facts.has_rounding => self.builder.ins().ceil(a),
            ScalarOp::Ceil => self.function(width, dtype, Function::Ceil, a),
            ScalarOp::Round if self.facts.has_rounding => self.builder.ins().nearest(a),
            ScalarOp::Round => self.function(width, dtype, Function::Round, a),
            ScalarOp::Min | ScalarOp::Max => self.extremum(width, op == ScalarOp::Max, first, second),
            ScalarOp::Sqrt => self.builder.ins().sqrt(a),
            ScalarOp::Rsqrt => {
                let one = self.constant(width, dtype, 1.0);
                let root = self.builder.ins().sqrt(a);
                self.builder.ins().fdiv(one, root)
            }
            ScalarOp::Exp => self.function(width, dtype, Function::Exp, a),
            ScalarOp::Expm1 => self.function(width, dtype, Function::Expm1, a),
            ScalarOp::Log => self.function(width, dtype, Function::Log, a),
            ScalarOp::Log1p => self.function(width, dtype, Function::Log1p, a),
            ScalarOp::Tanh => self.function(width, dtype, Function::Tanh, a),
            ScalarOp::Sigmoid => self.function(width, dtype, Function::Sigmoid, a),
            ScalarOp::Erf if dtype == DType::F64 => {
                self.per_lane(width, &[(a, dtype)], dtype, |code, scalars| code.call(Import::ErfF64, scalars))
            }
            ScalarOp::Erf => self.function(width, dtype, Function::Erf, a),
            ScalarOp::Erfc if dtype == DType::F64 => {
                self.per_lane(width, &[(a, dtype)], dtype, |code, scalars| code.call(Import::ErfcF64, scalars))
            }
            ScalarOp::Erfc => self.function(width, dtype, Function::Erfc, a),
            ScalarOp::Pow => self.power(width, first, second),
            ScalarOp::Eq => self.compare(width, Comparison::Equal, first, second),
            ScalarOp::Ne => self.compare(width, Comparison::NotEqual, first, second),
            ScalarOp::Lt => self.compare(width, Comparison::Less, first, second),
            ScalarOp::Le => self.compare(width, Comparison::LessOrEqual, first, second),
            ScalarOp::Gt => self.compare(width, Comparison::Less, second, first),
            ScalarOp::Ge => self.compare(width, Comparison::LessOrEqual, second, first),
            ScalarOp::And => self.builder.ins().band(a, b),
            ScalarOp::Or => self.builder.ins().bor(a, b),
            ScalarOp::Not => self.not(width, a),
            ScalarOp::Select => self.select(width, second.dtype, a, b, operands[2].value),
            ScalarOp::Cast(to) => self.convert(width, dtype, to, a),
            ScalarOp::Xor => self.builder.ins().bxor(a, b),
            ScalarOp::RotateLeft(0) | ScalarOp::ShiftRight(0) => a,
            ScalarOp::RotateLeft(bits) if width.is_scalar() => self.builder.ins().rotl_imm_u(a, i64::from(bits)),
            // There is no rotation of vectors.
            ScalarOp::RotateLeft(bits) => {
                let high = self.builder.ins().ishl_imm_u(a, i64::from(bits));
                let low = self.builder.ins().ushr_imm_u(a, i64::from(32 - bits));
                self.builder.ins().bor(high, low)
            }
            ScalarOp::ShiftRight(bits) => self.builder.ins().ushr_imm_u(a, i64::from(bits)),
        }
    }

    /// A function of the table; a scalar is computed in the first lane, so that both widths give the same bits.
    fn function(&mut self, width: Width, dtype: DType, function: Function, x: Value) -> Value {
        if !width.is_scalar() {
            return Math::new(self, dtype).function(function, x);
        }
        let wide = Width::vector_of(dtype);
        let x = self.first_lane(wide, dtype, x);
        let result = Math::new(self, dtype).function(function, x);
        self.extract(wide, dtype, result, 0)
    }

    /// 1, −1, or the operand itself where it is ±0 or NaN.
    fn sign(&mut self, width: Width, dtype: DType, a: Value) -> Value {
        let zero = self.constant(width, dtype, 0.0);
        if dtype.is_integer() {
            let negative = self.builder.ins().icmp(IntCC::SignedLessThan, a, zero);
            let positive = self.builder.ins().icmp(IntCC::SignedGreaterThan, a, zero);
            let (negative, positive) = (self.mask_bits(width, dtype, negative), self.mask_bits(width, dtype, positive));
            return self.builder.ins().isub(negative, positive);
        }
        let (one, minus_one) = (self.constant(width, dtype, 1.0), self.constant(width, dtype, -1.0));
        let negative = self.builder.ins().fcmp(FloatCC::LessThan, a, zero);
        let positive = self.builder.ins().fcmp(FloatCC::LessThan, zero, a);
        let not_positive = self.select(width, dtype, negative, minus_one, a);
        self.select(width, dtype, positive, one, not_positive)
    }

    /// A truth value as an integer of all ones or zeros.
    fn mask_bits(&mut self, width: Width, dtype: DType, mask: Value) -> Value {
        if width.is_scalar() { self.builder.ins().bmask(width.ty(dtype), mask) } else { mask }
    }

    /// The greater or the lesser. Where one is a constant, NaN can come from one side only.
    fn extremum(&mut self, width: Width, greater: bool, a: Operand, b: Operand) -> Value {
        let dtype = a.dtype;
        let (value, bound) = if b.constant.is_some() { (a.value, b.constant) } else { (b.value, a.constant) };
        let (a, b) = (a.value, b.value);
        match (bound.filter(|bound| dtype.is_float() && !bound.is_nan()), greater) {
            (None, true) => self.maximum(width, dtype, a, b),
            (None, false) => self.minimum(width, dtype, a, b),
            (Some(bound), true) => {
                let result = self.at_least(width, dtype, value, bound);
                if bound == 0.0 && bound.is_sign_positive() { self.positive_zero(width, dtype, result) } else { result }
            }
            (Some(bound), false) if bound == 0.0 && bound.is_sign_negative() => {
                let bound = self.constant(width, dtype, bound);
                let reaches = self.builder.ins().fcmp(FloatCC::GreaterThanOrEqual, value, bound);
                self.select(width, dtype, reaches, bound, value)
            }
            (Some(bound), false) => self.at_most(width, dtype, value, bound),
        }
    }

    /// `value`, with −0 as +0.
    fn positive_zero(&mut self, width: Width, dtype: DType, value: Value) -> Value {
        let zero = self.constant(width, dtype, 0.0);
        self.builder.ins().fadd(value, zero)
    }

    /// A power. Small whole exponents are products; in `f64`, all others are the runtime's.
    fn power(&mut self, width: Width, base: Operand, exponent: Operand) -> Value {
        let (x, dtype) = (base.value, base.dtype);
        let whole = exponent.constant.filter(|value| value.fract() == 0.0 && (-1.0..=4.0).contains(value));
        match whole.map(|value| value as i32) {
            Some(-1) => {
                let one = self.constant(width, dtype, 1.0);
                self.builder.ins().fdiv(one, x)
            }
            Some(0) => self.constant(width, dtype, 1.0),
            Some(1) => x,
            Some(2) => self.builder.ins().fmul(x, x),
            Some(3) => {
                let square = self.builder.ins().fmul(x, x);
                self.builder.ins().fmul(square, x)
            }
            Some(_) => {
                let square = self.builder.ins().fmul(x, x);
                self.builder.ins().fmul(square, square)
            }
            None if dtype == DType::F32 => self.power_in_double(width, x, exponent.value),
            None => {
                let operands = [(x, dtype), (exponent.value, dtype)];
                self.per_lane(width, &operands, dtype, |code, scalars| code.call(Import::PowF64, scalars))
            }
        }
    }

    /// A power of `f32`, two at a time.
    fn power_in_double(&mut self, width: Width, x: Value, y: Value) -> Value {
        let wide = Width::vector_of(DType::F32);
        if width.is_scalar() {
            let (x, y) = (self.first_lane(wide, DType::F32, x), self.first_lane(wide, DType::F32, y));
            let power = self.power_of_low_half(x, y);
            return self.extract(wide, DType::F32, power, 0);
        }
        let low = self.power_of_low_half(x, y);
        if width.active <= 2 {
            return low;
        }
        let (x, y) = (self.high_half(x), self.high_half(y));
        let high = self.power_of_low_half(x, y);
        let (low, high) = (self.bits_as(types::F64X2, low), self.bits_as(types::F64X2, high));
        let high = self.builder.ins().extractlane(high, 0);
        let both = self.builder.ins().insertlane(low, high, 1);
        self.bits_as(types::F32X4, both)
    }

    /// The powers of the first two lanes, and zeros.
    fn power_of_low_half(&mut self, x: Value, y: Value) -> Value {
        let (x, y) = (self.builder.ins().fvpromote_low(x), self.builder.ins().fvpromote_low(y));
        let power = Math::new(self, DType::F64).pow(x, y);
        self.builder.ins().fvdemote(power)
    }

    /// The last two lanes of four as the first two.
    fn high_half(&mut self, value: Value) -> Value {
        let pairs = self.bits_as(types::F64X2, value);
        let high = self.builder.ins().extractlane(pairs, 1);
        let high = self.builder.ins().scalar_to_vector(types::F64X2, high);
        self.bits_as(types::F32X4, high)
    }

    /// A comparison; false where either operand is NaN, but for `NotEqual`.
    fn compare(&mut self, width: Width, comparison: Comparison, a: Operand, b: Operand) -> Value {
        let dtype = a.dtype;
        let (a, b) = (a.value, b.value);
        match (dtype, comparison) {
            _ if dtype.is_float() => self.builder.ins().fcmp(comparison.float(), a, b),
            // An `u8` is held as an `i32` from 0 to 255.
            _ if dtype.is_integer() => self.builder.ins().icmp(comparison.integer(), a, b),
            (_, Comparison::NotEqual) => self.builder.ins().bxor(a, b),
            (_, Comparison::Equal) => {
                let differ = self.builder.ins().bxor(a, b);
                self.not(width, differ)
            }
            (_, Comparison::Less) => {
                let not_a = self.not(width, a);
                self.builder.ins().band(not_a, b)
            }
            (_, Comparison::LessOrEqual) => {
                let not_a = self.not(width, a);
                self.builder.ins().bor(not_a, b)
            }
        }
    }

    /// The opposite truth value.
    fn not(&mut self, width: Width, a: Value) -> Value {
        if width.is_scalar() { self.builder.ins().bxor_imm_u(a, 1) } else { self.builder.ins().bnot(a) }
    }

    /// A conversion: see [`DType::convert`].
    fn convert(&mut self, width: Width, from: DType, to: DType, a: Value) -> Value {
        match (from, to) {
            _ if from == to => a,
            (_, DType::Bool) => {
                let zero = self.constant(width, from, 0.0);
                if from.is_float() {
                    self.builder.ins().fcmp(FloatCC::NotEqual, a, zero)
                } else {
                    self.builder.ins().icmp(IntCC::NotEqual, a, zero)
                }
            }
            (DType::Bool, _) => {
                let one = self.constant(width, to, 1.0);
                let zero = self.constant(width, to, 0.0);
                self.select(width, to, a, one, zero)
            }
            (DType::F32, DType::F16 | DType::Bf16) => self.round_to_half(width, to, a),
            // An element of a storage type is in its register as the type of its arithmetic.
            (DType::F16 | DType::Bf16, _) | (DType::U8, _) => a,
            (_, DType::U8) => {
                let byte = self.word(width, 0xff);
                self.builder.ins().band(a, byte)
            }
            (DType::I32, DType::I64) => self.builder.ins().sextend(types::I64, a),
            (DType::I64, DType::I32) => self.builder.ins().ireduce(types::I32, a),
            (DType::I32 | DType::I64, _) => {
                let ty = width.ty(to);
                self.builder.ins().fcvt_from_sint(ty, a)
            }
            (_, DType::I64) => self.builder.ins().fcvt_to_sint_sat(types::I64, a),
            (DType::F32, DType::I32) => {
                let ty = width.ty(to);
                self.builder.ins().fcvt_to_sint_sat(ty, a)
            }
            (_, DType::I32) => self.per_lane(width, &[(a, from)], to, |code, scalars| {
                code.builder.ins().fcvt_to_sint_sat(types::I32, scalars[0])
            }),
            (_, DType::F64) => self.builder.ins().fpromote(types::F64, a),
            _ => self.builder.ins().fdemote(types::F32, a),
        }
    }
}

/// The comparisons that the others are made of.
#[derive(Clone, Copy)]
enum Comparison {
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
