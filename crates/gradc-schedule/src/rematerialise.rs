//! Rematerialisation: computing values again where keeping them would take more memory than there is.
//!
//! A training step takes the most memory where the forward pass ends and the backward pass begins: whatever the backward pass
//! reads is there. That step is the *turn* here, and what is computed before it and read after it *crosses* it. Where a plan
//! needs more than [`Options::memory_limit`], some of what crosses is dropped and computed a second time, by the same
//! operators on the same operands, right before it is read.
//!
//! Two ways are tried, and the second on top of the first. Of what stays within the limit the one is taken that computes the
//! least again:
//!
//! - *In place*: what is neither a product nor a loop, nor takes as long as these (random numbers do), and is computed from
//!   leaves and from what is in memory at the turn anyway, by as many steps as it may take. Each step that reads it computes
//!   it for itself, so that it need not be in memory at all, unless that takes a matrix; what several steps read and one step
//!   would compute for all of them, as it reads the same, that step computes once. With less memory there, another step
//!   may be the turn: so this is done a few times over.
//! - *In segments* (Chen, Xu, Zhang, Guestrin, "Training deep nets with sublinear memory cost", 2016): the steps before the
//!   turn are cut into segments in which about equally many bytes cross. Of a segment that is computed again, only what the
//!   segments after it read is kept. What one of its values needs is computed where the first of them is read: so all of a
//!   segment is there at once, and segments one after another. Of each number of segments, the fewest are computed again that
//!   suffice, those of the earliest steps, whose values are kept for longest.
//!
//! With or without a limit, a plan whose arena is larger than the caches computes in place what it can, if that moves hardly more
//! bytes. There, products of few terms are computed again as well, the scores of attention for one: once, with what is made of them.
//!
//! Loops and their results are kept. The number of plans that are tried depends on the logarithm of the number of values, and
//! each takes the time of any plan.

use std::collections::BTreeSet;

use gradc_ir::{Graph, ValueId};
use rustc_hash::FxHashMap;

use crate::groups::{Groups, group};
use crate::memory::{Memory, assign};
use crate::places::{Place, Places};
use crate::plan::{Plan, Recomputed, Step, Traffic, traffic};
use crate::scans::Bodies;
use crate::schedule::{Options, plan};

/// An arena of so many bytes is larger than the caches of most machines.
const LARGE: usize = 64 << 20;

/// What takes more additions to compute than this, loads counted, is kept like a product of matrices.
const COSTLY: u32 = 128;

/// Sums of so many products take about as long to compute as to write to memory and to read again.
const FEW_TERMS: usize = 64;

/// What makes an arena smaller by less than one such part of it is not worth while.
const HARDLY_LESS: usize = 64;

/// Bytes that are moved may be more by one such part of them.
const HARDLY_MORE: usize = 32;

/// How often more is computed in place.
const ROUNDS: usize = 4;

/// How many segments there may be.
const SEGMENTS: [usize; 14] = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192];

/// With so many, any number of them is tried.
const FEW_SEGMENTS: usize = 8;

/// The plan for a graph that computes the least again of those that stay within the limit, or else the one with the smallest
/// arena that was found. `first` is the plan without a limit.
pub(crate) fn within(graph: &Graph, options: &Options, first: Plan, limit: usize) -> Plan {
    let original = Again::nothing(graph);
    let mut search = Search { options, flops: gradc_ir::work(graph).flops, limit, best: first };
    let lean = search.in_place(&original);
    search.in_segments(&original);
    // What is computed in place takes no memory between segments either.
    if let Some(lean) = lean {
        search.in_segments(&lean);
    }
    search.best
}

