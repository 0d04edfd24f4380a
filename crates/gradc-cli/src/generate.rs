//! `gradc generate`

use gradc_train::{Generator, Sampling};
use serde_json::json;

use crate::args::GenerateArgs;
use crate::evaluate::{Trained, trained};
use crate::model::said;
use crate::output::{Failure, Outcome, Output};

pub(crate) fn generate(args: &GenerateArgs, output: &mut Output) -> Outcome {
    let Trained { compiled, vocabulary, .. } = trained(&args.file, &args.weights, &args.compile, output)?;
    let vocabulary = vocabulary.ok_or_else(|| {
        Failure::Message(format!("{} has no vocabulary: it was not trained on text", args.weights.display()))
    })?;
    let inputs = compiled.predict_specs();
    let sampling = Sampling { temperature: args.temperature, seed: args.seed };
    let mut generator = said(Generator::new(compiled, &inputs, &vocabulary, &args.prompt, sampling))?;
    let mut characters = (0..args.length).map(|_| said(generator.next_character()));
    if output.json() {
        let text: String = characters.collect::<Result<_, _>>()?;
        return output.object(&json!({ "event": "generate", "prompt": args.prompt, "text": text }));
    }
    // A model that cannot go on says so before there is anything to go on from.
    let first = characters.next().transpose()?;
    output.text(&args.prompt)?;
    let shown = first.into_iter().map(Ok).chain(characters).try_for_each(|character| {
        // Shown as it comes.
        output.text(character?.encode_utf8(&mut [0; 4]))
    });
    output.line("")?;
    shown
}
