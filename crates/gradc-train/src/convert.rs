//! Conversions between element types that lose nothing.
//!
//! Integers and truth values must arrive exactly: a fraction does not become an integer, 2²⁴ + 1 does not become an
//! `f32`, only 0 and 1 become truth values. Between floating-point types values round to the nearest, as the decimals
//! they came from did before, but a finite value does not become an infinite one.

use crate::array::{Array, ElementType, Elements};
use half::{bf16, f16};
use std::fmt;

/// An element that has no equal in the type asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvertError {
    /// The place of the element in row-major order.
    pub element: usize,
    /// The element, as text.
    pub value: String,
    /// The type it has.
    pub from: ElementType,
    /// The type it was to have.
    pub to: ElementType,
    /// What is in the way.
    pub reason: ConvertReason,
}

/// Why an element cannot be converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvertReason {
    /// A fraction, an infinity or NaN was to become an integer.
    NotWhole,
    /// The value lies outside the range of the type.
    OutOfRange,
    /// An integer that the floating-point type would round.
    Inexact,
    /// A number other than 0 and 1 was to become a truth value.
    NotBoolean,
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ConvertError { value, from, to, .. } = self;
        match self.reason {
            ConvertReason::NotWhole => write!(f, "{value} ({from}) is not a whole number, as {to} needs"),
            ConvertReason::OutOfRange => write!(f, "{value} ({from}) is outside the range of {to}"),
            ConvertReason::Inexact => write!(f, "{value} ({from}) cannot be held exactly in {to}"),
            ConvertReason::NotBoolean => write!(f, "{value} ({from}) is neither 0 nor 1, as bool needs"),
        }
    }
}

impl std::error::Error for ConvertError {}

/// One element, whatever its type: every float is an `f64` exactly, every integer and truth value an `i64`.
#[derive(Clone, Copy)]
enum Number {
    Float(f64),
    Integer(i64),
}

impl Array {
    /// The same numbers in another element type.
    ///
    /// # Errors
    /// At the first element that has no equal there; see the [module](self).
    pub fn convert(self, dtype: ElementType) -> Result<Array, ConvertError> {
        if self.dtype() == dtype {
            return Ok(self);
        }
        let (shape, elements) = self.into_parts();
        let converted: Elements = match dtype {
            ElementType::F16 => convert_each(&elements, dtype, |number| to_half(number, f16::from_f32))?.into(),
            ElementType::Bf16 => convert_each(&elements, dtype, |number| to_half(number, bf16::from_f32))?.into(),
            ElementType::F32 => convert_each(&elements, dtype, to_f32)?.into(),
            ElementType::F64 => convert_each(&elements, dtype, to_f64)?.into(),
            ElementType::I32 => convert_each(&elements, dtype, to_integer::<i32>)?.into(),
            ElementType::I64 => convert_each(&elements, dtype, to_integer::<i64>)?.into(),
            ElementType::U8 => convert_each(&elements, dtype, to_integer::<u8>)?.into(),
            ElementType::Bool => convert_each(&elements, dtype, to_bool)?.into(),
        };
        Ok(Array::new(shape, converted).expect("conversion keeps the number of elements"))
    }
}

fn convert_each<T>(
    elements: &Elements,
    to: ElementType,
    convert: impl Fn(Number) -> Result<T, ConvertReason>,
) -> Result<Vec<T>, ConvertError> {
    let from = elements.dtype();
    let one = |(element, number): (usize, Number)| {
        convert(number).map_err(|reason| {
            let value = match number {
                Number::Float(value) => value.to_string(),
                Number::Integer(value) => value.to_string(),
            };
            ConvertError { element, value, from, to, reason }
        })
    };
    match elements {
        Elements::F16(values) => values.iter().map(|&v| Number::Float(v.into())).enumerate().map(one).collect(),
        Elements::Bf16(values) => values.iter().map(|&v| Number::Float(v.into())).enumerate().map(one).collect(),
        Elements::F32(values) => values.iter().map(|&v| Number::Float(v.into())).enumerate().map(one).collect(),
        Elements::F64(values) => values.iter().map(|&v| Number::Float(v)).enumerate().map(one).collect(),
        Elements::I32(values) => values.iter().map(|&v| Number::Integer(v.into())).enumerate().map(one).collect(),
        Elements::I64(values) => values.iter().map(|&v| Number::Integer(v)).enumerate().map(one).collect(),
        Elements::U8(values) => values.iter().map(|&v| Number::Integer(v.into())).enumerate().map(one).collect(),
        Elements::Bool(values) => values.iter().map(|&v| Number::Integer(v.into())).enumerate().map(one).collect(),
    }
}

fn to_f32(number: Number) -> Result<f32, ConvertReason> {
    match number {
        Number::Float(value) => {
            let rounded = value as f32;
            let overflows = rounded.is_infinite() && value.is_finite();
            if overflows { Err(ConvertReason::OutOfRange) } else { Ok(rounded) }
        }
        Number::Integer(value) => {
            let rounded = value as f32;
            if rounded as i128 == i128::from(value) { Ok(rounded) } else { Err(ConvertReason::Inexact) }
        }
    }
}

/// A float of 16 bits, by way of `f32` as in the language.
fn to_half<T: Copy + Into<f64>>(number: Number, round: fn(f32) -> T) -> Result<T, ConvertReason> {
    match number {
        Number::Float(value) => {
            let rounded = round(value as f32);
            let overflows = rounded.into().is_infinite() && value.is_finite();
            if overflows { Err(ConvertReason::OutOfRange) } else { Ok(rounded) }
        }
        Number::Integer(value) => {
            let rounded = round(value as f32);
            if rounded.into() == value as f64 && value.abs() < 1 << 53 {
                Ok(rounded)
            } else {
                Err(ConvertReason::Inexact)
            }
        }
    }
}

