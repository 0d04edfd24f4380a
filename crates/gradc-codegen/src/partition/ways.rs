//! The ways in which a step may be done: whole, or in parts.

use std::ops::Range;

use gradc_runtime::{LANES_STEP, MatmulPart};
use gradc_schedule::kernel::{Kernel, Piece, Split, splits, work};
use gradc_schedule::plan::{BufferId, Gemm, Plan, Step};

use super::touched::{Touched, by_part, by_piece};
use super::{LOADS, MULTIPLICATIONS};
use crate::matmul::matmul;

/// What it takes to begin a part of a step, in multiplications: some fifty nanoseconds.
pub(super) const BEGIN: u64 = 5_000;

/// How a step of a plan is done.
#[derive(Clone, Debug)]
pub(crate) enum StepParts {
    /// A kernel, in the pieces of one of the ways that it may be cut.
    Kernel {
        /// Which, by position in what [`Partition::pieces`](super::Partition::pieces) says of the kernel.
        way: usize,
        /// How many pieces there are.
        count: usize,
    },
    /// The parts of a product.
    Product(Vec<MatmulPart>),
    /// The parts in which an operand is packed: lanes of it.
    Packing(Vec<Range<usize>>),
    /// A loop, whose body is shared out by itself. Where the threads need not wait for one another in it at all, each does its
    /// parts of all rounds: so many parts, or one.
    Loop {
        /// How many parts.
        count: usize,
    },
}

impl StepParts {
    /// How many parts there are.
    pub(crate) fn count(&self) -> usize {
        match self {
            StepParts::Kernel { count, .. } | StepParts::Loop { count } => *count,
            StepParts::Product(parts) => parts.len(),
            StepParts::Packing(parts) => parts.len(),
        }
    }
}

/// A way to do a step.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) parts: StepParts,
    /// About how long it takes, in multiplications.
    pub(super) cost: u64,
    /// What each part touches.
    pub(super) touched: Vec<Vec<Touched<BufferId>>>,
}

/// The ways to run a kernel: whole, and cut at each place where it can be.
pub(super) struct Ways {
    /// The pieces of each way.
    pub(super) pieces: Vec<Vec<Piece>>,
    /// About how long each takes, in multiplications.
    costs: Vec<u64>,
    /// What each piece of each way touches, if there is more than one way.
    touched: Vec<Vec<Vec<Touched<usize>>>>,
}

impl Ways {
    /// For so many threads. With one there is one way.
    pub(super) fn of_kernel(kernel: &Kernel, threads: usize) -> Ways {
        let whole = vec![Piece { kernel: kernel.clone(), offsets: vec![0; kernel.buffers.len()] }];
        let mut pieces = vec![whole];
        if threads > 1 {
            let cuts = splits(kernel).into_iter().map(|split| cut(kernel, &split, threads));
            pieces.extend(cuts.filter(|pieces| pieces.len() > 1));
        }
        let cost = |piece: &Piece| work(&piece.kernel.body).saturating_mul(MULTIPLICATIONS);
        let slowest = |pieces: &Vec<Piece>| {
            let slowest = pieces.iter().map(cost).max().unwrap_or(0);
            slowest.saturating_add(if pieces.len() > 1 { BEGIN } else { 0 })
        };
        let costs = pieces.iter().map(slowest).collect();
        let touched = |pieces: &Vec<Piece>| pieces.iter().map(|piece| by_piece(kernel, piece)).collect();
        let touched = if threads > 1 { pieces.iter().map(touched).collect() } else { Vec::new() };
        Ways { pieces, costs, touched }
    }

    /// Those of a step that runs the kernel on these buffers.
    fn on(&self, buffers: &[BufferId]) -> Vec<Way> {
        let on_buffer = |touched: &Touched<usize>| Touched {
            buffer: buffers[touched.buffer],
            region: touched.region.clone(),
            written: touched.written,
        };
        let way = |way: usize| Way {
            parts: StepParts::Kernel { way, count: self.pieces[way].len() },
            cost: self.costs[way],
            touched: self.touched[way].iter().map(|touched| touched.iter().map(on_buffer).collect()).collect(),
        };
        (0..self.touched.len()).map(way).collect()
    }
}