/// The plan for a graph: `plain`, which computes nothing again, or, where its arena is so large that most of it comes from memory,
/// one that computes in place what it can, products of few terms too, if it moves hardly more bytes. What is computed again is little next
/// to these.
pub(crate) fn lean(graph: &Graph, options: &Options, plain: Plan) -> Plan {
    // What lasts from run to run is not computed again.
    if plain.arena_bytes - plain.lasting_bytes() < LARGE {
        return plain;
    }
    let most_moved = bytes_moved(&plain) / HARDLY_MORE * (HARDLY_MORE + 1);
    let mut search = Search { options, flops: gradc_ir::work(graph).flops, limit: 0, best: plain };
    let mut now = Again::nothing(graph);
    for _ in 0..ROUNDS {
        let most_bytes = search.best.arena_bytes / HARDLY_LESS * (HARDLY_LESS - 1);
        let pays = |found: &Plan| found.arena_bytes < most_bytes && bytes_moved(found) <= most_moved;
        // Without products, where these move too much.
        let mut found = [FEW_TERMS, 0].into_iter().filter_map(|few| search.next_in_place(&now, few));
        let Some((next, found)) = found.find(|(_, found)| pays(found)) else { break };
        (search.best, now) = (found, next);
    }
    search.best
}

/// What the steps of a plan read and write.
fn bytes_moved(plan: &Plan) -> usize {
    let of_step = |step: &Step| {
        let Traffic { read, written } = traffic(plan, step);
        read.saturating_add(written)
    };
    plan.steps.iter().map(of_step).fold(0, usize::saturating_add)
}

/// How often what is dropped is computed again.
enum Copies<'d> {
    /// Once.
    Once,
    /// By each step that reads it, but for two kinds of values.
    OfEachStep {
        /// What is computed once.
        once: &'d [bool],
        /// What is computed in the same step for several readers anyway.
        together: &'d Together,
    },
}

/// For a reader and a value, the first of the readers for which the value is computed in the same step, if that is another one.
type Together = FxHashMap<(usize, ValueId), usize>;

/// Stands for all readers. No reader is in the first step.
const ALL: usize = 0;

impl Copies<'_> {
    /// The reader whose copy of a value is the one for a reader.
    fn reader(&self, reader: usize, value: ValueId) -> usize {
        match self {
            Copies::Once => ALL,
            Copies::OfEachStep { once, .. } if once[value.index()] => ALL,
            Copies::OfEachStep { together, .. } => together.get(&(reader, value)).copied().unwrap_or(reader),
        }
    }
}

struct Search<'a> {
    options: &'a Options,
    /// Those of the graph that computes nothing again.
    flops: u64,
    limit: usize,
    best: Plan,
}

