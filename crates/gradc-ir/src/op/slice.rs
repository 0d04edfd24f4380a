//! `slice(x, start=…, limit=…, stride=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// Every so many elements of a box.
pub static SLICE: OpDef = OpDef {
    name: "slice",
    class: Class::Movement,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("start", AttrKind::Ints),
        AttrSpec::new("limit", AttrKind::Ints),
        AttrSpec::new("stride", AttrKind::Ints),
    ],
    notation: Notation::Call,
    infer: infer_slice,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let (start, stride) = (attrs.ints("start"), attrs.ints("stride"));
        let source = |index: &[usize]| (0..index.len()).map(|axis| start[axis] + index[axis] * stride[axis]).collect();
        let element = |linear| operands[0].at(&source(&ty.shape.unravel(linear)) as &Shape);
        (0..ty.shape.elements()).map(element).collect()
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
            let (low, high, interior) = margins(&attrs, cx.shape(x), cx.shape(g));
            cx.contribute(0, |graph| graph.pad(g, &low, &high, &interior, 0.0));
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute(0, |graph, t| graph.emit(SLICE.with(attrs), &[t]));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |shape: &[usize], start: &[usize], limit: &[usize], stride: &[usize]| Case {
            attrs: attrs(start, limit, stride),
            operands: vec![TensorType::new(float, shape)],
        };
        vec![
            case(&[n + 3], &[1], &[n + 1], &[1]),
            case(&[2 * n + 1], &[0], &[2 * n + 1], &[2]),
            case(&[2 * n + 3], &[2], &[2 * n + 2], &[3]),
            case(&[4, n], &[1, 0], &[3, n], &[1, 1]),
            case(&[n, 5], &[0, 1], &[n, 5], &[1, 3]),
            case(&[3, n + 1, 2], &[2, 1, 0], &[3, n + 1, 1], &[1, 1, 1]),
            case(&[n], &[n / 2], &[n / 2], &[1]),
            Case {
                attrs: attrs(&[1], &[n + 2], &[2]),
                operands: vec![TensorType::new(DType::I32, [n + 2])],
            },
        ]
    },
    doc: "Along each axis `i`, the elements `start[i]`, `start[i] + stride[i]`, and so on, below `limit[i]`. The \
          derivative puts the cotangent back among zeros.",
};

fn infer_slice(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (start, limit, stride) = (attrs.ints("start"), attrs.ints("limit"), attrs.ints("stride"));
    let ty = operands[0];
    let rank = ty.shape.rank();
    // The bound on strides is that of the pad which is the derivative.
    let steps = |stride: usize| (1..=Shape::MAX_ELEMENTS).contains(&stride);
    let fits = |axis: usize| start[axis] <= limit[axis] && limit[axis] <= ty.shape[axis] && steps(stride[axis]);
    if [start, limit, stride].iter().any(|list| list.len() != rank) || !(0..rank).all(fits) {
        return Err(TypeError(format!("cannot take {start:?} to {limit:?} by {stride:?} from {ty}")));
    }
    Ok(ty.with_shape((0..rank).map(|axis| (limit[axis] - start[axis]).div_ceil(stride[axis])).collect::<Shape>()))
}

/// What a pad needs to put the elements of `part` back to where they were in `whole`.
fn margins(attrs: &Attrs, whole: &Shape, part: &Shape) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let (low, stride) = (attrs.ints("start"), attrs.ints("stride"));
    let high = |axis: usize| match part[axis].checked_sub(1) {
        Some(last) => whole[axis] - low[axis] - last * stride[axis] - 1,
        None => whole[axis] - low[axis],
    };
    let interior = stride.iter().map(|stride| stride - 1).collect();
    (low.to_vec(), (0..whole.rank()).map(high).collect(), interior)
}

fn attrs(start: &[usize], limit: &[usize], stride: &[usize]) -> Attrs {
    Attrs::new([("start", Attr::from(start)), ("limit", limit.into()), ("stride", stride.into())])
}

impl Graph {
    /// Along each axis, the elements from `start` to below `limit` by `stride`. Just `x` where that is all.
    pub fn slice(&mut self, x: ValueId, start: &[usize], limit: &[usize], stride: &[usize]) -> ValueId {
        let whole = start.iter().all(|&start| start == 0) && stride.iter().all(|&stride| stride == 1);
        if whole && **self.shape(x) == *limit {
            return x;
        }
        self.emit(SLICE.with(attrs(start, limit, stride)), &[x])
    }
}
