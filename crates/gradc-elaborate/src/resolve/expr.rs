//! Expressions.

use gradc_diagnostics::{Diagnostic, Span, codes, did_you_mean};
use gradc_syntax::ast::{Argument, ArgumentValue, Block, Expr, ExprKind, FunctionKind, Name, SubscriptKind};

use super::Kind;
use super::{Resolver, body};
use crate::eval::{error_at, layer_in_fn};
use crate::intrinsic::Builtin;
use crate::program::Meaning;
use crate::signature::{Signature, match_arguments};

/// What other frameworks call things.
const ELSEWHERE: &[(&str, &str)] = &[
    ("linear", "dense(x, units)"),
    ("Linear", "dense(x, units)"),
    ("Dense", "dense(x, units)"),
    ("fc", "dense(x, units)"),
    ("swish", "silu(x)"),
    ("matmul", "a @ b"),
    ("dot", "a @ b"),
    ("shape", "x.shape"),
    ("detach", "stop_gradient(x)"),
    ("arange", "iota(n)"),
    ("range", "for i in 0..n { … }"),
    ("cat", "concat([a, b], axis = 0)"),
    ("permute", "transpose(x, [1, 0])"),
    ("view", "reshape(x, [n, -1])"),
    ("maximum", "max(a, b)"),
    ("minimum", "min(a, b)"),
    ("print", "output name = …"),
];

impl<'a> Resolver<'a> {
    /// An expression whose value is used.
    pub(super) fn value(&mut self, expr: &'a Expr) {
        self.expr(expr, true);
    }

