//! Kernels to instructions of wide vectors.
//!
//! Everything is in vectors: outside of vector loops, a number is the same in all lanes. So a register of the kernel is one
//! value wherever it is read, and is computed by the same operations in and out of vector loops.

use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::{Affine, Combine, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt, weight};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::builder::Builder;
use super::keep::Kept;
use super::memory::{IndexedKey, Terms};
use super::program::{Class, Extension, Id, Instruction, Op, Place, Program, Source};
use crate::lanes::{Lanes, LanesExt};
use crate::op::{Operand, Operations};

/// A loop of up to this many statements in all is written out.
const UNROLL_LIMIT: usize = 48;

/// A vector loop of up to this many vectors is no loop.
const SHORT_VECTOR_LOOP: usize = 4;

/// How a kernel is translated.
#[derive(Clone, Copy)]
pub(super) struct Way {
    pub(super) extension: Extension,
    /// Bytes of a lane.
    pub(super) lane: u8,
    /// Whether products and sums of the program may be fused.
    pub(super) contract: bool,
    /// How many vectors may be computed in step.
    pub(super) most_in_step: i64,
}

/// Translates a kernel that [`super::supports`].
pub(super) fn lower(kernel: &Kernel, way: Way) -> Program {
    let Way { extension, lane, contract, most_in_step } = way;
    let mut builder = Builder::new(extension, lane);
    let bases = (0..kernel.buffers.len() as i64)
        .map(|at| builder.define(Class::General, Instruction { immediate: 8 * at, ..Instruction::new(Op::Base) }))
        .collect();
    let mut lowering = Lowering {
        builder,
        kernel,
        contract,
        most_in_step,
        bases,
        registers: FxHashMap::default(),
        loops: Vec::new(),
        vector: None,
        tail: None,
        pointers: FxHashMap::default(),
        indexed: FxHashMap::default(),
        kept: Vec::new(),
    };
    lowering.body(&kernel.body);
    lowering.builder.finish()
}

/// What a register of the kernel holds.
#[derive(Clone, Copy)]
enum Definition {
    Constant(f64),
    Value(Source),
    /// A product, and its factors in case a sum is fused with it.
    Product(Source, Source, Source),
}

#[derive(Clone, Copy)]
pub(super) struct Register {
    pub(super) dtype: DType,
    definition: Definition,
}

/// A loop around what is being translated: its index is `counter + offset`.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) var: LoopVar,
    pub(super) counter: Option<Id>,
    pub(super) offset: i64,
}

/// The state of the translation of one kernel.
pub(super) struct Lowering<'k> {
    pub(super) builder: Builder,
    pub(super) kernel: &'k Kernel,
    contract: bool,
    pub(super) most_in_step: i64,
    /// The buffers' addresses.
    pub(super) bases: Vec<Id>,
    pub(super) registers: FxHashMap<Reg, Register>,
    /// Outermost first.
    pub(super) loops: Vec<Around>,
    /// The vector loop whose body is being translated.
    pub(super) vector: Option<LoopVar>,
    /// How many lanes matter, where not all do.
    pub(super) tail: Option<usize>,
    /// Addresses that have been computed, by buffer and terms.
    pub(super) pointers: FxHashMap<(usize, Terms), Id>,
    /// The same with an index.
    pub(super) indexed: FxHashMap<IndexedKey, Id>,
    /// Elements of buffers that are in registers while loops run.
    pub(super) kept: Vec<Kept<'k>>,
}

impl<'k> Lowering<'k> {
    pub(super) fn body(&mut self, body: &'k [Stmt]) {
        body.iter().for_each(|stmt| self.statement(stmt));
    }

