//! The programs in the documents are right, and the tables of the language's reference are complete.

use std::fmt::Write;
use std::path::Path;

use gradc_diagnostics::SourceMap;
use gradc_elaborate::PRELUDE;
use gradc_syntax::ast::Item;

use crate::support::{programs, run_text};

const REFERENCE: &str = include_str!("../../../../docs/language.md");
const README: &str = include_str!("../../../../README.md");
const DERIVATIVES: &str = include_str!("../../../../docs/derivatives.md");
const DATA: &str = include_str!("../../../../docs/data.md");

#[test]
fn every_program_in_the_documents_is_right() {
    assert!(programs(REFERENCE).len() >= 12, "only {} programs were found", programs(REFERENCE).len());
    let programs: Vec<String> = [REFERENCE, README, DATA, DERIVATIVES].iter().flat_map(|text| programs(text)).collect();
    let wrong: Vec<String> = programs
        .iter()
        .map(|program| (program, run_text(program)))
        .filter(|(_, run)| !run.diagnostics.is_empty())
        .map(|(program, run)| format!("{program}\n{}", run.rendered()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reference_names_all_of_the_prelude() {
    let mut sources = SourceMap::new();
    let file = sources.add("prelude.net", PRELUDE);
    let parsed = gradc_syntax::parse(file, PRELUDE);
    assert!(parsed.diagnostics.is_empty());
    for item in &parsed.file.items {
        let name = match item {
            Item::Function(function) => &function.name.text,
            Item::Const(definition) if !definition.name.text.starts_with("selu_") => &definition.name.text,
            _ => continue,
        };
        assert!(REFERENCE.contains(&format!("`{name}")), "docs/language.md does not mention {name}");
    }
}

#[test]
fn the_prelude_has_no_warnings_of_its_own() {
    // As a root file it is checked like any other, unused variables included.
    let run = run_text(PRELUDE);
    assert!(run.diagnostics.is_empty(), "{}", run.rendered());
}

/// `docs/prelude.md` as it should be: the sections, signatures and comments of the prelude.
fn manual() -> String {
    let mut manual = String::from(
        "# The prelude\n\n\
         What every program can use without an import, in the order of [its source](../crates/gradc-elaborate/src/prelude.net). \
         This page is\nwritten from there, and a test holds it. [The language](language.md) says how signatures are read.\n",
    );
    let mut comment: Vec<&str> = Vec::new();
    let mut lines = PRELUDE.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("// ---").map(|rest| rest.trim_matches(['-', ' '])) {
            let mut title: String = title.to_owned();
            title[..1].make_ascii_uppercase();
            let _ = write!(manual, "\n## {title}\n");
            comment.clear();
        } else if let Some(text) = line.strip_prefix("//") {
            comment.push(text.trim());
        } else if line.is_empty() {
            // What stands by itself is about the section.
            let text = comment.join(" ");
            if manual.contains("\n## ") && !text.trim().is_empty() {
                let _ = write!(manual, "\n{}\n", text.trim());
            }
            comment.clear();
        } else if let Some(signature) = signature(line, &mut lines) {
            let _ = write!(manual, "\n`{signature}`");
            let text = comment.join(" ");
            let _ = if text.is_empty() { writeln!(manual) } else { write!(manual, "  \n{text}\n") };
            comment.clear();
        }
    }
    manual
}

/// What is declared on a line, without its body. Parameters may stand on lines of their own, which are taken from `rest`.
fn signature<'a>(line: &'a str, rest: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let declares = ["fn ", "layer ", "initializer ", "const "].iter().any(|keyword| line.starts_with(keyword));
    if !declares {
        return None;
    }
    let mut signature = line.to_owned();
    if line.ends_with('(') {
        let parameters: Vec<&str> = rest.take_while(|line| !line.starts_with(')')).map(str::trim).collect();
        signature = format!("{line}{})", parameters.join(" ").trim_end_matches(','));
    }
    Some(signature.split_once(" {").map_or(signature.clone(), |(signature, _)| signature.to_owned()))
}

#[test]
fn the_manual_of_the_prelude_is_what_its_source_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/prelude.md");
    if std::env::var("INSTA_UPDATE").is_ok_and(|mode| mode == "always") {
        std::fs::write(&path, manual()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).expect("the page is there");
    assert!(found == manual(), "docs/prelude.md is out of date: INSTA_UPDATE=always cargo test -p gradc-elaborate");
}
