//! One run through the stages: from a graph to the graph that it becomes by a set of rules.

use std::cell::Cell;

use egg::Id;
use gradc_ir::{Graph, Role, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::assemble::assemble;
use crate::canonical::{self, Arena, Table};
use crate::certificate::{Recorder, Trail};
use crate::loops;
use crate::region::{self, Pass, Solutions, Spot};
use crate::rules::compiled::RuleSet;
use crate::{Level, Options, Report, Simplified};

/// A graph, and the rules that made its values, if any did.
#[derive(Clone, Copy)]
pub(crate) struct Start<'g> {
    /// The graph.
    pub(crate) graph: &'g Graph,
    /// For each value, the rules; or nothing at all.
    pub(crate) made_by: &'g [Vec<&'static str>],
}

impl Start<'_> {
    /// A graph that no rule has seen.
    pub(crate) fn of(graph: &Graph) -> Start<'_> {
        Start { graph, made_by: &[] }
    }
}

/// What was made of a graph.
pub(crate) struct Made {
    pub(crate) simplified: Simplified,
    /// If it was recorded, the runs in which it was made.
    pub(crate) trails: Vec<Trail>,
    /// For each block in which time had a say, how many seconds less is taken by itself for what was found, or more, if negative.
    pub(crate) gains: Vec<(u32, f64)>,
    /// The blocks that a stabilising rule has something to say about.
    pub(crate) flawed: FxHashSet<u32>,
}

impl Made {
    /// A graph as it is.
    pub(crate) fn unchanged(graph: &Graph) -> Made {
        let report = Report { made_by: vec![Vec::new(); graph.len()], ..Report::default() };
        let simplified = Simplified { graph: graph.clone(), report };
        Made { simplified, trails: Vec::new(), gains: Vec::new(), flawed: FxHashSet::default() }
    }
}

/// What becomes of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Policy {
    /// What costs least.
    Cheapest,
    /// What costs least, where that has fewer flawed formulas or a stabilising rule has made something of it; otherwise, it stays
    /// as it is.
    OnlyRepairs,
    /// What costs least, or as much of that as takes no longer.
    NoSlower,
    /// It stays as it is.
    AsItIs,
}

/// What is held: it is not improved on the spot, since that cannot be taken back, and its regions have a policy of their own.
#[derive(Clone, Copy)]
pub(crate) enum Held<'h> {
    /// Nothing.
    Nothing,
    /// Some blocks.
    Blocks(&'h FxHashMap<u32, Policy>),
    /// All of them, and none may take longer.
    Everything,
}

impl Held<'_> {
    /// The policy for a block, if that is held.
    pub(crate) fn policy(self, block: u32) -> Option<Policy> {
        match self {
            Held::Nothing => None,
            Held::Blocks(blocks) => blocks.get(&block).copied(),
            Held::Everything => Some(Policy::NoSlower),
        }
    }
}

/// What is known from runs before, by the same rules, improved on the spot or not.
#[derive(Default)]
pub(crate) struct Memory {
    table: Table,
    solutions: Solutions,
}

/// How a graph goes through the stages.
#[derive(Clone, Copy)]
pub(crate) struct Run<'r> {
    /// The rules.
    pub(crate) rules: &'r RuleSet,
    /// Those among them that improve on the spot.
    pub(crate) local: &'r RuleSet,
    /// What is held.
    pub(crate) held: Held<'r>,
    /// What becomes of the regions of what is not held.
    pub(crate) policy: Policy,
    /// The blocks that this is for, if not for all: the others stay as they are, but for what is improved on the spot.
    pub(crate) among: Option<&'r FxHashSet<u32>>,
    /// Whether what is done is recorded.
    pub(crate) is_recording: bool,
}

