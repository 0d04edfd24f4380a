//! From a graph to a plan.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::BuildHasher;

use gradc_ir::{DType, Graph, LeafKind, Role, TensorType, ValueId};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::arena::{Request, layout};
use crate::build::{Built, Chunked, Part, build, build_copy, chunked, finish};
use crate::depth;
use crate::expand::expand;
use crate::groups::{Groups, Work, group};
use crate::in_place::Update;
use crate::kernel::{Access, Affine, BufferParam, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};
use crate::matrix::{MatrixView, placed_view, plain_view};
use crate::memory::{Copy, Live, LoopMemory, Memory, assign};
use crate::needs::operand_view;
use crate::numerics::refine;
use crate::places::{Placed, Places};
use crate::plan::{
    BufferId, Computed, Gemm, Location, MatrixRef, Operand, Packed, Packing, Plan, Prologue, ScanSlot, Slot, SlotId,
    SlotKind, Step,
};
use crate::rematerialise;
use crate::reshapes::move_reshapes;
use crate::scans::{self, Bodies};

/// How to schedule.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether several values may be computed by one kernel. Without, each operator is a step of its own,
    /// or two.
    pub fuse: bool,
    /// Whether values may be computed by other formulas than the graph's, which lose fewer digits or share exponentials.
    pub refine: bool,
    /// The most bytes of the arena. Where keeping everything takes more, values are computed again; where nothing suffices, the
    /// plan has the smallest arena that was found, which is larger.
    pub memory_limit: Option<usize>,
    /// Whether what is as cheap to compute again as to keep is computed again, where the arena is larger than the caches.
    pub lean: bool,
    /// The bytes of scratch memory that whatever multiplies matrices needs for a product. It is asked for the product
    /// without any.
    pub scratch_bytes: fn(&Gemm) -> usize,
    /// How whatever multiplies matrices would have an operand of a product packed, if that is of use to it. What stays the same from
    /// run to run, or from step to step of a loop, is packed once, unless the arena is over the limit then.
    pub packing: fn(&Gemm) -> Option<Packing>,
}

impl Default for Options {
    /// Kernels of several values, as much memory as they take, and products that need no scratch memory, which the evaluator's do not.
    fn default() -> Options {
        Options { fuse: true, refine: true, memory_limit: None, lean: true, scratch_bytes: |_| 0, packing: |_| None }
    }
}

/// The plan that computes the results of a graph, which must be verified. It takes time linear in the graph, and gives
/// the same plan for the same graph.
pub fn schedule(graph: &Graph, options: &Options) -> Plan {
    let expanded = expand(graph);
    let refined = if options.refine { refine(&expanded) } else { Cow::Borrowed(&*expanded) };
    let refined = if options.fuse { moved(refined) } else { refined };
    let of = |options: &Options| {
        let plan = plan(&refined, options, &[]);
        if options.fuse && options.lean { rematerialise::lean(&refined, options, plan) } else { plan }
    };
    let plan = of(options);
    let Some(limit) = options.memory_limit.filter(|&limit| plan.arena_bytes > limit) else { return plan };
    // What is packed is there twice.
    let options = Options { packing: |_| None, ..options.clone() };
    let plan = of(&options);
    if plan.arena_bytes > limit { rematerialise::within(&refined, &options, plan, limit) } else { plan }
}

