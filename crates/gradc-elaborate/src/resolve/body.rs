//! Statements.

use gradc_diagnostics::{Span, codes};
use gradc_syntax::ast::{Block, ExprKind, Name, Statement, StatementKind};

use super::Kind;
use super::Resolver;
use super::scope::LocalKind;
use crate::eval::error_at;
use crate::program::{Meaning, defined_twice};

impl<'a> Resolver<'a> {
    /// The statements and the value of a block whose variables are already open.
    pub(super) fn body(&mut self, block: &'a Block, needs_value: bool) {
        for statement in &block.statements {
            self.statement(statement);
        }
        match &block.value {
            Some(value) if needs_value => self.value(value),
            Some(value) => self.expr(value, false),
            None => {}
        }
    }

    /// A block inside of another.
    pub(super) fn inner_block(&mut self, block: &'a Block, needs_value: bool) {
        self.locals.open();
        self.body(block, needs_value);
        self.close();
    }

    fn statement(&mut self, statement: &'a Statement) {
        match &statement.kind {
            StatementKind::Param { name, ty, init } => {
                self.stated_type(ty);
                self.value(init);
                if !matches!(self.kind, Kind::Layer | Kind::Model) {
                    self.param_outside(name, statement.span);
                }
                self.declare_leaf(name, LocalKind::Param);
            }
            StatementKind::State { name, ty, init } => {
                self.stated_type(ty);
                self.value(init);
                if !matches!(self.kind, Kind::Layer | Kind::Model) {
                    self.state_outside(name, statement.span);
                }
                self.declare_leaf(name, LocalKind::State);
            }
            StatementKind::Update { name, value } => {
                self.value(value);
                self.update(name);
            }
            StatementKind::Let { name, value } => {
                self.value(value);
                self.locals.declare(&name.text, name.span, LocalKind::Let);
            }
            StatementKind::Assign { name, value } => {
                self.value(value);
                self.assignment(name);
            }
            StatementKind::For { variable, start, end, body } => {
                self.value(start);
                self.value(end);
                self.locals.open();
                self.locals.declare(&variable.text, variable.span, LocalKind::Loop);
                self.body(body, false);
                self.close();
            }
            StatementKind::Input { name, ty } => {
                self.stated_type(ty);
                self.model_statement("input", statement.span);
                if self.kind == Kind::Model && self.locals.depth() > 1 {
                    let message = "an `input` stands outside of all blocks";
                    let label = "this is inside of a block";
                    self.report(error_at(codes::MODEL_STATEMENT, message, statement.span, label));
                }
                self.declare_leaf(name, LocalKind::Input);
            }
            StatementKind::Output { name, value } => {
                self.model_statement("output", statement.span);
                match value {
                    Some(value) => {
                        self.value(value);
                        self.locals.declare(&name.text, name.span, LocalKind::Output);
                    }
                    None => self.read_name(&name.text, name.span),
                }
            }
            StatementKind::Loss { value } => {
                self.model_statement("loss", statement.span);
                self.value(value);
            }
            StatementKind::Metric { value, .. } => {
                self.model_statement("metric", statement.span);
                self.value(value);
            }
            StatementKind::Expr(value) => self.expr(value, false),
            StatementKind::Error { name } => {
                if let Some(name) = name {
                    self.locals.declare(&name.text, name.span, LocalKind::Given);
                }
            }
        }
    }

    /// An input or parameter: no other one of the block has its name.
    fn declare_leaf(&mut self, name: &'a Name, kind: LocalKind) {
        if let Some(first) = self.locals.in_block(&name.text, &[LocalKind::Input, LocalKind::Param, LocalKind::State]) {
            self.report(defined_twice(name, first));
        }
        self.locals.declare(&name.text, name.span, kind);
    }

    fn param_outside(&mut self, name: &Name, span: Span) {
        let message = format!("`param {}` has no owner", name.text);
        let help = match self.kind {
            Kind::Fn => "a `fn` has no parameters to train: make it a `layer`",
            _ => "only a `layer` and a `model` own parameters",
        };
        self.report(
            error_at(codes::PARAM_OUTSIDE_LAYER, message, span, "not inside of a `layer` or `model`").help(help),
        );
    }

    fn state_outside(&mut self, name: &Name, span: Span) {
        let message = format!("`state {}` has no owner", name.text);
        let help = match self.kind {
            Kind::Fn => "a `fn` keeps nothing between runs: make it a `layer`",
            _ => "only a `layer` and a `model` own state",
        };
        self.report(
            error_at(codes::PARAM_OUTSIDE_LAYER, message, span, "not inside of a `layer` or `model`").help(help),
        );
    }

