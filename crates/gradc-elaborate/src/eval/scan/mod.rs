//! Loops over a time axis: `scan x_t in x, axis = 1 { … }`.
//!
//! The body is evaluated once, into the graph that everything else goes to, with leaves that stand in for the carries and
//! slices. What depends on them is then taken out as the body of the operator. The rest stays behind and is a constant of
//! the loop: parameters, what was computed before, and what the body computes that is the same in every step.

mod assigned;
mod header;
mod take;

use gradc_diagnostics::{Span, codes};
use gradc_ir::op::scan::Scan;
use gradc_ir::{Body, TensorType, ValueId};
use gradc_syntax::ast::{Block, ScanOption, Sequence};

use super::random::LoopStep;
use super::report::{error_at, explain_dims};
use super::{Evaluator, Frame, axes_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};
use assigned::{Assignment, assigned};
use header::Header;

/// A variable that a step gives a new value.
struct Carry<'a> {
    assignment: Assignment<'a>,
    /// Its value before the loop.
    first: Tensor,
    /// The leaf that stands in for it.
    leaf: ValueId,
}

/// What one step computes.
struct Step {
    /// The next value of each carry.
    next: Vec<ValueId>,
    /// The elements that are stacked.
    stacked: Vec<Tensor>,
    /// Whether the value of the loop is a list of stacks.
    is_list: bool,
}

impl<'a> Evaluator<'a> {
    pub(super) fn scan(
        &mut self,
        sequences: &'a [Sequence],
        options: &'a [ScanOption],
        body: &'a Block,
        span: Span,
    ) -> Value {
        if self.loops.len() >= Body::MAX_DEPTH {
            let message = format!("loops are nested more than {} deep", Body::MAX_DEPTH);
            return self.report(error_at(codes::TOO_MUCH_WORK, message, span, "in this one"));
        }
        let header = self.header(sequences, options);
        let variables: Vec<&'a str> = sequences.iter().map(|sequence| sequence.variable.text.as_str()).collect();
        let assignments = assigned(body, &variables);
        let Some(mark) = self.frames.last().map(Frame::begin) else { return Value::Error };
        let begin = self.graph.len();
        self.locate(span);
        let mut slices = self.slices(&variables, header.as_ref(), sequences);
        let carries: Vec<Option<Carry<'a>>> = assignments.iter().map(|&assignment| self.carry(assignment)).collect();
        let mut sources: Vec<ValueId> = header.iter().flat_map(|h| &h.sources).map(|tensor| tensor.id).collect();
        if let Some((boundaries, leaf)) = header.as_ref().and_then(|header| self.truncated(header, &carries)) {
            sources.push(boundaries);
            slices.push(leaf);
        }
        self.loops.push(LoopStep::new(header.as_ref().map_or(0, |header| header.length.extent())));
        let step = self.step(body, &carries, header.as_ref().map_or(0, |header| header.axis));
        let counted = self.loops.pop().and_then(|step| step.sequence(&mut self.graph));
        if let Some((positions, leaf)) = counted {
            sources.push(positions);
            slices.push(leaf);
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.end(mark);
        }
        self.locate(span);
        let carries: Option<Vec<Carry<'a>>> = carries.into_iter().collect();
        let (Some(header), Some(carries), Some(step)) = (header, carries, step) else {
            assignments.iter().for_each(|assignment| self.rebind(assignment.name, Value::Error));
            return Value::Error;
        };
        let leaves: Vec<ValueId> = carries.iter().map(|carry| carry.leaf).chain(slices.iter().copied()).collect();
        let names = carries.iter().map(|carry| carry.assignment.name);
        let named: Vec<(&str, ValueId)> = names.zip(step.next.iter().copied()).collect();
        let Some((body, constants)) = self.taken_out(begin, &leaves, &named, &step.stacked, span) else {
            return Value::Error;
        };
        let (length, reverse) = (header.length.extent(), header.reverse);
        let scan = Scan { body, carries: carries.len(), sequences: slices.len(), length, reverse };
        let first = carries.iter().map(|carry| carry.first.id);
        let operands: Vec<ValueId> = first.chain(sources).chain(constants).collect();
        let scan = self.graph.scan(&scan, &operands);
        for (index, carry) in carries.iter().enumerate() {
            let id = self.graph.result_of(scan, index);
            self.name_value(id, carry.assignment.name);
            let last = self.tensor(id, carry.first.extents.clone(), carry.assignment.value);
            self.rebind(carry.assignment.name, Value::Tensor(last));
        }
        self.stacks(scan, carries.len(), &step, &header, span)
    }

    /// Gives a variable another value.
    fn rebind(&mut self, name: &str, value: Value) {
        if let Some(frame) = self.frames.last_mut() {
            frame.assign(name, value);
        }
    }

    /// A leaf that stands in for something while a body is evaluated.
    pub(super) fn stand_in(&mut self, name: &str, ty: TensorType) -> ValueId {
        let leaf = self.graph.input(name, ty);
        self.stand_ins.push(leaf);
        leaf
    }

