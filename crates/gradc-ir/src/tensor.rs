//! Tensors of the reference evaluation.

use crate::{DType, Shape, TensorType};

/// A tensor of the reference evaluation: every element is held as an `f64` that its element type can represent, in
/// row-major order. It is meant to be plainly right, not fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    ty: TensorType,
    data: Vec<f64>,
}

impl Tensor {
    /// A tensor of type `ty`; each element is rounded to the element type.
    ///
    /// # Panics
    /// Where `data` does not have as many elements as the shape.
    pub fn new(ty: TensorType, mut data: Vec<f64>) -> Tensor {
        assert_eq!(data.len(), ty.shape.elements(), "a {ty} has another number of elements");
        if ty.dtype != DType::F64 {
            data.iter_mut().for_each(|value| *value = ty.dtype.round(*value));
        }
        Tensor { ty, data }
    }

    /// A scalar.
    pub fn scalar(dtype: DType, value: f64) -> Tensor {
        Tensor::new(TensorType::scalar(dtype), vec![value])
    }

    /// A tensor whose element at each multi-index is what `f` gives.
    pub fn from_fn(ty: TensorType, mut f: impl FnMut(&[usize]) -> f64) -> Tensor {
        let data = (0..ty.shape.elements()).map(|linear| f(&ty.shape.unravel(linear))).collect();
        Tensor::new(ty, data)
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// The extents.
    pub fn shape(&self) -> &Shape {
        &self.ty.shape
    }

    /// The elements in row-major order.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// The element at a multi-index.
    pub fn at(&self, index: &[usize]) -> f64 {
        self.data[self.ty.shape.ravel(index)]
    }

    /// The same elements in another element type.
    pub fn cast(&self, dtype: DType) -> Tensor {
        let data = self.data.iter().map(|&value| dtype.convert(value, self.ty.dtype)).collect();
        Tensor::new(self.ty.with_dtype(dtype), data)
    }
}
