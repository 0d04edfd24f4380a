//! The items of a file.

use gradc_diagnostics::{Diagnostic, Span, codes, did_you_mean};

use super::statement::Body;
use super::{Mark, Parse, Parser, Reported};
use crate::ast::{
    Attribute, AttributeKind, Definition, DerivativeRule, Function, FunctionKind, Import, Item, Model, Name, Parameter,
};
use crate::token::TokenKind;

/// The words with which items begin.
const ITEM_WORDS: [&str; 8] = ["import", "dim", "const", "fn", "layer", "initializer", "model", "train"];

/// The attributes that there are.
const ATTRIBUTES: [&str; 1] = ["metric"];

impl Parser<'_> {
    /// All of them, to the end.
    pub(crate) fn items(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            while self.eat(TokenKind::Semicolon).is_some() {}
            if self.is(TokenKind::End) {
                break;
            }
            if self.kind().is_closer() {
                self.unmatched();
                continue;
            }
            self.depth_reported = false;
            items.push(self.item());
        }
        items
    }

    /// One item, or after an error what was skipped of it. Goes past at least one token, unless it
    /// is the end of the file.
    pub(super) fn item(&mut self) -> Item {
        let start = self.span();
        let attributes = self.attributes().unwrap_or_default();
        let mark = self.mark();
        let item = match self.kind() {
            TokenKind::Fn => self.function(FunctionKind::Fn, attributes, start),
            kind => {
                self.check_misplaced(&attributes, start);
                match kind {
                    TokenKind::Layer => self.function(FunctionKind::Layer, attributes, start),
                    TokenKind::Initializer => self.function(FunctionKind::Initializer, attributes, start),
                    TokenKind::Import => self.import(mark, start),
                    TokenKind::Const => self.definition(mark, start).map(Item::Const),
                    TokenKind::Model => self.model(start),
                    TokenKind::Train => self.train(start).map(Item::Train),
                    _ if self.at_dim_item() => self.definition(mark, start).map(Item::Dim),
                    _ => self.no_item(mark, start),
                }
            }
        };
        item.unwrap_or_else(|Reported| {
            self.recover_item(mark);
            Item::Error { name: self.declared_name(mark), span: self.since(start) }
        })
    }

    /// After an error in the item that began at `mark`: skips it, but looks into its body, if it
    /// has one, for more errors.
    fn recover_item(&mut self, mark: Mark) {
        let body = match self.tokens.get(mark.at).map(|token| token.kind) {
            Some(TokenKind::Fn | TokenKind::Layer | TokenKind::Initializer) => Body::WithValue,
            Some(TokenKind::Model) => Body::Model,
            Some(TokenKind::Import | TokenKind::Const) => return self.recover(mark),
            Some(TokenKind::Ident) if self.declared_name(mark).is_some() => {
                return self.recover(mark);
            }
            _ => return self.recover_to_item(mark),
        };
        if self.recover_to_body(mark) && self.block("`{` and a body", body).is_err() {
            self.recover_to_item(mark);
        }
    }

    /// Reports what stands where an item is expected.
    fn no_item(&mut self, mark: Mark, start: Span) -> Parse<Item> {
        let token = self.token();
        let word = self.text_of(token);
        let assigned = token.kind == TokenKind::Ident && self.token_after(1).kind == TokenKind::Assign;
        let begins_statement =
            token.kind.is_statement_keyword() || matches!(token.kind, TokenKind::If | TokenKind::Scan);
        if begins_statement || assigned {
            return Ok(self.statement_outside(mark, start));
        }
        let meant = did_you_mean(word, ITEM_WORDS).filter(|_| token.kind == TokenKind::Ident);
        let Some(meant) = meant else {
            return Err(
                self.unexpected("an item: `model`, `layer`, `fn`, `initializer`, `dim`, `const`, `import` or `train`")
            );
        };
        Err(self.report(|| {
            Diagnostic::error(codes::UNEXPECTED_TOKEN, format!("expected an item, found the name `{word}`"))
                .primary(start, "")
                .help(format!("did you mean `{meant}`?"))
        }))
    }

    /// Reports a statement at the top level, and goes past it.
    fn statement_outside(&mut self, mark: Mark, start: Span) -> Item {
        let token = self.token();
        let (word, place) = (self.text_of(token), self.span());
        let (what, help) = match token.kind {
            TokenKind::Ident => (
                format!("`{word} = …`"),
                format!("a value of the whole file is declared with `const {word} = …`, a size with `dim {word} = …`"),
            ),
            TokenKind::Let => {
                ("`let`".to_owned(), "a value of the whole file is declared with `const`, a size with `dim`".to_owned())
            }
            kind => {
                let home = match kind {
                    TokenKind::Param => "a `layer` or a `model`",
                    TokenKind::For | TokenKind::If | TokenKind::Scan => "a body",
                    _ => "a `model`",
                };
                (
                    format!("`{word}`"),
                    format!("`{word}` belongs into {home}: is a `{{` missing, or a `}}` too many above?"),
                )
            }
        };
        self.report(|| {
            Diagnostic::error(codes::STATEMENT_OUTSIDE_BODY, format!("{what} cannot be at the top level of a file"))
                .primary(place, "")
                .help(help)
        });
        let name = match token.kind {
            TokenKind::Ident => Some(Name { text: word.to_owned(), span: self.span_of(token) }),
            _ => self.declared_name(mark),
        };
        // It is parsed so that its own errors are shown, and so that its end is found.
        if self.statement(mark).is_err() {
            self.recover(mark);
        }
        Item::Error { name, span: self.since(start) }
    }

    // ---- attributes ----

    /// `@metric(accuracy)`, any number of them.
    fn attributes(&mut self) -> Parse<Vec<Attribute>> {
        let mut attributes = Vec::new();
        while self.is(TokenKind::At) {
            let start = self.span();
            self.bump();
            let token = self.token();
            let is_word = token.kind == TokenKind::Ident || token.kind.is_keyword();
            if token.first_of_line || !is_word {
                return Err(self.unexpected("the name of an attribute after `@`"));
            }
            if token.kind != TokenKind::Metric {
                self.unknown_attribute();
                self.skip_attribute();
                continue;
            }
            self.bump();
            let function = self.attribute_argument()?;
            attributes.push(Attribute { kind: AttributeKind::Metric { function }, span: self.since(start) });
        }
        Ok(attributes)
    }

    fn attribute_argument(&mut self) -> Parse<Name> {
        if !self.is(TokenKind::LeftParen) {
            return Err(self.unexpected("`(` and the name of a function"));
        }
        self.open();
        let name = self.name("the name of a function")?;
        self.close("`)`")?;
        Ok(name)
    }

    fn unknown_attribute(&mut self) {
        let span = self.span();
        let word = self.slice(span).to_owned();
        let help = match did_you_mean(&word, ATTRIBUTES) {
            Some(meant) => format!("did you mean `@{meant}`?"),
            None => "the only attribute is `@metric(name)`, before a `fn` that is used as a loss".to_owned(),
        };
        self.report(|| {
            Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, format!("there is no attribute `{word}`"))
                .primary(span, "")
                .help(help)
        });
    }

    /// Goes past the name of an attribute and to the end of its line, or to the item after it.
    fn skip_attribute(&mut self) {
        self.bump();
        while !self.token().first_of_line && !self.at_item() && !self.is(TokenKind::End) {
            self.bump();
        }
    }

    fn check_misplaced(&mut self, attributes: &[Attribute], start: Span) {
        let Some(first) = attributes.first() else {
            return;
        };
        let (span, item) = (first.span, self.span());
        self.report(|| {
            let error = Diagnostic::error(codes::MISPLACED_ATTRIBUTE, "an attribute can only be before a `fn`")
                .primary(span, "");
            if item.start > start.start && !item.is_empty() {
                error.secondary(item, "this is not a `fn`")
            } else {
                error
            }
        });
    }

    // ---- items ----

    fn import(&mut self, mark: Mark, start: Span) -> Parse<Item> {
        self.bump();
        if !self.is(TokenKind::String) {
            let reported = self.unexpected("the path of a file between quotes: `\"other.net\"`");
            return Err(reported);
        }
        let path = self.string_literal();
        let import = Import { path, span: self.since(start) };
        self.end_of_item(mark, "the end of the line");
        Ok(Item::Import(import))
    }

    /// `dim name = value` or `const name = value`
    fn definition(&mut self, mark: Mark, start: Span) -> Parse<Definition> {
        self.bump();
        let name = self.name("the name of a value")?;
        self.assign_sign("`=` and a value")?;
        let value = self.expr_or_rest(mark);
        let span = self.since(start);
        self.end_of_item(mark, "an operator or the end of the line");
        Ok(Definition { name, value, span })
    }

    /// Checks that nothing follows an item of one line. `expected` says what could.
    fn end_of_item(&mut self, mark: Mark, expected: &str) {
        if self.at_line_end() || self.at_item() {
            return;
        }
        if self.kind().is_closer() {
            self.unmatched();
        } else {
            self.unexpected(expected);
        }
        self.recover(mark);
    }

    fn function(&mut self, kind: FunctionKind, attributes: Vec<Attribute>, start: Span) -> Parse<Item> {
        self.bump();
        let name = self.name(&format!("the name of the `{}`", kind.keyword()))?;
        let parameters = if self.is(TokenKind::LeftParen) {
            self.list("a parameter", Self::parameter)?.0
        } else if kind == FunctionKind::Initializer {
            Vec::new()
        } else {
            return Err(self.unexpected("`(` and the parameters"));
        };
        let result = match self.eat(TokenKind::Arrow) {
            Some(_) => Some(self.ty("the type of the result, such as `[.., d]`")?),
            None => None,
        };
        let signature = self.since(start);
        let body = self.block("`{` and a body", Body::WithValue)?;
        let rule = if self.at_rule() { self.derivative_rule(kind)? } else { None };
        Ok(Item::Function(Function {
            kind,
            attributes,
            name,
            parameters,
            result,
            body,
            rule: rule.map(Box::new),
            signature,
            span: self.since(start),
        }))
    }

    /// Whether the next tokens are `vjp(`: the word is no keyword, and no item begins with it.
    fn at_rule(&self) -> bool {
        let token = self.token();
        token.kind == TokenKind::Ident
            && self.text_of(token) == "vjp"
            && self.token_after(1).kind == TokenKind::LeftParen
    }

    /// `vjp(g) { … }` or `vjp(g, y) { … }`; none where there can be none, which has been reported.
    fn derivative_rule(&mut self, kind: FunctionKind) -> Parse<Option<DerivativeRule>> {
        let start = self.span();
        self.bump();
        let list = self.span();
        let (names, _) = self.list("a name", |parser| parser.name("the name of the cotangent or of the result"))?;
        let header = self.since(start);
        if kind != FunctionKind::Fn {
            let message = format!("only a `fn` has a derivative rule, not a `{}`", kind.keyword());
            self.report(|| {
                Diagnostic::error(codes::MISPLACED_RULE, message)
                    .primary(header, "")
                    .help("give the rule to a `fn`, and call that with what the rule is about")
            });
        }
        let body = self.block("`{` and the rule", Body::WithValue)?;
        let mut names = names.into_iter();
        let (cotangent, result) = match (names.next(), names.next(), names.next()) {
            (Some(cotangent), result, None) => (cotangent, result),
            _ => {
                self.report(|| {
                    Diagnostic::error(codes::UNEXPECTED_TOKEN, "a derivative rule has one or two parameters")
                        .primary(list.to(header), "these are no names of a cotangent and a result")
                        .help("write `vjp(g)`, with `g` for the cotangent of the result, or `vjp(g, y)`, with `y` for the result")
                });
                return Ok(None);
            }
        };
        Ok((kind == FunctionKind::Fn).then_some(DerivativeRule { cotangent, result, body, header }))
    }

    /// `name`, `name: type`, `name = default` or `name: type = default`
    fn parameter(&mut self) -> Parse<Parameter> {
        let start = self.span();
        let name = self.name("the name of a parameter")?;
        let ty = match self.eat(TokenKind::Colon) {
            Some(_) => Some(self.ty("the type of the parameter, such as `[.., d]`")?),
            None => None,
        };
        let default = match self.kind() {
            TokenKind::Assign | TokenKind::EqEq => {
                self.assign_sign("`=`")?;
                Some(self.expr()?)
            }
            _ => None,
        };
        Ok(Parameter { name, ty, default, span: self.since(start) })
    }

    fn model(&mut self, start: Span) -> Parse<Item> {
        self.bump();
        let name = self.name("the name of the model")?;
        let body = self.block("`{` and the body of the model", Body::Model)?;
        Ok(Item::Model(Model { name, body, span: self.since(start) }))
    }
}
