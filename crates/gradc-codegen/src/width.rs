//! How many elements a value holds.

use cranelift_codegen::ir::{Type, types};
use gradc_ir::DType;

/// How many elements a value holds while a statement is emitted.
///
/// In a vector, every element has as many bits as the widest type of its loop: truth values are masks of that width,
/// all ones or all zeros. Alone, a truth value is an `i8` of 0 or 1. An `i64` is never in a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Width {
    /// Elements of the machine value: 1 for a scalar; 4 or 2 for a vector of 128 bits.
    pub(crate) lanes: u8,
    /// How many of them matter; the others hold anything, and nothing is loaded, stored or counted for them.
    pub(crate) active: u8,
}

impl Width {
    /// One element.
    pub(crate) const SCALAR: Width = Width { lanes: 1, active: 1 };

    /// A vector, all of it.
    pub(crate) fn vector(lanes: u8) -> Width {
        Width { lanes, active: lanes }
    }

    /// The vector that holds elements of this type, 128 bits wide.
    pub(crate) fn vector_of(dtype: DType) -> Width {
        Width::vector(if dtype == DType::F64 { 2 } else { 4 })
    }

    /// Whether this is one element.
    pub(crate) fn is_scalar(self) -> bool {
        self.lanes == 1
    }

    /// Whether all lanes matter.
    pub(crate) fn is_full(self) -> bool {
        self.active == self.lanes
    }

    /// The machine type that holds elements of `dtype` in registers: storage types are held as the type of their arithmetic.
    pub(crate) fn ty(self, dtype: DType) -> Type {
        match (self.lanes, dtype.arithmetic()) {
            (1, DType::Bool) => types::I8,
            (1, DType::I32) => types::I32,
            (1, DType::I64) => types::I64,
            (1, DType::F32) => types::F32,
            (1, DType::F64) => types::F64,
            (2, DType::Bool) => types::I64X2,
            (2, DType::F64) => types::F64X2,
            (4, DType::Bool | DType::I32) => types::I32X4,
            (4, DType::F32) => types::F32X4,
            (lanes, dtype) => unreachable!("{lanes} lanes of {dtype} are never chosen"),
        }
    }
}
