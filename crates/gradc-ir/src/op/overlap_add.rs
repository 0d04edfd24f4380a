//! `overlap_add(x, axis=…, extent=…, stride=…, dilation=…)`

use super::window::Windows;
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// Adds windows up to the axis that they are windows of.
pub static OVERLAP_ADD: OpDef = OpDef {
    name: "overlap_add",
    class: Class::Accumulate,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("axis", AttrKind::Int),
        AttrSpec::new("extent", AttrKind::Int),
        AttrSpec::new("stride", AttrKind::Int),
        AttrSpec::new("dilation", AttrKind::Int),
    ],
    notation: Notation::Call,
    infer: infer_overlap_add,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let (axis, wide) = (attrs.int("axis"), operands[0].shape());
        let mut result = vec![0.0; ty.shape.elements()];
        Windows::of(attrs, wide[axis + 1]).for_each_pair(axis, &ty.shape, wide, |element, entry| {
            result[element] = ty.dtype.sum(result[element], operands[0].data()[entry]);
        });
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
            let axis = attrs.int("axis");
            let windows = Windows::of(&attrs, cx.shape(x)[axis + 1]);
            cx.contribute(0, |graph| graph.window(g, axis, windows));
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute(0, |graph, t| graph.emit(OVERLAP_ADD.with(attrs), &[t]));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |dtype: DType, shape: &[usize], axis: usize, extent: usize, stride: usize, dilation: usize| Case {
            attrs: attrs(axis, extent, stride, dilation),
            operands: vec![TensorType::new(dtype, shape)],
        };
        vec![
            case(float, &[n + 2, 2], 0, n + 3, 1, 1),
            case(float, &[n + 1, 3, 2], 0, 2 * n + 4, 2, 1),
            case(float, &[2, n + 1, 2], 1, n + 4, 1, 3),
            case(float, &[2, n, 3, 3], 1, (2 * n + 3) * usize::from(n > 0), 2, 2),
            case(float, &[3, n, 1], 1, n, 1, 1),
            case(float, &[n, 2], 0, 3 * n, 3, 1),
            case(float, &[2, n + 1], 0, n + 3, 2, 1),
            case(DType::I32, &[n + 1, 2, 2], 0, n + 2, 1, 1),
        ]
    },
    doc: "Windows along an axis added up to an axis of extent `extent` again: entry `k` of window `o` is added to element \
          `stride · o + dilation · k`, in row-major order. The windows are all those of their size that fit. It is the \
          transpose of `window`, so each is the derivative of the other, and a transposed convolution is a product \
          whose windows are added up.",
};

fn infer_overlap_add(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (ty, axis, extent) = (operands[0], attrs.int("axis"), attrs.int("extent"));
    let pair = axis.checked_add(2).and_then(|end| ty.shape.get(axis..end));
    let fits = pair.is_some_and(|pair| Windows::of(attrs, pair[1]).count(extent) == Some(pair[0]));
    if !fits || ty.dtype == DType::Bool {
        return Err(TypeError(format!("axis {axis} of {ty} does not hold windows of an axis of {extent} elements")));
    }
    let (before, after) = (&ty.shape[..axis], &ty.shape[axis + 2..]);
    Ok(ty.with_shape(before.iter().chain([&extent]).chain(after).copied().collect::<Shape>()))
}

fn attrs(axis: usize, extent: usize, stride: usize, dilation: usize) -> Attrs {
    Attrs::new([
        ("axis", Attr::from(axis)),
        ("extent", extent.into()),
        ("stride", stride.into()),
        ("dilation", dilation.into()),
    ])
}

impl Graph {
    /// The windows along `axis` of `x`, whose elements are along the axis after it, added up to an axis of extent
    /// `extent`.
    pub fn overlap_add(&mut self, x: ValueId, axis: usize, extent: usize, stride: usize, dilation: usize) -> ValueId {
        self.emit(OVERLAP_ADD.with(attrs(axis, extent, stride, dilation)), &[x])
    }
}
