//! `sqrt(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The square root.
pub static SQRT: OpDef = OpDef {
    name: "sqrt",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| x[0].sqrt()),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (y, g) = (cx.result(), cx.cotangent());
            cx.contribute(0, |graph| half_over(graph, g, y));
        },
        jvp: |cx| {
            let y = cx.result();
            cx.contribute(0, |graph, t| half_over(graph, t, y));
        },
    },
    lower: lower_to!(Sqrt),
    algebra: Algebra::NONE,
    domain: Domain::POSITIVE,
    cases: unary_cases,
    doc: "The square root, element by element, correctly rounded; NaN below zero, `sqrt(-0)` is −0. Its derivative at zero is infinite, and 0 · inf is NaN: a cotangent of exactly zero does not hide it.",
};

/// `½ · g / y`
fn half_over(graph: &mut Graph, g: ValueId, y: ValueId) -> ValueId {
    let half = graph.scale(g, 0.5);
    graph.div(half, y)
}

impl Graph {
    /// `sqrt(a)`
    pub fn sqrt(&mut self, a: ValueId) -> ValueId {
        self.emit(SQRT.op(), &[a])
    }
}
