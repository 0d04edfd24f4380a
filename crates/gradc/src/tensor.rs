//! Tensors that go into and come out of compiled programs.

use gradc_ir::{DType, TensorType};
use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, Axis, Dimension, IxDyn, Slice};

/// A tensor that owns its elements, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Truth values.
    Bool(ArrayD<bool>),
    /// 8-bit unsigned integers.
    U8(ArrayD<u8>),
    /// 32-bit integers.
    I32(ArrayD<i32>),
    /// 64-bit integers.
    I64(ArrayD<i64>),
    /// IEEE 754 binary16.
    F16(ArrayD<f16>),
    /// The upper halves of 32-bit floats.
    Bf16(ArrayD<bf16>),
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
    /// 8-bit unsigned integers.
    U8(ArrayViewD<'a, u8>),
    /// 32-bit integers.
    I32(ArrayViewD<'a, i32>),
    /// 64-bit integers.
    I64(ArrayViewD<'a, i64>),
    /// IEEE 754 binary16.
    F16(ArrayViewD<'a, f16>),
    /// The upper halves of 32-bit floats.
    Bf16(ArrayViewD<'a, bf16>),
    /// 32-bit floats.
    F32(ArrayViewD<'a, f32>),
    /// 64-bit floats.
    F64(ArrayViewD<'a, f64>),
}

/// An element type of the host.
trait Element: Copy {
    const DTYPE: DType;

    fn from_number(number: f64) -> Self;

    fn number(self) -> f64;
}

macro_rules! elements {
    ($($element:ty, $dtype:ident, $from:expr, $to:expr;)*) => {$(
        impl Element for $element {
            const DTYPE: DType = DType::$dtype;

            fn from_number(number: f64) -> $element {
                let from: fn(f64) -> $element = $from;
                from(DType::$dtype.round(number))
            }

            fn number(self) -> f64 {
                let to: fn($element) -> f64 = $to;
                to(self)
            }
        }
    )*};
}

elements! {
    bool, Bool, |number| number != 0.0, |element| f64::from(u8::from(element));
    u8, U8, |number| number as u8, f64::from;
    i32, I32, |number| number as i32, f64::from;
    i64, I64, |number| number as i64, |element| element as f64;
    f16, F16, f16::from_f64, f16::to_f64;
    bf16, Bf16, bf16::from_f64, bf16::to_f64;
    f32, F32, |number| number as f32, f64::from;
    f64, F64, |number| number, |element| element;
}

/// An expression for whichever element type a tensor or a view has.
macro_rules! for_each_dtype {
    ($tensor:expr, $enum:ident, $array:ident => $body:expr) => {
        match $tensor {
            $enum::Bool($array) => $body,
            $enum::U8($array) => $body,
            $enum::I32($array) => $body,
            $enum::I64($array) => $body,
            $enum::F16($array) => $body,
            $enum::Bf16($array) => $body,
            $enum::F32($array) => $body,
            $enum::F64($array) => $body,
        }
    };
}

/// The same, of which the same variant of `$result` is made.
macro_rules! keep_dtype {
    ($tensor:expr, $enum:ident, $array:ident => $result:ident($body:expr)) => {
        match $tensor {
            $enum::Bool($array) => $result::Bool($body),
            $enum::U8($array) => $result::U8($body),
            $enum::I32($array) => $result::I32($body),
            $enum::I64($array) => $result::I64($body),
            $enum::F16($array) => $result::F16($body),
            $enum::Bf16($array) => $result::Bf16($body),
            $enum::F32($array) => $result::F32($body),
            $enum::F64($array) => $result::F64($body),
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
        let numbers = std::iter::repeat_n(value, ty.shape.elements());
        Tensor::from_numbers(ty, numbers).unwrap_or_else(|| unreachable!("as many numbers as elements"))
    }

    /// A tensor from numbers in row-major order, each rounded to the element type; `None` where there are not as many as
    /// the shape has elements.
    pub fn from_numbers(ty: &TensorType, numbers: impl IntoIterator<Item = f64>) -> Option<Tensor> {
        fn array<T: Element>(ty: &TensorType, numbers: impl Iterator<Item = f64>) -> Option<ArrayD<T>> {
            ArrayD::from_shape_vec(IxDyn(&ty.shape), numbers.map(T::from_number).collect()).ok()
        }
        let numbers = numbers.into_iter();
        Some(match ty.dtype {
            DType::Bool => Tensor::Bool(array(ty, numbers)?),
            DType::U8 => Tensor::U8(array(ty, numbers)?),
            DType::I32 => Tensor::I32(array(ty, numbers)?),
            DType::I64 => Tensor::I64(array(ty, numbers)?),
            DType::F16 => Tensor::F16(array(ty, numbers)?),
            DType::Bf16 => Tensor::Bf16(array(ty, numbers)?),
            DType::F32 => Tensor::F32(array(ty, numbers)?),
            DType::F64 => Tensor::F64(array(ty, numbers)?),
        })
    }

    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        self.view().ty()
    }

    /// A borrowed view.
    pub fn view(&self) -> TensorView<'_> {
        keep_dtype!(self, Tensor, array => TensorView(array.view()))
    }

    /// The elements as numbers, in row-major order. 64-bit integers beyond 2⁵³ are rounded.
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

    /// The elements as `i64`, if they are.
    pub fn as_i64(&self) -> Option<&ArrayD<i64>> {
        if let Tensor::I64(array) = self { Some(array) } else { None }
    }

    /// The elements as `u8`, if they are.
    pub fn as_u8(&self) -> Option<&ArrayD<u8>> {
        if let Tensor::U8(array) = self { Some(array) } else { None }
    }

    /// The elements as `f16`, if they are.
    pub fn as_f16(&self) -> Option<&ArrayD<f16>> {
        if let Tensor::F16(array) = self { Some(array) } else { None }
    }

    /// The elements as `bf16`, if they are.
    pub fn as_bf16(&self) -> Option<&ArrayD<bf16>> {
        if let Tensor::Bf16(array) = self { Some(array) } else { None }
    }
}

impl<'a> TensorView<'a> {
    /// Element type and shape.
    pub fn ty(&self) -> TensorType {
        fn ty<T: Element>(array: &ArrayViewD<'_, T>) -> TensorType {
            TensorType { dtype: T::DTYPE, shape: array.shape().into() }
        }
        for_each_dtype!(self, TensorView, array => ty(array))
    }

    /// The elements as numbers, in row-major order. 64-bit integers beyond 2⁵³ are rounded.
    pub fn numbers(&self) -> Vec<f64> {
        for_each_dtype!(self, TensorView, array => array.iter().map(|element| element.number()).collect())
    }

    /// The same view, borrowed for a shorter time.
    pub fn view(&self) -> TensorView<'_> {
        keep_dtype!(self, TensorView, array => TensorView(array.view()))
    }

    /// A copy that owns its elements, in row-major order.
    pub fn to_owned(&self) -> Tensor {
        keep_dtype!(self, TensorView, array => Tensor(array.as_standard_layout().into_owned()))
    }

    /// The part from `start` to `end` along the first axis.
    ///
    /// # Panics
    /// Where the tensor has no axis or the range is not within it.
    pub fn rows(&self, start: usize, end: usize) -> TensorView<'_> {
        let slice = Slice::from(start..end);
        keep_dtype!(self, TensorView, array => TensorView(array.slice_axis(Axis(0), slice)))
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

conversions!(
    bool => Bool, u8 => U8, i32 => I32, i64 => I64, f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64
);

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
        let rounded = |dtype, number| Tensor::filled(&TensorType::new(dtype, [2]), number).numbers();
        assert_eq!(rounded(DType::Bf16, 1.003), [1.0, 1.0]);
        assert_eq!(rounded(DType::F16, 65520.0), [f64::INFINITY; 2]);
        assert_eq!(rounded(DType::U8, 257.0), [255.0, 255.0]);
        assert_eq!(rounded(DType::I64, -1.5), [-1.0, -1.0]);
    }

    #[test]
    fn every_element_type_has_a_view_of_its_own() {
        for dtype in DType::ALL {
            let ty = TensorType::new(dtype, [2, 3]);
            let tensor = Tensor::from_numbers(&ty, [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]).expect("six numbers");
            assert_eq!(tensor.ty(), ty);
            assert_eq!(tensor.view().rows(1, 2).to_owned().numbers(), [1.0, 1.0, 0.0]);
        }
    }
}
