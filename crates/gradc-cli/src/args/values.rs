//! The values that arguments take.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;

/// `--vectors`
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum VectorBits {
    /// What every machine has
    #[value(name = "128")]
    Bits128,
    /// AVX2 with FMA
    #[value(name = "256")]
    Bits256,
    /// AVX-512
    #[value(name = "512")]
    Bits512,
}

/// `--fp`
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Fp {
    /// Only rewrites that keep every bit
    Strict,
    /// Also identities that never lose accuracy
    Accurate,
    /// Also reassociation and finite-only identities
    Fast,
}

/// `--format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// `--color`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On terminals
    Auto,
    /// Everywhere
    Always,
    /// Nowhere
    Never,
}

/// `--for`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GoalArg {
    /// Outputs alone, as `gradc predict` computes them
    Outputs,
    /// Outputs, loss and metrics
    Forward,
    /// Also the gradient of the loss
    Gradient,
    /// Also the optimiser's step
    Training,
}

/// `--phase`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PhaseArg {
    /// A training step or its gradient
    Training,
    /// Evaluation and prediction
    Inference,
}

impl From<PhaseArg> for gradc::Phase {
    fn from(phase: PhaseArg) -> gradc::Phase {
        match phase {
            PhaseArg::Training => gradc::Phase::Training,
            PhaseArg::Inference => gradc::Phase::Inference,
        }
    }
}

/// `--dtype`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloatArg {
    /// Single precision
    F32,
    /// Double precision
    F64,
}

/// One entry of `--emit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emit {
    pub(crate) stage: EmitStage,
    pub(crate) file: Option<PathBuf>,
}

/// What can be emitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum EmitStage {
    /// The syntax tree
    Ast,
    /// The forward graph
    Graph,
    /// The forward graph after it was made stable, which is what is differentiated
    Stable,
    /// The gradient before simplification
    GradRaw,
    /// The simplified gradient
    Grad,
    /// Certificates that the simplified gradient is equal to the one before, which `gradc verify` checks
    Proof,
    /// Directional derivatives of the outputs and the loss, along a tangent of each parameter or of what --wrt says
    Jvp,
    /// The gradient and Hessian-vector products, by the parameters or by what --wrt says
    Hvp,
    /// The loop nests
    Kernels,
    /// Steps and memory
    Plan,
    /// Cranelift's intermediate code
    Clif,
    /// Machine code
    Asm,
    /// A drawing for Graphviz
    Dot,
}

pub(super) fn parse_emit(text: &str) -> Result<Emit, String> {
    let (stage, file) = match text.split_once('=') {
        Some((stage, file)) => (stage, Some(PathBuf::from(file))),
        None => (text, None),
    };
    let known = || EmitStage::value_variants().iter().filter_map(ValueEnum::to_possible_value);
    match EmitStage::from_str(stage, false) {
        Ok(stage) if file.as_ref().is_none_or(|file| !file.as_os_str().is_empty()) => Ok(Emit { stage, file }),
        Ok(_) => Err(format!("`{text}` names no file")),
        Err(_) => {
            let names: Vec<String> = known().map(|value| value.get_name().to_owned()).collect();
            Err(format!("there is no stage `{stage}`: choose from {}", names.join(", ")))
        }
    }
}

pub(super) fn parse_positive(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "it is a number above 0".to_owned())
}

pub(super) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "it is a number of seconds from 0 to 3600".to_owned())
}

/// The most threads that can be asked for.
const MOST_THREADS: usize = 1024;

pub(super) fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse::<NonZeroUsize>().ok().filter(|threads| threads.get() <= MOST_THREADS);
    threads.ok_or_else(|| format!("it is a whole number from 1 to {MOST_THREADS}"))
}

/// A number of bytes, or of a unit of them.
pub(super) fn parse_bytes(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "kb" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        _ => None,
    };
    let bytes = digits.parse::<usize>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| "it is a whole number of bytes, or of KiB, MiB or GiB: 64MiB".to_owned())
}

pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "a learning rate is a number above 0".to_owned())
}

pub(super) fn parse_temperature(text: &str) -> Result<f64, String> {
    let temperature = text.parse::<f64>().ok().filter(|temperature| temperature.is_finite() && *temperature >= 0.0);
    temperature.ok_or_else(|| "a temperature is a number of at least 0".to_owned())
}

pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to less than 1".to_owned())
}

pub(super) fn parse_dim(text: &str) -> Result<(String, usize), String> {
    let (name, extent) = text.split_once('=').ok_or("expected NAME=N, such as batch=64")?;
    let extent = extent.trim().parse().map_err(|_| format!("`{extent}` is not a whole number"))?;
    Ok((name.trim().to_owned(), extent))
}
