//! Solving a region: its e-graph, and the best way to compute what is needed of it.

use egg::Id;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{LocalNode, Pass, Structure};
use crate::certificate::{Applied, Recorder};
use crate::egraph::Classes;
use crate::extract::{Choice, Clock, Compared, Problem};
use crate::report::Tally;
use crate::rules;
use crate::run::Policy;
use crate::term::Term;
use crate::terms::Terms;

/// How to compute what is needed of a region.
pub(crate) struct Solution {
    /// Nodes, operands before users.
    pub(crate) nodes: Vec<SolvedNode>,
    /// For each node of the structure, the node here that has its value, if it is still computed.
    pub(crate) places: Vec<Option<u32>>,
    /// The rules whose results are used.
    pub(crate) fired: Tally,
    /// Terms in the e-graph.
    pub(crate) terms: usize,
    /// Whether a limit ended the search.
    pub(crate) limited: bool,
    /// How many flawed formulas were replaced.
    pub(crate) repaired: usize,
    /// Whether a stabilising rule has something to say about it.
    pub(crate) is_flawed: bool,
    /// Whether it stays as it was because nothing takes less time, flawed formulas aside.
    pub(crate) is_kept: bool,
    /// How many seconds what was found takes less, whatever became of it; or more, if negative. Zero where time has no say.
    pub(crate) gained: f64,
    /// Whether what is needed is computed as it was.
    pub(crate) is_unchanged: bool,
    /// What happened in the e-graph, if that was asked for.
    pub(crate) history: Option<History>,
}

/// What happened in the e-graph of a region.
pub(crate) struct History {
    /// What the region was.
    pub(crate) structure: Structure,
    /// Every term, by the name of its class when it was added. Operands have the names that they had then.
    pub(crate) terms: Vec<Term>,
    /// What was applied, in order.
    pub(crate) applied: Vec<Applied>,
    /// For each node of the structure, its term.
    pub(crate) originals: Vec<Id>,
}

/// One node of a solution.
pub(crate) struct SolvedNode {
    /// The operator, applied to other nodes; or the input with this number in the structure.
    pub(crate) term: SolvedTerm,
    /// The rules that made it.
    pub(crate) made_by: Vec<&'static str>,
    /// The first node of the structure that has this value, if one has.
    pub(crate) member: Option<u32>,
}

impl SolvedNode {
    /// The nodes that this one is computed from.
    pub(crate) fn operands(&self) -> &[u32] {
        match &self.term {
            SolvedTerm::Input(_) => &[],
            SolvedTerm::Apply(_, operands) => operands,
        }
    }
}

/// What a solved node is.
pub(crate) enum SolvedTerm {
    /// The node of the structure that comes from outside.
    Input(u32),
    /// An application to earlier nodes.
    Apply(gradc_ir::Op, SmallVec<[u32; 3]>),
}

/// Solves a region.
pub(crate) fn solve(structure: Structure, policy: Policy, pass: &Pass<'_>) -> Solution {
    let (mut classes, originals) = load(&structure, pass.recorder.fresh());
    if policy != Policy::AsItIs {
        classes.saturate(pass.rules, pass.mode, &pass.limits);
    }
    let problem = Problem::new(&classes, &structure, &originals);
    let (found, repaired) = match policy {
        Policy::AsItIs => (problem.as_was(), 0),
        Policy::Cheapest | Policy::OnlyRepairs | Policy::NoSlower => problem.solve(),
    };
    let Compared { choice, is_kept, gained } = match pass.seconds.filter(|_| policy == Policy::NoSlower) {
        Some(seconds) => problem.no_slower(found, &Clock { seconds, mode: pass.mode, classes: &classes }),
        None => Compared::not(found),
    };
    let written = |choice: &Choice| written(choice, &problem, &classes, &originals, &structure);
    let mut solution = written(&choice);
    let stabilises = |rule| rules::compiled::find(rule).is_some_and(|compiled| compiled.rule.stabilises);
    if policy == Policy::OnlyRepairs && repaired == 0 && !solution.fired.iter().any(|(rule, _)| stabilises(rule)) {
        solution = written(&problem.as_was());
    }
    let is_flawed = repaired > 0 || classes.is_flawed;
    let is_kept = is_kept || policy == Policy::AsItIs;
    solution.is_unchanged = is_unchanged(&solution, &structure);
    let history = classes.history().map(|(terms, applied)| History { structure, terms, applied, originals });
    Solution { repaired, is_flawed, is_kept, gained, history, ..solution }
}

