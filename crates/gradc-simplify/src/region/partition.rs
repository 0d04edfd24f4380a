//! Cutting a graph into regions.
//!
//! Every value is given an *anchor*, a position in the forward pass: its own for a forward value, and for any other the
//! least of those that it is computed from, which for a value of the backward pass is that of the forward value whose
//! derivative it belongs to. Ordered by anchors, the graph is cut before products of matrices: closed forms lie between
//! these. Small neighbouring blocks share a region.

use egg::Id;
use gradc_ir::Class;

use super::Region;
use crate::canonical::Arena;
use crate::options::Limits;

/// The anchor of what depends on no forward value.
const NOWHERE: u32 = u32::MAX;

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

/// Regions that together hold every value that is neither a leaf nor made from nothing, and where each value is. `forward`
/// says for each value whether it belongs to the forward pass.
pub(crate) fn partition(arena: &Arena<'_>, forward: &[bool], limits: &Limits) -> (Vec<Region>, Homes) {
    let anchors = anchors(arena, forward);
    let order = by_anchor(arena, &anchors);
    let mut sizes: Vec<usize> = Vec::new();
    let mut homes = Homes(vec![NONE; arena.len()]);
    for block in blocks(arena, forward, &anchors, &order, limits.max_region_values) {
        match sizes.last_mut() {
            Some(size) if *size + block.len() <= limits.region_values => *size += block.len(),
            _ => sizes.push(block.len()),
        }
        block.iter().for_each(|&id| homes.0[usize::from(id)] = sizes.len() as u32 - 1);
    }
    let mut regions: Vec<Region> = sizes.into_iter().map(|size| Region { values: Vec::with_capacity(size) }).collect();
    for id in arena.ids() {
        if let Some(region) = homes.of(id) {
            regions[region].values.push(id);
        }
    }
    (regions, homes)
}

/// The values that are computed, by their anchors and then in order. Anchors are positions, so they are counted, not
/// compared.
fn by_anchor(arena: &Arena<'_>, anchors: &[u32]) -> Vec<Id> {
    let last = arena.len();
    let computed = || arena.ids().filter(|&id| !arena.operands(id).is_empty());
    let anchor = |id: Id| (anchors[usize::from(id)] as usize).min(last);
    let mut starts = vec![0; last + 2];
    computed().for_each(|id| starts[anchor(id) + 1] += 1);
    (0..=last).for_each(|position| starts[position + 1] += starts[position]);
    let mut order = vec![Id::from(0); starts[last + 1]];
    for id in computed() {
        let next = &mut starts[anchor(id)];
        order[*next] = id;
        *next += 1;
    }
    order
}

/// Stretches of `order` that begin with a product of matrices of the forward pass, none longer than `longest`.
fn blocks<'o>(
    arena: &Arena<'_>,
    forward: &[bool],
    anchors: &[u32],
    order: &'o [Id],
    longest: usize,
) -> impl Iterator<Item = &'o [Id]> {
    let begins_block = |id: Id| {
        let contracts = || arena.node(id).term.op().is_some_and(|op| op.def.class == Class::Contract);
        forward[usize::from(id)] && contracts()
    };
    // For each position, how many blocks have begun there.
    let begun: Vec<u32> = arena
        .ids()
        .scan(0, |begun, id| {
            *begun += u32::from(begins_block(id));
            Some(*begun)
        })
        .collect();
    let block_of = move |id: &Id| match anchors[usize::from(*id)] {
        NOWHERE => NOWHERE,
        anchor => begun[anchor as usize],
    };
    let stretches = order.chunk_by(move |one, other| block_of(one) == block_of(other));
    stretches.flat_map(move |stretch| stretch.chunks(longest.max(1)))
}

fn anchors(arena: &Arena<'_>, forward: &[bool]) -> Vec<u32> {
    let mut anchors = vec![NOWHERE; arena.len()];
    let first_use = first_forward_use(arena, forward);
    // One number for the whole net, such as the factor of a clipped gradient, says nothing about the place.
    let says_place: Vec<bool> = arena.ids().map(|id| !arena.operands(id).is_empty() && !is_global(arena, id)).collect();
    for id in arena.ids() {
        let operands = arena.operands(id);
        anchors[usize::from(id)] = if forward[usize::from(id)] {
            usize::from(id) as u32
        } else {
            let placed = |&&operand: &&Id| says_place[usize::from(operand)];
            let own = operands.iter().filter(placed).map(|&operand| anchors[usize::from(operand)]).min();
            own.filter(|&anchor| anchor != NOWHERE).unwrap_or_else(|| {
                let fallback = |&operand: &Id| anchors[usize::from(operand)].min(first_use[usize::from(operand)]);
                operands.iter().map(fallback).min().unwrap_or(NOWHERE)
            })
        };
    }
    // What is computed from state alone belongs to the place where it is used.
    for id in arena.ids().rev() {
        let anchor = anchors[usize::from(id)];
        for operand in arena.operands(id).iter().map(|&operand| usize::from(operand)) {
            if anchors[operand] == NOWHERE && says_place[operand] {
                anchors[operand] = anchor;
            }
        }
    }
    anchors
}

/// Whether a value is a single number, or one spread out.
fn is_global(arena: &Arena<'_>, id: Id) -> bool {
    let node = arena.node(id);
    let spread = node.term.op().is_some_and(|op| op.def.class == Class::Movement)
        && node.term.operands().iter().all(|&operand| arena.node(operand).facts.ty.shape.rank() == 0);
    node.facts.ty.shape.rank() == 0 || spread
}

/// For each leaf, the first forward value that uses it.
fn first_forward_use(arena: &Arena<'_>, forward: &[bool]) -> Vec<u32> {
    let mut first = vec![NOWHERE; arena.len()];
    for id in arena.ids().filter(|&id| forward[usize::from(id)]) {
        for &operand in arena.operands(id) {
            let operand = usize::from(operand);
            first[operand] = first[operand].min(usize::from(id) as u32);
        }
    }
    first
}
