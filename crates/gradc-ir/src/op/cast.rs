//! `cast(a)`

use super::elementwise::{real, shapes};
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Notation, OpDef};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::scalar::ScalarOp;
use crate::{DType, Graph, TensorType, ValueId};

/// Conversion to another element type.
pub static CAST: OpDef = OpDef {
    name: "cast",
    class: Class::Elementwise,
    arity: Arity::Exactly(1),
    attrs: &[AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType)],
    notation: Notation::Call,
    infer: |attrs, operands| Ok(operands[0].with_dtype(attrs.dtype("dtype"))),
    // The conversion is the rounding to the element type of the result.
    evaluate: real(|x| x[0]),
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
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases,
    doc: "Conversion to another element type. To a float: the nearest, ties to even. From a float to `i32`: the fraction \
          is dropped, NaN becomes 0, and what lies beyond 32 bits wraps (beyond 64 bits it saturates first). To `bool`: \
          whether the number is not zero, which holds for NaN. A truth value becomes 0 or 1. The derivative is the \
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
    }
    cases.extend(shapes(n).map(|shape| case(float, float, &shape)));
    for dtype in [DType::Bool, DType::I32] {
        cases.push(case(dtype, float, &[n]));
        cases.push(case(float, dtype, &[n, 2]));
    }
    cases.push(case(DType::Bool, DType::I32, &[n]));
    cases.push(case(DType::I32, DType::Bool, &[n]));
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
