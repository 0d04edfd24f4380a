//! The training loop.

use crate::batches::{Batch, epoch_order};
use crate::checkpoint::{Checkpoint, CheckpointError, Progress, RunIdentity, Totals};
use crate::observer::{Clock, End, EpochReport, Observer, Outcome, Signal, Start, StepReport};
use crate::schedule::{Horizon, Schedule};
use crate::split::{Examples, HeldOut};
use crate::step::{StepInput, TrainStep};
use gradc::{About, Coded, Problems};
use gradc_diagnostics::{Code, codes};
use std::collections::BTreeMap;
use std::fmt;

/// How to train.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many times each example is seen.
    pub epochs: u64,
    /// The examples of a full batch; the last batch of an epoch has what is left.
    pub batch_size: usize,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// The seed of these orders. The split was made with it too.
    pub seed: u64,
    /// The share of the data that was held out, if it was split.
    pub split: Option<f64>,
    /// The optimizer's learning rate, before the schedule.
    pub learning_rate: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
}

/// Why training could not begin or go on.
#[derive(Debug)]
pub enum TrainError<E> {
    /// A batch of no examples was asked for.
    EmptyBatch,
    /// The step failed to learn from a batch.
    Step {
        /// The epoch, from 1.
        epoch: u64,
        /// The number of the step, from 1.
        step: u64,
        /// What the step says.
        error: E,
    },
    /// The step failed to judge a batch.
    Evaluate(E),
    /// The loss is infinite or not a number, so the parameters are no good any more.
    NonFiniteLoss {
        /// The epoch, from 1.
        epoch: u64,
        /// The number of the step, from 1.
        step: u64,
        /// The batch within the epoch, from 1.
        batch: u64,
        /// The loss.
        loss: f64,
        /// The learning rate of the step.
        learning_rate: f64,
    },
    /// An observer could not keep a checkpoint.
    Checkpoint(CheckpointError),
    /// The checkpoint to go on from is not one of this training.
    Resume(ResumeError),
    /// The step did not take the state of the checkpoint.
    Restore(E),
}

/// How a checkpoint differs from the training that should go on from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumeError {
    /// It is of another model, or of one that was changed since, or its step was computed otherwise.
    Model,
    /// A setting is another one.
    Setting {
        /// What is different, in words.
        what: &'static str,
        /// In the checkpoint.
        checkpoint: String,
        /// Now.
        now: String,
    },
    /// It is of a text with other characters, or of no text.
    Vocabulary,
    /// It is of as many examples with other values, or in another order.
    Data {
        /// Whether it is those that are learned from, or else the held-out ones.
        learned: bool,
    },
    /// Its numbers contradict each other.
    Inconsistent,
}

impl<E: fmt::Display> fmt::Display for TrainError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrainError::EmptyBatch => write!(f, "a batch must have at least one example"),
            TrainError::Step { epoch, step, error } => write!(f, "epoch {epoch}, step {step}: {error}"),
            TrainError::Evaluate(error) => write!(f, "{error}"),
            TrainError::NonFiniteLoss { epoch, step, batch, loss, learning_rate } => write!(
                f,
                "the loss is {loss} in epoch {epoch} at batch {batch} (step {step}, learning rate {learning_rate}); {}",
                match step {
                    1 => "nothing has been learned yet: look for NaN or very large numbers in the data",
                    _ => "a smaller learning rate or clip_norm may help",
                }
            ),
            TrainError::Checkpoint(error) => write!(f, "{error}"),
            TrainError::Resume(error) => write!(f, "cannot go on from this checkpoint: {error}"),
            TrainError::Restore(error) => write!(f, "cannot go on from this checkpoint: {error}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for TrainError<E> {}

impl<E: Coded> Coded for TrainError<E> {
    fn code(&self) -> Code {
        match self {
            TrainError::EmptyBatch => codes::EXAMPLE_COUNT,
            TrainError::Step { error, .. } | TrainError::Evaluate(error) => error.code(),
            TrainError::NonFiniteLoss { .. } => codes::DIVERGED,
            TrainError::Checkpoint(error) => error.code(),
            TrainError::Resume(_) | TrainError::Restore(_) => codes::OTHER_TRAINING,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            TrainError::Step { error, .. } | TrainError::Evaluate(error) => error.about(),
            TrainError::NonFiniteLoss { .. } => Some(About::Loss),
            TrainError::EmptyBatch | TrainError::Checkpoint(_) | TrainError::Resume(_) | TrainError::Restore(_) => None,
        }
    }

    fn problems(&self) -> Option<&Problems> {
        match self {
            TrainError::Step { error, .. } | TrainError::Evaluate(error) => error.problems(),
            _ => None,
        }
    }
}

impl fmt::Display for ResumeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResumeError::Model => {
                write!(f, "the model, a dim, the optimizer, the precision, --fp or -O is another one than it was")
            }
            ResumeError::Setting { what, checkpoint, now } => {
                write!(f, "{what}: {checkpoint} in the checkpoint, {now} now")
            }
            ResumeError::Vocabulary => write!(f, "the data is another text, with other characters"),
            ResumeError::Data { learned: true } => write!(f, "the examples that are learned from are others"),
            ResumeError::Data { learned: false } => write!(f, "the held-out examples are others"),
            ResumeError::Inconsistent => write!(f, "its numbers contradict each other"),
        }
    }
}

