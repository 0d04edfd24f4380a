//! Operators: on numbers when compiling, on tensors in the graph.

use std::rc::Rc;

use gradc_diagnostics::{Span, codes};
use gradc_ir::op::{self, OpDef};
use gradc_ir::{Attrs, DType, Op, TensorType, ValueId};
use gradc_syntax::ast::BinaryOp;

use super::Evaluator;
use super::report::error_at;
use crate::int::{Int, IntError};
use crate::limits::MOST_COMPARISONS;
use crate::value::{Tensor, Value};

/// An operand with its place.
pub(crate) type Operand = (Value, Span);

impl<'a> Evaluator<'a> {
    /// `a op b`; neither is an error.
    pub(crate) fn operation(&mut self, op: BinaryOp, op_span: Span, a: Operand, b: Operand, span: Span) -> Value {
        match (&a.0, &b.0) {
            (Value::Tensor(_), _) | (_, Value::Tensor(_)) => self.tensor_operation(op, op_span, a, b, span),
            (Value::Int(left), Value::Int(right)) => self.int_operation(op, op_span, left, right),
            (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
                let (left, right) = (a.0.number().unwrap_or(f64::NAN), b.0.number().unwrap_or(f64::NAN));
                self.float_operation(op, op_span, left, right)
            }
            (Value::Bool(left), Value::Bool(right)) => match op {
                BinaryOp::And => Value::Bool(*left && *right),
                BinaryOp::Or => Value::Bool(*left || *right),
                _ => self.equality(op, op_span, &a, &b),
            },
            (Value::List(left), Value::List(right)) if op == BinaryOp::Add => {
                let entries = left.iter().chain(right.iter()).cloned().collect();
                self.list_of(entries, span)
            }
            _ => self.equality(op, op_span, &a, &b),
        }
    }

    /// `==` and `!=` of everything that is known when compiling; any other operator is an error.
    fn equality(&mut self, op: BinaryOp, op_span: Span, a: &Operand, b: &Operand) -> Value {
        let mut left = MOST_COMPARISONS;
        let equal = equal(&a.0, &b.0, &mut left);
        if left == 0 {
            let message = format!("comparing these lists takes more than {MOST_COMPARISONS} steps");
            return self.report(error_at(codes::TOO_MUCH_WORK, message, op_span, "they are nested"));
        }
        match (op, equal) {
            (BinaryOp::Eq, Some(equal)) => Value::Bool(equal),
            (BinaryOp::Ne, Some(equal)) => Value::Bool(!equal),
            _ => {
                let message = format!("`{}` cannot be applied to these", op.symbol());
                let diagnostic = error_at(codes::WRONG_KIND, message, op_span, "");
                self.report(
                    diagnostic
                        .secondary(a.1, format!("this is {}", a.0.kind()))
                        .secondary(b.1, format!("this is {}", b.0.kind())),
                )
            }
        }
    }

    fn int_operation(&mut self, op: BinaryOp, op_span: Span, a: &Int, b: &Int) -> Value {
        let (left, right) = (a.value(), b.value());
        match op {
            BinaryOp::Eq => Value::Bool(left == right),
            BinaryOp::Ne => Value::Bool(left != right),
            BinaryOp::Lt => Value::Bool(left < right),
            BinaryOp::Le => Value::Bool(left <= right),
            BinaryOp::Gt => Value::Bool(left > right),
            BinaryOp::Ge => Value::Bool(left >= right),
            _ => match a.arithmetic(op, b) {
                Ok(Some(value)) => Value::Int(value),
                Ok(None) => self.float_operation(op, op_span, left as f64, right as f64),
                Err(IntError::Overflow) => {
                    let message = format!("`{left} {} {right}` does not fit 64 bits", op.symbol());
                    self.report(error_at(codes::ARITHMETIC, message, op_span, "this overflows"))
                }
                Err(IntError::DivisionByZero) => self.division_by_zero(op_span),
            },
        }
    }

    fn float_operation(&mut self, op: BinaryOp, op_span: Span, a: f64, b: f64) -> Value {
        let value = match op {
            BinaryOp::Eq => return Value::Bool(a == b),
            BinaryOp::Ne => return Value::Bool(a != b),
            BinaryOp::Lt => return Value::Bool(a < b),
            BinaryOp::Le => return Value::Bool(a <= b),
            BinaryOp::Gt => return Value::Bool(a > b),
            BinaryOp::Ge => return Value::Bool(a >= b),
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div | BinaryOp::Rem if b == 0.0 => return self.division_by_zero(op_span),
            BinaryOp::Div => a / b,
            BinaryOp::Rem => a.rem_euclid(b),
            BinaryOp::Pow => a.powf(b),
            BinaryOp::MatMul | BinaryOp::And | BinaryOp::Or => {
                let message = format!("`{}` cannot be applied to numbers", op.symbol());
                let wanted = if op == BinaryOp::MatMul { "it multiplies matrices" } else { "it joins truth values" };
                return self.report(error_at(codes::WRONG_KIND, message, op_span, wanted));
            }
        };
        self.finite(value, op_span)
    }

