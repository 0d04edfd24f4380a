//! Lane-by-lane code in Cranelift's IR: vectors of 128 bits, and scalars.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use gradc_ir::DType;

use crate::code::Code;
use crate::imports::Import;
use crate::lanes::Lanes;
use crate::math::{Function, Math};
use crate::width::Width;

/// Emission at one width.
pub(crate) struct Narrow<'c, 'f> {
    /// The function.
    pub(crate) code: &'c mut Code<'f>,
    /// How many lanes there are.
    pub(crate) width: Width,
}

impl Narrow<'_, '_> {
    /// The powers of the first two lanes, and zeros.
    fn power_of_low_half(&mut self, x: Value, y: Value) -> Value {
        let code = &mut *self.code;
        let (x, y) = (code.builder.ins().fvpromote_low(x), code.builder.ins().fvpromote_low(y));
        let mut pairs = Narrow { code, width: Width::vector_of(DType::F64) };
        let power = Math::new(&mut pairs, DType::F64).pow(x, y);
        self.code.builder.ins().fvdemote(power)
    }

    /// The last two lanes of four as the first two.
    fn high_half(&mut self, value: Value) -> Value {
        let pairs = self.code.bits_as(types::F64X2, value);
        let high = self.code.builder.ins().extractlane(pairs, 1);
        let high = self.code.builder.ins().scalar_to_vector(types::F64X2, high);
        self.code.bits_as(types::F32X4, high)
    }
}

macro_rules! instructions {
    ($($method:ident($($operand:ident),*) = $instruction:ident;)*) => {
        $(fn $method(&mut self, $($operand: Value),*) -> Value {
            self.code.builder.ins().$instruction($($operand),*)
        })*
    };
}

impl Lanes for Narrow<'_, '_> {
    type Value = Value;

    instructions! {
        fadd(a, b) = fadd;
        fsub(a, b) = fsub;
        fmul(a, b) = fmul;
        fdiv(a, b) = fdiv;
        fneg(a) = fneg;
        fabs(a) = fabs;
        sqrt(a) = sqrt;
        floor(a) = floor;
        ceil(a) = ceil;
        nearest(a) = nearest;
        fmax(a, b) = fmax;
        fmin(a, b) = fmin;
        iadd(a, b) = iadd;
        isub(a, b) = isub;
        imul(a, b) = imul;
        ineg(a) = ineg;
        iabs(a) = iabs;
        smax(a, b) = smax;
        smin(a, b) = smin;
        band(a, b) = band;
        bor(a, b) = bor;
        bxor(a, b) = bxor;
    }

    fn has_rounding(&self) -> bool {
        self.code.facts.has_rounding
    }

    fn mends_extrema(&self) -> bool {
        self.code.facts.is_x86 && !self.width.is_scalar()
    }

    fn constant(&mut self, dtype: DType, value: f64) -> Value {
        self.code.constant(self.width, dtype, value)
    }

    fn bits(&mut self, dtype: DType, bits: u64) -> Value {
        let size = dtype.size();
        let ty = self.width.ty(DType::Bool);
        self.code.vector_constant(ty, &bits.to_le_bytes()[..size].repeat(16 / size))
    }

