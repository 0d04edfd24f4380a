//! Products of matrices.

use egg::Id;
use gradc_ir::op;

use super::Fact::Symmetric;
use super::FpClass::{Fast, Strict};
use super::{Match, Rule, rule};
use crate::ops;
use crate::facts::Facts;
use crate::terms::Terms;

#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    rule("transposed-left",     Strict,   "matmul[F](transpose[P](a), b)", "matmul(a^T, b)", "the product reads its operand along the other axis; the same numbers in the same order").built(|t, m| folded(t, m, true)).local().at(&["F: 0 / 0; P: 1 0; a: 3 4; b: 3 5", "F: 1 / 0; P: 0 2 1; a: 2 4 3; b: 2 3 5"]),
    rule("transposed-right",    Strict,   "matmul[F](a, transpose[P](b))", "matmul(a, b^T)", "the product reads its operand along the other axis; the same numbers in the same order").built(|t, m| folded(t, m, false)).local().at(&["F: 0 / 0; P: 1 0; a: 4 3; b: 5 3", "F: 0 / 1; P: 0 2 1; a: 2 4 3; b: 2 3 5"]),
    rule("transposed-product",  Strict,   "transpose[P](matmul[F](a, b))", "matmul(b^T, a^T)", "the same products summed in the same order").built(transposed_product).at(&["F: 0 / 0; P: 1 0; a: 4 3; b: 3 5", "F: 1 / 1; P: 0 2 1; a: 2 3 4; b: 2 5 3"]),
    rule("gram",                Strict,   "matmul[F](a, a)",         "symmetric",          "for a product with its own transpose: the same products summed in the same order").learns(learn_gram).at(&["F: 1 / 0; a: 4 3", "F: 0 / 1; a: 2 3 4"]),
    rule("transposed-symmetric", Strict,  "transpose[P](x)",         "x",                  "the axes that are exchanged may be").when(&[("x", Symmetric)]).built(transposed_symmetric).local().at(&["P: 1 0; x: 4 4 symmetric"]),
    rule("symmetric-left",      Strict,   "matmul[F](a, b)",         "matmul(a, b)",    "for a transposed a: the same numbers in the same order").when(&[("a", Symmetric)]).built(|t, m| untransposed(t, m, true)).local().at(&["F: 1 / 0; a: 4 4 symmetric; b: 4 3"]),
    rule("symmetric-right",     Strict,   "matmul[F](a, b)",         "matmul(a, b)",    "for a transposed b: the same numbers in the same order").when(&[("b", Symmetric)]).built(|t, m| untransposed(t, m, false)).local().at(&["F: 0 / 1; a: 3 4; b: 4 4 symmetric"]),
    rule("negated-left",        Strict,   "matmul[F](-a, b)",        "-matmul[F](a, b)",   "rounding is symmetric in the sign").at(&["F: 0 / 0; a: 4 3; b: 3 5"]),
    rule("negated-right",       Strict,   "matmul[F](a, -b)",        "-matmul[F](a, b)",   "rounding is symmetric in the sign").at(&["F: 0 / 0; a: 4 3; b: 3 5"]),
    rule("common-right",        Fast,     "matmul[F](a, c) + matmul[F](b, c)", "matmul[F](a + b, c)", "distributivity; one product instead of two").at(&["F: 0 / 0; a: 4 3; b: 4 3; c: 3 5"]),
    rule("common-left",         Fast,     "matmul[F](c, a) + matmul[F](c, b)", "matmul[F](c, a + b)", "distributivity; one product instead of two").at(&["F: 0 / 0; a: 3 5; b: 3 5; c: 4 3"]),
    rule("common-right-of-difference", Fast, "matmul[F](a, c) - matmul[F](b, c)", "matmul[F](a - b, c)", "distributivity; one product instead of two").at(&["F: 0 / 0; a: 4 3; b: 4 3; c: 3 5"]),
    rule("common-left-of-difference", Fast, "matmul[F](c, a) - matmul[F](c, b)", "matmul[F](c, a - b)", "distributivity; one product instead of two").at(&["F: 0 / 0; a: 3 5; b: 3 5; c: 4 3"]),
    rule("product-later",       Fast,     "matmul[F](matmul[G](a, b), c)", "matmul(a, matmul(b, c))", "associativity; which is cheaper depends on the shapes").built(|t, m| regrouped(t, m, true)).at(&["F: 0 / 0; G: 0 / 0; a: 4 3; b: 3 5; c: 5 2", "F: 0 / 1; G: 1 / 1; a: 3 4; b: 5 3; c: 2 5"]),
    rule("product-sooner",      Fast,     "matmul[F](a, matmul[G](b, c))", "matmul(matmul(a, b), c)", "associativity; which is cheaper depends on the shapes").built(|t, m| regrouped(t, m, false)).at(&["F: 0 / 0; G: 0 / 0; a: 4 3; b: 3 5; c: 5 2", "F: 1 / 0; G: 1 / 1; a: 3 4; b: 5 3; c: 2 5"]),
    rule("multiple-left",       Fast,     "matmul[F](#c * a, b)",    "#c * matmul[F](a, b)", "distributivity; cheaper where the product is smaller").at(&["F: 0 / 0; #c: 0.3; a: 4 3; b: 3 5"]),
    rule("multiple-right",      Fast,     "matmul[F](a, #c * b)",    "#c * matmul[F](a, b)", "distributivity; cheaper where the product is smaller").at(&["F: 0 / 0; #c: 0.3; a: 4 3; b: 3 5"]),
];

