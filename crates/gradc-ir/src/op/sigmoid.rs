//! `sigmoid(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The logistic function.
pub static SIGMOID: OpDef = OpDef {
    name: "sigmoid",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| logistic(x[0])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (y, g) = (cx.result(), cx.cotangent());
            cx.contribute(0, |graph| slope_times(graph, y, g));
        },
        jvp: |cx| {
            let y = cx.result();
            cx.contribute(0, |graph, t| slope_times(graph, y, t));
        },
    },
    lower: lower_to!(Sigmoid),
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases: unary_cases,
    doc: "The logistic function `1 / (1 + exp(-a))`, element by element, with full relative accuracy on both sides: far below zero it is `exp(a)`. Its derivative is `y * (1 - y)` for the value `y`.",
};

/// The logistic function without overflow: from `exp(−|x|)`, which is at most one.
pub(crate) fn logistic(x: f64) -> f64 {
    let small = libm::exp(-x.abs());
    if x >= 0.0 { 1.0 / (1.0 + small) } else { small / (1.0 + small) }
}

/// `g · (y · (1 − y))`
fn slope_times(graph: &mut Graph, y: ValueId, g: ValueId) -> ValueId {
    let one = graph.full_like(y, 1.0);
    let rest = graph.sub(one, y);
    let slope = graph.mul(y, rest);
    graph.mul(g, slope)
}

impl Graph {
    /// `sigmoid(a)`
    pub fn sigmoid(&mut self, a: ValueId) -> ValueId {
        self.emit(SIGMOID.op(), &[a])
    }
}
