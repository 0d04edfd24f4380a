//! Threads that work together for the length of a run.
//!
//! Work comes in parts, cut beforehand, so that what is computed does not depend on how many threads there are. Whoever is
//! free takes the next part: where a thread of the team is late, because something else runs on its core, the one that
//! waits for it does its part. The parts of a piece of work are done when [`Session::run`] returns.
//!
//! Threads wait by spinning for a while, which costs a fraction of a microsecond between two pieces of work, and sleep when
//! none has come.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a thread spins before it sleeps. Longer than the steps of a program that one thread does alone.
const SPIN: Duration = Duration::from_micros(100);

/// How often a thread looks for work between two looks at the clock, and at work in progress before it lets others run.
const LOOKS: u32 = 64;

/// The most parts of a piece of work.
pub const MOST_PARTS: usize = 0xffff;

/// Some threads besides the caller's. They end when the team is dropped.
pub struct Team {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    /// Whether a session has them.
    busy: AtomicBool,
}

/// What the threads of a team share. What is written at different times is in lines of the cache of its own: who waits for the
/// one keeps nobody from writing the other.
struct Shared {
    offer: Line<Offer>,
    outcome: Line<Outcome>,
    /// Whether each worker sleeps, or is about to.
    asleep: Vec<Line<AtomicBool>>,
    stop: AtomicBool,
}

/// What whoever is free looks for.
struct Offer {
    /// The parts of the current piece of work that nobody has taken: see [`Ticket`].
    ticket: AtomicU64,
    work: UnsafeCell<Work>,
}

/// What the session waits for.
struct Outcome {
    /// The parts that are not done, those of the session's own thread included.
    pending: AtomicUsize,
    /// Whether there is something in `panic`.
    panicked: AtomicBool,
    /// What a part has panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Two lines of the cache, which some machines fetch together.
#[repr(align(128))]
struct Line<T>(T);

/// The function that does a part. It is borrowed for as long as a piece of work lasts.
type Work = *const (dyn Fn(usize) + Sync);

// SAFETY: the pointer to the work is written only while no part is pending, by the one session that there is, before the
// ticket that offers its parts; it is read by those who have taken a part, which is pending until they have done it (the
// session's own parts are done before it goes on). What
// it points to is `Sync`, and outlives the pending parts, since the session waits for them.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// The number of a piece of work, how many parts it has, and the next one that nobody has taken. Whoever changes a ticket
/// in which a part is left has that part, and with it the current work.
#[derive(Clone, Copy)]
struct Ticket {
    number: u32,
    parts: u16,
    next: u16,
}

impl Ticket {
    fn packed(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.parts) << 16 | u64::from(self.next)
    }

    fn unpacked(packed: u64) -> Ticket {
        Ticket { number: (packed >> 32) as u32, parts: (packed >> 16) as u16, next: packed as u16 }
    }
}

impl Shared {
    /// Takes a part, if one is left.
    fn take(&self) -> Option<usize> {
        let mut packed = self.offer.0.ticket.load(Ordering::SeqCst);
        loop {
            let ticket = Ticket::unpacked(packed);
            if ticket.next >= ticket.parts {
                return None;
            }
            let next = Ticket { next: ticket.next + 1, ..ticket }.packed();
            match self.offer.0.ticket.compare_exchange_weak(packed, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Some(usize::from(ticket.next)),
                Err(found) => packed = found,
            }
        }
    }

