//! Functions of the runtime that kernels call.

use cranelift_codegen::ir::{Type, types};
use gradc_runtime::{gradc_runtime_erf_f64, gradc_runtime_erfc_f64, gradc_runtime_pow_f64};

/// A function of the runtime that kernels call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Import {
    /// `pow` in `f64`.
    PowF64,
    /// `erf` in `f64`.
    ErfF64,
    /// `erfc` in `f64`.
    ErfcF64,
}

impl Import {
    /// Every one, in the order of [`Import::index`].
    pub(crate) const ALL: [Import; 3] = [Import::PowF64, Import::ErfF64, Import::ErfcF64];

    /// Its number in a module: imports are declared first.
    pub(crate) fn index(self) -> u32 {
        self as u32
    }

    /// Its symbol.
    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Import::PowF64 => "gradc_runtime_pow_f64",
            Import::ErfF64 => "gradc_runtime_erf_f64",
            Import::ErfcF64 => "gradc_runtime_erfc_f64",
        }
    }

    /// Where it is.
    pub(crate) fn address(self) -> *const u8 {
        match self {
            Import::PowF64 => gradc_runtime_pow_f64 as extern "C" fn(f64, f64) -> f64 as *const u8,
            Import::ErfF64 => gradc_runtime_erf_f64 as extern "C" fn(f64) -> f64 as *const u8,
            Import::ErfcF64 => gradc_runtime_erfc_f64 as extern "C" fn(f64) -> f64 as *const u8,
        }
    }

    /// The types of its parameters and of its result.
    pub(crate) fn signature(self) -> (&'static [Type], Type) {
        match self {
            Import::PowF64 => (&[types::F64, types::F64], types::F64),
            Import::ErfF64 | Import::ErfcF64 => (&[types::F64], types::F64),
        }
    }
}
