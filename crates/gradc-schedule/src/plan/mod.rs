//! The plan: what a compiled program does, step by step, and where its values live.

mod axes;
mod evaluate;
mod print;
mod verify;

pub use axes::{Axes, Axis};
pub use evaluate::evaluate;
pub use print::{Traffic, print, print_kernels, traffic};
pub use verify::{PlanError, verify};

use std::collections::BTreeSet;

use gradc_diagnostics::Span;
use gradc_ir::{DType, LeafKind, Role, TensorType};
use smallvec::SmallVec;

use crate::kernel::{Access, Kernel};

/// A buffer of a plan, by position in [`Plan::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BufferId(pub u32);

/// A slot of a plan's interface, by position in [`Plan::interface`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// A contiguous, row-major piece of memory that holds values, one after another in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// For people: the first value it holds.
    pub name: String,
    /// Element type and shape; only their size matters to the machine.
    pub ty: TensorType,
    /// Where it is.
    pub location: Location,
}

/// Where a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// In the program's arena, at an offset in bytes that is a multiple of [`Plan::ALIGNMENT`].
    Arena(usize),
    /// Memory that the caller owns. It is aligned to its element size at least.
    Slot(SlotId),
}

/// What a slot of the interface is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotKind {
    /// Given by the caller. A parameter or a piece of state that the graph updates is written in place.
    Leaf(LeafKind),
    /// Written for the caller: every result but the updates.
    Result(Role),
}

/// One tensor that caller and program share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is for.
    pub kind: SlotKind,
    /// The name of the leaf or the result.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
}

/// One thing that a program does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Runs a kernel.
    Kernel {
        /// Which, by position in [`Plan::kernels`].
        kernel: usize,
        /// The buffers it is given, in the order of [`Kernel::buffers`].
        buffers: Vec<BufferId>,
    },
    /// Multiplies matrices.
    Gemm(Box<Gemm>),
    /// Packs the operand of products that is packed before them: these have its layout, and are else as this one.
    Pack(Box<Gemm>),
    /// Runs a body once for each element of sequences.
    Scan(Scan),
}

/// Runs a plan, the body, `length` times, each time on the next parts of sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    /// Which plan, by position in [`Plan::bodies`].
    pub body: usize,
    /// How often it is run.
    pub length: usize,
    /// Whether the last parts of sequences come first.
    pub reverse: bool,
    /// What each slot of the body's interface is.
    pub slots: Vec<ScanSlot>,
    /// The memory of the body's arena, of as many bytes.
    pub arena: BufferId,
}

/// What a slot of a body is, at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanSlot {
    /// A state of the body: what one step leaves there the next step finds.
    Carry {
        /// What the first step finds: it is copied.
        start: BufferId,
        /// The memory that the slot is in.
        memory: BufferId,
    },
    /// Part of a buffer that holds `length` tensors of the slot's type, one after another: the first step has the first,
    /// or the last if the scan is reversed. A leaf of the body reads it, a result writes it.
    Slice(BufferId),
    /// The whole of a buffer, which is read.
    Whole(BufferId),
}

impl Scan {
    /// The buffers that are read, in the order of the slots.
    pub fn reads<'a>(&'a self, body: &'a Plan) -> impl Iterator<Item = BufferId> + 'a {
        self.slots.iter().zip(&body.interface).filter_map(|(slot, interface)| match (slot, &interface.kind) {
            (ScanSlot::Carry { start, .. }, _) => Some(*start),
            (ScanSlot::Slice(buffer), SlotKind::Leaf(_)) | (ScanSlot::Whole(buffer), _) => Some(*buffer),
            (ScanSlot::Slice(_), SlotKind::Result(_)) => None,
        })
    }

    /// The buffers that are written, in the order of the slots; the arena is not among them.
    pub fn writes<'a>(&'a self, body: &'a Plan) -> impl Iterator<Item = BufferId> + 'a {
        self.slots.iter().zip(&body.interface).filter_map(|(slot, interface)| match (slot, &interface.kind) {
            (ScanSlot::Carry { memory, .. }, _) => Some(*memory),
            (ScanSlot::Slice(buffer), SlotKind::Result(_)) => Some(*buffer),
            (ScanSlot::Slice(_), SlotKind::Leaf(_)) | (ScanSlot::Whole(_), _) => None,
        })
    }
}

/// A matrix in a buffer, for each of a number of batches: an element is at the sum of where its batch, its row and its column
/// are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixRef {
    /// The buffer.
    pub buffer: BufferId,
    /// The first element of all.
    pub offset: usize,
    /// The batches.
    pub batch: Axes,
    /// The rows.
    pub rows: Axes,
    /// The columns.
    pub columns: Axes,
}

