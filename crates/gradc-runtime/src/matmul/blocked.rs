//! The blocked product: a loop nest around the kernels.
//!
//! ```text
//! for each block of depths
//!     for each block of rows
//!         (pack its rows)
//!         for each block of lanes       at these depths it fits the second-level cache
//!             (pack its panels)         a panel is as wide as a tile
//!             for each few rows         they stay in the first-level cache, while the panels stream through it
//!                 for each panel
//!                     one tile of C
//! ```
//!
//! The blocks depend on the shape alone, so that sums have the same order in every run, and so does the scratch memory:
//! it is planned before it is known which machine will run.

use std::ops::Range;

use super::Path;
use super::kernels::{Element, Kernels, Tile};
use super::pack::Piece;
use super::prefetch::{self, Ahead};
use super::product::{Form, Product};

/// The most depths of a block.
pub(super) const DEPTHS: usize = 512;
/// The depths of a block of [`Path::WideRow`]: so few that all lanes of each are read along memory at the same time.
const DEPTHS_OF_WIDE_ROW: usize = 8;
/// The bytes of lanes of a block: a multiple of what the widest tile of any instruction set has.
pub(super) const LANES_BYTES: usize = 512;
/// The most bytes of a block of rows that are packed.
const ROWS_BYTES: usize = 512 << 10;
/// Lanes are packed to a multiple of this: the bytes of the widest vector of any instruction set.
pub(super) const VECTOR_BYTES: usize = 64;
/// The most bytes of lanes of a tile, for any instruction set.
pub(super) const TILE_BYTES: usize = 256;
/// The rows of a block are a multiple of this, which is one of every kernel's.
pub(super) const ROWS_STEP: usize = 12;
/// With more lanes than these it is worth while to pack rows whose depths are apart. Where they are adjacent, it never is.
const LANES_TO_PACK_ROWS: usize = 32;
/// And with more than these where the rows are adjacent at each depth, so that those of a tile are in one line of memory.
const LANES_TO_PACK_ADJACENT_ROWS: usize = 768;
/// With more rows than these it is worth while to pack lanes that are adjacent already.
const ROWS_TO_PACK_LANES: usize = 48;

/// How a product is divided, and what is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocking {
    /// Depths of a block.
    pub(super) depths: usize,
    /// Rows of a block: all, unless they are packed.
    rows: usize,
    /// Lanes of a block.
    lanes: usize,
    /// Whether rows are packed.
    pub(super) pack_rows: bool,
    /// Whether all lanes are packed. A panel that is narrower than its vectors is in any case.
    pub(super) pack_lanes: bool,
    /// Whether all lanes have been packed before, so that none is now.
    pub(super) lanes_are_packed: bool,
}

impl Blocking {
    /// For products of a form, none of whose extents is 0, with elements of `size` bytes, whose lanes have been packed before or
    /// not; `None` for a path that has no blocks.
    pub(super) fn new(form: &Form, path: Path, size: usize, lanes_are_packed: bool) -> Option<Blocking> {
        let blocking = match path {
            Path::Nothing | Path::Zero | Path::AdjacentDepths | Path::Gathered | Path::Scattered => None,
            Path::WideRow => Some(Blocking {
                depths: form.depth.min(DEPTHS_OF_WIDE_ROW),
                rows: form.rows,
                lanes: form.lanes,
                pack_rows: false,
                pack_lanes: false,
                lanes_are_packed: false,
            }),
            Path::Blocked => Some(Blocking::of_tiles(form, size)),
        };
        let pack_lanes = |blocking: &Blocking| blocking.pack_lanes && !lanes_are_packed;
        blocking.map(|blocking| Blocking { pack_lanes: pack_lanes(&blocking), lanes_are_packed, ..blocking })
    }

    /// For products that are computed tile by tile.
    pub(super) fn of_tiles(form: &Form, size: usize) -> Blocking {
        let depths = even(form.depth, DEPTHS, 1);
        let lanes_to_pack_rows = if form.r_row == 1 { LANES_TO_PACK_ADJACENT_ROWS } else { LANES_TO_PACK_ROWS };
        let pack_rows = form.r_depth != 1 && form.lanes > lanes_to_pack_rows;
        let most_rows = (ROWS_BYTES / (depths * size) / ROWS_STEP * ROWS_STEP).max(ROWS_STEP);
        Blocking {
            depths,
            rows: if pack_rows { even(form.rows, most_rows, ROWS_STEP) } else { form.rows },
            lanes: LANES_BYTES / size,
            pack_rows,
            pack_lanes: form.l_lane != 1 || form.rows > ROWS_TO_PACK_LANES,
            lanes_are_packed: false,
        }
    }