    /// Checks that what is updated is a state of the layer or model.
    fn update(&mut self, name: &'a Name) {
        let found = self.locals.find(&name.text).map(|local| (local.kind, local.span));
        let (what, declared) = match found {
            Some((LocalKind::State, _)) => return,
            // Its declaration is broken, which has been reported.
            Some((LocalKind::Given, _)) if self.kind != Kind::Initializer => return,
            Some((LocalKind::Param, span)) => ("a trained parameter, which the optimizer changes", Some(span)),
            Some((LocalKind::Input, span)) => ("an input", Some(span)),
            Some((_, span)) => ("a variable, which lasts as long as the run", Some(span)),
            None => match self.program.meaning(self.unit, &name.text) {
                Some(Meaning::Broken) => return,
                Some(_) => ("no state", None),
                None => {
                    if !self.program.is_incomplete(self.unit) && !self.is_full() && self.unknown.insert(&name.text) {
                        let diagnostic = self.unknown_name(&name.text, name.span);
                        self.report(diagnostic.help(format!("declare it: `state {}: [n] = zeros`", name.text)));
                    }
                    return;
                }
            },
        };
        let message = format!("`{}` is no state", name.text);
        let diagnostic = error_at(codes::NOT_A_STATE, message, name.span, format!("this is {what}"));
        let diagnostic = match declared {
            Some(span) => diagnostic.secondary(span, "declared here"),
            None => diagnostic,
        };
        self.report(match found {
            Some((LocalKind::Let | LocalKind::Output, _)) => {
                diagnostic.help(format!("without `update` it is given another value: `{} = …`", name.text))
            }
            _ => diagnostic.help("only what `state` declares is kept from one training step to the next"),
        });
    }

    fn model_statement(&mut self, keyword: &str, span: Span) {
        if self.kind == Kind::Model {
            if let (Some(&around), false) = (self.loops.last(), keyword == "input") {
                let message = format!("`{keyword}` inside of a `scan`");
                let diagnostic = error_at(codes::MODEL_STATEMENT, message, span, "this would be there in every step");
                let diagnostic = diagnostic.secondary(around, "in this loop");
                self.report(diagnostic.help("put it behind the loop, and give it what the loop gives"));
            }
            return;
        }
        let message = format!("`{keyword}` outside of a `model`");
        let diagnostic = error_at(codes::MODEL_STATEMENT, message, span, "only a model has this");
        self.report(match keyword {
            "input" => diagnostic.help("what a function takes are its parameters: `fn name(x: [.., d]) { … }`"),
            _ => diagnostic.help("what a function gives is the expression at the end of its body"),
        });
    }

    fn assignment(&mut self, name: &'a Name) {
        let (kind, declared) = match self.locals.find(&name.text) {
            Some(local) if matches!(local.kind, LocalKind::Let | LocalKind::Output) => return,
            Some(local) => (Some(local.kind), Some(local.span)),
            None => (None, None),
        };
        let what = match kind {
            Some(LocalKind::Parameter) => "a parameter of the function",
            Some(LocalKind::Bound) => "bound by the type of a parameter",
            Some(LocalKind::Loop) => "the variable of a `for`",
            Some(LocalKind::Slice) => "the variable of a `scan`",
            Some(LocalKind::Input) => "an input",
            Some(LocalKind::Param) => "a trained parameter",
            Some(LocalKind::State) => "a state",
            // Its declaration is broken, which has been reported.
            Some(LocalKind::Given) if self.kind != Kind::Initializer => return,
            Some(LocalKind::Given) => "given to every initializer",
            Some(LocalKind::Let | LocalKind::Output) => return,
            None => match self.program.meaning(self.unit, &name.text) {
                Some(Meaning::Broken) => return,
                Some(_) => "not a variable",
                None => {
                    self.assignment_to_nothing(name);
                    return;
                }
            },
        };
        let message = format!("`{}` cannot be given another value", name.text);
        let diagnostic = error_at(codes::CANNOT_ASSIGN, message, name.span, format!("this is {what}"));
        let diagnostic = match declared.filter(|_| kind != Some(LocalKind::Given)) {
            Some(span) => diagnostic.secondary(span, "declared here"),
            None => diagnostic,
        };
        self.report(match kind {
            Some(LocalKind::State) => {
                diagnostic.help(format!("say what it is in the next step: `update {} = …`", name.text))
            }
            _ => diagnostic.help(format!("make a new variable: `let {} = …`", name.text)),
        });
    }

    fn assignment_to_nothing(&mut self, name: &'a Name) {
        if !self.program.is_incomplete(self.unit) && !self.is_full() && self.unknown.insert(&name.text) {
            let diagnostic = self.unknown_name(&name.text, name.span);
            self.report(diagnostic.help(format!("a new variable begins with `let`: `let {} = …`", name.text)));
        }
    }
}

/// Whether a part of the block could not be parsed, so that what it lacks may be in there.
pub(super) fn is_broken(block: &Block) -> bool {
    block.statements.iter().any(|statement| match &statement.kind {
        StatementKind::Error { .. } => true,
        // The value that is missing is said to be wrong already.
        StatementKind::Loss { .. } | StatementKind::Output { .. } | StatementKind::Metric { .. } => true,
        StatementKind::For { body, .. } => is_broken(body),
        _ => false,
    })
}

/// Whether a model has an output or a loss, in any of its blocks.
pub(super) fn has_result(block: &Block) -> bool {
    let in_value = block.value.iter().any(|value| result_in(&value.kind));
    in_value
        || block.statements.iter().any(|statement| match &statement.kind {
            StatementKind::Output { .. } | StatementKind::Loss { .. } => true,
            StatementKind::For { body, .. } => has_result(body),
            StatementKind::Expr(value) => result_in(&value.kind),
            _ => false,
        })
}

fn result_in(kind: &ExprKind) -> bool {
    match kind {
        ExprKind::If { branches, otherwise } => {
            branches.iter().any(|branch| has_result(&branch.body)) || otherwise.iter().any(has_result)
        }
        ExprKind::Scan { body, .. } => has_result(body),
        _ => false,
    }
}
