//! An oracle that does not round: operators in arithmetic of many digits, and with exponents so large that what
//! overflows in `f64` mostly does not here.
//!
//! What a formula is over the reals cannot be found out in `f64` if it is `f64` that is tested, nor in `f64` for an `f32`
//! formula in which `y + (1 - y)` cancels at `1e38`. Here a number has as many binary digits as a caller asks for.

use astro_float_num::{BigFloat, Consts, RoundingMode, Sign};
use gradc_ir::op::{self, Evaluate, OpDef};
use gradc_ir::{Class, DType, Graph, NodeKind, Op, Tensor, TensorType, ValueId};

const NEAREST: RoundingMode = RoundingMode::ToEven;

/// A tensor of numbers of many digits, in row-major order.
#[derive(Clone, Debug)]
pub struct ExactTensor {
    ty: TensorType,
    data: Vec<BigFloat>,
}

impl ExactTensor {
    /// Its type: the numbers are not rounded to it.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// For each element, the nearest `f64`; infinite beyond the largest.
    pub fn rounded(&self) -> Vec<f64> {
        self.data.iter().map(to_f64).collect()
    }

    /// For each element, how far `values` are from it, as the nearest `f64`: NaN where either is not a number.
    pub fn distances(&self, values: &[f64]) -> Vec<f64> {
        let distance = |(exact, &value): (&BigFloat, &f64)| to_f64(&exact.sub_full_prec(&number(value, 64))).abs();
        self.data.iter().zip(values).map(distance).collect()
    }
}

/// The nearest number.
fn to_f64(number: &BigFloat) -> f64 {
    if number.is_nan() {
        return f64::NAN;
    }
    if number.is_inf() {
        return if number.is_inf_pos() { f64::INFINITY } else { f64::NEG_INFINITY };
    }
    let Some((words, _, sign, exponent, _)) = number.as_raw_parts() else { return f64::NAN };
    let Some(&top) = words.last().filter(|_| !number.is_zero()) else { return 0.0 };
    // The mantissa is 0.1…, and its last word holds the leading bits: of 64, a conversion rounds to the nearest float.
    let (leading, bits) = (top as f64, 8 * size_of_val(&top) as i32);
    let magnitude = match exponent {
        ..-1200 => 0.0,
        1200.. => f64::INFINITY,
        // In two steps, so that a subnormal result is rounded once.
        _ => leading * 2f64.powi((exponent - bits) / 2) * 2f64.powi(exponent - bits - (exponent - bits) / 2),
    };
    if sign == Sign::Neg { -magnitude } else { magnitude }
}

/// A float as it is. The library's own conversion halves subnormal ones.
fn number(value: f64, digits: usize) -> BigFloat {
    if !value.is_subnormal() {
        return BigFloat::from_f64(value, digits);
    }
    let mut number = BigFloat::from_f64(value * 2f64.powi(200), digits);
    if let Some(exponent) = number.exponent() {
        number.set_exponent(exponent - 200);
    }
    number
}

/// Arithmetic of so many binary digits.
pub struct Arithmetic {
    digits: usize,
    constants: Consts,
}

impl Arithmetic {
    /// Arithmetic of at least so many binary digits.
    pub fn new(digits: usize) -> Arithmetic {
        Arithmetic { digits, constants: Consts::new().expect("there is memory for constants") }
    }

    /// A tensor as it is.
    pub fn tensor(&self, tensor: &Tensor) -> ExactTensor {
        let data = tensor.data().iter().map(|&x| self.number(x)).collect();
        ExactTensor { ty: tensor.ty().clone(), data }
    }

