//! The `gradc` command line.
fn main() {}
