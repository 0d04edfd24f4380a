//! What can go wrong.

use std::fmt;
use std::path::PathBuf;

use gradc_codegen::CodegenError;
use gradc_diagnostics::{Code, Color, Diagnostic, SourceMap, codes, render};
use gradc_ir::TensorType;

use crate::coded::{About, Coded};
use crate::pipeline::GoalError;
use crate::state::StateError;

/// Everything that can go wrong between a file and a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The program has mistakes, each with its place.
    Diagnostics(Box<Problems>),
    /// The file cannot be read.
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A graph that was read from its text has its shapes already.
    NoDims,
    /// The goal does not fit the model.
    Goal(Box<GoalError>),
    /// Values do not fit the parameters.
    State(Box<StateError>),
    /// An input does not fit.
    Input(Box<InputError>),
    /// Machine code could not be made.
    Codegen(CodegenError),
    /// There is not enough memory for a run.
    OutOfMemory {
        /// Bytes of the arena.
        bytes: usize,
    },
    /// A program works in more memory than it may, also where values are computed again.
    OverMemoryLimit {
        /// The bytes that it may work in.
        limit: usize,
        /// The fewest that were found to suffice.
        least: usize,
    },
}

/// Mistakes in a program, and the sources that they point into.
#[derive(Clone, Debug)]
pub struct Problems {
    /// What is wrong, in order.
    pub diagnostics: Vec<Diagnostic>,
    /// The files.
    pub sources: SourceMap,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render(&self.diagnostics, &self.sources, Color::Never).trim_end())
    }
}

/// Why an input does not fit a model.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InputError {
    /// It was not given.
    Missing {
        /// Its name.
        name: String,
        /// Its type.
        expected: TensorType,
    },
    /// The model has no input of this name.
    Unknown {
        /// The name that was given.
        name: String,
        /// A name that may have been meant.
        suggestion: Option<String>,
    },
    /// It has another shape or element type.
    WrongType {
        /// Its name.
        name: String,
        /// Its type.
        expected: TensorType,
        /// The type of what was given.
        found: TensorType,
    },
    /// It is used as an index, and an element is not in range.
    IndexOutOfRange {
        /// Its name.
        name: String,
        /// The position of the element, in row-major order.
        position: usize,
        /// The element.
        value: i64,
        /// What it must be below.
        bound: usize,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Missing { name, expected } => write!(f, "the input `{name}` ({expected}) is not given"),
            InputError::Unknown { name, suggestion } => {
                write!(f, "the model has no input `{name}`")?;
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
                    None => Ok(()),
                }
            }
            InputError::WrongType { name, expected, found } => {
                write!(f, "the input `{name}` is {expected}, what is given for it {found}")
            }
            InputError::IndexOutOfRange { name, position, value, bound } => write!(
                f,
                "element {position} of the input `{name}` is {value}: it is used as an index, which must be from 0 to {}",
                bound.saturating_sub(1)
            ),
        }
    }
}

impl std::error::Error for InputError {}

impl Coded for InputError {
    fn code(&self) -> Code {
        match self {
            InputError::Missing { .. } => codes::MISSING_INPUT,
            InputError::Unknown { .. } => codes::UNKNOWN_INPUT,
            InputError::WrongType { .. } => codes::INPUT_TYPE,
            InputError::IndexOutOfRange { .. } => codes::INDEX_IN_DATA,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            InputError::Missing { name, .. }
            | InputError::WrongType { name, .. }
            | InputError::IndexOutOfRange { name, .. } => Some(About::Input(name)),
            InputError::Unknown { .. } => Some(About::Model),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Diagnostics(problems) => problems.fmt(f),
            Error::File { path, error } => write!(f, "cannot read {}: {error}", path.display()),
            Error::NoDims => f.write_str("a graph has its shapes already: it has no dims to bind"),
            Error::Goal(error) => error.fmt(f),
            Error::State(error) => error.fmt(f),
            Error::Input(error) => error.fmt(f),
            Error::Codegen(error) => error.fmt(f),
            Error::OutOfMemory { bytes } => write!(f, "there is not enough memory: {bytes} bytes are needed"),
            Error::OverMemoryLimit { limit, least } => write!(
                f,
                "the model cannot be computed in {limit} bytes of memory: {least} bytes are needed, though what can be \
                 computed again is not kept"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::File { error, .. } => Some(error),
            Error::Goal(error) => Some(&**error),
            Error::State(error) => Some(&**error),
            Error::Input(error) => Some(&**error),
            Error::Codegen(error) => Some(error),
            _ => None,
        }
    }
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Error::Diagnostics(problems) => problems.code(),
            Error::File { .. } => codes::FILE_ACCESS,
            Error::NoDims => codes::FIXED_SHAPES,
            Error::Goal(error) => error.code(),
            Error::State(error) => error.code(),
            Error::Input(error) => error.code(),
            Error::Codegen(_) => codes::NO_MACHINE_CODE,
            Error::OutOfMemory { .. } => codes::OUT_OF_MEMORY,
            Error::OverMemoryLimit { .. } => codes::OVER_MEMORY_LIMIT,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            Error::Goal(error) => error.about(),
            Error::State(error) => error.about(),
            Error::Input(error) => error.about(),
            Error::OutOfMemory { .. } | Error::OverMemoryLimit { .. } | Error::Codegen(_) => Some(About::Model),
            Error::Diagnostics(_) | Error::File { .. } | Error::NoDims => None,
        }
    }

    fn problems(&self) -> Option<&Problems> {
        match self {
            Error::Diagnostics(problems) => Some(problems),
            _ => None,
        }
    }
}

impl From<Problems> for Error {
    fn from(problems: Problems) -> Error {
        Error::Diagnostics(Box::new(problems))
    }
}

impl From<GoalError> for Error {
    fn from(error: GoalError) -> Error {
        Error::Goal(Box::new(error))
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Error {
        Error::State(Box::new(error))
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Error {
        Error::Input(Box::new(error))
    }
}

impl From<CodegenError> for Error {
    fn from(error: CodegenError) -> Error {
        Error::Codegen(error)
    }
}
