//! `a >= b`

use super::elementwise::{comparison_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Whether the one is greater than the other or equal.
pub static GE: OpDef = OpDef {
    name: "ge",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix(">="),
    infer: infer::comparison,
    evaluate: real(|x| truth(x[0] >= x[1])),
    derivative: Derivative::None("a comparison is piecewise constant"),
    lower: lower_to!(Ge),
    algebra: Algebra::NONE,
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: comparison_cases,
    doc: "Whether `a` is greater than `b` or equal, element by element; false where either is NaN.",
};

impl Graph {
    /// `a >= b`
    pub fn ge(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(GE.op(), &[a, b])
    }
}
