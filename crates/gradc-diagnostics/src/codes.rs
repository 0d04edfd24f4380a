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
//! | E06xx | emitted graphs and certificates |
//! | W07xx | warnings |
//! | E08xx | checks of gradients |
//! | E09xx | goals, data, weights and runs |

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
    E0132 MISPLACED_RULE            "a derivative rule is not that of a `fn`";

    // Names and calls.
    E0201 UNKNOWN_NAME              "a name is not known";
    E0202 NOT_CALLABLE              "something is called that is not a function";
    E0203 TOO_MANY_ARGUMENTS        "a call has too many arguments";
    E0204 MISSING_ARGUMENT          "a call lacks an argument";
    E0205 UNKNOWN_ARGUMENT          "a function has no parameter of this name";
    E0206 DUPLICATE_ARGUMENT        "an argument is given twice";
    E0207 DUPLICATE_DEFINITION      "a name is defined twice";
    E0208 CANNOT_ASSIGN             "this cannot be given another value";
    E0209 RECURSION                 "functions call each other in a circle";
    E0210 CYCLIC_DEFINITION         "dims or consts are defined by each other";
    E0211 LAYER_IN_FN               "a layer is used where nothing owns its parameters";
    E0212 PARAM_OUTSIDE_LAYER       "`param` outside of a layer or model";
    E0213 MODEL_STATEMENT           "a statement that only a model has";
    E0214 UNKNOWN_FIELD             "a tensor has no such field";
    E0215 NO_VALUE                  "a block that should have a value has none";
    E0216 CALLS_TOO_DEEP            "calls are nested too deeply";
    E0217 TOO_MUCH_WORK             "the program asks for too much";
    E0218 BAD_METRIC                "`@metric` does not name a function";

    // Shapes.
    E0301 SHAPES_DIFFER             "the shapes of two operands do not fit";
    E0302 MATMUL_SHAPES             "the shapes of a matrix product do not fit";
    E0303 RANK_MISMATCH             "a tensor has the wrong number of axes";
    E0304 DIM_MISMATCH              "an axis has another length than declared";
    E0305 RESULT_MISMATCH           "a function gives another shape than it declares";
    E0306 AXIS_OUT_OF_RANGE         "a tensor has no such axis";
    E0307 DUPLICATE_AXIS            "an axis is named twice";
    E0308 BAD_RESHAPE               "a reshape changes the number of elements";
    E0309 BAD_PERMUTATION           "this is no permutation of the axes";
    E0310 CONCAT_SHAPES             "the parts of a concatenation do not fit";
    E0311 BAD_BROADCAST             "a tensor cannot be broadcast to this shape";
    E0312 BAD_PADDING               "these are no counts for `pad`";
    E0313 INDEX_OUT_OF_RANGE        "an index is out of range";
    E0314 TOO_MANY_SUBSCRIPTS       "more axes are indexed than there are";
    E0315 EMPTY_SLICE               "a slice has no elements";
    E0316 BAD_STEP                  "the step of a slice is not positive";
    E0317 DIM_NOT_WHOLE             "a dim is not a whole number";
    E0318 DIM_NOT_POSITIVE          "a dim is zero or negative";
    E0319 TENSOR_TOO_LARGE          "a tensor is too large";
    E0320 MISPLACED_REST            "`..` stands for nothing here";
    E0321 SHARED_SHAPE              "a shared layer is used with different shapes";
    E0322 BAD_WINDOW                "an axis does not have these windows";
    E0323 BAD_EINSUM                "an equation of `einsum` does not fit its operands";
    E0324 EINSUM_EXTENTS            "an axis of `einsum` has two extents";
    E0325 CARRY_CHANGES             "a step of a `scan` changes the type of what it carries";
    E0326 COTANGENT_COUNT           "a derivative rule gives too many cotangents or too few";
    E0327 COTANGENT_TYPE            "a cotangent has another type than its argument";

    // Types and values.
    E0401 WRONG_KIND                "a value is of the wrong kind";
    E0402 DTYPE_MISMATCH            "the element types of two operands differ";
    E0403 WRONG_DTYPE               "an operator does not take this element type";
    E0404 UNKNOWN_ELEMENT           "there is no such element type";
    E0405 LITERAL_DOES_NOT_FIT      "a number does not fit the element type";
    E0406 CONDITION_NOT_CONSTANT    "something must be known when compiling";
    E0407 NOT_CONSTANT              "a const is a tensor";
    E0408 ARITHMETIC                "a number cannot be computed";
    E0409 NOT_AN_INITIALIZER        "this does not say how a parameter begins";
    E0410 BAD_RECIPE                "an initializer has impossible arguments";
    E0411 PARAM_NOT_FLOAT           "a parameter does not hold floats";
    E0412 FAILED                    "a function does not take these arguments";
    E0413 RULE_WITHOUT_FLOATS       "a derivative rule has nothing to differentiate";
    E0414 HIDDEN_DEPENDENCE         "a derivative rule leaves out what its function depends on";

    // Models, training blocks and imports.
    E0501 NOT_SCALAR                "a loss or metric is not a single float";
    E0502 SEVERAL_LOSSES            "a model has two losses";
    E0503 DUPLICATE_RESULT          "two results have one name";
    E0504 MODEL_WITHOUT_RESULT      "a model gives nothing";
    E0505 NO_SUCH_MODEL             "there is no such model";
    E0506 UNKNOWN_DIM               "there is no such dim";
    E0507 BAD_OVERRIDE              "a dim cannot have this value";
    E0508 IMPORT_NOT_FOUND          "an imported file cannot be read";
    E0509 IMPORT_CYCLE              "files import each other in a circle";
    E0510 SEVERAL_TRAIN_BLOCKS      "a model has two `train` blocks";
    E0511 AMBIGUOUS_TRAIN           "a `train` block does not say which model it is for";
    E0512 TRAIN_WITHOUT_LOSS        "a model without a loss cannot be trained";
    E0513 UNKNOWN_SETTING           "there is no such setting";
    E0514 DUPLICATE_SETTING         "a setting is given twice";
    E0515 SETTING_ARGUMENT          "a setting has an impossible value";
    E0516 UNKNOWN_CHOICE            "there is no such optimizer or schedule";
    E0517 NOT_A_STATE               "what is updated is no state";
    E0518 UPDATED_TWICE             "a state is updated twice";
    E0519 UPDATE_TYPE               "the next value of a state has another type";
    E0520 PHASES_DIFFER             "training and inference need different parameters";
    E0521 RESERVED_PATH             "a path is taken by the training step";

    // Emitted graphs and certificates.
    E0601 MALFORMED_GRAPH           "an emitted graph cannot be read back";
    E0602 MALFORMED_CERTIFICATE     "a certificate cannot be read";
    E0603 WRONG_CERTIFICATE         "a certificate does not hold";

    // Warnings.
    W0701 UNUSED_LET                "a variable is not used";
    W0702 UNUSED_PARAMETER          "a parameter of a function is not used";
    W0703 UNUSED_INPUT              "an input is not used";
    W0704 UNUSED_PARAM              "a trained parameter is not used";
    W0705 UNUSED_DIM                "a dim or const is not used";
    W0706 UNREACHED_PARAMETER       "the loss does not depend on a parameter";
    W0707 KINK                      "the loss has a kink at the point of a gradient check";
    W0708 OTHER_DERIVATIVE          "a derivative rule is not the derivative of its function";
    W0709 NONLINEAR_RULE            "forward mode meets a derivative rule that is not linear";

    // Checks of gradients.
    E0801 WRONG_DERIVATIVE          "a derivative does not agree with finite differences";
    E0802 NOT_FINITE                "a loss or gradient is not finite";
    E0803 WRONG_MACHINE_CODE        "machine code and interpreter disagree";
    E0804 WRONG_REWRITE             "optimised and unoptimised code disagree";
    E0805 WRONG_RULE                "a derivative rule of a program is wrong";

    // Goals, data, weights and runs.
    E0901 NO_LOSS                   "a model without a loss is differentiated or trained";
    E0902 UNKNOWN_VALUE             "a model has no value of this name";
    E0903 NOT_DIFFERENTIABLE        "there is no derivative by this value";
    E0904 NOTHING_TO_TRAIN          "there is no parameter to train or to differentiate by";
    E0905 WHICH_MODEL               "a file has no model, or several";
    E0906 FIXED_SHAPES              "a graph is asked for other shapes than its own";
    E0907 FILE_ACCESS               "a file cannot be read or written";
    E0908 TOO_MUCH_DATA             "a file holds more than is read";
    E0909 NO_DATA                   "it is not said where the data is";
    E0910 MISSING_INPUT             "an input has no data";
    E0911 UNKNOWN_INPUT             "data is given to an input that there is not";
    E0912 INPUT_TYPE                "data has another shape or type than its input";
    E0913 INDEX_IN_DATA             "an index in the data is out of range";
    E0914 VALUE_CHANGED             "a number has no equal in the type that it is read as";
    E0915 NO_BATCH                  "the inputs have no common axis of examples";
    E0916 UNKNOWN_FORMAT            "a data file is in no known format";
    E0917 MALFORMED_DATA            "a data file is damaged";
    E0918 EXAMPLE_COUNT             "there are no examples, or not as many as there should be";
    E0919 TEXT_DOES_NOT_FIT         "a text does not fit the model";
    E0920 BAD_SPLIT                 "this share of the data cannot be held out";
    E0921 MALFORMED_WEIGHTS         "a weight file cannot be read";
    E0922 OTHER_PARAMETERS          "weights are those of another model";
    E0923 NOT_A_CHECKPOINT          "a file is no checkpoint that can be gone on from";
    E0924 OTHER_TRAINING            "a checkpoint is that of another training";
    E0925 DIVERGED                  "the loss, or what a model says, is not a number";
    E0926 NOT_PER_EXAMPLE           "an output does not belong to single examples";
    E0927 CANNOT_WRITE_TEXT         "a model cannot make up text";
    E0928 BAD_PROMPT                "a text cannot begin like this";
    E0929 OUT_OF_MEMORY             "there is not enough memory";
    E0930 NO_MACHINE_CODE           "machine code cannot be made";
    E0931 OVER_MEMORY_LIMIT         "a model works in more memory than it may";
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
            let kinds = ["```net\n", "```ir\n", "```proof\n"];
            assert!(kinds.iter().any(|kind| text.contains(kind)), "{code} shows no program");
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