fn to_f64(number: Number) -> Result<f64, ConvertReason> {
    match number {
        Number::Float(value) => Ok(value),
        Number::Integer(value) => {
            let rounded = value as f64;
            if rounded as i128 == i128::from(value) { Ok(rounded) } else { Err(ConvertReason::Inexact) }
        }
    }
}

fn to_integer<T: TryFrom<i64>>(number: Number) -> Result<T, ConvertReason> {
    let whole = match number {
        Number::Integer(value) => value,
        Number::Float(value) if value.fract() != 0.0 || !value.is_finite() => return Err(ConvertReason::NotWhole),
        // 2^63 is the first float beyond i64, and -2^63 is i64::MIN itself.
        Number::Float(value) if !(-TWO_TO_63..TWO_TO_63).contains(&value) => return Err(ConvertReason::OutOfRange),
        Number::Float(value) => value as i64,
    };
    T::try_from(whole).map_err(|_| ConvertReason::OutOfRange)
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

fn to_bool(number: Number) -> Result<bool, ConvertReason> {
    match number {
        Number::Float(0.0) | Number::Integer(0) => Ok(false),
        Number::Float(1.0) | Number::Integer(1) => Ok(true),
        _ => Err(ConvertReason::NotBoolean),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements, or the message of the error.
    fn check(from: impl Into<Elements>, to: ElementType, expected: Result<Elements, &str>) {
        let array = Array::from_vec(from);
        let found = array.clone().convert(to).map(|array| array.elements().clone());
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{array:?} to {to}");
    }

    #[test]
    fn what_fits_is_converted() {
        check(vec![1.0_f64, -3.0], ElementType::I32, Ok(vec![1, -3].into()));
        check(vec![7_i64], ElementType::I32, Ok(vec![7_i32].into()));
        check(vec![0.1_f64, f64::INFINITY], ElementType::F32, Ok(vec![0.1_f32, f32::INFINITY].into()));
        check(vec![0.1_f32], ElementType::F64, Ok(vec![f64::from(0.1_f32)].into()));
        check(vec![0.1_f32], ElementType::Bf16, Ok(vec![bf16::from_f32(0.1)].into()));
        check(vec![2.0_f64.powi(-24)], ElementType::F16, Ok(vec![f16::from_bits(1)].into()));
        check(vec![f16::from_f32(1.5)], ElementType::F64, Ok(vec![1.5_f64].into()));
        check(vec![2048_i64], ElementType::F16, Ok(vec![f16::from_f32(2048.0)].into()));
        check(vec![255_u8], ElementType::F32, Ok(vec![255.0_f32].into()));
        check(vec![i64::MIN], ElementType::F64, Ok(vec![-TWO_TO_63].into()));
        check(vec![-TWO_TO_63], ElementType::I64, Ok(vec![i64::MIN].into()));
        check(vec![0.0_f32, 1.0], ElementType::Bool, Ok(vec![false, true].into()));
        check(vec![true], ElementType::F32, Ok(vec![1.0_f32].into()));
        check(vec![true], ElementType::U8, Ok(vec![1_u8].into()));
        check(vec![5_i32], ElementType::I32, Ok(vec![5_i32].into()));
        check(Vec::<f32>::new(), ElementType::I32, Ok(Vec::<i32>::new().into()));
    }

    #[test]
    fn what_would_be_lost_is_an_error() {
        check(vec![1.0_f32, 3.5], ElementType::I32, Err("3.5 (f32) is not a whole number, as i32 needs"));
        check(vec![f64::NAN], ElementType::I32, Err("NaN (f64) is not a whole number, as i32 needs"));
        check(vec![f64::NEG_INFINITY], ElementType::I64, Err("-inf (f64) is not a whole number, as i64 needs"));
        check(vec![TWO_TO_63], ElementType::I64, Err("9223372036854776000 (f64) is outside the range of i64"));
        check(vec![1_i64 << 40], ElementType::I32, Err("1099511627776 (i64) is outside the range of i32"));
        check(vec![1e300_f64], ElementType::I32, Err(&format!("{} (f64) is outside the range of i32", 1e300_f64)));
        check(vec![-1_i32], ElementType::U8, Err("-1 (i32) is outside the range of u8"));
        check(vec![1e39_f64], ElementType::F32, Err(&format!("{} (f64) is outside the range of f32", 1e39_f64)));
        check(vec![(1 << 24) + 1_i32], ElementType::F32, Err("16777217 (i32) cannot be held exactly in f32"));
        check(vec![i64::MAX], ElementType::F64, Err("9223372036854775807 (i64) cannot be held exactly in f64"));
        check(vec![65520.0_f32], ElementType::F16, Err("65520 (f32) is outside the range of f16"));
        check(vec![2049_i32], ElementType::F16, Err("2049 (i32) cannot be held exactly in f16"));
        check(vec![257_i32], ElementType::Bf16, Err("257 (i32) cannot be held exactly in bf16"));
        check(vec![2_i32], ElementType::Bool, Err("2 (i32) is neither 0 nor 1, as bool needs"));
        check(vec![f32::NAN], ElementType::Bool, Err("NaN (f32) is neither 0 nor 1, as bool needs"));
    }

    #[test]
    fn the_error_names_the_element() {
        let error = Array::from_vec(vec![1.0_f32, 2.0, 2.5]).convert(ElementType::I32).unwrap_err();
        assert_eq!((error.element, error.reason), (2, ConvertReason::NotWhole));
    }
}
