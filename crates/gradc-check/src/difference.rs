//! Finite differences of a function of one number, and what it means where they do not converge.

use crate::report::Verdict;

/// How a derivative compares with finite differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// The relative error, at the step at which it is smallest.
    pub(crate) error: f64,
    /// What that means.
    pub(crate) verdict: Verdict,
    /// The step of the last difference that was taken.
    pub(crate) step: f64,
}

/// A derivative that is claimed, with the scale of what it is a sum of: where terms cancel, their rounding stays.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slope {
    pub(crate) value: f64,
    pub(crate) scale: f64,
}

impl Slope {
    /// The inner product of a gradient and a direction. Its scale is the root of the sum of squares: how large a sum
    /// of so many terms of random signs is.
    pub(crate) fn of(gradient: &[f64], direction: &[f64]) -> Slope {
        let products = gradient.iter().zip(direction).map(|(g, v)| g * v);
        let (sum, squares) = products.fold((0.0, 0.0), |(sum, squares), p| (sum + p, squares + p * p));
        Slope { value: sum, scale: f64::sqrt(squares) }
    }

    /// The sum of two.
    pub(crate) fn plus(self, other: Slope) -> Slope {
        Slope { value: self.value + other.value, scale: self.scale.hypot(other.scale) }
    }
}

/// The relative error between two numbers whose terms are of the size of `scale`, where differences up to `noise` mean
/// nothing. NaN where either is.
pub(crate) fn relative_error(a: f64, b: f64, scale: f64, noise: f64, tolerance: f64) -> f64 {
    let scale = scale.max(a.abs()).max(b.abs()).max(noise / tolerance);
    if a == b { 0.0 } else { (a - b).abs() / scale.max(f64::MIN_POSITIVE) }
}

/// Steps after the first: shorter ones, that a nearby kink may be beyond of, and a longer one, at which rounding weighs
/// less.
const STEPS: [f64; 3] = [1.0, 1.0 / 16.0, 16.0];

/// Ulps of the function's value that its evaluation may be wrong by: it is a sum of many terms.
const ULPS: f64 = 32.0;

/// Holds `claimed`, the derivative of `f` at 0, against central differences of fourth order:
/// `(4 D(h/2) − D(h)) / 3` for `D(h) = (f(h) − f(−h)) / 2h` (Richardson, 1911).
pub(crate) fn compare<E>(
    f: &mut dyn FnMut(f64) -> Result<f64, E>,
    claimed: Slope,
    step: f64,
    tolerance: f64,
) -> Result<Comparison, E> {
    compare_beyond(f, claimed, step, tolerance, 0.0)
}

/// The same where `f` is wrong by so much: terms may cancel in it.
pub(crate) fn compare_beyond<E>(
    f: &mut dyn FnMut(f64) -> Result<f64, E>,
    claimed: Slope,
    step: f64,
    tolerance: f64,
    rounding: f64,
) -> Result<Comparison, E> {
    let mut least = f64::INFINITY;
    for step in STEPS.map(|factor| factor * step) {
        let (far, near) = ([f(-step)?, f(step)?], [f(-step / 2.0)?, f(step / 2.0)?]);
        let difference = (4.0 * (near[1] - near[0]) / step - (far[1] - far[0]) / (2.0 * step)) / 3.0;
        let noise = noise(&[far[0], far[1]], step).max(rounding / step);
        let error = relative_error(claimed.value, difference, claimed.scale, noise, tolerance);
        if error <= tolerance {
            return Ok(Comparison { error, verdict: Verdict::Ok, step });
        }
        // Also where the error is NaN.
        least = if error < least { error } else { least };
    }
    for step in [step / 16.0, step / 256.0] {
        if at_kink(f, claimed, step, tolerance)? || at_jump(f, claimed, step, tolerance)? {
            return Ok(Comparison { error: least, verdict: Verdict::Kink, step });
        }
    }
    Ok(Comparison { error: least, verdict: Verdict::Fail, step })
}

/// How wrong rounding alone can make a difference of values like these.
fn noise(values: &[f64], step: f64) -> f64 {
    let largest = values.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    ULPS * f64::EPSILON * largest / step
}

/// Whether `f` has a kink at 0 or so near that no step misses it: the slopes of the two sides differ by what neither
/// shrinks with the step, as curvature does, nor grows, as a jump does. What is claimed must lie between them, as every derivative of a piecewise smooth function does
/// that is a convex combination of those of its pieces.
fn at_kink<E>(f: &mut dyn FnMut(f64) -> Result<f64, E>, claimed: Slope, step: f64, tolerance: f64) -> Result<bool, E> {
    let here = f(0.0)?;
    // One-sided differences of second order.
    let mut side = |h: f64| -> Result<f64, E> { Ok((4.0 * f(h / 2.0)? - f(h)? - 3.0 * here) / h) };
    let sides = [side(-step)?, side(step)?];
    let wider = [side(-4.0 * step)?, side(4.0 * step)?];
    let scale = claimed.scale.max(sides[0].abs()).max(sides[1].abs());
    let slack = 10.0 * tolerance * scale + 8.0 * noise(&[here], step);
    let gap = (sides[1] - sides[0]).abs();
    let ratio = gap / (wider[1] - wider[0]).abs();
    let stays = gap > slack && ratio > 0.5 && ratio < 2.0;
    let between = claimed.value >= sides[0].min(sides[1]) - slack && claimed.value <= sides[0].max(sides[1]) + slack;
    Ok(stays && between)
}

