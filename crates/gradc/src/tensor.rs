//! Tensors that go into and come out of compiled programs.

use gradc_ir::{DType, Shape, TensorType};
use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice};

/// A tensor that owns its elements, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Truth values.
    Bool(ArrayD<bool>),
    /// 32-bit integers.
    I32(ArrayD<i32>),
    /// 32-bit floats.
    F32(ArrayD<f32>),
    /// 64-bit floats.
    F64(ArrayD<f64>),
}

/// A borrowed tensor, of any memory layout.
#[derive(Clone, Debug)]
pub enum TensorView<'a> {
    /// Truth values.
    Bool(ArrayViewD<'a, bool>),
    /// 32-bit integers.
    I32(ArrayViewD<'a, i32>),
    /// 32-bit floats.
    F32(ArrayViewD<'a, f32>),
    /// 64-bit floats.
    F64(ArrayViewD<'a, f64>),
}

/// Runs an expression for whichever element type a tensor or view has.
macro_rules! for_each_dtype {
    ($tensor:expr, $enum:ident, $array:ident => $body:expr) => {
        match $tensor {
            $enum::Bool($array) => $body,
            $enum::I32($array) => $body,
            $enum::F32($array) => $body,
            $enum::F64($array) => $body,
        }
    };
}

impl Tensor {
    /// A tensor whose elements are all zero.
    pub fn zeros(ty: &TensorType) -> Tensor {
        Tensor::filled(ty, 0.0)
    }

    /// A tensor whose elements are all `value`, rounded to the element type.
    pub fn filled(ty: &TensorType, value: f64) -> Tensor {
        let value = ty.dtype.round(value);
        let shape = IxDyn(&ty.shape);
        match ty.dtype {
            DType::Bool => Tensor::Bool(ArrayD::from_elem(shape, value != 0.0)),
            DType::I32 => Tensor::I32(ArrayD::from_elem(shape, value as i32)),
            DType::F32 => Tensor::F32(ArrayD::from_elem(shape, value as f32)),
            DType::F64 => Tensor::F64(ArrayD::from_elem(shape, value)),
        }
    }

    /// A tensor from numbers in row-major order, each rounded to the element type; `None` where there are not as many as
    /// the shape has elements.
    pub fn from_numbers(ty: &TensorType, numbers: impl IntoIterator<Item = f64>) -> Option<Tensor> {
        let numbers = numbers.into_iter().map(|number| ty.dtype.round(number));
        let shape = IxDyn(&ty.shape);
        Some(match ty.dtype {
            DType::Bool => {
                Tensor::Bool(ArrayD::from_shape_vec(shape, numbers.map(|number| number != 0.0).collect()).ok()?)
            }
            DType::I32 => {
                Tensor::I32(ArrayD::from_shape_vec(shape, numbers.map(|number| number as i32).collect()).ok()?)
            }
            DType::F32 => {
                Tensor::F32(ArrayD::from_shape_vec(shape, numbers.map(|number| number as f32).collect()).ok()?)
            }
            DType::F64 => Tensor::F64(ArrayD::from_shape_vec(shape, numbers.collect()).ok()?),
        })
    }

    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        self.view().ty()
    }

    /// A borrowed view.
    pub fn view(&self) -> TensorView<'_> {
        match self {
            Tensor::Bool(array) => TensorView::Bool(array.view()),
            Tensor::I32(array) => TensorView::I32(array.view()),
            Tensor::F32(array) => TensorView::F32(array.view()),
            Tensor::F64(array) => TensorView::F64(array.view()),
        }
    }

    /// The elements as numbers, in row-major order.
    pub fn numbers(&self) -> Vec<f64> {
        self.view().numbers()
    }

    /// The single element of a tensor that has just one.
    pub fn number(&self) -> Option<f64> {
        let numbers = if self.ty().shape.elements() == 1 { self.numbers() } else { return None };
        numbers.first().copied()
    }

    /// The elements as `f32`, if they are.
    pub fn as_f32(&self) -> Option<&ArrayD<f32>> {
        if let Tensor::F32(array) = self { Some(array) } else { None }
    }

    /// The elements as `f64`, if they are.
    pub fn as_f64(&self) -> Option<&ArrayD<f64>> {
        if let Tensor::F64(array) = self { Some(array) } else { None }
    }

    /// The elements as `i32`, if they are.
    pub fn as_i32(&self) -> Option<&ArrayD<i32>> {
        if let Tensor::I32(array) = self { Some(array) } else { None }
    }
}

impl<'a> TensorView<'a> {
    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        let dtype = match self {
            TensorView::Bool(_) => DType::Bool,
            TensorView::I32(_) => DType::I32,
            TensorView::F32(_) => DType::F32,
            TensorView::F64(_) => DType::F64,
        };
        let shape: Shape = for_each_dtype!(self, TensorView, array => array.shape().into());
        TensorType { dtype, shape }
    }

    /// The elements as numbers, in row-major order.
    pub fn numbers(&self) -> Vec<f64> {
        match self {
            TensorView::Bool(array) => array.iter().map(|&element| f64::from(u8::from(element))).collect(),
            TensorView::I32(array) => array.iter().map(|&element| f64::from(element)).collect(),
            TensorView::F32(array) => array.iter().map(|&element| f64::from(element)).collect(),
            TensorView::F64(array) => array.iter().copied().collect(),
        }
    }

    /// The same view, borrowed for a shorter time.
    pub fn view(&self) -> TensorView<'_> {
        match self {
            TensorView::Bool(array) => TensorView::Bool(array.view()),
            TensorView::I32(array) => TensorView::I32(array.view()),
            TensorView::F32(array) => TensorView::F32(array.view()),
            TensorView::F64(array) => TensorView::F64(array.view()),
        }
    }

    /// A copy that owns its elements, in row-major order.
    pub fn to_owned(&self) -> Tensor {
        match self {
            TensorView::Bool(array) => Tensor::Bool(array.as_standard_layout().into_owned()),
            TensorView::I32(array) => Tensor::I32(array.as_standard_layout().into_owned()),
            TensorView::F32(array) => Tensor::F32(array.as_standard_layout().into_owned()),
            TensorView::F64(array) => Tensor::F64(array.as_standard_layout().into_owned()),
        }
    }

    /// The part from `start` to `end` along the first axis.
    ///
    /// # Panics
    /// Where the tensor has no axis or the range is not within it.
    pub fn rows(&self, start: usize, end: usize) -> TensorView<'_> {
        let slice = Slice::from(start..end);
        match self {
            TensorView::Bool(array) => TensorView::Bool(array.slice_axis(Axis(0), slice)),
            TensorView::I32(array) => TensorView::I32(array.slice_axis(Axis(0), slice)),
            TensorView::F32(array) => TensorView::F32(array.slice_axis(Axis(0), slice)),
            TensorView::F64(array) => TensorView::F64(array.slice_axis(Axis(0), slice)),
        }
    }
}

