//! The layout of source text, for `gradc fmt`.
//!
//! The formatter decides about white space within lines and about indentation; where lines break is
//! the author's. It works on tokens and never adds, drops or moves one, so that comments stay where
//! they are and the tree cannot change. Formatting twice is the same as formatting once.
//!
//! - Four spaces for each bracket or brace that is open at the start of the line (one level for all
//!   that were opened on the same line), and one more where a statement continues.
//! - At most one empty line in a row, and none just inside of braces.
//! - Comments at the ends of neighbouring lines stand below each other.

use gradc_diagnostics::{Diagnostic, FileId};
use logos::Logos;

use crate::token::TokenKind;

/// Indentation is not wider than this, however deep a text is nested.
const MAX_LEVEL: usize = 25;

/// The text in the standard layout.
///
/// # Errors
///
/// What is wrong with the text: only a correct program is formatted.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let diagnostics = crate::parse(file, text).diagnostics;
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let mut layout = Layout::default();
    for (token, range) in TokenKind::lexer(text).spanned() {
        // A correct text has no errors of the lexer.
        if let Ok(kind) = token {
            layout.token(kind, &text[range]);
        }
    }
    layout.end_line();
    Ok(layout.finish())
}

/// One line of the result.
#[derive(Default)]
struct Line {
    level: usize,
    code: String,
    comment: String,
}

/// A delimiter that is open, and what matters for the lines inside of it.
struct Open {
    kind: TokenKind,
    /// The indentation of the line that it is on.
    level: usize,
    /// Whether it begins the settings of a `train`.
    settings: bool,
}

#[derive(Default)]
struct Layout {
    lines: Vec<Line>,
    line: Line,
    open: Vec<Open>,
    /// The last token of code, also on a line before.
    last: Option<TokenKind>,
    /// How many tokens of code are on the line.
    tokens: usize,
    /// How many tokens of code there are since the line or the last `;` or `{`.
    in_setting: usize,
    /// Whether the last token is an operator before its operand.
    last_is_prefix: bool,
    /// Whether a `train` was met whose braces are still to come.
    train: bool,
}

impl Layout {
    fn token(&mut self, kind: TokenKind, source: &str) {
        match kind {
            TokenKind::Newline => self.end_line(),
            TokenKind::Comment => {
                if self.tokens == 0 {
                    self.line.level = self.level_inside();
                }
                self.line.comment = source.trim_end().to_owned();
            }
            _ => self.code(kind, source),
        }
    }

    fn code(&mut self, kind: TokenKind, source: &str) {
        let prefix = self.is_prefix(kind);
        let opener = if kind.is_closer() { self.open.pop() } else { None };
        if self.tokens == 0 {
            self.line.level = match &opener {
                Some(open) => open.level,
                None => self.level_inside() + usize::from(self.continues(kind, prefix)),
            };
        } else if self.space_before(kind) {
            self.line.code.push(' ');
        }
        self.line.code.push_str(source);
        if kind.closer().is_some() {
            let settings = self.train && kind == TokenKind::LeftBrace;
            self.train &= !settings;
            self.open.push(Open { kind, level: self.line.level, settings });
        }
        self.train |= kind == TokenKind::Train && self.open.is_empty();
        self.last = Some(kind);
        self.last_is_prefix = prefix;
        self.tokens += 1;
        let separates = matches!(kind, TokenKind::Semicolon | TokenKind::LeftBrace);
        self.in_setting = if separates { 0 } else { self.in_setting + 1 };
    }

    /// The indentation of a line that begins inside of what is open.
    fn level_inside(&self) -> usize {
        self.open.last().map_or(0, |open| open.level + 1)
    }

    fn innermost(&self) -> Option<TokenKind> {
        self.open.last().map(|open| open.kind)
    }

    /// Whether a line that begins with this token goes on with the statement of the line before.
    fn continues(&self, kind: TokenKind, prefix: bool) -> bool {
        if matches!(self.innermost(), Some(TokenKind::LeftParen | TokenKind::LeftBracket)) {
            return false;
        }
        let unfinished = self.last.is_some_and(|last| is_infix(last) || last == TokenKind::Comma);
        let attribute = kind == TokenKind::At && self.open.is_empty();
        let joins = is_infix(kind) || kind == TokenKind::Dot;
        // A prefix operator, `(` or `[` begins a line only after what is unfinished.
        unfinished || joins && !prefix && !attribute && kind != TokenKind::Minus
    }

