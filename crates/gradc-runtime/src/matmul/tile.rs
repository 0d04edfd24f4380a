//! Tiles: what a micro-kernel computes, and the micro-kernels of x86.
//!
//! A tile of C stays in registers while its products are summed over all depths of a block. At each depth a kernel loads the
//! lanes once, in one or two vectors, and multiplies them with one element of each row; with fourteen rows of two vectors,
//! the sums of AVX-512 take 28 of 32 registers, and the multiplications never wait for each other. Lanes that fill no vector
//! are loaded and stored under a mask, so that nothing beyond them is read.

/// One tile of C, and what it is computed from. Strides are in elements.
pub(super) struct Tile<T> {
    /// Elements of the tile along the lanes, which are adjacent in C.
    pub(super) lanes: usize,
    /// Elements of the tile along the rows.
    pub(super) rows: usize,
    /// Products that are summed for each element, at least one.
    pub(super) depth: usize,
    /// The lanes; those of one depth are adjacent.
    pub(super) l: *const T,
    /// From depth to depth.
    pub(super) l_depth: usize,
    /// Whether there is something behind the lanes, which may be read, in what would be a whole number of vectors.
    pub(super) whole: bool,
    /// The rows.
    pub(super) r: *const T,
    /// From row to row.
    pub(super) r_row: usize,
    /// From depth to depth.
    pub(super) r_depth: usize,
    /// The tile.
    pub(super) c: *mut T,
    /// From row to row.
    pub(super) c_row: usize,
    /// Whether the tile is added to.
    pub(super) accumulate: bool,
}

/// A micro-kernel, for so many vectors of lanes and so many rows.
///
/// # Safety
/// The machine has the instructions. The tile has as many vectors and rows, and at least one depth; everything that it
/// refers to is valid, and C apart from the others.
pub(super) type MicroKernel<T> = unsafe fn(&Tile<T>);

/// The most rows of a tile, for any instruction set.
pub(super) const MOST_ROWS: usize = 14;

/// The bytes of the lanes of the widest tile of any instruction set.
pub(super) const MOST_LANES_BYTES: usize = 128;

/// Rows are addressed in groups of so many: a register points to the first one, and the distances of the others are what the
/// addressing modes of x86 can multiply by. With one pointer that goes from row to row, the kernels wait for its additions.
#[cfg(target_arch = "x86_64")]
const GROUP: usize = 3;
#[cfg(target_arch = "x86_64")]
const GROUPS: usize = MOST_ROWS.div_ceil(GROUP);

/// The same pointer, of which the compiler does not know how it was made.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn opaque<T>(mut pointer: *const T) -> *const T {
    // SAFETY: there are no instructions.
    unsafe { std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags)) };
    pointer
}

