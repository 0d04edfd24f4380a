//! Which of the things that were found out some equations depend on.

use egg::Id;
use rustc_hash::FxHashSet;

use super::closure::Reason;
use super::theory::{Found, Theory};
use crate::facts::Facts;

/// For each step of a theory, whether one of `goals` depends on it.
pub(super) fn needed(theory: &Theory, goals: impl IntoIterator<Item = (Id, Id)>) -> Vec<bool> {
    let mut trimmer = Trimmer {
        theory,
        needed: vec![false; theory.steps.len()],
        walked: FxHashSet::default(),
        supported: FxHashSet::default(),
        goals: goals.into_iter().map(|(a, b)| Goal::Equal(a, b)).collect(),
    };
    trimmer.run();
    trimmer.needed
}

/// What is to be accounted for.
enum Goal {
    /// That two terms are equal.
    Equal(Id, Id),
    /// All that is known about a term.
    Known(Id),
}

struct Trimmer<'t> {
    theory: &'t Theory,
    needed: Vec<bool>,
    /// Edges that were walked along.
    walked: FxHashSet<(Id, Id)>,
    supported: FxHashSet<Id>,
    goals: Vec<Goal>,
}

impl Trimmer<'_> {
    fn run(&mut self) {
        while let Some(goal) = self.goals.pop() {
            match goal {
                Goal::Equal(a, b) => self.account_for(a, b),
                Goal::Known(term) => self.support(term),
            }
        }
    }

    fn account_for(&mut self, a: Id, b: Id) {
        if a == b {
            return;
        }
        for (from, to, reason) in self.theory.closure.path(a, b) {
            if !self.walked.insert((from.min(to), from.max(to))) {
                continue;
            }
            match reason {
                Reason::Step(step) => self.need(step),
                Reason::Congruence(swapped) => {
                    let pairs = self.theory.closure.operand_pairs(from, to, swapped);
                    self.goals.extend(pairs.into_iter().map(|(a, b)| Goal::Equal(a, b)));
                }
            }
        }
    }

    fn need(&mut self, step: usize) {
        if std::mem::replace(&mut self.needed[step], true) {
            return;
        }
        if let Found::Rule { subjects, .. } | Found::Learnt { subjects, .. } = &self.theory.steps[step] {
            self.goals.extend(subjects.iter().map(|&subject| Goal::Known(subject)));
        }
    }

    /// What is known about a term follows from its operands, from what rules say about it, and from equal terms: of these, as
    /// many as add something.
    fn support(&mut self, term: Id) {
        let theory = self.theory;
        let closure = &theory.closure;
        if !self.supported.insert(term) {
            return;
        }
        self.goals.extend(closure.term(term).operands().iter().map(|&operand| Goal::Known(operand)));
        if let Some(literal) = closure.literal_of(term) {
            self.goals.push(Goal::Equal(term, literal));
        }
        let Some(derived) = closure.derived(closure.term(term)) else { return };
        let derived = Facts { constant: None, ..derived };
        // What was known first is taken: that may be why other terms are equal to this one, so these must not account for it.
        // Nor must operands, of which more may be known now than then: what rules say is taken even where it follows from them.
        let mut learnt: Vec<(usize, usize, Id, &Facts)> = Vec::new();
        for (step, found) in theory.steps.iter().enumerate() {
            if let Found::Learnt { term: subject, facts, .. } = found
                && closure.are_equal(*subject, term)
            {
                learnt.push((self.equal_since(term, *subject).max(step), step, *subject, facts));
            }
        }
        learnt.sort_by_key(|&(since, ..)| since);
        let mut known = Facts::of_type(closure.ty(term).clone());
        for (_, step, subject, facts) in learnt {
            if known.learn(&Facts { constant: None, ..facts.clone() }) {
                self.need(step);
                self.goals.push(Goal::Equal(term, subject));
            }
        }
        let mut members: Vec<(usize, Id, Facts)> = Vec::new();
        for &member in closure.members(term) {
            let Some(facts) = closure.derived(closure.term(member)) else { continue };
            let facts = Facts { constant: None, ..facts };
            if derived.clone().learn(&facts) {
                members.push((self.equal_since(term, member), member, facts));
            }
        }
        members.sort_by_key(|&(since, ..)| since);
        let mut known = derived;
        for (_, member, facts) in members {
            if known.learn(&facts) {
                self.goals.push(Goal::Equal(term, member));
                self.goals.push(Goal::Known(member));
            }
        }
    }

    /// The last of the steps that make two terms equal.
    fn equal_since(&self, a: Id, b: Id) -> usize {
        let mut last = 0;
        let mut walked: FxHashSet<(Id, Id)> = FxHashSet::default();
        let mut pairs = vec![(a, b)];
        while let Some((a, b)) = pairs.pop() {
            for (from, to, reason) in self.theory.closure.path(a, b) {
                if !walked.insert((from.min(to), from.max(to))) {
                    continue;
                }
                match reason {
                    Reason::Step(step) => last = last.max(step),
                    Reason::Congruence(swapped) => pairs.extend(self.theory.closure.operand_pairs(from, to, swapped)),
                }
            }
        }
        last
    }
}
