//! Which of the things that were found out some equations depend on.

use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::{Learnt, Moment, Reason};
use super::theory::Theory;
use crate::facts::Facts;

/// For each step of a theory, whether one of `goals` depends on it.
pub(super) fn needed(theory: &Theory, goals: impl IntoIterator<Item = (Id, Id)>) -> Vec<bool> {
    let mut trimmer = Trimmer {
        theory,
        needed: vec![false; theory.steps.len()],
        walked: FxHashSet::default(),
        supported: FxHashMap::default(),
        goals: goals.into_iter().map(|(a, b)| Goal::Equal(a, b)).collect(),
    };
    trimmer.run();
    trimmer.needed
}

/// What is to be accounted for.
enum Goal {
    /// That two terms are equal.
    Equal(Id, Id),
    /// All that was known about a term before a moment.
    Known { subject: Id, before: Moment },
}

struct Trimmer<'t> {
    theory: &'t Theory,
    needed: Vec<bool>,
    /// Edges that were walked along.
    walked: FxHashSet<(Id, Id)>,
    /// Terms, and the moment up to which what was known about them is accounted for.
    supported: FxHashMap<Id, Moment>,
    goals: Vec<Goal>,
}

impl Trimmer<'_> {
    fn run(&mut self) {
        while let Some(goal) = self.goals.pop() {
            match goal {
                Goal::Equal(a, b) => self.account_for(a, b),
                Goal::Known { subject, before } => self.support(subject, before),
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
        let before = self.theory.found_at[step];
        self.goals.extend(self.theory.steps[step].subjects().iter().map(|&subject| Goal::Known { subject, before }));
    }

    /// What was known about a term followed from its operands, from what rules say about it, and from equal terms: of these, the
    /// first that added something. All of that was known before the moment: what is known now may depend on what was found since,
    /// and so on the very step that it is to account for.
    fn support(&mut self, term: Id, before: Moment) {
        let closure = &self.theory.closure;
        let supported = self.supported.entry(term).or_default();
        if *supported >= before {
            return;
        }
        *supported = before;
        let mut learnt: Vec<(Moment, Id, &Learnt)> = Vec::new();
        for &member in closure.members(term) {
            let own = closure.learnt(member);
            if own.first().is_none_or(|first| first.since >= before) {
                continue;
            }
            let Some(equal) = closure.equal_since(term, member).filter(|&equal| equal < before) else { continue };
            let until = own.iter().take_while(|learnt| learnt.since < before);
            learnt.extend(until.map(|learnt| (equal.max(learnt.since), member, learnt)));
        }
        learnt.sort_by_key(|&(since, _, learnt)| (since, learnt.since));
        let mut known = Facts::of_type(closure.ty(term).clone());
        for (_, member, learnt) in learnt {
            if !known.learn(&learnt.facts) {
                continue;
            }
            self.goals.push(Goal::Equal(term, member));
            if let Some(step) = learnt.step {
                self.need(step);
                continue;
            }
            for &operand in closure.term(member).operands() {
                let literal = closure.literal_of(operand);
                self.goals.push(match literal.filter(|&literal| closure.were_equal(operand, literal, learnt.since)) {
                    Some(literal) => Goal::Equal(operand, literal),
                    None => Goal::Known { subject: operand, before: learnt.since },
                });
            }
        }
    }
}
