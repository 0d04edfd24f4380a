//! Reductions along the outermost loop, cut into chunks.
//!
//! Where a kernel reduces along its outermost loop (a loss, the gradient of a bias), each iteration goes on from the one before,
//! so that none of them could run at the same time as another. Such a kernel becomes two:
//!
//! 1. the *chunks*: so many iterations of the loop at a time, each chunk with accumulators of its own, whose results go to
//!    buffers of *partial* results;
//! 2. the *total*: the iterations that are left over, if any, then the partial results, combined in order, and what the kernel
//!    does once its loop has run.
//!
//! Both together do what the kernel did, in the same order, but for the order in which it combines. How many chunks there are
//! depends on the kernel alone, so results do not depend on who runs it, or on how many threads; and a sum of sums loses less
//! to rounding than one long sum (Higham, "The accuracy of floating point summation", 1993).

use gradc_ir::{DType, ScalarOp};
use rustc_hash::FxHashMap;
use smallvec::smallvec;

use super::finish::{for_each_function, renumber};
use crate::kernel::{
    Access, Affine, BufferParam, Combine, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt, split, work,
};

/// The least work of a kernel that is cut, in instructions: a few microseconds.
const LEAST_WORK: u64 = 20_000;

/// The least work of a chunk.
const CHUNK_WORK: u64 = 4_000;

/// About the most chunks.
const MOST_CHUNKS: usize = 64;

/// A chunk of a vector loop is a multiple of so many elements: whole vectors, and lines of the cache.
const VECTOR_STEP: usize = 64;

/// Where rows are added up in memory, a chunk has so many of them at least, so that partial results are few beside them.
const LEAST_ROWS: usize = 8;

/// About the most bytes of all partial results.
const PARTIAL_BYTES: usize = 1 << 20;

/// A kernel that can be cut in so many places without that is left as it is.
const PLACES: usize = 4;

/// A kernel in chunks.
pub(crate) struct Chunked {
    /// The buffers of partial results, one for each reduction.
    pub(crate) partials: Vec<BufferParam>,
    /// The chunks and the total, which run one after the other.
    pub(crate) kernels: [Part; 2],
}

/// One of the two kernels.
pub(crate) struct Part {
    pub(crate) kernel: Kernel,
    /// For each of its buffers, which one it is of the whole kernel's, or, counted on from these, of the partial results.
    pub(crate) buffers: Vec<usize>,
}

/// Cuts a finished kernel into chunks, where that lets it run in pieces and is worth it.
pub(crate) fn chunked(kernel: &Kernel) -> Option<Chunked> {
    let work = work(&kernel.body);
    if work < LEAST_WORK || split(kernel).is_some_and(|split| split.units / split.step >= PLACES) {
        return None;
    }
    let whole = Whole::of(kernel)?;
    let (count, size) = whole.size(work)?;
    let partials = whole.reductions.iter().map(|reduction| BufferParam {
        name: String::new(),
        dtype: reduction.dtype,
        elements: count * reduction.elements(kernel),
        access: Access::Write,
    });
    let partials: Vec<BufferParam> = partials.collect();
    let chunks = whole.part("chunks", &partials, whole.chunks(count, size), &[]);
    split(&chunks.kernel)?;
    let written: Vec<usize> = chunks
        .buffers
        .iter()
        .zip(&chunks.kernel.buffers)
        .filter(|(_, param)| param.access != Access::Read)
        .map(|(&buffer, _)| buffer)
        .collect();
    let total = whole.part("total", &partials, whole.total(count, size), &written);
    Some(Chunked { partials, kernels: [chunks, total] })
}

/// A reduction along the outermost loop.
struct Reduction {
    combine: Combine,
    dtype: DType,
    result: Accumulates,
}

/// What a reduction combines in.
enum Accumulates {
    Register(Reg),
    /// A buffer, and the register that it is filled with.
    Memory(usize, Reg),
}

