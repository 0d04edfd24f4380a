//! Whole numbers that are known when compiling and remember how they were written.
//!
//! Extents are such numbers: a message shows `[batch, 2 * d]` where the graph has `[64, 32]`.

use std::fmt;
use std::rc::Rc;

use gradc_diagnostics::Span;
use gradc_ir::Shape;
use gradc_syntax::ast::BinaryOp;

/// Expressions of more parts than this are shown as their value.
const LONGEST: u32 = 12;

/// A whole number, and the expression in the user's own names that it came from.
#[derive(Debug, Clone)]
pub(crate) struct Int {
    value: i64,
    symbol: Option<Rc<Symbol>>,
}

#[derive(Debug)]
enum Symbol {
    Name { text: Rc<str>, declared: Span, given: bool },
    Binary { op: BinaryOp, left: Int, right: Int, size: u32 },
}

/// Why arithmetic on whole numbers has no whole result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntError {
    /// It does not fit 64 bits.
    Overflow,
    /// A division by zero.
    DivisionByZero,
}

impl Int {
    /// A number that is shown as its digits.
    pub(crate) fn literal(value: i64) -> Int {
        Int { value, symbol: None }
    }

    /// An extent that is shown as its digits. Shapes have fewer than 2^63 elements.
    pub(crate) fn extent_of(value: usize) -> Int {
        Int::literal(i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// The value of a dim that is declared at `declared`.
    pub(crate) fn named(value: i64, text: &str, declared: Span) -> Int {
        Int { value, symbol: Some(Rc::new(Symbol::Name { text: text.into(), declared, given: false })) }
    }

    /// The value that a dim was given from outside.
    pub(crate) fn given(value: i64, text: &str, declared: Span) -> Int {
        Int { value, symbol: Some(Rc::new(Symbol::Name { text: text.into(), declared, given: true })) }
    }

    /// The number.
    pub(crate) fn value(&self) -> i64 {
        self.value
    }

    /// The number as the extent of an axis. Those in a tensor's shape have been checked to be at least 1.
    pub(crate) fn extent(&self) -> usize {
        usize::try_from(self.value).unwrap_or(0)
    }

    /// Whether it is shown as an expression and not as its digits.
    pub(crate) fn is_symbolic(&self) -> bool {
        self.symbol.is_some()
    }

    /// `self op other` for `+`, `-`, `*`, an exact `/`, `%` and `**`. `None` if the result is not whole.
    pub(crate) fn arithmetic(&self, op: BinaryOp, other: &Int) -> Result<Option<Int>, IntError> {
        let (a, b) = (self.value, other.value);
        let divisible = |b: i64| if b == 0 { Err(IntError::DivisionByZero) } else { Ok(b) };
        let value = match op {
            BinaryOp::Add => a.checked_add(b),
            BinaryOp::Sub => a.checked_sub(b),
            BinaryOp::Mul => a.checked_mul(b),
            BinaryOp::Div if a.checked_rem(divisible(b)?).is_some_and(|rest| rest != 0) => return Ok(None),
            BinaryOp::Div => a.checked_div(b),
            BinaryOp::Rem => a.checked_rem_euclid(divisible(b)?),
            BinaryOp::Pow if b < 0 => return Ok(None),
            BinaryOp::Pow => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            _ => return Ok(None),
        };
        let value = value.ok_or(IntError::Overflow)?;
        Ok(Some(Int { value, symbol: self.combined(op, other) }))
    }

    fn combined(&self, op: BinaryOp, other: &Int) -> Option<Rc<Symbol>> {
        if !self.is_symbolic() && !other.is_symbolic() {
            return None;
        }
        match (op, self.neutral(), other.neutral()) {
            (BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow, _, Some(1))
            | (BinaryOp::Add | BinaryOp::Sub, _, Some(0)) => return self.symbol.clone(),
            (BinaryOp::Mul, Some(1), _) | (BinaryOp::Add, Some(0), _) => return other.symbol.clone(),
            _ => {}
        }
        if let Some(undone) = self.undone(op, other) {
            return undone;
        }
        let size = self.size() + other.size();
        let binary = Symbol::Binary { op, left: self.clone(), right: other.clone(), size };
        (size <= LONGEST).then(|| Rc::new(binary))
    }

    /// What is left where one operation undoes the other: `x` of `2 * (x / 2)`, whose division was exact, and of
    /// `2 * x / 2`, `x - 1 + 1` and `x + 1 - 1`.
    fn undone(&self, op: BinaryOp, other: &Int) -> Option<Option<Rc<Symbol>>> {
        let inverse = match op {
            BinaryOp::Mul => BinaryOp::Div,
            BinaryOp::Div => BinaryOp::Mul,
            BinaryOp::Add => BinaryOp::Sub,
            BinaryOp::Sub => BinaryOp::Add,
            _ => return None,
        };
        let left_of = |whole: &Int, part: &Int| match whole.symbol.as_deref() {
            Some(Symbol::Binary { op, left, right, .. }) if *op == inverse && right.is_written_as(part) => {
                Some(left.symbol.clone())
            }
            // The factors and the summands can be in either order.
            Some(Symbol::Binary { op: op @ (BinaryOp::Mul | BinaryOp::Add), left, right, .. })
                if *op == inverse && left.is_written_as(part) =>
            {
                Some(right.symbol.clone())
            }
            _ => None,
        };
        let commutes = matches!(op, BinaryOp::Mul | BinaryOp::Add);
        left_of(self, other).or_else(|| left_of(other, self).filter(|_| commutes))
    }

    fn is_written_as(&self, other: &Int) -> bool {
        self.value == other.value && self.to_string() == other.to_string()
    }

    fn neutral(&self) -> Option<i64> {
        (!self.is_symbolic()).then_some(self.value)
    }

    fn size(&self) -> u32 {
        match self.symbol.as_deref() {
            Some(Symbol::Binary { size, .. }) => *size,
            _ => 1,
        }
    }

    /// The product of several, or `None` where it overflows.
    pub(crate) fn product<'a>(factors: impl IntoIterator<Item = &'a Int>) -> Option<Int> {
        factors
            .into_iter()
            .try_fold(Int::literal(1), |product, factor| product.arithmetic(BinaryOp::Mul, factor).ok().flatten())
    }

    /// The one of two equal numbers that says more to a reader: a name rather than digits.
    pub(crate) fn more_telling<'a>(&'a self, other: &'a Int) -> &'a Int {
        if self.is_symbolic() || !other.is_symbolic() { self } else { other }
    }

    /// Calls `visit` with each named part.
    fn visit_names(&self, visit: &mut impl FnMut(Named)) {
        match self.symbol.as_deref() {
            Some(Symbol::Name { text, declared, given }) => {
                visit(Named { name: text.to_string(), value: self.value, declared: *declared, given: *given });
            }
            Some(Symbol::Binary { left, right, .. }) => {
                left.visit_names(visit);
                right.visit_names(visit);
            }
            None => {}
        }
    }

    /// The name, if it is just a name.
    pub(crate) fn as_name(&self) -> Option<&str> {
        match self.symbol.as_deref() {
            Some(Symbol::Name { text, .. }) => Some(text),
            _ => None,
        }
    }

    fn precedence(&self) -> u8 {
        match self.symbol.as_deref() {
            Some(Symbol::Binary { op, .. }) => precedence(*op),
            _ => 4,
        }
    }

    fn write_within(&self, f: &mut fmt::Formatter<'_>, least: u8) -> fmt::Result {
        if self.precedence() < least { write!(f, "({self})") } else { write!(f, "{self}") }
    }
}

fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Add | BinaryOp::Sub => 1,
        BinaryOp::Pow => 3,
        _ => 2,
    }
}

