//! Fusion into kernels, the loop IR, liveness and the memory plan.
//!
//! [`schedule`] makes a [`Plan`] of a graph, in stages that each have a module:
//!
//! 0. `expand`, `numerics` and `reshapes`: the graph in operators that kernels know, with what can be computed better, or without
//!    memory, written so;
//! 1. `places`: which values are computed once (roots) and which are part of the expressions that read them; `matrix`: what products
//!    read and write through movements, so that it is in no memory of its own;
//! 2. `needs`: what each root reads from memory, and at which element;
//! 3. `groups`: which roots one step computes, and in which pass over its loops; `in_place`: what products are added to;
//! 4. `memory`: which buffer holds each value, in place where that is safe; `arena`: where these buffers are;
//! 5. `build`: the loops of each step as a [`Kernel`](kernel::Kernel), of which equal ones are shared; long sums are cut into
//!    chunks there, and in `depth` those of products.
//!
//! Where the plan takes more memory than it may, `rematerialise` has some values computed again, and all of this is done once
//! more.
//!
//! What this crate does not know: machine code, threads, and the meaning of operators beyond their scalar lowering and
//! how they move elements.

mod arena;
mod build;
mod depth;
mod expand;
mod groups;
mod in_place;
mod index;
pub mod kernel;
mod matrix;
mod memory;
mod needs;
mod numerics;
mod places;
pub mod plan;
mod reduction;
mod rematerialise;
mod reshapes;
mod scans;
mod schedule;

pub use plan::Plan;
pub use schedule::{Options, schedule};
