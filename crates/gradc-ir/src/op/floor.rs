//! `floor(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The greatest whole number that is not above.
pub static FLOOR: OpDef = OpDef {
    name: "floor",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| x[0].floor()),
    derivative: Derivative::None("it is piecewise constant"),
    lower: lower_to!(Floor),
    algebra: Algebra { idempotent: true, ..Algebra::NONE },
    // It jumps at every whole number; these stand for all.
    domain: Domain { smooth: &[(-2.0, 2.0)], kinks: &[-1.0, 0.0, 1.0], ..Domain::SMOOTH },
    cases: unary_cases,
    doc: "The greatest whole number that is not greater, element by element; ±0, ±inf and NaN stay as they are.",
};

impl Graph {
    /// `floor(a)`
    pub fn floor(&mut self, a: ValueId) -> ValueId {
        self.emit(FLOOR.op(), &[a])
    }
}
