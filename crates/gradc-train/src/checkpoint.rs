//! Checkpoints: everything that is needed to go on as if nothing had happened.
//!
//! A checkpoint is one safetensors file. Its arrays are the parameters under their own names, so that it is a weight
//! file too, and the optimizer's state under `optimizer/…`; its metadata is one JSON document under the key
//! `gradc.checkpoint`; the vocabulary of a text and what was held out are where any weight file has them. Numbers in the
//! document are text that reads back to the same bits, infinities and NaN included. The format has no checksum, so there
//! is one in the metadata too: training does not go on from bits that have changed on a disk.

use crate::array::Array;
use crate::exact;
use crate::observer::EpochReport;
use crate::split::HeldOut;
use crate::step::TrainState;
use crate::storage;
use crate::vocabulary::Vocabulary;
use crate::weights::{self, OPTIMIZER_PREFIX, WeightFile, WeightsError};
use gradc::Coded;
use gradc_diagnostics::{Code, codes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 2;

/// The key of the metadata.
const KEY: &str = "gradc.checkpoint";

/// The key of the checksum over the arrays and the other metadata.
const CHECKSUM: &str = "gradc.checksum";

/// A moment of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What must be the same for training to go on.
    pub run: RunIdentity,
    /// How far training has come.
    pub progress: Progress,
    /// The parameters and the optimizer's state.
    pub state: TrainState,
}

/// What determines the steps of a training besides its state. Going on under another one would not be the same
/// training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// A fingerprint of the model, as the caller computes it.
    pub model: String,
    /// The seed of the split and of the order of examples.
    pub seed: u64,
    /// The examples of a full batch.
    pub batch_size: u64,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// The examples that are learned from.
    pub examples: u64,
    /// The examples that are held out.
    pub held_out: u64,
    /// A digest of the values of the examples that are learned from.
    pub learned: String,
    /// A digest of the values of those that are held out, if there are any.
    pub judged: Option<String>,
    /// The characters of the text that is learned from, if it is one. In the file it is where that of a weight file is.
    #[serde(skip)]
    pub vocabulary: Option<Vocabulary>,
    /// Which share was held out. In the file it is where that of a weight file is.
    #[serde(skip)]
    pub split: Option<HeldOut>,
}

impl RunIdentity {
    /// What a weight file of the run says besides the weights.
    pub(crate) fn metadata(&self) -> BTreeMap<String, String> {
        let vocabulary = self.vocabulary.as_ref().map(Vocabulary::metadata);
        let split = self.split.as_ref().map(HeldOut::metadata);
        vocabulary.into_iter().chain(split).flatten().collect()
    }
}

/// How far training has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// The epochs that are complete.
    pub epoch: u64,
    /// The batches of the current epoch that are done.
    pub batch: u64,
    /// The optimizer steps that are made.
    pub step: u64,
    /// Sums over the batches of the current epoch.
    pub totals: Totals,
    /// The epochs that are complete. Read from a file their `seconds` are 0: a checkpoint does not depend on the clock.
    pub history: Vec<EpochReport>,
}

/// Sums over batches, each weighted by its number of examples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// The examples.
    pub examples: u64,
    /// The sum of losses.
    #[serde(with = "exact")]
    pub loss: f64,
    /// The sum of each metric.
    #[serde(with = "exact")]
    pub metrics: Vec<f64>,
}

/// A file that is not a usable checkpoint.
#[derive(Debug)]
pub enum CheckpointError {
    /// It cannot be read or written, or is not in safetensors format.
    Weights(WeightsError),
    /// It is a weight file, not a checkpoint.
    NotACheckpoint {
        /// The file.
        path: PathBuf,
    },
    /// It was written by another version of gradc.
    Version {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
    },
    /// Its metadata is damaged.
    Metadata {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// What it holds is not what was written.
    Checksum {
        /// The file.
        path: PathBuf,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::Weights(error) => write!(f, "{error}"),
            CheckpointError::NotACheckpoint { path } => {
                write!(f, "{} is not a checkpoint of gradc: it has weights, but no state of training", path.display())
            }
            CheckpointError::Version { path, found } => write!(
                f,
                "{} is a checkpoint in version {found} of the format; this gradc reads version {VERSION}",
                path.display()
            ),
            CheckpointError::Metadata { path, error } => {
                write!(f, "{} is a damaged checkpoint: {error}", path.display())
            }
            CheckpointError::Checksum { path } => {
                write!(f, "{} is a damaged checkpoint: it does not fit its checksum", path.display())
            }
        }
    }
}

impl std::error::Error for CheckpointError {}

impl Coded for CheckpointError {
    fn code(&self) -> Code {
        match self {
            CheckpointError::Weights(error) => error.code(),
            CheckpointError::NotACheckpoint { .. }
            | CheckpointError::Version { .. }
            | CheckpointError::Metadata { .. }
            | CheckpointError::Checksum { .. } => codes::NOT_A_CHECKPOINT,
        }
    }
}

