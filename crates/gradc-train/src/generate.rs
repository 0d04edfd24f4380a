//! Text that a network makes up, a character at a time.
//!
//! The network is given the last characters of the text so far, as many as it takes, and says how likely each character is
//! to follow. One is drawn by that and put at the end.

use crate::array::{Array, ElementType, Elements, ShapeText, element_count};
use crate::batches::Batch;
use crate::data::InputSpec;
use crate::predict::PredictStep;
use crate::random::{self, Purpose};
use crate::text::{List, quoted};
use crate::vocabulary::Vocabulary;
use gradc::{About, Coded, Problems};
use gradc_diagnostics::{Code, codes};
use std::fmt;

/// How the next character is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by, at least 0: less than 1 prefers what is likely, 0 takes the likeliest.
    pub temperature: f64,
    /// The seed of what is drawn.
    pub seed: u64,
}

/// Why no text can be made up.
#[derive(Debug)]
pub enum GenerateError<E> {
    /// The outputs depend on other inputs than one of class ids.
    Inputs(Vec<String>),
    /// It cannot be told which output says what comes next.
    Outputs(Vec<String>),
    /// There is no character to begin with.
    EmptyPrompt,
    /// A character of the prompt that the network does not know.
    UnknownCharacter(char),
    /// The model is made for fewer characters than the vocabulary has.
    Vocabulary {
        /// How many characters there are.
        characters: usize,
        /// The first class id that is too large for the model.
        below: u64,
    },
    /// The output has not a logit for each character, for each position or after the last.
    Logits {
        /// The output.
        output: String,
        /// Its shape, for one example.
        shape: Vec<usize>,
        /// The characters that the network is given.
        window: usize,
        /// How many characters there are.
        characters: usize,
    },
    /// The output is not of floats.
    NotFloats {
        /// The output.
        output: String,
        /// The type of its elements.
        dtype: ElementType,
    },
    /// The network says only what follows a whole window, and the prompt is shorter.
    ShortPrompt {
        /// The characters that the network is given.
        window: usize,
        /// Those of the prompt.
        given: usize,
    },
    /// A logit is not a number, or infinite.
    NotFinite,
    /// There is not enough memory for the characters that the network is given.
    OutOfMemory {
        /// The bytes that are needed.
        bytes: usize,
    },
    /// The network failed.
    Step(E),
}

impl<E: fmt::Display> fmt::Display for GenerateError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GenerateError::Inputs(inputs) => write!(
                f,
                "text is made up by a model whose outputs depend on one input of integers, the characters before; here they depend on {}",
                List(&quoted(inputs))
            ),
            GenerateError::Outputs(outputs) => write!(
                f,
                "there are the outputs {}: the one with the logits of the next character must be called `logits`",
                List(&quoted(outputs))
            ),
            GenerateError::EmptyPrompt => write!(f, "the prompt must have at least one character"),
            GenerateError::UnknownCharacter(character) => {
                write!(f, "the prompt has the character {character:?}, which the text that was learned from has not")
            }
            GenerateError::Vocabulary { characters, below } => write!(
                f,
                "the vocabulary has {characters} characters, but the model takes class ids from 0 to {}",
                below.saturating_sub(1)
            ),
            GenerateError::Logits { output, shape, window, characters } => write!(
                f,
                "output `{output}` has the shape {}, which is neither [1, {window}, n] nor [1, n] with logits for each of {characters} \
                 characters",
                ShapeText(shape)
            ),
            GenerateError::NotFloats { output, dtype } => {
                write!(f, "output `{output}` is {dtype}, but logits are floats")
            }
            GenerateError::ShortPrompt { window, given } => {
                write!(f, "the model says what follows {window} characters, and the prompt has {given}")
            }
            GenerateError::NotFinite => write!(f, "the model gives logits that are not finite"),
            GenerateError::OutOfMemory { bytes } => {
                write!(f, "there is not enough memory: {bytes} bytes are needed")
            }
            GenerateError::Step(error) => write!(f, "{error}"),
        }
    }
}

