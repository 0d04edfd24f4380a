//! `rsqrt(a)`

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The reciprocal of the square root.
pub static RSQRT: OpDef = OpDef {
    name: "rsqrt",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| 1.0 / x[0].sqrt()),
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
    lower: lower_to!(Rsqrt),
    algebra: Algebra::NONE,
    domain: Domain::POSITIVE,
    cases: unary_cases,
    doc: "`1 / sqrt(a)`, element by element: infinite at zero with its sign, NaN below. Its derivative is `-0.5 * y * y * y` for the value `y`.",
};

/// `g · (−½ · y³)`
fn slope_times(graph: &mut Graph, y: ValueId, g: ValueId) -> ValueId {
    let square = graph.mul(y, y);
    let cube = graph.mul(square, y);
    let slope = graph.scale(cube, -0.5);
    graph.mul(g, slope)
}

impl Graph {
    /// `rsqrt(a)`
    pub fn rsqrt(&mut self, a: ValueId) -> ValueId {
        self.emit(RSQRT.op(), &[a])
    }
}
