//! Improving a choice by one term at a time.
//!
//! What a needed class is best computed from was found class by class, each by what is cheapest for it alone: that a term could
//! share an operand with one that is chosen elsewhere was not seen. So in the end each chosen term is held against the other
//! terms of its class, where everything that is chosen already is free.

use super::{AVOIDED, Choice, Problem, ROUNDS};

/// How many classes below each other a term may bring in that were not chosen.
const DEPTH: usize = 2;

/// A choice with how often each class is used in it.
struct Counted {
    choice: Choice,
    uses: Vec<u32>,
}

impl Problem {
    /// A choice that costs no more.
    pub(super) fn exchanged(&self, start: Choice) -> Choice {
        let mut cost = self.cost(&start);
        let mut counted = self.counted(self.restricted(&start));
        for _ in 0..ROUNDS {
            let before = cost;
            for class in self.in_order(&counted.choice) {
                if counted.choice.0[class].is_some() && self.candidates[class].len() > 1 {
                    cost = self.exchange(class, &mut counted, cost);
                }
            }
            if cost == before {
                break;
            }
        }
        counted.choice
    }

    fn counted(&self, choice: Choice) -> Counted {
        let mut uses = vec![0; self.classes.len()];
        self.needed.iter().for_each(|needed| uses[needed.class] += 1);
        for class in self.in_order(&choice) {
            self.chosen(&choice, class).1.iter().for_each(|&operand| uses[operand] += 1);
        }
        Counted { choice, uses }
    }

    /// Takes other terms of a class where that costs less; the cost after it.
    fn exchange(&self, class: usize, counted: &mut Counted, mut cost: u64) -> u64 {
        for (number, candidate) in self.candidates[class].iter().enumerate() {
            let Some(own) = counted.choice.0[class].filter(|&own| own != number) else { continue };
            let spared = self.spared(class, own, counted);
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
            if new_cost < cost && self.keeps_limits(&choice) {
                (*counted, cost) = (self.counted(self.restricted(&choice)), new_cost);
            }
        }
        cost
    }

    /// What a chosen term costs with all that only it needs.
    fn spared(&self, class: usize, chosen: usize, counted: &Counted) -> u64 {
        let mut released: Vec<(usize, u32)> = Vec::new();
        let mut cost = self.candidates[class][chosen].cost;
        let mut stack: Vec<usize> = self.candidates[class][chosen].operands.clone();
        while let Some(operand) = stack.pop() {
            let known = released.iter_mut().find(|(known, _)| *known == operand);
            let times = match known {
                Some((_, times)) => {
                    *times += 1;
                    *times
                }
                None => {
                    released.push((operand, 1));
                    1
                }
            };
            if times == counted.uses[operand]
                && let Some(number) = counted.choice.0[operand]
            {
                cost = cost.saturating_add(self.candidates[operand][number].cost);
                stack.extend(&self.candidates[operand][number].operands);
            }
        }
        cost
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
    fn keeps_limits(&self, choice: &Choice) -> bool {
        let mut latest = vec![0; self.classes.len()];
        for class in self.in_order(choice) {
            let candidate = &self.candidates[class][choice.0[class].unwrap_or(0)];
            let below = candidate.operands.iter().map(|&operand| latest[operand]).max().unwrap_or(0);
            latest[class] = below.max(candidate.position);
        }
        self.needed.iter().all(|needed| latest[needed.class] < needed.limit)
    }
}
