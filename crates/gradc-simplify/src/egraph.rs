//! The e-graph of a region: all the equal ways of writing its values that the rules find.

mod sums;

use std::rc::Rc;

use egg::{Analysis, DidMerge, EGraph, Id};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::certificate::{Applied, Recorder};
use crate::facts::Facts;
use crate::options::{Limits, Mode};
use crate::pattern::Bindings;
use crate::rules::Flaw;
use crate::rules::compiled::{Compiled, Outcome, RuleSet};
use crate::term::Term;
use crate::terms::Terms;
pub(crate) use sums::{Addend, Last, Written};

/// The analysis: facts of each class.
struct ClassFacts {
    leaves: Vec<Facts>,
}

impl Analysis<Term> for ClassFacts {
    type Data = Facts;

    fn make(egraph: &mut EGraph<Term, Self>, term: &Term, _: Id) -> Facts {
        match term {
            Term::Leaf(number) => egraph.analysis.leaves[*number as usize].clone(),
            Term::Apply(op, children) => {
                let operands: SmallVec<[&Facts; 4]> = children.iter().map(|&child| &egraph[child].data).collect();
                let facts = Facts::of_application(op, &operands);
                facts.unwrap_or_else(|| unreachable!("only terms that fit their operands are added"))
            }
        }
    }

    fn merge(&mut self, facts: &mut Facts, other: Facts) -> DidMerge {
        let learnt = facts.learn(&other);
        DidMerge(learnt, *facts != other)
    }

    /// A class whose value is known has the literal among its terms.
    fn modify(egraph: &mut EGraph<Term, Self>, class: Id) {
        let facts = &egraph[class].data;
        let Some(value) = facts.constant else { return };
        let literal = Term::apply(crate::ops::full(value, &facts.ty), []);
        if egraph.lookup(literal.clone()).map(|known| egraph.find(known)) != Some(egraph.find(class)) {
            let literal = egraph.add(literal);
            egraph.union(class, literal);
        }
    }
}

