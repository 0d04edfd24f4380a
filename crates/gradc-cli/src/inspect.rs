//! `gradc FILE`: mistakes, summary, and what stages make.

use gradc::diagnostics::codes;
use gradc_bench::StageTimes;

use crate::args::InspectArgs;
use crate::emit;
use crate::model::{dims, model_name, model_with, program};
use crate::nothing_asked;
use crate::output::{Failure, Outcome, Output};
use crate::summary;

pub(crate) fn inspect(args: &InspectArgs, output: &mut Output) -> Outcome {
    if let Some(code) = &args.explain {
        return explain(code, output);
    }
    let Some(file) = &args.file else { return Err(nothing_asked()) };
    let mut timings = StageTimes::default();
    let program = timings.measure("parse", || program(file, output))?;
    let emits = emit::requested(args);
    if emits.is_empty() {
        let names: Vec<String> = match &args.compile.model {
            Some(name) => vec![name.clone()],
            None => program.models().into_iter().map(str::to_owned).collect(),
        };
        if names.is_empty() {
            return output.line(format_args!("{}: no models, and no mistakes", file.display()));
        }
        let only = names.len() == 1;
        for name in names {
            let mut timings = timings.clone();
            let model = timings.measure("elaborate", || model_with(&program, &name, dims(&args.compile), output))?;
            if !only && !output.json() {
                output.line("")?;
            }
            summary::print(&model, args, timings, output)?;
        }
        return Ok(());
    }
    if emits.iter().all(|emit| emit.stage == crate::args::EmitStage::Ast) {
        return emit::ast(&program, &emits, output);
    }
    let name = model_name(&program, &args.compile)?;
    let model = timings.measure("elaborate", || model_with(&program, &name, dims(&args.compile), output))?;
    emit::emit(&model, args, &emits, timings, output)
}

fn explain(code: &str, output: &mut Output) -> Outcome {
    match codes::find(code) {
        Some(code) => output.text(&format!("{code}: {}\n\n{}", code.title(), code.explanation())),
        None => {
            let known = codes::ALL.iter().map(|code| code.id());
            let meant = gradc::diagnostics::did_you_mean(&code.to_uppercase(), known).map(str::to_owned);
            let hint = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
            Err(Failure::Usage(format!("there is no error code {code}{hint}")))
        }
    }
}
