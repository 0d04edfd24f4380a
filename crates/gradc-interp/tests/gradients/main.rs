//! Every derivative rule against finite differences and against its own transpose, in `f64`, for every operator of the
//! registry at odd sizes; the conventions at kinks and ties; and whether the checks themselves catch wrong rules.

mod check;
mod conventions;
mod linear;
mod loops;
mod mutations;
mod operators;
mod random;