impl Run<'_> {
    /// What a graph becomes.
    pub(crate) fn on(&self, start: Start<'_>, options: &Options, memory: &mut Memory) -> Made {
        let Start { graph, made_by } = start;
        if options.level == Level::None {
            return Made::unchanged(graph);
        }
        let Run { rules, local, policy, among, held, is_recording } = *self;
        let mut trail = is_recording.then(|| Trail::new(graph));
        let mut report = Report::default();
        let repaired = Cell::new(0);
        let improved = loops::improve(graph, options.mode, &|body| {
            // Blocks are those of the graph around it.
            let held = if let Held::Blocks(_) = held { Held::Nothing } else { held };
            // Nobody checks what a step hands to the next.
            let options = Options { trust_indices: false, ..*options };
            let run = Run { held, among: None, is_recording: false, ..*self };
            let found = run.on(Start::of(body), &options, &mut Memory::default()).simplified;
            repaired.update(|repaired| repaired + found.report.repaired);
            found.graph
        });
        report.repaired = repaired.get();
        let recorder = Recorder::new(is_recording);
        let (graph, moved) = improved.as_ref().map_or((graph, None), |(improved, moved)| (improved, Some(moved)));
        let mut spots = region::spots(graph);
        if let Some(moved) = moved {
            name_by_source(&mut spots, moved);
        }
        let Memory { table, solutions } = memory;
        let is_held = |value: ValueId| held.policy(spots[value.index()].block).is_some();
        let (mut arena, mut places) =
            canonical::import(graph, local, options, is_held, (std::mem::take(table), recorder.fresh()));
        for (value, rules) in made_by.iter().enumerate().filter(|(_, rules)| !rules.is_empty()) {
            let value = moved.map_or(Some(ValueId::from_index(value)), |moved| moved[value]);
            if let Some(place) = value.and_then(|value| places[value.index()]) {
                arena.note_made_by(place, rules);
            }
        }
        report.cost_before = total_cost(graph, &arena, &places);
        let Options { mode, limits, seconds, .. } = *options;
        solutions.begin();
        let pass = Pass { local, rules, mode, limits, spots: &spots, policy, among, held, seconds, recorder };
        let (mut gains, mut flawed) = (None, FxHashSet::default());
        let passes = if options.level == Level::Full { limits.passes } else { 0 };
        for _ in 0..passes {
            let results = Results::of(graph, &places);
            let rewritten = region::rewrite(&mut arena, &results, &pass, solutions, &mut report);
            // Against what the regions were to begin with.
            gains.get_or_insert(std::mem::take(&mut solutions.gains));
            flawed.extend(solutions.flawed.drain());
            let Some((new, moved, solved)) = rewritten else { break };
            if let Some(trail) = &mut trail {
                trail.pass(&mut arena, solved);
            }
            report.fired.absorb(&arena.tally);
            places.iter_mut().for_each(|place| *place = place.and_then(|id| moved[usize::from(id)]));
            arena = new;
        }
        report.fired.absorb(&arena.tally);
        report.cost_after = total_cost(graph, &arena, &places);
        *table = arena.take_table();
        report.distinct_applications = table.distinct_applications();
        let (simplified, made_by) = assemble(graph, &arena, &places);
        report.made_by = made_by;
        if let Some(trail) = &mut trail {
            trail.end(&mut arena, improved);
        }
        debug_assert_eq!(gradc_ir::verify::verify(&simplified), Ok(()));
        let simplified = Simplified { graph: simplified, report };
        Made { simplified, trails: trail.into_iter().collect(), gains: gains.unwrap_or_default(), flawed }
    }
}

/// Calls blocks of a graph in which loops are improved by values of the graph that it was made from, where it has them: what comes
/// before a loop depends on what becomes of the loop. `moved` says where the values of that graph are now.
fn name_by_source(spots: &mut [Spot], moved: &[Option<ValueId>]) {
    let mut names: Vec<u32> = (0..spots.len()).map(|value| (moved.len() + value) as u32).collect();
    for (source, value) in moved.iter().enumerate().rev() {
        if let Some(value) = value {
            names[value.index()] = source as u32;
        }
    }
    for spot in spots {
        // None for what is in no block.
        spot.block = names.get(spot.block as usize).copied().unwrap_or(spot.block);
    }
}

/// The values that are results.
pub(crate) struct Results {
    /// All of them.
    pub(crate) all: Vec<Id>,
    /// Those that the program asks for, and that are no derivatives.
    pub(crate) forward: Vec<Id>,
}

impl Results {
    fn of(graph: &Graph, places: &[Option<Id>]) -> Results {
        let of = |is_wanted: fn(Role) -> bool| {
            let outputs = graph.outputs().iter().filter(|output| is_wanted(output.role));
            outputs.filter_map(|output| places[output.value.index()]).collect()
        };
        Results { all: of(|_| true), forward: of(|role| matches!(role, Role::Output | Role::Loss | Role::Metric)) }
    }
}

/// For each value, whether one of `roots` depends on it.
pub(crate) fn below(arena: &Arena<'_>, roots: impl Iterator<Item = Id>) -> Vec<bool> {
    let mut below = vec![false; arena.len()];
    roots.for_each(|id| below[usize::from(id)] = true);
    for id in arena.ids().rev() {
        if below[usize::from(id)] {
            arena.operands(id).iter().for_each(|&operand| below[usize::from(operand)] = true);
        }
    }
    below
}

/// What all results together cost.
fn total_cost(graph: &Graph, arena: &Arena<'_>, places: &[Option<Id>]) -> u64 {
    let live = below(arena, Results::of(graph, places).all.into_iter());
    let costs = arena.ids().filter(|&id| live[usize::from(id)]).map(|id| arena.node(id).cost);
    costs.fold(0, u64::saturating_add)
}
