//! `gradc check`

use std::collections::BTreeMap;
use std::path::Path;

use gradc::ir::LeafKind;
use gradc::{Model, Phase, State};
use gradc_check::{Compared, Finding, Options, Point, Report, Verdict};
use gradc_train::{Array, data, model as train_model, tensors, weights};
use serde_json::{Value, json};

use crate::args::CheckArgs;
use crate::model::{Said, dims, model_with, options, program};
use crate::output::{Failure, Outcome, Output};

/// Checks every model of every file, unless one is chosen; fails once all are checked.
pub(crate) fn check(args: &CheckArgs, output: &mut Output) -> Outcome {
    let mut passed = true;
    let mut first = true;
    for file in &args.files {
        let program = program(file, output)?;
        let names: Vec<String> = match &args.compile.model {
            Some(name) => vec![name.clone()],
            None => program.models().into_iter().map(str::to_owned).collect(),
        };
        if names.is_empty() {
            program.only_model_name().said()?;
        }
        for name in names {
            let arrays = match &args.data {
                Some(path) => {
                    let inputs = program.input_names(&name);
                    data::read_npz_where(path, |key| inputs.contains(key)).said()?
                }
                None => BTreeMap::new(),
            };
            let shapes = arrays.iter().map(|(name, array)| (name.as_str(), array.shape()));
            let dims = program.dims_for(&name, &dims(&args.compile), shapes);
            let model = model_with(&program, &name, dims, output)?;
            let point = point(&model, arrays, args.weights.as_deref())?;
            let report = gradc_check::check(&model, &point, &check_options(args)).said_of(&model)?;
            if !first && !output.json() {
                output.line("")?;
            }
            deliver(&report, &model, output)?;
            (passed, first) = (passed && report.passed(), false);
        }
    }
    if passed { Ok(()) } else { Err(Failure::Reported) }
}

fn check_options(args: &CheckArgs) -> Options {
    Options {
        seed: args.seed,
        tolerance: args.tolerance,
        step: args.step,
        directions: usize::from(args.directions),
        wrt: args.wrt.clone(),
        second_order: args.second_order,
        check_custom: args.check_custom,
        compile: gradc::Options { phase: args.phase.map(Into::into), ..options(&args.compile, None) },
        ..Options::default()
    }
}

/// What is given: arrays for inputs, which may be others than the model has, and a file of weights.
fn point(model: &Model, mut arrays: BTreeMap<String, Array>, path: Option<&Path>) -> Result<Point, Failure> {
    let mut point = Point::default();
    let graph = model.graph();
    for leaf in graph.leaves(LeafKind::Input) {
        let Some(name) = graph.value_name(leaf) else { continue };
        if let Some(array) = arrays.remove(&**name) {
            let tensor = tensors::input(name, array, graph.dtype(leaf)).said_of(model)?;
            point.inputs.insert(name.to_string(), tensor);
        }
    }
    if let Some(path) = path {
        gradc::ensure_state_fits(graph).said_of(model)?;
        let specs = train_model::parameter_specs(&State::initial(graph, 0));
        for (name, array) in weights::read_parameters(path, &specs).said_of(model)? {
            point.parameters.insert(name, tensors::view(&array).to_owned());
        }
    }
    Ok(point)
}

fn deliver(report: &Report, model: &Model, output: &mut Output) -> Outcome {
    let diagnostics: Vec<_> = report.findings.iter().map(Finding::diagnostic).collect();
    if output.json() {
        json_lines(report).iter().try_for_each(|line| output.object(line))?;
        return output.diagnostics(&diagnostics, model.program().sources());
    }
    output.diagnostics(&diagnostics, model.program().sources())?;
    output.text(&report.table())
}

/// An object for each gradient and each identity, and one for the outcome.
fn json_lines(report: &Report) -> Vec<Value> {
    let targets = report.targets.iter().map(|target| {
        let (along, count) = match target.compared {
            Compared::Entries(count) => ("axes", count),
            Compared::Directions(count) => ("directions", count),
        };
        let shape: &[usize] = &target.ty.shape;
        json!({
            "event": "gradient", "model": report.model, "by": target.name, "dtype": target.ty.dtype.name(),
            "shape": shape, "rms": target.gradient, "along": along, "count": count, "error": target.error,
            "tolerance": target.tolerance, "verdict": target.verdict.name().to_lowercase(),
        })
    });
    let identities = report.identities.iter().map(|identity| {
        json!({
            "event": "identity", "model": report.model, "identity": identity.name, "of": identity.of,
            "error": identity.error, "tolerance": identity.tolerance,
            "verdict": identity.verdict.name().to_lowercase(),
        })
    });
    let phase = report.phase.map(Phase::name);
    let outcome = json!({
        "event": "check", "model": report.model, "phase": phase, "seed": report.seed, "loss": report.loss,
        "passed": report.passed(), "ok": report.count(Verdict::Ok), "kink": report.count(Verdict::Kink),
        "skip": report.count(Verdict::Skipped), "fail": report.failed(),
    });
    targets.chain(identities).chain([outcome]).collect()
}
