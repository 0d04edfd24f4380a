//! Fusion: which roots are computed by one step.
//!
//! Roots are taken in an order in which each follows what it reads (updates of a parameter or a state last, after all that
//! read it). A root joins the step of the last thing that it reads, or a recent step that reads what it reads (any recent
//! one, where it has few elements or reads nothing), where the loops fit; else it begins a new step. Since a root never joins
//! a step before one that it reads from, steps need no other order than that of their numbers, and this takes linear time.
//!
//! # The loops of a step
//!
//! A step of loops has a *space*: the loops over the shape of its values. Where it has reductions over the innermost
//! axes, the loops around these are its *rows*; inside of a row, *passes* over its elements alternate with blocks that
//! handle the row as a whole (the reduced values and what is computed from them). Softmax is a row kernel: a pass for
//! the maximum, one for the exponentials and their sum, one for the quotients.
//!
//! [`Member::time`] counts blocks (even, from 0) and passes (odd) in the order in which they run. A pass reads what the
//! same or an earlier pass or an earlier block has computed; the loops of a pass read values of an earlier pass from
//! memory.
//!
//! Reductions over other axes run along: they are combined in memory, or in a register around several rows, and are
//! *late*: their results are there when the step is done.

use gradc_ir::op::scan::SCAN;
use gradc_ir::{Class, Graph, LeafKind, Role, Shape, ValueId};
use rustc_hash::FxHashMap;

use crate::Options;
use crate::in_place::{Update, candidates, in_place};
use crate::index::{Index, squeezed};
use crate::kernel::{Affine, LoopVar};
use crate::needs::{Need, needs_of};
use crate::places::{Places, is_assembled};
use crate::reduction::{Reduction, loops_of, reduction};

/// Joining a step that is further back than this would keep values in memory for longer than it saves.
const WINDOW: usize = 12;

/// To do something for so many elements costs about as much as to begin a kernel. Loops over no more join any others of the same
/// extents.
pub(crate) const SMALL: usize = 4096;

/// More members, or more arithmetic, do not fit the registers of any machine.
const MEMBER_LIMIT: usize = 32;
const COST_LIMIT: u32 = 1024;

/// Where a member is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// For each row.
    Row,
    /// For each element of the space.
    Element,
}

/// When the result of a member is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// At once, for the row or the element that is being computed.
    Now,
    /// A reduction of the row: in the block after the pass.
    AfterPass,
    /// When the step is done.
    Late,
}

/// A root that a step of loops computes.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// The root.
    pub(crate) value: ValueId,
    /// Where it is computed.
    pub(crate) level: Level,
    /// In which block or pass.
    pub(crate) time: u32,
    /// When its result is there.
    pub(crate) outcome: Outcome,
}

/// What a step does.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// Loops over a space.
    Loops {
        /// Extents, outermost first, none of which is 1.
        space: Shape,
        /// How many of them are rows, once a member asks for it.
        rows: Option<usize>,
        /// What is computed, in order.
        members: Vec<Member>,
        /// The arithmetic of all members.
        cost: u32,
    },
    /// One matrix product, and the update that it is added to, if that is all it is for.
    Product(ValueId, Option<Update>),
    /// One value that is put together by loops over its operands: see [`is_assembled`].
    Assembly(ValueId),
    /// One loop, with all its results.
    Scan(ValueId),
}

/// The steps of a graph.
pub(crate) struct Groups {
    /// In the order in which they run.
    pub(crate) steps: Vec<Work>,
    /// What each root reads, by value.
    pub(crate) needs: Vec<Vec<Need>>,
    /// The step of each root, and its position among the members.
    home: Vec<Option<(usize, usize)>>,
    /// Whether another step, or a later pass of its own, reads a root.
    stored: Vec<bool>,
}

impl Groups {
    /// The step that computes a root.
    pub(crate) fn step_of(&self, root: ValueId) -> Option<usize> {
        self.home[root.index()].map(|home| home.0)
    }

    /// The member that a root is, where its step is one of loops.
    pub(crate) fn member(&self, root: ValueId) -> Option<&Member> {
        let (step, position) = self.home[root.index()]?;
        match &self.steps[step] {
            Work::Loops { members, .. } => members.get(position),
            _ => None,
        }
    }