/// The graph with reshapes where they cost no memory.
fn moved(graph: Cow<'_, Graph>) -> Cow<'_, Graph> {
    match graph {
        Cow::Borrowed(graph) => move_reshapes(graph),
        Cow::Owned(graph) => Cow::Owned(move_reshapes(&graph).into_owned()),
    }
}

/// The plan that computes each value of a graph once. Values that are `again` computed are so late, to be kept for a shorter time:
/// from the first of them on, none is part of a step before it.
pub(crate) fn plan(graph: &Graph, options: &Options, again: &[bool]) -> Plan {
    let places = Places::new(graph, options);
    let groups = group(graph, &places, options, again);
    let bodies = Bodies::new(graph, places.roots(), options);
    let memory = assign(graph, &places, &groups, &bodies);
    let (kernels, once) = (Kernels::default(), Once::new(graph, &memory.interface));
    let plan = Assembler { graph, options, places: &places, groups: &groups, bodies, memory, kernels, once }.assemble();
    debug_assert_eq!(crate::plan::verify(&plan), Ok(()), "gradc has a bug:\n{}", crate::plan::print(&plan));
    plan
}

/// Distinct kernels.
#[derive(Default)]
struct Kernels {
    kernels: Vec<Kernel>,
    /// The positions of kernels by the hash of what they do.
    by_hash: FxHashMap<u64, SmallVec<[usize; 1]>>,
}

impl Kernels {
    /// The position of a kernel, which is added if there is none like it. What is added has a name of its own.
    fn intern(&mut self, mut kernel: Kernel) -> usize {
        let alike = self.by_hash.entry(FxBuildHasher.hash_one((&kernel.buffers, &kernel.body))).or_default();
        let does_the_same = |other: &Kernel| other.buffers == kernel.buffers && other.body == kernel.body;
        if let Some(&known) = alike.iter().find(|&&at| does_the_same(&self.kernels[at])) {
            return known;
        }
        let next = self.kernels.len();
        alike.push(next);
        kernel.name = format!("{}.{next}", kernel.name);
        self.kernels.push(kernel);
        next
    }
}

/// What is done once for many runs: the prologue of a plan.
#[derive(Default)]
struct Once {
    /// The leaves that stay the same from run to run: parameters and states that are not updated.
    constants: BTreeSet<SlotId>,
    steps: Vec<(Step, Computed)>,
    /// The buffers that these steps write.
    buffers: Vec<BufferId>,
    /// The leaves that these steps read.
    reads: BTreeSet<SlotId>,
    /// The products that operands have been packed for, by the matrix.
    by_matrix: FxHashMap<MatrixRef, SmallVec<[Gemm; 1]>>,
}

impl Once {
    fn new(graph: &Graph, interface: &[Slot]) -> Once {
        let updated: FxHashSet<&str> = graph.outputs_of(Role::Update).map(|output| &*output.name).collect();
        let is_constant = |slot: &Slot| {
            matches!(slot.kind, SlotKind::Leaf(LeafKind::Param | LeafKind::State)) && !updated.contains(&*slot.name)
        };
        let constants = (0..).map(SlotId).zip(interface).filter(|(_, slot)| is_constant(slot)).map(|(id, _)| id);
        Once { constants: constants.collect(), ..Once::default() }
    }

    /// The operand of a product as it has been packed for another one, in which nothing is different but what it is multiplied with.
    fn packed(&self, gemm: &Gemm, operand: Operand) -> Option<Packed> {
        let other = |gemm: &Gemm| match operand {
            Operand::A => gemm.b,
            Operand::B => gemm.a,
        };
        let layout = |matrix: MatrixRef| (matrix.batch, matrix.rows, matrix.columns);
        let is_alike = |known: &&Gemm| {
            [known.batch, known.m, known.n, known.k] == [gemm.batch, gemm.m, gemm.n, gemm.k]
                && layout(other(known)) == layout(other(gemm))
                && layout(known.c) == layout(gemm.c)
                && known.accumulate == gemm.accumulate
        };
        let packed = self.by_matrix.get(gemm.operand(operand))?.iter().find(is_alike)?.packed?;
        (packed.operand == operand).then_some(packed)
    }
}

/// What the work of a step computes.
fn computed(graph: &Graph, places: &Places<'_>, work: &Work) -> Computed {
    match work {
        Work::Loops { members, .. } => described(graph, members.iter().map(|member| member.value)),
        Work::Product(root, update) => {
            let placed = places.placed(*root).map(|placed| placed.product);
            described(graph, [placed, Some(*root), update.map(|update| update.value)].into_iter().flatten())
        }
        Work::Assembly(root) | Work::Scan(root) => described(graph, [*root]),
    }
}

fn described(graph: &Graph, values: impl IntoIterator<Item = ValueId>) -> Computed {
    let mut computed = Computed::default();
    for value in values {
        let operator = graph.op(value).map_or("", |op| op.def.name);
        computed.values.push(graph.value_name(value).map_or(operator, |name| name).to_owned());
        let span = graph.node(value).origin.span.filter(|span| !computed.spans.contains(span));
        computed.spans.extend(span);
    }
    computed
}

/// A kernel that writes zeros to its only buffer.
fn zeros(dtype: DType, elements: usize) -> Kernel {
    let (var, reg) = (LoopVar(0), Reg(0));
    let store = Stmt::Store { buffer: 0, address: Affine::var(var), value: reg };
    Kernel {
        name: "zeros".into(),
        buffers: vec![BufferParam { name: "y0".into(), dtype, elements, access: Access::Write }],
        body: vec![
            Stmt::Let { reg, dtype, expr: Expr::Const(0.0.into()) },
            Stmt::Loop(Loop { var, extent: elements, kind: LoopKind::Vector, body: vec![store] }),
        ],
    }
}

/// A finished kernel and its buffers, of which some may have been the same.
fn merged(kernel: Kernel, mut buffers: Vec<BufferId>) -> (Kernel, Vec<BufferId>) {
    let first = |at: usize| buffers.iter().position(|buffer| *buffer == buffers[at]).unwrap_or(at);
    let merged: Vec<usize> = (0..buffers.len()).map(first).collect();
    let kernel = finish(kernel, &merged);
    let mut at = 0..;
    buffers.retain(|_| at.next().is_some_and(|at| merged[at] == at));
    (kernel, buffers)
}

struct Assembler<'a, 'g> {
    graph: &'g Graph,
    options: &'a Options,
    places: &'a Places<'g>,
    groups: &'a Groups,
    bodies: Bodies,
    memory: Memory,
    kernels: Kernels,
    once: Once,
}

impl Assembler<'_, '_> {
    fn assemble(mut self) -> Plan {
        let (before, after) = (std::mem::take(&mut self.memory.before), std::mem::take(&mut self.memory.after));
        let mut steps: Vec<(Step, Computed)> = Vec::new();
        steps.extend(before.into_iter().filter_map(|copy| self.copy(copy)));
        for number in 0..self.groups.steps.len() {
            let computed = computed(self.graph, self.places, &self.groups.steps[number]);
            steps.extend(self.step(number).into_iter().map(|step| (step, computed.clone())));
        }
        steps.extend(after.into_iter().filter_map(|copy| self.copy(copy)));
        let once = std::mem::take(&mut self.once);
        let prologue = Prologue { steps: once.steps.len(), reads: once.reads.into_iter().collect() };
        let arena_bytes = self.place_buffers(&once.buffers);
        let (steps, computed) = once.steps.into_iter().chain(steps).unzip();
        Plan {
            name: self.graph.name().to_string(),
            kernels: self.kernels.kernels,
            bodies: self.bodies.plans,
            steps,
            prologue,
            computed,
            buffers: self.memory.buffers,
            interface: self.memory.interface,
            arena_bytes,
            recomputed: None,
        }
    }

    /// Gives offsets to the buffers in the arena.
    fn place_buffers(&mut self, lasting: &[BufferId]) -> usize {
        let in_arena: Vec<usize> =
            (0..self.memory.buffers.len()).filter(|&buffer| self.memory.lives[buffer].is_some()).collect();
        let request = |&buffer: &usize| {
            let live = self.memory.lives[buffer]?;
            Some(Request { bytes: self.memory.buffers[buffer].ty.bytes(), live })
        };
        let requests: Vec<Request> = in_arena.iter().filter_map(request).collect();
        let (offsets, mut size) = layout(&requests);
        for (buffer, offset) in in_arena.into_iter().zip(offsets) {
            self.memory.buffers[buffer].location = Location::Arena(offset);
        }
        // What lasts shares its memory with nothing, and is behind everything else.
        size = size.next_multiple_of(Plan::ALIGNMENT);
        for buffer in lasting {
            let buffer = &mut self.memory.buffers[buffer.0 as usize];
            buffer.location = Location::Arena(size);
            size += buffer.ty.bytes().next_multiple_of(Plan::ALIGNMENT);
        }
        size
    }

    /// What a step of the groups is: nothing where it has no effect, and several steps of the plan where it is in chunks.
    fn step(&mut self, step: usize) -> Vec<Step> {
        // The steps of groups count from 1.
        let live = Live { from: step + 1, to: step + 1 };
        if let Work::Product(root, update) = &self.groups.steps[step] {
            let Some(gemm) = self.product(*root, *update) else { return Vec::new() };
            let filled = if gemm.accumulate && update.is_none() { self.zeros(&gemm) } else { None };
            return filled.into_iter().chain(self.products(gemm, live)).collect();
        }
        if let Work::Scan(root) = &self.groups.steps[step] {
            return self.scan(*root, live).unwrap_or_default();
        }
        let Some(Built { kernel, buffers }) = build(self.graph, self.places, self.groups, step) else {
            return Vec::new();
        };
        let memory = |value: ValueId| self.memory.buffer_of(value);
        // What needs no memory has no effect.
        let Some(buffers) = buffers.into_iter().map(memory).collect() else { return Vec::new() };
        let (kernel, buffers) = merged(kernel, buffers);
        match chunked(&kernel) {
            Some(chunked) => self.chunks(chunked, buffers, live),
            None => self.kernel(kernel, buffers).into_iter().collect(),
        }
    }

    /// The two steps of a kernel in chunks, with the memory of their partial results.
    fn chunks(&mut self, chunked: Chunked, mut buffers: Vec<BufferId>, live: Live) -> Vec<Step> {
        for BufferParam { dtype, elements, .. } in chunked.partials {
            buffers.push(self.memory.in_arena("partial", TensorType::new(dtype, [elements]), live));
        }
        let parts = chunked.kernels.into_iter();
        parts
            .filter_map(|Part { kernel, buffers: own }| {
                self.kernel(kernel, own.into_iter().map(|at| buffers[at]).collect())
            })
            .collect()
    }

    /// A product, or, where it is in chunks of its depth, that of each chunk and their sum.
    fn products(&mut self, gemm: Gemm, live: Live) -> Vec<Step> {
        let in_chunks = depth::chunks(&gemm).and_then(|count| {
            let partial = TensorType::new(gemm.dtype, [count, gemm.m, gemm.n]);
            let partial = self.memory.in_arena("partial", partial, live);
            Some((count, partial, depth::batch(&gemm, count, partial)?))
        });
        let Some((count, partial, chunks)) = in_chunks else {
            let gemm = self.packed(gemm);
            return vec![Step::Gemm(Box::new(self.with_scratch(gemm, live)))];
        };
        let chunks = self.packed(chunks);
        let chunks = self.with_scratch(chunks, live);
        let sum = self.kernel(depth::sum(&gemm, count), vec![partial, gemm.c.buffer]);
        [Some(Step::Gemm(Box::new(chunks))), sum].into_iter().flatten().collect()
    }

    /// Zeros, to which a product is added where its elements overlap.
    fn zeros(&mut self, gemm: &Gemm) -> Option<Step> {
        let elements = self.memory.buffers[gemm.c.buffer.0 as usize].ty.shape.elements();
        self.kernel(zeros(gemm.dtype, elements), vec![gemm.c.buffer])
    }

    /// A product, of which an operand is packed once, if it stays the same.
    fn packed(&mut self, gemm: Gemm) -> Gemm {
        let packed = (self.options.packing)(&gemm).and_then(|Packing { operand, bytes }| {
            let ty = TensorType::new(gemm.dtype, [bytes.div_ceil(gemm.dtype.size())]);
            self.packed_once(&gemm, operand, ty)
        });
        Gemm { packed, ..gemm }
    }

    /// An operand of a product, packed in memory of a type by the prologue, if that can be.
    fn packed_once(&mut self, gemm: &Gemm, operand: Operand, ty: TensorType) -> Option<Packed> {
        let matrix = *gemm.operand(operand);
        let Location::Slot(slot) = self.memory.buffers[matrix.buffer.0 as usize].location else { return None };
        if !self.once.constants.contains(&slot) {
            return None;
        }
        if let Some(packed) = self.once.packed(gemm, operand) {
            return Some(packed);
        }
        let name = self.name_of_packed(&matrix);
        let packed = Packed { operand, buffer: self.memory.lasting(&name, ty) };
        let gemm = Gemm { packed: Some(packed), scratch: None, ..*gemm };
        let computed = Computed { values: vec![name], spans: Vec::new() };
        self.once.steps.push((Step::Pack(Box::new(gemm)), computed));
        self.once.buffers.push(packed.buffer);
        self.once.reads.insert(slot);
        self.once.by_matrix.entry(matrix).or_default().push(gemm);
        Some(packed)
    }

    fn name_of_packed(&self, matrix: &MatrixRef) -> String {
        format!("packed {}", self.memory.buffers[matrix.buffer.0 as usize].name)
    }

    /// A product with the scratch memory that it needs.
    fn with_scratch(&mut self, gemm: Gemm, live: Live) -> Gemm {
        let elements = (self.options.scratch_bytes)(&gemm).div_ceil(gemm.dtype.size());
        let ty = TensorType::new(gemm.dtype, [elements]);
        Gemm { scratch: (elements > 0).then(|| self.memory.in_arena("scratch", ty, live)), ..gemm }
    }

    fn copy(&mut self, copy: Copy) -> Option<(Step, Computed)> {
        let kernel = build_copy(self.graph, self.places, copy.from);
        let (kernel, buffers) = merged(kernel, vec![copy.source, copy.target]);
        Some((self.kernel(kernel, buffers)?, described(self.graph, [copy.from])))
    }

    /// Runs a finished kernel.
    fn kernel(&mut self, kernel: Kernel, buffers: Vec<BufferId>) -> Option<Step> {
        (!kernel.body.is_empty()).then(|| Step::Kernel { kernel: self.kernels.intern(kernel), buffers })
    }

    /// A product without scratch memory.
    fn product(&self, root: ValueId, update: Option<Update>) -> Option<Gemm> {
        let product = self.places.product(root)?;
        let op = self.graph.op(product)?;
        let operands = self.graph.operands(product);
        let (a, b) = (operands[0], operands[1]);
        let (m, n, k) = gradc_ir::op::matmul::sizes(&op.attrs, self.graph.ty(a), self.graph.ty(b));
        let operand = |operand: ValueId, transposed: &str| {
            let view = operand_view(self.graph, self.places, operand);
            self.matrix(if op.attrs.bool(transposed) { view.transposed() } else { view })
        };
        let TensorType { dtype, ref shape } = *self.graph.ty(product);
        let batch = shape[..shape.rank() - 2].iter().product();
        debug_assert!(matches!(dtype, DType::F32 | DType::F64));
        let (own, overlaps) = match self.places.placed(root) {
            Some(Placed { destination, .. }) => (placed_view(self.graph, product, destination)?, destination.overlaps),
            None => (plain_view(self.graph, root), false),
        };
        let c = MatrixView { value: update.map_or(root, |update| update.value), ..own };
        Some(Gemm {
            dtype,
            batch,
            m,
            n,
            k,
            a: operand(a, "transpose_a")?,
            b: operand(b, "transpose_b")?,
            c: self.matrix(c)?,
            accumulate: update.is_some() || overlaps,
            scale: update.map_or(1.0, |update| update.scale),
            factor: update.and_then(|update| update.factor).and_then(|factor| self.memory.buffer_of(factor)),
            scratch: None,
            packed: None,
        })
    }

    /// A loop, and before it what packs the operands that are the same in all its steps, unless that is done in the prologue.
    fn scan(&mut self, root: ValueId, live: Live) -> Option<Vec<Step>> {
        let scan = self.graph.as_scan(root)?;
        let operand = |&operand: &ValueId| self.memory.buffer_of(self.places.memory(operand)?);
        let operands: Option<Vec<BufferId>> = self.graph.operands(root).iter().map(operand).collect();
        let LoopMemory { results, arena } = self.memory.loops.get(&root)?;
        let (mut slots, arena) = (scans::slots(&scan, &operands?, results), *arena);
        let position = self.bodies.position(&scan)?;
        let mut steps = Vec::new();
        for gemm in self.bodies.packed(position).to_vec() {
            let Packed { operand, buffer } = gemm.packed?;
            let buffers = &self.bodies.plans[position].buffers;
            let ty = buffers[buffer.0 as usize].ty.clone();
            let Location::Slot(own) = buffers[gemm.operand(operand).buffer.0 as usize].location else { return None };
            let ScanSlot::Whole(from) = slots[own.0 as usize] else { return None };
            // The other matrices are not read where an operand is packed: all are said to be in its buffer.
            let [a, b, c] = [gemm.a, gemm.b, gemm.c].map(|matrix| MatrixRef { buffer: from, ..matrix });
            let gemm = Gemm { a, b, c, factor: None, scratch: None, packed: None, ..gemm };
            let packed = self.packed_once(&gemm, operand, ty.clone()).unwrap_or_else(|| {
                let name = self.name_of_packed(gemm.operand(operand));
                let packed = Packed { operand, buffer: self.memory.in_arena(&name, ty, live) };
                steps.push(Step::Pack(Box::new(Gemm { packed: Some(packed), ..gemm })));
                packed
            });
            slots.push(ScanSlot::Whole(packed.buffer));
        }
        steps.push(scans::step(&scan, position, slots, arena));
        Some(steps)
    }

    fn matrix(&self, view: MatrixView) -> Option<MatrixRef> {
        let MatrixView { value, offset, batch, rows, columns } = view;
        Some(MatrixRef { buffer: self.memory.buffer_of(value)?, offset, batch, rows, columns })
    }
}
