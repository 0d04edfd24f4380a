//! From arguments to a model.

use std::path::Path;

use gradc::diagnostics::{Code, codes};
use gradc::elaborate::Dims;
use gradc::ir::DType;
use gradc::{About, Coded, Level, Mode, Model, Options, Program, Vectors};

use crate::args::{CompileArgs, FloatArg, Fp, VectorBits};
use crate::output::{Failure, Output};

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
    let vectors = match args.vectors {
        None => Vectors::Widest,
        Some(VectorBits::Bits128) => Vectors::Bits128,
        Some(VectorBits::Bits256) => Vectors::Bits256,
        Some(VectorBits::Bits512) => Vectors::Bits512,
    };
    Options {
        mode,
        level: Level::from_number(args.level),
        float,
        vectors,
        memory_limit: args.memory_limit,
        ..Options::default()
    }
}

/// The dims that the arguments bind.
pub(crate) fn dims(args: &CompileArgs) -> Dims {
    args.dims.iter().map(|(name, extent)| (name.clone(), i64::try_from(*extent).unwrap_or(i64::MAX))).collect()
}

/// Reads a program; its problems are reported.
pub(crate) fn program(path: &Path, output: &mut Output) -> Result<Program, Failure> {
    let program = Program::from_path(path).said()?;
    output.diagnostics(program.warnings(), program.sources())?;
    Ok(program)
}

/// The name of the model that is asked for.
pub(crate) fn model_name(program: &Program, args: &CompileArgs) -> Result<String, Failure> {
    match &args.model {
        Some(name) => Ok(name.clone()),
        None => program.only_model_name().map(str::to_owned).said(),
    }
}

/// The model that is asked for, with the dims of the arguments; its warnings are reported.
pub(crate) fn model(program: &Program, args: &CompileArgs, output: &mut Output) -> Result<Model, Failure> {
    let name = model_name(program, args)?;
    model_with(program, &name, dims(args), output)
}

/// A model with these dims; its warnings are reported.
pub(crate) fn model_with(program: &Program, name: &str, dims: Dims, output: &mut Output) -> Result<Model, Failure> {
    let model = program.model_with(name, dims).said()?;
    output.diagnostics(model.warnings(), program.sources())?;
    Ok(model)
}

/// Turns errors of the libraries into failures.
pub(crate) trait Said<T> {
    /// The value, or what the error says.
    fn said(self) -> Result<T, Failure>;

    /// The value, or what the error says with its place in the source of the model.
    fn said_of(self, model: &Model) -> Result<T, Failure>;
}

impl<T, E: Coded> Said<T> for Result<T, E> {
    fn said(self) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&error, None))
    }

    fn said_of(self, model: &Model) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(&error, Some(model)))
    }
}

/// What is said where there is no data to train or to judge by.
pub(crate) fn no_data(model: &Model) -> Failure {
    struct NoData;

    impl std::fmt::Display for NoData {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("there is no data: give `--data FILE`, or write `data \"FILE\"` in the `train` block")
        }
    }

    impl Coded for NoData {
        fn code(&self) -> Code {
            codes::NO_DATA
        }

        fn about(&self) -> Option<About<'_>> {
            Some(About::Train)
        }
    }

    Failure::of(&NoData, Some(model))
}
