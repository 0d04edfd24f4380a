//! The loop IR: what a kernel is before it is machine code.
//!
//! A [`Kernel`] is a nest of counted loops over scalar arithmetic on a few buffers. Every extent, stride and offset is
//! a constant. One source of truth: it is printed by `--emit=kernels`, run by [`evaluate()`],
//! and every back end emits machine code from it and nothing else.
//!
//! # Meaning
//!
//! - A loop runs its body for each value of its index from 0 to its extent. Each loop of a kernel has an index of its
//!   own.
//! - A loop marked [`LoopKind::Vector`] promises that its iterations may be run several at a time, in order: it contains
//!   no loop and no scatter-add; the address of every store in it moves by 1 element per iteration, that of a load by
//!   any stride (0, 1, or a stride that is gathered element by element); the index register of a [`Expr::LoadIndexed`]
//!   in it is defined outside of it; an element that it both loads and stores, it loads and stores in the same iteration,
//!   the load first; and its accumulators may be split into lanes.
//! - [`Stmt::Let`] defines a register once per iteration of the loops around it. A register is visible in the rest of
//!   its body and in the loops inside it.
//! - An accumulator ([`Stmt::Accumulator`]) is declared with its start before a loop, combined by [`Stmt::Accumulate`] in
//!   that loop or in loops inside it, and read after it. The order of combination is fixed for a given target: lanes
//!   first, then lane by lane.
//! - A reduction over axes that are not innermost has its accumulators in memory: a loop stores the start to each
//!   element, and the inner loop loads, combines and stores.
//! - Registers of a storage type (`bf16`, `f16`, `u8`; see [`DType::arithmetic`]) are loaded, stored, chosen, compared and
//!   converted from and to the type of their arithmetic; converting to one rounds, or wraps.
//! - Addresses are affine in loop indices ([`Affine`]), counted in elements, and within the buffer's bounds in every
//!   iteration that runs; the index of an indexed address is clamped so that it is.
//! - A kernel's buffers do not overlap.

mod accesses;
mod affine;
mod evaluate;
mod print;
mod split;
mod verify;
mod work;

pub use accesses::{Extents, MemoryAccess, visit_accesses};
pub use evaluate::{Storage, evaluate};
pub use print::print;
pub use split::{Piece, Split, split, splits};
pub use verify::{KernelError, verify};
pub use work::{reach, weight, work};

use gradc_ir::attr::FloatBits;
use gradc_ir::{DType, ScalarOp};
use smallvec::SmallVec;

/// A register: an SSA value of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reg(pub u32);

/// A loop index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoopVar(pub u32);

/// `offset + Σ stride · index`, in elements.
///
/// Terms are in order of their index, so that equal functions are equal values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Affine {
    /// The constant part.
    pub offset: i64,
    /// Strides by loop index; no stride is 0 and no index is named twice.
    pub terms: SmallVec<[(LoopVar, i64); 4]>,
}

/// How a buffer is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Loads only.
    Read,
    /// Stores; what is loaded was stored by this kernel before.
    Write,
    /// Both: what is loaded may have been there before. In-place updates.
    ReadWrite,
}

/// A buffer that a kernel is given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BufferParam {
    /// For people: the name of the value it holds.
    pub name: String,
    /// Element type in memory.
    pub dtype: DType,
    /// Number of elements.
    pub elements: usize,
    /// How it is used.
    pub access: Access,
}

/// How a loop may be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoopKind {
    /// In order, one iteration at a time.
    Serial,
    /// In vectors, unrolled, with a tail.
    Vector,
}

/// How an accumulator combines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Combine {
    /// Sum; starts at 0.
    Sum,
    /// NaN-propagating maximum.
    Max,
    /// NaN-propagating minimum.
    Min,
}

/// What a [`Stmt::Let`] computes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A constant of the register's type.
    Const(FloatBits),
    /// An element of a buffer.
    Load {
        /// Which buffer, by position in [`Kernel::buffers`].
        buffer: usize,
        /// Which element.
        address: Affine,
    },
    /// An element at an address that a register of type `i32` takes part in: `address + stride · index`.
    LoadIndexed {
        /// Which buffer.
        buffer: usize,
        /// The affine part.
        address: Affine,
        /// The register, already clamped into bounds.
        index: Reg,
        /// Its stride in elements.
        stride: i64,
    },
    /// Scalar arithmetic on registers.
    Op(ScalarOp, SmallVec<[Reg; 3]>),
    /// An affine function of the loop indices as an `i32`: iota, bounds of padding.
    Index(Affine),
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Stmt {
    /// Defines a register.
    Let {
        /// The register.
        reg: Reg,
        /// Its type.
        dtype: DType,
        /// Its value.
        expr: Expr,
    },
    /// Stores a register of the buffer's element type.
    Store {
        /// Which buffer.
        buffer: usize,
        /// Which element.
        address: Affine,
        /// The value.
        value: Reg,
    },
    /// Adds a register to an element at an indexed address, if `guard` holds; repeated indices add up in loop order.
    ScatterAdd {
        /// Which buffer.
        buffer: usize,
        /// The affine part of the address.
        address: Affine,
        /// A register of type `i32`, clamped into bounds.
        index: Reg,
        /// Its stride in elements.
        stride: i64,
        /// The value.
        value: Reg,
        /// A register of type `bool`.
        guard: Reg,
    },
    /// Declares accumulator `reg` and its start; from here on it names the running value.
    Accumulator {
        /// The accumulator.
        reg: Reg,
        /// Its type.
        dtype: DType,
        /// How it combines.
        combine: Combine,
        /// Its first value.
        start: FloatBits,
    },
    /// Combines `value` into the accumulator.
    Accumulate {
        /// An accumulator declared around the enclosing loop.
        reg: Reg,
        /// How it combines, as declared.
        combine: Combine,
        /// What is combined into it.
        value: Reg,
    },
    /// Runs a body for each index.
    Loop(Loop),
}

/// A counted loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loop {
    /// Its index.
    pub var: LoopVar,
    /// How often it runs.
    pub extent: usize,
    /// How it may be run.
    pub kind: LoopKind,
    /// What it runs.
    pub body: Vec<Stmt>,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// For people: the values it computes, by name.
    pub name: String,
    /// What it is given.
    pub buffers: Vec<BufferParam>,
    /// What it does.
    pub body: Vec<Stmt>,
}
