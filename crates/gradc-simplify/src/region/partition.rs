//! Cutting a graph into regions: [blocks](super::blocks), and of what is longer than a region may be, stretches.

use super::{Region, Spot};
use crate::canonical::Arena;
use crate::options::Limits;
use egg::Id;

/// For each value, the number of its region.
pub(crate) struct Homes(Vec<u32>);

/// In the place of the region of a value that is in none.
const NONE: u32 = u32::MAX;

impl Homes {
    /// The region that a value is in, if it is in one.
    pub(crate) fn of(&self, id: Id) -> Option<usize> {
        Some(self.0[usize::from(id)] as usize).filter(|&region| region != NONE as usize)
    }

    /// Whether two values are in one region, or both in none.
    pub(crate) fn are_together(&self, one: Id, other: Id) -> bool {
        self.0[usize::from(one)] == self.0[usize::from(other)]
    }
}

/// Regions that together hold every value that is neither a leaf nor made from nothing, and where each value is. `spots` says
/// where in the network a value of the source graph is.
pub(crate) fn partition(arena: &Arena<'_>, spots: &[Spot], limits: &Limits) -> (Vec<Region>, Homes) {
    let spot = |id: Id| spots[arena.node(id).near];
    let mut order: Vec<Id> = arena.ids().filter(|&id| !arena.operands(id).is_empty()).collect();
    // Stable, so that the values of a block stay in order.
    order.sort_by_key(|&id| spot(id).block);
    let mut homes = Homes(vec![NONE; arena.len()]);
    let mut regions: Vec<Region> = Vec::new();
    let most = limits.max_region_values.max(1);
    for stretch in order.chunk_by_mut(|&one, &other| spot(one).block == spot(other).block) {
        if stretch.len() > most {
            // What the backward pass computes stays with what it is the derivative of.
            stretch.sort_by_key(|&id| spot(id).anchor);
        }
        for values in stretch.chunks_mut(most) {
            values.sort_unstable();
            values.iter().for_each(|&id| homes.0[usize::from(id)] = regions.len() as u32);
            regions.push(Region { values: values.to_vec(), block: spot(values[0]).block });
        }
    }
    (regions, homes)
}
