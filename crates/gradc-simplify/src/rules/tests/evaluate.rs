//! Plain evaluation of an arena.

use egg::Id;
use gradc_ir::op::Evaluate;
use gradc_ir::{DType, Op, Tensor, TensorType};
use gradc_testing::{Arithmetic, ExactTensor};

use crate::canonical::Arena;
use crate::facts::Facts;
use crate::term::Term;
use crate::terms::Terms;

/// In which precision floats are computed.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Precision {
    /// In that of their types.
    AsTyped,
    /// All in f64.
    Double,
}

/// The value of `id`, where leaf `i` is `leaves[i]`.
pub(super) fn evaluate(arena: &Arena<'_>, id: Id, leaves: &[Tensor], precision: Precision) -> Tensor {
    let node = arena.node(id);
    let ty = in_precision(&node.facts.ty, precision);
    match &node.term {
        Term::Leaf(number) => Tensor::new(ty, leaf(leaves, *number).data().to_vec()),
        Term::Apply(op, operands) => {
            let operands: Vec<Tensor> = operands.iter().map(|&x| evaluate(arena, x, leaves, precision)).collect();
            apply(op, &operands, ty)
        }
    }
}

/// A leaf by its number; what has too high a number is the last.
fn leaf(leaves: &[Tensor], number: u32) -> &Tensor {
    leaves.get(number as usize).or(leaves.last()).expect("there are leaves")
}

/// The same in arithmetic of many digits.
pub(super) fn evaluate_exactly(
    arena: &Arena<'_>,
    id: Id,
    leaves: &[Tensor],
    arithmetic: &mut Arithmetic,
) -> ExactTensor {
    let node = arena.node(id);
    match &node.term {
        Term::Leaf(number) => arithmetic.tensor(leaf(leaves, *number)),
        Term::Apply(op, operands) => {
            let operands: Vec<ExactTensor> =
                operands.iter().map(|&x| evaluate_exactly(arena, x, leaves, arithmetic)).collect();
            let exact = arithmetic.apply(op, &operands.iter().collect::<Vec<_>>(), &node.facts.ty);
            exact.unwrap_or_else(|| panic!("{} has no exact value", op.def.name))
        }
    }
}

fn in_precision(ty: &TensorType, precision: Precision) -> TensorType {
    if precision == Precision::Double && ty.dtype.is_float() { ty.with_dtype(DType::F64) } else { ty.clone() }
}

fn apply(op: &Op, operands: &[Tensor], ty: TensorType) -> Tensor {
    let data = match op.def.evaluate {
        Evaluate::Tensor(evaluate) => evaluate(&op.attrs, &operands.iter().collect::<Vec<_>>(), &ty),
        Evaluate::Scalar { real, int } => {
            let whole = operands.iter().all(|operand| !operand.ty().dtype.is_float());
            let element = |i: usize| {
                let operands: Vec<f64> = operands.iter().map(|operand| operand.data()[i]).collect();
                match int {
                    Some(int) if ty.dtype.is_integer() && whole => {
                        ty.dtype.wrap(int(&operands.iter().map(|&x| x as i64).collect::<Vec<_>>()))
                    }
                    _ => real(&operands),
                }
            };
            (0..ty.shape.elements()).map(element).collect()
        }
    };
    Tensor::new(ty, data)
}

impl Facts {
    /// Whether what is known is true of a tensor, up to rounding.
    pub(crate) fn hold_for(&self, value: &Tensor) -> bool {
        let elements = value.data();
        let precision = if value.ty().dtype.is_half() { 4.0 * value.ty().dtype.epsilon() } else { 1e-5 };
        let in_range = |&x: &f64| {
            if x.is_nan() { self.range.nan } else { x >= self.range.low && x <= self.range.high }
        };
        let axes_of =
            |mask: u32| (0..value.shape().rank()).filter(move |axis| mask >> axis & 1 == 1).collect::<Vec<_>>();
        let along = |axes: &[usize], start: f64, f: fn(f64, f64) -> f64| {
            let mut folded = vec![start; value.shape().without(axes).elements()];
            for (linear, &x) in elements.iter().enumerate() {
                let index = value.shape().unravel(linear);
                let kept: Vec<usize> =
                    (0..index.len()).filter(|axis| !axes.contains(axis)).map(|axis| index[axis]).collect();
                let slot = &mut folded[value.shape().without(axes).ravel(&kept)];
                *slot = f(*slot, x);
            }
            folded
        };
        let ordinary = |x: &f64| !x.is_nan();
        let shifted = self.shifted_along == 0
            || along(&axes_of(self.shifted_along), f64::NEG_INFINITY, f64::max)
                .into_iter()
                .filter(ordinary)
                .all(|x| x == 0.0 || x == f64::NEG_INFINITY);
        let sums = self.sums_to_one.is_none_or(|axis| {
            along(&[axis], 0.0, |a, b| a + b).into_iter().filter(ordinary).all(|sum| (sum - 1.0).abs() < precision)
        });
        // What adds up to zero does so up to rounding, which is of the least numbers where there are none between them.
        let least = value.ty().dtype.least_normal() * value.ty().dtype.epsilon() * elements.len() as f64;
        let zero = self.sums_to_zero_along == 0 || {
            let axes = axes_of(self.sums_to_zero_along);
            let magnitudes = along(&axes, 0.0, |a, b| a + b.abs());
            along(&axes, 0.0, |a, b| a + b)
                .iter()
                .zip(magnitudes)
                .all(|(sum, of)| sum.is_nan() || sum.abs() <= precision * of + least)
        };
        let constant = self
            .constant
            .is_none_or(|c| elements.iter().all(|x| x.to_bits() == c.to_bits() || (c.is_nan() && x.is_nan())));
        let hot = !self.one_hot || elements.iter().all(|&x| x == 0.0 || x == 1.0);
        let exchanged = |linear: usize| {
            let mut index = value.shape().unravel(linear);
            let rank = index.len();
            index.swap(rank - 2, rank - 1);
            value.at(&index)
        };
        let same = |(linear, x): (usize, &f64)| x.to_bits() == exchanged(linear).to_bits() || x.is_nan();
        let symmetric = !self.symmetric || elements.iter().enumerate().all(same);
        elements.iter().all(in_range) && shifted && sums && zero && constant && hot && symmetric
    }
}

#[test]
fn facts_that_do_not_hold_are_noticed() {
    let value = Tensor::new(TensorType::new(DType::F64, [2]), vec![0.25, 0.5]);
    let known = |range| Facts { range, ..Facts::of_type(value.ty().clone()) };
    assert!(known(crate::facts::Range::between(0.0, 1.0)).hold_for(&value));
    assert!(!known(crate::facts::Range::between(0.3, 1.0)).hold_for(&value));
    let summing = Facts { sums_to_one: Some(0), ..Facts::of_type(value.ty().clone()) };
    assert!(!summing.hold_for(&value));
    let none = crate::rules::compiled::RuleSet::new(|_| false);
    let mut arena = Arena::new(&none);
    let leaf = arena.leaf(0, Facts::of_type(value.ty().clone()));
    assert_eq!(evaluate(&arena, leaf, std::slice::from_ref(&value), Precision::AsTyped), value);
    assert_eq!(arena.find(leaf), leaf);
}
