//! Loops: what the e-graph, to which a loop is one opaque operator, cannot do.
//!
//! Each body is simplified by itself, with the same rules. Then, one loop after the other:
//!
//! - `dead`: results, carries and operands that nothing needs go; a carry that never changes becomes a constant.
//! - `hoist`: what is the same in every step is computed once, before the loop.
//! - `products`: products of slices with constants become one product over all steps, before or after the loop, and sums
//!   over all steps that are carried become one product or one reduction after it.
//!
//! All of this is done to a loop under change ([`Loop`]): its body as a graph that grows, and lists of what goes in and
//! comes out.

mod dead;
mod hoist;
mod products;

use std::sync::Arc;

use gradc_ir::op::scan::Scan;
use gradc_ir::{Body, Graph, Op, ValueId};

use crate::options::Mode;

/// A graph in which all loops are improved, if there are any, and for each value where it is there, if it is still computed;
/// `simplified` is what becomes of a body.
pub(crate) fn improve(
    graph: &Graph,
    mode: Mode,
    simplified: &dyn Fn(&Graph) -> Graph,
) -> Option<(Graph, Vec<Option<ValueId>>)> {
    if !graph.values().any(|value| graph.as_scan(value).is_some()) {
        return None;
    }
    let live = graph.live();
    let mut new = graph.emptied();
    let mut places: Vec<Option<ValueId>> = vec![None; graph.len()];
    for value in graph.values().filter(|value| live[value.index()] || graph.leaf(*value).is_some()) {
        if places[value.index()].is_some() {
            continue;
        }
        let operands: Vec<ValueId> =
            graph.operands(value).iter().filter_map(|operand| places[operand.index()]).collect();
        let Some(scan) = graph.as_scan(value) else {
            places[value.index()] = Some(new.copy_node(graph, value, &operands));
            continue;
        };
        let results: Vec<Option<ValueId>> =
            graph.results_of(value).into_iter().map(|result| result.filter(|v| live[v.index()])).collect();
        let used: Vec<bool> = results.iter().map(Option::is_some).collect();
        new.set_origin(graph.node(value).origin);
        let found = improved(&mut new, &scan, &operands, &used, mode, simplified);
        for (result, found) in results.into_iter().zip(found) {
            let (Some(result), Some(found)) = (result, found) else { continue };
            if let (None, Some(name)) = (new.value_name(found), graph.value_name(result)) {
                new.set_value_name(found, name.clone());
            }
            places[result.index()] = Some(found);
        }
    }
    for output in graph.outputs() {
        let value = places[output.value.index()].expect("what a result depends on is live");
        new.add_output(output.role, output.name.clone(), value);
    }
    new.set_origin(graph.origin());
    Some((new, places))
}

/// Writes an improved loop to `graph`; for each result that is used, what it is now.
fn improved(
    graph: &mut Graph,
    scan: &Scan,
    operands: &[ValueId],
    used: &[bool],
    mode: Mode,
    simplified: &dyn Fn(&Graph) -> Graph,
) -> Vec<Option<ValueId>> {
    let mut loop_ = Loop::new(scan, operands, used);
    loop_.sink_literals(graph);
    loop_.remove_dead();
    loop_.replace_body(simplified);
    loop_.remove_dead();
    loop_.hoist_invariants(graph);
    loop_.project_sequences(graph);
    loop_.project_stacks();
    if mode != Mode::Strict {
        loop_.sum_at_once();
    }
    loop_.remove_dead();
    loop_.finish(graph)
}

/// A value that a step hands to the next.
#[derive(Clone)]
struct Carry {
    leaf: ValueId,
    /// Its first value, outside.
    first: ValueId,
    /// Its next value, in the body.
    next: ValueId,
    name: Arc<str>,
}

/// A sequence or a constant.
#[derive(Clone, Copy)]
struct Bound {
    leaf: ValueId,
    /// What it is outside.
    outside: ValueId,
}

/// A value of the body that is stacked.
#[derive(Clone)]
struct Stack {
    name: Arc<str>,
    value: ValueId,
}

/// What a value outside of the loop is, in terms of the loop under change.
#[derive(Clone, Debug)]
enum Outside {
    /// It is there already.
    Value(ValueId),
    /// The last value of the carry with this leaf.
    Last(ValueId),
    /// The stack of this value of the body.
    Stacked(ValueId),
    /// An operator applied to others.
    Applied(Op, Vec<Outside>),
}

/// A loop under change. Carries and stacks are known by their values in the body, so that lists may shrink.
struct Loop {
    body: Graph,
    carries: Vec<Carry>,
    sequences: Vec<Bound>,
    constants: Vec<Bound>,
    stacks: Vec<Stack>,
    length: usize,
    reverse: bool,
    /// For each result that the loop had, what it is now, if anything uses it.
    results: Vec<Option<Outside>>,
}

