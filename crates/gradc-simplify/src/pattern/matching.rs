//! Finding what a pattern matches: depth first, with one set of bindings that is changed and restored, so that looking for
//! what is not there costs no memory.

use egg::Id;
use gradc_ir::op::broadcast::BROADCAST;
use smallvec::SmallVec;

use super::{Bindings, Pattern, is_number};
use crate::ops;
use crate::term::Term;
use crate::terms::Terms;

/// The ways in which a term matches; mostly there is none, or one.
pub(crate) type Matches = SmallVec<[Bindings; 1]>;

/// Every way in which one term matches, from the bindings so far.
pub(crate) fn match_term(terms: &dyn Terms, pattern: &Pattern, term: &Term, bindings: Bindings) -> Matches {
    let mut matcher = Matcher { terms, bindings, found: Matches::new() };
    matcher.term(pattern, term, None);
    matcher.found
}

struct Matcher<'t> {
    terms: &'t dyn Terms,
    bindings: Bindings,
    found: Matches,
}

/// What is still to be matched.
#[derive(Clone, Copy)]
struct Rest<'p> {
    pattern: &'p Pattern,
    class: Id,
    then: Option<&'p Rest<'p>>,
}

impl Matcher<'_> {
    fn rest(&mut self, rest: Option<&Rest<'_>>) {
        let Some(&Rest { pattern, class, then }) = rest else {
            self.found.push(self.bindings.clone());
            return;
        };
        match *pattern {
            Pattern::Variable(variable) => self.value(variable, class, then),
            Pattern::Constant(variable) if self.terms.facts(class).constant.is_some() => {
                self.constant(variable, class, then);
            }
            Pattern::Number(number) if is_number(self.terms.facts(class), number) => self.rest(then),
            Pattern::Constant(_) | Pattern::Number(_) => {}
            // What is a number is a number, not what it was computed from: `-0.5 * 1` is not a product to be taken apart.
            Pattern::Apply { .. } | Pattern::Spread { .. } if self.terms.facts(class).constant.is_some() => {}
            Pattern::Apply { .. } | Pattern::Spread { .. } => {
                for term in self.terms.terms(class) {
                    self.term(pattern, term, then);
                }
            }
        }
    }

    fn term(&mut self, pattern: &Pattern, term: &Term, then: Option<&Rest<'_>>) {
        match pattern {
            Pattern::Apply { def, attrs, operands } => {
                let Some((op, children)) = term.applies(def) else { return };
                if children.len() != operands.len() {
                    return;
                }
                self.with_attrs(
                    *attrs,
                    || op.attrs.clone(),
                    |matcher| {
                        matcher.operands(operands, children, then);
                        if !def.algebra.commutative {
                            return;
                        }
                        let other_way: SmallVec<[Id; 3]> = children.iter().rev().copied().collect();
                        if other_way[..] != *children {
                            matcher.operands(operands, &other_way, then);
                        }
                    },
                );
            }
            Pattern::Spread { axes, operand } => {
                let Some((op, children)) = term.applies(&BROADCAST) else { return };
                let new_axes = || ops::other_axes(op.attrs.ints("axes"), op.attrs.ints("shape").len());
                self.with_attrs(
                    Some(*axes),
                    || ops::axes_attr(&new_axes()),
                    |matcher| {
                        matcher.rest(Some(&Rest { pattern: operand, class: children[0], then }));
                    },
                );
            }
            Pattern::Variable(_) | Pattern::Constant(_) | Pattern::Number(_) => {
                unreachable!("the root of a rule is an application")
            }
        }
    }

    /// Matches operands in order, then the rest.
    fn operands(&mut self, patterns: &[Pattern], children: &[Id], then: Option<&Rest<'_>>) {
        match (patterns.split_last(), children.split_last()) {
            (Some((pattern, patterns)), Some((&class, children))) => {
                self.operands(patterns, children, Some(&Rest { pattern, class, then }));
            }
            _ => self.rest(then),
        }
    }

    fn value(&mut self, variable: usize, class: Id, then: Option<&Rest<'_>>) {
        match self.bindings.values[variable] {
            Some(bound) if self.terms.find(bound) != self.terms.find(class) => {}
            Some(_) => self.rest(then),
            None => {
                self.bindings.values[variable] = Some(class);
                self.rest(then);
                self.bindings.values[variable] = None;
            }
        }
    }

    /// Like a value, but numbers are the same whatever shape they fill.
    fn constant(&mut self, variable: usize, class: Id, then: Option<&Rest<'_>>) {
        let number = |class: Id| self.terms.facts(class).constant.map(f64::to_bits);
        match self.bindings.values[variable] {
            Some(bound) if number(bound) == number(class) => self.rest(then),
            Some(_) => {}
            None => self.value(variable, class, then),
        }
    }

    /// Goes on where an attribute variable stands for these attributes, or can.
    fn with_attrs(
        &mut self,
        variable: Option<usize>,
        attrs: impl Fn() -> gradc_ir::Attrs,
        go_on: impl FnOnce(&mut Self),
    ) {
        let Some(variable) = variable else { return go_on(self) };
        match &self.bindings.attrs[variable] {
            Some(bound) if *bound != attrs() => {}
            Some(_) => go_on(self),
            None => {
                self.bindings.attrs[variable] = Some(attrs());
                go_on(self);
                self.bindings.attrs[variable] = None;
            }
        }
    }
}
