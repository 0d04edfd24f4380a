//! What can be wrong with a data set, said so that a person can find the place.

use super::csv::CsvError;
use super::idx::IdxError;
use super::npy::NpyError;
use super::npz::NpzError;
use super::text::TextError;
use crate::array::{ElementType, ShapeText};
use crate::convert::ConvertError;
use crate::file::FileError;
use crate::text::{List, quoted};
use gradc::{About, Coded};
use gradc_diagnostics::{Code, codes, did_you_mean};
use std::fmt;
use std::path::{Path, PathBuf};

/// A data set that cannot be used.
#[derive(Debug)]
pub struct DataError {
    /// The file or the directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: Box<DataErrorKind>,
}

/// What is wrong with a data set.
#[derive(Debug)]
pub enum DataErrorKind {
    /// It cannot be read.
    File(FileError),
    /// Neither its name nor its first bytes are those of a known format.
    UnknownFormat,
    /// A directory without files of a known layout.
    UnknownDirectory,
    /// A flaw in npy format.
    Npy(NpyError),
    /// A flaw in npz format.
    Npz(NpzError),
    /// A flaw in a table of comma-separated values.
    Csv(CsvError),
    /// A flaw in IDX format.
    Idx(IdxError),
    /// A flaw in a text, or inputs that it is not for.
    Text(TextError),
    /// A stride was given for what is not a text.
    Stride,
    /// The mapping speaks of an input that the model does not have.
    UnknownInput {
        /// The name in the mapping.
        name: String,
        /// The inputs of the model.
        inputs: Vec<String>,
        /// The input that was probably meant.
        suggestion: Option<String>,
    },
    /// There is no column for an input.
    Missing {
        /// The input.
        input: String,
        /// The name that was looked for.
        key: String,
        /// The names that are there.
        available: Vec<String>,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// None of the arrays that are told apart by their shape is like the input.
    NothingFits {
        /// The input.
        input: String,
        /// Its element type.
        dtype: ElementType,
        /// The shape of one example.
        example_shape: Vec<usize>,
        /// The arrays that are there, not yet taken: name, type and shape.
        available: Vec<(String, ElementType, Vec<usize>)>,
    },
    /// A scalar where an array with an axis of examples is needed.
    NoExampleAxis {
        /// The array's name.
        key: String,
    },
    /// There is not a single example.
    NoExamples,
    /// There are more examples than can be counted in 32 bits.
    TooManyExamples {
        /// How many.
        examples: usize,
    },
    /// An example has another number of elements than the input takes.
    ExampleShape {
        /// The input.
        input: String,
        /// The array's name.
        key: String,
        /// The shape of one example that the model expects.
        expected: Vec<usize>,
        /// The shape of the array.
        found: Vec<usize>,
    },
    /// Two arrays have different numbers of examples.
    ExampleCounts {
        /// One array.
        key: String,
        /// Its number of examples.
        examples: usize,
        /// The other array.
        other: String,
        /// Its number of examples.
        other_examples: usize,
    },
    /// A value has no equal in the type of the input.
    Convert {
        /// The input.
        input: String,
        /// The array's name.
        key: String,
        /// Where the value is.
        place: Place,
        /// The value, and what is in the way.
        error: ConvertError,
    },
    /// A class id, or an index, is out of range.
    OutOfRange {
        /// The input.
        input: String,
        /// The array's name.
        key: String,
        /// Where the value is.
        place: Place,
        /// The value.
        value: i64,
        /// The first value that is too large; 0 is the smallest allowed.
        below: u64,
    },
}

/// Where a value is in a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An example, counted from 0.
    Example(usize),
    /// A line of a text file, counted from 1.
    Line(u64),
}

impl DataErrorKind {
    pub(super) fn missing<'a>(input: &str, key: &str, available: impl Iterator<Item = &'a str> + Clone) -> Self {
        DataErrorKind::Missing {
            input: input.to_owned(),
            key: key.to_owned(),
            suggestion: did_you_mean(key, available.clone()).map(str::to_owned),
            available: available.map(str::to_owned).collect(),
        }
    }

    pub(super) fn at(self, path: &Path) -> DataError {
        DataError { path: path.to_owned(), kind: Box::new(self) }
    }
}

macro_rules! kind_from {
    ($($variant:ident: $type:ty),*) => {
        $(impl From<$type> for DataErrorKind {
            fn from(error: $type) -> DataErrorKind {
                DataErrorKind::$variant(error)
            }
        })*
    };
}

kind_from!(File: FileError, Npy: NpyError, Npz: NpzError, Csv: CsvError, Idx: IdxError, Text: TextError);

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &*self.kind {
            DataErrorKind::File(error) => write!(f, "{error}"),
            DataErrorKind::Npy(_) | DataErrorKind::Npz(_) | DataErrorKind::Idx(_) => write!(f, "{path} {}", self.kind),
            kind => write!(f, "{path}: {kind}"),
        }
    }
}

impl std::error::Error for DataError {}

impl Coded for DataError {
    fn code(&self) -> Code {
        self.kind.code()
    }

    fn about(&self) -> Option<About<'_>> {
        self.kind.about()
    }
}