/// Whether each node of a structure that something needed depends on is the same application in its solution.
fn is_unchanged(solution: &Solution, structure: &Structure) -> bool {
    let mut needed = structure.needed.clone();
    (0..structure.nodes.len()).rev().all(|index| {
        let LocalNode::Value(op, operands) = &structure.nodes[index] else { return true };
        if !needed[index] {
            return true;
        }
        operands.iter().for_each(|&operand| needed[operand as usize] = true);
        let Some(place) = solution.places[index] else { return false };
        let solved = &solution.nodes[place as usize];
        let SolvedTerm::Apply(own, own_operands) = &solved.term else { return false };
        let mut places: Option<SmallVec<[u32; 3]>> =
            operands.iter().map(|&operand| solution.places[operand as usize]).collect();
        let mut own_operands = own_operands.clone();
        if op.def.algebra.commutative {
            places.iter_mut().for_each(|places| places.sort_unstable());
            own_operands.sort_unstable();
        }
        // Two nodes that became one are a change, too.
        solved.member == Some(index as u32) && own == op && places == Some(own_operands)
    })
}

/// The e-graph of a region before any rule, and the class of each node.
fn load(structure: &Structure, recorder: Recorder) -> (Classes, Vec<Id>) {
    let facts = structure.nodes.iter().filter_map(|node| match node {
        LocalNode::Input(facts) => Some(facts.facts()),
        LocalNode::Value(..) => None,
    });
    let mut classes = Classes::new(facts.collect(), recorder);
    let mut ids: Vec<Id> = Vec::with_capacity(structure.nodes.len());
    let mut inputs = 0;
    for node in &structure.nodes {
        let term = match node {
            LocalNode::Input(_) => {
                inputs += 1;
                Term::Leaf(inputs - 1)
            }
            LocalNode::Value(op, operands) => Term::apply(op.clone(), operands.iter().map(|&i| ids[i as usize])),
        };
        let id = classes.add(term);
        ids.push(id.unwrap_or_else(|| unreachable!("operators of a canonical graph fit their operands")));
    }
    for (&id, _) in ids.iter().zip(&structure.is_forward).filter(|(_, is_forward)| **is_forward) {
        classes.keep_order(id);
    }
    (classes, ids)
}

/// The chosen nodes in an order in which operands come before users.
fn written(choice: &Choice, problem: &Problem, classes: &Classes, originals: &[Id], structure: &Structure) -> Solution {
    let mut solution = Solution {
        nodes: Vec::new(),
        places: vec![None; structure.nodes.len()],
        fired: Tally::default(),
        terms: classes.size(),
        limited: classes.limited,
        repaired: 0,
        is_flawed: false,
        is_kept: false,
        gained: 0.0,
        is_unchanged: false,
        history: None,
    };
    let (writers, mergers) = (classes.writers(), classes.mergers());
    let mut input_numbers =
        (0..structure.nodes.len() as u32).filter(|&i| matches!(structure.nodes[i as usize], LocalNode::Input(_)));
    let inputs: Vec<u32> = input_numbers.by_ref().collect();
    let mut places: FxHashMap<usize, u32> = FxHashMap::default();
    for class in problem.in_order(choice) {
        let (term, operands) = problem.chosen(choice, class);
        let solved = match term {
            Term::Leaf(number) => SolvedTerm::Input(inputs[*number as usize]),
            Term::Apply(op, _) => SolvedTerm::Apply(op.clone(), operands.iter().map(|child| places[child]).collect()),
        };
        let mut made_by = Vec::new();
        if !problem.is_original(term) {
            made_by.extend(writers.get(term).copied());
        }
        if problem.is_replaced(choice, class) {
            for rule in mergers.get(&problem.class(class)).into_iter().flatten() {
                if !made_by.contains(rule) {
                    made_by.push(rule);
                }
            }
        }
        made_by.iter().for_each(|rule| solution.fired.count(rule));
        places.insert(class, solution.nodes.len() as u32);
        solution.nodes.push(SolvedNode { term: solved, made_by, member: None });
    }
    for (node, &original) in originals.iter().enumerate() {
        let place = places.get(&problem.index(classes.find(original))).copied();
        solution.places[node] = place;
        if let Some(place) = place {
            solution.nodes[place as usize].member.get_or_insert(node as u32);
        }
    }
    solution
}
