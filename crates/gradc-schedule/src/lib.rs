//! Fusion into kernels, the loop IR, liveness and the memory plan.

pub mod kernel;
pub mod plan;
