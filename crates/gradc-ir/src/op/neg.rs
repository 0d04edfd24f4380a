//! `-a`

use super::elementwise::{lower_to, number, unary_number_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, Linear, ValueId};

/// The negation of a tensor.
pub static NEG: OpDef = OpDef {
    name: "neg",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Prefix("-"),
    infer: infer::same_number,
    evaluate: number(|x| -x[0], |x| x[0].wrapping_neg()),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let g = cx.cotangent();
            cx.contribute(0, |graph| graph.neg(g));
        },
        jvp: |cx| cx.contribute(0, |graph, t| graph.neg(t)),
    },
    lower: lower_to!(Neg),
    algebra: Algebra { involution: true, odd: true, linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: unary_number_cases,
    doc: "The negation of a tensor: the sign bit of a float is flipped, that of zero and NaN too. Integers wrap.",
};

impl Graph {
    /// `-a`
    pub fn neg(&mut self, a: ValueId) -> ValueId {
        self.emit(NEG.op(), &[a])
    }
}
