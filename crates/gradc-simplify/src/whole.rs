//! Holding a whole graph against what it was, by the time that a machine takes.
//!
//! Hardly any graph takes longer when it is simplified. So before one does, regions are not looked at by themselves. Where one does,
//! some of its blocks are *held*: they are not improved on the spot, and get no solution that takes longer than what they were.
//! Those come first that lose most by themselves; all others are simplified as if nothing had happened, so that what one layer
//! loses changes that layer.
//!
//! What blocks take by themselves is not all: one block's kernels may be those of its neighbour, too. So where that is not enough,
//! blocks stay as they are, one after the other, those first that gain least, each where the whole takes less time by it; and at
//! last all of them.

use std::collections::BTreeMap;

use gradc_ir::{Graph, work};
use rustc_hash::FxHashMap;

use crate::options::{Mode, Options};
use crate::report::Report;
use crate::run::{Held, Made, Memory, Policy, Run, Start};
use crate::{Simplified, repair};

/// How many kinds of blocks are looked at, at most, to see whether they had better stay as they are.
const KINDS: usize = 48;

/// How many values are simplified for that, at most, all attempts together.
const VALUES: usize = 20_000;

/// Blocks and what becomes of them.
type Blocks = FxHashMap<u32, Policy>;

/// What a graph becomes, and takes no longer for than it did or, if it has flawed formulas, than without them.
pub(crate) fn no_slower(graph: &Graph, options: &Options, seconds: fn(&Graph, Mode) -> f64, run: &Run<'_>) -> Made {
    let time = |graph: &Graph| seconds(graph, options.mode);
    let mut memory = Memory::default();
    let found = run.on(Start::of(graph), options, &mut memory);
    let is_flawed = found.simplified.report.repaired > 0;
    let is_longer = !is_flawed && work(&found.simplified.graph).exceeds(work(graph));
    let taken = time(&found.simplified.graph);
    if !is_longer && taken <= time(graph) {
        return found;
    }
    // Mostly it is enough to repair what was seen to be flawed. The blocks of a loop's body are not among those of the graph.
    if is_flawed && !graph.values().any(|value| graph.is_packed(value)) {
        let right = repair(graph, Some(&found.flawed), options, false);
        if taken <= time(&right.simplified.graph) {
            return found;
        }
    }
    let right = if is_flawed { repair(graph, None, options, run.is_recording) } else { Made::unchanged(graph) };
    let bound = time(&right.simplified.graph);
    if !is_longer && taken <= bound {
        return found;
    }
    match (Search { right: &right, bound, options, seconds, run, memory }.run()) {
        Ok(second) => after(right, second),
        Err(report) => {
            let Report { regions, distinct_regions, terms, limited_regions, .. } = report;
            let Simplified { graph, report } = right.simplified;
            let kept_regions = regions;
            let report = Report { regions, distinct_regions, terms, limited_regions, kept_regions, ..report };
            Made { simplified: Simplified { graph, report }, ..right }
        }
    }
}

/// The search for the blocks to hold.
struct Search<'s> {
    /// The graph without flawed formulas.
    right: &'s Made,
    /// The time that it takes.
    bound: f64,
    options: &'s Options,
    seconds: fn(&Graph, Mode) -> f64,
    run: &'s Run<'s>,
    memory: Memory,
}

impl Search<'_> {
    /// What the graph becomes; or, where all that takes longer, what was seen on the way.
    fn run(mut self) -> Result<Made, Report> {
        let everything = self.holding(Held::Everything);
        let by_gain = alike(&everything.gains);
        let lose: Vec<&Vec<u32>> = by_gain.iter().filter(|(gain, _)| *gain < 0.0).map(|(_, blocks)| blocks).collect();
        let counts = std::iter::successors(Some(lose.len().min(1)), |count| (*count < lose.len()).then_some(count * 2));
        let mut held = Blocks::default();
        let mut least = f64::INFINITY;
        for count in counts {
            held.extend(lose.iter().take(count).copied().flatten().map(|&block| (block, Policy::NoSlower)));
            match self.attempt(Held::Blocks(&held)) {
                Ok(made) => return Ok(made),
                Err(time) => least = time,
            }
        }
        if self.fits(&everything, self.time(&everything)) {
            return Ok(everything);
        }
        let kinds = KINDS.min(VALUES / self.right.simplified.graph.len().max(1));
        for (_, blocks) in by_gain.iter().take(kinds) {
            let mut more = held.clone();
            more.extend(blocks.iter().map(|&block| (block, Policy::AsItIs)));
            match self.attempt(Held::Blocks(&more)) {
                Ok(made) => return Ok(made),
                Err(time) if time < least => (held, least) = (more, time),
                Err(_) => {}
            }
        }
        // Then all of them, which still computes nothing twice.
        let all: Blocks = everything.gains.iter().map(|&(block, _)| (block, Policy::AsItIs)).collect();
        self.attempt(Held::Blocks(&all)).map_err(|_| everything.simplified.report)
    }

    /// What the right graph becomes where something is held.
    fn holding(&mut self, held: Held<'_>) -> Made {
        let Simplified { graph, report } = &self.right.simplified;
        Run { held, ..*self.run }.on(Start { graph, made_by: &report.made_by }, self.options, &mut self.memory)
    }

    /// The same where that fits; or else the time that it takes.
    fn attempt(&mut self, held: Held<'_>) -> Result<Made, f64> {
        let made = self.holding(held);
        let time = self.time(&made);
        if self.fits(&made, time) { Ok(made) } else { Err(time) }
    }

    fn time(&self, made: &Made) -> f64 {
        (self.seconds)(&made.simplified.graph, self.options.mode)
    }

    /// Whether something that takes this time takes neither longer nor more work.
    fn fits(&self, made: &Made, time: f64) -> bool {
        time <= self.bound && !work(&made.simplified.graph).exceeds(work(&self.right.simplified.graph))
    }
}

/// Blocks by what they gain, the least first: those of one structure gain alike.
fn alike(gains: &[(u32, f64)]) -> Vec<(f64, Vec<u32>)> {
    // Ordered as the numbers are.
    let key = |gain: f64| {
        let bits = gain.to_bits() as i64;
        bits ^ ((bits >> 63) as u64 >> 1) as i64
    };
    let mut alike: BTreeMap<i64, (f64, Vec<u32>)> = BTreeMap::new();
    for &(block, gain) in gains {
        alike.entry(key(gain)).or_insert_with(|| (gain, Vec::new())).1.push(block);
    }
    alike.into_values().collect()
}

/// What was made of what `right` made.
fn after(right: Made, mut second: Made) -> Made {
    second.simplified.report.repaired += right.simplified.report.repaired;
    second.simplified.report.fired.absorb(&right.simplified.report.fired);
    second.trails = right.trails.into_iter().chain(second.trails).collect();
    second
}
