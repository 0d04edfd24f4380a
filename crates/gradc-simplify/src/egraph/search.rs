//! Where rules apply, asked again after each round. A rule is matched anew only where something has changed that it looks
//! at since it was matched there last: the search finds what a search of everything would find, in the same order, but for
//! applications that would say again what they said before.

use std::collections::hash_map::Entry;
use std::iter::Peekable;
use std::rc::Rc;

use egg::Id;
use gradc_ir::op::{add::ADD, sub::SUB};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::sums::{self, Within};
use super::{Classes, Site};
use crate::options::Mode;
use crate::rules::compiled::{Compiled, RuleSet};
use crate::rules::marks::Marks;
use crate::term::Term;
use crate::terms::Terms;

/// What one kind of search is for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// The rules that are looked for.
    pub(super) is_wanted: fn(&Compiled) -> bool,
    /// The mode in which they are looked for among the terms of longer sums, too, if they are.
    pub(super) in_sums: Option<Mode>,
}

/// A search, with what it knows from the last time.
pub(super) struct Search {
    wanted: Wanted,
    /// Each class as it was, by the number of its name.
    seen: Vec<State>,
    /// Places whose applications may say something new though what was matched is as it was, by their classes.
    kept: FxHashMap<Id, Vec<Run>>,
}

/// What changes where a class does: how many names it has had, which grows with each union, also with a new term; and when
/// something was learnt about it.
#[derive(Clone, Copy, Default, PartialEq)]
struct State {
    names: u32,
    learnt: u32,
}

/// The places of one term, in order.
struct Run {
    term: Term,
    sites: Vec<Rc<Site>>,
}

/// How far below a class something has changed: 0 where the class itself has, [`FAR`] where nothing that a rule looks at
/// has.
struct Distances(Vec<u8>);

const FAR: u8 = u8::MAX;

impl Distances {
    fn of(&self, class: Id) -> u8 {
        self.0[usize::from(class)]
    }

    /// That of a term, which is not in itself something that changes.
    fn of_term(&self, terms: &dyn Terms, term: &Term) -> u8 {
        let nearest = term.operands().iter().map(|&operand| self.of(terms.find(operand))).min();
        nearest.unwrap_or(FAR).saturating_add(1)
    }
}

impl Search {
    /// A search that has not looked at anything yet.
    pub(super) fn new(wanted: Wanted) -> Search {
        Search { wanted, seen: Vec::new(), kept: FxHashMap::default() }
    }

    /// The places where rules apply, in the order of classes, terms and rules.
    pub(super) fn sites(&mut self, classes: &Classes, rules: &RuleSet) -> Vec<Rc<Site>> {
        let distances = self.distances(classes, rules.reach());
        let marks = marks(classes);
        let mut kept = std::mem::take(&mut self.kept);
        let mut sites = Vec::new();
        for class in classes.ids().into_iter().filter(|&class| classes.facts(class).constant.is_none()) {
            let mut runs = kept.remove(&class).unwrap_or_default();
            for term in classes.terms(class) {
                let own = runs.iter().position(|run| run.term == *term).map(|run| runs.swap_remove(run).sites);
                let place =
                    Place { classes, rules, wanted: self.wanted, distances: &distances, marks: &marks, class, term };
                place.search(own.unwrap_or_default().into_iter().peekable(), &mut sites);
            }
        }
        sites
    }

