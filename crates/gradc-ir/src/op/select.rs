//! `select(c, a, b)`

use super::elementwise::{case, lower_to, number, shapes};
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Notation, OpDef, TypeError, infer};
use crate::attr::Attrs;
use crate::{DType, Graph, Linear, TensorType, ValueId};

/// One of two tensors, element by element.
pub static SELECT: OpDef = OpDef {
    name: "select",
    class: Class::Elementwise,
    arity: Arity::Exactly(3),
    attrs: &[],
    notation: Notation::Call,
    infer: infer_select,
    evaluate: number(|x| if x[0] != 0.0 { x[1] } else { x[2] }, |x| if x[0] != 0 { x[1] } else { x[2] }),
    derivative: Derivative::Rules {
        // A select, never a product with a mask: 0 · inf would be NaN.
        vjp: |cx| {
            let (c, g) = (cx.operand(0), cx.cotangent());
            let zero = cx.full_like(g, 0.0);
            cx.contribute(1, |graph| graph.select(c, g, zero));
            cx.contribute(2, |graph| graph.select(c, zero, g));
        },
        jvp: |cx| {
            let c = cx.operand(0);
            cx.contribute_all(|graph, tangents| graph.select(c, tangents[1], tangents[2]));
        },
    },
    lower: lower_to!(Select),
    algebra: Algebra { linear: Linear::In(&[1, 2]), ..Algebra::NONE },
    domain: Domain { smooth: &[(0.0, 1.0), (-2.0, 2.0)], ..Domain::SMOOTH },
    cases,
    doc: "`a` where the truth value `c` holds, `b` elsewhere. The branch that is not taken has no influence on the \
          result, not even where it is NaN, and receives a derivative of exactly 0. So does what computed that branch \
          element by element, even where its slope is infinite or NaN (`sqrt` at 0).",
};

fn infer_select(_: &Attrs, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
    let ty = infer::same(&operands[1..])?;
    if operands[0].dtype != DType::Bool || operands[0].shape != ty.shape {
        return Err(TypeError(format!("the condition is {}, not {}", operands[0], ty.with_dtype(DType::Bool))));
    }
    Ok(ty)
}

fn cases(n: usize, float: DType) -> Vec<Case> {
    let of = |dtype: DType, shape: &[usize]| {
        let ty = TensorType::new(dtype, shape);
        case(vec![ty.with_dtype(DType::Bool), ty.clone(), ty])
    };
    let others = [DType::I32, DType::I64, DType::U8, DType::Bool].into_iter().map(|dtype| of(dtype, &[2, n]));
    shapes(n).map(|shape| of(float, &shape)).chain(others).collect()
}

impl Graph {
    /// The condition outside of which `value` is zero, if it is written that way: `(c, true)` for `select(c, x, 0)`,
    /// which is zero where `c` does not hold, `(c, false)` for `select(c, 0, x)`.
    pub fn as_masked(&self, value: ValueId) -> Option<(ValueId, bool)> {
        let &[c, a, b] = self.op(value).filter(|op| op.is(&SELECT)).map(|_| self.operands(value))? else { return None };
        let zero = |x: ValueId| self.as_full(x) == Some(0.0);
        if zero(b) { Some((c, true)) } else { zero(a).then_some((c, false)) }
    }

    /// `select(c, a, b)`: `a` where `c` holds, else `b`.
    pub fn select(&mut self, c: ValueId, a: ValueId, b: ValueId) -> ValueId {
        self.emit(SELECT.op(), &[c, a, b])
    }
}
