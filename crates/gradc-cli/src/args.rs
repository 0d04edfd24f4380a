//! The command line as data.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

mod values;

pub(crate) use values::{Color, Emit, EmitStage, FloatArg, Format, Fp, GoalArg, PhaseArg, VectorBits};
use values::{
    parse_bytes, parse_dim, parse_emit, parse_positive, parse_rate, parse_seconds, parse_share, parse_temperature,
    parse_threads,
};

/// Compiles neural networks, shows their gradients and trains them.
#[derive(Debug, Parser)]
#[command(
    name = "gradc",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 on success, 1 where a file or its data is wrong, 2 where the command line is.\n\n\
                  Examples:\n  gradc model.net                        check, and a summary\n  \
                  gradc model.net --emit-grad            the simplified gradient as a program\n  \
                  gradc train model.net                  train on the data that the file names\n  \
                  gradc check model.net                  hold its gradients against finite differences\n  \
                  gradc bench model.net                  the time of a training step, and the machine's limits\n  \
                  gradc explain model.net d_w            how a gradient came to be what it is\n  \
                  gradc --explain E0301                  what an error code means"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) inspect: InspectArgs,
}

/// What `gradc FILE` does.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A model (`.net`), or a graph that gradc emitted (`.ir`)
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Explain an error code, such as E0301
    #[arg(long, value_name = "CODE", conflicts_with = "file")]
    pub(crate) explain: Option<String>,

    /// Print the simplified gradient: short for --emit=grad
    #[arg(long)]
    pub(crate) emit_grad: bool,

    /// Print what a stage of the compiler makes, or write it to a file
    #[arg(long, value_name = "STAGE[=FILE],…", value_delimiter = ',', value_parser = parse_emit)]
    pub(crate) emit: Vec<Emit>,

    /// What kernels, plan, clif, asm and dot are emitted of [default: gradient, or forward without a loss]
    #[arg(long = "for", value_name = "GOAL")]
    pub(crate) goal: Option<GoalArg>,

    /// Also differentiate by this input or named value; jvp and hvp, only by these (repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) wrt: Vec<String>,

    /// What the model is compiled for: the value of `training` in it [default: training for gradients and training steps,
    /// else inference]
    #[arg(long, value_enum)]
    pub(crate) phase: Option<PhaseArg>,

    /// Say beside each line of an emitted gradient which rules made it
    #[arg(long)]
    pub(crate) blame: bool,

    /// Print the time of each stage of the compiler to stderr
    #[arg(long)]
    pub(crate) timings: bool,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Which model, and how it is compiled.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompileArgs {
    /// The model, where the file has several
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,

    /// Bind a dim (repeatable)
    #[arg(long = "dim", value_name = "NAME=N", value_parser = parse_dim)]
    pub(crate) dims: Vec<(String, usize)>,

    /// Which identities of floating-point arithmetic may be used
    #[arg(long, value_enum, default_value_t = Fp::Accurate)]
    pub(crate) fp: Fp,

    /// How much is optimised: 0 nothing, 1 without the e-graph, 2 everything
    #[arg(short = 'O', value_name = "LEVEL", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) level: u8,

    /// How wide the vectors of kernels are: as wide as the machine has them, unless this says otherwise
    #[arg(long, value_enum, value_name = "BITS")]
    pub(crate) vectors: Option<VectorBits>,

    /// Work in so many bytes of memory at the most (or KiB, MiB, GiB: 64MiB), beside parameters and data: values are computed
    /// again where keeping them would take more
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    pub(crate) memory_limit: Option<usize>,
}

/// On how many threads compiled code runs.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ThreadArgs {
    /// Run on so many threads at the most; results do not depend on it [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub(crate) threads: Option<NonZeroUsize>,
}