    /// The elements of scratch memory that the panels of a block take, for any instruction set.
    fn panels(&self, form: &Form, size: usize) -> usize {
        let vector = VECTOR_BYTES / size;
        let lanes = match self.pack_lanes {
            true => self.lanes,
            false if self.lanes_are_packed => 0,
            false if form.lanes.is_multiple_of(vector) => 0,
            // The last panel, which is narrower.
            false => TILE_BYTES / size,
        };
        self.depths * lanes.min(form.lanes.next_multiple_of(vector))
    }

    /// The elements of scratch memory that are needed, for any instruction set: for panels, then for the rows of a block.
    pub(super) fn scratch(&self, form: &Form, size: usize) -> usize {
        self.panels(form, size) + if self.pack_rows { self.depths * self.rows } else { 0 }
    }
}

/// The size of blocks of `total` that are `most` at most, a multiple of `step`, and as even as can be.
pub(super) fn even(total: usize, most: usize, step: usize) -> usize {
    let blocks = total.div_ceil(most);
    total.div_ceil(blocks).next_multiple_of(step)
}

/// Ranges of `size` that cover `total`; the last one may be shorter.
pub(super) fn blocks(total: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    // Without the division that `step_by` begins with.
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        next = total.min(start + size);
        (start < total).then_some(start..next)
    })
}

/// Multiplies.
///
/// # Safety
/// The machine has the kernels' instructions. Everything that the product refers to is valid, and C apart from the
/// others; no extent is 0. `scratch` is valid for writing as many elements as [`Blocking::scratch`] says, and apart from
/// all of them.
pub(super) unsafe fn multiply<T: Element>(
    kernels: &Kernels<T>,
    product: &Product<T>,
    blocking: &Blocking,
    scratch: *mut T,
) {
    // SAFETY: the rows follow the panels.
    let packed_rows = unsafe { scratch.add(blocking.panels(&product.form, size_of::<T>())) };
    for depths in blocks(product.depth, blocking.depths) {
        for rows in blocks(product.rows, blocking.rows) {
            // SAFETY: pieces of the product, and of scratch memory, as the caller promises.
            unsafe {
                let block = Block {
                    kernels,
                    product,
                    depths: depths.clone(),
                    rows: Rows::new(product, blocking, depths.clone(), rows.clone(), packed_rows, kernels),
                    c: product.c.add(rows.start * product.c_row),
                    panels: scratch,
                    pack_lanes: blocking.pack_lanes,
                };
                for lanes in blocks(product.lanes, blocking.lanes) {
                    let ahead = block.ahead(&lanes, blocking);
                    block.multiply(lanes, ahead);
                }
            }
        }
    }
}

/// The rows of a block, as kernels read them.
struct Rows<T> {
    /// How many.
    count: usize,
    /// The first.
    from: *const T,
    /// From row to row of a tile.
    row: usize,
    /// From tile to tile.
    tile: usize,
    /// From depth to depth.
    depth: usize,
}

impl<T: Element> Rows<T> {
    /// Rows where they are, or packed for the tallest tiles.
    ///
    /// # Safety
    /// As [`multiply`].
    unsafe fn new(
        product: &Product<T>,
        blocking: &Blocking,
        depths: Range<usize>,
        rows: Range<usize>,
        packed: *mut T,
        kernels: &Kernels<T>,
    ) -> Rows<T> {
        let (count, height) = (rows.len(), kernels.rows);
        // SAFETY: a piece of the product.
        let from = unsafe { product.r.add(rows.start * product.r_row + depths.start * product.r_depth) };
        if !blocking.pack_rows {
            let (row, depth) = (product.r_row, product.r_depth);
            return Rows { count, from, row, tile: height * row, depth };
        }
        let tile = height * depths.len();
        for (number, tile_rows) in blocks(count, height).enumerate() {
            // SAFETY: pieces of the rows; a block has whole tiles, but for the last one, which has fewer rows than the
            // step of blocks leaves room for.
            unsafe {
                let piece = Piece {
                    from: from.add(tile_rows.start * product.r_row),
                    across: tile_rows.len(),
                    stride_across: product.r_row,
                    depth: depths.len(),
                    stride_depth: product.r_depth,
                };
                (kernels.pack)(&piece, packed.add(number * tile), height);
            }
        }
        Rows { count, from: packed, row: 1, tile, depth: height }
    }
}

/// A block of depths and rows.
struct Block<'a, T: 'static> {
    kernels: &'a Kernels<T>,
    product: &'a Product<T>,
    depths: Range<usize>,
    rows: Rows<T>,
    /// C from the first row of the block.
    c: *mut T,
    /// Memory for panels.
    panels: *mut T,
    pack_lanes: bool,
}

