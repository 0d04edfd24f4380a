//! E-graph simplification of gradc graphs: rules, facts, cost and extraction.
//!
//! # How a graph is simplified
//!
//! 0. `loops`: each loop's body is simplified by itself, and what can leave the loop leaves it.
//! 1. `canonical`: the graph becomes hash-consed. Common subexpressions, constants, dead code and everything that a
//!    rule improves on the spot are gone after this.
//! 2. `region`: the graph is cut into parts of bounded size. Each goes through an e-graph (`egraph`) in which the
//!    rules ([`rules`]) find equal ways of computing its values; parts of one structure only once.
//! 3. `extract`: for each region, the way that costs least (`cost`) is chosen, never one that costs more than before.
//! 4. `assemble`: the result is written as a graph that reads like the one it came from.
//!
//! # What rules may do
//!
//! A rule has a class ([`FpClass`]) and is used in the modes ([`Mode`]) that allow it. All rules are in tables
//! ([`rules::table`]), and the tests sample both sides of each of them.
//!
//! # What this crate does not know
//!
//! The source language, differentiation, kernels. It is the only crate that uses egg. Nothing here depends on time, on
//! addresses or on the order of a hash map.

mod assemble;
mod canonical;
pub mod certificate;
mod cost;
mod egraph;
mod extract;
pub mod facts;
mod loops;
mod ops;
mod options;
mod pattern;
mod region;
mod report;
pub mod rules;
mod term;
mod terms;

use egg::Id;
use gradc_ir::{Graph, Role};

pub use options::{Level, Limits, Mode, Options};
pub use report::{Report, Tally};
pub use rules::{FpClass, Rule};

use certificate::{Recorder, Trail};
use region::{Pass, Solutions};
use rules::compiled::{Compiled, RuleSet, allowed};

/// A simplified graph and how it came about.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// The graph. It has the leaves and the results of the one it was made from.
    pub graph: Graph,
    /// What was done.
    pub report: Report,
}

/// An equal graph that costs less.
pub fn simplify(graph: &Graph, options: &Options) -> Simplified {
    simplify_recording(graph, options, None)
}

fn simplify_recording(graph: &Graph, options: &Options, trail: Option<&mut Trail>) -> Simplified {
    let local = RuleSet::new(|compiled| allowed(compiled, options) && compiled.rule.local);
    let all = RuleSet::new(|compiled| allowed(compiled, options));
    run(graph, options, &local, &all, trail)
}

/// An equal graph in which formulas that overflow or lose digits are written so that they do not. Run before
/// differentiation: no later rule saves the derivative of an unstable formula. Without effect in strict mode. The graph
/// is taken as not [differentiated](Options::differentiated), whatever the options say.
pub fn stabilise(graph: &Graph, options: &Options) -> Simplified {
    stabilise_recording(graph, options, None)
}

/// What [`stabilise`] makes of its options.
fn stabilising(options: &Options) -> Options {
    Options { differentiated: false, ..*options }
}

fn stabilise_recording(graph: &Graph, options: &Options, trail: Option<&mut Trail>) -> Simplified {
    let options = stabilising(options);
    // What keeps every bit brings formulas into the form that the stabilising rules know.
    let is_exact = |compiled: &Compiled| compiled.rule.class == FpClass::Strict;
    let local = RuleSet::new(|compiled| allowed(compiled, &options) && is_exact(compiled) && compiled.rule.local);
    let stabilising =
        RuleSet::new(|compiled| allowed(compiled, &options) && (compiled.rule.stabilises || is_exact(compiled)));
    run(graph, &options, &local, &stabilising, trail)
}

fn run(
    graph: &Graph,
    options: &Options,
    local: &RuleSet,
    rules: &RuleSet,
    mut trail: Option<&mut Trail>,
) -> Simplified {
    let mut report = Report::default();
    if options.level == Level::None {
        report.made_by = vec![Vec::new(); graph.len()];
        return Simplified { graph: graph.clone(), report };
    }
    let improved = loops::improve(graph, options.mode, &|body| {
        // Nobody checks what a step hands to the next.
        run(body, &Options { trust_indices: false, ..*options }, local, rules, None).graph
    });
    let recorder = Recorder::new(trail.is_some());
    let source = graph;
    let graph = improved.as_ref().map_or(graph, |(improved, _)| improved);
    let (mut arena, mut places) = canonical::import(graph, local, options, recorder.fresh());
    let mut cost = total_cost(graph, &arena, &places);
    report.cost_before = cost;
    let pass = Pass { local, rules, mode: options.mode, limits: options.limits, recorder };
    let mut solutions = Solutions::default();
    let passes = if options.level == Level::Full { options.limits.passes } else { 0 };
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
    let (simplified, made_by) = assemble::assemble(graph, &arena, &places);
    report.made_by = made_by;
    if let Some(trail) = trail {
        let improved = improved.unwrap_or_else(|| (source.clone(), source.values().map(Some).collect()));
        trail.end(&mut arena, improved);
    }
    debug_assert_eq!(gradc_ir::verify::verify(&simplified), Ok(()));
    Simplified { graph: simplified, report }
}

/// The values that are results.
fn results(graph: &Graph, places: &[Option<Id>]) -> Vec<Id> {
    graph.outputs().iter().filter_map(|output| places[output.value.index()]).collect()
}

/// The values that some result depends on that is not a derivative or an update.
fn forward(graph: &Graph, arena: &canonical::Arena<'_>, places: &[Option<Id>]) -> Vec<bool> {
    let is_forward = |role: Role| matches!(role, Role::Output | Role::Loss | Role::Metric);
    let roots = graph.outputs().iter().filter(|output| is_forward(output.role));
    below(arena, roots.filter_map(|output| places[output.value.index()]))
}

/// For each value, whether one of `roots` depends on it.
fn below(arena: &canonical::Arena<'_>, roots: impl Iterator<Item = Id>) -> Vec<bool> {
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
fn total_cost(graph: &Graph, arena: &canonical::Arena<'_>, places: &[Option<Id>]) -> u64 {
    let live = below(arena, results(graph, places).into_iter());
    let costs = arena.ids().filter(|&id| live[usize::from(id)]).map(|id| arena.node(id).cost);
    costs.fold(0, u64::saturating_add)
}
