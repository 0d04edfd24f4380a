//! Compiled programs, and how they run.

use std::mem::ManuallyDrop;
use std::ops::Range;

use cranelift_jit::JITModule;
use cranelift_module::FuncId;
use gradc_ir::DType;
use gradc_runtime::{Matmul, Strides, gradc_runtime_matmul_f32, gradc_runtime_matmul_f64};
use gradc_schedule::kernel::Access;
use gradc_schedule::plan::{BufferId, Gemm, Location, MatrixRef, Plan, Slot, Step};

use crate::arena::Arena;
use crate::binding::Binding;
use crate::error::RunError;
use crate::listing::Listing;

/// A kernel's machine code. It is given the addresses of its buffers.
type KernelFunction = unsafe extern "C" fn(buffers: *const *mut u8);

/// Machine code, and the memory that it lies in.
pub(crate) struct Code {
    module: ManuallyDrop<JITModule>,
    functions: Vec<KernelFunction>,
}

impl Code {
    /// Takes a finished module; `functions` are kernels of it.
    pub(crate) fn new(module: JITModule, functions: &[FuncId]) -> Code {
        let functions = functions
            .iter()
            .map(|&id| {
                let address = module.get_finalized_function(id);
                // SAFETY: the function was emitted with this signature and calling convention.
                unsafe { std::mem::transmute::<*const u8, KernelFunction>(address) }
            })
            .collect();
        Code { module: ManuallyDrop::new(module), functions }
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: the module is taken once, here; nobody else has its functions, and none of them is running, since
        // running one borrows the program.
        unsafe { ManuallyDrop::take(&mut self.module).free_memory() };
    }
}

// SAFETY: the module is `Send`, and it is not touched between construction and drop; its code keeps no state. What it
// reads and writes is what `Program::run` has exclusive or shared borrows of.
unsafe impl Sync for Code {}

/// One thing to do, with everything looked up.
enum Command {
    Kernel { function: KernelFunction, arguments: Range<usize> },
    Matmul { dtype: DType, matmul: Matmul, operands: [Address; 3] },
}

/// Where a buffer is: a distance from the arena (base 0) or from a slot (base 1 + slot).
#[derive(Clone, Copy)]
struct Address {
    base: usize,
    offset: usize,
}

/// What a slot of the interface asks of the memory that is bound to it.
struct Requirement {
    name: String,
    bytes: usize,
    alignment: usize,
    written: bool,
}

/// How much was compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Functions: one for each kernel.
    pub functions: usize,
    /// Bytes of machine code.
    pub bytes: usize,
}

/// A compiled plan. It is not changed by running, and can be run on several threads, each with an [`Arena`] of its own.
pub struct Program {
    commands: Vec<Command>,
    arguments: Vec<Address>,
    requirements: Vec<Requirement>,
    interface: Vec<Slot>,
    arena_bytes: usize,
    /// As many addresses as the kernel with the most buffers takes.
    table_len: usize,
    listing: Listing,
    statistics: Statistics,
    // Owns the memory that the commands' functions lie in.
    _code: Code,
}

impl Program {
    pub(crate) fn new(plan: &Plan, code: Code, listing: Listing, statistics: Statistics) -> Program {
        let mut arguments = Vec::new();
        let mut table_len = 0;
        let mut commands = Vec::with_capacity(plan.steps.len());
        for step in &plan.steps {
            commands.push(match step {
                Step::Kernel { kernel, buffers } => {
                    let start = arguments.len();
                    arguments.extend(buffers.iter().map(|&buffer| address(plan, buffer)));
                    table_len = table_len.max(buffers.len());
                    Command::Kernel { function: code.functions[*kernel], arguments: start..arguments.len() }
                }
                Step::Gemm(gemm) => Command::Matmul {
                    dtype: gemm.dtype,
                    matmul: matmul(gemm),
                    operands: [gemm.a, gemm.b, gemm.c].map(|matrix| address(plan, matrix.buffer)),
                },
            });
        }
        Program {
            commands,
            arguments,
            requirements: requirements(plan),
            interface: plan.interface.clone(),
            arena_bytes: plan.arena_bytes,
            table_len,
            listing,
            statistics,
            _code: code,
        }
    }

    /// What caller and program share, in the order in which [`Program::run`] takes it.
    pub fn interface(&self) -> &[Slot] {
        &self.interface
    }

    /// Whether the program writes a slot: such slots are bound with [`Binding::Write`].
    pub fn writes(&self, slot: usize) -> bool {
        self.requirements.get(slot).is_some_and(|requirement| requirement.written)
    }

    /// Memory for the values of one run after another.
    ///
    /// # Errors
    /// [`RunError::OutOfMemory`] where there is not so much memory.
    pub fn new_arena(&self) -> Result<Arena, RunError> {
        Arena::new(self.arena_bytes, 1 + self.requirements.len(), self.table_len)
    }

