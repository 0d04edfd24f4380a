//! Text: which characters an input gets, what is held out, and what is said where a text cannot be used.

use super::*;
use crate::batches::Batch;
use crate::split::{Examples, split};

/// An input that takes class ids.
fn ids(name: &str, shape: &[usize]) -> InputSpec {
    InputSpec::new(name, I32, shape.to_vec())
}

fn tokens_and_next(time: usize) -> [InputSpec; 2] {
    [ids("tokens", &[time]), ids("next", &[time])]
}

fn stride(stride: usize) -> LoadOptions {
    LoadOptions { stride: NonZero::new(stride), ..LoadOptions::default() }
}

/// The characters of an input in each of some examples.
fn characters(examples: &Examples<'_>, input: &str) -> Vec<String> {
    let dataset = examples.dataset();
    let vocabulary = dataset.vocabulary().unwrap();
    let mut batch = Batch::with_capacity(dataset, 1);
    let mut text = |&row: &u32| {
        batch.fill(dataset, &[row]);
        let ids = batch.input(input).unwrap().as_i32().unwrap().iter();
        ids.map(|&id| vocabulary.character(id as usize).unwrap()).collect()
    };
    examples.rows().iter().map(&mut text).collect()
}

fn check(text: &str, inputs: &[InputSpec], options: &LoadOptions, expected: &[(&str, &[&str])]) {
    let files = Files::new().with("a.txt", text).with("a.txt.gz", gzipped(text.as_bytes()));
    for name in ["a.txt", "a.txt.gz"] {
        let loaded = files.load_with(name, inputs, options).unwrap();
        let all = Examples::all(&loaded.train);
        assert_eq!(loaded.train.examples(), all.len());
        for (input, expected) in expected {
            assert_eq!(characters(&all, input), *expected, "{input}");
        }
    }
}

#[test]
fn each_character_is_predicted_once_unless_there_is_a_stride() {
    let text = "to be, or not";
    let default = LoadOptions::default();
    let expected: [(&str, &[&str]); 2] = [("tokens", &["to b", "e, o", "r no"]), ("next", &["o be", ", or", " not"])];
    check(text, &tokens_and_next(4), &default, &expected);
    let expected: [(&str, &[&str]); 2] = [("tokens", &["to be,", " or no"]), ("next", &["o be, ", "or not"])];
    check(text, &[ids("tokens", &[2, 3]), ids("next", &[6])], &default, &expected);
    let last = [ids("tokens", &[6]), ids("next", &[])];
    let expected: [(&str, &[&str]); 2] = [("tokens", &["to be,", "be, or", " or no"]), ("next", &[" ", " ", "t"])];
    check(text, &last, &stride(3), &expected);
    check(
        "abcde",
        &[ids("tokens", &[3]), ids("next", &[])],
        &default,
        &[("tokens", &["abc", "bcd"]), ("next", &["d", "e"])],
    );
    check("abcde", &[ids("tokens", &[2])], &default, &[("tokens", &["ab", "cd"])]);
    check("abc", &tokens_and_next(2), &default, &[("tokens", &["ab"]), ("next", &["bc"])]);
}

#[test]
fn inputs_take_arrays_by_name_by_mapping_and_by_order() {
    let expected: [(&str, &[&str]); 2] = [("x", &["ab"]), ("y", &["bc"])];
    let default = LoadOptions::default();
    check("abc", &[ids("x", &[2]), ids("y", &[2])], &default, &expected);
    let mapped = mapping(&[("y", "next"), ("x", "tokens")]).into();
    check("abc", &[ids("y", &[2]), ids("x", &[2])], &mapped, &expected);
    check("abc", &[ids("y", &[2]), ids("tokens", &[2])], &default, &[("y", &["bc"]), ("tokens", &["ab"])]);
}

#[test]
fn a_vocabulary_is_sorted_kept_and_may_be_large() {
    let files = Files::new().with("a.txt", "\u{FEFF}bab").with("b.txt", "aaa\nbx");
    let files = files.with("c.txt", ('\u{100}'..'\u{300}').rev().collect::<String>());
    let load = |name, options: &LoadOptions| files.load_with(name, &tokens_and_next(1), options);
    let vocabulary = load("a.txt", &LoadOptions::default()).unwrap().train.vocabulary().cloned();
    assert_eq!(vocabulary, Some(Vocabulary::of("ab")));
    let options = LoadOptions { vocabulary, ..LoadOptions::default() };
    assert!(load("a.txt", &options).is_ok());
    let message = load("b.txt", &options).unwrap_err().to_string();
    assert!(
        message.ends_with("b.txt: line 1, column 4: '\\n' is not among the 2 characters that the weights know"),
        "{message}"
    );
    let large = load("c.txt", &LoadOptions::default()).unwrap().train;
    assert_eq!(large.vocabulary().unwrap().len(), 512);
    assert_eq!(characters(&Examples::all(&large), "next")[509..], ["\u{101}", "\u{100}"]);
}