    /// Whether a root is kept in memory.
    pub(crate) fn is_stored(&self, root: ValueId) -> bool {
        self.stored[root.index()]
    }
}

/// Distributes the roots of a graph over steps. Some values, if any, are those that are computed `again`: these are not computed
/// before it is their turn, and from the first of them on, no root joins a step before it.
pub(crate) fn group(graph: &Graph, places: &Places<'_>, options: &Options, again: &[bool]) -> Groups {
    let mut needs: Vec<Vec<Need>> = vec![Vec::new(); graph.len()];
    places.roots().for_each(|root| needs[root.index()] = needs_of(graph, places, root));
    let updated = updated_leaves(graph, places);
    let candidates = match options.fuse && options.refine {
        true => candidates(graph, places, &needs),
        false => Vec::new(),
    };
    let added_to = candidates.iter().map(|update| (update.product, update.leaf)).collect();
    let order = order(graph, places, &needs, &updated, &added_to, again);
    let in_place = in_place(graph, &candidates, &needs, &order);
    let mut stored = vec![false; graph.len()];
    let kept = graph.outputs().iter().filter_map(|output| places.memory(output.value));
    kept.for_each(|value| stored[value.index()] = true);
    let groups = Groups { steps: Vec::new(), needs, home: vec![None; graph.len()], stored };
    let mut grouping = Grouping {
        graph,
        places,
        groups,
        updated,
        in_place,
        last_reader: vec![None; graph.len()],
        last_scalar: None,
        again: again.iter().position(|&again| again).map(ValueId::from_index),
        closed: 0,
        fuse: options.fuse,
    };
    order.into_iter().for_each(|root| grouping.place(root));
    grouping.groups
}

/// For each root, the leaf that it is the next value of.
fn updated_leaves(graph: &Graph, places: &Places<'_>) -> Vec<Option<ValueId>> {
    let mut updated = vec![None; graph.len()];
    for (leaf, value) in updates(graph) {
        if let Some(root) = places.memory(value) {
            updated[root.index()] = Some(leaf);
        }
    }
    updated
}

/// Each leaf that the graph updates, with its next value, in the order of the results.
pub(crate) fn updates(graph: &Graph) -> Vec<(ValueId, ValueId)> {
    let leaves = [LeafKind::Param, LeafKind::State].into_iter().flat_map(|kind| graph.leaves(kind));
    let by_name: FxHashMap<&str, ValueId> =
        leaves.filter_map(|leaf| graph.value_name(leaf).map(|name| (&**name, leaf))).collect();
    let updates = graph.outputs_of(Role::Update);
    updates.filter_map(|output| by_name.get(&*output.name).map(|&leaf| (leaf, output.value))).collect()
}

/// The roots in the order in which they are placed: the graph's, with two exceptions, which come right after what they read,
/// while that is still in the cache. One is a single element, or few that something is done with for each row: they take next to no
/// memory, and what reads them need not wait. The other is
/// an update with what is for it alone, so that a gradient need not be kept until all are there; but an update comes after the
/// last root that reads the leaf, so that it can be written in place, and so does a product that may be added to the leaf.
fn order(
    graph: &Graph,
    places: &Places<'_>,
    needs: &[Vec<Need>],
    updated: &[Option<ValueId>],
    added_to: &FxHashMap<ValueId, ValueId>,
    again: &[bool],
) -> Vec<ValueId> {
    // Leaves are there from the beginning, wherever the graph has them.
    let start = ValueId::from_index(0);
    let mut last_reader: Vec<ValueId> = vec![start; graph.len()];
    for root in places.roots() {
        for need in needs[root.index()].iter().filter(|need| updated[root.index()] != Some(need.value)) {
            last_reader[need.value.index()] = root;
        }
    }
    let only_for = only_for(graph, places, needs, updated);
    // What some root has more loops than.
    let mut is_spread = vec![false; graph.len()];
    for root in places.roots().filter(|&root| graph.op(root).is_some_and(|op| op.def.class != Class::Contract)) {
        let loops = loops_of(graph, root).elements();
        for need in &needs[root.index()] {
            is_spread[need.value.index()] |= graph.shape(need.value).elements() < loops;
        }
    }
    // A value's place in the graph, or right after that of another one.
    let place = |value: ValueId| if graph.leaf(value).is_some() { start } else { value };
    let mut keys: Vec<(ValueId, bool)> = graph.values().map(|value| (place(value), false)).collect();
    for root in places.roots() {
        let reads = needs[root.index()].iter().map(|need| keys[need.value.index()]);
        // A moment waits for its parameter, whose update is then part of the same step; a product, to be added to it.
        let own = updated[root.index()].into_iter().flat_map(|leaf| [Some(leaf), only_for[root.index()]]).flatten();
        let leaves = own.chain(added_to.get(&root).copied());
        let leaf = leaves.map(|leaf| (last_reader[leaf.index()], true)).max();
        let elements = graph.shape(root).elements();
        let takes_no_memory = elements == 1 || is_spread[root.index()] && elements <= SMALL;
        // What is made of all of a leaf had better be in the loops of something else that reads it.
        let has_begun = needs[root.index()].iter().any(|need| graph.leaf(need.value).is_none());
        let is_early =
            takes_no_memory && (has_begun || loops_of(graph, root).elements() == 1) || only_for[root.index()].is_some();
        let waits = !is_early || again.get(root.index()) == Some(&true);
        let own = waits.then_some((root, false));
        keys[root.index()] = reads.chain(leaf).chain(own).max().unwrap_or((start, false));
    }
    let mut order: Vec<ValueId> = places.roots().collect();
    order.sort_by_key(|root| (keys[root.index()], *root));
    order
}