/// The part of the metadata that every version has.
#[derive(Serialize, Deserialize)]
struct Versioned {
    version: u32,
}

/// The metadata of version 2.
#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    run: RunIdentity,
    epoch: u64,
    batch: u64,
    step: u64,
    totals: Totals,
    history: Vec<EpochRecord>,
}

/// An [`EpochReport`] without its time.
#[derive(Serialize, Deserialize)]
struct EpochRecord {
    epoch: u64,
    step: u64,
    #[serde(with = "exact")]
    loss: f64,
    #[serde(with = "exact")]
    val_loss: Option<f64>,
    #[serde(with = "exact")]
    learning_rate: f64,
    #[serde(with = "exact")]
    metrics: BTreeMap<String, f64>,
    #[serde(with = "exact")]
    val_metrics: BTreeMap<String, f64>,
}

impl From<&EpochReport> for EpochRecord {
    fn from(report: &EpochReport) -> EpochRecord {
        EpochRecord {
            epoch: report.epoch,
            step: report.step,
            loss: report.loss,
            val_loss: report.val_loss,
            learning_rate: report.learning_rate,
            metrics: report.metrics.clone(),
            val_metrics: report.val_metrics.clone(),
        }
    }
}

impl From<EpochRecord> for EpochReport {
    fn from(record: EpochRecord) -> EpochReport {
        EpochReport {
            epoch: record.epoch,
            step: record.step,
            loss: record.loss,
            accuracy: crate::observer::accuracy(&record.metrics),
            val_loss: record.val_loss,
            val_accuracy: crate::observer::accuracy(&record.val_metrics),
            seconds: 0.0,
            learning_rate: record.learning_rate,
            metrics: record.metrics,
            val_metrics: record.val_metrics,
        }
    }
}

impl Checkpoint {
    /// Writes the checkpoint to a file, which appears whole or not at all. The same checkpoint gives the same bytes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        let Progress { epoch, batch, step, totals, history } = &self.progress;
        let metadata = Metadata {
            version: VERSION,
            run: self.run.clone(),
            epoch: *epoch,
            batch: *batch,
            step: *step,
            totals: totals.clone(),
            history: history.iter().map(EpochRecord::from).collect(),
        };
        let json = serde_json::to_string(&metadata)
            .map_err(|error| CheckpointError::Metadata { path: path.to_owned(), error })?;
        let mut arrays = self.state.parameters.clone();
        arrays.extend(
            self.state.optimizer.iter().map(|(name, array)| (format!("{OPTIMIZER_PREFIX}{name}"), array.clone())),
        );
        let mut metadata = self.run.metadata();
        metadata.insert(KEY.to_owned(), json);
        let checksum = checksum(&arrays, &metadata);
        metadata.insert(CHECKSUM.to_owned(), checksum);
        let content = WeightFile { arrays, metadata };
        weights::write(path, &content).map_err(CheckpointError::Weights)
    }

    /// Reads a checkpoint from a file.
    ///
    /// # Errors
    /// Where the file cannot be read or is not a checkpoint of this version.
    pub fn read(path: &Path) -> Result<Checkpoint, CheckpointError> {
        let WeightFile { arrays, metadata } = weights::read(path).map_err(CheckpointError::Weights)?;
        let json = metadata.get(KEY).ok_or_else(|| CheckpointError::NotACheckpoint { path: path.to_owned() })?;
        let damaged = |error| CheckpointError::Metadata { path: path.to_owned(), error };
        let Versioned { version } = serde_json::from_str(json).map_err(damaged)?;
        if version != VERSION {
            return Err(CheckpointError::Version { path: path.to_owned(), found: version });
        }
        let Metadata { run, epoch, batch, step, totals, history, .. } = serde_json::from_str(json).map_err(damaged)?;
        if metadata.get(CHECKSUM) != Some(&checksum(&arrays, &metadata)) {
            return Err(CheckpointError::Checksum { path: path.to_owned() });
        }
        let (vocabulary, split) = (Vocabulary::from_metadata(&metadata), HeldOut::from_metadata(&metadata));
        let run = RunIdentity { vocabulary, split, ..run };
        let history = history.into_iter().map(EpochReport::from).collect();
        let progress = Progress { epoch, batch, step, totals, history };
        Ok(Checkpoint { run, progress, state: state_of(arrays) })
    }
}

/// The CRC-32 of all else that a checkpoint holds.
fn checksum(arrays: &BTreeMap<String, Array>, metadata: &BTreeMap<String, String>) -> String {
    let mut crc = flate2::Crc::new();
    for (name, array) in arrays {
        crc.update(format!("{name}:{}{:?};", array.dtype().name(), array.shape()).as_bytes());
        crc.update(&storage::encode(array.elements()));
    }
    for (key, value) in metadata.iter().filter(|(key, _)| *key != CHECKSUM) {
        crc.update(format!("{key}:{value};").as_bytes());
    }
    format!("{:08x}", crc.sum())
}

