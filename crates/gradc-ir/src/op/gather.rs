//! `gather(x, indices, axis=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::tensor::Tensor;
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// The elements at given positions along an axis.
pub static GATHER: OpDef = OpDef {
    name: "gather",
    class: Class::Indexed,
    arity: Arity::Exactly(2),
    attrs: &[AttrSpec::new("axis", AttrKind::Int)],
    notation: Notation::Call,
    infer: infer_gather,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let missing = if ty.dtype.is_float() { f64::NAN } else { 0.0 };
        let mut result = vec![missing; ty.shape.elements()];
        for_each_pair(attrs.int("axis"), operands[0].ty(), operands[1], |narrow, wide| {
            result[wide] = operands[0].data()[narrow];
        });
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, indices, g, axis) = (cx.operand(0), cx.operand(1), cx.cotangent(), cx.attrs().int("axis"));
            let extent = cx.shape(x)[axis];
            cx.contribute(0, |graph| graph.scatter_add(indices, g, axis, extent));
        },
        jvp: |cx| {
            let (indices, axis) = (cx.operand(1), cx.attrs().int("axis"));
            cx.contribute(0, |graph, t| graph.gather(t, indices, axis));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::In(&[0]), ..Algebra::NONE },
    domain: Domain { smooth: &[(-2.0, 2.0), (0.0, 2.0)], ..Domain::SMOOTH },
    cases: |n, float| {
        let at = |index: DType, dtype: DType, x: &[usize], indices: &[usize], axis: usize| Case {
            attrs: attrs(axis),
            operands: vec![TensorType::new(dtype, x), TensorType::new(index, indices)],
        };
        let case = |dtype: DType, x: &[usize], indices: &[usize], axis: usize| at(DType::I32, dtype, x, indices, axis);
        vec![
            case(float, &[3], &[n], 0),
            case(float, &[n + 3, 2], &[4], 0),
            case(float, &[n, 4], &[3], 1),
            case(float, &[2, 3, n], &[n, 2], 1),
            case(float, &[n + 3], &[], 0),
            case(DType::I32, &[3, 2], &[n], 0),
            case(DType::U8, &[3, 2], &[n], 0),
            at(DType::I64, float, &[3, 2], &[n], 0),
            at(DType::U8, DType::I64, &[2, 3], &[n], 1),
        ]
    },
    doc: "The elements at the positions `indices` (integers of any rank, 0 for the first element) along `axis`: the axes \
          of the indices take the place of that axis. An index out of range reads NaN, or 0 where the elements are not \
          floats. The derivative adds each cotangent to the element that was read; an index out of range has none.",
};

fn infer_gather(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (x, indices, axis) = (operands[0], operands[1], attrs.int("axis"));
    if !indices.dtype.is_integer() {
        return Err(TypeError(format!("the indices are {indices}, not integers")));
    }
    if axis >= x.shape.rank() {
        return Err(TypeError(format!("{x} has no axis {axis}")));
    }
    Ok(x.with_shape(gathered_shape(&x.shape, &indices.shape, axis)))
}

/// The shape of what `indices` read along `axis` of `x`.
fn gathered_shape(x: &Shape, indices: &Shape, axis: usize) -> Shape {
    x[..axis].iter().chain(indices.iter()).chain(&x[axis + 1..]).copied().collect()
}

/// For each element that `indices` address along `axis`, in row-major order of the gathered tensor: its position in the
/// narrow tensor, whose type is given, and in the gathered one. Indices out of range are passed over.
pub(super) fn for_each_pair(
    axis: usize,
    narrow: &TensorType,
    indices: &Tensor,
    mut visit: impl FnMut(usize, usize),
) {
    let extent = narrow.shape[axis];
    let outer: usize = narrow.shape[..axis].iter().product();
    let inner: usize = narrow.shape[axis + 1..].iter().product();
    let count = indices.data().len();
    for row in 0..outer {
        for (i, &index) in indices.data().iter().enumerate() {
            if index >= 0.0 && index < extent as f64 {
                let from = (row * extent + index as usize) * inner;
                let to = (row * count + i) * inner;
                (0..inner).for_each(|j| visit(from + j, to + j));
            }
        }
    }
}

fn attrs(axis: usize) -> Attrs {
    Attrs::new([("axis", Attr::from(axis))])
}

impl Graph {
    /// The elements of `x` at the positions `indices` along `axis`.
    pub fn gather(&mut self, x: ValueId, indices: ValueId, axis: usize) -> ValueId {
        self.emit(GATHER.with(attrs(axis)), &[x, indices])
    }
}
