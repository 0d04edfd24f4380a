//! Where the threads wait for one another, and how steps are cut so that they seldom do.
//!
//! The steps of a plan are done in *supersteps* (Valiant, "A bridging model for parallel computation", 1990): each part of a
//! superstep is the parts of several steps with one number, one after another, and only when all of it is done the next one
//! begins. That is right where no part reads or writes what a part of another number writes, in the same step or in any other one
//! of the superstep: then whoever does a part finds what it would find if all threads waited after each step. It is proved
//! from what each part touches, whatever buffer of the arena it may be in; the order of the steps does not matter for it.
//!
//! Where batches go through layer after layer, the rows of each product are those of the products before it, so that a thread reads
//! what it has just written itself. Where gradients are added up over rows, it is columns. So a step is not cut where it alone
//! would be done soonest: it is cut as the steps before it are, as long as that takes no longer than to wait would.

use std::ops::Range;

use gradc_schedule::plan::{Buffer, BufferId, Location, Plan, ScanSlot, Step};

use super::region::Region;
use super::touched::Touched;
use super::ways::{self, BEGIN, StepParts, Way, Ways};
use super::{MULTIPLICATIONS, STEP, Shares};
use crate::options::Sharing;

/// What it takes to wait for the other threads, in multiplications: a microsecond, with what is lost where one of them is late.
const WAIT: u64 = 100_000;

/// The most steps of a superstep: to prove that one more can be part of it takes the longer the more there are.
const MOST_STEPS: usize = 64;

/// Steps that are done in parts, between two of which the threads wait for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superstep {
    /// Which steps.
    pub(crate) steps: Range<usize>,
    /// Into how many parts they are cut, at the most.
    pub(crate) parts: usize,
}

/// On what terms a plan is shared out.
#[derive(Clone, Copy)]
pub(super) struct Terms<'t> {
    pub(super) threads: usize,
    pub(super) sharing: Sharing,
    /// How often it is run in a row: more than once, if it is the body of a loop.
    pub(super) rounds: usize,
    /// Slots of its interface that are the same in all rounds.
    pub(super) lasting: &'t [bool],
}

/// Shares out a plan whose kernels may be run in these ways, in the order of [`Plan::all_kernels`].
pub(super) fn share(plan: &Plan, kernels: &[Ways], terms: Terms<'_>) -> Shares {
    let (own, mut rest) = kernels.split_at(plan.kernels.len());
    let mut bodies = Vec::with_capacity(plan.bodies.len());
    for (number, body) in plan.bodies.iter().enumerate() {
        let (its, others) = rest.split_at(body.all_kernels().len());
        let (rounds, lasting) = rounds(plan, number);
        bodies.push(share(body, its, Terms { rounds, lasting: &lasting, ..terms }));
        rest = others;
    }
    let is_at_hand = |buffer: BufferId| match plan.buffers[buffer.0 as usize].location {
        Location::Slot(slot) => terms.lasting.get(slot.0 as usize).copied().unwrap_or(false),
        Location::Arena(_) => false,
    };
    let of_step = |step: &Step| ways::of_step(plan, step, own, terms.threads, is_at_hand);
    let is_alone = terms.threads < 2;
    let ways = if is_alone { Vec::new() } else { plan.steps.iter().map(of_step).collect() };
    let search = Search { plan, ways, terms };
    let mut steps: Vec<StepParts> = plan.steps.iter().map(ways::whole).collect();
    let mut supersteps = Vec::new();
    let mut start = 0;
    while start < plan.steps.len() {
        // Other runs begin after the prologue.
        let limit = if start < plan.prologue.steps { plan.prologue.steps } else { plan.steps.len() };
        let end = if let Step::Scan(scan) = &plan.steps[start] {
            steps[start] = StepParts::Loop { count: parts_of_rounds(&plan.bodies[scan.body], &bodies[scan.body]) };
            start + 1
        } else if is_alone {
            let is_loop = |step: &usize| matches!(plan.steps[*step], Step::Scan(_));
            (start..limit).find(is_loop).unwrap_or(limit)
        } else {
            let chain = search.chain(start..limit);
            let end = start + chain.ways.len();
            if search.is_worth_while(&chain) {
                let chosen =
                    chain.ways.iter().zip(&search.ways[start..end]).map(|(&way, ways)| ways[way].parts.clone());
                steps.splice(start..end, chosen);
            }
            end
        };
        let parts = steps[start..end].iter().map(StepParts::count).max().unwrap_or(1);
        supersteps.push(Superstep { steps: start..end, parts });
        start = end;
    }
    Shares { steps, supersteps, bodies }
}

