//! Random mutations of programs: the front end always ends with a result or a message, and what it accepts is
//! well-formed.

use proptest::prelude::*;

use crate::support::run_text;

/// Programs that use all of the language.
const PROGRAMS: [&str; 14] = [
    include_str!("../../../../examples/digits.net"),
    include_str!("../../../../tests/elaborate/broadcasting.net"),
    include_str!("../../../../tests/elaborate/matmul.net"),
    include_str!("../../../../tests/elaborate/shared_weights.net"),
    include_str!("../../../../tests/elaborate/parameter_paths.net"),
    include_str!("../../../../tests/elaborate/functions_as_values.net"),
    include_str!("../../../../tests/elaborate/leading_axes.net"),
    include_str!("../../../../tests/elaborate/loops_and_conditions.net"),
    include_str!("../../../../tests/elaborate/initializers.net"),
    include_str!("../../../../tests/elaborate/movement.net"),
    include_str!("../../../../tests/elaborate/index.net"),
    include_str!("../../../../tests/elaborate/losses.net"),
    include_str!("../../../../tests/elaborate/element_types.net"),
    include_str!("../../../../tests/elaborate/reductions.net"),
];

/// Pieces of programs, between which the changes are made.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for c in text.chars() {
        let joins = c.is_alphanumeric() || c == '_';
        match words.last_mut() {
            Some(last) if joins && last.chars().all(|d| d.is_alphanumeric() || d == '_') => last.push(c),
            _ => words.push(c.to_string()),
        }
    }
    words
}

#[derive(Debug, Clone)]
enum Change {
    Remove(usize),
    Swap(usize, usize),
    Copy(usize, usize),
    Replace(usize, &'static str),
}

const REPLACEMENTS: [&str; 24] = [
    "0",
    "-1",
    "1e30",
    "3",
    "9223372036854775807",
    "x",
    "h",
    "batch",
    "dense",
    "relu",
    "all",
    "f32",
    "i32",
    "[",
    "]",
    "..",
    "_",
    "@",
    "**",
    "true",
    "sum",
    "\"s\"",
    "T",
    "shape",
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        any::<usize>().prop_map(Change::Remove),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::Swap(a, b)),
        (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Change::Copy(a, b)),
        (any::<usize>(), prop::sample::select(&REPLACEMENTS[..])).prop_map(|(at, word)| Change::Replace(at, word)),
    ]
}

fn apply(words: &mut Vec<String>, change: &Change) {
    let length = words.len().max(1);
    match *change {
        Change::Remove(at) => {
            words.remove(at % length);
        }
        Change::Swap(a, b) => words.swap(a % length, b % length),
        Change::Copy(from, to) => {
            let word = words[from % length].clone();
            words.insert(to % length, word);
        }
        Change::Replace(at, word) => word.clone_into(&mut words[at % length]),
    }
}

/// Replaces numbers by numbers and names by names: most results still parse, so that shapes and calls are met.
fn exchange(words: &mut [String], changes: &[(usize, usize)]) {
    let is_name = |word: &String| word.starts_with(|c: char| c.is_alphabetic()) && word.len() < 12;
    let is_number = |word: &String| word.starts_with(|c: char| c.is_ascii_digit());
    for &(at, choice) in changes {
        let at = at % words.len();
        if is_number(&words[at]) {
            words[at] = ["0", "1", "2", "3", "5", "8", "(-1)", "0.5", "64", "1_000_000_000"][choice % 10].to_owned();
        } else if is_name(&words[at]) {
            let names: Vec<String> = words.iter().filter(|word| is_name(word)).cloned().collect();
            words[at].clone_from(&names[choice % names.len()]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_programs_never_panic(program in 0..PROGRAMS.len(), changes in prop::collection::vec(change(), 1..6)) {
        let mut words = words(PROGRAMS[program]);
        changes.iter().for_each(|change| apply(&mut words, change));
        // The graphs of accepted programs are verified, and every message is rendered.
        let run = run_text(&words.concat());
        prop_assert!(run.diagnostics.is_empty() == run.rendered().is_empty());
    }

    #[test]
    fn programs_of_other_sizes_never_panic(
        program in 0..PROGRAMS.len(),
        changes in prop::collection::vec(any::<(usize, usize)>(), 1..8),
    ) {
        let mut words = words(PROGRAMS[program]);
        exchange(&mut words, &changes);
        let run = run_text(&words.concat());
        prop_assert!(run.diagnostics.is_empty() == run.rendered().is_empty());
    }
}
