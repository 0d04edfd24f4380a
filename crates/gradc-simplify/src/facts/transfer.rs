//! What each operator makes of what is known about its operands.

use gradc_ir::op::{self, Evaluate, OpDef};
use gradc_ir::{Class, DType, Op, TensorType};

use super::{Facts, Range};

/// Facts of `op` applied to operands, whose result is of type `ty`.
pub(super) fn facts(op: &Op, operands: &[&Facts], ty: TensorType) -> Facts {
    let mut facts = Facts::of_type(ty);
    facts.constant = constant(op, operands, &facts.ty);
    facts.range = match facts.constant {
        Some(value) => Range::point(value),
        None => rounded(range(op, operands, &facts.ty), facts.ty.dtype).intersection(facts.range),
    };
    if op.is(&op::one_hot::ONE_HOT) && operands[0].trusted_index {
        facts.sums_to_one = Some(facts.ty.shape.rank() - 1);
        facts.one_hot = true;
    }
    facts.symmetric = symmetric(op, operands, &facts);
    facts.vanishing = vanishing(op, operands);
    if op.is(&op::stop_gradient::STOP_GRADIENT) {
        facts.sums_to_one = operands[0].sums_to_one;
        facts.one_hot = operands[0].one_hot;
        facts.trusted_index = operands[0].trusted_index;
    }
    facts
}

/// What is the same everywhere, and what is made element by element of what is symmetric.
fn symmetric(op: &Op, operands: &[&Facts], facts: &Facts) -> bool {
    let rank = facts.ty.shape.rank();
    if rank < 2 || facts.ty.shape[rank - 1] != facts.ty.shape[rank - 2] {
        return false;
    }
    let is_last = |axis: &usize| *axis + 2 >= rank;
    let all = || operands.iter().all(|operand| operand.symmetric);
    match op.def.class {
        _ if facts.constant.is_some() => true,
        // Others may look at the position.
        Class::Elementwise => matches!(op.def.evaluate, Evaluate::Scalar { .. }) && all(),
        _ if op.is(&op::broadcast::BROADCAST) => {
            match op.attrs.ints("axes").iter().filter(|axis| is_last(axis)).count() {
                0 => true,
                2 => all(),
                _ => false,
            }
        }
        _ => false,
    }
}

/// Sigmoids, products of what vanishes, and what is moved.
fn vanishing(op: &Op, operands: &[&Facts]) -> bool {
    let all = || operands.iter().all(|facts| facts.vanishing);
    match op.def.class {
        Class::Movement => op.attrs.get("value").is_none() && all(),
        Class::Indexed => op.is(&op::gather::GATHER) && operands[0].vanishing,
        _ if op.is(&op::mul::MUL) || op.is(&op::stop_gradient::STOP_GRADIENT) => all(),
        _ => op.is(&op::sigmoid::SIGMOID),
    }
}

/// Bounds as the element type rounds them. Rounding keeps order, so what lay between them still does.
fn rounded(range: Range, dtype: DType) -> Range {
    if dtype.is_float() && dtype != DType::F64 { range.mapped(|bound| dtype.round(bound)) } else { range }
}

/// The number that the result holds everywhere, evaluated by the operator itself.
fn constant(op: &Op, operands: &[&Facts], ty: &TensorType) -> Option<f64> {
    let constants = || operands.iter().map(|facts| facts.constant).collect::<Option<Vec<f64>>>();
    match (op.def.class, op.def.evaluate) {
        (Class::Source, _) if op.is(&op::full::FULL) => Some(op.attrs.float("value")),
        (Class::Elementwise, Evaluate::Scalar { real, int }) => {
            // What has more digits than a constant holds is left to the machine.
            let int = int.filter(|_| operands.iter().all(|facts| !facts.ty.dtype.is_float()));
            Some(evaluate(real, int, &constants()?, ty.dtype)).filter(|value| ty.dtype.represents(*value))
        }
        (Class::Movement, _) => {
            let constants = constants()?;
            let fill = op.attrs.get("value").map(|_| op.attrs.float("value"));
            let first = *constants.first()?;
            let same = |value: f64| value.to_bits() == first.to_bits();
            (constants.into_iter().all(same) && fill.is_none_or(same)).then_some(first)
        }
        _ => None,
    }
}

/// One element, rounded to its type.
fn evaluate(real: fn(&[f64]) -> f64, int: Option<fn(&[i64]) -> i64>, operands: &[f64], dtype: DType) -> f64 {
    match int {
        Some(int) if dtype.is_integer() => {
            let operands: Vec<i64> = operands.iter().map(|&value| value as i64).collect();
            dtype.wrap(int(&operands))
        }
        _ => {
            let value = dtype.round(real(operands));
            // NaN has one encoding among constants.
            if value.is_nan() { f64::NAN } else { value }
        }
    }
}

/// Operators whose value grows with their one operand and that are NaN only where it is.
static GROWING: [&OpDef; 9] = [
    &op::exp::EXP,
    &op::expm1::EXPM1,
    &op::tanh::TANH,
    &op::sigmoid::SIGMOID,
    &op::erf::ERF,
    &op::floor::FLOOR,
    &op::ceil::CEIL,
    &op::round::ROUND,
    &op::stop_gradient::STOP_GRADIENT,
];

/// The same, but NaN below the given number.
static GROWING_FROM: [(&OpDef, f64); 3] = [(&op::log::LOG, 0.0), (&op::log1p::LOG1P, -1.0), (&op::sqrt::SQRT, 0.0)];

