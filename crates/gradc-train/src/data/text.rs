//! Plain text: its characters are class ids, its examples are windows.
//!
//! What an input takes is said in [`super`], under *Text*.

use super::error::DataErrorKind;
use super::windows::{Ids, View, Window, Windows};
use super::{InputSpec, LoadOptions};
use crate::array::{ElementType, element_count};
use crate::vocabulary::Vocabulary;
use gradc::{About, Coded};
use gradc_diagnostics::{Code, codes};
use std::collections::BTreeMap;
use std::fmt;

/// The array of the characters of a window.
const TOKENS: &str = "tokens";

/// The array of the characters that follow each of them.
const NEXT: &str = "next";

/// What is wrong with a text, or with the inputs that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextError {
    /// Bytes that are not UTF-8.
    NotUtf8 {
        /// The line, from 1.
        line: usize,
        /// The position of the first such byte in the file, from 0.
        offset: usize,
        /// The byte.
        byte: u8,
    },
    /// There are fewer characters than one window has.
    Short {
        /// The characters of the text.
        characters: usize,
        /// The characters that an example needs.
        window: usize,
    },
    /// There are more characters than can be counted in 32 bits.
    Long {
        /// The characters of the text.
        characters: usize,
    },
    /// A character that is not in the vocabulary of the weights.
    UnknownCharacter {
        /// The line, from 1.
        line: usize,
        /// The position in the line, in characters, from 1.
        column: usize,
        /// The character.
        character: char,
        /// How many characters the vocabulary has.
        known: usize,
    },
    /// The model is made for fewer characters than the text has.
    Vocabulary {
        /// The input.
        input: String,
        /// How many different characters there are.
        characters: usize,
        /// The first class id that is too large for the model.
        below: u64,
    },
    /// An input that does not take class ids.
    NotIds {
        /// The input.
        input: String,
        /// Its element type.
        dtype: ElementType,
    },
    /// An input takes more characters, or another number of them, than the windows have.
    Length {
        /// The input that the windows are made for.
        input: String,
        /// Its characters.
        length: usize,
        /// The other input.
        other: String,
        /// Its characters.
        other_length: usize,
    },
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::NotUtf8 { line, offset, byte } => write!(
                f,
                "line {line}: the byte {byte:#04x} at position {offset} is not UTF-8; \
                 a text in another encoding must be converted first"
            ),
            TextError::Short { characters: 0, .. } => write!(f, "the text is empty"),
            TextError::Short { characters, window } => {
                write!(f, "the text has {characters} characters, but one example needs {window}")
            }
            TextError::Long { characters } => write!(f, "{characters} characters are too many"),
            TextError::UnknownCharacter { line, column, character, known } => write!(
                f,
                "line {line}, column {column}: {character:?} is not among the {known} characters that the weights know"
            ),
            TextError::Vocabulary { input, characters, below } => write!(
                f,
                "the text has {characters} different characters, but input `{input}` takes class ids from 0 to {}: \
                 the model needs a vocabulary of {characters}",
                below.saturating_sub(1)
            ),
            TextError::NotIds { input, dtype } => {
                write!(f, "input `{input}` is {dtype}, but the characters of a text are class ids, which are integers")
            }
            TextError::Length { input, length, other, other_length } => write!(
                f,
                "input `{input}` takes {length} characters of a text, but input `{other}` takes {other_length}; \
                 all `{TOKENS}` need equally many, and `{NEXT}` no more than these"
            ),
        }
    }
}

impl std::error::Error for TextError {}

impl Coded for TextError {
    fn code(&self) -> Code {
        match self {
            TextError::NotUtf8 { .. } => codes::MALFORMED_DATA,
            TextError::Long { .. } => codes::TOO_MUCH_DATA,
            TextError::Short { .. }
            | TextError::UnknownCharacter { .. }
            | TextError::Vocabulary { .. }
            | TextError::NotIds { .. }
            | TextError::Length { .. } => codes::TEXT_DOES_NOT_FIT,
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            TextError::Vocabulary { input, .. } | TextError::NotIds { input, .. } => Some(About::Input(input)),
            TextError::Length { other, .. } => Some(About::Input(other)),
            _ => Some(About::Data),
        }
    }
}

