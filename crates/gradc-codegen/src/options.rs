//! How to compile.

use std::num::NonZeroUsize;

/// How hard Cranelift works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OptLevel {
    /// Straight translation: the fastest to compile, for looking at what the emitter writes.
    None,
    /// Cranelift's mid-end runs: common subexpressions, loop-invariant code, instruction selection over trees.
    #[default]
    Speed,
}

/// Whether a product and a sum may become one fused operation, which rounds once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Contraction {
    /// Every operation of the program rounds, as IEEE 754 and the interpreter have it.
    #[default]
    Never,
    /// A sum one of whose operands is a product is fused with it, where the machine can.
    Fuse,
}

/// Which instructions may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Features {
    /// What this machine has.
    #[default]
    Native,
    /// What every machine of this architecture has.
    Baseline,
}

/// How wide the vectors of kernels are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vectors {
    /// As wide as the machine has them. Kernels that wide vectors cannot be made of have those of 128 bits.
    #[default]
    Widest,
    /// 128 bits, everywhere.
    Bits128,
    /// 256 bits, where a kernel can be made of them: AVX2 with FMA.
    Bits256,
    /// 512 bits, where a kernel can be made of them: AVX-512.
    Bits512,
}

/// Which texts are kept for [`Program::clif`](crate::Program::clif) and [`Program::assembly`](crate::Program::assembly).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Listings {
    /// Cranelift's IR, before and after its optimisation.
    pub clif: bool,
    /// Machine code as text.
    pub assembly: bool,
}

/// Which steps are shared out to several threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Those that are done sooner then.
    #[default]
    WorthWhile,
    /// All that can be, for tests of small ones.
    Everything,
}

/// How to compile a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// How hard Cranelift works.
    pub opt_level: OptLevel,
    /// Whether products and sums may be fused.
    pub contraction: Contraction,
    /// Which instructions may be used.
    pub features: Features,
    /// How wide vectors are. They are of 128 bits without optimisation, and where no instructions but the baseline's are used.
    pub vectors: Vectors,
    /// Which texts are kept.
    pub listings: Listings,
    /// How many threads the program is shared out to, where that is worth while; one, if not given. Results do not depend on
    /// it.
    pub threads: Option<NonZeroUsize>,
    /// Which steps are shared out to them.
    pub sharing: Sharing,
}