/// The pieces of a kernel that is cut for so many threads.
fn cut(kernel: &Kernel, split: &Split, threads: usize) -> Vec<Piece> {
    // As products are cut, so that a piece reads what one part has written.
    let step = split.step.min(LANES_STEP);
    let steps = split.units.div_ceil(step);
    let count = threads.min(steps);
    let at = |piece: usize| (steps * piece / count * step).min(split.units);
    (0..count).map(|piece| split.piece(kernel, at(piece)..at(piece + 1))).collect()
}

/// The ways to do a step of `plan`, whose kernels have these, for so many threads: whole comes first. `is_at_hand` says of a buffer
/// whether each thread has it in a cache of its own. There are none for a loop.
pub(super) fn of_step(
    plan: &Plan,
    step: &Step,
    kernels: &[Ways],
    threads: usize,
    is_at_hand: impl Fn(BufferId) -> bool,
) -> Vec<Way> {
    match step {
        Step::Kernel { kernel, buffers } => kernels[*kernel].on(buffers),
        Step::Gemm(gemm) => of_product(plan, gemm, threads, [is_at_hand(gemm.a.buffer), is_at_hand(gemm.b.buffer)]),
        Step::Pack(gemm) => of_packing(plan, gemm, threads),
        Step::Scan(_) => Vec::new(),
    }
}

/// What it takes to pack an element, in multiplications.
const PACK: u64 = MULTIPLICATIONS / LOADS;

/// Each part counts as if it wrote all of the packed operand: what reads it waits.
fn of_packing(plan: &Plan, gemm: &Gemm, threads: usize) -> Vec<Way> {
    let elements = gemm.packed.and_then(|packed| gemm.packed_elements(packed.operand)).unwrap_or(usize::MAX);
    let way = |count: usize| {
        let parts = matmul(gemm).packing_parts(gemm.dtype.size(), count);
        let begin = if parts.len() > 1 { BEGIN } else { 0 };
        let touched = gemm.packed.into_iter().flat_map(|packed| {
            let from = gemm.operand(packed.operand).buffer;
            let bytes = |buffer: BufferId| plan.buffers[buffer.0 as usize].ty.bytes();
            [Touched::written(packed.buffer, bytes(packed.buffer)), Touched::read(from, bytes(from))]
        });
        let touched: Vec<Touched<BufferId>> = touched.flatten().collect();
        Way {
            cost: (elements as u64).saturating_mul(PACK) / parts.len().max(1) as u64 + begin,
            touched: vec![touched; parts.len()],
            parts: StepParts::Packing(parts),
        }
    };
    let ways = [way(1), way(threads)];
    ways.into_iter().enumerate().filter(|(at, way)| *at == 0 || way.parts.count() > 1).map(|(_, way)| way).collect()
}

fn of_product(plan: &Plan, gemm: &Gemm, threads: usize, at_hand: [bool; 2]) -> Vec<Way> {
    let cuts = matmul(gemm).cuts(gemm.dtype.size(), threads, at_hand);
    let way = |cut: gradc_runtime::MatmulCut| {
        let mut touched: Vec<Vec<Touched<BufferId>>> = cut.parts.iter().map(|part| by_part(plan, gemm, part)).collect();
        let begin = if cut.parts.len() > 1 { BEGIN } else { 0 };
        // Parts have scratch memory of their own.
        if let ([whole], Some(scratch)) = (touched.as_mut_slice(), gemm.scratch) {
            whole.extend(Touched::written(scratch, plan.buffers[scratch.0 as usize].ty.bytes()));
        }
        Way { cost: (cut.cost as u64).saturating_add(begin), parts: StepParts::Product(cut.parts), touched }
    };
    cuts.into_iter().map(way).collect()
}

/// How a step is done by one thread.
pub(super) fn whole(step: &Step) -> StepParts {
    match step {
        Step::Kernel { .. } => StepParts::Kernel { way: 0, count: 1 },
        Step::Gemm(gemm) => StepParts::Product(vec![matmul(gemm).whole()]),
        Step::Pack(gemm) => StepParts::Packing(matmul(gemm).packing_parts(gemm.dtype.size(), 1)),
        Step::Scan(_) => StepParts::Loop { count: 1 },
    }
}
