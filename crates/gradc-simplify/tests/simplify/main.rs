//! The simplifier on whole models and graphs.

mod common;
mod files;
mod scale;
mod stable;
mod whole;
