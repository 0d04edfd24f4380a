//! What a plan is when it runs: its steps with everything looked up.

use std::ops::Range;

use gradc_ir::DType;
use gradc_runtime::{Matmul, MatmulPart, multiply_part_f32, multiply_part_f64, pack_operand_f32, pack_operand_f64};
use gradc_schedule::plan::{BufferId, Gemm, Location, MatrixRef, Operand, Plan, Scan, ScanSlot, Step};

use crate::compile::Placed;
use crate::crew::{Crew, Workspace};
use crate::matmul::matmul;
use crate::partition::{Shares, StepParts, Superstep};

/// A kernel's machine code. It is given the addresses of its buffers.
pub(crate) type KernelFunction = unsafe extern "C" fn(buffers: *const *mut u8);

/// The steps of a plan, to be run on its memory: an arena and the slots of its interface.
pub(crate) struct Routine {
    commands: Vec<Command>,
    /// How many commands are the plan's prologue.
    prologue: usize,
    supersteps: Vec<Superstep>,
    arguments: Vec<Address>,
    slots: usize,
    room: Room,
}

/// How much room a routine and its bodies need to run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Room {
    /// Addresses of arenas and slots.
    pub(crate) bases: usize,
    /// Into how many parts steps are cut, at the most.
    pub(crate) parts: usize,
    /// Addresses of the buffers of one kernel, which each part notes.
    pub(crate) table: usize,
    /// Bytes of scratch memory that each part has for its part of a product: a plan has it for whole products only.
    pub(crate) scratch: usize,
}

/// One thing to do, in one part or several that may be done at the same time.
enum Command {
    /// The pieces of a kernel.
    Kernel { pieces: Vec<Placed<KernelFunction>>, arguments: Range<usize> },
    /// The parts of a product. The operands are A, B and C. Without an address, scratch memory is that of the part.
    Matmul {
        dtype: DType,
        parts: Vec<MatmulPart>,
        factor: Option<Address>,
        operands: [Address; 3],
        scratch: Option<Address>,
    },
    /// Packs an operand, in parts: these lanes of it.
    Pack { dtype: DType, matmul: Box<Matmul>, parts: Vec<Range<usize>>, from: Address, to: Address },
    /// A loop.
    Scan(Box<Repeat>),
}

/// A body that is run for each part of sequences.
struct Repeat {
    body: Routine,
    length: usize,
    reverse: bool,
    arena: Address,
    slots: Vec<Sequence>,
    carries: Vec<Carry>,
    /// In how many parts all rounds are done. Where it is one, each round is shared out by itself.
    parts: usize,
}

