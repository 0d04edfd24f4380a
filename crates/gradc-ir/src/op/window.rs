//! `window(x, axis=…, size=…, stride=…, dilation=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// All windows along an axis.
pub static WINDOW: OpDef = OpDef {
    name: "window",
    class: Class::Movement,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("axis", AttrKind::Int),
        AttrSpec::new("size", AttrKind::Int),
        AttrSpec::new("stride", AttrKind::Int),
        AttrSpec::new("dilation", AttrKind::Int),
    ],
    notation: Notation::Call,
    infer: infer_window,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let axis = attrs.int("axis");
        let mut result = vec![0.0; ty.shape.elements()];
        Windows::of(attrs, attrs.int("size")).for_each_pair(axis, operands[0].shape(), &ty.shape, |element, entry| {
            result[entry] = operands[0].data()[element];
        });
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
            let (axis, windows) = (attrs.int("axis"), Windows::of(&attrs, attrs.int("size")));
            cx.contribute(0, |graph| {
                let extent = graph.shape(x)[axis];
                graph.overlap_add(g, axis, extent, windows.stride, windows.dilation)
            });
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute(0, |graph, t| graph.emit(WINDOW.with(attrs), &[t]));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |dtype: DType, shape: &[usize], axis: usize, size: usize, stride: usize, dilation: usize| Case {
            attrs: attrs(axis, Windows { size, stride, dilation }),
            operands: vec![TensorType::new(dtype, shape)],
        };
        vec![
            case(float, &[n + 3], 0, 2, 1, 1),
            case(float, &[n + 4, 2], 0, 3, 2, 1),
            case(float, &[2, n + 4], 1, 2, 1, 3),
            case(float, &[2, n + 6, 3], 1, 3, 2, 2),
            case(float, &[3, n], 1, 1, 1, 1),
            case(float, &[n], 0, 2, 3, 1),
            case(float, &[n + 3], 0, n + 2, 2, 1),
            case(DType::I32, &[n + 2, 2], 0, 2, 1, 1),
        ]
    },
    doc: "All windows of `size` elements along `axis`, one after another: the axis becomes two, along the first of which \
          are the windows and along the second their elements. Window `o` has the elements `stride · o`, `stride · o + \
          dilation`, and so on, and there are as many as fit. It is one operator because nothing else repeats elements \
          that overlap without an index for each; convolutions and pooling are windows that are multiplied or reduced. \
          The derivative adds up what belongs to the same element, see `overlap_add`.",
};

/// Windows along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// How many elements each has, at least 1.
    pub size: usize,
    /// From the first element of one to that of the next, at least 1.
    pub stride: usize,
    /// From one element to the next, at least 1.
    pub dilation: usize,
}

impl Windows {
    /// The windows that the attributes of an operator describe.
    pub(super) fn of(attrs: &Attrs, size: usize) -> Windows {
        Windows { size, stride: attrs.int("stride"), dilation: attrs.int("dilation") }
    }

    /// How many fit into an axis, or `None` where these are no windows: a size or a step of 0, or one that is larger than
    /// any tensor.
    pub fn count(self, extent: usize) -> Option<usize> {
        let Windows { size, stride, dilation } = self;
        if [size, stride, dilation].iter().any(|number| !(1..=Shape::MAX_ELEMENTS).contains(number)) {
            return None;
        }
        let span = (size - 1).checked_mul(dilation)?.checked_add(1)?;
        Some(extent.checked_sub(span).map_or(0, |rest| rest / stride + 1))
    }

    /// For each entry of each window along `axis` of a tensor of shape `narrow`, in row-major order of `wide` (the shape
    /// with an axis of windows and one of their elements in its place): the position of the element, and of the entry.
    pub(super) fn for_each_pair(self, axis: usize, narrow: &Shape, wide: &Shape, mut visit: impl FnMut(usize, usize)) {
        let outer: usize = wide[..axis].iter().product();
        let inner: usize = wide[axis + 2..].iter().product();
        for row in 0..outer {
            for (window, entry) in (0..wide[axis]).flat_map(|window| (0..self.size).map(move |entry| (window, entry))) {
                let element = (row * narrow[axis] + window * self.stride + entry * self.dilation) * inner;
                let position = ((row * wide[axis] + window) * self.size + entry) * inner;
                (0..inner).for_each(|j| visit(element + j, position + j));
            }
        }
    }
}

fn infer_window(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (ty, axis) = (operands[0], attrs.int("axis"));
    let windows = Windows::of(attrs, attrs.int("size"));
    match ty.shape.get(axis).and_then(|&extent| windows.count(extent)) {
        Some(count) => {
            let (before, after) = (&ty.shape[..axis], &ty.shape[axis + 1..]);
            Ok(ty.with_shape(before.iter().chain(&[count, windows.size]).chain(after).copied().collect::<Shape>()))
        }
        None => {
            let Windows { size, stride, dilation } = windows;
            let problem = format!("{ty} has no windows of {size} by {stride} and {dilation} along axis {axis}");
            Err(TypeError(problem))
        }
    }
}

fn attrs(axis: usize, windows: Windows) -> Attrs {
    let Windows { size, stride, dilation } = windows;
    Attrs::new([
        ("axis", Attr::from(axis)),
        ("size", size.into()),
        ("stride", stride.into()),
        ("dilation", dilation.into()),
    ])
}

impl Graph {
    /// All windows along `axis` of `x`: of the two axes in its place, the first is that of the windows and the second
    /// that of their elements.
    pub fn window(&mut self, x: ValueId, axis: usize, windows: Windows) -> ValueId {
        self.emit(WINDOW.with(attrs(axis, windows)), &[x])
    }
}
