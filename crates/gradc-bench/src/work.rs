//! What a plan asks of the machine.

use std::collections::BTreeSet;

use gradc::Demand;
use gradc::schedule::Plan;
use gradc::schedule::plan::{BufferId, Gemm, Location};

/// Arithmetic and traffic of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Floating-point operations, as [`gradc::cost`] counts them.
    pub flops: u64,
    /// Bytes of the buffers that steps read and write, those of a loop's body as often as it runs.
    pub bytes: u64,
    /// Bytes of all memory that a run touches: the arena, and what caller and program share, but for what the prologue alone
    /// reads.
    pub working_set: usize,
}

impl Work {
    /// The work of a plan; `flops` are those of the graph that it was made of.
    pub fn of(plan: &Plan, flops: u64) -> Work {
        let in_runs = plan.steps[plan.prologue.steps..].iter();
        let touched: BTreeSet<BufferId> =
            in_runs.flat_map(|step| plan.reads(step).into_iter().chain(plan.writes(step))).collect();
        let buffers = touched.iter().filter_map(|buffer| plan.buffers.get(buffer.0 as usize));
        let in_slots = buffers.filter(|buffer| matches!(buffer.location, Location::Slot(_)));
        let shared: usize = in_slots.map(|buffer| buffer.ty.bytes()).sum();
        Work { flops, bytes: Demand::of(plan, flops).bytes, working_set: plan.arena_bytes.saturating_add(shared) }
    }
}

/// The floating-point operations of a product of matrices.
pub fn gemm_flops(gemm: &Gemm) -> u64 {
    [gemm.batch, gemm.m, gemm.n, gemm.k].iter().fold(2, |flops, &extent| flops.saturating_mul(extent as u64))
}

#[cfg(test)]
mod tests {
    use gradc::{Goal, Options, Program};

    use super::*;

    #[test]
    fn what_the_prologue_alone_reads_is_in_no_run() {
        let text = "model m { input x: f32[64, 256]\n output y = dense(x, 256) }";
        let program = Program::from_source("m.net", text).expect("the model is right");
        let model = program.only_model().expect("there is one");
        let executable = model.compile(&Goal::Outputs, &Options::default()).expect("it compiles");
        let plan = executable.plan();
        assert!(plan.prologue.steps > 0, "the weights are packed once");
        let [rows, bias] = [64 * 256 * 4, 256 * 4];
        assert_eq!(Work::of(plan, 0).working_set, plan.arena_bytes + rows + bias + rows);
    }
}
