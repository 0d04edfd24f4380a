//! The tree as text, for `--emit=ast` and for tests.
//!
//! Symbolic expressions: one line for each item, statement and block, expressions within a line.
//! Equal trees print equally, and places are left out, so that the text of a tree says whether two
//! programs are the same but for their layout.

use std::fmt::Write;

use crate::ast::{
    Argument, ArgumentValue, AttributeKind, Axis, Block, Expr, ExprKind, File, Function, Item, Name, Parameter,
    Setting, Statement, StatementKind, Subscript, SubscriptKind, Train, Type,
};

/// Lines are not indented more often than this, however deep the tree is.
const MAX_INDENT: usize = 40;

/// The tree as text, which ends with a newline unless it is empty.
pub fn print(file: &File) -> String {
    let mut printer = Printer { out: String::new(), indent: 0 };
    for item in &file.items {
        printer.item(item);
        printer.out.push('\n');
    }
    printer.out
}

struct Printer {
    out: String,
    indent: usize,
}

impl Printer {
    fn word(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn line(&mut self) {
        self.out.push('\n');
        for _ in 0..self.indent.min(MAX_INDENT) {
            self.out.push_str("  ");
        }
    }

    /// `(head` and then what `children` prints, each of its lines indented, and `)`.
    fn nest(&mut self, head: &str, children: impl FnOnce(&mut Self)) {
        self.out.push('(');
        self.out.push_str(head);
        self.indent += 1;
        children(self);
        self.indent -= 1;
        self.out.push(')');
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Import(import) => {
                self.nest("import ", |p| p.string(&import.path.value));
            }
            Item::Dim(definition) => self.binding("dim", &definition.name, &definition.value),
            Item::Const(definition) => self.binding("const", &definition.name, &definition.value),
            Item::Function(function) => self.function(function),
            Item::Model(model) => {
                self.nest("model ", |p| {
                    p.word(&model.name.text);
                    p.body(&model.body);
                });
            }
            Item::Train(train) => self.train(train),
            Item::Error { name, .. } => self.error(name.as_ref()),
        }
    }

    fn error(&mut self, name: Option<&Name>) {
        self.nest("error", |p| {
            if let Some(name) = name {
                p.word(" ");
                p.word(&name.text);
            }
        });
    }

    /// `(head name value)`
    fn binding(&mut self, head: &str, name: &Name, value: &Expr) {
        self.nest(head, |p| {
            p.word(" ");
            p.word(&name.text);
            p.word(" ");
            p.expr(value);
        });
    }

    fn function(&mut self, function: &Function) {
        self.nest(function.kind.keyword(), |p| {
            p.word(" ");
            p.word(&function.name.text);
            for attribute in &function.attributes {
                p.line();
                match &attribute.kind {
                    AttributeKind::Metric { function } => {
                        p.nest("attribute metric ", |p| p.word(&function.text));
                    }
                }
            }
            for parameter in &function.parameters {
                p.line();
                p.parameter(parameter);
            }
            if let Some(result) = &function.result {
                p.line();
                p.nest("result ", |p| p.ty(result));
            }
            p.body(&function.body);
            if let Some(rule) = &function.rule {
                p.line();
                p.nest("vjp ", |p| {
                    p.word(&rule.cotangent.text);
                    if let Some(result) = &rule.result {
                        p.word(" ");
                        p.word(&result.text);
                    }
                    p.body(&rule.body);
                });
            }
        });
    }

    fn parameter(&mut self, parameter: &Parameter) {
        self.nest("parameter ", |p| {
            p.word(&parameter.name.text);
            if let Some(ty) = &parameter.ty {
                p.word(" ");
                p.ty(ty);
            }
            if let Some(default) = &parameter.default {
                p.word(" = ");
                p.expr(default);
            }
        });
    }

    fn train(&mut self, train: &Train) {
        self.nest("train", |p| {
            if let Some(model) = &train.model {
                p.word(" ");
                p.word(&model.text);
            }
            for setting in &train.settings {
                p.line();
                p.setting(setting);
            }
        });
    }

    fn setting(&mut self, setting: &Setting) {
        self.nest(&setting.name.text, |p| {
            for argument in &setting.arguments {
                p.word(" ");
                p.expr(argument);
            }
            for field in &setting.fields {
                p.line();
                p.binding("field", &field.name, &field.value);
            }
        });
    }

    fn ty(&mut self, ty: &Type) {
        self.nest("type", |p| {
            if let Some(element) = &ty.element {
                p.word(" ");
                p.word(&element.text);
            }
            for axis in &ty.axes {
                p.word(" ");
                match axis {
                    Axis::Rest { name, .. } => {
                        p.word("..");
                        p.word(name.as_ref().map_or("", |name| &name.text));
                    }
                    Axis::Dim(size) => p.expr(size),
                }
            }
        });
    }

