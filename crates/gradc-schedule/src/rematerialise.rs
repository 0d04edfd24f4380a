//! Rematerialisation: computing values again where keeping them would take more memory than there is.
//!
//! A training step takes the most memory where the forward pass ends and the backward pass begins: whatever the backward pass
//! reads is there. That step is the *turn* here, and what is computed before it and read after it *crosses* it. Where a plan
//! needs more than [`Options::memory_limit`], some of what crosses is dropped and computed a second time, by the same
//! operators on the same operands, right before it is read. Nothing is computed more than twice.
//!
//! Two ways are tried, and of what stays within the limit the one is taken that computes the least again:
//!
//! - *In place*: what is neither a product nor a loop, and is computed from leaves and from what crosses the turn anyway.
//! - *In segments* (Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016): the steps before the
//!   turn are cut into segments in which about equally many bytes cross. Of a segment that is computed again, only what the
//!   segments after it read is kept. What one of its values needs is computed where the first of them is read: so all of a
//!   segment is there at once, and segments one after another. Of each number of segments, the fewest are computed again that
//!   suffice, those of the earliest steps, whose values are kept for longest.
//!
//! Loops and their results are kept. The number of plans that are tried depends on the logarithm of the number of values, and
//! each takes the time of any plan.

use std::collections::BTreeSet;

use gradc_ir::{Graph, ValueId};

use crate::groups::{Groups, group};
use crate::memory::{Memory, assign};
use crate::places::{Place, Places};
use crate::plan::{Plan, Recomputed};
use crate::scans::Bodies;
use crate::schedule::{Options, plan};

/// How many segments there may be.
const SEGMENTS: [usize; 14] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192];

/// The plan for a graph that computes the least again of those that stay within the limit, or else the one with the smallest
/// arena that was found. `plain` is the plan that computes nothing again.
pub(crate) fn within(graph: &Graph, options: &Options, plain: Plan, limit: usize) -> Plan {
    let outline = Outline::new(graph, options);
    let mut search =
        Search { graph, options, outline: &outline, flops: gradc_ir::work(graph).flops, limit, best: plain };
    search.consider(&outline.in_place());
    for count in SEGMENTS.into_iter().take_while(|&count| count <= outline.crossing.len()) {
        let segments = outline.segments(count);
        // The last one ends at the turn: its values are read as soon as they are there again.
        let (mut fewest, mut most) = (1, count - 1);
        if !search.consider(&outline.dropped(&segments, most)) {
            continue;
        }
        while fewest < most {
            let middle = usize::midpoint(fewest, most);
            match search.consider(&outline.dropped(&segments, middle)) {
                true => most = middle,
                false => fewest = middle + 1,
            }
        }
    }
    search.best
}

struct Search<'a> {
    graph: &'a Graph,
    options: &'a Options,
    outline: &'a Outline,
    /// Those of the graph as it is.
    flops: u64,
    limit: usize,
    best: Plan,
}

impl Search<'_> {
    /// Makes the plan that computes these values again, and says whether it is within the limit.
    fn consider(&mut self, dropped: &[bool]) -> bool {
        if !dropped.contains(&true) {
            return false;
        }
        let Again { graph, first, values } = again(self.graph, self.outline, dropped);
        let mut found = plan(&graph, self.options, first);
        let flops = gradc_ir::work(&graph).flops.saturating_sub(self.flops);
        found.recomputed = Some(Recomputed { values, flops, bytes_without: self.bytes_without() });
        let (fits, fitted) = (found.arena_bytes <= self.limit, self.best.arena_bytes <= self.limit);
        let is_better = match (fits, fitted) {
            (true, true) => flops < self.best.recomputed.map_or(0, |recomputed| recomputed.flops),
            (true, false) => true,
            (false, true) => false,
            (false, false) => found.arena_bytes < self.best.arena_bytes,
        };
        if is_better {
            self.best = found;
        }
        fits
    }

    /// The arena of the plan that computes nothing again.
    fn bytes_without(&self) -> usize {
        self.best.recomputed.map_or(self.best.arena_bytes, |recomputed| recomputed.bytes_without)
    }
}

