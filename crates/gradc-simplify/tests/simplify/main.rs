//! The simplifier on whole models and graphs.

mod certificates;
mod common;
mod corruptions;
mod derivations;
mod loops;
mod manual;
mod scale;
mod stable;
mod timed;
mod whole;
