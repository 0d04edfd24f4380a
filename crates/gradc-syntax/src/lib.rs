//! The syntax of the gradc language: text in, tree and diagnostics out.
//!
//! - [`parse`] makes a [tree](ast) of a file, whatever is in it.
//! - [`print()`] shows a tree as text (`--emit=ast`).
//! - [`format()`] lays out the text of a correct program (`gradc fmt`).
//!
//! This crate knows no tensors. It does not look up names, does not know which layers, settings or
//! element types exist, and does not care whether an `input` stands in a model: that is for
//! elaboration, which gets a tree with a place on every node. Nothing here reads a file, and
//! nothing here fails: a broken file gives a tree with error nodes, and one diagnostic for each
//! mistake.
//!
//! ```
//! use gradc_diagnostics::SourceMap;
//!
//! let mut sources = SourceMap::new();
//! let file = sources.add("m.net", "fn double(x) { 2 * x }\nconst two = 1 + ");
//! let parsed = gradc_syntax::parse(file, sources.text(file));
//! assert_eq!(parsed.file.items.len(), 2);
//! assert_eq!(parsed.diagnostics[0].message(), "expected an expression, found the end of the file");
//! ```
//!
//! # Stages
//!
//! `lexer` turns text into tokens (`token`, with logos) and reports what is wrong with a single
//! token. `parser` is a recursive descent over them; its submodules follow the grammar, and
//! `parser/recover.rs` finds the place to go on after an error. Diagnostics are kept in `reports`,
//! at most a hundred of a file.
//!
//! # Limits
//!
//! A file has at most [`MAX_SOURCE_BYTES`]; brackets nest 200
//! deep, blocks 100; no path through a tree is longer than [`ast::MAX_HEIGHT`]. Beyond that there is
//! an error, and parsing goes on. So no text overflows the stack, here or in a later stage that
//! walks over the tree recursively; time and memory are linear in the length of the text.
//!
//! # Grammar
//!
//! `X*` is any number of X, `X?` one or none, `X,*` any number with commas between them and perhaps
//! one at the end. An `end` is a line break, a `;`, or what closes the body.
//!
//! ```text
//! file        = item*
//! item        = "import" STRING end
//!             | "dim" NAME "=" expr end
//!             | "const" NAME "=" expr end
//!             | attribute* "fn" NAME "(" parameter,* ")" result? block
//!             | "layer" NAME "(" parameter,* ")" result? block
//!             | "initializer" NAME ( "(" parameter,* ")" )? result? block
//!             | "model" NAME block
//!             | "train" NAME? "{" setting* "}"
//! attribute   = "@" "metric" "(" NAME ")"
//! parameter   = NAME ( ":" type )? ( "=" expr )?
//! result      = "->" type
//! type        = NAME? "[" axis,* "]"
//! axis        = ".." NAME? | expr
//! setting     = NAME expr,* ( "{" field,* "}" )? end
//! field       = NAME "=" expr
//!
//! block       = "{" statement* expr? "}"
//! statement   = "param" NAME ":" type "=" expr end
//!             | "state" NAME ":" type "=" expr end
//!             | "update" NAME "=" expr end
//!             | "let" NAME "=" expr end
//!             | NAME "=" expr end
//!             | "for" ( NAME | "_" ) "in" expr ".." expr block
//!             | "input" NAME ":" type end
//!             | "output" NAME ( "=" expr )? end
//!             | "loss" expr end
//!             | "metric" NAME "=" expr end
//!             | if end
//!
//! expr        = or
//! or          = and ( "||" and )*
//! and         = comparison ( "&&" comparison )*
//! comparison  = sum ( ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) sum )?
//! sum         = product ( ( "+" | "-" ) product )*
//! product     = unary ( ( "*" | "/" | "%" | "@" ) unary )*
//! unary       = ( "-" | "!" ) unary | power
//! power       = postfix ( "**" unary )?
//! postfix     = atom ( "(" argument,* ")" | "[" subscript,* "]" | "." NAME )*
//! atom        = NUMBER | STRING | "true" | "false" | NAME | "(" expr ")" | "[" expr,* "]" | if
//! if          = "if" expr block ( "else" "if" expr block )* ( "else" block )?
//! argument    = ( NAME "=" )? ( expr | "_" )
//! subscript   = ".." | expr | expr? ":" expr? ( ":" expr? )?
//!
//! NAME        = [A-Za-z_][A-Za-z0-9_]*, but no keyword
//! NUMBER      = [0-9][0-9_]* ( "." [0-9][0-9_]* )? ( [eE] [+-]? [0-9][0-9_]* )?
//! STRING      = '"' ( any character but " \ and line breaks | \n | \t | \" | \\ )* '"'
//! comment     = "//" to the end of the line
//! ```
//!
//! A line break ends a statement, unless it is inside of `( )` or `[ ]`, or something is still
//! missing (as after an operator), or the next line begins with an operator or `.`. A line that
//! begins with `-`, `(` or `[` is always a new statement.
//!
//! The keywords are `import`, `const`, `fn`, `layer`, `initializer`, `model`, `train`, `param`,
//! `let`, `for`, `in`, `input`, `output`, `loss`, `metric`, `if`, `else`, `true` and `false`. `dim` is
//! one only where it begins an item, as there is a function of that name; `state` and `update` only where a
//! name follows on their line.

pub mod ast;
mod format;
mod lexer;
mod literal;
mod parser;
mod print;
mod reports;
mod token;

use std::ops::Range;

use gradc_diagnostics::{Diagnostic, FileId, MAX_SOURCE_BYTES, SourceMap, Span};

pub use format::format;
pub use print::print;

use parser::Parser;
use reports::Reports;

/// What [`parse`] makes of a file.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The tree. It is complete if there are no diagnostics; otherwise it has error nodes.
    pub file: ast::File,
    /// What is wrong, in source order; at most a hundred.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses a file, whatever is in it.
///
/// A tree and diagnostics come out of every text in time and memory that are linear in its length;
/// there is no text that panics, hangs or overflows the stack.
pub fn parse(file: FileId, text: &str) -> Parsed {
    if text.len() > MAX_SOURCE_BYTES {
        return Parsed {
            file: ast::File { items: Vec::new(), span: Span::new(file, 0, 0) },
            diagnostics: vec![SourceMap::too_large(file, text.len())],
        };
    }
    parse_part(file, text, 0..text.len())
}

/// Parses a part of a file that begins and ends between items. All places are those in the whole file.
///
/// # Panics
/// If the part is not within the text, or its ends are not between characters.
pub fn parse_part(file: FileId, text: &str, part: Range<usize>) -> Parsed {
    let mut lexical = Reports::default();
    let tokens = lexer::lex(file, text, part.clone(), &mut lexical);
    let mut parser = Parser::new(file, text, tokens);
    let tree = ast::File { items: parser.items(), span: Span::new(file, part.start as u32, part.end as u32) };
    Parsed { file: tree, diagnostics: lexical.merge(parser.into_reports()) }
}
