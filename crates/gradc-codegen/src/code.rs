//! A function under construction, with the operations that scalars and vectors share.

use cranelift_codegen::ir::{
    AbiParam, ConstantData, Endianness, ExtFuncData, ExternalName, InstBuilder, MemFlagsData, Signature, Type,
    UserExternalName, Value, types,
};
use cranelift_frontend::FunctionBuilder;
use gradc_ir::DType;

use crate::imports::Import;
use crate::narrow::Narrow;
use crate::width::Width;

/// What emission needs to know besides the kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// Whether a fused multiply-add is one instruction.
    pub(crate) has_fma: bool,
    /// Whether rounding to whole numbers is one instruction.
    pub(crate) has_rounding: bool,
    /// Whether the machine's minimum and maximum are those of x86.
    pub(crate) is_x86: bool,
    /// Whether products and sums of the program may be fused.
    pub(crate) contract: bool,
}

/// A function under construction.
pub(crate) struct Code<'f> {
    /// Cranelift's builder.
    pub(crate) builder: FunctionBuilder<'f>,
    /// What is known of machine and options.
    pub(crate) facts: Facts,
}

/// The flags of a change of type that moves no bits.
fn cast_flags() -> MemFlagsData {
    MemFlagsData::new().with_endianness(Endianness::Little)
}

impl<'f> Code<'f> {
    /// `value` as each element.
    pub(crate) fn constant(&mut self, width: Width, dtype: DType, value: f64) -> Value {
        let ty = width.ty(dtype);
        if !width.is_scalar() {
            let lane = lane_bytes(width, dtype, value);
            return self.vector_constant(ty, &lane.repeat(usize::from(width.lanes)));
        }
        let ins = self.builder.ins();
        match dtype {
            DType::Bool => ins.iconst(ty, i64::from(value != 0.0)),
            DType::U8 | DType::I32 => ins.iconst(ty, i64::from(value as i32) & 0xffff_ffff),
            DType::I64 => ins.iconst(ty, value as i64),
            DType::F16 | DType::Bf16 | DType::F32 => ins.f32const(value as f32),
            DType::F64 => ins.f64const(value),
        }
    }

    /// A vector from its bytes.
    pub(crate) fn vector_constant(&mut self, ty: Type, bytes: &[u8]) -> Value {
        let constant = self.builder.func.dfg.constants.insert(ConstantData::from(bytes));
        self.builder.ins().vconst(ty, constant)
    }

    /// The mask that holds in the active lanes.
    pub(crate) fn active_mask(&mut self, width: Width) -> Value {
        let lane_size = 16 / usize::from(width.lanes);
        let bytes: Vec<u8> =
            (0..16).map(|byte| if byte / lane_size < usize::from(width.active) { 0xff } else { 0 }).collect();
        self.vector_constant(width.ty(DType::Bool), &bytes)
    }

    /// The same bits as another type of the same size.
    pub(crate) fn bits_as(&mut self, ty: Type, value: Value) -> Value {
        if self.builder.func.dfg.value_type(value) == ty {
            return value;
        }
        self.builder.ins().bitcast(ty, cast_flags(), value)
    }

    /// A scalar as each element.
    pub(crate) fn splat(&mut self, width: Width, dtype: DType, scalar: Value) -> Value {
        if width.is_scalar() {
            return scalar;
        }
        let ty = width.ty(dtype);
        let scalar = self.as_lane(ty, dtype, scalar);
        self.builder.ins().splat(ty, scalar)
    }

    /// A scalar in the first lane, and zeros.
    pub(crate) fn first_lane(&mut self, width: Width, dtype: DType, scalar: Value) -> Value {
        let ty = width.ty(dtype);
        let scalar = self.as_lane(ty, dtype, scalar);
        self.builder.ins().scalar_to_vector(ty, scalar)
    }

