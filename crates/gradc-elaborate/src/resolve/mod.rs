//! Checks of names and calls that need no shapes. They cover all code, also what no model uses.

mod body;
mod cycles;
mod expr;
mod scan;
mod scope;
mod train;
mod types;

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_syntax::ast::{AttributeKind, Block, Definition, DerivativeRule, Function, FunctionKind, Item, Model};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::eval::error_at;
use crate::files::ROOT_UNIT;
use crate::limits::MOST_DIAGNOSTICS;
use crate::program::{ItemId, Meaning, Program, defined_twice};
use scope::{LocalKind, Locals};

/// Checks every item of the user's. That there is nothing wrong with the prelude, tests hold.
pub(crate) fn resolve(program: &Program, diagnostics: &mut Vec<Diagnostic>) {
    let mut resolver = Resolver {
        program,
        diagnostics: Vec::new(),
        warnings: Vec::new(),
        // What could not be parsed may use anything.
        quiet: diagnostics.iter().any(Diagnostic::is_error),
        unit: ROOT_UNIT,
        kind: Kind::Global,
        item: None,
        locals: Locals::default(),
        rests: FxHashSet::default(),
        unknown: FxHashSet::default(),
        mentions: FxHashMap::default(),
        used: FxHashSet::default(),
        before: 0,
        loops: Vec::new(),
    };
    for (id, item) in program.items() {
        resolver.begin(id);
        match item {
            Item::Dim(definition) | Item::Const(definition) => resolver.definition(definition),
            Item::Function(function) => resolver.function(function),
            Item::Model(model) => resolver.model(model),
            Item::Train(train) => resolver.train(train),
            Item::Import(_) | Item::Error { .. } => {}
        }
        resolver.end();
    }
    resolver.train_blocks();
    resolver.cycles();
    resolver.unused_definitions();
    diagnostics.append(&mut resolver.diagnostics);
}

/// What an item is, as far as it decides what may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Fn,
    Layer,
    Initializer,
    Model,
    /// A dim, a const or a `train` block.
    Global,
}

struct Resolver<'a> {
    program: &'a Program,
    diagnostics: Vec<Diagnostic>,
    /// Of the current item: they are dropped if it has errors, which may be the reason for them.
    warnings: Vec<Diagnostic>,
    /// Whether there are to be no warnings at all.
    quiet: bool,
    unit: usize,
    /// What the current item is.
    kind: Kind,
    item: Option<ItemId>,
    locals: Locals<'a>,
    /// What `..` and `..name` the parameters of the current function bind.
    rests: FxHashSet<&'a str>,
    /// The unknown names that have been reported in the current item.
    unknown: FxHashSet<&'a str>,
    /// Which items an item mentions, and where.
    mentions: FxHashMap<ItemId, Vec<(ItemId, Span)>>,
    used: FxHashSet<ItemId>,
    /// How many diagnostics there were before the current item.
    before: usize,
    /// The loops around what is being looked at.
    loops: Vec<Span>,
}

impl<'a> Resolver<'a> {
    fn begin(&mut self, id: ItemId) {
        self.unit = id.unit;
        self.item = Some(id);
        self.kind = Kind::Global;
        self.before = self.diagnostics.len();
        self.locals = Locals::default();
        self.rests.clear();
        self.unknown.clear();
    }

