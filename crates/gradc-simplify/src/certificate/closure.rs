//! Congruence closure: which terms are equal, given equations; and which equations make two terms equal.
//!
//! Terms are ground and hash-consed. Operands of commutative operators are in order, so that `x + y` and `y + x` are one
//! term. Equal terms are in one class. Each equation is an edge of a forest whose trees are the classes (Nieuwenhuis and
//! Oliveras, *Proof-producing congruence closure*, 2005): the path between two terms is the reason why they are equal, and
//! it stays the same whatever is added later.
//!
//! Facts are kept by class. That a class is one number is known where it has the literal among its terms. Where reasons are
//! asked for, it is noted when each fact became known and why: it may follow in other ways later, and these may depend on it.

use egg::Id;
use gradc_ir::TensorType;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use crate::facts::Facts;
use crate::ops;
use crate::term::Term;
use crate::terms::Terms;

/// Why an edge is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reason {
    /// The step with this number says so.
    Step(usize),
    /// The same operator on equal operands; `true` where those of the second are the other way round.
    Congruence(bool),
}

/// An equation: the term that it leads to, why, and when it was added.
#[derive(Clone, Copy, Debug)]
struct Edge {
    to: Id,
    reason: Reason,
    since: Moment,
}

/// A point in the order in which equations were added and facts became known.
pub(super) type Moment = usize;

/// Something that became known about a class.
pub(super) struct Learnt {
    /// When.
    pub(super) since: Moment,
    /// All that is said of the class.
    pub(super) facts: Facts,
    /// The step whose rule says so; if it is none, that follows from what was known about the term's operands.
    pub(super) step: Option<usize>,
}

/// What is kept where reasons are asked for.
#[derive(Default)]
struct Notes {
    /// Applications that were found to be numbers.
    numbers: Vec<Id>,
    /// For each term, what became known about its class because of it, in order.
    learnt: Vec<Vec<Learnt>>,
}

/// How often what is known about a class is worked out anew: bounds could come closer to each other without end.
const MAX_REFINEMENTS: u32 = 64;

/// Terms in classes.
pub(super) struct Closure {
    terms: Vec<Term>,
    types: Vec<TensorType>,
    known: FxHashMap<Term, Id>,
    leaves: Vec<Facts>,
    /// For literals, what is known about them.
    literals: FxHashMap<Id, Facts>,
    parents: Vec<Id>,
    classes: Vec<Class>,
    /// Terms by operator and the classes of their operands.
    signatures: FxHashMap<Term, Id>,
    edges: Vec<Option<Edge>>,
    pending: Vec<(Id, Id, Reason)>,
    refinements: Vec<u32>,
    now: Moment,
    notes: Option<Notes>,
}

#[derive(Default)]
struct Class {
    members: Vec<Id>,
    users: Vec<Id>,
    facts: Option<Facts>,
    literal: Option<Id>,
}

impl Closure {
    /// No terms yet; `Term::Leaf(i)` is what `leaves[i]` says. With `notes`, applications to numbers are found, and reasons are
    /// kept.
    pub(super) fn new(leaves: Vec<Facts>, notes: bool) -> Closure {
        Closure {
            terms: Vec::new(),
            types: Vec::new(),
            known: FxHashMap::default(),
            leaves,
            literals: FxHashMap::default(),
            parents: Vec::new(),
            classes: Vec::new(),
            signatures: FxHashMap::default(),
            edges: Vec::new(),
            pending: Vec::new(),
            refinements: Vec::new(),
            now: 0,
            notes: notes.then(Notes::default),
        }
    }

    /// The term of a leaf, if it is there.
    pub(super) fn leaf(&self, number: usize) -> Option<Id> {
        self.known.get(&Term::Leaf(u32::try_from(number).ok()?)).copied()
    }

    /// A term.
    pub(super) fn term(&self, id: Id) -> &Term {
        &self.terms[usize::from(id)]
    }

    /// The type of a term.
    pub(super) fn ty(&self, id: Id) -> &TensorType {
        &self.types[usize::from(id)]
    }

    /// The number that a term is, if it is a literal.
    pub(super) fn number(&self, id: Id) -> Option<f64> {
        self.literals.get(&id)?.constant
    }

