//! What a region is, apart from where it is, and the key under which its solution is kept.

use std::rc::Rc;

use egg::Id;
use gradc_ir::Op;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Homes, Region};
use crate::canonical::Arena;
use crate::facts::Facts;

/// A region by itself: its values, what they take from outside and its constants, numbered in the order of the graph.
/// Two regions of one structure have the same solution.
#[derive(Clone, Debug)]
pub(crate) struct Structure {
    /// The values.
    pub(crate) nodes: Vec<LocalNode>,
    /// For each, whether something outside needs it.
    pub(crate) needed: Vec<bool>,
    /// For each, whether it is computed here for results that the program asks for, not only for derivatives of them.
    pub(crate) is_forward: Vec<bool>,
}

/// One value of a region.
#[derive(Clone, Debug)]
pub(crate) enum LocalNode {
    /// Comes from outside.
    Input(InputFacts),
    /// Computed here.
    Value(Op, SmallVec<[u32; 3]>),
}

/// What is known about an input.
#[derive(Clone, Debug)]
pub(crate) struct InputFacts(Rc<Facts>);

impl InputFacts {
    /// The facts.
    pub(crate) fn facts(&self) -> Facts {
        (*self.0).clone()
    }
}

/// A structure in few bytes: two regions of one graph have the same key where their structure is the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key(Vec<u32>);

/// In the place of an operator's number, what comes from outside. The lowest bits say whether a value is needed, and whether it is
/// forward.
const INPUT: u32 = u32::MAX >> 2;

/// What is asked of the values of an arena.
pub(crate) struct Uses {
    /// For each, whether something outside its region needs it.
    pub(crate) is_needed: Vec<bool>,
    /// For each, whether results depend on it that the program asks for, not only derivatives of them.
    pub(crate) is_forward: Vec<bool>,
}

/// Makes the keys of regions; it is kept from one to the next for its memory.
pub(crate) struct Keys {
    /// For each value of the arena that is a member of the present region, its number in it.
    local: Vec<u32>,
    /// For each value of the arena, one more than the number of the last region that took it from outside.
    taken: Vec<u32>,
}

impl Keys {
    /// For the regions of an arena.
    pub(crate) fn new(arena: &Arena<'_>) -> Keys {
        Keys { local: vec![0; arena.len()], taken: vec![0; arena.len()] }
    }

    /// The values of a region and what they take from outside, in order.
    fn members(&mut self, arena: &Arena<'_>, number: usize, region: &Region, homes: &Homes) -> Vec<Id> {
        let mut outside: Vec<Id> = Vec::with_capacity(region.values.len());
        for &operand in region.values.iter().flat_map(|&id| arena.operands(id)) {
            let mark = number as u32 + 1;
            if homes.of(operand) != Some(number)
                && std::mem::replace(&mut self.taken[usize::from(operand)], mark) != mark
            {
                outside.push(operand);
            }
        }
        outside.sort_unstable();
        let mut members = Vec::with_capacity(region.values.len() + outside.len());
        let mut outside = outside.into_iter().peekable();
        for &id in &region.values {
            members.extend(std::iter::from_fn(|| outside.next_if(|&other| other < id)));
            members.push(id);
        }
        // Operands come before their users.
        debug_assert_eq!(outside.next(), None);
        members
    }

    /// The key of a region, and the values of the graph that its nodes are. `homes` says which region a value is in, if any.
    pub(crate) fn key(
        &mut self,
        arena: &Arena<'_>,
        number: usize,
        region: &Region,
        homes: &Homes,
        uses: &Uses,
    ) -> (Key, Vec<Id>) {
        let members = self.members(arena, number, region, homes);
        for (local, &id) in (0u32..).zip(&members) {
            self.local[usize::from(id)] = local;
        }
        let mut key = Vec::with_capacity(3 * members.len());
        for &id in &members {
            let node = arena.node(id);
            let is_inside = homes.of(id) == Some(number);
            match node.op_number {
                Some(op) if is_inside || arena.operands(id).is_empty() => {
                    let operands = arena.operands(id);
                    let [is_needed, is_forward] =
                        [&uses.is_needed, &uses.is_forward].map(|uses| u32::from(is_inside && uses[usize::from(id)]));
                    key.extend([op << 2 | is_forward << 1 | is_needed, operands.len() as u32]);
                    key.extend(operands.iter().map(|&operand| self.local[usize::from(operand)]));
                }
                _ => key.extend([INPUT << 2, node.facts_number]),
            }
        }
        (Key(key), members)
    }
}

impl Structure {
    /// The structure of a region whose nodes are these values of the graph.
    pub(crate) fn of(arena: &Arena<'_>, region: &Region, members: &[Id], uses: &Uses) -> Structure {
        let local: FxHashMap<Id, u32> = members.iter().zip(0..).map(|(&id, local)| (id, local)).collect();
        let is_inside = |id: Id| region.values.binary_search(&id).is_ok();
        let node = |&id: &Id| match arena.node(id).term.op() {
            // What is made from nothing is everywhere.
            Some(op) if is_inside(id) || arena.operands(id).is_empty() => {
                LocalNode::Value(op.clone(), arena.operands(id).iter().map(|operand| local[operand]).collect())
            }
            _ => LocalNode::Input(InputFacts(arena.node(id).facts.clone())),
        };
        let used = |uses: &[bool]| members.iter().map(|&id| is_inside(id) && uses[usize::from(id)]).collect();
        Structure {
            nodes: members.iter().map(node).collect(),
            needed: used(&uses.is_needed),
            is_forward: used(&uses.is_forward),
        }
    }
}
