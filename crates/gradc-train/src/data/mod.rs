//! Data sets: files of arrays become one column for each input of a model.
//!
//! # Formats
//!
//! | file | arrays | which array goes to which input |
//! |---|---|---|
//! | `.npz` | its keys | by name: the key that the mapping gives, or the input's own name |
//! | `.csv`, `.tsv` | its columns | by the names of the columns, else by order: see *Tables* |
//! | `.npy` | one, named after the file | by name, else by shape |
//! | IDX | one, named after the file | by name, else by shape |
//! | `.txt` | `tokens` and `next` | by name, else by order: see *Text* |
//! | a directory with `train-images-idx3-ubyte` and `train-labels-idx1-ubyte` | `images` and `labels` | by name, else by shape |
//! | a directory of `.npy` files | one a file, named after it | by name, else by shape |
//!
//! Each of the files, except `.npz`, may be gzipped. *By shape* means: each input in the order of declaration takes the
//! first array that is left, has as many elements an example, and holds integers if the input is of integers or `bool`,
//! or else floats or images. A directory laid out like MNIST with a `t10k-` pair has that pair as its held-out set. In
//! these names there may be `.` before `idx` instead of `-`.
//!
//! # Tables
//!
//! An input takes, in this order of preference (`key` is the name that the mapping gives for it, or its own):
//!
//! 1. the column named `key`, if the input has one element an example;
//! 2. the columns `key.0`, `key.1`, … or `key[0]`, `key[1]`, …, row-major, as many as it has elements;
//! 3. the columns that no other input took, in the order of the file. With a row of names only one input may be left
//!    for this; without one, the inputs that are left share the columns in the order of their declaration.
//!
//! Without a row of names the columns are called `0`, `1`, …, so that a mapping can say `label = 0`. The first row is
//! one of names unless all its fields are numbers or missing. `true` and `false` are 1 and 0.
//!
//! # Text
//!
//! The characters of a text in UTF-8 are class ids: each is its position among the different characters of the text, in
//! the order of their code points. An example is a window of the text. `tokens` are its characters, as many as the input
//! has elements, and `next` the character after each of them; an input with fewer elements takes the last of these. What
//! is held out is the end of the text, and no window lies in both parts.
//!
//! # Shapes and values
//!
//! The first axis of an array counts examples; the others are reshaped to the input's if they have as many elements
//! (`[28, 28]` to `[784]`). Values convert without loss or not at all, see [`crate::convert`]. The bytes of IDX images
//! are intensities: a float input reads them as 0 to 1.
//!
//! Nothing in a file is trusted: a length that it claims is compared with the bytes that are there before anything is
//! allocated for it.

mod csv;
mod error;
mod idx;
mod npy;
mod npz;
mod raw;
mod text;
mod windows;

#[cfg(test)]
mod tests;

pub use csv::CsvError;
pub use error::{DataError, DataErrorKind, Place};
pub use idx::IdxError;
pub use npy::NpyError;
pub use npz::{NpzError, read_npz, read_npz_where, write_npz};
pub use text::TextError;
pub(crate) use windows::Windows;

use crate::array::{Array, ElementType, Elements};
use crate::file;
use crate::storage;
use crate::vocabulary::Vocabulary;
use csv::Table;
use gradc_diagnostics::did_you_mean;
use idx::ImagesAndLabels;
use npz::Npz;
use raw::RawColumn;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// What a model says about one of its inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// The input's name.
    pub name: String,
    /// The type of its elements.
    pub dtype: ElementType,
    /// The shape of one example: the input's shape without its batch axis.
    pub example_shape: Vec<usize>,
    /// For class ids and other indices: the first value that is too large.
    pub below: Option<u64>,
}

impl InputSpec {
    /// An input whose values are not bounded.
    pub fn new(name: impl Into<String>, dtype: ElementType, example_shape: Vec<usize>) -> InputSpec {
        InputSpec { name: name.into(), dtype, example_shape, below: None }
    }

    /// The same input with integers from 0 up to, but not, `bound`.
    #[must_use]
    pub fn below(mut self, bound: u64) -> InputSpec {
        self.below = Some(bound);
        self
    }