/// How often a body is run in a row at least, and which of its slots are the same in all rounds.
fn rounds(plan: &Plan, body: usize) -> (usize, Vec<bool>) {
    let scans = plan.steps.iter().filter_map(|step| if let Step::Scan(scan) = step { Some(scan) } else { None });
    let mut lasting = vec![true; plan.bodies[body].interface.len()];
    let mut rounds = usize::MAX;
    for scan in scans.filter(|scan| scan.body == body) {
        rounds = rounds.min(scan.length);
        for (lasts, slot) in lasting.iter_mut().zip(&scan.slots) {
            *lasts &= matches!(slot, ScanSlot::Whole(_));
        }
    }
    (rounds, lasting)
}

/// In how many parts all rounds of a loop are done, without waiting between them: several, where its body is one superstep.
/// A part of one round then touches nothing that another part writes in this one, and so in no other round: they have their carries and
/// their arena in common, and parts of sequences that differ.
fn parts_of_rounds(body: &Plan, shares: &Shares) -> usize {
    match shares.supersteps.as_slice() {
        [only] if body.bodies.is_empty() => only.parts,
        _ => 1,
    }
}

/// Steps that follow one another in one superstep.
struct Chain {
    /// The way of each.
    ways: Vec<usize>,
    /// How much longer they take than if each were done in its best way and nobody waited.
    lost: u64,
    /// How much longer they would take if one thread did them.
    gained: i128,
}

struct Search<'p> {
    plan: &'p Plan,
    /// The ways of each step; none, where it is a loop.
    ways: Vec<Vec<Way>>,
    terms: Terms<'p>,
}

impl Search<'_> {
    /// The ways of a step that come into question, and what the best of them costs.
    fn ways(&self, step: usize) -> (Range<usize>, u64) {
        let ways = &self.ways[step];
        let first = usize::from(self.terms.sharing == Sharing::Everything && ways.len() > 1);
        (first..ways.len(), ways[first..].iter().map(|way| way.cost).min().unwrap_or(0))
    }

    /// How much more than the best way another one may cost.
    fn margin(&self) -> u64 {
        if self.terms.sharing == Sharing::Everything { u64::MAX } else { WAIT }
    }

    /// The chain from the first of these steps on that loses least for each of its steps.
    fn chain(&self, steps: Range<usize>) -> Chain {
        let (ways, best) = self.ways(steps.start);
        let cost = |way: usize| self.ways[steps.start][way].cost;
        let near = ways.filter(|&way| cost(way) <= best.saturating_add(self.margin()));
        let chains = near.map(|way| self.chain_from(steps.clone(), way));
        let less = |a: Chain, b: Chain| {
            let (lost_by_a, lost_by_b) =
                (u128::from(a.lost) * b.ways.len() as u128, u128::from(b.lost) * a.ways.len() as u128);
            if lost_by_b < lost_by_a { b } else { a }
        };
        chains.reduce(less).unwrap_or_else(|| unreachable!("gradc has a bug: a step cannot be done"))
    }

    /// The chain from the first of these steps on, which is done in a way: each further step in the cheapest way that fits, until there is none, or to
    /// wait would be cheaper.
    fn chain_from(&self, steps: Range<usize>, first: usize) -> Chain {
        let start = steps.start;
        let mut memory = Memory { plan: self.plan, places: Vec::new() };
        let mut chain = Chain { ways: Vec::new(), lost: 0, gained: 0 };
        for step in start..steps.end.min(start + MOST_STEPS) {
            let (candidates, best) = self.ways(step);
            let all = &self.ways[step];
            let candidates = if step == start { first..first + 1 } else { candidates };
            let mut candidates: Vec<usize> = candidates.collect();
            // What one thread does alone has more in common with what the others do.
            candidates.sort_by_key(|&way| all[way].cost + if way == 0 { BEGIN } else { 0 });
            let most = best.saturating_add(self.margin());
            let fits = |&way: &usize| all[way].cost <= most && memory.admits(&all[way]);
            let Some(way) = candidates.into_iter().find(fits) else { break };
            memory.add(&all[way]);
            chain.ways.push(way);
            chain.lost = chain.lost.saturating_add(all[way].cost - best);
            chain.gained += i128::from(all[0].cost) - i128::from(all[way].cost);
        }
        let is_whole_loop = self.terms.rounds > 1 && self.is_whole(&chain);
        if self.is_cut(&chain) && !is_whole_loop {
            chain.lost = chain.lost.saturating_add(WAIT);
        }
        chain
    }

    /// Whether a chain is all that is done in each round.
    fn is_whole(&self, chain: &Chain) -> bool {
        self.plan.prologue.steps + chain.ways.len() == self.ways.len()
    }

    fn is_cut(&self, chain: &Chain) -> bool {
        chain.ways.iter().any(|&way| way > 0)
    }

    /// Whether a chain is done in parts at all.
    fn is_worth_while(&self, chain: &Chain) -> bool {
        let rounds = if self.is_whole(chain) { self.terms.rounds } else { 1 };
        let least = i128::from(STEP * MULTIPLICATIONS / 2);
        let is_worth =
            self.terms.sharing == Sharing::Everything || chain.gained.saturating_mul(rounds as i128) >= least;
        self.is_cut(chain) && is_worth
    }
}

