//! `a < b`

use super::elementwise::{comparison_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Whether the one is less than the other.
pub static LT: OpDef = OpDef {
    name: "lt",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("<"),
    infer: infer::comparison,
    evaluate: real(|x| truth(x[0] < x[1])),
    derivative: Derivative::None("a comparison is piecewise constant"),
    lower: lower_to!(Lt),
    algebra: Algebra::NONE,
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: comparison_cases,
    doc: "Whether `a` is less than `b`, element by element; false where either is NaN.",
};

impl Graph {
    /// `a < b`
    pub fn lt(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(LT.op(), &[a, b])
    }
}