impl<E: std::error::Error> std::error::Error for GenerateError<E> {}

impl<E: Coded> Coded for GenerateError<E> {
    fn code(&self) -> Code {
        match self {
            GenerateError::EmptyPrompt | GenerateError::UnknownCharacter(_) | GenerateError::ShortPrompt { .. } => {
                codes::BAD_PROMPT
            }
            GenerateError::Inputs(_)
            | GenerateError::Outputs(_)
            | GenerateError::Vocabulary { .. }
            | GenerateError::Logits { .. }
            | GenerateError::NotFloats { .. } => codes::CANNOT_WRITE_TEXT,
            GenerateError::NotFinite => codes::DIVERGED,
            GenerateError::OutOfMemory { .. } => codes::OUT_OF_MEMORY,
            GenerateError::Step(error) => error.code(),
        }
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            GenerateError::Inputs(_)
            | GenerateError::Outputs(_)
            | GenerateError::Vocabulary { .. }
            | GenerateError::OutOfMemory { .. } => Some(About::Model),
            GenerateError::Logits { output, .. } | GenerateError::NotFloats { output, .. } => {
                Some(About::Output(output))
            }
            GenerateError::Step(error) => error.about(),
            _ => None,
        }
    }

    fn problems(&self) -> Option<&Problems> {
        match self {
            GenerateError::Step(error) => error.problems(),
            _ => None,
        }
    }
}

/// A text in the making.
#[derive(Debug)]
pub struct Generator<'v, S> {
    step: S,
    vocabulary: &'v Vocabulary,
    input: InputSpec,
    /// The output with the logits.
    output: usize,
    /// The last characters of the text, at most as many as the input takes.
    context: Vec<i32>,
    sampling: Sampling,
    /// How many characters have been drawn.
    drawn: u64,
}

impl<'v, S: PredictStep> Generator<'v, S> {
    /// A text that begins with `prompt`. `inputs` are those that the outputs depend on.
    ///
    /// # Errors
    /// Where the network does not say which character follows others, or does not know those of the prompt.
    pub fn new(
        step: S,
        inputs: &[InputSpec],
        vocabulary: &'v Vocabulary,
        prompt: &str,
        sampling: Sampling,
    ) -> Result<Self, GenerateError<S::Error>> {
        let window = |input: &InputSpec| element_count(&input.example_shape).unwrap_or(0);
        let input = match inputs {
            [input] if input.dtype.is_integer() && window(input) > 0 => input.clone(),
            _ => return Err(GenerateError::Inputs(inputs.iter().map(|input| input.name.clone()).collect())),
        };
        if let Some(below) = input.ids_below().filter(|&below| below < vocabulary.len() as u64) {
            return Err(GenerateError::Vocabulary { characters: vocabulary.len(), below });
        }
        let output = match step.outputs() {
            [_] => 0,
            outputs => {
                let logits = outputs.iter().position(|output| output == "logits");
                logits.ok_or_else(|| GenerateError::Outputs(outputs.to_vec()))?
            }
        };
        let id = |character| match vocabulary.id(character) {
            Some(id) => Ok(id as i32),
            None => Err(GenerateError::UnknownCharacter(character)),
        };
        let mut context = prompt.chars().map(id).collect::<Result<Vec<i32>, _>>()?;
        if context.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        context.drain(..context.len().saturating_sub(window(&input)));
        Ok(Generator { step, vocabulary, input, output, context, sampling, drawn: 0 })
    }

