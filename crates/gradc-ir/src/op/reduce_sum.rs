//! `sum(x, axes=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, infer};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::tensor::Tensor;
use crate::{DType, Graph, Linear, TensorType, ValueId};

/// The sum over some axes.
pub static REDUCE_SUM: OpDef = OpDef {
    name: "sum",
    class: Class::Reduce,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::new("axes", AttrKind::Ints)],
    notation: Notation::Call,
    infer: infer::reduce,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| fold(attrs, operands[0], ty, 0.0, |sum, x| ty.dtype.sum(sum, x))),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
            cx.contribute(0, |graph| {
                let shape = graph.shape(x).clone();
                graph.broadcast_back(g, attrs.ints("axes"), &shape)
            });
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute(0, |graph, t| graph.reduce_sum(t, attrs.ints("axes")));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: reduce_cases,
    doc: "The sum over `axes`, which the result does not have. Floats of 16 bits are added up in `f32`, and the sum is rounded once. Over no \
          elements it is 0.",
};

/// Folds the elements of `x` along the attribute `axes`, in row-major order, starting from `empty`.
pub(super) fn fold(attrs: &Attrs, x: &Tensor, ty: &TensorType, empty: f64, f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let axes = attrs.ints("axes");
    let mut result = vec![empty; ty.shape.elements()];
    for (linear, &value) in x.data().iter().enumerate() {
        let index = x.shape().unravel(linear);
        let kept = index.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &i)| i);
        let slot = &mut result[ty.shape.ravel(&kept.collect::<crate::Shape>())];
        *slot = f(*slot, value);
    }
    result
}

/// Cases of a reduction.
pub(super) fn reduce_cases(n: usize, float: DType) -> Vec<Case> {
    let of = |dtype: DType, shape: &[usize], axes: &[usize]| Case {
        attrs: Attrs::new([("axes", Attr::from(axes))]),
        operands: vec![TensorType::new(dtype, shape)],
    };
    let case = |shape: &[usize], axes: &[usize]| of(float, shape, axes);
    vec![
        case(&[3, n], &[1]),
        case(&[n], &[0]),
        case(&[n, 3], &[0]),
        case(&[3, n], &[0]),
        case(&[2, n, 3], &[0, 2]),
        case(&[2, 3, n], &[1]),
        case(&[2, n, 2], &[0, 1, 2]),
        of(DType::I32, &[3, n], &[1]),
        of(DType::I64, &[3, n], &[1]),
        of(DType::U8, &[3, n], &[0]),
    ]
}

impl Graph {
    /// The sum of `x` over `axes`. Just `x` where there are none.
    pub fn reduce_sum(&mut self, x: ValueId, axes: &[usize]) -> ValueId {
        if axes.is_empty() {
            return x;
        }
        self.emit(REDUCE_SUM.with(Attrs::new([("axes", Attr::from(axes))])), &[x])
    }
}
