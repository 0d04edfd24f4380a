//! Equations between ground terms, as they were found one after the other.

use std::rc::Rc;

use egg::Id;
use gradc_ir::Op;
use gradc_ir::op::{add::ADD, mul::MUL, sub::SUB};

use super::closure::{Closure, Moment};
use super::trail::Applied;
use crate::egraph::{Part, Within, Written, read};
use crate::facts::Facts;
use crate::pattern::Bindings;
use crate::rules::Rule;
use crate::rules::compiled::{Compiled, Outcome};
use crate::rules::product::Groupings;
use crate::term::Term;

/// How many ways of writing the operands of a term are tried.
const MAX_WRITINGS: usize = 200;

/// Terms, and what was found out about them.
pub(super) struct Theory {
    pub(super) closure: Closure,
    /// In the order in which they were found; each depends only on those before it.
    pub(super) steps: Vec<Found>,
    /// For each step, the moment before which all was known that it depends on.
    pub(super) found_at: Vec<Moment>,
}

/// One thing that was found out.
pub(super) enum Found {
    /// Two terms are the sides of a rule; `subjects` are what its conditions are about.
    Rule { rule: &'static Rule, left: Id, right: Id, subjects: Vec<Id> },
    /// A rule says this about a term.
    Learnt { rule: &'static Rule, term: Id, facts: Box<Facts>, subjects: Vec<Id> },
    /// An operator applied to numbers is a number.
    Fold { left: Id, right: Id },
    /// The same terms added up in another order.
    Reorder { left: Id, right: Id },
    /// What has become of a result of the loop with this number.
    Loop { number: usize, left: Id, right: Id },
    /// A claim of a region's, where that was used: the number of the use. `subjects` are the inputs of the region.
    Claim { site: usize, claim: usize, left: Id, right: Id, subjects: Rc<[Id]> },
}

impl Found {
    /// The equation, if it is one.
    pub(super) fn sides(&self) -> Option<(Id, Id)> {
        match *self {
            Found::Rule { left, right, .. }
            | Found::Fold { left, right }
            | Found::Reorder { left, right }
            | Found::Loop { left, right, .. }
            | Found::Claim { left, right, .. } => Some((left, right)),
            Found::Learnt { .. } => None,
        }
    }

    /// The terms that something must be known about for this to hold.
    pub(super) fn subjects(&self) -> &[Id] {
        match self {
            Found::Rule { subjects, .. } | Found::Learnt { subjects, .. } => subjects,
            Found::Claim { subjects, .. } => subjects,
            Found::Fold { .. } | Found::Reorder { .. } | Found::Loop { .. } => &[],
        }
    }
}

/// A rule and two terms that are its sides.
struct Instance {
    left: Id,
    bindings: Bindings,
    outcome: Outcome,
}

impl Theory {
    /// Nothing found yet. `Term::Leaf(i)` is what `leaves[i]` says.
    pub(super) fn new(leaves: Vec<Facts>) -> Theory {
        Theory { closure: Closure::new(leaves, true), steps: Vec::new(), found_at: Vec::new() }
    }

    /// Adds a term; operators of a verified graph fit their operands.
    pub(super) fn insert(&mut self, term: Term) -> Id {
        let id = self.closure.insert(term).unwrap_or_else(|| unreachable!("gradc has a bug: a term does not fit"));
        self.fold();
        id
    }

    /// Adds what was found.
    pub(super) fn push(&mut self, found: Found) {
        let (number, now) = (self.steps.len(), self.closure.now());
        match &found {
            Found::Learnt { term, facts, .. } => self.closure.learn(*term, facts, number),
            other => {
                let Some((left, right)) = other.sides() else { return };
                if self.closure.are_equal(left, right) {
                    return;
                }
                self.closure.merge(left, right, number);
            }
        }
        self.steps.push(found);
        self.found_at.push(now);
        self.fold();
    }

    fn fold(&mut self) {
        loop {
            let folds = self.closure.folds();
            if folds.is_empty() {
                return;
            }
            for (left, right) in folds {
                if !self.closure.are_equal(left, right) {
                    self.found_at.push(self.closure.now());
                    self.closure.merge(left, right, self.steps.len());
                    self.steps.push(Found::Fold { left, right });
                }
            }
        }
    }

    /// Adds an application of a rule; `ground` gives a term of each class, by the name of the class.
    pub(super) fn replay(&mut self, applied: &Applied, ground: &[Id]) {
        let Term::Apply(op, children) = &applied.term else { return };
        let written: Vec<Id> = children.iter().map(|&child| self.writing(ground[usize::from(child)])).collect();
        let Some(plain) = self.closure.insert(Term::apply(op.clone(), written)) else { return };
        if let Some(within) = &applied.within {
            let sum = self.sum(&within.written, |theory, class| Some(theory.writing(ground[usize::from(class)])));
            let with_pair = self.rewritten(within, ground, plain, None);
            if let (Some(left), Some(right)) = (sum, with_pair) {
                self.push(Found::Reorder { left, right });
            }
        }
        let found = applied.found.map(|found| ground[usize::from(found)]);
        let Some(Instance { left, bindings, outcome }) = self.instance(applied, plain, found, ground) else { return };
        let rule = applied.rule.rule;
        let subjects = applied.rule.subjects(&bindings);
        self.push(match outcome {
            Outcome::Equal(right) => Found::Rule { rule, left, right, subjects },
            Outcome::Learnt(facts) => Found::Learnt { rule, term: left, facts, subjects },
        });
        if let Some((within, last)) = applied.within.as_ref().and_then(|within| Some((within, within.last?))) {
            let op = if last.last.negative { SUB.op() } else { ADD.op() };
            let operands = [last.before, last.last.class].map(|class| self.writing(ground[usize::from(class)]));
            let made = self.closure.insert(Term::apply(op, operands));
            let together = made.and_then(|made| self.rewritten(within, ground, made, None));
            let apart = self.rewritten(within, ground, operands[0], Some(operands[1]));
            if let (Some(left), Some(right)) = (together, apart) {
                self.push(Found::Reorder { left, right });
            }
        }
    }

    /// How a term is written as an operand: a number as such.
    fn writing(&self, term: Id) -> Id {
        self.closure.literal_of(term).unwrap_or(term)
    }

    /// A sum that is written out.
    fn sum<A: Copy>(&mut self, written: &[Written<A>], addend: impl Fn(&Theory, A) -> Option<Id>) -> Option<Id> {
        let addends = |part: &Written<A>| {
            Some(match *part {
                Written::Addend(part) => Written::Addend(addend(self, part)?),
                Written::Add => Written::Add,
                Written::Sub => Written::Sub,
                Written::Neg => Written::Neg,
            })
        };
        let written = written.iter().map(addends).collect::<Option<Vec<_>>>()?;
        read(&written, Some, |op, operands| self.closure.insert(Term::apply(op, operands.iter().copied())))
    }

    /// A sum in which this has become of two terms.
    fn rewritten(&mut self, within: &Within, ground: &[Id], made: Id, last: Option<Id>) -> Option<Id> {
        self.sum(&within.rewritten(last.is_some()), |theory, part| match part {
            Part::Rest(class) => Some(theory.writing(ground[usize::from(class)])),
            Part::Made => Some(made),
            Part::Last => last,
        })
    }

    /// The two sides of an application as ground terms, so that the rule alone says that they are equal. Where a rule looks
    /// into its operands, they have to be written as it sees them: a product is written out, and of the others the ways of
    /// writing them are tried.
    fn instance(&mut self, applied: &Applied, plain: Id, found: Option<Id>, ground: &[Id]) -> Option<Instance> {
        let compiled = applied.rule;
        let bindings = applied.bindings.mapped(|id| self.writing(ground[usize::from(id)]));
        if let Some(instance) = self.try_bindings(compiled, plain, &bindings, found) {
            return Some(instance);
        }
        if !compiled.has_formula() {
            return self.rewritten_operands(compiled, plain, &bindings, found);
        }
        if let Some(bindings) = self.with_product_written_out(compiled, plain, &bindings) {
            return self.try_bindings(compiled, plain, &bindings, found);
        }
        for variable in bindings.variables() {
            let Some(value) = bindings.value(variable) else { continue };
            for other in self.closure.members(value).to_vec().into_iter().take(MAX_WRITINGS) {
                let bindings = bindings.with(variable, other);
                if let Some(instance) = self.try_bindings(compiled, plain, &bindings, found) {
                    return Some(instance);
                }
            }
        }
        None
    }

    /// The bindings with the variable that the rule wants to be a product written as that of just the factors that it names.
    /// In the e-graph each part of it may have been another term of its class.
    fn with_product_written_out(
        &mut self,
        compiled: &'static Compiled,
        plain: Id,
        bindings: &Bindings,
    ) -> Option<Bindings> {
        let (term, ty) = (self.closure.term(plain).clone(), self.closure.ty(plain).clone());
        let (variable, factors) = compiled.product(&mut self.closure, &term, &ty, bindings)?;
        let closure = &self.closure;
        let products = |class: Id| {
            let operands = |&member: &Id| <[Id; 2]>::try_from(closure.term(member).applies(&MUL)?.1).ok();
            closure.members(class).iter().filter_map(operands).collect()
        };
        let products =
            Groupings::new(&factors, |id| closure.root(id), products).written_out(bindings.value(variable)?)?;
        let mut parts = factors;
        for [first, second] in products {
            parts.push(self.closure.insert(Term::apply(MUL.op(), [parts[first], parts[second]]))?);
        }
        Some(bindings.with(variable, *parts.last()?))
    }

    fn try_bindings(
        &mut self,
        compiled: &'static Compiled,
        plain: Id,
        bindings: &Bindings,
        found: Option<Id>,
    ) -> Option<Instance> {
        let ty = self.closure.ty(plain).clone();
        let left = match compiled.left(&mut self.closure, bindings, &ty) {
            Some(left) => left,
            None if compiled.has_formula() => return None,
            None => plain,
        };
        self.try_term(compiled, left, bindings, found)
    }

    /// The outcome of a rule on a ground term, if it is what was found and if it can be found again.
    fn try_term(
        &mut self,
        compiled: &'static Compiled,
        left: Id,
        bindings: &Bindings,
        found: Option<Id>,
    ) -> Option<Instance> {
        let (term, facts) = (self.closure.term(left).clone(), self.closure.facts_of(left).clone());
        let outcome = compiled.apply(&mut self.closure, &term, None, &facts, bindings)?;
        self.fold();
        let is_it = match (&outcome, found) {
            (Outcome::Equal(right), Some(found)) => {
                self.closure.ty(*right) == self.closure.ty(left) && self.closure.are_equal(*right, found)
            }
            (Outcome::Learnt(_), None) => true,
            _ => false,
        };
        let mut is_found_again = || match &outcome {
            Outcome::Equal(right) => super::check::follows(&mut self.closure, compiled, left, *right).is_some(),
            Outcome::Learnt(_) => true,
        };
        (is_it && is_found_again()).then(|| Instance { left, bindings: bindings.clone(), outcome })
    }

    /// The ways of writing a term, one for each operator at its root.
    fn unlike(&self, term: Id) -> Vec<Id> {
        let members = self.closure.members(term).iter().copied();
        self.first_of_each_operator(&std::iter::once(term).chain(members).collect::<Vec<Id>>())
    }

    /// Of terms, the first that applies each operator.
    fn first_of_each_operator(&self, terms: &[Id]) -> Vec<Id> {
        let mut first: Vec<Id> = Vec::new();
        for &term in terms {
            let op = self.closure.term(term).op();
            if first.iter().all(|&other| self.closure.term(other).op() != op) {
                first.push(term);
            }
        }
        first
    }

    /// Tries the other ways of writing the operands of a term.
    fn rewritten_operands(
        &mut self,
        compiled: &'static Compiled,
        plain: Id,
        bindings: &Bindings,
        found: Option<Id>,
    ) -> Option<Instance> {
        let Term::Apply(op, children) = self.closure.term(plain).clone() else { return None };
        let as_number = |of: &dyn Fn(Id) -> Vec<Id>| -> Vec<Vec<Id>> {
            let writings =
                |&child: &Id| self.closure.literal_of(child).map_or_else(|| of(child), |literal| vec![literal]);
            children.iter().map(writings).collect()
        };
        let of_each_operator = as_number(&|child| self.unlike(child));
        let all = as_number(&|child| self.closure.members(child).to_vec());
        // What is a number now may not have been one then.
        let mut alike: Vec<Vec<Id>> = Vec::new();
        for &child in &children {
            let members = self.closure.members(child).to_vec();
            alike.push(self.alike(members));
        }
        let alike_of_each_operator = alike.iter().map(|ways| self.first_of_each_operator(ways)).collect();
        let mut tried: Vec<Vec<Vec<Id>>> = Vec::new();
        for writings in [of_each_operator, all, alike_of_each_operator, alike] {
            if tried.contains(&writings) {
                continue;
            }
            if let Some(instance) = self.with_operands(compiled, &op, &writings, bindings, found) {
                return Some(instance);
            }
            tried.push(writings);
        }
        None
    }

    /// Terms with one term for each class among their operands: where two of them have equal operands, these are written in
    /// the same way, as a rule sees them that compares the operands of operands.
    fn alike(&mut self, terms: Vec<Id>) -> Vec<Id> {
        let mut alike: Vec<Id> = Vec::new();
        for term in terms {
            let written = match self.closure.term(term).clone() {
                Term::Apply(op, children) => {
                    let children: Vec<Id> =
                        children.iter().map(|&child| self.writing(self.closure.root(child))).collect();
                    self.closure.insert(Term::apply(op, children)).unwrap_or(term)
                }
                Term::Leaf(_) => term,
            };
            if !alike.contains(&written) {
                alike.push(written);
            }
        }
        alike
    }

    /// Tries an operator on operands in each combination of ways of writing them.
    fn with_operands(
        &mut self,
        compiled: &'static Compiled,
        op: &Op,
        writings: &[Vec<Id>],
        bindings: &Bindings,
        found: Option<Id>,
    ) -> Option<Instance> {
        let ways: usize = writings.iter().map(Vec::len).fold(1, usize::saturating_mul);
        for way in 0..ways.min(MAX_WRITINGS) {
            let mut rest = way;
            let operands: Vec<Id> = writings
                .iter()
                .map(|writings| {
                    let choice = rest % writings.len();
                    rest /= writings.len();
                    writings[choice]
                })
                .collect();
            let Some(left) = self.closure.insert(Term::apply(op.clone(), operands)) else { continue };
            if let Some(instance) = self.try_term(compiled, left, bindings, found) {
                return Some(instance);
            }
        }
        None
    }
}
