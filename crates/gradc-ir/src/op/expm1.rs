//! `expm1(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The exponential function minus one.
pub static EXPM1: OpDef = OpDef {
    name: "expm1",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::expm1(x[0])),
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
    lower: lower_to!(Expm1),
    algebra: Algebra::NONE,
    domain: Domain { unbounded: true, ..Domain::SMOOTH },
    cases: unary_cases,
    doc: "`exp(a) - 1`, element by element, exact near zero, where the difference would cancel. `expm1(±0)` is ±0.",
};

/// `g · eˣ`, from `y = eˣ − 1`.
fn slope_times(graph: &mut Graph, y: ValueId, g: ValueId) -> ValueId {
    let one = graph.full_like(y, 1.0);
    let slope = graph.add(y, one);
    graph.mul(g, slope)
}

impl Graph {
    /// `expm1(a)`
    pub fn expm1(&mut self, a: ValueId) -> ValueId {
        self.emit(EXPM1.op(), &[a])
    }
}