/// How results are shown.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutputArgs {
    /// Text for people, or JSON, one object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// When to use colour; `auto` obeys NO_COLOR
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train models on data
    Train(TrainArgs),
    /// Measure loss and metrics of trained weights on data
    Eval(EvalArgs),
    /// Compute the outputs for every example of a data file
    Predict(PredictArgs),
    /// Make up text with a model that was trained on text
    Generate(GenerateArgs),
    /// Evaluate a model once: outputs and loss, and gradients on request
    Run(RunArgs),
    /// Hold the gradients of models against finite differences and against each other
    Check(CheckArgs),
    /// Measure the time of a training step, or of whatever else a model is compiled for
    Bench(BenchArgs),
    /// Show how a value of the gradient came to be what it is, one equation a line
    Explain(ExplainArgs),
    /// Check certificates: files that `--emit=proof=FILE` has written
    Verify(VerifyArgs),
    /// Write the initial weights of a model
    Init(InitArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `gradc train`
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// Models to train, one after another
    #[arg(required = true, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Data: .npz, .csv, .txt, IDX, or a directory with the MNIST files [default: what the model's `train` block names]
    #[arg(long, value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<PathBuf>,

    /// Number of passes over the data
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) epochs: Option<u64>,

    /// Seed of initial weights, split and shuffling
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Learning rate before its schedule
    #[arg(long, value_parser = parse_rate, allow_negative_numbers = true)]
    pub(crate) lr: Option<f64>,

    /// Share of the data that is held out, from 0 to less than 1
    #[arg(long, value_parser = parse_share, allow_negative_numbers = true)]
    pub(crate) split: Option<f64>,

    /// Start from these weights (safetensors)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: Option<PathBuf>,

    /// Write the trained weights here (safetensors)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,

    /// Keep a checkpoint here: after each epoch, and after every N steps with --checkpoint-steps
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) checkpoint: Option<PathBuf>,

    /// Also write the checkpoint after every N steps
    #[arg(long, value_name = "N", requires = "checkpoint", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) checkpoint_steps: Option<u64>,

    /// Go on from the checkpoint, if it is there
    #[arg(long, requires = "checkpoint")]
    pub(crate) resume: bool,

    /// Print the norm of each parameter's gradient at the first step
    #[arg(long)]
    pub(crate) gradient_norms: bool,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc eval`
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The model
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Data; all of it is used, or the test set that it brings [default: the held-out part of the data that the model's
    /// `train` block names]
    #[arg(long, value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<PathBuf>,

    /// Share of the data that was held out, from 0 to less than 1; only that is used [default: as the weights were trained]
    #[arg(long, value_parser = parse_share, allow_negative_numbers = true)]
    pub(crate) split: Option<f64>,

    /// Seed that it was chosen by [default: as the weights were trained]
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Trained weights (safetensors)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: PathBuf,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc predict`
#[derive(Debug, Args)]
pub(crate) struct PredictArgs {
    /// The model
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Data with every input that the outputs depend on [default: what the model's `train` block names]
    #[arg(long, value_hint = ValueHint::AnyPath)]
    pub(crate) data: Option<PathBuf>,

    /// Trained weights (safetensors)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: PathBuf,

    /// Write the outputs here (npz)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc generate`
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// A model that gives logits of the next character
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Weights that were trained on text (safetensors)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: PathBuf,

    /// What the text begins with [default: the end of a line]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) prompt: Option<String>,

    /// How many characters to add
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) length: u64,

    /// What logits are divided by: below 1 what is likely becomes likelier, 0 takes the likeliest
    #[arg(long, value_name = "T", default_value_t = 1.0, value_parser = parse_temperature, allow_negative_numbers = true)]
    pub(crate) temperature: f64,

    /// Seed of what is drawn
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// A model (`.net`), or a graph that gradc emitted (`.ir`)
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Inputs by name (npz); dims are taken from their shapes
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(crate) data: Option<PathBuf>,

    /// Weights by name (safetensors) [default: initial weights]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: Option<PathBuf>,

