//! What of a plan runs on several threads, and in which parts.
//!
//! Decided by cost, before anything is compiled: a step that takes a few microseconds is done sooner than another thread has
//! heard of it, and a program that has little to share leaves the other threads asleep. The parts depend on the plan and on
//! the number of threads alone; results depend on neither.

use std::ops::Range;

use gradc_runtime::{MOST_PARTS, MatmulPart};
use gradc_schedule::kernel::{Kernel, Piece, Split, split, work};
use gradc_schedule::plan::{Gemm, Plan, Step};

use crate::matmul::matmul;
use crate::options::Sharing;

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
    /// The least work of a step that is shared.
    least: u64,
    /// For each kernel, in the order of [`Plan::all_kernels`], where it is cut.
    splits: Vec<Option<Split>>,
}

impl Partition {
    /// For so many threads.
    pub(crate) fn new(plan: &Plan, threads: usize, sharing: Sharing) -> Partition {
        let (least, least_in_all) = match sharing {
            Sharing::WorthWhile => (STEP, PROGRAM),
            Sharing::Everything => (1, 1),
        };
        let kernels = plan.all_kernels();
        let alone = Partition { threads: 1, least, splits: vec![None; kernels.len()] };
        if threads < 2 {
            return alone;
        }
        let works: Vec<u64> = kernels.iter().map(|kernel| work(&kernel.body)).collect();
        let worthy = |(kernel, &work): (&&Kernel, &u64)| if work < least { None } else { split(kernel) };
        let splits: Vec<Option<Split>> = kernels.iter().zip(&works).map(worthy).collect();
        let shared: Vec<u64> =
            works.iter().zip(&splits).map(|(&work, split)| split.as_ref().map_or(0, |_| work)).collect();
        match shared_work(plan, &shared, least) < least_in_all {
            true => alone,
            false => Partition { threads, least, splits },
        }
    }

    /// Whether anything is shared.
    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The pieces of a kernel, by its position in [`Plan::all_kernels`]: the kernel itself, where it is not cut.
    pub(crate) fn pieces(&self, number: usize, kernel: &Kernel) -> Vec<Piece> {
        let Some(split) = &self.splits[number] else {
            return vec![Piece { kernel: kernel.clone(), offsets: vec![0; kernel.buffers.len()] }];
        };
        let steps = split.units / split.step;
        let pieces = count(steps, self.threads);
        let at = |piece: usize| if piece == pieces { split.units } else { steps * piece / pieces * split.step };
        (0..pieces).map(|piece| split.piece(kernel, at(piece)..at(piece + 1))).collect()
    }

    /// The parts of a product: one, where it is not shared.
    pub(crate) fn parts(&self, gemm: &Gemm) -> Vec<MatmulPart> {
        let threads = if product_work(gemm) < self.least { 1 } else { self.threads };
        matmul(gemm).parts(gemm.dtype.size(), threads.min(MOST_PARTS))
    }

    /// The parts in which an operand is packed: all lanes, where that is not shared.
    pub(crate) fn packing_parts(&self, gemm: &Gemm) -> Vec<Range<usize>> {
        let elements = gemm.packed.and_then(|packed| gemm.packed_elements(packed.operand)).unwrap_or(usize::MAX);
        let threads = if (elements as u64) / LOADS < self.least { 1 } else { self.threads };
        matmul(gemm).packing_parts(gemm.dtype.size(), threads.min(MOST_PARTS))
    }
}

/// How many pieces so many steps are cut into for so many threads: as many as there are threads, or a few times as many where
/// only these are all of one size, so that one kernel does for all.
fn count(steps: usize, threads: usize) -> usize {
    let even = (1..=4).map(|times| threads * times).find(|&pieces| steps.is_multiple_of(pieces));
    even.unwrap_or(threads).min(steps).clamp(1, MOST_PARTS)
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
        // It is done once, and does not count.
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

#[cfg(test)]
mod tests {
    use gradc_ir::DType;
    use gradc_schedule::plan::{BufferId, Gemm, MatrixRef};

    use super::{MULTIPLICATIONS, STEP, count, product_work};

    /// An m × k matrix times a k × n matrix.
    fn product([m, n, k]: [usize; 3]) -> Gemm {
        let matrix = |rows: usize, columns: usize| MatrixRef::plain(BufferId(0), 1, rows, columns);
        let (a, b, c) = (matrix(m, k), matrix(k, n), matrix(m, n));
        let dtype = DType::F32;
        Gemm {
            dtype,
            batch: 1,
            m,
            n,
            k,
            a,
            b,
            c,
            accumulate: false,
            scale: 1.0,
            factor: None,
            scratch: None,
            packed: None,
        }
    }

    #[test]
    fn products_of_few_rows_are_shared_by_what_they_load() {
        let elements = 1 << 16;
        let many = product_work(&product([64, 256, 256]));
        assert_eq!(many, 64 * elements / MULTIPLICATIONS);
        // One row or one column takes half as long as there are elements to load, not an eighth of it.
        for shape in [[1, 256, 256], [256, 1, 256]] {
            assert_eq!(product_work(&product(shape)), elements / 2);
            assert!(product_work(&product(shape)) >= STEP);
        }
        // Two rows load as much as one, and four are multiplied as fast as any.
        assert_eq!(product_work(&product([2, 256, 256])), elements / 2);
        assert_eq!(product_work(&product([4, 256, 256])), 4 * elements / MULTIPLICATIONS);
        assert!(product_work(&product([1, 64, 64])) < STEP);
        assert_eq!(product_work(&product([0, 64, 64])), 0);
    }

    #[test]
    fn pieces_are_even_where_they_can_be() {
        assert_eq!(count(64, 2), 2);
        // Three threads have an equal share of twelve pieces only.
        assert_eq!(count(24, 3), 3);
        assert_eq!(count(17, 2), 2);
        assert_eq!(count(1, 2), 1);
        assert_eq!(count(0, 2), 1);
    }
}
