//! Rules on two terms of a longer sum.
//!
//! With rules for associativity, a sum of seven terms has 127 classes. Instead, a sum is written out as a list, rules are
//! tried on each two of its terms, and what they make takes the place of the two.

use egg::Id;
use gradc_ir::op::{add::ADD, neg::NEG, sub::SUB};

use crate::term::Term;
use crate::terms::Terms;

/// Sums are written out up to this many terms: the number of pairs grows with its square.
const LONGEST: usize = 8;

/// A term of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Addend {
    class: Id,
    negative: bool,
}

/// Two terms of a sum as a sum of their own, and the others.
pub(super) struct Pair {
    /// The sum or difference of the two. It need not be in the e-graph.
    pub(super) term: Term,
    /// What is added to it.
    pub(super) rest: Vec<Addend>,
}

/// Each two terms of a sum of at least three.
pub(super) fn pairs(terms: &dyn Terms, sum: &Term) -> Vec<Pair> {
    let mut addends = Vec::new();
    if sum.applies(&ADD).is_some() || sum.applies(&SUB).is_some() {
        write_out(terms, sum, false, LONGEST, &mut addends);
    }
    if !(3..=LONGEST).contains(&addends.len()) {
        return Vec::new();
    }
    let mut pairs = Vec::new();
    for (i, first) in addends.iter().enumerate() {
        for (j, second) in addends.iter().enumerate().skip(i + 1) {
            let term = match (first.negative, second.negative) {
                (false, false) => Term::apply(ADD.op(), [first.class, second.class]),
                (false, true) => Term::apply(SUB.op(), [first.class, second.class]),
                (true, false) => Term::apply(SUB.op(), [second.class, first.class]),
                // Rules see sums; that of two negative terms is the negative of one.
                (true, true) => continue,
            };
            let others = (0..addends.len()).filter(|&k| k != i && k != j);
            pairs.push(Pair { term, rest: others.map(|k| addends[k]).collect() });
        }
    }
    pairs
}

/// The terms of a sum from left to right, not looking deeper than `depth`.
fn write_out(terms: &dyn Terms, sum: &Term, negative: bool, depth: usize, addends: &mut Vec<Addend>) {
    let is_difference = sum.applies(&SUB).is_some();
    // Twice the same is one thing, whatever it is the sum of.
    let depth = if sum.operands()[0] == sum.operands()[1] { 0 } else { depth };
    for (position, &class) in sum.operands().iter().enumerate() {
        let negative = negative ^ (is_difference && position == 1);
        write_out_class(terms, class, negative, depth, addends);
    }
}

fn write_out_class(terms: &dyn Terms, class: Id, mut negative: bool, depth: usize, addends: &mut Vec<Addend>) {
    let mut class = class;
    if let Some((_, operand)) = terms.terms(class).iter().find_map(|term| term.applies(&NEG)) {
        class = operand[0];
        negative = !negative;
    }
    let is_sum = |term: &&Term| term.applies(&ADD).is_some() || term.applies(&SUB).is_some();
    match terms.terms(class).iter().find(is_sum) {
        Some(sum) if depth > 0 && addends.len() < LONGEST => write_out(terms, sum, negative, depth - 1, addends),
        _ => addends.push(Addend { class: terms.find(class), negative }),
    }
}

/// `first` and the terms of `rest`, added up.
pub(super) fn total(terms: &mut dyn Terms, first: Id, rest: &[Addend]) -> Option<Id> {
    rest.iter().try_fold(first, |sum, addend| {
        let op = if addend.negative { SUB.op() } else { ADD.op() };
        terms.apply(op, &[sum, addend.class])
    })
}
