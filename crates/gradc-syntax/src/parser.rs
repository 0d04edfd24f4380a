//! From tokens to the tree.
//!
//! Recursive descent, one function for each construct. A function that cannot go on reports why and
//! returns [`Reported`], which climbs to the statement or item it is in; that one skips to where the
//! next begins (see [`recover`]) and puts an error node into the tree. One mistake gives one
//! diagnostic: a second one at the same token is not reported.
//!
//! What stands in for recursion limits: [`Parser::nested`] counts how deep the parser itself is in
//! brackets, blocks and prefix operators; [`Parser::node`] bounds the height of the finished tree,
//! which also grows where the parser loops, as in `a + a + …`.

mod delimited;
mod expr;
mod item;
mod recover;
mod statement;
mod train;
mod types;

use gradc_diagnostics::{Diagnostic, FileId, Span, codes};

use crate::ast::{Expr, ExprKind, MAX_HEIGHT, Name, StringLiteral};
use crate::literal;
use crate::reports::Reports;
use crate::token::{Token, TokenKind};

/// How deep the parser goes: a bracket or a prefix operator is one level, a block is two, as it also
/// adds two levels to the tree.
const MAX_NESTING: u32 = 200;

/// The construct could not be parsed, and a diagnostic says so.
#[derive(Debug, Clone, Copy)]
struct Reported;

/// A construct, or nothing but a diagnostic that has been reported.
type Parse<T> = Result<T, Reported>;

/// A delimiter that is open where the parser is.
#[derive(Debug, Clone, Copy)]
struct Open {
    kind: TokenKind,
    span: Span,
    /// Whether it is only imagined, where a `{` was expected.
    missing: bool,
}

/// Where a statement or item begins: its first token, and how many delimiters are open around it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: usize,
    depth: usize,
}

