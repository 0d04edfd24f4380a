//! `min(a, b)`

use super::elementwise::{binary_number_cases, lower_to, number};
use super::max::{maximum, share_of_chosen};
use super::{Algebra, Arity, Class, Derivative, Domain, Notation, OpDef, infer};
use crate::{Graph, ValueId};

/// The lesser of two tensors, element by element.
pub static MIN: OpDef = OpDef {
    name: "min",
    class: Class::Elementwise,
    arity: Arity::Exactly(2),
    attrs: &[],
    notation: Notation::Call,
    infer: infer::same_number,
    evaluate: number(|x| minimum(x[0], x[1]), |x| x[0].min(x[1])),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (a, b, g) = (cx.operand(0), cx.operand(1), cx.cotangent());
            cx.contribute(0, |graph| share_of_lesser(graph, a, b, g));
            cx.contribute(1, |graph| share_of_lesser(graph, b, a, g));
        },
        jvp: |cx| {
            let (a, b) = (cx.operand(0), cx.operand(1));
            cx.contribute(0, |graph, t| share_of_lesser(graph, a, b, t));
            cx.contribute(1, |graph, t| share_of_lesser(graph, b, a, t));
        },
    },
    lower: lower_to!(Min),
    algebra: Algebra { commutative: true, associative: true, idempotent: true, ..Algebra::NONE },
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: binary_number_cases,
    doc: "The lesser of two tensors, element by element. NaN if either is NaN; `min(-0, +0)` is −0. Where the two \
          are equal, each receives half of the derivative; where either is NaN, neither receives any.",
};

/// IEEE 754-2019 `minimum`.
pub(crate) fn minimum(a: f64, b: f64) -> f64 {
    -maximum(-a, -b)
}

/// What `a` receives of `g` in `min(a, b)`: all where it is less, half at a tie.
fn share_of_lesser(graph: &mut Graph, a: ValueId, b: ValueId, g: ValueId) -> ValueId {
    let less = graph.lt(a, b);
    share_of_chosen(graph, less, a, b, g)
}

impl Graph {
    /// `min(a, b)`
    pub fn min(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.emit(MIN.op(), &[a, b])
    }
}
