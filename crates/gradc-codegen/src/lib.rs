//! Loop IR to machine code: wide vectors of x86 where the machine has them, Cranelift's everywhere.
//!
//! [`compile`] takes a [`Plan`](gradc_schedule::plan::Plan) and gives a [`Program`]: one function of machine code for
//! each kernel, and a table of steps. A program runs in an [`Arena`] that is allocated once, on tensors that the caller
//! binds to its slots ([`Binding`]).
//!
//! The folder tree follows the way of a kernel: `check` proves that a plan can be run without harm; `op`, `half` and `math`
//! say what operations compute, in terms of `lanes`; `wide` and `emit` translate loops and memory, one to wide vectors and
//! one to Cranelift's IR; [`compile()`] chooses and drives both.
//!
//! # What this crate does not know
//!
//! No graphs and no operators: [`ScalarOp`](gradc_ir::ScalarOp) is all that is left of them. It is the only crate that
//! uses Cranelift, and the only one besides the runtime with unsafe code.

// Machine code is called through pointers, and works on memory through pointers; each block says why it is sound.
#![allow(unsafe_code)]

mod analysis;
mod arena;
mod binding;
mod check;
mod code;
mod compile;
mod crew;
mod emit;
mod error;
mod half;
mod imports;
mod lanes;
mod listing;
mod math;
mod matmul;
mod narrow;
mod op;
mod options;
mod pages;
mod partition;
mod program;
mod routine;
mod target;
mod wide;
mod width;
mod x86;

pub use arena::Arena;
pub use binding::{Binding, Element};
pub use compile::compile;
pub use error::{CodegenError, RunError};
pub use matmul::{packing, scratch_bytes};
pub use options::{Contraction, Features, Listings, OptLevel, Options, Sharing, Vectors};
pub use program::{Program, Statistics};
