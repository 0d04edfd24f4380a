//! `gradc train`

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Instant;

use gradc::{Goal, Model, Options, UpdateRule};
use gradc_train::weights::{self, WeightFile};
use gradc_train::{
    Batch, Checkpoint, CompiledModel, Dataset, Examples, LoadOptions, Schedule, Settings, Trainer, Vocabulary, data,
    ensure_folder, split,
};
use serde_json::json;

use crate::args::TrainArgs;
use crate::evaluate::said_of_data;
use crate::model::{Said, model, no_data, options, program};
use crate::output::{Failure, Outcome, Output};
use crate::progress::Progress;

pub(crate) fn train(args: &TrainArgs, output: &mut Output) -> Outcome {
    let several = args.files.len() > 1;
    if several && (args.out.is_some() || args.checkpoint.is_some()) {
        let message = "--out and --checkpoint are for one file: several would overwrite each other's";
        return Err(Failure::Usage(message.to_owned()));
    }
    for path in args.out.iter().chain(&args.checkpoint) {
        // Said before the training, not after it.
        ensure_folder(path).said()?;
    }
    for (i, file) in args.files.iter().enumerate() {
        if several && !output.json() {
            output.line(format_args!("{}{}", if i > 0 { "\n" } else { "" }, file.display()))?;
        }
        train_one(file, args, output)?;
    }
    Ok(())
}

fn train_one(file: &Path, args: &TrainArgs, output: &mut Output) -> Outcome {
    let program = program(file, output)?;
    let model = model(&program, &args.compile, output)?;
    let plan = Plan::new(&model, file, args)?;
    let options = Options { threads: args.threads.threads, ..options(&args.compile, None) };
    // Mistakes in the model's goal come before those in its data.
    let goal = Goal::Training(plan.rule.clone());
    gradc::pipeline::ensure_goal(&model.graph_for(&goal, &options), &goal).said_of(&model)?;
    let compiled = CompiledModel::new(model.clone(), options, plan.rule.clone(), plan.settings.seed);
    let mut compiled = compiled.said_of(&model)?;
    let mut load_options = plan.load_options.clone();
    if let Some(path) = &args.weights {
        let weights = weights::read(path).said()?;
        load_options.vocabulary = Vocabulary::stored(&weights);
        let parameters = weights::parameters(path, weights, &compiled.parameter_specs()).said_of(&model)?;
        compiled.load(&parameters).said_of(&model)?;
    }
    let loaded = data::load(&plan.data, &compiled.input_specs(), &load_options);
    let loaded = said_of_data(loaded, args.data.is_some(), &model)?;
    let (examples, held_out) = examples(&loaded, &plan, args, &model)?;
    let full = compiled.batch_size();
    for size in [full.min(examples.len()), examples.len() % full.max(1)].into_iter().filter(|&size| size > 0) {
        compiled.prepare(size).said_of(&model)?;
    }
    if args.gradient_norms {
        gradient_norms(&mut compiled, &examples, &plan, output)?;
    }
    let settings = Settings { batch_size: compiled.batch_size(), ..plan.settings };
    let fingerprint = compiled.fingerprint();
    let mut trainer = Trainer::new(compiled, fingerprint, examples, held_out, settings).said_of(&model)?;
    if let Some(path) = args.checkpoint.as_ref().filter(|path| args.resume && path.exists()) {
        let checkpoint = Checkpoint::read(path).said()?;
        trainer.resume(&checkpoint).said_of(&model)?;
    }
    let begun = Instant::now();
    let mut clock = || begun.elapsed().as_secs_f64();
    let mut progress = Progress::new(output, args.checkpoint.clone().map(|path| (path, args.checkpoint_steps)));
    let outcome = trainer.run(&mut progress, &mut clock);
    progress.finish()?;
    outcome.said_of(&model)?;
    finish(&trainer, args, begun.elapsed().as_secs_f64(), output)
}

/// Everything that the file and the arguments say about a training.
struct Plan {
    data: PathBuf,
    load_options: LoadOptions,
    rule: UpdateRule,
    settings: Settings,
}

