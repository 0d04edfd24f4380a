//! Products one of whose operands lies along nested axes, as the windows of an image do, or transposed heads.
//!
//! The kernels of `blocked.rs` read rows that are equally far apart, at equally distant depths. Here a row is an address, and a
//! table says how far from it the element of each depth is: so they are read where they are, however many axes they lie along, and
//! only the table of a block of depths is in memory beside them (Dukhan, "The indirect convolution algorithm", 2019, has such a
//! table of rows). Lanes are packed. They are those of the other operand: it is packed once for all rows. Only where both
//! operands are of nested axes are lanes gathered one by one.
//!
//! An element of C is summed depth by depth, whatever part of the product it is in.

use std::ops::Range;

use super::axes::Axes;
use super::blocked::{DEPTHS, LANES_BYTES, VECTOR_BYTES, blocks, even};
use super::kernels::{Element, Kernels};
use super::pack::Piece;
use super::product::{Form, Product};

/// The most rows of a tile, for any instruction set.
const MOST_ROWS: usize = 8;

/// A few rows, the lanes of a panel, and the tile of C that they make.
pub(super) struct Tile<T> {
    /// Elements of the tile along the lanes.
    lanes: usize,
    /// And along the rows.
    rows: usize,
    /// Products that are summed for each element.
    depth: usize,
    /// The lanes: whole vectors, depth by depth.
    l: *const T,
    /// The rows. There are as many as the kernel has; the last ones may be the same.
    r: [*const T; MOST_ROWS],
    /// For each depth, how far its element is from the row's address. It need not be aligned.
    offsets: *const usize,
    /// The tile.
    c: *mut T,
    /// From lane to lane.
    c_lane: usize,
    /// From row to row.
    c_row: usize,
    /// Whether the tile is added to.
    accumulate: bool,
    /// What the sums are multiplied with.
    scale: T,
}

impl<T: Element> Tile<T> {
    /// Writes the first so many sums of a row to C, or adds them there.
    ///
    /// # Safety
    /// The tile is valid, and has these elements.
    #[inline(always)]
    unsafe fn store<const FUSED: bool>(&self, row: usize, first: usize, sums: &[T]) {
        for (lane, &sum) in (first..self.lanes).zip(sums) {
            // SAFETY: an element of the tile; what is not added to is not read.
            unsafe {
                let element = self.c.add(row * self.c_row + lane * self.c_lane);
                element.write(match self.accumulate {
                    true => sum.multiply_add::<FUSED>(self.scale, *element),
                    false => sum.times(self.scale),
                });
            }
        }
    }
}

/// Computes a tile.
///
/// # Safety
/// The machine has the instructions of the set; everything that the tile refers to is valid, C apart from the rest.
type Function<T> = unsafe fn(&Tile<T>);

/// What multiplies with one instruction set.
pub(super) struct Kernel<T> {
    /// Elements of a vector.
    width: usize,
    /// Rows of a tile, no more than [`MOST_ROWS`].
    rows: usize,
    /// By vectors of lanes less one.
    tiles: [Function<T>; 2],
}

/// The product of some lanes and rows, whose operands lie along these axes.
pub(super) struct Gathered<'a, T> {
    /// The extents and strides of C, from the first of these lanes and rows; `l` and `r` are the whole operands.
    pub(super) product: Product<T>,
    /// The axes of the operands.
    pub(super) axes: OperandAxes<'a>,
    /// The first of these lanes.
    pub(super) first_lane: usize,
    /// The first of these rows.
    pub(super) first_row: usize,
}

/// The axes that operands lie along.
#[derive(Clone, Copy)]
pub(super) struct OperandAxes<'a> {
    /// Lanes, and their depths.
    pub(super) lanes: &'a Axes,
    /// See `lanes`.
    pub(super) lanes_depth: &'a Axes,
    /// Rows, and their depths.
    pub(super) rows: &'a Axes,
    /// See `rows`.
    pub(super) rows_depth: &'a Axes,
}

/// Elements of scratch memory that the table of so many depths takes.
fn table(depths: usize, size: usize) -> usize {
    depths * size_of::<usize>() / size
}

/// The elements of scratch memory that are needed, for any instruction set: for the table, then for panels.
pub(super) fn scratch(form: &Form, size: usize) -> usize {
    let depths = even(form.depth, DEPTHS, 1);
    table(depths, size) + depths * (LANES_BYTES / size).min(form.lanes.next_multiple_of(VECTOR_BYTES / size))
}

