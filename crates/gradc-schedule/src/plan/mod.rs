//! The plan: what a compiled program does, step by step, and where its values live.

mod evaluate;
mod print;
mod verify;

pub use evaluate::evaluate;
pub use print::{Traffic, print, print_kernels, traffic};
pub use verify::{PlanError, verify};

use gradc_ir::{DType, LeafKind, Role, TensorType};

use crate::kernel::Kernel;

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
    Gemm(Gemm),
}

/// A matrix in a buffer, for each of a number of batches. Strides are in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatrixRef {
    /// The buffer.
    pub buffer: BufferId,
    /// From row to row.
    pub row_stride: usize,
    /// From column to column.
    pub column_stride: usize,
    /// From batch to batch.
    pub batch_stride: usize,
}

/// `C = A · B`, or `C += A · B`, for each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// m × n.
    pub c: MatrixRef,
    /// Whether C is added to.
    pub accumulate: bool,
}

/// What a compiled program does. Buffers in the arena are written before they are read; the caller's slots are in the
/// order of the interface: leaves (inputs, parameters, state, each in the graph's order), then results.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The graph's name.
    pub name: String,
    /// Distinct kernels; steps of the same computation on other buffers share one.
    pub kernels: Vec<Kernel>,
    /// In order.
    pub steps: Vec<Step>,
    /// All buffers.
    pub buffers: Vec<Buffer>,
    /// What caller and program share.
    pub interface: Vec<Slot>,
    /// Size of the arena.
    pub arena_bytes: usize,
}

impl Plan {
    /// Alignment of the arena and of each buffer in it, in bytes: a cache line, and the widest vector.
    pub const ALIGNMENT: usize = 64;
}