impl Search<'_> {
    /// Computes more in place, and more again, as long as that takes less memory: when there is less at the turn, another step is.
    /// Returns the last graph of these.
    fn in_place(&mut self, original: &Again) -> Option<Again> {
        // The best plan may be one of these already, whose graph is needed all the same.
        let (mut last, mut bytes) = (None, self.bytes_without());
        for _ in 0..ROUNDS {
            let Some((next, found)) = self.next_in_place(last.as_ref().unwrap_or(original), 0) else { break };
            let is_smaller = found.arena_bytes < bytes;
            bytes = found.arena_bytes;
            self.consider(found);
            if !is_smaller {
                break;
            }
            last = Some(next);
        }
        last
    }

    /// What is computed in place on top of what is computed again already, products of so `few` terms too, with its plan; nothing, where
    /// nothing else can be.
    fn next_in_place(&self, now: &Again, few: usize) -> Option<(Again, Plan)> {
        let outline = Outline::new(now, self.options);
        let dropped = outline.in_place(few);
        let once = &outline.with_products(&dropped);
        let again = |together: &Together| again(now, &outline, &dropped, &Copies::OfEachStep { once, together });
        let mut known = Together::default();
        let mut next = again(&known);
        if next.values <= now.values {
            return None;
        }
        // With fewer copies, more of them may be where another one is.
        for _ in 0..ROUNDS {
            let more = together(&next, self.options);
            if more.is_empty() {
                break;
            }
            known.iter_mut().for_each(|((_, value), first)| *first = *more.get(&(*first, *value)).unwrap_or(first));
            known.extend(more);
            next = again(&known);
        }
        let found = self.plan(&next);
        Some((next, found))
    }

    /// Tries all numbers of segments.
    fn in_segments(&mut self, original: &Again) {
        let outline = Outline::new(original, self.options);
        for count in SEGMENTS.into_iter().take_while(|&count| count <= outline.crossing.len()) {
            let segments = outline.segments(count);
            let mut try_with = |count_again: usize| {
                let again = again(original, &outline, &outline.dropped(&segments, count_again), &Copies::Once);
                again.values > original.values && self.consider(self.plan(&again))
            };
            // The last one ends at the turn: its values are read as soon as they are there again.
            let (mut fewest, mut most) = (1, count - 1);
            if !try_with(most) {
                // What is computed again takes memory itself, so fewer segments may take less.
                (1..most).filter(|_| count <= FEW_SEGMENTS).for_each(|fewer| _ = try_with(fewer));
                continue;
            }
            while fewest < most {
                let middle = usize::midpoint(fewest, most);
                match try_with(middle) {
                    true => most = middle,
                    false => fewest = middle + 1,
                }
            }
        }
    }

    /// The plan of a graph that computes values again.
    fn plan(&self, again: &Again) -> Plan {
        let mut found = plan(&again.graph, self.options, &again.copied);
        let flops = gradc_ir::work(&again.graph).flops.saturating_sub(self.flops);
        found.recomputed = Some(Recomputed { values: again.values, flops, bytes_without: self.bytes_without() });
        found
    }

    /// Takes a plan if it is better, and says whether it is within the limit.
    fn consider(&mut self, found: Plan) -> bool {
        let flops = found.recomputed.map_or(0, |recomputed| recomputed.flops);
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
    /// For each root that is computed after the turn, its step.
    late: Vec<Option<usize>>,
    /// The roots that are kept in the arena across the turn, with the steps that compute them, in the order of these.
    crossing: Vec<(usize, ValueId)>,
    /// Whether it is a root that is in the arena at the turn.
    at_turn: Vec<bool>,
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
    Early(Cost),
    /// Part of expressions, or another view of a root.
    Part,
}

/// What it is to compute a root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cost {
    Little,
    /// As much as of a product: random numbers do.
    Much,
    /// A product of matrices, each element of which is a sum of so many terms.
    Product(usize),
}