impl Plan {
    /// The arguments override the `train` block.
    fn new(model: &Model, file: &Path, args: &TrainArgs) -> Result<Plan, Failure> {
        let config = model.train_config();
        let source = config.and_then(|config| config.data.as_ref()).map(|located| &located.value);
        let beside = |path: &str| file.parent().unwrap_or(Path::new("")).join(path);
        let data = args.data.clone().or_else(|| source.map(|source| beside(&source.path)));
        let data = data.ok_or_else(|| no_data(model))?;
        let mut rule = config.map(UpdateRule::from).unwrap_or_default();
        if let Some(rate) = args.lr {
            rule = rule.with_learning_rate(rate);
        }
        let split = args.split.or_else(|| config.and_then(|config| config.split.as_ref()).map(|split| split.value));
        let settings = Settings {
            epochs: args.epochs.unwrap_or(config.map_or(10, |config| config.epochs)),
            batch_size: 0,
            shuffle: config.is_none_or(|config| config.shuffle),
            seed: args.seed.unwrap_or(config.map_or(0, |config| config.seed)),
            split,
            learning_rate: rule.learning_rate(),
            schedule: config.map_or(Schedule::Constant, |config| config.schedule.into()),
        };
        let mapping = source.map(gradc_train::model::mapping).unwrap_or_default();
        let stride = config.and_then(|config| config.stride).and_then(NonZero::new);
        let stride = stride.map(|stride| NonZero::try_from(stride).unwrap_or(NonZero::<usize>::MAX));
        let load_options = LoadOptions { mapping, stride, vocabulary: None };
        Ok(Plan { data, load_options, rule, settings })
    }
}

/// What is learned from and what is held out: the data's own test set, or a share of it.
fn examples<'d>(
    loaded: &'d data::Loaded,
    plan: &Plan,
    args: &TrainArgs,
    model: &Model,
) -> Result<(Examples<'d>, Option<Examples<'d>>), Failure> {
    match (&loaded.test, plan.settings.split) {
        (Some(test), None) => Ok((Examples::all(&loaded.train), Some(Examples::all(test)))),
        (_, None) => Ok((Examples::all(&loaded.train), None)),
        (_, Some(share)) => {
            let split = split(&loaded.train, share, plan.settings.seed);
            let split = if args.split.is_some() { split.said()? } else { split.said_of(model)? };
            Ok((split.train, split.held_out))
        }
    }
}

/// Prints the norm of each parameter's gradient at the first step: on the first batch, with the first values.
fn gradient_norms(compiled: &mut CompiledModel, examples: &Examples<'_>, plan: &Plan, output: &mut Output) -> Outcome {
    let dataset: &Dataset = examples.dataset();
    let order = gradc_train::batches::epoch_order(examples, plan.settings.shuffle, plan.settings.seed, 0);
    let rows = &order[..order.len().min(compiled.batch_size())];
    let mut batch = Batch::with_capacity(dataset, rows.len());
    batch.fill(dataset, rows);
    let norms = compiled.gradient_norms(&batch).said_of(&compiled.model().clone())?;
    if output.json() {
        for (name, norm) in &norms {
            output.object(&json!({ "event": "gradient_norm", "parameter": name, "norm": norm }))?;
        }
        return Ok(());
    }
    let width = norms.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let finite = |norm: &f64| norm.is_finite();
    let largest = norms.iter().map(|(_, norm)| *norm).filter(finite).fold(f64::MIN_POSITIVE, f64::max);
    output.line("norm of each parameter's gradient at the first step")?;
    for (name, norm) in &norms {
        // Two decades to a mark: ten marks span from the largest norm to one 1e-20 of it.
        let decades = if *norm > 0.0 { (norm / largest).log10().max(-20.0) } else { -20.0 };
        let eighths = ((20.0 + decades) * 4.0).round().max(0.0) as usize;
        let last = "▏▎▍▌▋▊▉".chars().nth((eighths % 8).wrapping_sub(1)).map(String::from).unwrap_or_default();
        output.line(format_args!("  {name:<width$}  {norm:>10.3e}  {}{last}", "█".repeat(eighths / 8)))?;
    }
    Ok(())
}

fn finish(trainer: &Trainer<'_, CompiledModel>, args: &TrainArgs, seconds: f64, output: &mut Output) -> Outcome {
    if let Some(path) = &args.out {
        let content = WeightFile { arrays: trainer.step().parameters(), metadata: trainer.metadata() };
        weights::write(path, &content).said()?;
    }
    let Some(last) = trainer.history().last() else { return Ok(()) };
    if output.json() {
        return Ok(());
    }
    let accuracy = match (last.val_accuracy, last.accuracy) {
        (Some(accuracy), _) => format!("held-out accuracy {accuracy:.4}"),
        (None, Some(accuracy)) => format!("accuracy {accuracy:.4}"),
        (None, None) => format!("loss {:.6}", last.val_loss.unwrap_or(last.loss)),
    };
    output.line(accuracy)?;
    if let Some(path) = &args.out {
        output.line(format_args!("weights written to {}", path.display()))?;
    }
    output.note(format_args!("trained in {seconds:.2} s"));
    Ok(())
}
