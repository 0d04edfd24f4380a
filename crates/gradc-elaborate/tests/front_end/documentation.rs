//! The programs in the documents are right, and the tables of the language's reference are complete.

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
