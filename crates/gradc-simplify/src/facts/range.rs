//! Intervals.

use std::ops::RangeInclusive;

use gradc_ir::DType;

/// What the elements of a value can be: NaN where `nan` allows it, else between `low` and `high`, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least number.
    pub low: f64,
    /// The greatest number.
    pub high: f64,
    /// Whether an element may be NaN.
    pub nan: bool,
}

impl Range {
    /// Nothing is known.
    pub const ANY: Range = Range { low: f64::NEG_INFINITY, high: f64::INFINITY, nan: true };

    /// Not below zero, or NaN.
    pub const NOT_NEGATIVE: Range = Range { low: 0.0, high: f64::INFINITY, nan: true };

    /// Between two numbers, never NaN.
    pub const fn between(low: f64, high: f64) -> Range {
        Range { low, high, nan: false }
    }

    /// Just one number, or NaN.
    pub fn point(value: f64) -> Range {
        if value.is_nan() {
            // Nothing but NaN: no number is known to be there, so any bound holds.
            Range { low: f64::NEG_INFINITY, high: f64::INFINITY, nan: true }
        } else {
            Range::between(value, value)
        }
    }

    /// This range, where NaN may occur if `nan` says so.
    pub fn or_nan(self, nan: bool) -> Range {
        Range { nan: self.nan || nan, ..self }
    }

    /// Neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        !self.nan && self.low > f64::NEG_INFINITY && self.high < f64::INFINITY
    }

    /// No infinity, but perhaps NaN.
    fn may_be_infinite(self) -> bool {
        self.low == f64::NEG_INFINITY || self.high == f64::INFINITY
    }

    /// Whether an element may be zero.
    pub fn contains_zero(self) -> bool {
        self.low <= 0.0 && self.high >= 0.0
    }

    /// The greatest magnitude.
    pub fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// From here on, numbers are not tiny: quotients by them do not overflow.
    pub const NOT_TINY: f64 = 1.0 / 65536.0;
    /// Up to here, numbers are moderate: small sums and multiples of them stay finite.
    pub const MODERATE: f64 = (1 << 20) as f64;
    /// Up to here, exponentials are finite.
    pub const EXPONENT: f64 = 80.0;
    /// The same in `f16`.
    pub const HALF_EXPONENT: f64 = 10.0;

    /// The magnitudes of factors that are small: what such a factor is missing from overflows or vanishes only where the whole is
    /// within a few of them of the end of the element type's range.
    pub fn small_factors(dtype: DType) -> RangeInclusive<f64> {
        let most = if dtype == DType::F16 { 16.0 } else { Range::MODERATE };
        1.0 / most..=most
    }

    /// The least range around this one that ends at numbers that [conditions](crate::rules::Fact) of rules ask about, at zero, at one
    /// or at infinity.
    pub(super) fn at_landmarks(self) -> Range {
        const LEAST: f64 = f64::from_bits(1);
        const LANDMARKS: [f64; 9] = [
            0.0,
            LEAST,
            Range::NOT_TINY,
            1.0,
            Range::HALF_EXPONENT,
            Range::EXPONENT,
            Range::MODERATE,
            f64::MAX,
            f64::INFINITY,
        ];
        let below = |number: f64| LANDMARKS.into_iter().rfind(|&landmark| landmark <= number);
        let above = |number: f64| LANDMARKS.into_iter().find(|&landmark| landmark >= number);
        let low = if self.low < 0.0 { above(-self.low).map(|landmark| -landmark) } else { below(self.low) };
        let high = if self.high < 0.0 { below(-self.high).map(|landmark| -landmark) } else { above(self.high) };
        Range { low: low.unwrap_or(f64::NEG_INFINITY), high: high.unwrap_or(f64::INFINITY), nan: self.nan }
    }

    /// What holds where both hold. Where rounding made them disjoint, the first stands.
    pub fn intersection(self, other: Range) -> Range {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        if low <= high { Range { low, high, nan: self.nan && other.nan } } else { self }
    }

    /// What holds where one of them holds.
    pub fn union(self, other: Range) -> Range {
        Range { low: self.low.min(other.low), high: self.high.max(other.high), nan: self.nan || other.nan }
    }

    /// `-x`
    pub fn negated(self) -> Range {
        Range { low: -self.high, high: -self.low, nan: self.nan }
    }

    /// `|x|`
    pub fn magnitudes(self) -> Range {
        let low = if self.contains_zero() { 0.0 } else { self.low.abs().min(self.high.abs()) };
        Range { low, high: self.magnitude(), nan: self.nan }
    }

    /// `x + y`
    pub fn plus(self, other: Range) -> Range {
        let cancels = (self.high == f64::INFINITY && other.low == f64::NEG_INFINITY)
            || (self.low == f64::NEG_INFINITY && other.high == f64::INFINITY);
        let bound = |sum: f64, otherwise: f64| if sum.is_nan() { otherwise } else { sum };
        Range {
            low: bound(self.low + other.low, f64::NEG_INFINITY),
            high: bound(self.high + other.high, f64::INFINITY),
            nan: self.nan || other.nan || cancels,
        }
    }

    /// `x * y`
    pub fn times(self, other: Range) -> Range {
        let products = [self.low, self.high].into_iter().flat_map(|x| [other.low, other.high].map(|y| product(x, y)));
        let (low, high) = products.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p), h.max(p)));
        let indefinite =
            (self.contains_zero() && other.may_be_infinite()) || (other.contains_zero() && self.may_be_infinite());
        Range { low, high, nan: self.nan || other.nan || indefinite }
    }

    /// `1 / x` for `x` that keeps one sign and is not zero; else nothing is known.
    pub fn reciprocal(self) -> Range {
        if self.low > 0.0 || self.high < 0.0 {
            Range { low: 1.0 / self.high, high: 1.0 / self.low, nan: self.nan }
        } else if self.low == 0.0 {
            // −0 is zero too, and its reciprocal −inf.
            Range { low: f64::NEG_INFINITY, high: f64::INFINITY, nan: self.nan }
        } else {
            Range::ANY.or_nan(self.nan)
        }
    }

    /// `f(x)` for `f` that grows with `x`.
    pub fn mapped(self, f: impl Fn(f64) -> f64) -> Range {
        Range { low: f(self.low), high: f(self.high), nan: self.nan }
    }
}

/// The product of two bounds: zero times an infinite bound is zero, for what is bounded are finite numbers near it.
fn product(x: f64, y: f64) -> f64 {
    if x == 0.0 || y == 0.0 { 0.0 } else { x * y }
}