impl Loop {
    fn new(scan: &Scan, operands: &[ValueId], used: &[bool]) -> Loop {
        let graph = scan.body.graph();
        let (inputs, outputs) = (scan.body.inputs(), graph.outputs());
        let carries = (0..scan.carries).map(|i| Carry {
            leaf: inputs[i],
            first: operands[i],
            next: outputs[i].value,
            name: outputs[i].name.clone(),
        });
        let bound = |i: usize| Bound { leaf: inputs[i], outside: operands[i] };
        let mut results = vec![None; outputs.len()];
        let mut stacks: Vec<Stack> = Vec::new();
        for (index, output) in outputs.iter().enumerate().filter(|(index, _)| used[*index]) {
            results[index] = Some(match index {
                _ if index < scan.carries => Outside::Last(inputs[index]),
                _ => Outside::Stacked(output.value),
            });
            if index >= scan.carries && stacks.iter().all(|stack| stack.value != output.value) {
                stacks.push(Stack { name: output.name.clone(), value: output.value });
            }
        }
        let mut body = graph.clone();
        body.retain_outputs(|_| false);
        Loop {
            carries: carries.collect(),
            sequences: (scan.carries..scan.first_constant()).map(bound).collect(),
            constants: (scan.first_constant()..inputs.len()).map(bound).collect(),
            stacks,
            length: scan.length,
            reverse: scan.reverse,
            results,
            body,
        }
    }

    /// The values of the body that the loop hands on.
    fn roots(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.carries.iter().map(|carry| carry.next).chain(self.stacks.iter().map(|stack| stack.value))
    }

    /// For each value of the body, whether it is another in each step.
    fn varies(&self) -> Vec<bool> {
        let leaves = self.carries.iter().map(|carry| carry.leaf).chain(self.sequences.iter().map(|bound| bound.leaf));
        self.body.descendants(leaves)
    }

    /// What a constant is outside, if the value is one.
    fn constant(&self, value: ValueId) -> Option<ValueId> {
        self.constants.iter().find(|bound| bound.leaf == value).map(|bound| bound.outside)
    }

    /// What a sequence is outside, if the value is a slice of one.
    fn sequence(&self, value: ValueId) -> Option<ValueId> {
        self.sequences.iter().find(|bound| bound.leaf == value).map(|bound| bound.outside)
    }

    /// The stack of a value: the sequence that it is a slice of, or one that the loop makes.
    fn stack_of(&mut self, value: ValueId) -> Outside {
        if let Some(sequence) = self.sequence(value) {
            return Outside::Value(sequence);
        }
        if self.stacks.iter().all(|stack| stack.value != value) {
            let name = self.body.value_name(value).cloned().unwrap_or_else(|| "r".into());
            self.stacks.push(Stack { name, value });
        }
        Outside::Stacked(value)
    }

    /// Replaces what the results, and the results of the results, say of the stack of a value.
    fn replace_stack(&mut self, value: ValueId, with: &Outside) {
        self.stacks.retain(|stack| stack.value != value);
        self.results.iter_mut().flatten().for_each(|outside| {
            outside.replace(&|outside| matches!(outside, Outside::Stacked(v) if *v == value), with);
        });
    }

    /// The same for the last value of a carry.
    fn replace_last(&mut self, leaf: ValueId, with: &Outside) {
        self.results.iter_mut().flatten().for_each(|outside| {
            outside.replace(&|outside| matches!(outside, Outside::Last(v) if *v == leaf), with);
        });
    }

    /// Puts `new` in the place of `old` wherever the body uses it and the loop hands it on.
    fn substitute(&mut self, replacements: &[(ValueId, ValueId)]) {
        if replacements.is_empty() {
            return;
        }
        let mut body = self.body.emptied();
        let mut places: Vec<Option<ValueId>> = vec![None; self.body.len()];
        let target = |value: ValueId| replacements.iter().find(|(old, _)| *old == value).map_or(value, |(_, new)| *new);
        // What comes in the place of others may have been made after them: leaves and constants are written first.
        let has_operands = |value: &ValueId| !self.body.operands(*value).is_empty();
        for value in self.body.values().filter(|value| !has_operands(value)) {
            places[value.index()] = Some(body.copy_node(&self.body, value, &[]));
        }
        for value in self.body.values().filter(has_operands) {
            let operands: Vec<ValueId> =
                self.body.operands(value).iter().filter_map(|&operand| places[target(operand).index()]).collect();
            places[value.index()] = Some(body.copy_node(&self.body, value, &operands));
        }
        let place = |value: ValueId| places[value.index()].expect("all values are copied");
        self.renumber(body, &|value| place(target(value)), &place);
    }

    /// Goes over to another body; `value` says where a value that is handed on is in it, `leaf` where a leaf is.
    fn renumber(&mut self, body: Graph, value: &dyn Fn(ValueId) -> ValueId, leaf: &dyn Fn(ValueId) -> ValueId) {
        for carry in &mut self.carries {
            (carry.leaf, carry.next) = (leaf(carry.leaf), value(carry.next));
        }
        self.sequences.iter_mut().chain(&mut self.constants).for_each(|bound| bound.leaf = leaf(bound.leaf));
        self.stacks.iter_mut().for_each(|stack| stack.value = value(stack.value));
        self.results.iter_mut().flatten().for_each(|outside| outside.renumber(value, leaf));
        self.body = body;
    }