/// Where a slot of a body is: `stride` bytes further with each part of a sequence.
struct Sequence {
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
    /// The steps of `plan`, shared out like this. `kernels` are the functions of the kernels in the order of
    /// [`Plan::all_kernels`], for each way to run them.
    pub(crate) fn new(plan: &Plan, shares: &Shares, kernels: &[Vec<Vec<Placed<KernelFunction>>>]) -> Routine {
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
            supersteps: shares.supersteps.clone(),
            arguments: Vec::new(),
            slots: plan.interface.len(),
            room: Room::default(),
        };
        let mut inner = 0;
        for (step, parts) in plan.steps.iter().zip(&shares.steps) {
            let room = &mut routine.room;
            room.parts = room.parts.max(parts.count());
            let command = match (step, parts) {
                (Step::Kernel { kernel, buffers }, StepParts::Kernel { way, .. }) => {
                    let start = routine.arguments.len();
                    routine.arguments.extend(buffers.iter().map(|&buffer| address(plan, buffer)));
                    room.table = room.table.max(buffers.len());
                    let pieces = own[*kernel][*way].clone();
                    Command::Kernel { pieces, arguments: start..routine.arguments.len() }
                }
                (Step::Gemm(gemm), StepParts::Product(parts)) => {
                    if parts.len() > 1 {
                        let scratch = parts.iter().map(|part| part.scratch_bytes(gemm.dtype.size())).max();
                        room.scratch = room.scratch.max(scratch.unwrap_or(0));
                    }
                    product(plan, gemm, parts.clone())
                }
                (Step::Pack(gemm), StepParts::Packing(parts)) => packing(plan, gemm, parts.clone()),
                (Step::Scan(scan), StepParts::Loop { count }) => {
                    let body = Routine::new(&plan.bodies[scan.body], &shares.bodies[scan.body], of_bodies[scan.body]);
                    let repeat = Repeat::new(plan, scan, body, *count);
                    inner = inner.max(repeat.bases());
                    room.parts = room.parts.max(repeat.body.room.parts);
                    room.table = room.table.max(repeat.body.room.table);
                    room.scratch = room.scratch.max(repeat.body.room.scratch);
                    Command::Scan(Box::new(repeat))
                }
                _ => unreachable!("gradc has a bug: a step is shared out as another one"),
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

    /// Runs all steps from `first` on, with which a superstep begins.
    ///
    /// # Safety
    /// `bases` begins with the addresses of an arena and of each slot of the plan, which has passed the check; the memory
    /// there is as large and as aligned as the plan says, what the plan writes may be written, and nothing else uses it.
    /// `bases` are as many as [`Routine::room`] says, and the crew has so much room for each part.
    pub(crate) unsafe fn run(&self, crew: &mut Crew<'_>, bases: &mut [*mut u8], first: usize) {
        for superstep in self.supersteps.iter().skip_while(|superstep| superstep.steps.start < first) {
            // SAFETY: as for this function; that no part touches what another one writes has been proved when the plan was
            // shared out.
            unsafe { self.superstep(crew, superstep, bases) };
        }
    }

    /// Runs all steps, each a superstep of its own, and says of each when it has been done.
    ///
    /// # Safety
    /// As for [`Routine::run`].
    pub(crate) unsafe fn run_observed(&self, crew: &mut Crew<'_>, bases: &mut [*mut u8], done: &mut impl FnMut(usize)) {
        for (step, command) in self.commands.iter().enumerate() {
            let superstep = Superstep { steps: step..step + 1, parts: command.parts() };
            // SAFETY: as for this function; parts of one step write what no other part of it touches: `split` has proved it of
            // pieces of kernels.
            unsafe { self.superstep(crew, &superstep, bases) };
            done(step);
        }
    }

    /// # Safety
    /// As for [`Routine::run`]; no part of the steps touches what another part of them writes.
    unsafe fn superstep(&self, crew: &mut Crew<'_>, superstep: &Superstep, bases: &mut [*mut u8]) {
        let (bases, inner) = bases.split_at_mut(1 + self.slots);
        let commands = &self.commands[superstep.steps.clone()];
        if let [Command::Scan(repeat)] = commands {
            // SAFETY: as for this function.
            return unsafe { repeat.run(crew, bases, inner) };
        }
        let bases = AcrossThreads(&*bases);
        crew.run(superstep.parts, &|part, workspace| {
            // SAFETY: as for this function; each part has a workspace of its own.
            unsafe { self.part(commands, part, bases.get(), workspace) };
        });
    }

    /// Does the parts of one number of some commands.
    ///
    /// # Safety
    /// As for [`Routine::run`]; what the parts of these commands write, nobody else touches at the same time.
    unsafe fn part(&self, commands: &[Command], part: usize, bases: &[*mut u8], workspace: Workspace) {
        for command in commands {
            match command {
                Command::Kernel { pieces, arguments } => {
                    let Some((function, offsets)) = pieces.get(part) else { continue };
                    for (number, (argument, offset)) in
                        self.arguments[arguments.clone()].iter().zip(offsets).enumerate()
                    {
                        // SAFETY: the workspace has room for as many addresses as any kernel of the routine has buffers.
                        unsafe { workspace.table.add(number).write(argument.of(bases).wrapping_offset(*offset)) };
                    }
                    // SAFETY: the check of the plan has proved that a kernel stays within the buffers that it is given and
                    // these within arena and slots, and that no written buffer overlaps another; a piece does a part of what
                    // the kernel does.
                    unsafe { function(workspace.table) };
                }
                Command::Matmul { dtype, parts, factor, operands, scratch } => {
                    let Some(part) = parts.get(part) else { continue };
                    let [a, b, c] = operands.map(|operand| operand.of(bases));
                    let scratch = scratch.map_or(workspace.scratch, |address| address.of(bases));
                    // SAFETY: as above; the check of the plan covers the reach of every stride and the size of its scratch
                    // memory, and lets no other type pass. The workspace has as much as any part needs.
                    unsafe { multiply(*dtype, part, number_at(*dtype, *factor, bases), [a, b, c, scratch]) };
                }
                Command::Pack { dtype, matmul, parts, from, to } => {
                    let Some(lanes) = parts.get(part) else { continue };
                    // SAFETY: as above, for the operand and the memory that it is packed in. Parts write different panels.
                    unsafe { pack(*dtype, matmul, lanes.clone(), [from, to].map(|address| address.of(bases))) };
                }
                Command::Scan(_) => unreachable!("gradc has a bug: a loop is part of a superstep"),
            }
        }
    }
}

impl Command {
    /// How many parts it has.
    fn parts(&self) -> usize {
        match self {
            Command::Kernel { pieces, .. } => pieces.len(),
            Command::Matmul { parts, .. } => parts.len(),
            Command::Pack { parts, .. } => parts.len(),
            Command::Scan(repeat) => repeat.parts,
        }
    }
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

/// The command for a product that is cut into these parts.
fn product(plan: &Plan, gemm: &Gemm, parts: Vec<MatmulPart>) -> Command {
    let dtype = gemm.dtype;
    let factor = gemm.factor.map(|buffer| address(plan, buffer));
    let operand = |operand: Operand| match gemm.packed {
        Some(packed) if packed.operand == operand => address(plan, packed.buffer),
        _ => matrix(plan, gemm, gemm.operand(operand)),
    };
    let operands = [operand(Operand::A), operand(Operand::B), matrix(plan, gemm, &gemm.c)];
    // Where no scratch memory is needed, its address is not used.
    let scratch = (parts.len() == 1).then(|| address(plan, gemm.scratch.unwrap_or(gemm.c.buffer)));
    Command::Matmul { dtype, parts, factor, operands, scratch }
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
    fn new(plan: &Plan, scan: &Scan, body: Routine, parts: usize) -> Repeat {
        let interface = &plan.bodies[scan.body].interface;
        let mut carries = Vec::new();
        let mut slots = Vec::with_capacity(interface.len());
        for (given, slot) in scan.slots.iter().zip(interface) {
            let bytes = slot.ty.bytes();
            slots.push(match *given {
                ScanSlot::Carry { start, memory } => {
                    carries.push(Carry { from: address(plan, start), to: address(plan, memory), bytes });
                    Sequence { start: address(plan, memory), stride: 0 }
                }
                ScanSlot::Slice(buffer) => Sequence { start: address(plan, buffer), stride: bytes },
                ScanSlot::Whole(buffer) => Sequence { start: address(plan, buffer), stride: 0 },
            });
        }
        let arena = address(plan, scan.arena);
        Repeat { body, length: scan.length, reverse: scan.reverse, arena, slots, carries, parts }
    }

    /// How many addresses of arenas and slots it notes while it runs.
    fn bases(&self) -> usize {
        if self.parts > 1 { self.parts * self.stride() } else { self.body.room.bases }
    }

    /// From the addresses that one part of all rounds notes to those of the next one: whole lines of the cache.
    fn stride(&self) -> usize {
        self.body.room.bases.next_multiple_of(2 * Plan::ALIGNMENT / size_of::<*mut u8>())
    }

    /// # Safety
    /// As for [`Routine::run`], where `bases` are those of the routine that this is part of, and `inner` has room for the
    /// body's; no part of the rounds touches what another part writes.
    unsafe fn run(&self, crew: &mut Crew<'_>, bases: &[*mut u8], inner: &mut [*mut u8]) {
        for &Carry { from, to, bytes } in &self.carries {
            // SAFETY: the check of the plan has proved that both are so large, and that they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(from.of(bases), to.of(bases), bytes) };
        }
        if self.parts == 1 {
            for round in 0..self.length {
                self.locate(round, bases, inner);
                // SAFETY: the check of the plan has proved that each part is within its buffer and that what the body
                // writes overlaps nothing else that it is given; `inner` has room for the body.
                unsafe { self.body.run(crew, inner, 0) };
            }
            return;
        }
        let (bases, inner) = (AcrossThreads(bases), AcrossThreads(inner.as_mut_ptr()));
        crew.run(self.parts, &|part, workspace| {
            // SAFETY: there is room for the addresses of each part.
            let own =
                unsafe { std::slice::from_raw_parts_mut(inner.get().add(part * self.stride()), self.body.room.bases) };
            for round in 0..self.length {
                self.locate(round, bases.get(), own);
                // SAFETY: as above, and as for this function.
                unsafe { self.body.part(&self.body.commands, part, own, workspace) };
            }
        });
    }

    /// Notes where arena and slots of the body are in a round.
    fn locate(&self, round: usize, bases: &[*mut u8], inner: &mut [*mut u8]) {
        let part = if self.reverse { self.length - 1 - round } else { round };
        inner[0] = self.arena.of(bases);
        for (base, slot) in inner[1..].iter_mut().zip(&self.slots) {
            *base = slot.start.of(bases).wrapping_add(part * slot.stride);
        }
    }
}

fn address(plan: &Plan, buffer: BufferId) -> Address {
    match plan.buffers[buffer.0 as usize].location {
        Location::Arena(offset) => Address { base: 0, offset },
        Location::Slot(slot) => Address { base: 1 + slot.0 as usize, offset: 0 },
    }
}