/// What is known of the plan that computes nothing again.
struct Outline {
    /// For each value, what it is before the turn.
    kinds: Vec<Kind>,
    /// Whether a root is computed after the turn.
    late: Vec<bool>,
    /// The roots that are kept in the arena across the turn, with the steps that compute them, in the order of these.
    crossing: Vec<(usize, ValueId)>,
    bytes: Vec<usize>,
    /// For each root that is computed before the turn, its step, and the last step before the turn that reads it.
    steps: Vec<Option<(usize, usize)>>,
    /// What each root reads.
    needs: Vec<Vec<ValueId>>,
    /// The operands of values that are part of expressions, or of others' memory.
    operands: Vec<Vec<ValueId>>,
    /// For a product that is written to another root's memory, and what is between these, that root.
    destinations: Vec<Option<ValueId>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// In memory whatever is done: a leaf, a result, a loop, or what is computed after the turn.
    Kept,
    /// A root that is computed before the turn.
    Early {
        /// Whether it is a product of matrices.
        product: bool,
    },
    /// Part of expressions, or another view of a root.
    Part,
}

impl Outline {
    fn new(graph: &Graph, options: &Options) -> Outline {
        let places = Places::new(graph, options);
        let groups = group(graph, &places, options, None);
        let bodies = Bodies::new(graph, places.roots(), options);
        let turn = peak(&assign(graph, &places, &groups, &bodies), groups.steps.len());
        let mut last_read = vec![(0, 0); graph.len()];
        for root in places.roots() {
            let Some(step) = groups.step_of(root) else { continue };
            for need in &groups.needs[root.index()] {
                let (early, any) = &mut last_read[need.value.index()];
                *any = (*any).max(step);
                if step <= turn {
                    *early = (*early).max(step);
                }
            }
        }
        let mut results = vec![false; graph.len()];
        for output in graph.outputs() {
            places.memory(output.value).into_iter().for_each(|value| results[value.index()] = true);
        }
        let step_before_turn = |root: ValueId| groups.step_of(root).filter(|&step| step <= turn);
        let kind = |value: ValueId| match places.of(value) {
            Place::Leaf | Place::Dead => Kind::Kept,
            Place::View | Place::Inline => Kind::Part,
            Place::Root => match (step_before_turn(value), graph.op(value)) {
                (Some(_), Some(_)) if !results[value.index()] && !is_of_a_loop(graph, value) => {
                    Kind::Early { product: places.product(value).is_some() }
                }
                _ => Kind::Kept,
            },
        };
        let kinds: Vec<Kind> = graph.values().map(kind).collect();
        let crosses = |&root: &ValueId| {
            matches!(kinds[root.index()], Kind::Early { .. })
                && groups.is_stored(root)
                && last_read[root.index()].1 > turn
        };
        let mut crossing: Vec<(usize, ValueId)> =
            places.roots().filter(crosses).filter_map(|root| Some((groups.step_of(root)?, root))).collect();
        crossing.sort_unstable();
        Outline {
            late: graph.values().map(|value| groups.step_of(value).is_some_and(|step| step > turn)).collect(),
            bytes: graph.values().map(|value| graph.ty(value).bytes()).collect(),
            steps: graph.values().map(|value| Some((step_before_turn(value)?, last_read[value.index()].0))).collect(),
            needs: needs(&groups),
            operands: graph.values().map(|value| graph.operands(value).to_vec()).collect(),
            destinations: graph.values().map(|value| places.destination(value)).collect(),
            kinds,
            crossing,
        }
    }

    /// What is computed from leaves and from what crosses the turn, by no product.
    fn in_place(&self) -> Vec<bool> {
        let mut crosses = vec![false; self.kinds.len()];
        self.crossing.iter().for_each(|(_, root)| crosses[root.index()] = true);
        let there = |value: &ValueId| crosses[value.index()] || self.kinds[value.index()] == Kind::Kept;
        let is_dropped = |value: ValueId| {
            crosses[value.index()]
                && self.kinds[value.index()] == Kind::Early { product: false }
                && self.needs[value.index()].iter().all(there)
        };
        self.with_parts(is_dropped)
    }

    /// The last step of each segment but the last.
    fn segments(&self, count: usize) -> Vec<usize> {
        let total: usize = self.crossing.iter().map(|(_, root)| self.bytes[root.index()]).sum();
        let (mut ends, mut sum) = (Vec::new(), 0usize);
        for &(step, root) in &self.crossing {
            sum += self.bytes[root.index()];
            if ends.len() + 1 < count && sum as u128 * count as u128 >= total as u128 * (ends.len() as u128 + 1) {
                ends.push(step);
            }
        }
        ends
    }

    /// What is dropped where the first `again` of the segments with these last steps are computed again.
    fn dropped(&self, ends: &[usize], again: usize) -> Vec<bool> {
        let segment = |step: usize| ends.partition_point(|&end| end < step);
        self.with_parts(|value| {
            let (Kind::Early { .. }, Some((step, last_read))) = (self.kinds[value.index()], self.steps[value.index()])
            else {
                return false;
            };
            let own = segment(step);
            // What a segment after it needs to be computed again is kept.
            let feeds_another = (own + 1..=segment(last_read)).any(|later| later < again);
            own < again && !feeds_another
        })
    }

