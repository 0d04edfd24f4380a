//! Statements.

use gradc_diagnostics::{Span, codes};
use gradc_ir::ValueId;
use gradc_syntax::ast::{ArgumentValue, Block, Expr, ExprKind, Name, Statement, StatementKind};

use super::report::error_at;
use super::{Evaluator, InnerName};
use crate::limits::MOST_ITERATIONS;
use crate::value::Value;

impl<'a> Evaluator<'a> {
    pub(crate) fn statements(&mut self, statements: &'a [Statement]) {
        for statement in statements {
            if !self.spend(statement.span) {
                return;
            }
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.kind {
            StatementKind::Param { name, ty, init } => self.param(name, ty, init, statement.span),
            StatementKind::State { name, ty, init } => self.state(name, ty, init, statement.span),
            StatementKind::Update { name, value } => self.update(name, value, statement.span),
            StatementKind::Let { name, value } => {
                let value = self.named(name, value);
                self.declare(&name.text, value);
            }
            StatementKind::Assign { name, value } => {
                let value = self.named(name, value);
                if let Some(frame) = self.frames.last_mut() {
                    frame.assign(&name.text, value);
                }
            }
            StatementKind::For { variable, start, end, body } => self.repeat(variable, start, end, body),
            StatementKind::Input { name, ty } => self.input(name, ty),
            StatementKind::Output { name, value } => self.output(name, value.as_ref(), statement.span),
            StatementKind::Loss { value } => self.loss(value, statement.span),
            StatementKind::Metric { name, value } => self.metric(name, value, statement.span),
            StatementKind::Expr(value) => {
                self.expr(value);
            }
            // Its name, if it has one, is known all the same, so that its uses are no errors.
            StatementKind::Error { name } => {
                if let Some(name) = name {
                    self.declare(&name.text, Value::Error);
                }
            }
        }
    }

    pub(crate) fn declare(&mut self, name: &'a str, value: Value) {
        if let Some(frame) = self.frames.last_mut() {
            frame.declare(name, value);
        }
    }

    /// The value of an expression that is bound to a name: what it computes is called so in the graph, and a layer
    /// with open arguments becomes the instance of that name.
    pub(crate) fn named(&mut self, name: &'a Name, value: &'a Expr) -> Value {
        let before = self.graph.len();
        let result = match &value.kind {
            ExprKind::Call { callee, arguments }
                if arguments.iter().any(|argument| matches!(argument.value, ArgumentValue::Hole)) =>
            {
                if !self.spend(value.span) {
                    return Value::Error;
                }
                self.call(callee, arguments, value.span, Some(&name.text))
            }
            _ => self.expr(value),
        };
        if let Value::Tensor(tensor) = &result {
            // The name nearest to the user wins over one that a function inside gave; an older value keeps its own.
            if tensor.id.index() >= before || self.graph.value_name(tensor.id).is_none() {
                self.name_value(tensor.id, &name.text);
            }
        }
        result
    }

    /// Gives a value of the graph a name. Names within functions and the prelude wait: they depend on those around them.
    pub(super) fn name_value(&mut self, id: ValueId, name: &'a str) {
        let Some(frame) = self.frames.last() else { return };
        let in_function = frame.function.is_some() && frame.application.is_none();
        if frame.library || in_function {
            self.inner_names.push(InnerName { id, name, scope: frame.scope, in_function });
            return;
        }
        self.graph.set_value_name(id, name);
        self.graph.set_value_scope(id, frame.scope);
    }

    /// Names what only functions and the prelude have named. A layer has a path, which its values are called by. A function
    /// leaves no trace, so that its `e` is called after what it is a part of: `h.e`, wherever else the function is called.
    /// Only what has been computed since there were `begin` values is looked at.
    pub(super) fn apply_inner_names(&mut self, names: Vec<InnerName<'a>>, begin: usize) {
        let order: Vec<ValueId> = self.graph.values().skip(begin).collect();
        let wholes = gradc_ir::text::wholes(&self.graph, &order);
        // The outermost name of a value is the last that it was given.
        for InnerName { id, name, scope, in_function } in names.into_iter().rev() {
            if self.graph.value_name(id).is_some() {
                continue;
            }
            let whole = wholes[id.index()].filter(|_| in_function);
            let of = whole.and_then(|whole| self.graph.value_name(whole).cloned().zip(Some(whole)));
            let (name, scope) = match of {
                Some((of, whole)) => (format!("{of}.{name}"), self.graph.node(whole).origin.scope),
                // The results of a loop's body have no names yet. Elsewhere it is a part of nothing.
                None if !in_function || begin > 0 => (name.to_owned(), scope),
                None => continue,
            };
            self.graph.set_value_name(id, name);
            self.graph.set_value_scope(id, scope);
        }
    }

    fn repeat(&mut self, variable: &'a Name, start: &'a Expr, end: &'a Expr, body: &'a Block) {
        let (first, last) = (self.expr(start), self.expr(end));
        let (Some(first), Some(last)) = (self.bound(&first, start.span), self.bound(&last, end.span)) else {
            return;
        };
        if last.saturating_sub(first) > MOST_ITERATIONS {
            let message = format!("a `for` repeats its body at most {MOST_ITERATIONS} times");
            let label = format!("this is {} times", i128::from(last) - i128::from(first));
            let span = start.span.to(end.span);
            self.report(error_at(codes::TOO_MUCH_WORK, message, span, label));
            return;
        }
        for i in first..last {
            if !self.spend(variable.span) {
                return;
            }
            let Some(mark) = self.frames.last().map(super::Frame::begin) else { return };
            self.declare(&variable.text, i.into());
            self.statements(&body.statements);
            if let Some(frame) = self.frames.last_mut() {
                frame.end(mark);
            }
        }
    }

    fn bound(&mut self, value: &Value, span: Span) -> Option<i64> {
        match value {
            Value::Int(int) => Some(int.value()),
            Value::Error => None,
            Value::Tensor(tensor) => {
                let message = "the bounds of a `for` must be known when compiling";
                let label = format!("this is a tensor `{tensor}`");
                self.report(error_at(codes::CONDITION_NOT_CONSTANT, message, span, label));
                None
            }
            other => {
                self.wrong_kind("a bound of a `for`", "a whole number", &other.clone(), span);
                None
            }
        }
    }
}
