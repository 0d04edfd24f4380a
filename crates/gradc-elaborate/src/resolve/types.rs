//! Types in signatures and declarations.

use gradc_diagnostics::{Span, codes, did_you_mean};
use gradc_ir::DType;
use gradc_syntax::ast::{Axis, Expr, ExprKind, Function, Name, Type};

use super::Resolver;
use super::scope::LocalKind;
use crate::eval::error_at;
use crate::program::{Meaning, defined_twice};

/// What other languages call element types.
const ELSEWHERE: &[(&str, &str)] = &[
    ("float32", "f32"),
    ("float64", "f64"),
    ("double", "f64"),
    ("float16", "f16"),
    ("half", "f16"),
    ("bfloat16", "bf16"),
    ("int32", "i32"),
    ("int64", "i64"),
    ("long", "i64"),
    ("uint8", "u8"),
    ("byte", "u8"),
    ("boolean", "bool"),
];

impl<'a> Resolver<'a> {
    /// The parameters of a function, whose types bind names.
    pub(super) fn parameters(&mut self, function: &'a Function) {
        let mut constraints: Vec<&'a Expr> = Vec::new();
        for parameter in &function.parameters {
            // A default can use the parameters before it, and what their types bind.
            if let Some(default) = &parameter.default {
                self.value(default);
            }
            if let Some(first) = self.locals.in_block(&parameter.name.text, &[LocalKind::Parameter]) {
                self.report(defined_twice(&parameter.name, first));
            }
            self.locals.declare(&parameter.name.text, parameter.name.span, LocalKind::Parameter);
            let Some(ty) = &parameter.ty else { continue };
            self.one_rest(ty);
            for axis in &ty.axes {
                match axis {
                    Axis::Rest { name, .. } => self.bind_rest(name.as_ref()),
                    Axis::Dim(size) => match &size.kind {
                        ExprKind::Name(name) if self.is_fresh(name, function) => {
                            self.locals.declare(name, size.span, LocalKind::Bound);
                        }
                        _ => constraints.push(size),
                    },
                }
            }
        }
        // An element type can be a later parameter, and a constraint can use what a later type binds.
        function.parameters.iter().filter_map(|parameter| parameter.ty.as_ref()).for_each(|ty| self.element(ty));
        constraints.into_iter().for_each(|constraint| self.value(constraint));
    }

    fn is_fresh(&self, name: &str, function: &Function) -> bool {
        self.locals.find(name).is_none()
            && !function.parameters.iter().any(|parameter| parameter.name.text == name)
            && !matches!(
                self.program.meaning(self.unit, name),
                Some(Meaning::Dim(_) | Meaning::Const(_) | Meaning::Broken)
            )
    }

    fn bind_rest(&mut self, name: Option<&'a Name>) {
        match name {
            None => {
                self.rests.insert("");
            }
            Some(name) => {
                if self.rests.insert(&name.text) {
                    self.locals.declare(&name.text, name.span, LocalKind::Bound);
                }
            }
        }
    }

    /// A type in which every name must have a value: of an input, of a `param`, or after `->`.
    pub(super) fn stated_type(&mut self, ty: &'a Type) {
        self.element(ty);
        self.one_rest(ty);
        for axis in &ty.axes {
            match axis {
                Axis::Dim(size) => self.value(size),
                Axis::Rest { name, span } => {
                    let key = name.as_ref().map_or("", |name| name.text.as_str());
                    if !self.rests.contains(key) {
                        self.unbound_rest(key, *span);
                    }
                }
            }
        }
    }

    fn unbound_rest(&mut self, key: &str, span: Span) {
        let message = format!("`..{key}` stands for nothing here");
        let label = "no type of a parameter says which axes these are";
        self.report(
            error_at(codes::MISPLACED_REST, message, span, label)
                .help("write the axes out, or begin the type of a parameter with it: `x: [.., d]`"),
        );
    }

    fn one_rest(&mut self, ty: &Type) {
        let mut rests = ty.axes.iter().filter(|axis| matches!(axis, Axis::Rest { .. }));
        if let (Some(first), Some(second)) = (rests.next(), rests.next()) {
            let message = "a type has `..` at most once";
            let diagnostic = error_at(codes::MISPLACED_REST, message, second.span(), "a second `..`");
            self.report(diagnostic.secondary(first.span(), "the first"));
        }
    }

    fn element(&mut self, ty: &'a Type) {
        let Some(word) = &ty.element else { return };
        let name = word.text.as_str();
        if name == "float" || name == "int" || DType::from_name(name).is_some() || self.locals.read(name) {
            return;
        }
        match self.program.meaning(self.unit, name) {
            Some(Meaning::Dim(id) | Meaning::Const(id) | Meaning::Function(id)) => self.mention(id, word.span),
            Some(Meaning::Builtin(_) | Meaning::Broken) => {}
            None => {
                let message = format!("there is no element type `{name}`");
                let diagnostic = error_at(codes::UNKNOWN_ELEMENT, message, word.span, "not known");
                let known = DType::ALL.into_iter().rev().map(DType::name);
                let meant = ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name).map(|(_, here)| *here);
                self.report(match meant.or_else(|| did_you_mean(name, known)) {
                    Some(meant) => diagnostic.help(format!("did you mean `{meant}`?")),
                    None => diagnostic.help("there are `f32`, `f64`, `bf16`, `f16`, `i32`, `i64`, `u8` and `bool`"),
                });
            }
        }
    }
}