    /// One statement. Vector loops keep their accumulators themselves.
    pub(super) fn statement(&mut self, stmt: &'k Stmt) {
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
                let running = self.builder.fresh(Class::Vector);
                let start = self.builder.constant(*dtype, dtype.round(start.get()));
                self.builder.assign(running, start);
                self.define(*reg, *dtype, Definition::Value(running.into()));
            }
            Stmt::Accumulate { reg, combine, value } => {
                let value = self.operand(*value).value;
                self.accumulate(*reg, *combine, value);
            }
            Stmt::Loop(inner) if inner.extent == 0 => {}
            Stmt::Loop(inner) if inner.kind == LoopKind::Vector => self.vector_loop(inner),
            Stmt::Loop(inner) => self.serial_loop(inner),
        }
    }

    /// Combines a value into a running one, which is in a register of its own.
    pub(super) fn accumulate(&mut self, reg: Reg, combine: Combine, value: Source) {
        let running = self.operand(reg);
        let id = self.builder.register(running.value);
        let next = self.builder.combine(running.dtype, combine, running.value, value);
        self.builder.assign(id, next);
    }

    fn define(&mut self, reg: Reg, dtype: DType, definition: Definition) {
        self.registers.insert(reg, Register { dtype, definition });
        if dtype == DType::I32 {
            self.indexed.retain(|key, _| key.index != reg);
        }
    }

    pub(super) fn operand(&mut self, reg: Reg) -> Operand<Source> {
        let Register { dtype, definition } = self.registers[&reg];
        let (value, constant) = match definition {
            Definition::Constant(number) => (self.builder.constant(dtype, number), Some(number)),
            Definition::Value(value) | Definition::Product(value, ..) => (value, None),
        };
        Operand { value, dtype, constant }
    }

    fn expression(&mut self, dtype: DType, expr: &'k Expr) -> Definition {
        match expr {
            Expr::Const(value) => Definition::Constant(dtype.round(value.get())),
            Expr::Load { buffer, address } => Definition::Value(self.load(*buffer, address)),
            Expr::LoadIndexed { buffer, address, index, stride } => {
                Definition::Value(self.load_indexed(*buffer, address, (*index, *stride)))
            }
            Expr::Op(op, registers) => self.operation(*op, registers),
            Expr::Index(affine) => Definition::Value(self.index(affine)),
        }
    }

    fn operation(&mut self, op: ScalarOp, registers: &[Reg]) -> Definition {
        let operands: SmallVec<[Operand<Source>; 3]> = registers.iter().map(|&reg| self.operand(reg)).collect();
        if let Some(fused) = self.contraction(op, registers, &operands) {
            return Definition::Value(fused);
        }
        let value = self.builder.operation(op, &operands);
        if op == ScalarOp::Mul && operands[0].dtype.is_float() {
            return Definition::Product(value, operands[0].value, operands[1].value);
        }
        Definition::Value(value)
    }

    /// `a · b ± c` as one operation, where the options allow it.
    fn contraction(&mut self, op: ScalarOp, registers: &[Reg], operands: &[Operand<Source>]) -> Option<Source> {
        if !self.contract || !matches!(op, ScalarOp::Add | ScalarOp::Sub) || !operands[0].dtype.is_float() {
            return None;
        }
        let factors = |lowering: &Self, reg: Reg| match lowering.registers[&reg].definition {
            Definition::Product(_, a, b) => Some((a, b)),
            _ => None,
        };
        if let Some((a, b)) = factors(self, registers[0]) {
            let c = operands[1].value;
            let c = if op == ScalarOp::Sub { self.builder.fneg(c) } else { c };
            return Some(self.builder.multiply_add(a, b, c));
        }
        let (a, b) = factors(self, registers[1])?;
        let a = if op == ScalarOp::Sub { self.builder.fneg(a) } else { a };
        Some(self.builder.multiply_add(a, b, operands[0].value))
    }

    /// An affine function of the loop indices, in each lane.
    fn index(&mut self, affine: &Affine) -> Source {
        let mut constant = affine.offset;
        let mut sum = Source::None;
        for at in 0..self.loops.len() {
            let Around { var, counter, offset } = self.loops[at];
            let stride = affine.stride(var);
            constant = constant.wrapping_add(stride.wrapping_mul(offset));
            if let (Some(counter), true) = (counter, stride != 0) {
                let term =
                    Instruction { a: sum, b: counter.into(), immediate: stride, ..Instruction::new(Op::Address) };
                sum = self.builder.define(Class::General, term).into();
            }
        }
        let stride = self.vector.map_or(0, |var| affine.stride(var));
        let steps = self.builder.vector_constant(|lane| constant.wrapping_add(lane.wrapping_mul(stride)));
        match sum {
            Source::Value(general) => {
                let first = self.builder.splat(general);
                self.builder.iadd(first, steps)
            }
            _ => steps,
        }
    }

    /// Runs a body once for each index, in order. The extent is not 0.
    fn serial_loop(&mut self, inner: &'k Loop) {
        let lanes = self.builder.lanes();
        if inner.extent == 1 || statements(inner, lanes).is_some_and(|count| count <= UNROLL_LIMIT) {
            for offset in 0..inner.extent as i64 {
                self.loops.push(Around { var: inner.var, counter: None, offset });
                self.body(&inner.body);
                self.loops.pop();
            }
            return;
        }
        let before = self.keep(inner);
        self.repeat(inner.var, 1, inner.extent as i64, &inner.body, |lowering| lowering.body(&inner.body));
        self.put_back(before);
    }

    /// A loop proper, whose counter goes up to `end` by `step`.
    pub(super) fn repeat(&mut self, var: LoopVar, step: i32, end: i64, body: &'k [Stmt], once: impl FnOnce(&mut Self)) {
        let counter = self.builder.fresh(Class::General);
        self.builder.open(true);
        self.loops.push(Around { var, counter: Some(counter), offset: 0 });
        self.prepare(body);
        once(self);
        self.loops.pop();
        let instructions = self.builder.close();
        self.builder.emit(Instruction { result: Some(counter), ..Instruction::new(Op::LoopBegin) });
        self.builder.extend(instructions);
        let place = Place { base: counter, index: None, scale: 1, offset: step };
        let last =
            Instruction { result: Some(counter), place: Some(place), immediate: end, ..Instruction::new(Op::LoopEnd) };
        self.builder.emit(last);
    }
}

/// How many statements a loop is when it is written out, or `None` where it contains one that is a loop anyway.
fn statements(inner: &Loop, lanes: usize) -> Option<usize> {
    let copies = match inner.kind {
        LoopKind::Serial => inner.extent,
        LoopKind::Vector if inner.extent <= SHORT_VECTOR_LOOP * lanes => inner.extent.div_ceil(lanes),
        LoopKind::Vector => return None,
    };
    let count = |stmt: &Stmt| match stmt {
        Stmt::Loop(inner) => statements(inner, lanes),
        stmt => Some(weight(stmt, 1) as usize),
    };
    let body = inner.body.iter().map(count).sum::<Option<usize>>()?;
    body.checked_mul(copies)
}
