//! `reshape(x)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::{Graph, Linear, Shape, TensorType, ValueId};

/// The same elements, in the same row-major order, in another shape.
pub static RESHAPE: OpDef = OpDef {
    name: "reshape",
    class: Class::Movement,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::from("shape", AttrKind::Ints, AttrSource::ResultShape)],
    notation: Notation::Call,
    infer: |attrs, operands| {
        let result = operands[0].with_shape(attrs.ints("shape"));
        if Shape::checked_elements(&result.shape) == Some(operands[0].shape.elements()) {
            Ok(result)
        } else {
            Err(TypeError(format!("{} and {result} have different numbers of elements", operands[0])))
        }
    },
    evaluate: Evaluate::Tensor(|_, operands, _| operands[0].data().to_vec()),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            cx.contribute(0, |graph| {
                let shape = graph.shape(x).clone();
                graph.reshape(g, &shape)
            });
        },
        jvp: |cx| {
            let y = cx.result();
            cx.contribute(0, |graph, t| {
                let shape = graph.shape(y).clone();
                graph.reshape(t, &shape)
            });
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case =
            |from: &[usize], to: &[usize]| Case { attrs: attrs(to), operands: vec![TensorType::new(float, from)] };
        vec![case(&[n, 6], &[2, n, 3]), case(&[2, n], &[n, 2]), case(&[n], &[1, n, 1]), case(&[n, 2], &[2 * n])]
    },
    doc: "The same elements in the same row-major order in another shape.",
};

fn attrs(shape: &[usize]) -> Attrs {
    Attrs::new([("shape", Attr::from(shape))])
}

impl Graph {
    /// `x` in another shape of as many elements. Just `x` where it has that shape.
    pub fn reshape(&mut self, x: ValueId, shape: &[usize]) -> ValueId {
        if **self.shape(x) == *shape {
            return x;
        }
        self.emit(RESHAPE.with(attrs(shape)), &[x])
    }
}
