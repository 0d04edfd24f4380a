//! `mean(x, axes=…)`

use super::reduce_sum::{fold, reduce_cases};
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, infer};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, ValueId};

/// The mean over some axes.
pub static REDUCE_MEAN: OpDef = OpDef {
    name: "mean",
    class: Class::Reduce,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::new("axes", AttrKind::Ints)],
    notation: Notation::Call,
    infer: infer::reduce_float,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let count = elements(operands[0].shape(), attrs.ints("axes"));
        let sums = fold(attrs, operands[0], ty, 0.0, |sum, x| sum + x);
        // Rounded twice, as a sum is a number of the type that it is computed in before it is divided.
        sums.into_iter().map(|sum| ty.dtype.arithmetic().round(sum) / count).collect()
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
            cx.contribute(0, |graph| {
                let shape = graph.shape(x).clone();
                let share = share(graph, g, elements(&shape, attrs.ints("axes")));
                graph.broadcast_back(share, attrs.ints("axes"), &shape)
            });
        },
        jvp: |cx| {
            let (x, attrs) = (cx.operand(0), cx.attrs());
            // The division is inside the sum, as in the cotangent's rule: over no elements it is 0 and not 0/0.
            cx.contribute(0, |graph, t| {
                let count = elements(graph.shape(x), attrs.ints("axes"));
                let share = share(graph, t, count);
                graph.reduce_sum(share, attrs.ints("axes"))
            });
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: mean_cases,
    doc: "The sum over `axes`, which the result does not have, divided by the number of elements in it; floats of 16 bits \
          are added up and divided in `f32`. Over no elements it is NaN.",
};

/// How many elements of `shape` there are along `axes`, for each along the others.
fn elements(shape: &Shape, axes: &[usize]) -> f64 {
    axes.iter().map(|&axis| shape[axis] as f64).product()
}

/// `x / count`, in the type that arithmetic is done in: a float of 16 bits does not hold every count.
fn share(graph: &mut Graph, x: ValueId, count: f64) -> ValueId {
    let dtype = graph.dtype(x);
    let wide = graph.cast(x, dtype.arithmetic());
    let count = graph.full_like(wide, count);
    let share = graph.div(wide, count);
    graph.cast(share, dtype)
}

/// Those of a reduction that are not of integers.
fn mean_cases(n: usize, float: DType) -> Vec<Case> {
    reduce_cases(n, float).into_iter().filter(|case| case.operands[0].dtype == float).collect()
}

impl Graph {
    /// The mean of `x` over `axes`. Just `x` where there are none.
    pub fn reduce_mean(&mut self, x: ValueId, axes: &[usize]) -> ValueId {
        if axes.is_empty() {
            return x;
        }
        self.emit(REDUCE_MEAN.with(Attrs::new([("axes", Attr::from(axes))])), &[x])
    }
}
