//! Dense arrays: what data files hold, what a batch is made of, what weights and optimizer states are stored as.

use half::{bf16, f16};
use std::fmt;

/// The type of an [`Array`]'s elements: those of the language.
pub use gradc::ir::DType as ElementType;

/// Elements of one type, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// `f16` elements.
    F16(Vec<f16>),
    /// `bf16` elements.
    Bf16(Vec<bf16>),
    /// `f32` elements.
    F32(Vec<f32>),
    /// `f64` elements.
    F64(Vec<f64>),
    /// `i32` elements.
    I32(Vec<i32>),
    /// `i64` elements.
    I64(Vec<i64>),
    /// `u8` elements.
    U8(Vec<u8>),
    /// `bool` elements.
    Bool(Vec<bool>),
}

/// Evaluates `$body` with `$values` bound to the vector inside, whatever its type.
macro_rules! for_any_type {
    ($elements:expr, $values:ident => $body:expr) => {
        match $elements {
            Elements::F16($values) => $body,
            Elements::Bf16($values) => $body,
            Elements::F32($values) => $body,
            Elements::F64($values) => $body,
            Elements::I32($values) => $body,
            Elements::I64($values) => $body,
            Elements::U8($values) => $body,
            Elements::Bool($values) => $body,
        }
    };
}

/// What Rust's type of an element is, and what it is called.
pub(crate) trait Element: Copy {
    /// The type.
    const TYPE: ElementType;

    /// The elements, if they are of this type.
    fn of(elements: &Elements) -> Option<&[Self]>;
}

macro_rules! elements {
    ($($variant:ident: $type:ty),*) => {
        $(
            impl From<Vec<$type>> for Elements {
                fn from(values: Vec<$type>) -> Elements {
                    Elements::$variant(values)
                }
            }

            impl Element for $type {
                const TYPE: ElementType = ElementType::$variant;

                fn of(elements: &Elements) -> Option<&[$type]> {
                    match elements {
                        Elements::$variant(values) => Some(values),
                        _ => None,
                    }
                }
            }
        )*

        impl Elements {
            /// No elements of a type, with room for `capacity` of them.
            pub fn with_capacity(dtype: ElementType, capacity: usize) -> Elements {
                match dtype {
                    $(ElementType::$variant => Elements::$variant(Vec::with_capacity(capacity)),)*
                }
            }
        }
    };
}

elements!(F16: f16, Bf16: bf16, F32: f32, F64: f64, I32: i32, I64: i64, U8: u8, Bool: bool);

impl Elements {
    /// Their type.
    pub fn dtype(&self) -> ElementType {
        fn of<T: Element>(_: &[T]) -> ElementType {
            T::TYPE
        }
        for_any_type!(self, values => of(values))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        for_any_type!(self, values => values.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes these the rows `rows` of `source`, each of `width` elements, in the order given. Memory is reused: with
    /// room enough nothing is allocated.
    ///
    /// # Panics
    /// Where the types differ or `source` has no such row.
    pub(crate) fn copy_rows(&mut self, source: &Elements, width: usize, rows: &[u32]) {
        fn copy<T: Element>(to: &mut Vec<T>, from: &[T], width: usize, rows: &[u32]) {
            to.clear();
            for &row in rows {
                let start = row as usize * width;
                to.extend_from_slice(&from[start..start + width]);
            }
        }
        for_any_type!(self, to => copy(to, same(source), width, rows));
    }

    /// Puts `more` after these.
    ///
    /// # Panics
    /// Where the types differ.
    pub(crate) fn append(&mut self, more: &Elements) {
        for_any_type!(self, to => to.extend_from_slice(same(more)));
    }
}

/// The elements, which must be of this type.
fn same<T: Element>(elements: &Elements) -> &[T] {
    T::of(elements).unwrap_or_else(|| unreachable!("{} are no {}", elements.dtype(), T::TYPE))
}

/// A dense array: a shape and its elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    elements: Elements,
}

/// A shape that does not have as many elements as there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// The shape asked for.
    pub shape: Vec<usize>,
    /// How many elements there are.
    pub elements: usize,
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements do not fill the shape {}", self.elements, ShapeText(&self.shape))
    }
}

impl std::error::Error for ShapeError {}

impl Array {
    /// An array of the given shape.
    ///
    /// # Errors
    /// Where the shape has another number of elements.
    pub fn new(shape: Vec<usize>, elements: impl Into<Elements>) -> Result<Array, ShapeError> {
        let elements = elements.into();
        if element_count(&shape) == Some(elements.len()) {
            Ok(Array { shape, elements })
        } else {
            Err(ShapeError { shape, elements: elements.len() })
        }
    }

