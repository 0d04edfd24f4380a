//! Which examples are learned from and which are held out.

use crate::data::{Dataset, Windows};
use crate::exact;
use crate::random::{self, Purpose};
use crate::weights::WeightFile;
use gradc::{About, Coded};
use gradc_diagnostics::{Code, codes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The key under which weight files and checkpoints say what was held out.
const KEY: &str = "gradc.held_out";

/// What was held out of the data that a network was trained on, so that it can be judged by that later.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// The share of the examples.
    #[serde(with = "exact")]
    pub share: f64,
    /// The seed that they were chosen by.
    pub seed: u64,
}

impl HeldOut {
    /// What was stored with weights. `None` where nothing was held out, or it is not said.
    pub fn stored(file: &WeightFile) -> Option<HeldOut> {
        HeldOut::from_metadata(&file.metadata)
    }

    pub(crate) fn from_metadata(metadata: &BTreeMap<String, String>) -> Option<HeldOut> {
        metadata.get(KEY).and_then(|json| serde_json::from_str(json).ok())
    }

    /// What a weight file says besides the weights, for [`stored`](HeldOut::stored) to find.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        serde_json::to_string(self).map(|json| BTreeMap::from([(KEY.to_owned(), json)])).unwrap_or_default()
    }
}

/// Some of the examples of a data set, by row.
#[derive(Clone, Debug)]
pub struct Examples<'a> {
    dataset: &'a Dataset,
    rows: Vec<u32>,
}

impl<'a> Examples<'a> {
    /// All examples, in the order of the data set.
    pub fn all(dataset: &'a Dataset) -> Examples<'a> {
        Examples { dataset, rows: dataset.rows() }
    }

    /// The data set that they are taken from.
    pub fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// Their rows in the data set, ascending; of a text, the positions at which the windows begin.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A text that is the same for the same examples in the same order, whatever file they are from.
    pub(crate) fn digest(&self) -> String {
        self.dataset.digest(&self.rows)
    }
}

/// A data set in two parts.
#[derive(Clone, Debug)]
pub struct Split<'a> {
    /// The examples to learn from; at least one.
    pub train: Examples<'a>,
    /// The examples to judge by.
    pub held_out: Option<Examples<'a>>,
}

/// A share that cannot be held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SplitError {
    /// The share is not a number from 0 up to, but not, 1.
    Share(f64),
    /// The share is so large, or the data set so small, that nothing would be left to learn from.
    NothingLeft {
        /// The share.
        share: f64,
        /// The examples of the data set.
        examples: usize,
    },
    /// One part of a text would be too short for a single window.
    ShortText {
        /// The share.
        share: f64,
        /// The characters of the text that are learned from.
        train: usize,
        /// The characters that are held out.
        held_out: usize,
        /// The characters of one example.
        window: usize,
    },
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitError::Share(share) => {
                write!(f, "a share of {share} cannot be held out: it must be at least 0 and less than 1")
            }
            SplitError::NothingLeft { share, examples } => {
                write!(f, "with a share of {share} of {examples} examples held out, none is left to learn from")
            }
            SplitError::ShortText { share, train, held_out, window } => write!(
                f,
                "with a share of {share} held out, the text has parts of {train} and {held_out} characters, but one example \
                 needs {window}"
            ),
        }
    }
}

impl std::error::Error for SplitError {}

impl Coded for SplitError {
    fn code(&self) -> Code {
        codes::BAD_SPLIT
    }

    fn about(&self) -> Option<About<'_>> {
        Some(About::Split)
    }
}

