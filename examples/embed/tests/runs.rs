//! The example does what its text says.

use std::process::{Command, Output};

fn embed(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_embed")).args(arguments).output().expect("the example starts")
}

/// The number that follows `word` in a line.
fn number_after(line: &str, word: &str) -> Option<f64> {
    let mut words = line.split_whitespace().skip_while(|&w| w != word);
    words.nth(1)?.parse().ok()
}

#[test]
fn the_example_learns_and_predicts() {
    let output = embed(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");

    let losses: Vec<f64> = text.lines().filter_map(|line| number_after(line, "loss")).collect();
    assert_eq!(losses.len(), 20, "one loss an epoch:\n{text}");
    assert!(losses[19] < losses[0] / 10.0, "the loss falls:\n{text}");

    let accuracy = text.lines().find_map(|line| number_after(line, "accuracy")).expect("an accuracy");
    assert!(accuracy > 0.9, "what was learned holds for other images:\n{text}");

    assert_eq!(embed(&[]).stdout, text.as_bytes(), "the same numbers when run again");
}

#[test]
fn data_that_cannot_be_read_is_an_error_with_its_name() {
    let output = embed(&["no-such-file.npz"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("embed: ") && said.contains("no-such-file.npz"), "{said}");
    assert!(output.stdout.is_empty());
}