/// Multiplies.
///
/// # Safety
/// The machine has the kernels' instructions. Everything that the product refers to is valid, and C apart from the others; no
/// extent is 0. `scratch` memory is valid for writing as many elements as [`scratch`] says, and apart from all of them.
pub(super) unsafe fn multiply<T: Element>(kernels: &Kernels<T>, gathered: &Gathered<'_, T>, scratch: *mut T) {
    let (form, most) = (gathered.product.form, even(gathered.product.depth, DEPTHS, 1));
    // SAFETY: the panels follow the table.
    let (offsets, panels) = unsafe { (scratch.cast::<usize>(), scratch.add(table(most, size_of::<T>()))) };
    for depths in blocks(form.depth, most) {
        // SAFETY: as for this function; the table and the panels have room for the block.
        unsafe {
            fill(gathered.axes.rows_depth, depths.clone(), offsets);
            for lanes in blocks(form.lanes, LANES_BYTES / size_of::<T>()) {
                gathered.pack(kernels, lanes.clone(), depths.clone(), panels);
                gathered.block(kernels, lanes, depths.clone(), offsets, panels);
            }
        }
    }
}

/// Writes where each of these positions is.
///
/// # Safety
/// There is room for them.
unsafe fn fill(axes: &Axes, positions: Range<usize>, to: *mut usize) {
    let (mut walk, stride) = (axes.walk(positions.start), axes.inner.stride);
    let mut done = 0;
    while done < positions.len() {
        let count = walk.rest().min(positions.len() - done);
        for at in 0..count {
            // SAFETY: there is room.
            unsafe { to.add(done + at).write_unaligned(walk.at + at * stride) };
        }
        done += count;
        walk.skip(count);
    }
}

impl<T: Element> Gathered<'_, T> {
    /// The lanes of each panel of a block, one panel after the other.
    fn panels(&self, kernel: &Kernel<T>, lanes: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> + use<T> {
        let width = kernel.width;
        blocks(lanes.len(), 2 * width).map(move |panel| {
            let vectors = if panel.len() > width { 2 } else { 1 };
            (lanes.start + panel.start..lanes.start + panel.end, vectors)
        })
    }

    /// Packs the lanes of a block.
    ///
    /// # Safety
    /// As [`multiply`].
    unsafe fn pack(&self, kernels: &Kernels<T>, lanes: Range<usize>, depths: Range<usize>, panels: *mut T) {
        let OperandAxes { lanes: across, lanes_depth, .. } = self.axes;
        let mut to = panels;
        for (panel, vectors) in self.panels(&kernels.gathered, lanes) {
            let (first, width) = (self.first_lane + panel.start, vectors * kernels.gathered.width);
            // SAFETY: lanes and depths of the product; a panel has room for them.
            unsafe {
                if across.is_plain() && lanes_depth.is_plain() {
                    let (stride_across, stride_depth) = (across.inner.stride, lanes_depth.inner.stride);
                    let piece = Piece {
                        from: self.product.l.add(first * stride_across + depths.start * stride_depth),
                        across: panel.len(),
                        stride_across,
                        depth: depths.len(),
                        stride_depth,
                    };
                    (kernels.pack)(&piece, to, width);
                } else {
                    let mut lane = across.walk(first);
                    for at in 0..width {
                        let mut depth = lanes_depth.walk(depths.start);
                        for row in 0..depths.len() {
                            let element =
                                if at < panel.len() { *self.product.l.add(lane.at + depth.at) } else { T::ZERO };
                            to.add(row * width + at).write(element);
                            depth.step();
                        }
                        lane.step();
                    }
                }
                to = to.add(width * depths.len());
            }
        }
    }

    /// Multiplies all rows with the packed lanes of a block.
    ///
    /// # Safety
    /// As [`multiply`]; the table and the panels are those of the block.
    unsafe fn block(
        &self,
        kernels: &Kernels<T>,
        lanes: Range<usize>,
        depths: Range<usize>,
        offsets: *const usize,
        panels: *const T,
    ) {
        let (product, kernel) = (&self.product, &kernels.gathered);
        let mut walk = self.axes.rows.walk(self.first_row);
        for tile in blocks(product.rows, kernel.rows) {
            let mut r = [product.r; MOST_ROWS];
            let mut row = product.r;
            for (at, address) in r[..kernel.rows].iter_mut().enumerate() {
                if at < tile.len() {
                    // SAFETY: one of the product's rows.
                    row = unsafe { product.r.add(walk.at) };
                    walk.step();
                }
                *address = row;
            }
            let mut l = panels;
            for (panel, vectors) in self.panels(kernel, lanes.clone()) {
                // SAFETY: lanes and rows of the product.
                unsafe {
                    kernel.tiles[vectors - 1](&Tile {
                        lanes: panel.len(),
                        rows: tile.len(),
                        depth: depths.len(),
                        l,
                        r,
                        offsets,
                        c: product.c.add(panel.start * product.c_lane + tile.start * product.c_row),
                        c_lane: product.c_lane,
                        c_row: product.c_row,
                        accumulate: product.accumulate || depths.start > 0,
                        scale: product.scale,
                    });
                    l = l.add(vectors * kernel.width * depths.len());
                }
            }
        }
    }
}

