//! `gradc eval` and `gradc predict`

use std::path::{Path, PathBuf};

use gradc::{About, Coded, Model, Options, UpdateRule};
use gradc_train::data::{self, InputSpec, Loaded};
use gradc_train::weights;
use gradc_train::{
    Array, CompiledModel, DataError, Examples, HeldOut, LoadOptions, Mapping, Vocabulary, evaluate, split,
};
use serde_json::json;

use crate::args::{CompileArgs, EvalArgs, PredictArgs, ThreadArgs};
use crate::model::{Said, model, no_data, options, program};
use crate::output::{Failure, Outcome, Output, counted};

pub(crate) fn eval(args: &EvalArgs, output: &mut Output) -> Outcome {
    let Trained { mut compiled, vocabulary, held_out } =
        trained(&args.file, &args.weights, &args.compile, args.threads, output)?;
    let model = compiled.model().clone();
    if model.graph().loss().is_none() {
        return Err(gradc::GoalError::NoLoss).said_of(&model);
    }
    let loaded = load(&model, &args.file, args.data.as_deref(), &compiled.input_specs(), vocabulary)?;
    // The examples that were held out when the weights were trained, or else those that the `train` block holds out.
    let config = model.train_config();
    let split_by_config = || config.and_then(|config| config.split.as_ref()).map(|split| split.value);
    let split_by_training = || held_out.map(|held_out| held_out.share).or_else(split_by_config);
    let share = if args.data.is_some() { args.split } else { args.split.or_else(split_by_training) };
    let seed_by_training = || held_out.map_or_else(|| config.map_or(0, |config| config.seed), |held_out| held_out.seed);
    let seed = args.seed.unwrap_or_else(seed_by_training);
    let examples = match (&loaded.test, share) {
        (Some(test), None) => Examples::all(test),
        (_, Some(share)) => {
            let split = split(&loaded.train, share, seed).said()?;
            split.held_out.unwrap_or(split.train)
        }
        (None, None) => Examples::all(&loaded.train),
    };
    let batch_size = compiled.batch_size();
    let evaluation = evaluate(&mut compiled, &examples, batch_size).said_of(&model)?;
    if output.json() {
        return output.object(&json!({
            "event": "eval",
            "examples": examples.len(),
            "loss": evaluation.loss,
            "accuracy": gradc_train::observer::accuracy(&evaluation.metrics),
            "metrics": evaluation.metrics,
        }));
    }
    output.line(counted(examples.len(), "example"))?;
    output.line(format_args!("loss {:.6}", evaluation.loss))?;
    evaluation.metrics.iter().try_for_each(|(name, value)| output.line(format_args!("{name} {value:.4}")))
}

pub(crate) fn predict(args: &PredictArgs, output: &mut Output) -> Outcome {
    let Trained { mut compiled, vocabulary, .. } =
        trained(&args.file, &args.weights, &args.compile, args.threads, output)?;
    let (model, specs) = (compiled.model().clone(), compiled.predict_specs());
    let loaded = load(&model, &args.file, args.data.as_deref(), &specs, vocabulary)?;
    let dataset = loaded.test.as_ref().filter(|_| args.data.is_some()).unwrap_or(&loaded.train);
    let examples = Examples::all(dataset);
    let batch_size = compiled.batch_size();
    let predictions = gradc_train::predict(&mut compiled, &examples, batch_size).said_of(&model)?;
    let arrays: Vec<(&str, &Array)> = predictions.iter().map(|(name, array)| (name.as_str(), array)).collect();
    data::write_npz(&args.out, &arrays).said()?;
    if output.json() {
        let names: Vec<&str> = arrays.iter().map(|(name, _)| *name).collect();
        return output.object(&json!({ "event": "predict", "examples": examples.len(), "outputs": names }));
    }
    output.line(format_args!("{}, written to {}", counted(examples.len(), "example"), args.out.display()))
}

/// A model with trained weights, and what their file says besides.
pub(crate) struct Trained {
    pub(crate) compiled: CompiledModel,
    /// What class ids stand for, if it was trained on text.
    pub(crate) vocabulary: Option<Vocabulary>,
    /// What was held out of its data.
    held_out: Option<HeldOut>,
}

/// What was read, or what is wrong with it. Where an argument has said what to read, no place in the source has.
pub(crate) fn said_of_data<T>(read: Result<T, DataError>, by_argument: bool, model: &Model) -> Result<T, Failure> {
    match read {
        Err(error) if by_argument && error.about() == Some(About::Data) => Err(error).said(),
        read => read.said_of(model),
    }
}

/// Reads a model and its trained weights.
pub(crate) fn trained(
    file: &Path,
    path: &Path,
    args: &CompileArgs,
    threads: ThreadArgs,
    output: &mut Output,
) -> Result<Trained, Failure> {
    let program = program(file, output)?;
    let model = model(&program, args, output)?;
    let rule = model.train_config().map(UpdateRule::from).unwrap_or_default();
    let options = Options { threads: threads.threads, ..options(args, None) };
    let mut compiled = CompiledModel::new(model.clone(), options, rule, 0).said_of(&model)?;
    let weights = weights::read(path).said()?;
    let (vocabulary, held_out) = (Vocabulary::stored(&weights), HeldOut::stored(&weights));
    let parameters = weights::parameters(path, weights, &compiled.parameter_specs()).said_of(&model)?;
    compiled.load(&parameters).said_of(&model)?;
    Ok(Trained { compiled, vocabulary, held_out })
}

fn load(
    model: &Model,
    file: &Path,
    given: Option<&Path>,
    specs: &[InputSpec],
    vocabulary: Option<Vocabulary>,
) -> Result<Loaded, Failure> {
    let source = model.train_config().and_then(|config| config.data.as_ref()).map(|located| &located.value);
    let beside = |path: &str| file.parent().unwrap_or(Path::new("")).join(path);
    let path: PathBuf = given
        .map(Path::to_owned)
        .or_else(|| source.map(|source| beside(&source.path)))
        .ok_or_else(|| no_data(model))?;
    let mut mapping: Mapping = source.map(gradc_train::model::mapping).unwrap_or_default();
    mapping.retain(|input, _| specs.iter().any(|spec| spec.name == *input));
    said_of_data(data::load(&path, specs, &LoadOptions { mapping, stride: None, vocabulary }), given.is_some(), model)
}
