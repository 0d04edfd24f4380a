//! `concat(a, b, …, axis=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// Tensors one after the other along an axis.
pub static CONCAT: OpDef = OpDef {
    name: "concat",
    class: Class::Movement,
    arity: Arity::AtLeast(1),
    attrs: &[AttrSpec::new("axis", AttrKind::Int)],
    notation: Notation::Call,
    infer: infer_concat,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let axis = attrs.int("axis");
        let outer: usize = ty.shape[..axis].iter().product();
        let inner: usize = ty.shape[axis + 1..].iter().product();
        let mut result = Vec::with_capacity(ty.shape.elements());
        for row in 0..outer {
            for operand in operands {
                let length = operand.shape()[axis] * inner;
                result.extend_from_slice(&operand.data()[row * length..][..length]);
            }
        }
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (g, axis) = (cx.cotangent(), cx.attrs().int("axis"));
            let mut offset = 0;
            for i in 0..cx.arity() {
                let end = offset + cx.shape(cx.operand(i))[axis];
                cx.contribute(i, |graph| graph.slice_axis(g, axis, offset, end));
                offset = end;
            }
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute_all(|graph, tangents| graph.emit(CONCAT.with(attrs), tangents));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |dtype: DType, axis: usize, shapes: &[&[usize]]| Case {
            attrs: attrs(axis),
            operands: shapes.iter().map(|&shape| TensorType::new(dtype, shape)).collect(),
        };
        vec![
            case(float, 0, &[&[n], &[3]]),
            case(float, 0, &[&[2, n], &[1, n], &[3, n]]),
            case(float, 1, &[&[n, 2], &[n, 3]]),
            case(float, 1, &[&[2, n, 2], &[2, 1, 2]]),
            case(float, 0, &[&[n]]),
            case(DType::I32, 0, &[&[n], &[2]]),
        ]
    },
    doc: "The operands one after the other along `axis`; they agree in all other extents. Each receives its slice of the \
          cotangent.",
};

fn infer_concat(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (first, axis) = (operands[0], attrs.int("axis"));
    let agrees = |ty: &&&TensorType| {
        ty.dtype == first.dtype
            && ty.shape.rank() == first.shape.rank()
            && ty.shape.without(&[axis]) == first.shape.without(&[axis])
    };
    if axis >= first.shape.rank() {
        return Err(TypeError(format!("{first} has no axis {axis}")));
    }
    if let Some(other) = operands.iter().find(|ty| !agrees(ty)) {
        return Err(TypeError(format!("{first} and {other} differ in more than axis {axis}")));
    }
    let mut extents = first.shape.to_vec();
    let total = operands.iter().try_fold(0usize, |sum, ty| sum.checked_add(ty.shape[axis]));
    extents[axis] = total.ok_or_else(|| TypeError(format!("the extents of axis {axis} add up to too much")))?;
    Ok(first.with_shape(extents.into_iter().collect::<Shape>()))
}

fn attrs(axis: usize) -> Attrs {
    Attrs::new([("axis", Attr::from(axis))])
}

impl Graph {
    /// The `operands` one after the other along `axis`. Just the operand where there is one.
    ///
    /// # Panics
    /// Where there is none: that is a bug of the caller.
    pub fn concat(&mut self, operands: &[ValueId], axis: usize) -> ValueId {
        match operands {
            [x] => *x,
            _ => self.emit(CONCAT.with(attrs(axis)), operands),
        }
    }

    /// The elements from `start` to below `limit` of `x` along one axis.
    pub fn slice_axis(&mut self, x: ValueId, axis: usize, start: usize, limit: usize) -> ValueId {
        let rank = self.shape(x).rank();
        let (mut starts, mut limits) = (vec![0; rank], self.shape(x).to_vec());
        (starts[axis], limits[axis]) = (start, limit);
        self.slice(x, &starts, &limits, &vec![1; rank])
    }
}