impl fmt::Display for Int {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.symbol.as_deref() {
            None => write!(f, "{}", self.value),
            Some(Symbol::Name { text, .. }) => f.write_str(text),
            Some(Symbol::Binary { op, left, right, .. }) => {
                let level = precedence(*op);
                let (on_left, on_right) = if *op == BinaryOp::Pow { (level + 1, level) } else { (level, level + 1) };
                left.write_within(f, on_left)?;
                write!(f, " {} ", op.symbol())?;
                right.write_within(f, on_right)
            }
        }
    }
}

/// `[batch, 2 * d]`
pub(crate) struct ShowShape<'a>(pub(crate) &'a [Int]);

impl fmt::Display for ShowShape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            write!(f, "{}{extent}", if axis > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

/// The extents as plain numbers.
pub(crate) fn shape_of(extents: &[Int]) -> Shape {
    extents.iter().map(Int::extent).collect()
}

/// A dim that a shape mentions.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) value: i64,
    pub(crate) declared: Span,
    /// Whether the value was given from outside.
    pub(crate) given: bool,
}

/// Every dim in these extents, in the order of their first mention.
pub(crate) fn names_in(shapes: &[&[Int]]) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for extent in shapes.iter().flat_map(|shape| shape.iter()) {
        extent.visit_names(&mut |named| {
            if !found.iter().any(|known| known.name == named.name) {
                found.push(named);
            }
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_diagnostics::SourceMap;

    fn d(value: i64) -> Int {
        let file = SourceMap::new().add("m.net", "");
        Int::named(value, "d", Span::new(file, 0, 0))
    }

    fn op(a: &Int, op: BinaryOp, b: &Int) -> Int {
        a.arithmetic(op, b).expect("defined").expect("whole")
    }

    #[test]
    fn expressions_are_shown_as_they_would_be_written() {
        let (two, d) = (Int::literal(2), d(6));
        let sum = op(&d, BinaryOp::Add, &two);
        assert_eq!(op(&two, BinaryOp::Mul, &sum).to_string(), "2 * (d + 2)");
        assert_eq!(op(&op(&two, BinaryOp::Mul, &d), BinaryOp::Add, &two).to_string(), "2 * d + 2");
        assert_eq!(op(&d, BinaryOp::Sub, &sum).to_string(), "d - (d + 2)");
        assert_eq!(op(&d, BinaryOp::Mul, &Int::literal(1)).to_string(), "d");
        assert_eq!(op(&two, BinaryOp::Mul, &two).to_string(), "4");
    }

    #[test]
    fn what_undoes_itself_is_not_shown() {
        let (two, d) = (Int::literal(2), d(6));
        let half = op(&d, BinaryOp::Div, &two);
        for whole in [op(&two, BinaryOp::Mul, &half), op(&half, BinaryOp::Mul, &two)] {
            assert_eq!((whole.value(), whole.to_string()), (6, "d".to_owned()));
        }
        let twice = op(&two, BinaryOp::Mul, &d);
        assert_eq!(op(&twice, BinaryOp::Div, &two).to_string(), "d");
        assert_eq!(op(&twice, BinaryOp::Div, &d).to_string(), "2");
        assert_eq!(op(&op(&d, BinaryOp::Sub, &two), BinaryOp::Add, &two).to_string(), "d");
        assert_eq!(op(&op(&two, BinaryOp::Add, &d), BinaryOp::Sub, &two).to_string(), "d");
        // These are not the same operation backwards.
        assert_eq!(op(&op(&two, BinaryOp::Sub, &d), BinaryOp::Add, &two).to_string(), "2 - d + 2");
        assert_eq!(op(&op(&Int::literal(12), BinaryOp::Div, &d), BinaryOp::Mul, &two).to_string(), "12 / d * 2");
        assert_eq!(op(&half, BinaryOp::Mul, &Int::literal(3)).to_string(), "d / 2 * 3");
    }

    #[test]
    fn arithmetic_is_exact_or_says_why_not() {
        assert_eq!(d(7).arithmetic(BinaryOp::Div, &Int::literal(2)).map(|whole| whole.is_none()), Ok(true));
        assert_eq!(d(7).arithmetic(BinaryOp::Div, &Int::literal(0)).err(), Some(IntError::DivisionByZero));
        assert_eq!(d(i64::MAX).arithmetic(BinaryOp::Mul, &Int::literal(2)).err(), Some(IntError::Overflow));
        assert_eq!(d(i64::MIN).arithmetic(BinaryOp::Div, &Int::literal(-1)).err(), Some(IntError::Overflow));
    }

    #[test]
    fn long_expressions_are_shown_as_their_value() {
        let mut sum = d(1);
        for _ in 0..40 {
            sum = op(&sum, BinaryOp::Add, &sum.clone()).clone();
            if sum.value() > 1 << 30 {
                break;
            }
        }
        assert!(!sum.to_string().contains('d') || sum.to_string().len() < 200);
    }
}
