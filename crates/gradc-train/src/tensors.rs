//! Between the arrays of files and the tensors of compiled programs.

use crate::array::{Array, ElementType, Elements};
use crate::convert::ConvertError;
use gradc::ir::DType;
use gradc::{About, Coded, Tensor, TensorView};
use gradc_diagnostics::{Code, codes};
use ndarray::{ArrayViewD, IxDyn};
use std::fmt;

/// The element type of a file for a tensor's.
pub fn element_type(dtype: DType) -> ElementType {
    match dtype {
        DType::Bool => ElementType::Bool,
        DType::U8 => ElementType::U8,
        DType::I32 => ElementType::I32,
        DType::I64 => ElementType::I64,
        DType::F16 => ElementType::F16,
        DType::Bf16 => ElementType::Bf16,
        DType::F32 => ElementType::F32,
        DType::F64 => ElementType::F64,
    }
}

/// The elements of an array as a tensor, without a copy.
pub fn view(array: &Array) -> TensorView<'_> {
    let shape = IxDyn(array.shape());
    macro_rules! view {
        ($values:expr, $variant:ident) => {
            ArrayViewD::from_shape(shape, $values).map(TensorView::$variant)
        };
    }
    let view = match array.elements() {
        Elements::F32(values) => view!(values, F32),
        Elements::F64(values) => view!(values, F64),
        Elements::I32(values) => view!(values, I32),
        Elements::I64(values) => view!(values, I64),
        Elements::U8(values) => view!(values, U8),
        Elements::Bool(values) => view!(values, Bool),
        Elements::F16(values) => view!(values, F16),
        Elements::Bf16(values) => view!(values, Bf16),
    };
    view.unwrap_or_else(|error| unreachable!("an array has the elements of its shape: {error}"))
}

/// An array as a tensor of the element type given.
///
/// # Errors
/// Where an element has no equal in that type.
pub fn tensor(array: Array, dtype: DType) -> Result<Tensor, ConvertError> {
    let array = array.convert(element_type(dtype))?;
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
