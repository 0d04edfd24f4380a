//! Wide vectors: machine code of AVX2 and AVX-512, which Cranelift does not have.
//!
//! A kernel is translated to a list of instructions on values ([`lower`], with [`loops`], [`keep`] and [`memory`]), by the same
//! scalar operations and functions as everywhere ([`builder`] is what they are emitted through); each value is given a
//! register ([`registers`]), and the result is encoded ([`encode`], with [`codes`] and
//! [`special`], as [`crate::x86`] encodes single instructions). What it does not do,
//! [`supports`] says: such kernels are Cranelift's.

mod builder;
mod codes;
mod encode;
mod keep;
mod loops;
mod lower;
mod memory;
mod program;
mod registers;
mod special;
mod supports;

pub(crate) use program::Extension;

use gradc_schedule::kernel::Kernel;

use lower::Way;

/// A stack frame may not be larger: nothing probes whether there is a page for it.
const GREATEST_FRAME: u32 = 3584;

/// Machine code of a kernel.
pub(crate) struct Wide {
    /// The function, and its constants behind it.
    pub(crate) bytes: Vec<u8>,
    /// The function as text, a line for each instruction, if that was asked for.
    pub(crate) listing: Vec<String>,
}

/// Whether a kernel is one for wide vectors.
pub(crate) fn takes(kernel: &Kernel, extension: Extension) -> bool {
    supports::lane(kernel, extension).is_some()
}

/// Machine code of a kernel whose form has been checked, or `None` where it is not one for wide vectors. It is text as well where
/// it `lists`.
///
/// # Errors
/// Where what was made cannot be encoded, which is a bug.
pub(crate) fn compile(
    kernel: &Kernel,
    extension: Extension,
    contract: bool,
    lists: bool,
) -> Result<Option<Wide>, String> {
    let narrower = Some(Extension::Avx2).filter(|&narrower| narrower != extension);
    let extension = [Some(extension), narrower].into_iter().flatten().find(|&chosen| supports::suits(kernel, chosen));
    let Some(extension) = extension else { return Ok(None) };
    let Some(lane) = supports::lane(kernel, extension) else { return Ok(None) };
    // Fewer vectors in step need fewer registers, and less of the stack where there are none.
    for most_in_step in [8, 2, 1] {
        let program = lower::lower(kernel, Way { extension, lane, contract, most_in_step });
        let allocation = registers::allocate(&program);
        if allocation.stack <= GREATEST_FRAME {
            return encode::encode(&program, &allocation, lists).map(Some);
        }
    }
    Ok(None)
}
