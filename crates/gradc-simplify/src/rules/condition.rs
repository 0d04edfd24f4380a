//! What rules ask about a variable. Unknown means no.

use std::fmt;

use gradc_ir::DType;

use crate::facts::{Facts, Range, mask};

/// Something that must be known about a value. NaN is passed on by both sides of a rule, so only [`Fact::Finite`] excludes
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fact {
    /// Every element is above 2⁻¹⁶, so that quotients by it do not overflow. Not known of `f16`, whose range is not much
    /// wider.
    NotTiny,
    /// Every element is above zero.
    Positive,
    /// No element is below zero.
    NonNegative,
    /// No element is infinite or NaN.
    Finite,
    /// No element is infinite.
    Bounded,
    /// No element has a magnitude above 2²⁰, so that small sums and multiples stay finite.
    Moderate,
    /// The elements along the axes of this attribute variable add up to one.
    SumsToOne(&'static str),
    /// Along the axes of this attribute variable, one element is 1 and the others are 0.
    OneHot(&'static str),
    /// The elements may vanish where their logarithms are ordinary numbers.
    Vanishing,
    /// The elements along the axes of this attribute variable add up to zero.
    SumsToZero(&'static str),
    /// The greatest element along the axes of this attribute variable is zero: the maximum has been taken out.
    Shifted(&'static str),
    /// Not [`Fact::Shifted`], as far as is known.
    NotShifted(&'static str),
    /// As far as is known, the exponential of an element may overflow.
    Unbounded,
    /// No element is above zero.
    NotPositive,
    /// Not [`Fact::NotPositive`], as far as is known.
    PerhapsPositive,
    /// Exchanging the last two axes changes nothing.
    Symmetric,
    /// The elements are truth values.
    Truth,
    /// The elements are floats.
    Float,
}

impl Fact {
    /// Whether it only says where a rule is of use; the rule is right without it.
    pub(crate) fn is_preference(self) -> bool {
        matches!(self, Fact::NotShifted(_) | Fact::Unbounded | Fact::PerhapsPositive)
    }

    /// Whether it is about the axes that an attribute variable stands for.
    pub(crate) fn is_along_axes(self) -> bool {
        match self {
            Fact::SumsToOne(_) | Fact::OneHot(_) | Fact::SumsToZero(_) | Fact::Shifted(_) | Fact::NotShifted(_) => true,
            Fact::NotTiny
            | Fact::Positive
            | Fact::NonNegative
            | Fact::Finite
            | Fact::Bounded
            | Fact::Moderate
            | Fact::Vanishing
            | Fact::Unbounded
            | Fact::NotPositive
            | Fact::PerhapsPositive
            | Fact::Symmetric
            | Fact::Truth
            | Fact::Float => false,
        }
    }

    /// Whether it is known. `axes` gives the axes that an attribute variable stands for.
    pub(crate) fn holds<'a>(self, facts: &Facts, axes: impl Fn(&str) -> Option<&'a [usize]>) -> bool {
        let range = facts.range;
        match self {
            Fact::NotTiny => range.low >= Range::NOT_TINY && facts.ty.dtype != DType::F16,
            Fact::Positive => range.low > 0.0,
            Fact::NonNegative => range.low >= 0.0,
            Fact::Finite => range.is_finite(),
            Fact::Bounded => range.magnitude() < f64::INFINITY,
            Fact::Moderate => range.magnitude() <= Range::MODERATE,
            Fact::SumsToOne(along) => {
                axes(along).is_some_and(|axes| facts.sums_to_one.is_some_and(|axis| *axes == [axis]))
            }
            Fact::OneHot(along) => facts.one_hot && Fact::SumsToOne(along).holds(facts, axes),
            Fact::Vanishing => facts.vanishing,
            Fact::SumsToZero(along) => {
                axes(along).is_some_and(|axes| !axes.is_empty() && facts.sums_to_zero_along == mask(axes))
            }
            Fact::Shifted(along) => axes(along).is_some_and(|axes| facts.is_shifted_along(axes)),
            Fact::NotShifted(along) => !Fact::Shifted(along).holds(facts, axes),
            // About the logarithm of the greatest number.
            Fact::Unbounded if facts.ty.dtype == DType::F16 => range.high > Range::HALF_EXPONENT,
            Fact::Unbounded => range.high > Range::EXPONENT,
            Fact::NotPositive => range.high <= 0.0,
            Fact::PerhapsPositive => range.high > 0.0,
            Fact::Symmetric => facts.symmetric,
            Fact::Truth => facts.ty.dtype == DType::Bool,
            Fact::Float => facts.ty.dtype.is_float(),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fact::NotTiny => "not tiny",
            Fact::Positive => "positive",
            Fact::NonNegative => "not negative",
            Fact::Finite => "finite",
            Fact::Bounded => "bounded",
            Fact::Moderate => "moderate",
            Fact::SumsToOne(_) => "sums to one",
            Fact::OneHot(_) => "one-hot",
            Fact::Vanishing => "made of exponentials",
            Fact::SumsToZero(_) => "sums to zero",
            Fact::Shifted(_) => "shifted by its maximum",
            Fact::NotShifted(_) => "not shifted by its maximum",
            Fact::Unbounded => "unbounded above",
            Fact::NotPositive => "not positive",
            Fact::PerhapsPositive => "perhaps positive",
            Fact::Symmetric => "symmetric",
            Fact::Truth => "a truth value",
            Fact::Float => "a float",
        })
    }
}
