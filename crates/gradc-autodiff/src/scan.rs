//! The derivative of a loop: another loop around the derivative of its body.
//!
//! In reverse mode it runs the other way. Its carries are the cotangents of the carries and, for each constant, the sum of
//! what the steps contribute; its sequences are the cotangents of the stacks; what it stacks are the cotangents of the
//! sequences. In forward mode it runs the same way, and its carries, sequences and constants are tangents. What either
//! reads of the loop itself is stacked there ([`residuals`]): the loop is extended in place and keeps its number.

use std::sync::Arc;

use gradc_ir::op::scan::Scan;
use gradc_ir::{Body, Graph, TensorType, ValueId};

use crate::residuals::{self, Supply};
use crate::rules::Rules;
use crate::sweep;

/// For each operand of a loop the cotangent it receives, given those of its results. `wanted` says which are needed.
pub(crate) fn pull_back(
    graph: &mut Graph,
    rules: &Rules<'_>,
    value: ValueId,
    cotangents: &[Option<ValueId>],
    wanted: &[bool],
) -> Vec<Option<ValueId>> {
    let mut contributions = vec![None; wanted.len()];
    let Some(scan) = graph.as_scan(value) else { return contributions };
    let (inputs, results) = (scan.body.inputs().to_vec(), scan.body.results().collect::<Vec<_>>());
    let active = active(&scan, wanted);
    let useful = useful(&scan, &cotangents.iter().map(Option::is_some).collect::<Vec<_>>());
    let flows = |i: &usize| active[inputs[*i].index()] && (cotangents[*i].is_some() || useful[inputs[*i].index()]);
    let carried: Vec<usize> = (0..scan.carries).filter(flows).collect();

    let mut derived = Derived::new(&scan, rules);
    let mut seeds = Vec::new();
    for &i in &carried {
        let first = cotangents[i].unwrap_or_else(|| zeros(graph, &scan.result_type(i)));
        let leaf = derived.input(&format!("d_{}", scan.body.graph().outputs()[i].name), graph.ty(first).clone());
        derived.carries.push((leaf, first));
        seeds.push((results[i], leaf));
    }
    for j in (scan.carries..results.len()).filter(|&j| active[results[j].index()]) {
        let Some(stack) = cotangents[j] else { continue };
        let ty = scan.body.result_type(j).clone();
        let leaf = derived.input(&format!("d_{}", scan.body.graph().outputs()[j].name), ty);
        derived.sequences.push((leaf, stack));
        seeds.push((results[j], leaf));
    }
    let is_wrt =
        |i: usize| if i < scan.carries { carried.contains(&i) } else { wanted[i] && active[inputs[i].index()] };
    let wrt: Vec<usize> = (0..inputs.len()).filter(|&i| is_wrt(i)).collect();
    let found =
        sweep::pull_back(&mut derived.graph, rules, &seeds, &wrt.iter().map(|&i| inputs[i]).collect::<Vec<_>>());
    // What each result of the derivative is the cotangent of.
    let (mut carries, mut stacks) = (Vec::new(), Vec::new());
    for (&i, found) in wrt.iter().zip(found) {
        let name: Arc<str> = format!("d_{}", derived.name(inputs[i])).into();
        match found {
            _ if i < scan.carries => {
                let next = found.unwrap_or_else(|| derived.graph.full_like(inputs[i], 0.0));
                carries.push((i, name, next));
            }
            Some(slice) if scan.is_sequence(i) => stacks.push((i, name, slice)),
            Some(share) => {
                // Over many steps, a sum of 16 bits would stall.
                let ty = derived.graph.ty(inputs[i]);
                let first = zeros(graph, &ty.with_dtype(ty.dtype.arithmetic()));
                let ty = graph.ty(first).clone();
                let share = derived.graph.cast(share, ty.dtype);
                let sum = derived.input(&format!("sum_{name}"), ty);
                derived.carries.push((sum, first));
                let next = derived.graph.add(sum, share);
                carries.push((i, name, next));
            }
            None => {}
        }
    }
    let all: Vec<(usize, Arc<str>, ValueId)> = carries.into_iter().chain(stacks).collect();
    if all.iter().any(|&(i, ..)| wanted[i]) {
        let loop_ =
            derived.build(graph, value, &scan, !scan.reverse, all.iter().map(|(_, name, v)| (name.clone(), *v)));
        for (index, &(i, ..)) in all.iter().enumerate().filter(|(_, (i, ..))| wanted[*i]) {
            let found = graph.result_of(loop_, index);
            contributions[i] = Some(graph.cast(found, graph.dtype(graph.operands(value)[i])));
        }
    }
    contributions
}

