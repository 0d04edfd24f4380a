//! `round(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The nearest whole number.
pub static ROUND: OpDef = OpDef {
    name: "round",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| x[0].round_ties_even()),
    derivative: Derivative::None("it is piecewise constant"),
    lower: lower_to!(Round),
    algebra: Algebra { idempotent: true, odd: true, ..Algebra::NONE },
    // It jumps halfway between whole numbers; these stand for all.
    domain: Domain { smooth: &[(-2.0, 2.0)], kinks: &[-0.5, 0.5, 1.5], ..Domain::SMOOTH },
    cases: unary_cases,
    doc: "The nearest whole number, element by element, and of two that are equally near the even one; zeros keep the sign of \
          the operand, ±0, ±inf and NaN stay as they are.",
};

impl Graph {
    /// `round(a)`
    pub fn round(&mut self, a: ValueId) -> ValueId {
        self.emit(ROUND.op(), &[a])
    }
}
