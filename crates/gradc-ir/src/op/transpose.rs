//! `transpose(x, permutation=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSpec, Attrs};
use crate::{Graph, Linear, Shape, TensorType, ValueId};

/// Permutes axes.
pub static TRANSPOSE: OpDef = OpDef {
    name: "transpose",
    class: Class::Movement,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::new("permutation", AttrKind::Ints)],
    notation: Notation::Call,
    infer: infer_transpose,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let inverse = inverse(attrs.ints("permutation"));
        let element = |index: &[usize]| operands[0].at(&inverse.iter().map(|&axis| index[axis]).collect::<Shape>());
        (0..ty.shape.elements()).map(|linear| element(&ty.shape.unravel(linear))).collect()
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (g, inverse) = (cx.cotangent(), inverse(cx.attrs().ints("permutation")));
            cx.contribute(0, |graph| graph.transpose(g, &inverse));
        },
        jvp: |cx| {
            let attrs = cx.attrs();
            cx.contribute(0, |graph, t| graph.transpose(t, attrs.ints("permutation")));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |from: &[usize], permutation: &[usize]| Case {
            attrs: attrs(permutation),
            operands: vec![TensorType::new(float, from)],
        };
        vec![
            case(&[n, 3], &[1, 0]),
            case(&[n, n], &[1, 0]),
            case(&[2, n, 3], &[2, 0, 1]),
            case(&[2, 3, n], &[0, 2, 1]),
            case(&[2, n, 2, 3], &[0, 2, 1, 3]),
        ]
    },
    doc: "Permutes axes: axis `i` of the result is axis `permutation[i]` of the operand.",
};

fn infer_transpose(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (ty, permutation) = (operands[0], attrs.ints("permutation"));
    let mut sorted = permutation.to_vec();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..ty.shape.rank()) {
        Ok(ty.with_shape(permutation.iter().map(|&axis| ty.shape[axis]).collect::<Shape>()))
    } else {
        Err(TypeError(format!("{permutation:?} does not permute the axes of {ty}")))
    }
}

fn attrs(permutation: &[usize]) -> Attrs {
    Attrs::new([("permutation", Attr::from(permutation))])
}

/// The permutation that undoes `permutation`.
pub fn inverse(permutation: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; permutation.len()];
    for (axis, &source) in permutation.iter().enumerate() {
        inverse[source] = axis;
    }
    inverse
}

impl Graph {
    /// `x` with axis `i` of the result taken from axis `permutation[i]`. Just `x` where nothing moves.
    pub fn transpose(&mut self, x: ValueId, permutation: &[usize]) -> ValueId {
        if permutation.iter().copied().eq(0..permutation.len()) {
            return x;
        }
        self.emit(TRANSPOSE.with(attrs(permutation)), &[x])
    }

    /// `x` with its last two axes exchanged.
    pub fn transpose_last(&mut self, x: ValueId) -> ValueId {
        let rank = self.shape(x).rank();
        let mut permutation: Vec<usize> = (0..rank).collect();
        permutation.swap(rank - 2, rank - 1);
        self.transpose(x, &permutation)
    }
}