    /// The size of the arena in bytes.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// How much was compiled.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Cranelift's IR, as emitted and as optimised; empty unless [`Listings::clif`](crate::Listings) was asked for.
    pub fn clif(&self) -> String {
        self.listing.clif()
    }

    /// Machine code as text; empty unless [`Listings::assembly`](crate::Listings) was asked for.
    pub fn assembly(&self) -> String {
        self.listing.assembly()
    }

    /// Runs the program once. Slots are bound in the order of [`Program::interface`]. Kernels allocate nothing.
    ///
    /// # Errors
    /// Where what is bound does not fit the interface, or the arena is another program's. Nothing was run then.
    pub fn run(&self, arena: &mut Arena, slots: &mut [Binding<'_>]) -> Result<(), RunError> {
        self.check(slots)?;
        let (bases, table) = arena.parts(self.arena_bytes, 1 + slots.len(), self.table_len).ok_or(RunError::Arena)?;
        for (base, slot) in bases[1..].iter_mut().zip(slots) {
            *base = slot.address();
        }
        let place = |address: Address| bases[address.base].wrapping_add(address.offset);
        for command in &self.commands {
            match command {
                Command::Kernel { function, arguments } => {
                    for (entry, &argument) in table.iter_mut().zip(&self.arguments[arguments.clone()]) {
                        *entry = place(argument);
                    }
                    // SAFETY: the check of the plan has proved that a kernel stays within the buffers that it is
                    // given and these within arena and slots, whose sizes and alignments have been checked above.
                    // Arena and written slots are borrowed exclusively, and no written buffer overlaps another.
                    unsafe { function(table.as_ptr()) };
                }
                Command::Matmul { dtype: DType::F64, matmul, operands: [a, b, c] } => {
                    let (a, b, c) = (place(*a).cast(), place(*b).cast(), place(*c).cast());
                    // SAFETY: as for kernels; the check of the plan covers the reach of every stride.
                    unsafe { gradc_runtime_matmul_f64(matmul, a, b, c) };
                }
                Command::Matmul { matmul, operands: [a, b, c], .. } => {
                    let (a, b, c) = (place(*a).cast(), place(*b).cast(), place(*c).cast());
                    // SAFETY: as above; the only other type that passes the check is `f32`.
                    unsafe { gradc_runtime_matmul_f32(matmul, a, b, c) };
                }
            }
        }
        Ok(())
    }

    fn check(&self, slots: &[Binding<'_>]) -> Result<(), RunError> {
        let (expected, given) = (self.requirements.len(), slots.len());
        if expected != given {
            return Err(RunError::SlotCount { expected, given });
        }
        for (slot, requirement) in slots.iter().zip(&self.requirements) {
            let name = || requirement.name.clone();
            if slot.len() != requirement.bytes {
                return Err(RunError::SlotSize { slot: name(), expected: requirement.bytes, given: slot.len() });
            }
            if !slot.is_aligned_to(requirement.alignment) {
                return Err(RunError::SlotAlignment { slot: name() });
            }
            if requirement.written && matches!(slot, Binding::Read(_)) {
                return Err(RunError::SlotReadOnly { slot: name() });
            }
        }
        Ok(())
    }
}

fn address(plan: &Plan, buffer: BufferId) -> Address {
    match plan.buffers[buffer.0 as usize].location {
        Location::Arena(offset) => Address { base: 0, offset },
        Location::Slot(slot) => Address { base: 1 + slot.0 as usize, offset: 0 },
    }
}

fn matmul(gemm: &Gemm) -> Matmul {
    let strides = |matrix: MatrixRef| Strides {
        row: matrix.row_stride,
        column: matrix.column_stride,
        batch: matrix.batch_stride,
    };
    Matmul {
        batch: gemm.batch,
        m: gemm.m,
        n: gemm.n,
        k: gemm.k,
        a: strides(gemm.a),
        b: strides(gemm.b),
        c: strides(gemm.c),
        accumulate: gemm.accumulate,
    }
}

/// What the interface asks of its memory: what any step writes has to be writable.
fn requirements(plan: &Plan) -> Vec<Requirement> {
    let mut requirements: Vec<Requirement> = plan
        .interface
        .iter()
        .map(|slot| Requirement {
            name: slot.name.clone(),
            bytes: slot.ty.bytes(),
            alignment: slot.ty.dtype.size(),
            written: false,
        })
        .collect();
    let mut write = |buffer: BufferId| {
        if let Location::Slot(slot) = plan.buffers[buffer.0 as usize].location {
            requirements[slot.0 as usize].written = true;
        }
    };
    for step in &plan.steps {
        match step {
            Step::Kernel { kernel, buffers } => {
                let params = plan.kernels[*kernel].buffers.iter();
                let written = params.zip(buffers).filter(|(param, _)| param.access != Access::Read);
                written.for_each(|(_, &buffer)| write(buffer));
            }
            Step::Gemm(gemm) => write(gemm.c.buffer),
        }
    }
    requirements
}
