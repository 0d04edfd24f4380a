//! Lexer, parser, syntax tree and formatter of the gradc language.

pub mod ast;
mod format;
mod lexer;
mod literal;
mod parser;
mod print;
mod reports;
mod token;

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
    let mut lexical = Reports::default();
    let tokens = lexer::lex(file, text, &mut lexical);
    let mut parser = Parser::new(file, text, tokens);
    let tree = parser.file();
    Parsed { file: tree, diagnostics: lexical.merge(parser.into_reports()) }
}
