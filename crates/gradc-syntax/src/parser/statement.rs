//! Blocks and statements.

use gradc_diagnostics::{Diagnostic, Span, codes};

use super::{Mark, Open, Parse, Parser, Reported, instead_of_word, too_many_parts};
use crate::ast::{Block, Expr, ExprKind, MAX_HEIGHT, Name, Statement, StatementKind, Type};
use crate::token::TokenKind;

/// What a block is the body of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    /// Of something that has a value: the last expression.
    WithValue,
    /// Of a `for`.
    For,
    /// Of a `model`.
    Model,
}

impl Parser<'_> {
    /// `{ … }`. Errors inside do not leave it: the only failure is that there is no block, or that
    /// it is too deep. `expected` describes the missing `{`.
    pub(super) fn block(&mut self, expected: &str, body: Body) -> Parse<Block> {
        let missing = !self.is(TokenKind::LeftBrace);
        if missing {
            let reported = self.unexpected(expected);
            // What is indented further is taken as the body, so that its end is not an error too.
            if !self.at_indented_line() {
                return Err(reported);
            }
        }
        self.nested(2, |parser| {
            let open = if missing { parser.open_missing() } else { parser.open() };
            let start = open.span;
            let statements = parser.statements(open, body);
            parser.open.pop();
            let span = parser.since(start);
            let block = with_value(statements, body, span);
            if block.height() > MAX_HEIGHT {
                return Err(parser.report(|| too_many_parts(start)));
            }
            Ok(block)
        })
    }

    /// The statements up to the closing brace, which is passed, of the block that begins at `open`.
    fn statements(&mut self, open: Open, body: Body) -> Vec<Statement> {
        let start = open.span;
        let mut statements = Vec::new();
        // The last statement, if it is an expression that has no effect unless it is the value.
        let mut without_effect: Option<Span> = None;
        loop {
            while self.eat(TokenKind::Semicolon).is_some() {}
            match self.kind() {
                TokenKind::RightBrace => {
                    self.note_indent(start);
                    self.bump();
                    break;
                }
                TokenKind::End => {
                    self.never_closed(open, "`}`");
                    break;
                }
                _ if self.shows_unclosed(start) => {
                    self.never_closed(open, "`}`");
                    break;
                }
                TokenKind::RightParen | TokenKind::RightBracket => self.unmatched(),
                _ if self.at_item() => self.nested_item(),
                _ => {
                    self.unused(without_effect, body);
                    let mark = self.mark();
                    let faults = self.faults;
                    let mut statement = self.statement_or_rest(mark);
                    self.end_of_statement(mark);
                    if self.faults > faults && is_foreign_word(&statement.kind) {
                        // `return x`: it has been said that there is no such word, so it is no unknown name too.
                        statement.kind = StatementKind::Error { name: None };
                    }
                    without_effect = (is_without_effect(&statement) && self.faults == faults).then_some(statement.span);
                    statements.push(statement);
                }
            }
        }
        if !matches!(body, Body::WithValue) {
            self.unused(without_effect, body);
        }
        statements
    }

    /// A statement, or after an error what was skipped of it.
    fn statement_or_rest(&mut self, mark: Mark) -> Statement {
        let start = self.span();
        match self.statement(mark) {
            Ok(kind) => Statement { kind, span: self.since(start) },
            Err(Reported) => {
                self.recover(mark);
                let name = self.declared_name(mark);
                Statement { kind: StatementKind::Error { name }, span: self.since(start) }
            }
        }
    }

    /// The name that the broken statement or item at `mark` would have declared: the one after its
    /// keyword.
    pub(super) fn declared_name(&self, mark: Mark) -> Option<Name> {
        let keyword = *self.tokens.get(mark.at)?;
        let token = *self.tokens.get(mark.at + 1)?;
        let declares = keyword.kind.is_statement_keyword()
            || keyword.kind.is_item_keyword()
            || self.text_of(keyword) == "dim"
            || self.text_of(keyword) == "state";
        (declares && token.kind == TokenKind::Ident && !token.first_of_line)
            .then(|| Name { text: self.text_of(token).to_owned(), span: self.span_of(token) })
    }

    /// Reports a `)`, `]` or `}` that closes nothing, and goes past it.
    pub(super) fn unmatched(&mut self) {
        let span = self.span();
        let sign = self.slice(span).to_owned();
        self.report(|| {
            Diagnostic::error(codes::UNMATCHED_DELIMITER, format!("this `{sign}` closes nothing"))
                .primary(span, "")
                .help("remove it, or open what it is to close")
        });
        self.bump();
    }

    /// Reports an item inside of a body, and goes past it.
    fn nested_item(&mut self) {
        let span = self.span();
        let word = self.slice(span).to_owned();
        self.report(|| {
            Diagnostic::error(codes::NESTED_ITEM, format!("`{word}` cannot be inside of a body"))
                .primary(span, "")
                .help("put it at the top level of the file; if it is there, a `}` is missing before it")
        });
        let around = std::mem::take(&mut self.open);
        // The depth still counts: items nest like blocks here.
        let skipped = self.nested(2, |parser| {
            parser.item();
            Ok(())
        });
        self.open = around;
        if skipped.is_err() {
            self.bump();
        }
    }

    /// Checks that nothing follows a statement on its line.
    pub(super) fn end_of_statement(&mut self, mark: Mark) {
        if self.at_line_end() {
            return;
        }
        let kind = self.kind();
        let begins = kind.starts_operand() || kind.is_statement_keyword();
        if begins && self.foreign_word().is_none() {
            let (place, next) = (self.after_previous(), self.span());
            self.report(|| {
                Diagnostic::error(codes::STATEMENTS_ON_ONE_LINE, "two statements on one line")
                    .primary(place, "expected `;` or a new line")
                    .secondary(next, "the next statement begins here")
            });
            return;
        }
        if kind.is_closer() {
            self.unmatched();
        } else {
            self.unexpected("an operator or the end of the line");
        }
        self.recover(mark);
    }

    /// Reports an expression whose value goes nowhere.
    fn unused(&mut self, expr: Option<Span>, body: Body) {
        let Some(span) = expr else { return };
        let help = match body {
            Body::Model => "a model has no value: write `output name = …` or `loss …`",
            Body::For => "a `for` has no value: bind it to a name, as in `h = f(h)`",
            Body::WithValue => {
                "only the last expression of a body is its value: bind this one with `let`, or remove it"
            }
        };
        self.reports
            .add(|| Diagnostic::error(codes::UNUSED_VALUE, "this value is not used").primary(span, "").help(help));
    }

    // ---- statements ----

    /// One statement. It is in the block in which `mark` is.
    pub(super) fn statement(&mut self, mark: Mark) -> Parse<StatementKind> {
        let next = self.token_after(1).kind;
        let assigned = next == TokenKind::Assign;
        match self.kind() {
            kind if kind.is_statement_keyword() && cannot_follow_keyword(next) => self.expr().map(StatementKind::Expr),
            TokenKind::Loss if assigned => self.loss_with_assign(mark),
            TokenKind::Ident | TokenKind::Input | TokenKind::Output | TokenKind::Metric if assigned => {
                self.assign(mark)
            }
            TokenKind::Let => self.let_(mark),
            TokenKind::Param => self.param(mark, Leaf::Param),
            TokenKind::Ident if self.at_word("state") => self.param(mark, Leaf::State),
            TokenKind::Ident if self.at_word("update") => {
                self.bump();
                let name = self.name("the name of a state")?;
                self.assign_sign("`=` and the state's next value")?;
                let value = self.expr_or_rest(mark);
                Ok(StatementKind::Update { name, value })
            }
            TokenKind::For => self.for_(),
            TokenKind::Input => self.input(),
            TokenKind::Output => self.output(mark),
            TokenKind::Metric => self.metric(mark),
            TokenKind::Loss => {
                self.bump();
                let value = self.expr_or_rest(mark);
                Ok(StatementKind::Loss { value })
            }
            _ => self.expr().map(StatementKind::Expr),
        }
    }

    /// Whether a statement begins here with this word, which elsewhere is a name like any other: another name follows
    /// on its line, as in no expression.
    fn at_word(&self, word: &str) -> bool {
        let (token, next) = (self.token(), self.token_after(1));
        self.text_of(token) == word && next.kind == TokenKind::Ident && !next.first_of_line
    }

    fn let_(&mut self, mark: Mark) -> Parse<StatementKind> {
        self.bump();
        if self.is(TokenKind::LeftParen) {
            let span = self.span();
            return Err(self.report(|| super::expr::tuple(span, "a `let` declares one name")));
        }
        let name = self.name("the name of a value")?;
        self.assign_sign("`=` and a value")?;
        let value = self.expr_or_rest(mark);
        Ok(StatementKind::Let { name, value })
    }

    fn assign(&mut self, mark: Mark) -> Parse<StatementKind> {
        let name = self.name("the name of a value")?;
        self.bump();
        let value = self.expr_or_rest(mark);
        Ok(StatementKind::Assign { name, value })
    }

    /// `=`; `==` in its place is reported and taken as `=`.
    pub(super) fn assign_sign(&mut self, expected: &str) -> Parse<()> {
        if self.is(TokenKind::EqEq) {
            let span = self.span();
            self.report(|| {
                Diagnostic::error(codes::ASSIGNMENT_AS_COMPARISON, "`==` compares")
                    .primary(span, "")
                    .help("a value is given to a name with `=`")
            });
            self.bump();
            return Ok(());
        }
        self.expect(TokenKind::Assign, expected).map(|_| ())
    }

    /// `loss = value`, where `loss value` is meant.
    fn loss_with_assign(&mut self, mark: Mark) -> Parse<StatementKind> {
        let span = self.span();
        self.report(|| {
            Diagnostic::error(codes::RESERVED_WORD, "`loss` is a reserved word and cannot be the name of a value")
                .primary(span, "a reserved word")
                .help("the loss of a model is declared without `=`: `loss cross_entropy(logits, label)`")
        });
        self.bump();
        self.bump();
        let value = self.expr_or_rest(mark);
        Ok(StatementKind::Loss { value })
    }

    /// `param` or `state`, which look the same.
    fn param(&mut self, mark: Mark, leaf: Leaf) -> Parse<StatementKind> {
        let what = leaf.noun();
        self.bump();
        let name = self.name(&format!("the name of the {what}"))?;
        if self.eat(TokenKind::Colon).is_none() {
            return Err(self.missing_type(what, &name, leaf.example()));
        }
        let ty = self.ty(&format!("the type of the {what}, such as `[n, units]`"))?;
        if self.at_line_end() {
            let span = self.after_previous();
            let label = format!("expected `=` and the initial value of `{}`", name.text);
            self.report(|| {
                Diagnostic::error(codes::PARAMETER_WITHOUT_INIT, format!("a {what} needs an initial value"))
                    .primary(span, label)
                    .help("write an initializer, such as `= zeros` or `= glorot_uniform`, or a number")
            });
            let init = Expr::new(ExprKind::Error, span);
            return Ok(leaf.statement(name, ty, init));
        }
        self.assign_sign(&format!("`=` and the initial value of the {what}"))?;
        let init = self.expr_or_rest(mark);
        Ok(leaf.statement(name, ty, init))
    }

    fn input(&mut self) -> Parse<StatementKind> {
        self.bump();
        let name = self.name("the name of the input")?;
        if self.eat(TokenKind::Colon).is_none() {
            return Err(self.missing_type("input", &name, ": f32[batch, 64]"));
        }
        let ty = self.ty("the type of the input, such as `f32[batch, 64]`")?;
        Ok(StatementKind::Input { name, ty })
    }

    fn missing_type(&mut self, what: &str, name: &Name, example: &str) -> Reported {
        let (span, word) = (name.span, name.text.as_str());
        self.report(|| {
            Diagnostic::error(codes::MISSING_TYPE, format!("the {what} `{word}` has no type"))
                .primary(span, "expected `:` and a type after this")
                .help(format!("as in `{word}{example}`"))
        })
    }

    fn for_(&mut self) -> Parse<StatementKind> {
        self.bump();
        let variable = self.variable()?;
        self.expect(TokenKind::In, "`in` after the variable")?;
        let start = self.expr()?;
        if self.is(TokenKind::LeftBrace) {
            let span = start.span;
            self.report(|| {
                Diagnostic::error(codes::UNEXPECTED_TOKEN, "expected a range")
                    .primary(span, "expected `..` and the upper end after this")
                    .help("`for i in 0..n` counts from 0 to n - 1")
            });
            return Err(Reported);
        }
        self.expect(TokenKind::DotDot, "`..` and the upper end of the range")?;
        let end = self.expr()?;
        let body = self.block("`{` after the range", Body::For)?;
        Ok(StatementKind::For { variable, start, end, body })
    }

    /// The variable of a `for` or of a `scan`, which may be `_`.
    pub(super) fn variable(&mut self) -> Parse<Name> {
        match self.eat(TokenKind::Underscore) {
            Some(token) => Ok(Name { text: "_".to_owned(), span: self.span_of(token) }),
            None => self.name("the name of a variable"),
        }
    }

    fn output(&mut self, mark: Mark) -> Parse<StatementKind> {
        self.bump();
        if self.at_unnamed_value() {
            return self.unnamed("output", "output probs = softmax(logits)", mark);
        }
        let name = self.name("the name of the output")?;
        let value = if matches!(self.kind(), TokenKind::Assign | TokenKind::EqEq) {
            self.assign_sign("`=`")?;
            Some(self.expr_or_rest(mark))
        } else {
            None
        };
        Ok(StatementKind::Output { name, value })
    }

    fn metric(&mut self, mark: Mark) -> Parse<StatementKind> {
        self.bump();
        if self.at_unnamed_value() {
            return self.unnamed("metric", "metric top = accuracy(logits, label)", mark);
        }
        let name = self.name("the name of the metric")?;
        self.assign_sign("`=` and the value of the metric")?;
        let value = self.expr_or_rest(mark);
        Ok(StatementKind::Metric { name, value })
    }

    /// Whether an expression that is more than a name stands where the name of one is expected.
    fn at_unnamed_value(&self) -> bool {
        let (token, next) = (self.token(), self.token_after(1));
        if token.first_of_line {
            return false;
        }
        let plain = next.kind == TokenKind::Assign
            || next.kind == TokenKind::EqEq
            || next.kind == TokenKind::End
            || next.first_of_line
            || matches!(next.kind, TokenKind::Semicolon | TokenKind::RightBrace)
            || next.kind.starts_operand();
        match token.kind {
            TokenKind::Ident => !plain,
            TokenKind::LeftParen | TokenKind::LeftBracket | TokenKind::Minus => true,
            kind => kind.starts_operand() && kind != TokenKind::Underscore,
        }
    }

    /// Reports an output or metric that is not named, and goes past its value.
    fn unnamed(&mut self, what: &str, example: &str, mark: Mark) -> Parse<StatementKind> {
        let span = self.span();
        self.report(|| {
            Diagnostic::error(codes::MISSING_NAME, format!("this {what} has no name"))
                .primary(span, "expected a name and `=` before this")
                .help(format!("as in `{example}`"))
        });
        self.expr_or_rest(mark);
        Ok(StatementKind::Error { name: None })
    }
}

