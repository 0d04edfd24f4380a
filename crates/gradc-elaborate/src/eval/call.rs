//! Calls.

use std::rc::Rc;

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_syntax::ast::{self, ArgumentValue, Expr, FunctionKind};

use super::Evaluator;
use super::frame::{Application, Frame};
use super::report::error_at;
use crate::limits::DEEPEST_CALL;
use crate::program::ItemId;
use crate::signature::{Signature, match_arguments};
use crate::value::{Argument, Callable, Instance, Partial, Slot, Tensor, Value};

/// What the paths of values begin with that belong to the training step, not to the model.
pub const RESERVED: [&str; 2] = ["optimizer", "random"];

impl<'a> Evaluator<'a> {
    /// `callee(arguments)`. `name` is that of the `let` that the call is bound to.
    pub(super) fn call(
        &mut self,
        callee: &'a Expr,
        arguments: &'a [ast::Argument],
        span: Span,
        name: Option<&str>,
    ) -> Value {
        match self.prepare(callee, arguments, span) {
            Some((callable, slots)) => self.apply_or_keep(callable, slots, span, name),
            None => Value::Error,
        }
    }

    /// What is called, and with what. `None` if that is an error, which has been reported.
    pub(super) fn prepare(
        &mut self,
        callee: &'a Expr,
        arguments: &'a [ast::Argument],
        span: Span,
    ) -> Option<(Callable, Vec<Slot>)> {
        let callable = match self.expr(callee) {
            Value::Callable(callable) => Some(callable),
            Value::Error => None,
            other => {
                let message = "this cannot be called";
                let diagnostic =
                    error_at(codes::NOT_CALLABLE, message, callee.span, format!("this is {}", other.kind()));
                self.report(diagnostic.help("only a `fn`, a `layer` and a call with open arguments can be called"));
                None
            }
        };
        // Arguments are looked at in any case, for the errors in them.
        let values: Vec<Slot> = arguments.iter().map(|argument| self.argument(argument)).collect();
        let callable = callable?;
        let matched = match_arguments(&Signature::of(&callable, self.program), arguments, span);
        match matched {
            Ok(matched) => {
                let slots = matched.into_iter().map(|found| found.map_or(Slot::Default, |at| values[at].clone()));
                Some((callable, slots.collect()))
            }
            Err(diagnostics) => {
                diagnostics.into_iter().for_each(|diagnostic| {
                    self.report(diagnostic);
                });
                None
            }
        }
    }

    fn argument(&mut self, argument: &'a ast::Argument) -> Slot {
        match &argument.value {
            ArgumentValue::Hole => Slot::Open,
            ArgumentValue::Expr(expr) => Slot::Given(Argument { value: self.expr(expr), span: expr.span }),
        }
    }

    /// Applies what is complete; keeps what has open arguments, and calls of initializers, which wait for the parameter.
    fn apply_or_keep(&mut self, callable: Callable, slots: Vec<Slot>, span: Span, name: Option<&str>) -> Value {
        // What is given wrong makes the call wrong now, not only when the rest is given.
        if has_error(&slots) {
            return Value::Error;
        }
        let open = slots.iter().any(|slot| matches!(slot, Slot::Open));
        let waits = matches!(&callable, Callable::Function(id)
            if self.program.function(*id).kind == FunctionKind::Initializer);
        if !open && !waits {
            return self.apply(&callable, slots, span);
        }
        let instance = match &callable {
            Callable::Function(id) if self.program.function(*id).kind == FunctionKind::Layer => {
                match self.new_instance(*id, span, name) {
                    Some(instance) => Some(instance),
                    None => return Value::Error,
                }
            }
            _ => None,
        };
        let partial = Callable::Partial(Rc::new(Partial::new(callable, slots, instance)));
        self.checked_depth(Value::Callable(partial), span)
    }

    /// Applies a callable to complete arguments.
    pub(crate) fn apply(&mut self, callable: &Callable, slots: Vec<Slot>, span: Span) -> Value {
        self.apply_in(callable, slots, span, None)
    }

