//! The e-graph of a region: all the equal ways of writing its values that the rules find.

mod search;
mod sums;

use egg::{Analysis, DidMerge, EGraph, Id};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::certificate::{Applied, Recorder};
use crate::facts::Facts;
use crate::options::{Limits, Mode};
use crate::pattern::Bindings;
use crate::rules::Flaw;
use crate::rules::compiled::{Compiled, Outcome, RuleSet};
use crate::term::{Children, Term};
use crate::terms::Terms;
use search::{Search, Wanted};
pub(crate) use sums::{Last, Part, Within, Written, read};

/// The analysis: facts of each class.
struct ClassFacts {
    leaves: Vec<Facts>,
    /// How often something was learnt about a class.
    lessons: u32,
}

/// What is known about a class.
#[derive(Debug)]
struct Known {
    facts: Facts,
    /// Which lesson was the last about it.
    learnt: u32,
    /// Whether the program says in which order its sums are added up, since it has written them.
    keeps_order: bool,
}

impl ClassFacts {
    /// Takes over what is known about an equal value. Says whether something was learnt.
    fn learn(&mut self, known: &mut Known, other: &Facts) -> bool {
        let learnt = known.facts.learn(other);
        if learnt {
            self.lessons += 1;
            known.learnt = self.lessons;
        }
        learnt
    }
}

impl Analysis<Term> for ClassFacts {
    type Data = Known;

    fn make(egraph: &mut EGraph<Term, Self>, term: &Term, _: Id) -> Known {
        let facts = match term {
            Term::Leaf(number) => egraph.analysis.leaves[*number as usize].clone(),
            Term::Apply(op, children) => {
                let operands: SmallVec<[&Facts; 4]> = children.iter().map(|&child| &egraph[child].data.facts).collect();
                let facts = Facts::of_application(op, &operands);
                facts.unwrap_or_else(|| unreachable!("only terms that fit their operands are added"))
            }
        };
        Known { facts, learnt: 0, keeps_order: false }
    }

    fn merge(&mut self, known: &mut Known, other: Known) -> DidMerge {
        let learnt = self.learn(known, &other.facts);
        known.keeps_order |= other.keeps_order;
        DidMerge(learnt, known.facts != other.facts)
    }

    /// A class whose value is known has the literal among its terms.
    fn modify(egraph: &mut EGraph<Term, Self>, class: Id) {
        let facts = &egraph[class].data.facts;
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
    /// Whether a stabilising rule had something to say.
    pub(crate) is_flawed: bool,
    /// A clock that stands still. egg measures how long it rebuilds, with a clock that is calibrated when it is first read,
    /// which may take longer than all the rest.
    clock: quanta::Clock,
    /// What was applied, where that is asked for.
    recorder: Recorder,
    /// Whether every rule is matched everywhere in each round, which takes longer and finds nothing else.
    #[cfg(test)]
    searches_everything: bool,
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
            egraph: EGraph::new(ClassFacts { leaves, lessons: 0 }),
            avoided: Vec::new(),
            written: Vec::new(),
            merged: Vec::new(),
            limited: false,
            is_flawed: false,
            clock: quanta::Clock::mock().0,
            recorder,
            #[cfg(test)]
            searches_everything: false,
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
        let mut lessons = Search::new(Wanted { is_wanted: RuleSet::learns, in_sums: None });
        let is_equality = |compiled: &Compiled| !RuleSet::learns(compiled);
        let mut equalities = Search::new(Wanted { is_wanted: is_equality, in_sums: Some(mode) });
        for _ in 0..limits.iterations {
            let before = (self.size(), self.egraph.number_of_classes());
            // Facts first: rules ask for them.
            let mut learnt = false;
            let sites = lessons.sites(self, rules);
            for site in &sites {
                learnt |= self.apply(site, mode);
            }
            lessons.keep(sites);
            self.rebuild();
            let sites = equalities.sites(self, rules);
            self.limited = sites.len() > limits.applications;
            for site in &sites {
                self.limited |= self.size() > limits.terms;
                if self.limited {
                    break;
                }
                self.apply(site, mode);
            }
            equalities.keep(sites);
            self.limited |= self.size() > limits.terms;
            self.rebuild();
            if self.limited || (!learnt && before == (self.size(), self.egraph.number_of_classes())) {
                return;
            }
        }
        self.limited = true;
    }

