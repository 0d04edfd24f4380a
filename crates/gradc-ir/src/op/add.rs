//! `a + b`

use super::elementwise::{binary_number_cases, lower_to, number};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, Linear, ValueId};

/// The sum of two tensors.
pub static ADD: OpDef = OpDef {
    name: "add",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("+"),
    infer: infer::same_number,
    evaluate: number(|x| x[0] + x[1], |x| x[0].wrapping_add(x[1])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let g = cx.cotangent();
            cx.contribute(0, |_| g);
            cx.contribute(1, |_| g);
        },
        jvp: |cx| {
            cx.contribute(0, |_, t| t);
            cx.contribute(1, |_, t| t);
        },
    },
    lower: lower_to!(Add),
    // Adding +0 turns −0 into +0; only −0 is an identity to the bit.
    algebra: Algebra { commutative: true, associative: true, right_identity: Some(-0.0), linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: binary_number_cases,
    doc: "The sum of two tensors, element by element. Integers wrap.",
};

impl Graph {
    /// `a + b`
    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(ADD.op(), &[a, b])
    }
}
