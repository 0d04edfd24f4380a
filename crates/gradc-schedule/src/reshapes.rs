//! Reshapes of what a kernel could compute for itself.
//!
//! A kernel reads at positions that are affine functions of its loops. So where a reshape makes one axis of several, as before a
//! product of matrices, what it is applied to must be in memory, even if it is but a value that is there times a broadcast
//! vector. Here the reshape is moved to that value, of which it is a view: then each kernel that reads the result computes it,
//! and reads no more than before, and nothing is written. Every bit stays the same.
//!
//! Where that is not possible (the gradient of a pool is computed for each of its windows), the one elementwise operator that reads
//! the reshape is done before it, with its other operands in that shape: then what it makes is in memory, and not also what it is
//! made of.
//!
//! The other way round, a sum over an axis that others read as several axes is one over these, in the same order: then its loops
//! are theirs, and one kernel computes them.

use std::borrow::Cow;

use gradc_ir::op::{broadcast::BROADCAST, reduce_sum::REDUCE_SUM, reshape::RESHAPE};
use gradc_ir::{Class, Graph, Shape, TensorType, ValueId};

use crate::index::{split, splits};
use crate::numerics::rewritten;
use crate::places::{RECOMPUTE_LIMIT, cost_of, is_assembled};
use crate::reduction::{reduction, unrolled};

/// Values that are looked at for one reshape.
const LIMIT: usize = 16;

/// What is written in place of a reshape, after what it is made of; numbers are those of earlier steps.
enum Step {
    /// A view of a value that is in memory.
    View(ValueId, Shape),
    /// A constant.
    Full(f64, TensorType),
    /// A broadcast: of what, along which axes, to which shape.
    Broadcast(usize, Vec<usize>, Shape),
    /// The operator of a value.
    Apply(ValueId, Vec<usize>),
    /// A step in another shape.
    Reshape(usize, Shape),
}

/// The graph with reshapes moved where that spares memory.
pub(crate) fn move_reshapes(graph: &Graph) -> Cow<'_, Graph> {
    let live = graph.live();
    let mut is_result = vec![false; graph.len()];
    graph.outputs().iter().for_each(|output| is_result[output.value.index()] = true);
    let worth = |value: ValueId| match live[value.index()] && !is_result[value.index()] {
        true => steps(graph, value).or_else(|| done_before(graph, value, &live, &is_result)),
        false => None,
    };
    let moved: Vec<Option<Vec<Step>>> = graph.values().map(worth).collect();
    let is_sum_split = |value: ValueId| live[value.index()] && split_sum(graph, value).is_some();
    if moved.iter().all(Option::is_none) && !graph.values().any(is_sum_split) {
        return Cow::Borrowed(graph);
    }
    Cow::Owned(rewritten(graph, |value, new, places| {
        if let Some((shape, axes)) = split_sum(graph, value).filter(|_| live[value.index()]) {
            let operand = new.reshape(places[graph.operands(value)[0].index()], &shape);
            return Some(new.reduce_sum(operand, &axes));
        }
        let mut written: Vec<ValueId> = Vec::new();
        for step in moved[value.index()].as_ref()? {
            written.push(match step {
                Step::View(value, shape) if graph.shape(*value) == shape => places[value.index()],
                Step::View(value, shape) => new.reshape(places[value.index()], shape),
                Step::Full(number, ty) => new.full(*number, ty),
                Step::Broadcast(of, axes, shape) => new.broadcast(written[*of], axes, shape),
                Step::Apply(value, operands) => {
                    let operands: Vec<ValueId> = operands.iter().map(|&operand| written[operand]).collect();
                    let op = graph.op(*value)?.clone();
                    new.apply(op, &operands).unwrap_or_else(|error| unreachable!("gradc has a bug: {error}"))
                }
                Step::Reshape(of, shape) => new.reshape(written[*of], shape),
            });
        }
        written.last().copied()
    }))
}

/// The shape of its operand in which others compute with it, and the axes of that, where a value is a sum.
fn split_sum(graph: &Graph, value: ValueId) -> Option<(Shape, Vec<usize>)> {
    let op = graph.op(value).filter(|op| op.is(&REDUCE_SUM))?;
    let (operand, reduced) = (graph.operands(value)[0], op.attrs.ints("axes"));
    reduction(graph, value)?;
    let from = graph.shape(operand);
    let computes = |user: ValueId| {
        let is_computed = |class: Class| matches!(class, Class::Elementwise | Class::Reduce);
        graph.users(user).any(|(user, _)| graph.op(user).is_some_and(|op| is_computed(op.def.class)))
    };
    graph.users(operand).find_map(|(user, _)| {
        graph.op(user).filter(|op| op.is(&RESHAPE) && computes(user))?;
        let to = graph.shape(user);
        let parts = split(from, to)?;
        let is_whole = |axis: usize| parts[axis].len() == 1;
        let covers = parts.last().is_some_and(|last| last.end == to.rank());
        let keeps = (0..from.rank()).all(|axis| reduced.contains(&axis) || is_whole(axis));
        let is_split = reduced.iter().any(|&axis| !is_whole(axis));
        (covers && keeps && is_split)
            .then(|| (to.clone(), reduced.iter().flat_map(|&axis| parts[axis].clone()).collect()))
    })
}