    fn apply_in(&mut self, callable: &Callable, slots: Vec<Slot>, span: Span, instance: Option<Rc<Instance>>) -> Value {
        if has_error(&slots) {
            return Value::Error;
        }
        match callable {
            Callable::Function(id) => self.call_function(*id, &slots, span, instance),
            Callable::Intrinsic(intrinsic) => {
                self.locate(span);
                crate::intrinsic::run(self, intrinsic, &slots, span)
            }
            Callable::Partial(partial) => {
                let mut given = slots.into_iter();
                let filled = partial.slots.iter().map(|slot| match slot {
                    Slot::Open => given.next().unwrap_or(Slot::Default),
                    other => other.clone(),
                });
                let filled = filled.collect();
                self.apply_in(&partial.callee, filled, span, partial.instance.clone().or(instance))
            }
        }
    }

    fn call_function(&mut self, id: ItemId, slots: &[Slot], span: Span, instance: Option<Rc<Instance>>) -> Value {
        let function = self.program.function(id);
        let application = match (function.kind, instance) {
            (FunctionKind::Fn, _) => None,
            (FunctionKind::Layer, Some(instance)) => Some(Application::new(instance)),
            (FunctionKind::Layer, None) => match self.new_instance(id, span, None) {
                Some(instance) => Some(Application::new(instance)),
                None => return Value::Error,
            },
            (FunctionKind::Initializer, _) => {
                // Reached with all arguments through a partial application: it still waits for the parameter.
                let partial = Partial::new(Callable::Function(id), slots.to_vec(), None);
                return Value::Callable(Callable::Partial(Rc::new(partial)));
            }
        };
        self.run_function(id, slots, span, application, &[])
    }

