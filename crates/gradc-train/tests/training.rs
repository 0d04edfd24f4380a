//! The training loop over a plain step: what it learns, reports and refuses, and that it can be interrupted anywhere.

mod linear_regression;

use gradc_train::checkpoint::CheckpointError;
use gradc_train::observer::{End, Start};
use gradc_train::trainer::ResumeError;
use gradc_train::{
    Checkpoint, Dataset, EpochReport, Examples, Observer, Outcome, Schedule, Settings, Signal, StepReport, TrainError,
    Trainer, evaluate, split,
};
use linear_regression::{LinearRegression, dataset};
use std::path::PathBuf;

fn settings() -> Settings {
    Settings {
        epochs: 3,
        batch_size: 4,
        shuffle: true,
        seed: 5,
        split: Some(0.25),
        learning_rate: 0.1,
        schedule: Schedule::Cosine { warmup: 3, final_factor: 0.1 },
    }
}

fn trainer(data: &Dataset, settings: Settings) -> Trainer<'_, LinearRegression> {
    let split = split(data, 0.25, settings.seed).unwrap();
    Trainer::new(LinearRegression::new(), "model", split.train, split.held_out, settings).unwrap()
}

/// A clock that ticks once a look.
fn ticks() -> impl FnMut() -> f64 {
    let mut time = 0.0;
    move || {
        time += 1.0;
        time
    }
}

/// Keeps everything it is told; stops after some step, keeps checkpoints in a file.
#[derive(Default)]
struct Recorder {
    steps: Vec<StepReport>,
    epochs: Vec<EpochReport>,
    started: Vec<Start>,
    ended: Vec<End>,
    stop_after: Option<u64>,
    checkpoint_after: Option<u64>,
    file: Option<PathBuf>,
}

impl Observer for Recorder {
    fn on_start(&mut self, start: &Start) {
        self.started.push(*start);
    }

    fn on_step(&mut self, report: &StepReport) -> Signal {
        self.steps.push(*report);
        if self.checkpoint_after == Some(report.step) {
            Signal::Checkpoint
        } else if self.stop_after == Some(report.step) {
            Signal::Stop
        } else {
            Signal::Continue
        }
    }

    fn on_epoch(&mut self, report: &EpochReport) -> Signal {
        self.epochs.push(report.clone());
        Signal::Continue
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.file.as_ref().map_or(Ok(()), |file| checkpoint.write(file))
    }

    fn on_end(&mut self, end: &End) {
        self.ended.push(*end);
    }
}

#[test]
fn it_learns() {
    let data = dataset(80);
    let mut trainer = trainer(&data, Settings { epochs: 40, ..settings() });
    assert_eq!(trainer.run(&mut (), &mut ticks()).unwrap(), Outcome::Finished);
    let last = trainer.history().last().unwrap();
    assert!(last.val_loss.unwrap() < 1e-4, "{last:?}");
    assert_eq!(last.val_accuracy, Some(1.0));
    for (found, expected) in trainer.into_step().parameters.iter().zip([2.0, -1.0, 0.5]) {
        assert!((found - expected).abs() < 0.05, "{found}, not {expected}");
    }
}

#[test]
fn reports_say_what_happened() {
    let data = dataset(14);
    let mut recorder = Recorder::default();
    let mut trainer = trainer(&data, settings());
    trainer.run(&mut recorder, &mut ticks()).unwrap();
    let start = recorder.started[0];
    assert_eq!((start.examples, start.held_out, start.steps_per_epoch, start.epochs), (10, 4, 3, 3));
    let sizes: Vec<usize> = recorder.steps.iter().map(|step| step.examples).collect();
    assert_eq!(sizes, [4, 4, 2, 4, 4, 2, 4, 4, 2]);
    let places: Vec<_> = recorder.steps.iter().map(|step| (step.epoch, step.batch, step.step)).collect();
    assert_eq!(&places[2..5], [(1, 3, 3), (2, 1, 4), (2, 2, 5)]);
    // Warming up over three steps, then half a cosine.
    let rates: Vec<f64> = recorder.steps.iter().map(|step| step.learning_rate).collect();
    assert!((rates[0] - 0.1 / 3.0).abs() < 1e-12 && rates[2] == 0.1 && rates[3] == 0.1);
    assert!(rates[3..].windows(2).all(|pair| pair[1] < pair[0]));
    for (epoch, steps) in recorder.epochs.iter().zip(recorder.steps.chunks(3)) {
        // A small last batch counts for less.
        let expected = (4.0 * steps[0].loss + 4.0 * steps[1].loss + 2.0 * steps[2].loss) / 10.0;
        assert!((epoch.loss - expected).abs() < 1e-12);
        assert_eq!(epoch.accuracy, epoch.metrics.get("accuracy").copied());
        assert_eq!(epoch.val_accuracy, epoch.val_metrics.get("accuracy").copied());
        assert_eq!(epoch.val_metrics.keys().collect::<Vec<_>>(), ["accuracy", "mean_error"]);
        assert_eq!(epoch.seconds, 1.0);
        assert_eq!(epoch.learning_rate, steps[2].learning_rate);
    }
    assert_eq!(trainer.history(), recorder.epochs);
    let end = End { outcome: Outcome::Finished, epochs_done: 3, steps_done: 9 };
    assert_eq!(recorder.ended, [end]);
}

