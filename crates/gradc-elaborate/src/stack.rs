//! The stack that deep programs are evaluated on.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;

use crate::limits::STACK_BYTES;

thread_local! {
    /// Whether this thread has such a stack.
    static IS_LARGE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with a stack that is large enough to elaborate the deepest program that is admitted: on a thread that has one, or, within
/// such a call, at once. `None` if the system gives no such thread.
///
/// [`Analysis::elaborate`](crate::Analysis::elaborate) does so by itself, at the price of a thread each time. A program that does
/// all its work within one such call pays once.
pub fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    if IS_LARGE.get() {
        return Some(work());
    }
    let work = || {
        IS_LARGE.set(true);
        work()
    };
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).ok()?;
        Some(thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::on_large_stack;

    #[test]
    fn within_such_a_call_no_other_thread_is_started() {
        let outer = || {
            let inner = on_large_stack(|| thread::current().id());
            (thread::current().id(), inner)
        };
        let (thread, inner) = on_large_stack(outer).expect("there is memory");
        assert_ne!(thread, thread::current().id());
        assert_eq!(inner, Some(thread));
        // The thread is gone, and this one has no such stack.
        assert_ne!(on_large_stack(|| thread::current().id()), Some(thread::current().id()));
    }

    #[test]
    fn a_panic_goes_on_where_the_call_was() {
        let result = std::panic::catch_unwind(|| on_large_stack(|| panic!("for the test")));
        let panic = result.expect_err("it panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"for the test"));
    }
}
