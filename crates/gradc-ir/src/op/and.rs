//! `a && b`

use super::elementwise::{binary_bool_cases, lower_to, real, truth};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// Whether both hold, element by element.
pub static AND: OpDef = OpDef {
    name: "and",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("&&"),
    infer: infer::same_bool,
    evaluate: real(|x| truth(x[0] != 0.0 && x[1] != 0.0)),
    derivative: Derivative::None("truth values have no derivative"),
    lower: lower_to!(And),
    algebra: Algebra { commutative: true, associative: true, right_identity: Some(1.0), idempotent: true, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: binary_bool_cases,
    doc: "Whether both truth values hold, element by element.",
};

impl Graph {
    /// `a && b`
    pub fn and(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(AND.op(), &[a, b])
    }
}