/// What a model keeps between runs.
#[derive(Debug, Clone, Copy)]
enum Leaf {
    Param,
    State,
}

impl Leaf {
    fn noun(self) -> &'static str {
        match self {
            Leaf::Param => "parameter",
            Leaf::State => "state",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Leaf::Param => ": [n, units] = glorot_uniform",
            Leaf::State => ": [n] = zeros",
        }
    }

    fn statement(self, name: Name, ty: Type, init: Expr) -> StatementKind {
        match self {
            Leaf::Param => StatementKind::Param { name, ty, init },
            Leaf::State => StatementKind::State { name, ty, init },
        }
    }
}

/// Whether a statement keyword before this token is misused as the name of a value. What can begin
/// an operand is not here.
fn cannot_follow_keyword(next: TokenKind) -> bool {
    use TokenKind as T;
    matches!(next, T::Plus | T::Star | T::Slash | T::Percent | T::At | T::StarStar | T::Dot | T::AndAnd | T::OrOr)
}

/// Whether a statement is nothing but a word of another language.
fn is_foreign_word(statement: &StatementKind) -> bool {
    matches!(statement, StatementKind::Expr(Expr { kind: ExprKind::Name(word), .. }) if instead_of_word(word).is_some())
}

/// Whether it is an expression that does nothing but have a value.
fn is_without_effect(statement: &Statement) -> bool {
    match &statement.kind {
        StatementKind::Expr(expr) => {
            !matches!(expr.kind, ExprKind::If { .. } | ExprKind::Scan { .. } | ExprKind::Error)
        }
        _ => false,
    }
}

/// The block of these statements, with its value split off. Expressions without effect, which have
/// been reported, are left out.
fn with_value(mut statements: Vec<Statement>, body: Body, span: Span) -> Block {
    let mut value = None;
    if let Body::WithValue = body {
        let last = statements.pop_if(|last| matches!(last.kind, StatementKind::Expr(_)));
        if let Some(StatementKind::Expr(expr)) = last.map(|last| last.kind) {
            value = Some(expr);
        }
    }
    statements.retain(|statement| !is_without_effect(statement));
    Block::new(statements, value, span)
}
