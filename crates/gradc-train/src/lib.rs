//! Data sets, training loops, metrics and checkpoints for gradc models.
//!
//! The way through the crate: a [`CompiledModel`] is a network that can be trained, [`data::load`] reads a data set for the inputs of a model, [`split::split`] holds out a
//! share of it, a [`Trainer`] makes the steps of a [`TrainStep`] and tells an [`Observer`], and a [`Checkpoint`] is what
//! it can go on from. Weights are read and written by [`weights`], predictions by [`data::write_npz`]; a
//! [`Generator`] makes up text.
//!
//! The same data, settings and step give the same bits, interrupted or not: orders are drawn from a seed and the number
//! of the epoch ([`batches::epoch_order`]), rates from the number of the step ([`schedule`]). No module reads a clock or
//! the environment, and none prints.

#[macro_use]
pub mod array;
pub mod batches;
pub mod checkpoint;
pub mod convert;
pub mod data;
mod exact;
mod file;
pub mod generate;
pub mod model;
pub mod observer;
pub mod predict;
mod random;
pub mod schedule;
pub mod split;
pub mod step;
mod storage;
pub mod tensors;
mod text;
pub mod trainer;
pub mod vocabulary;
pub mod weights;

pub use array::{Array, ElementType, Elements};
pub use batches::Batch;
pub use checkpoint::{Checkpoint, CheckpointError};
pub use data::{DataError, Dataset, InputSpec, LoadOptions, Mapping};
pub use file::{FileError, FileErrorKind, ensure_folder, write_file};
pub use generate::{GenerateError, Generator, Sampling};
pub use model::{CompiledModel, SetupError};
pub use observer::{Clock, EpochReport, Observer, Outcome, Signal, StepReport};
pub use predict::{PredictStep, predict};
pub use schedule::Schedule;
pub use split::{Examples, HeldOut, Split, split};
pub use step::{StepInput, TrainState, TrainStep};
pub use trainer::{Evaluation, Settings, TrainError, Trainer, evaluate};
pub use vocabulary::Vocabulary;
