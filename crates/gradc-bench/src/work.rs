//! What a plan asks of the machine.

use gradc::schedule::Plan;
use gradc::schedule::plan::{Gemm, Location, Step, traffic};

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
        Work {
            flops,
            bytes: plan.steps.iter().map(|step| bytes_moved(plan, step)).sum(),
            working_set: plan.arena_bytes.saturating_add(shared),
        }
    }
}

/// The bytes of the buffers that a step of a plan reads and writes. A loop moves what each of its steps does.
pub fn bytes_moved(plan: &Plan, step: &Step) -> u64 {
    match step {
        Step::Scan(scan) => {
            let body = &plan.bodies[scan.body];
            let once: u64 = body.steps.iter().map(|step| bytes_moved(body, step)).sum();
            once.saturating_mul(scan.length as u64)
        }
        _ => {
            let traffic = traffic(plan, step);
            traffic.read as u64 + traffic.written as u64
        }
    }
}

/// The floating-point operations of a product of matrices.
pub fn gemm_flops(gemm: &Gemm) -> u64 {
    [gemm.batch, gemm.m, gemm.n, gemm.k].iter().fold(2, |flops, &extent| flops.saturating_mul(extent as u64))
}