/// For each result of a loop its tangent, given those of its operands.
pub(crate) fn push_forward(
    graph: &mut Graph,
    rules: &Rules<'_>,
    value: ValueId,
    tangents: &[Option<ValueId>],
) -> Vec<Option<ValueId>> {
    let Some(scan) = graph.as_scan(value) else { return Vec::new() };
    let (inputs, results) = (scan.body.inputs().to_vec(), scan.body.results().collect::<Vec<_>>());
    let active = active(&scan, &tangents.iter().map(Option::is_some).collect::<Vec<_>>());
    let mut derived = Derived::new(&scan, rules);
    let mut seeds = Vec::new();
    for (i, &input) in inputs.iter().enumerate().filter(|(_, input)| active[input.index()]) {
        let outside = match tangents[i] {
            Some(tangent) => tangent,
            None => zeros(graph, &scan.operand_type(i)),
        };
        let leaf = derived.input(&format!("t_{}", derived.name(input)), scan.body.graph().ty(input).clone());
        let list = match i {
            _ if i < scan.carries => &mut derived.carries,
            _ if scan.is_sequence(i) => &mut derived.sequences,
            _ => &mut derived.constants,
        };
        list.push((leaf, outside));
        seeds.push((input, leaf));
    }
    let of: Vec<usize> = (0..results.len())
        .filter(|&index| active[if index < scan.carries { inputs[index] } else { results[index] }.index()])
        .collect();
    let found =
        sweep::push_forward(&mut derived.graph, rules, &seeds, &of.iter().map(|&i| results[i]).collect::<Vec<_>>());
    let mut all: Vec<(usize, Arc<str>, ValueId)> = Vec::new();
    for (&index, tangent) in of.iter().zip(found) {
        let name = format!("t_{}", scan.body.graph().outputs()[index].name).into();
        match tangent {
            Some(tangent) => all.push((index, name, tangent)),
            None if index < scan.carries => all.push((index, name, derived.graph.full_like(inputs[index], 0.0))),
            None => {}
        }
    }
    let mut moved = vec![None; results.len()];
    if !all.is_empty() {
        let loop_ = derived.build(graph, value, &scan, scan.reverse, all.iter().map(|(_, name, v)| (name.clone(), *v)));
        for (position, &(index, ..)) in all.iter().enumerate() {
            moved[index] = Some(graph.result_of(loop_, position));
        }
    }
    moved
}

fn zeros(graph: &mut Graph, ty: &TensorType) -> ValueId {
    graph.full(0.0, ty)
}

/// For each value of the body, whether a derivative flows to it from one of the inputs given, in the same step or a later.
fn active(scan: &Scan, given: &[bool]) -> Vec<bool> {
    let graph = scan.body.graph();
    let mut given = given.to_vec();
    loop {
        let mut active = vec![false; graph.len()];
        for (&input, _) in scan.body.inputs().iter().zip(&given).filter(|(_, given)| **given) {
            active[input.index()] = graph.dtype(input).is_float();
        }
        for value in graph.values().filter(|&value| sweep::passes(graph, value)) {
            active[value.index()] = graph.differentiable_operands(value).iter().any(|operand| active[operand.index()]);
        }
        let mut settled = true;
        for (i, result) in scan.body.results().take(scan.carries).enumerate() {
            if active[result.index()] && !given[i] {
                given[i] = true;
                settled = false;
            }
        }
        if settled {
            return active;
        }
    }
}