/// Whether `f` jumps at 0 or so near that no step misses it: it rises by what does not shrink with the step. What is
/// claimed must be its slope on both sides of the jump.
fn at_jump<E>(f: &mut dyn FnMut(f64) -> Result<f64, E>, claimed: Slope, step: f64, tolerance: f64) -> Result<bool, E> {
    let (jump, slope) = jump(f, step)?;
    let slack = 10.0 * tolerance * claimed.scale.max(slope.abs()) + 8.0 * noise(&[f(0.0)?], step);
    Ok(jump.abs() / (2.0 * step) > slack && (claimed.value - slope).abs() <= slack)
}

/// By how much `f` jumps near 0, and its slope beside the jump.
fn jump<E>(f: &mut dyn FnMut(f64) -> Result<f64, E>, step: f64) -> Result<(f64, f64), E> {
    let mut rise = |h: f64| -> Result<f64, E> { Ok(f(h)? - f(-h)?) };
    let (near, far) = (rise(step)?, rise(4.0 * step)?);
    // With a jump of j and a slope of a, they are j + 2ah and j + 8ah.
    Ok(((4.0 * near - far) / 3.0, (far - near) / (6.0 * step)))
}

/// Whether near 0 `f` jumps rather than rises: a gradient does where the loss has a kink.
pub(crate) fn jumps<E>(f: &mut dyn FnMut(f64) -> Result<f64, E>, step: f64) -> Result<bool, E> {
    let step = step / 256.0;
    let (jump, slope) = jump(f, step)?;
    Ok(jump.abs() > 2.0 * slope.abs() * step && jump.abs() / (2.0 * step) > 8.0 * noise(&[f(0.0)?], step))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn verdict(f: impl Fn(f64) -> f64, claimed: f64) -> Verdict {
        let slope = Slope { value: claimed, scale: claimed.abs() };
        let result: Result<Comparison, Infallible> = compare(&mut |t| Ok(f(t)), slope, 1e-5, 1e-6);
        match result {
            Ok(comparison) => comparison.verdict,
        }
    }

    #[test]
    fn smooth_functions_agree_with_their_derivatives_alone() {
        assert_eq!(verdict(|t| (1.0 + t).exp(), 1f64.exp()), Verdict::Ok);
        assert_eq!(verdict(|t| (1.0 + t).exp(), 1f64.exp() * (1.0 + 1e-5)), Verdict::Fail);
        assert_eq!(verdict(|t| 1e6 + 3.0 * t, 3.0), Verdict::Ok);
        assert_eq!(verdict(|_| 2.0, 0.0), Verdict::Ok);
        assert_eq!(verdict(|_| 2.0, 1e-3), Verdict::Fail);
        assert_eq!(verdict(|t| (0.3 + 20.0 * t).sin(), 20.0 * 0.3f64.cos()), Verdict::Ok);
    }

    #[test]
    fn a_kink_admits_the_slopes_between_its_sides() {
        let steep = |t: f64| if t > 0.0 { 5.0 * t } else { 2.0 * t };
        assert_eq!([1.9, 2.0, 3.0, 5.0, 5.1].map(|claimed| verdict(steep, claimed)), {
            use Verdict::{Fail, Kink};
            [Fail, Kink, Kink, Kink, Fail]
        });
        assert_eq!(verdict(|t: f64| 7.0 + t.max(0.0), 0.0), Verdict::Kink);
        // A symmetric kink is not seen by a central difference, which the middle of its slopes agrees with.
        assert_eq!(verdict(|t: f64| 7.0 + t.abs(), 0.0), Verdict::Ok);
    }

    #[test]
    fn a_jump_admits_the_slope_beside_it() {
        let stairs = |t: f64| 2.0 * t + if t > 0.0 { 1.0 } else { 0.0 };
        assert_eq!(
            [1.0, 2.0, 3.0].map(|claimed| verdict(stairs, claimed)),
            [Verdict::Fail, Verdict::Kink, Verdict::Fail]
        );
    }

    #[test]
    fn a_kink_beyond_the_shorter_step_is_none() {
        assert_eq!(verdict(|t: f64| (t - 5e-6).abs(), -1.0), Verdict::Ok);
    }

    #[test]
    fn what_is_not_finite_agrees_with_nothing() {
        assert_eq!(verdict(f64::sqrt, f64::INFINITY), Verdict::Fail);
        assert_eq!(verdict(|t| t, f64::NAN), Verdict::Fail);
        assert_eq!(verdict(|_| f64::NAN, 0.0), Verdict::Fail);
    }
}
