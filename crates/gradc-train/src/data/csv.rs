//! Comma-separated (or tab-separated) numbers, with or without a row of names.
//!
//! Which columns an input takes is said in [`super`], under *Tables*.

use super::InputSpec;
use super::error::DataErrorKind;
use super::raw::RawColumn;
use crate::array::{Array, ElementType, Elements, element_count};
use crate::text::{List, quoted};
use ::csv::{ByteRecord, ErrorKind, ReaderBuilder, Trim};
use gradc::{About, Coded};
use gradc_diagnostics::{Code, codes};
use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with a csv file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CsvError {
    /// There is no row of values.
    Empty,
    /// A row that has another number of fields than the first.
    Ragged {
        /// The line of the row, from 1.
        line: u64,
        /// The fields of the first row.
        expected: u64,
        /// The fields of this row.
        found: u64,
    },
    /// A field that should be a number.
    NotANumber {
        /// The line of the row, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// The field; empty where the value is missing.
        text: String,
    },
    /// A number that is larger than all that can be stored.
    TooLarge {
        /// The line of the row, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// The field.
        text: String,
    },
    /// A number for an input of integers that may have been rounded.
    Rounded {
        /// The line of the row, from 1.
        line: u64,
        /// The name of the column.
        column: String,
    },
    /// The row of names has one name twice.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The columns `key.0`, `key.1`, … are not as many as the input has elements, or there is a gap.
    Elements {
        /// The name before the dot.
        key: String,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
        /// The first that is not there.
        first_missing: Option<usize>,
    },
    /// The columns that are left are not as many as the inputs that are left need.
    Rest {
        /// The inputs that are left.
        inputs: Vec<String>,
        /// How many elements they have together.
        expected: usize,
        /// How many columns are left.
        found: usize,
    },
    /// The bytes could not be read as rows.
    Malformed {
        /// What the reader says.
        message: String,
    },
}

impl fmt::Display for CsvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CsvError::Empty => write!(f, "has no row of values"),
            CsvError::Ragged { line, expected, found } => {
                write!(f, "line {line}: {found} fields, but the first row has {expected}")
            }
            CsvError::NotANumber { line, column, text } if text.is_empty() => {
                write!(f, "line {line}, column `{column}`: the value is missing")
            }
            CsvError::NotANumber { line, column, text } => {
                write!(f, "line {line}, column `{column}`: `{text}` is not a number")
            }
            CsvError::TooLarge { line, column, text } => {
                write!(f, "line {line}, column `{column}`: `{text}` is larger than any number that can be stored")
            }
            CsvError::Rounded { line, column } => write!(
                f,
                "line {line}, column `{column}`: whole numbers beyond 2^53 are read exactly only where the whole column is \
                 written in digits alone"
            ),
            CsvError::DuplicateName { name } => write!(f, "two columns are named `{name}`"),
            CsvError::Elements { key, expected, found, first_missing } => {
                write!(f, "input needs {expected} columns `{key}.0` to `{key}.{}`, ", expected.saturating_sub(1))?;
                match first_missing {
                    Some(missing) => write!(f, "but `{key}.{missing}` is not there"),
                    None => write!(f, "but there are {found}"),
                }
            }
            CsvError::Rest { inputs, expected, found } => {
                let (need, them) = if inputs.len() == 1 { ("needs", "it") } else { ("need", "them") };
                let inputs = quoted(inputs);
                write!(f, "{} {need} {expected} columns; left for {them}: {found}", List(&inputs))
            }
            CsvError::Malformed { message } => write!(f, "cannot be read as csv: {message}"),
        }
    }
}

impl std::error::Error for CsvError {}

