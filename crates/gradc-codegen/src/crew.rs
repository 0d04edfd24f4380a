//! Who does the parts of a step.

use gradc_runtime::Session;

/// The thread that runs a program, with the others if it has them.
pub(crate) struct Crew<'t> {
    session: Option<Session<'t>>,
    /// Memory for the parts of products: see [`Room::scratch`](crate::routine::Room::scratch).
    scratch: *mut u8,
}

impl<'t> Crew<'t> {
    /// Without a session, one thread does all.
    pub(crate) fn new(session: Option<Session<'t>>, scratch: *mut u8) -> Crew<'t> {
        Crew { session, scratch }
    }

    pub(crate) fn scratch(&self) -> *mut u8 {
        self.scratch
    }

    /// Does all parts of a step.
    pub(crate) fn run(&mut self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        match &mut self.session {
            Some(session) => session.run(parts, work),
            None => (0..parts).for_each(work),
        }
    }
}
