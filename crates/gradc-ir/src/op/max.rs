//! `max(a, b)`

use super::elementwise::{binary_number_cases, lower_to, number};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The greater of two tensors, element by element.
pub static MAX: OpDef = OpDef {
    name: "max",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_number,
    evaluate: number(|x| maximum(x[0], x[1]), |x| x[0].max(x[1])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (a, b, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
            cx.contribute(0, |graph| share_of_greater(graph, a, b, g));
            cx.contribute(1, |graph| share_of_greater(graph, b, a, g));
        },
        jvp: |cx| {
            let (a, b) = (cx.operand(0), cx.operand(1));
            cx.contribute(0, |graph, t| share_of_greater(graph, a, b, t));
            cx.contribute(1, |graph, t| share_of_greater(graph, b, a, t));
        },
    },
    lower: lower_to!(Max),
    algebra: Algebra { commutative: true, associative: true, idempotent: true, ..Algebra::NONE },
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: binary_number_cases,
    doc: "The greater of two tensors, element by element. NaN if either is NaN; `max(-0, +0)` is +0. Where the two \
          are equal, each receives half of the derivative; where either is NaN, neither receives any.",
};

/// IEEE 754-2019 `maximum`.
pub(crate) fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// What `a` receives of `g` in `max(a, b)`: all where it is greater, half at a tie.
fn share_of_greater(graph: &mut Graph, a: ValueId, b: ValueId, g: ValueId) -> ValueId {
    let greater = graph.gt(a, b);
    share_of_chosen(graph, greater, a, b, g)
}

/// What `a` receives of `g` in the choice between `a` and `b`: all where it is `chosen`, half at a tie.
pub(super) fn share_of_chosen(graph: &mut Graph, chosen: ValueId, a: ValueId, b: ValueId, g: ValueId) -> ValueId {
    let tie = graph.eq(a, b);
    let half = graph.scale(g, 0.5);
    let zero = graph.full_like(g, 0.0);
    let otherwise = graph.select(tie, half, zero);
    graph.select(chosen, g, otherwise)
}

impl Graph {
    /// `max(a, b)`
    pub fn max(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(MAX.op(), &[a, b])
    }
}