    /// The first class id that is too large, for the input or for its type. `None` where none of 31 bits is.
    pub(crate) fn ids_below(&self) -> Option<u64> {
        let of_type = (self.dtype == ElementType::U8).then_some(1 << u8::BITS);
        self.below.into_iter().chain(of_type).min()
    }
}

/// For inputs whose data bears another name: the input's name, and the name in the file.
pub type Mapping = BTreeMap<String, String>;

/// How a data set is to be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// The names in the file, where they differ from the inputs'.
    pub mapping: Mapping,
    /// Of a text: the distance between the windows that are learned from, in characters. Without one each character is
    /// predicted once.
    pub stride: Option<NonZero<usize>>,
    /// Of a text: the vocabulary that its characters must be of. Without one it has its own.
    pub vocabulary: Option<Vocabulary>,
}

impl From<Mapping> for LoadOptions {
    fn from(mapping: Mapping) -> LoadOptions {
        LoadOptions { mapping, ..LoadOptions::default() }
    }
}

/// Examples: rows of arrays, one array for each input, or windows of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    contents: Contents,
    examples: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Contents {
    Columns(BTreeMap<String, Array>),
    Windows(Windows),
}

impl Dataset {
    /// A data set of arrays that are already in memory: one array for each input, in the order of the inputs.
    ///
    /// # Errors
    /// Where an array does not fit its input, or two have different numbers of examples.
    pub fn from_arrays(inputs: &[InputSpec], arrays: Vec<Array>) -> Result<Dataset, DataErrorKind> {
        if let Some(input) = inputs.get(arrays.len()) {
            return Err(DataErrorKind::missing(&input.name, &input.name, std::iter::empty()));
        }
        let columns = inputs.iter().zip(arrays).map(|(input, array)| RawColumn {
            key: input.name.clone(),
            array,
            intensities: false,
        });
        raw::assemble(inputs, columns.collect(), &[])
    }

    fn of_windows(windows: Windows) -> Dataset {
        Dataset { examples: windows.count(), contents: Contents::Windows(windows) }
    }

    /// How many examples there are; at least one.
    pub fn examples(&self) -> usize {
        self.examples
    }

    /// The column of an input: an array of its element type, of the shape `[examples, ..example_shape]`. A text has none,
    /// since its windows are not stored.
    pub fn column(&self, input: &str) -> Option<&Array> {
        match &self.contents {
            Contents::Columns(columns) => columns.get(input),
            Contents::Windows(_) => None,
        }
    }

    /// What the class ids of a text stand for.
    pub fn vocabulary(&self) -> Option<&Vocabulary> {
        self.windows().map(Windows::vocabulary)
    }

    /// The text that the examples are windows of, if they are.
    pub(crate) fn windows(&self) -> Option<&Windows> {
        match &self.contents {
            Contents::Columns(_) => None,
            Contents::Windows(windows) => Some(windows),
        }
    }

    /// The rows of all examples, ascending.
    pub(crate) fn rows(&self) -> Vec<u32> {
        match &self.contents {
            Contents::Columns(_) => (0..).take(self.examples).collect(),
            Contents::Windows(windows) => windows.strided(0..windows.characters()),
        }
    }

    /// For each input, in alphabetical order, an array of no examples with room for `capacity` of them, or for all if there
    /// are fewer.
    pub(crate) fn empty_batch(&self, capacity: usize) -> Vec<(String, Array)> {
        let room = capacity.min(self.examples);
        let empty = |array: &Array| {
            let width: usize = array.shape()[1..].iter().product();
            let mut shape = array.shape().to_vec();
            shape[0] = 0;
            let elements = Elements::with_capacity(array.dtype(), room * width);
            Array::new(shape, elements).expect("there are no elements, and none are needed")
        };
        match &self.contents {
            Contents::Columns(columns) => columns.iter().map(|(name, array)| (name.clone(), empty(array))).collect(),
            Contents::Windows(windows) => windows.empty_batch(room),
        }
    }

