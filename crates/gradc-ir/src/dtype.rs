//! Element types.
//!
//! `bf16`, `f16` and `u8` are *storage types*: tensors hold them, but arithmetic on them is done in the type that
//! [`DType::arithmetic`] names, and the result of each operator is rounded to the storage type once.

use std::fmt;

use half::{bf16, f16};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// A truth value, stored as one byte, 0 or 1.
    Bool,
    /// An 8-bit unsigned integer; arithmetic wraps.
    U8,
    /// A 32-bit signed integer; arithmetic wraps.
    I32,
    /// A 64-bit signed integer; arithmetic wraps.
    I64,
    /// IEEE 754 binary16, with arithmetic in `f32`.
    F16,
    /// The upper half of an IEEE 754 binary32 (8 bits of exponent, 7 of fraction), with arithmetic in `f32`.
    Bf16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl DType {
    /// Every element type, in order of conversion: each can be widened to the later numeric ones.
    pub const ALL: [DType; 8] =
        [DType::Bool, DType::U8, DType::I32, DType::I64, DType::F16, DType::Bf16, DType::F32, DType::F64];

    /// Whether values of this type have derivatives.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::Bf16 | DType::F32 | DType::F64)
    }

    /// Whether this is one of the floats of 16 bits.
    pub fn is_half(self) -> bool {
        matches!(self, DType::F16 | DType::Bf16)
    }

    /// Whether this is one of the integers; truth values are none.
    pub fn is_integer(self) -> bool {
        matches!(self, DType::U8 | DType::I32 | DType::I64)
    }

    /// The type that arithmetic on values of this type is done in: `f32` for floats of 16 bits, `i32` for `u8`, else the
    /// type itself.
    pub fn arithmetic(self) -> DType {
        match self {
            DType::U8 => DType::I32,
            DType::F16 | DType::Bf16 => DType::F32,
            other => other,
        }
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 => 1,
            DType::F16 | DType::Bf16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 => 8,
        }
    }

    /// The name in the language and in the IR's text: `f32`.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "u8",
            DType::I32 => "i32",
            DType::I64 => "i64",
            DType::F16 => "f16",
            DType::Bf16 => "bf16",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// The type that [`DType::name`] gives this name to.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// The least value: −∞ of floats, `false`.
    pub fn least(self) -> f64 {
        match self {
            DType::Bool | DType::U8 => 0.0,
            DType::I32 => f64::from(i32::MIN),
            DType::I64 => i64::MIN as f64,
            DType::F16 | DType::Bf16 | DType::F32 | DType::F64 => f64::NEG_INFINITY,
        }
    }

    /// The greatest value: +∞ of floats, `true`. That of `i64` is 2⁶³ here, the nearest `f64`.
    pub fn greatest(self) -> f64 {
        match self {
            DType::Bool => 1.0,
            DType::U8 => f64::from(u8::MAX),
            DType::I32 => f64::from(i32::MAX),
            DType::I64 => i64::MAX as f64,
            DType::F16 | DType::Bf16 | DType::F32 | DType::F64 => f64::INFINITY,
        }
    }

    /// The greatest finite value.
    pub fn greatest_finite(self) -> f64 {
        match self {
            DType::F16 => f16::MAX.to_f64(),
            DType::Bf16 => bf16::MAX.to_f64(),
            DType::F32 => f64::from(f32::MAX),
            DType::F64 => f64::MAX,
            other => other.greatest(),
        }
    }

    /// The least positive number that has all digits of the type: 1 for integers.
    pub fn least_normal(self) -> f64 {
        match self {
            DType::F16 => f16::MIN_POSITIVE.to_f64(),
            DType::Bf16 => bf16::MIN_POSITIVE.to_f64(),
            DType::F32 => f64::from(f32::MIN_POSITIVE),
            DType::F64 => f64::MIN_POSITIVE,
            _ => 1.0,
        }
    }

    /// The distance from 1 to the next greater number.
    pub fn epsilon(self) -> f64 {
        match self {
            DType::F16 => f16::EPSILON.to_f64(),
            DType::Bf16 => bf16::EPSILON.to_f64(),
            DType::F32 => f64::from(f32::EPSILON),
            DType::F64 => f64::EPSILON,
            _ => 1.0,
        }
    }

    /// `value` as the nearest value of this type: floats round to nearest even; integers drop the fraction, and are their least
    /// or greatest for what lies beyond and 0 for NaN; any number that is not zero (NaN too) is true.
    ///
    /// What becomes a float of 16 bits is rounded to `f32` first, since that is what arithmetic on them is done in. For
    /// sums, products, quotients and roots of such floats the second rounding changes nothing, as an `f32` has more than
    /// twice their digits.
    pub fn round(self, value: f64) -> f64 {
        match self {
            DType::Bool => f64::from(u8::from(value != 0.0)),
            DType::U8 => f64::from(value as u8),
            DType::I32 => f64::from(value as i32),
            DType::I64 => value as i64 as f64,
            DType::F16 => f16::from_f32(value as f32).to_f64(),
            DType::Bf16 => bf16::from_f32(value as f32).to_f64(),
            DType::F32 => f64::from(value as f32),
            DType::F64 => value,
        }
    }

    /// A value of the type `from`, converted to this type: between integers the low bits stay, all else is as by
    /// [`DType::round`].
    pub fn convert(self, value: f64, from: DType) -> f64 {
        if self.is_integer() && from.is_integer() { self.wrap(value as i64) } else { self.round(value) }
    }

    /// `a + b` of values of this type: integers wrap, and floats are still to be rounded.
    pub fn sum(self, a: f64, b: f64) -> f64 {
        if self.is_integer() { self.wrap((a as i64).wrapping_add(b as i64)) } else { a + b }
    }

    /// The integer of this type that has the same low bits. An `i64` of more than 53 bits is rounded to an `f64`.
    pub fn wrap(self, value: i64) -> f64 {
        match self {
            DType::U8 => f64::from(value as u8),
            DType::I32 => f64::from(value as i32),
            _ => value as f64,
        }
    }

    /// Whether `value` is a value of this type that an `f64` holds with all its digits.
    pub fn represents(self, value: f64) -> bool {
        let exact = self != DType::I64 || value.abs() <= MAX_SAFE_INTEGER || value == self.least();
        exact && (self.round(value) == value || value.is_nan() && self.is_float())
    }
}