/// For each root that is the update of a leaf, or for that of one leaf alone, this leaf: for the gradient of a parameter and all
/// that the optimiser makes of it, the parameter.
fn only_for(
    graph: &Graph,
    places: &Places<'_>,
    needs: &[Vec<Need>],
    updated: &[Option<ValueId>],
) -> Vec<Option<ValueId>> {
    /// What a root is read for.
    #[derive(Clone, Copy, PartialEq)]
    enum For {
        Nothing,
        /// The update of this leaf.
        One(ValueId),
        More,
    }
    let mut read_for = vec![For::Nothing; graph.len()];
    for output in graph.outputs().iter().filter(|output| output.role != Role::Update) {
        places.memory(output.value).into_iter().for_each(|value| read_for[value.index()] = For::More);
    }
    let roots: Vec<ValueId> = places.roots().collect();
    for root in roots.into_iter().rev() {
        let at = root.index();
        // The update of a moment is for that of the parameter, which reads it.
        read_for[at] = match (read_for[at], updated[at]) {
            (For::Nothing, Some(leaf)) => For::One(leaf),
            (For::Nothing, None) => For::More,
            (other, _) => other,
        };
        let reader = read_for[at];
        for need in &needs[at] {
            let read = &mut read_for[need.value.index()];
            *read = if *read == For::Nothing || *read == reader { reader } else { For::More };
        }
    }
    read_for.into_iter().map(|read| if let For::One(leaf) = read { Some(leaf) } else { None }).collect()
}

struct Grouping<'a, 'g> {
    graph: &'g Graph,
    places: &'a Places<'g>,
    groups: Groups,
    updated: Vec<Option<ValueId>>,
    /// The updates that products make, by the next value.
    in_place: FxHashMap<ValueId, Update>,
    /// The last step that reads a root or a leaf.
    last_reader: Vec<Option<usize>>,
    /// The last step that computes scalars from scalars.
    last_scalar: Option<usize>,
    /// From this root on, none joins a step before it.
    again: Option<ValueId>,
    /// Steps that no root joins any more.
    closed: usize,
    fuse: bool,
}

impl Grouping<'_, '_> {
    fn place(&mut self, root: ValueId) {
        if let Some((scan, _)) = self.graph.as_result(root) {
            // There when the loop is done, in memory.
            self.groups.home[root.index()] = self.groups.home[scan.index()];
            self.groups.stored[root.index()] = true;
            return;
        }
        if self.again.take_if(|again| root >= *again).is_some() {
            self.closed = self.groups.steps.len();
        }
        if let Some(update) = self.in_place.get(&root).copied() {
            return self.update(update);
        }
        let work = self.single(root);
        let home = match work {
            Work::Loops { .. } if self.fuse => self.join(root),
            _ => None,
        };
        let step = home.unwrap_or_else(|| {
            if matches!(&work, Work::Loops { space, .. } if space.rank() == 0) {
                self.last_scalar = Some(self.groups.steps.len());
            }
            self.groups.steps.push(work);
            self.groups.home[root.index()] = Some((self.groups.steps.len() - 1, 0));
            self.groups.steps.len() - 1
        });
        for need in std::mem::take(&mut self.groups.needs[root.index()]) {
            self.note_read(root, step, &need);
            self.groups.needs[root.index()].push(need);
        }
    }

