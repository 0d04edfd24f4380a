//! The micro-kernels: one for each size of a tile of C, by instruction set. They are those of the `gemm` crates.

use super::{gathered, pack, row, scattered};

/// Multiplies a panel of lanes with a few rows and writes, or adds to, one tile of C.
///
/// In order: lanes and rows of the tile; depth; C, lanes, rows; C's stride from row to row and from lane to lane; the
/// lanes' stride from depth to depth; the rows' strides from depth to depth and from row to row; factors of what C holds
/// and of the product; 0 where C is not read, 1 where the first factor is one; three flags for complex numbers; an
/// address to prefetch, which no kernel uses.
///
/// Lanes are read in whole vectors, so up to a vector less one element beyond the tile's; adjacent ones are adjacent in
/// memory. Rows are read one element at a time, exactly. Nothing need be aligned beyond its element.
type MicroKernel<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    *const T,
    *const T,
    isize,
    isize,
    isize,
    isize,
    isize,
    T,
    T,
    u8,
    bool,
    bool,
    bool,
    *const T,
);

/// One tile of C, and what it is computed from. Strides are in elements.
pub(super) struct Tile<T> {
    /// Elements of the tile along the lanes.
    pub(super) lanes: usize,
    /// Elements of the tile along the rows.
    pub(super) rows: usize,
    /// Products that are summed for each element, at least one.
    pub(super) depth: usize,
    /// The lanes; those of one depth are adjacent.
    pub(super) l: *const T,
    /// From depth to depth.
    pub(super) l_depth: usize,
    /// The rows.
    pub(super) r: *const T,
    /// From row to row.
    pub(super) r_row: usize,
    /// From depth to depth.
    pub(super) r_depth: usize,
    /// The tile.
    pub(super) c: *mut T,
    /// From lane to lane.
    pub(super) c_lane: usize,
    /// From row to row.
    pub(super) c_row: usize,
    /// Whether the tile is added to.
    pub(super) accumulate: bool,
    /// What the sums are multiplied with.
    pub(super) scale: T,
}

/// What multiplies with one instruction set.
pub(super) struct Kernels<T: 'static> {
    /// The instruction set, for people.
    pub(super) name: &'static str,
    /// Whether this machine has the instructions.
    pub(super) available: fn() -> bool,
    /// Elements of a vector, a power of two.
    vector: usize,
    /// Lanes of the widest tile.
    pub(super) lanes: usize,
    /// Rows of the tallest tile.
    pub(super) rows: usize,
    /// By vectors of lanes less one, times [`Kernels::rows`], and by rows less one.
    tiles: &'static [MicroKernel<T>],
    /// Packs what tiles are computed from.
    pub(super) pack: pack::Function<T>,
    /// Products with one row.
    pub(super) row: row::Function<T>,
    /// Products of operands of several axes.
    pub(super) gathered: gathered::Kernel<T>,
    /// Adds elements of products to where they belong.
    pub(super) add: scattered::Function<T>,
}

impl<T: Element> Kernels<T> {
    /// The fastest that this machine can run.
    pub(super) fn select() -> &'static Kernels<T> {
        let all = T::kernels();
        // The last ones run everywhere.
        all.iter().find(|kernels| (kernels.available)()).unwrap_or(&all[all.len() - 1])
    }

    /// The lanes that are read where there are `lanes` in a tile.
    pub(super) fn padded(&self, lanes: usize) -> usize {
        (lanes + self.vector - 1) & !(self.vector - 1)
    }

    /// Computes one tile.
    ///
    /// # Safety
    /// The machine has the instructions. The tile is as large as the largest at most, and not empty; everything that it
    /// refers to is valid, the lanes as whole vectors; C overlaps neither lanes nor rows.
    #[inline]
    pub(super) unsafe fn tile(&self, tile: &Tile<T>) {
        let kernel = self.tiles[((tile.lanes - 1) >> self.vector.trailing_zeros()) * self.rows + tile.rows - 1];
        let (old, status) = if tile.accumulate { (T::ONE, 1) } else { (T::ZERO, 0) };
        // SAFETY: the caller promises what the kernel asks for; strides fit in `isize`, as what they span exists.
        unsafe {
            kernel(
                tile.lanes,
                tile.rows,
                tile.depth,
                tile.c,
                tile.l,
                tile.r,
                tile.c_row as isize,
                tile.c_lane as isize,
                tile.l_depth as isize,
                tile.r_depth as isize,
                tile.r_row as isize,
                old,
                tile.scale,
                status,
                false,
                false,
                false,
                std::ptr::null(),
            );
        }
    }
}