    /// What an operator makes of its operands, for a result of type `ty`; `None` for a loop and for random numbers.
    pub fn apply(&mut self, op: &Op, operands: &[&ExactTensor], ty: &TensorType) -> Option<ExactTensor> {
        let is_exact = |dtype: DType| !dtype.is_float();
        let data = match op.def.class {
            // What has no floats is exact as it is.
            _ if is_exact(ty.dtype) && operands.iter().all(|operand| is_exact(operand.ty.dtype)) => {
                self.as_floats(op, operands, ty)
            }
            Class::Source => self.as_floats(op, operands, ty),
            Class::Elementwise => return self.elementwise(op, operands, ty),
            Class::Reduce => self.reduced(op, operands[0], ty),
            Class::Contract => self.product(op, operands[0], operands[1], ty),
            Class::Movement => self.moved(op, operands, ty),
            Class::Indexed if op.is(&op::gather::GATHER) => self.moved(op, operands, ty),
            Class::Indexed | Class::Accumulate if op.is(&op::one_hot::ONE_HOT) => self.as_floats(op, operands, ty),
            Class::Indexed | Class::Accumulate => self.added_up(op, operands, ty),
            Class::Scan | Class::Custom => return None,
        };
        Some(ExactTensor { ty: ty.clone(), data })
    }

    /// Some values of a graph; `None` where one depends on a loop or on random numbers, or on a leaf without a tensor.
    pub fn evaluate(
        &mut self,
        graph: &Graph,
        leaves: &[(ValueId, Tensor)],
        wanted: &[ValueId],
    ) -> Option<Vec<ExactTensor>> {
        let needed = graph.ancestors(wanted.iter().copied());
        let mut values: Vec<Option<ExactTensor>> = vec![None; graph.len()];
        for value in graph.values().filter(|value| needed[value.index()]) {
            let found = match &graph.node(value).kind {
                NodeKind::Leaf { .. } => self.tensor(&leaves.iter().find(|(leaf, _)| *leaf == value)?.1),
                NodeKind::Op(op) => {
                    let operands: Option<Vec<&ExactTensor>> =
                        graph.operands(value).iter().map(|operand| values[operand.index()].as_ref()).collect();
                    self.apply(op, &operands?, graph.ty(value))?
                }
            };
            values[value.index()] = Some(found);
        }
        wanted.iter().map(|value| values[value.index()].clone()).collect()
    }

    fn number(&self, value: f64) -> BigFloat {
        number(value, self.digits)
    }

    fn add(&self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.add(b, self.digits, NEAREST)
    }

    fn sub(&self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.sub(b, self.digits, NEAREST)
    }

    fn mul(&self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.mul(b, self.digits, NEAREST)
    }

    fn div(&self, a: &BigFloat, b: &BigFloat) -> BigFloat {
        a.div(b, self.digits, NEAREST)
    }

    fn exp(&mut self, x: &BigFloat) -> BigFloat {
        // Even here: reducing such an argument would take for ever.
        if x.exponent().is_some_and(|exponent| exponent > 24) {
            return self.number(if x.is_negative() { 0.0 } else { f64::INFINITY });
        }
        x.exp(self.digits, NEAREST, &mut self.constants)
    }

    /// Digits that are lost where 1 is added to `x` or taken away again; `None` where `x` is so small that its square does
    /// not count.
    fn digits_beside_one(&self, x: &BigFloat) -> Option<usize> {
        let below = usize::try_from(-i64::from(x.exponent().unwrap_or(0))).unwrap_or(0);
        (below < self.digits).then_some(self.digits + below)
    }

    fn expm1(&mut self, x: &BigFloat) -> BigFloat {
        let one = self.number(1.0);
        match self.digits_beside_one(x) {
            Some(digits) if digits > self.digits => {
                x.exp(digits, NEAREST, &mut self.constants).sub(&one, self.digits, NEAREST)
            }
            Some(_) => {
                let exp = self.exp(x);
                self.sub(&exp, &one)
            }
            None => x.clone(),
        }
    }

    fn log1p(&mut self, x: &BigFloat) -> BigFloat {
        let one = self.number(1.0);
        match self.digits_beside_one(x) {
            Some(digits) => one.add(x, digits, NEAREST).ln(digits, NEAREST, &mut self.constants),
            None => x.clone(),
        }
    }

