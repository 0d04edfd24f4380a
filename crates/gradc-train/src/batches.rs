//! Batches: a few examples at a time, copied side by side.

use crate::array::Array;
use crate::data::Dataset;
use crate::random::{self, Purpose};
use crate::split::Examples;

/// Some examples, side by side: for each input an array of shape `[examples, ..example_shape]`.
///
/// The buffers are used again for the next batch: filling allocates nothing once the largest batch was seen.
#[derive(Clone, Debug)]
pub struct Batch {
    inputs: Vec<(String, Array)>,
    examples: usize,
}

impl Batch {
    /// Room for `capacity` examples of a data set; empty.
    pub fn with_capacity(dataset: &Dataset, capacity: usize) -> Batch {
        let inputs = dataset.empty_batch(capacity);
        Batch { inputs, examples: 0 }
    }

    /// One example of one input, whose array has its axis of examples.
    pub(crate) fn of_one(input: &str, array: Array) -> Batch {
        Batch { inputs: vec![(input.to_owned(), array)], examples: 1 }
    }

    /// Copies the rows of a data set, in the order given, in the place of what was there.
    ///
    /// # Panics
    /// Where the data set is not the one, or like the one, that the batch was made for, or has no such row.
    pub fn fill(&mut self, dataset: &Dataset, rows: &[u32]) {
        dataset.copy_rows(rows, &mut self.inputs);
        self.examples = rows.len();
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The inputs and their arrays, in alphabetical order.
    pub fn inputs(&self) -> &[(String, Array)] {
        &self.inputs
    }

    /// The array of an input.
    pub fn input(&self, name: &str) -> Option<&Array> {
        self.inputs.iter().find(|(input, _)| input == name).map(|(_, array)| array)
    }
}

/// The rows of the examples in the order in which an epoch (counted from 0) sees them. The order depends only on the
/// seed and the epoch.
pub fn epoch_order(examples: &Examples<'_>, shuffle: bool, seed: u64, epoch: u64) -> Vec<u32> {
    let mut rows = examples.rows().to_vec();
    if shuffle {
        random::shuffle(&mut rows, seed, Purpose::Epoch, epoch);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::ElementType;
    use crate::data::InputSpec;

    fn dataset() -> Dataset {
        let inputs =
            [InputSpec::new("pixels", ElementType::F32, vec![2]), InputSpec::new("label", ElementType::I32, vec![])];
        let pixels = Array::new(vec![5, 2], (0..10).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
        Dataset::from_arrays(&inputs, vec![pixels, Array::from_vec(vec![0, 1, 2, 3, 4])]).unwrap()
    }

    #[test]
    fn the_last_batch_is_smaller_and_buffers_are_kept() {
        let dataset = dataset();
        let rows = Examples::all(&dataset).rows().to_vec();
        let mut batch = Batch::with_capacity(&dataset, 2);
        let address = |batch: &Batch| batch.input("pixels").unwrap().as_f32().unwrap().as_ptr();
        let before = address(&batch);
        let mut seen = Vec::new();
        for rows in rows.chunks(2) {
            batch.fill(&dataset, rows);
            assert_eq!(batch.input("pixels").unwrap().shape(), [rows.len(), 2]);
            let labels = batch.input("label").unwrap().as_i32().unwrap();
            let pixels = batch.input("pixels").unwrap().as_f32().unwrap();
            for (&label, pixels) in labels.iter().zip(pixels.chunks(2)) {
                assert_eq!(pixels, [label as f32 * 2.0, label as f32 * 2.0 + 1.0]);
            }
            seen.push((batch.examples(), labels.to_vec()));
            assert_eq!(address(&batch), before);
        }
        assert_eq!(seen, [(2, vec![0, 1]), (2, vec![2, 3]), (1, vec![4])]);
    }

    #[test]
    fn an_absurd_batch_size_takes_no_more_room_than_the_data() {
        let batch = Batch::with_capacity(&dataset(), usize::MAX);
        assert_eq!(batch.examples(), 0);
    }

    #[test]
    fn an_order_depends_on_seed_and_epoch() {
        let dataset = dataset();
        let all = Examples::all(&dataset);
        assert_eq!(epoch_order(&all, false, 1, 1), [0, 1, 2, 3, 4]);
        assert_eq!(epoch_order(&all, true, 1, 1), epoch_order(&all, true, 1, 1));
        let orders: std::collections::BTreeSet<_> = (0..10).map(|epoch| epoch_order(&all, true, 1, epoch)).collect();
        assert!(orders.len() > 5);
    }
}
