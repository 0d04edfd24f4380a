//! The simplifier on whole models and graphs.

mod common;
mod files;
mod loops;
mod manual;
mod scale;
mod stable;
mod whole;