    /// Takes back places that were applied, for those that are to be applied again.
    pub(super) fn keep(&mut self, sites: Vec<Rc<Site>>) {
        for site in sites.into_iter().filter(|site| site.may_say_more()) {
            let runs = match self.kept.entry(site.class) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(Vec::new()),
            };
            match runs.last_mut() {
                Some(run) if run.term == *site.whole() => run.sites.push(site),
                _ => runs.push(Run { term: site.whole().clone(), sites: vec![site] }),
            }
        }
    }

    /// How far below each class there is one that has changed since this was asked last, up to a distance of `reach`.
    fn distances(&mut self, classes: &Classes, reach: u8) -> Distances {
        let count = classes.egraph.nodes().len();
        let mut states = vec![State::default(); count];
        (0..count).for_each(|name| states[usize::from(classes.find(Id::from(name)))].names += 1);
        for class in classes.egraph.classes() {
            states[usize::from(class.id)].learnt = class.data.learnt;
        }
        self.seen.resize(count, State::default());
        let mut distances = vec![FAR; count];
        let mut frontier: Vec<usize> =
            (0..count).filter(|&name| states[name].names > 0 && states[name] != self.seen[name]).collect();
        self.seen = states;
        #[cfg(test)]
        if classes.searches_everything {
            self.kept.clear();
            return Distances(vec![0; count]);
        }
        frontier.iter().for_each(|&name| distances[name] = 0);
        for distance in 1..=reach {
            let mut next = Vec::new();
            for name in frontier {
                for parent in classes.egraph[Id::from(name)].parents() {
                    let parent = usize::from(classes.find(parent));
                    if distances[parent] == FAR {
                        distances[parent] = distance;
                        next.push(parent);
                    }
                }
            }
            frontier = next;
        }
        Distances(distances)
    }
}

impl Site {
    /// The term of the class.
    fn whole(&self) -> &Term {
        self.within.as_ref().map_or(&self.term, |within| &within.sum)
    }

    /// Whether the application may say something that it did not say before, where all that was matched is as it was. In a
    /// sum, that depends on how what is made of two of its terms can be taken apart.
    fn may_say_more(&self) -> bool {
        self.within.is_some() || self.compiled.may_say_more()
    }
}

/// For each class, by the number of its name, which operators its terms apply, and whether it is a number.
fn marks(classes: &Classes) -> Vec<Marks> {
    let mut marks = vec![Marks::default(); classes.egraph.nodes().len()];
    for class in classes.egraph.classes() {
        let operators = class.nodes.iter().filter_map(Term::op).map(|op| Marks::of(op.def));
        let number = class.data.facts.constant.map_or(Marks::default(), |_| Marks::NUMBER);
        marks[usize::from(class.id)] = operators.fold(number, Marks::and);
    }
    marks
}

/// A term that is looked at.
struct Place<'s> {
    classes: &'s Classes,
    rules: &'s RuleSet,
    wanted: Wanted,
    distances: &'s Distances,
    marks: &'s [Marks],
    class: Id,
    term: &'s Term,
}

impl Place<'_> {
    /// Adds the places at this term; `kept` are those that were there before.
    fn search(&self, mut kept: Peekable<std::vec::IntoIter<Rc<Site>>>, sites: &mut Vec<Rc<Site>>) {
        let (classes, distances) = (self.classes, self.distances);
        let class_changed = distances.of(self.class) == 0;
        let distance = if class_changed { 0 } else { distances.of_term(classes, self.term) };
        self.search_term(self.term, None, distance, self.wanted.is_wanted, &mut kept, sites);
        let Some(mode) = self.wanted.in_sums else { return };
        if self.term.applies(&ADD).is_none() && self.term.applies(&SUB).is_none() {
            return;
        }
        let Some(sum) = sums::written_out(classes, self.term) else { return };
        let nearest = sum.visited.iter().map(|&class| distances.of(class)).min().unwrap_or(FAR);
        if !class_changed && nearest > self.rules.reach() {
            sites.extend(kept);
            return;
        }
        // Where the sum is written out as it was, so are its pairs.
        if nearest == 0 {
            kept = Vec::new().into_iter().peekable();
        }
        let (keeps_order, terms) = (classes.keeps_order(self.class), sum.len());
        let is_wanted = |compiled: &Compiled| {
            compiled.rule.in_sums.is_some_and(|which| which.allows(mode, keeps_order, terms))
                && (self.wanted.is_wanted)(compiled)
        };
        for (number, pair) in sums::pairs(&sum).into_iter().enumerate() {
            let distance = if class_changed || nearest == 0 { 0 } else { distances.of_term(classes, &pair.term) };
            let (written, places) = (sum.written.clone(), pair.places);
            let within = Within { pair: number, sum: self.term.clone(), written, places, last: None };
            self.search_term(&pair.term, Some(&within), distance, is_wanted, &mut kept, sites);
        }
    }

    /// Adds the places at one term, or at two terms of it.
    fn search_term(
        &self,
        term: &Term,
        within: Option<&Within>,
        distance: u8,
        is_wanted: impl Fn(&Compiled) -> bool,
        kept: &mut Peekable<std::vec::IntoIter<Rc<Site>>>,
        sites: &mut Vec<Rc<Site>>,
    ) {
        let pair = within.map(|within| within.pair);
        let is_here = |site: &Rc<Site>| site.within.as_ref().map(|within| within.pair) == pair;
        if distance > self.rules.reach() {
            sites.extend(std::iter::from_fn(|| kept.next_if(is_here)));
            return;
        }
        let marks = term.operands().iter().map(|&operand| self.marks[usize::from(self.classes.find(operand))]);
        let marks = marks.fold(Marks::default(), Marks::and);
        for compiled in self.rules.for_term(term).filter(|compiled| is_wanted(compiled)) {
            let same_rule = |site: &Rc<Site>| is_here(site) && std::ptr::eq(site.compiled, compiled);
            let known: SmallVec<[Rc<Site>; 1]> = std::iter::from_fn(|| kept.next_if(same_rule)).collect();
            if distance > compiled.reach() {
                sites.extend(known);
                continue;
            }
            // Most rules end here.
            if !marks.include(compiled.needed) {
                continue;
            }
            let site = |bindings| {
                let (term, within) = (term.clone(), within.cloned());
                Rc::new(Site { compiled, class: self.class, term, bindings, within })
            };
            sites.extend(compiled.matches(self.classes, term).into_iter().map(site));
        }
    }
}