impl Coded for CsvError {
    fn code(&self) -> Code {
        match self {
            CsvError::Empty => codes::EXAMPLE_COUNT,
            CsvError::TooLarge { .. } | CsvError::Rounded { .. } => codes::VALUE_CHANGED,
            CsvError::Elements { .. } => codes::INPUT_TYPE,
            CsvError::Rest { .. } => codes::MISSING_INPUT,
            CsvError::Ragged { .. }
            | CsvError::NotANumber { .. }
            | CsvError::DuplicateName { .. }
            | CsvError::Malformed { .. } => codes::MALFORMED_DATA,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            CsvError::Rest { inputs, .. } => inputs.first().map(|input| About::Input(input)),
            _ => Some(About::Data),
        }
    }
}

/// The rows of a file.
pub(super) struct Table {
    columns: Vec<TableColumn>,
    named: bool,
    /// The line that each row begins at.
    lines: Vec<u64>,
}

struct TableColumn {
    name: String,
    values: Numbers,
    /// The first field that is no number. It matters only if an input takes the column.
    flaw: Option<CsvError>,
}

/// The numbers of a column.
enum Numbers {
    /// While all are whole numbers, exactly.
    Whole(Vec<i64>),
    Real(Vec<f64>),
}

impl Numbers {
    fn push(&mut self, number: Number) {
        match (&mut *self, number) {
            (Numbers::Whole(values), Number::Whole(value)) => values.push(value),
            (Numbers::Real(values), number) => values.push(number.real()),
            (Numbers::Whole(values), Number::Real(value)) => {
                let before = values.iter().map(|&value| value as f64);
                *self = Numbers::Real(before.chain([value]).collect());
            }
        }
    }

    /// Rounded to the nearest, as the reader of a decimal rounds.
    fn real(&self, row: usize) -> f64 {
        match self {
            Numbers::Whole(values) => values[row] as f64,
            Numbers::Real(values) => values[row],
        }
    }
}

