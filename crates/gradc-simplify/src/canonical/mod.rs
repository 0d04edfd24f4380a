//! The canonical form: a hash-consed graph. A term that is there already is not made again, an application of constants
//! is a constant, operands of commutative operators are in order, and rules that improve on the spot have been applied.

mod table;

use std::rc::Rc;

use egg::Id;
use gradc_ir::{Graph, LeafKind, NodeKind, ValueId};
use rustc_hash::FxHashMap;

use crate::certificate::{Applied, Recorder};
use crate::facts::Facts;
use crate::options::Options;
use crate::report::Tally;
use crate::rules::compiled::{Outcome, RuleSet};
use crate::term::Term;
use crate::terms::Terms;
use table::{Application, KindNumber, LEAF, Operand, Short};
pub(crate) use table::{FactsNumber, OpNumber, Table};

/// A hash-consed graph. Operands come before their users.
pub(crate) struct Arena<'r> {
    nodes: Vec<ArenaNode>,
    /// The value that a term is: the number of its operator and its operands, or [`LEAF`] and the number of the leaf.
    known: FxHashMap<Short, Id>,
    /// The rules that made a value, if any did.
    made_by: FxHashMap<Id, Vec<&'static str>>,
    rules: &'r RuleSet,
    table: Table,
    /// The position in the source graph of the value that is being worked on; see [`ArenaNode::near`].
    pub(crate) near: usize,
    /// Whether what is added stays as it is, without a look at any rule.
    pub(crate) is_held: bool,
    /// Which rules were applied.
    pub(crate) tally: Tally,
    /// Each application, where that is asked for.
    pub(crate) recorder: Recorder,
}

/// One value of an arena.
pub(crate) struct ArenaNode {
    /// What it is.
    pub(crate) term: Term,
    /// The number of its operator; a leaf has none.
    pub(crate) op_number: Option<OpNumber>,
    /// What is known about it.
    pub(crate) facts: Rc<Facts>,
    /// The number of its facts.
    pub(crate) facts_number: FactsNumber,
    kind: KindNumber,
    /// What it costs to compute, its operands aside.
    pub(crate) cost: u64,
    /// The value of the source graph on whose behalf it was made: a value without a counterpart there takes its origin
    /// from this one.
    pub(crate) near: usize,
}

