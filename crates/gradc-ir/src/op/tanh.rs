//! `tanh(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The hyperbolic tangent.
pub static TANH: OpDef = OpDef {
    name: "tanh",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::tanh(x[0])),
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
    lower: lower_to!(Tanh),
    algebra: Algebra { odd: true, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: unary_cases,
    doc: "The hyperbolic tangent, element by element. Its derivative is `1 - y * y` for the value `y`.",
};

/// `g · (1 − y²)`
fn slope_times(graph: &mut Graph, y: ValueId, g: ValueId) -> ValueId {
    let one = graph.full_like(y, 1.0);
    let square = graph.mul(y, y);
    let slope = graph.sub(one, square);
    graph.mul(g, slope)
}

impl Graph {
    /// `tanh(a)`
    pub fn tanh(&mut self, a: ValueId) -> ValueId {
        self.emit(TANH.op(), &[a])
    }
}
