//! What a plan is when it runs: its steps with everything looked up.

use std::ops::Range;

use gradc_ir::DType;
use gradc_runtime::{Matmul, MatmulPart, multiply_part_f32, multiply_part_f64, pack_operand_f32, pack_operand_f64};
use gradc_schedule::plan::{BufferId, Gemm, Location, MatrixRef, Operand, Plan, Scan, ScanSlot, Step};

use crate::compile::Placed;
use crate::crew::Crew;
use crate::matmul::matmul;
use crate::partition::Partition;

/// A kernel's machine code. It is given the addresses of its buffers.
pub(crate) type KernelFunction = unsafe extern "C" fn(buffers: *const *mut u8);

/// The steps of a plan, to be run on its memory: an arena and the slots of its interface.
pub(crate) struct Routine {
    commands: Vec<Command>,
    /// How many commands are the plan's prologue.
    prologue: usize,
    arguments: Vec<Address>,
    slots: usize,
    room: Room,
}

/// How many addresses a routine notes while it runs, with those of its bodies.
#[derive(Clone, Copy, Default)]
pub(crate) struct Room {
    /// Of arenas and slots.
    pub(crate) bases: usize,
    /// Of the buffers of one kernel, for each of its pieces.
    pub(crate) table: usize,
    /// The bytes of scratch memory of all parts of one product that is shared: a plan has it for whole products only.
    pub(crate) scratch: usize,
}

/// One thing to do.
enum Command {
    /// One piece, or several that may run at the same time.
    Kernel {
        pieces: Vec<Placed<KernelFunction>>,
        arguments: Range<usize>,
    },
    /// The operands are A, B, C and scratch memory.
    Matmul {
        dtype: DType,
        part: Box<MatmulPart>,
        factor: Option<Address>,
        operands: [Address; 4],
    },
    /// The parts of a product, with their places in the crew's scratch memory, which may run at the same time. The operands
    /// are A, B and C.
    Matmuls {
        dtype: DType,
        parts: Vec<(MatmulPart, usize)>,
        factor: Option<Address>,
        operands: [Address; 3],
    },
    /// Packs an operand, in parts that may be packed at the same time: these lanes of it.
    Pack {
        dtype: DType,
        matmul: Box<Matmul>,
        parts: Vec<Range<usize>>,
        from: Address,
        to: Address,
    },
    Scan(Box<Repeat>),
}

/// A body that is run for each part of sequences.
struct Repeat {
    body: Routine,
    length: usize,
    reverse: bool,
    arena: Address,
    slots: Vec<Part>,
    carries: Vec<Carry>,
}

/// Where a slot of a body is: `stride` bytes further with each part of a sequence.
struct Part {
    start: Address,
    stride: usize,
}

/// What is copied before the first step.
struct Carry {
    from: Address,
    to: Address,
    bytes: usize,
}

/// Where a buffer is: a distance from the arena (base 0) or from a slot (base 1 + slot).
#[derive(Clone, Copy)]
struct Address {
    base: usize,
    offset: usize,
}

impl Address {
    fn of(self, bases: &[*mut u8]) -> *mut u8 {
        bases[self.base].wrapping_add(self.offset)
    }
}

