//! Checking a certificate, independently of how it was found.
//!
//! Each step is looked at by itself: its rule is looked up by name and must be allowed in the mode, its left side must match
//! with all conditions, and what the rule builds must be its right side. Facts are worked out here, from the operators and
//! from the steps before. Both sides are computed on random numbers. At the end, the results must be equal by congruence.

use std::collections::BTreeMap;
use std::ops::Range;

use egg::Id;
use gradc_ir::op::{add::ADD, neg::NEG, result::RESULT, sub::SUB};
use gradc_ir::{Graph, NodeKind, ValueId};
use rustc_hash::FxHashMap;

use super::closure::Closure;
use super::sample::{Sampled, Sampler};
use super::{Certificate, Lemma, Pass, Section, StepKind};
use crate::canonical::leaf_facts;
use crate::facts::Facts;
use crate::options::{Mode, Options};
use crate::rules::FpClass;
use crate::rules::compiled::{Compiled, Outcome, find};
use crate::term::Term;

/// How many terms a sum may have in which they are put into another order.
const MAX_ADDENDS: usize = 4096;

/// Why a certificate does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Where, in bytes of the certificate's text.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
}

/// What was checked, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How often a rule of each class was used.
    pub classes: BTreeMap<FpClass, usize>,
    /// How often each rule was used.
    pub rules: BTreeMap<&'static str, usize>,
    /// Facts that rules say.
    pub learnt: usize,
    /// Operators on numbers, computed again.
    pub folded: usize,
    /// Sums in another order.
    pub reordered: usize,
    /// Loops, which are checked on random numbers alone.
    pub loops: usize,
    /// Lemmas, and where they were used.
    pub lemmas: usize,
    /// Uses of lemmas.
    pub uses: usize,
    /// Steps that were computed on random numbers.
    pub sampled: usize,
    /// Steps that are too large for that.
    pub unsampled: usize,
    /// Results that were shown to be equal.
    pub results: usize,
}

impl Checked {
    /// All steps, those of lemmas counted once.
    pub fn steps(&self) -> usize {
        self.rules.values().sum::<usize>() + self.folded + self.reordered + self.loops
    }
}

/// Whether a rule says that two terms are equal, from left to right: what its variables stand for.
pub(super) fn follows(
    closure: &mut Closure,
    compiled: &'static Compiled,
    left: Id,
    right: Id,
) -> Option<crate::pattern::Bindings> {
    let (term, facts) = (closure.term(left).clone(), closure.facts_of(left).clone());
    compiled.licensed_matches(closure, &term).into_iter().find(|bindings| {
        let outcome = compiled.apply(closure, &term, None, &facts, bindings);
        matches!(outcome, Some(Outcome::Equal(found)) if found == right)
    })
}

impl Certificate {
    /// Checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<Checked, Rejection> {
        let mut checker = Checker { certificate: self, checked: Checked::default(), sampler: Sampler::new() };
        checker.run()?;
        Ok(checker.checked)
    }
}

struct Checker<'c> {
    certificate: &'c Certificate,
    checked: Checked,
    sampler: Sampler,
}

type Verdict<T> = Result<T, Rejection>;

fn reject<T>(at: &Range<usize>, message: impl Into<String>) -> Verdict<T> {
    Err(Rejection { at: at.clone(), message: message.into() })
}

/// Terms of a graph, by value.
type Places = Vec<Option<Id>>;

