//! `exp(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The exponential function.
pub static EXP: OpDef = OpDef {
    name: "exp",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::exp(x[0])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (y, g) = (cx.result(), cx.cotangent());
            cx.contribute(0, |graph| graph.mul(g, y));
        },
        jvp: |cx| {
            let y = cx.result();
            cx.contribute(0, |graph, t| graph.mul(t, y));
        },
    },
    lower: lower_to!(Exp),
    algebra: Algebra::NONE,
    domain: Domain { unbounded: true, ..Domain::SMOOTH },
    cases: unary_cases,
    doc: "The exponential function, element by element. Its derivative is its own value.",
};

impl Graph {
    /// `exp(a)`
    pub fn exp(&mut self, a: ValueId) -> ValueId {
        self.emit(EXP.op(), &[a])
    }
}