/// The micro-kernels of a set of instructions, as a table: by vectors of lanes less one, and by rows less one. What is given
/// is what the loops are made of.
#[cfg(target_arch = "x86_64")]
macro_rules! micro_kernels {
    (
        $set:ident, $element:ident, $feature:literal, rows: $($row:literal)*,
        $Vector:ident of $lanes:literal, $Mask:ident, $mask:expr,
        $zero:ident, $splat:ident, $fma:ident, $add:ident, $whole:ident, $load:expr, $store:expr
    ) => {
        pub(super) mod $set {
            use std::arch::x86_64::*;

            use super::{GROUP, GROUPS, MicroKernel, Tile, opaque};

            /// Elements of a vector.
            pub(in super::super) const LANES: usize = $lanes;
            /// The most rows of a tile.
            pub(in super::super) const ROWS: usize = [$($row),*].len();

            /// # Safety
            /// As [`MicroKernel`].
            #[target_feature(enable = $feature)]
            unsafe fn tile<const V: usize, const R: usize, const WHOLE: bool>(tile: &Tile<$element>) {
                let Tile { l_depth, r_row, r_depth, c_row, .. } = *tile;
                let mask: [$Mask; V] = std::array::from_fn(|v| $mask(tile.lanes - v * LANES));
                let mut sums: [[$Vector; V]; R] = [[$zero(); V]; R];
                let mut l = tile.l;
                let mut groups: [*const $element; GROUPS] = std::array::from_fn(|group| {
                    if group * GROUP < R { opaque(tile.r.wrapping_add(group * GROUP * r_row)) } else { tile.r }
                });
                // SAFETY: elements of the tile, of the lanes where the mask allows it, and of the rows.
                unsafe {
                    for row in 0..R {
                        _mm_prefetch::<_MM_HINT_T0>(tile.c.add(row * c_row).cast());
                    }
                    for _ in 0..tile.depth {
                        let lanes: [$Vector; V] = std::array::from_fn(|v| {
                            let from = l.wrapping_add(v * LANES);
                            if WHOLE { $whole(from) } else { $load(from, mask[v]) }
                        });
                        // Written out, as loops might not be unrolled, and sums be in memory.
                        $(if $row <= R {
                            let row = $row - 1;
                            let factor = $splat(*groups[row / GROUP].add(row % GROUP * r_row));
                            for v in 0..V {
                                sums[row][v] = $fma(factor, lanes[v], sums[row][v]);
                            }
                        })*
                        l = l.wrapping_add(l_depth);
                        groups = groups.map(|group| group.wrapping_add(r_depth));
                    }
                    $(if $row <= R {
                        let row = $row - 1;
                        for v in 0..V {
                            let c = tile.c.add(row * c_row).wrapping_add(v * LANES);
                            let sum = sums[row][v];
                            let value = if tile.accumulate { $add($load(c, mask[v]), sum) } else { sum };
                            $store(c, mask[v], value);
                        }
                    })*
                }
            }

            /// # Safety
            /// As [`MicroKernel`].
            unsafe fn either<const V: usize, const R: usize>(tile: &Tile<$element>) {
                // SAFETY: as for this function.
                unsafe {
                    match tile.whole || tile.lanes == V * LANES {
                        true => self::tile::<V, R, true>(tile),
                        false => self::tile::<V, R, false>(tile),
                    }
                }
            }

            /// All of them.
            pub(in super::super) const TILES: &[[MicroKernel<$element>; ROWS]] = &[
                [$(either::<1, $row>),*],
                [$(either::<2, $row>),*],
            ];
        }
    };
}

#[cfg(target_arch = "x86_64")]
micro_kernels!(
    avx512_f32, f32, "avx512f", rows: 1 2 3 4 5 6 7 8 9 10 11 12 13 14,
    __m512 of 16, __mmask16, |lanes: usize| if lanes < LANES { (1 << lanes) - 1 } else { !0 },
    _mm512_setzero_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_add_ps, _mm512_loadu_ps,
    |from: *const f32, mask| _mm512_maskz_loadu_ps(mask, from),
    |to: *mut f32, mask, value| _mm512_mask_storeu_ps(to, mask, value)
);

#[cfg(target_arch = "x86_64")]
micro_kernels!(
    avx512_f64, f64, "avx512f", rows: 1 2 3 4 5 6 7 8 9 10 11 12 13 14,
    __m512d of 8, __mmask8, |lanes: usize| if lanes < LANES { (1 << lanes) - 1 } else { !0 },
    _mm512_setzero_pd, _mm512_set1_pd, _mm512_fmadd_pd, _mm512_add_pd, _mm512_loadu_pd,
    |from: *const f64, mask| _mm512_maskz_loadu_pd(mask, from),
    |to: *mut f64, mask, value| _mm512_mask_storeu_pd(to, mask, value)
);

#[cfg(target_arch = "x86_64")]
micro_kernels!(
    fma_f32, f32, "avx2,fma", rows: 1 2 3 4 5 6,
    __m256 of 8, __m256i,
    |lanes: usize| _mm256_cmpgt_epi32(
        _mm256_set1_epi32(lanes.min(LANES) as i32),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
    ),
    _mm256_setzero_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_add_ps, _mm256_loadu_ps,
    |from: *const f32, mask| _mm256_maskload_ps(from, mask),
    |to: *mut f32, mask, value| _mm256_maskstore_ps(to, mask, value)
);

#[cfg(target_arch = "x86_64")]
micro_kernels!(
    fma_f64, f64, "avx2,fma", rows: 1 2 3 4 5 6,
    __m256d of 4, __m256i,
    |lanes: usize| _mm256_cmpgt_epi64(
        _mm256_set1_epi64x(lanes.min(LANES) as i64),
        _mm256_setr_epi64x(0, 1, 2, 3),
    ),
    _mm256_setzero_pd, _mm256_set1_pd, _mm256_fmadd_pd, _mm256_add_pd, _mm256_loadu_pd,
    |from: *const f64, mask| _mm256_maskload_pd(from, mask),
    |to: *mut f64, mask, value| _mm256_maskstore_pd(to, mask, value)
);