    /// The literal that is equal to a term, if one is known.
    pub(super) fn literal_of(&self, id: Id) -> Option<Id> {
        self.classes[usize::from(self.root(id))].literal
    }

    /// The terms that are known to be equal to a term.
    pub(super) fn members(&self, id: Id) -> &[Id] {
        &self.classes[usize::from(self.root(id))].members
    }

    /// Whether two terms are known to be equal.
    pub(super) fn are_equal(&self, a: Id, b: Id) -> bool {
        self.root(a) == self.root(b)
    }

    /// The term that stands for the class of a term.
    pub(super) fn root(&self, id: Id) -> Id {
        let mut id = id;
        while self.parents[usize::from(id)] != id {
            id = self.parents[usize::from(id)];
        }
        id
    }

    /// What is known about a term: that it is a number only if it is a literal.
    pub(super) fn facts_of(&self, id: Id) -> &Facts {
        let of_class = || self.classes[usize::from(self.root(id))].facts.as_ref();
        match self.literals.get(&id).or_else(of_class) {
            Some(facts) => facts,
            None => unreachable!("every class has facts"),
        }
    }

    /// What follows for an application from what is known about the classes of its operands; `None` where they do not fit.
    pub(super) fn derived(&self, term: &Term) -> Option<Facts> {
        match term {
            Term::Leaf(number) => self.leaves.get(*number as usize).cloned(),
            Term::Apply(op, children) => {
                let facts = |&child: &Id| self.facts_of(self.literal_of(child).unwrap_or(child));
                let operands: SmallVec<[&Facts; 4]> = children.iter().map(facts).collect();
                Facts::of_application(op, &operands)
            }
        }
    }

    /// The term, which is new if it was not there; `None` where its operands do not fit.
    pub(super) fn insert(&mut self, term: Term) -> Option<Id> {
        let term = match term {
            Term::Leaf(_) => term,
            Term::Apply(op, children) => Term::apply(op, children),
        };
        if let Some(&id) = self.known.get(&term) {
            return Some(id);
        }
        let mut facts = self.derived(&term)?;
        let id = Id::from(self.terms.len());
        let number = facts.constant.take();
        let is_literal = number.is_some_and(|number| literal_term(number, &facts.ty) == term);
        if is_literal {
            self.literals.insert(id, Facts { constant: number, ..facts.clone() });
        }
        self.known.insert(term.clone(), id);
        self.types.push(facts.ty.clone());
        self.parents.push(id);
        self.edges.push(None);
        self.refinements.push(0);
        if let Some(notes) = &mut self.notes {
            notes.learnt.push(Vec::new());
        }
        if facts != Facts::of_type(facts.ty.clone()) {
            self.note_learnt(id, &facts, None);
        }
        let literal = is_literal.then_some(id);
        self.classes.push(Class { members: vec![id], users: Vec::new(), facts: Some(facts), literal });
        for &child in term.operands() {
            let root = self.root(child);
            self.classes[usize::from(root)].users.push(id);
        }
        self.terms.push(term);
        self.sign(id);
        if number.is_some() && !is_literal {
            self.note_number(id);
        }
        self.settle();
        Some(id)
    }

    /// Notes that an application is a number, where these are looked for.
    fn note_number(&mut self, id: Id) {
        if let Some(notes) = &mut self.notes {
            notes.numbers.push(id);
        }
    }

    /// Notes what became known about the class of a term, and by which step, if it was one.
    fn note_learnt(&mut self, id: Id, facts: &Facts, step: Option<usize>) {
        if let Some(notes) = &mut self.notes {
            let learnt = Learnt { since: self.now, facts: facts.clone(), step };
            notes.learnt[usize::from(id)].push(learnt);
            self.now += 1;
        }
    }

    /// What became known about the class of a term because of this term, in order.
    pub(super) fn learnt(&self, id: Id) -> &[Learnt] {
        self.notes.as_ref().map_or(&[], |notes| &notes.learnt[usize::from(id)])
    }

    /// What is known and equal now was so before this moment.
    pub(super) fn now(&self) -> Moment {
        self.now
    }

    /// Whether two terms were equal before a moment.
    pub(super) fn were_equal(&self, a: Id, b: Id, before: Moment) -> bool {
        self.equal_since(a, b).is_some_and(|since| since < before)
    }