impl Outline {
    /// Of a graph in which some values are computed again already.
    fn new(again: &Again, options: &Options) -> Outline {
        let graph = &again.graph;
        let places = Places::new(graph, options);
        let groups = group(graph, &places, options, &again.copied);
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
                    Kind::Early(cost(graph, &places, value))
                }
                _ => Kind::Kept,
            },
        };
        let kinds: Vec<Kind> = graph.values().map(kind).collect();
        // What is between a product and the root whose memory it is written to is part of the step of that root.
        let late = |value: ValueId| {
            let root = places.destination(value).unwrap_or(value);
            groups.step_of(root).filter(|&step| step > turn)
        };
        let crosses = |&root: &ValueId| {
            matches!(kinds[root.index()], Kind::Early(_)) && groups.is_stored(root) && last_read[root.index()].1 > turn
        };
        let is_at_turn = |root: ValueId| {
            matches!(kinds[root.index()], Kind::Early(_)) && groups.is_stored(root) && last_read[root.index()].1 >= turn
        };
        let mut crossing: Vec<(usize, ValueId)> =
            places.roots().filter(crosses).filter_map(|root| Some((groups.step_of(root)?, root))).collect();
        crossing.sort_unstable();
        Outline {
            late: graph.values().map(late).collect(),
            at_turn: graph.values().map(is_at_turn).collect(),
            bytes: graph.values().map(|value| graph.ty(value).bytes()).collect(),
            steps: graph.values().map(|value| Some((step_before_turn(value)?, last_read[value.index()].0))).collect(),
            needs: needs(&groups),
            operands: graph.values().map(|value| graph.operands(value).to_vec()).collect(),
            destinations: graph.values().map(|value| places.destination(value)).collect(),
            kinds,
            crossing,
        }
    }

    /// What is computed from leaves and from what is in memory at the turn anyway, by nothing that is costly. A product is not,
    /// if its sums have few terms.
    fn in_place(&self, few: usize) -> Vec<bool> {
        let is_costly = |cost: Cost| match cost {
            Cost::Little => false,
            Cost::Much => true,
            Cost::Product(terms) => terms > few,
        };
        // Whether it is there, or can be computed from what is. What a root reads is before it in the graph.
        let mut there = vec![false; self.kinds.len()];
        let mut dropped = vec![false; self.kinds.len()];
        for (index, kind) in self.kinds.iter().enumerate() {
            let from_what_is_there = self.needs[index].iter().all(|need| there[need.index()]);
            dropped[index] = matches!(*kind, Kind::Early(cost) if !is_costly(cost)) && from_what_is_there;
            there[index] = *kind == Kind::Kept || self.at_turn[index] || dropped[index];
        }
        self.with_parts(|value| dropped[value.index()])
    }

    /// What of some values is a product, or is computed from one of these products.
    fn with_products(&self, dropped: &[bool]) -> Vec<bool> {
        let mut from_products = vec![false; dropped.len()];
        for index in (0..dropped.len()).filter(|&index| dropped[index]) {
            let is_product = matches!(self.kinds[index], Kind::Early(Cost::Product(_)));
            from_products[index] =
                is_product || self.operands[index].iter().any(|operand| from_products[operand.index()]);
        }
        from_products
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
            let (Kind::Early(_), Some((step, last_read))) = (self.kinds[value.index()], self.steps[value.index()])
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
                Kind::Early(_) => is_dropped(ValueId::from_index(index)),
                Kind::Part if let Some(root) = self.destinations[index] => {
                    matches!(self.kinds[root.index()], Kind::Early(_)) && is_dropped(root)
                }
                Kind::Part => self.operands[index].iter().any(|operand| dropped[operand.index()]),
            };
        }
        dropped
    }
}