impl std::error::Error for ResumeError {}

/// A training: a step, its data, and how far it has come.
///
/// It can be stopped after every step and gone on with, here or from a [`Checkpoint`] in another process, and ends with
/// the same bits as if it had not been stopped.
#[derive(Debug)]
pub struct Trainer<'a, S> {
    step: S,
    train: Examples<'a>,
    held_out: Option<Examples<'a>>,
    settings: Settings,
    run: RunIdentity,
    progress: Progress,
    batch: Batch,
}

impl<'a, S: TrainStep> Trainer<'a, S> {
    /// A training that has not begun. `model` is a fingerprint of the model, for checkpoints to know it by.
    ///
    /// # Errors
    /// Where the batch size is 0.
    pub fn new(
        step: S,
        model: impl Into<String>,
        train: Examples<'a>,
        held_out: Option<Examples<'a>>,
        settings: Settings,
    ) -> Result<Self, TrainError<S::Error>> {
        if settings.batch_size == 0 {
            return Err(TrainError::EmptyBatch);
        }
        let run = RunIdentity {
            model: model.into(),
            seed: settings.seed,
            batch_size: settings.batch_size as u64,
            shuffle: settings.shuffle,
            examples: train.len() as u64,
            held_out: held_out.as_ref().map_or(0, Examples::len) as u64,
            learned: train.digest(),
            judged: held_out.as_ref().map(Examples::digest),
            vocabulary: train.dataset().vocabulary().cloned(),
            split: settings.split.map(|share| HeldOut { share, seed: settings.seed }),
        };
        let batch = Batch::with_capacity(train.dataset(), settings.batch_size);
        let progress = Progress { totals: Totals::none(step.metrics().len()), ..Progress::default() };
        Ok(Trainer { step, train, held_out, settings, run, progress, batch })
    }

    /// Takes the place where a checkpoint was made. The epochs, the learning rate and the schedule may be others than
    /// then; with the same ones the end will be the same to the bit.
    ///
    /// # Errors
    /// Where the checkpoint is not one of this training.
    pub fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError<S::Error>> {
        self.check_resumable(checkpoint).map_err(TrainError::Resume)?;
        self.step.restore(&checkpoint.state).map_err(TrainError::Restore)?;
        self.progress = checkpoint.progress.clone();
        Ok(())
    }

    fn check_resumable(&self, checkpoint: &Checkpoint) -> Result<(), ResumeError> {
        let (then, now) = (&checkpoint.run, &self.run);
        if then.model != now.model {
            return Err(ResumeError::Model);
        }
        for (what, then, now) in [
            ("the seed", then.seed, now.seed),
            ("the batch size", then.batch_size, now.batch_size),
            ("the number of examples", then.examples, now.examples),
            ("the number of held-out examples", then.held_out, now.held_out),
        ] {
            if then != now {
                return Err(ResumeError::Setting { what, checkpoint: then.to_string(), now: now.to_string() });
            }
        }
        if then.shuffle != now.shuffle {
            let text = |shuffle: bool| if shuffle { "on" } else { "off" }.to_owned();
            let (checkpoint, now) = (text(then.shuffle), text(now.shuffle));
            return Err(ResumeError::Setting { what: "shuffling", checkpoint, now });
        }
        if then.vocabulary != now.vocabulary {
            return Err(ResumeError::Vocabulary);
        }
        if then.learned != now.learned {
            return Err(ResumeError::Data { learned: true });
        }
        if then.judged != now.judged {
            return Err(ResumeError::Data { learned: false });
        }
        let Progress { epoch, batch, step, totals, history } = &checkpoint.progress;
        let batches = self.batches();
        let seen = batch.saturating_mul(now.batch_size).min(now.examples);
        let consistent = *batch <= batches
            && epoch.checked_mul(batches).and_then(|steps| steps.checked_add(*batch)) == Some(*step)
            && history.len() as u64 == *epoch
            && totals.examples == seen
            && totals.metrics.len() == self.step.metrics().len();
        if consistent { Ok(()) } else { Err(ResumeError::Inconsistent) }
    }

