//! What only a model has: inputs, outputs, the loss and metrics.

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_ir::{DType, Role, TensorType, ValueId};
use gradc_syntax::ast::{ArgumentValue, AttributeKind, Expr, ExprKind, FunctionKind, Model, Name, StatementKind, Type};
use rustc_hash::FxHashMap;

use super::frame::{Application, Frame};
use super::report::error_at;
use super::{Evaluator, report};
use crate::files::ROOT_UNIT;
use crate::int::shape_of;
use crate::program::{ItemId, Meaning};
use crate::value::{Callable, Instance, Slot, Tensor, Value};

/// What a model declares.
#[derive(Default)]
pub(crate) struct Results {
    /// With the places of their names.
    pub(crate) inputs: Vec<(Tensor, Span)>,
    pub(crate) params: Vec<(Tensor, Span)>,
    pub(crate) states: Vec<(Tensor, Span)>,
    pub(crate) outputs: Vec<(Role, Tensor, Span)>,
    /// The states that have been updated, with the statement.
    pub(super) updates: FxHashMap<ValueId, Span>,
    /// Names of results by role, with the statement.
    names: FxHashMap<(Role, String), Span>,
    loss: Option<Span>,
    /// The metric that the loss brings, with its value.
    automatic: Option<(String, Tensor, Span)>,
}

impl Results {
    /// Follows the values to their new numbers. What is not there any more has been reported to be wrong.
    pub(super) fn renumber(&mut self, numbers: &[Option<ValueId>]) {
        let known = |tensor: &Tensor| numbers[tensor.id.index()];
        let renumber = |tensor: &mut Tensor| tensor.id = known(tensor).unwrap_or(tensor.id);
        let leaves = self.inputs.iter_mut().chain(&mut self.params).chain(&mut self.states);
        leaves.for_each(|(tensor, _)| renumber(tensor));
        self.outputs.retain(|(_, tensor, _)| known(tensor).is_some());
        self.outputs.iter_mut().for_each(|(_, tensor, _)| renumber(tensor));
    }
}

impl<'a> Evaluator<'a> {
    /// Unrolls a model.
    pub(crate) fn model(&mut self, id: ItemId, model: &'a Model) {
        self.graph.set_name(model.name.text.as_str());
        self.all_globals();
        let mut frame = Frame::new(id.unit, model.name.span, self.program.in_library(id));
        frame.application = Some(Application::new(Instance::new(String::new())));
        self.frames.push(frame);
        self.statements(&model.body.statements);
        self.count_random_steps(model.name.span);
        self.frames.pop();
        let metrics = self.results.outputs.iter().any(|(role, ..)| *role == Role::Metric);
        if let Some((name, tensor, span)) = self.results.automatic.take().filter(|_| !metrics) {
            self.add_result(Role::Metric, &name, &tensor, span);
        }
        let names = std::mem::take(&mut self.inner_names);
        self.apply_inner_names(names, 0);
    }

    /// The inputs that a model declares, without the rest of it.
    pub(crate) fn inputs_of(&mut self, id: ItemId, model: &'a Model) -> Vec<(Tensor, Span)> {
        self.frames.push(Frame::new(id.unit, model.name.span, self.program.in_library(id)));
        for statement in &model.body.statements {
            if let StatementKind::Input { name, ty } = &statement.kind {
                self.input(name, ty);
            }
        }
        self.frames.pop();
        std::mem::take(&mut self.results.inputs)
    }

    /// The names of the inputs that the model has declared.
    pub(crate) fn input_names(&self) -> Vec<String> {
        let names = self.results.inputs.iter().filter_map(|(tensor, _)| self.graph.value_name(tensor.id));
        names.map(|name| name.to_string()).collect()
    }

    /// Whether the model has said what its loss is, right or wrong.
    pub(crate) fn has_loss(&self) -> bool {
        self.results.loss.is_some()
    }

