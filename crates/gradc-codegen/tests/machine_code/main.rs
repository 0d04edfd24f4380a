//! Machine code against the evaluators of kernels and graphs.

mod accuracy;
mod elementwise;
mod graphs;
mod halves;
mod listings;
mod loops;
mod packing;
mod refusals;
mod scans;
mod support;
mod threads;
mod views;
mod wide;