#[test]
fn an_epoch_is_a_line_of_json() {
    let data = dataset(10);
    let split = split(&data, 0.0, 0).unwrap();
    let mut recorder = Recorder::default();
    let settings = Settings { epochs: 1, ..settings() };
    let mut trainer = Trainer::new(LinearRegression::new(), "model", split.train, None, settings).unwrap();
    trainer.run(&mut recorder, &mut ticks()).unwrap();
    let json = serde_json::to_value(&recorder.epochs[0]).unwrap();
    assert_eq!(json["epoch"], 1);
    assert_eq!(json["seconds"], 1.0);
    assert!(json["loss"].is_f64() && json["accuracy"].is_f64());
    assert!(json["val_loss"].is_null() && json["val_accuracy"].is_null());
}

#[test]
fn evaluation_weighs_a_small_last_batch_by_its_examples() {
    let data = dataset(10);
    let mut step = LinearRegression::new();
    let all = Examples::all(&data);
    let whole = evaluate(&mut step, &all, 10).unwrap();
    let parts = evaluate(&mut step, &all, 4).unwrap();
    assert_eq!((whole.examples, parts.examples), (10, 10));
    assert!((whole.loss - parts.loss).abs() < 1e-6);
    assert!((whole.metrics["mean_error"] - parts.metrics["mean_error"]).abs() < 1e-6);
    assert!(matches!(evaluate(&mut step, &all, 0), Err(TrainError::EmptyBatch)));
}

#[test]
fn interrupted_at_any_step_it_ends_with_the_same_bits() {
    let data = dataset(14);
    let mut whole = trainer(&data, settings());
    whole.run(&mut (), &mut || 0.0).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint.safetensors");
    for step in 1..=9 {
        let mut first = trainer(&data, settings());
        let mut stop = Recorder { stop_after: Some(step), ..Recorder::default() };
        assert_eq!(first.run(&mut stop, &mut || 0.0).unwrap(), Outcome::Stopped);
        assert_eq!(first.progress().step, step);
        first.checkpoint().write(&file).unwrap();

        let mut second = trainer(&data, settings());
        second.resume(&Checkpoint::read(&file).unwrap()).unwrap();
        assert_eq!(second.run(&mut (), &mut || 0.0).unwrap(), Outcome::Finished);
        assert_eq!(second.checkpoint(), whole.checkpoint(), "interrupted after step {step}");

        // The one that was stopped can also go on by itself.
        assert_eq!(first.run(&mut (), &mut || 0.0).unwrap(), Outcome::Finished);
        assert_eq!(first.checkpoint(), whole.checkpoint(), "paused after step {step}");
    }
}

#[test]
fn a_checkpoint_on_the_way_changes_nothing_and_is_one_to_go_on_from() {
    let data = dataset(14);
    let mut whole = trainer(&data, settings());
    whole.run(&mut (), &mut || 0.0).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("checkpoint");
    let mut first = trainer(&data, settings());
    let mut recorder = Recorder { checkpoint_after: Some(4), file: Some(file.clone()), ..Recorder::default() };
    first.run(&mut recorder, &mut || 0.0).unwrap();
    assert_eq!(first.checkpoint(), whole.checkpoint());
    let mut second = trainer(&data, settings());
    second.resume(&Checkpoint::read(&file).unwrap()).unwrap();
    assert_eq!(second.progress().step, 4);
    second.run(&mut (), &mut || 0.0).unwrap();
    assert_eq!(second.checkpoint(), whole.checkpoint());
}

