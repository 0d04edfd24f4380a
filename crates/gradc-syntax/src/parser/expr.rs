//! Expressions, by precedence.

use gradc_diagnostics::{Diagnostic, Span, codes};

use super::statement::Body;
use super::{Mark, Parse, Parser, Reported, reserved_word};
use crate::ast::{
    Argument, ArgumentValue, BinaryOp, Branch, Expr, ExprKind, Name, ScanOption, Sequence, Subscript, SubscriptKind,
    UnaryOp,
};
use crate::literal::{self, Number};
use crate::token::TokenKind;

/// The precedence of comparisons, which do not associate.
const COMPARISON: u8 = 3;

/// The operator that a token stands for between two operands, and how tightly it binds. `**` is not
/// here: it binds tighter than the unary operators.
fn binary_operator(kind: TokenKind) -> Option<(BinaryOp, u8)> {
    Some(match kind {
        TokenKind::OrOr => (BinaryOp::Or, 1),
        TokenKind::AndAnd => (BinaryOp::And, 2),
        TokenKind::EqEq => (BinaryOp::Eq, COMPARISON),
        TokenKind::NotEq => (BinaryOp::Ne, COMPARISON),
        TokenKind::Less => (BinaryOp::Lt, COMPARISON),
        TokenKind::LessEq => (BinaryOp::Le, COMPARISON),
        TokenKind::Greater => (BinaryOp::Gt, COMPARISON),
        TokenKind::GreaterEq => (BinaryOp::Ge, COMPARISON),
        TokenKind::Plus => (BinaryOp::Add, 4),
        TokenKind::Minus => (BinaryOp::Sub, 4),
        TokenKind::Star => (BinaryOp::Mul, 5),
        TokenKind::Slash => (BinaryOp::Div, 5),
        TokenKind::Percent => (BinaryOp::Rem, 5),
        TokenKind::At => (BinaryOp::MatMul, 5),
        _ => return None,
    })
}

