//! What of a plan runs on several threads, in which parts, and where the threads wait for one another.
//!
//! Decided by cost, before anything is compiled: a step that takes a few microseconds is done sooner than another thread has
//! heard of it, and a program that has little to share leaves the other threads asleep. The parts depend on the plan and on
//! the number of threads alone; results depend on neither.

mod region;
mod supersteps;
#[cfg(test)]
mod tests;
mod touched;
mod ways;

use gradc_runtime::MOST_PARTS;
use gradc_schedule::kernel::{Kernel, Piece, split, work};
use gradc_schedule::plan::{Gemm, Plan, Step};

use crate::options::Sharing;

pub(crate) use supersteps::Superstep;
pub(crate) use ways::StepParts;

use supersteps::Terms;
use ways::Ways;

/// The least work of a step that is shared, in instructions: some two microseconds, several times what it takes a thread that is
/// awake to hear of a step and to say that it is done.
const STEP: u64 = 8_000;

/// The least work of all shared steps of a program that uses other threads at all: a few times what it takes to wake them.
const PROGRAM: u64 = 250_000;

/// Multiplications of matrices' elements that take as long as an instruction.
const MULTIPLICATIONS: u64 = 8;

/// Elements that are loaded in the time of an instruction, where each is used once.
const LOADS: u64 = 2;

/// How a plan is shared out.
pub(crate) struct Partition {
    threads: usize,
    /// For each kernel, in the order of [`Plan::all_kernels`], the ways in which steps run it: the pieces of each.
    pieces: Vec<Vec<Vec<Piece>>>,
    /// How the steps of the plan are shared.
    pub(crate) shares: Shares,
}

/// How the steps of a plan are shared out.
pub(crate) struct Shares {
    /// The parts of each step.
    pub(crate) steps: Vec<StepParts>,
    /// All steps, in order: whoever does a part of one of these does it from the first step to the last, without waiting.
    pub(crate) supersteps: Vec<Superstep>,
    /// Those of the bodies.
    pub(crate) bodies: Vec<Shares>,
}

impl Partition {
    /// For so many threads.
    pub(crate) fn new(plan: &Plan, threads: usize, sharing: Sharing) -> Partition {
        let kernels = plan.all_kernels();
        let threads = threads.min(MOST_PARTS);
        let is_shared = threads > 1 && is_worth_sharing(plan, &kernels, sharing);
        let threads = if is_shared { threads } else { 1 };
        let ways: Vec<Ways> = kernels.iter().map(|kernel| Ways::of_kernel(kernel, threads)).collect();
        let shares = supersteps::share(plan, &ways, Terms { threads, sharing, rounds: 1, lasting: &[] });
        let mut pieces: Vec<Vec<Vec<Piece>>> = ways.into_iter().map(|ways| ways.pieces).collect();
        shares.keep_used(plan, &mut pieces);
        Partition { threads, pieces, shares }
    }

    /// Whether anything is shared.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// For each kernel, in the order of [`Plan::all_kernels`], the ways in which it may be run, and the pieces of each: none, if
    /// no step runs it in this way.
    pub(crate) fn pieces(&self) -> &[Vec<Vec<Piece>>] {
        &self.pieces
    }
}

impl Shares {
    /// Drops the pieces of kernels that no step of a plan runs.
    fn keep_used(&self, plan: &Plan, pieces: &mut [Vec<Vec<Piece>>]) {
        let (own, mut rest) = pieces.split_at_mut(plan.kernels.len());
        let mut used: Vec<Vec<bool>> = own.iter().map(|ways| vec![false; ways.len()]).collect();
        for (step, parts) in plan.steps.iter().zip(&self.steps) {
            if let (Step::Kernel { kernel, .. }, StepParts::Kernel { way, .. }) = (step, parts) {
                used[*kernel][*way] = true;
            }
        }
        for (pieces, _) in own.iter_mut().flatten().zip(used.iter().flatten()).filter(|(_, used)| !**used) {
            pieces.clear();
        }
        for (shares, body) in self.bodies.iter().zip(&plan.bodies) {
            let (its, others) = rest.split_at_mut(body.all_kernels().len());
            shares.keep_used(body, its);
            rest = others;
        }
    }
}

/// Whether there is so much to share that it is worth while to wake other threads.
fn is_worth_sharing(plan: &Plan, kernels: &[&Kernel], sharing: Sharing) -> bool {
    let (least, least_in_all) = match sharing {
        Sharing::WorthWhile => (STEP, PROGRAM),
        Sharing::Everything => (1, 1),
    };
    let shareable = |kernel: &&Kernel| {
        let work = work(&kernel.body);
        if work >= least && split(kernel).is_some() { work } else { 0 }
    };
    let works: Vec<u64> = kernels.iter().map(shareable).collect();
    shared_work(plan, &works, least) >= least_in_all
}

/// The work of all steps that are shared; `kernels` has that of each kernel that is, in the order of [`Plan::all_kernels`],
/// and products are from the `least` work on.
fn shared_work(plan: &Plan, kernels: &[u64], least: u64) -> u64 {
    let (own, mut rest) = kernels.split_at(plan.kernels.len());
    let mut of_bodies = Vec::with_capacity(plan.bodies.len());
    for body in &plan.bodies {
        let (its, others) = rest.split_at(body.all_kernels().len());
        of_bodies.push(shared_work(body, its, least));
        rest = others;
    }
    let of_step = |step: &Step| match step {
        Step::Kernel { kernel, .. } => own[*kernel],
        Step::Gemm(gemm) => Some(product_work(gemm)).filter(|&work| work >= least).unwrap_or(0),
        // It is done once for many products, and does not count.
        Step::Pack(_) => 0,
        Step::Scan(scan) => of_bodies[scan.body].saturating_mul(scan.length as u64),
    };
    plan.steps.iter().map(of_step).fold(0, u64::saturating_add)
}

fn product_work(gemm: &Gemm) -> u64 {
    let multiplications = [gemm.batch, gemm.m, gemm.n, gemm.k]
        .iter()
        .fold(1u64, |product, &extent| product.saturating_mul(extent as u64));
    // What each element of the larger operand costs to load is shared by the rows, or columns, that it is multiplied with.
    multiplications / MULTIPLICATIONS.min(LOADS * gemm.m.min(gemm.n).max(1) as u64)
}
