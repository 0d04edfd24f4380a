//! From arrays as files hold them to columns as a model takes them.

use super::error::{DataErrorKind, Place};
use super::{Contents, Dataset, InputSpec};
use crate::array::{Array, ElementType, Elements, element_count};
use std::collections::BTreeMap;

/// An array of a file, before it is known to fit an input.
#[derive(Clone, Debug)]
pub(super) struct RawColumn {
    pub(super) key: String,
    pub(super) array: Array,
    /// Bytes that say how bright something is: a float input reads 0 to 255 as 0 to 1.
    pub(super) intensities: bool,
}

/// Chooses an array for each input among arrays that are told apart by order and shape.
///
/// Each input, in the order of declaration, takes the array that the mapping names, or that bears its name; then each
/// input that is left takes the first array that is left and is like it: as many elements an example, and integers
/// for an input of integers or `bool`, images or floats for a float input.
pub(super) fn bind_by_shape(
    columns: Vec<RawColumn>,
    inputs: &[InputSpec],
    mapping: &BTreeMap<String, String>,
) -> Result<Vec<RawColumn>, DataErrorKind> {
    let mut left: Vec<Option<RawColumn>> = columns.into_iter().map(Some).collect();
    let names: Vec<String> = left.iter().flatten().map(|column| column.key.clone()).collect();
    let mut bound: Vec<Option<RawColumn>> = Vec::new();
    for input in inputs {
        let mapped = mapping.get(&input.name);
        let key = mapped.unwrap_or(&input.name);
        let at = names.iter().position(|name| name == key);
        if at.is_none() && mapped.is_some() {
            return Err(DataErrorKind::missing(&input.name, key, names.iter().map(String::as_str)));
        }
        // Two inputs may be mapped to one array: an autoencoder's target is its input.
        bound.push(at.and_then(|at| left[at].clone()));
    }
    for taken in bound.iter().flatten() {
        if let Some(at) = names.iter().position(|name| *name == taken.key) {
            left[at] = None;
        }
    }
    for (input, column) in inputs.iter().zip(&mut bound) {
        if column.is_none() {
            let like = |column: &Option<RawColumn>| column.as_ref().is_some_and(|column| is_like(column, input));
            *column = left.iter().position(like).and_then(|at| left[at].take());
        }
        if column.is_none() {
            let available = left.iter().flatten();
            return Err(DataErrorKind::NothingFits {
                input: input.name.clone(),
                dtype: input.dtype,
                example_shape: input.example_shape.clone(),
                available: available.map(|c| (c.key.clone(), c.array.dtype(), c.array.shape().to_vec())).collect(),
            });
        }
    }
    Ok(bound.into_iter().flatten().collect())
}

fn is_like(column: &RawColumn, input: &InputSpec) -> bool {
    let [_, example @ ..] = column.array.shape() else {
        return false;
    };
    let found = column.array.dtype();
    let same_kind = if input.dtype.is_float() { found.is_float() || column.intensities } else { !found.is_float() };
    same_kind && element_count(example) == element_count(&input.example_shape)
}

/// Makes a data set of one array for each input; `lines` are the lines that the examples begin at, where the file is
/// a text.
pub(super) fn assemble(inputs: &[InputSpec], columns: Vec<RawColumn>, lines: &[u64]) -> Result<Dataset, DataErrorKind> {
    let mut first: Option<(String, usize)> = None;
    let mut finished = BTreeMap::new();
    for (input, column) in inputs.iter().zip(columns) {
        let key = column.key.clone();
        let array = fit(input, column, lines)?;
        let examples = array.shape()[0];
        match &first {
            None => first = Some((key, examples)),
            Some((other, other_examples)) if *other_examples != examples => {
                return Err(DataErrorKind::ExampleCounts {
                    key: other.clone(),
                    examples: *other_examples,
                    other: key,
                    other_examples: examples,
                });
            }
            Some(_) => {}
        }
        finished.insert(input.name.clone(), array);
    }
    match first.map_or(0, |(_, examples)| examples) {
        0 => Err(DataErrorKind::NoExamples),
        examples if u32::try_from(examples).is_err() => Err(DataErrorKind::TooManyExamples { examples }),
        examples => Ok(Dataset { contents: Contents::Columns(finished), examples }),
    }
}

/// The array in the type and the shape of the input, checked.
fn fit(input: &InputSpec, column: RawColumn, lines: &[u64]) -> Result<Array, DataErrorKind> {
    let RawColumn { key, array, intensities } = column;
    let &[examples, ref example @ ..] = array.shape() else {
        return Err(DataErrorKind::NoExampleAxis { key });
    };
    let elements = element_count(&input.example_shape);
    if elements.is_none() || element_count(example) != elements {
        return Err(DataErrorKind::ExampleShape {
            input: input.name.clone(),
            key,
            expected: input.example_shape.clone(),
            found: array.shape().to_vec(),
        });
    }
    let place = |element: usize| {
        let example = element / elements.unwrap_or(1).max(1);
        lines.get(example).map_or(Place::Example(example), |&line| Place::Line(line))
    };
    let array = if intensities && input.dtype.is_float() { unit_range(array) } else { array };
    let array = array.convert(input.dtype).map_err(|error| DataErrorKind::Convert {
        input: input.name.clone(),
        key: key.clone(),
        place: place(error.element),
        error,
    })?;
    if let Some(below) = input.below
        && let Some((element, value)) = first_out_of_range(array.elements(), below)
    {
        return Err(DataErrorKind::OutOfRange { input: input.name.clone(), key, place: place(element), value, below });
    }
    let shape = [&[examples], &input.example_shape[..]].concat();
    Ok(array.reshape(shape).expect("the example shapes have equally many elements"))
}

/// Bytes 0 to 255 as 0 to 1.
fn unit_range(array: Array) -> Array {
    let (shape, elements) = array.into_parts();
    let elements = match elements {
        Elements::U8(values) => values.into_iter().map(|value| f32::from(value) / 255.0).collect::<Vec<f32>>().into(),
        other => other,
    };
    Array::new(shape, elements).expect("scaling keeps the number of elements")
}

fn first_out_of_range(elements: &Elements, below: u64) -> Option<(usize, i64)> {
    let check = |(element, value): (usize, i64)| {
        let inside = u64::try_from(value).is_ok_and(|value| value < below);
        (!inside).then_some((element, value))
    };
    match elements {
        Elements::I32(values) => values.iter().map(|&value| value.into()).enumerate().find_map(check),
        Elements::I64(values) => values.iter().copied().enumerate().find_map(check),
        Elements::U8(values) => values.iter().map(|&value| value.into()).enumerate().find_map(check),
        Elements::F16(_) | Elements::Bf16(_) | Elements::F32(_) | Elements::F64(_) | Elements::Bool(_) => None,
    }
}

/// Whether bytes of this type and rank are images rather than labels.
pub(super) fn are_intensities(array: &Array) -> bool {
    array.dtype() == ElementType::U8 && array.shape().len() > 1
}