impl<T: Element> Block<'_, T> {
    /// The lanes that are packed after those of a block, where they come from afar.
    fn ahead(&self, lanes: &Range<usize>, blocking: &Blocking) -> Ahead<T> {
        let product = self.product;
        // What is read where it is, is read faster than it could be asked for.
        if !self.pack_lanes || product.lanes * product.depth * size_of::<T>() < prefetch::FAR {
            return Ahead::nothing();
        }
        // The next ones at these depths, or the first ones at the next depths.
        let (lanes, depths) = match lanes.end < product.lanes {
            true => (lanes.end..product.lanes, self.depths.clone()),
            false => (0..product.lanes, self.depths.end..product.depth),
        };
        Ahead::new(&Piece {
            from: product.l.wrapping_add(lanes.start * product.l_lane + depths.start * product.l_depth),
            across: lanes.len().min(blocking.lanes),
            stride_across: product.l_lane,
            depth: depths.len().min(blocking.depths),
            stride_depth: product.l_depth,
        })
    }

    /// Whether C is added to and comes from afar. Lines that are only written are not read before, so it is no use to ask for
    /// these.
    fn reads_far(&self) -> bool {
        let product = self.product;
        (product.accumulate || self.depths.start > 0)
            && product.c_lane == 1
            && product.lanes * product.rows * size_of::<T>() >= prefetch::FAR
            && self.depths.len() >= prefetch::DEEP
    }

    /// Multiplies a block of lanes with the rows. Meanwhile what is ahead is asked for.
    ///
    /// # Safety
    /// As [`multiply`]; `lanes` are some of the product's, and no more than a block has.
    unsafe fn multiply(&self, lanes: Range<usize>, mut ahead: Ahead<T>) {
        let (product, rows) = (self.product, &self.rows);
        let tiles = rows.count.div_ceil(self.kernels.rows) * lanes.len().div_ceil(self.kernels.lanes);
        let (lines, reads_far) = (ahead.lines().div_ceil(tiles), self.reads_far());
        for (number, tile) in blocks(rows.count, self.kernels.rows).enumerate() {
            let mut start = lanes.start;
            while start < lanes.end {
                let panel = start..lanes.end.min(start + self.kernels.lanes);
                // SAFETY: these lanes and rows are some of the product's.
                unsafe {
                    let (l, l_depth) = self.panel(panel.clone(), start - lanes.start, number == 0);
                    let c = self.c.add(panel.start * product.c_lane + tile.start * product.c_row);
                    if lines > 0 {
                        ahead.ask(lines);
                    }
                    if reads_far {
                        prefetch::rows_to_write(c, tile.len(), product.c_row, panel.len());
                    }
                    self.kernels.tile(&Tile {
                        lanes: panel.len(),
                        rows: tile.len(),
                        depth: self.depths.len(),
                        l,
                        l_depth,
                        r: rows.from.add(number * rows.tile),
                        r_row: rows.row,
                        r_depth: rows.depth,
                        c,
                        c_lane: product.c_lane,
                        c_row: product.c_row,
                        accumulate: product.accumulate || self.depths.start > 0,
                        scale: product.scale,
                    });
                }
                start += self.kernels.lanes;
            }
        }
    }

    /// The lanes of a panel and their stride from depth to depth, where they are or packed: adjacent, in whole vectors.
    /// `before` are the lanes of the block's panels before it.
    ///
    /// # Safety
    /// As [`multiply`]. Each panel is asked for with `first` before it is without.
    #[inline]
    unsafe fn panel(&self, lanes: Range<usize>, before: usize, first: bool) -> (*const T, usize) {
        let Form { l_lane, l_depth, .. } = self.product.form;
        let width = self.kernels.padded(lanes.len());
        if let Some(packed) = self.product.packed {
            // SAFETY: the panels are those that `packed::pack` has written there.
            return unsafe { (self.product.l.add(packed.panel(&self.depths, lanes.start)), width) };
        }
        // SAFETY: the lanes are some of the product's.
        let from = unsafe { self.product.l.add(lanes.start * l_lane + self.depths.start * l_depth) };
        // What is read beyond the lanes of a vector that is not full has to be there.
        if !self.pack_lanes && width == lanes.len() {
            return (from, l_depth);
        }
        // SAFETY: scratch memory has room for all panels of a block, one after another, and is apart from the product.
        unsafe {
            let before = if self.pack_lanes { before } else { 0 };
            let packed = self.panels.add(before * self.depths.len());
            if first {
                let (across, depth) = (lanes.len(), self.depths.len());
                let piece = Piece { from, across, stride_across: l_lane, depth, stride_depth: l_depth };
                (self.kernels.pack)(&piece, packed, width);
            }
            (packed, width)
        }
    }
}