/// For each value of the body, whether a derivative flows from it to one of the results given, in the same step or a later.
fn useful(scan: &Scan, given: &[bool]) -> Vec<bool> {
    let graph = scan.body.graph();
    let mut given = given.to_vec();
    loop {
        let mut useful = vec![false; graph.len()];
        scan.body.results().zip(&given).for_each(|(result, given)| useful[result.index()] |= given);
        for value in graph.values().rev().filter(|&value| sweep::passes(graph, value)) {
            if useful[value.index()] {
                graph.differentiable_operands(value).iter().for_each(|operand| useful[operand.index()] = true);
            }
        }
        let mut settled = true;
        for (i, input) in scan.body.inputs().iter().take(scan.carries).enumerate() {
            if useful[input.index()] && !given[i] {
                given[i] = true;
                settled = false;
            }
        }
        if settled {
            return useful;
        }
    }
}

/// The body of a loop with the derivative of a step appended, before the two are taken apart.
struct Derived {
    graph: Graph,
    /// How many values the body has.
    made: usize,
    /// Whether what is left of an activation is kept: [`Rules::keeping_complements`].
    keeps_complements: bool,
    /// The inputs that the derivative added, with what they are outside: first values, sequences and constants.
    carries: Vec<(ValueId, ValueId)>,
    sequences: Vec<(ValueId, ValueId)>,
    constants: Vec<(ValueId, ValueId)>,
}

impl Derived {
    fn new(scan: &Scan, rules: &Rules<'_>) -> Derived {
        let mut graph = scan.body.graph().clone();
        graph.retain_outputs(|_| false);
        let (made, keeps_complements) = (graph.len(), rules.keeps_complements);
        let (carries, sequences, constants) = (Vec::new(), Vec::new(), Vec::new());
        Derived { graph, made, keeps_complements, carries, sequences, constants }
    }

    fn name(&self, input: ValueId) -> Arc<str> {
        self.graph.value_name(input).cloned().unwrap_or_else(|| "x".into())
    }

    /// A new input under this name, or one like it.
    fn input(&mut self, name: &str, ty: TensorType) -> ValueId {
        let name = crate::unused_name(&self.graph, name);
        self.graph.input(name, ty)
    }

    /// Appends the loop whose step computes `results` to `graph`, with `scan`, the loop that is differentiated, extended by
    /// what it reads of it.
    fn build(
        mut self,
        graph: &mut Graph,
        value: ValueId,
        scan: &Scan,
        reverse: bool,
        results: impl Iterator<Item = (Arc<str>, ValueId)>,
    ) -> ValueId {
        let results: Vec<(Arc<str>, ValueId)> = results.collect();
        let kept = self.residuals(scan, &results);
        // What is stacked already is called as it is there.
        for output in &scan.body.graph().outputs()[scan.carries..] {
            if kept.contains(&output.value) && self.graph.value_name(output.value).is_none() {
                self.graph.set_value_name(output.value, output.name.clone());
            }
        }
        let supplied = self.supplied(graph, value, scan, &kept);
        let outer = graph.operands(value).to_vec();
        let constant = |kept: &ValueId| scan.body.inputs()[scan.first_constant()..].iter().position(|c| c == kept);
        let (mut sequences, mut constants) = (self.sequences.clone(), self.constants.clone());
        for (kept, outside) in kept.into_iter().zip(supplied) {
            match (outside, constant(&kept)) {
                (Some(stack), _) => sequences.push((kept, stack)),
                (None, Some(number)) => constants.push((kept, outer[scan.first_constant() + number])),
                (None, None) => unreachable!("gradc has a bug: what a loop keeps is a stack or a constant"),
            }
        }
        let bound: Vec<(ValueId, ValueId)> =
            [&self.carries, &sequences, &constants].into_iter().flatten().copied().collect();
        let step = self.graph.part(&bound.iter().map(|&(inside, _)| inside).collect::<Vec<_>>(), &results);
        let body = Body::new(&step).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
        let (carries, sequences) = (self.carries.len(), sequences.len());
        let derivative = Scan { body, carries, sequences, length: scan.length, reverse };
        graph.scan(&derivative, &bound.iter().map(|&(_, outside)| outside).collect::<Vec<_>>())
    }