impl MatrixRef {
    /// Matrices that fill a buffer, row by row.
    pub fn plain(buffer: BufferId, batch: usize, rows: usize, columns: usize) -> MatrixRef {
        MatrixRef {
            buffer,
            offset: 0,
            batch: Axes::one(batch, rows * columns),
            rows: Axes::one(rows, columns),
            columns: Axes::one(columns, 1),
        }
    }

    /// The furthest element; `None` where that is no number, or where there is none.
    pub fn furthest(&self) -> Option<usize> {
        let axes = [self.batch, self.rows, self.columns];
        axes.iter().try_fold(self.offset, |sum, axes| sum.checked_add(axes.furthest()?))
    }

    /// Whether its rows and its columns each have one stride.
    pub fn is_plain(&self) -> bool {
        self.rows.len() <= 1 && self.columns.len() <= 1
    }

    /// Whether every element is somewhere else, as far as the strides tell.
    pub fn is_apart(&self) -> bool {
        let mut axes: Vec<Axis> = [self.batch, self.rows, self.columns].iter().flat_map(|axes| axes.to_vec()).collect();
        axes.sort_unstable_by_key(|axis| axis.stride);
        let mut reach = 0usize;
        axes.iter().all(|axis| {
            let is_beyond = axis.stride > reach;
            reach = reach.saturating_add(axis.extent.saturating_sub(1).saturating_mul(axis.stride));
            is_beyond
        })
    }
}

/// `C = s · A · B`, or `C += s · A · B`, for each batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gemm {
    /// `f32` or `f64`.
    pub dtype: DType,
    /// Number of products.
    pub batch: usize,
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Extent that is summed over; 0 makes C zero (or leaves it, where it accumulates).
    pub k: usize,
    /// m × k.
    pub a: MatrixRef,
    /// k × n.
    pub b: MatrixRef,
    /// m × n. Where its rows or columns are of several axes, as windows are, its elements may overlap: it is only added to then.
    pub c: MatrixRef,
    /// Whether C is added to.
    pub accumulate: bool,
    /// The factor s, or a part of it.
    pub scale: f64,
    /// The rest of it: a buffer of one element of the same type.
    pub factor: Option<BufferId>,
    /// Memory in the arena for whatever multiplies, during this step alone.
    pub scratch: Option<BufferId>,
    /// An operand that a step before has packed: its matrix is what was packed, and is not read.
    pub packed: Option<Packed>,
}

/// Which operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// The left one.
    A,
    /// The right one.
    B,
}

/// An operand that has been packed, in an order that only whatever multiplies knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Which one.
    pub operand: Operand,
    /// The memory that it is in.
    pub buffer: BufferId,
}

/// How an operand of a product can be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Which one.
    pub operand: Operand,
    /// The bytes that it takes.
    pub bytes: usize,
}

impl Gemm {
    /// An operand.
    pub fn operand(&self, operand: Operand) -> &MatrixRef {
        match operand {
            Operand::A => &self.a,
            Operand::B => &self.b,
        }
    }

    /// The buffers of the operands, as they are read.
    pub fn reads(&self) -> [BufferId; 2] {
        let read = |operand: Operand| match self.packed {
            Some(packed) if packed.operand == operand => packed.buffer,
            _ => self.operand(operand).buffer,
        };
        [read(Operand::A), read(Operand::B)]
    }

    /// The elements of an operand that is packed: where all of a batch have the same matrix, it is there once.
    pub fn packed_elements(&self, operand: Operand) -> Option<usize> {
        let outer = if operand == Operand::A { self.m } else { self.n };
        let is_one = self.operand(operand).batch.iter().all(|axis| axis.stride == 0);
        outer.checked_mul(self.k)?.checked_mul(if is_one { 1 } else { self.batch })
    }
}

/// What a step computes, for people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Computed {
    /// The values that are computed once: their names, or their operators where the source gives them none.
    pub values: Vec<String>,
    /// Where these come from in the source, each place once, in order.
    pub spans: Vec<Span>,
}

/// What is computed a second time in order to need less memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recomputed {
    /// How many values.
    pub values: usize,
    /// The floating-point operations that this takes, as [`gradc_ir::work`] counts them.
    pub flops: u64,
    /// Size of the arena if nothing were computed again.
    pub bytes_without: usize,
}

