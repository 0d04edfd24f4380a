//! `result(packed)`: one of several results
//!
//! An operator with several results, a loop or a custom derivative rule, is one value all the same: all of them packed
//! into one flat tensor, first the position at which each begins, then their elements. Only [`RESULT`] reads it, and
//! compiled code never has it in memory.

use super::custom::CUSTOM;
use super::scan::SCAN;
use super::{Algebra, Arity, Class, Derivative, Domain, Evaluate, Notation, Op, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::tensor::Tensor;
use crate::{DType, Graph, Shape, TensorType, ValueId};

/// One result of an operator that has several: the only operator that reads the value of one. It is a part of the notation
/// of these, so it is not in the registry.
pub static RESULT: OpDef = OpDef {
    name: "result",
    class: Class::Scan,
    arity: Arity::Exactly(1),
    attrs: &[
        AttrSpec::new("index", AttrKind::Int),
        AttrSpec::from("dtype", AttrKind::DType, AttrSource::ResultDType),
        AttrSpec::from("shape", AttrKind::Ints, AttrSource::ResultShape),
    ],
    notation: Notation::Call,
    infer: |attrs, operands| {
        let (packed, index) = (operands[0], attrs.int("index"));
        if packed.dtype != PACKED || packed.shape.rank() != 1 || index >= packed.shape.elements() {
            return Err(TypeError(format!("{packed} has no result {index}")));
        }
        Ok(TensorType::new(attrs.dtype("dtype"), attrs.ints("shape")))
    },
    evaluate: Evaluate::Tensor(|attrs, operands, ty| {
        let (packed, count) = (operands[0].data(), ty.shape.elements());
        let start = packed.get(attrs.int("index")).map_or(0, |&start| start as usize);
        let elements = start.checked_add(count).and_then(|end| packed.get(start..end));
        elements.map_or_else(|| vec![0.0; count], <[f64]>::to_vec)
    }),
    derivative: Derivative::Body,
    lower: None,
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases: |_, _| vec![],
    doc: "",
};

/// The element type of packed results: it represents those of all others.
const PACKED: DType = DType::F64;

/// The type of results of these types, packed.
pub(super) fn packed_type(results: &[TensorType]) -> Result<TensorType, TypeError> {
    let add = |total: usize, ty: &TensorType| total.checked_add(Shape::checked_elements(&ty.shape)?);
    match results.iter().try_fold(results.len(), add) {
        Some(total) => Ok(TensorType::new(PACKED, [total])),
        None => Err(TypeError("the results are too large".into())),
    }
}

/// Results of these types, packed: where each begins, and zeros for their elements.
pub(super) fn packed_zeros(results: &[TensorType]) -> Vec<f64> {
    let mut packed = Vec::with_capacity(results.len());
    let mut end = results.len();
    for ty in results {
        packed.push(end as f64);
        end += ty.shape.elements();
    }
    packed.resize(end, 0.0);
    packed
}

/// Writes elements of result `index` to packed results, from element `at` of it on.
pub(super) fn write(packed: &mut [f64], index: usize, at: usize, elements: &Tensor) {
    let start = packed[index] as usize + at;
    packed[start..start + elements.data().len()].copy_from_slice(elements.data());
}

impl Graph {
    /// Whether a value is the results of an operator that has several, packed.
    pub fn is_packed(&self, value: ValueId) -> bool {
        self.op(value).is_some_and(|op| op.is(&SCAN) || op.is(&CUSTOM))
    }

    /// The types of the results that a value packs; none of a value that packs none.
    pub fn result_types(&self, packed: ValueId) -> Option<Vec<TensorType>> {
        let of_scan = self.as_scan(packed).map(|scan| scan.result_types());
        of_scan.or_else(|| self.as_custom(packed).map(|custom| custom.result_types()))
    }

    /// The type of a result that a value packs; none if there is no such result.
    pub fn result_type(&self, packed: ValueId, index: usize) -> Option<TensorType> {
        if index >= self.result_count(packed) {
            return None;
        }
        let of_scan = self.as_scan(packed).map(|scan| scan.result_type(index));
        of_scan.or_else(|| self.as_custom(packed).map(|custom| custom.result_type(index).clone()))
    }

    /// How many results a value packs: none, if it is no packed value.
    fn result_count(&self, packed: ValueId) -> usize {
        let of_scan = self.as_scan(packed).map(|scan| scan.results());
        of_scan.or_else(|| self.as_custom(packed).map(|custom| custom.results)).unwrap_or(0)
    }

    /// Which result of which packed value a value is, if it is one.
    pub fn as_result(&self, value: ValueId) -> Option<(ValueId, usize)> {
        let op = self.op(value).filter(|op| op.is(&RESULT))?;
        Some((self.operands(value)[0], op.attrs.int("index")))
    }

    /// For each result that a value packs, the value that it is, if there is one.
    pub fn results_of(&self, packed: ValueId) -> Vec<Option<ValueId>> {
        let mut results = vec![None; self.result_count(packed)];
        for (user, _) in self.users(packed) {
            if let Some((_, index)) = self.as_result(user)
                && let Some(slot) = results.get_mut(index)
            {
                *slot = Some(user);
            }
        }
        results
    }

    /// A result that a value packs: the value that it is already, or a new one.
    pub fn result_of(&mut self, packed: ValueId, index: usize) -> ValueId {
        if let Some(value) = self.results_of(packed)[index] {
            return value;
        }
        let ty = self.result_type(packed, index).expect("only packed values have results");
        self.emit(result(index, &ty), &[packed])
    }
}

/// The operator that reads result `index`, of type `ty`.
pub fn result(index: usize, ty: &TensorType) -> Op {
    let shape: &[usize] = &ty.shape;
    RESULT.with(Attrs::new([("index", Attr::from(index)), ("dtype", ty.dtype.into()), ("shape", shape.into())]))
}