    /// Evaluates what is outside of all bodies, in the root file.
    pub(crate) fn in_root(&mut self, work: impl FnOnce(&mut Evaluator<'a>)) {
        let place = self.program.units[ROOT_UNIT].file.span;
        self.frames.push(Frame::new(ROOT_UNIT, place, false));
        work(self);
        self.frames.pop();
    }

    pub(super) fn input(&mut self, name: &'a Name, ty: &'a Type) {
        let value = match self.declared_type(ty) {
            Some((dtype, extents)) if !self.taken(name) => {
                self.locate(name.span.to(ty.span));
                let id = self.graph.input(name.text.as_str(), TensorType::new(dtype, shape_of(&extents)));
                let tensor = self.tensor(id, extents, ty.span);
                self.results.inputs.push((tensor.clone(), name.span));
                Value::Tensor(tensor)
            }
            _ => Value::Error,
        };
        self.declare(&name.text, value);
    }

    /// Whether an input, a parameter or a state of the model has this name already, which is reported.
    fn taken(&mut self, name: &Name) -> bool {
        let leaves = self.results.inputs.iter().chain(&self.results.params).chain(&self.results.states);
        let first = leaves
            .filter(|(tensor, _)| self.graph.value_name(tensor.id).is_some_and(|known| **known == *name.text))
            .map(|(_, span)| *span)
            .next();
        let Some(first) = first else { return false };
        // One that stands in a `for` has been reported by the resolver.
        if first == name.span {
            return true;
        }
        self.report(crate::program::defined_twice(name, first));
        true
    }

    pub(super) fn output(&mut self, name: &'a Name, value: Option<&'a Expr>, span: Span) {
        let (result, at) = match value {
            Some(value) => (self.named(name, value), value.span),
            None => (self.name(&name.text), name.span),
        };
        let tensor = self.result_tensor("an output", result, at);
        if value.is_some() {
            self.declare(&name.text, tensor.clone().map_or(Value::Error, Value::Tensor));
        }
        if let Some(tensor) = tensor {
            self.add_result(Role::Output, &name.text, &tensor, span);
        }
    }

    pub(super) fn metric(&mut self, name: &'a Name, value: &'a Expr, span: Span) {
        let result = self.expr(value);
        let Some(tensor) = self.result_tensor("a metric", result, value.span) else { return };
        if tensor.rank() != 0 {
            self.not_scalar("a metric", &tensor, value.span);
            return;
        }
        self.add_result(Role::Metric, &name.text, &tensor, span);
    }

    pub(super) fn loss(&mut self, value: &'a Expr, span: Span) {
        let first = self.results.loss.replace(span);
        let (result, metric) = match &value.kind {
            ExprKind::Call { callee, arguments }
                if !arguments.iter().any(|argument| matches!(argument.value, ArgumentValue::Hole)) =>
            {
                match self.prepare(callee, arguments, value.span) {
                    Some((callable, slots)) => {
                        let result = self.apply(&callable, slots.clone(), value.span);
                        (result, self.metric_of(&callable).map(|metric| (metric, callable, slots)))
                    }
                    None => (Value::Error, None),
                }
            }
            _ => (self.expr(value), None),
        };
        let Some(tensor) = self.result_tensor("the loss", result, value.span) else { return };
        if let Some(first) = first {
            self.results.loss = Some(first);
            self.report(
                Diagnostic::error(codes::SEVERAL_LOSSES, "a model has one loss")
                    .primary(span, "a second loss")
                    .secondary(first, "the first is here")
                    .help("add them up: `loss a + b`"),
            );
            return;
        }
        if tensor.rank() != 0 || !tensor.dtype.is_float() {
            self.not_scalar("the loss", &tensor, value.span);
            return;
        }
        self.add_result(Role::Loss, "loss", &tensor, span);
        if let Some((metric, callable, slots)) = metric {
            self.automatic_metric(metric, &callable, &slots, value.span);
        }
    }

    /// The function that `@metric` names, if what is called has that attribute.
    fn metric_of(&self, callable: &Callable) -> Option<ItemId> {
        let Callable::Function(id) = callable else { return None };
        let attribute = self.program.function(*id).attributes.first()?;
        let AttributeKind::Metric { function } = &attribute.kind;
        match self.program.meaning(id.unit, &function.text) {
            Some(Meaning::Function(metric)) if self.program.function(metric).kind == FunctionKind::Fn => Some(metric),
            _ => None,
        }
    }

    /// Adds the metric of the loss, with those arguments of the loss that the metric has parameters for.
    fn automatic_metric(&mut self, metric: ItemId, loss: &Callable, slots: &[Slot], span: Span) {
        let Callable::Function(loss) = loss else { return };
        let named: FxHashMap<&str, &Slot> =
            self.program.function(*loss).parameters.iter().map(|formal| formal.name.text.as_str()).zip(slots).collect();
        let formals = &self.program.function(metric).parameters;
        let given =
            formals.iter().map(|formal| named.get(formal.name.text.as_str()).map_or(Slot::Default, |s| (*s).clone()));
        let given: Vec<Slot> = given.collect();
        if let Value::Tensor(tensor) = self.apply(&Callable::Function(metric), given, span)
            && tensor.rank() == 0
        {
            let name = self.program.name(metric).text.clone();
            self.results.automatic = Some((name, tensor, span));
        }
    }

    /// A value as a result of the model. A number becomes a scalar.
    fn result_tensor(&mut self, what: &str, value: Value, span: Span) -> Option<Tensor> {
        match value {
            Value::Tensor(tensor) => Some(tensor),
            Value::Int(_) | Value::Float(_) => {
                self.locate(span);
                let id = self.full(value.number().unwrap_or(0.0), DType::F32, &[]);
                Some(self.tensor(id, [], span))
            }
            other => {
                self.wrong_kind(what, "a tensor", &other, span);
                None
            }
        }
    }

    fn not_scalar(&mut self, what: &str, tensor: &Tensor, span: Span) {
        let diagnostic =
            error_at(codes::NOT_SCALAR, format!("{what} must be a single float"), span, format!("this is `{tensor}`"));
        let operand = self.quoted(span).unwrap_or("…");
        let diagnostic = match tensor.rank() {
            0 => diagnostic.help(format!("convert it: `cast({operand}, f32)`")),
            _ => diagnostic.help(format!("average it: `mean({operand})`")),
        };
        self.report(report::explain_dims(diagnostic, &[&tensor.extents]));
    }

    /// A value that the training step writes over the leaf called `path`.
    pub(super) fn add_update(&mut self, path: &str, tensor: &Tensor, span: Span) {
        self.results.outputs.push((Role::Update, tensor.clone(), span));
        self.graph.add_output(Role::Update, path, tensor.id);
    }

    fn add_result(&mut self, role: Role, name: &str, tensor: &Tensor, span: Span) {
        match self.results.names.get(&(role, name.to_owned())) {
            Some(&first) => {
                let message = format!("the model has two results called `{name}`");
                let diagnostic = |label: &str| error_at(codes::DUPLICATE_RESULT, message, span, label);
                self.report(if first == span {
                    diagnostic("this is repeated").help("move it behind the `for`, or `concat` the values to one")
                } else {
                    diagnostic("the second is here")
                        .secondary(first, "the first is here")
                        .help("give each a name of its own")
                });
            }
            None => {
                self.results.names.insert((role, name.to_owned()), span);
                if self.graph.value_name(tensor.id).is_none() {
                    self.graph.set_value_name(tensor.id, name);
                }
                self.results.outputs.push((role, tensor.clone(), span));
                let id: ValueId = tensor.id;
                self.graph.add_output(role, name, id);
            }
        }
    }
}
