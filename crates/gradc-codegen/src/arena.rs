//! The memory that a program works in.

use gradc_schedule::plan::Plan;

use crate::crew::{Workspace, Workspaces};
use crate::error::RunError;
use crate::pages::Pages;
use crate::routine::Room;

/// The memory that a program works in: its values between the steps of a run, and tables of addresses. It is allocated
/// once. From one run to the next, it holds what the prologue of the plan has made.
pub struct Arena {
    memory: Pages,
    /// The arena's address, then those of the slots of the current run, then those of bodies that are running.
    bases: Vec<*mut u8>,
    /// The addresses that a kernel is given, by each part.
    tables: Vec<*mut u8>,
    /// Whether the program has run in it.
    has_run: bool,
}

// SAFETY: the memory belongs to the arena alone, and the addresses in the tables are used only while `Program::run` has
// it and the slots borrowed.
unsafe impl Send for Arena {}
// SAFETY: nothing can be read or written through a shared reference.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new(bytes: usize, room: Room) -> Result<Arena, RunError> {
        let bytes = scratch_offset(bytes).saturating_add(room.all_scratch());
        let memory = Pages::new(bytes, Plan::ALIGNMENT).ok_or(RunError::OutOfMemory { bytes })?;
        let mut bases = vec![std::ptr::null_mut(); room.bases];
        if let Some(arena) = bases.first_mut() {
            *arena = memory.start();
        }
        Ok(Arena { memory, bases, tables: vec![std::ptr::null_mut(); room.all_tables()], has_run: false })
    }

    /// Whether the program has run in it.
    pub(crate) fn has_run(&self) -> bool {
        self.has_run
    }

    /// The program has run in it.
    pub(crate) fn ran(&mut self) {
        self.has_run = true;
    }

    /// What a run works with; `None` where this arena is too small for the program.
    pub(crate) fn parts(&mut self, bytes: usize, room: Room) -> Option<Parts<'_>> {
        let offset = scratch_offset(bytes);
        let fits = offset.saturating_add(room.all_scratch()) <= self.memory.bytes()
            && room.bases <= self.bases.len()
            && room.all_tables() <= self.tables.len();
        let scratch = self.memory.start().wrapping_add(offset);
        fits.then(|| Parts {
            bases: &mut self.bases[..room.bases],
            workspaces: Workspaces {
                first: Workspace { table: self.tables.as_mut_ptr(), scratch },
                table: room.table_stride(),
                scratch: room.scratch_stride(),
            },
        })
    }
}

/// The parts of an arena.
pub(crate) struct Parts<'a> {
    /// The addresses of arena and slots, and room for those of bodies.
    pub(crate) bases: &'a mut [*mut u8],
    /// What the parts of steps have for themselves.
    pub(crate) workspaces: Workspaces,
}

impl Room {
    /// From the addresses of one part to those of the next: whole lines of the cache.
    fn table_stride(&self) -> usize {
        self.table.next_multiple_of(2 * Plan::ALIGNMENT / size_of::<*mut u8>())
    }

    /// The addresses of all parts.
    fn all_tables(&self) -> usize {
        self.parts * self.table_stride()
    }

    /// From the scratch memory of one part to that of the next.
    fn scratch_stride(&self) -> usize {
        self.scratch.next_multiple_of(2 * Plan::ALIGNMENT)
    }

    /// The bytes of the scratch memory of all parts.
    pub(crate) fn all_scratch(&self) -> usize {
        self.parts.saturating_mul(self.scratch_stride())
    }
}

/// Where the memory for the parts of products begins, behind the plan's.
fn scratch_offset(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(Plan::ALIGNMENT).unwrap_or(usize::MAX)
}
