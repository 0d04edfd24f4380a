//! `!a`

use super::elementwise::{unary_bool_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The opposite truth value, element by element.
pub static NOT: OpDef = OpDef {
    name: "not",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Prefix("!"),
    infer: infer::same_bool,
    evaluate: real(|x| truth(x[0] == 0.0)),
    derivative: Derivative::None("truth values have no derivative"),
    lower: lower_to!(Not),
    algebra: Algebra { involution: true, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: unary_bool_cases,
    doc: "The opposite truth value, element by element.",
};

impl Graph {
    /// `!a`
    pub fn not(&mut self, a: ValueId) -> ValueId {
        self.emit(NOT.op(), &[a])
    }
}