    /// (e²ˣ − 1) / (e²ˣ + 1)
    fn tanh(&mut self, x: &BigFloat) -> BigFloat {
        let double = self.mul(&self.number(-2.0), &x.abs());
        let less = self.expm1(&double);
        let quotient = self.div(&less, &self.add(&less, &self.number(2.0)));
        if x.is_negative() { quotient } else { quotient.neg() }
    }

    fn sigmoid(&mut self, x: &BigFloat) -> BigFloat {
        let small = self.exp(&x.abs().neg());
        let one = self.number(1.0);
        let denominator = self.add(&one, &small);
        self.div(if x.is_negative() { &small } else { &one }, &denominator)
    }

    /// e^(y·log|x|), with the sign of an odd power, and NaN for a negative number to a power that is not whole.
    fn pow(&mut self, x: &BigFloat, y: &BigFloat) -> BigFloat {
        let whole = y.is_zero() || y.is_int();
        if y.is_zero() || x.is_zero() {
            let value = if y.is_zero() {
                1.0
            } else if y.is_negative() {
                f64::INFINITY
            } else {
                0.0
            };
            return self.number(value);
        }
        if x.is_negative() && !whole {
            return BigFloat::nan(None);
        }
        // The error of the logarithm is multiplied by at most this.
        let digits = self.digits + 64;
        let power = x.abs().ln(digits, NEAREST, &mut self.constants).mul(y, digits, NEAREST);
        let magnitude = self.exp(&power);
        let odd = !y.mul(&self.number(0.5), digits, NEAREST).is_int();
        if x.is_negative() && odd { magnitude.neg() } else { magnitude }
    }

    /// 2/√π Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n + 1)), whose terms grow up to e^(x²): so many digits are added.
    fn erf(&mut self, x: &BigFloat) -> BigFloat {
        let size = to_f64(x).abs();
        // What is left of one is less than e^(-x²), and so has no digit.
        if size * size * std::f64::consts::LOG2_E > (self.digits + 2) as f64 {
            return self.number(1f64.copysign(to_f64(x)));
        }
        let digits = self.digits + (size * size * 3.0) as usize + 64;
        let wide = Arithmetic::new(digits);
        let square = wide.mul(x, x);
        let (mut term, mut sum, mut n) = (x.clone(), x.clone(), 0.0);
        while term.exponent().is_some_and(|exponent| !term.is_zero() && i64::from(exponent) > -(digits as i64)) {
            n += 1.0;
            // A divisor of one word is divided by in time in proportion to the digits.
            term = wide.div(&wide.mul(&term, &square), &number(-n, 64));
            sum = wide.add(&sum, &wide.div(&term, &number(2.0 * n + 1.0, 64)));
        }
        let pi = self.constants.pi(digits, NEAREST);
        self.div(&wide.mul(&wide.number(2.0), &sum), &pi.sqrt(digits, NEAREST))
    }

    /// One less erf, with as many digits more as that costs where little is left.
    fn erfc(&mut self, x: &BigFloat) -> BigFloat {
        let size = to_f64(x).abs().min(60.0);
        let mut wide = Arithmetic::new(self.digits + (size * size * 1.5) as usize + 64);
        let erf = wide.erf(x);
        wide.sub(&wide.number(1.0), &erf)
    }

    fn elementwise(&mut self, op: &Op, operands: &[&ExactTensor], ty: &TensorType) -> Option<ExactTensor> {
        let function = FUNCTIONS.iter().find(|(def, _)| op.is(def)).map(|(_, function)| *function);
        let function = match function {
            Some(function) => function,
            None if op.is(&op::select::SELECT) => {
                |_: &mut Arithmetic, x: &[&BigFloat]| x[if x[0].is_zero() { 2 } else { 1 }].clone()
            }
            None if op.is(&op::cast::CAST) || op.is(&op::stop_gradient::STOP_GRADIENT) => {
                |_: &mut Arithmetic, x: &[&BigFloat]| x[0].clone()
            }
            None => return None,
        };
        let element = |i: usize| -> BigFloat {
            let elements: Vec<&BigFloat> = operands.iter().map(|operand| &operand.data[i]).collect();
            if elements.iter().any(|x| x.is_nan()) && !op.is(&op::select::SELECT) && ty.dtype.is_float() {
                return BigFloat::nan(None);
            }
            let result = function(self, &elements);
            match ty.dtype {
                DType::Bool => truth(self, !result.is_zero()),
                dtype if dtype.is_float() => result,
                dtype if op.is(&op::cast::CAST) => {
                    self.number(dtype.convert(to_f64(&result.int()), operands[0].ty.dtype))
                }
                _ => result.int(),
            }
        };
        Some(ExactTensor { ty: ty.clone(), data: (0..ty.shape.elements()).map(element).collect() })
    }

