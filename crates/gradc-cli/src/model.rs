//! From arguments to a model.

use std::path::Path;

use gradc::elaborate::Dims;
use gradc::ir::DType;
use gradc::{Error, Level, Mode, Model, Options, Program};

use crate::args::{CompileArgs, FloatArg, Fp};
use crate::output::{Failure, Outcome, Output};

/// The options of the compiler that the arguments stand for.
pub(crate) fn options(args: &CompileArgs, float: Option<FloatArg>) -> Options {
    let mode = match args.fp {
        Fp::Strict => Mode::Strict,
        Fp::Accurate => Mode::Accurate,
        Fp::Fast => Mode::Fast,
    };
    let float = float.map(|float| match float {
        FloatArg::F32 => DType::F32,
        FloatArg::F64 => DType::F64,
    });
    Options { mode, level: Level::from_number(args.level), float, ..Options::default() }
}

/// The dims that the arguments bind.
pub(crate) fn dims(args: &CompileArgs) -> Dims {
    args.dims.iter().map(|(name, extent)| (name.clone(), i64::try_from(*extent).unwrap_or(i64::MAX))).collect()
}

/// Reads a program; its problems are reported.
pub(crate) fn program(path: &Path, output: &mut Output) -> Result<Program, Failure> {
    let program = Program::from_path(path).map_err(|error| failure(error, output))?;
    output.diagnostics(program.warnings(), program.sources())?;
    Ok(program)
}

/// The name of the model that is asked for.
pub(crate) fn model_name(program: &Program, args: &CompileArgs, output: &mut Output) -> Result<String, Failure> {
    match &args.model {
        Some(name) => Ok(name.clone()),
        None => program.only_model_name().map(str::to_owned).map_err(|error| failure(error, output)),
    }
}

/// The model that is asked for, with the dims of the arguments; its warnings are reported.
pub(crate) fn model(program: &Program, args: &CompileArgs, output: &mut Output) -> Result<Model, Failure> {
    let name = model_name(program, args, output)?;
    model_with(program, &name, dims(args), output)
}

/// A model with these dims; its warnings are reported.
pub(crate) fn model_with(program: &Program, name: &str, dims: Dims, output: &mut Output) -> Result<Model, Failure> {
    let model = program.model_with(name, dims).map_err(|error| failure(error, output))?;
    output.diagnostics(model.warnings(), program.sources())?;
    Ok(model)
}

/// An error as a failure; diagnostics are reported at once.
pub(crate) fn failure(error: Error, output: &mut Output) -> Failure {
    match error {
        Error::Diagnostics(problems) => match output.diagnostics(&problems.diagnostics, &problems.sources) {
            Ok(()) => Failure::Reported,
            Err(failure) => failure,
        },
        other => Failure::message(other),
    }
}

/// Turns an error of the library into a failure.
pub(crate) trait Report<T> {
    /// The value; an error is reported.
    fn report(self, output: &mut Output) -> Result<T, Failure>;
}

impl<T> Report<T> for Result<T, Error> {
    fn report(self, output: &mut Output) -> Result<T, Failure> {
        self.map_err(|error| failure(error, output))
    }
}

/// Succeeds, or fails with what an error of another crate says.
pub(crate) fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, Failure> {
    result.map_err(Failure::message)
}

/// A check that does nothing but fail with a message.
pub(crate) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::Message(message())) }
}