fn state_of(arrays: BTreeMap<String, Array>) -> TrainState {
    let mut state = TrainState::default();
    for (name, array) in arrays {
        match name.strip_prefix(OPTIMIZER_PREFIX) {
            Some(name) => state.optimizer.insert(name.to_owned(), array),
            None => state.parameters.insert(name, array),
        };
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tempfile::tempdir;

    fn sample() -> Checkpoint {
        let report = EpochReport {
            epoch: 1,
            step: 4,
            loss: 0.1 + 0.2,
            accuracy: Some(1.0 / 3.0),
            val_loss: Some(f64::INFINITY),
            val_accuracy: None,
            seconds: 0.0,
            learning_rate: 1e-3,
            metrics: BTreeMap::from([("accuracy".to_owned(), 1.0 / 3.0)]),
            val_metrics: BTreeMap::new(),
        };
        let run = RunIdentity {
            model: "abc".to_owned(),
            seed: u64::MAX,
            batch_size: 3,
            shuffle: true,
            examples: 10,
            held_out: 2,
            learned: "def".to_owned(),
            judged: Some("ghi".to_owned()),
            vocabulary: Some(Vocabulary::of("to be\n")),
            split: Some(HeldOut { share: 0.1 + 0.2, seed: u64::MAX }),
        };
        let totals = Totals { examples: 6, loss: 5e-324, metrics: vec![-0.0, 1.0 / 7.0] };
        let state = TrainState {
            parameters: BTreeMap::from([("w".to_owned(), Array::from_vec(vec![0.1_f32, f32::NEG_INFINITY]))]),
            optimizer: BTreeMap::from([("m/w".to_owned(), Array::from_vec(vec![1.0_f32, 2.0]))]),
        };
        Checkpoint { run, progress: Progress { epoch: 1, batch: 2, step: 6, totals, history: vec![report] }, state }
    }

    fn written(checkpoint: &Checkpoint) -> Vec<u8> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("c");
        checkpoint.write(&path).unwrap();
        std::fs::read(path).unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("c");
        std::fs::write(&path, bytes).unwrap();
        Checkpoint::read(&path)
    }

    /// The bytes of a weight file whose metadata says this about a checkpoint.
    fn with_metadata(json: &str) -> Vec<u8> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("c");
        let metadata = BTreeMap::from([(KEY.to_owned(), json.to_owned())]);
        weights::write(&path, &WeightFile { arrays: BTreeMap::new(), metadata }).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_to_the_bit() {
        let (checkpoint, bytes) = (sample(), written(&sample()));
        let found = read(&bytes).unwrap();
        assert_eq!(found, checkpoint);
        assert!(found.progress.totals.metrics[0].is_sign_negative());
        assert_eq!(written(&found), bytes);
    }

    #[test]
    fn the_clock_leaves_no_trace() {
        let mut later = sample();
        later.progress.history[0].seconds = 12.5;
        assert_eq!(written(&later), written(&sample()));
    }

    #[test]
    fn a_checkpoint_is_a_weight_file() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("c");
        sample().write(&path).unwrap();
        let spec = weights::ParameterSpec { name: "w".to_owned(), dtype: crate::ElementType::F32, shape: vec![2] };
        assert_eq!(weights::read_parameters(&path, &[spec]).unwrap(), sample().state.parameters);
    }

    #[test]
    fn a_foreign_file_is_an_error() {
        let plain = {
            let directory = tempdir().unwrap();
            let path = directory.path().join("c");
            weights::write(&path, &WeightFile::default()).unwrap();
            std::fs::read(path).unwrap()
        };
        assert!(matches!(read(&plain), Err(CheckpointError::NotACheckpoint { .. })));
        assert!(matches!(read(b"hello"), Err(CheckpointError::Weights(_))));
        for version in [1, 3] {
            let other = with_metadata(&format!(r#"{{"version":{version},"something":"else"}}"#));
            assert!(matches!(read(&other), Err(CheckpointError::Version { found, .. }) if found == version));
        }
        for json in ["", "{}", "[2]", r#"{"version":2}"#, r#"{"version":-1}"#] {
            assert!(matches!(read(&with_metadata(json)), Err(CheckpointError::Metadata { .. })), "{json}");
        }
    }

    #[test]
    fn a_truncated_checkpoint_is_an_error_wherever_it_ends() {
        let bytes = written(&sample());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_change_of_any_byte_is_noticed() {
        let bytes = written(&sample());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).is_err(), "byte {at} of {}", String::from_utf8_lossy(&bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
            let mut bytes = written(&sample());
            for (at, value) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            let _ = read(&bytes);
        }
    }
}
