//! `a == b`

use super::elementwise::{comparison_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Whether two tensors are equal, element by element.
pub static EQ: OpDef = OpDef {
    name: "eq",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("=="),
    infer: infer::comparison,
    evaluate: real(|x| truth(x[0] == x[1])),
    derivative: Derivative::None("a comparison is piecewise constant"),
    lower: lower_to!(Eq),
    algebra: Algebra { commutative: true, ..Algebra::NONE },
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: comparison_cases,
    doc: "Whether `a` equals `b`, element by element; false where either is NaN. −0 equals +0.",
};

impl Graph {
    /// `a == b`
    pub fn eq(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(EQ.op(), &[a, b])
    }
}