    /// When two terms became equal, if they did; a term was always equal to itself.
    pub(super) fn equal_since(&self, a: Id, b: Id) -> Option<Moment> {
        self.are_equal(a, b)
            .then(|| self.edges_between(a, b).into_iter().map(|(_, edge)| edge.since).max().unwrap_or(0))
    }

    /// Applications to numbers that were found to be numbers since the last call, each with the number. They are equations to
    /// be added.
    pub(super) fn folds(&mut self) -> Vec<(Id, Id)> {
        let numbers = self.notes.as_mut().map(|notes| std::mem::take(&mut notes.numbers)).unwrap_or_default();
        let mut folds: Vec<(Id, Id)> = Vec::new();
        for id in numbers {
            let Term::Apply(op, children) = self.term(id).clone() else { continue };
            let literals: Option<Vec<Id>> = children.iter().map(|&child| self.literal_of(child)).collect();
            let applied = literals.and_then(|literals| self.insert(Term::apply(op, literals)));
            let Some(applied) = applied.filter(|&applied| self.literal_of(applied).is_none()) else { continue };
            let number = self.derived(self.term(applied)).and_then(|facts| facts.constant);
            let literal = number.and_then(|number| self.insert(literal_term(number, &self.types[usize::from(id)])));
            if let Some(literal) = literal.filter(|&literal| !folds.contains(&(applied, literal))) {
                folds.push((applied, literal));
            }
        }
        folds
    }

    /// Makes two terms of one type equal.
    pub(super) fn merge(&mut self, a: Id, b: Id, step: usize) {
        debug_assert_eq!(self.ty(a), self.ty(b));
        self.pending.push((a, b, Reason::Step(step)));
        self.settle();
    }

    /// Adds to what is known about the class of a term, as a rule says in this step.
    pub(super) fn learn(&mut self, id: Id, facts: &Facts, step: usize) {
        let facts = Facts { constant: None, ..facts.clone() };
        self.refine(id, &facts, Some(step));
    }

    /// Adds facts to a class, and to what depends on it.
    fn refine(&mut self, id: Id, facts: &Facts, step: Option<usize>) {
        let mut stack = vec![(id, facts.clone(), step)];
        while let Some((id, facts, step)) = stack.pop() {
            let root = usize::from(self.root(id));
            let learnt = self.classes[root].facts.as_mut().is_some_and(|own| own.learn(&facts));
            if !learnt {
                continue;
            }
            self.note_learnt(id, &facts, step);
            if self.refinements[root] >= MAX_REFINEMENTS {
                continue;
            }
            self.refinements[root] += 1;
            for user in self.classes[root].users.clone() {
                stack.extend(self.renewed(user).map(|facts| (user, facts, None)));
            }
        }
    }

    /// What follows for a term from what is known about its operands now.
    fn renewed(&mut self, id: Id) -> Option<Facts> {
        let facts = self.derived(self.term(id))?;
        if facts.constant.is_some() {
            self.note_number(id);
        }
        Some(Facts { constant: None, ..facts })
    }

    /// Looks for another term with the same operator on equal operands.
    fn sign(&mut self, id: Id) {
        let Some(signature) = self.signature(id) else { return };
        match self.signatures.get(&signature) {
            Some(&other) if other == id => {}
            Some(&other) => {
                let swapped = self.is_swapped(id, other);
                self.pending.push((id, other, Reason::Congruence(swapped)));
            }
            None => {
                self.signatures.insert(signature, id);
            }
        }
    }

    fn signature(&self, id: Id) -> Option<Term> {
        match self.term(id) {
            Term::Leaf(_) => None,
            Term::Apply(op, children) => Some(Term::apply(op.clone(), children.iter().map(|&child| self.root(child)))),
        }
    }

    fn is_swapped(&self, a: Id, b: Id) -> bool {
        let (a, b) = (self.term(a).operands(), self.term(b).operands());
        !a.iter().zip(b).all(|(&x, &y)| self.are_equal(x, y))
    }

