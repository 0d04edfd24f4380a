//! How many threads there are to run on.

use std::num::NonZeroUsize;

/// As many threads as this process may run at the same time, and no more than the machine has cores: two threads of one core
/// share the units that do the arithmetic.
pub fn available_threads() -> NonZeroUsize {
    let allowed = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    NonZeroUsize::new(num_cpus::get_physical()).map_or(allowed, |cores| cores.min(allowed))
}