    /// The next value of a leaf is what the step of the product makes of it. It is no more than written: the product itself is
    /// nowhere, and the leaf is read where it is changed.
    fn update(&mut self, update: Update) {
        let Some(step) = self.groups.step_of(update.product) else { return };
        self.groups.steps[step] = Work::Product(update.product, Some(update));
        self.groups.home[update.value.index()] = Some((step, 1));
        self.groups.needs[update.value.index()].clear();
        if let Some(value) = update.factor {
            let need = Need { value, at: None };
            self.note_read(update.product, step, &need);
            self.groups.needs[update.product.index()].push(need);
        }
        self.last_reader[update.leaf.index()] = Some(step);
    }

    /// A root that another step or another pass computes is read from memory.
    fn note_read(&mut self, root: ValueId, step: usize, need: &Need) {
        let last = &mut self.last_reader[need.value.index()];
        *last = (*last).max(Some(step));
        let in_registers = self.groups.step_of(need.value) == Some(step)
            && match (self.groups.member(need.value), self.groups.member(root)) {
                (Some(read), Some(reader)) => {
                    read.level == Level::Row || read.outcome == Outcome::AfterPass || read.time == reader.time
                }
                _ => false,
            };
        if !in_registers {
            self.groups.stored[need.value.index()] = true;
        }
    }

    /// A step for one root.
    fn single(&self, root: ValueId) -> Work {
        let op = self.graph.op(root);
        if self.places.product(root).is_some() {
            return Work::Product(root, None);
        }
        if op.is_some_and(is_assembled) {
            return Work::Assembly(root);
        }
        if op.is_some_and(|op| op.is(&SCAN)) {
            return Work::Scan(root);
        }
        let space = loops_of(self.graph, root);
        let (rows, outcome) = match reduction(self.graph, root) {
            None => (None, Outcome::Now),
            Some(reduction) => fit(&reduction, space.rank(), None, Level::Element).unwrap_or((None, Outcome::Late)),
        };
        let members = vec![Member { value: root, level: Level::Element, time: 1, outcome }];
        Work::Loops { space, rows, members, cost: self.places.cost(root) }
    }

    /// Adds a root to a step that is there, if one fits.
    fn join(&mut self, root: ValueId) -> Option<usize> {
        let needs = &self.groups.needs[root.index()];
        let mut earliest = needs.iter().filter_map(|need| self.groups.step_of(need.value)).max();
        if let Some(leaf) = self.updated[root.index()] {
            earliest = earliest.max(self.last_reader[leaf.index()]);
        }
        let space = loops_of(self.graph, root);
        let beside = needs.iter().filter(|need| squeezed(self.graph.shape(need.value)).elements() == space.elements());
        let beside = beside.filter_map(|need| self.last_reader[need.value.index()]);
        let scalar = self.last_scalar.filter(|_| space.rank() == 0);
        let oldest = self.groups.steps.len().saturating_sub(WINDOW).max(self.closed);
        let later = beside.chain(scalar).filter(|&step| Some(step) > earliest);
        let mut related = earliest.into_iter().chain(later).filter(|&step| step >= oldest);
        let fits = |step: usize| self.fits(root, &space, step).map(|(member, rows)| (step, member, rows));
        let (step, member, rows) = related.find_map(fits).or_else(|| {
            // What reads nothing has no step to wait for, and what is small is hardly more than the beginning of a kernel. But the
            // loops of what it has nothing to do with stay as they are.
            let anywhere = needs.is_empty() || space.elements() <= SMALL;
            let others = (oldest..self.groups.steps.len()).rev().filter(|&step| anywhere && Some(step) > earliest);
            others.filter_map(fits).find(|&(step, _, rows)| self.rows(step) == rows)
        })?;
        let added = self.places.cost(root);
        if let Work::Loops { members, rows: old, cost, .. } = &mut self.groups.steps[step] {
            self.groups.home[root.index()] = Some((step, members.len()));
            members.push(member);
            *old = rows;
            *cost += added;
        }
        Some(step)
    }

