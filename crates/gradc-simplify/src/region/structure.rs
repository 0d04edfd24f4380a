//! What a region is, apart from where it is: the key under which its solution is kept.

use egg::Id;
use gradc_ir::{Op, TensorType};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::Region;
use crate::canonical::Arena;
use crate::facts::Facts;

/// A region by itself: its values, what they take from outside and its constants, numbered in the order of the graph.
/// Two regions of one structure have the same solution.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Structure {
    /// The values.
    pub(crate) nodes: Vec<LocalNode>,
    /// For each, whether something outside needs it.
    pub(crate) needed: Vec<bool>,
}

/// One value of a region.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LocalNode {
    /// Comes from outside.
    Input(InputFacts),
    /// Computed here.
    Value(Op, SmallVec<[u32; 3]>),
}

/// Facts with numbers by their bits, so that they can be part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct InputFacts {
    ty: TensorType,
    range: [u64; 2],
    nan: bool,
    sums_to_one: Option<usize>,
    sums_to_zero_along: u32,
    shifted_along: u32,
    trusted_index: bool,
}

impl InputFacts {
    fn new(facts: &Facts) -> InputFacts {
        InputFacts {
            ty: facts.ty.clone(),
            range: [facts.range.low.to_bits(), facts.range.high.to_bits()],
            nan: facts.range.nan,
            sums_to_one: facts.sums_to_one,
            sums_to_zero_along: facts.sums_to_zero_along,
            shifted_along: facts.shifted_along,
            trusted_index: facts.trusted_index,
        }
    }

    /// The facts.
    pub(crate) fn facts(&self) -> Facts {
        let [low, high] = self.range.map(f64::from_bits);
        let mut facts = Facts::of_type(self.ty.clone());
        facts.range = crate::facts::Range { low, high, nan: self.nan };
        facts.sums_to_one = self.sums_to_one;
        facts.sums_to_zero_along = self.sums_to_zero_along;
        facts.shifted_along = self.shifted_along;
        facts.trusted_index = self.trusted_index;
        facts
    }
}

impl Structure {
    /// The structure of a region, and the values of the graph that its nodes are. `needed` says whether something outside
    /// the region uses a value.
    pub(crate) fn of(arena: &Arena<'_>, region: &Region, needed: impl Fn(Id) -> bool) -> (Structure, Vec<Id>) {
        let mut members: Vec<Id> = region.values.clone();
        members.extend(region.values.iter().flat_map(|&id| arena.operands(id)));
        members.sort_unstable();
        members.dedup();
        let local: FxHashMap<Id, u32> = members.iter().enumerate().map(|(i, &id)| (id, i as u32)).collect();
        let node = |&id: &Id| {
            let is_inside = region.values.binary_search(&id).is_ok();
            match arena.node(id).term.op() {
                // What is made from nothing is everywhere.
                Some(op) if is_inside || arena.operands(id).is_empty() => {
                    LocalNode::Value(op.clone(), arena.operands(id).iter().map(|operand| local[operand]).collect())
                }
                _ => LocalNode::Input(InputFacts::new(&arena.node(id).facts)),
            }
        };
        let nodes = members.iter().map(node).collect();
        let is_needed = |&id: &Id| region.values.binary_search(&id).is_ok() && needed(id);
        (Structure { nodes, needed: members.iter().map(is_needed).collect() }, members)
    }
}
