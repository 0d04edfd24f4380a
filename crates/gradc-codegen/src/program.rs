//! Compiled programs, and how they run.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use cranelift_jit::JITModule;
use cranelift_module::FuncId;
use gradc_runtime::Team;
use gradc_schedule::plan::{Plan, Slot};

use crate::arena::{Arena, Parts};
use crate::binding::Binding;
use crate::compile::Placed;
use crate::crew::Crew;
use crate::error::RunError;
use crate::listing::Listing;
use crate::partition::Partition;
use crate::routine::{KernelFunction, Routine};

/// Machine code, and the memory that it lies in.
pub(crate) struct Code {
    module: ManuallyDrop<JITModule>,
    kernels: Vec<Vec<Vec<Placed<KernelFunction>>>>,
}

impl Code {
    /// Takes a finished module; `kernels` are the pieces of each kernel in it, for each way to run it.
    pub(crate) fn new(module: JITModule, kernels: &[Vec<Vec<Placed<FuncId>>>]) -> Code {
        let function = |(id, offsets): &Placed<FuncId>| {
            let address = module.get_finalized_function(*id);
            // SAFETY: the function was emitted with this signature and calling convention.
            (unsafe { std::mem::transmute::<*const u8, KernelFunction>(address) }, offsets.clone())
        };
        let way = |pieces: &Vec<Placed<FuncId>>| pieces.iter().map(function).collect();
        let kernels = kernels.iter().map(|ways| ways.iter().map(way).collect()).collect();
        Code { module: ManuallyDrop::new(module), kernels }
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
    /// Functions: one for each kernel, or for each piece of it that differs from its others.
    pub functions: usize,
    /// Those of wide vectors among them.
    pub wide: usize,
    /// Bytes of machine code.
    pub bytes: usize,
}

/// A compiled plan. It is not changed by running, and can be run on several threads, each with an [`Arena`] of its own. Where
/// it shares its steps out to a team of threads, one run at a time has them; the others do all parts themselves.
pub struct Program {
    routine: Routine,
    /// The other threads, if there is anything to share.
    team: Option<Arc<Team>>,
    requirements: Vec<Requirement>,
    interface: Vec<Slot>,
    arena_bytes: usize,
    listing: Listing,
    statistics: Statistics,
    // Owns the memory that the routine's functions lie in.
    _code: Code,
}

impl Program {
    pub(crate) fn new(
        plan: &Plan,
        partition: &Partition,
        code: Code,
        listing: Listing,
        statistics: Statistics,
    ) -> Program {
        Program {
            routine: Routine::new(plan, &partition.shares, &code.kernels),
            team: (partition.threads() > 1).then(|| Team::of_process(partition.threads())),
            requirements: requirements(plan),
            interface: plan.interface.clone(),
            arena_bytes: plan.arena_bytes,
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
        Arena::new(self.arena_bytes, self.routine.room())
    }

    /// The size of the arena in bytes: that of the plan, and what the parts of products pack their operands in.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes + self.routine.room().all_scratch()
    }

    /// How many threads it is shared out to: one, where it is too small for more.
    pub fn threads(&self) -> usize {
        self.team.as_ref().map_or(1, |team| team.threads())
    }

    /// How much was compiled.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Cranelift's IR, as emitted and as optimised, of the kernels that are not of wide vectors; empty unless [`Listings::clif`](crate::Listings) was asked for.
    pub fn clif(&self) -> String {
        self.listing.clif()
    }

    /// Machine code as text; empty unless [`Listings::assembly`](crate::Listings) was asked for.
    pub fn assembly(&self) -> String {
        self.listing.assembly()
    }

    /// Runs the program once. Slots are bound in the order of [`Program::interface`]. Nothing is allocated.
    ///
    /// # Errors
    /// Where what is bound does not fit the interface, or the arena is another program's. Nothing was run then.
    pub fn run(&self, arena: &mut Arena, slots: &mut [Binding<'_>]) -> Result<(), RunError> {
        self.run_from(0, arena, slots)
    }

    /// Runs the program as [`Program::run`] does, but for the prologue of the plan, which has been done by the last run in
    /// this arena, and which its leaves ([`Prologue::reads`](gradc_schedule::plan::Prologue)) are the same for as then. In an arena
    /// in which the program has not run yet, it is done.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_again(&self, arena: &mut Arena, slots: &mut [Binding<'_>]) -> Result<(), RunError> {
        self.run_from(if arena.has_run() { self.routine.prologue() } else { 0 }, arena, slots)
    }

    fn run_from(&self, first: usize, arena: &mut Arena, slots: &mut [Binding<'_>]) -> Result<(), RunError> {
        let (mut crew, bases) = self.prepare(arena, slots)?;
        // SAFETY: the plan has passed the check; the sizes and alignments of arena and slots have been checked; the arena and
        // the written slots are borrowed exclusively.
        unsafe { self.routine.run(&mut crew, bases, first) };
        drop(crew);
        arena.ran();
        Ok(())
    }

    /// Runs the program once, and says of each step of the plan when it has been done: by its position in [`Plan::steps`]. Other
    /// than in [`Program::run`], all threads wait for one another after each step; the results have the same bits.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_observed(
        &self,
        arena: &mut Arena,
        slots: &mut [Binding<'_>],
        done: &mut impl FnMut(usize),
    ) -> Result<(), RunError> {
        let (mut crew, bases) = self.prepare(arena, slots)?;
        // SAFETY: as in `run_from`.
        unsafe { self.routine.run_observed(&mut crew, bases, done) };
        drop(crew);
        arena.ran();
        Ok(())
    }

    /// Checks what is bound, and notes where it is.
    fn prepare<'a>(
        &'a self,
        arena: &'a mut Arena,
        slots: &mut [Binding<'_>],
    ) -> Result<(Crew<'a>, &'a mut [*mut u8]), RunError> {
        self.check(slots)?;
        let Parts { bases, workspaces } = arena.parts(self.arena_bytes, self.routine.room()).ok_or(RunError::Arena)?;
        for (base, slot) in bases[1..].iter_mut().zip(slots) {
            *base = slot.address();
        }
        Ok((Crew::new(self.team.as_deref().and_then(Team::enter), workspaces), bases))
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
    for slot in plan.written_slots() {
        requirements[slot.0 as usize].written = true;
    }
    requirements
}
