//! Rewriting a whole graph region by region.

use std::rc::Rc;

use egg::Id;
use gradc_ir::Graph;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{Homes, Key, Keys, Solution, SolvedTerm, Spot, Structure, Uses, partition, solve};
use crate::canonical::Arena;
use crate::certificate::Recorder;
use crate::options::{Limits, Mode};
use crate::report::Report;
use crate::rules::compiled::RuleSet;
use crate::run::{Held, Policy, Results, below};
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
    /// For each value of the source graph, where in the network it is.
    pub(crate) spots: &'p [Spot],
    /// What becomes of regions.
    pub(crate) policy: Policy,
    /// The blocks that this is for, if not for all: others stay as they are.
    pub(crate) among: Option<&'p FxHashSet<u32>>,
    /// The blocks that are held.
    pub(crate) held: Held<'p>,
    /// How long a graph takes.
    pub(crate) seconds: Option<fn(&Graph, Mode) -> f64>,
    /// Whether what is done is recorded.
    pub(crate) recorder: Recorder,
}

impl Pass<'_> {
    /// What becomes of the regions of a block.
    fn policy_for(&self, block: u32) -> Policy {
        let is_among = self.among.is_none_or(|blocks| blocks.contains(&block));
        self.held.policy(block).unwrap_or(if is_among { self.policy } else { Policy::AsItIs })
    }
}

/// A region that was solved: the solution, and the values that the nodes of its structure are.
pub(crate) struct Used {
    pub(crate) solution: Rc<Solution>,
    pub(crate) members: Vec<Id>,
}

/// Solutions by structure, for arenas of one table.
#[derive(Default)]
pub(crate) struct Solutions {
    known: FxHashMap<(Key, Policy), Rc<Solution>>,
    /// Those that this run has used, by their addresses.
    used: FxHashSet<*const Solution>,
    /// For each region that time had a say in, its block, and how many seconds less was taken for what was found, or more, if
    /// negative.
    pub(crate) gains: Vec<(u32, f64)>,
    /// The blocks that a stabilising rule has something to say about.
    pub(crate) flawed: FxHashSet<u32>,
}

/// A region where it is: its solution, the values that its nodes were, and those that its solved nodes are, once they are
/// written.
struct Placed {
    is_held: bool,
    solution: Rc<Solution>,
    members: Vec<Id>,
    written: Vec<Option<Id>>,
}