/// Bounds of the result of a numeric operator.
fn range(op: &Op, operands: &[&Facts], ty: &TensorType) -> Range {
    let is = |def: &'static OpDef| op.is(def);
    let x = operands.first().map_or(Range::ANY, |facts| facts.range);
    let y = operands.get(1).map_or(Range::ANY, |facts| facts.range);
    if ty.dtype == DType::Bool && op.def.class != Class::Movement {
        return Range::between(0.0, 1.0);
    }
    if ty.dtype.is_integer() && op.def.class != Class::Movement {
        // Integers wrap; only what cannot leave the operands' range is known.
        return if is(&op::max::MAX) || is(&op::min::MIN) { x.union(y) } else { integer_source(op, ty) };
    }
    if GROWING.iter().any(|def| is(def)) {
        return grown(op.def, x);
    }
    if let Some((_, from)) = GROWING_FROM.iter().find(|(def, _)| is(def)) {
        return grown(op.def, Range { low: x.low.max(*from), high: x.high.max(*from), nan: x.nan || x.low < *from });
    }
    match op.def.class {
        Class::Movement => movement(op, operands),
        Class::Reduce => reduction(op, x, operands[0].elements() / ty.shape.elements().max(1)),
        _ if is(&op::one_hot::ONE_HOT) || is(&op::random::RANDOM) => Range::between(0.0, 1.0),
        _ if is(&op::iota::IOTA) => integer_source(op, ty),
        _ if is(&op::cast::CAST) => Range { nan: x.nan && ty.dtype.is_float(), ..x },
        _ if is(&op::neg::NEG) => x.negated(),
        _ if is(&op::erfc::ERFC) => grown_of_negative(op.def, x),
        _ if is(&op::abs::ABS) => x.magnitudes(),
        _ if is(&op::sign::SIGN) => x.mapped(|bound| if bound == 0.0 { 0.0 } else { bound.signum() }),
        _ if is(&op::add::ADD) => x.plus(y),
        _ if is(&op::sub::SUB) => x.plus(y.negated()),
        _ if is(&op::mul::MUL) => x.times(y),
        _ if is(&op::div::DIV) => quotient(x, y),
        // The reciprocal root falls. That of −0 is −inf, and there is none below.
        _ if is(&op::rsqrt::RSQRT) && x.low > 0.0 => {
            Range { low: 1.0 / x.high.sqrt(), high: 1.0 / x.low.sqrt(), nan: x.nan }
        }
        _ if is(&op::max::MAX) => Range { low: x.low.max(y.low), high: x.high.max(y.high), nan: x.nan || y.nan },
        _ if is(&op::min::MIN) => Range { low: x.low.min(y.low), high: x.high.min(y.high), nan: x.nan || y.nan },
        _ if is(&op::select::SELECT) => y.union(operands[2].range),
        _ => Range::ANY,
    }
}

/// The image of a range under an operator that falls: it grows with the negative of its operand.
fn grown_of_negative(def: &OpDef, x: Range) -> Range {
    match def.evaluate {
        Evaluate::Scalar { real, .. } => x.negated().mapped(|bound| real(&[-bound])),
        Evaluate::Tensor(_) => Range::ANY,
    }
}

/// The image of a range under an operator that grows.
fn grown(def: &OpDef, x: Range) -> Range {
    match def.evaluate {
        Evaluate::Scalar { real, .. } => x.mapped(|bound| real(&[bound])),
        Evaluate::Tensor(_) => Range::ANY,
    }
}

fn quotient(x: Range, y: Range) -> Range {
    let both_infinite = |a: Range| a.low == f64::NEG_INFINITY || a.high == f64::INFINITY;
    if y.contains_zero() {
        return Range::ANY;
    }
    let range = x.times(y.reciprocal()).or_nan(both_infinite(x) && both_infinite(y));
    let quotients = [x.low / y.low, x.low / y.high, x.high / y.low, x.high / y.high];
    if quotients.iter().any(|quotient| !quotient.is_finite()) {
        return range;
    }
    // A product with a reciprocal is rounded twice, and may be off by more than the quotient that it is to bound.
    let (low, high) = quotients.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), q| (l.min(*q), h.max(*q)));
    Range { low, high, ..range }
}

fn integer_source(op: &Op, ty: &TensorType) -> Range {
    if op.is(&op::iota::IOTA) {
        Range::between(0.0, ty.shape[op.attrs.int("axis")].saturating_sub(1) as f64)
    } else {
        Range::ANY
    }
}

fn movement(op: &Op, operands: &[&Facts]) -> Range {
    let ranges = operands.iter().map(|facts| facts.range);
    let moved = ranges.reduce(Range::union).unwrap_or(Range::ANY);
    match op.attrs.get("value") {
        Some(_) => moved.union(Range::point(op.attrs.float("value"))),
        None => moved,
    }
}

/// Bounds of a reduction of `count` elements.
fn reduction(op: &Op, x: Range, count: usize) -> Range {
    match count {
        _ if op.is(&op::reduce_sum::REDUCE_SUM) => sum(x, count),
        0 => Range::ANY,
        _ if op.is(&op::reduce_mean::REDUCE_MEAN) => quotient(sum(x, count), Range::point(count as f64)),
        _ => x,
    }
}

/// Bounds of a sum: so many copies of the bounds, and what rounding may add to it.
fn sum(x: Range, count: usize) -> Range {
    let factor = count as f64 * (1.0 + count as f64 * 1e-7);
    let both = x.low == f64::NEG_INFINITY && x.high == f64::INFINITY;
    let sum = Range { low: (factor * x.low).min(0.0), high: (factor * x.high).max(0.0), nan: x.nan || both };
    match count {
        0 => Range::between(0.0, 0.0),
        _ if x.low > 0.0 => Range { low: x.low, ..sum },
        _ if x.high < 0.0 => Range { high: x.high, ..sum },
        _ => sum,
    }
}