/// A product of three matrices, the last two of which are multiplied first, or the first two; none of the products is transposed.
fn regrouped(terms: &mut dyn Terms, found: &Match<'_>, later: bool) -> Option<Id> {
    let [a, b, c] = [found.value("a")?, found.value("b")?, found.value("c")?];
    let (outer, inner) = (found.attrs("F")?, found.attrs("G")?);
    let flag = |attrs: &gradc_ir::Attrs, name: &str| attrs.bool(name);
    if [a, b, c].iter().any(|&x| terms.facts(x).ty.shape.rank() != 2) {
        return None;
    }
    let (inner_a, inner_b) = (flag(inner, "transpose_a"), flag(inner, "transpose_b"));
    let (outer_a, outer_b) = (flag(outer, "transpose_a"), flag(outer, "transpose_b"));
    if later {
        if outer_a {
            return None;
        }
        let product = terms.apply(ops::matmul(inner_b, outer_b), &[b, c])?;
        terms.apply(ops::matmul(inner_a, false), &[a, product])
    } else {
        if outer_b {
            return None;
        }
        let product = terms.apply(ops::matmul(outer_a, inner_a), &[a, b])?;
        terms.apply(ops::matmul(false, inner_b), &[product, c])
    }
}

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

fn learn_gram(_: &dyn Terms, found: &Match<'_>, facts: &mut Facts) {
    facts.symmetric |= found.attrs("F").is_some_and(|flags| flags.bool("transpose_a") != flags.bool("transpose_b"));
}

fn transposed_symmetric(_: &mut dyn Terms, found: &Match<'_>) -> Option<Id> {
    exchanges_last_two(found.attrs("P")?.ints("permutation")).then_some(found.value("x")?)
}

/// The product without the flag that a symmetric operand is transposed.
fn untransposed(terms: &mut dyn Terms, found: &Match<'_>, left: bool) -> Option<Id> {
    let flags = found.attrs("F")?;
    let (transpose_a, transpose_b) = (flags.bool("transpose_a"), flags.bool("transpose_b"));
    let is_transposed = if left { transpose_a } else { transpose_b };
    let op = ops::matmul(transpose_a && !left, transpose_b && left);
    if is_transposed { terms.apply(op, &[found.value("a")?, found.value("b")?]) } else { None }
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