    /// The operator's own evaluation, where it does not round.
    fn as_floats(&self, op: &Op, operands: &[&ExactTensor], ty: &TensorType) -> Vec<BigFloat> {
        let operands: Vec<Tensor> =
            operands.iter().map(|operand| Tensor::new(operand.ty.clone(), operand.rounded())).collect();
        evaluated(op, &operands, ty).into_iter().map(|x| self.number(x)).collect()
    }

    fn reduced(&self, op: &Op, x: &ExactTensor, ty: &TensorType) -> Vec<BigFloat> {
        let axes = op.attrs.ints("axes");
        let mut results: Vec<Option<BigFloat>> = vec![None; ty.shape.elements()];
        for (linear, element) in x.data.iter().enumerate() {
            let index = x.ty.shape.unravel(linear);
            let kept: Vec<usize> =
                (0..index.len()).filter(|axis| !axes.contains(axis)).map(|axis| index[axis]).collect();
            let result = &mut results[ty.shape.ravel(&kept)];
            *result = Some(match &*result {
                None => element.clone(),
                Some(result) if op.is(&op::reduce_max::REDUCE_MAX) => greater(result, element),
                Some(result) if op.is(&op::reduce_min::REDUCE_MIN) => greater(&result.neg(), &element.neg()).neg(),
                Some(result) => self.add(result, element),
            });
        }
        let count = x.data.len() as f64 / ty.shape.elements().max(1) as f64;
        let finish = |result: Option<BigFloat>| {
            let result = result.unwrap_or_else(|| self.number(0.0));
            if op.is(&op::reduce_mean::REDUCE_MEAN) { self.div(&result, &self.number(count)) } else { result }
        };
        results.into_iter().map(finish).collect()
    }

    fn product(&self, op: &Op, a: &ExactTensor, b: &ExactTensor, ty: &TensorType) -> Vec<BigFloat> {
        let (m, n, k) = op::matmul::sizes(&op.attrs, &a.ty, &b.ty);
        let (ta, tb) = (op.attrs.bool("transpose_a"), op.attrs.bool("transpose_b"));
        let element = |linear: usize| {
            let (batch, row, column) = (linear / (m * n), linear / n % m, linear % n);
            let (x, y) = (&a.data[batch * m * k..], &b.data[batch * k * n..]);
            (0..k).fold(self.number(0.0), |sum, p| {
                let left = if ta { &x[p * m + row] } else { &x[row * k + p] };
                let right = if tb { &y[column * k + p] } else { &y[p * n + column] };
                self.add(&sum, &self.mul(left, right))
            })
        };
        (0..ty.shape.elements()).map(element).collect()
    }

    /// Moves numbers that stand for the elements, and puts the elements in their place.
    fn moved(&self, op: &Op, operands: &[&ExactTensor], ty: &TensorType) -> Vec<BigFloat> {
        // Fills and indices are far below these.
        const FIRST: f64 = 4.0e15;
        let (mut names, mut named) = (FIRST, Vec::new());
        let is_index = |operand: &ExactTensor| op.def.class == Class::Indexed && !operand.ty.dtype.is_float();
        let tokens: Vec<Tensor> = operands
            .iter()
            .map(|operand| {
                if is_index(operand) {
                    return Tensor::new(operand.ty.clone(), operand.rounded());
                }
                named.extend(operand.data.iter().cloned());
                Tensor::from_fn(operand.ty.with_dtype(DType::F64), |_| {
                    names += 1.0;
                    names - 1.0
                })
            })
            .collect();
        let moved = evaluated(op, &tokens, &ty.with_dtype(DType::F64));
        moved
            .into_iter()
            .map(|x| if x < FIRST { self.number(x) } else { named[(x - FIRST) as usize].clone() })
            .collect()
    }

