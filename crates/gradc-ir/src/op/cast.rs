//! `cast(a)`

use super::elementwise::{number, shapes};
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Notation, OpDef};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::scalar::ScalarOp;
use crate::{DType, Graph, Linear, TensorType, ValueId};

/// Conversion to another element type.
pub static CAST: OpDef = OpDef {
    name: "cast",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType)],
    notation: Notation::Call,
    infer: |attrs, operands| Ok(operands[0].with_dtype(attrs.dtype("dtype"))),
    // The conversion is the rounding to the element type of the result.
    evaluate: number(|x| x[0], |x| x[0]),
    derivative: Derivative::Rules {
        vjp: |cx| {
            let (x, g) = (cx.operand(0), cx.cotangent());
            if cx.dtype(x).is_float() && cx.dtype(g).is_float() {
                cx.contribute(0, |graph| graph.cast(g, graph.dtype(x)));
            }
        },
        jvp: |cx| {
            let dtype = cx.dtype(cx.result());
            if dtype.is_float() {
                cx.contribute(0, |graph, t| graph.cast(t, dtype));
            }
        },
    },
    lower: Some(|builder, attrs, operands| builder.op(ScalarOp::Cast(attrs.dtype("dtype")), operands)),
    algebra: Algebra { linear: Linear::Together, ..Algebra::NONE },
    domain: Domain::SMOOTH,
    cases,
    doc: "Conversion to another element type. To a float: the nearest, ties to even; to `f16` and `bf16` by way of `f32`. \
          From a float to an integer: the fraction is dropped, what lies beyond the integer's range becomes its least or \
          greatest value, and NaN 0. From an integer to an integer: the low bits, so what does not fit wraps. To `bool`: whether the number is not zero, which holds for NaN. A truth value becomes 0 or 1. The derivative is the \
          converted cotangent between floats; no derivative flows through integers and truth values.",
};

fn attrs(dtype: DType) -> Attrs {
    Attrs::new([("dtype", Attr::from(dtype))])
}

fn cases(n: usize, float: DType) -> Vec<Case> {
    let case = |from: DType, to: DType, shape: &[usize]| Case {
        attrs: attrs(to),
        operands: vec![TensorType::new(from, shape)],
    };
    let mut cases = Vec::new();
    // Not in double precision, where rounding to single would spoil a comparison with finite differences.
    if float == DType::F32 {
        cases.push(case(DType::F32, DType::F64, &[n]));
        cases.push(case(DType::F64, DType::F32, &[n]));
        for half in [DType::F16, DType::Bf16] {
            cases.extend([(DType::F32, half), (half, DType::F64), (DType::F64, half)].map(|(a, b)| case(a, b, &[n, 3])));
        }
        cases.extend([case(DType::F16, DType::Bf16, &[n]), case(DType::Bf16, DType::F16, &[n])]);
    }
    cases.extend(shapes(n).map(|shape| case(float, float, &shape)));
    for dtype in [DType::Bool, DType::U8, DType::I32, DType::I64] {
        cases.push(case(dtype, float, &[n]));
        cases.push(case(float, dtype, &[n, 2]));
    }
    let discrete = [DType::Bool, DType::U8, DType::I32, DType::I64];
    let pairs = discrete.into_iter().flat_map(|from| discrete.into_iter().map(move |to| (from, to)));
    cases.extend(pairs.filter(|(from, to)| from != to).map(|(from, to)| case(from, to, &[n])));
    cases
}

impl Graph {
    /// `a` with elements of type `dtype`. Just `a` where they are.
    pub fn cast(&mut self, a: ValueId, dtype: DType) -> ValueId {
        if self.dtype(a) == dtype {
            return a;
        }
        self.emit(CAST.with(attrs(dtype)), &[a])
    }
}
