//! The operator registry. One operator is one file here and one [`OpDef`]; [`ALL`] lists them.
//!
//! To add one, see docs/add-an-operator.md.

use std::fmt;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

use crate::attr::{AttrSpec, Attrs};
use crate::scalar::{ScalarBuilder, ScalarValue};
use crate::tensor::Tensor;
use crate::{DType, Graph, Linear, TensorType, ValueId};

mod derivative;
mod elementwise;
mod infer;
mod registry;

pub use derivative::{Jvp, Vjp};
pub use registry::{ALL, find};

macro_rules! operators {
    ($($file:ident)*) => { $(pub mod $file;)* };
}

operators! {
    abs
    add
    and
    broadcast
    cast
    ceil
    concat
    custom
    div
    eq
    erf
    erfc
    exp
    expm1
    floor
    full
    gather
    ge
    gt
    iota
    le
    log
    log1p
    lt
    matmul
    max
    min
    mul
    ne
    neg
    not
    one_hot
    or
    overlap_add
    pad
    pow
    random
    reduce_max
    reduce_mean
    reduce_min
    reduce_sum
    reshape
    result
    round
    rsqrt
    scan
    scatter_add
    select
    sigmoid
    sign
    slice
    sqrt
    stop_gradient
    sub
    tanh
    transpose
    window
}

/// What an operator does to its operands' elements, as far as passes need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// A value made from attributes alone: `full`, `iota`.
    Source,
    /// Each element of the result depends on the elements at the same index of operands of the same shape.
    Elementwise,
    /// Combines the elements along the axes of the attribute `axes`, which the result does not have.
    Reduce,
    /// Sums of products: matrix multiplication.
    Contract,
    /// Each element of the result is an element of an operand (or a fixed fill), at an index known at compile time.
    Movement,
    /// Each element of the operand is added to one element of the result, at an index known at compile time: the transpose
    /// of a movement.
    Accumulate,
    /// Elements are read or written at indices that an operand holds.
    Indexed,
    /// A loop around a body, and what reads one of several results.
    Scan,
    /// Values with a derivative rule of the program's own: gone once the derivative is written.
    Custom,
}

/// How many operands an operator takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// Just this many.
    Exactly(usize),
    /// Any number from this on.
    AtLeast(usize),
}

impl Arity {
    /// Whether `count` operands are right.
    pub fn admits(self, count: usize) -> bool {
        match self {
            Arity::Exactly(n) => count == n,
            Arity::AtLeast(n) => count >= n,
        }
    }
}

