//! Types of tensors.

use gradc_diagnostics::{Diagnostic, codes};

use super::{Parse, Parser};
use crate::ast::{Axis, Name, Type};
use crate::token::TokenKind;

impl Parser<'_> {
    /// `[.., d]` or `f32[batch, 64]`. `expected` says whose type it is.
    pub(super) fn ty(&mut self, expected: &str) -> Parse<Type> {
        let start = self.span();
        let element = match self.eat(TokenKind::Ident) {
            Some(token) => Some(Name { text: self.text_of(token).to_owned(), span: self.span_of(token) }),
            None if self.is(TokenKind::LeftBracket) => None,
            None => return Err(self.unexpected(expected)),
        };
        if !self.is(TokenKind::LeftBracket) {
            self.type_without_shape(element.as_ref());
            return Ok(Type { element, axes: Vec::new(), span: self.since(start) });
        }
        let (axes, _) = self.list("a size", Self::axis)?;
        Ok(Type { element, axes, span: self.since(start) })
    }

    fn type_without_shape(&mut self, element: Option<&Name>) {
        let Some(element) = element else { return };
        let (span, word) = (element.span, element.text.as_str());
        self.report(|| {
            Diagnostic::error(codes::TYPE_WITHOUT_SHAPE, format!("the type `{word}` has no shape"))
                .primary(span, "expected `[` and a size for each axis after this")
                .help(format!(
                    "write `{word}[]` for a single number, `{word}[n]` for n of them, `{word}[..]` for any shape; \
                 an argument that is not a tensor has no type"
                ))
        });
    }

    fn axis(&mut self) -> Parse<Axis> {
        let Some(dots) = self.eat(TokenKind::DotDot) else {
            return self.expr().map(Axis::Dim);
        };
        let start = self.span_of(dots);
        let name = self
            .eat(TokenKind::Ident)
            .map(|token| Name { text: self.text_of(token).to_owned(), span: self.span_of(token) });
        Ok(Axis::Rest { name, span: self.since(start) })
    }
}