/// The state of parsing one file.
pub(crate) struct Parser<'a> {
    file: FileId,
    text: &'a str,
    /// Ends with [`TokenKind::End`], which is never passed.
    tokens: Vec<Token>,
    /// The index of the next token.
    at: usize,
    /// The delimiters around the next token, outermost first.
    open: Vec<Open>,
    nesting: u32,
    /// Whether the current item was found to be nested too deeply.
    depth_reported: bool,
    reports: Reports,
    /// The index of the token at which the last error was reported.
    reported_at: Option<usize>,
    /// The index of the token with which the current statement or item begins.
    began_at: usize,
    /// How many errors were met, counting those that were reported before.
    faults: usize,
    /// The first `{` whose `}` is indented less than the line it is on: if one is missing
    /// further out, it is probably missing here.
    badly_closed: Option<Span>,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(file: FileId, text: &'a str, tokens: Vec<Token>) -> Self {
        Self {
            file,
            text,
            tokens,
            at: 0,
            open: Vec::new(),
            nesting: 0,
            depth_reported: false,
            reports: Reports::default(),
            reported_at: None,
            began_at: 0,
            faults: 0,
            badly_closed: None,
        }
    }

    pub(crate) fn into_reports(self) -> Reports {
        self.reports
    }

    // ---- tokens ----

    /// The next token.
    fn token(&self) -> Token {
        self.token_after(0)
    }

    /// The token that is `distance` after the next one.
    fn token_after(&self, distance: usize) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[(self.at + distance).min(last)]
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn is(&self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    /// Goes past the next token, unless it is the end of the file.
    fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    /// Goes past the next token if it is of this kind.
    fn eat(&mut self, kind: TokenKind) -> Option<Token> {
        (self.is(kind) && kind != TokenKind::End).then(|| self.bump())
    }

    /// Goes past a token of this kind. `expected` names it in the words of the message, such as
    /// ``"`=` after the name"``.
    fn expect(&mut self, kind: TokenKind, expected: &str) -> Parse<Token> {
        match self.eat(kind) {
            Some(token) => Ok(token),
            None => Err(self.unexpected(expected)),
        }
    }

    fn span_of(&self, token: Token) -> Span {
        Span::new(self.file, token.start, token.end)
    }

    /// The place of the next token.
    fn span(&self) -> Span {
        self.span_of(self.token())
    }

    /// The empty span after the token before the next one.
    fn after_previous(&self) -> Span {
        match self.at.checked_sub(1) {
            Some(previous) => self.span_of(self.tokens[previous]).after(),
            None => self.span().before(),
        }
    }

    /// From `start` to the end of what has been parsed.
    fn since(&self, start: Span) -> Span {
        start.to(self.after_previous())
    }

    fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.start as usize..token.end as usize).unwrap_or("")
    }

    /// Whether the next token begins a line, where lines matter: not inside of `( )` and `[ ]`.
    fn at_line_break(&self) -> bool {
        self.token().first_of_line && !self.in_brackets()
    }

    /// Whether the innermost open delimiter makes line breaks meaningless.
    fn in_brackets(&self) -> bool {
        matches!(self.open.last(), Some(Open { kind: TokenKind::LeftParen | TokenKind::LeftBracket, .. }))
    }

    /// Whether nothing more of a statement or one-line item can follow.
    fn at_line_end(&self) -> bool {
        self.at_line_break() || matches!(self.kind(), TokenKind::Semicolon | TokenKind::RightBrace | TokenKind::End)
    }

    /// Whether the next token is the word `dim` where it begins an item: it also is the name of a
    /// function.
    fn at_dim_item(&self) -> bool {
        let token = self.token();
        let next = self.token_after(1);
        token.kind == TokenKind::Ident
            && self.text_of(token) == "dim"
            && !next.first_of_line
            && (next.kind == TokenKind::Ident || next.kind.is_keyword())
    }

    /// Whether an item begins here, judged by two tokens: the keywords of items are also misused as
    /// names.
    fn at_item(&self) -> bool {
        let next = self.token_after(1);
        let follows = matches!(next.kind, TokenKind::Ident | TokenKind::String | TokenKind::LeftBrace);
        let header = self.kind().is_item_keyword() && !next.first_of_line && (follows || next.kind.is_keyword());
        header || self.at_dim_item()
    }

    // ---- diagnostics ----

    /// Reports, unless something was reported at this token already.
    fn report(&mut self, build: impl FnOnce() -> Diagnostic) -> Reported {
        let known = self.reported_at == Some(self.at) || self.is(TokenKind::Broken);
        self.reported_at = Some(self.at);
        self.faults += 1;
        if !known {
            self.reports.add(build);
        }
        Reported
    }

    /// Reports that the next token cannot stand here.
    fn unexpected(&mut self, expected: &str) -> Reported {
        if let Some((span, word, help)) = self.foreign_word() {
            let message = format!("there is no `{word}` in the language");
            return self.report(|| Diagnostic::error(codes::FOREIGN_SYNTAX, message).primary(span, "").help(help));
        }
        let (span, found) = self.found();
        self.report(|| {
            Diagnostic::error(codes::UNEXPECTED_TOKEN, format!("expected {expected}, found {found}"))
                .primary(span, format!("expected {expected}"))
        })
    }

    /// What is here, in words, and where to point: at the next token, or after the last one if the
    /// line ends here.
    fn found(&self) -> (Span, String) {
        let token = self.token();
        if token.kind == TokenKind::End {
            return (self.after_previous(), "the end of the file".to_owned());
        }
        if self.at_line_break() && self.at != self.began_at {
            return (self.after_previous(), "the end of the line".to_owned());
        }
        (self.span_of(token), self.describe(token))
    }

    fn describe(&self, token: Token) -> String {
        let text = self.text_of(token);
        let shown: String = match text.char_indices().nth(40) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text.to_owned(),
        };
        match token.kind {
            TokenKind::Number | TokenKind::BadNumber => format!("the number `{shown}`"),
            TokenKind::Ident => format!("the name `{shown}`"),
            TokenKind::String => "a string".to_owned(),
            TokenKind::End => "the end of the file".to_owned(),
            kind if kind.is_keyword() => format!("the keyword `{shown}`"),
            _ => format!("`{shown}`"),
        }
    }

    /// The word of another language that explains why the next token cannot stand here: it is this
    /// word, or the word is just before it.
    fn foreign_word(&self) -> Option<(Span, &'a str, &'static str)> {
        let before = self.at.checked_sub(1).map(|index| self.tokens[index]);
        let after_word = before.filter(|_| !self.token().first_of_line);
        [Some(self.token()), after_word].into_iter().flatten().filter(|token| token.kind == TokenKind::Ident).find_map(
            |token| {
                let word = self.text_of(token);
                let help = instead_of_word(word)?;
                Some((self.span_of(token), word, help))
            },
        )
    }

    // ---- what is everywhere ----

    /// Runs `parse` deeper by `levels`, or reports that this is too deep.
    fn nested<T>(&mut self, levels: u32, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.nesting + levels > MAX_NESTING {
            if std::mem::replace(&mut self.depth_reported, true) {
                self.faults += 1;
                return Err(Reported);
            }
            let span = self.span();
            return Err(self.report(|| nested_too_deeply(span)));
        }
        self.nesting += levels;
        let result = parse(self);
        self.nesting -= levels;
        result
    }

    /// An expression node, unless it makes the tree too high.
    fn node(&mut self, kind: ExprKind, span: Span) -> Parse<Expr> {
        let expr = Expr::new(kind, span);
        if expr.height() > MAX_HEIGHT {
            let last = self.at.checked_sub(1).map_or(span, |index| self.span_of(self.tokens[index]));
            return Err(self.report(|| too_many_parts(last)));
        }
        Ok(expr)
    }

    /// The name of a construct. `of` says whose, as in `"the name of the layer"`. A reserved word
    /// is reported and then taken as the name.
    fn name(&mut self, of: &str) -> Parse<Name> {
        let token = self.token();
        // `in` follows a name: where it stands, the name is missing.
        let reserved = token.kind.is_keyword() && token.kind != TokenKind::In;
        let breaks = self.at_line_break() && self.at != self.began_at;
        if breaks || token.kind != TokenKind::Ident && !reserved {
            return Err(self.unexpected(of));
        }
        let word = self.text_of(token);
        if reserved || NUMBERS.contains(&word) {
            let span = self.span();
            self.report(|| reserved_word(word, span, of));
        }
        self.bump();
        Ok(Name { text: self.text_of(token).to_owned(), span: self.span_of(token) })
    }

    /// The next token, which is a string.
    fn string_literal(&mut self) -> StringLiteral {
        let token = self.bump();
        let source = self.text_of(token);
        let (file, start) = (self.file, token.start);
        let reports = &mut self.reports;
        let value = literal::string(source, |range| {
            reports.add(|| {
                let escape = source.get(range.clone()).unwrap_or("");
                Diagnostic::error(codes::UNKNOWN_ESCAPE, format!("unknown escape `{escape}`"))
                    .primary(Span::new(file, start + range.start as u32, start + range.end as u32), "")
                    .help("the escapes are `\\n`, `\\t`, `\\\"` and `\\\\`; in paths write `/`")
            });
        });
        StringLiteral { value, span: self.span_of(token) }
    }
}

