//! `amax(x, axes=…)`

use super::max::maximum;
use super::reduce_sum::{fold, reduce_cases};
use super::{Algebra, Arity, Class, Derivative, Domain, Evaluate, Notation, OpDef, infer};
use crate::attr::{Attr, Attrs, AttrKind, AttrSpec};
use crate::{DType, Graph, ValueId};

/// The greatest element along some axes.
pub static REDUCE_MAX: OpDef = OpDef {
    name: "amax",
    class: Class::Reduce,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::new("axes", AttrKind::Ints)],
    notation: Notation::Call,
    infer: infer::reduce,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| fold(attrs, operands[0], ty, least(ty.dtype), maximum)),
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
    doc: "The greatest element along `axes`, which the result does not have; NaN where one is NaN. Over no elements it is \
          −inf, or the least integer of the type. Elements that are equally great share the derivative evenly.",
};

/// What no number of the type is less than.
fn least(dtype: DType) -> f64 {
    dtype.least()
}

/// Which elements of `x` are those that the reduction over `axes` chose, and how many it had to choose from.
fn extremes(graph: &mut Graph, x: ValueId, y: ValueId, axes: &[usize]) -> (ValueId, ValueId) {
    let shape = graph.shape(x).clone();
    let repeated = graph.broadcast_back(y, axes, &shape);
    let chosen = graph.eq(x, repeated);
    let ones = graph.cast(chosen, graph.dtype(x));
    let count = graph.reduce_sum(ones, axes);
    (chosen, count)
}

/// The cotangent of `x`, for `y` its greatest or least element along `axes`: `g` shared evenly among ties.
pub(super) fn share_among_extremes(graph: &mut Graph, x: ValueId, y: ValueId, g: ValueId, axes: &[usize]) -> ValueId {
    let (chosen, count) = extremes(graph, x, y, axes);
    let share = graph.div(g, count);
    let shape = graph.shape(x).clone();
    let share = graph.broadcast_back(share, axes, &shape);
    let zero = graph.full_like(x, 0.0);
    graph.select(chosen, share, zero)
}

/// The tangent of `y`, the greatest or least element of `x` along `axes`: the mean of the tangents at ties. The division
/// is inside the sum, as in the cotangent's rule: over no elements, or where one is NaN, it is 0 and not 0/0.
pub(super) fn mean_over_extremes(graph: &mut Graph, x: ValueId, y: ValueId, t: ValueId, axes: &[usize]) -> ValueId {
    let (chosen, count) = extremes(graph, x, y, axes);
    let shape = graph.shape(x).clone();
    let count = graph.broadcast_back(count, axes, &shape);
    let share = graph.div(t, count);
    let zero = graph.full_like(x, 0.0);
    let kept = graph.select(chosen, share, zero);
    graph.reduce_sum(kept, axes)
}

impl Graph {
    /// The greatest element of `x` along `axes`. Just `x` where there are none.
    pub fn reduce_max(&mut self, x: ValueId, axes: &[usize]) -> ValueId {
        if axes.is_empty() {
            return x;
        }
        self.emit(REDUCE_MAX.with(Attrs::new([("axes", Attr::from(axes))])), &[x])
    }
}
