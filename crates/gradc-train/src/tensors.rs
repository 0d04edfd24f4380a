//! Between the arrays of files and the tensors of compiled programs.

use crate::array::{Array, Elements};
use crate::convert::ConvertError;
use gradc::ir::DType;
use gradc::{About, Coded, Tensor, TensorView};
use gradc_diagnostics::{Code, codes};
use ndarray::{ArrayViewD, IxDyn};
use std::fmt;

/// The elements of an array as a tensor, without a copy.
pub fn view(array: &Array) -> TensorView<'_> {
    let shape = IxDyn(array.shape());
    let view = for_any_type!(array.elements(), values => ArrayViewD::from_shape(shape, values).map(TensorView::from));
    view.unwrap_or_else(|error| unreachable!("an array has the elements of its shape: {error}"))
}

/// An array as a tensor of the element type given.
///
/// # Errors
/// Where an element has no equal in that type.
pub fn tensor(array: Array, dtype: DType) -> Result<Tensor, ConvertError> {
    let array = array.convert(dtype)?;
    Ok(view(&array).to_owned())
}

/// An array as a tensor for the input of a model.
///
/// # Errors
/// Where an element has no equal in the type of the input.
pub fn input(name: &str, array: Array, dtype: DType) -> Result<Tensor, InputValueError> {
    tensor(array, dtype).map_err(|error| InputValueError { input: name.to_owned(), error })
}

/// A value that an input cannot take.
#[derive(Clone, Debug, PartialEq)]
pub struct InputValueError {
    /// The input.
    pub input: String,
    /// The value, and what is in the way.
    pub error: ConvertError,
}

impl fmt::Display for InputValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the input `{}`: {}", self.input, self.error)
    }
}

impl std::error::Error for InputValueError {}

impl Coded for InputValueError {
    fn code(&self) -> Code {
        codes::VALUE_CHANGED
    }

    fn about(&self) -> Option<About<'_>> {
        Some(About::Input(&self.input))
    }
}

/// A tensor as an array, with a copy of its elements.
pub fn array(tensor: &Tensor) -> Array {
    let shape = tensor.ty().shape.to_vec();
    let elements = match tensor {
        Tensor::Bool(array) => Elements::Bool(array.iter().copied().collect()),
        Tensor::U8(array) => Elements::U8(array.iter().copied().collect()),
        Tensor::I32(array) => Elements::I32(array.iter().copied().collect()),
        Tensor::I64(array) => Elements::I64(array.iter().copied().collect()),
        Tensor::F16(array) => Elements::F16(array.iter().copied().collect()),
        Tensor::Bf16(array) => Elements::Bf16(array.iter().copied().collect()),
        Tensor::F32(array) => Elements::F32(array.iter().copied().collect()),
        Tensor::F64(array) => Elements::F64(array.iter().copied().collect()),
    };
    Array::new(shape, elements).unwrap_or_else(|error| unreachable!("a tensor has the elements of its shape: {error}"))
}