    /// Draws the next character and puts it at the end of the text.
    ///
    /// # Errors
    /// Where the network fails, or its output is not what is needed.
    pub fn next_character(&mut self) -> Result<char, GenerateError<S::Error>> {
        let window = element_count(&self.input.example_shape).unwrap_or(0);
        // The window is as long as the model says, so it is asked for before it is filled: the ids, and what they are
        // converted to.
        let bytes = window.saturating_mul(size_of::<i32>() + self.input.dtype.size());
        Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| GenerateError::OutOfMemory { bytes })?;
        // What is not there yet stands after the text, where a network that looks only back does not see it.
        let mut ids = self.context.clone();
        ids.resize(window, 0);
        let shape = [&[1], &self.input.example_shape[..]].concat();
        let ids = Array::new(shape, ids).expect("the window has as many elements as the input");
        let ids = ids.convert(self.input.dtype).expect("the vocabulary fits the type of the input");
        let batch = Batch::of_one(&self.input.name, ids);
        let mut outputs = self.step.predict_batch(&batch).map_err(GenerateError::Step)?;
        let logits = self.logits(outputs.swap_remove(self.output), window)?;
        let id = draw(&logits, self.sampling, self.drawn).ok_or(GenerateError::NotFinite)?;
        self.drawn += 1;
        remember(&mut self.context, id, window);
        Ok(self.vocabulary.character(id).expect("there is a logit for each character and no more"))
    }

    /// The logits of the character after the text, for each character of the vocabulary.
    fn logits(&self, output: Array, window: usize) -> Result<Vec<f64>, GenerateError<S::Error>> {
        let characters = self.vocabulary.len();
        let name = || self.step.outputs()[self.output].clone();
        let start = match *output.shape() {
            [1, positions, n] if positions == window && n >= characters => (self.context.len() - 1) * n,
            [1, n] if n >= characters && self.context.len() == window => 0,
            [1, n] if n >= characters => return Err(GenerateError::ShortPrompt { window, given: self.context.len() }),
            ref shape => {
                return Err(GenerateError::Logits { output: name(), shape: shape.to_vec(), window, characters });
            }
        };
        let row = start..start + characters;
        match output.elements() {
            Elements::F16(values) => Ok(values[row].iter().map(|value| value.to_f64()).collect()),
            Elements::Bf16(values) => Ok(values[row].iter().map(|value| value.to_f64()).collect()),
            Elements::F32(values) => Ok(values[row].iter().map(|&value| value.into()).collect()),
            Elements::F64(values) => Ok(values[row].to_vec()),
            _ => Err(GenerateError::NotFloats { output: name(), dtype: output.dtype() }),
        }
    }
}

/// Puts an id at the end of the last `window` ones.
fn remember(context: &mut Vec<i32>, id: usize, window: usize) {
    if context.len() == window {
        context.remove(0);
    }
    context.push(id as i32);
}