    /// Where each element of the last operand is added, one after the other.
    fn added_up(&self, op: &Op, operands: &[&ExactTensor], ty: &TensorType) -> Vec<BigFloat> {
        let (last, before) = operands.split_last().expect("something is added up");
        let others: Vec<Tensor> =
            before.iter().map(|operand| Tensor::new(operand.ty.clone(), operand.rounded())).collect();
        let mut results = vec![self.number(0.0); ty.shape.elements()];
        for (position, element) in last.data.iter().enumerate() {
            let mut single = vec![0.0; last.data.len()];
            single[position] = 1.0;
            let mut tensors = others.clone();
            tensors.push(Tensor::new(last.ty.clone(), single));
            for (result, weight) in results.iter_mut().zip(evaluated(op, &tensors, ty)) {
                *result = self.add(result, &self.mul(element, &self.number(weight)));
            }
        }
        results
    }
}

/// The operator's own evaluation.
fn evaluated(op: &Op, operands: &[Tensor], ty: &TensorType) -> Vec<f64> {
    match op.def.evaluate {
        Evaluate::Tensor(evaluate) => evaluate(&op.attrs, &operands.iter().collect::<Vec<_>>(), ty),
        Evaluate::Scalar { .. } => {
            let result = op.evaluate(&operands.iter().collect::<Vec<_>>());
            result.expect("the operands fit").data().to_vec()
        }
    }
}

fn greater(a: &BigFloat, b: &BigFloat) -> BigFloat {
    match a.cmp(b) {
        None => BigFloat::nan(None),
        Some(order) if order < 0 => b.clone(),
        Some(_) => a.clone(),
    }
}

fn truth(arithmetic: &Arithmetic, holds: bool) -> BigFloat {
    arithmetic.number(f64::from(u8::from(holds)))
}

type Function = fn(&mut Arithmetic, &[&BigFloat]) -> BigFloat;