    /// A checkpoint of this moment.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { run: self.run.clone(), progress: self.progress.clone(), state: self.step.state() }
    }

    /// What a weight file says besides the weights: what class ids stand for where the data is a text, and what is held out.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.run.metadata()
    }

    /// The step.
    pub fn step(&self) -> &S {
        &self.step
    }

    /// The step, for use after training.
    pub fn into_step(self) -> S {
        self.step
    }

    /// The epochs that are complete.
    pub fn history(&self) -> &[EpochReport] {
        &self.progress.history
    }

    /// How far training has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Trains until all epochs are made or the observer says stop.
    ///
    /// # Errors
    /// Where a step fails, the loss is not finite, or a checkpoint cannot be kept.
    pub fn run(&mut self, observer: &mut dyn Observer, clock: &mut dyn Clock) -> Result<Outcome, TrainError<S::Error>> {
        observer.on_start(&self.start());
        let outcome = self.run_epochs(observer, clock)?;
        observer.on_end(&End { outcome, epochs_done: self.progress.epoch, steps_done: self.progress.step });
        Ok(outcome)
    }

    fn start(&self) -> Start {
        Start {
            epochs: self.settings.epochs,
            epochs_done: self.progress.epoch,
            steps_done: self.progress.step,
            steps_per_epoch: self.batches(),
            examples: self.train.len(),
            held_out: self.held_out.as_ref().map_or(0, Examples::len),
        }
    }

    fn run_epochs(
        &mut self,
        observer: &mut dyn Observer,
        clock: &mut dyn Clock,
    ) -> Result<Outcome, TrainError<S::Error>> {
        while self.progress.epoch < self.settings.epochs {
            let began = clock.seconds();
            if self.run_batches(observer)? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
            let mut report = self.end_epoch()?;
            report.seconds = clock.seconds() - began;
            self.progress.history.push(report.clone());
            let signal = observer.on_epoch(&report);
            if self.obey(signal, observer)? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Makes the steps of the current epoch that are not made yet.
    fn run_batches(&mut self, observer: &mut dyn Observer) -> Result<Outcome, TrainError<S::Error>> {
        let Settings { shuffle, seed, batch_size, .. } = self.settings;
        let order = epoch_order(&self.train, shuffle, seed, self.progress.epoch);
        let mut metrics = vec![0.0; self.step.metrics().len()];
        let done = usize::try_from(self.progress.batch).unwrap_or(usize::MAX);
        for rows in order.chunks(batch_size).skip(done) {
            self.batch.fill(self.train.dataset(), rows);
            let report = self.make_step(&mut metrics)?;
            let signal = observer.on_step(&report);
            if self.obey(signal, observer)? == Outcome::Stopped {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    fn make_step(&mut self, metrics: &mut [f64]) -> Result<StepReport, TrainError<S::Error>> {
        let learning_rate = self.learning_rate(self.progress.step);
        let input = StepInput { step: self.progress.step, learning_rate };
        let (epoch, step, batch) = (self.progress.epoch + 1, self.progress.step + 1, self.progress.batch + 1);
        let loss = self.step.train_batch(&self.batch, input, metrics).map_err(|error| TrainError::Step {
            epoch,
            step,
            error,
        })?;
        if !loss.is_finite() {
            return Err(TrainError::NonFiniteLoss { epoch, step, batch, loss, learning_rate });
        }
        self.progress.step = step;
        self.progress.batch = batch;
        self.progress.totals.add(self.batch.examples(), loss, metrics);
        let (batches, examples) = (self.batches(), self.batch.examples());
        Ok(StepReport { epoch, step, batch, batches, examples, loss, learning_rate })
    }

    /// Judges the held-out examples and begins the next epoch.
    fn end_epoch(&mut self) -> Result<EpochReport, TrainError<S::Error>> {
        let (epoch, step) = (self.progress.epoch + 1, self.progress.step);
        let trained = self.progress.totals.means(self.step.metrics());
        let held_out = match &self.held_out {
            None => None,
            Some(examples) => Some(
                evaluate_in(&mut self.step, examples, self.settings.batch_size, &mut self.batch)
                    .map_err(TrainError::Evaluate)?,
            ),
        };
        self.progress.epoch = epoch;
        self.progress.batch = 0;
        self.progress.totals = Totals::none(self.step.metrics().len());
        let accuracy = |evaluation: &Evaluation| crate::observer::accuracy(&evaluation.metrics);
        Ok(EpochReport {
            epoch,
            step,
            loss: trained.loss,
            accuracy: accuracy(&trained),
            val_loss: held_out.as_ref().map(|evaluation| evaluation.loss),
            val_accuracy: held_out.as_ref().and_then(accuracy),
            seconds: 0.0,
            learning_rate: self.learning_rate(step.saturating_sub(1)),
            metrics: trained.metrics,
            val_metrics: held_out.map_or_else(BTreeMap::new, |evaluation| evaluation.metrics),
        })
    }

    fn obey(&mut self, signal: Signal, observer: &mut dyn Observer) -> Result<Outcome, TrainError<S::Error>> {
        match signal {
            Signal::Continue => {}
            Signal::Checkpoint => observer.on_checkpoint(&self.checkpoint()).map_err(TrainError::Checkpoint)?,
            Signal::Stop => return Ok(Outcome::Stopped),
        }
        Ok(Outcome::Finished)
    }

    /// The batches of one epoch.
    fn batches(&self) -> u64 {
        self.train.len().div_ceil(self.settings.batch_size) as u64
    }

    fn learning_rate(&self, step: u64) -> f64 {
        let steps_per_epoch = self.batches();
        let steps = steps_per_epoch.saturating_mul(self.settings.epochs);
        self.settings.learning_rate * self.settings.schedule.factor(step, Horizon { steps_per_epoch, steps })
    }
}

impl Totals {
    fn none(metrics: usize) -> Totals {
        Totals { examples: 0, loss: 0.0, metrics: vec![0.0; metrics] }
    }

    fn add(&mut self, examples: usize, loss: f64, metrics: &[f64]) {
        let weight = examples as f64;
        self.examples += examples as u64;
        self.loss += weight * loss;
        for (sum, metric) in self.metrics.iter_mut().zip(metrics) {
            *sum += weight * metric;
        }
    }

    fn means(&self, names: &[String]) -> Evaluation {
        let weight = self.examples as f64;
        let means = names.iter().cloned().zip(self.metrics.iter().map(|sum| sum / weight));
        Evaluation { examples: self.examples, loss: self.loss / weight, metrics: means.collect() }
    }
}

/// How good a network is on some examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The examples.
    pub examples: u64,
    /// The mean loss.
    pub loss: f64,
    /// The mean of each metric.
    pub metrics: BTreeMap<String, f64>,
}

/// Judges a network by examples, a batch at a time, the last one smaller if need be.
///
/// # Errors
/// Where the batch size is 0 or the step fails.
pub fn evaluate<S: TrainStep>(
    step: &mut S,
    examples: &Examples<'_>,
    batch_size: usize,
) -> Result<Evaluation, TrainError<S::Error>> {
    if batch_size == 0 {
        return Err(TrainError::EmptyBatch);
    }
    let mut batch = Batch::with_capacity(examples.dataset(), batch_size);
    evaluate_in(step, examples, batch_size, &mut batch).map_err(TrainError::Evaluate)
}

fn evaluate_in<S: TrainStep>(
    step: &mut S,
    examples: &Examples<'_>,
    batch_size: usize,
    batch: &mut Batch,
) -> Result<Evaluation, S::Error> {
    let mut metrics = vec![0.0; step.metrics().len()];
    let mut totals = Totals::none(metrics.len());
    for rows in examples.rows().chunks(batch_size) {
        batch.fill(examples.dataset(), rows);
        let loss = step.evaluate_batch(batch, &mut metrics)?;
        totals.add(batch.examples(), loss, &metrics);
    }
    Ok(totals.means(step.metrics()))
}
