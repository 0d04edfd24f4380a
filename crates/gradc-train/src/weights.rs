//! Weight files: named arrays in safetensors format, the names being the paths of parameters.
//!
//! The format is <https://github.com/huggingface/safetensors>. Files are read by its own crate and written here: a
//! file of the same weights has the same bytes, which that crate does not promise for the order of metadata.

use crate::array::{Array, ElementType, ShapeText};
use crate::convert::ConvertError;
use crate::file::{self, FileError};
use crate::storage::{self, BeyondI64, Endian, Stored};
use crate::text::{List, quoted};
use crate::vocabulary::Vocabulary;
use gradc::{About, Coded};
use gradc_diagnostics::{Code, codes, did_you_mean};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a safetensors file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightFile {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Array>,
    /// What else is said in the file, as text.
    pub metadata: BTreeMap<String, String>,
}

/// What a model says about one of its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The path: `residual.2.dense.0.w`.
    pub name: String,
    /// The type of its elements.
    pub dtype: ElementType,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Names with this beginning are the optimizer's state in a checkpoint. A parameter's path has no slash, so a
/// checkpoint serves as a weight file too.
pub(crate) const OPTIMIZER_PREFIX: &str = "optimizer/";

/// A weight file that cannot be used.
#[derive(Debug)]
pub struct WeightsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: WeightsErrorKind,
}

/// What is wrong with a weight file.
#[derive(Debug)]
pub enum WeightsErrorKind {
    /// It cannot be read or written.
    File(FileError),
    /// It is not a safetensors file, or a damaged one.
    Format(SafeTensorError),
    /// An array has elements of a type that gradc does not read.
    ElementType {
        /// The array.
        name: String,
        /// Its type, in the words of the format.
        dtype: Dtype,
    },
    /// An unsigned integer is too large.
    TooLarge {
        /// The array.
        name: String,
        /// The integer.
        value: u64,
    },
    /// An array bears a name that the format keeps for itself.
    ReservedName,
    /// The characters that class ids stand for are not in their order.
    Vocabulary,
    /// The arrays are not the parameters of the model.
    Mismatch(Mismatch),
}

/// All the ways in which the arrays of a file are not the parameters of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mismatch {
    /// Parameters that the file does not have, each with the name in the file that was probably meant.
    pub missing: Vec<(String, Option<String>)>,
    /// Names in the file that are no parameters.
    pub unexpected: Vec<String>,
    /// Parameters of another shape: name, the model's shape, the file's shape.
    pub shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// Parameters with a value that the model's type cannot hold.
    pub values: Vec<(String, ConvertError)>,
}

impl Mismatch {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.shapes.is_empty() && self.values.is_empty()
    }
}

/// Reads a safetensors file. Floats of 16 bits stay what they are; small integers become `i32` or `i64`.
///
/// # Errors
/// Where the file cannot be read, is damaged, or has elements of an unknown type.
pub fn read(path: &Path) -> Result<WeightFile, WeightsError> {
    let in_file = |kind| WeightsError { path: path.to_owned(), kind };
    let bytes = file::read(path).map_err(|error| in_file(WeightsErrorKind::File(error)))?;
    parse(&bytes).map_err(in_file)
}

fn parse(bytes: &[u8]) -> Result<WeightFile, WeightsErrorKind> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(WeightsErrorKind::Format)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(WeightsErrorKind::Format)?;
    let mut arrays = BTreeMap::new();
    // Sorted, so that of two flaws the same one is reported every time.
    let names: BTreeSet<&str> = tensors.names().into_iter().collect();
    for name in names {
        let tensor = tensors.tensor(name).map_err(WeightsErrorKind::Format)?;
        arrays.insert(name.to_owned(), array(name, &tensor)?);
    }
    let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
    if !Vocabulary::is_sound(&metadata) {
        return Err(WeightsErrorKind::Vocabulary);
    }
    Ok(WeightFile { arrays, metadata })
}

