//! `a <= b`

use super::elementwise::{comparison_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Whether the one is less than the other or equal.
pub static LE: OpDef = OpDef {
    name: "le",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("<="),
    infer: infer::comparison,
    evaluate: real(|x| truth(x[0] <= x[1])),
    derivative: Derivative::None("a comparison is piecewise constant"),
    lower: lower_to!(Le),
    algebra: Algebra::NONE,
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: comparison_cases,
    doc: "Whether `a` is less than `b` or equal, element by element; false where either is NaN.",
};

impl Graph {
    /// `a <= b`
    pub fn le(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(LE.op(), &[a, b])
    }
}