    fn multiply_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.code.multiply_add(a, b, c)
    }

    fn ishl(&mut self, a: Value, by: u8) -> Value {
        self.code.builder.ins().ishl_imm_u(a, i64::from(by))
    }

    fn ushr(&mut self, a: Value, by: u8) -> Value {
        self.code.builder.ins().ushr_imm_u(a, i64::from(by))
    }

    fn rotate_left(&mut self, a: Value, by: u8) -> Value {
        if self.width.is_scalar() {
            return self.code.builder.ins().rotl_imm_u(a, i64::from(by));
        }
        // There is no rotation of vectors.
        let high = self.ishl(a, by);
        let low = self.ushr(a, 32 - by);
        self.bor(high, low)
    }

    fn not(&mut self, mask: Value) -> Value {
        let ins = self.code.builder.ins();
        if self.width.is_scalar() { ins.bxor_imm_u(mask, 1) } else { ins.bnot(mask) }
    }

    fn bits_of(&mut self, dtype: DType, a: Value) -> Value {
        let ty = self.width.ty(if dtype == DType::F64 { DType::Bool } else { DType::I32 });
        self.code.bits_as(ty, a)
    }

    fn float_of(&mut self, dtype: DType, bits: Value) -> Value {
        let ty = self.width.ty(dtype);
        self.code.bits_as(ty, bits)
    }

    fn mask_bits(&mut self, dtype: DType, mask: Value) -> Value {
        if self.width.is_scalar() { self.code.builder.ins().bmask(self.width.ty(dtype), mask) } else { mask }
    }

    fn fcmp(&mut self, condition: FloatCC, a: Value, b: Value) -> Value {
        self.code.builder.ins().fcmp(condition, a, b)
    }

    fn icmp(&mut self, condition: IntCC, a: Value, b: Value) -> Value {
        self.code.builder.ins().icmp(condition, a, b)
    }

    fn select(&mut self, dtype: DType, mask: Value, a: Value, b: Value) -> Value {
        self.code.select(self.width, dtype, mask, a, b)
    }

    fn nan_where(&mut self, dtype: DType, mask: Value, value: Value) -> Value {
        let ones = self.code.bits_as(self.width.ty(dtype), mask);
        self.code.builder.ins().bor(value, ones)
    }

    fn convert(&mut self, from: DType, to: DType, a: Value) -> Value {
        let ty = self.width.ty(to);
        let ins = self.code.builder.ins();
        match (from, to) {
            (DType::I32, DType::I64) => ins.sextend(ty, a),
            (DType::I64, DType::I32) => ins.ireduce(ty, a),
            (DType::I32 | DType::I64, _) => ins.fcvt_from_sint(ty, a),
            (_, DType::I64) | (DType::F32, DType::I32) => ins.fcvt_to_sint_sat(ty, a),
            (_, DType::I32) => self.code.per_lane(self.width, &[(a, from)], to, |code, scalars| {
                code.builder.ins().fcvt_to_sint_sat(types::I32, scalars[0])
            }),
            (_, DType::F64) => ins.fpromote(ty, a),
            _ => ins.fdemote(ty, a),
        }
    }

    /// A scalar is computed in the first lane of a vector, so that both widths give the same bits.
    fn function(&mut self, dtype: DType, function: Function, x: Value) -> Value {
        if !self.width.is_scalar() {
            return Math::new(self, dtype).function(function, x);
        }
        let wide = Width::vector_of(dtype);
        let x = self.code.first_lane(wide, dtype, x);
        let mut lanes = Narrow { code: &mut *self.code, width: wide };
        let result = Math::new(&mut lanes, dtype).function(function, x);
        self.code.extract(wide, dtype, result, 0)
    }

    /// A power of `f32`, two at a time.
    fn power_of_single(&mut self, x: Value, y: Value) -> Value {
        let wide = Width::vector_of(DType::F32);
        if self.width.is_scalar() {
            let code = &mut *self.code;
            let (x, y) = (code.first_lane(wide, DType::F32, x), code.first_lane(wide, DType::F32, y));
            let power = self.power_of_low_half(x, y);
            return self.code.extract(wide, DType::F32, power, 0);
        }
        let low = self.power_of_low_half(x, y);
        if self.width.active <= 2 {
            return low;
        }
        let (x, y) = (self.high_half(x), self.high_half(y));
        let high = self.power_of_low_half(x, y);
        let (low, high) = (self.code.bits_as(types::F64X2, low), self.code.bits_as(types::F64X2, high));
        let high = self.code.builder.ins().extractlane(high, 0);
        let both = self.code.builder.ins().insertlane(low, high, 1);
        self.code.bits_as(types::F32X4, both)
    }

    fn runtime(&mut self, import: Import, operands: &[Value]) -> Value {
        let operands: Vec<(Value, DType)> = operands.iter().map(|&operand| (operand, DType::F64)).collect();
        self.code.per_lane(self.width, &operands, DType::F64, |code, scalars| code.call(import, scalars))
    }
}
