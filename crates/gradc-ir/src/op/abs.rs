//! `abs(a)`

use super::elementwise::{lower_to, number, unary_number_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The magnitude.
pub static ABS: OpDef = OpDef {
    name: "abs",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_number,
    evaluate: number(|x| x[0].abs(), |x| x[0].wrapping_abs()),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            cx.contribute(0, |graph| with_sign(graph, g, x));
        },
        jvp: |cx| {
            let x = cx.operand(0);
            cx.contribute(0, |graph, t| with_sign(graph, t, x));
        },
    },
    lower: lower_to!(Abs),
    algebra: Algebra { idempotent: true, even: true, ..Algebra::NONE },
    domain: Domain { smooth: &[(0.5, 3.0)], kinks: &[0.0], ..Domain::SMOOTH },
    cases: unary_number_cases,
    doc: "The magnitude of each element: the sign bit is cleared, that of NaN too. Integers wrap: the least one is its own magnitude. The derivative is 0 where `a` is zero or NaN.",
};

/// `g` where `x` is positive, `−g` where it is negative, else 0. Not `g · sign(x)`: an infinite `g` at zero would be NaN.
fn with_sign(graph: &mut Graph, g: ValueId, x: ValueId) -> ValueId {
    let zero = graph.full_like(x, 0.0);
    let positive = graph.gt(x, zero);
    let negative = graph.lt(x, zero);
    let opposite = graph.neg(g);
    let otherwise = graph.select(negative, opposite, zero);
    graph.select(positive, g, otherwise)
}

impl Graph {
    /// `abs(a)`
    pub fn abs(&mut self, a: ValueId) -> ValueId {
        self.emit(ABS.op(), &[a])
    }
}
