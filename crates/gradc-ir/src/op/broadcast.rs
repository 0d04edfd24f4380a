//! `broadcast(x, axes=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError, infer};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::{Graph, Linear, Shape, TensorType, ValueId};

/// Repeats a tensor along new axes.
pub static BROADCAST: OpDef = OpDef {
    name: "broadcast",
    class: Class::Movement,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("axes", AttrKind::Ints),
        AttrSpec::from("shape", AttrKind::Ints, AttrSource::ResultShape),
    ],
    notation: Notation::Call,
    infer: infer_broadcast,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let axes = attrs.ints("axes");
        let element = |index: &[usize]| operands[0].at(&axes.iter().map(|&axis| index[axis]).collect::<Shape>());
        (0..ty.shape.elements()).map(|linear| element(&ty.shape.unravel(linear))).collect()
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (g, axes) = (cx.cotangent(), new_axes(&cx.attrs()));
            cx.contribute(0, |graph| graph.reduce_sum(g, &axes));
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute(0, |graph, t| graph.emit(BROADCAST.with(attrs), &[t]));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |from: &[usize], axes: &[usize], to: &[usize]| Case {
            attrs: attrs(axes, to),
            operands: vec![TensorType::new(float, from)],
        };
        vec![
            case(&[], &[], &[n]),
            case(&[n], &[1], &[3, n]),
            case(&[n], &[0], &[n, 3]),
            case(&[2, n], &[0, 2], &[2, 3, n]),
            case(&[2], &[1], &[n, 2, 2]),
            case(&[n], &[0], &[n]),
        ]
    },
    doc: "Repeats a tensor along new axes. Axis `i` of the operand becomes axis `axes[i]` of the result, with the \
          same extent; `axes` increase. The derivative sums over the new axes.",
};

fn infer_broadcast(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (ty, axes) = (operands[0], attrs.ints("axes"));
    let result = ty.with_shape(attrs.ints("shape"));
    infer::axes_of(axes, &result)?;
    let kept: Shape = axes.iter().map(|&axis| result.shape[axis]).collect();
    if kept == ty.shape { Ok(result) } else { Err(TypeError(format!("axes {axes:?} of {result} are not {ty}"))) }
}

fn attrs(axes: &[usize], shape: &[usize]) -> Attrs {
    Attrs::new([("axes", Attr::from(axes)), ("shape", shape.into())])
}

/// The axes of the result that the operand of a broadcast does not have.
pub fn new_axes(attrs: &Attrs) -> Vec<usize> {
    let axes = attrs.ints("axes");
    (0..attrs.ints("shape").len()).filter(|axis| !axes.contains(axis)).collect()
}

impl Graph {
    /// `x` repeated to `shape`, its axis `i` as axis `axes[i]`. Just `x` where that changes nothing.
    pub fn broadcast(&mut self, x: ValueId, axes: &[usize], shape: &[usize]) -> ValueId {
        if self.shape(x).rank() == shape.len() {
            return x;
        }
        self.emit(BROADCAST.with(attrs(axes, shape)), &[x])
    }

    /// A scalar repeated to `shape`.
    pub fn broadcast_scalar(&mut self, x: ValueId, shape: &[usize]) -> ValueId {
        self.broadcast(x, &[], shape)
    }

    /// Undoes the removal of `axes` by a reduction: repeats `x` along them, to `shape`.
    pub fn broadcast_back(&mut self, x: ValueId, axes: &[usize], shape: &[usize]) -> ValueId {
        let kept: Vec<usize> = (0..shape.len()).filter(|axis| !axes.contains(axis)).collect();
        self.broadcast(x, &kept, shape)
    }
}