    /// Does a part that has been taken. What it panics with is kept for the session. Whoever does it says that it is done.
    fn perform(&self, part: usize) {
        // SAFETY: a part has been taken and is not done: see the comment on `Send`.
        let work = unsafe { &**self.offer.0.work.get() };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(part))) {
            let Outcome { panicked, panic: kept, .. } = &self.outcome.0;
            kept.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(panic);
            panicked.store(true, Ordering::Relaxed);
        }
    }

    /// What a worker does until the team is dropped.
    fn serve(&self, worker: usize) {
        loop {
            let mut idle = Instant::now();
            let part = loop {
                if let Some(part) = self.look() {
                    break part;
                }
                if self.stop.load(Ordering::SeqCst) {
                    return;
                }
                if idle.elapsed() > SPIN {
                    self.sleep(worker);
                    idle = Instant::now();
                }
            };
            self.perform(part);
            self.outcome.0.pending.fetch_sub(1, Ordering::Release);
        }
    }

    /// Waits a little for a part, and takes it.
    fn look(&self) -> Option<usize> {
        (0..LOOKS).find_map(|_| {
            let part = self.take();
            if part.is_none() {
                std::hint::spin_loop();
            }
            part
        })
    }

    /// Sleeps until there may be something to do.
    fn sleep(&self, worker: usize) {
        self.asleep[worker].0.store(true, Ordering::SeqCst);
        // Whoever offers work, or the end, does that before it looks whether somebody sleeps; so one of both sees the other.
        let ticket = Ticket::unpacked(self.offer.0.ticket.load(Ordering::SeqCst));
        if ticket.next >= ticket.parts && !self.stop.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep[worker].0.store(false, Ordering::SeqCst);
    }
}

impl Team {
    /// A team of so many threads, the caller's included. Where the system gives fewer, it has fewer.
    pub fn new(threads: usize) -> Team {
        let wanted = threads.saturating_sub(1);
        fn nothing(_: usize) {}
        let work: &'static (dyn Fn(usize) + Sync) = &nothing;
        let shared = Arc::new(Shared {
            offer: Line(Offer { ticket: AtomicU64::new(0), work: UnsafeCell::new(work) }),
            outcome: Line(Outcome {
                pending: AtomicUsize::new(0),
                panicked: AtomicBool::new(false),
                panic: Mutex::new(None),
            }),
            asleep: (0..wanted).map(|_| Line(AtomicBool::new(false))).collect(),
            stop: AtomicBool::new(false),
        });
        let spawn = |worker: usize| {
            let shared = shared.clone();
            std::thread::Builder::new().name(format!("gradc-{}", worker + 1)).spawn(move || shared.serve(worker)).ok()
        };
        let workers = (0..wanted).map_while(spawn).collect();
        Team { shared, workers, busy: AtomicBool::new(false) }
    }

    /// The team of this size that the process has, or a new one: programs that run one after another share it.
    pub fn of_process(threads: usize) -> Arc<Team> {
        /// By how many threads were asked for.
        static TEAMS: Mutex<Vec<(usize, Weak<Team>)>> = Mutex::new(Vec::new());
        let mut teams = TEAMS.lock().unwrap_or_else(PoisonError::into_inner);
        teams.retain(|(_, team)| team.strong_count() > 0);
        let known = teams.iter().filter(|(size, _)| *size == threads).find_map(|(_, team)| team.upgrade());
        known.unwrap_or_else(|| {
            let team = Arc::new(Team::new(threads));
            teams.push((threads, Arc::downgrade(&team)));
            team
        })
    }

    /// How many threads there are, the caller's included.
    pub fn threads(&self) -> usize {
        1 + self.workers.len()
    }

    /// Has the team for as long as the session lives, if nobody else has; its threads wake up. Nothing is allocated.
    pub fn enter(&self) -> Option<Session<'_>> {
        if self.busy.swap(true, Ordering::Acquire) {
            return None;
        }
        self.wake();
        Some(Session { team: self })
    }

    fn wake(&self) {
        for (worker, Line(asleep)) in self.workers.iter().zip(&self.shared.asleep) {
            if asleep.load(Ordering::SeqCst) && asleep.swap(false, Ordering::SeqCst) {
                worker.thread().unpark();
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.wake();
        for worker in self.workers.drain(..) {
            // It catches panics, so it has not ended by one.
            let _ = worker.join();
        }
    }
}

/// The use of a team, by one caller at a time.
pub struct Session<'t> {
    team: &'t Team,
}