/// The windows of a text for the inputs of a model.
pub(super) fn read(bytes: Vec<u8>, inputs: &[InputSpec], options: &LoadOptions) -> Result<Windows, DataErrorKind> {
    let arrays = bind(inputs, &options.mapping)?;
    let window = window_for(inputs, &arrays)?;
    let text = decode(bytes)?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    let characters = text.chars().count();
    if characters < window.length {
        return Err(TextError::Short { characters, window: window.length }.into());
    }
    if u32::try_from(characters).is_err() {
        return Err(TextError::Long { characters }.into());
    }
    let vocabulary = options.vocabulary.clone().unwrap_or_else(|| Vocabulary::of(text));
    for input in inputs {
        if let Some(below) = input.ids_below()
            && (vocabulary.len() as u64) > below
        {
            let input = input.name.clone();
            return Err(TextError::Vocabulary { input, characters: vocabulary.len(), below }.into());
        }
    }
    let ids = encode(text, characters, &vocabulary)?;
    let stride = options.stride.map_or(window.step, |stride| stride.get());
    Ok(Windows::new(ids, vocabulary, window, stride))
}

fn decode(bytes: Vec<u8>) -> Result<String, TextError> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..offset];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        TextError::NotUtf8 { line, offset, byte: error.as_bytes()[offset] }
    })
}

fn encode(text: &str, characters: usize, vocabulary: &Vocabulary) -> Result<Ids, TextError> {
    let mut ids = Ids::with_capacity(characters, vocabulary.len());
    let (mut line, mut column) = (1, 1);
    for character in text.chars() {
        let Some(id) = vocabulary.id(character) else {
            return Err(TextError::UnknownCharacter { line, column, character, known: vocabulary.len() });
        };
        ids.push(id);
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok(ids)
}

/// Which of the two arrays each input takes: the one that the mapping names, or that bears its name, or else the first
/// that no other input took.
fn bind(inputs: &[InputSpec], mapping: &BTreeMap<String, String>) -> Result<Vec<&'static str>, DataErrorKind> {
    let mut left = vec![TOKENS, NEXT];
    let mut bound = Vec::new();
    for input in inputs {
        let mapped = mapping.get(&input.name);
        let key = mapped.unwrap_or(&input.name);
        let array = [TOKENS, NEXT].into_iter().find(|array| array == key);
        if array.is_none() && mapped.is_some() {
            return Err(DataErrorKind::missing(&input.name, key, [TOKENS, NEXT].into_iter()));
        }
        left.retain(|other| Some(*other) != array);
        bound.push(array);
    }
    let mut left = left.into_iter();
    let array = |(input, array): (&InputSpec, Option<&'static str>)| {
        array
            .or_else(|| left.next())
            .ok_or_else(|| DataErrorKind::missing(&input.name, &input.name, [TOKENS, NEXT].into_iter()))
    };
    inputs.iter().zip(bound).map(array).collect()
}

/// The window has as many characters as the `tokens`, and one more if something is `next`: of those after the tokens an input
/// takes the last.
fn window_for(inputs: &[InputSpec], arrays: &[&'static str]) -> Result<Window, TextError> {
    let length_of = |input: &InputSpec| element_count(&input.example_shape).unwrap_or(usize::MAX);
    let all = || inputs.iter().zip(arrays.iter().copied());
    if let Some(input) = inputs.iter().find(|input| !input.dtype.is_integer()) {
        return Err(TextError::NotIds { input: input.name.clone(), dtype: input.dtype });
    }
    let Some((longest, _)) = all().find(|(_, array)| *array == TOKENS).or_else(|| all().next()) else {
        return Ok(Window { length: 1, step: 1, views: BTreeMap::new() });
    };
    let tokens = length_of(longest);
    let fits = |length: usize, array| if array == TOKENS { length == tokens } else { length <= tokens };
    if let Some((other, _)) = all().find(|(input, array)| !fits(length_of(input), *array)) {
        return Err(TextError::Length {
            input: longest.name.clone(),
            length: tokens,
            other: other.name.clone(),
            other_length: length_of(other),
        });
    }
    let view = |(input, array): (&InputSpec, &'static str)| {
        let offset = if array == TOKENS { 0 } else { tokens - length_of(input) + 1 };
        (input.name.clone(), View { offset, shape: input.example_shape.clone(), dtype: input.dtype })
    };
    let length = tokens.saturating_add(usize::from(arrays.contains(&NEXT)));
    let predicted = all().filter(|(_, array)| *array == NEXT).map(|(input, _)| length_of(input)).max();
    Ok(Window { length, step: predicted.unwrap_or(tokens).max(1), views: all().map(view).collect() })
}