/// 2⁵³: an `f64` holds every integer up to this.
const MAX_SAFE_INTEGER: f64 = (1u64 << 53) as f64;

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_idempotent_and_to_the_nearest() {
        let samples = [
            0.0,
            -0.0,
            1.0,
            1.0 + 2f64.powi(-8),
            1.0 + 3.0 * 2f64.powi(-8),
            65519.9,
            65520.0,
            2f64.powi(-25),
            1e-40,
            1e39,
        ];
        for dtype in DType::ALL {
            for sample in samples {
                let once = dtype.round(sample);
                assert_eq!(dtype.round(once).to_bits(), once.to_bits(), "{dtype} {sample}");
            }
        }
        // Ties go to the even neighbour, and so does what lies halfway to the number after the greatest.
        assert_eq!(DType::Bf16.round(1.0 + 2f64.powi(-8)), 1.0);
        assert_eq!(DType::Bf16.round(1.0 + 3.0 * 2f64.powi(-8)), 1.0 + 2f64.powi(-6));
        assert_eq!(DType::F16.round(65519.9), 65504.0);
        assert_eq!(DType::F16.round(65520.0), f64::INFINITY);
        // The least subnormal is 2⁻²⁴; half of it is a tie with 0.
        assert_eq!(DType::F16.round(2f64.powi(-25)), 0.0);
        assert_eq!(DType::F16.round(1.5 * 2f64.powi(-25)), 2f64.powi(-24));
    }

    #[test]
    fn what_is_no_integer_drops_its_fraction_and_saturates() {
        for dtype in [DType::U8, DType::I32, DType::I64] {
            assert_eq!(dtype.round(f64::NAN), 0.0);
            assert_eq!(dtype.round(7.9), 7.0);
            for (beyond, limit) in [(f64::INFINITY, dtype.greatest()), (f64::NEG_INFINITY, dtype.least())] {
                assert_eq!(dtype.round(beyond), limit);
                assert_eq!(dtype.round(beyond.signum() * 1e30), limit);
                assert_eq!(dtype.convert(beyond, DType::F32), limit);
            }
        }
        assert_eq!(DType::U8.round(255.9), 255.0);
        assert_eq!(DType::U8.round(-0.9), 0.0);
        assert_eq!(DType::I64.round(-2.9), -2.0);
    }

    #[test]
    fn integers_wrap() {
        assert_eq!(DType::U8.convert(300.0, DType::I32), 44.0);
        assert_eq!(DType::U8.convert(-1.0, DType::I64), 255.0);
        assert_eq!(DType::I32.convert(3e9, DType::I64), 3e9 - 2f64.powi(32));
        assert_eq!(DType::U8.sum(200.0, 100.0), 44.0);
        assert_eq!(DType::I32.sum(DType::I32.greatest(), 1.0), DType::I32.least());
        assert_eq!(DType::I64.sum(DType::I64.least(), -1.0), DType::I64.greatest());
    }

    #[test]
    fn what_is_represented() {
        assert!(DType::Bf16.represents(256.0) && !DType::Bf16.represents(257.0));
        assert!(DType::F16.represents(65504.0) && !DType::F16.represents(65505.0) && DType::F16.represents(f64::NAN));
        assert!(DType::I64.represents(MAX_SAFE_INTEGER) && !DType::I64.represents(2.0 * MAX_SAFE_INTEGER));
        assert!(DType::U8.represents(255.0) && !DType::U8.represents(256.0) && !DType::U8.represents(0.5));
    }
}