    /// One element as a scalar.
    pub(crate) fn extract(&mut self, width: Width, dtype: DType, value: Value, lane: u8) -> Value {
        if width.is_scalar() {
            return value;
        }
        let element = self.builder.ins().extractlane(value, lane);
        if dtype != DType::Bool {
            return element;
        }
        let bit = self.builder.ins().ireduce(types::I8, element);
        self.builder.ins().band_imm_u(bit, 1)
    }

    /// `vector` with a scalar at `lane`.
    pub(crate) fn insert(&mut self, width: Width, dtype: DType, vector: Value, scalar: Value, lane: u8) -> Value {
        let scalar = self.as_lane(width.ty(dtype), dtype, scalar);
        self.builder.ins().insertlane(vector, scalar, lane)
    }

    /// A scalar as it stands in a lane of `ty`: truth values become masks.
    fn as_lane(&mut self, ty: Type, dtype: DType, scalar: Value) -> Value {
        if dtype == DType::Bool { self.builder.ins().bmask(ty.lane_type(), scalar) } else { scalar }
    }

    /// An operation on scalars, lane by lane; only active lanes are computed.
    pub(crate) fn per_lane(
        &mut self,
        width: Width,
        operands: &[(Value, DType)],
        result: DType,
        mut operation: impl FnMut(&mut Self, &[Value]) -> Value,
    ) -> Value {
        if width.is_scalar() {
            let scalars: Vec<Value> = operands.iter().map(|operand| operand.0).collect();
            return operation(self, &scalars);
        }
        let mut vector = self.constant(width, result, 0.0);
        for lane in 0..width.active {
            let scalars: Vec<Value> =
                operands.iter().map(|&(value, dtype)| self.extract(width, dtype, value, lane)).collect();
            let scalar = operation(self, &scalars);
            vector = self.insert(width, result, vector, scalar, lane);
        }
        vector
    }

    /// `mask ? a : b`
    pub(crate) fn select(&mut self, width: Width, dtype: DType, mask: Value, a: Value, b: Value) -> Value {
        if width.is_scalar() {
            return self.builder.ins().select(mask, a, b);
        }
        let mask = self.bits_as(width.ty(dtype), mask);
        self.builder.ins().bitselect(mask, a, b)
    }

    /// `a · b + c`, rounded once where the machine can and twice where it cannot.
    pub(crate) fn multiply_add(&mut self, a: Value, b: Value, c: Value) -> Value {
        if self.facts.has_fma {
            return self.builder.ins().fma(a, b, c);
        }
        let product = self.builder.ins().fmul(a, b);
        self.builder.ins().fadd(product, c)
    }

    /// Emission at one width.
    pub(crate) fn lanes(&mut self, width: Width) -> Narrow<'_, 'f> {
        Narrow { code: self, width }
    }

    /// Calls a function of the runtime.
    pub(crate) fn call(&mut self, import: Import, arguments: &[Value]) -> Value {
        let function = &mut *self.builder.func;
        let name = UserExternalName::new(0, import.index());
        let name = function.declare_imported_user_function(name);
        let mut signature = Signature::new(function.signature.call_conv);
        let (parameters, result) = import.signature();
        signature.params.extend(parameters.iter().map(|&ty| AbiParam::new(ty)));
        signature.returns.push(AbiParam::new(result));
        let signature = function.import_signature(signature);
        let reference = function.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: false,
            patchable: false,
        });
        let call = self.builder.ins().call(reference, arguments);
        self.builder.inst_results(call)[0]
    }
}

/// One lane of a vector that holds `value`.
fn lane_bytes(width: Width, dtype: DType, value: f64) -> Vec<u8> {
    match (dtype, width.lanes) {
        (DType::Bool, lanes) => vec![if value != 0.0 { 0xff } else { 0 }; 16 / usize::from(lanes)],
        (DType::U8 | DType::I32, _) => (value as i32).to_le_bytes().to_vec(),
        (DType::I64, _) => (value as i64).to_le_bytes().to_vec(),
        (DType::F16 | DType::Bf16 | DType::F32, _) => (value as f32).to_le_bytes().to_vec(),
        (DType::F64, _) => value.to_le_bytes().to_vec(),
    }
}