    /// Says that the program has written a value, and so in which order its sums are added up.
    pub(crate) fn keep_order(&mut self, class: Id) {
        let class = self.find(class);
        self.egraph[class].data.keeps_order = true;
    }

    /// Whether the program says in which order the sums of a class are added up.
    fn keeps_order(&self, class: Id) -> bool {
        self.egraph[self.egraph.find(class)].data.keeps_order
    }

    /// The classes in order of their numbers.
    pub(crate) fn ids(&self) -> Vec<Id> {
        let mut ids: Vec<Id> = self.egraph.classes().map(|class| class.id).collect();
        ids.sort_unstable();
        ids
    }

    /// Applies a rule at one place. Says whether facts changed, which no count shows.
    fn apply(&mut self, site: &Site, mode: Mode) -> bool {
        let rule = site.compiled.rule;
        let (facts, known) = (self.facts(site.class).clone(), self.egraph.nodes().len());
        match site.compiled.apply(self, &site.term, site.root(), &facts, &site.bindings) {
            None => false,
            Some(Outcome::Equal(found)) => {
                let last = site.within.as_ref().and_then(|within| sums::last_of(self, found, within));
                let equal = match &site.within {
                    None => Some(found),
                    Some(within) => self.rewritten(within, found, last),
                };
                let Some(equal) = equal else { return false };
                let new = self.egraph.nodes()[known..].iter().map(|term| (term.clone(), rule.name));
                self.written.extend(new);
                if self.keeps_order(site.class) {
                    (known..self.egraph.nodes().len()).for_each(|id| self.keep_order(Id::from(id)));
                }
                if let Some(flaw) = rule.avoided_flaw(mode) {
                    let flawed = site.within.as_ref().map_or(&site.term, |within| &within.sum);
                    self.avoided.push((flawed.clone(), flaw));
                }
                self.recorder.record(|| site.applied(Some(found), last));
                let news = self.egraph.union_trusted(site.class, equal, rule.name);
                if news {
                    self.merged.push((site.class, rule.name));
                }
                self.is_flawed |= rule.stabilises && (news || self.egraph.nodes().len() > known);
                false
            }
            Some(Outcome::Learnt(known)) => {
                let mut learnt = Known { facts, learnt: 0, keeps_order: self.keeps_order(site.class) };
                let news = self.egraph.analysis.learn(&mut learnt, &known);
                if news {
                    self.recorder.record(|| site.applied(None, None));
                    let class = self.find(site.class);
                    self.egraph.set_analysis_data(class, learnt);
                }
                news
            }
        }
    }

    /// A sum in which this has become of two terms.
    fn rewritten(&mut self, within: &Within, made: Id, last: Option<Last>) -> Option<Id> {
        let part = |part| match part {
            Part::Rest(class) => Some(class),
            Part::Made => Some(last.map_or(made, |last| last.before)),
            Part::Last => last.map(|last| last.last.class),
        };
        sums::read(&within.rewritten(last.is_some()), part, |op, operands| Terms::apply(self, op, operands))
    }

    /// Restores the invariants after unions: congruence, also of commutative terms whose operands came to be in another
    /// order.
    fn rebuild(&mut self) {
        loop {
            quanta::with_clock(&self.clock, || self.egraph.rebuild());
            let mut equal = Vec::new();
            for class in self.ids() {
                for term in self.terms(class) {
                    // Rebuilt terms have the present names of their operands.
                    let is_other = !term.operands().is_sorted() && self.normalised(term) != *term;
                    if let Some(other) = is_other.then(|| self.egraph.lookup(self.normalised(term))).flatten()
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
            Term::Apply(op, children) => {
                let mut children = Children::from_slice(children);
                children.iter_mut().for_each(|child| *child = self.find(*child));
                Term::ordered(op.clone(), children)
            }
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
        &self.egraph[self.egraph.find(class)].data.facts
    }

    fn find(&self, class: Id) -> Id {
        self.egraph.find(class)
    }

    fn size(&self) -> usize {
        self.egraph.total_size()
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
