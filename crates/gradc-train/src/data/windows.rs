//! Examples that are windows of one sequence: each is a position, nothing is copied until a batch is made.

use crate::array::{Array, ElementType, Elements};
use crate::vocabulary::Vocabulary;
use std::collections::BTreeMap;
use std::ops::Range;
use xxhash_rust::xxh3::Xxh3;

/// A sequence of class ids, and how examples are cut from it. A row is the position at which a window begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Windows {
    ids: Ids,
    vocabulary: Vocabulary,
    window: Window,
    /// The distance between the windows that are learned from.
    stride: usize,
}

/// What is cut out of a sequence for one example.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Window {
    /// The ids that it covers.
    pub(super) length: usize,
    /// The distance at which windows follow each other without predicting an id twice.
    pub(super) step: usize,
    /// What each input takes of it.
    pub(super) views: BTreeMap<String, View>,
}

/// A part of a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    /// Where it begins in the window.
    pub(super) offset: usize,
    /// The shape that its ids have as an example.
    pub(super) shape: Vec<usize>,
    /// The type that its ids have there.
    pub(super) dtype: ElementType,
}

/// Class ids in as few bytes as their number allows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ids {
    Narrow(Vec<u8>),
    Wide(Vec<i32>),
}

impl Ids {
    /// No ids, with room for `capacity` of them, each less than `bound`.
    pub(super) fn with_capacity(capacity: usize, bound: usize) -> Ids {
        if bound <= 1 << u8::BITS {
            Ids::Narrow(Vec::with_capacity(capacity))
        } else {
            Ids::Wide(Vec::with_capacity(capacity))
        }
    }

    /// Puts an id, less than the bound, at the end.
    pub(super) fn push(&mut self, id: usize) {
        match self {
            Ids::Narrow(ids) => ids.push(id as u8),
            Ids::Wide(ids) => ids.push(id as i32),
        }
    }

    fn len(&self) -> usize {
        match self {
            Ids::Narrow(ids) => ids.len(),
            Ids::Wide(ids) => ids.len(),
        }
    }

    fn copy(&self, range: Range<usize>, push: &mut dyn FnMut(i32)) {
        match self {
            Ids::Narrow(ids) => ids[range].iter().for_each(|&id| push(id.into())),
            Ids::Wide(ids) => ids[range].iter().for_each(|&id| push(id)),
        }
    }
}

impl Windows {
    /// A sequence of at least one window, whose positions fit into 32 bits.
    pub(super) fn new(ids: Ids, vocabulary: Vocabulary, window: Window, stride: usize) -> Windows {
        Windows { ids, vocabulary, window, stride }
    }

    /// What the ids stand for.
    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The ids of the sequence.
    pub(crate) fn characters(&self) -> usize {
        self.ids.len()
    }

    /// The ids that one window covers.
    pub(crate) fn length(&self) -> usize {
        self.window.length
    }

    /// The windows to learn from that lie within a range of the sequence.
    pub(crate) fn strided(&self, range: Range<usize>) -> Vec<u32> {
        self.starts(range, self.stride)
    }

    /// The windows within a range of the sequence that predict each of its ids once.
    pub(crate) fn consecutive(&self, range: Range<usize>) -> Vec<u32> {
        self.starts(range, self.window.step)
    }

    fn starts(&self, range: Range<usize>, stride: usize) -> Vec<u32> {
        let after_last = (range.end + 1).saturating_sub(self.window.length);
        (range.start..after_last).step_by(stride).map(|start| start as u32).collect()
    }

    /// How many windows there are to learn from in the whole sequence.
    pub(crate) fn count(&self) -> usize {
        (self.characters() + 1 - self.window.length).div_ceil(self.stride)
    }

    /// Takes into a hash all that the windows that begin at `rows`, in ascending order, cover, and what is cut out of them.
    pub(super) fn digest(&self, rows: &[u32], hash: &mut Xxh3) {
        let bytes = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
        for (name, view) in &self.window.views {
            hash.update(format!("{name}: {}{:?};", view.offset, view.shape).as_bytes());
        }
        let Some((&first, &last)) = rows.first().zip(rows.last()) else { return };
        let relative: Vec<u32> = rows.iter().map(|row| row - first).collect();
        hash.update(&bytes(&relative));
        let covered = first as usize..last as usize + self.window.length;
        match &self.ids {
            Ids::Narrow(ids) => hash.update(&ids[covered]),
            Ids::Wide(ids) => hash.update(&ids[covered].iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>()),
        }
    }

    /// For each input an array of no examples with room for `capacity`.
    pub(super) fn empty_batch(&self, capacity: usize) -> Vec<(String, Array)> {
        let empty = |(name, view): (&String, &View)| {
            let width: usize = view.shape.iter().product();
            let shape = [&[0], &view.shape[..]].concat();
            let elements = Elements::with_capacity(view.dtype, capacity * width);
            (name.clone(), Array::new(shape, elements).expect("there are no elements, and none are needed"))
        };
        self.window.views.iter().map(empty).collect()
    }

    /// Copies the windows that begin at `rows` into the arrays that [`empty_batch`](Windows::empty_batch) made.
    pub(super) fn copy_rows(&self, rows: &[u32], batch: &mut [(String, Array)]) {
        for ((_, array), view) in batch.iter_mut().zip(self.window.views.values()) {
            let width: usize = view.shape.iter().product();
            array.refill_ids(rows.len(), &view.shape, |push| {
                for &row in rows {
                    let start = row as usize + view.offset;
                    self.ids.copy(start..start + width, push);
                }
            });
        }
    }
}