    /// An array of rank 1.
    pub fn from_vec(elements: impl Into<Elements>) -> Array {
        let elements = elements.into();
        Array { shape: vec![elements.len()], elements }
    }

    /// The extents, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements in row-major order.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// The type of the elements.
    pub fn dtype(&self) -> ElementType {
        self.elements.dtype()
    }

    /// The elements, if they are `f32`.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if let Elements::F32(values) = &self.elements { Some(values) } else { None }
    }

    /// The elements, if they are `f64`.
    pub fn as_f64(&self) -> Option<&[f64]> {
        if let Elements::F64(values) = &self.elements { Some(values) } else { None }
    }

    /// The elements, if they are `i32`.
    pub fn as_i32(&self) -> Option<&[i32]> {
        if let Elements::I32(values) = &self.elements { Some(values) } else { None }
    }

    /// The elements, if they are `bool`.
    pub fn as_bool(&self) -> Option<&[bool]> {
        if let Elements::Bool(values) = &self.elements { Some(values) } else { None }
    }

    /// The shape and the elements, taken apart.
    pub fn into_parts(self) -> (Vec<usize>, Elements) {
        (self.shape, self.elements)
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// Where the shape has another number of elements.
    pub fn reshape(self, shape: Vec<usize>) -> Result<Array, ShapeError> {
        Array::new(shape, self.elements)
    }

    /// Makes this the rows `rows` of `source` along its first axis; see [`Elements::copy_rows`].
    pub(crate) fn copy_rows(&mut self, source: &Array, rows: &[u32]) {
        let width = source.shape[1..].iter().product();
        self.elements.copy_rows(&source.elements, width, rows);
        self.shape.clear();
        self.shape.push(rows.len());
        self.shape.extend_from_slice(&source.shape[1..]);
    }

    /// Makes this `rows` rows of the shape `row` of the class ids that `fill` appends one by one. Memory is reused: with room
    /// enough nothing is allocated.
    ///
    /// # Panics
    /// Where the elements are no integers, an id is none of their type, or `fill` appends another number of them.
    pub(crate) fn refill_ids(&mut self, rows: usize, row: &[usize], fill: impl FnOnce(&mut dyn FnMut(i32))) {
        match &mut self.elements {
            Elements::I32(ids) => {
                ids.clear();
                fill(&mut |id| ids.push(id));
            }
            Elements::I64(ids) => {
                ids.clear();
                fill(&mut |id| ids.push(id.into()));
            }
            Elements::U8(ids) => {
                ids.clear();
                fill(&mut |id| ids.push(u8::try_from(id).expect("the vocabulary fits the type")));
            }
            others => unreachable!("class ids are no {}", others.dtype()),
        }
        self.shape.clear();
        self.shape.push(rows);
        self.shape.extend_from_slice(row);
        assert_eq!(element_count(&self.shape), Some(self.elements.len()), "the elements of all rows");
    }
}

/// The number of elements of a shape, unless it cannot be counted.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_usize, |product, &extent| product.checked_mul(extent))
}

/// A shape as `[64, 10]`.
pub(crate) struct ShapeText<'a>(pub(crate) &'a [usize]);

impl fmt::Display for ShapeText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_must_have_as_many_elements_as_there_are() {
        assert!(Array::new(vec![2, 3], vec![0.0_f32; 6]).is_ok());
        assert!(Array::new(vec![], vec![1_i32]).is_ok());
        assert!(Array::new(vec![usize::MAX, 0], Vec::<u8>::new()).is_ok());
        let error = Array::new(vec![2, 3], vec![0.0_f32; 5]).unwrap_err();
        assert_eq!(error.to_string(), "5 elements do not fill the shape [2, 3]");
    }

    #[test]
    fn a_shape_whose_count_overflows_is_an_error() {
        assert!(Array::new(vec![usize::MAX, 2], vec![1_u8]).is_err());
        assert_eq!(element_count(&[usize::MAX, 2]), None);
    }

    #[test]
    fn rows_are_copied_in_the_order_given_without_allocating() {
        let source = Array::new(vec![3, 2], vec![0, 1, 10, 11, 20, 21]).unwrap();
        let mut to = Array { shape: Vec::with_capacity(2), elements: Elements::with_capacity(ElementType::I32, 6) };
        let address = |array: &Array| array.as_i32().map(<[i32]>::as_ptr);
        let before = address(&to);
        to.copy_rows(&source, &[2, 0, 2]);
        assert_eq!(to.as_i32(), Some(&[20, 21, 0, 1, 20, 21][..]));
        assert_eq!(to.shape(), [3, 2]);
        to.copy_rows(&source, &[1]);
        assert_eq!((to.as_i32(), to.shape()), (Some(&[10, 11][..]), &[1, 2][..]));
        assert_eq!(before, address(&to));
    }
}