    /// The statements and the value of a block, each on a line.
    fn body(&mut self, block: &Block) {
        for statement in &block.statements {
            self.line();
            self.statement(statement);
        }
        if let Some(value) = &block.value {
            self.line();
            self.nest("value ", |p| p.expr(value));
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match &statement.kind {
            StatementKind::Param { name, ty, init } => self.leaf("param ", name, ty, init),
            StatementKind::State { name, ty, init } => self.leaf("state ", name, ty, init),
            StatementKind::Update { name, value } => self.binding("update", name, value),
            StatementKind::Let { name, value } => self.binding("let", name, value),
            StatementKind::Assign { name, value } => self.binding("assign", name, value),
            StatementKind::Metric { name, value } => self.binding("metric", name, value),
            StatementKind::For { variable, start, end, body } => self.nest("for ", |p| {
                p.word(&variable.text);
                p.word(" ");
                p.expr(start);
                p.word(" ");
                p.expr(end);
                p.body(body);
            }),
            StatementKind::Input { name, ty } => self.nest("input ", |p| {
                p.word(&name.text);
                p.word(" ");
                p.ty(ty);
            }),
            StatementKind::Output { name, value: None } => {
                self.nest("output ", |p| p.word(&name.text));
            }
            StatementKind::Output { name, value: Some(value) } => self.binding("output", name, value),
            StatementKind::Loss { value } => self.nest("loss ", |p| p.expr(value)),
            StatementKind::Expr(value) => self.nest("do ", |p| p.expr(value)),
            StatementKind::Error { name } => self.error(name.as_ref()),
        }
    }

    fn leaf(&mut self, keyword: &str, name: &Name, ty: &Type, init: &Expr) {
        self.nest(keyword, |p| {
            p.word(&name.text);
            p.word(" ");
            p.ty(ty);
            p.word(" ");
            p.expr(init);
        });
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(value) => self.display(value),
            ExprKind::Float(value) => self.display(format_args!("{value:?}")),
            ExprKind::Bool(value) => self.display(value),
            ExprKind::String(value) => self.string(value),
            ExprKind::Name(name) => self.word(name),
            ExprKind::Error => self.word("(error)"),
            ExprKind::List(elements) => self.nest("list", |p| p.each(elements, Self::expr)),
            ExprKind::Unary { op, operand } => self.nest(op.symbol(), |p| {
                p.word(" ");
                p.expr(operand);
            }),
            ExprKind::Binary { op, left, right, .. } => self.nest(op.symbol(), |p| {
                p.word(" ");
                p.expr(left);
                p.word(" ");
                p.expr(right);
            }),
            ExprKind::Call { callee, arguments } => self.nest("call ", |p| {
                p.expr(callee);
                p.each(arguments, Self::argument);
            }),
            ExprKind::Index { base, subscripts } => self.nest("index ", |p| {
                p.expr(base);
                p.each(subscripts, Self::subscript);
            }),
            ExprKind::Field { base, field } => self.nest("field ", |p| {
                p.expr(base);
                p.word(" ");
                p.word(&field.text);
            }),
            ExprKind::If { branches, otherwise } => self.nest("if", |p| {
                for branch in branches {
                    p.line();
                    p.nest("when ", |p| {
                        p.expr(&branch.condition);
                        p.body(&branch.body);
                    });
                }
                if let Some(otherwise) = otherwise {
                    p.line();
                    p.nest("else", |p| p.body(otherwise));
                }
            }),
            ExprKind::Scan { sequences, options, body } => self.nest("scan", |p| {
                for sequence in sequences {
                    p.line();
                    p.binding("in", &sequence.variable, &sequence.value);
                }
                for option in options {
                    p.line();
                    p.binding("option", &option.name, &option.value);
                }
                p.body(body);
            }),
        }
    }

    fn each<T>(&mut self, parts: &[T], print: impl Fn(&mut Self, &T)) {
        for part in parts {
            self.word(" ");
            print(self, part);
        }
    }

    fn argument(&mut self, argument: &Argument) {
        if let Some(name) = &argument.name {
            self.word(&name.text);
            self.word("=");
        }
        match &argument.value {
            ArgumentValue::Expr(value) => self.expr(value),
            ArgumentValue::Hole => self.word("_"),
        }
    }

    fn subscript(&mut self, subscript: &Subscript) {
        match &subscript.kind {
            SubscriptKind::At(index) => self.expr(index),
            SubscriptKind::Rest => self.word(".."),
            SubscriptKind::Slice { start, stop, step } => self.nest("slice", |p| {
                for bound in [start, stop, step] {
                    p.word(" ");
                    match bound {
                        Some(bound) => p.expr(bound),
                        None => p.word("_"),
                    }
                }
            }),
        }
    }

    fn string(&mut self, value: &str) {
        self.display(format_args!("{value:?}"));
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{value}");
    }
}
