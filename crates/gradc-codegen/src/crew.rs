//! Who does the parts of a superstep.

use gradc_runtime::Session;

/// The thread that runs a program, with the others if it has them.
pub(crate) struct Crew<'t> {
    session: Option<Session<'t>>,
    workspaces: Workspaces,
}

/// Memory that each part has for itself while it is done.
#[derive(Clone, Copy)]
pub(crate) struct Workspaces {
    /// That of the first part.
    pub(crate) first: Workspace,
    /// From the addresses of one part to those of the next.
    pub(crate) table: usize,
    /// From the scratch memory of one part to that of the next, in bytes.
    pub(crate) scratch: usize,
}

/// The memory of one part.
#[derive(Clone, Copy)]
pub(crate) struct Workspace {
    /// Room for the addresses that a kernel is given.
    pub(crate) table: *mut *mut u8,
    /// Memory for a part of a product: see [`Room::scratch`](crate::routine::Room::scratch).
    pub(crate) scratch: *mut u8,
}

// SAFETY: addresses by themselves are numbers; whoever uses them says why there.
unsafe impl Sync for Workspaces {}

impl Workspaces {
    fn of(&self, part: usize) -> Workspace {
        let Workspace { table, scratch } = self.first;
        Workspace { table: table.wrapping_add(part * self.table), scratch: scratch.wrapping_add(part * self.scratch) }
    }
}

impl<'t> Crew<'t> {
    /// Without a session, one thread does all.
    pub(crate) fn new(session: Option<Session<'t>>, workspaces: Workspaces) -> Crew<'t> {
        Crew { session, workspaces }
    }

    /// Does all parts, each with a workspace of its own.
    pub(crate) fn run(&mut self, parts: usize, work: &(dyn Fn(usize, Workspace) + Sync)) {
        let workspaces = self.workspaces;
        let work = |part: usize| work(part, workspaces.of(part));
        match &mut self.session {
            Some(session) if parts > 1 => session.run(parts, &work),
            _ => (0..parts).for_each(work),
        }
    }
}
