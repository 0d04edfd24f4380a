//! Finding the place to go on after an error.

use gradc_diagnostics::Span;

use super::{Mark, Parser};
use crate::token::TokenKind;

/// The delimiters that are open during a search, counted by kind: a search for a partner that is
/// not there must not cost anything, however many others are open.
#[derive(Default)]
struct Nest {
    open: Vec<TokenKind>,
    counts: [usize; 3],
}

impl Nest {
    fn slot(kind: TokenKind) -> usize {
        match kind {
            TokenKind::LeftParen | TokenKind::RightParen => 0,
            TokenKind::LeftBracket | TokenKind::RightBracket => 1,
            _ => 2,
        }
    }

    fn push(&mut self, kind: TokenKind) {
        self.counts[Self::slot(kind)] += 1;
        self.open.push(kind);
    }

    /// Closes everything up to the partner of `closer`; does nothing if there is none.
    fn close(&mut self, closer: TokenKind) {
        if self.counts[Self::slot(closer)] == 0 {
            return;
        }
        while let Some(kind) = self.open.pop() {
            self.counts[Self::slot(kind)] -= 1;
            if kind.closer() == Some(closer) {
                break;
            }
        }
    }

    fn is_in_braces(&self) -> bool {
        self.counts[2] > 0
    }
}

impl Parser<'_> {
    /// Notes that a statement or item begins here.
    pub(super) fn mark(&mut self) -> Mark {
        self.began_at = self.at;
        Mark { at: self.at, depth: self.open.len() }
    }

    /// After an error inside of the statement (or the item of one line) that began at `mark`: skips
    /// to where the next one can begin.
    ///
    /// That is the end of the line on which all delimiters of the statement are closed. If they are
    /// never closed, it is the next line that begins with a keyword which cannot be inside of them.
    pub(super) fn recover(&mut self, mark: Mark) {
        let mut nest = Nest::default();
        for open in self.open.drain(mark.depth.min(self.open.len())..) {
            nest.push(open.kind);
        }
        loop {
            let token = self.token();
            let kind = token.kind;
            if kind == TokenKind::End {
                break;
            }
            if token.first_of_line && self.at > mark.at {
                let begins_statement = kind.is_statement_keyword() && !nest.is_in_braces();
                if begins_statement || self.at_item() || nest.open.is_empty() {
                    break;
                }
            }
            if kind.closer().is_some() {
                nest.push(kind);
            } else if kind == TokenKind::RightBrace && !nest.is_in_braces() {
                break;
            } else if kind.is_closer() {
                nest.close(kind);
            } else if kind == TokenKind::Semicolon && nest.open.is_empty() {
                break;
            }
            self.bump();
        }
    }

    /// After an error in the header of the item that began at `mark`: skips to its body, if there is
    /// one before the next item begins, or to what looks like a body without its `{`. Returns
    /// whether it is at either.
    pub(super) fn recover_to_body(&mut self, mark: Mark) -> bool {
        self.open.truncate(mark.depth);
        while !self.at_next_item(mark) {
            let token = self.token();
            if token.kind == TokenKind::LeftBrace || token.first_of_line && token.kind.is_statement_keyword() {
                return true;
            }
            self.bump();
        }
        false
    }

    /// After something that is no item: skips to the next item, or to a line that can be looked at
    /// by itself: one after braces, or one that begins with a keyword.
    pub(super) fn recover_to_item(&mut self, mark: Mark) {
        let mut nest = Nest::default();
        let mut braces = false;
        self.open.truncate(mark.depth);
        while !self.is(TokenKind::End) {
            let kind = self.kind();
            if self.at_next_item(mark) && !(kind == TokenKind::At && nest.is_in_braces()) {
                break;
            }
            let begins_line = self.token().first_of_line && self.at > mark.at;
            if begins_line && nest.open.is_empty() && (braces || kind.is_statement_keyword()) {
                break;
            }
            if kind.closer().is_some() {
                braces |= kind == TokenKind::LeftBrace;
                nest.push(kind);
            } else if kind.is_closer() {
                nest.close(kind);
            }
            self.bump();
        }
    }

    /// Whether the innermost open bracket is closed in what follows. Looks only so far ahead that
    /// asking for every line of a file is no burden; what is not decided by then counts as closed.
    pub(super) fn is_closed_later(&self) -> bool {
        const FARTHEST: usize = 500;
        let mut nest = Nest::default();
        for distance in 0..FARTHEST {
            let token = self.token_after(distance);
            let kind = token.kind;
            if kind == TokenKind::End || token.first_of_line && kind.is_statement_keyword() && !nest.is_in_braces() {
                return false;
            }
            if kind.closer().is_some() {
                nest.push(kind);
            } else if kind == TokenKind::RightBrace && !nest.is_in_braces() {
                return false;
            } else if kind.is_closer() && nest.open.is_empty() {
                return true;
            } else if kind.is_closer() {
                nest.close(kind);
            }
        }
        true
    }

    /// Whether a line begins here, after `mark`, with what begins an item.
    fn at_next_item(&self, mark: Mark) -> bool {
        let begins = self.at_item() || self.is(TokenKind::At);
        self.is(TokenKind::End) || self.at > mark.at && self.token().first_of_line && begins
    }

    /// Whether the line that begins with the next token shows that the `{` at `open` was never
    /// closed: it begins with what cannot be in a body, and is not indented under it.
    pub(super) fn shows_unclosed(&self, open: Span) -> bool {
        let token = self.token();
        token.first_of_line
            && (self.at_item() || self.is(TokenKind::At))
            && self.indent_of_line(token.start) <= self.indent_of_line(open.start)
    }

    /// Whether a line begins here that is indented further than the one before it.
    pub(super) fn at_indented_line(&self) -> bool {
        let before = self.after_previous().start;
        let token = self.token();
        self.at_line_break() && self.indent_of_line(token.start) > self.indent_of_line(before)
    }

    /// Remembers the `{` at `open` if the `}` that is the next token seems to belong to another one.
    pub(super) fn note_indent(&mut self, open: Span) {
        let token = self.token();
        let suspicious = token.first_of_line
            && self.badly_closed.is_none()
            && self.indent_of_line(token.start) < self.indent_of_line(open.start);
        if suspicious {
            self.badly_closed = Some(open);
        }
    }

    /// The column at which the line of this byte offset is indented, counted in bytes; lines that
    /// are longer than anyone indents count as not indented.
    fn indent_of_line(&self, offset: u32) -> usize {
        const LONGEST: usize = 200;
        let offset = offset as usize;
        let bytes = self.text.as_bytes();
        let earliest = offset.saturating_sub(LONGEST);
        let before = bytes.get(earliest..offset).unwrap_or(&[]);
        let start = match before.iter().rposition(|&byte| byte == b'\n') {
            Some(newline) => earliest + newline + 1,
            None if earliest == 0 => 0,
            None => return 0,
        };
        bytes[start..].iter().take(LONGEST).take_while(|&&byte| byte == b' ' || byte == b'\t').count()
    }
}
