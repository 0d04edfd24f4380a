//! Choosing one term for each class that is needed, so that all together cost least.
//!
//! A value that several others use is computed once, so what a term costs depends on what is chosen elsewhere. Finding
//! the optimum is hard; this goes about it greedily and in rounds: first each needed class is given the cheapest graph for
//! it alone, then again and again each is given the cheapest graph where everything that the others need is free. In the end
//! single terms are exchanged. The region as it was is a candidate too, so the result never costs more; nor does it take longer,
//! by a model of time that has the last word (`time`).
//!
//! A needed value may only be computed from inputs that came before it in the graph: with this, regions solved apart fit
//! together without a cycle.

mod bits;
mod counted;
mod exchange;
mod time;

use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::cost;
use crate::egraph::Classes;
use crate::region::{LocalNode, Structure};
use crate::rules::Flaw;
use crate::term::Term;
use crate::terms::Terms;
use bits::Bits;
use counted::Counted;
pub(crate) use time::{Clock, Compared};

/// What a term that is to be avoided costs on top: more than any region computes.
const AVOIDED: u64 = 1 << 50;

/// Rounds of improving one needed class after the other.
const ROUNDS: usize = 3;

/// A term that could be chosen.
struct Candidate {
    term: Term,
    operands: Vec<usize>,
    cost: u64,
    /// For an input, one more than its position in the order of the graph.
    position: usize,
}

/// The number of the chosen candidate of each class, where the class is needed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice(Vec<Option<usize>>);

/// An e-graph with costs, and what is needed of it.
pub(crate) struct Problem {
    classes: Vec<Id>,
    indices: FxHashMap<Id, usize>,
    /// For each class, its terms, those of the region as it was first.
    candidates: Vec<Vec<Candidate>>,
    /// For each class, those with a term that it is an operand of.
    users: Vec<Vec<usize>>,
    /// For each class, the candidate that the region had.
    as_was: Vec<Option<usize>>,
    original_terms: FxHashSet<Term>,
    /// Needed classes in the order of the graph.
    needed: Vec<Needed>,
}

/// A class that is needed outside the region.
struct Needed {
    class: usize,
    /// Its inputs must be before this position.
    limit: usize,
    /// The classes that it can depend on, deepest first as far as there is an order.
    below: Vec<usize>,
    /// Whether there is anything to choose.
    has_alternatives: bool,
}

/// The best graph found for a class.
#[derive(Clone)]
struct Best {
    candidate: usize,
    /// The classes that it needs and that are not free, itself included.
    needs: Bits,
    cost: u64,
    /// The last position of an input that it depends on.
    latest: usize,
}

impl Problem {
    /// What is needed of a region's e-graph; `originals` are the classes of the structure's nodes.
    pub(crate) fn new(classes: &Classes, structure: &Structure, originals: &[Id]) -> Problem {
        let ids = classes.ids();
        let indices: FxHashMap<Id, usize> = ids.iter().enumerate().map(|(index, &id)| (id, index)).collect();
        let original_terms = original_terms(classes, structure, originals);
        let own: FxHashSet<Term> = original_terms.iter().flatten().cloned().collect();
        let candidates = candidates(classes, structure, &ids, &indices, &own);
        let mut problem = Problem {
            users: users(&candidates),
            candidates,
            as_was: vec![None; ids.len()],
            original_terms: own,
            needed: Vec::new(),
            classes: ids,
            indices,
        };
        for (node, (&original, term)) in originals.iter().zip(&original_terms).enumerate() {
            let index = problem.indices[&classes.find(original)];
            if problem.as_was[index].is_none() {
                let is_this = |candidate: &Candidate| match term {
                    Some(term) => candidate.term == *term,
                    None => candidate.position == node + 1,
                };
                problem.as_was[index] = problem.candidates[index].iter().position(is_this);
            }
            if structure.needed[node] && problem.needed.iter().all(|needed| needed.class != index) {
                let below = problem.below(index);
                let has_alternatives = below.iter().any(|&class| problem.candidates[class].len() > 1);
                problem.needed.push(Needed { class: index, limit: node + 1, below, has_alternatives });
            }
        }
        problem
    }

    /// The region as it was.
    pub(crate) fn as_was(&self) -> Choice {
        self.restricted(&Choice(self.as_was.clone()))
    }