/// What it is to compute a root.
fn cost(graph: &Graph, places: &Places<'_>, root: ValueId) -> Cost {
    match places.product(root).and_then(|product| Some((product, graph.op(product)?))) {
        Some((product, op)) => {
            let [a, b] = [0, 1].map(|at| graph.ty(graph.operands(product)[at]));
            let (_, _, terms) = gradc_ir::op::matmul::sizes(&op.attrs, a, b);
            Cost::Product(terms)
        }
        None if places.cost(root) > COSTLY => Cost::Much,
        None => Cost::Little,
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
    /// Which of its values are.
    copied: Vec<bool>,
    /// How many roots of the original are.
    values: usize,
    /// What was copied to make it of the graph before it.
    made: Copied,
}

impl Again {
    /// A graph in which none are.
    fn nothing(graph: &Graph) -> Again {
        Again { graph: graph.clone(), copied: Vec::new(), values: 0, made: Copied::default() }
    }
}

/// The copies of values, by the step that reads them first.
type Copied = FxHashMap<(usize, ValueId), ValueId>;

/// Which copies of one value are computed in one step.
fn together(apart: &Again, options: &Options) -> Together {
    let graph = &apart.graph;
    let places = Places::new(graph, options);
    let groups = group(graph, &places, options, &apart.copied);
    let mut only_step: Vec<Option<usize>> = vec![None; graph.len()];
    for value in graph.values().rev() {
        let of_readers = || {
            let mut steps = graph.users(value).map(|(user, _)| only_step[user.index()]);
            let first = steps.next()??;
            steps.all(|step| step == Some(first)).then_some(first)
        };
        only_step[value.index()] = groups.step_of(value).or_else(of_readers);
    }
    let mut first: FxHashMap<(usize, ValueId), usize> = FxHashMap::default();
    let mut copies: Vec<(usize, ValueId, usize)> = Vec::new();
    for (&(reader, value), copy) in &apart.made {
        let Some(step) = only_step[copy.index()] else { continue };
        copies.push((reader, value, step));
        first.entry((step, value)).and_modify(|first| *first = reader.min(*first)).or_insert(reader);
    }
    let with_first = copies.into_iter().map(|(reader, value, step)| ((reader, value), first[&(step, value)]));
    with_first.filter(|((reader, _), first)| reader != first).collect()
}

/// The graph in which what is computed after the turn reads other copies of what is dropped.
fn again(original: &Again, outline: &Outline, dropped: &[bool], copies: &Copies) -> Again {
    let graph = &original.graph;
    let mut new = graph.emptied();
    let mut places: Vec<ValueId> = Vec::with_capacity(graph.len());
    let mut made = Copied::default();
    let (mut copied, mut again) = (Vec::new(), vec![false; graph.len()]);
    for value in graph.values() {
        let reader = outline.late[value.index()];
        if let Some(reader) = reader {
            for (old, reader) in missing(graph, outline, (reader, value), dropped, copies, &made) {
                let operands = operands_after(graph, (reader, old), &places, copies, &made);
                let copy = new.copy_node(graph, old, &operands);
                if let (Some(name), false) = (graph.value_name(old), again[old.index()]) {
                    new.set_value_name(copy, format!("{name}.again"));
                }
                made.insert((reader, old), copy);
                copied.resize(copy.index() + 1, false);
                copied[copy.index()] = true;
                again[old.index()] = outline.kinds[old.index()] != Kind::Part;
            }
        }
        let operands = match reader {
            Some(reader) => operands_after(graph, (reader, value), &places, copies, &made),
            None => graph.operands(value).iter().map(|operand| places[operand.index()]).collect(),
        };
        let place = new.copy_node(graph, value, &operands);
        if original.copied.get(value.index()) == Some(&true) {
            copied.resize(place.index() + 1, false);
            copied[place.index()] = true;
        }
        places.push(place);
    }
    for output in graph.outputs() {
        new.add_output(output.role, output.name.clone(), places[output.value.index()]);
    }
    copied.resize(new.len(), false);
    let values = original.values + again.into_iter().filter(|&again| again).count();
    Again { graph: new, copied, values, made }
}

/// What has to be copied, and for which readers, before a step after the turn can compute one of its values, in the graph's order:
/// what is dropped, and what is part of the same expressions, lest that be kept in its place.
fn missing(
    graph: &Graph,
    outline: &Outline,
    (reader, value): (usize, ValueId),
    dropped: &[bool],
    copies: &Copies,
    made: &Copied,
) -> BTreeSet<(ValueId, usize)> {
    let is_dropped = |value: ValueId| dropped[value.index()];
    let is_part = |value: ValueId| outline.kinds[value.index()] == Kind::Part;
    let operands = |value: ValueId| graph.operands(value).iter().copied();
    let mut open: Vec<(ValueId, usize)> =
        operands(value).filter(|&operand| is_dropped(operand)).map(|operand| (operand, reader)).collect();
    let mut found = BTreeSet::new();
    while let Some((value, reader)) = open.pop() {
        let reader = copies.reader(reader, value);
        if !made.contains_key(&(reader, value)) && found.insert((value, reader)) {
            let needed = operands(value).filter(|&operand| is_dropped(operand) || is_part(operand));
            open.extend(needed.map(|operand| (operand, reader)));
        }
    }
    found
}

/// The operands of a value that is computed after the turn, or of its copy, for a reader.
fn operands_after(
    graph: &Graph,
    (reader, value): (usize, ValueId),
    places: &[ValueId],
    copies: &Copies,
    made: &Copied,
) -> Vec<ValueId> {
    let after = |&operand: &ValueId| {
        let copy = made.get(&(copies.reader(reader, operand), operand));
        copy.copied().unwrap_or(places[operand.index()])
    };
    graph.operands(value).iter().map(after).collect()
}
