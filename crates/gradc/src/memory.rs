//! Whether there is room.

use gradc_ir::{Graph, LeafKind};

use crate::error::Error;

/// Succeeds where the system grants `bytes` of memory; nothing is kept. What is allocated afterwards element by element
/// cannot fail gently, so what a user's shapes ask for is asked of the system first.
///
/// # Errors
/// [`Error::OutOfMemory`] where it does not.
pub(crate) fn ensure(bytes: usize) -> Result<(), Error> {
    let mut probe: Vec<u8> = Vec::new();
    probe.try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory { bytes })
}

/// Succeeds where there is room for the parameters and the state of `graph`, and for drawing their first values.
///
/// # Errors
/// [`Error::OutOfMemory`] where there is not.
pub fn ensure_state_fits(graph: &Graph) -> Result<(), Error> {
    let kept = [LeafKind::Param, LeafKind::State].into_iter().flat_map(|kind| graph.leaves(kind));
    let (mut total, mut largest) = (0usize, 0usize);
    for leaf in kept {
        let ty = graph.ty(leaf);
        total = total.saturating_add(ty.bytes());
        // One value at a time is drawn in double precision.
        largest = largest.max(ty.shape.elements().saturating_mul(size_of::<f64>()));
    }
    ensure(total.saturating_add(largest))
}