/// Elementwise operators on floats.
static FUNCTIONS: [(&OpDef, Function); 29] = [
    (&op::floor::FLOOR, |_, x| x[0].floor()),
    (&op::ceil::CEIL, |_, x| x[0].ceil()),
    (&op::round::ROUND, |_, x| x[0].round(0, NEAREST)),
    (&op::add::ADD, |m, x| m.add(x[0], x[1])),
    (&op::sub::SUB, |m, x| m.sub(x[0], x[1])),
    (&op::mul::MUL, |m, x| m.mul(x[0], x[1])),
    (&op::div::DIV, |m, x| m.div(x[0], x[1])),
    (&op::neg::NEG, |_, x| x[0].neg()),
    (&op::abs::ABS, |_, x| x[0].abs()),
    (&op::sign::SIGN, |m, x| {
        if x[0].is_zero() { m.number(0.0) } else { m.number(if x[0].is_negative() { -1.0 } else { 1.0 }) }
    }),
    (&op::exp::EXP, |m, x| m.exp(x[0])),
    (&op::expm1::EXPM1, |m, x| m.expm1(x[0])),
    (&op::log::LOG, |m, x| x[0].ln(m.digits, NEAREST, &mut m.constants)),
    (&op::log1p::LOG1P, |m, x| m.log1p(x[0])),
    (&op::sqrt::SQRT, |m, x| x[0].sqrt(m.digits, NEAREST)),
    (&op::rsqrt::RSQRT, |m, x| m.div(&m.number(1.0), &x[0].sqrt(m.digits, NEAREST))),
    (&op::tanh::TANH, |m, x| m.tanh(x[0])),
    (&op::sigmoid::SIGMOID, |m, x| m.sigmoid(x[0])),
    (&op::erf::ERF, |m, x| m.erf(x[0])),
    (&op::erfc::ERFC, |m, x| m.erfc(x[0])),
    (&op::pow::POW, |m, x| m.pow(x[0], x[1])),
    (&op::max::MAX, |_, x| greater(x[0], x[1])),
    (&op::min::MIN, |_, x| greater(&x[0].neg(), &x[1].neg()).neg()),
    (&op::eq::EQ, |m, x| truth(m, x[0].cmp(x[1]) == Some(0))),
    (&op::ne::NE, |m, x| truth(m, x[0].cmp(x[1]) != Some(0))),
    (&op::lt::LT, |m, x| truth(m, x[0].cmp(x[1]).is_some_and(|order| order < 0))),
    (&op::le::LE, |m, x| truth(m, x[0].cmp(x[1]).is_some_and(|order| order <= 0))),
    (&op::gt::GT, |m, x| truth(m, x[0].cmp(x[1]).is_some_and(|order| order > 0))),
    (&op::ge::GE, |m, x| truth(m, x[0].cmp(x[1]).is_some_and(|order| order >= 0))),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Random, random_operands};

    /// Every operator of the registry, at its own cases: many digits, rounded, are what the operator evaluates to.
    #[test]
    fn agrees_with_every_operator() {
        let mut arithmetic = Arithmetic::new(192);
        let mut skipped: Vec<&OpDef> = Vec::new();
        for def in op::ALL {
            for (seed, case) in (def.cases)(3, DType::F64).into_iter().enumerate() {
                let operands = random_operands(&def.domain, &case.operands, &mut Random::new(seed as u64));
                let op = def.with(case.attrs);
                let expected = op.evaluate(&operands.iter().collect::<Vec<_>>()).expect("the case fits");
                let exact: Vec<ExactTensor> = operands.iter().map(|operand| arithmetic.tensor(operand)).collect();
                let Some(found) = arithmetic.apply(&op, &exact.iter().collect::<Vec<_>>(), expected.ty()) else {
                    skipped.push(*def);
                    continue;
                };
                for (a, b) in found.rounded().iter().zip(expected.data()) {
                    let close = (a - b).abs() <= 1e-13 * (1.0 + b.abs()) || (a.is_nan() && b.is_nan()) || a == b;
                    assert!(close, "{}: {a:e} and {b:e} of {operands:?}", def.name);
                }
            }
        }
        skipped.retain(|def| !matches!(def.class, Class::Scan | Class::Custom));
        assert!(
            skipped.iter().all(|def| def.name == "random"),
            "{:?}",
            skipped.iter().map(|def| def.name).collect::<Vec<_>>()
        );
    }

    #[test]
    fn floats_are_taken_as_they_are() {
        let ty = TensorType::new(DType::F64, [6]);
        let floats = Tensor::new(ty, vec![5e-324, -1.3e-310, f64::MIN_POSITIVE, 1.5, -f64::MAX, 0.0]);
        assert_eq!(Arithmetic::new(64).tensor(&floats).rounded(), floats.data());
    }

    /// What is small beside one, what saturates and what would overflow is right in all digits that a float has.
    #[test]
    fn more_digits_change_nothing() {
        let points = [1e-300, -1e-40, 5e-324, 1e-8, 0.5, -0.75, 17.5, -30.0, 300.0, -700.0, 1e4, -1e4, 1e15, 1e300];
        let ty = TensorType::new(DType::F64, [points.len()]);
        let x = Tensor::new(ty.clone(), points.to_vec());
        for (def, _) in FUNCTIONS.iter().filter(|(def, _)| def.arity == op::Arity::Exactly(1)) {
            let at = |digits| {
                let mut arithmetic = Arithmetic::new(digits);
                let x = arithmetic.tensor(&x);
                arithmetic.apply(&def.op(), &[&x], &ty).expect("it is known").rounded()
            };
            let (few, many) = (at(192), at(768));
            for (a, b) in few.iter().zip(&many) {
                assert!(a == b || (a.is_nan() && b.is_nan()), "{}: {a:e} and {b:e}", def.name);
            }
        }
    }
}