    /// The rows of a step.
    fn rows(&self, step: usize) -> Option<usize> {
        if let Work::Loops { rows, .. } = self.groups.steps[step] { rows } else { None }
    }

    /// What `root` would be in `step`, and the rows of the step then.
    fn fits(&self, root: ValueId, loops: &Shape, step: usize) -> Option<(Member, Option<usize>)> {
        let Work::Loops { space, rows, members, cost } = &self.groups.steps[step] else { return None };
        if members.len() >= MEMBER_LIMIT || cost + self.places.cost(root) > COST_LIMIT {
            return None;
        }
        let level = if loops == space {
            Level::Element
        } else if rows.is_some_and(|rows| **loops == space[..rows]) {
            Level::Row
        } else {
            return None;
        };
        let (rows, outcome) = match reduction(self.graph, root) {
            None => (*rows, Outcome::Now),
            Some(reduction) => fit(&reduction, loops.rank(), *rows, level)?,
        };
        let time = self.time(root, step, level)?;
        Some((Member { value: root, level, time, outcome }, rows))
    }

    /// The first block or pass of `step` in which what `root` reads from this step is there.
    fn time(&self, root: ValueId, step: usize, level: Level) -> Option<u32> {
        let mut time = match level {
            Level::Row => 0,
            Level::Element => 1,
        };
        let needs = &self.groups.needs[root.index()];
        for need in needs.iter().filter(|need| self.groups.step_of(need.value) == Some(step)) {
            let read = self.groups.member(need.value)?;
            if need.at.as_ref() != Some(&self.element(read)) {
                return None;
            }
            let there = match (read.outcome, read.level, level) {
                (Outcome::Late, _, _) | (Outcome::Now, Level::Element, Level::Row) => return None,
                (Outcome::Now, Level::Element, Level::Element) | (Outcome::Now, Level::Row, Level::Row) => read.time,
                (Outcome::AfterPass, _, Level::Row) | (Outcome::Now, Level::Row, Level::Element) => read.time + 1,
                (Outcome::AfterPass, _, Level::Element) => read.time + 2,
            };
            time = time.max(there);
        }
        Some(time)
    }

    /// The element of a member that its loops are at.
    fn element(&self, member: &Member) -> Affine {
        element(self.graph, member.value)
    }
}

/// The element of a root, in row-major order, that its loops are at.
pub(crate) fn element(graph: &Graph, root: ValueId) -> Affine {
    match reduction(graph, root) {
        Some(reduction) => reduction.address,
        None => Index::identity(graph.shape(root)).flat(graph.shape(root)),
    }
}

/// When a reduction over `rank` loops is done in a step of `rows`, and the rows it needs; `None` where these are others.
fn fit(reduction: &Reduction, rank: usize, rows: Option<usize>, level: Level) -> Option<(Option<usize>, Outcome)> {
    let depth = reduction.depth;
    if depth == rank && !reduction.in_memory {
        return Some((rows, Outcome::Now));
    }
    match (level, rows) {
        (Level::Row, _) => Some((rows, Outcome::Late)),
        (Level::Element, _) if depth == rank => Some((rows, Outcome::Late)),
        (Level::Element, None) => {
            Some((Some(depth), if reduction.in_memory { Outcome::Late } else { Outcome::AfterPass }))
        }
        (Level::Element, Some(rows)) if depth == rows && !reduction.in_memory => Some((Some(rows), Outcome::AfterPass)),
        (Level::Element, Some(rows)) if depth <= rows => Some((Some(rows), Outcome::Late)),
        (Level::Element, Some(_)) => None,
    }
}

/// How many loops of the step's space a position depends on, counted from the outermost: the level it is computed at.
pub(crate) fn depth_of(position: &Affine) -> usize {
    position.terms.iter().map(|&(LoopVar(var), _)| var as usize + 1).max().unwrap_or(0)
}