#[test]
fn a_checkpoint_that_cannot_be_kept_ends_training() {
    let data = dataset(14);
    let file = Some(PathBuf::from("/nowhere/at/all/checkpoint"));
    let mut recorder = Recorder { checkpoint_after: Some(2), file, ..Recorder::default() };
    let error = trainer(&data, settings()).run(&mut recorder, &mut || 0.0).unwrap_err();
    assert!(matches!(error, TrainError::Checkpoint(_)));
    assert_eq!(recorder.steps.len(), 2);
}

#[test]
fn more_epochs_can_be_added_later() {
    let data = dataset(14);
    let constant = Settings { schedule: Schedule::Constant, ..settings() };
    let mut short = trainer(&data, constant.clone());
    short.run(&mut (), &mut || 0.0).unwrap();
    let mut long = trainer(&data, Settings { epochs: 5, ..constant.clone() });
    long.run(&mut (), &mut || 0.0).unwrap();
    let mut extended = trainer(&data, Settings { epochs: 5, ..constant });
    extended.resume(&short.checkpoint()).unwrap();
    extended.run(&mut (), &mut || 0.0).unwrap();
    assert_eq!(extended.checkpoint(), long.checkpoint());
}

#[test]
fn a_loss_that_is_not_finite_ends_training_with_its_place() {
    let data = dataset(14);
    let split = split(&data, 0.25, 5).unwrap();
    let mut step = LinearRegression::new();
    step.spoilt_at = Some(4);
    let mut trainer = Trainer::new(step, "model", split.train, split.held_out, settings()).unwrap();
    let mut recorder = Recorder::default();
    let error = trainer.run(&mut recorder, &mut || 0.0).unwrap_err();
    assert!(matches!(error, TrainError::NonFiniteLoss { epoch: 2, step: 5, batch: 2, .. }), "{error:?}");
    assert!(error.to_string().starts_with("the loss is NaN in epoch 2 at batch 2 (step 5, learning rate 0.0"));
    assert_eq!((recorder.steps.len(), recorder.ended.len()), (4, 0));
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let data = dataset(14);
    let checkpoint = trainer(&data, settings()).checkpoint();
    let refused = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = checkpoint.clone();
        change(&mut checkpoint);
        match trainer(&data, settings()).resume(&checkpoint).unwrap_err() {
            TrainError::Resume(error) => error,
            other => panic!("{other}"),
        }
    };
    assert_eq!(refused(&|c| c.run.model = "other".to_owned()), ResumeError::Model);
    for (change, message) in [
        (&(|c: &mut Checkpoint| c.run.seed = 6) as &dyn Fn(&mut Checkpoint), "the seed: 6 in the checkpoint, 5 now"),
        (&|c| c.run.batch_size = 8, "the batch size: 8 in the checkpoint, 4 now"),
        (&|c| c.run.examples = 11, "the number of examples: 11 in the checkpoint, 10 now"),
        (&|c| c.run.held_out = 0, "the number of held-out examples: 0 in the checkpoint, 4 now"),
        (&|c| c.run.learned = String::new(), "the examples that are learned from are others"),
        (&|c| c.run.judged = None, "the held-out examples are others"),
        (&|c| c.run.shuffle = false, "shuffling: off in the checkpoint, on now"),
        (&|c| c.progress.batch = 4, "its numbers contradict each other"),
        (&|c| c.progress.epoch = u64::MAX, "its numbers contradict each other"),
        (&|c| c.progress.step = 1, "its numbers contradict each other"),
        (&|c| c.progress.totals.examples = 1, "its numbers contradict each other"),
        (&|c| c.progress.totals.metrics = Vec::new(), "its numbers contradict each other"),
    ] {
        assert_eq!(refused(change).to_string(), message);
    }
    let mut spoilt = checkpoint.clone();
    spoilt.state.optimizer.clear();
    assert!(matches!(trainer(&data, settings()).resume(&spoilt), Err(TrainError::Restore(_))));
}

#[test]
fn an_empty_batch_is_refused() {
    let data = dataset(4);
    let settings = Settings { batch_size: 0, ..settings() };
    let new = Trainer::new(LinearRegression::new(), "model", Examples::all(&data), None, settings);
    assert!(matches!(new, Err(TrainError::EmptyBatch)));
}
