//! `gradc bench`

use std::fmt::Write;
use std::time::Duration;

use gradc::Without;
use gradc::diagnostics::{SourceMap, Span};
use gradc_bench::{Machine, Options, Report as Measured, StageTimes, StepReport, Variant};
use serde_json::{Value, json};

use crate::args::BenchArgs;
use crate::emit::goal_of;
use crate::model::{Said, dims, model_with, options, program};
use crate::output::{Outcome, Output, counted};
use crate::summary::{bytes, computed_again, flops, grouped, recomputed_as_json};

/// For how long each of the machine's limits is measured.
const MACHINE: Duration = Duration::from_millis(100);

/// Measures every model of every file, unless one is chosen.
pub(crate) fn bench(args: &BenchArgs, output: &mut Output) -> Outcome {
    let threads = args.threads.threads.unwrap_or_else(gradc::available_threads);
    let mut machine = Machine::measure(MACHINE.min(Duration::from_secs_f64(args.time)), threads);
    let mut first = true;
    for file in &args.files {
        let mut parsed = StageTimes::default();
        let program = parsed.measure("parse", || program(file, output))?;
        let names: Vec<String> = match &args.compile.model {
            Some(name) => vec![name.clone()],
            None => program.models().into_iter().map(str::to_owned).collect(),
        };
        for name in names {
            let mut stages = parsed.clone();
            let model = stages.measure("elaborate", || model_with(&program, &name, dims(&args.compile), output))?;
            let options = Options {
                goal: args.goal.map(|goal| goal_of(goal, &model, &[])),
                compile: gradc::Options { threads: Some(threads), ..options(&args.compile, args.dtype) },
                time: Duration::from_secs_f64(args.time),
                seed: args.seed,
                profile: args.profile,
            };
            let (object, text) = if args.ablate {
                let variants = gradc_bench::ablate(&model, &options).said_of(&model)?;
                (ablation_as_json(&name, &variants), ablation_as_text(&name, &variants))
            } else {
                let report = gradc_bench::bench(&model, &options, &mut machine, stages).said_of(&model)?;
                (as_json(&report, program.sources()), as_text(&report, &machine, program.sources()))
            };
            if output.json() {
                output.object(&object)?;
            } else {
                if !first {
                    output.line("")?;
                }
                output.text(&text)?;
            }
            first = false;
        }
    }
    Ok(())
}

/// A line for each variant, with its cost and its time as multiples of those of the first.
fn ablation_as_text(model: &str, variants: &[Variant]) -> String {
    let mut text = format!("model {model}\n");
    let titles = ["without", "operations", "flops", "moved", "arena", "step", "times"];
    let _ = writeln!(text, "{}", ablation_row(&titles.map(str::to_owned)));
    let first = variants.first().map_or(0.0, |variant| variant.runs.median.as_secs_f64());
    for variant in variants {
        let cells = [
            without(variant.without).unwrap_or("-").to_owned(),
            grouped(variant.operations as u64),
            flops(variant.work.flops),
            bytes(usize::try_from(variant.work.bytes).unwrap_or(usize::MAX)),
            bytes(variant.arena_bytes),
            time(variant.runs.median),
            format!("{:.2}", variant.runs.median.as_secs_f64() / first.max(1e-12)),
        ];
        let _ = writeln!(text, "{}", ablation_row(&cells));
    }
    text
}

fn ablation_row([without, operations, flops, moved, arena, step, times]: &[String; 7]) -> String {
    format!("  {without:<15} {operations:>10}  {flops:>12}  {moved:>10}  {arena:>10}  {step:>9}  {times:>5}")
}

/// What is left out, in a word.
fn without(part: Option<Without>) -> Option<&'static str> {
    part.map(|part| match part {
        Without::Simplifier => "simplification",
        Without::EGraph => "e-graph",
        Without::Rules(subject) => subject.name(),
    })
}

fn ablation_as_json(model: &str, variants: &[Variant]) -> Value {
    let variant = |variant: &Variant| {
        json!({
            "without": without(variant.without),
            "operations": variant.operations,
            "flops": variant.work.flops,
            "bytes_moved": variant.work.bytes,
            "arena_bytes": variant.arena_bytes,
            "step_us": variant.runs.median.as_secs_f64() * 1e6,
            "min_us": variant.runs.least.as_secs_f64() * 1e6,
            "runs": variant.runs.count,
        })
    };
    json!({ "model": model, "ablation": variants.iter().map(variant).collect::<Vec<_>>() })
}

