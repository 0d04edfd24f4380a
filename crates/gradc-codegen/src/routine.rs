//! What a plan is when it runs: its steps with everything looked up.

use std::ops::Range;

use gradc_ir::DType;
use gradc_runtime::{Matmul, gradc_runtime_matmul_f32, gradc_runtime_matmul_f64};
use gradc_schedule::plan::{BufferId, Location, Plan, Scan, ScanSlot, Step};

use crate::matmul::matmul;

/// A kernel's machine code. It is given the addresses of its buffers.
pub(crate) type KernelFunction = unsafe extern "C" fn(buffers: *const *mut u8);

/// The steps of a plan, to be run on its memory: an arena and the slots of its interface.
pub(crate) struct Routine {
    commands: Vec<Command>,
    arguments: Vec<Address>,
    slots: usize,
    room: Room,
}

/// How many addresses a routine notes while it runs, with those of its bodies.
#[derive(Clone, Copy, Default)]
pub(crate) struct Room {
    /// Of arenas and slots.
    pub(crate) bases: usize,
    /// Of the buffers of one kernel.
    pub(crate) table: usize,
}

/// One thing to do.
enum Command {
    Kernel {
        function: KernelFunction,
        arguments: Range<usize>,
    },
    /// The operands are A, B, C and scratch memory.
    Matmul {
        dtype: DType,
        matmul: Matmul,
        operands: [Address; 4],
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
    /// The steps of `plan`, of which `functions` are the kernels in the order of [`Plan::all_kernels`].
    pub(crate) fn new(plan: &Plan, functions: &[KernelFunction]) -> Routine {
        let (own, mut rest) = functions.split_at(plan.kernels.len());
        let mut of_bodies = Vec::with_capacity(plan.bodies.len());
        for body in &plan.bodies {
            let (its, others) = rest.split_at(body.all_kernels().len());
            of_bodies.push(its);
            rest = others;
        }
        let mut routine = Routine {
            commands: Vec::with_capacity(plan.steps.len()),
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
                    routine.room.table = routine.room.table.max(buffers.len());
                    Command::Kernel { function: own[*kernel], arguments: start..routine.arguments.len() }
                }
                Step::Gemm(gemm) => Command::Matmul {
                    dtype: gemm.dtype,
                    matmul: matmul(gemm),
                    // Where no scratch memory is needed, its address is not used.
                    operands: [gemm.a.buffer, gemm.b.buffer, gemm.c.buffer, gemm.scratch.unwrap_or(gemm.c.buffer)]
                        .map(|buffer| address(plan, buffer)),
                },
                Step::Scan(scan) => {
                    let body = Routine::new(&plan.bodies[scan.body], of_bodies[scan.body]);
                    inner = inner.max(body.room.bases);
                    routine.room.table = routine.room.table.max(body.room.table);
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

    /// Runs all steps.
    ///
    /// # Safety
    /// `bases` begins with the addresses of an arena and of each slot of the plan, which has passed the check; the memory
    /// there is as large and as aligned as the plan says, what the plan writes may be written, and nothing else uses it.
    /// `bases` and `table` are as long as [`Routine::room`] says.
    pub(crate) unsafe fn run(&self, bases: &mut [*mut u8], table: &mut [*mut u8]) {
        // SAFETY: as for this function.
        unsafe { self.run_observed(bases, table, &mut |_| {}) };
    }

    /// Runs all steps, and says of each when it has been done.
    ///
    /// # Safety
    /// As for [`Routine::run`].
    pub(crate) unsafe fn run_observed(
        &self,
        bases: &mut [*mut u8],
        table: &mut [*mut u8],
        done: &mut impl FnMut(usize),
    ) {
        let (bases, inner) = bases.split_at_mut(1 + self.slots);
        for (number, command) in self.commands.iter().enumerate() {
            match command {
                Command::Kernel { function, arguments } => {
                    for (entry, &argument) in table.iter_mut().zip(&self.arguments[arguments.clone()]) {
                        *entry = argument.of(bases);
                    }
                    // SAFETY: the check of the plan has proved that a kernel stays within the buffers that it is
                    // given and these within arena and slots, and that no written buffer overlaps another.
                    unsafe { function(table.as_ptr()) };
                }
                Command::Matmul { dtype, matmul, operands } => {
                    let [a, b, c, scratch] = operands.map(|operand| operand.of(bases));
                    // SAFETY: as for kernels; the check of the plan covers the reach of every stride and the size of
                    // scratch memory, and lets no other type pass.
                    unsafe {
                        if *dtype == DType::F64 {
                            gradc_runtime_matmul_f64(matmul, a.cast(), b.cast(), c.cast(), scratch.cast());
                        } else {
                            gradc_runtime_matmul_f32(matmul, a.cast(), b.cast(), c.cast(), scratch.cast());
                        }
                    }
                }
                // SAFETY: as for this function.
                Command::Scan(repeat) => unsafe { repeat.run(bases, inner, table) },
            }
            done(number);
        }
    }
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
    unsafe fn run(&self, bases: &[*mut u8], inner: &mut [*mut u8], table: &mut [*mut u8]) {
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
            unsafe { self.body.run(inner, table) };
        }
    }
}

fn address(plan: &Plan, buffer: BufferId) -> Address {
    match plan.buffers[buffer.0 as usize].location {
        Location::Arena(offset) => Address { base: 0, offset },
        Location::Slot(slot) => Address { base: 1 + slot.0 as usize, offset: 0 },
    }
}