    /// Whether this token is an operator before its operand, or the `@` of an attribute.
    fn is_prefix(&self, kind: TokenKind) -> bool {
        let after_operand = self.last.is_some_and(ends_operand);
        match kind {
            TokenKind::Bang => true,
            TokenKind::Minus => {
                let begins = self.tokens == 0 && self.innermost().is_none_or(|open| open == TokenKind::LeftBrace);
                let setting = self.open.last().is_some_and(|open| open.settings) && self.in_setting == 1;
                begins || setting || !after_operand
            }
            TokenKind::At => {
                let first = self.tokens == 0 && self.open.is_empty();
                first || self.in_attributes() || !after_operand
            }
            _ => false,
        }
    }

    /// Whether the next token is between the attributes of a line that begins with one.
    fn in_attributes(&self) -> bool {
        self.open.is_empty() && self.line.code.starts_with('@')
    }

    /// Whether there is a space between the last token, which is on the same line, and this one.
    fn space_before(&self, kind: TokenKind) -> bool {
        use TokenKind as T;
        let Some(last) = self.last else { return false };
        if self.last_is_prefix {
            return false;
        }
        let in_index = self.innermost() == Some(T::LeftBracket);
        match (last, kind) {
            (T::LeftBrace, T::RightBrace) => false,
            (_, T::Comma | T::Semicolon | T::Dot | T::RightParen | T::RightBracket) => false,
            (T::LeftParen | T::LeftBracket | T::Dot, _) => false,
            (T::Comma | T::Semicolon, _) => true,
            (T::DotDot, _) | (_, T::DotDot) => false,
            (T::Colon, _) => !in_index,
            (_, T::Colon) => false,
            // After `@metric`, which is a keyword.
            (_, T::LeftParen) if self.in_attributes() => false,
            (_, T::LeftParen | T::LeftBracket) => !(ends_operand(last) && last != T::RightBrace),
            _ => true,
        }
    }

    fn end_line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
        self.tokens = 0;
        self.in_setting = 0;
    }

    fn finish(mut self) -> String {
        self.align_comments();
        let mut out = String::new();
        let mut empty = false;
        // Just inside of a brace, and at the start of the file, empty lines are dropped.
        let mut begins = true;
        for line in &self.lines {
            if line.code.is_empty() && line.comment.is_empty() {
                empty = true;
                continue;
            }
            if empty && !begins && !line.code.starts_with('}') {
                out.push('\n');
            }
            empty = false;
            begins = line.code.ends_with('{');
            out.extend(std::iter::repeat_n("    ", line.level.min(MAX_LEVEL)));
            out.push_str(&line.code);
            out.push_str(&line.comment);
            out.push('\n');
        }
        out
    }

    /// Puts the comments after the code of neighbouring lines below each other, by spaces at the
    /// end of the code.
    fn align_comments(&mut self) {
        let with_both = |line: &Line| !line.code.is_empty() && !line.comment.is_empty();
        for run in self.lines.chunk_by_mut(|a, b| with_both(a) && with_both(b)) {
            if !run.first().is_some_and(with_both) {
                continue;
            }
            let width = |line: &Line| line.level.min(MAX_LEVEL) * 4 + line.code.chars().count();
            let widest = run.iter().map(width).max().unwrap_or(0);
            for line in run {
                let missing = widest - width(line) + 2;
                line.code.extend(std::iter::repeat_n(' ', missing));
            }
        }
    }
}

/// Whether an operand can end with it, so that an operator after it is between two operands.
fn ends_operand(kind: TokenKind) -> bool {
    use TokenKind as T;
    matches!(
        kind,
        T::Ident
            | T::Number
            | T::String
            | T::True
            | T::False
            | T::Underscore
            | T::RightParen
            | T::RightBracket
            | T::RightBrace
    )
}

/// Whether it stands between two operands, or between a name and its value.
fn is_infix(kind: TokenKind) -> bool {
    use TokenKind as T;
    matches!(
        kind,
        T::OrOr
            | T::AndAnd
            | T::EqEq
            | T::NotEq
            | T::Less
            | T::LessEq
            | T::Greater
            | T::GreaterEq
            | T::Plus
            | T::Minus
            | T::Star
            | T::Slash
            | T::Percent
            | T::At
            | T::StarStar
            | T::Assign
    )
}
