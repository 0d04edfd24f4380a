//! What a training step leaves for the next: `update running_mean = …`.

use gradc_diagnostics::{Span, codes};
use gradc_ir::LeafKind;
use gradc_syntax::ast::{Expr, Name};

use super::report::{error_at, explain_dims};
use super::{Evaluator, Phase};
use crate::value::{Tensor, Value};

impl<'a> Evaluator<'a> {
    /// In training the value is a result of the graph. Elsewhere it is looked at all the same, for what is wrong with
    /// it and for the instances of layers in it, but nothing depends on it.
    pub(super) fn update(&mut self, name: &'a Name, value: &'a Expr, span: Span) {
        if !self.loops.is_empty() {
            let message = format!("`{}` is updated inside of a `scan`", name.text);
            let diagnostic =
                error_at(codes::MODEL_STATEMENT, message, span, "a state has one next value, not one a step");
            self.report(diagnostic.help("carry a variable through the loop, and update the state behind it"));
            return;
        }
        let next = self.expr(value);
        let state = match self.name(&name.text) {
            Value::Tensor(tensor) if self.graph.leaf(tensor.id) == Some(LeafKind::State) => tensor,
            // What is no state has been reported by the resolver.
            _ => return,
        };
        let Some(next) = self.next_value(&state, name, next, value.span) else { return };
        if let Some(first) = self.results.updates.insert(state.id, span) {
            self.results.updates.insert(state.id, first);
            return self.updated_twice(&state, span, first);
        }
        if self.phase() == Phase::Training {
            let path = self.graph.value_name(state.id).map(|path| path.to_string()).unwrap_or_default();
            self.add_update(&path, &next, span);
        }
    }

    /// The value in the type of the state. A number is that number everywhere.
    fn next_value(&mut self, state: &Tensor, name: &Name, next: Value, span: Span) -> Option<Tensor> {
        let next = match next {
            Value::Error => return None,
            Value::Tensor(next) => next,
            number @ (Value::Int(_) | Value::Float(_)) => {
                self.locate(span);
                let id = self.spread(&number, span, state.dtype, &state.extents)?;
                return Some(self.tensor(id, state.extents.clone(), span));
            }
            other => {
                self.wrong_kind(&format!("the next value of `{}`", name.text), "a tensor", &other, span);
                return None;
            }
        };
        let shape = |tensor: &Tensor| tensor.extents.iter().map(crate::int::Int::value).collect::<Vec<i64>>();
        if next.dtype == state.dtype && shape(&next) == shape(state) {
            return Some(next);
        }
        let message = format!("the next value of `{}` must be `{state}`", name.text);
        let diagnostic = error_at(codes::UPDATE_TYPE, message, span, format!("this is `{next}`"))
            .secondary(state.origin, "the state is declared here");
        let operand = self.quoted(span).unwrap_or("…");
        let diagnostic = match next.dtype == state.dtype {
            true => diagnostic.help("reduce it to the shape of the state, for example with `mean(…, axis = 0)`"),
            false => diagnostic.help(format!("convert it: `cast({operand}, {})`", state.dtype)),
        };
        self.report(explain_dims(diagnostic, &[&next.extents, &state.extents]));
        None
    }

    fn updated_twice(&mut self, state: &Tensor, span: Span, first: Span) {
        let path = self.graph.value_name(state.id).map(|path| path.to_string()).unwrap_or_default();
        let message = format!("the state `{path}` is updated twice");
        let diagnostic = error_at(codes::UPDATED_TWICE, message, span, "a second time");
        let diagnostic = match first == span {
            // The same statement: its layer is applied twice, or a `for` repeats it.
            true => diagnostic
                .note("an update takes effect after the step: the second would undo the first")
                .help("give each use a state of its own: a named instance that is applied twice shares its state"),
            false => diagnostic
                .secondary(first, "the first time")
                .note("an update takes effect after the step: the second would undo the first")
                .help("compute the final value with `let`, and update once"),
        };
        self.report(diagnostic);
    }
}
