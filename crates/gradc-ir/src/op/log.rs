//! `log(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The natural logarithm.
pub static LOG: OpDef = OpDef {
    name: "log",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::log(x[0])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            cx.contribute(0, |graph| graph.div(g, x));
        },
        jvp: |cx| {
            let x = cx.operand(0);
            cx.contribute(0, |graph, t| graph.div(t, x));
        },
    },
    lower: lower_to!(Log),
    algebra: Algebra::NONE,
    domain: Domain::POSITIVE,
    cases: unary_cases,
    doc: "The natural logarithm, element by element: −inf at zero, NaN below.",
};

impl Graph {
    /// `log(a)`
    pub fn log(&mut self, a: ValueId) -> ValueId {
        self.emit(LOG.op(), &[a])
    }
}
