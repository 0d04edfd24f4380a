//! `a - b`

use super::elementwise::{binary_number_cases, lower_to, number};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, Linear, ValueId};

/// The difference of two tensors.
pub static SUB: OpDef = OpDef {
    name: "sub",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("-"),
    infer: infer::same_number,
    evaluate: number(|x| x[0] - x[1], |x| x[0].wrapping_sub(x[1])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let g = cx.cotangent();
            cx.contribute(0, |_| g);
            cx.contribute(1, |graph| graph.neg(g));
        },
        jvp: |cx| {
            cx.contribute(0, |_, t| t);
            cx.contribute(1, |graph, t| graph.neg(t));
        },
    },
    lower: lower_to!(Sub),
    algebra: Algebra { right_identity: Some(0.0), linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: binary_number_cases,
    doc: "The difference of two tensors, element by element. Integers wrap.",
};

impl Graph {
    /// `a - b`
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(SUB.op(), &[a, b])
    }
}
