//! How often each class of a choice is used, and so what a choice would be rid of without a use.

use rustc_hash::FxHashMap;

use super::{Choice, Problem};

/// A choice with how often each class is used in it.
pub(super) struct Counted {
    pub(super) choice: Choice,
    uses: Vec<u32>,
}

impl Counted {
    /// Counts the uses in a choice: by what is needed, and by the terms of what these depend on.
    pub(super) fn new(problem: &Problem, choice: Choice) -> Counted {
        let mut uses = vec![0; problem.classes.len()];
        problem.needed.iter().for_each(|needed| uses[needed.class] += 1);
        for class in problem.in_order(&choice) {
            problem.chosen(&choice, class).1.iter().for_each(|&operand| uses[operand] += 1);
        }
        Counted { choice, uses }
    }

    /// The classes that nothing would use any more if each of `uses`, in which a class may be several times, were gone.
    pub(super) fn released(&self, problem: &Problem, uses: &[usize]) -> Vec<usize> {
        let mut gone: FxHashMap<usize, u32> = FxHashMap::default();
        let mut released = Vec::new();
        let mut stack = uses.to_vec();
        while let Some(class) = stack.pop() {
            let times = gone.entry(class).or_default();
            *times += 1;
            if *times == self.uses[class] && self.choice.0[class].is_some() {
                released.push(class);
                stack.extend(problem.chosen(&self.choice, class).1);
            }
        }
        released
    }
}