impl Routine {
    /// The steps of `plan`, of which `kernels` are the pieces of the kernels in the order of [`Plan::all_kernels`].
    pub(crate) fn new(plan: &Plan, partition: &Partition, kernels: &[Vec<Placed<KernelFunction>>]) -> Routine {
        let (own, mut rest) = kernels.split_at(plan.kernels.len());
        let mut of_bodies = Vec::with_capacity(plan.bodies.len());
        for body in &plan.bodies {
            let (its, others) = rest.split_at(body.all_kernels().len());
            of_bodies.push(its);
            rest = others;
        }
        let mut routine = Routine {
            commands: Vec::with_capacity(plan.steps.len()),
            prologue: plan.prologue.steps,
            arguments: Vec::new(),
            slots: plan.interface.len(),
            room: Room::default(),
        };
        let mut inner = 0;
        for step in &plan.steps {
            let command = match step {
                Step::Kernel { kernel, buffers } => {
                    let start = routine.arguments.len();
                    routine.arguments.extend(buffers.iter().map(|&buffer| address(plan, buffer)));
                    let pieces = own[*kernel].clone();
                    routine.room.table = routine.room.table.max(pieces.len() * buffers.len());
                    Command::Kernel { pieces, arguments: start..routine.arguments.len() }
                }
                Step::Gemm(gemm) => {
                    let (command, scratch) = product(plan, gemm, partition.parts(gemm));
                    routine.room.scratch = routine.room.scratch.max(scratch);
                    command
                }
                Step::Pack(gemm) => packing(plan, gemm, partition.packing_parts(gemm)),
                Step::Scan(scan) => {
                    let body = Routine::new(&plan.bodies[scan.body], partition, of_bodies[scan.body]);
                    inner = inner.max(body.room.bases);
                    routine.room.table = routine.room.table.max(body.room.table);
                    routine.room.scratch = routine.room.scratch.max(body.room.scratch);
                    Command::Scan(Box::new(Repeat::new(plan, scan, body)))
                }
            };
            routine.commands.push(command);
        }
        routine.room.bases = 1 + routine.slots + inner;
        routine
    }

    /// How much room it takes to run.
    pub(crate) fn room(&self) -> Room {
        self.room
    }

    /// How many steps of the plan come first that need not be run again while what they read stays the same.
    pub(crate) fn prologue(&self) -> usize {
        self.prologue
    }

    /// Runs all steps from `first` on.
    ///
    /// # Safety
    /// `bases` begins with the addresses of an arena and of each slot of the plan, which has passed the check; the memory
    /// there is as large and as aligned as the plan says, what the plan writes may be written, and nothing else uses it.
    /// `bases` and `table` are as long as [`Routine::room`] says, and the crew's scratch memory is as large.
    pub(crate) unsafe fn run(&self, crew: &mut Crew<'_>, bases: &mut [*mut u8], table: &mut [*mut u8], first: usize) {
        // SAFETY: as for this function.
        unsafe { self.run_observed(crew, bases, table, first, &mut |_| {}) };
    }

    /// Runs all steps from `first` on, and says of each when it has been done.
    ///
    /// # Safety
    /// As for [`Routine::run`].
    pub(crate) unsafe fn run_observed(
        &self,
        crew: &mut Crew<'_>,
        bases: &mut [*mut u8],
        table: &mut [*mut u8],
        first: usize,
        done: &mut impl FnMut(usize),
    ) {
        let (bases, inner) = bases.split_at_mut(1 + self.slots);
        for (number, command) in self.commands.iter().enumerate().skip(first) {
            match command {
                // SAFETY: as for this function.
                Command::Kernel { pieces, arguments } => unsafe {
                    run_kernel(crew, pieces, &self.arguments[arguments.clone()], bases, table);
                },
                Command::Matmul { dtype, part, factor, operands } => {
                    // SAFETY: as for kernels; the check of the plan covers the reach of every stride and the size of
                    // scratch memory, and lets no other type pass.
                    unsafe {
                        let factor = number_at(*dtype, *factor, bases);
                        multiply(*dtype, part, factor, operands.map(|operand| operand.of(bases)));
                    }
                }
                Command::Matmuls { dtype, parts, factor, operands } => {
                    // SAFETY: as above.
                    let factor = unsafe { number_at(*dtype, *factor, bases) };
                    let [a, b, c] = operands.map(|operand| operand.of(bases));
                    let places = AcrossThreads([a, b, c, crew.scratch()]);
                    crew.run(parts.len(), &|number| {
                        let ([a, b, c, scratch], (part, offset)) = (places.get(), &parts[number]);
                        // SAFETY: as above. Parts write elements of C that differ, and have scratch memory of their own.
                        unsafe { multiply(*dtype, part, factor, [a, b, c, scratch.wrapping_add(*offset)]) };
                    });
                }
                Command::Pack { dtype, matmul, parts, from, to } => {
                    let places = AcrossThreads([from, to].map(|address| address.of(bases)));
                    crew.run(parts.len(), &|number| {
                        // SAFETY: as above, for the operand and the memory that it is packed in. Parts write different panels.
                        unsafe { pack(*dtype, matmul, parts[number].clone(), places.get()) };
                    });
                }
                // SAFETY: as for this function.
                Command::Scan(repeat) => unsafe { repeat.run(crew, bases, inner, table) },
            }
            done(number);
        }
    }
}