/// What to write in the place of a word of another language.
fn instead_of_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "and" => "write `&&`",
        "or" => "write `||`",
        "not" => "write `!`",
        "elif" | "elsif" | "elseif" => "write `else if`",
        "then" | "do" => "a body is written in braces: `if c { … } else { … }`",
        "return" => "the last expression of a body is its value: write it without `return`",
        "while" | "loop" => "repeat with `for i in 0..n { … }`, which is unrolled by the compiler",
        "def" | "func" | "function" | "fun" => "functions are declared with `fn`, layers with `layer`",
        "class" | "struct" | "module" => "what owns parameters is a `layer`",
        "var" | "val" | "auto" | "mut" => "names are declared with `let`, and can be bound again with `=`",
        "lambda" => "declare a `fn` and pass its name",
        _ => return None,
    })
}

/// Nested more than [`MAX_NESTING`] deep at `span`.
fn nested_too_deeply(span: Span) -> Diagnostic {
    Diagnostic::error(codes::TOO_DEEP, "this is nested too deeply")
        .primary(span, format!("more than {MAX_NESTING} brackets, or {} blocks, inside of each other", MAX_NESTING / 2))
        .help("name the inner parts with `let`")
}

/// A tree of more than [`MAX_HEIGHT`] levels, which is completed at `span`.
fn too_many_parts(span: Span) -> Diagnostic {
    Diagnostic::error(codes::TOO_DEEP, "this has too many parts")
        .primary(span, format!("more than {MAX_HEIGHT} levels of operators and blocks"))
        .help("name parts of it with `let`, or write what repeats as a `for`")
}

/// Names that emitted graphs have for numbers.
const NUMBERS: [&str; 2] = ["inf", "nan"];

fn reserved_word(word: &str, span: Span, of: &str) -> Diagnostic {
    Diagnostic::error(codes::RESERVED_WORD, format!("`{word}` is a reserved word and cannot be {of}"))
        .primary(span, "a reserved word")
        .help(format!("use another name, such as `{word}_` or `my_{word}`"))
}
