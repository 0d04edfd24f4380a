//! What a training run shows.

use std::io::IsTerminal;
use std::path::PathBuf;

use gradc_train::observer::{End, Start};
use gradc_train::{Checkpoint, CheckpointError, EpochReport, Observer, Outcome, Signal, StepReport};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::output::{Failure, Output, counted};

/// Shows a training run: a bar on a terminal, a line an epoch, JSON lines on request; and keeps its checkpoints.
pub(crate) struct Progress<'o> {
    output: &'o mut Output,
    bar: ProgressBar,
    checkpoint: Option<(PathBuf, Option<u64>)>,
    epochs: u64,
    /// Why output ended, if it did.
    failure: Option<Failure>,
}

impl<'o> Progress<'o> {
    /// `checkpoint` is where checkpoints go, and after how many steps besides after each epoch.
    pub(crate) fn new(output: &'o mut Output, checkpoint: Option<(PathBuf, Option<u64>)>) -> Progress<'o> {
        let visible = std::io::stderr().is_terminal() && !output.json();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{prefix:>10} {bar:30} {pos}/{len} steps  {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Progress { output, bar, checkpoint, epochs: 0, failure: None }
    }

    /// Ends; a failure of output in between is returned.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        self.bar.finish_and_clear();
        self.failure.map_or(Ok(()), Err)
    }

    /// Remembers a failure and asks for an end.
    fn keep(&mut self, result: Result<(), Failure>) -> Signal {
        match result {
            Ok(()) => Signal::Continue,
            Err(failure) => {
                self.failure = Some(failure);
                Signal::Stop
            }
        }
    }
}

impl Observer for Progress<'_> {
    fn on_start(&mut self, start: &Start) {
        self.epochs = start.epochs;
        self.bar.set_length(start.steps_per_epoch);
        if !self.output.json() {
            let held_out = if start.held_out > 0 { format!(", {} held out", start.held_out) } else { String::new() };
            let from = if start.steps_done > 0 {
                format!(", going on after step {}", start.steps_done)
            } else {
                String::new()
            };
            let line = format!(
                "{}{held_out}, {} of {}{from}",
                counted(start.examples, "example"),
                counted(start.epochs, "epoch"),
                counted(start.steps_per_epoch, "step")
            );
            let result = self.output.line(line);
            self.keep(result);
        }
    }

    fn on_step(&mut self, report: &StepReport) -> Signal {
        self.bar.set_prefix(format!("epoch {}", report.epoch));
        self.bar.set_position(report.batch);
        self.bar.set_message(format!("loss {:.4}", report.loss));
        match &self.checkpoint {
            Some((_, Some(every))) if report.step.is_multiple_of(*every) => Signal::Checkpoint,
            _ => Signal::Continue,
        }
    }

    fn on_epoch(&mut self, report: &EpochReport) -> Signal {
        let result = if self.output.json() {
            let mut object = json!(report);
            object["event"] = json!("epoch");
            self.output.object(&object)
        } else {
            let line = epoch_line(report, self.epochs);
            let output = &mut *self.output;
            self.bar.suspend(|| output.line(line))
        };
        match self.keep(result) {
            Signal::Continue if self.checkpoint.is_some() => Signal::Checkpoint,
            signal => signal,
        }
    }

    fn on_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.checkpoint.as_ref().map_or(Ok(()), |(path, _)| checkpoint.write(path))
    }

    fn on_end(&mut self, end: &End) {
        if end.outcome == Outcome::Stopped && self.failure.is_none() {
            self.output.note("stopped");
        }
    }
}

fn epoch_line(report: &EpochReport, epochs: u64) -> String {
    let width = epochs.to_string().len();
    let mut line = format!("epoch {:>width$}/{epochs}  loss {:.4}", report.epoch, report.loss);
    for (name, value) in &report.metrics {
        line.push_str(&format!("  {name} {value:.4}"));
    }
    if let Some(loss) = report.val_loss {
        line.push_str(&format!("  val_loss {loss:.4}"));
    }
    for (name, value) in &report.val_metrics {
        line.push_str(&format!("  val_{name} {value:.4}"));
    }
    line
}