    /// A text that is the same for the same values in these rows.
    pub(crate) fn digest(&self, rows: &[u32]) -> String {
        /// Rows that are looked at together.
        const AT_ONCE: usize = 1024;
        let mut hash = Xxh3::new();
        match &self.contents {
            Contents::Columns(columns) => {
                for (name, array) in columns {
                    let shape = &array.shape()[1..];
                    hash.update(format!("{name}: {}{shape:?};", array.dtype()).as_bytes());
                    let mut some = Elements::with_capacity(array.dtype(), 0);
                    for rows in rows.chunks(AT_ONCE) {
                        some.copy_rows(array.elements(), shape.iter().product(), rows);
                        hash.update(&storage::encode(&some));
                    }
                }
            }
            Contents::Windows(windows) => windows.digest(rows, &mut hash),
        }
        format!("{:032x}", hash.digest128())
    }

    /// Copies examples, in the order given, into the arrays that [`empty_batch`](Dataset::empty_batch) made.
    ///
    /// # Panics
    /// Where the arrays are those of a data set for other inputs, or there is no such row.
    pub(crate) fn copy_rows(&self, rows: &[u32], batch: &mut [(String, Array)]) {
        match &self.contents {
            Contents::Columns(columns) => {
                batch.iter_mut().zip(columns.values()).for_each(|((_, array), column)| array.copy_rows(column, rows));
            }
            Contents::Windows(windows) => windows.copy_rows(rows, batch),
        }
    }
}

/// What a file or a directory holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The examples to learn from, or all there are.
    pub train: Dataset,
    /// The examples that the data set itself holds out.
    pub test: Option<Dataset>,
}

/// Loads a data set for the inputs of a model. The format is told from the first bytes and the name; see the
/// [module](self) for the formats, and for which array goes to which input.
///
/// # Errors
/// Where the file cannot be read, is damaged, or does not fit the inputs.
pub fn load(path: &Path, inputs: &[InputSpec], options: &LoadOptions) -> Result<Loaded, DataError> {
    check_mapping(inputs, &options.mapping).map_err(|kind| kind.at(path))?;
    let loaded = if path.is_dir() {
        load_directory(path, inputs, &options.mapping)?
    } else {
        let train = load_file(path, inputs, options).map_err(|kind| kind.at(path))?;
        Loaded { train, test: None }
    };
    if options.stride.is_some() && loaded.train.windows().is_none() {
        return Err(DataErrorKind::Stride.at(path));
    }
    Ok(loaded)
}

fn check_mapping(inputs: &[InputSpec], mapping: &Mapping) -> Result<(), DataErrorKind> {
    let names = || inputs.iter().map(|input| input.name.as_str());
    match mapping.keys().find(|name| !names().any(|input| input == name.as_str())) {
        None => Ok(()),
        Some(name) => Err(DataErrorKind::UnknownInput {
            name: name.clone(),
            inputs: names().map(str::to_owned).collect(),
            suggestion: did_you_mean(name, names()).map(str::to_owned),
        }),
    }
}

/// How the arrays of a file are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Npz,
    Npy,
    Idx,
    Table { delimiter: u8 },
    Text,
}

impl Format {
    /// What the name of a file says, apart from `.gz`.
    fn of_name(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending {
            "npz" => Some(Format::Npz),
            "npy" => Some(Format::Npy),
            "csv" => Some(Format::Table { delimiter: b',' }),
            "tsv" => Some(Format::Table { delimiter: b'\t' }),
            "txt" => Some(Format::Text),
            _ if ending.starts_with("idx") || name.contains("-idx") => Some(Format::Idx),
            _ => None,
        }
    }

    /// What the first bytes of a file say.
    fn of_bytes(bytes: &[u8]) -> Option<Format> {
        if bytes.starts_with(npy::MAGIC) {
            Some(Format::Npy)
        } else if idx::is_idx(bytes) {
            Some(Format::Idx)
        } else {
            None
        }
    }
}

fn load_file(path: &Path, inputs: &[InputSpec], options: &LoadOptions) -> Result<Dataset, DataErrorKind> {
    let mapping = &options.mapping;
    let named = Format::of_name(path);
    if named == Some(Format::Text) {
        return text::read(file::read(path)?, inputs, options).map(Dataset::of_windows);
    }
    if named == Some(Format::Npz) || file::starts_with(path, b"PK\x03\x04")? {
        return load_npz(path, inputs, mapping);
    }
    let bytes = file::read(path)?;
    let format = named.or_else(|| Format::of_bytes(&bytes)).ok_or(DataErrorKind::UnknownFormat)?;
    if let Format::Table { delimiter } = format {
        let table = Table::read(&bytes, delimiter)?;
        let columns = table.bind(inputs, mapping)?;
        return raw::assemble(inputs, columns, table.lines());
    }
    let column = array_column(path, format, &bytes)?;
    raw::assemble(inputs, raw::bind_by_shape(vec![column], inputs, mapping)?, &[])
}

