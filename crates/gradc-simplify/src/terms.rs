//! What rules see of the place they are applied in: the e-graph, or the hash-consed graph of the canonical form, in
//! which each class has just one term.

use egg::Id;
use gradc_ir::Op;

use crate::facts::Facts;
use crate::term::Term;

/// Terms in classes of equal values.
pub(crate) trait Terms {
    /// The terms of a class.
    fn terms(&self, class: Id) -> &[Term];

    /// What is known about a class.
    fn facts(&self, class: Id) -> &Facts;

    /// The name by which a class is known now.
    fn find(&self, class: Id) -> Id;

    /// The class of a term, which is new if the term is; `None` where its operands do not fit.
    fn add(&mut self, term: Term) -> Option<Id>;

    /// How many terms there are that are looked at together.
    fn size(&self) -> usize;

    /// Whether a term is among those that are looked at together.
    fn is_there(&self, term: &Term) -> bool;

    /// An operator applied to operands; `None` where they do not fit.
    fn apply(&mut self, op: Op, operands: &[Id]) -> Option<Id> {
        self.add(Term::apply_to(op, operands))
    }

    /// A number in the shape of a type; `None` where it may have lost digits of an integer on the way.
    fn literal(&mut self, value: f64, ty: &gradc_ir::TensorType) -> Option<Id> {
        if ty.dtype.is_integer() && value.abs() > (1u64 << 53) as f64 {
            return None;
        }
        self.add(Term::apply(crate::ops::full(value, ty), []))
    }
}
