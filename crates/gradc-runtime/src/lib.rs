//! What compiled gradc code calls: matrix multiplication and scalar fallbacks, with a C ABI; the threads that it runs on
//! ([`Team`]). Also a probe of how much arithmetic the machine does at most.
//!
//! Everything that machine code calls runs on the thread that calls it, is deterministic on a given machine, allocates
//! nothing, and never unwinds.
//!
//! # What this crate does not know
//!
//! No graphs, no kernels, no plans: it is given pointers and numbers.

// Callers are compiled code, so arguments are raw pointers; each block says why it is sound.
#![allow(unsafe_code)]

mod matmul;
mod probe;
mod scalar;
mod team;

pub use matmul::{
    Axes, Axis, LANES_STEP, Matmul, MatmulCut, MatmulPart, Operand, Packing, Strides, gradc_runtime_matmul_f32,
    gradc_runtime_matmul_f64, matmul_instructions, multiply_part_f32, multiply_part_f64, pack_operand_f32,
    pack_operand_f64,
};
pub use probe::probe_fma_f32;
pub use scalar::{gradc_runtime_erf_f64, gradc_runtime_erfc_f64, gradc_runtime_pow_f64};
pub use team::{MOST_PARTS, Session, Team};