    /// The best choice that was found, and how many flawed terms the region had that it does not have.
    pub(crate) fn solve(&self) -> (Choice, usize) {
        let as_was = Choice(self.as_was.clone());
        let before = self.cost(&as_was);
        let mut best = (self.restricted(&as_was), before);
        for start in [Some(as_was), self.each_alone()].into_iter().flatten() {
            let found = self.exchanged(self.improved(start));
            let cost = self.cost(&found);
            if cost < best.1 {
                best = (found, cost);
            }
        }
        let repaired = (before / AVOIDED).saturating_sub(best.1 / AVOIDED) as usize;
        (best.0, repaired)
    }

    /// The chosen term of a class with its operands.
    pub(crate) fn chosen(&self, choice: &Choice, class: usize) -> (&Term, &[usize]) {
        let candidate = &self.candidates[class][choice.0[class].unwrap_or(0)];
        (&candidate.term, &candidate.operands)
    }

    /// Whether the region had this term.
    pub(crate) fn is_original(&self, term: &Term) -> bool {
        self.original_terms.contains(term)
    }

    /// Whether the region had this value, computed in another way.
    pub(crate) fn is_replaced(&self, choice: &Choice, class: usize) -> bool {
        self.as_was[class].is_some() && self.as_was[class] != choice.0[class]
    }

    /// The e-graph's name of a class.
    pub(crate) fn class(&self, index: usize) -> Id {
        self.classes[index]
    }

    /// The index of a class.
    pub(crate) fn index(&self, class: Id) -> usize {
        self.indices[&class]
    }

    /// The classes that the needed ones depend on under a choice, operands before users.
    pub(crate) fn in_order(&self, choice: &Choice) -> Vec<usize> {
        let mut order = Vec::new();
        let mut state = vec![Visit::New; self.classes.len()];
        for needed in &self.needed {
            self.visit(choice, needed.class, &mut state, &mut order);
        }
        order
    }

    fn visit(&self, choice: &Choice, root: usize, state: &mut [Visit], order: &mut Vec<usize>) -> bool {
        let mut stack = vec![root];
        let mut acyclic = true;
        while let Some(&class) = stack.last() {
            if state[class] != Visit::New {
                stack.pop();
                if state[class] == Visit::Open {
                    state[class] = Visit::Done;
                    order.push(class);
                }
                continue;
            }
            state[class] = Visit::Open;
            for &operand in self.chosen(choice, class).1 {
                match state[operand] {
                    Visit::New => stack.push(operand),
                    Visit::Open => acyclic = false,
                    Visit::Done => {}
                }
            }
        }
        acyclic
    }

    /// The cost of everything that is needed, or more than any choice costs where the choice is cyclic or incomplete.
    fn cost(&self, choice: &Choice) -> u64 {
        let mut order = Vec::new();
        let mut state = vec![Visit::New; self.classes.len()];
        let acyclic = self.needed.iter().all(|needed| self.visit(choice, needed.class, &mut state, &mut order));
        let complete = order.iter().all(|&class| choice.0[class].is_some());
        if !acyclic || !complete {
            return u64::MAX;
        }
        self.total_cost(choice, &order)
    }

    /// A choice without the classes that nothing needs.
    fn restricted(&self, choice: &Choice) -> Choice {
        let mut kept = vec![None; self.classes.len()];
        self.in_order(choice).into_iter().for_each(|class| kept[class] = choice.0[class]);
        Choice(kept)
    }

    /// Each needed class by the cheapest graph for it alone; the first that chose a term for a class has its way.
    fn each_alone(&self) -> Option<Choice> {
        let mut choice = Choice(vec![None; self.classes.len()]);
        for needed in &self.needed {
            let found = self.cheapest(needed, &choice, u64::MAX)?;
            self.adopt(&mut choice, needed.class, &found);
        }
        Some(choice)
    }

    /// Improves a choice, one needed class after the other, until nothing is gained.
    fn improved(&self, start: Choice) -> Choice {
        let mut cost = self.cost(&start);
        let mut counted = Counted::new(self, self.restricted(&start));
        for _ in 0..ROUNDS {
            let before = cost;
            for needed in self.needed.iter().filter(|needed| needed.has_alternatives) {
                let own = counted.released(self, &[needed.class]);
                // Where there was nothing to choose, the same would be found again.
                if own.iter().all(|&class| self.candidates[class].len() == 1) {
                    continue;
                }
                let bound = self.total_cost(&counted.choice, &own);
                let mut others = counted.choice.clone();
                own.iter().for_each(|&class| others.0[class] = None);
                let Some(found) = self.cheapest(needed, &others, bound) else { continue };
                self.adopt(&mut others, needed.class, &found);
                let new_cost = self.cost(&others);
                if new_cost < cost {
                    (counted, cost) = (Counted::new(self, others), new_cost);
                }
            }
            if cost == before {
                break;
            }
        }
        counted.choice
    }