impl Table {
    /// Reads the rows of a file whose fields are separated by `delimiter`.
    pub(super) fn read(bytes: &[u8], delimiter: u8) -> Result<Table, CsvError> {
        let mut reader =
            ReaderBuilder::new().has_headers(false).delimiter(delimiter).trim(Trim::All).from_reader(bytes);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record).map_err(|error| flaw_of_row(&error))? {
            return Err(CsvError::Empty);
        }
        let named = record.iter().any(is_name);
        let mut table = Table { columns: columns(&record, named)?, named, lines: Vec::new() };
        if !named {
            table.push(&record, line_of(&record, bytes));
        }
        while reader.read_byte_record(&mut record).map_err(|error| flaw_of_row(&error))? {
            table.push(&record, line_of(&record, bytes));
        }
        if table.lines.is_empty() { Err(CsvError::Empty) } else { Ok(table) }
    }

    fn push(&mut self, record: &ByteRecord, line: u64) {
        self.lines.push(line);
        for (column, field) in self.columns.iter_mut().zip(record.iter()) {
            let number = number(field).unwrap_or(Number::Real(f64::NAN));
            let flaw: Option<fn(u64, String, String) -> CsvError> = match number {
                Number::Real(value) if value.is_nan() => {
                    Some(|line, column, text| CsvError::NotANumber { line, column, text })
                }
                Number::Real(value) if value.is_infinite() && field.iter().any(u8::is_ascii_digit) => {
                    Some(|line, column, text| CsvError::TooLarge { line, column, text })
                }
                _ => None,
            };
            if let Some(flaw) = flaw {
                column.flaw.get_or_insert_with(|| flaw(line, column.name.clone(), shown(field)));
            }
            column.values.push(number);
        }
    }

    /// The line that the row of each example begins at.
    pub(super) fn lines(&self) -> &[u64] {
        &self.lines
    }

    /// The columns for each input, as [`super`] says.
    pub(super) fn bind(
        &self,
        inputs: &[InputSpec],
        mapping: &BTreeMap<String, String>,
    ) -> Result<Vec<RawColumn>, DataErrorKind> {
        let mut taken = vec![false; self.columns.len()];
        let mut found: Vec<Option<(String, Vec<usize>)>> = Vec::new();
        for input in inputs {
            let mapped = mapping.get(&input.name);
            let key = mapped.unwrap_or(&input.name);
            let columns = self.named_columns(key, elements_of(input))?;
            if columns.is_none() && mapped.is_some() {
                return Err(DataErrorKind::missing(&input.name, key, self.columns.iter().map(|c| c.name.as_str())));
            }
            columns.iter().flatten().for_each(|&column| taken[column] = true);
            found.push(columns.map(|columns| (key.clone(), columns)));
        }
        self.share_the_rest(inputs, &taken, &mut found)?;
        let found = found.into_iter().flatten().zip(inputs);
        found.map(|((key, columns), input)| Ok(self.gather(key, &columns, input.dtype)?)).collect()
    }

    /// The columns that bear the name `key`, alone or with an index.
    fn named_columns(&self, key: &str, elements: usize) -> Result<Option<Vec<usize>>, CsvError> {
        if let Some(column) = self.columns.iter().position(|column| column.name == key)
            && elements == 1
        {
            return Ok(Some(vec![column]));
        }
        let mut indexed: BTreeMap<usize, usize> = BTreeMap::new();
        for (column, TableColumn { name, .. }) in self.columns.iter().enumerate() {
            if let Some(element) = index_of(name, key)
                && indexed.insert(element, column).is_some()
            {
                return Err(CsvError::DuplicateName { name: name.clone() });
            }
        }
        if indexed.is_empty() {
            return Ok(None);
        }
        if indexed.len() != elements || indexed.keys().next_back() != Some(&(elements - 1)) {
            let first_missing = (0..elements).find(|element| !indexed.contains_key(element));
            return Err(CsvError::Elements {
                key: key.to_owned(),
                expected: elements,
                found: indexed.len(),
                first_missing,
            });
        }
        Ok(Some(indexed.into_values().collect()))
    }

    /// Gives the inputs that no columns are named after the columns that are not taken.
    fn share_the_rest(
        &self,
        inputs: &[InputSpec],
        taken: &[bool],
        found: &mut [Option<(String, Vec<usize>)>],
    ) -> Result<(), DataErrorKind> {
        let left: Vec<usize> = (0..inputs.len()).filter(|&input| found[input].is_none()).collect();
        let Some(&first) = left.first() else {
            return Ok(());
        };
        let mut rest = (0..self.columns.len()).filter(|&column| !taken[column]);
        let free = rest.clone().count();
        if free == 0 || self.named && left.len() > 1 {
            let name = &inputs[first].name;
            return Err(DataErrorKind::missing(name, name, self.columns.iter().map(|c| c.name.as_str())));
        }
        let expected = left.iter().fold(0_usize, |sum, &input| sum.saturating_add(elements_of(&inputs[input])));
        if expected != free {
            let inputs = left.iter().map(|&input| inputs[input].name.clone()).collect();
            return Err(CsvError::Rest { inputs, expected, found: free }.into());
        }
        for input in left {
            let columns: Vec<usize> = rest.by_ref().take(elements_of(&inputs[input])).collect();
            found[input] = Some((inputs[input].name.clone(), columns));
        }
        Ok(())
    }

    /// Columns side by side: exactly, where an input of a type other than floats takes whole numbers.
    fn gather(&self, key: String, columns: &[usize], dtype: ElementType) -> Result<RawColumn, CsvError> {
        if let Some(flaw) = columns.iter().find_map(|&column| self.columns[column].flaw.clone()) {
            return Err(flaw);
        }
        let rows = self.lines.len();
        let places = (0..rows).flat_map(|row| columns.iter().map(move |&column| (row, &self.columns[column])));
        let whole = |(row, column): (usize, &TableColumn)| match &column.values {
            Numbers::Whole(values) => Some(values[row]),
            Numbers::Real(_) => None,
        };
        let exactly = if dtype.is_float() { None } else { places.clone().map(whole).collect::<Option<Vec<i64>>>() };
        let elements: Elements = match exactly {
            Some(values) => values.into(),
            None => {
                let rounded = |(row, column): &(usize, &TableColumn)| is_rounded(column.values.real(*row));
                if let Some((row, column)) = places.clone().find(rounded).filter(|_| !dtype.is_float()) {
                    return Err(CsvError::Rounded { line: self.lines[row], column: column.name.clone() });
                }
                places.map(|(row, column)| column.values.real(row)).collect::<Vec<f64>>().into()
            }
        };
        let array = Array::new(vec![rows, columns.len()], elements).expect("every column has a value in every row");
        Ok(RawColumn { key, array, intensities: false })
    }
}

