//! `scatter_add(indices, updates, axis=…, extent=…)`

use super::gather::for_each_pair;
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// Adds elements up at given positions along an axis.
pub static SCATTER_ADD: OpDef = OpDef {
    name: "scatter_add",
    class: Class::Indexed,
    arity: Arity::Exactly(2),
    attrs: &[AttrSpec::new("axis", AttrKind::Int), AttrSpec::new("extent", AttrKind::Int)],
    notation: Notation::Call,
    infer: infer_scatter_add,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let mut result = vec![0.0; ty.shape.elements()];
        for_each_pair(attrs.int("axis"), ty, operands[0], |narrow, wide| {
            result[narrow] = ty.dtype.sum(result[narrow], operands[1].data()[wide]);
        });
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (indices, updates, g, attrs) = (cx.operand(0), cx.operand(1), cx.cotangent(), cx.attrs());
            let (axis, extent) = (attrs.int("axis"), attrs.int("extent"));
            cx.contribute(1, |graph| gather_in_range(graph, indices, updates, g, axis, extent));
        },
        jvp: |cx| {
            let (indices, attrs) = (cx.operand(0), cx.attrs());
            cx.contribute(1, |graph, t| graph.emit(SCATTER_ADD.with(attrs), &[indices, t]));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::In(&[1]), ..Algebra::NONE },
    domain: Domain { smooth: &[(-1.0, 4.0), (-2.0, 2.0)], ..Domain::SMOOTH },
    cases: |n, float| {
        let at = |index: DType, dtype: DType, indices: &[usize], updates: &[usize], axis: usize, extent: usize| Case {
            attrs: attrs(axis, extent),
            operands: vec![TensorType::new(index, indices), TensorType::new(dtype, updates)],
        };
        let case = |dtype: DType, indices: &[usize], updates: &[usize], axis: usize, extent: usize| {
            at(DType::I32, dtype, indices, updates, axis, extent)
        };
        vec![
            case(float, &[n], &[n], 0, 3),
            case(float, &[4], &[4, 2], 0, n),
            case(float, &[3], &[n, 3], 1, 4),
            case(float, &[n, 2], &[2, n, 2, 3], 1, 3),
            case(float, &[], &[n], 0, 3),
            case(DType::I32, &[n], &[n], 0, 3),
            at(DType::I64, float, &[n], &[n, 2], 0, 3),
            at(DType::U8, DType::U8, &[n], &[n], 0, 3),
        ]
    },
    doc: "Zeros of extent `extent` along `axis`, to which each of the `updates` is added at the position that its index \
          says, in row-major order of the updates; the opposite of `gather`. An index out of range is passed over, \
          and its update has a derivative of 0.",
};

fn infer_scatter_add(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (indices, updates) = (operands[0], operands[1]);
    let (axis, extent) = (attrs.int("axis"), attrs.int("extent"));
    if !indices.dtype.is_integer() || updates.dtype == DType::Bool {
        return Err(TypeError(format!("cannot add up {updates} at the indices {indices}")));
    }
    let end = axis.checked_add(indices.shape.rank());
    match end.and_then(|end| updates.shape.get(axis..end)) {
        Some(extents) if *extents == *indices.shape => {
            let outer = &updates.shape[..axis];
            let inner = &updates.shape[axis + indices.shape.rank()..];
            Ok(updates.with_shape(outer.iter().chain([&extent]).chain(inner).copied().collect::<Shape>()))
        }
        _ => Err(TypeError(format!("{updates} does not have the axes of {indices} from axis {axis} on"))),
    }
}

/// The cotangent of the updates: that of the element each was added to, and 0 (not the NaN of `gather`) for those that
/// were passed over.
fn gather_in_range(
    graph: &mut Graph,
    indices: ValueId,
    updates: ValueId,
    g: ValueId,
    axis: usize,
    extent: usize,
) -> ValueId {
    let read = graph.gather(g, indices, axis);
    let last = (extent as f64 - 1.0).min(graph.dtype(indices).greatest());
    let (first, last) = (graph.full_like(indices, 0.0), graph.full_like(indices, last));
    let from_first = graph.ge(indices, first);
    let to_last = graph.le(indices, last);
    let inside = graph.and(from_first, to_last);
    let shape = graph.shape(updates).clone();
    let axes: Vec<usize> = (axis..axis + graph.shape(indices).rank()).collect();
    let inside = graph.broadcast(inside, &axes, &shape);
    let zero = graph.full_like(updates, 0.0);
    graph.select(inside, read, zero)
}

fn attrs(axis: usize, extent: usize) -> Attrs {
    Attrs::new([("axis", Attr::from(axis)), ("extent", extent.into())])
}

impl Graph {
    /// Zeros of extent `extent` along `axis`, to which each of `updates` is added at the position that its index says.
    pub fn scatter_add(&mut self, indices: ValueId, updates: ValueId, axis: usize, extent: usize) -> ValueId {
        self.emit(SCATTER_ADD.with(attrs(axis, extent)), &[indices, updates])
    }
}
