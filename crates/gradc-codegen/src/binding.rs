//! Memory that a caller gives to a run.

/// An element of a tensor in the caller's memory. Truth values are bytes, 0 or 1.
///
/// # Safety
/// The type has no padding, and every pattern of bits is a value of it.
pub unsafe trait Element: Copy {}

// SAFETY: it is a number.
unsafe impl Element for u8 {}
// SAFETY: it is a number.
unsafe impl Element for i32 {}
// SAFETY: it is a number.
unsafe impl Element for i64 {}
// SAFETY: it is a number, of the bits of a `u16`.
unsafe impl Element for half::f16 {}
// SAFETY: it is a number, of the bits of a `u16`.
unsafe impl Element for half::bf16 {}
// SAFETY: it is a number.
unsafe impl Element for f32 {}
// SAFETY: it is a number.
unsafe impl Element for f64 {}

/// The memory that is bound to a slot for one run.
#[derive(Debug)]
pub enum Binding<'a> {
    /// The program only reads it.
    Read(&'a [u8]),
    /// The program may write it.
    Write(&'a mut [u8]),
}

impl<'a> Binding<'a> {
    /// Elements that the program only reads.
    pub fn read<T: Element>(elements: &'a [T]) -> Binding<'a> {
        // SAFETY: the bytes of elements without padding, borrowed as the elements are.
        Binding::Read(unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) })
    }

    /// Elements that the program may write.
    pub fn write<T: Element>(elements: &'a mut [T]) -> Binding<'a> {
        // SAFETY: the bytes of elements without padding, borrowed as the elements are; whatever is written is a value.
        Binding::Write(unsafe { std::slice::from_raw_parts_mut(elements.as_mut_ptr().cast(), size_of_val(elements)) })
    }

    /// Size in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Binding::Read(bytes) => bytes.len(),
            Binding::Write(bytes) => bytes.len(),
        }
    }

    /// Whether it begins at a multiple of `alignment`.
    pub(crate) fn is_aligned_to(&self, alignment: usize) -> bool {
        let address = match self {
            Binding::Read(bytes) => bytes.as_ptr(),
            Binding::Write(bytes) => bytes.as_ptr(),
        };
        address.addr().is_multiple_of(alignment)
    }

    /// Where it is. What is read only is never written through this: see [`Program::run`](crate::Program::run).
    pub(crate) fn address(&mut self) -> *mut u8 {
        match self {
            Binding::Read(bytes) => bytes.as_ptr().cast_mut(),
            Binding::Write(bytes) => bytes.as_mut_ptr(),
        }
    }
}
