//! Which buffer holds each value that is kept in memory.
//!
//! Leaves have their slots. An update is computed into its leaf's slot where nothing reads the leaf afterwards; a result
//! into its own. An elementwise value takes the buffer of an operand that is read for the last time by the same step, at
//! the same element. Everything else has a buffer in the arena for as long as it lives, and so has the scratch memory of a
//! product, during its step.

use gradc_ir::{DType, Graph, LeafKind, Role, TensorType, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::groups::{Groups, Outcome, Work, element, updates};
use crate::kernel::Affine;
use crate::places::{Place, Places};
use crate::plan::{Buffer, BufferId, Location, Slot, SlotId, SlotKind};
use crate::scans::Bodies;

/// A copy from one value's buffer to another buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    /// A leaf or a stored root.
    pub(crate) from: ValueId,
    /// Its buffer.
    pub(crate) source: BufferId,
    /// Where to.
    pub(crate) target: BufferId,
}

/// The buffers of a plan.
pub(crate) struct Memory {
    /// All of them. Those in the arena have no offset yet.
    pub(crate) buffers: Vec<Buffer>,
    /// What caller and program share.
    pub(crate) interface: Vec<Slot>,
    /// The buffer of each leaf and each stored root.
    of: Vec<Option<BufferId>>,
    /// For each buffer in the arena, unless it lasts, the steps from and to which it is in use.
    pub(crate) lives: Vec<Option<Live>>,
    /// What each loop needs beside its operands and the results that are read, by its value.
    pub(crate) loops: FxHashMap<ValueId, LoopMemory>,
    /// Copies before the first step.
    pub(crate) before: Vec<Copy>,
    /// Copies after the last step.
    pub(crate) after: Vec<Copy>,
}

/// The memory that a loop works in.
pub(crate) struct LoopMemory {
    /// The buffers of all its results. Those that nothing reads are in use in its step only.
    pub(crate) results: Vec<BufferId>,
    /// The arena of its body.
    pub(crate) arena: BufferId,
}

/// The first and the last step that a buffer is in use. Step 0 stands for the copies before all others, so the steps of
/// [`Groups`] count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    /// It is written here first.
    pub(crate) from: usize,
    /// It is used here last.
    pub(crate) to: usize,
}

impl Memory {
    /// The buffer of a leaf or a stored root.
    pub(crate) fn buffer_of(&self, value: ValueId) -> Option<BufferId> {
        self.of[value.index()]
    }

    /// A buffer in the arena that keeps from run to run what is in it.
    pub(crate) fn lasting(&mut self, name: &str, ty: TensorType) -> BufferId {
        self.buffers.push(Buffer { name: name.into(), ty, location: Location::Arena(0) });
        self.lives.push(None);
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// A buffer in the arena that holds no value.
    pub(crate) fn in_arena(&mut self, name: &str, ty: TensorType, live: Live) -> BufferId {
        self.buffers.push(Buffer { name: name.into(), ty, location: Location::Arena(0) });
        self.lives.push(Some(live));
        BufferId(self.buffers.len() as u32 - 1)
    }
}

/// Gives buffers to the values of a graph.
pub(crate) fn assign(graph: &Graph, places: &Places<'_>, groups: &Groups, bodies: &Bodies) -> Memory {
    let mut assignment = Assignment {
        graph,
        places,
        groups,
        bodies,
        readers: readers(graph, groups),
        kept: vec![false; graph.len()],
        holds: Vec::new(),
        lent: FxHashSet::default(),
        memory: Memory {
            buffers: Vec::new(),
            interface: Vec::new(),
            of: vec![None; graph.len()],
            lives: Vec::new(),
            loops: FxHashMap::default(),
            before: Vec::new(),
            after: Vec::new(),
        },
    };
    assignment.leaves();
    assignment.updates();
    assignment.results();
    assignment.others();
    assignment.memory
}

/// A step that reads a value.
struct Reader {
    step: usize,
    at: Option<Affine>,
    time: u32,
}

/// All readers of each root and leaf.
fn readers(graph: &Graph, groups: &Groups) -> Vec<Vec<Reader>> {
    let mut readers: Vec<Vec<Reader>> = Vec::new();
    readers.resize_with(graph.len(), Vec::new);
    for root in graph.values() {
        let Some(step) = groups.step_of(root) else { continue };
        let time = groups.member(root).map_or(0, |member| member.time);
        for need in &groups.needs[root.index()] {
            readers[need.value.index()].push(Reader { step, at: need.at.clone(), time });
        }
    }
    readers
}

struct Assignment<'a, 'g> {
    graph: &'g Graph,
    places: &'a Places<'g>,
    groups: &'a Groups,
    bodies: &'a Bodies,
    readers: Vec<Vec<Reader>>,
    /// Whether a value is copied after the last step.
    kept: Vec<bool>,
    /// What each buffer holds last.
    holds: Vec<ValueId>,
    /// Slots of results that another value is in before.
    lent: FxHashSet<BufferId>,
    memory: Memory,
}

impl Assignment<'_, '_> {
    fn leaves(&mut self) {
        for kind in [LeafKind::Input, LeafKind::Param, LeafKind::State] {
            for leaf in self.graph.leaves(kind) {
                let slot = self.slot(leaf, SlotKind::Leaf(kind), self.graph.value_name(leaf).map_or("", |name| name));
                self.memory.of[leaf.index()] = Some(slot);
            }
        }
    }