impl<'r> Arena<'r> {
    /// An empty arena that applies `rules` on the spot.
    #[cfg(test)]
    pub(crate) fn new(rules: &'r RuleSet) -> Arena<'r> {
        Arena::with_table(rules, Table::default(), 0, Recorder::default())
    }

    /// The same, with what is known of applications already, and room for so many values; what is applied is noted.
    pub(crate) fn with_table(rules: &'r RuleSet, table: Table, capacity: usize, recorder: Recorder) -> Arena<'r> {
        Arena {
            nodes: Vec::with_capacity(capacity),
            known: FxHashMap::with_capacity_and_hasher(capacity, Default::default()),
            made_by: FxHashMap::default(),
            rules,
            table,
            near: 0,
            is_held: false,
            tally: Tally::default(),
            recorder,
        }
    }

    /// Hands the table to the arena that comes in the place of this one, which can then only be read.
    pub(crate) fn take_table(&mut self) -> Table {
        std::mem::take(&mut self.table)
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

    /// The rules that made a value, if any did.
    pub(crate) fn made_by(&self, id: Id) -> &[&'static str] {
        self.made_by.get(&id).map_or(&[], |rules| rules)
    }

    /// Notes that some rules made a value elsewhere.
    pub(crate) fn note_made_by(&mut self, id: Id, rules: &[&'static str]) {
        self.made_by.entry(id).or_default().extend_from_slice(rules);
    }

    /// Adds a leaf. The same number is the same leaf.
    pub(crate) fn leaf(&mut self, number: u32, facts: Facts) -> Id {
        let key = self.table.short(LEAF, [number].into_iter());
        if let Some(&id) = self.known.get(&key) {
            return id;
        }
        let (facts_number, facts) = self.table.facts(facts);
        let kind = self.table.kind(LEAF, facts_number);
        self.known.insert(key, self.next_id());
        let (term, near) = (Term::Leaf(number), self.near);
        self.push(ArenaNode { term, op_number: None, facts, facts_number, kind, cost: 0, near })
    }

    /// Adds the image of a value of another arena that had the same table and the same rules: it is applied to `operands`,
    /// the images of its own. No rule had a better way there, so none has here, and what holds for one holds for the other.
    pub(crate) fn add_image(&mut self, node: &ArenaNode, operands: &[Id], made_by: &[&'static str]) -> Id {
        let term = match &node.term {
            Term::Leaf(number) => Term::Leaf(*number),
            Term::Apply(op, _) => Term::apply_to(op.clone(), operands),
        };
        let key = match (&term, node.op_number) {
            (Term::Leaf(number), _) => self.table.short(LEAF, [*number].into_iter()),
            (Term::Apply(op, operands), number) => {
                let number = number.unwrap_or_else(|| self.table.op(op));
                self.table.short(number, numbers(operands))
            }
        };
        let next = self.next_id();
        let id = *self.known.entry(key).or_insert(next);
        if id == next {
            if !made_by.is_empty() {
                self.made_by.insert(id, made_by.to_vec());
            }
            self.push(ArenaNode { term, facts: node.facts.clone(), near: self.near, ..*node });
        }
        debug_assert_eq!(self.node(id).kind, node.kind);
        id
    }

    /// Adds a term that some rules made elsewhere.
    pub(crate) fn add_made_by(&mut self, term: Term, rules: &[&'static str]) -> Option<Id> {
        let before = self.len();
        let id = self.add(term)?;
        if usize::from(id) >= before && !rules.is_empty() {
            self.note_made_by(id, rules);
        }
        Some(id)
    }

    fn next_id(&self) -> Id {
        Id::from(self.nodes.len())
    }

    fn push(&mut self, node: ArenaNode) -> Id {
        let id = self.next_id();
        self.nodes.push(node);
        id
    }

    /// What the first rule that applies makes of a term that is not there yet.
    fn improved(&mut self, term: &Term, application: &Application) -> Option<Id> {
        for compiled in &application.rules {
            for bindings in compiled.matches_of_candidate(self, term) {
                let before = self.len();
                if let Some(Outcome::Equal(id)) = compiled.apply(self, term, None, &application.facts, &bindings) {
                    assert_eq!(application.facts.ty, self.facts(id).ty, "gradc has a bug: rule {}", compiled.rule.name);
                    self.tally.count(compiled.rule.name);
                    let applied =
                        || Applied { rule: compiled, term: term.clone(), bindings, found: Some(id), within: None };
                    self.recorder.record(applied);
                    if usize::from(id) >= before {
                        self.made_by.entry(id).or_default().push(compiled.rule.name);
                    }
                    return Some(id);
                }
            }
        }
        None
    }
}

/// Values as keys have them.
fn numbers(ids: &[Id]) -> impl ExactSizeIterator<Item = u32> {
    ids.iter().map(|&id| usize::from(id) as u32)
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

    fn size(&self) -> usize {
        self.nodes.len()
    }

    /// No rule that is used on the spot asks.
    fn is_there(&self, _: &Term) -> bool {
        false
    }

    fn add(&mut self, term: Term) -> Option<Id> {
        let Term::Apply(op, children) = &term else { return None };
        let number = self.table.op(op);
        let key = self.table.short(number, numbers(children));
        if let Some(&id) = self.known.get(&key) {
            return Some(id);
        }
        let application = {
            let nodes = &self.nodes;
            let kinds = children.iter().map(|&child| nodes[usize::from(child)].kind);
            let operand = |&child: &Id| {
                let node = &nodes[usize::from(child)];
                Operand { op: node.term.op(), facts: &node.facts }
            };
            self.table.application((number, op), kinds, || children.iter().map(operand).collect(), self.rules)?
        };
        let improved = match &application.literal {
            Some(literal) => Some(self.add(Term::apply(literal.clone(), []))?),
            None if self.is_held => None,
            None => self.improved(&term, &application),
        };
        let id = improved.unwrap_or_else(|| {
            self.push(ArenaNode {
                term,
                op_number: Some(number),
                facts: application.facts.clone(),
                facts_number: application.number,
                kind: application.kind,
                cost: application.cost,
                near: self.near,
            })
        });
        self.known.insert(key, id);
        Some(id)
    }
}

/// The canonical form of a graph: the arena, and where each live value of the graph is in it. What is held is not improved.
/// `table` has what is known of applications already, by the same rules.
pub(crate) fn import<'r>(
    graph: &Graph,
    rules: &'r RuleSet,
    options: &Options,
    is_held: impl Fn(ValueId) -> bool,
    (table, recorder): (Table, Recorder),
) -> (Arena<'r>, Vec<Option<Id>>) {
    let mut arena = Arena::with_table(rules, table, graph.len(), recorder);
    let live = graph.live();
    let mut places: Vec<Option<Id>> = vec![None; graph.len()];
    let mut operands: Vec<Id> = Vec::new();
    for value in graph.values().filter(|value| live[value.index()]) {
        arena.near = value.index();
        arena.is_held = is_held(value);
        let place = match &graph.node(value).kind {
            NodeKind::Leaf { kind, .. } => {
                Some(arena.leaf(value.index() as u32, leaf_facts(graph, value, *kind, options)))
            }
            NodeKind::Op(op) => {
                operands.clear();
                operands.extend(graph.operands(value).iter().filter_map(|x| places[x.index()]));
                arena.apply(op.clone(), &operands)
            }
        };
        debug_assert!(place.is_some(), "operators of a verified graph fit their operands");
        places[value.index()] = place;
    }
    (arena, places)
}

/// What is known about a leaf.
pub(crate) fn leaf_facts(graph: &Graph, value: ValueId, kind: LeafKind, options: &Options) -> Facts {
    let ty = graph.ty(value).clone();
    let trusted_index = options.trust_indices && kind == LeafKind::Input && ty.dtype.is_integer();
    Facts { trusted_index, ..Facts::of_type(ty) }
}
