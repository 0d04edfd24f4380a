//! What stands between delimiters.

use gradc_diagnostics::{Diagnostic, Span, codes};

use super::{Open, Parse, Parser, Reported};
use crate::token::TokenKind;

impl Parser<'_> {
    /// Goes past the next token, which is an opening delimiter, and remembers it.
    pub(super) fn open(&mut self) -> Open {
        let token = self.bump();
        let open = Open { kind: token.kind, span: self.span_of(token), missing: false };
        self.open.push(open);
        open
    }

    /// Goes on as if there were a `{` here. That there is none has been reported.
    pub(super) fn open_missing(&mut self) -> Open {
        let open = Open { kind: TokenKind::LeftBrace, span: self.after_previous(), missing: true };
        self.open.push(open);
        open
    }

    /// Goes past the partner of the innermost open delimiter. `expected` says what else could stand
    /// here, as in ``"`,` or `)`"``.
    pub(super) fn close(&mut self, expected: &str) -> Parse<()> {
        let Some(open) = self.open.last().copied() else {
            return Err(self.unexpected(expected));
        };
        if Some(self.kind()) != open.kind.closer() {
            return Err(self.unclosed(open, expected));
        }
        self.bump();
        self.open.pop();
        Ok(())
    }

    /// Reports that something else stands where `open` could be closed.
    fn unclosed(&mut self, open: Open, expected: &str) -> Reported {
        // What cannot stand inside of the delimiter at all shows that it was never closed.
        let kind = self.kind();
        let next_line = self.token().first_of_line && !self.is_closed_later();
        if !kind.is_closer() && !self.at_what_cannot_be_inside() && !next_line {
            let (span, found) = self.found();
            return self.report(|| {
                Diagnostic::error(codes::UNEXPECTED_TOKEN, format!("expected {expected}, found {found}"))
                    .primary(span, format!("expected {expected}"))
                    .secondary(open.span, "inside of this")
            });
        }
        let reported = self.never_closed(open, expected);
        if next_line {
            // Lines matter again, so that this one is looked at by itself.
            while self.in_brackets() {
                self.open.pop();
            }
        }
        reported
    }

    /// Reports that the file goes on with what shows that `open` was never closed.
    pub(super) fn never_closed(&mut self, open: Open, expected: &str) -> Reported {
        if open.missing {
            return Reported;
        }
        let sign = match open.kind {
            TokenKind::LeftParen => "(",
            TokenKind::LeftBracket => "[",
            _ => "{",
        };
        let span = if self.kind().is_closer() { self.span() } else { self.after_previous() };
        let inner =
            self.badly_closed.take_if(|inner| open.kind == TokenKind::LeftBrace && inner.start > open.span.start);
        self.report(|| {
            let error = Diagnostic::error(codes::UNCLOSED_DELIMITER, format!("this `{sign}` is never closed"))
                .primary(span, format!("expected {expected} before this place"))
                .secondary(open.span, "opened here");
            match inner {
                Some(inner) => {
                    error.secondary(inner, "is it this one whose `}` is missing? the next `}` is indented less")
                }
                None => error,
            }
        })
    }

    /// `( element, … )` or the same in brackets; the next token opens. `what` names an element with
    /// its article, as in `"an argument"`. A comma after the last element is fine.
    pub(super) fn list<T>(
        &mut self,
        what: &str,
        mut element: impl FnMut(&mut Self) -> Parse<T>,
    ) -> Parse<(Vec<T>, Span)> {
        let start = self.open().span;
        let closer = match self.open.last() {
            Some(open) if open.kind == TokenKind::LeftBracket => TokenKind::RightBracket,
            Some(open) if open.kind == TokenKind::LeftBrace => TokenKind::RightBrace,
            _ => TokenKind::RightParen,
        };
        let expected = match closer {
            TokenKind::RightBracket => "`,` or `]`",
            TokenKind::RightBrace => "`,` or `}`",
            _ => "`,` or `)`",
        };
        let mut elements = Vec::new();
        loop {
            self.stray_commas(what);
            if self.is(closer) || self.at_what_cannot_be_inside() {
                break;
            }
            elements.push(element(self)?);
            if self.eat(TokenKind::Comma).is_some() || self.at_line_break() {
                continue;
            }
            if self.is(closer) {
                break;
            }
            if !self.missing_comma(what) {
                break;
            }
        }
        self.close(expected)?;
        Ok((elements, self.since(start)))
    }

    /// Whether the next token shows that the delimiters of the statement before it were not closed.
    fn at_what_cannot_be_inside(&self) -> bool {
        let token = self.token();
        let begins = token.kind.is_statement_keyword() || self.at_item();
        token.kind == TokenKind::End || begins && token.first_of_line && self.token_after(1).kind != TokenKind::Assign
    }

    /// Reports commas that separate nothing, and goes past them.
    fn stray_commas(&mut self, what: &str) {
        if !self.is(TokenKind::Comma) {
            return;
        }
        let span = self.span();
        self.report(|| {
            Diagnostic::error(codes::STRAY_SEPARATOR, format!("expected {what} before this `,`"))
                .primary(span, "separates nothing")
                .help("remove it")
        });
        while self.eat(TokenKind::Comma).is_some() {}
    }

    /// Whether the next element follows without a comma, which is reported.
    fn missing_comma(&mut self, what: &str) -> bool {
        let token = self.token();
        let begins = token.kind.starts_operand() || token.kind == TokenKind::DotDot;
        if token.first_of_line || !begins || self.foreign_word().is_some() {
            return false;
        }
        let (place, next) = (self.after_previous(), self.span());
        self.report(|| {
            Diagnostic::error(codes::MISSING_COMMA, "missing `,`")
                .primary(place, "expected `,`")
                .secondary(next, format!("this would be {what} of its own"))
        });
        true
    }
}