impl Checker<'_> {
    fn run(&mut self) -> Verdict<()> {
        let certificate = self.certificate;
        let (raw, result) = (&certificate.raw, &certificate.result);
        self.interfaces(raw, result)?;
        for lemma in &certificate.lemmas {
            self.lemma(lemma)?;
        }
        let options = Options { trust_indices: certificate.trust_indices, ..Options::default() };
        let leaves = raw.values().map(|value| match raw.leaf(value) {
            Some(kind) => leaf_facts(raw, value, kind, &options),
            None => Facts::of_type(raw.ty(value).clone()),
        });
        let mut closure = Closure::new(leaves.collect(), false);
        let at = &certificate.at;
        let before = import(&mut closure, raw, |leaf| Some(leaf.index())).ok_or_else(|| unfit(at))?;
        let after = import(&mut closure, result, |leaf| same_leaf(raw, result, leaf)).ok_or_else(|| unfit(at))?;
        self.section(&mut closure, &certificate.main, |leaf| same_leaf(raw, &certificate.main.terms, leaf))?;
        for (was, is) in raw.outputs().iter().zip(result.outputs()) {
            let (left, right) = (before[was.value.index()], after[is.value.index()]);
            let shown = left.zip(right).is_some_and(|(left, right)| closure.are_equal(left, right));
            if !shown {
                let message = format!("the steps do not show that {} {} is what it was", was.role.keyword(), was.name);
                return reject(at, message);
            }
            self.checked.results += 1;
        }
        Ok(())
    }

    /// The two graphs have the same leaves and the same results.
    fn interfaces(&self, raw: &Graph, result: &Graph) -> Verdict<()> {
        let leaves = |graph: &Graph| {
            let leaf = |value| {
                graph
                    .leaf(value)
                    .map(|_| (graph.node(value).clone().kind, graph.node(value).name.clone(), graph.ty(value).clone()))
            };
            graph.values().filter_map(leaf).collect::<Vec<_>>()
        };
        let results = |graph: &Graph| graph.outputs().iter().map(|o| (o.role, o.name.clone())).collect::<Vec<_>>();
        if leaves(raw) != leaves(result) {
            return reject(&self.certificate.at, "the two graphs do not have the same leaves");
        }
        if results(raw) != results(result) {
            return reject(&self.certificate.at, "the two graphs do not have the same results");
        }
        Ok(())
    }

    fn lemma(&mut self, lemma: &Lemma) -> Verdict<()> {
        let leaves: Vec<ValueId> = leaves_of(&lemma.section.terms);
        let fit = leaves.len() == lemma.inputs.len()
            && leaves.iter().zip(&lemma.inputs).all(|(&leaf, facts)| *lemma.section.terms.ty(leaf) == facts.ty);
        if !fit {
            return reject(&lemma.at, "what is known is not about the lemma's inputs");
        }
        let mut closure = Closure::new(lemma.inputs.clone(), false);
        let number = |leaf: ValueId| leaves.iter().position(|&known| known == leaf);
        let places = self.section(&mut closure, &lemma.section, number)?;
        for (claim, at) in &lemma.claims {
            let sides = places[claim.0.index()].zip(places[claim.1.index()]);
            if !sides.is_some_and(|(left, right)| closure.are_equal(left, right)) {
                return reject(at, "the steps of the lemma do not show this");
            }
        }
        self.checked.lemmas += 1;
        Ok(())
    }

    fn section(
        &mut self,
        closure: &mut Closure,
        section: &Section,
        leaf: impl Fn(ValueId) -> Option<usize>,
    ) -> Verdict<Places> {
        let Some(places) = import(closure, &section.terms, leaf) else {
            return reject(&section.at, "these terms have leaves that the graph does not have");
        };
        let place = |value: ValueId| places.get(value.index()).copied().flatten();
        for step in &section.steps {
            let term = |value: &ValueId| match place(*value) {
                Some(id) => Ok(id),
                None => reject(&step.at, "this is not a term"),
            };
            match &step.kind {
                StepKind::Rule { rule, left, right } => {
                    let (left, right) = (term(left)?, term(right)?);
                    self.rule(closure, rule, left, right, &step.at)?;
                    closure.merge(left, right, 0);
                }
                StepKind::Learn { rule, term: subject } => {
                    let subject = term(subject)?;
                    self.learn(closure, rule, subject, &step.at)?;
                }
                StepKind::Fold { left, right } => {
                    let (left, right) = (term(left)?, term(right)?);
                    self.fold(closure, left, right, &step.at)?;
                    closure.merge(left, right, 0);
                }
                StepKind::Reorder { left, right } => {
                    let (left, right) = (term(left)?, term(right)?);
                    self.reorder(closure, left, right, &step.at)?;
                    closure.merge(left, right, 0);
                }
                StepKind::Loop { pairs } => {
                    let pairs = pairs.iter().map(|(left, right)| Ok((term(left)?, term(right)?)));
                    let pairs = pairs.collect::<Verdict<Vec<(Id, Id)>>>()?;
                    self.improved_loop(closure, &pairs, &step.at)?;
                    pairs.into_iter().for_each(|(left, right)| closure.merge(left, right, 0));
                }
                StepKind::Lemma { lemma, inputs } => {
                    let inputs = inputs.iter().map(term).collect::<Verdict<Vec<Id>>>()?;
                    self.use_lemma(closure, *lemma, &inputs, &step.at)?;
                }
            }
        }
        Ok(places)
    }

    /// The rule of this name, if it may be used here.
    fn allowed(&self, name: &str, at: &Range<usize>) -> Verdict<&'static Compiled> {
        let Some(compiled) = find(name) else { return reject(at, format!("there is no rule {name}")) };
        let (mode, pass) = (self.certificate.mode, self.certificate.pass);
        if !compiled.rule.class.allowed_in(mode) {
            return reject(at, format!("the rule {name} may not be used in the mode {mode}"));
        }
        if compiled.rule.differentiated && pass == Pass::Stabilise {
            return reject(at, format!("the rule {name} may not be used before differentiation"));
        }
        Ok(compiled)
    }

    fn same_types(&self, closure: &Closure, left: Id, right: Id, at: &Range<usize>) -> Verdict<()> {
        if closure.ty(left) == closure.ty(right) {
            return Ok(());
        }
        reject(at, format!("the sides have different types: {} and {}", closure.ty(left), closure.ty(right)))
    }

    fn rule(&mut self, closure: &mut Closure, name: &str, left: Id, right: Id, at: &Range<usize>) -> Verdict<()> {
        let compiled = self.allowed(name, at)?;
        self.same_types(closure, left, right, at)?;
        let Some(bindings) = follows(closure, compiled, left, right) else {
            let (is, to) = (compiled.rule.left(), compiled.rule.right());
            return reject(
                at,
                format!("these are not the sides of the rule {name}, {is} = {to}, under its conditions"),
            );
        };
        let class = compiled.rule.class;
        let cuts = super::sample::cuts(closure, compiled, &bindings, left, right);
        match self.sampler.compare_somehow(closure, (left, right), &cuts, class == FpClass::Strict) {
            Sampled::Agree => self.checked.sampled += 1,
            Sampled::TooLarge => self.checked.unsampled += 1,
            Sampled::Differ(message) => return reject(at, format!("on random numbers, the sides differ: {message}")),
        }
        *self.checked.classes.entry(class).or_default() += 1;
        *self.checked.rules.entry(compiled.rule.name).or_default() += 1;
        Ok(())
    }

    fn learn(&mut self, closure: &mut Closure, name: &str, subject: Id, at: &Range<usize>) -> Verdict<()> {
        let compiled = self.allowed(name, at)?;
        let (term, facts) = (closure.term(subject).clone(), closure.facts_of(subject).clone());
        let learnt = compiled.licensed_matches(closure, &term).into_iter().find_map(|bindings| {
            match compiled.apply(closure, &term, None, &facts, &bindings) {
                Some(Outcome::Learnt(learnt)) => Some(learnt),
                _ => None,
            }
        });
        let Some(learnt) = learnt else {
            return reject(at, format!("the rule {name} says nothing about this"));
        };
        closure.learn(subject, &learnt, 0);
        self.checked.learnt += 1;
        *self.checked.rules.entry(compiled.rule.name).or_default() += 1;
        *self.checked.classes.entry(compiled.rule.class).or_default() += 1;
        Ok(())
    }

    fn fold(&mut self, closure: &mut Closure, left: Id, right: Id, at: &Range<usize>) -> Verdict<()> {
        self.same_types(closure, left, right, at)?;
        let of_numbers = closure.term(left).operands().iter().all(|&operand| closure.number(operand).is_some());
        let number = closure.derived(closure.term(left)).and_then(|facts| facts.constant);
        let claimed = closure.number(right);
        let (Some(number), Some(claimed)) = (number.filter(|_| of_numbers), claimed) else {
            return reject(at, "this is not an operator on numbers and the number that it gives");
        };
        if number.to_bits() != claimed.to_bits() {
            return reject(at, format!("it gives {number}, not {claimed}"));
        }
        self.checked.folded += 1;
        Ok(())
    }

    fn reorder(&mut self, closure: &mut Closure, left: Id, right: Id, at: &Range<usize>) -> Verdict<()> {
        self.same_types(closure, left, right, at)?;
        if self.certificate.mode == Mode::Strict {
            return reject(at, "sums may not be added up in another order in the mode strict");
        }
        let addends = |id| addends(closure, id);
        let (Some(before), Some(after)) = (addends(left), addends(right)) else {
            return reject(at, "these sums are too long");
        };
        if before != after {
            return reject(at, "these are not sums of the same terms");
        }
        let cuts: Vec<Id> = before.into_keys().collect();
        match self.sampler.compare(closure, &[(left, right)], &cuts, false) {
            Sampled::Agree => self.checked.sampled += 1,
            Sampled::TooLarge => self.checked.unsampled += 1,
            Sampled::Differ(message) => return reject(at, format!("on random numbers, the sums differ: {message}")),
        }
        self.checked.reordered += 1;
        Ok(())
    }

    /// What becomes of a loop is computed on random numbers, and nothing else.
    fn improved_loop(&mut self, closure: &Closure, pairs: &[(Id, Id)], at: &Range<usize>) -> Verdict<()> {
        let mut packed: Option<Id> = None;
        for &(left, right) in pairs {
            self.same_types(closure, left, right, at)?;
            let own = closure.term(left).applies(&RESULT).map(|(_, operands)| operands[0]);
            if own.is_none() || *packed.get_or_insert(own.unwrap_or(left)) != own.unwrap_or(right) {
                return reject(at, "these are not results of one loop");
            }
        }
        let Some(packed) = packed else { return reject(at, "there is no loop") };
        let cuts: Vec<Id> = closure.term(packed).operands().to_vec();
        match self.sampler.compare_loop(closure, pairs, &cuts, self.certificate.mode == Mode::Strict) {
            Sampled::Agree => self.checked.sampled += 1,
            Sampled::TooLarge => {
                let message =
                    "this loop is too large to be computed here, and so cannot be checked: make its dims smaller";
                return reject(at, message);
            }
            Sampled::Differ(message) => return reject(at, format!("on random numbers, the loops differ: {message}")),
        }
        self.checked.loops += 1;
        Ok(())
    }

    fn use_lemma(&mut self, closure: &mut Closure, number: usize, inputs: &[Id], at: &Range<usize>) -> Verdict<()> {
        let Some(lemma) = self.certificate.lemmas.get(number) else { return reject(at, "there is no such lemma") };
        if lemma.inputs.len() != inputs.len() {
            return reject(at, format!("the lemma has {} inputs, not {}", lemma.inputs.len(), inputs.len()));
        }
        for (facts, &input) in lemma.inputs.iter().zip(inputs) {
            if facts.ty != *closure.ty(input) {
                return reject(at, format!("an input of the lemma is {}, not {}", facts.ty, closure.ty(input)));
            }
            if !closure.facts_of(input).imply(facts) {
                return reject(at, "what the lemma takes to be known about an input is not known");
            }
        }
        let terms = &lemma.section.terms;
        let leaves = leaves_of(terms);
        let mut places: Places = vec![None; terms.len()];
        leaves.iter().zip(inputs).for_each(|(leaf, &input)| places[leaf.index()] = Some(input));
        let claimed = terms.ancestors(lemma.claims.iter().flat_map(|(claim, _)| [claim.0, claim.1]));
        for value in terms.values().filter(|value| claimed[value.index()]) {
            let Some(op) = terms.op(value) else { continue };
            let operands: Option<Vec<Id>> = terms.operands(value).iter().map(|x| places[x.index()]).collect();
            places[value.index()] = operands.and_then(|operands| closure.insert(Term::apply(op.clone(), operands)));
        }
        for (claim, _) in &lemma.claims {
            let (Some(left), Some(right)) = (places[claim.0.index()], places[claim.1.index()]) else {
                return reject(at, "the lemma does not fit here");
            };
            closure.merge(left, right, 0);
        }
        self.checked.uses += 1;
        Ok(())
    }
}