/// Runs the pieces of a kernel.
///
/// # Safety
/// As for [`Routine::run`].
unsafe fn run_kernel(
    crew: &mut Crew<'_>,
    pieces: &[Placed<KernelFunction>],
    arguments: &[Address],
    bases: &[*mut u8],
    table: &mut [*mut u8],
) {
    if let [(function, _)] = pieces {
        for (entry, &argument) in table.iter_mut().zip(arguments) {
            *entry = argument.of(bases);
        }
        // SAFETY: the check of the plan has proved that a kernel stays within the buffers that it is given and these
        // within arena and slots, and that no written buffer overlaps another.
        return unsafe { function(table.as_ptr()) };
    }
    for ((_, offsets), entries) in pieces.iter().zip(table.chunks_exact_mut(arguments.len())) {
        for ((entry, &argument), &offset) in entries.iter_mut().zip(arguments).zip(offsets) {
            *entry = argument.of(bases).wrapping_offset(offset);
        }
    }
    let table = AcrossThreads(table.as_ptr());
    crew.run(pieces.len(), &|number| {
        // SAFETY: a piece does a part of what the kernel does, which stays within its buffers, and no piece touches what
        // another one writes: `split` has proved it.
        unsafe { (pieces[number].0)(table.get().add(number * arguments.len())) };
    });
}

/// # Safety
/// As [`multiply_part_f32`], for A, B, C and scratch memory; the type is `f64` or `f32`.
unsafe fn multiply(dtype: DType, part: &MatmulPart, factor: f64, [a, b, c, scratch]: [*mut u8; 4]) {
    // SAFETY: as for this function.
    unsafe {
        if dtype == DType::F64 {
            multiply_part_f64(part, factor, a.cast(), b.cast(), c.cast(), scratch.cast());
        } else {
            multiply_part_f32(part, factor as f32, a.cast(), b.cast(), c.cast(), scratch.cast());
        }
    }
}

/// # Safety
/// As [`pack_operand_f32`], for the operand and the memory that it is packed in; the type is `f64` or `f32`.
unsafe fn pack(dtype: DType, matmul: &Matmul, lanes: Range<usize>, [from, to]: [*mut u8; 2]) {
    // SAFETY: as for this function.
    unsafe {
        if dtype == DType::F64 {
            pack_operand_f64(matmul, lanes, from.cast(), to.cast());
        } else {
            pack_operand_f32(matmul, lanes, from.cast(), to.cast());
        }
    }
}

/// The number at an address, or 1 without one.
///
/// # Safety
/// The address is that of a number of the type, which is `f64` or `f32`; it is aligned, and nothing writes it.
unsafe fn number_at(dtype: DType, address: Option<Address>, bases: &[*mut u8]) -> f64 {
    let Some(address) = address.map(|address| address.of(bases)) else { return 1.0 };
    // SAFETY: as for this function.
    unsafe { if dtype == DType::F64 { address.cast::<f64>().read() } else { f64::from(address.cast::<f32>().read()) } }
}

/// Addresses that several threads use at the same time.
struct AcrossThreads<T>(T);

// SAFETY: addresses by themselves are numbers; whoever uses them says why there.
unsafe impl<T> Sync for AcrossThreads<T> {}

impl<T: Copy> AcrossThreads<T> {
    fn get(&self) -> T {
        self.0
    }
}

