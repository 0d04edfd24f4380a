//! Steps of loops: see [`crate::groups`] for what they are made of.

use gradc_ir::{Shape, ValueId};
use smallvec::smallvec;

use super::Builder;
use crate::groups::{Groups, Level, Member, Outcome};
use crate::index::Index;
use crate::kernel::{Access, Affine, Combine, Expr, LoopVar, Reg, Stmt};
use crate::reduction::{Reduction, reduction};

/// A reduction while its loops are open.
struct Running {
    value: ValueId,
    reduction: Reduction,
    accumulator: Reg,
}

/// What is written to memory at the end of a pass or a block.
enum Pending {
    Store(ValueId, Affine, Reg),
    Combine(ValueId, Affine, Combine, Reg),
}

impl Builder<'_, '_> {
    /// Everything that a step of loops does. The first `rows` loops of its space are its rows.
    pub(super) fn loops(&mut self, groups: &Groups, space: &Shape, rows: usize, members: &[Member]) {
        members.iter().for_each(|member| self.name(member.value));
        for member in members {
            if let Some(reduction) = reduction(self.graph, member.value).filter(|reduction| reduction.in_memory) {
                self.fill(member.value, reduction.start);
            }
        }
        let mut around: Vec<Running> = Vec::new();
        for (depth, &extent) in space[..rows].iter().enumerate() {
            around.extend(members.iter().filter_map(|member| self.begin_late(member, depth, rows)));
            self.open(extent);
        }
        let last = members.iter().map(|member| member.time).max().unwrap_or(0);
        for time in 0..=last {
            let now: Vec<&Member> = members.iter().filter(|member| member.time == time).collect();
            match time % 2 {
                0 => self.block(groups, &now, &around),
                _ => self.pass(groups, &space[rows..], &now, &around),
            }
        }
        for depth in (0..rows).rev() {
            self.close();
            let done: Vec<Running> = around.extract_if(.., |running| running.reduction.depth == depth).collect();
            done.into_iter().for_each(|running| self.finish_late(running));
        }
    }

    /// What handles a row as a whole.
    fn block(&mut self, groups: &Groups, members: &[&Member], around: &[Running]) {
        let mut pending = Vec::new();
        members.iter().for_each(|member| self.member(groups, member, around, &mut pending));
        pending.into_iter().for_each(|pending| self.write(pending));
    }

    /// One pass over the elements of a row.
    fn pass(&mut self, groups: &Groups, extents: &[usize], members: &[&Member], around: &[Running]) {
        let rows = self.depth();
        let mut running: Vec<Running> =
            members.iter().filter_map(|member| self.begin_at(member, rows, rows + extents.len())).collect();
        let inner = running.len();
        running.extend(around.iter().map(Running::again));
        extents.iter().for_each(|&extent| self.open(extent));
        self.block(groups, members, &running);
        extents.iter().for_each(|_| self.close());
        running.truncate(inner);
        for done in running {
            if done.reduction.in_memory {
                self.finish_late(done);
                continue;
            }
            let key = (done.value, done.reduction.address.clone());
            self.hold(key, done.accumulator);
            if groups.is_stored(done.value) {
                self.store(done.value, done.reduction.address, done.accumulator);
            }
        }
    }

    /// One element of a member.
    fn member(&mut self, groups: &Groups, member: &Member, running: &[Running], pending: &mut Vec<Pending>) {
        let graph = self.graph;
        let value = member.value;
        let Some(reduction) = reduction(graph, value) else {
            let at = Index::identity(graph.shape(value));
            let reg = self.compute(value, &at);
            return self.computed(groups, value, at.flat(graph.shape(value)), reg, pending);
        };
        let source = graph.operands(value)[0];
        let element = self.element(source, &Index::identity(graph.shape(source)));
        if let Some(running) = running.iter().find(|running| running.value == value) {
            let combine = reduction.combine;
            self.push(Stmt::Accumulate { reg: running.accumulator, combine, value: element });
        } else if member.outcome == Outcome::Now {
            // Over axes of extent 1.
            let start = self.constant(graph.dtype(value), reduction.start);
            let reg = self.op(reduction.combine.op(), &[start, element]);
            self.computed(groups, value, reduction.address, reg, pending);
        } else {
            pending.push(Pending::Combine(value, reduction.address, reduction.combine, element));
        }
    }

    fn computed(&mut self, groups: &Groups, value: ValueId, at: Affine, reg: Reg, pending: &mut Vec<Pending>) {
        if groups.is_stored(value) {
            pending.push(Pending::Store(value, at.clone(), reg));
        }
        self.hold((value, at), reg);
    }

    fn write(&mut self, pending: Pending) {
        match pending {
            Pending::Store(value, address, reg) => self.store(value, address, reg),
            Pending::Combine(value, address, combine, reg) => self.combine(value, address, combine, reg),
        }
    }

    /// Combines a register into an element in memory.
    pub(super) fn combine(&mut self, value: ValueId, address: Affine, combine: Combine, reg: Reg) {
        let buffer = self.buffer(value, Access::Write);
        let load = Expr::Load { buffer, address: address.clone() };
        let before = self.define(self.depth(), self.graph.dtype(value), load);
        let after = self.define(self.depth(), self.graph.dtype(value), Expr::Op(combine.op(), smallvec![before, reg]));
        self.store(value, address, after);
    }

    /// Declares the accumulator of a reduction around rows, if it belongs here.
    fn begin_late(&mut self, member: &Member, depth: usize, rows: usize) -> Option<Running> {
        let loops = if member.level == Level::Row { rows } else { usize::MAX };
        let late = member.outcome == Outcome::Late;
        late.then(|| self.begin_at(member, depth, loops)).flatten()
    }

    /// Declares the accumulator of a reduction by a register in the block of `depth` loops; `loops` are around what it
    /// reduces.
    fn begin_at(&mut self, member: &Member, depth: usize, loops: usize) -> Option<Running> {
        let value = member.value;
        let reduction = reduction(self.graph, value)?;
        if reduction.depth != depth || depth >= loops {
            return None;
        }
        let dtype = self.graph.dtype(value);
        let accumulator = self.register(depth, dtype);
        let (combine, start) = (reduction.combine, reduction.start);
        self.push(Stmt::Accumulator { reg: accumulator, dtype, combine, start: start.into() });
        Some(Running { value, reduction, accumulator })
    }

    /// Writes the result of a reduction whose loops are closed.
    fn finish_late(&mut self, running: Running) {
        let Running { value, reduction, accumulator } = running;
        if reduction.in_memory {
            self.combine(value, reduction.address, reduction.combine, accumulator);
        } else {
            self.store(value, reduction.address, accumulator);
        }
    }

    /// Stores a number to every element.
    pub(super) fn fill(&mut self, value: ValueId, number: f64) {
        let constant = self.constant(self.graph.dtype(value), number);
        self.each(self.graph.shape(value).elements(), |builder, at| builder.store(value, at, constant));
    }

    /// A loop over positions in row-major order, without others around it.
    pub(super) fn each(&mut self, elements: usize, body: impl FnOnce(&mut Self, Affine)) {
        if elements == 1 {
            return body(self, Affine::constant(0));
        }
        self.open(elements);
        body(self, Affine::var(LoopVar(0)));
        self.close();
    }
}

impl Running {
    fn again(&self) -> Running {
        Running { value: self.value, reduction: self.reduction.clone(), accumulator: self.accumulator }
    }
}
