//! Vector loops and their reductions.
//!
//! A loop of extent n with L lanes, of which U vectors are computed in step, is
//!
//! 1. what does not change in it, once;
//! 2. ⌊n / LU⌋ rounds of U vectors, if these are at least two;
//! 3. the remaining whole vectors, U in step;
//! 4. one vector of which only the first n mod L lanes are loaded, stored and counted; in a short body, that is a vector for each
//!    power of two that n mod L is the sum of.
//!
//! Vector number v of the rounds, and of what remains, is combined into the running vector v mod U; the last one, which is
//! not full, into the first. Then neighbouring running vectors are combined until one is left, then its lanes: each with
//! that half a vector away, then a quarter, and so on; that is combined into the accumulator.

use gradc_ir::DType;
use gradc_schedule::kernel::{Combine, Loop, Reg, Stmt, weight};

use super::lower::{Around, Lowering};
use super::program::{Class, Extension, Id, Instruction, Source};
use crate::analysis::Variance;
use crate::lanes::{Lanes, LanesExt};

/// The running vectors of one accumulator, where something has been combined.
struct Running {
    reg: Reg,
    dtype: DType,
    combine: Combine,
    vectors: Vec<Option<Id>>,
}

impl<'k> Lowering<'k> {
    /// A vector loop. Its extent is not 0.
    pub(super) fn vector_loop(&mut self, inner: &'k Loop) {
        let mut variance = Variance::new(inner);
        let (varying, invariant): (Vec<&Stmt>, Vec<&Stmt>) = inner.body.iter().partition(|stmt| variance.of(stmt));
        invariant.into_iter().for_each(|stmt| self.statement(stmt));
        self.prepare_indexed(&varying);
        let (lanes, extent) = (self.builder.lanes() as i64, inner.extent as i64);
        let unroll = in_step(&varying, self.builder.extension()).min(self.most_in_step);
        let vectors = extent / lanes;
        let rounds = if vectors < 2 * unroll || self.keeps(inner.var) { 0 } else { vectors / unroll };
        let mut running = self.running(&varying, vectors.clamp(1, unroll) as usize);
        self.vector = Some(inner.var);
        if rounds > 0 {
            self.begin_running(&mut running);
            let step = (unroll * lanes) as i32;
            self.repeat(inner.var, step, rounds * i64::from(step), &inner.body, |lowering| {
                // The loop's own position, for each of the vectors in step.
                let around = lowering.loops.pop();
                lowering.copies(
                    around
                        .into_iter()
                        .cycle()
                        .zip(0..unroll)
                        .map(|(around, copy)| Around { offset: copy * lanes, ..around }),
                    &varying,
                    &mut running,
                );
                lowering.loops.extend(around);
            });
        }
        let done = rounds * unroll;
        let at = |vector: i64| Around { var: inner.var, counter: None, offset: vector * lanes };
        for first in (done..vectors).step_by(unroll as usize) {
            self.copies((first..vectors.min(first + unroll)).map(at), &varying, &mut running);
        }
        let mut rest = vectors * lanes;
        let last = (extent % lanes) as usize;
        let pieces = if self.keeps(inner.var) { vec![last] } else { pieces(&varying, last) };
        for count in pieces.into_iter().filter(|&count| count > 0) {
            self.tail = Some(count);
            let around = Around { var: inner.var, counter: None, offset: rest };
            self.copies([around].into_iter(), &varying, &mut running);
            rest += count as i64;
        }
        self.tail = None;
        self.vector = None;
        let filled = extent.min(lanes) as usize;
        for accumulator in running {
            self.collapse(filled, accumulator);
        }
    }

    /// The accumulators that the statements combine into.
    fn running(&self, body: &[&Stmt], in_step: usize) -> Vec<Running> {
        let mut running: Vec<Running> = Vec::new();
        for stmt in body {
            if let Stmt::Accumulate { reg, combine, .. } = stmt
                && running.iter().all(|other| other.reg != *reg)
            {
                let dtype = self.registers[reg].dtype;
                running.push(Running { reg: *reg, dtype, combine: *combine, vectors: vec![None; in_step] });
            }
        }
        running
    }

    /// Running vectors that a loop goes on from, in which nothing has been combined.
    fn begin_running(&mut self, running: &mut [Running]) {
        for accumulator in running {
            for vector in &mut accumulator.vectors {
                let id = self.builder.fresh(Class::Vector);
                let nothing = self.builder.constant(accumulator.dtype, accumulator.combine.identity(accumulator.dtype));
                self.builder.assign(id, nothing);
                *vector = Some(id);
            }
        }
    }

