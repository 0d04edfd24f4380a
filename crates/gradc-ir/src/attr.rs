//! Operator attributes: the compile-time arguments of an operator, as data that prints and reads back.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::{Body, DType};

/// A float that is compared, ordered and hashed by its bits, so that attributes can be keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FloatBits(u64);

impl FloatBits {
    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for FloatBits {
    fn from(value: f64) -> FloatBits {
        FloatBits(value.to_bits())
    }
}

/// The value of one attribute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attr {
    /// A flag.
    Bool(bool),
    /// An axis or a count.
    Int(usize),
    /// Axes, extents or a permutation.
    Ints(Arc<[usize]>),
    /// A number.
    Float(FloatBits),
    /// An element type.
    DType(DType),
    /// The body of a loop.
    Body(Body),
}

/// What kind of value an attribute takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrKind {
    /// [`Attr::Bool`]
    Bool,
    /// [`Attr::Int`]
    Int,
    /// [`Attr::Ints`]
    Ints,
    /// [`Attr::Float`]
    Float,
    /// [`Attr::DType`]
    DType,
    /// [`Attr::Body`]
    Body,
}

/// Where the text form of a value has the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttrSource {
    /// Written among the operands: `sum(x, axes=[1])`.
    Written,
    /// Written without its name, as the first thing between the parentheses: `full(0.5)`.
    Positional,
    /// Not written: it is the shape of the result, which every line states.
    ResultShape,
    /// Not written: it is the element type of the result, which every line states.
    ResultDType,
    /// A flag that is not written here: an operand carries it as `x^T` (the index of the operand).
    TransposeOf(usize),
    /// Not written between the parentheses: the block after them says it.
    Block,
}

/// One attribute that an operator takes. All attributes are required.
#[derive(Clone, Copy, Debug)]
pub struct AttrSpec {
    /// Name in the text form.
    pub name: &'static str,
    /// The kind of value.
    pub kind: AttrKind,
    /// Where the text form has it.
    pub source: AttrSource,
}

impl AttrSpec {
    /// An attribute that the text form writes by name.
    pub const fn new(name: &'static str, kind: AttrKind) -> AttrSpec {
        AttrSpec { name, kind, source: AttrSource::Written }
    }

    /// An attribute that the text form has elsewhere.
    pub const fn from(name: &'static str, kind: AttrKind, source: AttrSource) -> AttrSpec {
        AttrSpec { name, kind, source }
    }
}

/// The attributes of one application of an operator, in the order of its [`AttrSpec`]s. Cheap to clone, to compare and to
/// hash: passes look up operators by the thousand.
#[derive(Clone, Debug, Default)]
pub struct Attrs(Option<Arc<Pairs>>);

/// `(name, value)` pairs and their hash, which is computed once.
struct Pairs {
    hash: u64,
    pairs: Box<[(&'static str, Attr)]>,
}

/// The pairs alone: how they are hashed is nothing to show, and cases of reference data are told apart by this text.
impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pairs.fmt(f)
    }
}

impl Attrs {
    /// No attributes.
    pub const NONE: Attrs = Attrs(None);

    /// Attributes from `(name, value)` pairs, in the order of the operator's specifications.
    pub fn new(pairs: impl IntoIterator<Item = (&'static str, Attr)>) -> Attrs {
        let pairs: Box<[_]> = pairs.into_iter().collect();
        let hash = FxBuildHasher.hash_one(&pairs);
        Attrs((!pairs.is_empty()).then(|| Arc::new(Pairs { hash, pairs })))
    }

    /// Every `(name, value)` pair.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, Attr)> {
        self.pairs().iter()
    }

