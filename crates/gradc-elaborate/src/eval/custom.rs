//! Derivative rules of functions: `fn f(x) { … } vjp(g) { … }`.
//!
//! The rule is evaluated where the function is called, into the graph that everything else goes to, with leaves that stand
//! in for the results and their cotangents. What it computes is then taken out as the rule of the operator.

use std::sync::Arc;

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_ir::op::custom::Custom;
use gradc_ir::op::stop_gradient::STOP_GRADIENT;
use gradc_ir::{Body, Class, TensorType, ValueId};
use gradc_syntax::ast::{DerivativeRule, Function};
use rustc_hash::FxHashSet;

use super::report::{error_at, explain_dims};
use super::{Evaluator, Frame};
use crate::int::shape_of;
use crate::limits::LONGEST_LIST;
use crate::signature::listed;
use crate::value::{Tensor, Value};

/// An argument that the rule gives a cotangent.
struct Differentiable<'a> {
    name: &'a str,
    tensor: Tensor,
    declared: Span,
}

impl<'a> Evaluator<'a> {
    /// The value of a call as one whose derivative is given by the function's rule. `call` is the call; the frame is that of
    /// the function, with the arguments.
    pub(super) fn with_rule(
        &mut self,
        function: &'a Function,
        rule: &'a DerivativeRule,
        value: Value,
        call: Span,
    ) -> Value {
        if matches!(value, Value::Error) {
            return value;
        }
        let arguments = self.differentiable(function);
        let Some(results) = floats(&value) else { return self.list_too_long(call) };
        let name = &function.name.text;
        if arguments.is_empty() || results.is_empty() {
            let what = match arguments.is_empty() {
                true => format!("no argument of `{name}`"),
                false => format!("nothing that `{name}` gives"),
            };
            let message = format!("the derivative rule of `{name}` has nothing to differentiate");
            let diagnostic = error_at(codes::RULE_WITHOUT_FLOATS, message, rule.header, "this is a rule for floats");
            return self.report(diagnostic.note(format!("{what} is a tensor of floats in this call")));
        }
        for result in &results {
            if let Some(hidden) = self.hidden_dependence(result.id, &arguments) {
                return self.hides(function, rule, hidden);
            }
        }
        match self.ruled(function, rule, &arguments, (&value, &results), call) {
            Some(ruled) => replaced(&value, &mut ruled.into_iter(), &Value::clone),
            None => Value::Error,
        }
    }

    /// The arguments that are tensors of floats.
    fn differentiable(&self, function: &'a Function) -> Vec<Differentiable<'a>> {
        let Some(frame) = self.frames.last() else { return Vec::new() };
        let argument = |parameter: &'a gradc_syntax::ast::Parameter| match frame.variable(&parameter.name.text)? {
            Value::Tensor(tensor) if tensor.dtype.is_float() => {
                let (name, declared) = (parameter.name.text.as_str(), parameter.span);
                Some(Differentiable { name, tensor: tensor.clone(), declared })
            }
            _ => None,
        };
        function.parameters.iter().filter_map(argument).collect()
    }