    /// Declares the variables of the sequences. Those whose sequence is an error are errors too.
    fn slices(&mut self, variables: &[&'a str], header: Option<&Header>, sequences: &'a [Sequence]) -> Vec<ValueId> {
        let Some(header) = header else {
            variables.iter().for_each(|variable| self.declare(variable, Value::Error));
            return Vec::new();
        };
        let mut leaves = Vec::with_capacity(variables.len());
        for ((variable, source), sequence) in variables.iter().zip(&header.sources).zip(sequences) {
            let extents: Vec<Int> = source.extents[1..].to_vec();
            let leaf = self.stand_in(variable, TensorType::new(source.dtype, shape_of(&extents)));
            let slice = self.tensor(leaf, extents, sequence.variable.span);
            self.declare(variable, Value::Tensor(slice));
            leaves.push(leaf);
        }
        leaves
    }

    /// Declares a variable of the body that stands for one around it, which a step gives a new value.
    fn carry(&mut self, assignment: Assignment<'a>) -> Option<Carry<'a>> {
        let name = assignment.name;
        let first = self.frames.last().and_then(|frame| frame.variable(name)).cloned().unwrap_or(Value::Error);
        let Value::Tensor(first) = first else {
            if !first.is_error() {
                let message = format!("`{name}` is carried from step to step and must be a tensor");
                let label = format!("before the loop it is {}", first.kind());
                let diagnostic = error_at(codes::WRONG_KIND, message, assignment.place, label);
                self.report(match first.number() {
                    Some(_) => diagnostic.help(format!("make it a tensor of one number: `let {name} = full([], …)`")),
                    None => diagnostic,
                });
            }
            self.declare(name, Value::Error);
            return None;
        };
        let leaf = self.stand_in(name, TensorType::new(first.dtype, shape_of(&first.extents)));
        let tensor = self.tensor(leaf, first.extents.clone(), first.origin);
        self.declare(name, Value::Tensor(tensor));
        Some(Carry { assignment, first, leaf })
    }

    /// Evaluates the body once. `None` where something is wrong, which has been reported.
    fn step(&mut self, body: &'a Block, carries: &[Option<Carry<'a>>], axis: usize) -> Option<Step> {
        let mark = self.frames.last().map(Frame::begin)?;
        self.statements(&body.statements);
        let value = body.value.as_ref().map(|value| (self.expr(value), value.span));
        if let Some(frame) = self.frames.last_mut() {
            frame.end(mark);
        }
        let next: Vec<Option<ValueId>> = carries.iter().flatten().map(|carry| self.next(carry)).collect();
        let is_list = matches!(value, Some((Value::List(_), _)));
        let stacked = match value {
            Some((value, span)) => self.stacked(value, span, axis),
            None => Some(Vec::new()),
        };
        Some(Step { next: next.into_iter().collect::<Option<_>>()?, stacked: stacked?, is_list })
    }

    /// What a carry is after a step: of the type that it had before.
    fn next(&mut self, carry: &Carry<'a>) -> Option<ValueId> {
        let (name, first) = (carry.assignment.name, &carry.first);
        let next = self.frames.last().and_then(|frame| frame.variable(name)).cloned()?;
        let message = |found: &str| format!("`{name}` is `{first}` before a step and {found} after it");
        let diagnostic = match &next {
            Value::Error => return None,
            Value::Tensor(next) => {
                let same = |(a, b): (&Int, &Int)| a.value() == b.value();
                let alike = next.rank() == first.rank() && next.extents.iter().zip(&*first.extents).all(same);
                if alike && next.dtype == first.dtype {
                    return Some(next.id);
                }
                let label = format!("this is `{next}`");
                let message = message(&format!("`{next}`"));
                let diagnostic = error_at(codes::CARRY_CHANGES, message, carry.assignment.value, label);
                explain_dims(diagnostic, &[&first.extents, &next.extents])
            }
            other => {
                let label = format!("this is {}", other.kind());
                error_at(codes::CARRY_CHANGES, message(&other.kind()), carry.assignment.value, label)
            }
        };
        let diagnostic = diagnostic
            .secondary(first.origin, format!("before the loop `{name}` is `{first}`"))
            .help("what a step leaves in a variable is what the next begins with: it keeps its type");
        self.report(diagnostic);
        None
    }

    /// The elements that a step gives to be stacked.
    fn stacked(&mut self, value: Value, span: Span, axis: usize) -> Option<Vec<Tensor>> {
        let values = match value {
            // A loop without a value may end in one without a value.
            Value::Error => return Some(Vec::new()),
            Value::List(list) => list.to_vec(),
            other => vec![other],
        };
        let mut stacked = Vec::with_capacity(values.len());
        for value in values {
            let Value::Tensor(tensor) = value else {
                self.wrong_kind("what a step of a `scan` gives", "a tensor or a list of tensors", &value, span);
                return None;
            };
            if tensor.rank() < axis {
                let message = format!("`{tensor}` cannot be stacked along axis {axis}");
                let label = format!("this has {}", axes_text(tensor.rank()));
                self.report(error_at(codes::AXIS_OUT_OF_RANGE, message, span, label).help(
                    "what the steps give is stacked along the axis that the loop goes over: give it more axes, as `unsqueeze` \
                     does, or go over the first axis of what `moveaxis` makes",
                ));
                return None;
            }
            stacked.push(tensor);
        }
        Some(stacked)
    }

    /// The value of the loop: what its steps gave, one after the other along the time axis.
    fn stacks(&mut self, scan: ValueId, carries: usize, step: &Step, header: &Header, span: Span) -> Value {
        let mut stacks = Vec::with_capacity(step.stacked.len());
        for (index, element) in step.stacked.iter().enumerate() {
            let mut extents = element.extents.to_vec();
            extents.insert(header.axis, header.length.clone());
            if self.checked(&extents, span).is_none() {
                return Value::Error;
            }
            let stack = self.graph.result_of(scan, carries + index);
            let mut order: Vec<usize> = (1..=element.rank()).collect();
            order.insert(header.axis, 0);
            let id = if header.axis == 0 { stack } else { self.graph.transpose(stack, &order) };
            stacks.push(Value::Tensor(self.tensor(id, extents, span)));
        }
        match stacks.pop() {
            Some(stack) if !step.is_list => stack,
            Some(last) => {
                stacks.push(last);
                self.list_of(stacks, span)
            }
            None => Value::Error,
        }
    }
}