fn unfit(at: &Range<usize>) -> Rejection {
    Rejection { at: at.clone(), message: "an operator does not fit its operands".to_owned() }
}

/// The leaves of a graph in order.
fn leaves_of(graph: &Graph) -> Vec<ValueId> {
    graph.values().filter(|&value| graph.leaf(value).is_some()).collect()
}

/// The number of the leaf of `raw` that a leaf of another graph is.
fn same_leaf(raw: &Graph, graph: &Graph, leaf: ValueId) -> Option<usize> {
    let name = graph.value_name(leaf)?;
    let known = raw.find_leaf(graph.leaf(leaf)?, name)?;
    (raw.ty(known) == graph.ty(leaf)).then_some(known.index())
}

/// The terms of a graph's values. `leaf` says which of the leaves a leaf is.
fn import(closure: &mut Closure, graph: &Graph, leaf: impl Fn(ValueId) -> Option<usize>) -> Option<Places> {
    let mut places: Places = vec![None; graph.len()];
    for value in graph.values() {
        let id = match &graph.node(value).kind {
            NodeKind::Leaf { .. } => closure.insert(Term::Leaf(u32::try_from(leaf(value)?).ok()?)),
            NodeKind::Op(op) => {
                let operands: Option<Vec<Id>> = graph.operands(value).iter().map(|x| places[x.index()]).collect();
                closure.insert(Term::apply(op.clone(), operands?))
            }
        };
        places[value.index()] = Some(id?);
    }
    Some(places)
}

/// How often each term that is not a sum itself is added in a sum; `None` where there are too many.
fn addends(closure: &Closure, sum: Id) -> Option<FxHashMap<Id, i64>> {
    let mut times: FxHashMap<Id, i64> = FxHashMap::default();
    let mut stack = vec![(sum, 1i64)];
    let mut left = MAX_ADDENDS;
    while let Some((id, sign)) = stack.pop() {
        left = left.checked_sub(1)?;
        let term = closure.term(id);
        let operands = term.operands();
        if term.applies(&ADD).is_some() {
            stack.extend(operands.iter().map(|&operand| (operand, sign)));
        } else if term.applies(&SUB).is_some() {
            stack.extend([(operands[0], sign), (operands[1], -sign)]);
        } else if term.applies(&NEG).is_some() {
            stack.push((operands[0], -sign));
        } else {
            *times.entry(id).or_default() += sign;
        }
    }
    times.retain(|_, count| *count != 0);
    Some(times)
}