/// What the parts of the steps of a chain touch.
struct Memory<'p> {
    plan: &'p Plan,
    places: Vec<Place>,
}

/// A buffer.
struct Place {
    buffer: BufferId,
    /// The arena, or a slot.
    space: Option<u32>,
    /// The bytes of that, from the first to behind the last.
    bytes: Range<i64>,
    /// Which part touches which bytes, and whether it writes them.
    touched: Vec<(usize, Region, bool)>,
}

impl Memory<'_> {
    fn locate(&self, buffer: BufferId) -> (Option<u32>, Range<i64>) {
        let Buffer { ty, location, .. } = &self.plan.buffers[buffer.0 as usize];
        let (space, start) = match *location {
            Location::Arena(offset) => (None, offset as i64),
            Location::Slot(slot) => (Some(slot.0), 0),
        };
        (space, start..start.saturating_add(ty.bytes() as i64))
    }

    /// Whether no part of a step touches what another part of the chain writes, nor writes what it touches.
    fn admits(&self, way: &Way) -> bool {
        way.touched
            .iter()
            .enumerate()
            .all(|(part, touched)| touched.iter().all(|touched| self.admits_touch(part, touched)))
    }

    fn admits_touch(&self, part: usize, touched: &Touched<BufferId>) -> bool {
        let (space, bytes) = self.locate(touched.buffer);
        let near =
            |place: &&Place| place.space == space && place.bytes.start < bytes.end && bytes.start < place.bytes.end;
        let region = touched.region.moved(bytes.start);
        self.places.iter().filter(near).flat_map(|place| &place.touched).all(|(other, others, is_written)| {
            *other == part || !(*is_written || touched.written) || others.is_apart_from(&region)
        })
    }

    fn add(&mut self, way: &Way) {
        for (part, touched) in
            way.touched.iter().enumerate().flat_map(|(part, touched)| touched.iter().map(move |t| (part, t)))
        {
            let (space, bytes) = self.locate(touched.buffer);
            let entry = (part, touched.region.moved(bytes.start), touched.written);
            match self.places.iter_mut().find(|place| place.buffer == touched.buffer) {
                Some(place) if place.touched.contains(&entry) => {}
                Some(place) => place.touched.push(entry),
                None => self.places.push(Place { buffer: touched.buffer, space, bytes, touched: vec![entry] }),
            }
        }
    }
}