#[cfg(test)]
mod tests {
    use gradc_ir::{DType, Graph, NodeKind};
    use gradc_testing::random_graph;

    use super::*;
    use crate::certificate::Recorder;
    use crate::facts::Facts;
    use crate::options::{Limits, Mode, Options};
    use crate::rules::compiled::allowed;

    /// All classes of a graph, once no rule finds anything new.
    fn saturated(graph: &Graph, mode: Mode, searches_everything: bool) -> Classes {
        let leaves = graph.values().map(|value| Facts::of_type(graph.ty(value).clone())).collect();
        let mut classes = Classes::new(leaves, Recorder::default());
        classes.searches_everything = searches_everything;
        let mut ids: Vec<Id> = Vec::new();
        for value in graph.values() {
            let term = match &graph.node(value).kind {
                NodeKind::Leaf { .. } => Term::Leaf(value.index() as u32),
                NodeKind::Op(op) => Term::apply(op.clone(), graph.operands(value).iter().map(|x| ids[x.index()])),
            };
            ids.push(classes.add(term).expect("operators of a graph fit their operands"));
        }
        let options = Options::in_mode(mode);
        let rules = RuleSet::new(|compiled| allowed(compiled, &options));
        classes.saturate(&rules, mode, &Limits { terms: 250, iterations: 8, ..Limits::default() });
        classes
    }

    #[test]
    fn what_changed_is_all_that_need_be_looked_at() {
        for (seed, mode) in (0..8).flat_map(|seed| Mode::ALL.map(|mode| (seed, mode))) {
            let graph = random_graph(seed, 10, DType::F32);
            let (found, all) = (saturated(&graph, mode, false), saturated(&graph, mode, true));
            assert_eq!(found.egraph.nodes(), all.egraph.nodes(), "{seed}, {mode}");
            assert_eq!(found.ids(), all.ids(), "{seed}, {mode}");
            for class in all.ids() {
                assert_eq!(found.terms(class), all.terms(class), "{seed}, {mode}");
                assert_eq!(found.facts(class), all.facts(class), "{seed}, {mode}");
            }
            assert_eq!(found.avoided(), all.avoided(), "{seed}, {mode}");
            assert_eq!(found.written, all.written, "{seed}, {mode}");
            assert_eq!(found.merged, all.merged, "{seed}, {mode}");
            assert_eq!(found.limited, all.limited, "{seed}, {mode}");
        }
    }
}
