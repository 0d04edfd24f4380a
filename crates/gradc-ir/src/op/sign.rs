//! `sign(a)`

use super::elementwise::{lower_to, number, unary_number_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The sign.
pub static SIGN: OpDef = OpDef {
    name: "sign",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_number,
    evaluate: number(|x| sign(x[0]), |x| x[0].signum()),
    derivative: Derivative::None("the sign is piecewise constant"),
    lower: lower_to!(Sign),
    // Not odd: the least `i32` is its own negation.
    algebra: Algebra { idempotent: true, ..Algebra::NONE },
    domain: Domain { smooth: &[(-2.0, 2.0)], kinks: &[0.0], ..Domain::SMOOTH },
    cases: unary_number_cases,
    doc: "1 for what is positive, −1 for what is negative; ±0 and NaN stay as they are.",
};

/// Unlike [`f64::signum`], zero where the argument is.
fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

impl Graph {
    /// `sign(a)`
    pub fn sign(&mut self, a: ValueId) -> ValueId {
        self.emit(SIGN.op(), &[a])
    }
}
