//! Shapes and tensor types.

use std::fmt;
use std::ops::Deref;

use smallvec::SmallVec;

use crate::DType;

/// The extents of a tensor, outermost first. A scalar has no axes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(SmallVec<[usize; 4]>);

impl Shape {
    /// The most elements a tensor may have. Products of extents below it cannot overflow address arithmetic.
    pub const MAX_ELEMENTS: usize = 1 << 40;

    /// The most axes a tensor may have.
    pub const MAX_RANK: usize = 16;

    /// The shape of a scalar: no axes, one element.
    pub fn scalar() -> Shape {
        Shape::default()
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The product of the extents.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// The product of the extents, or `None` where the shape is larger than gradc handles
    /// ([`Shape::MAX_ELEMENTS`], [`Shape::MAX_RANK`]). Zero extents do not hide an overflow of the others.
    pub fn checked_elements(extents: &[usize]) -> Option<usize> {
        if extents.len() > Shape::MAX_RANK {
            return None;
        }
        let nonzero = extents.iter().filter(|&&extent| extent != 0);
        let product = nonzero.copied().try_fold(1usize, |product, extent| {
            product.checked_mul(extent).filter(|&product| product <= Shape::MAX_ELEMENTS)
        })?;
        Some(if extents.contains(&0) { 0 } else { product })
    }

    /// Row-major strides in elements: the last axis has stride 1.
    pub fn strides(&self) -> SmallVec<[usize; 4]> {
        let mut strides: SmallVec<[usize; 4]> = SmallVec::from_elem(1, self.rank());
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// This shape without `axes` (each a valid axis, in any order).
    pub fn without(&self, axes: &[usize]) -> Shape {
        self.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &extent)| extent).collect()
    }

    /// This shape with extent 1 at each of `axes`.
    pub fn with_ones(&self, axes: &[usize]) -> Shape {
        self.iter().enumerate().map(|(axis, &extent)| if axes.contains(&axis) { 1 } else { extent }).collect()
    }

    /// The multi-index of the element at `linear` in row-major order.
    pub fn unravel(&self, mut linear: usize) -> SmallVec<[usize; 4]> {
        let mut index: SmallVec<[usize; 4]> = SmallVec::from_elem(0, self.rank());
        for axis in (0..self.rank()).rev() {
            index[axis] = linear % self.0[axis];
            linear /= self.0[axis];
        }
        index
    }

    /// The row-major position of the element at `index`.
    pub fn ravel(&self, index: &[usize]) -> usize {
        self.0.iter().zip(index).fold(0, |linear, (&extent, &i)| linear * extent + i)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(extents: I) -> Shape {
        Shape(extents.into_iter().collect())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Shape {
        extents.into_iter().collect()
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Shape {
        extents.iter().copied().collect()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{extent}")?;
        }
        f.write_str("]")
    }
}

/// The type of a value: element type and shape. Its text is `f32[64, 10]`; a scalar is `f32[]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorType {
    /// The type of the elements.
    pub dtype: DType,
    /// The extents.
    pub shape: Shape,
}

impl TensorType {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// A scalar of `dtype`.
    pub fn scalar(dtype: DType) -> TensorType {
        TensorType { dtype, shape: Shape::scalar() }
    }

    /// This shape with another element type.
    pub fn with_dtype(&self, dtype: DType) -> TensorType {
        TensorType { dtype, shape: self.shape.clone() }
    }

    /// This element type with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype: self.dtype, shape: shape.into() }
    }

    /// Bytes of a contiguous buffer of this type.
    pub fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.size()
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
