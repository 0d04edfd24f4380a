//! Patterns: the two sides of a rule, written as formulas.
//!
//! - `x`, `y1`: any value. The same name twice is the same value.
//! - `#c`: a number, the same everywhere; on the right it takes the shape of its surroundings.
//! - `1`, `0.5`: that number; it too has the shape of its surroundings.
//! - `exp(x)`, `x * y`, `x > y`: operators as the IR's text form writes them.
//! - `sum[A](x)`: an operator with attributes, all of which `A` stands for. The same name twice is the same attributes,
//!   so `amax[A](x)` on the right reduces over the axes that `sum[A](y)` had.
//! - `spread[A](x)`: the broadcast that undoes a reduction with the attributes `A`.
//!
//! Operands of commutative operators match in either order.

mod build;
mod matching;
mod parse;

use egg::Id;
use gradc_ir::{Attrs, OpDef};
use smallvec::SmallVec;

use crate::facts::Facts;

pub(crate) use build::build;
pub(crate) use matching::{Matches, match_term};
pub(crate) use parse::{Names, parse};

/// One side of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// Any value.
    Variable(usize),
    /// Any number.
    Constant(usize),
    /// This number.
    Number(f64),
    /// An application; `attrs` is the attribute variable of operators that have attributes.
    Apply { def: &'static OpDef, attrs: Option<usize>, operands: Vec<Pattern> },
    /// The broadcast along the axes of the attribute variable.
    Spread { axes: usize, operand: Box<Pattern> },
}

impl Pattern {
    /// The operator at the root.
    pub(crate) fn root(&self) -> Option<&'static OpDef> {
        match self {
            Pattern::Apply { def, .. } => Some(def),
            Pattern::Spread { .. } => Some(&gradc_ir::op::broadcast::BROADCAST),
            _ => None,
        }
    }

    /// How many levels of operands there are below the root.
    pub(crate) fn depth(&self) -> u8 {
        match self {
            Pattern::Variable(_) | Pattern::Constant(_) | Pattern::Number(_) => 0,
            Pattern::Apply { operands, .. } => 1 + operands.iter().map(Pattern::depth).max().unwrap_or(0),
            Pattern::Spread { operand, .. } => 1 + operand.depth(),
        }
    }

    /// Whether a value of which this is known may match, as far as can be said without a look at operands; `applies` says
    /// whether one of its terms applies an operator.
    pub(crate) fn may_match(&self, facts: &Facts, applies: impl FnOnce(&'static OpDef) -> bool) -> bool {
        match self {
            Pattern::Variable(_) => true,
            Pattern::Constant(_) => facts.constant.is_some(),
            Pattern::Number(number) => is_number(facts, *number),
            // What is a number is a number, not what it was computed from: `-0.5 * 1` is not a product to be taken apart.
            Pattern::Apply { .. } | Pattern::Spread { .. } => {
                facts.constant.is_none() && self.root().is_some_and(applies)
            }
        }
    }

    /// Whether this has no type of its own and takes it from its surroundings.
    fn takes_type_from_context(&self) -> bool {
        match self {
            Pattern::Variable(_) => false,
            Pattern::Constant(_) | Pattern::Number(_) | Pattern::Spread { .. } => true,
            Pattern::Apply { operands, .. } => operands.iter().all(Pattern::takes_type_from_context),
        }
    }
}

/// Whether `number` is everywhere, as the element type rounds it. Zero matches only the zero of its sign.
fn is_number(facts: &Facts, number: f64) -> bool {
    facts.constant.is_some_and(|constant| constant.to_bits() == facts.ty.dtype.round(number).to_bits())
}

/// What the variables of a pattern stand for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Bindings {
    values: SmallVec<[Option<Id>; 6]>,
    attrs: SmallVec<[Option<Attrs>; 2]>,
}

impl Clone for Bindings {
    /// There is one for each match; values are copied as a whole.
    fn clone(&self) -> Bindings {
        Bindings { values: SmallVec::from_slice(&self.values), attrs: self.attrs.clone() }
    }
}

impl Bindings {
    /// Nothing bound yet.
    pub(crate) fn unbound(names: &Names) -> Bindings {
        Bindings {
            values: SmallVec::from_elem(None, names.values.len()),
            attrs: SmallVec::from_elem(None, names.attrs.len()),
        }
    }

    /// What a value variable stands for.
    pub(crate) fn value(&self, variable: usize) -> Option<Id> {
        self.values[variable]
    }

    /// The same, each value called otherwise.
    pub(crate) fn mapped(&self, mut rename: impl FnMut(Id) -> Id) -> Bindings {
        let values = self.values.iter().map(|value| value.map(&mut rename)).collect();
        Bindings { values, attrs: self.attrs.clone() }
    }

    /// The same, with another value for one variable.
    pub(crate) fn with(&self, variable: usize, value: Id) -> Bindings {
        let mut bindings = self.clone();
        bindings.values[variable] = Some(value);
        bindings
    }

    /// The value variables, in order, whether bound or not.
    pub(crate) fn variables(&self) -> std::ops::Range<usize> {
        0..self.values.len()
    }

    /// What an attribute variable stands for.
    pub(crate) fn attrs(&self, variable: usize) -> Option<&Attrs> {
        self.attrs[variable].as_ref()
    }

    /// Says what a value variable stands for.
    #[cfg(test)]
    pub(crate) fn bind_value(&mut self, variable: usize, id: Id) {
        self.values[variable] = Some(id);
    }

    /// Says what an attribute variable stands for.
    #[cfg(test)]
    pub(crate) fn bind_attrs(&mut self, variable: usize, attrs: Attrs) {
        self.attrs[variable] = Some(attrs);
    }
}
