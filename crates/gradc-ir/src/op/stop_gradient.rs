//! `stop_gradient(a)`

use super::elementwise::{real, unary_number_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef};
use crate::{Graph, ValueId};

/// The operand, cut off from differentiation.
pub static STOP_GRADIENT: OpDef = OpDef {
    name: "stop_gradient",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: |_, operands| Ok(operands[0].clone()),
    evaluate: real(|x| x[0]),
    derivative: Derivative::None("that is what it is for"),
    lower: Some(|_, _, operands| operands[0]),
    algebra: Algebra { idempotent: true, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: unary_number_cases,
    doc: "The operand, unchanged, through which no derivative flows: it counts as a constant.",
};

impl Graph {
    /// `stop_gradient(a)`
    pub fn stop_gradient(&mut self, a: ValueId) -> ValueId {
        self.emit(STOP_GRADIENT.op(), &[a])
    }
}
