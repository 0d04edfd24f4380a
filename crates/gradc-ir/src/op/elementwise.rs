//! What elementwise operators share: their parts as constants, and their test cases.

use super::{Case, Evaluate};
use crate::attr::Attrs;
use crate::{DType, TensorType};

/// The lowering of an operator that is one scalar operation.
macro_rules! lower_to {
    ($op:ident) => {
        Some((|builder, _, operands| builder.op(crate::scalar::ScalarOp::$op, operands)) as crate::op::Lower)
    };
}
pub(super) use lower_to;

/// Evaluation by one function on numbers.
pub(super) const fn real(real: fn(&[f64]) -> f64) -> Evaluate {
    Evaluate::Scalar { real, int: None }
}

/// Evaluation by a function on floats and one on integers that wraps.
pub(super) const fn number(real: fn(&[f64]) -> f64, int: fn(&[i64]) -> i64) -> Evaluate {
    Evaluate::Scalar { real, int: Some(int) }
}

/// Cases of one float operand.
pub(super) fn unary_cases(n: usize, float: DType) -> Vec<Case> {
    cases(n, 1, &[float])
}

/// Cases of one operand of any numeric type.
pub(super) fn unary_number_cases(n: usize, float: DType) -> Vec<Case> {
    cases(n, 1, &[float, DType::I32, DType::I64, DType::U8])
}

/// Cases of one operand of truth values.
pub(super) fn unary_bool_cases(n: usize, _: DType) -> Vec<Case> {
    cases(n, 1, &[DType::Bool])
}

/// Cases of two float operands.
pub(super) fn binary_cases(n: usize, float: DType) -> Vec<Case> {
    cases(n, 2, &[float])
}

/// Cases of two operands of any numeric type.
pub(super) fn binary_number_cases(n: usize, float: DType) -> Vec<Case> {
    cases(n, 2, &[float, DType::I32, DType::I64, DType::U8])
}

/// Cases of two operands of truth values.
pub(super) fn binary_bool_cases(n: usize, _: DType) -> Vec<Case> {
    cases(n, 2, &[DType::Bool])
}

/// Cases of two operands of any type.
pub(super) fn comparison_cases(n: usize, float: DType) -> Vec<Case> {
    cases(n, 2, &[float, DType::I32, DType::I64, DType::U8, DType::Bool])
}

/// Cases of `arity` operands of one type, in every small rank for the first element type and in one for the others.
fn cases(n: usize, arity: usize, dtypes: &[DType]) -> Vec<Case> {
    let of = |dtype: DType, shape: &[usize]| case(vec![TensorType::new(dtype, shape); arity]);
    let others = dtypes[1..].iter().map(|&dtype| of(dtype, &[2, n]));
    shapes(n).map(|shape| of(dtypes[0], &shape)).chain(others).collect()
}

/// A case without attributes.
pub(super) fn case(operands: Vec<TensorType>) -> Case {
    Case { attrs: Attrs::NONE, operands }
}

/// Shapes of every small rank with an extent of `n`.
pub(super) fn shapes(n: usize) -> impl Iterator<Item = Vec<usize>> {
    [vec![n], vec![2, n], vec![n, 3], vec![2, n, 2]].into_iter().chain((n == 1).then(Vec::new))
}

/// `f(x) ? 1 : 0`, for comparisons.
pub(super) fn truth(value: bool) -> f64 {
    f64::from(u8::from(value))
}