impl fmt::Display for DataErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataErrorKind::File(error) => write!(f, "{error}"),
            DataErrorKind::Npy(error) => write!(f, "{error}"),
            DataErrorKind::Npz(error) => write!(f, "{error}"),
            DataErrorKind::Csv(error) => write!(f, "{error}"),
            DataErrorKind::Idx(error) => write!(f, "{error}"),
            DataErrorKind::Text(error) => write!(f, "{error}"),
            DataErrorKind::Stride => write!(f, "`stride` is for a text, which is cut into windows"),
            DataErrorKind::UnknownFormat => {
                write!(f, "is in no known format: gradc reads .npz, .npy, .csv, .tsv, .txt and IDX, also gzipped")
            }
            DataErrorKind::UnknownDirectory => write!(
                f,
                "is a directory without data: gradc looks for `train-images-idx3-ubyte` with `train-labels-idx1-ubyte`, \
                 or for .npy files, one an input"
            ),
            DataErrorKind::UnknownInput { name, inputs, suggestion } => {
                write!(f, "there is no input `{name}` to give data to, only {}", List(&quoted(inputs)))?;
                write_suggestion(f, suggestion.as_deref())
            }
            DataErrorKind::Missing { input, key, available, suggestion } => {
                write_missing(f, input, key, available)?;
                write_suggestion(f, suggestion.as_deref())
            }
            DataErrorKind::NothingFits { input, dtype, example_shape, available } => {
                let arrays: Vec<String> = available
                    .iter()
                    .map(|(name, dtype, shape)| format!("`{name}` of {dtype}{}", ShapeText(shape)))
                    .collect();
                write!(f, "input `{input}` ({dtype}{} an example) has no data: ", ShapeText(example_shape))?;
                if arrays.is_empty() { write!(f, "nothing is left") } else { write!(f, "there is {}", List(&arrays)) }
            }
            DataErrorKind::NoExampleAxis { key } => write!(f, "`{key}` is one number, not an array of examples"),
            DataErrorKind::NoExamples => write!(f, "there are no examples"),
            DataErrorKind::TooManyExamples { examples } => write!(f, "{examples} examples are too many"),
            DataErrorKind::ExampleShape { input, key, expected, found } => write!(
                f,
                "input `{input}` takes examples of shape {}, but `{key}` has the shape {}: {} examples of shape {}",
                ShapeText(expected),
                ShapeText(found),
                found.first().copied().unwrap_or(0),
                ShapeText(found.get(1..).unwrap_or(&[])),
            ),
            DataErrorKind::ExampleCounts { key, examples, other, other_examples } => {
                write!(f, "`{key}` has {examples} examples, but `{other}` has {other_examples}")
            }
            DataErrorKind::Convert { input, key, place, error } => {
                write!(f, "{place} of {}: {error}", Column { input, key })
            }
            DataErrorKind::OutOfRange { input, key, place, value, below } => write!(
                f,
                "{place} of {}: {value} is out of range, values from 0 to {} are allowed",
                Column { input, key },
                below.saturating_sub(1)
            ),
        }
    }
}

impl Coded for DataErrorKind {
    fn code(&self) -> Code {
        match self {
            DataErrorKind::File(error) => error.code(),
            DataErrorKind::Npy(error) => error.code(),
            DataErrorKind::Npz(error) => error.code(),
            DataErrorKind::Csv(error) => error.code(),
            DataErrorKind::Idx(_) => codes::MALFORMED_DATA,
            DataErrorKind::Text(error) => error.code(),
            DataErrorKind::Stride => codes::TEXT_DOES_NOT_FIT,
            DataErrorKind::UnknownFormat | DataErrorKind::UnknownDirectory => codes::UNKNOWN_FORMAT,
            DataErrorKind::UnknownInput { .. } => codes::UNKNOWN_INPUT,
            DataErrorKind::Missing { .. } | DataErrorKind::NothingFits { .. } => codes::MISSING_INPUT,
            DataErrorKind::NoExampleAxis { .. } | DataErrorKind::ExampleShape { .. } => codes::INPUT_TYPE,
            DataErrorKind::NoExamples | DataErrorKind::ExampleCounts { .. } => codes::EXAMPLE_COUNT,
            DataErrorKind::TooManyExamples { .. } => codes::TOO_MUCH_DATA,
            DataErrorKind::Convert { .. } => codes::VALUE_CHANGED,
            DataErrorKind::OutOfRange { .. } => codes::INDEX_IN_DATA,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            DataErrorKind::Csv(error) => error.about(),
            DataErrorKind::Text(error) => error.about(),
            DataErrorKind::Stride => Some(About::Train),
            DataErrorKind::UnknownInput { name, .. } => Some(About::Field(name)),
            DataErrorKind::Missing { input, .. }
            | DataErrorKind::NothingFits { input, .. }
            | DataErrorKind::ExampleShape { input, .. }
            | DataErrorKind::Convert { input, .. }
            | DataErrorKind::OutOfRange { input, .. } => Some(About::Input(input)),
            _ => Some(About::Data),
        }
    }
}

fn write_missing(f: &mut fmt::Formatter<'_>, input: &str, key: &str, available: &[String]) -> fmt::Result {
    write!(f, "input `{input}` has no data: ")?;
    match (available.is_empty(), input == key) {
        (true, _) => write!(f, "there is nothing"),
        (false, true) => write!(f, "there is {}", List(&quoted(available))),
        (false, false) => write!(f, "there is no `{key}`, only {}", List(&quoted(available))),
    }
}

fn write_suggestion(f: &mut fmt::Formatter<'_>, suggestion: Option<&str>) -> fmt::Result {
    match suggestion {
        Some(name) => write!(f, "; did you mean `{name}`?"),
        None => Ok(()),
    }
}

/// A column by its own name and, where that differs, by its input's.
struct Column<'a> {
    input: &'a str,
    key: &'a str,
}

impl fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Column { input, key } = self;
        if input == key { write!(f, "`{key}`") } else { write!(f, "`{key}` (for input `{input}`)") }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Example(example) => write!(f, "example {example}"),
            Place::Line(line) => write!(f, "line {line}"),
        }
    }
}
