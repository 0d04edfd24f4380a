//! Reporting: where a problem is shown, and the parts that many messages share.

use gradc_diagnostics::{Code, Diagnostic, Severity, Span, codes};
use gradc_ir::DType;

use super::Evaluator;
use crate::files::PRELUDE_UNIT;
use crate::int::{Int, Named, ShowShape, names_in};
use crate::limits::MOST_DIAGNOSTICS;
use crate::value::{Tensor, Value};

/// The most dims that a note explains.
const MOST_NAMES: usize = 6;

impl<'a> Evaluator<'a> {
    /// Reports a problem, once for each place in the source. Returns the value of what is wrong.
    pub(crate) fn report(&mut self, diagnostic: Diagnostic) -> Value {
        if self.diagnostics.len() >= MOST_DIAGNOSTICS {
            return Value::Error;
        }
        let diagnostic = self.seen_by_user(diagnostic);
        if self.reported.insert((diagnostic.code(), diagnostic.span())) {
            self.diagnostics.push(diagnostic);
        }
        Value::Error
    }

    /// What goes wrong inside of the prelude is shown at the user's call; what goes wrong inside of a function of the
    /// user's names the call too.
    fn seen_by_user(&self, diagnostic: Diagnostic) -> Diagnostic {
        let Some(place) = diagnostic.span() else { return diagnostic };
        let mut diagnostic = diagnostic;
        let mut place = place;
        if place.file == self.program.units[PRELUDE_UNIT].id {
            let Some(user) = self.frames.iter().rposition(|frame| !frame.library) else { return diagnostic };
            let Some(call) = self.frames.get(user + 1) else { return diagnostic };
            place = call.call;
            let name = call.function.map_or("prelude", |id| &self.program.name(id).text);
            diagnostic = moved_to(place, &format!("in this call of `{name}`"), &diagnostic);
        }
        match self.caller_of(place) {
            Some((call, name)) if call != place => diagnostic.secondary(call, format!("in this call of `{name}`")),
            _ => diagnostic,
        }
    }

    /// The call of the user's function that a place is in, if the user sees that call.
    fn caller_of(&self, place: Span) -> Option<(Span, &'a str)> {
        for (index, frame) in self.frames.iter().enumerate().rev().filter(|(_, frame)| !frame.library) {
            let Some(id) = frame.function else { continue };
            let body = self.program.function(id).span;
            if body.file == place.file && body.start <= place.start && place.end <= body.end {
                let seen = self.frames[..index].last().is_none_or(|caller| !caller.library);
                return seen.then(|| (frame.call, self.program.name(id).text.as_str()));
            }
        }
        None
    }

