//! Rules on two terms of a longer sum.
//!
//! With rules for associativity, a sum of seven terms has 127 classes. Instead, a sum is written out as a list, rules are
//! tried on each two of its terms, and what they make takes the place of the two.

use std::rc::Rc;

use egg::Id;
use gradc_ir::Op;
use gradc_ir::op::{add::ADD, neg::NEG, sub::SUB};

use crate::term::Term;
use crate::terms::Terms;

/// Sums are written out up to this many terms: the number of pairs grows with its square.
const LONGEST: usize = 8;

/// A term of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Addend {
    pub(crate) class: Id,
    pub(crate) negative: bool,
}

/// Two terms of a sum as a sum of their own.
pub(super) struct Pair {
    /// The sum or difference of the two. It need not be in the e-graph.
    pub(super) term: Term,
    /// Where the two are.
    pub(super) places: Places,
}

/// A sum as it was written out, in postfix notation: what each operator applies to stands before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Written<Addend> {
    /// A term that was not looked into.
    Addend(Addend),
    /// The sum of the last two.
    Add,
    /// The difference of the last two.
    Sub,
    /// The negative of the last.
    Neg,
}

/// Which two terms of a sum make a pair, by their numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places {
    /// One that is added, and that what a rule makes of the two takes the place of.
    kept: usize,
    /// The other.
    other: usize,
    /// Whether that is subtracted.
    is_other_negative: bool,
}

/// A term of a sum in which two terms have become one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// One of the others.
    Rest(Id),
    /// What became of the two, or what its last term is added to.
    Made,
    /// The last term of that.
    Last,
}

/// The sum that two terms are part of.
#[derive(Clone, Debug)]
pub(crate) struct Within {
    /// The number of the two among all pairs of it.
    pub(super) pair: usize,
    /// The sum.
    pub(super) sum: Term,
    /// How it was written out.
    pub(crate) written: Rc<[Written<Id>]>,
    /// Where the two are.
    pub(super) places: Places,
    /// What the rule made of the two, where that was taken apart again.
    pub(crate) last: Option<Last>,
}

/// A sum of at least three terms, written out.
pub(super) struct Sum {
    addends: Vec<Addend>,
    pub(super) written: Rc<[Written<Id>]>,
    /// The classes that were looked at.
    pub(super) visited: Vec<Id>,
}

impl Sum {
    /// How many terms there are.
    pub(super) fn len(&self) -> usize {
        self.addends.len()
    }
}

/// A sum written out, if it has at least three terms and not too many.
pub(super) fn written_out(terms: &dyn Terms, sum: &Term) -> Option<Sum> {
    let mut list = List::default();
    list.write_out(terms, sum, false, LONGEST);
    let List { addends, written, visited } = list;
    (3..=LONGEST).contains(&addends.len()).then(|| Sum { addends, written: written.into(), visited })
}

/// Each two terms of a sum.
pub(super) fn pairs(sum: &Sum) -> Vec<Pair> {
    let addends = &sum.addends;
    let mut pairs = Vec::new();
    for (i, first) in addends.iter().enumerate() {
        for (j, second) in addends.iter().enumerate().skip(i + 1) {
            let (op, kept, other) = match (first.negative, second.negative) {
                (false, false) => (ADD.op(), i, j),
                (false, true) => (SUB.op(), i, j),
                (true, false) => (SUB.op(), j, i),
                // Rules see sums; that of two negative terms is the negative of one.
                (true, true) => continue,
            };
            let term = Term::apply(op, [addends[kept].class, addends[other].class]);
            pairs.push(Pair { term, places: Places { kept, other, is_other_negative: addends[other].negative } });
        }
    }
    pairs
}

/// A sum that is being written out.
#[derive(Default)]
struct List {
    addends: Vec<Addend>,
    written: Vec<Written<Id>>,
    visited: Vec<Id>,
}

impl List {
    /// The terms of a sum from left to right, not looking deeper than `depth`.
    fn write_out(&mut self, terms: &dyn Terms, sum: &Term, negative: bool, depth: usize) {
        let is_difference = sum.applies(&SUB).is_some();
        // Twice the same is one thing, whatever it is the sum of.
        let depth = if sum.operands()[0] == sum.operands()[1] { 0 } else { depth };
        for (position, &class) in sum.operands().iter().enumerate() {
            self.write_out_class(terms, class, negative ^ (is_difference && position == 1), depth);
        }
        self.written.push(if is_difference { Written::Sub } else { Written::Add });
    }

    fn write_out_class(&mut self, terms: &dyn Terms, class: Id, negative: bool, depth: usize) {
        self.visited.push(terms.find(class));
        let negated = terms.terms(class).iter().find_map(|term| term.applies(&NEG)).map(|(_, operand)| operand[0]);
        let (class, negative) = (negated.unwrap_or(class), negative ^ negated.is_some());
        self.visited.extend(negated.map(|class| terms.find(class)));
        // A number is no sum of numbers: `1 - x` is not `0.5 + 0.5 - x`.
        let is_number = |&operand: &Id| terms.facts(operand).constant.is_some();
        let is_sum = |term: &&Term| {
            (term.applies(&ADD).is_some() || term.applies(&SUB).is_some()) && !term.operands().iter().all(is_number)
        };
        match terms.terms(class).iter().find(is_sum) {
            Some(sum) if depth > 0 && self.addends.len() < LONGEST => {
                self.write_out(terms, sum, negative, depth - 1);
            }
            _ => {
                let class = terms.find(class);
                self.addends.push(Addend { class, negative });
                self.written.push(Written::Addend(class));
            }
        }
        if negated.is_some() {
            self.written.push(Written::Neg);
        }
    }
}