fn array(name: &str, tensor: &TensorView<'_>) -> Result<Array, WeightsErrorKind> {
    let stored = match tensor.dtype() {
        Dtype::F16 => Stored::F16,
        Dtype::BF16 => Stored::BF16,
        Dtype::F32 => Stored::F32,
        Dtype::F64 => Stored::F64,
        Dtype::I8 => Stored::I8,
        Dtype::I16 => Stored::I16,
        Dtype::I32 => Stored::I32,
        Dtype::I64 => Stored::I64,
        Dtype::U8 => Stored::U8,
        Dtype::U16 => Stored::U16,
        Dtype::U32 => Stored::U32,
        Dtype::U64 => Stored::U64,
        Dtype::BOOL => Stored::Bool,
        dtype => return Err(WeightsErrorKind::ElementType { name: name.to_owned(), dtype }),
    };
    let elements = storage::decode(stored, Endian::Little, tensor.data())
        .map_err(|BeyondI64 { value, .. }| WeightsErrorKind::TooLarge { name: name.to_owned(), value })?;
    Ok(Array::new(tensor.shape().to_vec(), elements).expect("safetensors has compared shapes with sizes"))
}

/// Writes a safetensors file. It appears whole or not at all, and the same content gives the same bytes.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, content: &WeightFile) -> Result<(), WeightsError> {
    let in_file = |kind| WeightsError { path: path.to_owned(), kind };
    if content.arrays.contains_key(METADATA) {
        return Err(in_file(WeightsErrorKind::ReservedName));
    }
    let arrays = in_order_of_alignment(&content.arrays);
    let header = header(&arrays, &content.metadata);
    file::write_atomically(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(header.as_bytes())?;
        arrays.iter().try_for_each(|(_, array)| writer.write_all(&storage::encode(array.elements())))
    })
    .map_err(|error| in_file(WeightsErrorKind::File(error)))
}

/// The key that the format uses for metadata among the names of arrays.
const METADATA: &str = "__metadata__";

/// Larger elements first: then every array begins at a multiple of its element's size.
fn in_order_of_alignment(arrays: &BTreeMap<String, Array>) -> Vec<(&str, &Array)> {
    let mut arrays: Vec<(&str, &Array)> = arrays.iter().map(|(name, array)| (name.as_str(), array)).collect();
    arrays.sort_by_key(|(name, array)| (std::cmp::Reverse(array.dtype().size()), *name));
    arrays
}

fn header(arrays: &[(&str, &Array)], metadata: &BTreeMap<String, String>) -> String {
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert(METADATA.to_owned(), json!(metadata));
    }
    let mut start = 0;
    for (name, array) in arrays {
        let end = start + array.elements().len() * array.dtype().size();
        let info = json!({
            "dtype": array.dtype().name().to_uppercase(),
            "shape": array.shape(),
            "data_offsets": [start, end],
        });
        header.insert((*name).to_owned(), info);
        start = end;
    }
    let mut text = Value::Object(header).to_string();
    // The arrays begin at a multiple of eight bytes.
    text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
    text
}

/// The parameters of a model out of a weight file or a checkpoint, in the model's types.
///
/// # Errors
/// Says at once which parameters are missing, which names are not expected, and which shapes and values do not fit.
pub fn select(
    mut arrays: BTreeMap<String, Array>,
    parameters: &[ParameterSpec],
) -> Result<BTreeMap<String, Array>, Mismatch> {
    let mut mismatch = Mismatch::default();
    let mut missing = Vec::new();
    let mut selected = BTreeMap::new();
    for ParameterSpec { name, dtype, shape } in parameters {
        match arrays.remove(name) {
            None => missing.push(name.clone()),
            Some(array) if array.shape() != shape => {
                mismatch.shapes.push((name.clone(), shape.clone(), array.shape().to_vec()));
            }
            Some(array) => match array.convert(*dtype) {
                Ok(array) => drop(selected.insert(name.clone(), array)),
                Err(error) => mismatch.values.push((name.clone(), error)),
            },
        }
    }
    mismatch.unexpected = arrays.into_keys().filter(|name| !name.starts_with(OPTIMIZER_PREFIX)).collect();
    let meant = |name: &str| did_you_mean(name, mismatch.unexpected.iter().map(String::as_str)).map(str::to_owned);
    mismatch.missing = missing.into_iter().map(|name| (name.clone(), meant(&name))).collect();
    if mismatch.is_empty() { Ok(selected) } else { Err(mismatch) }
}

