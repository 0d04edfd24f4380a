//! From text to tokens. Everything that is wrong with a single token is reported here, once.

use std::ops::Range;

use gradc_diagnostics::{Diagnostic, FileId, Span, codes};
use logos::Logos;

use crate::reports::Reports;
use crate::token::{Token, TokenKind};

/// The tokens in a part of a file, without comments and line breaks, and with [`TokenKind::End`] as the last.
///
/// `text` has less than 4 GiB.
pub(crate) fn lex(file: FileId, text: &str, part: Range<usize>, reports: &mut Reports) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut first_of_line = true;
    let mut unknown: Option<Span> = None;
    let mut lexer = TokenKind::lexer(&text[..part.end]);
    lexer.bump(part.start);
    for (result, range) in lexer.spanned() {
        let span = Span::new(file, range.start as u32, range.end as u32);
        let Ok(kind) = result else {
            // Neighbours are one problem: a line of box drawing is not eighty.
            match &mut unknown {
                Some(run) if run.end == span.start => run.end = span.end,
                _ => {
                    report_unknown(unknown.replace(span), text, reports);
                    push(&mut tokens, TokenKind::Broken, &mut first_of_line, span);
                }
            }
            continue;
        };
        report_unknown(unknown.take(), text, reports);
        let source = &text[range];
        match kind {
            TokenKind::Newline => first_of_line = true,
            TokenKind::Comment => {}
            _ => {
                let kind = check(kind, source, span, reports);
                if kind != TokenKind::Comment {
                    push(&mut tokens, kind, &mut first_of_line, span);
                } else if source.contains('\n') {
                    first_of_line = true;
                }
            }
        }
    }
    report_unknown(unknown, text, reports);
    let end = Span::new(file, part.end as u32, part.end as u32);
    first_of_line = true;
    push(&mut tokens, TokenKind::End, &mut first_of_line, end);
    tokens
}

fn push(tokens: &mut Vec<Token>, kind: TokenKind, first_of_line: &mut bool, span: Span) {
    tokens.push(Token {
        kind,
        first_of_line: std::mem::replace(first_of_line, false),
        start: span.start,
        end: span.end,
    });
}

/// Reports a token that is never right, and says as what the parser is to take it: as what was
/// probably meant, so that there is one error and not two.
fn check(kind: TokenKind, source: &str, span: Span, reports: &mut Reports) -> TokenKind {
    match kind {
        TokenKind::OpenString => {
            reports.add(|| {
                Diagnostic::error(codes::UNTERMINATED_STRING, "this string has no end")
                    .primary(span, "expected `\"` before the end of the line")
                    .help("close it with `\"`; a line break inside of a string is written `\\n`")
            });
            TokenKind::Broken
        }
        TokenKind::SingleQuoted => {
            foreign(reports, span, "strings are written between double quotes", || {
                format!("write `\"{}\"`", source.trim_matches('\''))
            });
            TokenKind::String
        }
        TokenKind::ForeignWord => {
            reports.add(|| {
                Diagnostic::error(codes::UNKNOWN_CHARACTER, format!("`{source}` cannot be a name"))
                    .primary(span, "holds a letter outside of a-z and A-Z")
                    .help("names are written with the letters a-z and A-Z, digits and `_`")
            });
            TokenKind::Ident
        }
        TokenKind::HashComment | TokenKind::BlockComment => {
            let sign = if kind == TokenKind::HashComment { "#" } else { "/*" };
            foreign(reports, span, "comments begin with `//`", || {
                format!("begin every line of the comment with `//` in place of `{sign}`")
            });
            TokenKind::Comment
        }
        TokenKind::BadNumber => {
            reports.add(|| bad_number(source, span));
            kind
        }
        _ => match instead_of(kind, source) {
            None => kind,
            Some((meant, help)) => {
                let message = format!("there is no `{source}` in the language");
                foreign(reports, span, &message, || help.to_owned());
                meant
            }
        },
    }
}

/// What an operator of another language stands for here, and how to write it.
fn instead_of(kind: TokenKind, source: &str) -> Option<(TokenKind, &'static str)> {
    Some(match kind {
        TokenKind::And => (TokenKind::AndAnd, "\"and\" is written `&&`"),
        TokenKind::Or => (TokenKind::OrOr, "\"or\" is written `||`"),
        TokenKind::Caret => (TokenKind::StarStar, "a power is written `**`, as in `x ** 2`"),
        TokenKind::PlusPlus => (TokenKind::Plus, "to join lists or tensors use `concat([a, b], axis)`"),
        TokenKind::EqEqEq => (TokenKind::EqEq, "compare with `==`"),
        TokenKind::NotEqEq => (TokenKind::NotEq, "compare with `!=`"),
        TokenKind::FatArrow => (TokenKind::Arrow, "the type of a result follows `->`"),
        TokenKind::DotDotDot => (TokenKind::DotDot, "write two dots: `..`"),
        TokenKind::DotDotEq => (TokenKind::DotDot, "a range ends before its upper end: `0..n` is 0 to n - 1"),
        TokenKind::CompoundAssign if source == ":=" => (TokenKind::Assign, "write `=`"),
        TokenKind::CompoundAssign => (TokenKind::Assign, "write it out, as in `h = h + x`"),
        _ => return None,
    })
}

fn foreign(reports: &mut Reports, span: Span, message: &str, help: impl FnOnce() -> String) {
    reports.add(|| Diagnostic::error(codes::FOREIGN_SYNTAX, message).primary(span, "").help(help()));
}

fn bad_number(source: &str, span: Span) -> Diagnostic {
    let shown: String = source.chars().take(40).collect();
    let digits = source.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(source.len());
    let suffix = &source[digits..];
    let error = Diagnostic::error(codes::MALFORMED_NUMBER, format!("`{shown}` is not a number")).primary(span, "");
    match suffix {
        "e" | "E" => error.help(format!("the exponent is missing: write `{}e3`", &source[..digits])),
        _ if source.starts_with('0') && suffix.starts_with(['x', 'X', 'b', 'B', 'o', 'O']) => {
            error.help("numbers are decimal: `16`, `0.5`, `1e-3`")
        }
        _ => error.help("names do not begin with a digit; a product is written `2 * x`"),
    }
}

fn report_unknown(run: Option<Span>, text: &str, reports: &mut Reports) {
    let Some(span) = run else { return };
    let source = &text[span.start as usize..span.end as usize];
    reports.add(|| {
        let shown: String = source.chars().take(20).flat_map(char::escape_debug).collect();
        let (message, help) = match source.chars().next() {
            Some('"' | '\'') => {
                ("a quote without a partner".to_owned(), "strings are written between double quotes: `\"text\"`")
            }
            Some('\0') => (
                "this file holds a NUL byte".to_owned(),
                "is this file a program? data and weights are passed with `--data` and `--weights`",
            ),
            Some('\u{201c}' | '\u{201d}' | '\u{201e}') => {
                (format!("`{shown}` is a typographic quote"), "strings are written between straight quotes: `\"text\"`")
            }
            Some('×' | '·') => (format!("unknown character `{shown}`"), "write `*`, or `@` for a matrix product"),
            Some('−' | '–') => (format!("unknown character `{shown}`"), "write `-`"),
            _ => (format!("unknown character `{shown}`"), "remove it, or put it into a comment or a string"),
        };
        Diagnostic::error(codes::UNKNOWN_CHARACTER, message).primary(span, "").help(help)
    });
}
