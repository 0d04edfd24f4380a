//! A value and its negative. There are several ways of writing a negative, and each value is written in one of them: that of
//! `x - y` is `y - x`, that of `2 * x` is `-2 * x`, and that of anything else is `-x`.

use egg::Id;
use gradc_ir::OpDef;
use gradc_ir::op::{mul::MUL, neg::NEG, sub::SUB};
use smallvec::SmallVec;

use crate::terms::Terms;

/// The operands of the applications of an operator in a class.
fn applications<'t>(terms: &'t dyn Terms, class: Id, def: &'static OpDef) -> impl Iterator<Item = &'t [Id]> {
    terms.terms(class).iter().filter_map(move |term| term.applies(def)).map(|(_, operands)| operands)
}

/// A product with a number: the number and the other factor.
fn multiples(terms: &dyn Terms, class: Id) -> SmallVec<[(f64, Id); 2]> {
    let multiple = |operands: &[Id]| {
        let of = |number: Id, other: Id| terms.facts(number).constant.map(|number| (number, terms.find(other)));
        of(operands[0], operands[1]).or_else(|| of(operands[1], operands[0]))
    };
    applications(terms, class, &MUL).filter_map(multiple).collect()
}

/// Whether one value is written as the negative of the other.
pub(super) fn are_opposite(terms: &dyn Terms, x: Id, y: Id) -> bool {
    let same = |a: Id, b: Id| terms.find(a) == terms.find(b);
    let negates = |y: Id, x: Id| applications(terms, y, &NEG).any(|operands| same(operands[0], x));
    let is_turned =
        |own: &[Id]| applications(terms, y, &SUB).any(|other| same(own[0], other[1]) && same(own[1], other[0]));
    negates(y, x) || negates(x, y) || applications(terms, x, &SUB).any(is_turned) || {
        let others = multiples(terms, y);
        multiples(terms, x).iter().any(|&(c, z)| others.contains(&(-c, z)))
    }
}

/// A value, or the negative of one: whichever way round a difference and a multiple are written, `value` is the same.
pub(super) struct Signed {
    pub(super) value: Id,
    pub(super) negative: bool,
}

/// What `z` is, or is the negative of.
pub(super) fn signed(terms: &mut dyn Terms, z: Id) -> Option<Signed> {
    if let Some(&[value]) = applications(terms, z, &NEG).next() {
        return Some(Signed { value, negative: true });
    }
    let turned = applications(terms, z, &SUB).next().map(|operands| (operands[1], operands[0]));
    if let Some((subtrahend, minuend)) =
        turned.filter(|&(subtrahend, minuend)| terms.find(subtrahend) < terms.find(minuend))
    {
        let value = terms.apply(SUB.op(), &[subtrahend, minuend])?;
        return Some(Signed { value, negative: true });
    }
    if let Some(&(factor, other)) = multiples(terms, z).first().filter(|(factor, _)| *factor < 0.0) {
        let ty = terms.facts(z).ty.clone();
        let positive = terms.literal(-factor, &ty)?;
        let value = terms.apply(MUL.op(), &[positive, other])?;
        return Some(Signed { value, negative: true });
    }
    Some(Signed { value: z, negative: false })
}
