//! `ceil(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The least whole number that is not below.
pub static CEIL: OpDef = OpDef {
    name: "ceil",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| x[0].ceil()),
    derivative: Derivative::None("it is piecewise constant"),
    lower: lower_to!(Ceil),
    algebra: Algebra { idempotent: true, ..Algebra::NONE },
    // It jumps at every whole number; these stand for all.
    domain: Domain { smooth: &[(-2.0, 2.0)], kinks: &[-1.0, 0.0, 1.0], ..Domain::SMOOTH },
    cases: unary_cases,
    doc: "The least whole number that is not less, element by element, which is −0 above −1; ±0, ±inf and NaN stay as they are.",
};

impl Graph {
    /// `ceil(a)`
    pub fn ceil(&mut self, a: ValueId) -> ValueId {
        self.emit(CEIL.op(), &[a])
    }
}
