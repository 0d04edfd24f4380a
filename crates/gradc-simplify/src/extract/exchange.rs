//! Improving a choice by one term at a time.
//!
//! What a needed class is best computed from was found class by class, each by what is cheapest for it alone: that a term could
//! share an operand with one that is chosen elsewhere was not seen. So in the end each chosen term is held against the other
//! terms of its class, where everything that is chosen already is free.

use super::counted::Counted;
use super::{AVOIDED, Candidate, Choice, Problem, ROUNDS};

/// How many classes below each other a term may bring in that were not chosen.
const DEPTH: usize = 2;

impl Problem {
    /// A choice that costs no more.
    pub(super) fn exchanged(&self, start: Choice) -> Choice {
        self.exchanged_for(start, 1)
    }

    /// A choice that has fewer flawed terms, if there is one, and is otherwise the same.
    pub(super) fn with_fewer_flaws(&self, start: Choice) -> Choice {
        self.exchanged_for(start, AVOIDED / 2)
    }

    /// A choice in which each exchanged term gains `least`.
    fn exchanged_for(&self, start: Choice, least: u64) -> Choice {
        let mut cost = self.cost(&start);
        let mut counted = Counted::new(self, self.restricted(&start));
        for _ in 0..ROUNDS {
            let before = cost;
            if cost < least {
                break;
            }
            for class in self.in_order(&counted.choice) {
                if counted.choice.0[class].is_some() && self.candidates[class].len() > 1 {
                    cost = self.exchange(class, &mut counted, cost, least);
                }
            }
            if cost == before {
                break;
            }
        }
        counted.choice
    }

    /// Takes other terms of a class where that gains `least`; the cost after it.
    fn exchange(&self, class: usize, counted: &mut Counted, mut cost: u64, least: u64) -> u64 {
        let Some(mut own) = counted.choice.0[class] else { return cost };
        let mut spared = self.spared(class, own, counted);
        for (number, candidate) in self.candidates[class].iter().enumerate() {
            if number == own || candidate.cost.saturating_add(least) > spared {
                continue;
            }
            let mut added = Vec::new();
            let price = self.completed(&candidate.operands, DEPTH, &counted.choice, &mut added);
            let is_worth_it = price.is_some_and(|price| price.saturating_add(candidate.cost) < spared);
            if !is_worth_it || added.iter().any(|&(brought, _)| brought == class) {
                continue;
            }
            let mut choice = counted.choice.clone();
            choice.0[class] = Some(number);
            added.into_iter().for_each(|(brought, number)| choice.0[brought] = Some(number));
            // Also where it would depend on itself, or on an input that comes too late.
            let new_cost = self.cost(&choice);
            if new_cost < cost && cost - new_cost >= least && self.keeps_limits(&choice) {
                (*counted, cost) = (Counted::new(self, self.restricted(&choice)), new_cost);
                (own, spared) = (number, self.spared(class, number, counted));
            }
        }
        cost
    }

    /// What a chosen term costs with all that only it needs.
    fn spared(&self, class: usize, chosen: usize, counted: &Counted) -> u64 {
        let Candidate { operands, cost, .. } = &self.candidates[class][chosen];
        self.total_cost(&counted.choice, &counted.released(self, operands)).saturating_add(*cost)
    }

    /// What it costs to compute some classes where all that is chosen is free, if that brings in no more than `depth` classes
    /// below each other; these are added to `added` with their terms.
    fn completed(
        &self,
        classes: &[usize],
        depth: usize,
        choice: &Choice,
        added: &mut Vec<(usize, usize)>,
    ) -> Option<u64> {
        let mut total = 0u64;
        for &class in classes {
            if choice.0[class].is_some() || added.iter().any(|&(known, _)| known == class) {
                continue;
            }
            if depth == 0 {
                return None;
            }
            let mark = added.len();
            let mut best: Option<(u64, Vec<(usize, usize)>)> = None;
            for (number, candidate) in self.candidates[class].iter().enumerate() {
                if candidate.cost >= best.as_ref().map_or(AVOIDED, |best| best.0) {
                    continue;
                }
                let below = self.completed(&candidate.operands, depth - 1, choice, added);
                let brought = added.split_off(mark);
                let Some(cost) = below.map(|below| below.saturating_add(candidate.cost)) else { continue };
                if best.as_ref().is_none_or(|best| cost < best.0) {
                    best = Some((cost, brought.into_iter().chain([(class, number)]).collect()));
                }
            }
            let (cost, brought) = best?;
            total = total.saturating_add(cost);
            added.extend(brought);
        }
        Some(total)
    }

    /// Whether every needed class depends only on inputs before its limit.
    pub(super) fn keeps_limits(&self, choice: &Choice) -> bool {
        let mut latest = vec![0; self.classes.len()];
        for class in self.in_order(choice) {
            let candidate = &self.candidates[class][choice.0[class].unwrap_or(0)];
            let below = candidate.operands.iter().map(|&operand| latest[operand]).max().unwrap_or(0);
            latest[class] = below.max(candidate.position);
        }
        self.needed.iter().all(|needed| latest[needed.class] < needed.limit)
    }
}