    /// Copies of the body at several positions, whose instructions alternate, in [`Stretches`].
    fn copies(&mut self, positions: impl Iterator<Item = Around>, body: &[&'k Stmt], running: &mut [Running]) {
        let copies: Vec<Vec<Instruction>> = positions
            .enumerate()
            .map(|(copy, around)| {
                self.builder.open(true);
                self.loops.push(around);
                for stmt in body {
                    match stmt {
                        Stmt::Accumulate { reg, value, .. } => {
                            let value = self.operand(*value).value;
                            if let Some(accumulator) = running.iter_mut().find(|accumulator| accumulator.reg == *reg) {
                                self.combine_running(accumulator, copy, value);
                            }
                        }
                        stmt => self.statement(stmt),
                    }
                }
                self.loops.pop();
                self.builder.close()
            })
            .collect();
        let longest = copies.iter().map(Vec::len).max().unwrap_or(0);
        let Stretches { copies: some, instructions } = Stretches::of(longest, self.builder.extension());
        for from in (0..longest).step_by(instructions) {
            for copies in copies.chunks(some) {
                for at in from..longest.min(from + instructions) {
                    self.builder.extend(copies.iter().filter_map(|copy| copy.get(at).copied()));
                }
            }
        }
    }

    fn combine_running(&mut self, accumulator: &mut Running, copy: usize, value: Source) {
        let Running { dtype, combine, vectors, .. } = accumulator;
        let value = match self.tail {
            Some(count) => {
                let mask = self.builder.first_lanes(count);
                let nothing = self.builder.constant(*dtype, combine.identity(*dtype));
                self.builder.select(*dtype, mask.into(), value, nothing)
            }
            None => value,
        };
        match vectors[copy] {
            Some(running) => {
                let next = self.builder.combine(*dtype, *combine, running.into(), value);
                self.builder.assign(running, next);
            }
            None => {
                // A vector of its own: what was combined may be read by others.
                let running = self.builder.fresh(Class::Vector);
                let value = self.builder.register(value);
                self.builder.copy(running, value);
                vectors[copy] = Some(running);
            }
        }
    }

    /// Combines the running vectors, then the `filled` lanes of the result, then that into the accumulator.
    fn collapse(&mut self, filled: usize, accumulator: Running) {
        let Running { reg, dtype, combine, vectors } = accumulator;
        let mut values: Vec<Source> = vectors.into_iter().flatten().map(Source::from).collect();
        while values.len() > 1 {
            values = values
                .chunks(2)
                .map(|pair| match pair {
                    [a, b] => self.builder.combine(dtype, combine, *a, *b),
                    odd => odd[0],
                })
                .collect();
        }
        let Some(&vector) = values.first() else { return };
        let total = self.builder.collapse(filled, vector, |builder, a, b| builder.combine(dtype, combine, a, b));
        self.accumulate(reg, combine, total);
    }
}

/// How the last, incomplete vector is computed: as one of so many lanes, or in several pieces, halves and quarters of vectors,
/// which need no masks, where that is no more work than the masks are.
fn pieces(body: &[&Stmt], count: usize) -> Vec<usize> {
    let weight: u32 = body.iter().map(|stmt| weight(stmt, 1)).sum();
    let is_cut = match count.count_ones() {
        2 => weight <= 4,
        3 => weight <= 2,
        _ => false,
    };
    let works_lane_by_lane = !body.iter().any(|stmt| matches!(stmt, Stmt::Accumulate { .. }));
    if !is_cut || !works_lane_by_lane {
        return vec![count];
    }
    (0..usize::BITS).rev().map(|bit| count & 1 << bit).filter(|&piece| piece > 0).collect()
}

/// How many vectors are computed in step. Short bodies are many, to hide the loop and the latency of sums, and long ones
/// as well, each of which is a chain of operations that wait for one another. What is between has work enough in the
/// window in which the machine looks ahead.
fn in_step(body: &[&Stmt], extension: Extension) -> i64 {
    let weight: u32 = body.iter().map(|stmt| weight(stmt, 1)).sum();
    match (weight, extension) {
        (0..=3, _) => 8,
        (4..=12, _) => 4,
        (61.., _) => 4,
        _ => 2,
    }
}

/// How the instructions of copies of a body are ordered: some copies alternate for a number of instructions, then the others for
/// as many, and so on.
struct Stretches {
    copies: usize,
    instructions: usize,
}

impl Stretches {
    /// For copies of so many instructions. All alternate where there are registers for that. With the sixteen of AVX2 a pair does for a
    /// while: what is computed and used in a stretch needs registers for two copies only, and the machine looks far enough ahead
    /// to begin with the other pair. That makes the chain of sigmoid, tanh and gelu with its gradient 1.07 times as fast.
    fn of(instructions: usize, extension: Extension) -> Stretches {
        const STRETCH: usize = 32;
        match extension {
            Extension::Avx2 if instructions > STRETCH => Stretches { copies: 2, instructions: STRETCH },
            _ => Stretches { copies: usize::MAX, instructions: instructions.max(1) },
        }
    }
}
