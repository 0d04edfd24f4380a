//! Accumulators in memory that are kept in registers.
//!
//! A reduction over rows adds each of them to elements of a buffer, in a vector loop within a loop over rows. Where these
//! elements are few, they are loaded before the outer loop and stored after it; in between, nothing waits for memory.

use gradc_schedule::kernel::{Affine, Expr, Loop, LoopKind, LoopVar, Stmt};

use super::lower::{Around, Lowering};
use super::program::{Class, Extension, Id};

/// Elements of a buffer that are in registers while a loop runs.
pub(super) struct Kept<'k> {
    buffer: usize,
    address: &'k Affine,
    /// The vector loop that they are loaded and stored in.
    var: LoopVar,
    extent: usize,
    vectors: Vec<Id>,
}

impl<'k> Lowering<'k> {
    /// Loads what is kept in registers while this loop runs, and returns how many buffers were kept before.
    pub(super) fn keep(&mut self, outer: &'k Loop) -> usize {
        let before = self.kept.len();
        let lanes = self.builder.lanes();
        let mut room = if self.builder.extension() == Extension::Avx512 { 8 } else { 4 };
        for inner in outer.body.iter().filter_map(|stmt| if let Stmt::Loop(inner) = stmt { Some(inner) } else { None })
        {
            if inner.kind != LoopKind::Vector || inner.extent == 0 {
                continue;
            }
            for stmt in &inner.body {
                let Stmt::Store { buffer, address, .. } = stmt else { continue };
                let vectors = inner.extent.div_ceil(lanes);
                let is_whole = self.kernel.buffers[*buffer].dtype.size() == usize::from(self.builder.lane_bytes());
                if vectors > room || !is_whole || !is_accumulator(outer, inner, *buffer, address) {
                    continue;
                }
                room -= vectors;
                let mut kept =
                    Kept { buffer: *buffer, address, var: inner.var, extent: inner.extent, vectors: Vec::new() };
                for vector in 0..vectors {
                    let value = self.in_vector(&kept, vector, |lowering| lowering.load(*buffer, address));
                    let value = self.builder.register(value);
                    let id = self.builder.fresh(Class::Vector);
                    self.builder.copy(id, value);
                    kept.vectors.push(id);
                }
                self.kept.push(kept);
            }
        }
        before
    }

    /// Stores what has been kept, down to so many buffers.
    pub(super) fn put_back(&mut self, before: usize) {
        for kept in self.kept.split_off(before) {
            for (vector, &id) in kept.vectors.iter().enumerate() {
                self.in_vector(&kept, vector, |lowering| lowering.store(kept.buffer, kept.address, id.into()));
            }
        }
    }

    /// The register that the elements of a buffer at the current position of a vector loop are kept in.
    pub(super) fn kept(&self, buffer: usize) -> Option<Id> {
        let around = self.loops.last()?;
        let kept = self.kept.iter().find(|kept| kept.buffer == buffer && kept.var == around.var)?;
        kept.vectors.get(around.offset as usize / self.builder.lanes()).copied()
    }

    /// Whether a vector loop works on elements that are kept.
    pub(super) fn keeps(&self, var: LoopVar) -> bool {
        self.kept.iter().any(|kept| kept.var == var)
    }

    /// Does something at the position of one vector of a loop.
    fn in_vector<T>(&mut self, kept: &Kept<'k>, vector: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        let lanes = self.builder.lanes();
        let first = vector * lanes;
        self.loops.push(Around { var: kept.var, counter: None, offset: first as i64 });
        self.vector = Some(kept.var);
        self.tail = Some(kept.extent - first).filter(|&count| count < lanes);
        let result = work(self);
        self.tail = None;
        self.vector = None;
        self.loops.pop();
        result
    }
}

/// Whether the only accesses to a buffer in a loop are one store in this vector loop, and loads of the same elements.
fn is_accumulator(outer: &Loop, inner: &Loop, buffer: usize, address: &Affine) -> bool {
    let mut stores = 0;
    let mut loads = 0;
    let mut others = 0;
    let mut count = |stmt: &Stmt, within: bool| match stmt {
        Stmt::Store { buffer: other, address: at, .. } if *other == buffer => {
            if within && at == address {
                stores += 1
            } else {
                others += 1
            }
        }
        Stmt::Let { expr: Expr::Load { buffer: other, address: at }, .. } if *other == buffer => {
            if within && at == address { loads += 1 } else { others += 1 }
        }
        Stmt::Let { expr: Expr::LoadIndexed { buffer: other, .. }, .. } | Stmt::ScatterAdd { buffer: other, .. }
            if *other == buffer =>
        {
            others += 1;
        }
        _ => {}
    };
    visit(&outer.body, false, inner.var, &mut count);
    let stays = outer.extent > 1 && address.stride(outer.var) == 0 && address.stride(inner.var) == 1;
    stays && stores == 1 && loads > 0 && others == 0
}

/// Visits all statements, and says of each whether it is in the loop of this index.
fn visit(body: &[Stmt], within: bool, var: LoopVar, count: &mut impl FnMut(&Stmt, bool)) {
    for stmt in body {
        match stmt {
            Stmt::Loop(inner) => visit(&inner.body, within || inner.var == var, var, count),
            stmt => count(stmt, within),
        }
    }
}
