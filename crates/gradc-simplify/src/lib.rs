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
//! All of this is one `run`. Where its result takes longer on a machine than what it was made from, there is another one, in
//! which regions are held against what they were.
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
mod run;
mod term;
mod terms;

use gradc_ir::{Graph, work};

pub use options::{Level, Limits, Mode, Options};
pub use report::{Report, Tally};
pub use rules::{FpClass, Rule};

use rules::compiled::{Compiled, RuleSet, allowed};
use run::{Recorded, Run, Start, unchanged};

/// A simplified graph and how it came about.
#[derive(Clone, Debug)]
pub struct Simplified {
    /// The graph. It has the leaves and the results of the one it was made from.
    pub graph: Graph,
    /// What was done.
    pub report: Report,
}

/// An equal graph that costs less: less arithmetic, by no more operations. By the model of time, if there is one
/// ([`Options::seconds`]), it takes no longer either: than the graph, or if that has flawed formulas, than the graph without
/// them. Of a graph of more than [`Limits::timed_values`] that is asked of each region by itself.
pub fn simplify(graph: &Graph, options: &Options) -> Simplified {
    simplify_recording(graph, options, false).0
}

/// [`simplify`], and if it is recorded, what was done.
fn simplify_recording(graph: &Graph, options: &Options, is_recording: bool) -> Recorded {
    let all = RuleSet::new(|compiled| allowed(compiled, options));
    let local = RuleSet::new(|compiled| allowed(compiled, options) && compiled.rule.local);
    let run = Run { rules: &all, local: &local, is_recording };
    let start = Start::of(graph);
    let Some(seconds) = options.seconds.filter(|_| options.is_timed(graph)) else {
        return run.on(start, options);
    };
    let time = |graph: &Graph| seconds(graph, options.mode);
    // Hardly any graph takes longer when it is simplified. So before one does, regions are not looked at by themselves.
    let found = run.on(start, &Options { seconds: None, ..*options });
    let is_flawed = found.0.report.repaired > 0;
    let is_longer = !is_flawed && work(&found.0.graph).exceeds(work(graph));
    let taken = time(&found.0.graph);
    if !is_longer && taken <= time(graph) {
        return found;
    }
    let right = if is_flawed { repair(graph, options, is_recording) } else { (unchanged(graph), Vec::new()) };
    let bound = time(&right.0.graph);
    if !is_longer && taken <= bound {
        return found;
    }
    // What is improved on the spot cannot be given back, so nothing is.
    let none = RuleSet::new(|_| false);
    let start = Start { graph: &right.0.graph, made_by: &right.0.report.made_by };
    let (mut second, trail) = Run { local: &none, ..run }.on(start, options);
    if time(&second.graph) > bound || work(&second.graph).exceeds(work(&right.0.graph)) {
        let Report { regions, distinct_regions, terms, limited_regions, .. } = second.report;
        let (graph, trails) = (right.0.graph, right.1);
        let kept_regions = regions;
        let report = Report { regions, distinct_regions, terms, limited_regions, kept_regions, ..right.0.report };
        return (Simplified { graph, report }, trails);
    }
    second.report.repaired += right.0.report.repaired;
    second.report.fired.absorb(&right.0.report.fired);
    (second, right.1.into_iter().chain(trail).collect())
}

/// An equal graph in which formulas that overflow or lose digits are written so that they do not. Run before
/// differentiation: no later rule saves the derivative of an unstable formula. What keeps every bit is simplified as well, and in
/// strict mode nothing else is done. The graph is taken as not [differentiated](Options::differentiated), whatever the options say,
/// and how long it takes is not looked at: that is for the derivative to say.
pub fn stabilise(graph: &Graph, options: &Options) -> Simplified {
    stabilise_recording(graph, options, false).0
}

/// What [`stabilise`] makes of its options.
fn stabilising(options: &Options) -> Options {
    Options { differentiated: false, ..*options }
}

/// [`stabilise`], and if it is recorded, what was done.
fn stabilise_recording(graph: &Graph, options: &Options, is_recording: bool) -> Recorded {
    repair(graph, &stabilising(options), is_recording)
}

/// A graph with its flawed formulas replaced.
fn repair(graph: &Graph, options: &Options, is_recording: bool) -> Recorded {
    // What keeps every bit brings formulas into the form that the stabilising rules know.
    let is_exact = |compiled: &Compiled| compiled.rule.class == FpClass::Strict;
    let local = RuleSet::new(|compiled| allowed(compiled, options) && is_exact(compiled) && compiled.rule.local);
    let stabilising =
        RuleSet::new(|compiled| allowed(compiled, options) && (compiled.rule.stabilises || is_exact(compiled)));
    let run = Run { rules: &stabilising, local: &local, is_recording };
    run.on(Start::of(graph), &Options { seconds: None, ..*options })
}
