//! `a @ b`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::{DType, Graph, Linear, Shape, TensorType, ValueId};

/// Matrix multiplication, batched over leading axes.
pub static MATMUL: OpDef = OpDef {
    name: "matmul",
    class: Class::Contract,
    arity: Arity::Exactly(2),
    attrs: &[
        AttrSpec::from("transpose_a", AttrKind::Bool, AttrSource::TransposeOf(0)),
        AttrSpec::from("transpose_b", AttrKind::Bool, AttrSource::TransposeOf(1)),
    ],
    notation: Notation::Infix("@"),
    infer: infer_matmul,
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let (a, b) = (operands[0], operands[1]);
        let (ta, tb) = (attrs.bool("transpose_a"), attrs.bool("transpose_b"));
        let (m, n, k) = sizes(attrs, a.ty(), b.ty());
        let batch = ty.shape[..ty.shape.rank() - 2].iter().product();
        let mut result = Vec::with_capacity(ty.shape.elements());
        for (x, y) in (0..batch).map(|i| (&a.data()[i * m * k..], &b.data()[i * k * n..])) {
            for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
                let lhs = |p: usize| if ta { x[p * m + row] } else { x[row * k + p] };
                let rhs = |p: usize| if tb { y[column * k + p] } else { y[p * n + column] };
                result.push((0..k).fold(0.0, |sum, p| sum + lhs(p) * rhs(p)));
            }
        }
        result
    }),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (a, b, g, attrs) = (cx.operand(0), cx.operand(1), cx.cotangent(), cx.attrs());
            let (ta, tb) = (attrs.bool("transpose_a"), attrs.bool("transpose_b"));
            // For C = A·B: dA = G·Bᵀ and dB = Aᵀ·G; for a transposed operand, the transpose of that.
            cx.contribute(0, |graph| match ta {
                false => graph.matmul_with(g, false, b, !tb),
                true => graph.matmul_with(b, tb, g, true),
            });
            cx.contribute(1, |graph| match tb {
                false => graph.matmul_with(a, !ta, g, false),
                true => graph.matmul_with(g, true, a, ta),
            });
        },
        jvp: |cx| {
            let (a, b, attrs) = (cx.operand(0), cx.operand(1), cx.attrs());
            let (ta, tb) = (attrs.bool("transpose_a"), attrs.bool("transpose_b"));
            cx.contribute(0, |graph, t| graph.matmul_with(t, ta, b, tb));
            cx.contribute(1, |graph, t| graph.matmul_with(a, ta, t, tb));
        },
    },
    lower: None,
    algebra: Algebra { linear: Linear::Each, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases,
    doc: "Matrix multiplication of the last two axes, for each index of the leading ones, which both operands share. \
          `a^T @ b` and `a @ b^T` multiply by a transposed operand without moving it. Products of \
          floats of 16 bits are added up in `f32` and rounded once. Over an inner extent of 0 the result is 0.",
};

/// `(m, n, k)`: rows and columns of the result, and the extent that is summed over.
pub fn sizes(attrs: &Attrs, a: &TensorType, b: &TensorType) -> (usize, usize, usize) {
    let last_two = |ty: &TensorType, transposed: bool| {
        let rank = ty.shape.rank();
        let (rows, columns) = (ty.shape[rank - 2], ty.shape[rank - 1]);
        if transposed { (columns, rows) } else { (rows, columns) }
    };
    let (m, k) = last_two(a, attrs.bool("transpose_a"));
    let (_, n) = last_two(b, attrs.bool("transpose_b"));
    (m, n, k)
}

fn infer_matmul(attrs: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let (a, b) = (operands[0], operands[1]);
    let rank = a.shape.rank();
    if rank < 2 || b.shape.rank() != rank || a.dtype != b.dtype || !a.dtype.is_float() {
        return Err(TypeError(format!("cannot multiply the matrices {a} and {b}")));
    }
    let (m, n, k) = sizes(attrs, a, b);
    let inner = b.shape[if attrs.bool("transpose_b") { rank - 1 } else { rank - 2 }];
    if inner != k || a.shape[..rank - 2] != b.shape[..rank - 2] {
        return Err(TypeError(format!("the extents of {a} and {b} do not fit")));
    }
    Ok(a.with_shape(a.shape[..rank - 2].iter().copied().chain([m, n]).collect::<Shape>()))
}

fn attrs(transpose_a: bool, transpose_b: bool) -> Attrs {
    Attrs::new([("transpose_a", Attr::from(transpose_a)), ("transpose_b", transpose_b.into())])
}

fn cases(n: usize, float: DType) -> Vec<Case> {
    let case = |a: &[usize], ta: bool, b: &[usize], tb: bool| Case {
        attrs: attrs(ta, tb),
        operands: vec![TensorType::new(float, a), TensorType::new(float, b)],
    };
    vec![
        case(&[n, 3], false, &[3, 5], false),
        case(&[3, n], false, &[n, 5], false),
        case(&[3, 5], false, &[5, n], false),
        case(&[n, 3], true, &[n, 5], false),
        case(&[3, n], false, &[5, n], true),
        case(&[n, 2], true, &[3, n], true),
        case(&[2, n, 3], false, &[2, 3, 4], false),
        case(&[2, 3, n], true, &[2, 4, 3], true),
        case(&[n, 2, 3], false, &[n, 4, 3], true),
    ]
}

impl Graph {
    /// `a @ b`
    pub fn matmul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.matmul_with(a, false, b, false)
    }

    /// `a @ b` with either operand transposed in its last two axes.
    pub fn matmul_with(&mut self, a: ValueId, transpose_a: bool, b: ValueId, transpose_b: bool) -> ValueId {
        self.emit(MATMUL.with(attrs(transpose_a, transpose_b)), &[a, b])
    }
}