/// The line that a record begins at, from 1. The reader's own count is of the blank lines before it.
fn line_of(record: &ByteRecord, file: &[u8]) -> u64 {
    let Some(position) = record.position() else {
        return 0;
    };
    let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = file.get(start..).unwrap_or(&[]);
    let skipped = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|&&byte| byte == b'\n').count() as u64
}

fn elements_of(input: &InputSpec) -> usize {
    element_count(&input.example_shape).unwrap_or(usize::MAX)
}

fn columns(first: &ByteRecord, named: bool) -> Result<Vec<TableColumn>, CsvError> {
    let mut columns: Vec<TableColumn> = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for (index, field) in first.iter().enumerate() {
        let name = if named { String::from_utf8_lossy(field).into_owned() } else { index.to_string() };
        // Spreadsheets leave the name of a column of row numbers empty, and may have several such.
        if !name.is_empty() && !names.insert(name.clone()) {
            return Err(CsvError::DuplicateName { name });
        }
        columns.push(TableColumn { name, values: Numbers::Whole(Vec::new()), flaw: None });
    }
    Ok(columns)
}

/// A number as a field has it.
#[derive(Clone, Copy)]
enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Number::Whole(value) => value as f64,
            Number::Real(value) => value,
        }
    }
}

/// 2⁵³: an `f64` that is less is no other whole number rounded.
const EXACT: f64 = (1_u64 << 53) as f64;

/// Whether a number may have been another whole number of an `i64` before it was read as an `f64`.
fn is_rounded(value: f64) -> bool {
    value.abs() >= EXACT && value.abs() <= -(i64::MIN as f64)
}

/// The number in a field. NaN is none: it stands for a value that is missing.
fn number(field: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(field).ok()?;
    if text.eq_ignore_ascii_case("true") {
        return Some(Number::Whole(1));
    }
    if text.eq_ignore_ascii_case("false") {
        return Some(Number::Whole(0));
    }
    if let Ok(value) = text.parse::<i64>()
        && (value != 0 || !text.starts_with('-'))
    {
        return Some(Number::Whole(value));
    }
    let value: f64 = text.parse().ok()?;
    // Not −0, which no integer is.
    let whole = value.fract() == 0.0 && value.abs() < EXACT && (value != 0.0 || value.is_sign_positive());
    match (value.is_nan(), whole) {
        (true, _) => None,
        (_, true) => Some(Number::Whole(value as i64)),
        (_, false) => Some(Number::Real(value)),
    }
}

/// Whether a field of the first row is a name. A value that is missing, written as nothing or as NaN, is none.
fn is_name(field: &[u8]) -> bool {
    number(field).is_none() && !field.is_empty() && !field.eq_ignore_ascii_case(b"nan")
}

/// `i` where the name is `key.i` or `key[i]`.
fn index_of(name: &str, key: &str) -> Option<usize> {
    let rest = name.strip_prefix(key)?;
    let digits = rest.strip_prefix('.').or_else(|| rest.strip_prefix('[')?.strip_suffix(']'))?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// The beginning of a field, for a message.
fn shown(field: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(field);
    if text.chars().count() <= LONGEST {
        return text.into_owned();
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

fn flaw_of_row(error: &::csv::Error) -> CsvError {
    match error.kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => CsvError::Ragged {
            line: pos.as_ref().map_or(0, ::csv::Position::line),
            expected: *expected_len,
            found: *len,
        },
        _ => CsvError::Malformed { message: error.to_string() },
    }
}

#[cfg(test)]
mod tests;
