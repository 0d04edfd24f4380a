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
const NOWHERE: usize = usize::MAX;

/// Regions that together hold every value that is neither a leaf nor made from nothing. `forward` says for each value
/// whether it belongs to the forward pass.
pub(crate) fn partition(arena: &Arena<'_>, forward: &[bool], limits: &Limits) -> Vec<Region> {
    let anchors = anchors(arena, forward);
    let order = by_anchor(arena, &anchors);
    let mut regions: Vec<Region> = Vec::new();
    for block in blocks(arena, forward, &anchors, &order, limits.max_region_values) {
        match regions.last_mut() {
            Some(region) if region.values.len() + block.len() <= limits.region_values => {
                region.values.extend_from_slice(block);
            }
            _ => regions.push(Region { values: block.to_vec() }),
        }
    }
    regions.iter_mut().for_each(|region| region.values.sort_unstable());
    regions
}

/// The values that are computed, by their anchors and then in order. Anchors are positions, so they are counted, not
/// compared.
fn by_anchor(arena: &Arena<'_>, anchors: &[usize]) -> Vec<Id> {
    let last = arena.len();
    let computed = || arena.ids().filter(|&id| !arena.operands(id).is_empty());
    let anchor = |id: Id| anchors[usize::from(id)].min(last);
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
    anchors: &[usize],
    order: &'o [Id],
    longest: usize,
) -> impl Iterator<Item = &'o [Id]> {
    let begins_block = |id: Id| {
        let contracts = arena.node(id).term.op().is_some_and(|op| op.def.class == Class::Contract);
        contracts && forward[usize::from(id)]
    };
    let cuts: Vec<usize> = arena.ids().filter(|&id| begins_block(id)).map(usize::from).collect();
    let block_of = move |id: Id| match anchors[usize::from(id)] {
        NOWHERE => cuts.len() + 1,
        anchor => cuts.partition_point(|&cut| cut <= anchor),
    };
    let blocks: Vec<usize> = order.iter().map(|&id| block_of(id)).collect();
    let mut ends: Vec<usize> = (1..order.len()).filter(|&i| blocks[i] != blocks[i - 1]).collect();
    ends.push(order.len());
    let mut start = 0;
    let stretches: Vec<&[Id]> = ends.into_iter().map(|end| &order[std::mem::replace(&mut start, end)..end]).collect();
    stretches.into_iter().flat_map(move |stretch| stretch.chunks(longest.max(1)))
}

fn anchors(arena: &Arena<'_>, forward: &[bool]) -> Vec<usize> {
    let mut anchors = vec![NOWHERE; arena.len()];
    let first_use = first_forward_use(arena, forward);
    for id in arena.ids() {
        let operands = arena.operands(id);
        anchors[usize::from(id)] = if forward[usize::from(id)] {
            usize::from(id)
        } else {
            // One number for the whole net, such as the factor of a clipped gradient, says nothing about the place.
            let placed = |&&operand: &&Id| !arena.operands(operand).is_empty() && !is_global(arena, operand);
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
        for &operand in arena.operands(id) {
            let unplaced = anchors[usize::from(operand)] == NOWHERE && !arena.operands(operand).is_empty();
            if unplaced && !is_global(arena, operand) {
                anchors[usize::from(operand)] = anchor;
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
fn first_forward_use(arena: &Arena<'_>, forward: &[bool]) -> Vec<usize> {
    let mut first = vec![NOWHERE; arena.len()];
    for id in arena.ids().filter(|&id| forward[usize::from(id)]) {
        for &operand in arena.operands(id) {
            let operand = usize::from(operand);
            first[operand] = first[operand].min(usize::from(id));
        }
    }
    first
}