    /// What the chosen terms of some classes cost by themselves.
    fn total_cost(&self, choice: &Choice, classes: &[usize]) -> u64 {
        let costs = classes.iter().filter_map(|&class| Some(self.candidates[class][choice.0[class]?].cost));
        costs.fold(0, u64::saturating_add)
    }

    /// Adds the graph found for `root` to a choice.
    fn adopt(&self, choice: &mut Choice, root: usize, found: &[Option<Best>]) {
        let mut stack = vec![root];
        while let Some(class) = stack.pop() {
            if choice.0[class].is_some() {
                continue;
            }
            let Some(best) = &found[class] else { continue };
            choice.0[class] = Some(best.candidate);
            stack.extend(&self.candidates[class][best.candidate].operands);
        }
    }

    /// The cheapest graph for a needed class, where what `free` has chosen costs nothing and stays as it is; for each class
    /// below, the cheapest for it. `None` where there is none that uses only inputs before the limit and costs less than `bound`.
    fn cheapest(&self, needed: &Needed, free: &Choice, bound: u64) -> Option<Vec<Option<Best>>> {
        let root = needed.class;
        let mut best: Vec<Option<Best>> = vec![None; self.classes.len()];
        self.settle_free(free, &needed.below, &mut best);
        // What has an operand with another graph than when it was looked at last.
        let mut is_due: Vec<bool> = vec![true; self.classes.len()];
        loop {
            let mut changed = false;
            for &class in needed.below.iter().filter(|&&class| free.0[class].is_none()) {
                let is_due_now = std::mem::replace(&mut is_due[class], false);
                if is_due_now && self.relax(class, (class == root).then_some(needed.limit), bound, &mut best) {
                    self.users[class].iter().for_each(|&user| is_due[user] = true);
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        best[root].is_some().then_some(best)
    }

    /// Free classes cost nothing, but what they depend on still counts for the order.
    fn settle_free(&self, free: &Choice, below: &[usize], best: &mut [Option<Best>]) {
        let (mut order, mut state) = (Vec::new(), vec![Visit::New; self.classes.len()]);
        for &class in below.iter().filter(|&&class| free.0[class].is_some()) {
            self.visit(free, class, &mut state, &mut order);
        }
        for class in order {
            let Some(candidate) = free.0[class] else { continue };
            let operands = &self.candidates[class][candidate].operands;
            let below = operands.iter().filter_map(|&operand| best[operand].as_ref()).map(|best| best.latest);
            let latest = below.max().unwrap_or(0).max(self.candidates[class][candidate].position);
            best[class] = Some(Best { candidate, needs: Bits::new(self.classes.len()), cost: 0, latest });
        }
    }

    /// Looks whether some term of a class is cheaper than the best so far, and than `most`: what it is for costs no less than it.
    fn relax(&self, class: usize, limit: Option<usize>, most: u64, best: &mut [Option<Best>]) -> bool {
        let mut changed = false;
        for (number, candidate) in self.candidates[class].iter().enumerate() {
            let bound = best[class].as_ref().map_or(most, |best| best.cost);
            let Some(found) = self.evaluate(class, number, candidate, bound, best) else { continue };
            if found.cost < bound && limit.is_none_or(|limit| found.latest < limit) {
                best[class] = Some(found);
                changed = true;
            }
        }
        changed
    }

    /// The graph of a class that begins with one of its terms; `None` where an operand has none yet, where it would need
    /// itself, or where it cannot cost less than `bound`.
    fn evaluate(
        &self,
        class: usize,
        number: usize,
        candidate: &Candidate,
        bound: u64,
        best: &[Option<Best>],
    ) -> Option<Best> {
        if candidate.cost >= bound {
            return None;
        }
        // None of its operands costs less, whatever else it shares with the others.
        let least =
            candidate.operands.iter().map(|&operand| best[operand].as_ref().map_or(0, |below| below.cost)).max();
        if candidate.cost.saturating_add(least.unwrap_or(0)) >= bound {
            return None;
        }
        let mut needs = Bits::new(self.classes.len());
        let mut latest = candidate.position;
        for &operand in &candidate.operands {
            let below = best[operand].as_ref()?;
            if below.needs.contains(class) || operand == class {
                return None;
            }
            needs.include(&below.needs);
            latest = latest.max(below.latest);
        }
        let own = |class: usize| {
            let chosen = best[class].as_ref().map_or(0, |best| best.candidate);
            self.candidates[class][chosen].cost
        };
        let cost = needs.iter().map(own).fold(candidate.cost, u64::saturating_add);
        needs.insert(class);
        Some(Best { candidate: number, needs, cost, latest })
    }

    /// The classes that some term of `root` or of one below it has as an operand, deepest first as far as there is an
    /// order.
    fn below(&self, root: usize) -> Vec<usize> {
        let mut seen = vec![false; self.classes.len()];
        let mut order = Vec::new();
        let mut stack = vec![(root, 0, 0)];
        seen[root] = true;
        while let Some((class, candidate, operand)) = stack.pop() {
            let Some(term) = self.candidates[class].get(candidate) else {
                order.push(class);
                continue;
            };
            match term.operands.get(operand) {
                None => stack.push((class, candidate + 1, 0)),
                Some(&next) => {
                    stack.push((class, candidate, operand + 1));
                    if !std::mem::replace(&mut seen[next], true) {
                        stack.push((next, 0, 0));
                    }
                }
            }
        }
        order
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Visit {
    New,
    Open,
    Done,
}

/// For each node of the structure, its term as the e-graph has it now; none for inputs.
fn original_terms(classes: &Classes, structure: &Structure, originals: &[Id]) -> Vec<Option<Term>> {
    let term = |node: &LocalNode| match node {
        LocalNode::Input(_) => None,
        LocalNode::Value(op, operands) => {
            let operands = operands.iter().map(|&operand| classes.find(originals[operand as usize]));
            Some(Term::apply(op.clone(), operands))
        }
    };
    structure.nodes.iter().map(term).collect()
}

fn users(candidates: &[Vec<Candidate>]) -> Vec<Vec<usize>> {
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); candidates.len()];
    for (class, terms) in candidates.iter().enumerate() {
        for &operand in terms.iter().flat_map(|term| &term.operands) {
            if users[operand].last() != Some(&class) {
                users[operand].push(class);
            }
        }
    }
    users
}

fn candidates(
    classes: &Classes,
    structure: &Structure,
    ids: &[Id],
    indices: &FxHashMap<Id, usize>,
    own: &FxHashSet<Term>,
) -> Vec<Vec<Candidate>> {
    let avoided = classes.avoided();
    let is_input = |node: &(usize, &LocalNode)| matches!(node.1, LocalNode::Input(_));
    let positions: Vec<usize> = structure.nodes.iter().enumerate().filter(is_input).map(|(node, _)| node + 1).collect();
    let of_class = |&id: &Id| {
        let mut terms: Vec<Term> = classes.terms(id).iter().map(|term| classes.normalised(term)).collect();
        terms.sort_unstable();
        terms.dedup();
        terms.sort_by_key(|term| !own.contains(term));
        let candidate = |term: Term| {
            let operands = term.operands().iter().map(|operand| indices[operand]).collect();
            let is_avoided = match avoided.get(&term) {
                None => false,
                Some(Flaw::Rounds) => !own.contains(&term),
                Some(Flaw::Cancels | Flaw::Kinks | Flaw::Breaks) => true,
            };
            let penalty = if is_avoided { AVOIDED } else { 0 };
            let position = if let Term::Leaf(number) = term { positions[number as usize] } else { 0 };
            Candidate { cost: cost_of(classes, &term, id).saturating_add(penalty), operands, term, position }
        };
        terms.into_iter().map(candidate).collect()
    };
    ids.iter().map(of_class).collect()
}

fn cost_of(classes: &Classes, term: &Term, class: Id) -> u64 {
    match term {
        Term::Leaf(_) => 0,
        Term::Apply(op, children) => {
            let types: Vec<_> = children.iter().map(|&child| &classes.facts(child).ty).collect();
            cost::cost(op, &types, &classes.facts(class).ty)
        }
    }
}