    /// Updates in place where that is safe; else by a copy at the end.
    fn updates(&mut self) {
        let updates = updates(self.graph);
        let next: FxHashMap<ValueId, ValueId> = updates.iter().copied().collect();
        for &(leaf, value) in &updates {
            let (Some(root), Some(target)) = (self.places.memory(value), self.memory.buffer_of(leaf)) else { continue };
            if root == leaf {
                continue;
            }
            if self.graph.leaf(root).is_some() {
                self.leaf_to_leaf(root, target, next.get(&root).is_some_and(|&update| update != root));
            } else if self.memory.buffer_of(root).is_none() && self.overwrites(root, leaf) {
                self.memory.of[root.index()] = Some(target);
            } else {
                self.kept[root.index()] = true;
                let source = self.own_buffer(root);
                self.memory.after.push(Copy { from: root, source, target });
            }
        }
    }

    /// A leaf becomes the value that another one has before the first step.
    fn leaf_to_leaf(&mut self, from: ValueId, target: BufferId, changes: bool) {
        let Some(mut source) = self.memory.buffer_of(from) else { return };
        if changes {
            let kept = self.arena(from, Live { from: 0, to: self.end() });
            self.memory.before.push(Copy { from, source, target: kept });
            source = kept;
        }
        self.memory.after.push(Copy { from, source, target });
    }

    /// Whether `root` may be written to the memory of `old` by its step: whatever reads `old` has done so, at least for
    /// the element that is written.
    fn overwrites(&self, root: ValueId, old: ValueId) -> bool {
        let Some(step) = self.groups.step_of(root) else { return false };
        let member = self.groups.member(root).filter(|member| member.outcome == Outcome::Now);
        let at = member.map(|_| element(self.graph, root));
        self.readers[old.index()].iter().all(|reader| {
            let same_element = member.is_some_and(|member| reader.at == at && reader.time <= member.time);
            reader.step < step || reader.step == step && same_element
        })
    }

    /// Results are computed into their slots; what is a leaf or has another slot already is copied.
    fn results(&mut self) {
        for output in self.graph.outputs().iter().filter(|output| output.role != Role::Update) {
            let target = self.slot(output.value, SlotKind::Result(output.role), &output.name);
            let Some(root) = self.places.memory(output.value) else { continue };
            match self.memory.buffer_of(root) {
                None => self.memory.of[root.index()] = Some(target),
                Some(source) if self.graph.leaf(root).is_some() => {
                    self.memory.before.push(Copy { from: root, source, target });
                }
                Some(source) => self.memory.after.push(Copy { from: root, source, target }),
            }
        }
    }

    /// Everything that is stored and has no buffer yet, in the order of steps.
    fn others(&mut self) {
        for step in &self.groups.steps {
            match step {
                Work::Loops { members, .. } => members.iter().for_each(|member| self.other(member.value)),
                Work::Product(root, _) | Work::Assembly(root) => self.other(*root),
                Work::Scan(root) => self.scan(*root),
            }
        }
    }

    /// The results of a loop, those that nothing reads included, and the memory of its body.
    fn scan(&mut self, root: ValueId) {
        let Some(scan) = self.graph.as_scan(root) else { return };
        let Some(body) = self.bodies.position(&scan).map(|at| &self.bodies.plans[at]) else { return };
        let here = self.groups.step_of(root).map_or(0, |step| step + 1);
        let only_here = Live { from: here, to: here };
        let mut results: Vec<Option<BufferId>> = vec![None; scan.results()];
        let users: Vec<ValueId> = self.graph.users(root).map(|(user, _)| user).collect();
        for value in users.into_iter().filter(|&user| self.places.of(user) == Place::Root) {
            if let Some((_, index)) = self.graph.as_result(value) {
                results[index] = Some(self.own_buffer(value));
            }
        }
        let mut unread = |(index, buffer): (usize, Option<BufferId>)| {
            buffer.unwrap_or_else(|| self.in_arena(format!("unread {index}"), scan.result_type(index), root, only_here))
        };
        let results = results.into_iter().enumerate().map(&mut unread).collect();
        let bytes = TensorType::new(DType::Bool, [body.arena_bytes]);
        let arena = self.in_arena(format!("arena of {}", body.name), bytes, root, only_here);
        self.memory.loops.insert(root, LoopMemory { results, arena });
    }

