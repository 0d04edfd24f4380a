//! The explanations of syntax errors are true: their first program has the error that they explain,
//! and the others have none.

use gradc_diagnostics::{Code, SourceMap, codes};

/// Codes that are about something that a short text cannot show.
const NOT_ABOUT_A_SHORT_TEXT: [Code; 3] = [codes::TOO_DEEP, codes::FILE_TOO_LARGE, codes::NOT_UTF8];

/// The programs in the explanation of a code, in order.
fn programs(code: Code) -> Vec<&'static str> {
    let fenced = code.explanation().split("```net\n").skip(1);
    fenced.filter_map(|rest| rest.split("```").next()).collect()
}

fn errors(text: &str) -> Vec<&'static str> {
    let mut sources = SourceMap::new();
    let file = sources.add("example.net", text);
    let parsed = gradc_syntax::parse(file, sources.text(file));
    parsed.diagnostics.iter().map(|diagnostic| diagnostic.code().id()).collect()
}

#[test]
fn the_first_program_is_wrong_and_the_others_are_right() {
    let syntax = codes::ALL.iter().filter(|code| code.id().starts_with("E01"));
    for code in syntax.filter(|code| !NOT_ABOUT_A_SHORT_TEXT.contains(code)) {
        let programs = programs(*code);
        let (wrong, right) = programs.split_first().expect("there is a program");
        let found = errors(wrong);
        assert!(!found.is_empty() && found.iter().all(|found| found == &code.id()), "{code}: {found:?}");
        assert!(!right.is_empty(), "{code} shows no correction");
        for program in right {
            assert_eq!(errors(program), [""; 0], "{code}: {program}");
        }
    }
}

#[test]
fn the_programs_of_other_explanations_have_no_syntax_error() {
    let others = codes::ALL.iter().filter(|code| !code.id().starts_with("E01"));
    for code in others.copied().chain(NOT_ABOUT_A_SHORT_TEXT) {
        for program in programs(code) {
            assert_eq!(errors(program), [""; 0], "{code}: {program}");
        }
    }
}
