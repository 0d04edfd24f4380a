//! Holding a choice against the region as it was by the time that a machine takes.
//!
//! The search goes by what each value costs by itself. How long a machine takes depends on more: which values are computed in
//! the same loops, what has to be in memory in between, how many kernels are begun. A model of time that knows all of that
//! ([`Options::seconds`](crate::Options::seconds)) sees a whole graph and is too slow to search by. So it has the last word: a
//! choice that takes longer than the region as it was gives terms back, users before what they use, each where that gains time;
//! and if it still takes longer, the region stays as it was.
//!
//! A flawed formula is no alternative, whatever time it takes. The region as it was is the one with the flawed formulas
//! exchanged that the search has exchanged, and nothing else.

use gradc_ir::op::{custom::CUSTOM, result::RESULT, scan::SCAN};
use gradc_ir::{Graph, Op, Role, TensorType, ValueId};

use super::{AVOIDED, Choice, Problem, Visit};
use crate::egraph::Classes;
use crate::options::Mode;
use crate::term::Term;
use crate::terms::Terms;

/// How many ways are compared for a region, at most.
const COMPARISONS: usize = 32;

/// Times that differ by a smaller share are the same.
const ROUNDING: f64 = 1e-9;

/// What a model of time needs to know of a region.
pub(crate) struct Clock<'c> {
    pub(crate) seconds: fn(&Graph, Mode) -> f64,
    pub(crate) mode: Mode,
    pub(crate) classes: &'c Classes,
}

/// A choice that was compared with the region as it was.
pub(crate) struct Compared {
    /// What is left of it.
    pub(crate) choice: Choice,
    /// Whether that is nothing.
    pub(crate) is_kept: bool,
    /// How many seconds less it takes as a whole than the region as it was, or more, if negative.
    pub(crate) gained: f64,
}

impl Compared {
    /// A choice that was not: it stays.
    pub(crate) fn not(choice: Choice) -> Compared {
        Compared { choice, is_kept: false, gained: 0.0 }
    }
}

impl Problem {
    /// What was found, or as much of it as takes no longer than the region as it was.
    pub(crate) fn no_slower(&self, found: Choice, clock: &Clock<'_>) -> Compared {
        let right = self.with_fewer_flaws(Choice(self.as_was.clone()));
        if found == right || self.cost(&right) / AVOIDED > self.cost(&found) / AVOIDED {
            return Compared::not(found);
        }
        let (Some(bound), Some(mut time)) = (self.seconds(&right, clock), self.seconds(&found, clock)) else {
            return Compared::not(found);
        };
        let gained = bound - time;
        let (bound, most) = (bound * (1.0 + ROUNDING), self.cost(&right));
        let mut choice = found;
        let mut comparisons = 0;
        let mut gains = true;
        while time > bound && std::mem::take(&mut gains) {
            for class in self.in_order(&choice).into_iter().rev() {
                if time <= bound || comparisons >= COMPARISONS {
                    break;
                }
                for back in [self.given_back(class, &choice, &right), self.all_given_back(class, &choice, &right)] {
                    let Some(back) = back.filter(|back| self.cost(back) <= most && *back != choice) else { continue };
                    comparisons += 1;
                    let shorter = self.seconds(&back, clock).filter(|&shorter| shorter < time * (1.0 - ROUNDING));
                    if let Some(shorter) = shorter {
                        (choice, time, gains) = (back, shorter, true);
                        break;
                    }
                }
            }
        }
        match time <= bound {
            true => Compared { choice, is_kept: false, gained },
            false => Compared { choice: right, is_kept: true, gained },
        }
    }

    /// A choice in which a class is computed as in `right`, from what is chosen already as far as it is.
    fn given_back(&self, class: usize, choice: &Choice, right: &Choice) -> Option<Choice> {
        let (own, other) = (choice.0[class]?, right.0[class]?);
        if own == other {
            return None;
        }
        let mut back = choice.clone();
        back.0[class] = Some(other);
        let mut missing = self.candidates[class][other].operands.clone();
        while let Some(operand) = missing.pop() {
            if back.0[operand].is_none() {
                back.0[operand] = Some(right.0[operand]?);
                missing.extend(self.chosen(&back, operand).1);
            }
        }
        self.is_possible(&back).then(|| self.restricted(&back))
    }

    /// A choice in which a class and all that it depends on are computed as in `right`.
    fn all_given_back(&self, class: usize, choice: &Choice, right: &Choice) -> Option<Choice> {
        right.0[class]?;
        let (mut back, mut below) = (choice.clone(), Vec::new());
        self.visit(right, class, &mut vec![Visit::New; self.classes.len()], &mut below);
        below.into_iter().for_each(|class| back.0[class] = right.0[class]);
        self.is_possible(&back).then(|| self.restricted(&back))
    }

    /// Whether a choice is complete, has no cycle and no input that comes too late.
    fn is_possible(&self, choice: &Choice) -> bool {
        self.cost(choice) != u64::MAX && self.keeps_limits(choice)
    }

    /// The time that a choice takes; `None` where it cannot be taken by itself.
    fn seconds(&self, choice: &Choice, clock: &Clock<'_>) -> Option<f64> {
        self.graph(choice, clock.classes).map(|graph| (clock.seconds)(&graph, clock.mode))
    }

    /// The graph of a choice; `None` where it hands over a loop, of which only the results are values.
    fn graph(&self, choice: &Choice, classes: &Classes) -> Option<Graph> {
        let mut graph = Graph::new("region");
        let mut values: Vec<Option<ValueId>> = vec![None; self.classes.len()];
        for class in self.in_order(choice) {
            let ty: TensorType = classes.facts(self.class(class)).ty.clone();
            let (term, operands) = self.chosen(choice, class);
            let value = match term {
                Term::Leaf(number) => graph.input(format!("x{number}"), ty),
                Term::Apply(op, _) => {
                    let operands: Option<Vec<ValueId>> = operands.iter().map(|&operand| values[operand]).collect();
                    let operands = operands?;
                    if op.is(&RESULT) && graph.leaf(operands[0]).is_some() {
                        return None;
                    }
                    graph.emit_typed(op.clone(), &operands, ty)
                }
            };
            values[class] = Some(value);
        }
        for (number, needed) in self.needed.iter().enumerate() {
            let is_packed = |op: &Op| op.is(&SCAN) || op.is(&CUSTOM);
            if self.chosen(choice, needed.class).0.op().is_some_and(is_packed) {
                return None;
            }
            graph.add_output(Role::Output, format!("y{number}"), values[needed.class]?);
        }
        Some(graph)
    }
}
