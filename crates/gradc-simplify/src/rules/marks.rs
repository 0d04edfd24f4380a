//! Marks of operators, by which most rules are ruled out at a glance.

use std::hash::BuildHasher;

use gradc_ir::OpDef;
use rustc_hash::FxBuildHasher;

use super::{Rule, Wanted};
use crate::pattern::Pattern;

/// A set of operators and whether numbers are among it, as a Bloom filter: what is not there may seem to be, but what is there is
/// never missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(u128);

impl Marks {
    /// That of numbers.
    pub(crate) const NUMBER: Marks = Marks(1);

    /// That of an operator.
    pub(crate) fn of(def: &OpDef) -> Marks {
        let bits = FxBuildHasher.hash_one(def.name) >> (u64::BITS - u128::BITS.ilog2());
        Marks(1 << bits)
    }

    /// Those of both.
    pub(crate) fn and(self, other: Marks) -> Marks {
        Marks(self.0 | other.0)
    }

    /// Whether all of `other` seem to be among these.
    pub(crate) fn include(self, other: Marks) -> bool {
        other.0 & !self.0 == 0
    }

    /// What the operands of an application are, among other things, where a rule with this left side matches it.
    pub(super) fn needed(lhs: Option<&Pattern>, rule: &Rule) -> Marks {
        match lhs {
            Some(Pattern::Apply { operands, .. }) => {
                operands.iter().map(Marks::of_pattern).fold(Marks::default(), Marks::and)
            }
            Some(Pattern::Spread { operand, .. }) => Marks::of_pattern(operand),
            Some(Pattern::Variable(_) | Pattern::Constant(_) | Pattern::Number(_)) => Marks::default(),
            None => match rule.operands {
                None => Marks::default(),
                Some(Wanted::One(def) | Wanted::All(def)) => Marks::of(def),
                Some(Wanted::Identity) => Marks::NUMBER,
            },
        }
    }

    fn of_pattern(pattern: &Pattern) -> Marks {
        match pattern {
            Pattern::Variable(_) => Marks::default(),
            Pattern::Constant(_) | Pattern::Number(_) => Marks::NUMBER,
            Pattern::Apply { .. } | Pattern::Spread { .. } => pattern.root().map_or(Marks::default(), Marks::of),
        }
    }
}
