//! One run through the stages: from a graph to the graph that it becomes by a set of rules.

use std::cell::Cell;

use egg::Id;
use gradc_ir::{Graph, Role, ValueId};

use crate::assemble::assemble;
use crate::canonical::{self, Arena};
use crate::certificate::{Recorder, Trail};
use crate::loops;
use crate::region::{self, Pass, Solutions};
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

/// What was made of a graph, and if that was recorded, in which runs.
pub(crate) type Recorded = (Simplified, Vec<Trail>);

/// A graph as it is.
pub(crate) fn unchanged(graph: &Graph) -> Simplified {
    let report = Report { made_by: vec![Vec::new(); graph.len()], ..Report::default() };
    Simplified { graph: graph.clone(), report }
}

/// How a graph goes through the stages.
#[derive(Clone, Copy)]
pub(crate) struct Run<'r> {
    /// The rules.
    pub(crate) rules: &'r RuleSet,
    /// Those among them that improve on the spot.
    pub(crate) local: &'r RuleSet,
    /// Whether what is done is recorded.
    pub(crate) is_recording: bool,
}

impl Run<'_> {
    /// What a graph becomes.
    pub(crate) fn on(&self, start: Start<'_>, options: &Options) -> Recorded {
        let Start { graph, made_by } = start;
        if options.level == Level::None {
            return (unchanged(graph), Vec::new());
        }
        let Run { rules, local, is_recording } = *self;
        let mut trail = is_recording.then(|| Trail::new(graph));
        let mut report = Report::default();
        let repaired = Cell::new(0);
        let improved = loops::improve(graph, options.mode, &|body| {
            // Nobody checks what a step hands to the next.
            let options = Options { trust_indices: false, ..*options };
            let (found, _) = Run { is_recording: false, ..*self }.on(Start::of(body), &options);
            repaired.update(|repaired| repaired + found.report.repaired);
            found.graph
        });
        report.repaired = repaired.get();
        let recorder = Recorder::new(is_recording);
        let (graph, moved) = improved.as_ref().map_or((graph, None), |(improved, moved)| (improved, Some(moved)));
        let (mut arena, mut places) = canonical::import(graph, local, options, recorder.fresh());
        for (value, rules) in made_by.iter().enumerate().filter(|(_, rules)| !rules.is_empty()) {
            let value = moved.map_or(Some(ValueId::from_index(value)), |moved| moved[value]);
            if let Some(place) = value.and_then(|value| places[value.index()]) {
                arena.note_made_by(place, rules);
            }
        }
        let mut cost = total_cost(graph, &arena, &places);
        report.cost_before = cost;
        let Options { mode, limits, seconds, .. } = *options;
        let pass = Pass { local, rules, mode, limits, seconds, recorder };
        let mut solutions = Solutions::default();
        let passes = if options.level == Level::Full { limits.passes } else { 0 };
        for _ in 0..passes {
            let needed = results(graph, &places);
            let forward = forward(graph, &arena, &places);
            let rewritten = region::rewrite(&mut arena, &needed, &forward, &pass, &mut solutions, &mut report);
            let Some((new, moved, solved)) = rewritten else { break };
            if let Some(trail) = &mut trail {
                trail.pass(&mut arena, solved);
            }
            report.fired.absorb(&arena.tally);
            places.iter_mut().for_each(|place| *place = place.and_then(|id| moved[usize::from(id)]));
            arena = new;
            let before = std::mem::replace(&mut cost, total_cost(graph, &arena, &places));
            if cost >= before {
                break;
            }
        }
        report.fired.absorb(&arena.tally);
        report.cost_after = cost;
        report.distinct_applications = arena.take_table().distinct_applications();
        let (simplified, made_by) = assemble(graph, &arena, &places);
        report.made_by = made_by;
        if let Some(trail) = &mut trail {
            trail.end(&mut arena, improved);
        }
        debug_assert_eq!(gradc_ir::verify::verify(&simplified), Ok(()));
        (Simplified { graph: simplified, report }, trail.into_iter().collect())
    }
}

/// The values that are results.
fn results(graph: &Graph, places: &[Option<Id>]) -> Vec<Id> {
    graph.outputs().iter().filter_map(|output| places[output.value.index()]).collect()
}

/// The values that some result depends on that is not a derivative or an update.
fn forward(graph: &Graph, arena: &Arena<'_>, places: &[Option<Id>]) -> Vec<bool> {
    let is_forward = |role: Role| matches!(role, Role::Output | Role::Loss | Role::Metric);
    let roots = graph.outputs().iter().filter(|output| is_forward(output.role));
    below(arena, roots.filter_map(|output| places[output.value.index()]))
}

/// For each value, whether one of `roots` depends on it.
fn below(arena: &Arena<'_>, roots: impl Iterator<Item = Id>) -> Vec<bool> {
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
    let live = below(arena, results(graph, places).into_iter());
    let costs = arena.ids().filter(|&id| live[usize::from(id)]).map(|id| arena.node(id).cost);
    costs.fold(0, u64::saturating_add)
}
