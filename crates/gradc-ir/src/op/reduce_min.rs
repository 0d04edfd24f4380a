//! `amin(x, axes=…)`

use super::min::minimum;
use super::reduce_max::{mean_over_extremes, share_among_extremes};
use super::reduce_sum::{fold, reduce_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Evaluate, Notation, OpDef, infer};
use crate::attr::{Attr, Attrs, AttrKind, AttrSpec};
use crate::{DType, Graph, ValueId};

/// The least element along some axes.
pub static REDUCE_MIN: OpDef = OpDef {
    name: "amin",
    class: Class::Reduce,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::new("axes", AttrKind::Ints)],
    notation: Notation::Call,
    infer: infer::reduce,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| fold(attrs, operands[0], ty, greatest(ty.dtype), minimum)),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, y, g, attrs) = (cx.operand(0), cx.result(), cx.cotangent(), cx.attrs());
            cx.contribute(0, |graph| share_among_extremes(graph, x, y, g, attrs.ints("axes")));
        },
        jvp: |cx| {
            let (x, y, attrs) = (cx.operand(0), cx.result(), cx.attrs());
            cx.contribute(0, |graph, t| mean_over_extremes(graph, x, y, t, attrs.ints("axes")));
        },
    },
    lower: None,
    algebra: Algebra::NONE,
    domain: Domain { kink_at_ties: true, ..Domain::SMOOTH },
    cases: reduce_cases,
    doc: "The least element along `axes`, which the result does not have; NaN where one is NaN. Over no elements it is \
          +inf, or the greatest integer of the type. Elements that are equally little share the derivative evenly.",
};

/// What no number of the type is greater than.
fn greatest(dtype: DType) -> f64 {
    dtype.greatest()
}

impl Graph {
    /// The least element of `x` along `axes`. Just `x` where there are none.
    pub fn reduce_min(&mut self, x: ValueId, axes: &[usize]) -> ValueId {
        if axes.is_empty() {
            return x;
        }
        self.emit(REDUCE_MIN.with(Attrs::new([("axes", Attr::from(axes))])), &[x])
    }
}
