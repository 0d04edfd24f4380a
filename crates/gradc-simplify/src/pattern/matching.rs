//! Finding what a pattern matches.

use egg::Id;
use gradc_ir::op::broadcast::BROADCAST;
use smallvec::SmallVec;

use super::{Bindings, Pattern};
use crate::ops;
use crate::term::Term;
use crate::terms::Terms;

/// Every way in which one term matches, from the bindings so far.
pub(crate) fn match_term(terms: &dyn Terms, pattern: &Pattern, term: &Term, bindings: &Bindings) -> Vec<Bindings> {
    let mut found = Vec::new();
    extend_by_term(terms, pattern, term, bindings, &mut found);
    found
}

fn extend_by_class(terms: &dyn Terms, pattern: &Pattern, class: Id, bindings: &Bindings, found: &mut Vec<Bindings>) {
    match *pattern {
        Pattern::Variable(variable) => bind_value(terms, variable, class, bindings, found),
        Pattern::Constant(variable) if terms.facts(class).constant.is_some() => {
            bind_constant(terms, variable, class, bindings, found);
        }
        Pattern::Number(number) if is_number(terms, class, number) => found.push(bindings.clone()),
        Pattern::Constant(_) | Pattern::Number(_) => {}
        // What is a number is a number, not what it was computed from: `-0.5 * 1` is not a product to be taken apart.
        Pattern::Apply { .. } | Pattern::Spread { .. } if terms.facts(class).constant.is_some() => {}
        Pattern::Apply { .. } | Pattern::Spread { .. } => {
            for term in terms.terms(class) {
                extend_by_term(terms, pattern, term, bindings, found);
            }
        }
    }
}

fn extend_by_term(terms: &dyn Terms, pattern: &Pattern, term: &Term, bindings: &Bindings, found: &mut Vec<Bindings>) {
    match pattern {
        Pattern::Apply { def, attrs, operands } => {
            let Some((op, children)) = term.applies(def) else { return };
            if children.len() != operands.len() {
                return;
            }
            let Some(bindings) = bind_attrs(*attrs, || op.attrs.clone(), bindings) else { return };
            extend_by_operands(terms, operands, children, &bindings, found);
            let other_way: SmallVec<[Id; 3]> = children.iter().rev().copied().collect();
            if def.algebra.commutative && other_way[..] != *children {
                extend_by_operands(terms, operands, &other_way, &bindings, found);
            }
        }
        Pattern::Spread { axes, operand } => {
            let Some((op, children)) = term.applies(&BROADCAST) else { return };
            let new_axes = || ops::other_axes(op.attrs.ints("axes"), op.attrs.ints("shape").len());
            let Some(bindings) = bind_attrs(Some(*axes), || ops::axes_attr(&new_axes()), bindings) else { return };
            extend_by_class(terms, operand, children[0], &bindings, found);
        }
        Pattern::Variable(_) | Pattern::Constant(_) | Pattern::Number(_) => {
            unreachable!("the root of a rule is an application")
        }
    }
}

fn extend_by_operands(
    terms: &dyn Terms,
    patterns: &[Pattern],
    children: &[Id],
    bindings: &Bindings,
    found: &mut Vec<Bindings>,
) {
    let (Some((pattern, patterns)), Some((&child, children))) = (patterns.split_first(), children.split_first()) else {
        found.push(bindings.clone());
        return;
    };
    let mut extended = Vec::new();
    extend_by_class(terms, pattern, child, bindings, &mut extended);
    for bindings in &extended {
        extend_by_operands(terms, patterns, children, bindings, found);
    }
}

fn bind_value(terms: &dyn Terms, variable: usize, class: Id, bindings: &Bindings, found: &mut Vec<Bindings>) {
    match bindings.values[variable] {
        Some(bound) if terms.find(bound) != terms.find(class) => {}
        Some(_) => found.push(bindings.clone()),
        None => {
            let mut bindings = bindings.clone();
            bindings.values[variable] = Some(class);
            found.push(bindings);
        }
    }
}

/// Like a value, but numbers are the same whatever shape they fill.
fn bind_constant(terms: &dyn Terms, variable: usize, class: Id, bindings: &Bindings, found: &mut Vec<Bindings>) {
    let number = |class: Id| terms.facts(class).constant.map(f64::to_bits);
    match bindings.values[variable] {
        Some(bound) if number(bound) == number(class) => found.push(bindings.clone()),
        Some(_) => {}
        None => bind_value(terms, variable, class, bindings, found),
    }
}

fn bind_attrs(
    variable: Option<usize>,
    attrs: impl FnOnce() -> gradc_ir::Attrs,
    bindings: &Bindings,
) -> Option<Bindings> {
    let Some(variable) = variable else { return Some(bindings.clone()) };
    let attrs = attrs();
    match &bindings.attrs[variable] {
        Some(bound) => (*bound == attrs).then(|| bindings.clone()),
        None => {
            let mut bindings = bindings.clone();
            bindings.attrs[variable] = Some(attrs);
            Some(bindings)
        }
    }
}

/// Whether a class holds `number` everywhere, as its element type rounds it. Zero matches only the zero of its sign.
fn is_number(terms: &dyn Terms, class: Id, number: f64) -> bool {
    let facts = terms.facts(class);
    facts.constant.is_some_and(|constant| constant.to_bits() == facts.ty.dtype.round(number).to_bits())
}
