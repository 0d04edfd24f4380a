//! The table of all diagnostic codes.
//!
//! To add one: a line here and a file `codes/<ID>.md` with the long explanation, which holds at
//! least one erroneous program in a block that is fenced as `` ```net ``, and, for most, the
//! corrected one in a second block. The tests at the end of this file hold the two together.
//!
//! | range | about |
//! |---|---|
//! | E01xx | syntax and source files |
//! | E02xx | names and calls |
//! | E03xx | shapes |
//! | E04xx | types and values |
//! | E05xx | the structure of models, training blocks and imports |
//! | E06xx | data and weight files |
//! | W07xx | warnings |

use crate::Code;

macro_rules! codes {
    ($($id:ident $name:ident $title:literal;)*) => {
        $(
            #[doc = concat!(stringify!($id), ": ", $title, ".")]
            pub const $name: Code = Code::new(
                stringify!($id),
                $title,
                include_str!(concat!("codes/", stringify!($id), ".md")),
            );
        )*

        /// Every code, in the order of the table, which is ascending.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    // Syntax and source files.
    E0101 UNEXPECTED_TOKEN          "something else was expected here";
    E0102 UNKNOWN_CHARACTER         "this character has no meaning in the language";
    E0103 UNTERMINATED_STRING       "a string is not closed on its line";
    E0104 UNKNOWN_ESCAPE            "there is no such escape in strings";
    E0105 MALFORMED_NUMBER          "a number is not written correctly";
    E0106 NUMBER_TOO_LARGE          "a number does not fit into its type";
    E0107 RESERVED_WORD             "a reserved word is used as a name";
    E0108 UNCLOSED_DELIMITER        "a bracket is opened and never closed";
    E0109 UNMATCHED_DELIMITER       "a bracket is closed and was never opened";
    E0110 ASSIGNMENT_AS_COMPARISON  "`=` and `==` are confused";
    E0111 CHAINED_COMPARISON        "comparisons are chained";
    E0112 MISSING_COMMA             "a comma is missing";
    E0113 STRAY_SEPARATOR           "a comma separates nothing";
    E0114 STATEMENT_OUTSIDE_BODY    "a statement is at the top level of a file";
    E0115 NESTED_ITEM               "an item is inside of a body";
    E0116 UNKNOWN_ATTRIBUTE         "there is no such attribute";
    E0117 MISPLACED_ATTRIBUTE       "an attribute is not before a function";
    E0118 TOO_DEEP                  "the program is nested too deeply";
    E0119 FOREIGN_SYNTAX            "this is written differently here than in other languages";
    E0120 FILE_TOO_LARGE            "the source file is too large";
    E0121 NOT_UTF8                  "the source file is not UTF-8 text";
    E0122 STATEMENTS_ON_ONE_LINE    "two statements are on one line without `;`";
    E0123 UNUSED_VALUE              "the value of an expression is not used";
    E0124 PARAMETER_WITHOUT_INIT    "a parameter has no initial value";
    E0125 MISSING_TYPE              "a parameter or input has no type";
    E0126 TYPE_WITHOUT_SHAPE        "a type has no shape";
    E0127 MISSING_NAME              "an output or metric has no name";
    E0128 POSITIONAL_AFTER_NAMED    "an argument without a name follows one with a name";
    E0129 NO_TUPLES                 "there are no tuples";
    E0130 STRAY_HOLE                "`_` is used outside of a call";
    E0131 SETTING_WITH_SIGN         "a setting is written with `=` or `:`";
}

/// The code with this number, in upper or lower case: `find("e0101")`.
pub fn find(id: &str) -> Option<Code> {
    ALL.iter().find(|code| code.id().eq_ignore_ascii_case(id)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_explanation_is_in_the_table_and_the_reverse() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/codes");
        let files: BTreeSet<String> = std::fs::read_dir(directory)
            .expect("the explanations are there")
            .map(|entry| entry.expect("readable").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        let table: BTreeSet<String> = ALL.iter().map(|code| format!("{}.md", code.id())).collect();
        assert_eq!(files, table);
    }

    #[test]
    fn the_table_ascends() {
        for pair in ALL.windows(2) {
            let number = |code: &Code| code.id()[1..].to_owned();
            assert!(number(&pair[0]) < number(&pair[1]), "{:?}", pair);
        }
    }

    #[test]
    fn every_code_is_a_letter_and_four_digits() {
        for code in ALL {
            let (letter, digits) = code.id().split_at(1);
            assert!(letter == "E" || letter == "W", "{code}");
            assert!(digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()), "{code}");
            assert_eq!(letter == "W", digits.starts_with("07"), "{code}");
        }
    }

    #[test]
    fn every_explanation_shows_an_erroneous_example() {
        for code in ALL {
            let text = code.explanation();
            assert!(text.contains("```net\n"), "{code} shows no program");
            assert_eq!(text.matches("```").count() % 2, 0, "{code}: a fence is open");
            assert!(text.ends_with('\n'), "{code}");
            assert!(!code.title().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn codes_are_found_in_either_case() {
        assert_eq!(find("e0101"), Some(UNEXPECTED_TOKEN));
        assert_eq!(find("E0101"), Some(UNEXPECTED_TOKEN));
        assert_eq!(find("E9999"), None);
        assert_eq!(find(""), None);
    }
}
