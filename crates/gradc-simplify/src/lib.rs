//! E-graph simplification of gradc graphs: rules, facts, cost and extraction.
//!
//! # How a graph is simplified
//!
//! 0. `loops`: each loop's body is simplified by itself, and what can leave the loop leaves it.
//! 1. `canonical`: the graph becomes hash-consed. Common subexpressions, constants, dead code and everything that a
//!    rule improves on the spot are gone after this.
//! 2. `region`: the graph is cut into blocks, layer by layer. Each goes through an e-graph (`egraph`) in which the
//!    rules ([`rules`]) find equal ways of computing its values; those of one structure only once.
//! 3. `extract`: for each region, the way that costs least (`cost`) is chosen, never one that costs more than before.
//! 4. `assemble`: the result is written as a graph that reads like the one it came from.
//!
//! All of this is one `run`. Where its result takes longer on a machine than what it was made from, there are others, in which
//! regions are held against what they were (`whole`).
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
mod whole;

use gradc_ir::Graph;
use rustc_hash::FxHashSet;

pub use options::{Level, Limits, Mode, Options};
pub use report::{Report, Tally};
pub use rules::{FpClass, Rule};

use rules::compiled::{Compiled, RuleSet, allowed};
use run::{Held, Made, Memory, Policy, Run, Start};

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
    simplify_recording(graph, options, false).simplified
}

/// [`simplify`], and if it is recorded, what was done.
fn simplify_recording(graph: &Graph, options: &Options, is_recording: bool) -> Made {
    let all = RuleSet::new(|compiled| allowed(compiled, options));
    let local = RuleSet::new(|compiled| allowed(compiled, options) && compiled.rule.local);
    let (policy, held) = (Policy::Cheapest, Held::Nothing);
    let run = Run { rules: &all, local: &local, policy, among: None, held, is_recording };
    match options.seconds {
        None => run.on(Start::of(graph), options, &mut Memory::default()),
        Some(seconds) if options.is_timed(graph) => whole::no_slower(graph, options, seconds, &run),
        Some(_) => Run { policy: Policy::NoSlower, ..run }.on(Start::of(graph), options, &mut Memory::default()),
    }
}

/// An equal graph in which formulas that overflow or lose digits are written so that they do not. Run before
/// differentiation: no later rule saves the derivative of an unstable formula. A block of the network without such a formula stays as
/// it is, but for what can be improved on the spot, and in strict mode only what can leave a loop does. The graph is taken as not
/// [differentiated](Options::differentiated), whatever the options say, and how long it takes is not looked at: that is for the
/// derivative to say.
pub fn stabilise(graph: &Graph, options: &Options) -> Simplified {
    stabilise_recording(graph, options, false).simplified
}

/// What [`stabilise`] makes of its options.
fn stabilising(options: &Options) -> Options {
    Options { differentiated: false, ..*options }
}

/// [`stabilise`], and if it is recorded, what was done.
fn stabilise_recording(graph: &Graph, options: &Options, is_recording: bool) -> Made {
    repair(graph, None, &stabilising(options), is_recording)
}

/// A graph with its flawed formulas replaced, those of all blocks or of some, and nothing else but what is improved on the spot.
fn repair(graph: &Graph, among: Option<&FxHashSet<u32>>, options: &Options, is_recording: bool) -> Made {
    // What keeps every bit brings formulas into the form that the stabilising rules know.
    let is_exact = |compiled: &Compiled| compiled.rule.class == FpClass::Strict;
    // In strict mode there is no other rule, and nothing to bring anything into a form for; but what can leave a loop does.
    let is_strict = options.mode == Mode::Strict;
    if is_strict && !graph.values().any(|value| graph.is_packed(value)) {
        return Made::unchanged(graph);
    }
    let is_local = |compiled: &Compiled| is_exact(compiled) && compiled.rule.local && !is_strict;
    let local = RuleSet::new(|compiled| allowed(compiled, options) && is_local(compiled));
    let stabilising =
        RuleSet::new(|compiled| allowed(compiled, options) && (compiled.rule.stabilises || is_exact(compiled)));
    let (policy, held) = (Policy::OnlyRepairs, Held::Nothing);
    let run = Run { rules: &stabilising, local: &local, policy, among, held, is_recording };
    run.on(Start::of(graph), options, &mut Memory::default())
}
