//! What nothing needs.

use gradc_ir::{Graph, ValueId};

use super::{Bound, Loop, Outside};

impl Loop {
    /// Numbers that are constants or sequences of the loop become literals of its body.
    pub(super) fn sink_literals(&mut self, graph: &Graph) {
        let mut replacements = Vec::new();
        for bound in self.constants.iter().chain(&self.sequences) {
            if let Some(number) = graph.as_full(bound.outside) {
                let literal = self.body.full(number, &self.body.ty(bound.leaf).clone());
                replacements.push((bound.leaf, literal));
            }
        }
        self.substitute(&replacements);
    }

    /// Removes results that nothing uses, carries that only feed themselves, and operands that no step reads. A carry that
    /// never changes becomes a constant, and operands that are there twice become one.
    pub(super) fn remove_dead(&mut self) {
        self.fix_unchanging_carries();
        self.merge_operands();
        self.merge_stacks();
        let (mut last, mut stacked) = (Vec::new(), Vec::new());
        for outside in self.results.iter().flatten() {
            outside.visit(&mut |outside| match outside {
                Outside::Last(leaf) => last.push(*leaf),
                Outside::Stacked(value) => stacked.push(*value),
                Outside::Value(_) | Outside::Applied(..) => {}
            });
        }
        self.stacks.retain(|stack| stacked.contains(&stack.value));
        let mut needed: Vec<bool> = self.carries.iter().map(|carry| last.contains(&carry.leaf)).collect();
        let read = loop {
            let next = self.carries.iter().zip(&needed).filter(|(_, needed)| **needed).map(|(carry, _)| carry.next);
            let roots: Vec<ValueId> = next.chain(self.stacks.iter().map(|stack| stack.value)).collect();
            let read = self.body.ancestors(roots);
            let before = needed.iter().filter(|needed| **needed).count();
            for (carry, needed) in self.carries.iter().zip(&mut needed) {
                *needed |= read[carry.leaf.index()];
            }
            if needed.iter().filter(|needed| **needed).count() == before {
                break read;
            }
        };
        let mut needed = needed.into_iter();
        self.carries.retain(|_| needed.next().unwrap_or(true));
        self.sequences.retain(|bound| read[bound.leaf.index()]);
        self.constants.retain(|bound| read[bound.leaf.index()]);
    }

    fn fix_unchanging_carries(&mut self) {
        while let Some(position) = self.carries.iter().position(|carry| carry.next == carry.leaf) {
            let carry = self.carries.remove(position);
            self.constants.push(Bound { leaf: carry.leaf, outside: carry.first });
            self.replace_last(carry.leaf, &Outside::Value(carry.first));
        }
    }

    fn merge_operands(&mut self) {
        let mut replacements = Vec::new();
        for list in [&self.sequences, &self.constants] {
            for (i, bound) in list.iter().enumerate() {
                if let Some(first) = list[..i].iter().find(|first| first.outside == bound.outside) {
                    replacements.push((bound.leaf, first.leaf));
                }
            }
        }
        self.substitute(&replacements);
    }

    /// A stack of slices is the sequence that they are of; equal stacks are one.
    fn merge_stacks(&mut self) {
        let values: Vec<ValueId> = self.stacks.iter().map(|stack| stack.value).collect();
        for (i, &value) in values.iter().enumerate() {
            if let Some(sequence) = self.sequence(value) {
                self.replace_stack(value, &Outside::Value(sequence));
            } else if values[..i].contains(&value)
                && let Some(position) = self.stacks.iter().rposition(|stack| stack.value == value)
                && self.stacks.iter().filter(|stack| stack.value == value).count() > 1
            {
                self.stacks.remove(position);
            }
        }
    }
}