    fn pairs(&self) -> &[(&'static str, Attr)] {
        self.0.as_ref().map_or(&[], |known| &known.pairs)
    }

    /// The attribute called `name`, if there is one.
    pub fn get(&self, name: &str) -> Option<&Attr> {
        self.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A flag. The verifier has checked names and kinds, so a miss is a bug.
    pub fn bool(&self, name: &str) -> bool {
        match self.get(name) {
            Some(Attr::Bool(value)) => *value,
            other => unreachable!("attribute {name} is {other:?}, not a flag"),
        }
    }

    /// A count or an axis. A miss is a bug.
    pub fn int(&self, name: &str) -> usize {
        match self.get(name) {
            Some(Attr::Int(value)) => *value,
            other => unreachable!("attribute {name} is {other:?}, not an integer"),
        }
    }

    /// A list of axes or extents. A miss is a bug.
    pub fn ints(&self, name: &str) -> &[usize] {
        match self.get(name) {
            Some(Attr::Ints(values)) => values,
            other => unreachable!("attribute {name} is {other:?}, not a list"),
        }
    }

    /// A number. A miss is a bug.
    pub fn float(&self, name: &str) -> f64 {
        match self.get(name) {
            Some(Attr::Float(value)) => value.get(),
            other => unreachable!("attribute {name} is {other:?}, not a number"),
        }
    }

    /// An element type. A miss is a bug.
    pub fn dtype(&self, name: &str) -> DType {
        match self.get(name) {
            Some(Attr::DType(value)) => *value,
            other => unreachable!("attribute {name} is {other:?}, not an element type"),
        }
    }

    /// The body of a loop. A miss is a bug.
    pub fn body(&self, name: &str) -> &Body {
        match self.get(name) {
            Some(Attr::Body(value)) => value,
            other => unreachable!("attribute {name} is {other:?}, not a body"),
        }
    }
}

impl PartialEq for Attrs {
    fn eq(&self, other: &Attrs) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(own), Some(other)) => Arc::ptr_eq(own, other) || own.hash == other.hash && own.pairs == other.pairs,
            _ => false,
        }
    }
}

impl Eq for Attrs {}

impl Hash for Attrs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.as_ref().map_or(0, |known| known.hash));
    }
}

impl PartialOrd for Attrs {
    fn partial_cmp(&self, other: &Attrs) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Attrs {
    fn cmp(&self, other: &Attrs) -> Ordering {
        self.pairs().cmp(other.pairs())
    }
}

impl Attr {
    /// The kind of this value.
    pub fn kind(&self) -> AttrKind {
        match self {
            Attr::Bool(_) => AttrKind::Bool,
            Attr::Int(_) => AttrKind::Int,
            Attr::Ints(_) => AttrKind::Ints,
            Attr::Float(_) => AttrKind::Float,
            Attr::DType(_) => AttrKind::DType,
            Attr::Body(_) => AttrKind::Body,
        }
    }
}

impl From<bool> for Attr {
    fn from(value: bool) -> Attr {
        Attr::Bool(value)
    }
}

impl From<usize> for Attr {
    fn from(value: usize) -> Attr {
        Attr::Int(value)
    }
}

impl From<&[usize]> for Attr {
    fn from(values: &[usize]) -> Attr {
        Attr::Ints(values.into())
    }
}

impl<const N: usize> From<[usize; N]> for Attr {
    fn from(values: [usize; N]) -> Attr {
        Attr::Ints(values.into())
    }
}

impl From<f64> for Attr {
    fn from(value: f64) -> Attr {
        Attr::Float(value.into())
    }
}

impl From<DType> for Attr {
    fn from(value: DType) -> Attr {
        Attr::DType(value)
    }
}

impl From<Body> for Attr {
    fn from(value: Body) -> Attr {
        Attr::Body(value)
    }
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Attr::Bool(value) => write!(f, "{value}"),
            Attr::Int(value) => write!(f, "{value}"),
            Attr::Ints(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Attr::Float(value) => write_number(f, value.get(), DType::F64),
            Attr::DType(value) => write!(f, "{value}"),
            Attr::Body(value) => write!(f, "{value:?}"),
        }
    }
}

/// Writes `value`, a number of type `dtype`, as the shortest decimal that reads back as the same number of that type;
/// infinities and NaN are `inf`, `-inf` and `nan`. Large and small magnitudes use an exponent.
pub fn write_number(f: &mut impl fmt::Write, value: f64, dtype: DType) -> fmt::Result {
    let magnitude = value.abs();
    let exponent = magnitude != 0.0 && !(1e-4..1e9).contains(&magnitude);
    match (value.is_finite(), dtype, exponent) {
        (false, ..) if value.is_nan() => f.write_str("nan"),
        (false, ..) => f.write_str(if value > 0.0 { "inf" } else { "-inf" }),
        (_, DType::F16 | DType::Bf16, _) => write_number(f, shortest(value, dtype), DType::F64),
        (_, DType::F32, true) => write!(f, "{:e}", value as f32),
        (_, DType::F32, false) => write!(f, "{}", value as f32),
        (_, _, true) => write!(f, "{value:e}"),
        (_, _, false) => write!(f, "{value}"),
    }
}

/// The decimal of the fewest digits that is `value` when it is rounded to `dtype`, a float of 16 bits.
pub fn shortest(value: f64, dtype: DType) -> f64 {
    let decimals = (0..8).filter_map(|digits| format!("{value:.digits$e}").parse().ok());
    decimals.into_iter().find(|decimal| dtype.round(*decimal) == value).unwrap_or(value)
}
