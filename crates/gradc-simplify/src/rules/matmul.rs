//! Products of matrices.

use egg::Id;
use gradc_ir::op;

use super::FpClass::{Fast, Strict};
use super::{Match, Rule, rule};
use crate::ops;
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("transposed-left",     Strict,   "matmul[F](transpose[P](a), b)", "matmul(a^T, b)", "the product reads its operand along the other axis; the same numbers in the same order").built(|t, m| folded(t, m, true)).local().at(&["F: 0 / 0; P: 1 0; a: 3 4; b: 3 5", "F: 1 / 0; P: 0 2 1; a: 2 4 3; b: 2 3 5"]),
    rule("transposed-right",    Strict,   "matmul[F](a, transpose[P](b))", "matmul(a, b^T)", "the product reads its operand along the other axis; the same numbers in the same order").built(|t, m| folded(t, m, false)).local().at(&["F: 0 / 0; P: 1 0; a: 4 3; b: 5 3", "F: 0 / 1; P: 0 2 1; a: 2 4 3; b: 2 3 5"]),
    rule("transposed-product",  Strict,   "transpose[P](matmul[F](a, b))", "matmul(b^T, a^T)", "the same products summed in the same order").built(transposed_product).at(&["F: 0 / 0; P: 1 0; a: 4 3; b: 3 5", "F: 1 / 1; P: 0 2 1; a: 2 3 4; b: 2 5 3"]),
    rule("negated-left",        Strict,   "matmul[F](-a, b)",        "-matmul[F](a, b)",   "rounding is symmetric in the sign").at(&["F: 0 / 0; a: 4 3; b: 3 5"]),
    rule("negated-right",       Strict,   "matmul[F](a, -b)",        "-matmul[F](a, b)",   "rounding is symmetric in the sign").at(&["F: 0 / 0; a: 4 3; b: 3 5"]),
    rule("multiple-left",       Fast,     "matmul[F](#c * a, b)",    "#c * matmul[F](a, b)", "distributivity; cheaper where the product is smaller").at(&["F: 0 / 0; #c: 0.3; a: 4 3; b: 3 5"]),
    rule("multiple-right",      Fast,     "matmul[F](a, #c * b)",    "#c * matmul[F](a, b)", "distributivity; cheaper where the product is smaller").at(&["F: 0 / 0; #c: 0.3; a: 4 3; b: 3 5"]),
];

/// Whether a permutation exchanges just the last two axes.
fn exchanges_last_two(permutation: &[usize]) -> bool {
    let rank = permutation.len();
    rank >= 2
        && permutation[..rank - 2].iter().copied().eq(0..rank - 2)
        && permutation[rank - 2..] == [rank - 1, rank - 2]
}

/// A transpose before a product becomes a flag of the product.
fn folded(terms: &mut dyn Terms, found: &Match<'_>, left: bool) -> Option<Id> {
    let (flags, permutation) = (found.attrs("F")?, found.attrs("P")?.ints("permutation"));
    if !exchanges_last_two(permutation) {
        return None;
    }
    let op = ops::matmul(flags.bool("transpose_a") ^ left, flags.bool("transpose_b") ^ !left);
    terms.apply(op, &[found.value("a")?, found.value("b")?])
}

fn transposed_product(terms: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    let (flags, permutation) = (found.attrs("F")?, found.attrs("P")?.ints("permutation"));
    if !exchanges_last_two(permutation) {
        return None;
    }
    let op = ops::matmul(!flags.bool("transpose_b"), !flags.bool("transpose_a"));
    debug_assert!(op.is(&op::matmul::MATMUL));
    terms.apply(op, &[found.value("b")?, found.value("a")?])
}
