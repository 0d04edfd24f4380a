//! Kernels to Cranelift's IR.
//!
//! One kernel is one function, `extern "C" fn(buffers: *const *mut u8)`. [`statement`](self) translates what stands in
//! a kernel one to one; [`loops`] decides how loops run; [`memory`] makes addresses, loads and stores; [`crate::op`]
//! makes arithmetic, with the functions of [`crate::math`].

mod loops;
mod memory;
mod vector;

use cranelift_codegen::ir::{AbiParam, Function, InstBuilder, MemFlagsData, Signature, UserFuncName, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::{Affine, Expr, Kernel, LoopVar, Reg, Stmt};
use rustc_hash::FxHashMap;

use crate::code::{Code, Facts};
use crate::lanes::LanesExt;
use crate::op::{Operand, Operations};
use crate::width::Width;

/// The signature of every kernel.
pub(crate) fn signature(isa: &dyn TargetIsa) -> Signature {
    let mut signature = Signature::new(isa.default_call_conv());
    signature.params.push(AbiParam::new(isa.pointer_type()));
    signature
}

/// Translates a kernel whose form has been checked.
pub(crate) fn kernel(
    kernel: &Kernel,
    index: u32,
    isa: &dyn TargetIsa,
    facts: Facts,
    context: &mut FunctionBuilderContext,
) -> Function {
    let mut function = Function::with_name_signature(UserFuncName::user(0, index), signature(isa));
    let mut builder = FunctionBuilder::new(&mut function, context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    builder.seal_block(entry);
    let table = builder.block_params(entry)[0];
    // The table of addresses does not change while a kernel runs.
    let flags = MemFlagsData::trusted().with_readonly().with_can_move();
    let bases = (0..kernel.buffers.len())
        .map(|buffer| builder.ins().load(types::I64, flags, table, 8 * buffer as i32))
        .collect();
    let mut emitter = Emitter {
        code: Code { builder, facts },
        kernel,
        bases,
        registers: FxHashMap::default(),
        lanes: FxHashMap::default(),
        width: Width::SCALAR,
        loops: Vec::new(),
    };
    emitter.body(&kernel.body);
    emitter.code.builder.ins().return_(&[]);
    emitter.code.builder.finalize(isa.frontend_config());
    function
}

/// Where a loop's index stands: `value + offset`.
#[derive(Clone, Copy, Debug)]
struct Position {
    value: Option<Value>,
    offset: i64,
}

/// What a register holds.
#[derive(Clone, Copy, Debug)]
enum Definition {
    /// A number, made where it is used.
    Constant(f64),
    /// A value.
    Value(Value),
    /// A product, and its factors in case a sum is fused with it.
    Product(Value, Value, Value),
    /// A running value.
    Accumulator(Variable),
}

/// A register.
#[derive(Clone, Copy, Debug)]
struct Register {
    dtype: DType,
    definition: Definition,
}

/// The state of the translation of one kernel.
struct Emitter<'k, 'f> {
    code: Code<'f>,
    kernel: &'k Kernel,
    /// The buffers' addresses.
    bases: Vec<Value>,
    /// Registers that hold scalars.
    registers: FxHashMap<Reg, Register>,
    /// Registers that hold vectors, within one copy of a vector loop's body.
    lanes: FxHashMap<Reg, Register>,
    /// The width of what is being emitted.
    width: Width,
    /// The loops around, outermost first.
    loops: Vec<(LoopVar, Position)>,
}

impl<'k> Emitter<'k, '_> {
    fn body(&mut self, body: &'k [Stmt]) {
        for stmt in body {
            self.statement(stmt);
        }
    }

    /// One statement, at the current width. Vector loops keep their accumulators themselves.
    fn statement(&mut self, stmt: &'k Stmt) {
        match stmt {
            Stmt::Let { reg, dtype, expr } => {
                let definition = self.expression(*dtype, expr);
                self.define(*reg, *dtype, definition);
            }
            Stmt::Store { buffer, address, value } => {
                let value = self.operand(*value).value;
                self.store(*buffer, address, value);
            }
            Stmt::ScatterAdd { buffer, address, index, stride, value, guard } => {
                self.scatter_add(*buffer, address, (*index, *stride), *value, *guard);
            }
            Stmt::Accumulator { reg, dtype, start, .. } => {
                let variable = self.code.builder.declare_var(Width::SCALAR.ty(*dtype));
                let start = self.code.constant(Width::SCALAR, *dtype, dtype.round(start.get()));
                self.code.builder.def_var(variable, start);
                self.define(*reg, *dtype, Definition::Accumulator(variable));
            }
            Stmt::Accumulate { reg, combine, value } => {
                let value = self.operand(*value).value;
                self.accumulate(*reg, *combine, value);
            }
            Stmt::Loop(inner) => self.counted_loop(inner),
        }
    }

    /// Combines a scalar into a running value.
    fn accumulate(&mut self, reg: Reg, combine: gradc_schedule::kernel::Combine, value: Value) {
        let Register { dtype, definition } = self.registers[&reg];
        let Definition::Accumulator(variable) = definition else {
            unreachable!("the plan has been checked: accumulators are declared");
        };
        let running = self.code.builder.use_var(variable);
        let next = self.code.lanes(Width::SCALAR).combine(dtype, combine, running, value);
        self.code.builder.def_var(variable, next);
    }

    fn define(&mut self, reg: Reg, dtype: DType, definition: Definition) {
        let registers = if self.width.is_scalar() { &mut self.registers } else { &mut self.lanes };
        registers.insert(reg, Register { dtype, definition });
    }

    /// A register as it is, or a scalar splat to the current width.
    fn operand(&mut self, reg: Reg) -> Operand<Value> {
        if let Some(&Register { dtype, definition }) = self.lanes.get(&reg) {
            return self.defined(self.width, dtype, definition);
        }
        let Register { dtype, definition } = self.registers[&reg];
        let width = if matches!(definition, Definition::Constant(_)) { self.width } else { Width::SCALAR };
        let operand = self.defined(width, dtype, definition);
        if width == self.width {
            return operand;
        }
        Operand { value: self.code.splat(self.width, dtype, operand.value), ..operand }
    }

    /// A register that is the same for all lanes, as a scalar.
    fn scalar(&mut self, reg: Reg) -> Value {
        let Register { dtype, definition } = self.registers[&reg];
        self.defined(Width::SCALAR, dtype, definition).value
    }

    fn defined(&mut self, width: Width, dtype: DType, definition: Definition) -> Operand<Value> {
        let (value, constant) = match definition {
            Definition::Constant(number) => (self.code.constant(width, dtype, number), Some(number)),
            Definition::Value(value) | Definition::Product(value, ..) => (value, None),
            Definition::Accumulator(variable) => (self.code.builder.use_var(variable), None),
        };
        Operand { value, dtype, constant }
    }

    fn expression(&mut self, dtype: DType, expr: &'k Expr) -> Definition {
        match expr {
            Expr::Const(value) => Definition::Constant(dtype.round(value.get())),
            Expr::Load { buffer, address } => Definition::Value(self.load(*buffer, address)),
            Expr::LoadIndexed { buffer, address, index, stride } => {
                Definition::Value(self.load_indexed(*buffer, address, *index, *stride))
            }
            Expr::Op(op, registers) => self.operation(*op, registers),
            Expr::Index(affine) => Definition::Value(self.index(affine)),
        }
    }

    fn operation(&mut self, op: ScalarOp, registers: &[Reg]) -> Definition {
        let operands: smallvec::SmallVec<[Operand<Value>; 3]> =
            registers.iter().map(|&reg| self.operand(reg)).collect();
        if let Some(fused) = self.contraction(op, registers, &operands) {
            return Definition::Value(fused);
        }
        let value = self.code.lanes(self.width).operation(op, &operands);
        if op == ScalarOp::Mul && operands[0].dtype.is_float() {
            return Definition::Product(value, operands[0].value, operands[1].value);
        }
        Definition::Value(value)
    }

    /// `a · b ± c` as one operation, where options and machine allow it.
    fn contraction(&mut self, op: ScalarOp, registers: &[Reg], operands: &[Operand<Value>]) -> Option<Value> {
        let fuses = self.code.facts.contract && self.code.facts.has_fma && operands[0].dtype.is_float();
        if !fuses || !matches!(op, ScalarOp::Add | ScalarOp::Sub) {
            return None;
        }
        let factors = |emitter: &Self, reg: Reg| {
            let registers = if emitter.width.is_scalar() { &emitter.registers } else { &emitter.lanes };
            match registers.get(&reg)?.definition {
                Definition::Product(_, a, b) => Some((a, b)),
                _ => None,
            }
        };
        if let Some((a, b)) = factors(self, registers[0]) {
            let c = operands[1].value;
            let c = if op == ScalarOp::Sub { self.code.builder.ins().fneg(c) } else { c };
            return Some(self.code.builder.ins().fma(a, b, c));
        }
        let (a, b) = factors(self, registers[1])?;
        let a = if op == ScalarOp::Sub { self.code.builder.ins().fneg(a) } else { a };
        Some(self.code.builder.ins().fma(a, b, operands[0].value))
    }

    /// An affine function of the loop indices, in each lane.
    fn index(&mut self, affine: &Affine) -> Value {
        let scalar = self.affine_value(affine);
        let scalar = self.code.builder.ins().ireduce(types::I32, scalar);
        if self.width.is_scalar() {
            return scalar;
        }
        let stride = self.lane_stride(affine);
        let first = self.code.splat(self.width, DType::I32, scalar);
        let steps: Vec<u8> =
            (0..i64::from(self.width.lanes)).flat_map(|lane| ((lane * stride) as i32).to_le_bytes()).collect();
        let steps = self.code.vector_constant(types::I32X4, &steps);
        self.code.builder.ins().iadd(first, steps)
    }

    /// An affine function of the loop indices in the first lane, as an `i64`.
    fn affine_value(&mut self, affine: &Affine) -> Value {
        let mut constant = affine.offset;
        let mut sum = None;
        for at in 0..self.loops.len() {
            let (var, position) = self.loops[at];
            let stride = affine.stride(var);
            constant = constant.wrapping_add(stride.wrapping_mul(position.offset));
            if let (Some(value), true) = (position.value, stride != 0) {
                let term = self.multiple(value, stride);
                sum = Some(match sum {
                    None => term,
                    Some(sum) => self.code.builder.ins().iadd(sum, term),
                });
            }
        }
        match sum {
            None => self.code.builder.ins().iconst(types::I64, constant),
            Some(sum) if constant == 0 => sum,
            Some(sum) => self.code.builder.ins().iadd_imm_s(sum, constant),
        }
    }

    /// `value · factor`; powers of two as shifts, which addresses take in.
    fn multiple(&mut self, value: Value, factor: i64) -> Value {
        match factor {
            1 => value,
            _ if factor > 0 && factor.count_ones() == 1 => {
                self.code.builder.ins().ishl_imm_u(value, i64::from(factor.trailing_zeros()))
            }
            _ => self.code.builder.ins().imul_imm_s(value, factor),
        }
    }

    /// How far an affine function moves from lane to lane: 0 for a scalar.
    fn lane_stride(&self, affine: &Affine) -> i64 {
        match self.loops.last() {
            Some(&(var, _)) if !self.width.is_scalar() => affine.stride(var),
            _ => 0,
        }
    }
}