    fn other(&mut self, root: ValueId) {
        if !self.groups.is_stored(root) || self.memory.buffer_of(root).is_some() {
            return;
        }
        if let Some(buffer) = self.reader_of_same_step(root) {
            self.memory.of[root.index()] = Some(buffer);
            self.lent.insert(buffer);
            return;
        }
        match self.dying_operand(root) {
            Some(buffer) => {
                let last = self.live(root).to;
                if let Some(live) = &mut self.memory.lives[buffer.0 as usize] {
                    live.to = last;
                }
                self.memory.of[root.index()] = Some(buffer);
                self.holds[buffer.0 as usize] = root;
            }
            None => {
                self.own_buffer(root);
            }
        }
    }

    /// The slot of a result of the same step, if `root` is read by this step only and can be there until the result takes
    /// its place.
    fn reader_of_same_step(&self, root: ValueId) -> Option<BufferId> {
        let Live { from, to } = self.live(root);
        let Work::Loops { members, .. } = self.groups.steps.get(from.checked_sub(1)?).filter(|_| from == to)? else {
            return None;
        };
        members.iter().map(|member| member.value).find_map(|reader| {
            let buffer = self.memory.buffer_of(reader)?;
            let Location::Slot(slot) = self.memory.buffers[buffer.0 as usize].location else { return None };
            let is_result = matches!(self.memory.interface[slot.0 as usize].kind, SlotKind::Result(_));
            let fits = self.graph.ty(reader) == self.graph.ty(root) && !self.lent.contains(&buffer);
            let takes_over = self.written_as_one(root, reader) && self.overwrites(reader, root);
            (is_result && fits && takes_over).then_some(buffer)
        })
    }

    /// The buffer of an operand that `root` can take over: rather one that its step writes in any case, which is then the only one.
    fn dying_operand(&self, root: ValueId) -> Option<BufferId> {
        let live = self.live(root);
        let ty = self.graph.ty(root);
        let step = self.groups.step_of(root);
        let operands = self.groups.needs[root.index()].iter().map(|need| need.value);
        let (own, others): (Vec<ValueId>, Vec<ValueId>) = operands.partition(|&x| self.groups.step_of(x) == step);
        own.into_iter().chain(others).find_map(|operand| {
            let (buffer, other) = (self.memory.buffer_of(operand)?, self.graph.ty(operand));
            let ends_here = self.memory.lives[buffer.0 as usize]?.to == live.from;
            let holds_it = self.holds[buffer.0 as usize] == operand;
            let fits = other.dtype == ty.dtype && other.shape.elements() == ty.shape.elements();
            (ends_here && holds_it && fits && self.written_as_one(operand, root) && self.overwrites(root, operand))
                .then_some(buffer)
        })
    }

    /// Whether `operand`, if the step of `root` computes it, is stored before `root` is, element by element.
    fn written_as_one(&self, operand: ValueId, root: ValueId) -> bool {
        if self.groups.step_of(operand) != self.groups.step_of(root) {
            return true;
        }
        match (self.groups.member(operand), self.groups.member(root)) {
            (Some(first), Some(second)) => {
                let same = element(self.graph, operand) == element(self.graph, root);
                first.outcome == Outcome::Now && first.level == second.level && first.time < second.time && same
            }
            _ => false,
        }
    }

    /// A buffer in the arena, for `root` alone.
    fn own_buffer(&mut self, root: ValueId) -> BufferId {
        if let Some(buffer) = self.memory.buffer_of(root) {
            return buffer;
        }
        let buffer = self.arena(root, self.live(root));
        self.memory.of[root.index()] = Some(buffer);
        buffer
    }

    /// The steps from the one that computes `root` to the last that reads it.
    fn live(&self, root: ValueId) -> Live {
        let from = self.groups.step_of(root).map_or(0, |step| step + 1);
        let last = self.readers[root.index()].iter().map(|reader| reader.step + 1).max();
        Live { from, to: if self.kept[root.index()] { self.end() } else { last.unwrap_or(from).max(from) } }
    }

    /// The step that stands for the copies after all others.
    fn end(&self) -> usize {
        self.groups.steps.len() + 1
    }

    fn arena(&mut self, value: ValueId, live: Live) -> BufferId {
        let name = self.graph.value_name(value).map_or_else(|| format!("v{}", value.index()), |name| name.to_string());
        self.in_arena(name, self.graph.ty(value).clone(), value, live)
    }

    /// A buffer in the arena, which a step of `value` uses.
    fn in_arena(&mut self, name: String, ty: TensorType, value: ValueId, live: Live) -> BufferId {
        self.memory.lives.push(Some(live));
        self.holds.push(value);
        self.memory.buffers.push(Buffer { name, ty, location: Location::Arena(0) });
        BufferId(self.memory.buffers.len() as u32 - 1)
    }

    fn slot(&mut self, value: ValueId, kind: SlotKind, name: &str) -> BufferId {
        let ty = self.graph.ty(value).clone();
        let slot = SlotId(self.memory.interface.len() as u32);
        self.memory.interface.push(Slot { kind, name: name.into(), ty: ty.clone() });
        self.memory.lives.push(None);
        self.holds.push(value);
        self.memory.buffers.push(Buffer { name: name.into(), ty, location: Location::Slot(slot) });
        BufferId(self.memory.buffers.len() as u32 - 1)
    }
}
