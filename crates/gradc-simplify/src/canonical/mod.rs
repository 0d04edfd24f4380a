//! The canonical form: a hash-consed graph. A term that is there already is not made again, an application of constants
//! is a constant, operands of commutative operators are in order, and rules that improve on the spot have been applied.

use egg::Id;
use gradc_ir::{Graph, LeafKind, NodeKind, ValueId};
use rustc_hash::FxHashMap;

use crate::facts::Facts;
use crate::options::Options;
use crate::report::Tally;
use crate::rules::compiled::{Outcome, RuleSet};
use crate::term::Term;
use crate::terms::Terms;

/// A hash-consed graph. Operands come before their users.
pub(crate) struct Arena<'r> {
    nodes: Vec<ArenaNode>,
    known: FxHashMap<Term, Id>,
    rules: &'r RuleSet,
    /// The position in the source graph of the value that is being worked on; see [`ArenaNode::near`].
    pub(crate) near: usize,
    /// Which rules were applied.
    pub(crate) tally: Tally,
}

/// One value of an arena.
pub(crate) struct ArenaNode {
    /// What it is.
    pub(crate) term: Term,
    /// What is known about it.
    pub(crate) facts: Facts,
    /// The value of the source graph on whose behalf it was made: a value without a counterpart there takes its origin
    /// from this one.
    pub(crate) near: usize,
    /// The rules that made it, if any did.
    pub(crate) made_by: Vec<&'static str>,
}

impl<'r> Arena<'r> {
    /// An empty arena that applies `rules` on the spot.
    pub(crate) fn new(rules: &'r RuleSet) -> Arena<'r> {
        Arena { nodes: Vec::new(), known: FxHashMap::default(), rules, near: 0, tally: Tally::default() }
    }

    /// All values, operands before users.
    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = Id> + use<> {
        (0..self.nodes.len()).map(Id::from)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A value.
    pub(crate) fn node(&self, id: Id) -> &ArenaNode {
        &self.nodes[usize::from(id)]
    }

    /// The operands of a value.
    pub(crate) fn operands(&self, id: Id) -> &[Id] {
        self.node(id).term.operands()
    }

    /// Adds a leaf. The same number is the same leaf.
    pub(crate) fn leaf(&mut self, number: u32, facts: Facts) -> Id {
        let term = Term::Leaf(number);
        match self.known.get(&term) {
            Some(&id) => id,
            None => self.push(term, facts),
        }
    }

    /// Adds a term that some rules made elsewhere.
    pub(crate) fn add_made_by(&mut self, term: Term, rules: &[&'static str]) -> Option<Id> {
        let before = self.len();
        let id = self.add(term)?;
        if usize::from(id) >= before {
            self.nodes[usize::from(id)].made_by.extend_from_slice(rules);
        }
        Some(id)
    }

    fn push(&mut self, term: Term, facts: Facts) -> Id {
        let id = Id::from(self.nodes.len());
        self.known.insert(term.clone(), id);
        self.nodes.push(ArenaNode { term, facts, near: self.near, made_by: Vec::new() });
        id
    }

    /// What the first rule that applies makes of a term that is not there yet.
    fn improved(&mut self, term: &Term, facts: &Facts) -> Option<Id> {
        let rules = self.rules;
        for compiled in rules.for_term(term) {
            for bindings in compiled.matches(self, term) {
                let before = self.len();
                if let Some(Outcome::Equal(id)) = compiled.apply(self, term, None, facts, &bindings) {
                    assert_eq!(facts.ty, self.facts(id).ty, "gradc has a bug: rule {}", compiled.rule.name);
                    self.tally.count(compiled.rule.name);
                    if usize::from(id) >= before {
                        self.nodes[usize::from(id)].made_by.push(compiled.rule.name);
                    }
                    return Some(id);
                }
            }
        }
        None
    }
}

impl Terms for Arena<'_> {
    fn terms(&self, class: Id) -> &[Term] {
        std::slice::from_ref(&self.node(class).term)
    }

    fn facts(&self, class: Id) -> &Facts {
        &self.node(class).facts
    }

    fn find(&self, class: Id) -> Id {
        class
    }

    fn add(&mut self, term: Term) -> Option<Id> {
        if let Some(&id) = self.known.get(&term) {
            return Some(id);
        }
        let Term::Apply(op, children) = &term else { return None };
        let facts = {
            let operands: smallvec::SmallVec<[&Facts; 4]> = children.iter().map(|&child| self.facts(child)).collect();
            Facts::of_application(op, &operands)?
        };
        let literal = facts.constant.map(|value| Term::apply(crate::ops::full(value, &facts.ty), []));
        let id = match literal {
            Some(literal) if literal != term => self.add(literal)?,
            _ => match self.improved(&term, &facts) {
                Some(id) => id,
                None => return Some(self.push(term, facts)),
            },
        };
        self.known.insert(term, id);
        Some(id)
    }
}

/// The canonical form of a graph: the arena, and where each live value of the graph is in it.
pub(crate) fn import<'r>(graph: &Graph, rules: &'r RuleSet, options: &Options) -> (Arena<'r>, Vec<Option<Id>>) {
    let mut arena = Arena::new(rules);
    let live = graph.live();
    let mut places: Vec<Option<Id>> = vec![None; graph.len()];
    for value in graph.values().filter(|value| live[value.index()]) {
        arena.near = value.index();
        let place = match &graph.node(value).kind {
            NodeKind::Leaf { kind, .. } => {
                Some(arena.leaf(value.index() as u32, leaf_facts(graph, value, *kind, options)))
            }
            NodeKind::Op(op) => {
                let operands: Option<Vec<Id>> = graph.operands(value).iter().map(|x| places[x.index()]).collect();
                operands.and_then(|operands| arena.apply(op.clone(), &operands))
            }
        };
        debug_assert!(place.is_some(), "operators of a verified graph fit their operands");
        places[value.index()] = place;
    }
    (arena, places)
}

fn leaf_facts(graph: &Graph, value: ValueId, kind: LeafKind, options: &Options) -> Facts {
    let ty = graph.ty(value).clone();
    let trusted_index = options.trust_indices && kind == LeafKind::Input && ty.dtype.is_integer();
    Facts { trusted_index, ..Facts::of_type(ty) }
}