    /// A body that is what `simplified` makes of this one.
    fn replace_body(&mut self, simplified: &dyn Fn(&Graph) -> Graph) {
        let leaves = self.leaves();
        let handed: Vec<(Arc<str>, ValueId)> = self.handed_on();
        let body = simplified(&self.body.part(&leaves, &handed));
        let inputs: Vec<ValueId> = body.leaves(gradc_ir::LeafKind::Input).collect();
        let outputs: Vec<ValueId> = body.outputs().iter().map(|output| output.value).collect();
        let position = |list: &[ValueId], value: ValueId| list.iter().position(|&v| v == value);
        let values: Vec<ValueId> = handed.iter().map(|&(_, value)| value).collect();
        let value = |v: ValueId| position(&values, v).map(|i| outputs[i]).expect("it is handed on");
        let leaf = |v: ValueId| position(&leaves, v).map(|i| inputs[i]).expect("it is an input");
        self.renumber(body, &value, &leaf);
        self.body.retain_outputs(|_| false);
        // Two values may have become one.
        let mut seen: Vec<ValueId> = Vec::new();
        self.stacks.retain(|stack| {
            let new = !seen.contains(&stack.value);
            seen.push(stack.value);
            new
        });
    }

    /// All inputs of the body, in order.
    fn leaves(&self) -> Vec<ValueId> {
        let bound = self.sequences.iter().chain(&self.constants).map(|bound| bound.leaf);
        self.carries.iter().map(|carry| carry.leaf).chain(bound).collect()
    }

    /// All results of the body, in order.
    fn handed_on(&self) -> Vec<(Arc<str>, ValueId)> {
        let carries = self.carries.iter().map(|carry| (carry.name.clone(), carry.next));
        carries.chain(self.stacks.iter().map(|stack| (stack.name.clone(), stack.value))).collect()
    }

    /// Writes the loop and what has become of its results.
    fn finish(self, graph: &mut Graph) -> Vec<Option<ValueId>> {
        let scan = (!self.carries.is_empty() || !self.stacks.is_empty()).then(|| {
            let step = self.body.part(&self.leaves(), &self.handed_on());
            let body = Body::new(&step).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
            let (carries, sequences) = (self.carries.len(), self.sequences.len());
            let scan = Scan { body, carries, sequences, length: self.length, reverse: self.reverse };
            let first = self.carries.iter().map(|carry| carry.first);
            let bound = self.sequences.iter().chain(&self.constants).map(|bound| bound.outside);
            graph.scan(&scan, &first.chain(bound).collect::<Vec<_>>())
        });
        let results = self.results.iter().map(|outside| Some(self.written(graph, scan, outside.as_ref()?)));
        results.collect()
    }

    fn written(&self, graph: &mut Graph, scan: Option<ValueId>, outside: &Outside) -> ValueId {
        let carry = |leaf: ValueId| self.carries.iter().position(|carry| carry.leaf == leaf);
        let stack = |value: ValueId| self.stacks.iter().position(|stack| stack.value == value);
        let index = match outside {
            Outside::Value(value) => return *value,
            Outside::Applied(op, operands) => {
                let operands: Vec<ValueId> =
                    operands.iter().map(|operand| self.written(graph, scan, operand)).collect();
                return graph.emit(op.clone(), &operands);
            }
            Outside::Last(leaf) => carry(*leaf),
            Outside::Stacked(value) => stack(*value).map(|index| self.carries.len() + index),
        };
        let (Some(scan), Some(index)) = (scan, index) else {
            unreachable!("gradc has a bug: a loop has lost a result that is used")
        };
        graph.result_of(scan, index)
    }
}

impl Outside {
    fn replace(&mut self, is: &dyn Fn(&Outside) -> bool, with: &Outside) {
        if is(self) {
            *self = with.clone();
        } else if let Outside::Applied(_, operands) = self {
            operands.iter_mut().for_each(|operand| operand.replace(is, with));
        }
    }

    fn renumber(&mut self, value: &dyn Fn(ValueId) -> ValueId, leaf: &dyn Fn(ValueId) -> ValueId) {
        match self {
            Outside::Value(_) => {}
            Outside::Last(last) => *last = leaf(*last),
            Outside::Stacked(stacked) => *stacked = value(*stacked),
            Outside::Applied(_, operands) => operands.iter_mut().for_each(|operand| operand.renumber(value, leaf)),
        }
    }

    /// Calls `visit` with this and what it is made of.
    fn visit(&self, visit: &mut dyn FnMut(&Outside)) {
        visit(self);
        if let Outside::Applied(_, operands) = self {
            operands.iter().for_each(|operand| operand.visit(visit));
        }
    }
}
