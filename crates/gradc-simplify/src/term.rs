//! The language of the e-graph: operators applied to classes, and opaque leaves.

use egg::{Id, Language};
use gradc_ir::{Op, OpDef};
use smallvec::SmallVec;

/// Operands of a term.
pub(crate) type Children = SmallVec<[Id; 3]>;

/// A leaf, or an operator applied to operands. Ordered and hashed by names and attributes, never by addresses, so that
/// nothing depends on where the program was loaded.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Term {
    /// A value that is not looked into; the number is its position among the leaves.
    Leaf(u32),
    /// An application.
    Apply(Op, Children),
}

impl Clone for Term {
    /// Terms are cloned by the million, and operands as a whole faster than one by one.
    fn clone(&self) -> Term {
        match self {
            Term::Leaf(number) => Term::Leaf(*number),
            Term::Apply(op, children) => Term::Apply(op.clone(), Children::from_slice(children)),
        }
    }
}

impl Term {
    /// An operator applied to operands; those of a commutative one are put in order.
    pub(crate) fn apply(op: Op, children: impl IntoIterator<Item = Id>) -> Term {
        Term::ordered(op, children.into_iter().collect())
    }

    /// The same for operands that lie beside each other.
    pub(crate) fn apply_to(op: Op, children: &[Id]) -> Term {
        Term::ordered(op, Children::from_slice(children))
    }

    /// The same for operands that are handed over.
    pub(crate) fn ordered(op: Op, mut children: Children) -> Term {
        if op.def.algebra.commutative {
            children.sort_unstable();
        }
        Term::Apply(op, children)
    }

    /// The operator, if it is not a leaf.
    pub(crate) fn op(&self) -> Option<&Op> {
        match self {
            Term::Leaf(_) => None,
            Term::Apply(op, _) => Some(op),
        }
    }

    /// The operator and the operands, if this applies `def`.
    pub(crate) fn applies(&self, def: &'static OpDef) -> Option<(&Op, &[Id])> {
        match self {
            Term::Apply(op, children) if op.is(def) => Some((op, children)),
            _ => None,
        }
    }

    /// The operands.
    pub(crate) fn operands(&self) -> &[Id] {
        match self {
            Term::Leaf(_) => &[],
            Term::Apply(_, children) => children,
        }
    }
}

impl Language for Term {
    type Discriminant = Option<&'static str>;

    fn discriminant(&self) -> Self::Discriminant {
        self.op().map(|op| op.def.name)
    }

    fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Term::Leaf(a), Term::Leaf(b)) => a == b,
            (Term::Apply(a, x), Term::Apply(b, y)) => a == b && x.len() == y.len(),
            _ => false,
        }
    }

    fn children(&self) -> &[Id] {
        self.operands()
    }

    fn children_mut(&mut self) -> &mut [Id] {
        match self {
            Term::Leaf(_) => &mut [],
            Term::Apply(_, children) => children,
        }
    }
}