/// The element types that there are kernels for.
pub(super) trait Element: Copy + 'static {
    /// 0
    const ZERO: Self;
    /// 1
    const ONE: Self;

    /// The kernels of every instruction set of this architecture, the fastest first; the last ones run everywhere.
    fn kernels() -> &'static [Kernels<Self>];

    /// `self · x + y`, rounded once if `FUSED`.
    fn multiply_add<const FUSED: bool>(self, x: Self, y: Self) -> Self;

    /// The sum.
    fn plus(self, other: Self) -> Self;

    /// The product.
    fn times(self, other: Self) -> Self;

    /// The number nearest to `value`.
    fn of(value: f64) -> Self;

    /// Transposes a square of [`pack::SQUARE`] elements. Strides are from row to row; columns are adjacent.
    ///
    /// # Safety
    /// Both squares are valid, and apart.
    unsafe fn transpose(from: *const Self, from_stride: usize, to: *mut Self, to_stride: usize);

    /// Packs a piece with vectors of AVX-512, and says whether it has.
    ///
    /// # Safety
    /// As [`pack::Function`].
    #[cfg(target_arch = "x86_64")]
    unsafe fn pack_vectors(piece: &pack::Piece<Self>, to: *mut Self, width: usize) -> bool;
}

/// The micro-kernels of one element type and instruction set.
macro_rules! kernels {
    ($element:ident, $gemm:ident::$set:ident, $gathered:ident, $available:expr, $vector:expr, $simd:expr) => {
        Kernels {
            name: stringify!($set),
            available: $available,
            vector: $vector,
            lanes: $vector * $gemm::microkernel::$set::$element::MR_DIV_N,
            rows: $gemm::microkernel::$set::$element::NR,
            tiles: $gemm::microkernel::$set::$element::UKR.as_flattened(),
            pack: pack::$set::<$element>(),
            row: row::$set::<$element, { $simd }>(),
            gathered: gathered::$gathered::$set(),
            add: scattered::$set::<$element>(),
        }
    };
}

/// Everything there is for one element type, of which a vector of 128 bits has `$lanes`.
macro_rules! element {
    ($element:ident, $gemm:ident, $gathered:ident, $lanes:literal, $transpose:path, $vectors:path) => {
        impl Element for $element {
            const ZERO: $element = 0.0;
            const ONE: $element = 1.0;

            fn kernels() -> &'static [Kernels<$element>] {
                static ALL: &[Kernels<$element>] = &[
                    #[cfg(target_arch = "x86_64")]
                    kernels!(
                        $element,
                        $gemm::avx512f,
                        $gathered,
                        || is_x86_feature_detected!("avx512f"),
                        4 * $lanes,
                        4 * $lanes
                    ),
                    #[cfg(target_arch = "x86_64")]
                    kernels!(
                        $element,
                        $gemm::fma,
                        $gathered,
                        || is_x86_feature_detected!("fma"),
                        2 * $lanes,
                        2 * $lanes
                    ),
                    #[cfg(target_arch = "aarch64")]
                    kernels!(
                        $element,
                        $gemm::neon,
                        $gathered,
                        || std::arch::is_aarch64_feature_detected!("neon"),
                        $lanes,
                        $lanes
                    ),
                    kernels!($element, $gemm::scalar, $gathered, || true, 1, $lanes),
                ];
                ALL
            }

            #[inline(always)]
            fn multiply_add<const FUSED: bool>(self, x: $element, y: $element) -> $element {
                if FUSED { self.mul_add(x, y) } else { self * x + y }
            }

            #[inline(always)]
            fn plus(self, other: $element) -> $element {
                self + other
            }

            #[inline(always)]
            fn times(self, other: $element) -> $element {
                self * other
            }

            #[inline(always)]
            fn of(value: f64) -> $element {
                value as $element
            }

            #[inline(always)]
            unsafe fn transpose(from: *const $element, from_stride: usize, to: *mut $element, to_stride: usize) {
                // SAFETY: as for this function.
                unsafe { $transpose(from, from_stride, to, to_stride) };
            }

            #[cfg(target_arch = "x86_64")]
            #[inline(always)]
            unsafe fn pack_vectors(piece: &pack::Piece<$element>, to: *mut $element, width: usize) -> bool {
                // SAFETY: as for this function.
                unsafe { $vectors(piece, to, width) }
            }
        }
    };
}

element!(f32, gemm_f32, single, 4, pack::transpose_f32, pack::vectors::pack);
element!(f64, gemm_f64, double, 2, pack::transpose_f64, pack::no_vectors);