    /// The values of the body that the derivative is to be given.
    fn residuals(&self, scan: &Scan, results: &[(Arc<str>, ValueId)]) -> Vec<ValueId> {
        let added = [&self.carries, &self.sequences, &self.constants].into_iter().flatten().map(|&(inside, _)| inside);
        let varies = self.graph.descendants(added);
        let live = self.graph.ancestors(results.iter().map(|&(_, value)| value));
        let mut is_read = vec![false; self.graph.len()];
        for value in self.graph.values().filter(|value| live[value.index()] && varies[value.index()]) {
            self.graph.operands(value).iter().for_each(|operand| is_read[operand.index()] = true);
        }
        results.iter().for_each(|(_, value)| is_read[value.index()] = true);
        let is_read = |value: &ValueId| is_read[value.index()] && !varies[value.index()];
        let read: Vec<ValueId> = self.graph.values().filter(is_read).collect();
        let stacked: Vec<ValueId> = scan.body.results().skip(scan.carries).collect();
        let supply = |value: ValueId| {
            let input = scan.body.inputs().iter().position(|&input| input == value);
            match input {
                _ if stacked.contains(&value) => Some(Supply::Free),
                Some(input) if input < scan.carries => Some(Supply::Stacked),
                Some(_) => Some(Supply::Free),
                None => None,
            }
        };
        let is_dear = |value: ValueId| self.keeps_complements && residuals::is_complement(&self.graph, value);
        residuals::least(&self.graph, &read, supply, is_dear, self.made)
    }

    /// For each value that is kept, the stack of it outside; none for a constant. Extends the loop by those that are missing.
    fn supplied(&self, graph: &mut Graph, value: ValueId, scan: &Scan, kept: &[ValueId]) -> Vec<Option<ValueId>> {
        let outer = graph.operands(value).to_vec();
        let mut results: Vec<(Arc<str>, ValueId)> =
            scan.body.graph().outputs().iter().map(|output| (output.name.clone(), output.value)).collect();
        let before = results.len();
        let mut places = Vec::with_capacity(kept.len());
        for &kept in kept {
            let input = scan.body.inputs().iter().position(|&input| input == kept);
            places.push(match input {
                Some(input) if scan.is_sequence(input) => Place::Sequence(input),
                Some(input) if input >= scan.first_constant() => Place::Constant,
                _ => Place::Stack(results[scan.carries..].iter().position(|&(_, value)| value == kept).map_or_else(
                    || {
                        results.push((self.graph.value_name(kept).cloned().unwrap_or_else(|| "r".into()), kept));
                        results.len() - 1
                    },
                    |position| scan.carries + position,
                )),
            });
        }
        if results.len() > before {
            let extended = Body::new(&self.graph.part(scan.body.inputs(), &results));
            graph.extend_scan(value, extended.unwrap_or_else(|error| panic!("gradc has a bug: {error}")));
        }
        let supplied = places.into_iter().zip(kept).map(|(place, &kept)| match place {
            Place::Sequence(input) => Some(outer[input]),
            Place::Constant => None,
            Place::Stack(index) => {
                let stack = graph.result_of(value, index);
                if let (None, Some(name)) = (graph.value_name(stack), self.graph.value_name(kept)) {
                    graph.set_value_name(stack, name.clone());
                }
                Some(stack)
            }
        });
        supplied.collect()
    }
}

/// Where a value that is kept comes from.
enum Place {
    /// It is a slice of this operand.
    Sequence(usize),
    /// It is a constant of the loop.
    Constant,
    /// It is stacked as this result.
    Stack(usize),
}