impl Reduction {
    /// How many elements its result has.
    fn elements(&self, kernel: &Kernel) -> usize {
        match self.result {
            Accumulates::Register(_) => 1,
            Accumulates::Memory(buffer, _) => kernel.buffers[buffer].elements,
        }
    }
}

/// A kernel that is one loop, with what is before and after it.
struct Whole<'k> {
    kernel: &'k Kernel,
    before: &'k [Stmt],
    main: &'k Loop,
    after: &'k [Stmt],
    reductions: Vec<Reduction>,
}

impl<'k> Whole<'k> {
    /// `None` where the kernel is more than that, or reduces nothing along its loop.
    fn of(kernel: &'k Kernel) -> Option<Whole<'k>> {
        let at = kernel.body.iter().rposition(|stmt| matches!(stmt, Stmt::Loop(_)))?;
        let (before, rest) = kernel.body.split_at(at);
        let [Stmt::Loop(main), after @ ..] = rest else { return None };
        let mut whole = Whole { kernel, before, main, after, reductions: Vec::new() };
        let mut constants: FxHashMap<Reg, f64> = FxHashMap::default();
        for stmt in before {
            match stmt {
                Stmt::Let { reg, expr: Expr::Const(value), .. } => {
                    constants.insert(*reg, value.get());
                }
                Stmt::Let { expr: Expr::Load { buffer, .. } | Expr::LoadIndexed { buffer, .. }, .. } => {
                    // What it finds there may not depend on which of the two kernels it is in.
                    (kernel.buffers[*buffer].access == Access::Read).then_some(())?;
                }
                Stmt::Let { .. } => {}
                Stmt::Accumulator { reg, dtype, combine, start } => {
                    (start.get() == combine.identity(*dtype)).then_some(())?;
                    let result = Accumulates::Register(*reg);
                    whole.reductions.push(Reduction { combine: *combine, dtype: *dtype, result });
                }
                Stmt::Loop(fill) => {
                    let [Stmt::Store { buffer, address, value }] = fill.body.as_slice() else { return None };
                    let (param, start) = (&kernel.buffers[*buffer], *constants.get(value)?);
                    let combine = combined(main, *buffer)?;
                    let fits = *address == Affine::var(fill.var)
                        && fill.extent == param.elements
                        && start == combine.identity(param.dtype);
                    fits.then_some(())?;
                    let result = Accumulates::Memory(*buffer, *value);
                    whole.reductions.push(Reduction { combine, dtype: param.dtype, result });
                }
                Stmt::Store { .. } | Stmt::ScatterAdd { .. } | Stmt::Accumulate { .. } => return None,
            }
        }
        (!whole.reductions.is_empty()).then_some(whole)
    }

    /// How many chunks there are, and how many iterations of the loop each is.
    fn size(&self, work: u64) -> Option<(usize, usize)> {
        let extent = self.main.extent;
        let step = if self.main.kind == LoopKind::Vector { VECTOR_STEP } else { 1 };
        let in_memory = self.reductions.iter().any(|reduction| matches!(reduction.result, Accumulates::Memory(..)));
        let bytes =
            self.reductions.iter().map(|reduction| reduction.elements(self.kernel) * reduction.dtype.size()).sum();
        let by_work = usize::try_from(work / CHUNK_WORK).unwrap_or(MOST_CHUNKS);
        let by_rows = extent / if in_memory { LEAST_ROWS } else { step };
        let wanted = MOST_CHUNKS.min(by_work).min(by_rows).min(PARTIAL_BYTES.checked_div(bytes)?);
        if wanted < 2 {
            return None;
        }
        let even = (wanted / 2 + 1..=wanted).rev().find(|&count| extent.is_multiple_of(count * step));
        // Where some are left over in any case, as few as can be.
        let below = extent / wanted / step * step;
        let uneven = [below, below + step].into_iter().min_by_key(|size| (extent % size, *size)).unwrap_or(step);
        let size = even.map_or(uneven, |count| extent / count);
        let count = extent / size;
        (count >= 2).then_some((count, size))
    }

    /// The statements of the first kernel.
    fn chunks(&self, count: usize, size: usize) -> Vec<Stmt> {
        let chunk = self.fresh_var();
        let mut body: Vec<Stmt> = Vec::new();
        let mut moved: FxHashMap<usize, (usize, i64)> = FxHashMap::default();
        let mut results: Vec<Stmt> = Vec::new();
        for (at, reduction) in self.reductions.iter().enumerate() {
            let partial = self.kernel.buffers.len() + at;
            match reduction.result {
                Accumulates::Register(reg) => {
                    let declares = |stmt: &&Stmt| matches!(stmt, Stmt::Accumulator { reg: other, .. } if *other == reg);
                    body.extend(self.before.iter().find(declares).cloned());
                    results.push(Stmt::Store { buffer: partial, address: Affine::var(chunk), value: reg });
                }
                Accumulates::Memory(buffer, fill) => {
                    let extent = self.kernel.buffers[buffer].elements;
                    let var = LoopVar(chunk.0 + 1 + at as u32);
                    let address = Affine::var(var).plus(&Affine::var(chunk), extent as i64);
                    let store = Stmt::Store { buffer: partial, address, value: fill };
                    body.push(Stmt::Loop(Loop { var, extent, kind: LoopKind::Vector, body: vec![store] }));
                    moved.insert(buffer, (partial, extent as i64));
                }
            }
        }
        let mut main = Loop { extent: size, ..self.main.clone() };
        for_each_function(&mut main.body, &mut |function| {
            let stride = function.stride(main.var);
            *function = std::mem::take(function).plus(&Affine::var(chunk), stride * size as i64);
        });
        for_each_access(&mut main.body, &mut |buffer, address| {
            if let Some(&(partial, elements)) = moved.get(buffer) {
                *buffer = partial;
                *address = std::mem::take(address).plus(&Affine::var(chunk), elements);
            }
        });
        body.push(Stmt::Loop(main));
        body.extend(results);
        let lets = self.before.iter().filter(|stmt| matches!(stmt, Stmt::Let { .. })).cloned();
        let chunks = Loop { var: chunk, extent: count, kind: LoopKind::Serial, body };
        lets.chain([Stmt::Loop(chunks)]).collect()
    }

    /// The statements of the second kernel.
    fn total(&self, count: usize, size: usize) -> Vec<Stmt> {
        let mut body = self.before.to_vec();
        let done = count * size;
        if done < self.main.extent {
            let mut main = Loop { extent: self.main.extent - done, ..self.main.clone() };
            for_each_function(&mut main.body, &mut |function| {
                function.offset += function.stride(main.var) * done as i64;
            });
            body.push(Stmt::Loop(main));
        }
        let (first_var, first_reg) = (self.fresh_var(), self.fresh_reg());
        for (at, reduction) in self.reductions.iter().enumerate() {
            let partial = self.kernel.buffers.len() + at;
            let vars = [0, 1].map(|own| LoopVar(first_var.0 + 2 * at as u32 + own));
            let regs = [0, 1, 2].map(|own| Reg(first_reg.0 + 3 * at as u32 + own));
            body.push(Stmt::Loop(self.combine(reduction, partial, count, vars, regs)));
        }
        body.extend_from_slice(self.after);
        body
    }

    /// The loop that combines the partial results of one reduction.
    fn combine(
        &self,
        reduction: &Reduction,
        partial: usize,
        count: usize,
        [chunk, within]: [LoopVar; 2],
        [before, own, after]: [Reg; 3],
    ) -> Loop {
        let Reduction { combine, dtype, ref result } = *reduction;
        let load =
            |reg: Reg, buffer: usize, address: Affine| Stmt::Let { reg, dtype, expr: Expr::Load { buffer, address } };
        match *result {
            Accumulates::Register(reg) => {
                let body = vec![load(own, partial, Affine::var(chunk)), Stmt::Accumulate { reg, combine, value: own }];
                Loop { var: chunk, extent: count, kind: LoopKind::Vector, body }
            }
            Accumulates::Memory(buffer, _) => {
                let extent = self.kernel.buffers[buffer].elements;
                let at = Affine::var(within);
                let body = vec![
                    load(before, buffer, at.clone()),
                    load(own, partial, at.clone().plus(&Affine::var(chunk), extent as i64)),
                    Stmt::Let { reg: after, dtype, expr: Expr::Op(combine.op(), smallvec![before, own]) },
                    Stmt::Store { buffer, address: at, value: after },
                ];
                let inner = Loop { var: within, extent, kind: LoopKind::Vector, body };
                Loop { var: chunk, extent: count, kind: LoopKind::Serial, body: vec![Stmt::Loop(inner)] }
            }
        }
    }

    /// A kernel of some statements, with the buffers that these use. Those of `earlier` have been written in part.
    fn part(&self, name: &str, partials: &[BufferParam], mut body: Vec<Stmt>, earlier: &[usize]) -> Part {
        prune(&mut body);
        let own = self.kernel.buffers.len();
        let mut buffers: Vec<usize> = Vec::new();
        for_each_access(&mut body, &mut |buffer, _| buffers.push(*buffer));
        buffers.sort_unstable();
        buffers.dedup();
        for_each_access(&mut body, &mut |buffer, _| {
            *buffer = buffers.binary_search(buffer).unwrap_or_default();
        });
        let param = |&at: &usize| {
            let param = if at < own { &self.kernel.buffers[at] } else { &partials[at - own] };
            let access = match (earlier.contains(&at), at < own) {
                (true, true) => Access::ReadWrite,
                (true, false) => Access::Read,
                (false, _) => param.access,
            };
            BufferParam { access, ..param.clone() }
        };
        let params = buffers.iter().map(param).collect();
        let mut kernel = Kernel { name: format!("{}_{name}", self.kernel.name), buffers: params, body };
        renumber(&mut kernel);
        Part { kernel, buffers }
    }

    /// The first loop index that the kernel does not use, nor any after it.
    fn fresh_var(&self) -> LoopVar {
        fn last(body: &[Stmt]) -> u32 {
            let next = |stmt: &Stmt| match stmt {
                Stmt::Loop(inner) => (inner.var.0 + 1).max(last(&inner.body)),
                _ => 0,
            };
            body.iter().map(next).max().unwrap_or(0)
        }
        LoopVar(last(&self.kernel.body))
    }

    /// The first register that the kernel does not use, nor any after it.
    fn fresh_reg(&self) -> Reg {
        fn last(body: &[Stmt]) -> u32 {
            let next = |stmt: &Stmt| match stmt {
                Stmt::Let { reg, .. } | Stmt::Accumulator { reg, .. } => reg.0 + 1,
                Stmt::Loop(inner) => last(&inner.body),
                Stmt::Store { .. } | Stmt::ScatterAdd { .. } | Stmt::Accumulate { .. } => 0,
            };
            body.iter().map(next).max().unwrap_or(0)
        }
        Reg(last(&self.kernel.body))
    }
}

/// How a loop combines into the elements of a buffer, where it does nothing else with it: it loads an element, combines it with
/// something and stores it, the same elements in each iteration.
fn combined(main: &Loop, buffer: usize) -> Option<Combine> {
    let block = block_of(&main.body, buffer)?;
    let touches = |stmt: &&Stmt| match stmt {
        Stmt::Let { expr: Expr::Load { buffer: other, .. } | Expr::LoadIndexed { buffer: other, .. }, .. }
        | Stmt::Store { buffer: other, .. }
        | Stmt::ScatterAdd { buffer: other, .. } => *other == buffer,
        _ => false,
    };
    let mut accesses = block.iter().filter(touches);
    let (
        Some(Stmt::Let { reg: before, expr: Expr::Load { address, .. }, .. }),
        Some(Stmt::Store { address: to, value, .. }),
        None,
    ) = (accesses.next(), accesses.next(), accesses.next())
    else {
        return None;
    };
    let operation = block.iter().find_map(|stmt| match stmt {
        Stmt::Let { reg, expr: Expr::Op(op, operands), .. } if reg == value => Some((*op, operands)),
        _ => None,
    });
    let (op, operands) = operation?;
    let combine = match op {
        ScalarOp::Add => Combine::Sum,
        ScalarOp::Max => Combine::Max,
        ScalarOp::Min => Combine::Min,
        _ => return None,
    };
    let mut counts = [0; 3];
    visit(&main.body, &mut |stmt| {
        counts[0] += usize::from(touches(&stmt));
        for_each_use(stmt, |reg| {
            counts[1] += usize::from(reg == *before);
            counts[2] += usize::from(reg == *value);
        });
    });
    let alone = counts == [2, 1, 1] && operands.contains(before);
    (alone && address == to && address.stride(main.var) == 0).then_some(combine)
}

/// The block that stores to a buffer.
fn block_of(body: &[Stmt], buffer: usize) -> Option<&[Stmt]> {
    if body.iter().any(|stmt| matches!(stmt, Stmt::Store { buffer: other, .. } if *other == buffer)) {
        return Some(body);
    }
    body.iter().find_map(|stmt| match stmt {
        Stmt::Loop(inner) => block_of(&inner.body, buffer),
        _ => None,
    })
}

/// Visits all statements but loops themselves.
fn visit(body: &[Stmt], with: &mut impl FnMut(&Stmt)) {
    for stmt in body {
        match stmt {
            Stmt::Loop(inner) => visit(&inner.body, with),
            stmt => with(stmt),
        }
    }
}

fn for_each_use(stmt: &Stmt, mut with: impl FnMut(Reg)) {
    match stmt {
        Stmt::Let { expr: Expr::Op(_, operands), .. } => operands.iter().copied().for_each(with),
        Stmt::Let { expr: Expr::LoadIndexed { index, .. }, .. } => with(*index),
        Stmt::Let { .. } | Stmt::Accumulator { .. } | Stmt::Loop(_) => {}
        Stmt::Store { value, .. } => with(*value),
        Stmt::ScatterAdd { index, value, guard, .. } => [*index, *value, *guard].into_iter().for_each(with),
        Stmt::Accumulate { value, .. } => with(*value),
    }
}

fn for_each_access(body: &mut [Stmt], change: &mut impl FnMut(&mut usize, &mut Affine)) {
    for stmt in body {
        match stmt {
            Stmt::Let { expr: Expr::Load { buffer, address } | Expr::LoadIndexed { buffer, address, .. }, .. }
            | Stmt::Store { buffer, address, .. }
            | Stmt::ScatterAdd { buffer, address, .. } => change(buffer, address),
            Stmt::Loop(inner) => for_each_access(&mut inner.body, change),
            Stmt::Let { .. } | Stmt::Accumulator { .. } | Stmt::Accumulate { .. } => {}
        }
    }
}

/// Takes out what is defined outside of loops and read nowhere.
fn prune(body: &mut Vec<Stmt>) {
    let mut used: Vec<bool> = Vec::new();
    let mut kept = Vec::with_capacity(body.len());
    while let Some(stmt) = body.pop() {
        if let Stmt::Let { reg, .. } = &stmt
            && !used.get(reg.0 as usize).is_some_and(|used| *used)
        {
            continue;
        }
        visit(std::slice::from_ref(&stmt), &mut |stmt| {
            for_each_use(stmt, |reg| {
                let at = reg.0 as usize;
                used.resize(used.len().max(at + 1), false);
                used[at] = true;
            });
        });
        kept.push(stmt);
    }
    kept.reverse();
    *body = kept;
}