/// How the text form writes an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// `name(a, b, attr=value)`
    Call,
    /// `a + b`
    Infix(&'static str),
    /// `-a`
    Prefix(&'static str),
}

/// Why operands do not fit an operator. Elaboration has checked what users write, so later this is a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError(pub String);

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TypeError {}

/// How the elements of the result are computed, plainly: the meaning of the operator.
#[derive(Clone, Copy)]
pub enum Evaluate {
    /// One element from the operands' elements; truth values are 0 and 1. The caller rounds the result to its element
    /// type. `int` replaces `real` where the result is an integer and no operand a float, and exact arithmetic in `f64` does
    /// not wrap as it must.
    Scalar {
        /// On numbers.
        real: fn(&[f64]) -> f64,
        /// On integers, before the caller wraps the result to fewer bits.
        int: Option<fn(&[i64]) -> i64>,
    },
    /// All elements in row-major order, from attributes, operands and the type of the result.
    Tensor(fn(&Attrs, &[&Tensor], &TensorType) -> Vec<f64>),
}

/// Writes an elementwise operator with the given attributes as scalar operations on the given operands.
pub type Lower = fn(&mut dyn ScalarBuilder, &Attrs, &[ScalarValue]) -> ScalarValue;

/// The derivative of an operator.
#[derive(Clone, Copy)]
pub enum Derivative {
    /// Rules that write the derivative into the graph, closed over the operators.
    Rules {
        /// Reverse mode: from the cotangent of the result to those of the operands.
        vjp: fn(&mut Vjp<'_>),
        /// Forward mode: from the tangents of the operands to that of the result.
        jvp: fn(&mut Jvp<'_>),
    },
    /// It follows from the body that the operator holds: differentiation writes another loop, around the derivative of the
    /// body, or the rule that the body is.
    Body,
    /// No derivative flows, for this reason: the result is piecewise constant, or that is the operator's purpose.
    None(&'static str),
}

/// Algebraic facts about one operator, for the simplifier. All hold for every value, NaN included, unless said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Algebra {
    /// `f(a, b) = f(b, a)`.
    pub commutative: bool,
    /// `f(f(a, b), c) = f(a, f(b, c))` over the reals.
    pub associative: bool,
    /// `f(a, e) = a`, bit for bit.
    pub right_identity: Option<f64>,
    /// `f(f(a)) = a`.
    pub involution: bool,
    /// `f(f(a)) = f(a)`, or `f(a, a) = a` for two operands.
    pub idempotent: bool,
    /// `f(−a) = −f(a)`.
    pub odd: bool,
    /// `f(−a) = f(a)`.
    pub even: bool,
    /// In which operands it is linear over the reals.
    pub linear: Linear,
}

impl Algebra {
    /// Nothing is known.
    pub const NONE: Algebra = Algebra {
        commutative: false,
        associative: false,
        right_identity: None,
        involution: false,
        idempotent: false,
        odd: false,
        even: false,
        linear: Linear::No,
    };
}

/// Where an operator is smooth, for tests that sample it.
#[derive(Clone, Copy, Debug)]
pub struct Domain {
    /// For each operand (the last one stands for all further ones), an interval on which the operator is smooth and
    /// well conditioned, away from kinks and poles. Integers are sampled from the whole numbers of the interval, both
    /// ends included; truth values take no notice of it.
    pub smooth: &'static [(f64, f64)],
    /// Points of the first operand at which the derivative jumps or does not exist.
    pub kinks: &'static [f64],
    /// Whether the derivative jumps where two operands or elements are equal.
    pub kink_at_ties: bool,
    /// Whether result or derivative can be infinite or NaN where the operands are neither: at a pole, outside of where
    /// the operator is defined, or because it grows faster than any power.
    pub unbounded: bool,
}

impl Domain {
    /// Smooth everywhere; sampled from −2 to 2.
    pub const SMOOTH: Domain = Domain { smooth: &[(-2.0, 2.0)], kinks: &[], kink_at_ties: false, unbounded: false };

    /// Smooth for positive operands, with a pole at 0; sampled from ½ to 3.
    pub const POSITIVE: Domain = Domain { smooth: &[(0.5, 3.0)], kinks: &[0.0], unbounded: true, ..Domain::SMOOTH };
}

/// One way to apply an operator, for tests that go through the registry.
#[derive(Clone, Debug)]
pub struct Case {
    /// The attributes.
    pub attrs: Attrs,
    /// The operands' types.
    pub operands: Vec<TensorType>,
}

impl Case {
    /// `def` applied in this way. A loop has several results: then the value is the floats among them, flat, one after the
    /// other.
    pub fn apply(&self, graph: &mut Graph, def: &'static OpDef, operands: &[ValueId]) -> ValueId {
        let value = graph.emit(def.with(self.attrs.clone()), operands);
        let Some(scan) = graph.as_scan(value) else { return value };
        let mut parts = Vec::new();
        for index in (0..scan.results()).filter(|&index| scan.result_type(index).dtype.is_float()) {
            let result = graph.result_of(value, index);
            parts.push(graph.reshape(result, &[graph.shape(result).elements()]));
        }
        graph.concat(&parts, 0)
    }
}

/// Everything that is known about one operator alone.
pub struct OpDef {
    /// Name in the text form, and in errors.
    pub name: &'static str,
    /// What it does to elements.
    pub class: Class,
    /// How many operands.
    pub arity: Arity,
    /// Which attributes, in order.
    pub attrs: &'static [AttrSpec],
    /// How it is written.
    pub notation: Notation,
    /// The type of the result, or why there is none.
    pub infer: fn(&Attrs, &[&TensorType]) -> Result<TensorType, TypeError>,
    /// What it means.
    pub evaluate: Evaluate,
    /// Its derivative.
    pub derivative: Derivative,
    /// For elementwise operators: the same meaning as scalar operations of the loop IR.
    pub lower: Option<Lower>,
    /// Algebraic facts.
    pub algebra: Algebra,
    /// Where to sample it.
    pub domain: Domain,
    /// Ways to apply it at size `n`, for any `n` including 0, with float operands of the given element type where it
    /// takes floats.
    pub cases: fn(n: usize, float: DType) -> Vec<Case>,
    /// The manual: what it computes, with conventions at kinks, ties, NaN and empty axes.
    pub doc: &'static str,
}

impl OpDef {
    /// This operator without attributes.
    pub fn op(&'static self) -> Op {
        Op { def: self, attrs: Attrs::NONE }
    }

    /// This operator with attributes, in the order of its specifications.
    pub fn with(&'static self, attrs: Attrs) -> Op {
        Op { def: self, attrs }
    }
}

impl fmt::Debug for OpDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// An operator with its attributes: what a node applies. Compared and ordered by name and attributes.
#[derive(Clone, Debug)]
pub struct Op {
    /// The operator.
    pub def: &'static OpDef,
    /// Its attributes.
    pub attrs: Attrs,
}

impl Op {
    /// Whether this is an application of `def`, whatever the attributes.
    pub fn is(&self, def: &'static OpDef) -> bool {
        std::ptr::eq(self.def, def)
    }

    /// The type of the result: attributes are checked against their specifications, then the type rule is run.
    pub fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
        self.check_attrs()?;
        if !self.def.arity.admits(operands.len()) {
            return Err(TypeError(format!("{} does not take {} operands", self.def.name, operands.len())));
        }
        let ty = (self.def.infer)(&self.attrs, operands)?;
        if crate::Shape::checked_elements(&ty.shape).is_none() {
            return Err(TypeError(format!("{} gives {ty}, which is too large", self.def.name)));
        }
        Ok(ty)
    }

    /// The reference evaluation: the operator applied to tensors, whose types fit it. Every element is computed in `f64`
    /// (64-bit arithmetic for integers) and rounded once to the element type of the result.
    ///
    /// # Errors
    /// Where the operands do not fit.
    pub fn evaluate(&self, operands: &[&Tensor]) -> Result<Tensor, TypeError> {
        let types: SmallVec<[&TensorType; 4]> = operands.iter().map(|operand| operand.ty()).collect();
        let ty = self.infer(&types)?;
        let data = match self.def.evaluate {
            Evaluate::Scalar { int: Some(int), .. }
                if ty.dtype.is_integer() && types.iter().all(|ty| !ty.dtype.is_float()) =>
            {
                element_by_element(operands, ty.shape.elements(), |x| x as i64, |x| ty.dtype.wrap(int(x)))
            }
            Evaluate::Scalar { real, .. } => element_by_element(operands, ty.shape.elements(), |x| x, real),
            Evaluate::Tensor(evaluate) => evaluate(&self.attrs, operands, &ty),
        };
        Ok(Tensor::new(ty, data))
    }

    fn check_attrs(&self) -> Result<(), TypeError> {
        let specs = self.def.attrs;
        let agree = self.attrs.iter().count() == specs.len()
            && self
                .attrs
                .iter()
                .zip(specs)
                .all(|((name, value), spec)| *name == spec.name && value.kind() == spec.kind);
        if agree {
            return Ok(());
        }
        let expected: SmallVec<[&str; 4]> = specs.iter().map(|spec| spec.name).collect();
        Err(TypeError(format!("{} takes the attributes ({})", self.def.name, expected.join(", "))))
    }
}

/// What `f` gives for the operands' elements at each position.
fn element_by_element<T>(
    operands: &[&Tensor],
    count: usize,
    convert: fn(f64) -> T,
    f: impl Fn(&[T]) -> f64,
) -> Vec<f64> {
    let mut elements: SmallVec<[T; 4]> = SmallVec::new();
    let at = |position: usize| {
        elements.clear();
        elements.extend(operands.iter().map(|operand| convert(operand.data()[position])));
        f(&elements)
    };
    (0..count).map(at).collect()
}

impl PartialEq for Op {
    fn eq(&self, other: &Op) -> bool {
        self.is(other.def) && self.attrs == other.attrs
    }
}

impl Eq for Op {}

impl Hash for Op {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.def.name.hash(state);
        self.attrs.hash(state);
    }
}

impl PartialOrd for Op {
    fn partial_cmp(&self, other: &Op) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Op {
    fn cmp(&self, other: &Op) -> std::cmp::Ordering {
        self.def.name.cmp(other.def.name).then_with(|| self.attrs.cmp(&other.attrs))
    }
}
