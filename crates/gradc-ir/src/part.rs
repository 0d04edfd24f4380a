//! A part of a graph as a graph of its own.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::{Graph, LeafKind, Role, ValueId};

impl Graph {
    /// The part of this graph that computes `results` from `inputs`. Each of `inputs`, whatever it is here, is an input
    /// there, in this order; what it is computed from stays behind. Each of `results` is an output under the name given.
    /// Names that meet get numbers.
    ///
    /// # Panics
    /// Where `results` depend on a leaf that is not among `inputs`: that is a bug of the caller.
    pub fn part(&self, inputs: &[ValueId], results: &[(Arc<str>, ValueId)]) -> Graph {
        let mut part = self.emptied();
        let mut copies: Vec<Option<ValueId>> = vec![None; self.len()];
        let mut taken = FxHashSet::default();
        for &input in inputs {
            let name = distinct(self.value_name(input).map_or("r", |name| name), &mut taken);
            part.set_origin(self.node(input).origin);
            copies[input.index()] = Some(part.add_leaf(LeafKind::Input, name, self.ty(input).clone(), None));
        }
        let mut needed = vec![false; self.len()];
        results.iter().for_each(|(_, value)| needed[value.index()] = true);
        for value in self.values().rev().filter(|value| copies[value.index()].is_none()) {
            if needed[value.index()] {
                assert!(self.leaf(value).is_none(), "gradc has a bug: a part of a graph lacks an input");
                self.operands(value).iter().for_each(|operand| needed[operand.index()] = true);
            }
        }
        for value in self.values().filter(|value| needed[value.index()]) {
            if copies[value.index()].is_none() {
                let operands: Vec<ValueId> =
                    self.operands(value).iter().filter_map(|operand| copies[operand.index()]).collect();
                copies[value.index()] = Some(part.copy_node(self, value, &operands));
            }
        }
        taken.clear();
        for (name, value) in results {
            let name = distinct(name, &mut taken);
            part.add_output(Role::Output, name, copies[value.index()].expect("what is needed has been copied"));
        }
        part
    }
}

/// A name that is not taken yet.
fn distinct(name: &str, taken: &mut FxHashSet<Arc<str>>) -> Arc<str> {
    let mut candidate: Arc<str> = name.into();
    let mut count = 1;
    while taken.contains(&candidate) {
        count += 1;
        candidate = format!("{name}_{count}").into();
    }
    taken.insert(candidate.clone());
    candidate
}