/// The command for a product that is cut into these parts, and how much of the crew's scratch memory they need.
fn product(plan: &Plan, gemm: &Gemm, mut parts: Vec<MatmulPart>) -> (Command, usize) {
    let dtype = gemm.dtype;
    let factor = gemm.factor.map(|buffer| address(plan, buffer));
    let operand = |operand: Operand| match gemm.packed {
        Some(packed) if packed.operand == operand => address(plan, packed.buffer),
        _ => matrix(plan, gemm, gemm.operand(operand)),
    };
    // Where no scratch memory is needed, its address is not used.
    let scratch = address(plan, gemm.scratch.unwrap_or(gemm.c.buffer));
    let operands = [operand(Operand::A), operand(Operand::B), matrix(plan, gemm, &gemm.c), scratch];
    if parts.len() == 1 {
        return (Command::Matmul { dtype, part: Box::new(parts.remove(0)), factor, operands }, 0);
    }
    let [a, b, c, _] = operands;
    let mut size = 0;
    let mut place = |part: MatmulPart| {
        let offset = size;
        size += part.scratch_bytes(dtype.size()).next_multiple_of(2 * Plan::ALIGNMENT);
        (part, offset)
    };
    let parts = parts.into_iter().map(&mut place).collect();
    (Command::Matmuls { dtype, parts, factor, operands: [a, b, c] }, size)
}

/// The command that packs an operand in these parts.
fn packing(plan: &Plan, gemm: &Gemm, parts: Vec<Range<usize>>) -> Command {
    let operand = gemm.packed.map_or(Operand::A, |packed| packed.operand);
    Command::Pack {
        dtype: gemm.dtype,
        matmul: Box::new(matmul(gemm)),
        parts,
        from: matrix(plan, gemm, gemm.operand(operand)),
        to: address(plan, gemm.packed.map_or(gemm.c.buffer, |packed| packed.buffer)),
    }
}

/// Where a matrix begins.
fn matrix(plan: &Plan, gemm: &Gemm, matrix: &MatrixRef) -> Address {
    let Address { base, offset } = address(plan, matrix.buffer);
    Address { base, offset: offset.wrapping_add(matrix.offset.wrapping_mul(gemm.dtype.size())) }
}

impl Repeat {
    fn new(plan: &Plan, scan: &Scan, body: Routine) -> Repeat {
        let interface = &plan.bodies[scan.body].interface;
        let mut carries = Vec::new();
        let mut slots = Vec::with_capacity(interface.len());
        for (given, slot) in scan.slots.iter().zip(interface) {
            let bytes = slot.ty.bytes();
            slots.push(match *given {
                ScanSlot::Carry { start, memory } => {
                    carries.push(Carry { from: address(plan, start), to: address(plan, memory), bytes });
                    Part { start: address(plan, memory), stride: 0 }
                }
                ScanSlot::Slice(buffer) => Part { start: address(plan, buffer), stride: bytes },
                ScanSlot::Whole(buffer) => Part { start: address(plan, buffer), stride: 0 },
            });
        }
        let arena = address(plan, scan.arena);
        Repeat { body, length: scan.length, reverse: scan.reverse, arena, slots, carries }
    }

    /// # Safety
    /// As for [`Routine::run`], where `bases` are those of the routine that this is part of, and `inner` has room for the
    /// body's.
    unsafe fn run(&self, crew: &mut Crew<'_>, bases: &[*mut u8], inner: &mut [*mut u8], table: &mut [*mut u8]) {
        for &Carry { from, to, bytes } in &self.carries {
            // SAFETY: the check of the plan has proved that both are so large, and that they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(from.of(bases), to.of(bases), bytes) };
        }
        inner[0] = self.arena.of(bases);
        for step in 0..self.length {
            let part = if self.reverse { self.length - 1 - step } else { step };
            for (base, slot) in inner[1..].iter_mut().zip(&self.slots) {
                *base = slot.start.of(bases).wrapping_add(part * slot.stride);
            }
            // SAFETY: the check of the plan has proved that each part is within its buffer and that what the body
            // writes overlaps nothing else that it is given; `inner` has room for the body.
            unsafe { self.body.run(crew, inner, table, if step == 0 { 0 } else { self.body.prologue }) };
        }
    }
}

fn address(plan: &Plan, buffer: BufferId) -> Address {
    match plan.buffers[buffer.0 as usize].location {
        Location::Arena(offset) => Address { base: 0, offset },
        Location::Slot(slot) => Address { base: 1 + slot.0 as usize, offset: 0 },
    }
}
