//! Loops whose iterations run several at a time.
//!
//! A vector loop of extent n with L lanes, unrolled U times, is
//!
//! 1. what does not change from iteration to iteration, once, as scalars;
//! 2. ⌊n / LU⌋ rounds of U vectors;
//! 3. the remaining whole vectors, one after another;
//! 4. one vector of which only the first n mod L lanes are loaded, stored and counted.
//!
//! Every element is computed by the same instructions, wherever in the loop it stands.
//!
//! # The order of reductions
//!
//! Vector number v of a loop is combined, lane by lane, into the running vector v mod U. After the loop, neighbouring
//! running vectors are combined until one is left ((0, 1), (2, 3), …, then their results), then its lanes in the same
//! way, and that is combined into the accumulator.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value, types};
use gradc_ir::DType;
use gradc_schedule::kernel::{Combine, Expr, Loop, LoopVar, Reg, Stmt, weight};
use rustc_hash::FxHashMap;
use rustc_hash::FxHashSet;

use super::{Emitter, Position};
use crate::analysis::Variance;
use crate::lanes::LanesExt;
use crate::width::Width;

/// The running vectors of one accumulator.
struct Running {
    reg: Reg,
    dtype: DType,
    combine: Combine,
    /// One for each copy of the body; `None` where nothing has been combined yet.
    vectors: Vec<Option<Value>>,
}

/// How a loop is cut up.
struct Cut {
    lanes: i64,
    unroll: i64,
    /// Rounds of `unroll` vectors.
    rounds: i64,
    /// Whole vectors after them.
    rest: i64,
    /// Elements after those.
    remainder: i64,
}