    /// The source of a short piece of an expression, to be quoted in a help.
    pub(crate) fn quoted(&self, span: Span) -> Option<&'a str> {
        let unit = self.program.units.iter().find(|unit| unit.id == span.file)?;
        let text = unit.text.get(span.start as usize..span.end as usize)?;
        let plain = |c: char| c.is_alphanumeric() || "_.".contains(c);
        (text.len() <= 24 && !text.is_empty() && text.chars().all(plain)).then_some(text)
    }

    /// "expected …, found …".
    pub(crate) fn wrong_kind(&mut self, what: &str, expected: &str, found: &Value, span: Span) -> Value {
        if found.is_error() {
            return Value::Error;
        }
        let diagnostic = Diagnostic::error(codes::WRONG_KIND, format!("{what} must be {expected}"))
            .primary(span, format!("this is {}", found.kind()));
        self.report(match found {
            Value::Callable(_) => diagnostic.help("call it: write its arguments in `( )`"),
            _ => diagnostic,
        })
    }

    /// A setting of a `train` block with a value of the wrong kind.
    pub(crate) fn wrong_setting(&mut self, what: &str, expected: &str, found: &Value, span: Span) {
        if !found.is_error() {
            let message = format!("{what} must be {expected}");
            self.report(error_at(codes::SETTING_ARGUMENT, message, span, format!("this is {}", found.kind())));
        }
    }

    /// Two element types that should be one.
    pub(crate) fn dtype_mismatch(&mut self, op: &str, place: Span, a: (&Tensor, Span), b: (&Tensor, Span)) -> Value {
        let ((left, left_span), (right, right_span)) = (a, b);
        let message = format!("`{op}` needs one element type, not {} and {}", left.dtype, right.dtype);
        let mut diagnostic = Diagnostic::error(codes::DTYPE_MISMATCH, message)
            .primary(place, "")
            .secondary(left_span, format!("this is `{left}`"))
            .secondary(right_span, format!("this is `{right}`"));
        // A conversion that loses nothing: to the float, or to the wider of two.
        let (narrow, narrow_span, wide) = if rank_of(left.dtype) < rank_of(right.dtype) {
            (left, left_span, right)
        } else {
            (right, right_span, left)
        };
        if narrow.dtype != DType::Bool || wide.dtype.is_float() {
            let operand = self.quoted(narrow_span).unwrap_or("…");
            diagnostic = diagnostic.help(format!("convert one of them: `cast({operand}, {})`", wide.dtype));
        }
        self.report(diagnostic)
    }

    /// Adds what is needed to understand shapes: where the operands come from, and the values of dims.
    pub(crate) fn explain_shapes(&self, mut diagnostic: Diagnostic, operands: &[(&Tensor, Span)]) -> Diagnostic {
        for (tensor, span) in operands {
            let origin = tensor.origin;
            let elsewhere = origin != *span && origin.file != self.program.units[PRELUDE_UNIT].id;
            let known = diagnostic.labels().iter().any(|label| label.span == origin);
            if elsewhere
                && !known
                && let Some(name) = self.quoted(*span)
            {
                diagnostic = diagnostic.secondary(origin, format!("`{name}` comes from here"));
            }
        }
        let shapes: Vec<&[Int]> = operands.iter().map(|(tensor, _)| &*tensor.extents).collect();
        explain_dims(diagnostic, &shapes)
    }
}

fn rank_of(dtype: DType) -> usize {
    DType::ALL.iter().position(|known| *known == dtype).unwrap_or(0)
}

/// Adds the declaration and value of each dim in these shapes.
pub(crate) fn explain_dims(mut diagnostic: Diagnostic, shapes: &[&[Int]]) -> Diagnostic {
    let names = names_in(shapes);
    for Named { name, value, declared, given } in names.iter().take(MOST_NAMES) {
        diagnostic = diagnostic.secondary(*declared, value_of_dim(name, *value, *given));
    }
    diagnostic
}

/// What a label on the declaration of a dim says.
pub(super) fn value_of_dim(name: &str, value: i64, given: bool) -> String {
    if given { format!("`{name}` is set to {value}") } else { format!("`{name}` is {value}") }
}

/// The shape, for a message: in the user's own names.
pub(crate) fn shape_text(extents: &[Int]) -> String {
    ShowShape(extents).to_string()
}

/// An extent with its value, if it does not say that itself: `2 * d = 64`.
pub(crate) fn extent_text(extent: &Int) -> String {
    if extent.is_symbolic() { format!("{extent} = {}", extent.value()) } else { extent.to_string() }
}

/// The same diagnostic with another primary label; its own labels become secondary.
fn moved_to(place: Span, label: &str, diagnostic: &Diagnostic) -> Diagnostic {
    let (code, message) = (diagnostic.code(), diagnostic.message());
    let start = match diagnostic.severity() {
        Severity::Error => Diagnostic::error(code, message),
        Severity::Warning => Diagnostic::warning(code, message),
    };
    let moved = start.primary(place, label);
    let moved = diagnostic.labels().iter().fold(moved, |moved, label| {
        let message = if label.message.is_empty() { "here".to_owned() } else { label.message.clone() };
        moved.secondary(label.span, message)
    });
    let moved = diagnostic.notes().iter().fold(moved, |moved, note| moved.note(note));
    diagnostic.helps().iter().fold(moved, |moved, help| moved.help(help))
}

/// An error with one label.
pub(crate) fn error_at(code: Code, message: impl Into<String>, span: Span, label: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code, message).primary(span, label)
}