impl Parser<'_> {
    /// Any expression.
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        self.binary(0)
    }

    /// An expression, or after an error the rest of the statement as an error node. `mark` is where
    /// the statement began.
    pub(super) fn expr_or_rest(&mut self, mark: Mark) -> Expr {
        let start = self.span();
        match self.expr() {
            Ok(expr) => expr,
            Err(Reported) => {
                self.recover(mark);
                Expr::new(ExprKind::Error, self.since(start))
            }
        }
    }

    /// The next token if it continues the expression: a line that begins with `-`, `[` or `(`
    /// begins a new statement, and outside of all bodies one with `@` begins an attribute.
    pub(super) fn continuation(&self) -> Option<TokenKind> {
        let kind = self.kind();
        let begins_anew = match kind {
            TokenKind::Minus | TokenKind::LeftBracket | TokenKind::LeftParen => true,
            TokenKind::At => self.open.is_empty(),
            _ => false,
        };
        (!(begins_anew && self.at_line_break())).then_some(kind)
    }

    /// Operands joined by operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Parse<Expr> {
        let start = self.span();
        let mut left = self.unary()?;
        let mut compared: Option<(BinaryOp, Span, Span)> = None;
        while let Some((op, tightness)) = self.continuation().and_then(binary_operator) {
            if tightness < least {
                break;
            }
            if let Some(first) = compared
                && op.is_comparison()
            {
                self.chained_comparison(first);
            }
            let op_token = self.bump();
            let op_span = self.span_of(op_token);
            let right = self.binary(tightness + 1)?;
            compared = op.is_comparison().then_some((op, op_span, right.span));
            left = self.join(start, left, op, op_span, right)?;
        }
        Ok(left)
    }

    /// The operation that began at `start` and ends here.
    fn join(&mut self, start: Span, left: Expr, op: BinaryOp, op_span: Span, right: Expr) -> Parse<Expr> {
        let span = self.since(start);
        let kind = ExprKind::Binary { op, op_span, left: Box::new(left), right: Box::new(right) };
        self.node(kind, span)
    }

    /// Reports the second operator of `a < b < c`. `first` is the first one with its place, and the
    /// place of `b`.
    fn chained_comparison(&mut self, (op, op_span, middle): (BinaryOp, Span, Span)) {
        let second = self.span();
        let middle = self.slice(middle);
        let help = match middle.len() {
            0..=30 => format!("compare twice: `… {} {middle} && {middle} …`", op.symbol()),
            _ => "compare twice and join with `&&`".to_owned(),
        };
        self.report(|| {
            Diagnostic::error(codes::CHAINED_COMPARISON, "comparisons cannot be chained")
                .primary(second, "")
                .secondary(op_span, "the first comparison")
                .help(help)
        });
    }

    pub(super) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    fn unary(&mut self) -> Parse<Expr> {
        self.nested(1, |parser| {
            let op = match parser.kind() {
                TokenKind::Minus => UnaryOp::Neg,
                TokenKind::Bang => UnaryOp::Not,
                _ => return parser.power(),
            };
            let start = parser.span();
            parser.bump();
            let operand = Box::new(parser.unary()?);
            let span = parser.since(start);
            parser.node(ExprKind::Unary { op, operand }, span)
        })
    }

    /// `base ** exponent`, where the exponent may be signed and a power again.
    fn power(&mut self) -> Parse<Expr> {
        let start = self.span();
        let base = self.postfix()?;
        let Some(op) = self.eat(TokenKind::StarStar) else {
            return Ok(base);
        };
        let op_span = self.span_of(op);
        let exponent = self.unary()?;
        self.join(start, base, BinaryOp::Pow, op_span, exponent)
    }

    /// An atom with calls, subscripts and fields after it.
    fn postfix(&mut self) -> Parse<Expr> {
        let start = self.span();
        let mut expr = self.atom()?;
        loop {
            let kind = match self.continuation() {
                Some(TokenKind::LeftParen) => {
                    let (arguments, _) = self.arguments()?;
                    let callee = Box::new(expr);
                    ExprKind::Call { callee, arguments }
                }
                Some(TokenKind::LeftBracket) => {
                    let (subscripts, _) = self.list("a subscript", Self::subscript)?;
                    let base = Box::new(expr);
                    ExprKind::Index { base, subscripts }
                }
                Some(TokenKind::Dot) => {
                    let field = self.field(&expr)?;
                    let base = Box::new(expr);
                    ExprKind::Field { base, field }
                }
                _ => return Ok(expr),
            };
            let span = self.since(start);
            expr = self.node(kind, span)?;
        }
    }

    fn field(&mut self, base: &Expr) -> Parse<Name> {
        let dot = self.bump();
        if matches!(base.kind, ExprKind::Int(_)) && !self.is(TokenKind::Ident) {
            let span = base.span.to(self.span_of(dot));
            let number = self.slice(base.span).to_owned();
            return Err(self.report(|| {
                Diagnostic::error(codes::MALFORMED_NUMBER, "a number does not end with a point")
                    .primary(span, "")
                    .help(format!("write `{number}.0`"))
            }));
        }
        self.name("the name of a field after `.`")
    }

    // ---- atoms ----

    fn atom(&mut self) -> Parse<Expr> {
        let token = self.token();
        let span = self.span_of(token);
        let kind = match token.kind {
            TokenKind::Ident => {
                self.bump();
                ExprKind::Name(self.text_of(token).to_owned())
            }
            TokenKind::Number => {
                self.bump();
                self.number(span)
            }
            TokenKind::BadNumber => {
                self.faults += 1;
                self.bump();
                ExprKind::Error
            }
            TokenKind::String => ExprKind::String(self.string_literal().value),
            TokenKind::True | TokenKind::False => {
                self.bump();
                ExprKind::Bool(token.kind == TokenKind::True)
            }
            TokenKind::LeftParen => return self.parenthesised(),
            TokenKind::LeftBracket => {
                let (elements, span) = self.list("an element", Self::expr)?;
                return self.node(ExprKind::List(elements), span);
            }
            TokenKind::If => return self.conditional(),
            TokenKind::Scan if matches!(self.token_after(1).kind, TokenKind::Ident | TokenKind::Underscore) => {
                return self.scan();
            }
            _ => return self.no_atom(span),
        };
        self.node(kind, span)
    }

    /// Reports what stands where an operand is missing.
    fn no_atom(&mut self, span: Span) -> Parse<Expr> {
        let token = self.token();
        match token.kind {
            TokenKind::Underscore => {
                self.report(|| {
                    Diagnostic::error(codes::STRAY_HOLE, "`_` can only be an argument of a call")
                        .primary(span, "")
                        .help("a call with `_` is a function of what is left open: `dense(_, 128)`")
                });
            }
            TokenKind::Dot if self.token_after(1).kind == TokenKind::Number => {
                let digits = self.text_of(self.token_after(1));
                let help = format!("write `0.{digits}`");
                self.report(|| {
                    Diagnostic::error(codes::MALFORMED_NUMBER, "a number begins with a digit")
                        .primary(span, "")
                        .help(help)
                });
                self.bump();
            }
            kind if kind.is_keyword() && !self.keyword_begins_anew() => {
                let word = self.text_of(token);
                self.report(|| reserved_word(word, span, "a value"));
            }
            _ => return Err(self.unexpected("an expression")),
        }
        self.bump();
        self.node(ExprKind::Error, span)
    }

    /// Whether the next token is a keyword that belongs to a construct of its own rather than being
    /// misused as a name: it begins a line, or no user would name a value so.
    fn keyword_begins_anew(&self) -> bool {
        let token = self.token();
        token.first_of_line && self.at != self.began_at
            || matches!(
                token.kind,
                TokenKind::Let | TokenKind::For | TokenKind::In | TokenKind::Else | TokenKind::Param
            )
    }

    fn number(&mut self, span: Span) -> ExprKind {
        match literal::number(self.slice(span)) {
            Number::Int(value) => ExprKind::Int(value),
            Number::Float(value) => ExprKind::Float(value),
            Number::TooLarge { int } => {
                let (message, help) = if int {
                    (
                        "this integer does not fit into 64 bits",
                        "write it with an exponent, as in `1e20`, if a float is meant",
                    )
                } else {
                    ("this number is larger than any float", "the largest is about 1.8e308")
                };
                self.reports.add(|| Diagnostic::error(codes::NUMBER_TOO_LARGE, message).primary(span, "").help(help));
                ExprKind::Error
            }
        }
    }

    fn parenthesised(&mut self) -> Parse<Expr> {
        let start = self.open().span;
        if self.is(TokenKind::RightParen) {
            return Err(self.unexpected("an expression between the parentheses"));
        }
        let mut inner = self.expr()?;
        if self.is(TokenKind::Assign) {
            inner = self.comparison_with_assign(inner)?;
        }
        if self.is(TokenKind::Comma) {
            let span = start.to(self.span());
            return Err(self.report(|| tuple(span, "more than one value in parentheses")));
        }
        self.close("`)`")?;
        inner.span = self.since(start);
        Ok(inner)
    }

    /// After `left`, where `=` follows and a comparison is meant.
    fn comparison_with_assign(&mut self, left: Expr) -> Parse<Expr> {
        let op_span = self.span();
        self.report(|| {
            Diagnostic::error(codes::ASSIGNMENT_AS_COMPARISON, "`=` does not compare")
                .primary(op_span, "")
                .help("write `==`")
        });
        self.bump();
        let right = self.expr()?;
        self.join(left.span, left, BinaryOp::Eq, op_span, right)
    }

    /// `if c { … } else if d { … } else { … }`
    fn conditional(&mut self) -> Parse<Expr> {
        let start = self.span();
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            self.bump();
            let mut condition = self.expr()?;
            if self.is(TokenKind::Assign) {
                condition = self.comparison_with_assign(condition)?;
            }
            let body = self.block("`{` after the condition", Body::WithValue)?;
            branches.push(Branch { condition, body });
            if self.eat(TokenKind::Else).is_none() {
                break;
            }
            if !self.is(TokenKind::If) {
                otherwise = Some(self.block("`{` or `if` after `else`", Body::WithValue)?);
                break;
            }
        }
        let kind = ExprKind::If { branches, otherwise };
        let span = self.since(start);
        self.node(kind, span)
    }

    /// `scan x_t in x, m_t in mask, axis = 1 { … }`
    fn scan(&mut self) -> Parse<Expr> {
        let start = self.span();
        self.bump();
        let (mut sequences, mut options) = (Vec::new(), Vec::new());
        loop {
            if !sequences.is_empty() && self.token_after(1).kind == TokenKind::Assign {
                let name = self.name("the name of an option")?;
                self.bump();
                options.push(ScanOption { name, value: self.expr()? });
            } else if options.is_empty() {
                let variable = self.variable()?;
                self.expect(TokenKind::In, "`in` after the variable")?;
                sequences.push(Sequence { variable, value: self.expr()? });
            } else {
                return Err(self.unexpected("an option, such as `reverse = true`"));
            }
            if self.eat(TokenKind::Comma).is_none() {
                break;
            }
            // What follows a comma may stand on a line of its own.
            self.began_at = self.at;
        }
        let body = self.block("`,` or `{` after the sequences", Body::WithValue)?;
        let kind = ExprKind::Scan { sequences, options, body: Box::new(body) };
        let span = self.since(start);
        self.node(kind, span)
    }

    // ---- what follows an atom ----

    /// `(a, name = b, _)`
    fn arguments(&mut self) -> Parse<(Vec<Argument>, Span)> {
        let mut named: Option<Span> = None;
        self.list("an argument", |parser| {
            let argument = parser.argument()?;
            match (&argument.name, named) {
                (Some(name), _) => named = Some(name.span),
                (None, Some(named)) => {
                    let span = argument.span;
                    parser.faults += 1;
                    parser.reports.add(|| {
                        Diagnostic::error(
                            codes::POSITIONAL_AFTER_NAMED,
                            "an argument without a name follows one with a name",
                        )
                        .primary(span, "has no name")
                        .secondary(named, "has a name")
                        .help("put it before the named ones, or name it too")
                    });
                }
                (None, None) => {}
            }
            Ok(argument)
        })
    }

    fn argument(&mut self) -> Parse<Argument> {
        let start = self.span();
        let token = self.token();
        let word = token.kind == TokenKind::Ident || token.kind.is_keyword();
        let name = match self.token_after(1).kind {
            TokenKind::Assign | TokenKind::Colon if word => {
                let name = self.name("the name of an argument")?;
                if self.is(TokenKind::Colon) {
                    self.unexpected("`=` after the name of an argument");
                }
                self.bump();
                Some(name)
            }
            _ => None,
        };
        let hole = self.is(TokenKind::Underscore)
            && matches!(self.token_after(1).kind, TokenKind::Comma | TokenKind::RightParen);
        let value = if hole {
            self.bump();
            ArgumentValue::Hole
        } else {
            ArgumentValue::Expr(self.expr()?)
        };
        Ok(Argument { name, value, span: self.since(start) })
    }

    /// `i`, `start:stop:step` or `..`
    fn subscript(&mut self) -> Parse<Subscript> {
        let first = self.span();
        if self.eat(TokenKind::DotDot).is_some() {
            return Ok(Subscript { kind: SubscriptKind::Rest, span: self.since(first) });
        }
        let start = self.bound()?;
        if self.eat(TokenKind::Colon).is_none() {
            return match start {
                Some(index) => Ok(Subscript { kind: SubscriptKind::At(index), span: self.since(first) }),
                None => Err(self.unexpected("a subscript")),
            };
        }
        let stop = self.bound()?;
        let step = match self.eat(TokenKind::Colon) {
            Some(_) => self.bound()?,
            None => None,
        };
        Ok(Subscript { kind: SubscriptKind::Slice { start, stop, step }, span: self.since(first) })
    }

    /// A part of a slice, which may be left out.
    fn bound(&mut self) -> Parse<Option<Expr>> {
        match self.kind() {
            TokenKind::Colon | TokenKind::Comma | TokenKind::RightBracket => Ok(None),
            _ => self.expr().map(Some),
        }
    }
}

/// Parentheses around more than one value or name.
pub(super) fn tuple(span: Span, label: &str) -> Diagnostic {
    Diagnostic::error(codes::NO_TUPLES, "there are no tuples")
        .primary(span, label)
        .help("a list is written in brackets: `[a, b]`; for several results write several functions")
}
