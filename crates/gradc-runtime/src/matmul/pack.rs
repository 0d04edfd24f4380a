//! Copies pieces of an operand into scratch memory, in the order in which kernels read them.

use super::kernels::Element;

/// A piece of an operand. Strides are in elements.
pub(super) struct Piece<T> {
    /// Its first element.
    pub(super) from: *const T,
    /// Elements at each depth.
    pub(super) across: usize,
    /// From one to the next of them.
    pub(super) stride_across: usize,
    /// Depths.
    pub(super) depth: usize,
    /// From depth to depth.
    pub(super) stride_depth: usize,
}

/// The side of the squares that are transposed at once.
pub(super) const SQUARE: usize = 4;

/// Copies a piece to scratch memory, depth by depth, a width apart; zeros follow what there is across.
///
/// # Safety
/// The machine has the instructions of the set. The piece is valid; the memory is valid for writing depth times width
/// elements, and apart from the piece. The width is no less than what there is across.
pub(super) type Function<T> = unsafe fn(&Piece<T>, *mut T, usize);

/// The function for an instruction set.
macro_rules! function {
    ($set:ident $(, $feature:literal)?) => {
        pub(super) const fn $set<T: Element>() -> Function<T> {
            $(#[target_feature(enable = $feature)])?
            unsafe fn pack<T: Element>(piece: &Piece<T>, to: *mut T, width: usize) {
                // SAFETY: as for this function.
                unsafe { piece.pack(to, width) };
            }
            pack::<T>
        }
    };
}

#[cfg(target_arch = "x86_64")]
function!(avx512f, "avx512f");
#[cfg(target_arch = "x86_64")]
function!(fma, "fma");
#[cfg(target_arch = "aarch64")]
function!(neon, "neon");
function!(scalar);

impl<T: Element> Piece<T> {
    /// # Safety
    /// As [`Function`].
    #[inline(always)]
    unsafe fn pack(&self, to: *mut T, width: usize) {
        let mut at = 0;
        // SAFETY: as for this function.
        unsafe {
            while at < self.across {
                let adjacent = self.stride_across == 1;
                at += match self.across - at {
                    16.. if adjacent => self.copy::<16>(at, to, width),
                    8.. if adjacent => self.copy::<8>(at, to, width),
                    6.. if adjacent => self.copy::<6>(at, to, width),
                    4.. if adjacent => self.copy::<4>(at, to, width),
                    SQUARE.. if self.stride_depth == 1 => self.transpose(at, to, width),
                    2.. => self.gather::<2>(0, at, to, width),
                    _ => self.gather::<1>(0, at, to, width),
                };
            }
            for depth in 0..if width > self.across { self.depth } else { 0 } {
                for at in self.across..width {
                    to.add(depth * width + at).write(T::ZERO);
                }
            }
        }
    }

    /// Copies `A` elements across from `at` on, which are adjacent. Returns `A`, as do the other two.
    ///
    /// # Safety
    /// As [`Function`]; there are so many elements across.
    #[inline(always)]
    unsafe fn copy<const A: usize>(&self, at: usize, to: *mut T, width: usize) -> usize {
        for depth in 0..self.depth {
            // SAFETY: elements of the piece, and of the memory that it is copied to.
            unsafe {
                let elements = self.from.add(at + depth * self.stride_depth).cast::<[T; A]>().read();
                to.add(at + depth * width).cast::<[T; A]>().write(elements);
            }
        }
        A
    }

    /// Copies a square's elements across from `at` on, of adjacent depths.
    ///
    /// # Safety
    /// As [`Function`]; there are so many elements across.
    #[inline(always)]
    unsafe fn transpose(&self, at: usize, to: *mut T, width: usize) -> usize {
        let whole = self.depth / SQUARE * SQUARE;
        for depth in (0..whole).step_by(SQUARE) {
            // SAFETY: a square of the piece, and its place.
            unsafe {
                let from = self.from.add(at * self.stride_across + depth);
                T::transpose(from, self.stride_across, to.add(depth * width + at), width);
            }
        }
        // SAFETY: as for this function.
        unsafe { self.gather::<SQUARE>(whole, at, to, width) }
    }

    /// Copies `A` elements across from `at` on, of the depths from `first` on, whatever the strides are.
    ///
    /// # Safety
    /// As [`Function`]; there are so many elements across.
    #[inline(always)]
    unsafe fn gather<const A: usize>(&self, first: usize, at: usize, to: *mut T, width: usize) -> usize {
        for depth in first..self.depth {
            // SAFETY: elements of the piece, and of the memory that they are copied to.
            unsafe {
                let from = self.from.add(at * self.stride_across + depth * self.stride_depth);
                let elements: [T; A] = std::array::from_fn(|at| *from.add(at * self.stride_across));
                to.add(depth * width + at).cast::<[T; A]>().write(elements);
            }
        }
        A
    }
}

/// Transposes a square of elements. Strides are from row to row; columns are adjacent.
///
/// # Safety
/// Both squares are valid, and apart.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) unsafe fn transpose<T: Copy>(from: *const T, from_stride: usize, to: *mut T, to_stride: usize) {
    // SAFETY: as for this function.
    unsafe {
        let rows: [[T; SQUARE]; SQUARE] =
            std::array::from_fn(|row| from.add(row * from_stride).cast::<[T; SQUARE]>().read());
        for column in 0..SQUARE {
            let elements: [T; SQUARE] = std::array::from_fn(|row| rows[row][column]);
            to.add(column * to_stride).cast::<[T; SQUARE]>().write(elements);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use {transpose as transpose_f32, transpose as transpose_f64};

/// Transposes a square of elements. Strides are from row to row; columns are adjacent.
///
/// # Safety
/// Both squares are valid, and apart.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn transpose_f32(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
    use std::arch::x86_64::{
        _mm_loadu_ps, _mm_movehl_ps, _mm_movelh_ps, _mm_storeu_ps, _mm_unpackhi_ps, _mm_unpacklo_ps,
    };
    // SAFETY: as for this function; every x86-64 has these instructions.
    unsafe {
        let [a, b, c, d]: [_; SQUARE] = std::array::from_fn(|row| _mm_loadu_ps(from.add(row * from_stride)));
        let (low_ab, low_cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
        let (high_ab, high_cd) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
        _mm_storeu_ps(to, _mm_movelh_ps(low_ab, low_cd));
        _mm_storeu_ps(to.add(to_stride), _mm_movehl_ps(low_cd, low_ab));
        _mm_storeu_ps(to.add(2 * to_stride), _mm_movelh_ps(high_ab, high_cd));
        _mm_storeu_ps(to.add(3 * to_stride), _mm_movehl_ps(high_cd, high_ab));
    }
}

/// Transposes a square of elements. Strides are from row to row; columns are adjacent.
///
/// # Safety
/// Both squares are valid, and apart.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) unsafe fn transpose_f64(from: *const f64, from_stride: usize, to: *mut f64, to_stride: usize) {
    use std::arch::x86_64::{_mm_loadu_pd, _mm_storeu_pd, _mm_unpackhi_pd, _mm_unpacklo_pd};
    for (row, column) in [(0, 0), (0, 2), (2, 0), (2, 2)] {
        // SAFETY: as for this function, for a quarter; every x86-64 has these instructions.
        unsafe {
            let from = from.add(row * from_stride + column);
            let (a, b) = (_mm_loadu_pd(from), _mm_loadu_pd(from.add(from_stride)));
            let to = to.add(column * to_stride + row);
            _mm_storeu_pd(to, _mm_unpacklo_pd(a, b));
            _mm_storeu_pd(to.add(to_stride), _mm_unpackhi_pd(a, b));
        }
    }
}
