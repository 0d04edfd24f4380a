//! `gradc generate`

use gradc::Coded;
use gradc::diagnostics::codes;
use gradc_train::{GenerateError, Generator, Sampling};
use serde_json::json;

use crate::args::GenerateArgs;
use crate::evaluate::{Trained, trained};
use crate::model::Said;
use crate::output::{Failure, Outcome, Output};

/// What a text begins with if nothing is said.
const LINE_END: &str = "\n";

pub(crate) fn generate(args: &GenerateArgs, output: &mut Output) -> Outcome {
    let Trained { compiled, vocabulary, .. } = trained(&args.file, &args.weights, &args.compile, args.threads, output)?;
    let model = compiled.model().clone();
    let vocabulary = vocabulary.ok_or_else(|| {
        let message = format!("{} has no vocabulary: it was not trained on text", args.weights.display());
        Failure::error(codes::CANNOT_WRITE_TEXT, message)
    })?;
    let inputs = compiled.predict_specs();
    let sampling = Sampling { temperature: args.temperature, seed: args.seed };
    let prompt = args.prompt.as_deref().unwrap_or(LINE_END);
    if args.prompt.is_none() && vocabulary.id('\n').is_none() {
        let message = "the text that was learned from has no ends of lines to begin after: say with `--prompt` what to begin with";
        return Err(Failure::error(codes::BAD_PROMPT, message));
    }
    let mut generator = Generator::new(compiled, &inputs, &vocabulary, prompt, sampling).said_of(&model)?;
    let mut characters = (0..args.length).map(|_| {
        generator.next_character().map_err(|error| match error {
            GenerateError::ShortPrompt { .. } if args.prompt.is_none() => {
                Failure::error(error.code(), format!("{error}: say with `--prompt` what to begin with"))
            }
            error => Failure::of(&error, Some(&model)),
        })
    });
    if output.json() {
        let text: String = characters.collect::<Result<_, _>>()?;
        return output.object(&json!({ "event": "generate", "prompt": prompt, "text": text }));
    }
    // A model that cannot go on says so before there is anything to go on from.
    let first = characters.next().transpose()?;
    output.foreign(prompt)?;
    let shown = first.into_iter().map(Ok).chain(characters).try_for_each(|character| {
        // Shown as it comes.
        output.foreign(character?.encode_utf8(&mut [0; 4]))
    });
    output.line("")?;
    shown
}
