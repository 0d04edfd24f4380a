//! What is the same in every step.

use gradc_ir::{Class, Graph, LeafKind, ValueId};
use rustc_hash::FxHashMap;

use super::{Bound, Loop};

impl Loop {
    /// Computes what depends on constants alone before the loop. Literals and what only moves elements stay: kernels read
    /// through them, and a broadcast that is computed before the loop would be larger than what it is a broadcast of.
    pub(super) fn hoist_invariants(&mut self, graph: &mut Graph) {
        let varies = self.varies();
        let mut invariants = Vec::new();
        let mut seen = vec![false; self.body.len()];
        let mut stack: Vec<ValueId> = self.roots().collect();
        while let Some(value) = stack.pop() {
            if std::mem::replace(&mut seen[value.index()], true) || self.body.leaf(value).is_some() {
                continue;
            }
            let operands = self.body.operands(value);
            let stays = match self.body.op(value).map(|op| op.def.class) {
                Some(Class::Source) => true,
                Some(Class::Movement) => operands.len() == 1,
                _ => false,
            };
            if varies[value.index()] || stays {
                stack.extend(operands);
            } else {
                invariants.push(value);
            }
        }
        // What is packed is read through its results: these are what is hoisted.
        invariants.retain(|&value| !self.body.is_packed(value));
        invariants.sort_unstable();
        let mut places: FxHashMap<ValueId, ValueId> =
            self.constants.iter().map(|bound| (bound.leaf, bound.outside)).collect();
        let mut replacements = Vec::new();
        for value in invariants {
            let outside = self.transplant(graph, value, &mut places);
            let name = self.body.value_name(value).cloned().unwrap_or_else(|| "k".into());
            let leaf = self.new_leaf(&name, value);
            self.constants.push(Bound { leaf, outside });
            replacements.push((value, leaf));
        }
        self.substitute(&replacements);
    }

    /// A new input of the body of the type of a value of it, under a name that no input has.
    pub(super) fn new_leaf(&mut self, name: &str, like: ValueId) -> ValueId {
        let taken = |name: &str| self.body.find_leaf(LeafKind::Input, name).is_some();
        let mut candidates = std::iter::once(name.to_owned()).chain((2..).map(|i| format!("{name}_{i}")));
        let name = candidates.find(|name| !taken(name)).unwrap_or_else(|| name.to_owned());
        let ty = self.body.ty(like).clone();
        self.body.input(name, ty)
    }

    /// Computes a value of the body that depends on constants alone outside.
    fn transplant(&self, graph: &mut Graph, value: ValueId, places: &mut FxHashMap<ValueId, ValueId>) -> ValueId {
        let needed = self.body.ancestors([value]);
        for inner in self.body.values().filter(|inner| needed[inner.index()]) {
            if places.contains_key(&inner) {
                continue;
            }
            let Some(op) = self.body.op(inner) else { continue };
            let operands: Vec<ValueId> = self.body.operands(inner).iter().map(|operand| places[operand]).collect();
            let outside = graph.emit(op.clone(), &operands);
            if let Some(name) = self.body.value_name(inner) {
                graph.set_value_name(outside, name.clone());
            }
            places.insert(inner, outside);
        }
        places[&value]
    }
}