/// Solves all regions and writes a new arena. `results` are the values that must be there. Also gives for each value its place in
/// the new arena, if it is still computed, and where that is recorded, the regions. `None` where no region has a better way than its
/// own: then the new arena would be the old one, which keeps its table.
pub(crate) fn rewrite<'p>(
    arena: &mut Arena<'_>,
    results: &Results,
    pass: &Pass<'p>,
    solutions: &mut Solutions,
    report: &mut Report,
) -> Option<(Arena<'p>, Vec<Option<Id>>, Vec<Used>)> {
    let (regions, homes) = partition(arena, pass.spots, &pass.limits);
    let is_forward = below(arena, results.forward.iter().copied());
    let uses = Uses { is_needed: needed_outside(arena, &homes, &results.all), is_forward };
    let mut keys = Keys::new(arena);
    let mut placed: Vec<Placed> = Vec::with_capacity(regions.len());
    let mut used = Vec::new();
    for (number, region) in regions.iter().enumerate() {
        let (key, members) = keys.key(arena, number, region, &homes, &uses);
        let structure = || Structure::of(arena, region, &members, &uses);
        let block = region.block;
        let policy = pass.policy_for(block);
        let solution = solutions.solve((key, policy), structure, pass, report);
        if policy == Policy::NoSlower {
            solutions.gains.push((block, solution.gained));
        }
        if solution.is_flawed {
            solutions.flawed.insert(block);
        }
        let written = vec![None; solution.nodes.len()];
        if pass.recorder.is_recording() {
            used.push(Used { solution: solution.clone(), members: members.clone() });
        }
        placed.push(Placed { is_held: pass.held.policy(block).is_some(), solution, members, written });
    }
    if placed.iter().all(|region| region.solution.is_unchanged) {
        return None;
    }
    let mut new = Arena::with_table(pass.local, arena.take_table(), arena.len(), pass.recorder.fresh());
    let mut places: Vec<Option<Id>> = vec![None; arena.len()];
    // For each value, whether it and all that it depends on stay as they are.
    let mut is_image = vec![false; arena.len()];
    for id in arena.ids() {
        let index = usize::from(id);
        let node = arena.node(id);
        new.near = node.near;
        let region = homes.of(id);
        let stays = region.is_none_or(|region| placed[region].solution.is_unchanged);
        is_image[index] = stays && arena.operands(id).iter().all(|&operand| is_image[usize::from(operand)]);
        places[index] = match region {
            None => Some(new.add_image(node, &[], arena.made_by(id))),
            Some(region) if uses.is_needed[index] => {
                new.is_held = placed[region].is_held;
                placed[region].write(id, &Before { arena, places: &places, is_image: &is_image }, &mut new)
            }
            Some(_) => None,
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
    Some((new, places, used))
}

impl Solutions {
    /// A run begins.
    pub(crate) fn begin(&mut self) {
        self.used.clear();
    }

    fn solve(
        &mut self,
        (key, policy): (Key, Policy),
        structure: impl FnOnce() -> Structure,
        pass: &Pass<'_>,
        report: &mut Report,
    ) -> Rc<Solution> {
        report.regions += 1;
        let solution = self.known.entry((key, policy)).or_insert_with(|| Rc::new(solve(structure(), policy, pass)));
        let solution = solution.clone();
        if self.used.insert(Rc::as_ptr(&solution)) {
            report.distinct_regions += 1;
            report.terms += solution.terms;
        }
        report.limited_regions += usize::from(solution.limited);
        report.kept_regions += usize::from(solution.is_kept);
        report.repaired += solution.repaired;
        report.fired.absorb(&solution.fired);
        solution
    }
}

/// For each value, whether something outside its region needs it.
fn needed_outside(arena: &Arena<'_>, homes: &Homes, needed: &[Id]) -> Vec<bool> {
    let mut is_needed = vec![false; arena.len()];
    needed.iter().for_each(|&id| is_needed[usize::from(id)] = true);
    for id in arena.ids() {
        for &operand in arena.operands(id) {
            is_needed[usize::from(operand)] |= !homes.are_together(operand, id);
        }
    }
    is_needed
}

/// The graph that is written anew, as far as it is.
struct Before<'b, 'r> {
    arena: &'b Arena<'r>,
    /// For each value that is written already, where it is now.
    places: &'b [Option<Id>],
    /// For each value, whether it and all that it depends on stay as they are.
    is_image: &'b [bool],
}

impl Placed {
    /// Writes what a needed value of this region is computed from, and the value.
    fn write(&mut self, id: Id, before: &Before<'_, '_>, new: &mut Arena<'_>) -> Option<Id> {
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
                self.written[number] = self.write_node(&solution, number, before, new);
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
        before: &Before<'_, '_>,
        new: &mut Arena<'_>,
    ) -> Option<Id> {
        let node = &solution.nodes[number];
        match &node.term {
            SolvedTerm::Input(member) => before.places[usize::from(self.members[*member as usize])],
            SolvedTerm::Apply(op, operands) => {
                let mut children = Children::new();
                for &operand in operands {
                    children.push(self.written[operand as usize]?);
                }
                let member = node.member.map(|member| self.members[member as usize]);
                let made_by = match member {
                    Some(member) if node.made_by.is_empty() => before.arena.made_by(member),
                    _ => &node.made_by,
                };
                match member.filter(|&member| before.is_image[usize::from(member)]) {
                    Some(member) => Some(new.add_image(before.arena.node(member), &children, made_by)),
                    None => new.add_made_by(Term::apply_to(op.clone(), &children), made_by),
                }
            }
        }
    }
}