    /// A number computed when compiling.
    pub(crate) fn finite(&mut self, value: f64, span: Span) -> Value {
        if value.is_finite() {
            return Value::Float(value);
        }
        let message = if value.is_nan() { "this number is not defined" } else { "this number is too large" };
        self.report(error_at(codes::ARITHMETIC, message, span, format!("the result is {value}")))
    }

    fn division_by_zero(&mut self, span: Span) -> Value {
        self.report(error_at(codes::ARITHMETIC, "division by zero", span, "the right side is 0"))
    }

    pub(crate) fn negate(&mut self, value: Value, operand: Span, span: Span) -> Value {
        match value {
            Value::Int(int) => self.int_operation(BinaryOp::Sub, span, &Int::literal(0), &int),
            Value::Float(value) => Value::Float(-value),
            Value::Tensor(tensor) => self.unary_tensor(&op::neg::NEG, &tensor, operand, span),
            other => self.wrong_kind("the operand of `-`", "a number or a tensor", &other, operand),
        }
    }

    pub(crate) fn not(&mut self, value: Value, operand: Span, span: Span) -> Value {
        match value {
            Value::Bool(value) => Value::Bool(!value),
            Value::Tensor(tensor) => self.unary_tensor(&op::not::NOT, &tensor, operand, span),
            other => self.wrong_kind("the operand of `!`", "a truth value", &other, operand),
        }
    }

    /// An elementwise operator of one operand.
    pub(crate) fn unary_tensor(&mut self, def: &'static OpDef, x: &Tensor, operand: Span, span: Span) -> Value {
        if !self.takes(def, x.dtype, 1, operand) {
            return Value::Error;
        }
        let id = self.emit(def.op(), &[x.id]);
        Value::Tensor(self.tensor(id, x.extents.clone(), span))
    }

    fn tensor_operation(&mut self, op: BinaryOp, op_span: Span, a: Operand, b: Operand, span: Span) -> Value {
        let def = match op {
            BinaryOp::MatMul => return self.matmul(op_span, a, b, span),
            BinaryOp::Add => &op::add::ADD,
            BinaryOp::Sub => &op::sub::SUB,
            BinaryOp::Mul => &op::mul::MUL,
            BinaryOp::Div => &op::div::DIV,
            BinaryOp::Pow => &op::pow::POW,
            BinaryOp::Eq => &op::eq::EQ,
            BinaryOp::Ne => &op::ne::NE,
            BinaryOp::Lt => &op::lt::LT,
            BinaryOp::Le => &op::le::LE,
            BinaryOp::Gt => &op::gt::GT,
            BinaryOp::Ge => &op::ge::GE,
            BinaryOp::And => &op::and::AND,
            BinaryOp::Or => &op::or::OR,
            BinaryOp::Rem => {
                let message = "`%` is only for numbers that are known when compiling";
                return self.report(error_at(codes::WRONG_KIND, message, op_span, "one side is a tensor"));
            }
        };
        self.elementwise(def, op.symbol(), op_span, &[a, b], span)
    }

    /// An elementwise operator of operands that are broadcast against each other; at least one is a tensor. Numbers
    /// take the element type of the tensors.
    pub(crate) fn elementwise(
        &mut self,
        def: &'static OpDef,
        symbol: &str,
        place: Span,
        operands: &[Operand],
        span: Span,
    ) -> Value {
        let Some((dtype, extents)) = self.common(symbol, place, operands) else { return Value::Error };
        let at = operands.iter().find(|(value, _)| matches!(value, Value::Tensor(_))).map_or(span, |(_, at)| *at);
        if !self.takes(def, dtype, operands.len(), at) {
            return Value::Error;
        }
        let mut ids = Vec::with_capacity(operands.len());
        for (value, at) in operands {
            match self.spread(value, *at, dtype, &extents) {
                Some(id) => ids.push(id),
                None => return Value::Error,
            }
        }
        let id = self.emit(def.op(), &ids);
        Value::Tensor(self.tensor(id, extents, span))
    }

    /// The element type and the shape that operands have in common.
    pub(crate) fn common(&mut self, op: &str, place: Span, operands: &[Operand]) -> Option<(DType, Rc<[Int]>)> {
        let mut common: Option<(Tensor, Span)> = None;
        for (value, at) in operands {
            match value {
                Value::Tensor(tensor) => {
                    common = Some(match common {
                        None => (tensor.clone(), *at),
                        Some((first, first_at)) => {
                            if first.dtype != tensor.dtype {
                                self.dtype_mismatch(op, place, (&first, first_at), (tensor, *at));
                                return None;
                            }
                            let extents = self.broadcast_shapes(op, place, (&first, first_at), (tensor, *at))?;
                            (Tensor { extents, ..first }, first_at)
                        }
                    });
                }
                Value::Int(_) | Value::Float(_) | Value::Bool(_) => {}
                other => {
                    self.wrong_kind(&format!("an operand of `{op}`"), "a tensor or a number", &other.clone(), *at);
                    return None;
                }
            }
        }
        common.map(|(tensor, _)| (tensor.dtype, tensor.extents))
    }

