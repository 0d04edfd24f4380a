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
pub(super) const fn avx512f<T: Element>() -> Function<T> {
    #[target_feature(enable = "avx512f")]
    unsafe fn pack<T: Element>(piece: &Piece<T>, to: *mut T, width: usize) {
        // SAFETY: as for this function.
        unsafe {
            if !T::pack_vectors(piece, to, width) {
                piece.pack(to, width);
            }
        }
    }
    pack::<T>
}
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

/// There is no such way for `f64`.
///
/// # Safety
/// As [`Function`].
#[cfg(target_arch = "x86_64")]
pub(super) unsafe fn no_vectors(_: &Piece<f64>, _: *mut f64, _: usize) -> bool {
    false
}

/// Packing `f32` with vectors of AVX-512.
#[cfg(target_arch = "x86_64")]
pub(super) mod vectors {
    use std::arch::x86_64::{
        __m512, __mmask16, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_mask_storeu_ps,
        _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_unpackhi_pd,
        _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };

    use super::Piece;

    /// The elements of a vector, and the side of a square.
    const SIDE: usize = 16;

    /// Packs a piece, and says whether it has.
    ///
    /// # Safety
    /// As [`Function`](super::Function).
    #[target_feature(enable = "avx512f")]
    pub(in super::super) unsafe fn pack(piece: &Piece<f32>, to: *mut f32, width: usize) -> bool {
        // SAFETY: as for this function.
        unsafe {
            if piece.stride_across == 1 {
                copy(piece, to, width);
            } else if piece.stride_depth == 1 && width.is_multiple_of(SIDE) && piece.depth >= SIDE {
                transpose(piece, to, width);
            } else {
                return false;
            }
        }
        true
    }

    /// The first so many elements of a vector.
    fn first(elements: usize) -> __mmask16 {
        (1u32 << elements.min(SIDE)).wrapping_sub(1) as __mmask16
    }

    /// Packs what is adjacent across.
    ///
    /// # Safety
    /// As [`Function`](super::Function).
    #[target_feature(enable = "avx512f")]
    unsafe fn copy(piece: &Piece<f32>, to: *mut f32, width: usize) {
        for depth in 0..piece.depth {
            for at in (0..width).step_by(SIDE) {
                // SAFETY: elements of the piece, and of the memory that it is copied to.
                unsafe {
                    let from = piece.from.wrapping_add(depth * piece.stride_depth + at);
                    let to = to.add(depth * width + at);
                    if at + SIDE <= piece.across {
                        _mm512_storeu_ps(to, _mm512_loadu_ps(from));
                    } else {
                        let vector = _mm512_maskz_loadu_ps(first(piece.across.saturating_sub(at)), from);
                        _mm512_mask_storeu_ps(to, first(width - at), vector);
                    }
                }
            }
        }
    }

    /// Packs what is adjacent from depth to depth, in squares. A row of a square is a line of memory, which is read once, even
    /// where the cache holds few lines of such a stride.
    ///
    /// # Safety
    /// As [`Function`](super::Function).
    #[target_feature(enable = "avx512f")]
    unsafe fn transpose(piece: &Piece<f32>, to: *mut f32, width: usize) {
        for at in (0..width).step_by(SIDE) {
            let rows = piece.across.saturating_sub(at).min(SIDE);
            for depth in (0..piece.depth).step_by(SIDE) {
                let columns = (piece.depth - depth).min(SIDE);
                let mask = first(columns);
                let from = piece.from.wrapping_add(at * piece.stride_across + depth);
                let mut square = [_mm512_setzero_ps(); SIDE];
                // SAFETY: elements of the piece, of the others none is read; and as many of the memory that it is copied to.
                unsafe {
                    for (row, vector) in square.iter_mut().enumerate() {
                        if row < rows {
                            *vector = _mm512_maskz_loadu_ps(mask, from.wrapping_add(row * piece.stride_across));
                        }
                    }
                    for (column, vector) in transposed(square).into_iter().enumerate().take(columns) {
                        _mm512_storeu_ps(to.add((depth + column) * width + at), vector);
                    }
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    #[inline]
    fn transposed(rows: [__m512; SIDE]) -> [__m512; SIDE] {
        const EVEN: i32 = 0x88;
        const ODD: i32 = 0xdd;
        // Pairs of rows, then fours of rows, are transposed within each quarter of a vector.
        let mut pairs = rows;
        for i in 0..8 {
            pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        let mut fours = rows;
        for i in 0..4 {
            for j in 0..2 {
                let (a, b) = (_mm512_castps_pd(pairs[4 * i + j]), _mm512_castps_pd(pairs[4 * i + 2 + j]));
                fours[4 * i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                fours[4 * i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        // Then the quarters.
        let mut columns = rows;
        for j in 0..4 {
            let (a, b, c, d) = (fours[j], fours[4 + j], fours[8 + j], fours[12 + j]);
            let (even_ab, odd_ab) = (_mm512_shuffle_f32x4::<EVEN>(a, b), _mm512_shuffle_f32x4::<ODD>(a, b));
            let (even_cd, odd_cd) = (_mm512_shuffle_f32x4::<EVEN>(c, d), _mm512_shuffle_f32x4::<ODD>(c, d));
            columns[j] = _mm512_shuffle_f32x4::<EVEN>(even_ab, even_cd);
            columns[8 + j] = _mm512_shuffle_f32x4::<ODD>(even_ab, even_cd);
            columns[4 + j] = _mm512_shuffle_f32x4::<EVEN>(odd_ab, odd_cd);
            columns[12 + j] = _mm512_shuffle_f32x4::<ODD>(odd_ab, odd_cd);
        }
        columns
    }
}
