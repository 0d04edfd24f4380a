//! `pad(x, low=…, high=…, interior=…, value=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// A margin of one number around a tensor, and gaps of it inside.
pub static PAD: OpDef = OpDef {
    name: "pad",
    class: Class::Movement,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("low", AttrKind::Ints),
        AttrSpec::new("high", AttrKind::Ints),
        AttrSpec::new("interior", AttrKind::Ints),
        AttrSpec::new("value", AttrKind::Float),
    ],
    notation: Notation::Call,
    infer: infer_pad,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let (low, interior) = (attrs.ints("low"), attrs.ints("interior"));
        let mut result = vec![attrs.float("value"); ty.shape.elements()];
        for (linear, &value) in operands[0].data().iter().enumerate() {
            let index = operands[0].shape().unravel(linear);
            let target: Shape = (0..index.len()).map(|axis| low[axis] + index[axis] * (interior[axis] + 1)).collect();
            result[ty.shape.ravel(&target)] = value;
        }
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g, attrs) = (cx.operand(0), cx.cotangent(), cx.attrs());
            let (start, limit, stride) = place(&attrs, cx.shape(x));
            cx.contribute(0, |graph| graph.slice(g, &start, &limit, &stride));
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            let (low, high, interior) = (attrs.ints("low"), attrs.ints("high"), attrs.ints("interior"));
            cx.contribute(0, |graph, t| graph.pad(t, low, high, interior, 0.0));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::In(&[0]), ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |dtype: DType, shape: &[usize], low: &[usize], high: &[usize], interior: &[usize], value: f64| Case {
            attrs: attrs(low, high, interior, value),
            operands: vec![TensorType::new(dtype, shape)],
        };
        vec![
            case(float, &[n], &[1], &[2], &[0], 0.0),
            case(float, &[n], &[0], &[0], &[2], 0.5),
            case(float, &[n, 2], &[0, 1], &[3, 0], &[1, 0], -1.0),
            case(float, &[2, n], &[0, 0], &[0, n], &[0, 1], 0.0),
            case(float, &[2, n, 1], &[1, 0, 2], &[0, 1, 0], &[0, 0, 3], 0.0),
            case(DType::I32, &[n, 2], &[1, 0], &[0, 1], &[0, 1], 7.0),
        ]
    },
    doc: "Along each axis `i`, `low[i]` elements `value` before the operand, `high[i]` after it, and `interior[i]` \
          between every two of its elements. The derivative is the slice of the cotangent where the operand lies.",
};

fn infer_pad(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (low, high, interior) = (attrs.ints("low"), attrs.ints("high"), attrs.ints("interior"));
    let ty = operands[0];
    let rank = ty.shape.rank();
    let padded = |axis: usize| {
        let gaps = ty.shape[axis].saturating_sub(1).checked_mul(interior[axis])?;
        low[axis].checked_add(high[axis])?.checked_add(gaps)?.checked_add(ty.shape[axis])
    };
    // Gaps are bounded even where there is nothing to put them between: positions are computed with them.
    let matching = [low, high, interior].iter().all(|list| list.len() == rank)
        && interior.iter().all(|&gap| gap < Shape::MAX_ELEMENTS);
    let shape = matching.then(|| (0..rank).map(padded).collect::<Option<Vec<usize>>>()).flatten();
    match shape {
        Some(shape) => Ok(ty.with_shape(shape.as_slice())),
        None => Err(TypeError(format!("cannot pad {ty} by {low:?}, {high:?} and {interior:?}"))),
    }
}

/// The start, limit and stride of the slice that an operand of shape `inner` is in the result.
fn place(attrs: &Attrs, inner: &Shape) -> (Vec<usize>, Vec<usize>, Vec<usize>) {
    let (low, interior) = (attrs.ints("low"), attrs.ints("interior"));
    let stride: Vec<usize> = interior.iter().map(|interior| interior + 1).collect();
    let length = |axis: usize| inner[axis].checked_sub(1).map_or(0, |last| last * stride[axis] + 1);
    let limit = (0..inner.rank()).map(|axis| low[axis] + length(axis)).collect();
    (low.to_vec(), limit, stride)
}

fn attrs(low: &[usize], high: &[usize], interior: &[usize], value: f64) -> Attrs {
    let value = if value.is_nan() { f64::NAN } else { value };
    Attrs::new([
        ("low", Attr::from(low)),
        ("high", high.into()),
        ("interior", interior.into()),
        ("value", value.into()),
    ])
}

impl Graph {
    /// `x` with `low` elements `value` before it, `high` after it and `interior` between every two elements along each
    /// axis. Just `x` where there are none.
    pub fn pad(&mut self, x: ValueId, low: &[usize], high: &[usize], interior: &[usize], value: f64) -> ValueId {
        if [low, high, interior].iter().all(|list| list.iter().all(|&count| count == 0)) {
            return x;
        }
        let value = self.dtype(x).round(value);
        self.emit(PAD.with(attrs(low, high, interior, value)), &[x])
    }
}