/// The last term of a sum, and what it is added to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Last {
    pub(crate) before: Id,
    pub(crate) last: Addend,
}

/// What a rule made of two terms, as a sum that may be taken apart: one of its terms takes the place of each of the two.
pub(super) fn last_of(terms: &dyn Terms, made: Id, within: &Within) -> Option<Last> {
    let split = |term: &Term| match (term.applies(&ADD), term.applies(&SUB)) {
        (Some((_, &[before, last])), _) => Some(Last { before, last: Addend { class: last, negative: false } }),
        (_, Some((_, &[before, last]))) => Some(Last { before, last: Addend { class: last, negative: true } }),
        _ => None,
    };
    let fits = |last: &Last| last.last.negative == within.places.is_other_negative;
    terms.terms(made).iter().find_map(split).filter(fits)
}

impl Within {
    /// The sum where something has become of the two. What it is takes their place, and its last term, if it is taken apart, that of
    /// the other; nothing else is added in another order than it was. A small part of a loss, `(max(x, 0) - x * y) +
    /// log1p(exp(-|x|))`, is not to be swallowed by parts that cancel.
    pub(crate) fn rewritten(&self, is_apart: bool) -> Vec<Written<Part>> {
        let mut stack: Vec<Vec<Written<Part>>> = Vec::new();
        let mut number = 0;
        for part in &*self.written {
            // Nothing stands for what is no longer there.
            let whole = match part {
                Written::Addend(class) => {
                    let part = match number {
                        kept if kept == self.places.kept => Some(Part::Made),
                        other if other == self.places.other => is_apart.then_some(Part::Last),
                        _ => Some(Part::Rest(*class)),
                    };
                    number += 1;
                    part.into_iter().map(Written::Addend).collect()
                }
                Written::Neg => negated(stack.pop().unwrap_or_default()),
                Written::Add | Written::Sub => {
                    let (second, mut first) = (stack.pop().unwrap_or_default(), stack.pop().unwrap_or_default());
                    let is_difference = matches!(part, Written::Sub);
                    match (first.is_empty(), second.is_empty()) {
                        (_, true) => first,
                        (true, false) if is_difference => negated(second),
                        (true, false) => second,
                        (false, false) => {
                            first.extend(second);
                            first.push(if is_difference { Written::Sub } else { Written::Add });
                            first
                        }
                    }
                }
            };
            stack.push(whole);
        }
        stack.pop().unwrap_or_default()
    }
}

fn negated(mut whole: Vec<Written<Part>>) -> Vec<Written<Part>> {
    if !whole.is_empty() {
        whole.push(Written::Neg);
    }
    whole
}

/// A sum that is written out, whose terms are these.
pub(crate) fn read<A: Copy>(
    written: &[Written<A>],
    addend: impl Fn(A) -> Option<Id>,
    mut apply: impl FnMut(Op, &[Id]) -> Option<Id>,
) -> Option<Id> {
    let mut stack: Vec<Id> = Vec::new();
    for part in written {
        let (op, count) = match part {
            Written::Addend(part) => {
                stack.push(addend(*part)?);
                continue;
            }
            Written::Neg => (NEG.op(), 1),
            Written::Sub => (SUB.op(), 2),
            Written::Add => (ADD.op(), 2),
        };
        let operands = stack.split_off(stack.len().checked_sub(count)?);
        stack.push(apply(op, &operands)?);
    }
    stack.pop()
}

#[cfg(test)]
mod tests {
    use gradc_ir::{DType, TensorType};

    use super::*;
    use crate::certificate::Recorder;
    use crate::egraph::Classes;
    use crate::facts::Facts;

    /// Else the complement `1 - x` is also `(0.5 - x) + 0.5`, which loses the same digits and is not known to.
    #[test]
    fn numbers_are_not_taken_apart() {
        let ty = TensorType::new(DType::F32, [2]);
        let mut classes = Classes::new(vec![Facts::of_type(ty.clone())], Recorder::default());
        let x = classes.add(Term::Leaf(0)).expect("there is such a leaf");
        let half = classes.literal(0.5, &ty).expect("a float has this number");
        let one = classes.add(Term::apply(ADD.op(), [half, half])).expect("operands of one type fit");
        assert!(classes.terms(one).iter().any(|term| term.applies(&ADD).is_some()));
        assert!(written_out(&classes, &Term::apply(SUB.op(), [one, x])).is_none());
        let sum = classes.add(Term::apply(ADD.op(), [x, half])).expect("operands of one type fit");
        assert!(written_out(&classes, &Term::apply(SUB.op(), [one, sum])).is_some_and(|sum| sum.addends.len() == 3));
    }
}