macro_rules! conversions {
    ($($element:ty => $variant:ident),*) => {$(
        impl<'a, D: Dimension> From<ndarray::ArrayView<'a, $element, D>> for TensorView<'a> {
            fn from(array: ndarray::ArrayView<'a, $element, D>) -> TensorView<'a> {
                TensorView::$variant(array.into_dyn())
            }
        }

        impl<'a, D: Dimension> From<&'a ndarray::Array<$element, D>> for TensorView<'a> {
            fn from(array: &'a ndarray::Array<$element, D>) -> TensorView<'a> {
                TensorView::$variant(array.view().into_dyn())
            }
        }

        impl<D: Dimension> From<ndarray::Array<$element, D>> for Tensor {
            fn from(array: ndarray::Array<$element, D>) -> Tensor {
                Tensor::$variant(array.as_standard_layout().into_owned().into_dyn())
            }
        }
    )*};
}

conversions!(bool => Bool, i32 => I32, f32 => F32, f64 => F64);

impl<'a> From<&'a Tensor> for TensorView<'a> {
    fn from(tensor: &'a Tensor) -> TensorView<'a> {
        tensor.view()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_of_any_layout_give_row_major_numbers() {
        let array = ndarray::arr2(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        let transposed = TensorView::from(array.t());
        assert_eq!(transposed.ty(), TensorType::new(DType::F32, [3, 2]));
        assert_eq!(transposed.numbers(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(transposed.to_owned().numbers(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(transposed.rows(1, 2).numbers(), [2.0, 5.0]);
    }

    #[test]
    fn numbers_are_rounded_to_the_element_type() {
        let ty = TensorType::new(DType::I32, [2]);
        let tensor = Tensor::from_numbers(&ty, [1.9, -1.9]).expect("two numbers for two elements");
        assert_eq!(tensor.numbers(), [1.0, -1.0]);
        assert_eq!(Tensor::from_numbers(&ty, [1.0]), None);
    }
}
