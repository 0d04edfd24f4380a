//! Parts of a product, to be computed at the same time.
//!
//! A product is cut along its batch, its lanes or its rows, never along the depth, over which it is summed. How an element is
//! summed is decided by the whole product, so its bits do not depend on the cut.

use std::ops::Range;

use super::blocked::{Blocking, TILE_BYTES};
use super::product::Form;
use super::{Matmul, Path, gathered, scattered};

/// Lanes are cut at multiples of this: whole vectors of every instruction set, and lines of the cache.
pub const LANES_STEP: usize = 32;

/// The lanes of half a tile of vectors of 512 bits, in bytes: what a narrower one takes as long as.
const LANES_BYTES: usize = 64;

/// What packing an element costs, in multiplications of the kernels.
const PACKING: usize = 16;

/// Fewer rows take as long as so many: as it takes to load the lanes.
const FEW_ROWS: usize = 4;

/// What an element of an operand costs that all parts need, in multiplications of the kernels: one core has it, or it is
/// loaded by all of them.
const SHARED: usize = 8;

/// And where it has been packed, so that it is read along memory.
const SHARED_PACKED: usize = 2;

/// Some of the products of a batch, and of each some lanes and rows: the axes of C, in an order that
/// depends on how C lies in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MatmulPart {
    pub(super) matmul: Matmul,
    /// The form of the whole product, and how it is computed. They are the whole's so that an element has the same bits whatever
    /// part it is in.
    pub(super) form: Form,
    /// See `form`.
    pub(super) path: Path,
    pub(super) batch: Range<usize>,
    pub(super) lanes: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl MatmulPart {
    /// All of a product.
    pub(super) fn whole(matmul: &Matmul) -> MatmulPart {
        let form = Form::new(matmul);
        let path = Path::new(matmul, &form);
        MatmulPart { matmul: *matmul, form, path, batch: 0..matmul.batch, lanes: 0..form.lanes, rows: 0..form.rows }
    }

    /// Which products of the batch it is of.
    pub fn batch(&self) -> Range<usize> {
        self.batch.clone()
    }

    /// The rows of C that it has.
    pub fn rows(&self) -> Range<usize> {
        if self.form.lanes_of_a { self.lanes.clone() } else { self.rows.clone() }
    }

    /// The columns of C that it has.
    pub fn columns(&self) -> Range<usize> {
        if self.form.lanes_of_a { self.rows.clone() } else { self.lanes.clone() }
    }

    /// The bytes of scratch memory that this part needs, for elements of `size` bytes (4 or 8).
    pub fn scratch_bytes(&self, size: usize) -> usize {
        let (path, form) = self.path();
        let elements = match path {
            Path::Gathered => gathered::scratch(&form, size),
            Path::Scattered => scattered::scratch(&form, self.matmul.is_gathered(), size),
            _ => {
                Blocking::new(&form, path, size, self.matmul.packed).map_or(0, |blocking| blocking.scratch(&form, size))
            }
        };
        elements * size
    }

    /// How the part is computed, and its form.
    fn path(&self) -> (Path, Form) {
        let form = Form { lanes: self.lanes.len(), rows: self.rows.len(), ..self.form };
        let is_empty = form.lanes == 0 || form.rows == 0;
        (if is_empty { Path::Nothing } else { self.path }, form)
    }

    /// Lanes and rows that are packed, or read in another way that takes as long.
    fn packed(&self, lanes: usize, rows: usize, size: usize) -> usize {
        let (path, form) = self.path();
        match (path, Blocking::new(&form, path, size, self.matmul.packed)) {
            (Path::Gathered | Path::Scattered, _) => lanes,
            (_, Some(blocking)) => usize::from(blocking.pack_lanes) * lanes + usize::from(blocking.pack_rows) * rows,
            (_, None) => 0,
        }
    }

    /// About how long it takes, in multiplications.
    pub(super) fn cost(&self, size: usize) -> usize {
        let (lanes, rows) = (self.lanes.len().next_multiple_of(LANES_BYTES / size), self.rows.len());
        let packed = self.packed(lanes, rows, size);
        let depth = self.matmul.k.saturating_mul(self.batch.len());
        depth.saturating_mul(lanes.saturating_mul(rows.max(FEW_ROWS)).saturating_add(PACKING * packed))
    }
}

