//! The `train` block: how a model is to be trained, as data.

mod choice;
mod settings;

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_syntax::ast::{Model, Train};

use crate::program::Program;

pub(crate) use settings::config;

/// A value with the place where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The place.
    pub span: Span,
}

/// How a model is to be trained. What is optional was not written; everything else has its default.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainConfig {
    /// Where the data is.
    pub data: Option<Located<DataSource>>,
    /// The share of the data that is held out, at least 0 and less than 1.
    pub split: Option<Located<f64>>,
    /// Of a text: the distance between the windows that are learned from, in characters, at least 1.
    pub stride: Option<u64>,
    /// What every random choice is derived from; 0 by default.
    pub seed: u64,
    /// How often the training data is gone through, at least 1; 10 by default.
    pub epochs: u64,
    /// Whether each epoch goes through the data in an order of its own; true by default.
    pub shuffle: bool,
    /// How parameters are updated; `adam` by default.
    pub optimizer: Optimizer,
    /// How the learning rate changes; constant by default.
    pub schedule: Schedule,
    /// The largest norm of all gradients together; larger ones are scaled down. Positive.
    pub clip_norm: Option<f64>,
    /// The largest magnitude of an element of a gradient; larger ones are cut. Positive.
    pub clip_value: Option<f64>,
    /// `train`, and the model's name if it is written.
    pub span: Span,
}

/// Where the data is and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSource {
    /// The path as written, relative to the source file.
    pub path: String,
    /// Which arrays of the file are which inputs. Empty: they are called like the inputs.
    pub fields: Vec<DataField>,
}

/// `pixels = images`: an array of the data that is an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataField {
    /// The input of the model.
    pub input: String,
    /// The key in the data.
    pub key: String,
    /// The place.
    pub span: Span,
}

/// How parameters are updated. `lr` is the learning rate, positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Gradient descent, with momentum if `momentum` is not 0.
    Sgd {
        /// The learning rate.
        lr: f64,
        /// At least 0 and less than 1; default 0.
        momentum: f64,
        /// Nesterov's form of the momentum; default false.
        nesterov: bool,
        /// Factor of the parameter that is added to its gradient; default 0.
        weight_decay: f64,
    },
    /// Kingma and Ba, 2015.
    Adam {
        /// The learning rate; default 1e-3.
        lr: f64,
        /// Decay of the first moment; default 0.9.
        beta1: f64,
        /// Decay of the second moment; default 0.999.
        beta2: f64,
        /// Added to the root of the second moment; default 1e-8.
        eps: f64,
    },
    /// Adam with weight decay that is not part of the gradient. Loshchilov and Hutter, 2019.
    AdamW {
        /// The learning rate; default 1e-3.
        lr: f64,
        /// Decay of the first moment; default 0.9.
        beta1: f64,
        /// Decay of the second moment; default 0.999.
        beta2: f64,
        /// Added to the root of the second moment; default 1e-8.
        eps: f64,
        /// Factor of the parameter, times the learning rate, that is subtracted from it; default 0.01.
        weight_decay: f64,
    },
    /// Tieleman and Hinton, 2012.
    RmsProp {
        /// The learning rate; default 1e-3.
        lr: f64,
        /// Decay of the mean square; default 0.9.
        decay: f64,
        /// Added to the root of the mean square; default 1e-8.
        eps: f64,
        /// At least 0 and less than 1; default 0.
        momentum: f64,
    },
}

/// How the learning rate changes. Each schedule gives a factor on the optimizer's `lr`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// 1 throughout.
    Constant,
    /// Multiplied by `factor` after every `every` epochs.
    Step {
        /// In epochs, at least 1.
        every: u64,
        /// Positive; default 0.1.
        factor: f64,
    },
    /// Multiplied by `rate` after every epoch.
    Exponential {
        /// Positive.
        rate: f64,
    },
    /// Rises from 0 to 1 over the first `warmup` steps, then falls along half a cosine towards `last`, which the step after the last would have.
    Cosine {
        /// In optimizer steps; default 0.
        warmup: u64,
        /// The factor at the end, at least 0; default 0. Written `final`.
        last: f64,
    },
    /// Rises from 0 to 1 over the first `warmup` steps, then falls along a line towards `last`, which the step after the last would have.
    Linear {
        /// In optimizer steps; default 0.
        warmup: u64,
        /// The factor at the end, at least 0; default 0. Written `final`.
        last: f64,
    },
}

/// The `train` block for a model: the one that names it, or else the one without a name.
pub(crate) fn block_for<'a>(
    program: &'a Program,
    model: &Model,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'a Train> {
    let named =
        program.train_blocks().find(|block| block.model.as_ref().is_some_and(|name| name.text == model.name.text));
    if named.is_some() {
        return named;
    }
    let block = program.train_blocks().find(|block| block.model.is_none())?;
    let others = program.models().len() > 1;
    if others && program.train_blocks().count() > 1 {
        return None;
    }
    if others {
        diagnostics.push(
            Diagnostic::error(codes::AMBIGUOUS_TRAIN, "this `train` block does not say which model it is for")
                .primary(block.header, "there are several models")
                .help(format!("name the model: `train {} {{ … }}`", model.name.text)),
        );
        return None;
    }
    Some(block)
}
