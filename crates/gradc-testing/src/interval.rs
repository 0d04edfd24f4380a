//! Between which numbers the elements of a value lie.

use gradc_ir::{DType, Op, Tensor, TensorType};

/// What is known about the elements of a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// The least they can be.
    pub(crate) low: f64,
    /// The greatest they can be.
    pub(crate) high: f64,
    /// Whether they come out the same however floats are rounded.
    pub(crate) exact: bool,
}

impl Facts {
    pub(crate) fn exact(low: f64, high: f64) -> Facts {
        Facts { low, high, exact: true }
    }

    /// These and those.
    pub(crate) fn or(self, other: Facts) -> Facts {
        let exact = self.exact && other.exact;
        Facts { low: self.low.min(other.low), high: self.high.max(other.high), exact }
    }

    /// A sum of at most `count` of these, at least none.
    pub(crate) fn summed(self, count: usize) -> Facts {
        let (low, high) = (self.low.min(0.0) * count as f64, self.high.max(0.0) * count as f64);
        Facts { low, high, exact: false }
    }

    pub(crate) fn within(self, (low, high): (f64, f64)) -> bool {
        low <= self.low && self.high <= high
    }
}

/// Points on which an elementwise operator is tried, an operand.
const POINTS: usize = 9;

/// The range of an elementwise operator for operands in these ranges, from trying it on a grid and allowing for what lies
/// between. `None` where it is not finite somewhere.
pub(crate) fn range(op: &Op, operands: &[(DType, Facts)]) -> Option<(f64, f64)> {
    let points = POINTS.pow(operands.len() as u32);
    let tensors: Vec<Tensor> = operands
        .iter()
        .enumerate()
        .map(|(i, (dtype, facts))| {
            let at = |linear: usize| {
                let step = linear / POINTS.pow(i as u32) % POINTS;
                facts.low + (facts.high - facts.low) * step as f64 / (POINTS - 1) as f64
            };
            let ty = TensorType::new(*dtype, [points]);
            Tensor::from_fn(ty, |index| at(index[0]))
        })
        .collect();
    let result = op.evaluate(&tensors.iter().collect::<Vec<_>>()).ok()?;
    let low = result.data().iter().copied().fold(f64::INFINITY, f64::min);
    let high = result.data().iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !result.data().iter().all(|x| x.is_finite()) {
        return None;
    }
    let slack = if result.ty().dtype.is_float() { 0.1 * (high - low) } else { 0.0 };
    Some((low - slack, high + slack))
}