/// Reads the parameters of a model from a weight file or a checkpoint; see [`read`] and [`select`].
///
/// # Errors
/// Where the file cannot be read or its arrays are not the parameters of the model.
pub fn read_parameters(path: &Path, parameters: &[ParameterSpec]) -> Result<BTreeMap<String, Array>, WeightsError> {
    self::parameters(path, read(path)?, parameters)
}

/// The parameters of a model among what was read from a weight file or a checkpoint.
///
/// # Errors
/// Where the arrays are not the parameters of the model.
pub fn parameters(
    path: &Path,
    file: WeightFile,
    parameters: &[ParameterSpec],
) -> Result<BTreeMap<String, Array>, WeightsError> {
    select(file.arrays, parameters)
        .map_err(|mismatch| WeightsError { path: path.to_owned(), kind: WeightsErrorKind::Mismatch(mismatch) })
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            WeightsErrorKind::File(error) => write!(f, "{error}"),
            WeightsErrorKind::Format(error) => {
                write!(f, "{path} is not a safetensors file that can be read: {error}")
            }
            WeightsErrorKind::ElementType { name, dtype } => {
                write!(f, "{path}: `{name}` has elements of type {dtype:?}, which is not read")
            }
            WeightsErrorKind::TooLarge { name, value } => {
                write!(f, "{path}: `{name}` has the element {value}, beyond 64-bit signed integers")
            }
            WeightsErrorKind::ReservedName => {
                write!(f, "cannot write {path}: the name `{METADATA}` is reserved by the safetensors format")
            }
            WeightsErrorKind::Vocabulary => {
                write!(f, "{path} has a vocabulary whose characters are not in their order, each once")
            }
            WeightsErrorKind::Mismatch(mismatch) => write!(f, "{path} does not fit the model: {mismatch}"),
        }
    }
}

impl std::error::Error for WeightsError {}

impl Coded for WeightsError {
    fn code(&self) -> Code {
        match &self.kind {
            WeightsErrorKind::File(error) => error.code(),
            WeightsErrorKind::Format(_)
            | WeightsErrorKind::ElementType { .. }
            | WeightsErrorKind::ReservedName
            | WeightsErrorKind::Vocabulary => codes::MALFORMED_WEIGHTS,
            WeightsErrorKind::TooLarge { .. } => codes::VALUE_CHANGED,
            WeightsErrorKind::Mismatch(_) => codes::OTHER_PARAMETERS,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match &self.kind {
            WeightsErrorKind::Mismatch(mismatch) => Some(mismatch.about()),
            _ => None,
        }
    }
}

impl Mismatch {
    /// The first parameter that differs, or the model where it has none of that name.
    fn about(&self) -> About<'_> {
        let missing = self.missing.iter().map(|(name, _)| name);
        let shapes = self.shapes.iter().map(|(name, ..)| name);
        let values = self.values.iter().map(|(name, _)| name);
        missing.chain(shapes).chain(values).next().map_or(About::Model, |name| About::Parameter(name))
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            let missing = self.missing.iter().map(|(name, meant)| match meant {
                Some(meant) => format!("`{name}` (did you mean the file's `{meant}`?)"),
                None => format!("`{name}`"),
            });
            parts.push(format!("the file has no {}", List(&missing.collect::<Vec<_>>())));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!("the model has no {}", List(&quoted(&self.unexpected))));
        }
        if !self.shapes.is_empty() {
            let shapes = self.shapes.iter().map(|(name, model, file)| {
                format!("`{name}` has the shape {} in the model and {} in the file", ShapeText(model), ShapeText(file))
            });
            parts.push(List(&shapes.collect::<Vec<_>>()).to_string());
        }
        if !self.values.is_empty() {
            let values = self.values.iter().map(|(name, error)| format!("`{name}`: {error}"));
            parts.push(List(&values.collect::<Vec<_>>()).to_string());
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests;