    /// Seed of the initial weights, where none are given
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Write the results here (npz): each output and metric by its name, `loss`, and `grad.NAME` [default: print them]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,

    /// Also compute the gradient of every parameter
    #[arg(long)]
    pub(crate) grad: bool,

    /// Also differentiate by this input or named value, the last of several of one name (repeatable); implies --grad
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) wrt: Vec<String>,

    /// What the model is compiled for: the value of `training` in it [default: training with --grad, else inference]
    #[arg(long, value_enum)]
    pub(crate) phase: Option<PhaseArg>,

    /// Use the reference interpreter instead of compiled code
    #[arg(long)]
    pub(crate) interp: bool,

    /// Precision of all floats
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<FloatArg>,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc check`
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Models (`.net`), or graphs that gradc emitted (`.ir`)
    #[arg(required = true, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Inputs by name (npz); dims are taken from their shapes [default: random numbers]
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(crate) data: Option<PathBuf>,

    /// Weights by name (safetensors) [default: initial weights with noise]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) weights: Option<PathBuf>,

    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,

    /// The largest relative error that is no failure
    #[arg(long, value_name = "ERROR", default_value_t = 1e-6, value_parser = parse_positive, allow_negative_numbers = true)]
    pub(crate) tolerance: f64,

    /// The step of the finite differences
    #[arg(long, value_name = "STEP", default_value_t = 1e-5, value_parser = parse_positive, allow_negative_numbers = true)]
    pub(crate) step: f64,

    /// Along how many random directions a large parameter is moved; a small one is moved along every axis
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) directions: u16,

    /// Also check the derivative by this input or named value (repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) wrt: Vec<String>,

    /// Also check second derivatives
    #[arg(long)]
    pub(crate) second_order: bool,

    /// Fail where a rule of the program's own (`vjp`) is not the derivative of what its function computes
    #[arg(long)]
    pub(crate) check_custom: bool,

    /// What the model is checked as: the value of `training` in it [default: training]
    #[arg(long, value_enum)]
    pub(crate) phase: Option<PhaseArg>,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc bench`
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Models (`.net`), or graphs that gradc emitted (`.ir`)
    #[arg(required = true, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// What is measured [default: a complete training step, or the outputs without a loss]
    #[arg(long = "for", value_name = "GOAL")]
    pub(crate) goal: Option<GoalArg>,

    /// For how long runs are timed, in seconds; there are five at the fewest
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = parse_seconds, allow_negative_numbers = true)]
    pub(crate) time: f64,

    /// Seed of the random data
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,

    /// Also time each kernel, product and loop, with the lines of the source that it comes from
    #[arg(long)]
    pub(crate) profile: bool,

    /// Compare with what the compiler makes without the rules about each subject, without the e-graph, and without
    /// simplification
    #[arg(long, conflicts_with = "profile")]
    pub(crate) ablate: bool,

    /// Precision of all floats
    #[arg(long, value_enum)]
    pub(crate) dtype: Option<FloatArg>,

    #[command(flatten)]
    pub(crate) threads: ThreadArgs,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc explain`
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A model (`.net`), or a graph that gradc emitted (`.ir`)
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Names of the printed gradient, such as t3, or d_w for the gradient by w
    #[arg(required = true, value_name = "VALUE")]
    pub(crate) values: Vec<String>,

    /// Also differentiate by this input or named value (repeatable)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) wrt: Vec<String>,

    /// What the model is compiled for [default: training]
    #[arg(long, value_enum)]
    pub(crate) phase: Option<PhaseArg>,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Files of certificates
    #[arg(required = true, value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `gradc init`
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The model
    #[arg(value_hint = ValueHint::FilePath, value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Write the weights here (safetensors)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) out: PathBuf,

    /// Seed [default: that of the model's `train` block, or 0]
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    #[command(flatten)]
    pub(crate) compile: CompileArgs,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
