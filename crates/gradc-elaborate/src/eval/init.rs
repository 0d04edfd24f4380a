//! First values of parameters.

use gradc_diagnostics::{Span, codes};
use gradc_ir::Init;
use gradc_syntax::ast::{Function, FunctionKind};

use super::Evaluator;
use super::report::error_at;
use crate::int::Int;
use crate::intrinsic::InitKind;
use crate::value::{Callable, Slot, Value};

impl<'a> Evaluator<'a> {
    /// The recipe for a parameter of this shape: from an initializer, a call of one, or a number.
    pub(super) fn initial_value(&mut self, value: &Value, extents: &[Int], span: Span) -> Option<Init> {
        let mut value = value.clone();
        for _ in 0..crate::limits::DEEPEST_CALL {
            value = match &value {
                Value::Error => return None,
                Value::Init(init) => return self.checked_init(init.clone(), extents, span),
                Value::Int(_) | Value::Float(_) => {
                    return Some(Init::Constant(value.number().unwrap_or(0.0).into()));
                }
                Value::Callable(callable) => self.initializer(&callable.clone(), extents, span)?,
                other => {
                    self.not_an_initializer(&other.kind(), span);
                    return None;
                }
            };
        }
        self.report(error_at(codes::CALLS_TOO_DEEP, "initializers call each other too deeply", span, "for this"));
        None
    }

    /// One step: the value of an initializer's body.
    fn initializer(&mut self, callable: &Callable, extents: &[Int], span: Span) -> Option<Value> {
        let (id, slots) = match callable {
            Callable::Function(id) => (*id, None),
            Callable::Partial(partial) => match (&partial.callee, &partial.instance) {
                (Callable::Function(id), None) if !partial.slots.iter().any(|slot| matches!(slot, Slot::Open)) => {
                    (*id, Some(partial.slots.clone()))
                }
                _ => {
                    self.not_an_initializer("a call with open arguments", span);
                    return None;
                }
            },
            Callable::Intrinsic(intrinsic) => {
                let constant = intrinsic.constant_init();
                if constant.is_none() {
                    self.not_an_initializer(&format!("`{}`", intrinsic.name), span);
                }
                return constant.map(Value::Init);
            }
        };
        let function = self.program.function(id);
        if function.kind != FunctionKind::Initializer {
            self.not_an_initializer(&format!("the {} `{}`", function.kind.keyword(), function.name.text), span);
            return None;
        }
        let slots = match slots {
            Some(slots) => slots,
            None => self.defaults(function, span)?,
        };
        let (fan_in, fan_out) = fans(extents);
        let given = [("fan_in", fan_in.into()), ("fan_out", fan_out.into())];
        Some(self.run_function(id, &slots, span, None, &given))
    }

    /// No arguments: every parameter of an initializer that is only named must have a default.
    fn defaults(&mut self, function: &Function, span: Span) -> Option<Vec<Slot>> {
        let Some(missing) = function.parameters.iter().find(|parameter| parameter.default.is_none()) else {
            return Some(vec![Slot::Default; function.parameters.len()]);
        };
        let name = &function.name.text;
        let message = format!("`{name}` needs `{}`", missing.name.text);
        let diagnostic = error_at(codes::MISSING_ARGUMENT, message, span, "an argument is missing");
        self.report(diagnostic.help(format!("call it: `{name}(…)`")));
        None
    }

    fn not_an_initializer(&mut self, found: &str, span: Span) {
        let message = "a parameter begins with an initializer or a number";
        self.report(
            error_at(codes::NOT_AN_INITIALIZER, message, span, format!("this is {found}"))
                .help("for example `zeros`, `0.5`, `glorot_uniform` or `normal(0, 0.02)`"),
        );
    }

    fn checked_init(&mut self, init: Init, extents: &[Int], span: Span) -> Option<Init> {
        if !matches!(init, Init::Orthogonal { .. }) || extents.len() >= 2 {
            return Some(init);
        }
        let message = "`orthogonal` needs a parameter of at least 2 axes";
        let label = format!("this one is `{}`", super::report::shape_text(extents));
        self.report(error_at(codes::NOT_AN_INITIALIZER, message, span, label));
        None
    }

    /// The recipe that a builtin makes of its arguments.
    pub(crate) fn recipe(&mut self, kind: InitKind, numbers: &[f64], span: Span) -> Value {
        let problem = match (kind, numbers) {
            (InitKind::Uniform, [low, high]) if low > high => Some("the lower end is above the upper one"),
            (InitKind::Normal | InitKind::TruncatedNormal, [_, std]) if *std < 0.0 => {
                Some("a standard deviation cannot be negative")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            return self.report(error_at(codes::BAD_RECIPE, problem, span, "in this call"));
        }
        Init::from_parts(kind.name(), numbers).map_or(Value::Error, Value::Init)
    }
}

/// How many inputs and outputs each unit of a parameter of this shape has: of `[.., in, out]`, with the leading axes
/// as the receptive field. A vector has its length as both.
fn fans(extents: &[Int]) -> (i64, i64) {
    match extents {
        [] => (1, 1),
        [n] => (n.value(), n.value()),
        [field @ .., fan_in, fan_out] => {
            // The product is below 2^40: the shape has been checked.
            let field: i64 = field.iter().map(Int::value).product();
            (field * fan_in.value(), field * fan_out.value())
        }
    }
}
