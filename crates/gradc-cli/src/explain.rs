//! `gradc explain` and `gradc verify`: how a gradient came to be what it is, and whether a certificate of that holds.

use std::path::Path;

use gradc::certificate::{Checked, Derivation, Line, Reasons};
use gradc::diagnostics::codes;
use gradc::pipeline::{Observer, Stage, lower};
use gradc::{Goal, Options, Verified, verify_proof};
use serde_json::{Value, json};

use crate::args::{ExplainArgs, VerifyArgs};
use crate::model::{Said, model, options, program};
use crate::output::{Failure, Outcome, Output};

/// Shows the derivations of values.
pub(crate) fn explain(args: &ExplainArgs, output: &mut Output) -> Outcome {
    let program = program(&args.file, output)?;
    let model = model(&program, &args.compile, output)?;
    let options = Options { phase: args.phase.map(Into::into), ..options(&args.compile, None) };
    let goal = match model.graph().loss() {
        Some(_) => Goal::Gradient { wrt: args.wrt.clone() },
        None => Goal::Forward,
    };
    let mut told = Told::default();
    lower(&model.graph_for(&goal, &options), &goal, &options, &mut told).said_of(&model)?;
    for (position, value) in args.values.iter().enumerate() {
        if position > 0 && !output.json() {
            output.line("")?;
        }
        explain_value(value, &mut told, output)?;
    }
    Ok(())
}

/// What each pass of the simplifier says about a value: before differentiation, where it changed there, and after it.
fn explain_value(value: &str, told: &mut Told, output: &mut Output) -> Outcome {
    let Some(derivation) = told.0.last_mut().and_then(|(_, reasons)| reasons.explain(value)) else {
        return Err(unknown(value, told));
    };
    let (mut shown, count) = (false, told.0.len());
    // A part of a value is called by its number, and there are others of it before differentiation.
    for (stage, reasons) in told.0[..count - 1].iter_mut().filter(|(_, reasons)| reasons.is_named(value)) {
        let Some(derivation) = reasons.explain(value).filter(|derivation| derivation.lines.len() > 1) else { continue };
        if output.json() {
            output.object(&as_json(*stage, &derivation))?;
        } else {
            output.line("before differentiation, by the names that --emit=stable prints:")?;
            output.text(&derivation.to_string())?;
        }
        shown = true;
    }
    // What the first pass left alone is told by the second.
    if shown && derivation.lines.len() < 2 {
        return Ok(());
    }
    if output.json() {
        return output.object(&as_json(told.0[count - 1].0, &derivation));
    }
    if shown {
        output.line("")?;
    }
    output.text(&derivation.to_string())
}

/// What is wrong with the name of a value.
fn unknown(value: &str, told: &Told) -> Failure {
    let within = told.0.iter().rev().find_map(|(_, reasons)| reasons.loop_with(value));
    let message = match within.map(|results| results.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>()) {
        Some(results) => format!(
            "`{value}` is computed in each step of a `scan`: what can be explained is what comes out of the loop, {}",
            results.join(" and ")
        ),
        None => format!("the simplified gradient has no value called `{value}`: `--emit-grad` prints it"),
    };
    Failure::error(codes::UNKNOWN_VALUE, message)
}

/// Keeps the reasons.
#[derive(Default)]
struct Told(Vec<(Stage, Reasons)>);

impl Observer for Told {
    fn wants_reasons(&self) -> bool {
        true
    }

    fn reasons(&mut self, stage: Stage, reasons: Reasons) {
        self.0.push((stage, reasons));
    }
}

fn as_json(stage: Stage, derivation: &Derivation) -> Value {
    let line = |line: &Line| {
        let mut value = json!({ "expression": line.expression });
        if let Some(by) = &line.by {
            value["rule"] = json!(by.rule);
            value["class"] = json!(by.class.name());
            value["reason"] = json!(by.reason);
            value["backwards"] = json!(by.backwards);
        }
        value
    };
    let lines: Vec<Value> = derivation.lines.iter().map(line).collect();
    json!({ "stage": stage.to_string(), "value": derivation.name, "of": derivation.of, "lines": lines })
}

/// Checks certificates; fails once all files are checked.
pub(crate) fn verify(args: &VerifyArgs, output: &mut Output) -> Outcome {
    let mut passed = true;
    for file in &args.files {
        match verify_proof(file).said() {
            Ok(verified) => {
                verified.iter().try_for_each(|verified| deliver(file, verified, output))?;
            }
            Err(failure) => {
                output.failure(&failure);
                passed = false;
            }
        }
    }
    if passed { Ok(()) } else { Err(Failure::Reported) }
}

fn deliver(file: &Path, verified: &Verified, output: &mut Output) -> Outcome {
    let Verified { pass, mode, checked } = verified;
    let of_classes: Vec<(&str, usize)> = checked.classes.iter().map(|(class, count)| (class.name(), *count)).collect();
    if output.json() {
        let classes: serde_json::Map<String, Value> =
            of_classes.iter().map(|(class, count)| ((*class).to_owned(), json!(count))).collect();
        return output.object(&json!({
            "file": file.display().to_string(), "pass": pass.name(), "mode": mode.name(), "results": checked.results,
            "steps": checked.steps(), "rules": checked.rules, "classes": classes, "facts": checked.learnt,
            "arithmetic": checked.folded, "reordered": checked.reordered, "loops": checked.loops,
            "lemmas": checked.lemmas, "uses": checked.uses, "sampled": checked.sampled, "unsampled": checked.unsampled,
        }));
    }
    output.text(&summary(file, verified, &of_classes, checked))
}

fn summary(file: &Path, verified: &Verified, classes: &[(&str, usize)], checked: &Checked) -> String {
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut text = format!("{}: {}, {}: ok\n", file.display(), verified.pass.name(), verified.mode);
    let mut parts: Vec<String> = classes.iter().map(|(class, count)| format!("{count} by {class} rules")).collect();
    let others = [(checked.folded, "of arithmetic"), (checked.reordered, "of reordering"), (checked.loops, "of loops")];
    parts.extend(others.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    text.push_str(&format!("  {}, {}{parts}\n", plural(checked.results, "result"), plural(checked.steps(), "step")));
    if checked.lemmas > 0 {
        text.push_str(&format!("  {}, used {}\n", plural(checked.lemmas, "lemma"), plural(checked.uses, "time")));
    }
    if checked.sampled + checked.unsampled > 0 {
        let too_large = match checked.unsampled {
            0 => String::new(),
            count => format!("; {count} too large for that"),
        };
        text.push_str(&format!("  {} computed on random numbers{too_large}\n", plural(checked.sampled, "step")));
    }
    text
}