    /// A number or tensor as a tensor of this type.
    pub(crate) fn spread(&mut self, value: &Value, at: Span, dtype: DType, extents: &Rc<[Int]>) -> Option<ValueId> {
        match value {
            Value::Tensor(tensor) => Some(self.broadcast_to(tensor, extents)),
            Value::Bool(value) if dtype == DType::Bool => Some(self.full(f64::from(u8::from(*value)), dtype, extents)),
            other => {
                let number = self.literal_as(other, at, dtype)?;
                Some(self.full(number, dtype, extents))
            }
        }
    }

    /// A number that is known when compiling as an element of this type.
    pub(crate) fn literal_as(&mut self, value: &Value, at: Span, dtype: DType) -> Option<f64> {
        let Some(number) = value.number() else {
            self.wrong_kind(&format!("an element of type `{dtype}`"), "a number", value, at);
            return None;
        };
        let fits = match dtype {
            DType::Bool => false,
            _ if dtype.is_float() => dtype.round(number).is_finite() || number.is_infinite(),
            // A whole number has more digits here than a constant of the graph.
            _ => dtype.represents(number) && !matches!(value, Value::Int(int) if number as i64 != int.value()),
        };
        if fits {
            return Some(number);
        }
        let label = format!("`{value}` is no `{dtype}`");
        let diagnostic = error_at(codes::LITERAL_DOES_NOT_FIT, "a number does not fit the element type", at, label);
        self.report(match dtype {
            DType::F16 => diagnostic.help("the largest f16 is 65504"),
            DType::Bf16 => diagnostic.help("the largest bf16 is about 3.4e38"),
            DType::F32 => diagnostic.help("the largest f32 is about 3.4e38"),
            DType::U8 if number.fract() == 0.0 => diagnostic.help("a u8 is from 0 to 255"),
            DType::I64 if number.fract() == 0.0 => diagnostic.help("constants are from -2^53 to 2^53"),
            DType::U8 | DType::I32 | DType::I64 => diagnostic.help("convert the tensor first: `cast(…, f32)`"),
            _ => {
                diagnostic.help("truth values are combined with `&&`, `||` and `!`; `cast(…, f32)` makes them 0 and 1")
            }
        });
        None
    }

    /// Whether an elementwise operator takes `count` operands of this element type. If not, that is reported.
    fn takes(&mut self, def: &'static OpDef, dtype: DType, count: usize, at: Span) -> bool {
        let fits = |dtype: DType| {
            let ty = TensorType::scalar(dtype);
            Op { def, attrs: Attrs::NONE }.infer(&vec![&ty; count]).is_ok()
        };
        if fits(dtype) {
            return true;
        }
        let name = crate::intrinsic::shown_name(def);
        let message = format!("`{name}` takes {}, not {dtype}", admitted(fits));
        let diagnostic = error_at(codes::WRONG_DTYPE, message, at, format!("this is `{dtype}`"));
        let operand = self.quoted(at).unwrap_or("…");
        self.report(match fits(DType::F32) {
            true => diagnostic.help(format!("convert it: `cast({operand}, f32)`")),
            false => diagnostic.help("compare first, for example with `> 0`"),
        });
        false
    }
}

/// The types that `fits` holds for, in words.
fn admitted(fits: impl Fn(DType) -> bool) -> String {
    let all = |group: fn(DType) -> bool| DType::ALL.into_iter().filter(|dtype| group(*dtype)).all(&fits);
    let floats = all(DType::is_float).then_some("floats");
    let integers = all(DType::is_integer).then_some("integers");
    let truths = fits(DType::Bool).then_some("truth values");
    [floats, integers, truths].into_iter().flatten().collect::<Vec<_>>().join(" or ")
}

/// Whether two values are equal, if that is known when compiling and a sensible question. `left` counts down; at 0 the
/// answer means nothing.
fn equal(a: &Value, b: &Value, left: &mut u32) -> Option<bool> {
    *left = left.saturating_sub(1);
    if *left == 0 {
        return None;
    }
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Some(a == b),
        (Value::String(a), Value::String(b)) => Some(a == b),
        (Value::DType(a), Value::DType(b)) => Some(a == b),
        (Value::All, Value::All) => Some(true),
        (Value::All, Value::Int(_) | Value::List(_)) | (Value::Int(_) | Value::List(_), Value::All) => Some(false),
        // An option may be a string, a number or a list.
        (Value::String(_), Value::Int(_) | Value::Float(_) | Value::List(_))
        | (Value::Int(_) | Value::Float(_) | Value::List(_), Value::String(_)) => Some(false),
        (Value::List(a), Value::List(b)) if a.is(b) => Some(true),
        (Value::List(a), Value::List(b)) if a.len() != b.len() => Some(false),
        (Value::List(a), Value::List(b)) => {
            a.iter().zip(b.iter()).try_fold(true, |all, (a, b)| Some(all && equal(a, b, left)?))
        }
        _ => Some(a.number()? == b.number()?),
    }
}
