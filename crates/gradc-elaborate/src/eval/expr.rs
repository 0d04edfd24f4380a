//! Expressions.

use gradc_diagnostics::{Span, codes};
use gradc_syntax::ast::{BinaryOp, Block, Branch, Expr, ExprKind, Name, UnaryOp};

use super::report::error_at;
use super::{Evaluator, Phase};
use crate::intrinsic::Builtin;
use crate::limits::{DEEPEST_VALUE, LONGEST_LIST};
use crate::program::Meaning;
use crate::value::{Callable, Value};

impl<'a> Evaluator<'a> {
    /// The value of an expression.
    pub(crate) fn expr(&mut self, expr: &'a Expr) -> Value {
        if !self.spend(expr.span) {
            return Value::Error;
        }
        match &expr.kind {
            ExprKind::Int(value) => (*value).into(),
            ExprKind::Float(value) => Value::Float(*value),
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::String(value) => Value::String(value.as_str().into()),
            ExprKind::Name(name) => self.name(name),
            ExprKind::List(elements) => self.list(elements, expr.span),
            ExprKind::Unary { op, operand } => self.unary(*op, operand, expr.span),
            ExprKind::Binary { op, op_span, left, right } => self.binary(*op, *op_span, left, right, expr.span),
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, expr.span, None),
            ExprKind::Index { base, subscripts } => self.index(base, subscripts, expr.span),
            ExprKind::Field { base, field } => self.field(base, field, expr.span),
            ExprKind::If { branches, otherwise } => self.conditional(branches, otherwise.as_ref()),
            ExprKind::Scan { sequences, options, body } => self.scan(sequences, options, body, expr.span),
            ExprKind::Error => Value::Error,
        }
    }

    /// What a name stands for. An unknown one has been reported by the resolver.
    pub(crate) fn name(&mut self, name: &str) -> Value {
        let Some(frame) = self.frames.last() else { return Value::Error };
        if let Some(value) = frame.variable(name) {
            return value.clone();
        }
        match self.program.meaning(frame.unit, name) {
            Some(Meaning::Dim(id)) => self.global(id, true),
            Some(Meaning::Const(id)) => self.global(id, false),
            Some(Meaning::Function(id)) => Value::Callable(Callable::Function(id)),
            Some(Meaning::Builtin(Builtin::Intrinsic(intrinsic))) => Value::Callable(Callable::Intrinsic(intrinsic)),
            Some(Meaning::Builtin(Builtin::DType(dtype))) => Value::DType(dtype),
            Some(Meaning::Builtin(Builtin::All)) => Value::All,
            Some(Meaning::Builtin(Builtin::Infinity)) => Value::Float(f64::INFINITY),
            Some(Meaning::Builtin(Builtin::Training)) => Value::Bool(self.phase() == Phase::Training),
            Some(Meaning::Broken) | None => Value::Error,
        }
    }

    fn list(&mut self, elements: &'a [Expr], span: Span) -> Value {
        if elements.len() > LONGEST_LIST {
            return self.list_too_long(span);
        }
        let values: Vec<Value> = elements.iter().map(|element| self.expr(element)).collect();
        if values.iter().any(Value::is_error) { Value::Error } else { self.list_of(values, span) }
    }

    /// A list of these entries, if that is not more than the limits admit.
    pub(crate) fn list_of(&mut self, entries: Vec<Value>, span: Span) -> Value {
        if entries.len() > LONGEST_LIST {
            return self.list_too_long(span);
        }
        self.budget.charge(entries.len());
        self.checked_depth(Value::List(entries.into_iter().collect()), span)
    }

    /// A value, if lists and calls with open arguments are not nested too deeply in it.
    pub(crate) fn checked_depth(&mut self, value: Value, span: Span) -> Value {
        if value.depth() <= DEEPEST_VALUE {
            return value;
        }
        let message = format!("lists and open calls are nested more than {DEEPEST_VALUE} deep");
        self.report(error_at(codes::TOO_MUCH_WORK, message, span, "in this value"))
    }

    pub(crate) fn list_too_long(&mut self, span: Span) -> Value {
        let message = format!("a list has at most {LONGEST_LIST} entries");
        self.report(error_at(codes::TOO_MUCH_WORK, message, span, "this one has more"))
    }

    fn unary(&mut self, op: UnaryOp, operand: &'a Expr, span: Span) -> Value {
        let value = self.expr(operand);
        self.locate(span);
        match op {
            UnaryOp::Neg => self.negate(value, operand.span, span),
            UnaryOp::Not => self.not(value, operand.span, span),
        }
    }

    fn binary(&mut self, op: BinaryOp, op_span: Span, left: &'a Expr, right: &'a Expr, span: Span) -> Value {
        let a = self.expr(left);
        // What is known when compiling is decided from left to right, as in `rank(x) == 2 && dim(x, 1) == 3`.
        match (op, &a) {
            (BinaryOp::And, Value::Bool(false)) | (BinaryOp::Or, Value::Bool(true)) => return a,
            _ => {}
        }
        let b = self.expr(right);
        if a.is_error() || b.is_error() {
            return Value::Error;
        }
        self.locate(span);
        self.operation(op, op_span, (a, left.span), (b, right.span), span)
    }

    fn field(&mut self, base: &'a Expr, field: &Name, span: Span) -> Value {
        let value = self.expr(base);
        if value.is_error() {
            return Value::Error;
        }
        match (field.text.as_str(), &value) {
            ("T", Value::Tensor(tensor)) if tensor.rank() >= 2 => {
                let tensor = tensor.clone();
                self.locate(span);
                Value::Tensor(self.transposed(&tensor, span))
            }
            ("T", Value::Tensor(tensor)) => {
                let message = format!("`.T` swaps the last two axes, which `{tensor}` does not have");
                let label = format!("this has {}", axes_text(tensor.rank()));
                self.report(error_at(codes::RANK_MISMATCH, message, base.span, label))
            }
            ("shape", Value::Tensor(tensor)) => Value::List(tensor.extents.iter().cloned().map(Value::Int).collect()),
            ("T" | "shape", other) => {
                let what = format!("what `.{}` is taken of", field.text);
                self.wrong_kind(&what, "a tensor", &other.clone(), base.span)
            }
            // The resolver has reported it.
            _ => Value::Error,
        }
    }

    fn conditional(&mut self, branches: &'a [Branch], otherwise: Option<&'a Block>) -> Value {
        for branch in branches {
            let condition = self.expr(&branch.condition);
            match condition {
                Value::Bool(true) => return self.block_value(&branch.body),
                Value::Bool(false) => {}
                other => return self.not_a_condition(&other, branch.condition.span),
            }
        }
        match otherwise {
            Some(block) => self.block_value(block),
            // As a statement it has no value; the resolver has reported a use of one.
            None => Value::Error,
        }
    }

    fn not_a_condition(&mut self, value: &Value, span: Span) -> Value {
        match value {
            Value::Error => Value::Error,
            Value::Tensor(tensor) => {
                let message = "the condition of an `if` must be known when compiling";
                let label = format!("this is a tensor `{tensor}`");
                self.report(
                    error_at(codes::CONDITION_NOT_CONSTANT, message, span, label)
                        .help("choose element by element with `select(condition, a, b)`"),
                )
            }
            other => self.wrong_kind("a condition", "a truth value", other, span),
        }
    }

    /// The value of a block, with its statements done.
    pub(crate) fn block_value(&mut self, block: &'a Block) -> Value {
        let Some(mark) = self.frames.last().map(super::Frame::begin) else { return Value::Error };
        self.statements(&block.statements);
        let value = match &block.value {
            Some(value) => self.expr(value),
            None => Value::Error,
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.end(mark);
        }
        value
    }
}

/// `1 axis`
pub(crate) fn axes_text(rank: usize) -> String {
    match rank {
        0 => "no axes".to_owned(),
        1 => "1 axis".to_owned(),
        _ => format!("{rank} axes"),
    }
}