/// A way to compute a product in parts, at the same time.
#[derive(Clone, Debug)]
pub struct MatmulCut {
    /// One part, or several, which write elements of C that differ.
    pub parts: Vec<MatmulPart>,
    /// About how long the part that takes longest takes, with what all parts have to read, in multiplications of the kernels.
    pub cost: usize,
}

impl Matmul {
    /// This product in one part.
    pub fn whole(&self) -> MatmulPart {
        MatmulPart::whole(self)
    }

    /// The ways to compute this product of elements of `size` bytes in so many parts at the most: first whole, then cut along
    /// each extent that can be cut. `at_hand` says of A and B whether all parts have them in caches of their own.
    pub fn cuts(&self, size: usize, count: usize, at_hand: [bool; 2]) -> Vec<MatmulCut> {
        let whole = MatmulPart::whole(self);
        let batches = || cut(&whole.batch, 1, count).map(|batch| MatmulPart { batch, ..whole.clone() }).collect();
        // Lanes that have been packed are cut where panels of every instruction set begin.
        let step = if self.packed { TILE_BYTES / size } else { LANES_STEP };
        let lanes = || cut(&whole.lanes, step, count).map(|lanes| MatmulPart { lanes, ..whole.clone() }).collect();
        let rows =
            |step: usize| cut(&whole.rows, step, count).map(|rows| MatmulPart { rows, ..whole.clone() }).collect();
        // What the operands cost that all parts need.
        let shared = |extent: usize, is_at_hand: bool, each: usize| match is_at_hand {
            true => 0,
            false => extent.saturating_mul(self.k).saturating_mul(self.batch).saturating_mul(each),
        };
        let (l, r) = if whole.form.lanes_of_a { (0, 1) } else { (1, 0) };
        let of_lanes = shared(whole.lanes.len(), at_hand[l], if self.packed { SHARED_PACKED } else { SHARED });
        // What reads a result next is mostly cut along its rows, and of each row one part has some. A parameter is read by nothing
        // before the next run.
        let result = if self.accumulate { 0 } else { self.m.saturating_mul(self.n).saturating_mul(self.batch) };
        let of_rows = shared(whole.rows.len(), at_hand[r], SHARED).saturating_add(result.saturating_mul(SHARED));
        let cuts: Vec<(Vec<MatmulPart>, usize)> = match self.c.is_plain() {
            true => vec![(batches(), 0), (rows(1), of_lanes), (lanes(), of_rows)],
            // Cut elsewhere, two parts might add to the same element.
            false => vec![(rows(self.rows_apart().unwrap_or(self.m).max(1)), of_lanes)],
        };
        let none = MatmulCut { cost: whole.cost(size), parts: vec![whole.clone()] };
        let several = cuts.into_iter().filter(|(parts, _)| parts.len() > 1).map(|(parts, shared)| {
            let slowest = parts.iter().map(|part| part.cost(size)).max().unwrap_or(usize::MAX);
            MatmulCut { cost: slowest.saturating_add(shared), parts }
        });
        [none].into_iter().chain(several).collect()
    }

    /// So many rows of C, and those after them, have no element in common: the windows of one image and those of the next.
    fn rows_apart(&self) -> Option<usize> {
        let (m, n, batch) = (self.m.checked_sub(1)?, self.n.checked_sub(1)?, self.batch.checked_sub(1)?);
        let outermost = self.c.row.outer.iter().rposition(|axis| axis.extent > 1)?;
        let axis = self.c.row.outer[outermost];
        let within = self.c.row.at(m).checked_sub((axis.extent - 1) * axis.stride)?;
        let reach = within + self.c.column.at(n) + self.c.batch.at(batch);
        (axis.stride > reach).then_some(self.m / axis.extent)
    }
}

/// A range in so many pieces at the most, none of them empty, which begin at multiples of `step`.
pub(super) fn cut(range: &Range<usize>, step: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let (end, steps) = (range.end, range.len().div_ceil(step));
    let count = count.min(steps);
    (0..count).map(move |at| {
        let at_step = |at: usize| (steps * at / count * step).min(end);
        at_step(at)..at_step(at + 1)
    })
}