    /// A leaf of floats that a value depends on by way of floats, but not of the arguments. That an operator on the way has no
    /// derivative does not matter: the rule may be there to give it one.
    fn hidden_dependence(&self, value: ValueId, arguments: &[Differentiable<'a>]) -> Option<ValueId> {
        let graph = &self.graph;
        let mut seen: FxHashSet<ValueId> = arguments.iter().map(|argument| argument.tensor.id).collect();
        let mut stack = vec![value];
        while let Some(value) = stack.pop() {
            if !graph.dtype(value).is_float() || !seen.insert(value) {
                continue;
            }
            match graph.op(value) {
                None => return Some(value),
                Some(op) if op.is(&STOP_GRADIENT) => {}
                Some(_) => stack.extend(graph.differentiable_operands(value)),
            }
        }
        None
    }

    fn hides(&mut self, function: &Function, rule: &DerivativeRule, hidden: ValueId) -> Value {
        let (name, leaf) =
            (&function.name.text, self.graph.value_name(hidden).map_or("a leaf", |name| name).to_owned());
        let message = format!("`{name}` depends on `{leaf}`, which is none of its arguments");
        let label = format!("by this rule, `{leaf}` would receive nothing");
        let diagnostic = error_at(codes::HIDDEN_DEPENDENCE, message, rule.header, label);
        let help = format!("pass `{leaf}` as an argument of its own, or hold it still with `stop_gradient`");
        self.report(diagnostic.help(help))
    }

    /// The tensors of floats in the value of a function, with its derivative rule. It is evaluated once for all of them.
    fn ruled(
        &mut self,
        function: &'a Function,
        rule: &'a DerivativeRule,
        arguments: &[Differentiable<'a>],
        (value, results): (&Value, &[Tensor]),
        call: Span,
    ) -> Option<Vec<Tensor>> {
        self.budget.charge(results.len());
        let begin = self.graph.len();
        let mark = self.frames.last().map(Frame::begin)?;
        let mut inside = Vec::with_capacity(arguments.len());
        for argument in arguments {
            let stands = self.standing_in(argument.name, &argument.tensor);
            inside.push(stands.id);
            self.declare(argument.name, Value::Tensor(stands));
        }
        let result = rule.result.as_ref().map_or("y", |name| &name.text);
        let own: Vec<Tensor> = results.iter().map(|tensor| self.standing_in(result, tensor)).collect();
        if rule.result.is_some() {
            self.declare(result, replaced(value, &mut own.iter().cloned(), &Value::clone));
        }
        let cotangent = &rule.cotangent.text;
        let given: Vec<Tensor> = results.iter().map(|tensor| self.standing_in(cotangent, tensor)).collect();
        self.declare(cotangent, replaced(value, &mut given.iter().cloned(), &|_| 0.into()));
        let found = self.block_value(&rule.body);
        if let Some(frame) = self.frames.last_mut() {
            frame.end(mark);
        }
        let place = rule.body.value.as_ref().map_or(rule.body.span, |value| value.span);
        let found = self.cotangents(found, place, function, arguments)?;
        self.locate(call);
        let mut cotangents: Vec<(Arc<str>, ValueId)> = Vec::with_capacity(found.len());
        // What the inputs of the rule are inside of it and outside; those that it gives a cotangent come first.
        let (mut bound, mut only_read) = (Vec::new(), Vec::new());
        for ((argument, &leaf), cotangent) in arguments.iter().zip(&inside).zip(found) {
            match cotangent {
                Some(cotangent) => {
                    cotangents.push((argument.name.into(), cotangent));
                    bound.push((leaf, argument.tensor.id));
                }
                None => only_read.push((leaf, argument.tensor.id)),
            }
        }
        let wrt = bound.len();
        let read = self.read(begin, &cotangents);
        bound.extend(only_read.into_iter().filter(|(leaf, _)| read.contains(leaf)));
        let received: Vec<ValueId> = own.iter().chain(&given).map(|tensor| tensor.id).collect();
        let stand_ins: FxHashSet<ValueId> = inside.iter().chain(&received).copied().collect();
        bound.extend(read.iter().copied().filter(|value| !stand_ins.contains(value)).map(|value| (value, value)));
        let inputs: Vec<ValueId> = bound.iter().map(|&(leaf, _)| leaf).chain(received.iter().copied()).collect();
        let operands = results.iter().map(|tensor| tensor.id).chain(bound.iter().map(|&(_, outside)| outside));
        let operands: Vec<ValueId> = operands.collect();
        let mut part = self.graph.part(&inputs, &cotangents);
        part.set_name(function.name.text.as_str());
        let rule = match Body::new(&part) {
            Ok(rule) => rule,
            Err(error) => {
                let message = format!("this cannot be made a derivative rule: {error}");
                self.report(error_at(codes::TOO_MUCH_WORK, message, rule.header, ""));
                return None;
            }
        };
        let packed = self.graph.custom(&Custom { rule, results: results.len(), wrt }, &operands);
        let ruled = results.iter().enumerate().map(|(index, result)| {
            let id = self.graph.result_of(packed, index);
            self.tensor(id, result.extents.clone(), result.origin)
        });
        Some(ruled.collect())
    }

    /// The cotangents that a rule gives the arguments; none for a 0.
    fn cotangents(
        &mut self,
        value: Value,
        place: Span,
        function: &'a Function,
        arguments: &[Differentiable<'a>],
    ) -> Option<Vec<Option<ValueId>>> {
        let entries: Vec<Value> = match value {
            Value::Error => return None,
            Value::List(list) => list.to_vec(),
            other => vec![other],
        };
        if entries.len() != arguments.len() {
            let (name, found) = (&function.name.text, entries.len());
            let names = listed(arguments.iter().map(|argument| argument.name));
            let counted = if found == 1 { "1 cotangent".to_owned() } else { format!("{found} cotangents") };
            let message = format!("the derivative rule of `{name}` gives {counted} for {names}");
            let label = if arguments.len() == 1 {
                "a rule gives one value".to_owned()
            } else {
                format!("a rule gives a list of {}", arguments.len())
            };
            let diagnostic = error_at(codes::COTANGENT_COUNT, message, place, label)
                .secondary(function.signature, "these are its parameters")
                .help("give a cotangent for each argument that is a tensor of floats, and 0 for one that receives nothing");
            self.report(diagnostic);
            return None;
        }
        let cotangent = |(value, argument): (Value, &Differentiable<'a>)| self.cotangent(&value, place, argument);
        let found: Vec<Option<Option<ValueId>>> = entries.into_iter().zip(arguments).map(cotangent).collect();
        found.into_iter().collect()
    }

    fn cotangent(&mut self, value: &Value, place: Span, argument: &Differentiable<'a>) -> Option<Option<ValueId>> {
        let (name, own) = (argument.name, &argument.tensor);
        let found = match value {
            Value::Tensor(found) => found,
            number if number.number() == Some(0.0) => return Some(None),
            other => {
                self.wrong_kind(&format!("the cotangent of `{name}`"), &format!("a tensor `{own}`"), other, place);
                return None;
            }
        };
        let same = |(a, b): (&crate::int::Int, &crate::int::Int)| a.value() == b.value();
        if found.dtype == own.dtype && found.rank() == own.rank() && found.extents.iter().zip(&*own.extents).all(same) {
            return Some(Some(found.id));
        }
        let message = format!("the cotangent of `{name}` is `{found}`, and `{name}` is `{own}`");
        let diagnostic = Diagnostic::error(codes::COTANGENT_TYPE, message)
            .primary(place, format!("what the rule gives `{name}` here is `{found}`"))
            .secondary(argument.declared, format!("in this call, `{name}` is `{own}`"));
        let diagnostic = match found.rank() >= own.rank() && found.dtype == own.dtype {
            true => diagnostic.help(format!("where `{name}` was broadcast, its cotangent is a sum over those axes")),
            false => diagnostic,
        };
        self.report(explain_dims(diagnostic, &[&found.extents, &own.extents]));
        None
    }

    /// What the results of a rule are computed from: leaves that stand in for something, and values that were there before
    /// it was evaluated, from `begin` on. Literals are repeated.
    fn read(&self, begin: usize, results: &[(Arc<str>, ValueId)]) -> Vec<ValueId> {
        let mut seen: FxHashSet<ValueId> = FxHashSet::default();
        let mut stack: Vec<ValueId> = results.iter().map(|&(_, value)| value).collect();
        let mut read = Vec::new();
        while let Some(value) = stack.pop() {
            if !seen.insert(value) {
                continue;
            }
            match self.graph.op(value) {
                Some(op) if value.index() >= begin || op.def.class == Class::Source => {
                    stack.extend(self.graph.operands(value));
                }
                _ => read.push(value),
            }
        }
        read.sort_unstable();
        read
    }

    /// A leaf that stands in for a tensor.
    fn standing_in(&mut self, name: &str, tensor: &Tensor) -> Tensor {
        let leaf = self.stand_in(name, TensorType::new(tensor.dtype, shape_of(&tensor.extents)));
        self.tensor(leaf, tensor.extents.clone(), tensor.origin)
    }
}

/// The tensors of floats in a value, which may be a list of lists, in order; none if there are more entries than a list may
/// have.
fn floats(value: &Value) -> Option<Vec<Tensor>> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        seen += 1;
        match value {
            _ if seen > LONGEST_LIST => return None,
            Value::Tensor(tensor) if tensor.dtype.is_float() => found.push(tensor.clone()),
            Value::List(list) => stack.extend(list.iter().rev()),
            _ => {}
        }
    }
    Some(found)
}

/// A value with other tensors in the place of its [`floats`], and what `other` makes of everything else in it but lists.
fn replaced(value: &Value, floats: &mut dyn Iterator<Item = Tensor>, other: &dyn Fn(&Value) -> Value) -> Value {
    match value {
        Value::Tensor(tensor) if tensor.dtype.is_float() => floats.next().map_or(Value::Error, Value::Tensor),
        Value::List(list) => Value::List(list.iter().map(|entry| replaced(entry, floats, other)).collect()),
        rest => other(rest),
    }
}
