//! What elementwise operators share: their parts as constants, and their test cases.

use super::{Case, Evaluate};
use crate::attr::Attrs;
use crate::scalar::{ScalarBuilder, ScalarOp, ScalarValue};
use crate::{DType, TensorType};

/// The type of [`super::OpDef::lower`].
pub(super) type Lower = fn(&mut dyn ScalarBuilder, &[ScalarValue]) -> ScalarValue;

/// The lowering of an operator that is one scalar operation.
macro_rules! lower_to {
    ($op:ident) => {
        Some((|builder, operands| builder.op(crate::scalar::ScalarOp::$op, operands)) as crate::op::elementwise::Lower)
    };
}
pub(super) use lower_to;

/// Evaluation by one function on numbers.
pub(super) const fn real(real: fn(&[f64]) -> f64) -> Evaluate {
    Evaluate::Scalar { real, int: None }
}

/// Evaluation by a function on floats and one on integers that wraps.
pub(super) const fn number(real: fn(&[f64]) -> f64, int: fn(&[i32]) -> i32) -> Evaluate {
    Evaluate::Scalar { real, int: Some(int) }
}

/// Cases of one operand.
pub(super) fn unary_cases(n: usize, float: DType) -> Vec<Case> {
    shapes(n).map(|shape| case(vec![TensorType::new(float, shape.as_slice())])).collect()
}

/// Cases of two operands of one type.
pub(super) fn binary_cases(n: usize, float: DType) -> Vec<Case> {
    shapes(n).map(|shape| case(vec![TensorType::new(float, shape.as_slice()); 2])).collect()
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

/// A constant-and-operation pair that lowerings often need.
pub(super) fn with_constant(
    builder: &mut dyn ScalarBuilder,
    op: ScalarOp,
    operand: ScalarValue,
    constant: f64,
) -> ScalarValue {
    let constant = builder.constant(constant);
    builder.op(op, &[operand, constant])
}