/// Sums in arrays, which the compiler makes vectors of.
///
/// # Safety
/// As [`Function`].
#[inline(always)]
unsafe fn arrays<T: Element, const W: usize, const V: usize, const R: usize, const FUSED: bool>(tile: &Tile<T>) {
    let mut sums = [[[T::ZERO; W]; V]; R];
    for depth in 0..tile.depth {
        // SAFETY: as for this function.
        unsafe {
            let offset = tile.offsets.add(depth).read_unaligned();
            let l = tile.l.add(depth * V * W).cast::<[[T; W]; V]>().read();
            for (sums, r) in sums.iter_mut().zip(&tile.r) {
                let r = *r.add(offset);
                for (sum, &l) in sums.as_flattened_mut().iter_mut().zip(l.as_flattened()) {
                    *sum = l.multiply_add::<FUSED>(r, *sum);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate().take(tile.rows) {
        // SAFETY: as for this function.
        unsafe { tile.store::<FUSED>(row, 0, sums.as_flattened()) };
    }
}

/// The kernel of arrays for an instruction set.
macro_rules! arrays {
    ($set:ident, $fused:literal $(, $feature:literal)?) => {
        pub(super) const fn $set<T: Element, const W: usize>() -> Kernel<T> {
            $(#[target_feature(enable = $feature)])?
            unsafe fn tile<T: Element, const W: usize, const V: usize>(tile: &Tile<T>) {
                // SAFETY: as for this function.
                unsafe { arrays::<T, W, V, 4, $fused>(tile) };
            }
            Kernel { width: W, rows: 4, tiles: [tile::<T, W, 1>, tile::<T, W, 2>] }
        }
    };
}

#[cfg(target_arch = "x86_64")]
arrays!(avx512f, true, "avx512f");
#[cfg(target_arch = "x86_64")]
arrays!(fma, true, "fma");
#[cfg(target_arch = "aarch64")]
arrays!(neon, true, "neon");
arrays!(scalar, false);

/// Kernels of `f32`, with vectors where the machine is x86-64.
pub(super) mod single {
    use super::Kernel;
    #[cfg(target_arch = "x86_64")]
    use super::Tile;

    #[cfg(target_arch = "x86_64")]
    pub(in super::super) const fn avx512f() -> Kernel<f32> {
        use std::arch::x86_64::{
            __mmask16, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps,
            _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
        };
        const WIDTH: usize = 16;
        const ROWS: usize = 8;

        /// # Safety
        /// As [`Function`](super::Function).
        #[target_feature(enable = "avx512f")]
        unsafe fn tile<const V: usize>(tile: &Tile<f32>) {
            let mut sums = [[_mm512_setzero_ps(); V]; ROWS];
            let r = tile.r;
            for depth in 0..tile.depth {
                // SAFETY: as for this function.
                unsafe {
                    let offset = tile.offsets.add(depth).read_unaligned();
                    let mut l = [_mm512_setzero_ps(); V];
                    for (vector, l) in l.iter_mut().enumerate() {
                        *l = _mm512_loadu_ps(tile.l.add((depth * V + vector) * WIDTH));
                    }
                    for (sums, r) in sums.iter_mut().zip(&r) {
                        let element = _mm512_set1_ps(*r.add(offset));
                        for (sum, &l) in sums.iter_mut().zip(&l) {
                            *sum = _mm512_fmadd_ps(l, element, *sum);
                        }
                    }
                }
            }
            let scale = _mm512_set1_ps(tile.scale);
            for (row, sums) in sums.iter().enumerate() {
                for (vector, &sum) in sums.iter().enumerate() {
                    // Not in the head of the loop: so positions in the arrays are constants, and these are registers.
                    if row >= tile.rows {
                        continue;
                    }
                    // SAFETY: as for this function; what is beyond the lanes is neither read nor written.
                    unsafe {
                        if tile.c_lane != 1 {
                            let mut elements = [0.0; WIDTH];
                            _mm512_storeu_ps(elements.as_mut_ptr(), sum);
                            tile.store::<true>(row, vector * WIDTH, &elements);
                            continue;
                        }
                        let lanes = tile.lanes - vector * WIDTH;
                        let mask = (1u32 << lanes.min(WIDTH)).wrapping_sub(1) as __mmask16;
                        let c = tile.c.wrapping_add(row * tile.c_row + vector * WIDTH);
                        let element = match tile.accumulate {
                            true => _mm512_fmadd_ps(sum, scale, _mm512_maskz_loadu_ps(mask, c)),
                            false => _mm512_mul_ps(sum, scale),
                        };
                        _mm512_mask_storeu_ps(c, mask, element);
                    }
                }
            }
        }
        Kernel { width: WIDTH, rows: ROWS, tiles: [tile::<1>, tile::<2>] }
    }

    #[cfg(target_arch = "x86_64")]
    pub(in super::super) const fn fma() -> Kernel<f32> {
        use std::arch::x86_64::{
            _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
        };
        const WIDTH: usize = 8;
        const ROWS: usize = 6;

        /// # Safety
        /// As [`Function`](super::Function).
        #[target_feature(enable = "avx,fma")]
        unsafe fn tile<const V: usize>(tile: &Tile<f32>) {
            let mut sums = [[_mm256_setzero_ps(); V]; ROWS];
            let r = tile.r;
            for depth in 0..tile.depth {
                // SAFETY: as for this function.
                unsafe {
                    let offset = tile.offsets.add(depth).read_unaligned();
                    let mut l = [_mm256_setzero_ps(); V];
                    for (vector, l) in l.iter_mut().enumerate() {
                        *l = _mm256_loadu_ps(tile.l.add((depth * V + vector) * WIDTH));
                    }
                    for (sums, r) in sums.iter_mut().zip(&r) {
                        let element = _mm256_set1_ps(*r.add(offset));
                        for (sum, &l) in sums.iter_mut().zip(&l) {
                            *sum = _mm256_fmadd_ps(l, element, *sum);
                        }
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (vector, &sum) in sums.iter().enumerate() {
                    let mut elements = [0.0; WIDTH];
                    // SAFETY: as for this function.
                    unsafe {
                        _mm256_storeu_ps(elements.as_mut_ptr(), sum);
                        if row < tile.rows {
                            tile.store::<true>(row, vector * WIDTH, &elements);
                        }
                    }
                }
            }
        }
        Kernel { width: WIDTH, rows: ROWS, tiles: [tile::<1>, tile::<2>] }
    }

    #[cfg(target_arch = "aarch64")]
    pub(in super::super) const fn neon() -> Kernel<f32> {
        super::neon::<f32, 4>()
    }

    pub(in super::super) const fn scalar() -> Kernel<f32> {
        super::scalar::<f32, 4>()
    }
}

/// Kernels of `f64`.
pub(super) mod double {
    use super::Kernel;

    #[cfg(target_arch = "x86_64")]
    pub(in super::super) const fn avx512f() -> Kernel<f64> {
        super::avx512f::<f64, 8>()
    }

    #[cfg(target_arch = "x86_64")]
    pub(in super::super) const fn fma() -> Kernel<f64> {
        super::fma::<f64, 4>()
    }

    #[cfg(target_arch = "aarch64")]
    pub(in super::super) const fn neon() -> Kernel<f64> {
        super::neon::<f64, 2>()
    }

    pub(in super::super) const fn scalar() -> Kernel<f64> {
        super::scalar::<f64, 2>()
    }
}
