//! `erfc(a)`

use std::f64::consts::FRAC_2_SQRT_PI;

use super::elementwise::{lower_to, real, unary_cases};
use super::erf::slope_times;
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// What the error function is short of one.
pub static ERFC: OpDef = OpDef {
    name: "erfc",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_float,
    evaluate: real(|x| libm::erfc(x[0])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            cx.contribute(0, |graph| slope_times(graph, x, g, -FRAC_2_SQRT_PI));
        },
        jvp: |cx| {
            let x = cx.operand(0);
            cx.contribute(0, |graph, t| slope_times(graph, x, t, -FRAC_2_SQRT_PI));
        },
    },
    lower: lower_to!(Erfc),
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases: unary_cases,
    doc: "`1 - erf(a)`, with all the digits of a small result, element by element.",
};

impl Graph {
    /// `erfc(a)`
    pub fn erfc(&mut self, a: ValueId) -> ValueId {
        self.emit(ERFC.op(), &[a])
    }
}
