//! What a plan asks of the machine.

use gradc::Demand;
use gradc::schedule::Plan;
use gradc::schedule::plan::{Gemm, Location};

/// Arithmetic and traffic of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations, as [`gradc::cost`] counts them.
    pub flops: u64,
    /// Bytes of the buffers that steps read and write, those of a loop's body as often as it runs.
    pub bytes: u64,
    /// Bytes of all memory that a run touches: the arena, and what caller and program share.
    pub working_set: usize,
}

impl Work {
    /// The work of a plan; `flops` are those of the graph that it was made of.
    pub fn of(plan: &Plan, flops: u64) -> Work {
        let in_slots = |buffer: &&gradc::schedule::plan::Buffer| matches!(buffer.location, Location::Slot(_));
        let shared: usize = plan.buffers.iter().filter(in_slots).map(|buffer| buffer.ty.bytes()).sum();
        Work { flops, bytes: Demand::of(plan, flops).bytes, working_set: plan.arena_bytes.saturating_add(shared) }
    }
}

/// The floating-point operations of a product of matrices.
pub fn gemm_flops(gemm: &Gemm) -> u64 {
    [gemm.batch, gemm.m, gemm.n, gemm.k].iter().fold(2, |flops, &extent| flops.saturating_mul(extent as u64))
}
