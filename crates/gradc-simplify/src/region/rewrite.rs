//! Rewriting a whole graph region by region.

use std::rc::Rc;

use egg::Id;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Key, Keys, Region, Solution, SolvedTerm, Structure, partition, solve};
use crate::canonical::Arena;
use crate::certificate::Recorder;
use crate::options::{Limits, Mode};
use crate::report::Report;
use crate::rules::compiled::RuleSet;
use crate::term::{Children, Term};

/// The rules and bounds of one pass.
pub(crate) struct Pass<'p> {
    /// Rules that improve on the spot.
    pub(crate) local: &'p RuleSet,
    /// All rules.
    pub(crate) rules: &'p RuleSet,
    /// The mode.
    pub(crate) mode: Mode,
    /// Bounds on the work.
    pub(crate) limits: Limits,
    /// Whether what is done is recorded.
    pub(crate) recorder: Recorder,
}

/// A region that was solved: the solution, and the values that the nodes of its structure are.
pub(crate) struct Solved {
    pub(crate) solution: Rc<Solution>,
    pub(crate) members: Vec<Id>,
}

/// Solutions by structure, for arenas of one table.
#[derive(Default)]
pub(crate) struct Solutions(FxHashMap<Key, Rc<Solution>>);

/// A region where it is: its solution, the values that its nodes were, and those that its solved nodes are, once they are
/// written.
struct Placed {
    solution: Rc<Solution>,
    members: Vec<Id>,
    written: Vec<Option<Id>>,
}

/// Solves all regions and writes a new arena. `needed` are the values that must be there, `forward` says for each value
/// whether it belongs to the forward pass. Also gives for each value its place in the new arena, if it is still computed,
/// and where that is recorded, the regions. `None` where no region has a better way than its own: then the new arena would
/// be the old one, which keeps its table.
pub(crate) fn rewrite<'p>(
    arena: &mut Arena<'_>,
    needed: &[Id],
    forward: &[bool],
    pass: &Pass<'p>,
    solutions: &mut Solutions,
    report: &mut Report,
) -> Option<(Arena<'p>, Vec<Option<Id>>, Vec<Solved>)> {
    let regions = partition(arena, forward, &pass.limits);
    let (home, is_needed) = homes(arena, &regions, needed);
    let mut keys = Keys::new(arena);
    let mut placed: Vec<Placed> = Vec::with_capacity(regions.len());
    let mut solved = Vec::new();
    for (number, region) in regions.iter().enumerate() {
        let (key, members) = keys.key(arena, number, region, &home, &is_needed);
        let structure = || Structure::of(arena, region, &members, &is_needed);
        let solution = solutions.solve(key, structure, pass, report);
        let written = vec![None; solution.nodes.len()];
        if pass.recorder.is_recording() {
            solved.push(Solved { solution: solution.clone(), members: members.clone() });
        }
        placed.push(Placed { solution, members, written });
    }
    if placed.iter().all(|region| region.solution.is_unchanged) {
        return None;
    }
    let mut new = Arena::with_table(pass.local, arena.take_table(), arena.len(), pass.recorder.fresh());
    let mut places: Vec<Option<Id>> = vec![None; arena.len()];
    for id in arena.ids() {
        let index = usize::from(id);
        let node = arena.node(id);
        new.near = node.near;
        places[index] = match (&node.term, home[index]) {
            (Term::Leaf(number), _) => Some(new.leaf_like(*number, node)),
            (term, None) => new.add_made_by(term.clone(), &node.made_by),
            (_, Some(region)) if is_needed[index] => placed[region].write(id, arena, &mut new, &places),
            (_, Some(_)) => None,
        };
    }
    // What nothing outside its region needed may still be there, under the name that it had.
    for region in &placed {
        for (member, place) in region.members.iter().zip(&region.solution.places) {
            let written = place.and_then(|place| region.written[place as usize]);
            let place = &mut places[usize::from(*member)];
            *place = place.or(written);
        }
    }
    Some((new, places, solved))
}

impl Solutions {
    fn solve(
        &mut self,
        key: Key,
        structure: impl FnOnce() -> Structure,
        pass: &Pass<'_>,
        report: &mut Report,
    ) -> Rc<Solution> {
        report.regions += 1;
        let solution = match self.0.get(&key) {
            Some(solution) => solution.clone(),
            None => {
                let recorder = pass.recorder.fresh();
                let solution = Rc::new(solve(structure(), pass.rules, pass.mode, &pass.limits, recorder));
                report.distinct_regions += 1;
                report.terms += solution.terms;
                self.0.insert(key, solution.clone());
                solution
            }
        };
        report.limited_regions += usize::from(solution.limited);
        report.repaired += solution.repaired;
        report.fired.absorb(&solution.fired);
        solution
    }
}

/// For each value, the region it is in; and whether something outside that region needs it.
fn homes(arena: &Arena<'_>, regions: &[Region], needed: &[Id]) -> (Vec<Option<usize>>, Vec<bool>) {
    let mut home = vec![None; arena.len()];
    for (number, region) in regions.iter().enumerate() {
        region.values.iter().for_each(|&id| home[usize::from(id)] = Some(number));
    }
    let mut is_needed = vec![false; arena.len()];
    needed.iter().for_each(|&id| is_needed[usize::from(id)] = true);
    for id in arena.ids() {
        for &operand in arena.operands(id) {
            is_needed[usize::from(operand)] |= home[usize::from(operand)] != home[usize::from(id)];
        }
    }
    (home, is_needed)
}

impl Placed {
    /// Writes what a needed value of this region is computed from, and the value.
    fn write(&mut self, id: Id, arena: &Arena<'_>, new: &mut Arena<'_>, places: &[Option<Id>]) -> Option<Id> {
        let member = self.members.binary_search(&id).ok()?;
        let root = self.solution.places[member]? as usize;
        let solution = self.solution.clone();
        let mut stack: SmallVec<[usize; 16]> = SmallVec::from_slice(&[root]);
        while let Some(&number) = stack.last() {
            if self.written[number].is_some() {
                stack.pop();
                continue;
            }
            let depth = stack.len();
            for &operand in solution.nodes[number].operands() {
                if self.written[operand as usize].is_none() {
                    stack.push(operand as usize);
                }
            }
            if stack.len() == depth {
                self.written[number] = self.write_node(&solution, number, arena, new, places);
                debug_assert!(self.written[number].is_some(), "a solution fits where its structure does");
                self.written[number]?;
            }
        }
        self.written[root]
    }

    fn write_node(
        &self,
        solution: &Solution,
        number: usize,
        arena: &Arena<'_>,
        new: &mut Arena<'_>,
        places: &[Option<Id>],
    ) -> Option<Id> {
        let node = &solution.nodes[number];
        match &node.term {
            SolvedTerm::Input(member) => places[usize::from(self.members[*member as usize])],
            SolvedTerm::Apply(op, operands) => {
                let mut children = Children::new();
                for &operand in operands {
                    children.push(self.written[operand as usize]?);
                }
                let made_by = match node.member {
                    Some(member) if node.made_by.is_empty() => &arena.node(self.members[member as usize]).made_by,
                    _ => &node.made_by,
                };
                new.add_made_by(Term::apply_to(op.clone(), &children), made_by)
            }
        }
    }
}