impl<'k> Emitter<'k, '_> {
    /// A loop that may run in vectors. Its extent is not 0.
    pub(super) fn vector_loop(&mut self, inner: &'k Loop) {
        if inner.body.iter().any(|stmt| matches!(stmt, Stmt::Loop(_))) {
            let body: Vec<&Stmt> = inner.body.iter().collect();
            return self.serial_loop(inner, &body);
        }
        let varying = self.hoist_invariants(inner);
        let Some(lanes) = self.lanes_for(&varying) else {
            return self.serial_loop(inner, &varying);
        };
        let mut running = self.running(&varying);
        let cut = Cut::new(inner.extent, lanes, unroll(&varying, lanes));
        self.rounds(inner.var, &varying, &cut, &mut running);
        let done = cut.rounds * cut.unroll;
        for vector in 0..cut.rest {
            let position = Position { value: None, offset: (done + vector) * cut.lanes };
            self.copy(inner.var, position, Width::vector(lanes), &varying, &mut running, vector as usize);
        }
        if cut.remainder > 0 {
            let position = Position { value: None, offset: (done + cut.rest) * cut.lanes };
            let width = Width { lanes, active: cut.remainder as u8 };
            let copy = cut.rest % cut.unroll;
            self.copy(inner.var, position, width, &varying, &mut running, copy as usize);
        }
        let filled = if (inner.extent as i64) < cut.lanes { inner.extent as u8 } else { lanes };
        for accumulator in running {
            self.collapse(lanes, filled, accumulator);
        }
    }

    /// Emits what is the same in all iterations, and returns the rest. The loop runs at least once.
    fn hoist_invariants(&mut self, inner: &'k Loop) -> Vec<&'k Stmt> {
        let mut variance = Variance::new(inner);
        let (varying, invariant): (Vec<_>, Vec<_>) = inner.body.iter().partition(|stmt| variance.of(stmt));
        self.statements(&invariant);
        varying
    }

    /// How many lanes the statements have together, or `None` where they cannot run in vectors.
    fn lanes_for(&self, body: &[&Stmt]) -> Option<u8> {
        let mut dtypes: FxHashMap<Reg, DType> = FxHashMap::default();
        let mut alone = false;
        let mut wide = false;
        let mut narrow = false;
        let mut note = |dtype: DType| {
            // The instruction sets lack much for vectors of 64-bit integers, and nothing needs it.
            alone |= dtype == DType::I64;
            wide |= dtype == DType::F64;
            narrow |= dtype.arithmetic().size() == 4;
        };
        let of = |dtypes: &FxHashMap<Reg, DType>, reg: Reg| {
            dtypes.get(&reg).copied().or_else(|| self.registers.get(&reg).map(|register| register.dtype))
        };
        let accumulated: FxHashSet<Reg> = body
            .iter()
            .filter_map(|stmt| if let Stmt::Accumulate { reg, .. } = stmt { Some(*reg) } else { None })
            .collect();
        for stmt in body {
            match stmt {
                Stmt::Let { reg, dtype, expr } => {
                    note(*dtype);
                    if let Expr::Op(_, operands) = expr {
                        if operands.iter().any(|operand| accumulated.contains(operand)) {
                            return None;
                        }
                        operands.iter().filter_map(|&operand| of(&dtypes, operand)).for_each(&mut note);
                    }
                    dtypes.insert(*reg, *dtype);
                }
                Stmt::Store { buffer, value, .. } => {
                    if accumulated.contains(value) {
                        return None;
                    }
                    note(self.kernel.buffers[*buffer].dtype);
                }
                Stmt::Accumulate { reg, .. } => note(of(&dtypes, *reg)?),
                Stmt::Accumulator { .. } | Stmt::ScatterAdd { .. } | Stmt::Loop(_) => return None,
            }
        }
        match (wide, narrow) {
            _ if alone => None,
            (true, true) => None,
            (true, false) => Some(2),
            _ => Some(4),
        }
    }

    /// The accumulators that the statements combine into.
    fn running(&self, body: &[&Stmt]) -> Vec<Running> {
        let mut running: Vec<Running> = Vec::new();
        for stmt in body {
            if let Stmt::Accumulate { reg, combine, .. } = stmt
                && running.iter().all(|other| other.reg != *reg)
            {
                let dtype = self.registers[reg].dtype;
                running.push(Running { reg: *reg, dtype, combine: *combine, vectors: Vec::new() });
            }
        }
        running
    }

    /// The loop proper: rounds of several vectors.
    fn rounds(&mut self, var: LoopVar, body: &[&'k Stmt], cut: &Cut, running: &mut [Running]) {
        for accumulator in &mut *running {
            accumulator.vectors = vec![None; cut.unroll as usize];
        }
        if cut.rounds == 0 {
            return;
        }
        let width = Width::vector(cut.lanes as u8);
        let mut starts: Vec<BlockArg> = vec![self.code.builder.ins().iconst(types::I64, 0).into()];
        let header = self.code.builder.create_block();
        let exit = self.code.builder.create_block();
        let index = self.code.builder.append_block_param(header, types::I64);
        for accumulator in &mut *running {
            let dtype = accumulator.dtype;
            let start = self.code.constant(width, dtype, accumulator.combine.identity(dtype));
            for vector in &mut accumulator.vectors {
                starts.push(start.into());
                *vector = Some(self.code.builder.append_block_param(header, width.ty(dtype)));
            }
        }
        self.code.builder.ins().jump(header, &starts);
        self.code.builder.switch_to_block(header);
        for copy in 0..cut.unroll {
            let position = Position { value: Some(index), offset: copy * cut.lanes };
            self.copy(var, position, width, body, running, copy as usize);
        }
        let next = self.code.builder.ins().iadd_imm_s(index, cut.unroll * cut.lanes);
        let mut again: Vec<BlockArg> = vec![next.into()];
        let vectors = running.iter().flat_map(|accumulator| accumulator.vectors.iter().flatten());
        again.extend(vectors.map(|&vector| BlockArg::from(vector)));
        let end = self.code.builder.ins().iconst(types::I64, cut.rounds * cut.unroll * cut.lanes);
        let more = self.code.builder.ins().icmp(IntCC::SignedLessThan, next, end);
        self.code.builder.ins().brif(more, header, &again, exit, &[]);
        self.code.builder.seal_block(header);
        self.code.builder.switch_to_block(exit);
        self.code.builder.seal_block(exit);
    }

    /// One copy of the body, for the elements from `position` on.
    fn copy(
        &mut self,
        var: LoopVar,
        position: Position,
        width: Width,
        body: &[&'k Stmt],
        running: &mut [Running],
        copy: usize,
    ) {
        self.loops.push((var, position));
        self.width = width;
        for stmt in body {
            let Stmt::Accumulate { reg, value, .. } = stmt else {
                self.statement(stmt);
                continue;
            };
            let value = self.operand(*value).value;
            let accumulator = running.iter_mut().find(|accumulator| accumulator.reg == *reg);
            let Some(Running { dtype, combine, vectors, .. }) = accumulator else { continue };
            vectors[copy] = Some(match vectors[copy] {
                // Lanes beyond the end of a loop that never fills a vector are never read.
                None if width.is_full() || copy == 0 => value,
                None => self.counted_lanes(*dtype, *combine, value),
                Some(before) => {
                    let value = self.counted_lanes(*dtype, *combine, value);
                    self.code.lanes(width).combine(*dtype, *combine, before, value)
                }
            });
        }
        self.lanes.clear();
        self.width = Width::SCALAR;
        self.loops.pop();
    }

    /// `value` with what changes nothing in the lanes that do not count.
    fn counted_lanes(&mut self, dtype: DType, combine: Combine, value: Value) -> Value {
        let width = self.width;
        if width.is_full() {
            return value;
        }
        let mask = self.code.active_mask(width);
        let nothing = self.code.constant(width, dtype, combine.identity(dtype));
        self.code.select(width, dtype, mask, value, nothing)
    }

    /// Combines the running vectors, then the `filled` lanes of the result, then that into the accumulator.
    fn collapse(&mut self, lanes: u8, filled: u8, accumulator: Running) {
        let Running { reg, dtype, combine, vectors } = accumulator;
        let width = Width::vector(lanes);
        let vectors: Vec<Value> = vectors.into_iter().flatten().collect();
        let Some(vector) = self.pairwise(width, dtype, combine, vectors) else { return };
        let scalars = (0..filled).map(|lane| self.code.extract(width, dtype, vector, lane)).collect();
        if let Some(total) = self.pairwise(Width::SCALAR, dtype, combine, scalars) {
            self.accumulate(reg, combine, total);
        }
    }

    /// Combines neighbours until one value is left.
    fn pairwise(&mut self, width: Width, dtype: DType, combine: Combine, mut values: Vec<Value>) -> Option<Value> {
        while values.len() > 1 {
            values = values
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => self.code.lanes(width).combine(dtype, combine, *a, *b),
                    odd => odd[0],
                })
                .collect();
        }
        values.first().copied()
    }
}

impl Cut {
    fn new(extent: usize, lanes: u8, unroll: i64) -> Cut {
        let (extent, lanes) = (extent as i64, i64::from(lanes));
        let vectors = extent / lanes;
        // A single round is no loop.
        let rounds = if vectors < 2 * unroll { 0 } else { vectors / unroll };
        let unroll = if rounds == 0 { vectors.max(1) } else { unroll };
        Cut { lanes, unroll, rounds, rest: vectors - rounds * unroll, remainder: extent % lanes }
    }
}

/// How often a body is repeated: short ones often, to hide the loop and the latency of sums; long ones less.
fn unroll(body: &[&Stmt], lanes: u8) -> i64 {
    let weight: u32 = body.iter().map(|stmt| weight(stmt, lanes)).sum();
    match weight {
        0..=8 => 8,
        9..=24 => 4,
        25..=80 => 2,
        _ => 1,
    }
}
