//! `a / b`

use super::elementwise::{binary_cases, lower_to, real};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, Linear, ValueId};

/// The quotient of two tensors.
pub static DIV: OpDef = OpDef {
    name: "div",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Infix("/"),
    infer: infer::same_float,
    evaluate: real(|x| x[0] / x[1]),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (b, quotient, g) = (cx.operand(1), cx.result(), cx.cotangent());
            cx.contribute(0, |graph| graph.div(g, b));
            // d(a/b)/db = −(a/b)/b, from the quotient that is there already.
            cx.contribute(1, |graph| {
                let slope = graph.div(quotient, b);
                let product = graph.mul(g, slope);
                graph.neg(product)
            });
        },
        jvp: |cx| {
            let (b, quotient) = (cx.operand(1), cx.result());
            cx.contribute(0, |graph, t| graph.div(t, b));
            cx.contribute(1, |graph, t| {
                let slope = graph.div(quotient, b);
                let product = graph.mul(slope, t);
                graph.neg(product)
            });
        },
    },
    lower: lower_to!(Div),
    algebra: Algebra { right_identity: Some(1.0), linear: Linear::In(&[0]), ..Algebra::NONE },
    domain: Domain { smooth: &[(-2.0, 2.0), (0.5, 3.0)], kinks: &[], unbounded: true, ..Domain::SMOOTH },
    cases: binary_cases,
    doc: "The quotient of two float tensors, element by element, by the rules of IEEE 754: `1 / 0` is infinite and \
          `0 / 0` is NaN.",
};

impl Graph {
    /// `a / b`
    pub fn div(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(DIV.op(), &[a, b])
    }
}
