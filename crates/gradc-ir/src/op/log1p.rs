//! `log1p(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The natural logarithm of one more.
pub static LOG1P: OpDef = OpDef {
    name: "log1p",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::log1p(x[0])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            cx.contribute(0, |graph| over_argument(graph, g, x));
        },
        jvp: |cx| {
            let x = cx.operand(0);
            cx.contribute(0, |graph, t| over_argument(graph, t, x));
        },
    },
    lower: lower_to!(Log1p),
    algebra: Algebra::NONE,
    domain: Domain { smooth: &[(-0.5, 3.0)], kinks: &[-1.0], unbounded: true, ..Domain::SMOOTH },
    cases: unary_cases,
    doc: "`log(1 + a)`, element by element, exact near zero, where the sum would round. −inf at −1, NaN below; `log1p(±0)` is ±0.",
};

/// `g / (1 + x)`
fn over_argument(graph: &mut Graph, g: ValueId, x: ValueId) -> ValueId {
    let one = graph.full_like(x, 1.0);
    let argument = graph.add(one, x);
    graph.div(g, argument)
}

impl Graph {
    /// `log1p(a)`
    pub fn log1p(&mut self, a: ValueId) -> ValueId {
        self.emit(LOG1P.op(), &[a])
    }
}
