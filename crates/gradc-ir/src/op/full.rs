//! `full(value)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::{DType, Graph, Shape, TensorType, ValueId};

/// A tensor that holds one number everywhere.
pub static FULL: OpDef = OpDef {
    name: "full",
    class: Class::Source,
    arity: Arity::Exactly(0),
    attrs: &[
        AttrSpec::from("value", AttrKind::Float, AttrSource::Positional),
        AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType),
        AttrSpec::from("shape", AttrKind::Ints, AttrSource::ResultShape),
    ],
    notation: Notation::Call,
    infer: |attrs, _| Ok(TensorType::new(attrs.dtype("dtype"), attrs.ints("shape"))),
    evaluate: Evaluate::Tensor(|attrs, _, ty| vec![attrs.float("value"); ty.shape.elements()]),
    derivative: Derivative::None("a constant depends on nothing"),
    lower: None,
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases: |n, float| {
        vec![
            Case { attrs: attrs(0.5, &TensorType::new(float, [n])), operands: vec![] },
            Case { attrs: attrs(-3.0, &TensorType::new(DType::I32, [n, 2])), operands: vec![] },
            Case { attrs: attrs(-3.0, &TensorType::new(DType::I64, [n])), operands: vec![] },
            Case { attrs: attrs(200.0, &TensorType::new(DType::U8, [n])), operands: vec![] },
            Case { attrs: attrs(1.0, &TensorType::new(DType::Bool, [2, n])), operands: vec![] },
        ]
    },
    doc: "A tensor that holds one number everywhere. Among the operands of an elementwise operator the text form \
          writes it as the number alone.",
};

fn attrs(value: f64, ty: &TensorType) -> Attrs {
    // One way to write each constant: the attribute is what the element type makes of it, NaN has one encoding.
    let value = if value.is_nan() { f64::NAN } else { ty.dtype.round(value) };
    let shape: &[usize] = &ty.shape;
    Attrs::new([("value", Attr::from(value)), ("dtype", ty.dtype.into()), ("shape", shape.into())])
}

impl Graph {
    /// A tensor of type `ty` that holds `value` (rounded to the element type) everywhere.
    pub fn full(&mut self, value: f64, ty: &TensorType) -> ValueId {
        self.emit(FULL.with(attrs(value, ty)), &[])
    }

    /// A tensor of type `ty` that holds `value` everywhere, with all digits until [`Graph::settled`] or
    /// [`Graph::in_precision`] decides what precision the graph has: a constant of a source file.
    pub fn full_unsettled(&mut self, value: f64, ty: &TensorType) -> ValueId {
        let shape: &[usize] = &ty.shape;
        let attrs = [("value", Attr::from(value)), ("dtype", ty.dtype.into()), ("shape", shape.into())];
        self.emit(FULL.with(Attrs::new(attrs)), &[])
    }

    /// A tensor of the type of `like` that holds `value` everywhere.
    pub fn full_like(&mut self, like: ValueId, value: f64) -> ValueId {
        let ty = self.ty(like).clone();
        self.full(value, &ty)
    }

    /// The number that `value` holds everywhere, if it is a `full`.
    pub fn as_full(&self, value: ValueId) -> Option<f64> {
        self.op(value).filter(|op| op.is(&FULL)).map(|op| op.attrs.float("value"))
    }

    /// A float scalar.
    pub fn scalar(&mut self, value: f64, dtype: DType) -> ValueId {
        self.full(value, &TensorType { dtype, shape: Shape::scalar() })
    }
}