    /// Ends an item.
    fn end(&mut self) {
        let warnings = std::mem::take(&mut self.warnings);
        let faulty = self.diagnostics.len() > self.before;
        if !faulty && !self.quiet {
            warnings.into_iter().for_each(|warning| self.report(warning));
        }
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if !self.is_full() {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Whether there are as many diagnostics as are shown at once.
    fn is_full(&self) -> bool {
        self.diagnostics.len() >= MOST_DIAGNOSTICS
    }

    fn definition(&mut self, definition: &'a Definition) {
        self.value(&definition.value);
    }

    fn function(&mut self, function: &'a Function) {
        self.kind = match function.kind {
            FunctionKind::Fn => Kind::Fn,
            FunctionKind::Layer => Kind::Layer,
            FunctionKind::Initializer => Kind::Initializer,
        };
        self.attributes(function);
        self.locals.open();
        if self.kind == Kind::Initializer {
            for name in ["fan_in", "fan_out"] {
                self.locals.declare(name, function.name.span, LocalKind::Given);
            }
        }
        self.parameters(function);
        // It sees the parameters, not the variables of the body.
        if let Some(rule) = &function.rule {
            self.rule(rule, function);
        }
        self.body(&function.body, true);
        if let Some(result) = &function.result {
            self.stated_type(result);
        }
        if function.body.value.is_none() && !body::is_broken(&function.body) {
            self.no_value(
                function,
                &function.body,
                format!("the {} `{}`", function.kind.keyword(), function.name.text),
            );
        }
        self.close();
    }

    /// The derivative rule of a function, whose parameters are open.
    fn rule(&mut self, rule: &'a DerivativeRule, function: &Function) {
        self.locals.open();
        for name in std::iter::once(&rule.cotangent).chain(&rule.result) {
            let parameter = function.parameters.iter().find(|parameter| parameter.name.text == name.text);
            let parameter = parameter.map(|parameter| parameter.name.span);
            if let Some(first) = self.locals.in_block(&name.text, &[LocalKind::Parameter]).or(parameter) {
                self.report(defined_twice(name, first));
            }
            self.locals.declare(&name.text, name.span, LocalKind::Parameter);
        }
        self.body(&rule.body, true);
        if rule.body.value.is_none() && !body::is_broken(&rule.body) {
            self.no_value(function, &rule.body, format!("the derivative rule of `{}`", function.name.text));
        }
        self.close();
    }

    /// `what` has no value: the function, or its rule, which has this body.
    fn no_value(&mut self, function: &Function, body: &Block, what: String) {
        let end = Span { start: body.span.end.saturating_sub(1), ..body.span };
        let message = format!("{what} has no value");
        let diagnostic = error_at(codes::NO_VALUE, message, end, "an expression is missing before this")
            .secondary(function.name.span, "declared here");
        let last = body.statements.last().map(|statement| &statement.kind);
        self.report(match last {
            Some(gradc_syntax::ast::StatementKind::Let { name, .. }) => {
                diagnostic.help(format!("end the body with `{}`", name.text))
            }
            _ => diagnostic.help("end the body with the expression that is its value"),
        });
    }

    fn attributes(&mut self, function: &'a Function) {
        for attribute in &function.attributes {
            let AttributeKind::Metric { function: metric } = &attribute.kind;
            let bad = |message: String, span: Span, label: String| error_at(codes::BAD_METRIC, message, span, label);
            // The parser has reported one that is not before a `fn`.
            if function.kind != FunctionKind::Fn {
                continue;
            }
            let found = self.program.meaning(self.unit, &metric.text);
            let Some(Meaning::Function(id)) = found else {
                let message = format!("there is no `fn {}`", metric.text);
                let label = "this names no function of a program".to_owned();
                if !matches!(found, Some(Meaning::Broken)) {
                    self.report(bad(message, metric.span, label));
                }
                continue;
            };
            self.mention(id, metric.span);
            let measured = self.program.function(id);
            let known = |name: &str| function.parameters.iter().any(|parameter| parameter.name.text == name);
            let lacking = measured.parameters.iter().find(|p| p.default.is_none() && !known(&p.name.text));
            if measured.kind != FunctionKind::Fn {
                let message = format!("`{}` is a {}, not a `fn`", metric.text, measured.kind.keyword());
                let diagnostic = bad(message, metric.span, "a metric is a `fn`".to_owned());
                self.report(diagnostic.secondary(measured.signature, "declared here"));
            } else if let Some(lacking) = lacking {
                let message = format!(
                    "`{}` needs `{}`, which `{}` does not have",
                    metric.text, lacking.name.text, function.name.text
                );
                let diagnostic = bad(message, metric.span, "it is called with the arguments of the loss".to_owned());
                self.report(diagnostic.secondary(lacking.span, "needed here"));
            }
        }
    }

    fn model(&mut self, model: &'a Model) {
        self.kind = Kind::Model;
        self.locals.open();
        self.body(&model.body, false);
        self.close();
        if !body::has_result(&model.body) && !body::is_broken(&model.body) {
            let message = format!("the model `{}` gives nothing", model.name.text);
            self.report(
                error_at(codes::MODEL_WITHOUT_RESULT, message, model.name.span, "it has no `output` and no `loss`")
                    .help("end it with `output name = …`"),
            );
        }
    }

    /// Ends the innermost block: what it declared and nothing used is warned about.
    fn close(&mut self) {
        for local in self.locals.close() {
            let (code, what) = match local.kind {
                LocalKind::Let => (codes::UNUSED_LET, "the variable"),
                LocalKind::Parameter => (codes::UNUSED_PARAMETER, "the parameter"),
                LocalKind::Input => (codes::UNUSED_INPUT, "the input"),
                LocalKind::Param => (codes::UNUSED_PARAM, "the trained parameter"),
                LocalKind::State => (codes::UNUSED_PARAM, "the state"),
                LocalKind::Slice => (codes::UNUSED_LET, "the variable"),
                LocalKind::Given | LocalKind::Bound | LocalKind::Loop | LocalKind::Output => continue,
            };
            let diagnostic = Diagnostic::warning(code, format!("{what} `{}` is not used", local.name))
                .primary(local.span, "nothing reads this");
            self.warnings.push(match local.kind {
                LocalKind::Let | LocalKind::Slice | LocalKind::Parameter => {
                    diagnostic.help(format!("remove it, or call it `_{}` if that is intended", local.name))
                }
                _ => diagnostic,
            });
        }
    }

    /// Notes that the current item uses another.
    fn mention(&mut self, id: ItemId, span: Span) {
        self.used.insert(id);
        if let Some(item) = self.item {
            self.mentions.entry(item).or_default().push((id, span));
        }
    }

    fn unused_definitions(&mut self) {
        // A file without models is there to be imported; one with errors may use anything.
        if self.quiet || self.diagnostics.iter().any(Diagnostic::is_error) {
            return;
        }
        if self.program.units[ROOT_UNIT].file.items.iter().all(|item| !matches!(item, Item::Model(_))) {
            return;
        }
        for (id, item) in self.program.items().filter(|(id, _)| id.unit == ROOT_UNIT) {
            let (what, definition) = match item {
                Item::Dim(definition) => ("dim", definition),
                Item::Const(definition) => ("const", definition),
                _ => continue,
            };
            if !self.used.contains(&id) && !definition.name.text.starts_with('_') {
                let message = format!("the {what} `{}` is not used", definition.name.text);
                let diagnostic = Diagnostic::warning(codes::UNUSED_DIM, message);
                self.report(diagnostic.primary(definition.name.span, "nothing reads this"));
            }
        }
    }
}
