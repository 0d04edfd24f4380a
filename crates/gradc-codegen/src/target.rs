//! The machine that code is made for.

use std::sync::Arc;

use cranelift_codegen::ir::Endianness;
use cranelift_codegen::isa::{self, TargetIsa};
use cranelift_codegen::settings::{self, Configurable};

use crate::error::CodegenError;
use crate::options::{Features, OptLevel, Options, Vectors};
use crate::wide::Extension;

/// The machine that code is made for, as far as emission depends on it.
#[derive(Clone)]
pub(crate) struct Target {
    /// Cranelift's description.
    pub(crate) isa: Arc<dyn TargetIsa>,
    /// Whether a fused multiply-add is one instruction.
    pub(crate) has_fma: bool,
    /// Whether rounding to whole numbers is one instruction.
    pub(crate) has_rounding: bool,
    /// Whether NaN and signed zeros must be mended around the machine's minimum and maximum.
    pub(crate) is_x86: bool,
    /// What there is of wide vectors.
    pub(crate) wide: Option<Extension>,
}

impl Target {
    /// This machine, restricted as the options say.
    pub(crate) fn new(options: &Options) -> Result<Target, CodegenError> {
        let target = |problem: String| CodegenError::Target(problem);
        let mut flags = settings::builder();
        let opt_level = match options.opt_level {
            OptLevel::None => "none",
            OptLevel::Speed => "speed",
        };
        // The verifier costs a third of the compile time; debug builds and tests run it.
        let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
        for (name, value) in [
            ("opt_level", opt_level),
            ("enable_verifier", verifier),
            ("is_pic", "false"),
            ("use_colocated_libcalls", "false"),
            ("log2_min_function_alignment", "6"),
            // A frame larger than a page must not step over the guard page.
            ("enable_probestack", "true"),
            ("probestack_strategy", "inline"),
            ("unwind_info", "false"),
        ] {
            flags.set(name, value).map_err(|error| target(error.to_string()))?;
        }
        let native = options.features == Features::Native;
        let builder: isa::Builder =
            cranelift_native::builder_with_options(native).map_err(|problem| target(problem.to_owned()))?;
        let isa = builder.finish(settings::Flags::new(flags)).map_err(|error| target(error.to_string()))?;
        if isa.pointer_bytes() != 8 || isa.endianness() != Endianness::Little {
            return Err(target("it does not have 64-bit addresses with the lowest byte first".to_owned()));
        }
        let is_x86 = isa.name() == "x64";
        let has = |feature: &str| {
            !is_x86 || isa.isa_flags().iter().any(|flag| flag.name == feature && flag.as_bool() == Some(true))
        };
        let (has_fma, has_rounding) = (has("has_fma"), has("has_sse41"));
        let wide = wide(options)?;
        Ok(Target { isa, has_fma, has_rounding, is_x86, wide })
    }
}

/// The wide vectors that are asked for.
fn wide(options: &Options) -> Result<Option<Extension>, CodegenError> {
    let may = options.features == Features::Native && options.opt_level == OptLevel::Speed;
    let chosen = match options.vectors {
        Vectors::Bits128 => None,
        Vectors::Widest => [Extension::Avx512, Extension::Avx2].into_iter().find(|&extension| is_there(extension)),
        Vectors::Bits256 => Some(Extension::Avx2),
        Vectors::Bits512 => Some(Extension::Avx512),
    };
    match chosen {
        Some(extension) if !is_there(extension) => {
            Err(CodegenError::Target(format!("it does not have vectors of {} bits", 8 * extension.bytes())))
        }
        chosen => Ok(chosen.filter(|_| may)),
    }
}

/// Whether this machine has an extension, and the calling convention that wide code has.
#[cfg(all(target_arch = "x86_64", not(windows)))]
fn is_there(extension: Extension) -> bool {
    let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match extension {
        Extension::Avx2 => has_avx2,
        Extension::Avx512 => {
            has_avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(windows))))]
fn is_there(_: Extension) -> bool {
    false
}