    pub(super) fn expr(&mut self, expr: &'a Expr, needs_value: bool) {
        match &expr.kind {
            ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::Bool(_) | ExprKind::String(_) | ExprKind::Error => {}
            ExprKind::Name(name) => self.read_name(name, expr.span),
            ExprKind::List(elements) => elements.iter().for_each(|element| self.value(element)),
            ExprKind::Unary { operand, .. } => self.value(operand),
            ExprKind::Binary { left, right, .. } => {
                self.value(left);
                self.value(right);
            }
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, expr.span),
            ExprKind::Index { base, subscripts } => {
                self.value(base);
                for subscript in subscripts {
                    match &subscript.kind {
                        SubscriptKind::At(index) => self.value(index),
                        SubscriptKind::Slice { start, stop, step } => {
                            [start, stop, step].into_iter().flatten().for_each(|part| self.value(part));
                        }
                        SubscriptKind::Rest => {}
                    }
                }
            }
            ExprKind::Field { base, field } => {
                self.value(base);
                self.field(base, field);
            }
            ExprKind::If { branches, otherwise } => {
                for branch in branches {
                    self.value(&branch.condition);
                    self.branch(&branch.body, needs_value);
                }
                match otherwise {
                    Some(block) => self.branch(block, needs_value),
                    None if needs_value => self.no_else(expr.span),
                    None => {}
                }
            }
            ExprKind::Scan { sequences, options, body } => {
                self.scan(sequences, options, body, needs_value, expr.span);
            }
        }
    }

    fn branch(&mut self, block: &'a Block, needs_value: bool) {
        self.inner_block(block, needs_value);
        if needs_value && block.value.is_none() && !body::is_broken(block) {
            let end = Span { start: block.span.end.saturating_sub(1), ..block.span };
            let message = "this branch has no value";
            let diagnostic = error_at(codes::NO_VALUE, message, end, "an expression is missing before this");
            self.report(diagnostic.help("end each branch with the expression that is its value"));
        }
    }

    fn no_else(&mut self, span: Span) {
        let message = "an `if` that is used as a value needs an `else`";
        let end = Span { start: span.end.saturating_sub(1), ..span };
        let diagnostic = error_at(codes::NO_VALUE, message, end, "there is no `else` after this");
        self.report(diagnostic.help("say what the value is otherwise: `else { … }`"));
    }

    fn field(&mut self, base: &Expr, field: &Name) {
        if matches!(field.text.as_str(), "T" | "shape") {
            return;
        }
        let message = format!("a tensor has no field `{}`", field.text);
        let diagnostic = error_at(codes::UNKNOWN_FIELD, message, field.span, "there are `.T` and `.shape`");
        let function = matches!(
            self.program.meaning(self.unit, &field.text),
            Some(Meaning::Function(_) | Meaning::Builtin(Builtin::Intrinsic(_)))
        );
        let diagnostic = match did_you_mean(&field.text, ["T", "shape"]) {
            Some(meant) => diagnostic.help(format!("did you mean `.{meant}`?")),
            None if field.text == "t" => diagnostic.help("did you mean `.T`?"),
            None if function => match &base.kind {
                ExprKind::Name(name) => {
                    diagnostic.help(format!("functions are written in front: `{}({name})`", field.text))
                }
                _ => diagnostic.help(format!("functions are written in front: `{}(…)`", field.text)),
            },
            None => diagnostic,
        };
        self.report(diagnostic);
    }

    fn call(&mut self, callee: &'a Expr, arguments: &'a [Argument], span: Span) {
        self.value(callee);
        for argument in arguments {
            if let ArgumentValue::Expr(value) = &argument.value {
                self.value(value);
            }
        }
        let ExprKind::Name(name) = &callee.kind else { return };
        if self.locals.find(name).is_some() {
            return;
        }
        let program = self.program;
        let signature = match program.meaning(self.unit, name) {
            Some(Meaning::Function(id)) => {
                let function = program.function(id);
                if function.kind == FunctionKind::Layer && !matches!(self.kind, Kind::Layer | Kind::Model) {
                    self.misplaced_layer(name, span);
                }
                Signature::of_function(id, program)
            }
            Some(Meaning::Builtin(Builtin::Intrinsic(intrinsic))) => Signature::of_intrinsic(intrinsic),
            _ => return,
        };
        if let Err(diagnostics) = match_arguments(&signature, arguments, span) {
            diagnostics.into_iter().for_each(|diagnostic| self.report(diagnostic));
        }
    }

    fn misplaced_layer(&mut self, name: &str, span: Span) {
        let diagnostic = layer_in_fn(name, span);
        let owner = self.item.map(|id| self.program.item(id));
        self.report(match owner {
            Some(gradc_syntax::ast::Item::Function(function)) => {
                diagnostic.secondary(function.signature, "in this function")
            }
            _ => diagnostic,
        });
    }

    /// A name that is read.
    pub(super) fn read_name(&mut self, name: &'a str, span: Span) {
        if self.locals.read(name) {
            return;
        }
        match self.program.meaning(self.unit, name) {
            Some(Meaning::Dim(id) | Meaning::Const(id) | Meaning::Function(id)) => self.mention(id, span),
            Some(Meaning::Builtin(_) | Meaning::Broken) => {}
            // What an import that failed would have brought is not known.
            None if self.program.is_incomplete(self.unit) => {}
            None => {
                // Once in each item: the others are the same mistake.
                if !self.is_full() && self.unknown.insert(name) {
                    let diagnostic = self.unknown_name(name, span);
                    self.report(diagnostic);
                }
            }
        }
    }

    pub(super) fn unknown_name(&self, name: &str, span: Span) -> Diagnostic {
        let diagnostic = error_at(codes::UNKNOWN_NAME, format!("`{name}` is not known"), span, "not found here");
        let candidates = self.locals.names().chain(self.program.names(self.unit));
        if let Some(meant) = did_you_mean(name, candidates) {
            let diagnostic = diagnostic.help(format!("did you mean `{meant}`?"));
            return match self.locals.find(meant) {
                Some(local) => diagnostic.secondary(local.span, format!("`{meant}` is declared here")),
                None => diagnostic,
            };
        }
        if let Some((_, here)) = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name) {
            return diagnostic.help(format!("here that is `{here}`"));
        }
        if matches!(name, "fan_in" | "fan_out") {
            return diagnostic.help("only an `initializer` has it");
        }
        if self.program.model(name).is_some() {
            return diagnostic.help("a model cannot be used inside of another: make it a `layer`");
        }
        diagnostic
    }
}
