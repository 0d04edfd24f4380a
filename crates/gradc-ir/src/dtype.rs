//! Element types.

use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    /// A truth value, stored as one byte, 0 or 1.
    Bool,
    /// A 32-bit signed integer; arithmetic wraps.
    I32,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
}

impl DType {
    /// Every element type, in order of conversion: each can be widened to the later numeric ones.
    pub const ALL: [DType; 4] = [DType::Bool, DType::I32, DType::F32, DType::F64];

    /// Whether values of this type have derivatives.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F32 | DType::F64)
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::Bool => 1,
            DType::I32 | DType::F32 => 4,
            DType::F64 => 8,
        }
    }

    /// The name in the language and in the IR's text: `f32`.
    pub fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I32 => "i32",
            DType::F32 => "f32",
            DType::F64 => "f64",
        }
    }

    /// The type that [`DType::name`] gives this name to.
    pub fn from_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// `value` as the nearest value of this type: floats round to nearest even, integers wrap, and any number that
    /// is not zero (NaN too) is true.
    pub fn round(self, value: f64) -> f64 {
        match self {
            DType::Bool => f64::from(u8::from(value != 0.0)),
            DType::I32 => f64::from(wrap_i32(value)),
            DType::F32 => f64::from(value as f32),
            DType::F64 => value,
        }
    }
}

/// `value` truncated towards zero and wrapped to 32 bits; NaN is 0 and what lies beyond 64 bits saturates first.
fn wrap_i32(value: f64) -> i32 {
    (value as i64) as i32
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
