//! Parts of a product, to be computed at the same time.
//!
//! A product is cut along its batch, its lanes or its rows, never along the depth, over which it is summed. How an element is
//! summed is decided by the whole product, so its bits do not depend on the cut.

use std::ops::Range;

use super::blocked::{Blocking, ROWS_STEP};
use super::product::Form;
use super::{Matmul, Path};

/// Lanes are cut at multiples of this many bytes: the widest tile of any instruction set.
const LANES_BYTES: usize = 128;

/// What packing an element costs, in multiplications of the kernels.
const PACKING: usize = 16;

/// What an element of an operand costs that all parts need, in multiplications of the kernels: one core has it, or it is
/// loaded by all of them.
const SHARED: usize = 8;

/// Some of the products of a batch, and of each some lanes and rows: the axes of C, in an order that
/// depends on how C lies in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct MatmulPart {
    pub(super) matmul: Matmul,
    pub(super) batch: Range<usize>,
    pub(super) lanes: Range<usize>,
    pub(super) rows: Range<usize>,
}

impl MatmulPart {
    /// All of a product.
    pub(super) fn whole(matmul: &Matmul) -> MatmulPart {
        let Form { lanes, rows, .. } = Form::new(matmul);
        MatmulPart { matmul: *matmul, batch: 0..matmul.batch, lanes: 0..lanes, rows: 0..rows }
    }

    /// The bytes of scratch memory that this part needs, for elements of `size` bytes (4 or 8).
    pub fn scratch_bytes(&self, size: usize) -> usize {
        self.blocking(size).map_or(0, |(form, blocking)| blocking.scratch(&form, size) * size)
    }

    /// The form of the part and how it is divided, where it is computed in blocks.
    fn blocking(&self, size: usize) -> Option<(Form, Blocking)> {
        let whole = Form::new(&self.matmul);
        let form = Form { lanes: self.lanes.len(), rows: self.rows.len(), ..whole };
        if form.lanes == 0 || form.rows == 0 {
            return None;
        }
        Some((form, Blocking::new(&form, Path::new(&self.matmul, &whole), size)?))
    }

    /// About how long it takes, in multiplications.
    pub(super) fn cost(&self, size: usize) -> usize {
        let (lanes, rows) = (self.lanes.len().next_multiple_of(LANES_BYTES / 2 / size), self.rows.len());
        let packed = self.blocking(size).map_or(0, |(_, blocking)| {
            usize::from(blocking.pack_lanes) * lanes + usize::from(blocking.pack_rows) * rows
        });
        let depth = self.matmul.k.saturating_mul(self.batch.len());
        depth.saturating_mul(lanes.saturating_mul(rows).saturating_add(PACKING * packed))
    }
}

impl Matmul {
    /// This product in so many parts at the most, of elements of `size` bytes: cut where the part that takes longest takes
    /// the least time. One part, where nothing is gained.
    pub fn parts(&self, size: usize, count: usize) -> Vec<MatmulPart> {
        let whole = MatmulPart::whole(self);
        // What all parts need of the operands.
        let none = (vec![whole.clone()], 0);
        let batches = cut(&whole.batch, 1, count).map(|batch| MatmulPart { batch, ..whole.clone() });
        let lanes = cut(&whole.lanes, LANES_BYTES / size, count).map(|lanes| MatmulPart { lanes, ..whole.clone() });
        let rows = cut(&whole.rows, ROWS_STEP, count).map(|rows| MatmulPart { rows, ..whole.clone() });
        let elements = |extent: usize| extent.saturating_mul(self.k).saturating_mul(self.batch);
        let cuts: [(Vec<MatmulPart>, usize); 4] = [
            none,
            (batches.collect(), 0),
            (rows.collect(), elements(whole.lanes.len())),
            (lanes.collect(), elements(whole.rows.len())),
        ];
        let slowest = |(parts, shared): &(Vec<MatmulPart>, usize)| {
            let slowest = parts.iter().map(|part| part.cost(size)).max().unwrap_or(usize::MAX);
            slowest.saturating_add(SHARED.saturating_mul(*shared))
        };
        cuts.into_iter().min_by_key(slowest).map(|(parts, _)| parts).unwrap_or_default()
    }
}

/// A range in so many pieces at the most, none of them empty, which begin at multiples of `step`.
fn cut(range: &Range<usize>, step: usize, count: usize) -> impl Iterator<Item = Range<usize>> {
    let (end, steps) = (range.end, range.len().div_ceil(step));
    let count = count.min(steps);
    (0..count).map(move |at| {
        let at_step = |at: usize| (steps * at / count * step).min(end);
        at_step(at)..at_step(at + 1)
    })
}