    /// Merges what is to be merged, until nothing is.
    fn settle(&mut self) {
        while let Some((a, b, reason)) = self.pending.pop() {
            let (root_a, root_b) = (self.root(a), self.root(b));
            if root_a == root_b {
                continue;
            }
            let size = |root: Id| self.classes[usize::from(root)].members.len();
            // The smaller class changes its names and its tree is hung up anew.
            let (small, large, from, to) =
                if size(root_a) <= size(root_b) { (root_a, root_b, a, b) } else { (root_b, root_a, b, a) };
            self.hang(from, to, reason);
            self.parents[usize::from(small)] = large;
            let moved = std::mem::take(&mut self.classes[usize::from(small)]);
            self.join(large, moved);
        }
    }

    /// Takes over the members, users and facts of another class.
    fn join(&mut self, large: Id, moved: Class) {
        let class = &mut self.classes[usize::from(large)];
        let (mut news_here, mut news_there) =
            (class.literal.is_none() && moved.literal.is_some(), class.literal.is_some() && moved.literal.is_none());
        class.literal = class.literal.or(moved.literal);
        class.members.extend(&moved.members);
        if let (Some(own), Some(other)) = (&mut class.facts, &moved.facts) {
            news_here |= own.learn(other);
            news_there |= *own != *other;
        }
        let mut told = if news_here { class.users.clone() } else { Vec::new() };
        told.extend(moved.users.iter().filter(|_| news_there));
        class.users.extend(&moved.users);
        moved.users.iter().for_each(|&user| self.sign(user));
        for user in told {
            if let Some(facts) = self.renewed(user) {
                self.refine(user, &facts, None);
            }
        }
    }

    /// Makes `from` the root of its tree and hangs it under `to`.
    fn hang(&mut self, from: Id, to: Id, reason: Reason) {
        let mut at = from;
        let mut above = Some(Edge { to, reason, since: self.now });
        self.now += 1;
        while let Some(edge) = above {
            above = self.edges[usize::from(at)].replace(edge).map(|before| {
                let here = at;
                at = before.to;
                Edge { to: here, ..before }
            });
        }
    }

    /// The edges on the path from `a` to `b`, in order, each with the term that it starts from and that it leads to.
    pub(super) fn path(&self, a: Id, b: Id) -> Vec<(Id, Id, Reason)> {
        self.edges_between(a, b).into_iter().map(|(from, edge)| (from, edge.to, edge.reason)).collect()
    }

    /// The same with when they were added.
    fn edges_between(&self, a: Id, b: Id) -> Vec<(Id, Edge)> {
        let up = |from: Id| std::iter::successors(Some(from), |&id| self.edges[usize::from(id)].map(|edge| edge.to));
        let above_a: FxHashSet<Id> = up(a).collect();
        let Some(meeting) = up(b).find(|id| above_a.contains(id)) else { return Vec::new() };
        let edge = |id: Id| self.edges[usize::from(id)].map(|edge| (id, edge));
        let mut path: Vec<(Id, Edge)> = up(a).take_while(|&id| id != meeting).filter_map(edge).collect();
        let down = up(b).take_while(|&id| id != meeting).filter_map(edge);
        let mut down: Vec<(Id, Edge)> = down.map(|(from, edge)| (edge.to, Edge { to: from, ..edge })).collect();
        down.reverse();
        path.extend(down);
        path
    }

    /// The pairs of operands that make two terms congruent.
    pub(super) fn operand_pairs(&self, a: Id, b: Id, swapped: bool) -> Vec<(Id, Id)> {
        let (a, b) = (self.term(a).operands(), self.term(b).operands());
        let b: SmallVec<[Id; 3]> = if swapped { b.iter().rev().copied().collect() } else { b.into() };
        a.iter().copied().zip(b).collect()
    }
}

fn literal_term(number: f64, ty: &TensorType) -> Term {
    Term::apply(ops::full(number, ty), [])
}

/// Rules see each term by itself: as it is written.
impl Terms for Closure {
    fn terms(&self, id: Id) -> &[Term] {
        std::slice::from_ref(self.term(id))
    }

    fn facts(&self, id: Id) -> &Facts {
        self.facts_of(id)
    }

    fn find(&self, id: Id) -> Id {
        id
    }

    /// Whether a rule is of use is not asked here.
    fn size(&self) -> usize {
        0
    }

    /// The same.
    fn is_there(&self, _: &Term) -> bool {
        true
    }

    fn add(&mut self, term: Term) -> Option<Id> {
        self.insert(term)
    }
}
