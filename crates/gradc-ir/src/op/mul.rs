//! `a * b`

use super::elementwise::{binary_number_cases, lower_to, number};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, Linear, ValueId};

/// The product of two tensors, element by element.
pub static MUL: OpDef = OpDef {
    name: "mul",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("*"),
    infer: infer::same_number,
    evaluate: number(|x| x[0] * x[1], |x| x[0].wrapping_mul(x[1])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (a, b, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
            cx.contribute(0, |graph| graph.mul(g, b));
            cx.contribute(1, |graph| graph.mul(g, a));
        },
        jvp: |cx| {
            let (a, b) = (cx.operand(0), cx.operand(1));
            cx.contribute(0, |graph, t| graph.mul(t, b));
            cx.contribute(1, |graph, t| graph.mul(a, t));
        },
    },
    lower: lower_to!(Mul),
    algebra: Algebra { commutative: true, associative: true, right_identity: Some(1.0), linear: Linear::Each, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: binary_number_cases,
    doc: "The product of two tensors, element by element. Integers wrap.",
};

impl Graph {
    /// `a * b`
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(MUL.op(), &[a, b])
    }

    /// `factor * a`, for a float tensor `a`.
    pub fn scale(&mut self, a: ValueId, factor: f64) -> ValueId {
        let factor = self.full_like(a, factor);
        self.mul(factor, a)
    }
}
