//! Scalar arithmetic: what elementwise operators become inside a kernel.

use crate::DType;

/// A scalar operation of the loop IR. Operators lower to these; code generators know nothing else.
///
/// Comparisons and logic give truth values. `Min` and `Max` propagate NaN and hold −0 below +0; every transcendental
/// operation is accurate to a few units in the last place over its whole domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the mathematics")]
pub enum ScalarOp {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Pow,
    Neg,
    Abs,
    Sign,
    Floor,
    Ceil,
    /// To the nearest whole number, of two the even one.
    Round,
    Sqrt,
    Rsqrt,
    Exp,
    Expm1,
    Log,
    Log1p,
    Tanh,
    Sigmoid,
    Erf,
    Erfc,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Not,
    /// `Select(c, a, b)` is `a` where `c` holds, else `b`; the other one is not looked at.
    Select,
    /// Conversion to the given type: see [`DType::round`].
    Cast(DType),
    /// Exclusive or of the bits of two `i32`.
    Xor,
    /// The bits of an `i32`, rotated towards the most significant by so many, fewer than 32.
    RotateLeft(u8),
    /// The bits of an `i32`, moved towards the least significant by so many, fewer than 32, with zeros after them.
    ShiftRight(u8),
}

/// A scalar value under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScalarValue(pub u32);

/// What an operator's lowering writes to.
pub trait ScalarBuilder {
    /// A constant of the element type that the operator's result has.
    fn constant(&mut self, value: f64) -> ScalarValue;
    /// A constant of type `i32`.
    fn integer(&mut self, value: i32) -> ScalarValue;
    /// One operation.
    fn op(&mut self, op: ScalarOp, operands: &[ScalarValue]) -> ScalarValue;
}