fn as_text(report: &Measured, machine: &Machine, sources: &SourceMap) -> String {
    let mut text = format!("model {}\n", report.model);
    let mut line = |title: &str, value: String| {
        let _ = writeln!(text, "  {title:<10} {value}");
    };
    let runs = &report.runs;
    line(
        "step",
        format!(
            "{} median, {} least, of {} runs on {}",
            time(runs.median),
            time(runs.least),
            grouped(runs.count as u64),
            counted(report.threads, "thread")
        ),
    );
    let stages: Vec<String> =
        report.stages.stages().iter().map(|own| format!("{} {:.1}", own.stage, milliseconds(own.time))).collect();
    line("compile", format!("{:.1} ms: {}", milliseconds(report.stages.total()), stages.join(", ")));
    let work = &report.work;
    line(
        "work",
        format!(
            "{}, {} moved, {} operations",
            flops(work.flops),
            bytes(usize::try_from(work.bytes).unwrap_or(usize::MAX)),
            grouped(report.operations as u64)
        ),
    );
    line("memory", format!("{} of arena, {} in all", bytes(report.arena_bytes), bytes(work.working_set)));
    if let Some(recomputed) = &report.recomputed {
        line("again", computed_again(recomputed));
    }
    let roofline = report.roofline();
    let limit = if roofline.arithmetic >= roofline.traffic { "arithmetic" } else { "traffic" };
    line(
        "roofline",
        format!(
            "{:.1} % of it ({limit}): {:.1} GFLOP/s of {:.1} ({} on {}), {:.1} GB/s of {:.1}",
            100.0 * report.roofline_share(),
            report.gflops(),
            report.peak / 1e9,
            machine.instructions(),
            counted(machine.threads(), "thread"),
            work.bytes as f64 / runs.median.as_secs_f64().max(1e-12) / 1e9,
            report.bandwidth / 1e9
        ),
    );
    if let Some(steps) = &report.steps {
        text.push_str(&profile(steps, sources));
    }
    text
}

/// A line for each step, those that take longest first.
fn profile(steps: &[StepReport], sources: &SourceMap) -> String {
    let mut steps: Vec<&StepReport> = steps.iter().collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.runs.median));
    let total: Duration = steps.iter().map(|step| step.runs.median).sum();
    let width = steps.iter().map(|step| step.step.chars().count()).max().unwrap_or(0);
    let mut text = format!("\n  {:>10}  share  {:<width$}  {:>9}  computes\n", "time", "step", "rate");
    for step in steps {
        let seconds = step.runs.median.as_secs_f64().max(1e-12);
        let rate = match step.flops {
            Some(flops) => format!("{:.0} GF/s", flops as f64 / seconds / 1e9),
            None => format!("{:.0} GB/s", step.bytes as f64 / seconds / 1e9),
        };
        let share = 100.0 * seconds / total.as_secs_f64().max(1e-12);
        let _ = write!(text, "  {:>10}  {share:>4.1}%  {:<width$}  {rate:>9}  ", time(step.runs.median), step.step);
        let _ = writeln!(text, "{}{}", step.values.join(", "), places(&step.spans, sources));
    }
    text
}

/// ` (file:lines)`, lines in order and each once.
fn places(spans: &[Span], sources: &SourceMap) -> String {
    let mut places: Vec<(&str, u32)> =
        spans.iter().map(|span| (sources.name(span.file), sources.line_col(span.file, span.start).line)).collect();
    places.sort_unstable();
    places.dedup();
    let mut text = String::new();
    let mut last = "";
    for (file, line) in places {
        match file == last {
            true => text.push_str(&format!(", {line}")),
            false => text.push_str(&format!("{}{file}:{line}", if last.is_empty() { "" } else { "; " })),
        }
        last = file;
    }
    if text.is_empty() { text } else { format!(" ({text})") }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// With a unit that keeps the number below a thousand.
fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        _ if seconds < 1e-3 => format!("{:.1} µs", seconds * 1e6),
        _ if seconds < 1.0 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}

fn as_json(report: &Measured, sources: &SourceMap) -> Value {
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    let stages: serde_json::Map<String, Value> =
        report.stages.stages().iter().map(|own| (own.stage.clone(), json!(milliseconds(own.time)))).collect();
    let mut object = json!({
        "model": report.model,
        "step_us": microseconds(report.runs.median),
        "min_us": microseconds(report.runs.least),
        "runs": report.runs.count,
        "compile_ms": milliseconds(report.stages.total()),
        "stages_ms": stages,
        "gflops": report.gflops(),
        "flops": report.work.flops,
        "bytes_moved": report.work.bytes,
        "operations": report.operations,
        "roofline": report.roofline_share(),
        "peak_gflops": report.peak / 1e9,
        "bandwidth_gbs": report.bandwidth / 1e9,
        "arena_bytes": report.arena_bytes,
        "working_set_bytes": report.work.working_set,
        "computed_again": recomputed_as_json(report.recomputed.as_ref()),
        "threads": report.threads,
    });
    if let Some(steps) = &report.steps {
        let place = |span: &Span| json!({ "file": sources.name(span.file), "line": sources.line_col(span.file, span.start).line });
        let step = |step: &StepReport| {
            json!({
                "step": step.step,
                "values": step.values,
                "places": step.spans.iter().map(place).collect::<Vec<_>>(),
                "us": microseconds(step.runs.median),
                "flops": step.flops,
                "bytes": step.bytes,
            })
        };
        object["profile"] = Value::Array(steps.iter().map(step).collect());
    }
    object
}
