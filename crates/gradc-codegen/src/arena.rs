//! The memory that a program works in.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use gradc_schedule::plan::Plan;

use crate::error::RunError;
use crate::routine::Room;

/// The memory that a program works in: its values between the steps of a run, and tables of addresses. It is allocated
/// once, and holds nothing that matters from one run to the next.
pub struct Arena {
    memory: NonNull<u8>,
    layout: Layout,
    /// The arena's address, then those of the slots of the current run, then those of bodies that are running.
    bases: Vec<*mut u8>,
    /// The addresses that a kernel is given.
    table: Vec<*mut u8>,
}

// SAFETY: the memory belongs to the arena alone, and the addresses in the tables are used only while `Program::run` has
// it and the slots borrowed.
unsafe impl Send for Arena {}
// SAFETY: nothing can be read or written through a shared reference.
unsafe impl Sync for Arena {}

impl Arena {
    pub(crate) fn new(bytes: usize, room: Room) -> Result<Arena, RunError> {
        let bytes = scratch_offset(bytes).saturating_add(room.scratch);
        let out_of_memory = RunError::OutOfMemory { bytes };
        let layout = Layout::from_size_align(bytes.max(1), Plan::ALIGNMENT).map_err(|_| out_of_memory.clone())?;
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { alloc_zeroed(layout) };
        let memory = NonNull::new(memory).ok_or(out_of_memory)?;
        let mut bases = vec![std::ptr::null_mut(); room.bases];
        if let Some(arena) = bases.first_mut() {
            *arena = memory.as_ptr();
        }
        Ok(Arena { memory, layout, bases, table: vec![std::ptr::null_mut(); room.table] })
    }

    /// What a run works with; `None` where this arena is too small for the program.
    pub(crate) fn parts(&mut self, bytes: usize, room: Room) -> Option<Parts<'_>> {
        let offset = scratch_offset(bytes);
        let fits = offset.saturating_add(room.scratch) <= self.layout.size()
            && room.bases <= self.bases.len()
            && room.table <= self.table.len();
        fits.then(|| Parts {
            bases: &mut self.bases[..room.bases],
            table: &mut self.table[..],
            scratch: self.memory.as_ptr().wrapping_add(offset),
        })
    }
}

/// The parts of an arena.
pub(crate) struct Parts<'a> {
    /// The addresses of arena and slots, and room for those of bodies.
    pub(crate) bases: &'a mut [*mut u8],
    /// Room for the addresses of a kernel's buffers.
    pub(crate) table: &'a mut [*mut u8],
    /// Memory for the parts of products.
    pub(crate) scratch: *mut u8,
}

/// Where the memory for the parts of products begins, behind the plan's.
fn scratch_offset(bytes: usize) -> usize {
    bytes.checked_next_multiple_of(Plan::ALIGNMENT).unwrap_or(usize::MAX)
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: the memory was allocated with this layout, and is freed once.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}