/// What a reshape becomes, if it is worth it.
fn steps(graph: &Graph, value: ValueId) -> Option<Vec<Step>> {
    graph.op(value).filter(|op| op.is(&RESHAPE))?;
    let (operand, to) = (graph.operands(value)[0], graph.shape(value));
    let is_computed = graph.op(operand).is_some_and(|op| op.def.class == Class::Elementwise);
    if !is_computed || splits(graph.shape(operand), to) {
        return None;
    }
    // What reads memory alone would have it written there all the same.
    let computes = |class: Class| matches!(class, Class::Elementwise | Class::Reduce);
    if !graph.users(value).all(|(user, _)| graph.op(user).is_some_and(|op| computes(op.def.class))) {
        return None;
    }
    let mut moving = Moving { graph, elements: to.elements(), steps: Vec::new(), looked: 0, cost: 0, source: None };
    moving.moved(operand, to)?;
    // What has no broadcast is read through the reshape as it is.
    let has_broadcast = moving.steps.iter().any(|step| matches!(step, Step::Broadcast(..)));
    has_broadcast.then_some(moving.steps)
}

/// What an elementwise operator becomes that is done before the reshape that it reads, if it is worth it: nothing else reads that,
/// which itself cannot be moved.
fn done_before(graph: &Graph, value: ValueId, live: &[bool], is_result: &[bool]) -> Option<Vec<Step>> {
    let is_computed = |value: ValueId| graph.op(value).is_some_and(|op| op.def.class == Class::Elementwise);
    let is_for_one = |value: ValueId| {
        let readers = graph.users(value).filter(|(user, _)| live[user.index()]).count();
        readers == 1 && !is_result[value.index()]
    };
    let is_movable = |operand: ValueId| {
        let is_reshape = graph.op(operand).is_some_and(|op| op.is(&RESHAPE));
        is_reshape && is_for_one(operand) && steps(graph, operand).is_none()
    };
    if !is_computed(value) {
        return None;
    }
    let operands = graph.operands(value);
    let reshaped = operands.iter().copied().find(|&operand| is_movable(operand))?;
    let source = graph.operands(reshaped)[0];
    let (shape, to) = (graph.shape(source), graph.shape(value));
    let is_larger = graph.dtype(value).size() > graph.dtype(source).size();
    if !is_computed(source) || !is_for_one(source) || is_larger || splits(shape, to) {
        return None;
    }
    let elements = shape.elements();
    let mut moving = Moving { graph, elements, steps: Vec::new(), looked: 0, cost: 0, source: None };
    let mut moved = Vec::new();
    for &operand in operands {
        if operand == reshaped {
            moving.steps.push(Step::View(source, shape.clone()));
            moved.push(moving.steps.len() - 1);
        } else {
            moved.push(moving.moved(operand, shape)?);
        }
    }
    moving.steps.push(Step::Apply(value, moved));
    moving.steps.push(Step::Reshape(moving.steps.len() - 1, to.clone()));
    Some(moving.steps)
}

struct Moving<'g> {
    graph: &'g Graph,
    /// Of the reshape.
    elements: usize,
    steps: Vec<Step>,
    /// How many values were looked at.
    looked: usize,
    /// The additions for an element.
    cost: u32,
    /// The one value in memory of as many elements.
    source: Option<ValueId>,
}

impl Moving<'_> {
    /// Adds what `value` is in another shape of as many elements; the number of the step.
    fn moved(&mut self, value: ValueId, to: &Shape) -> Option<usize> {
        self.looked += 1;
        if self.looked > LIMIT {
            return None;
        }
        let graph = self.graph;
        let step = match graph.op(value) {
            None => self.view(value, to)?,
            // What is spread over rows is the same value.
            Some(_) if graph.shape(value) == to && to.elements() < self.elements => Step::View(value, to.clone()),
            Some(_) if let Some(number) = graph.as_full(value) => {
                Step::Full(number, graph.ty(value).with_shape(to.clone()))
            }
            Some(op) if op.is(&RESHAPE) => return self.moved(graph.operands(value)[0], to),
            Some(op) if op.is(&BROADCAST) => {
                let (axes, from) =
                    (self.merged(op.attrs.ints("axes"), graph.shape(value), to)?, graph.operands(value)[0]);
                let own: Shape = axes.iter().map(|&axis| to[axis]).collect();
                Step::Broadcast(self.moved(from, &own)?, axes, to.clone())
            }
            Some(op) if op.def.class == Class::Elementwise => {
                self.cost = self.cost.saturating_add(cost_of(op));
                if self.cost > RECOMPUTE_LIMIT {
                    return None;
                }
                let operands = graph.operands(value).iter().map(|&operand| self.moved(operand, to));
                Step::Apply(value, operands.collect::<Option<_>>()?)
            }
            Some(op) if is_assembled(op) || op.def.class == Class::Contract => self.view(value, to)?,
            Some(op) if op.def.class == Class::Reduce && unrolled(graph, value).is_none() => self.view(value, to)?,
            Some(_) => return None,
        };
        self.steps.push(step);
        Some(self.steps.len() - 1)
    }

    fn view(&mut self, value: ValueId, to: &Shape) -> Option<Step> {
        // To read two values where one was read is no gain.
        if to.elements() == self.elements && *self.source.get_or_insert(value) != value {
            return None;
        }
        Some(Step::View(value, to.clone()))
    }

    /// The axes of `to` that those of a broadcast become, where each axis of `to` is made of axes that are among them, or of none;
    /// or where each axis of the broadcast is split into some of them.
    fn merged(&self, axes: &[usize], from: &Shape, to: &Shape) -> Option<Vec<usize>> {
        let Some(made_of) = split(to, from) else {
            let parts = split(from, to)?;
            return Some(axes.iter().flat_map(|&axis| parts[axis].clone()).collect());
        };
        let mut merged = Vec::new();
        for (axis, parts) in made_of.into_iter().enumerate() {
            let mut own = parts.filter(|&part| from[part] != 1).map(|part| axes.contains(&part));
            let first = own.next().unwrap_or(false);
            if own.any(|other| other != first) {
                return None;
            }
            if first {
                merged.push(axis);
            }
        }
        Some(merged)
    }
}