#[test]
fn a_text_that_cannot_be_used_is_an_error() {
    let files = Files::new()
        .with("a.txt", "to be,\nor not")
        .with("empty.txt", "")
        .with("latin.txt", b"to be\nor n\xe4t")
        .with("d.csv", "x,y\n1,2\n");
    let error = |name: &str, inputs: &[InputSpec]| files.error(name, inputs, &[]);
    assert_eq!(error("empty.txt", &tokens_and_next(4)), "empty.txt: the text is empty");
    assert_eq!(error("a.txt", &tokens_and_next(13)), "a.txt: the text has 13 characters, but one example needs 14");
    assert_eq!(
        error("latin.txt", &tokens_and_next(2)),
        "latin.txt: line 2: the byte 0xe4 at position 10 is not UTF-8; a text in another encoding must be converted first"
    );
    let [tokens, next] = tokens_and_next(2);
    assert_eq!(
        error("a.txt", &[tokens.clone().below(8), next.clone()]),
        "a.txt: the text has 9 different characters, but input `tokens` takes class ids from 0 to 7: the model needs a \
         vocabulary of 9"
    );
    assert_eq!(
        error("a.txt", &[tokens.clone(), InputSpec::new("next", F32, vec![2])]),
        "a.txt: input `next` is f32, but the characters of a text are class ids, which are integers"
    );
    assert_eq!(
        error("a.txt", &[tokens.clone(), ids("next", &[3])]),
        "a.txt: input `tokens` takes 2 characters of a text, but input `next` takes 3; all `tokens` need equally many, and \
         `next` no more than these"
    );
    assert_eq!(
        error("a.txt", &[tokens.clone(), next.clone(), ids("label", &[])]),
        "a.txt: input `label` has no data: there is `tokens` and `next`"
    );
    assert_eq!(
        files.error("a.txt", &[tokens, next], &[("next", "nxt")]),
        "a.txt: input `next` has no data: there is no `nxt`, only `tokens` and `next`; did you mean `next`?"
    );
    let table = [InputSpec::new("x", F32, vec![]), InputSpec::new("y", F32, vec![])];
    let message = files.load_with("d.csv", &table, &stride(2)).unwrap_err().to_string();
    assert!(message.ends_with("d.csv: `stride` is for a text, which is cut into windows"), "{message}");
}

#[test]
fn a_part_that_is_too_short_is_an_error() {
    let files = Files::new().with("a.txt", "abcdefghij");
    let text = files.load("a.txt", &tokens_and_next(4), &[]).unwrap().train;
    assert_eq!(
        split(&text, 0.4, 0).unwrap_err().to_string(),
        "with a share of 0.4 held out, the text has parts of 6 and 4 characters, but one example needs 5"
    );
    let parts = split(&text, 0.5, 0).unwrap();
    assert_eq!(characters(&parts.train, "next"), ["bcde"]);
    assert_eq!(characters(&parts.held_out.unwrap(), "next"), ["ghij"]);
    assert_eq!(split(&text, 0.0, 0).unwrap().train.len(), 2);
}

proptest! {
    #[test]
    fn no_character_is_in_both_parts_and_each_held_out_one_is_predicted_once(
        characters in 40_usize..200,
        time in 1_usize..9,
        predicted in 1_usize..9,
        stride in 1_usize..12,
        share in 0.3_f64..0.7,
    ) {
        let files = Files::new().with("a.txt", "x".repeat(characters));
        let predicted = predicted.min(time);
        let inputs = [ids("tokens", &[time]), ids("next", &[predicted])];
        let text = files.load_with("a.txt", &inputs, &self::stride(stride)).unwrap().train;
        let parts = split(&text, share, 0).unwrap();
        let border = characters - (share * characters as f64).round() as usize;
        let train: Vec<usize> = parts.train.rows().iter().map(|&row| row as usize).collect();
        let held_out: Vec<usize> = parts.held_out.unwrap().rows().iter().map(|&row| row as usize).collect();
        prop_assert!(train.iter().all(|row| row + time < border && row % stride == 0));
        prop_assert!(held_out.iter().all(|row| *row >= border && row + time < characters));
        let targets: Vec<usize> =
            held_out.iter().flat_map(|row| row + time + 1 - predicted..row + time + 1).collect();
        let expected: Vec<usize> = (border + time + 1 - predicted..).take(targets.len()).collect();
        prop_assert_eq!(&targets, &expected);
        prop_assert!(characters - (targets[targets.len() - 1] + 1) < predicted);
    }
}