    /// These roots, and what is part of the same expressions or memory.
    fn with_parts(&self, is_dropped: impl Fn(ValueId) -> bool) -> Vec<bool> {
        let mut dropped = vec![false; self.kinds.len()];
        for index in 0..self.kinds.len() {
            dropped[index] = match self.kinds[index] {
                Kind::Kept => false,
                Kind::Early { .. } => is_dropped(ValueId::from_index(index)),
                Kind::Part if let Some(root) = self.destinations[index] => {
                    matches!(self.kinds[root.index()], Kind::Early { .. }) && is_dropped(root)
                }
                Kind::Part => self.operands[index].iter().any(|operand| dropped[operand.index()]),
            };
        }
        dropped
    }
}

/// What each root reads from memory.
fn needs(groups: &Groups) -> Vec<Vec<ValueId>> {
    groups.needs.iter().map(|needs| needs.iter().map(|need| need.value).collect()).collect()
}

/// Whether a value is a loop or a result of one.
fn is_of_a_loop(graph: &Graph, value: ValueId) -> bool {
    graph.as_scan(value).is_some() || graph.as_result(value).is_some()
}

/// The step, of so many, during which the most bytes of the arena are in use.
fn peak(memory: &Memory, steps: usize) -> usize {
    // Lives count steps from 1.
    let mut change = vec![0i128; steps + 3];
    for (buffer, live) in memory.buffers.iter().zip(&memory.lives) {
        if let Some(live) = live {
            change[live.from] += buffer.ty.bytes() as i128;
            change[live.to + 1] -= buffer.ty.bytes() as i128;
        }
    }
    let (mut now, mut most, mut at) = (0, 0, 0);
    for (step, change) in change.into_iter().enumerate() {
        now += change;
        if now > most {
            (most, at) = (now, step);
        }
    }
    at.clamp(1, steps.max(1)) - 1
}

/// A graph in which values are computed again.
struct Again {
    graph: Graph,
    /// The first value that is.
    first: Option<ValueId>,
    /// How many roots of the original are.
    values: usize,
}

/// The graph in which what is computed after the turn reads other copies of what is dropped.
fn again(graph: &Graph, outline: &Outline, dropped: &[bool]) -> Again {
    let late = &outline.late;
    let mut new = graph.emptied();
    let mut places: Vec<ValueId> = Vec::with_capacity(graph.len());
    let mut copies: Vec<Option<ValueId>> = vec![None; graph.len()];
    let (mut first, mut values) = (None, 0);
    for value in graph.values() {
        if late[value.index()] {
            for copied in missing(graph, graph.operands(value), dropped, &copies) {
                let operands = operands_after(graph, copied, &places, &copies);
                let copy = new.copy_node(graph, copied, &operands);
                if let Some(name) = graph.value_name(copied) {
                    new.set_value_name(copy, format!("{name}.again"));
                }
                copies[copied.index()] = Some(copy);
                first = first.or(Some(copy));
                values += usize::from(outline.kinds[copied.index()] != Kind::Part);
            }
        }
        let operands = match late[value.index()] {
            true => operands_after(graph, value, &places, &copies),
            false => graph.operands(value).iter().map(|operand| places[operand.index()]).collect(),
        };
        places.push(new.copy_node(graph, value, &operands));
    }
    for output in graph.outputs() {
        new.add_output(output.role, output.name.clone(), places[output.value.index()]);
    }
    Again { graph: new, first, values }
}

/// What has to be copied before something can read `values` after the turn, in the graph's order.
fn missing(graph: &Graph, values: &[ValueId], dropped: &[bool], copies: &[Option<ValueId>]) -> Vec<ValueId> {
    let mut open: Vec<ValueId> = values.to_vec();
    let mut found = BTreeSet::new();
    while let Some(value) = open.pop() {
        if dropped[value.index()] && copies[value.index()].is_none() && found.insert(value) {
            open.extend(graph.operands(value));
        }
    }
    found.into_iter().collect()
}

/// The operands of a value that is computed after the turn.
fn operands_after(graph: &Graph, value: ValueId, places: &[ValueId], copies: &[Option<ValueId>]) -> Vec<ValueId> {
    graph.operands(value).iter().map(|operand| copies[operand.index()].unwrap_or(places[operand.index()])).collect()
}
