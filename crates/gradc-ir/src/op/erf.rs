//! `erf(a)`

use std::f64::consts::FRAC_2_SQRT_PI;

use super::elementwise::{lower_to, real, unary_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The error function.
pub static ERF: OpDef = OpDef {
    name: "erf",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::erf(x[0])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            cx.contribute(0, |graph| slope_times(graph, x, g, FRAC_2_SQRT_PI));
        },
        jvp: |cx| {
            let x = cx.operand(0);
            cx.contribute(0, |graph, t| slope_times(graph, x, t, FRAC_2_SQRT_PI));
        },
    },
    lower: lower_to!(Erf),
    algebra: Algebra { odd: true, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: unary_cases,
    doc: "The error function, `2/√π` times the integral of `exp(-t * t)` from 0 to `a`, element by element.",
};

/// `g · (factor · exp(−x²))`, where the factor is 2/√π or its negative.
pub(super) fn slope_times(graph: &mut Graph, x: ValueId, g: ValueId, factor: f64) -> ValueId {
    let square = graph.mul(x, x);
    let exponent = graph.neg(square);
    let bell = graph.exp(exponent);
    let slope = graph.scale(bell, factor);
    graph.mul(g, slope)
}

impl Graph {
    /// `erf(a)`
    pub fn erf(&mut self, a: ValueId) -> ValueId {
        self.emit(ERF.op(), &[a])
    }
}