/// Draws a position by the softmax of the logits: the first at which the sum of probabilities exceeds a number that is
/// uniform on [0, 1). `None` where a logit is NaN or ∞, or all are −∞.
fn draw(logits: &[f64], sampling: Sampling, index: u64) -> Option<usize> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
        return None;
    }
    let likeliest = logits.iter().position(|&logit| logit == largest);
    if sampling.temperature == 0.0 {
        return likeliest;
    }
    let weight = |&logit: &f64| libm::exp((logit - largest) / sampling.temperature);
    let total: f64 = logits.iter().map(weight).sum();
    let mut left = total * random::uniform(sampling.seed, Purpose::Generate, index);
    let exceeds = |logit| {
        left -= weight(logit);
        left < 0.0
    };
    // Rounding may leave a little at the end.
    logits.iter().position(exceeds).or(likeliest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// Expects after each character its successor in the alphabet, by `certainty`.
    #[derive(Debug)]
    struct Alphabet {
        outputs: Vec<String>,
        certainty: f32,
        dtype: ElementType,
        last_only: bool,
        seen: Vec<Vec<i32>>,
    }

    impl Alphabet {
        fn new(certainty: f32) -> Alphabet {
            let (outputs, dtype) = (vec!["logits".to_owned()], ElementType::F32);
            Alphabet { outputs, certainty, dtype, last_only: false, seen: Vec::new() }
        }
    }

    impl PredictStep for &mut Alphabet {
        type Error = Infallible;

        fn outputs(&self) -> &[String] {
            &self.outputs
        }

        fn predict_batch(&mut self, batch: &Batch) -> Result<Vec<Array>, Infallible> {
            let ids = batch.input("tokens").unwrap().clone().convert(ElementType::I32).unwrap();
            let ids = ids.as_i32().unwrap();
            self.seen.push(ids.to_vec());
            let row = |&id: &i32| (0..5).map(move |to| if to == (id + 1) % 4 { 1.0 } else { 0.0_f32 });
            let ids = if self.last_only { &ids[2..] } else { ids };
            let logits: Vec<f32> = ids.iter().flat_map(row).map(|logit| self.certainty * logit).collect();
            let shape = if self.last_only { vec![1, 5] } else { vec![1, 3, 5] };
            Ok(vec![Array::new(shape, logits).unwrap().convert(self.dtype).unwrap()])
        }
    }

    fn tokens() -> [InputSpec; 1] {
        [InputSpec::new("tokens", ElementType::I32, vec![3]).below(5)]
    }

    fn generate(
        step: &mut Alphabet,
        prompt: &str,
        count: usize,
        temperature: f64,
        seed: u64,
    ) -> Result<String, String> {
        let vocabulary = Vocabulary::of("abcd");
        let sampling = Sampling { temperature, seed };
        let mut generator =
            Generator::new(step, &tokens(), &vocabulary, prompt, sampling).map_err(|error| error.to_string())?;
        (0..count).map(|_| generator.next_character().map_err(|error| error.to_string())).collect()
    }

    #[test]
    fn the_likeliest_follows_at_temperature_0_and_the_window_moves_on() {
        let mut step = Alphabet::new(1.0);
        assert_eq!(generate(&mut step, "b", 6, 0.0, 0).unwrap(), "cdabcd");
        assert_eq!(step.seen[..4], [[1, 0, 0], [1, 2, 0], [1, 2, 3], [2, 3, 0]]);
        assert_eq!(generate(&mut Alphabet::new(1.0), "abcdabc", 3, 0.0, 0).unwrap(), "dab");
    }

    #[test]
    fn logits_may_be_of_any_floats_and_of_nothing_else() {
        let of = |dtype| generate(&mut Alphabet { dtype, ..Alphabet::new(2.0) }, "a", 50, 1.0, 1);
        for dtype in ElementType::ALL {
            match dtype.is_float() {
                true => assert_eq!(of(dtype), of(ElementType::F32), "{dtype}"),
                false if dtype == ElementType::Bool => {}
                false => assert_eq!(of(dtype), Err(format!("output `logits` is {dtype}, but logits are floats"))),
            }
        }
    }

    #[test]
    fn class_ids_may_be_of_any_integers_that_hold_the_vocabulary() {
        let vocabulary = Vocabulary::of("abcd");
        let sampling = Sampling { temperature: 0.0, seed: 0 };
        for dtype in [ElementType::U8, ElementType::I32, ElementType::I64] {
            let inputs = [InputSpec::new("tokens", dtype, vec![3]).below(5)];
            let mut step = Alphabet::new(1.0);
            let mut generator = Generator::new(&mut step, &inputs, &vocabulary, "b", sampling).unwrap();
            let text: String = (0..3).map(|_| generator.next_character().unwrap()).collect();
            assert_eq!(text, "cda", "{dtype}");
        }
        let large = Vocabulary::of(&('a'..).take(300).collect::<String>());
        let inputs = [InputSpec::new("tokens", ElementType::U8, vec![3])];
        let error = Generator::new(&mut Alphabet::new(1.0), &inputs, &large, "b", sampling).unwrap_err();
        assert_eq!(error.to_string(), "the vocabulary has 300 characters, but the model takes class ids from 0 to 255");
    }

    #[test]
    fn characters_come_as_often_as_their_probabilities_say() {
        // Of the fifth class there is no character: it is never drawn.
        let text = generate(&mut Alphabet::new(2.0), "a", 4000, 1.0, 1).unwrap();
        let all: Vec<char> = std::iter::once('a').chain(text.chars()).collect();
        let successors = all.windows(2).filter(|pair| pair[1] as u32 - 97 == (pair[0] as u32 - 96) % 4).count();
        let expected = 2.0_f64.exp() / (2.0_f64.exp() + 3.0);
        assert!((successors as f64 / 4000.0 - expected).abs() < 0.03, "{successors} of 4000, not {expected}");
    }

    /// A window that is in no memory is an error, and takes none before.
    #[test]
    fn a_window_that_does_not_fit_is_an_error() {
        let vocabulary = Vocabulary::of("abcd");
        let sampling = Sampling { temperature: 0.0, seed: 0 };
        // More than any address space holds, so that no system grants it.
        for (dtype, bytes) in
            [(ElementType::I32, 1_usize << 63), (ElementType::I64, 3 << 62), (ElementType::U8, 5 << 60)]
        {
            let inputs = [InputSpec::new("tokens", dtype, vec![1 << 60]).below(5)];
            let mut step = Alphabet::new(1.0);
            let mut generator = Generator::new(&mut step, &inputs, &vocabulary, "ab", sampling).unwrap();
            let error = generator.next_character().unwrap_err();
            assert_eq!(error.to_string(), format!("there is not enough memory: {bytes} bytes are needed"), "{dtype}");
        }
    }

    #[test]
    fn a_text_depends_on_the_seed_alone() {
        let text = |seed| generate(&mut Alphabet::new(1.0), "a", 50, 1.0, seed).unwrap();
        assert_eq!(text(3), text(3));
        assert_ne!(text(3), text(4));
    }

    #[test]
    fn logits_of_the_last_position_need_a_whole_window() {
        let step = || Alphabet { last_only: true, ..Alphabet::new(1.0) };
        assert_eq!(generate(&mut step(), "abc", 2, 0.0, 0).unwrap(), "da");
        let message = generate(&mut step(), "ab", 2, 0.0, 0).unwrap_err();
        assert_eq!(message, "the model says what follows 3 characters, and the prompt has 2");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let error = |step: &mut Alphabet, prompt| generate(step, prompt, 1, 1.0, 0).unwrap_err();
        assert_eq!(error(&mut Alphabet::new(1.0), ""), "the prompt must have at least one character");
        assert_eq!(
            error(&mut Alphabet::new(1.0), "ax"),
            "the prompt has the character 'x', which the text that was learned from has not"
        );
        assert_eq!(error(&mut Alphabet::new(f32::NAN), "a"), "the model gives logits that are not finite");
        let mut two = Alphabet { outputs: vec!["p".to_owned(), "q".to_owned()], ..Alphabet::new(1.0) };
        assert_eq!(
            error(&mut two, "a"),
            "there are the outputs `p` and `q`: the one with the logits of the next character must be called `logits`"
        );
        let sampling = Sampling { temperature: 1.0, seed: 0 };
        let new = |inputs: &[InputSpec], vocabulary: &Vocabulary| {
            Generator::new(&mut Alphabet::new(1.0), inputs, vocabulary, "a", sampling).unwrap_err().to_string()
        };
        assert_eq!(
            new(&tokens(), &Vocabulary::of("abcdef")),
            "the vocabulary has 6 characters, but the model takes class ids from 0 to 4"
        );
        let pixels = [InputSpec::new("pixels", ElementType::F32, vec![3])];
        assert!(new(&pixels, &Vocabulary::of("a")).ends_with("here they depend on `pixels`"));
        let unbounded = [InputSpec::new("tokens", ElementType::I32, vec![3])];
        let (vocabulary, mut step) = (Vocabulary::of("abcdef"), Alphabet::new(1.0));
        let mut generator = Generator::new(&mut step, &unbounded, &vocabulary, "a", sampling).unwrap();
        assert_eq!(
            generator.next_character().unwrap_err().to_string(),
            "output `logits` has the shape [1, 3, 5], which is neither [1, 3, n] nor [1, n] with logits for each of 6 characters"
        );
    }
}
