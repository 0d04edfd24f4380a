//! The `train` block and its settings.

use gradc_diagnostics::{Diagnostic, Span, codes};

use super::{Mark, Open, Parse, Parser, Reported};
use crate::ast::{Name, Setting, SettingField, Train};
use crate::token::TokenKind;

impl Parser<'_> {
    /// `train { … }` or `train name { … }`
    pub(super) fn train(&mut self, start: Span) -> Parse<Train> {
        self.bump();
        let model = if self.is(TokenKind::LeftBrace) { None } else { Some(self.name("`{`, or the name of a model")?) };
        let header = self.since(start);
        if !self.is(TokenKind::LeftBrace) {
            return Err(self.unexpected("`{` and the settings"));
        }
        let open = self.open();
        let settings = self.settings(open);
        self.open.pop();
        Ok(Train { model, settings, header, span: self.since(start) })
    }

    /// The settings up to the closing brace, which is passed, of the block that begins at `open`.
    fn settings(&mut self, open: Open) -> Vec<Setting> {
        let mut settings = Vec::new();
        loop {
            while self.eat(TokenKind::Semicolon).is_some() {}
            match self.kind() {
                TokenKind::RightBrace => {
                    self.bump();
                    break;
                }
                TokenKind::End => {
                    self.never_closed(open, "`}`");
                    break;
                }
                _ if self.shows_unclosed(open.span) => {
                    self.never_closed(open, "`}`");
                    break;
                }
                TokenKind::RightParen | TokenKind::RightBracket => self.unmatched(),
                _ => {
                    let mark = self.mark();
                    match self.setting(mark) {
                        Ok(setting) => {
                            settings.push(setting);
                            self.end_of_statement(mark);
                        }
                        Err(Reported) => self.recover(mark),
                    }
                }
            }
        }
        settings
    }

    /// `name argument, … { field = value, … }`
    fn setting(&mut self, mark: Mark) -> Parse<Setting> {
        let token = self.token();
        let start = self.span();
        if token.kind != TokenKind::Ident && !token.kind.is_keyword() {
            return Err(self.unexpected("the name of a setting, such as `epochs`"));
        }
        self.bump();
        let name = Name { text: self.text_of(token).to_owned(), span: start };
        if matches!(self.kind(), TokenKind::Assign | TokenKind::Colon) {
            self.setting_with_sign(&name);
        }
        let mut arguments = Vec::new();
        while !self.at_line_end() && !self.is(TokenKind::LeftBrace) {
            arguments.push(self.expr_or_rest(mark));
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
        }
        let fields = if self.is(TokenKind::LeftBrace) && !self.at_line_break() {
            self.list("a field", Self::setting_field)?.0
        } else {
            Vec::new()
        };
        Ok(Setting { name, arguments, fields, span: self.since(start) })
    }

    /// Reports `epochs = 20`, and goes past the sign.
    fn setting_with_sign(&mut self, name: &Name) {
        let (span, word) = (self.span(), name.text.as_str());
        let sign = self.slice(span).to_owned();
        self.report(|| {
            Diagnostic::error(codes::SETTING_WITH_SIGN, format!("a setting is written without `{sign}`"))
                .primary(span, "")
                .help(format!("write `{word}` and then its value, with a space between them"))
        });
        self.bump();
    }

    /// `name = value`
    fn setting_field(&mut self) -> Parse<SettingField> {
        // A field may stand on a line of its own.
        self.began_at = self.at;
        let start = self.span();
        let name = self.name("a name")?;
        self.assign_sign("`=` and a value")?;
        let value = self.expr()?;
        Ok(SettingField { name, value, span: self.since(start) })
    }
}
