//! Where derivatives are zero because a branch was not taken.
//!
//! The cotangent of a branch of a `select` is exactly zero where that branch was not taken. The rule of an operator that
//! computed the branch multiplies that zero by a slope, and if the slope is infinite or NaN there, the product is NaN: the
//! gradient of `select(x > 0, sqrt(x), 0)` would be NaN at 0. But a rule is linear, so what it makes of a zero is zero,
//! and it is elementwise, so it makes it in the same place: the choice is made again after it. The gradient of what was
//! not taken is then zero whatever was computed there.
//!
//! A tangent that a choice has made zero meets the slopes of what comes after it: that of `sqrt(relu(x))` is multiplied by the
//! slope of `sqrt` at 0 wherever `x` is not positive. Here, too, the choice is made again.
//!
//! This holds along chains of elementwise operators, which keep elements in their places, and is only written where an
//! operator of the chain can leave the finite numbers ([`Domain::unbounded`](gradc_ir::Domain)).

use gradc_ir::op::select::SELECT;
use gradc_ir::{Body, Class, Graph, Op, ValueId};
use smallvec::SmallVec;

/// A truth value, and whether it is where it holds or where it does not that a cotangent is not zero.
type Condition = (ValueId, bool);

/// Conditions outside of any of which a cotangent is zero, the most recent last.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Mask(SmallVec<[Condition; 2]>);

/// The most conditions that are kept: more are of no use, and a chain of many choices would make each costlier.
const MOST: usize = 4;

impl Mask {
    /// The conditions that `cotangent` shows itself, as the rules of `select`, `abs` or `max` write it.
    pub(crate) fn of(graph: &Graph, cotangent: ValueId) -> Mask {
        Mask(graph.as_masked(cotangent).into_iter().collect())
    }

    /// As [`Mask::of`] for a tangent, which also may show the choices of `abs` and `max`: it is `x` where one condition holds,
    /// `y` where another does, and else zero.
    fn of_tangent(graph: &mut Graph, tangent: ValueId) -> Mask {
        let chosen = |graph: &Graph| {
            let op = graph.op(tangent).filter(|op| op.is(&SELECT))?;
            let &[first, _, otherwise] = graph.operands(tangent) else {
                unreachable!("{} has three operands", op.def.name)
            };
            let (second, holds) = graph.as_masked(otherwise)?;
            holds.then_some((first, second))
        };
        match (graph.as_masked(tangent), chosen(graph)) {
            (None, Some((first, second))) => Mask([(graph.or(first, second), true)].into_iter().collect()),
            (condition, _) => Mask(condition.into_iter().collect()),
        }
    }

    /// The mask of what is zero where either of two is.
    fn and(mut self, more: &Mask) -> Mask {
        for condition in &more.0 {
            if !self.0.contains(condition) {
                self.0.push(*condition);
            }
        }
        let surplus = self.0.len().saturating_sub(MOST);
        self.0.drain(..surplus);
        self
    }

    /// The mask of the sum of two cotangents: what both have.
    pub(crate) fn of_sum(mut self, other: &Mask, graph: &Graph) -> Mask {
        self.0.retain(|own| other.0.iter().any(|other| same(graph, *own, *other)));
        self
    }

    /// `cotangent`, chosen again: zero where the mask says, whatever it is there.
    fn apply(&self, graph: &mut Graph, cotangent: ValueId) -> ValueId {
        self.0.iter().fold(cotangent, |masked, &(condition, holds)| {
            let zero = graph.full_like(masked, 0.0);
            match holds {
                true => graph.select(condition, masked, zero),
                false => graph.select(condition, zero, masked),
            }
        })
    }
}

/// Whether two conditions are the same, if need be computed twice.
fn same(graph: &Graph, a: Condition, b: Condition) -> bool {
    a.1 == b.1 && alike(graph, a.0, b.0, 4)
}

/// Whether two values are computed in the same way, up to some operators deep.
fn alike(graph: &Graph, a: ValueId, b: ValueId, depth: usize) -> bool {
    let operators = || match (graph.op(a), graph.op(b)) {
        (Some(first), Some(second)) => depth > 0 && first == second,
        _ => false,
    };
    let mut operands = graph.operands(a).iter().zip(graph.operands(b));
    a == b || operators() && operands.all(|(&a, &b)| alike(graph, a, b, depth - 1))
}

/// For each value, whether an elementwise operator that can leave the finite numbers has gone into the same element of it.
pub(crate) fn may_be_infinite(graph: &Graph) -> Vec<bool> {
    let mut suspect = vec![false; graph.len()];
    for value in graph.values() {
        let Some(op) = graph.op(value).filter(|_| is_elementwise(graph, value)) else { continue };
        let operands = graph.operands(value).iter().any(|operand| suspect[operand.index()]);
        let own = op.def.domain.unbounded || graph.as_custom(value).is_some_and(|custom| is_unbounded(&custom.rule));
        suspect[value.index()] = graph.dtype(value).is_float() && (own || operands);
    }
    suspect
}

/// Whether an operator keeps elements in their places, and so does its derivative.
fn is_elementwise(graph: &Graph, value: ValueId) -> bool {
    let ruled = graph.as_result(value).map_or(value, |(packed, _)| packed);
    match graph.as_custom(ruled) {
        Some(custom) => keeps_places(custom.rule.graph()),
        None => graph.op(value).is_some_and(|op| op.def.class == Class::Elementwise),
    }
}

/// Whether all values of a rule have one shape, and each element depends only on elements at its own index.
fn keeps_places(rule: &Graph) -> bool {
    let mut shapes = rule.values().map(|value| rule.shape(value));
    let shape = shapes.next();
    let in_place = |op: &Op| matches!(op.def.class, Class::Elementwise | Class::Source);
    shapes.all(|other| Some(other) == shape) && rule.values().filter_map(|value| rule.op(value)).all(in_place)
}

/// Whether a rule can leave the finite numbers.
fn is_unbounded(rule: &Body) -> bool {
    rule.graph().values().filter_map(|value| rule.graph().op(value)).any(|op| op.def.domain.unbounded)
}

/// What operand number `operand` of `value` receives, and its mask: `contribution`, which the rule of the operator has made
/// of a cotangent with this mask.
pub(crate) fn carried(
    graph: &mut Graph,
    value: ValueId,
    suspect: &[bool],
    mask: &Mask,
    contribution: ValueId,
) -> (ValueId, Mask) {
    let own = Mask::of(graph, contribution);
    chosen_again(graph, value, suspect, mask, (contribution, own))
}

/// The tangent of `value`, and its mask: `tangent`, which the rule of the operator has made of tangents with this mask.
pub(crate) fn pushed(
    graph: &mut Graph,
    value: ValueId,
    suspect: &[bool],
    mask: &Mask,
    tangent: ValueId,
) -> (ValueId, Mask) {
    let own = Mask::of_tangent(graph, tangent);
    chosen_again(graph, value, suspect, mask, (tangent, own))
}

/// A derivative by the rule of `value`, and the mask that it shows itself; with those of what the rule was given.
fn chosen_again(
    graph: &mut Graph,
    value: ValueId,
    suspect: &[bool],
    mask: &Mask,
    (derivative, own): (ValueId, Mask),
) -> (ValueId, Mask) {
    if !is_elementwise(graph, value) || mask.0.is_empty() {
        return (derivative, own);
    }
    let derivative = if suspect[value.index()] { mask.apply(graph, derivative) } else { derivative };
    (derivative, own.and(mask))
}
