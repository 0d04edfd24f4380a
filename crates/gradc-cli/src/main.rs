//! The `gradc` command line: arguments, files, colour and progress. What it does is done by the crates `gradc`,
//! `gradc-train`, `gradc-check` and `gradc-bench`.

mod args;
mod bench;
mod check;
mod emit;
mod evaluate;
mod explain;
mod generate;
mod inspect;
mod model;
mod output;
mod progress;
mod run;
mod summary;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Cli, Color, Command, Format, OutputArgs};
use output::{Failure, Outcome, Output};

/// A compiler is over in milliseconds, a quarter of which the system's allocator would take.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// All of it on a thread that models can be elaborated on, so that none of them needs another one.
fn main() -> ExitCode {
    // Without such a thread there is an error where it is needed.
    gradc::elaborate::on_large_stack(command).unwrap_or_else(command)
}

fn command() -> ExitCode {
    let cli = Cli::parse();
    let plain = OutputArgs { format: Format::Text, color: Color::Auto };
    let mut output = Output::new(match &cli.command {
        None => &cli.inspect.output,
        Some(Command::Train(args)) => &args.output,
        Some(Command::Eval(args)) => &args.output,
        Some(Command::Predict(args)) => &args.output,
        Some(Command::Generate(args)) => &args.output,
        Some(Command::Run(args)) => &args.output,
        Some(Command::Check(args)) => &args.output,
        Some(Command::Explain(args)) => &args.output,
        Some(Command::Verify(args)) => &args.output,
        Some(Command::Bench(args)) => &args.output,
        Some(Command::Init(args)) => &args.output,
        Some(Command::Completions { .. }) => &plain,
    });
    match dispatch(&cli, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(output.failure(&failure)),
    }
}

fn dispatch(cli: &Cli, output: &mut Output) -> Outcome {
    match &cli.command {
        None => inspect::inspect(&cli.inspect, output),
        Some(Command::Train(args)) => train::train(args, output),
        Some(Command::Eval(args)) => evaluate::eval(args, output),
        Some(Command::Predict(args)) => evaluate::predict(args, output),
        Some(Command::Generate(args)) => generate::generate(args, output),
        Some(Command::Run(args)) => run::run(args, output),
        Some(Command::Check(args)) => check::check(args, output),
        Some(Command::Explain(args)) => explain::explain(args, output),
        Some(Command::Verify(args)) => explain::verify(args, output),
        Some(Command::Bench(args)) => bench::bench(args, output),
        Some(Command::Init(args)) => run::init(args, output),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "gradc", &mut script);
            output.text(&String::from_utf8_lossy(&script))
        }
    }
}

/// Ends with the help where nothing was asked for.
fn nothing_asked() -> Failure {
    let help = Cli::command().render_help();
    Failure::Usage(format!("no file is given\n\n{help}"))
}
