//! Terms as formulas.

use egg::Id;
use gradc_ir::attr::{AttrSource, write_number};
use gradc_ir::{self as ir, DType, Op};
use rustc_hash::FxHashMap;

use super::closure::Closure;
use crate::term::Term;

/// How many operators a formula may have in which nothing is named.
const SHORT: usize = 24;

/// How tightly what is written holds together.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Tightness {
    Comparison,
    Sum,
    Product,
    Prefix,
    Call,
}

/// Writes terms. Those that have a name are called by it.
pub(super) struct Notation<'c, F> {
    closure: &'c Closure,
    name: F,
}

impl<'c, F: Fn(Id) -> Option<String>> Notation<'c, F> {
    pub(super) fn new(closure: &'c Closure, name: F) -> Notation<'c, F> {
        Notation { closure, name }
    }

    /// A term as a formula; where it is long, what occurs more than once is named after it.
    pub(super) fn show(&self, term: Id) -> String {
        let mut times: FxHashMap<Id, usize> = FxHashMap::default();
        let order = self.count(term, &mut times);
        let mut local: FxHashMap<Id, String> = FxHashMap::default();
        if self.size(term, &order) > SHORT {
            let shared = order.iter().filter(|id| **id != term && times[*id] > 1 && self.is_formula(**id));
            local.extend(shared.zip(letters()).map(|(&id, letter)| (id, letter)));
        }
        let mut text = self.write(term, &local, true).0;
        let mut defined: Vec<(&Id, &String)> = local.iter().collect();
        defined.sort_by_key(|(_, letter)| (letter.len(), letter.as_str()));
        for (number, (id, letter)) in defined.into_iter().enumerate() {
            let word = if number == 0 { " where " } else { ", " };
            text.push_str(&format!("{word}{letter} = {}", self.write(*id, &local, true).0));
        }
        text
    }

    /// The number that a term is: arithmetic on numbers is not written out.
    fn number(&self, id: Id) -> Option<f64> {
        self.closure.number(self.closure.literal_of(id)?)
    }

    fn is_named(&self, id: Id) -> bool {
        (self.name)(id).is_some() || self.number(id).is_some()
    }

    /// Whether something is gained by a name for a term.
    fn is_formula(&self, id: Id) -> bool {
        !self.is_named(id) && !self.closure.term(id).operands().is_empty()
    }

    /// How often each term is an operand of the others, which come in the order operands before users.
    fn count(&self, term: Id, times: &mut FxHashMap<Id, usize>) -> Vec<Id> {
        let mut order = Vec::new();
        let mut stack = vec![(term, false)];
        while let Some((id, done)) = stack.pop() {
            if done {
                order.push(id);
                continue;
            }
            let count = times.entry(id).or_default();
            *count += 1;
            if *count == 1 {
                stack.push((id, true));
                if !self.is_named(id) || id == term {
                    stack.extend(self.closure.term(id).operands().iter().rev().map(|&operand| (operand, false)));
                }
            }
        }
        order
    }

    /// The number of operators when everything is written out.
    fn size(&self, term: Id, order: &[Id]) -> usize {
        let mut sizes: FxHashMap<Id, usize> = FxHashMap::default();
        for &id in order {
            let below = |operands: &[Id]| {
                operands.iter().map(|x| sizes.get(x).copied().unwrap_or(0)).fold(1, usize::saturating_add)
            };
            let size = if self.is_named(id) && id != term { 0 } else { below(self.closure.term(id).operands()) };
            sizes.insert(id, size);
        }
        sizes.get(&term).copied().unwrap_or(0)
    }

    fn write(&self, id: Id, local: &FxHashMap<Id, String>, top: bool) -> (String, Tightness) {
        if let Some(number) = self.number(id) {
            let mut text = String::new();
            let _ = write_number(&mut text, number, self.closure.ty(id).dtype);
            let tightness = if number.is_sign_negative() { Tightness::Prefix } else { Tightness::Call };
            return (text, tightness);
        }
        if !top && let Some(name) = local.get(&id).cloned().or_else(|| (self.name)(id)) {
            return (name, Tightness::Call);
        }
        match self.closure.term(id) {
            Term::Leaf(number) => ((self.name)(id).unwrap_or_else(|| format!("x{number}")), Tightness::Call),
            Term::Apply(op, operands) => self.applied(op, operands, self.closure.ty(id).dtype, local),
        }
    }

    fn applied(&self, op: &Op, operands: &[Id], dtype: DType, local: &FxHashMap<Id, String>) -> (String, Tightness) {
        let mut operands: Vec<Id> = operands.to_vec();
        if op.def.algebra.commutative && operands.len() == 2 {
            let is_number = |id: Id| self.number(id).is_some();
            let multiplies = op.is(&ir::op::mul::MUL);
            if is_number(operands[0]) != is_number(operands[1]) && is_number(operands[0]) != multiplies {
                operands.reverse();
            }
        }
        let transposed = |position: usize| {
            let marks = |spec: &&ir::AttrSpec| spec.source == AttrSource::TransposeOf(position);
            op.def.attrs.iter().find(marks).is_some_and(|spec| op.attrs.bool(spec.name))
        };
        let written = |position: usize, at_least: Tightness| {
            let (text, tightness) = self.write(operands[position], local, false);
            let mark = if transposed(position) { "^T" } else { "" };
            let at_least = if mark.is_empty() { at_least } else { Tightness::Call };
            if tightness < at_least { format!("({text}){mark}") } else { format!("{text}{mark}") }
        };
        match op.def.notation {
            ir::Notation::Infix(symbol) => {
                let own = match symbol {
                    "+" | "-" => Tightness::Sum,
                    "*" | "/" | "@" => Tightness::Product,
                    _ => Tightness::Comparison,
                };
                // What is subtracted or divided by, and products of matrices, are not regrouped.
                let next = if own == Tightness::Sum { Tightness::Product } else { Tightness::Prefix };
                (format!("{} {symbol} {}", written(0, own), written(1, next)), own)
            }
            ir::Notation::Prefix(symbol) => (format!("{symbol}{}", written(0, Tightness::Prefix)), Tightness::Prefix),
            ir::Notation::Call => {
                let mut arguments: Vec<String> =
                    (0..operands.len()).map(|position| written(position, Tightness::Comparison)).collect();
                for (spec, (name, value)) in op.def.attrs.iter().zip(op.attrs.iter()) {
                    match spec.source {
                        AttrSource::Written => arguments.push(format!("{name}={}", attr(value, dtype))),
                        AttrSource::Positional => arguments.push(attr(value, dtype)),
                        _ => {}
                    }
                }
                (format!("{}({})", op.def.name, arguments.join(", ")), Tightness::Call)
            }
        }
    }
}

fn attr(value: &ir::Attr, dtype: DType) -> String {
    match value {
        ir::Attr::Float(number) => {
            let mut text = String::new();
            let _ = write_number(&mut text, number.get(), dtype);
            text
        }
        ir::Attr::Body(_) => "…".to_owned(),
        other => other.to_string(),
    }
}

/// Names for parts of a formula: a, b, …, then a1, b1, ….
fn letters() -> impl Iterator<Item = String> {
    (0..).flat_map(|round: usize| {
        ('a'..='z').map(move |letter| if round == 0 { letter.to_string() } else { format!("{letter}{round}") })
    })
}
