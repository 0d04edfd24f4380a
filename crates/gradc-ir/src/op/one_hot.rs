//! `one_hot(indices, depth=…)`

use super::elementwise::shapes;
use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::{DType, Graph, Shape, TensorType, ValueId};

/// A one at each index, among zeros.
pub static ONE_HOT: OpDef = OpDef {
    name: "one_hot",
    class: Class::Indexed,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("depth", AttrKind::Int),
        AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType),
    ],
    notation: Notation::Call,
    infer: |attrs, operands| {
        let indices = operands[0];
        if !indices.dtype.is_integer() {
            return Err(TypeError(format!("the indices are {indices}, not integers")));
        }
        let shape: Shape = indices.shape.iter().copied().chain([attrs.int("depth")]).collect();
        Ok(TensorType::new(attrs.dtype("dtype"), shape))
    },
    evaluate: Evaluate::Tensor(|attrs, operands, _| {
        let row = |&index: &f64| (0..attrs.int("depth")).map(move |k| f64::from(u8::from(index == k as f64)));
        operands[0].data().iter().flat_map(row).collect()
    }),
    derivative: Derivative::None("an index has no derivative"),
    lower: None,
    algebra: Algebra::NONE,
    // From out of range below to out of range above.
    domain: Domain { smooth: &[(-1.0, 4.0)], ..Domain::SMOOTH },
    cases: |n, float| {
        let of = |index: DType, shape: &[usize], depth: usize, dtype: DType| Case {
            attrs: attrs(depth, dtype),
            operands: vec![TensorType::new(index, shape)],
        };
        let case = |shape: &[usize], depth: usize, dtype: DType| of(DType::I32, shape, depth, dtype);
        let mut cases: Vec<Case> = shapes(n).map(|shape| case(&shape, 4, float)).collect();
        cases.extend([case(&[3], n, float), case(&[n], 3, DType::I32), case(&[n], 3, DType::Bool)]);
        cases.extend([of(DType::I64, &[n], 3, float), of(DType::U8, &[n], 3, DType::U8)]);
        cases
    },
    doc: "Along a new last axis of extent `depth`: 1 at the position that the index says, 0 elsewhere. An index out of \
          range gives zeros only.",
};

fn attrs(depth: usize, dtype: DType) -> Attrs {
    Attrs::new([("depth", Attr::from(depth)), ("dtype", dtype.into())])
}

impl Graph {
    /// Along a new last axis of extent `depth`, 1 at the position that the index says and 0 elsewhere.
    pub fn one_hot(&mut self, indices: ValueId, depth: usize, dtype: DType) -> ValueId {
        self.emit(ONE_HOT.with(attrs(depth, dtype)), &[indices])
    }
}
