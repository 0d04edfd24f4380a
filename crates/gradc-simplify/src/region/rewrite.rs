//! Rewriting a whole graph region by region.

use std::rc::Rc;

use egg::Id;
use rustc_hash::FxHashMap;

use super::{Region, Solution, SolvedTerm, Structure, partition, solve};
use crate::canonical::Arena;
use crate::options::{Limits, Mode};
use crate::report::Report;
use crate::rules::compiled::RuleSet;
use crate::term::Term;

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
}

/// Solutions by structure.
#[derive(Default)]
pub(crate) struct Solutions(FxHashMap<Structure, Rc<Solution>>);

/// A region where it is: its solution, the values that its nodes were, and those that its solved nodes are, once they are
/// written.
struct Placed {
    solution: Rc<Solution>,
    members: Vec<Id>,
    written: Vec<Option<Id>>,
}

/// Solves all regions and writes a new arena. `needed` are the values that must be there, `forward` says for each value
/// whether it belongs to the forward pass. Also gives for each value its place in the new arena, if it is still computed.
pub(crate) fn rewrite<'p>(
    arena: &Arena<'_>,
    needed: &[Id],
    forward: &[bool],
    pass: &Pass<'p>,
    solutions: &mut Solutions,
    report: &mut Report,
) -> (Arena<'p>, Vec<Option<Id>>) {
    let regions = partition(arena, forward, &pass.limits);
    let (home, is_needed) = homes(arena, &regions, needed);
    let mut placed: Vec<Placed> = Vec::with_capacity(regions.len());
    for region in &regions {
        let (structure, members) = Structure::of(arena, region, |id| is_needed[usize::from(id)]);
        let solution = solutions.solve(structure, pass, report);
        let written = vec![None; solution.nodes.len()];
        placed.push(Placed { solution, members, written });
    }
    let mut new = Arena::new(pass.local);
    let mut places: Vec<Option<Id>> = vec![None; arena.len()];
    for id in arena.ids() {
        let index = usize::from(id);
        let node = arena.node(id);
        new.near = node.near;
        places[index] = match (&node.term, home[index]) {
            (Term::Leaf(number), _) => Some(new.leaf(*number, node.facts.clone())),
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
    (new, places)
}

impl Solutions {
    fn solve(&mut self, structure: Structure, pass: &Pass<'_>, report: &mut Report) -> Rc<Solution> {
        report.regions += 1;
        let solution = match self.0.get(&structure) {
            Some(solution) => solution.clone(),
            None => {
                let solution = Rc::new(solve(&structure, pass.rules, pass.mode, &pass.limits));
                report.distinct_regions += 1;
                report.terms += solution.terms;
                self.0.insert(structure, solution.clone());
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
        let mut stack = vec![root];
        while let Some(&number) = stack.last() {
            let node = &solution.nodes[number];
            let missing = node.operands().iter().map(|&operand| operand as usize);
            let missing: Vec<usize> = missing.filter(|&operand| self.written[operand].is_none()).collect();
            if self.written[number].is_some() || missing.is_empty() {
                stack.pop();
                if self.written[number].is_none() {
                    self.written[number] = self.write_node(&solution, number, arena, new, places);
                    debug_assert!(self.written[number].is_some(), "a solution fits where its structure does");
                    self.written[number]?;
                }
            }
            stack.extend(missing);
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
                let operands: Option<Vec<Id>> = operands.iter().map(|&i| self.written[i as usize]).collect();
                let mut made_by = node.made_by.clone();
                if made_by.is_empty()
                    && let Some(member) = solution.places.iter().position(|&place| place == Some(number as u32))
                {
                    made_by.clone_from(&arena.node(self.members[member]).made_by);
                }
                new.add_made_by(Term::apply(op.clone(), operands?), &made_by)
            }
        }
    }
}