/// The first steps of a plan, where they depend on nothing but leaves that runs seldom find changed: parameters that it does not
/// update. They are done in the first run, and in the next one after such a leaf was changed; other runs
/// find in the arena what they left there, as no other step writes to it. A loop's body has none: what is packed for all of its steps,
/// the plan around it packs, and gives it in slots behind all others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prologue {
    /// How many steps.
    pub steps: usize,
    /// The leaves that they read, in order. No step writes them.
    pub reads: Vec<SlotId>,
}

/// What a compiled program does. It has all the memory that it needs: no step allocates any. Buffers in the arena are
/// written before they are read, if not in this run then by the [`Prologue`] in one before; the caller's slots are in the
/// order of the interface: leaves (inputs, parameters, state, each in the graph's order), then results.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The graph's name.
    pub name: String,
    /// Distinct kernels; steps of the same computation on other buffers share one.
    pub kernels: Vec<Kernel>,
    /// What scans run: plans of their own, with their own kernels. Steps of the same body share one.
    pub bodies: Vec<Plan>,
    /// In order.
    pub steps: Vec<Step>,
    /// What of them is done once for many runs.
    pub prologue: Prologue,
    /// For each step, what it computes; nothing is known of the steps of a plan that was not scheduled from a graph.
    pub computed: Vec<Computed>,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// What caller and program share.
    pub interface: Vec<Slot>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// What is computed again, where the arena had to become smaller.
    pub recomputed: Option<Recomputed>,
}

impl Plan {
    /// Alignment of the arena and of each buffer in it, in bytes: a cache line, and the widest vector.
    pub const ALIGNMENT: usize = 64;

    /// The kernels of the plan and those of its bodies, in the order in which they are printed.
    pub fn all_kernels(&self) -> Vec<&Kernel> {
        self.kernels.iter().chain(self.bodies.iter().flat_map(Plan::all_kernels)).collect()
    }

    /// The bytes of the arena that what the prologue has made takes from run to run.
    pub fn lasting_bytes(&self) -> usize {
        let bytes = |buffer: BufferId| self.buffers.get(buffer.0 as usize).map_or(0, |buffer| buffer.ty.bytes());
        self.steps[..self.prologue.steps].iter().flat_map(|step| self.writes(step)).map(bytes).sum()
    }

    /// The buffers that a step writes, memory that is for this step alone apart.
    pub fn writes(&self, step: &Step) -> SmallVec<[BufferId; 4]> {
        match step {
            Step::Kernel { kernel, buffers } => self.used(*kernel, buffers, |access| access != Access::Read),
            Step::Gemm(gemm) => [gemm.c.buffer].into_iter().collect(),
            Step::Pack(gemm) => gemm.packed.map(|packed| packed.buffer).into_iter().collect(),
            Step::Scan(scan) => self.bodies.get(scan.body).into_iter().flat_map(|body| scan.writes(body)).collect(),
        }
    }

    /// The buffers that a step reads.
    pub fn reads(&self, step: &Step) -> SmallVec<[BufferId; 4]> {
        match step {
            Step::Kernel { kernel, buffers } => self.used(*kernel, buffers, |access| access != Access::Write),
            Step::Gemm(gemm) => gemm.reads().into_iter().chain(gemm.factor).collect(),
            Step::Pack(gemm) => gemm.packed.map(|packed| gemm.operand(packed.operand).buffer).into_iter().collect(),
            Step::Scan(scan) => self.bodies.get(scan.body).into_iter().flat_map(|body| scan.reads(body)).collect(),
        }
    }

    /// The buffers that a kernel uses in such a way.
    fn used(&self, kernel: usize, buffers: &[BufferId], is_such: fn(Access) -> bool) -> SmallVec<[BufferId; 4]> {
        let params = self.kernels.get(kernel).map_or(&[][..], |kernel| &kernel.buffers);
        let used = params.iter().zip(buffers).filter(|(param, _)| is_such(param.access));
        used.map(|(_, &buffer)| buffer).collect()
    }

    /// The slots that any step writes.
    pub fn written_slots(&self) -> BTreeSet<SlotId> {
        let buffers = self.steps.iter().flat_map(|step| self.writes(step));
        let slot = |buffer: BufferId| match self.buffers.get(buffer.0 as usize)?.location {
            Location::Slot(slot) => Some(slot),
            Location::Arena(_) => None,
        };
        buffers.filter_map(slot).collect()
    }

    /// The steps of the plan and, once, those of its bodies.
    pub fn all_steps(&self) -> Vec<&Step> {
        self.steps.iter().chain(self.bodies.iter().flat_map(Plan::all_steps)).collect()
    }
}