/// Classes of equal terms, and where the terms come from.
pub(crate) struct Classes {
    egraph: EGraph<Term, ClassFacts>,
    /// Terms that are not to be chosen, as they were when a rule said so.
    avoided: Vec<(Term, Flaw)>,
    /// Terms with the rule that wrote them, as they were then.
    written: Vec<(Term, &'static str)>,
    /// Classes with the rules that found them equal to what was there already.
    merged: Vec<(Id, &'static str)>,
    /// Whether a limit ended the search.
    pub(crate) limited: bool,
    /// A clock that stands still. egg measures how long it rebuilds, with a clock that is calibrated when it is first read,
    /// which may take longer than all the rest.
    clock: quanta::Clock,
    /// What was applied, where that is asked for.
    recorder: Recorder,
}

/// One place where a rule applies.
struct Site {
    compiled: &'static Compiled,
    class: Id,
    /// The term that the rule matches.
    term: Term,
    bindings: Bindings,
    /// Where the term is two terms of a longer sum, that sum.
    within: Option<Within>,
}

/// The sum that two terms are part of.
#[derive(Clone, Debug)]
pub(crate) struct Within {
    /// The sum.
    sum: Term,
    /// How it was written out.
    pub(crate) written: Rc<[Written]>,
    /// The other terms.
    pub(crate) rest: Vec<Addend>,
    /// What the rule made of the two, where that was taken apart again.
    pub(crate) last: Option<Last>,
}

impl Site {
    /// The class that the term is in, if it is in one.
    fn root(&self) -> Option<Id> {
        self.within.is_none().then_some(self.class)
    }

    /// The application of the rule here, which found this to be equal; `last` is how it was taken apart.
    fn applied(&self, found: Option<Id>, last: Option<Last>) -> Applied {
        let (term, bindings) = (self.term.clone(), self.bindings.clone());
        let within = self.within.clone().map(|within| Within { last, ..within });
        Applied { rule: self.compiled, term, bindings, found, within }
    }
}

impl Classes {
    /// No classes yet; `Term::Leaf(i)` is what `leaves[i]` says.
    pub(crate) fn new(leaves: Vec<Facts>, recorder: Recorder) -> Classes {
        Classes {
            egraph: EGraph::new(ClassFacts { leaves }),
            avoided: Vec::new(),
            written: Vec::new(),
            merged: Vec::new(),
            limited: false,
            clock: quanta::Clock::mock().0,
            recorder,
        }
    }

    /// Every term that was added, by the name that it was given then, and what was applied, if that was asked for.
    pub(crate) fn history(&mut self) -> Option<(Vec<Term>, Vec<Applied>)> {
        let applied = self.recorder.take()?;
        Some((self.egraph.nodes().to_vec(), applied))
    }

    /// Applies rules until nothing changes or a limit is reached.
    pub(crate) fn saturate(&mut self, rules: &RuleSet, mode: Mode, limits: &Limits) {
        self.rebuild();
        for _ in 0..limits.iterations {
            let before = (self.size(), self.egraph.number_of_classes());
            // Facts first: rules ask for them.
            let mut learnt = false;
            for site in self.sites(rules, RuleSet::learns, false) {
                learnt |= self.apply(&site, mode);
            }
            self.rebuild();
            for site in self.sites(rules, |compiled| !RuleSet::learns(compiled), mode > Mode::Strict) {
                if self.size() > limits.terms {
                    self.limited = true;
                    break;
                }
                self.apply(&site, mode);
            }
            self.rebuild();
            if self.limited || (!learnt && before == (self.size(), self.egraph.number_of_classes())) {
                return;
            }
        }
        self.limited = true;
    }

    /// How many terms there are.
    pub(crate) fn size(&self) -> usize {
        self.egraph.total_size()
    }

    /// The classes in order of their numbers.
    pub(crate) fn ids(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.egraph.classes().map(|class| class.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Every place where a rule applies, in the order of classes, terms and rules; with `in_sums`, also among the terms of
    /// longer sums.
    fn sites(&self, rules: &RuleSet, is_wanted: fn(&Compiled) -> bool, in_sums: bool) -> Vec<Site> {
        let mut sites = Vec::new();
        for class in self.ids().into_iter().filter(|&class| self.facts(class).constant.is_none()) {
            for term in self.terms(class) {
                for compiled in rules.for_term(term).filter(|compiled| is_wanted(compiled)) {
                    let found = compiled.matches(self, term);
                    let site = |bindings| Site { compiled, class, term: term.clone(), bindings, within: None };
                    sites.extend(found.into_iter().map(site));
                }
                // Reordering additions keeps no bits.
                for pair in if in_sums { sums::pairs(self, term) } else { Vec::new() } {
                    let is_wanted = |compiled: &&Compiled| compiled.rule.in_sums && is_wanted(compiled);
                    for compiled in rules.for_term(&pair.term).filter(is_wanted) {
                        let (written, rest) = (&pair.written, &pair.rest);
                        let within = || {
                            Some(Within { sum: term.clone(), written: written.clone(), rest: rest.clone(), last: None })
                        };
                        let found = compiled.matches(self, &pair.term).into_iter();
                        let site =
                            |bindings| Site { compiled, class, term: pair.term.clone(), bindings, within: within() };
                        sites.extend(found.map(site));
                    }
                }
            }
        }
        sites
    }

    /// Applies a rule at one place. Says whether facts changed, which no count shows.
    fn apply(&mut self, site: &Site, mode: Mode) -> bool {
        let rule = site.compiled.rule;
        let (facts, known) = (self.facts(site.class).clone(), self.egraph.nodes().len());
        match site.compiled.apply(self, &site.term, site.root(), &facts, &site.bindings) {
            None => false,
            Some(Outcome::Equal(found)) => {
                let last = site.within.as_ref().and_then(|_| sums::last_of(self, found));
                let equal = match &site.within {
                    None => Some(found),
                    Some(within) => sums::total(self, found, last, &within.rest),
                };
                let Some(equal) = equal else { return false };
                let new = self.egraph.nodes()[known..].iter().map(|term| (term.clone(), rule.name));
                self.written.extend(new);
                if let Some(flaw) = rule.avoided_flaw(mode) {
                    let flawed = site.within.as_ref().map_or(&site.term, |within| &within.sum);
                    self.avoided.push((flawed.clone(), flaw));
                }
                self.recorder.record(|| site.applied(Some(found), last));
                if self.egraph.union_trusted(site.class, equal, rule.name) {
                    self.merged.push((site.class, rule.name));
                }
                false
            }
            Some(Outcome::Learnt(known)) => {
                let mut learnt = facts;
                let news = learnt.learn(&known);
                if news {
                    self.recorder.record(|| site.applied(None, None));
                    let class = self.find(site.class);
                    self.egraph.set_analysis_data(class, learnt);
                }
                news
            }
        }
    }

    /// Restores the invariants after unions: congruence, also of commutative terms whose operands came to be in another
    /// order.
    fn rebuild(&mut self) {
        loop {
            quanta::with_clock(&self.clock, || self.egraph.rebuild());
            let mut equal = Vec::new();
            for class in self.ids() {
                for term in self.terms(class) {
                    let ordered = self.normalised(term);
                    if let Some(other) = (ordered != *term).then(|| self.egraph.lookup(ordered)).flatten()
                        && self.find(other) != class
                    {
                        equal.push((class, other));
                    }
                }
            }
            if equal.is_empty() {
                return;
            }
            for (class, other) in equal {
                self.egraph.union_trusted(class, other, "commute");
            }
        }
    }

    /// A term as it is written now: with the present names of its operands, in order.
    pub(crate) fn normalised(&self, term: &Term) -> Term {
        match term {
            Term::Leaf(number) => Term::Leaf(*number),
            Term::Apply(op, children) => Term::apply(op.clone(), children.iter().map(|&child| self.find(child))),
        }
    }

    /// The terms that are not to be chosen, with the worst that is wrong with them.
    pub(crate) fn avoided(&self) -> FxHashMap<Term, Flaw> {
        let mut avoided = FxHashMap::default();
        for (term, flaw) in &self.avoided {
            let worst = avoided.entry(self.normalised(term)).or_insert(*flaw);
            *worst = if *worst == Flaw::Rounds { *flaw } else { *worst };
        }
        avoided
    }

    /// For each term that a rule wrote, the first rule that did.
    pub(crate) fn writers(&self) -> FxHashMap<Term, &'static str> {
        let mut writers = FxHashMap::default();
        for (term, rule) in &self.written {
            writers.entry(self.normalised(term)).or_insert(*rule);
        }
        writers
    }

    /// For each class that rules merged, those rules.
    pub(crate) fn mergers(&self) -> FxHashMap<Id, Vec<&'static str>> {
        let mut mergers: FxHashMap<Id, Vec<&'static str>> = FxHashMap::default();
        for (class, rule) in &self.merged {
            let rules = mergers.entry(self.find(*class)).or_default();
            if !rules.contains(rule) {
                rules.push(rule);
            }
        }
        mergers
    }
}

impl Terms for Classes {
    fn terms(&self, class: Id) -> &[Term] {
        &self.egraph[self.egraph.find(class)].nodes
    }

    fn facts(&self, class: Id) -> &Facts {
        &self.egraph[self.egraph.find(class)].data
    }

    fn find(&self, class: Id) -> Id {
        self.egraph.find(class)
    }

    fn is_there(&self, term: &Term) -> bool {
        self.egraph.lookup(self.normalised(term)).is_some()
    }

    fn add(&mut self, term: Term) -> Option<Id> {
        let term = self.normalised(&term);
        if let Some(known) = self.egraph.lookup(term.clone()) {
            return Some(self.find(known));
        }
        if let Term::Apply(op, children) = &term {
            let types: SmallVec<[_; 4]> = children.iter().map(|&child| &self.facts(child).ty).collect();
            op.infer(&types).ok()?;
        }
        let class = self.egraph.add(term);
        Some(self.find(class))
    }
}
