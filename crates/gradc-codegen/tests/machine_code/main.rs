//! Machine code against the evaluators of kernels and graphs.

mod accuracy;
mod elementwise;
mod graphs;
mod loops;
mod refusals;
mod support;