impl Session<'_> {
    /// Does all parts of a piece of work, numbered from 0, at the same time where threads are free, and returns when all are
    /// done. Nothing is allocated. There are [`MOST_PARTS`] at the most.
    ///
    /// # Panics
    /// Where a part panics; the others have been done then.
    pub fn run(&mut self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        let shared = &*self.team.shared;
        assert!(parts <= MOST_PARTS, "{parts} parts");
        if parts == 0 {
            return;
        }
        let (Offer { ticket, work: place }, Outcome { pending, panicked, panic }) =
            (&shared.offer.0, &shared.outcome.0);
        // SAFETY: only the lifetime changes. All parts are done before this function returns, by a panic too, since
        // `perform` catches it; after that nobody reads the pointer.
        let work = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(work) };
        // SAFETY: no part is pending, so nobody reads it, and there is no other session.
        unsafe { *place.get() = work };
        pending.store(parts, Ordering::Relaxed);
        let number = Ticket::unpacked(ticket.load(Ordering::Relaxed)).number.wrapping_add(1);
        // The first part is this thread's, without being offered.
        ticket.store(Ticket { number, parts: parts as u16, next: 1 }.packed(), Ordering::SeqCst);
        self.team.wake();
        let mut own = 1;
        shared.perform(0);
        while let Some(part) = shared.take() {
            shared.perform(part);
            own += 1;
        }
        let mut looks = 0;
        // Nobody waits to hear that the parts of this thread are done.
        while pending.load(Ordering::Acquire) > own {
            looks += 1;
            // A thread that has been interrupted may need this core to go on.
            if looks > LOOKS * LOOKS {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        if panicked.load(Ordering::Relaxed) {
            panicked.store(false, Ordering::Relaxed);
            if let Some(panic) = panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
                resume_unwind(panic);
            }
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.team.busy.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once() {
        for threads in [0, 1, 2, 5] {
            let team = Team::new(threads);
            let mut session = team.enter().expect("nobody else has it");
            for parts in [0, 1, 2, 3, 100] {
                let done: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                for _ in 0..50 {
                    session.run(parts, &|part| {
                        done[part].fetch_add(1, Ordering::Relaxed);
                    });
                }
                assert!(
                    done.iter().all(|count| count.load(Ordering::Relaxed) == 50),
                    "{threads} threads, {parts} parts"
                );
            }
        }
    }

    #[test]
    fn threads_that_sleep_wake_up() {
        let team = Team::new(3);
        for _ in 0..3 {
            while !team.shared.asleep.iter().all(|Line(asleep)| asleep.load(Ordering::SeqCst)) {
                std::thread::yield_now();
            }
            // Each part waits for the others: they are done by as many threads.
            let arrived = AtomicUsize::new(0);
            team.enter().expect("nobody else has it").run(3, &|_| {
                arrived.fetch_add(1, Ordering::SeqCst);
                while arrived.load(Ordering::SeqCst) < 3 {
                    std::thread::yield_now();
                }
            });
        }
    }

    #[test]
    fn one_session_at_a_time() {
        let team = Team::new(2);
        let session = team.enter();
        assert!(session.is_some() && team.enter().is_none());
        drop(session);
        assert!(team.enter().is_some());
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::new(2);
        let mut session = team.enter().expect("nobody else has it");
        let done = AtomicUsize::new(0);
        for culprit in 0..4 {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                session.run(4, &|part| {
                    // Without a message on the terminal.
                    if part == culprit {
                        resume_unwind(Box::new("a part failed"));
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                });
            }));
            let panic = outcome.expect_err("a part has panicked");
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"a part failed"));
        }
        assert_eq!(done.load(Ordering::Relaxed), 12);
    }

    #[test]
    fn programs_share_a_team_of_one_size() {
        let team = Team::of_process(2);
        assert!(Arc::ptr_eq(&team, &Team::of_process(2)));
        assert!(!Arc::ptr_eq(&team, &Team::of_process(3)));
    }
}