/// The one array of an npy or IDX file, named after the file.
fn array_column(path: &Path, format: Format, bytes: &[u8]) -> Result<RawColumn, DataErrorKind> {
    let array = match format {
        Format::Idx => idx::read(bytes)?,
        _ => npy::read(bytes, bytes.len() as u64)?,
    };
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let key = name.strip_suffix(".npy").unwrap_or(name).to_owned();
    Ok(RawColumn { key, intensities: format == Format::Idx && raw::are_intensities(&array), array })
}

fn load_npz(path: &Path, inputs: &[InputSpec], mapping: &Mapping) -> Result<Dataset, DataErrorKind> {
    let (file, length) = file::open(path)?;
    let mut npz = Npz::open(file, length)?;
    let key = |input: &InputSpec| mapping.get(&input.name).unwrap_or(&input.name).clone();
    let keys: Vec<String> = inputs.iter().map(key).collect();
    let there: Vec<&str> = npz.keys().collect();
    if let Some(i) = keys.iter().position(|key| !there.contains(&key.as_str())) {
        return Err(DataErrorKind::missing(&inputs[i].name, &keys[i], there.iter().copied()));
    }
    let mut arrays = npz.read(|key| keys.iter().any(|wanted| wanted == key))?;
    let column = |(i, key): (usize, &String)| {
        // Several inputs may be of one array.
        let array = if keys[i + 1..].contains(key) { arrays.get(key).cloned() } else { arrays.remove(key) };
        RawColumn { key: key.clone(), array: array.expect("all that is wanted is there"), intensities: false }
    };
    let columns = keys.iter().enumerate().map(column).collect();
    raw::assemble(inputs, columns, &[])
}

fn load_directory(path: &Path, inputs: &[InputSpec], mapping: &Mapping) -> Result<Loaded, DataError> {
    if let Some(files) = idx::mnist_files(path) {
        let load = |pair: &ImagesAndLabels| load_pair(pair, path, inputs, mapping);
        let test = files.test.as_ref().map(load).transpose()?;
        return Ok(Loaded { train: load(&files.train)?, test });
    }
    let columns = npy_columns(path)?;
    let train = raw::bind_by_shape(columns, inputs, mapping)
        .and_then(|columns| raw::assemble(inputs, columns, &[]))
        .map_err(|kind| kind.at(path))?;
    Ok(Loaded { train, test: None })
}

fn load_pair(
    pair: &ImagesAndLabels,
    directory: &Path,
    inputs: &[InputSpec],
    mapping: &Mapping,
) -> Result<Dataset, DataError> {
    let column = |key: &str, path: &Path| {
        let array = file::read(path)
            .map_err(DataErrorKind::from)
            .and_then(|bytes| Ok(idx::read(&bytes)?))
            .map_err(|kind| kind.at(path))?;
        Ok(RawColumn { key: key.to_owned(), intensities: raw::are_intensities(&array), array })
    };
    let columns = vec![column("images", &pair.images)?, column("labels", &pair.labels)?];
    raw::bind_by_shape(columns, inputs, mapping)
        .and_then(|columns| raw::assemble(inputs, columns, &[]))
        .map_err(|kind| kind.at(directory))
}

/// The arrays of a directory of npy files, in the order of their names.
fn npy_columns(directory: &Path) -> Result<Vec<RawColumn>, DataError> {
    let at_directory = |error| DataErrorKind::File(file::FileError::read(directory, error)).at(directory);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(at_directory)? {
        let path = entry.map_err(at_directory)?.path();
        if Format::of_name(&path) == Some(Format::Npy) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(DataErrorKind::UnknownDirectory.at(directory));
    }
    paths.sort();
    let column = |path: &Path| array_column(path, Format::Npy, &file::read(path)?);
    paths.iter().map(|path| column(path).map_err(|kind| kind.at(path))).collect()
}
