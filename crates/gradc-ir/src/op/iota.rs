//! `iota(axis=…)`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::{DType, Graph, TensorType, ValueId};

/// The position along an axis.
pub static IOTA: OpDef = OpDef {
    name: "iota",
    class: Class::Source,
    arity: Arity::Exactly(0),
    attrs: &[
        AttrSpec::new("axis", AttrKind::Int),
        AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType),
        AttrSpec::from("shape", AttrKind::Ints, AttrSource::ResultShape),
    ],
    notation: Notation::Call,
    infer: |attrs, _| {
        let ty = TensorType::new(attrs.dtype("dtype"), attrs.ints("shape"));
        if ty.dtype != DType::Bool && attrs.int("axis") < ty.shape.rank() {
            Ok(ty)
        } else {
            Err(TypeError(format!("{ty} cannot hold the positions along axis {}", attrs.int("axis"))))
        }
    },
    evaluate: Evaluate::Tensor(|attrs, _, ty| {
        let axis = attrs.int("axis");
        (0..ty.shape.elements()).map(|linear| ty.shape.unravel(linear)[axis] as f64).collect()
    }),
    derivative: Derivative::None("a constant depends on nothing"),
    lower: None,
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases: |n, float| {
        let case = |dtype: DType, shape: &[usize], axis: usize| Case {
            attrs: attrs(axis, &TensorType::new(dtype, shape)),
            operands: vec![],
        };
        vec![
            case(DType::I32, &[n], 0),
            case(DType::I32, &[n, 3], 0),
            case(DType::I32, &[2, n, 2], 1),
            case(DType::I64, &[n, 2], 0),
            case(DType::U8, &[2, n], 1),
            case(float, &[3, n], 1),
        ]
    },
    doc: "At each index, the position along `axis`: 0, 1, 2, and so on.",
};

fn attrs(axis: usize, ty: &TensorType) -> Attrs {
    let shape: &[usize] = &ty.shape;
    Attrs::new([("axis", Attr::from(axis)), ("dtype", ty.dtype.into()), ("shape", shape.into())])
}

impl Graph {
    /// A tensor of type `ty` that holds at each index the position along `axis`.
    pub fn iota(&mut self, axis: usize, ty: &TensorType) -> ValueId {
        self.emit(IOTA.with(attrs(axis, ty)), &[])
    }
}