/// Holds out a share of the examples, rounded to a whole number of them, chosen by the seed. Both parts stay in the
/// order of the data set; with a share of 0 there is no second part.
///
/// Of a text its end is held out. No window lies in both parts, and those of the second part predict each character once,
/// whatever the distance of those that are learned from.
///
/// # Errors
/// Where the share is not in `0..1` or leaves nothing to learn from.
pub fn split(dataset: &Dataset, share: f64, seed: u64) -> Result<Split<'_>, SplitError> {
    if !(0.0..1.0).contains(&share) {
        return Err(SplitError::Share(share));
    }
    if let Some(text) = dataset.windows().filter(|_| share > 0.0) {
        return split_text(dataset, text, share);
    }
    let all = Examples::all(dataset);
    let held_out = (share * all.len() as f64).round() as usize;
    if held_out == 0 {
        return Ok(Split { train: all, held_out: None });
    }
    if held_out >= all.len() {
        return Err(SplitError::NothingLeft { share, examples: all.len() });
    }
    let mut rows = all.rows;
    random::shuffle(&mut rows, seed, Purpose::Split, 0);
    let mut train = rows.split_off(held_out);
    rows.sort_unstable();
    train.sort_unstable();
    Ok(Split { train: Examples { dataset, rows: train }, held_out: Some(Examples { dataset, rows }) })
}

fn split_text<'a>(dataset: &'a Dataset, text: &Windows, share: f64) -> Result<Split<'a>, SplitError> {
    let (characters, window) = (text.characters(), text.length());
    let held_out = (share * characters as f64).round() as usize;
    let train = characters - held_out;
    if train.min(held_out) < window {
        return Err(SplitError::ShortText { share, train, held_out, window });
    }
    let part = |rows| Examples { dataset, rows };
    let (train, held_out) = (text.strided(0..train), text.consecutive(train..characters));
    Ok(Split { train: part(train), held_out: Some(part(held_out)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, ElementType};
    use crate::data::InputSpec;

    fn dataset(examples: usize) -> Dataset {
        let inputs = [InputSpec::new("x", ElementType::F32, vec![])];
        Dataset::from_arrays(&inputs, vec![Array::from_vec(vec![0.0_f32; examples])]).unwrap()
    }

    fn check_sizes(examples: usize, share: f64, train: usize, held_out: usize) {
        let dataset = dataset(examples);
        let split = split(&dataset, share, 3).unwrap();
        let sizes = (split.train.len(), split.held_out.map_or(0, |part| part.len()));
        assert_eq!(sizes, (train, held_out), "{share} of {examples}");
    }

    #[test]
    fn the_share_is_rounded() {
        check_sizes(1797, 0.2, 1438, 359);
        check_sizes(10, 0.0, 10, 0);
        check_sizes(10, 0.04, 10, 0);
        check_sizes(10, 0.05, 9, 1);
        check_sizes(2, 0.5, 1, 1);
    }

    #[test]
    fn the_parts_are_whole_ordered_and_depend_on_the_seed_alone() {
        let dataset = dataset(100);
        let parts = |seed| {
            let split = split(&dataset, 0.3, seed).unwrap();
            (split.train.rows, split.held_out.unwrap().rows)
        };
        let (train, held_out) = parts(1);
        assert!(train.is_sorted() && held_out.is_sorted());
        let mut all = [train.clone(), held_out.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(parts(1), (train, held_out.clone()));
        assert_ne!(parts(2).1, held_out);
    }

    #[test]
    fn what_was_held_out_is_found_where_it_was_stored() {
        let held_out = HeldOut { share: 0.1 + 0.2, seed: u64::MAX };
        let file = WeightFile { arrays: BTreeMap::new(), metadata: held_out.metadata() };
        assert_eq!(HeldOut::stored(&file), Some(held_out));
        assert_eq!(HeldOut::stored(&WeightFile::default()), None);
    }

    #[test]
    fn a_share_that_makes_no_sense_is_an_error() {
        let dataset = dataset(2);
        for share in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(split(&dataset, share, 0), Err(SplitError::Share(_))), "{share}");
        }
        let error = split(&dataset, 0.9, 0).unwrap_err();
        assert_eq!(error.to_string(), "with a share of 0.9 of 2 examples held out, none is left to learn from");
    }
}
