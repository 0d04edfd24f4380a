//! `a != b`

use super::elementwise::{comparison_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Whether two tensors differ, element by element.
pub static NE: OpDef = OpDef {
    name: "ne",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("!="),
    infer: infer::comparison,
    evaluate: real(|x| truth(x[0] != x[1])),
    derivative: Derivative::None("a comparison is piecewise constant"),
    lower: lower_to!(Ne),
    algebra: Algebra { commutative: true, ..Algebra::NONE },
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: comparison_cases,
    doc: "Whether `a` differs from `b`, element by element; true where either is NaN. −0 does not differ from +0.",
};

impl Graph {
    /// `a != b`
    pub fn ne(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(NE.op(), &[a, b])
    }
}
