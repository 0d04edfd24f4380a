//! What wide code is before it has registers: a list of instructions on values without number.

use rustc_hash::FxHashMap;

/// How wide vectors are, and with that which instructions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extension {
    /// AVX2 with FMA: 256 bits, 16 registers, masks in vectors.
    Avx2,
    /// AVX-512 with its instructions for bytes, words, doublewords and quadwords: 512 bits, 32 registers, masks of their own.
    Avx512,
}

impl Extension {
    /// Bytes of a vector.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Extension::Avx2 => 32,
            Extension::Avx512 => 64,
        }
    }
}

/// Which registers a value may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Vectors, and masks where these are vectors.
    Vector,
    /// Masks of one bit a lane.
    Mask,
    /// Addresses and counters.
    General,
}

/// A value of a program. Most are defined once; accumulators and counters are defined again in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id(pub(super) u32);

/// A constant in the pool behind the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConstantId(pub(super) u32);

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// There is none.
    None,
    /// A value.
    Value(Id),
    /// A constant, which an instruction reads in memory.
    Constant(ConstantId),
}

impl From<Id> for Source {
    fn from(id: Id) -> Source {
        Source::Value(id)
    }
}

/// An address: `base + index · scale + offset`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: Id,
    pub(super) index: Option<Id>,
    pub(super) scale: u8,
    pub(super) offset: i32,
}

/// What an instruction does. Where nothing else is said, it does so in each lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    // Vectors of floats: result, `a` and `b`.
    Add,
    Sub,
    Mul,
    Div,
    /// `a < b ? a : b`
    Min,
    /// `b < a ? a : b`
    Max,
    /// `a · 2^b` (AVX-512).
    Scale,
    /// `a · b + c`
    MultiplyAdd,
    // Of one operand, `b`.
    Sqrt,
    /// To whole numbers, as `immediate` says.
    Round,
    // Bits.
    And,
    Or,
    Xor,
    // Integers.
    IntAdd,
    IntSub,
    IntMul,
    IntMin,
    IntMax,
    // Of one operand, `b`.
    IntAbs,
    /// By `immediate` places.
    ShiftLeft,
    ShiftRight,
    RotateLeft,
    /// `f32` from `i32`.
    FloatFromInt,
    /// `i32` from `f32`, towards zero; the least `i32` where it has none.
    IntFromFloat,
    // Masks: a comparison of `a` with `b`, the condition in `immediate`.
    Compare,
    /// Signed integers (AVX-512: any condition; AVX2: `Equal` and `Greater` only).
    IntCompare,
    /// `mask ? b : a`
    Blend,
    /// A mask as a vector (AVX-512).
    VectorFromMask,
    /// Where `a` and `b` have a bit in common (AVX-512).
    Test,
    // Masks of one bit a lane.
    MaskAnd,
    MaskAndNot,
    MaskOr,
    MaskXor,
    MaskNot,
    /// The lanes whose bits are set in `immediate`.
    MaskConstant,
    /// The constant `a`: one number in each lane, or a whole vector.
    Constant,
    /// Zeros.
    Zero,
    /// The lower 32 bits of the general register `a` in each lane.
    Splat,
    /// The first 128 bits of `a` in each 128 bits.
    RepeatFirst,
    /// Lanes in another order: neighbours of so many bytes change places.
    Swap(u8),
    /// `a`
    Copy,
    // Memory.
    /// A vector, or what `mask` chooses of it with zeros elsewhere; or its first `immediate` lanes, if that is not 0. So it is
    /// for all loads and stores of vectors.
    Load,
    /// One element in each lane.
    LoadSplat,
    /// Bytes, each as a lane.
    LoadBytes,
    /// Words of 16 bits, each as a lane of 32.
    LoadWords,
    /// A byte as a general register, with zeros before it.
    LoadByte,
    /// A word of 16 bits as a general register.
    LoadWord,
    /// Elements at `place` plus the distances in bytes in `a`.
    Gather,
    Store,
    /// The first lane.
    StoreFirst,
    /// The lowest byte of the first lane.
    StoreFirstByte,
    /// The lowest 16 bits of the first lane.
    StoreFirstWord,
    /// The lowest byte of each lane.
    StoreBytes,
    /// The lowest 16 bits of each lane of 32.
    StoreWords,
    /// The first lane of a mask as a byte, 0 or 1.
    StoreTruth,
    // General registers.
    /// The address in the table that the kernel is given, `immediate` bytes from its start.
    Base,
    /// `a + b · immediate`; either may be missing.
    Address,
    /// The first lane of `a`, a signed `i32`.
    FromFirst,
    /// Sets the result to 0 and begins a loop.
    LoopBegin,
    /// Adds `place.offset` to the result and goes on with the loop while it is below `immediate`.
    LoopEnd,
}

/// An instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instruction {
    pub(super) op: Op,
    pub(super) result: Option<Id>,
    pub(super) a: Source,
    pub(super) b: Source,
    pub(super) c: Source,
    pub(super) mask: Option<Id>,
    pub(super) place: Option<Place>,
    pub(super) immediate: i64,
}

impl Instruction {
    pub(super) fn new(op: Op) -> Instruction {
        let none = Source::None;
        Instruction { op, result: None, a: none, b: none, c: none, mask: None, place: None, immediate: 0 }
    }

    /// Calls `use_of` with each value that is read.
    pub(super) fn reads(&self, mut use_of: impl FnMut(Id)) {
        for source in [self.a, self.b, self.c] {
            if let Source::Value(id) = source {
                use_of(id);
            }
        }
        if let Some(place) = self.place.filter(|_| self.op != Op::LoopEnd) {
            use_of(place.base);
            place.index.into_iter().for_each(&mut use_of);
        }
        self.mask.into_iter().for_each(&mut use_of);
        if self.op == Op::LoopEnd {
            self.result.into_iter().for_each(use_of);
        }
    }

    /// Whether the result may not be in the register of an operand.
    pub(super) fn writes_early(&self) -> bool {
        self.op == Op::Gather
    }
}

/// The constants of a program.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// The bytes of each: of one lane, which is broadcast, or of a whole vector.
    pub(super) entries: Vec<Vec<u8>>,
    known: FxHashMap<Vec<u8>, ConstantId>,
}

impl Pool {
    pub(super) fn insert(&mut self, bytes: Vec<u8>) -> ConstantId {
        if let Some(&id) = self.known.get(&bytes) {
            return id;
        }
        let id = ConstantId(self.entries.len() as u32);
        self.entries.push(bytes.clone());
        self.known.insert(bytes, id);
        id
    }
}

/// A kernel as instructions.
pub(super) struct Program {
    pub(super) extension: Extension,
    /// Bytes of a lane: 4 or 8.
    pub(super) lane: u8,
    pub(super) instructions: Vec<Instruction>,
    /// The class of each value.
    pub(super) classes: Vec<Class>,
    pub(super) pool: Pool,
}