    /// Evaluates the body of a function. `given` are further variables.
    pub(super) fn run_function(
        &mut self,
        id: ItemId,
        slots: &[Slot],
        span: Span,
        application: Option<Application>,
        given: &[(&'static str, Value)],
    ) -> Value {
        if self.frames.len() >= DEEPEST_CALL {
            return self.too_deep(id, span);
        }
        let mut frame = Frame::new(id.unit, span, self.program.in_library(id));
        frame.function = Some(id);
        frame.scope = match &application {
            Some(application) => self.scope_of(&application.instance),
            None => self.frames.last().map(|frame| frame.scope).unwrap_or_default(),
        };
        frame.application = application;
        frame.sealed = match self.program.function(id).rule {
            Some(_) => self.graph.len(),
            None => self.frames.last().map_or(0, |frame| frame.sealed),
        };
        for (name, value) in given {
            frame.declare(name, value.clone());
        }
        let origin = self.graph.origin();
        self.graph.set_origin(gradc_ir::Origin { scope: frame.scope, span: Some(span).or(origin.span) });
        if frame.library && self.frames.last().is_some_and(|caller| caller.library) {
            self.graph.set_origin(gradc_ir::Origin { scope: frame.scope, span: origin.span });
        }
        self.frames.push(frame);
        let value = self.body(id, slots, span);
        let instance = self.frames.pop().and_then(|frame| frame.application).map(|application| application.instance);
        if let (Some(instance), Value::Tensor(tensor)) = (instance, &value) {
            self.name_after_instance(tensor, &instance);
        }
        self.graph.set_origin(origin);
        value
    }

    /// What a layer gives is called by the layer's path, unless it has a name.
    fn name_after_instance(&mut self, tensor: &Tensor, instance: &Instance) {
        if self.graph.value_name(tensor.id).is_none() {
            let scope = self.scope_of(instance);
            self.graph.set_value_name(tensor.id, instance.path.as_str());
            self.graph.set_value_scope(tensor.id, scope);
        }
    }

    fn body(&mut self, id: ItemId, slots: &[Slot], span: Span) -> Value {
        let function = self.program.function(id);
        let Some(constraints) = self.bind_parameters(function, slots) else { return Value::Error };
        if !self.check_constraints(constraints) {
            return Value::Error;
        }
        let value = self.block_value(&function.body);
        let value = match &function.result {
            Some(ty) => self.check_result(ty, value, function),
            None => value,
        };
        match &function.rule {
            Some(rule) => self.with_rule(function, rule, value, span),
            None => value,
        }
    }

    fn scope_of(&mut self, instance: &Instance) -> gradc_ir::ScopeId {
        if let Some(scope) = instance.scope.get() {
            return scope;
        }
        let scope = self.graph.add_scope(instance.path.as_str());
        instance.scope.set(Some(scope));
        scope
    }

    /// The instance of a layer that is used here: called `name`, or by the layer's name and a number.
    fn new_instance(&mut self, id: ItemId, span: Span, name: Option<&str>) -> Option<Rc<Instance>> {
        let layer = &self.program.name(id).text;
        let application = self.frames.last_mut().and_then(|frame| frame.application.as_mut());
        let Some(application) = application else {
            self.layer_without_owner(id, span);
            return None;
        };
        let reserved = application.instance.path.is_empty() && name.is_some_and(|name| RESERVED.contains(&name));
        let part = match name {
            Some(name) => application.numbered(name),
            None => format!("{layer}.{}", application.count(layer)),
        };
        if reserved {
            self.reserved_path(&part, span);
            return None;
        }
        let owner = &application.instance;
        let mut children = owner.children.borrow_mut();
        if let Some(instance) = children.get(&part) {
            return Some(instance.clone());
        }
        let instance = Instance::new(owner.path_of(&part));
        children.insert(part, instance.clone());
        Some(instance)
    }

    fn reserved_path(&mut self, name: &str, span: Span) {
        let message = format!("no instance can be called `{name}`");
        let label = format!("its paths would begin with `{name}.`");
        let diagnostic = error_at(codes::RESERVED_PATH, message, span, label);
        self.report(diagnostic.note("under these, the training step keeps what it needs").help("give it another name"));
    }

    fn layer_without_owner(&mut self, id: ItemId, span: Span) {
        let diagnostic = layer_in_fn(&self.program.name(id).text, span);
        let owner = self.frames.last().and_then(|frame| frame.function);
        let diagnostic = match owner {
            Some(owner) => diagnostic.secondary(self.program.function(owner).signature, "in this function"),
            None => diagnostic,
        };
        self.report(diagnostic);
    }

    fn too_deep(&mut self, id: ItemId, span: Span) -> Value {
        self.budget.stop();
        let name = &self.program.name(id).text;
        let message = format!("calls are nested more than {DEEPEST_CALL} deep");
        let diagnostic = error_at(codes::CALLS_TOO_DEEP, message, span, format!("`{name}` is called here"));
        let chain: Vec<&str> = self
            .frames
            .iter()
            .rev()
            .filter_map(|frame| frame.function)
            .take(4)
            .map(|id| self.program.name(id).text.as_str())
            .collect();
        let note = format!("`{name}` was called by {}, …", crate::signature::listed(chain));
        self.report(diagnostic.note(note).help("repeat with `for` in place of calling again"))
    }
}

/// Whether an argument is an error, which has been reported.
fn has_error(slots: &[Slot]) -> bool {
    slots.iter().any(|slot| matches!(slot, Slot::Given(argument) if argument.value.is_error()))
}

/// The diagnostic for a layer that is used where nothing owns its parameters.
pub(crate) fn layer_in_fn(layer: &str, span: Span) -> Diagnostic {
    error_at(
        codes::LAYER_IN_FN,
        format!("the layer `{layer}` cannot be used here"),
        span,
        "its parameters have no owner",
    )
    .note("only a `layer` and a `model` own parameters; a `fn` has none")
    .help("make the function that uses it a `layer`, or pass it a named instance: `let part = dense(_, 8)`")
}
