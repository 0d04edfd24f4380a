//! `a @ b`

use gradc_diagnostics::{Span, codes};

use super::Evaluator;
use super::arithmetic::Operand;
use super::broadcast::broadcast_extents;
use super::report::{error_at, extent_text, shape_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};

impl<'a> Evaluator<'a> {
    /// Matrix multiplication. A vector on the left is a row, on the right a column, and the axis that this adds is
    /// removed again. A matrix on the right multiplies every matrix on the left, as one product.
    pub(super) fn matmul(&mut self, op_span: Span, a: Operand, b: Operand, span: Span) -> Value {
        let (Value::Tensor(left), Value::Tensor(right)) = (&a.0, &b.0) else {
            let (other, at) = if matches!(a.0, Value::Tensor(_)) { &b } else { &a };
            return self.wrong_kind("an operand of `@`", "a tensor", &other.clone(), *at);
        };
        if left.dtype != right.dtype {
            return self.dtype_mismatch("@", op_span, (left, a.1), (right, b.1));
        }
        for (tensor, at) in [(left, a.1), (right, b.1)] {
            if tensor.rank() == 0 || !tensor.dtype.is_float() {
                return self.not_a_matrix(tensor, at);
            }
        }
        let (Some(inner_left), Some(inner_right)) =
            (left.extents.last(), right.extents.iter().nth_back(usize::from(right.rank() > 1)))
        else {
            return Value::Error;
        };
        if inner_left.value() != inner_right.value() {
            return self.inner_extents_differ(op_span, (left, a.1), (right, b.1), (inner_left, inner_right));
        }
        let inner = inner_left.more_telling(inner_right).clone();
        self.multiply(op_span, (left, a.1), (right, b.1), &inner, span).map_or(Value::Error, Value::Tensor)
    }

    fn multiply(
        &mut self,
        op_span: Span,
        a: (&Tensor, Span),
        b: (&Tensor, Span),
        inner: &Int,
        span: Span,
    ) -> Option<Tensor> {
        let (left, right) = (&a.0.extents, &b.0.extents);
        let rows = if left.len() == 1 { &[][..] } else { &left[left.len() - 2..left.len() - 1] };
        let columns = if right.len() == 1 { &[][..] } else { &right[right.len() - 1..] };
        let batch_left = &left[..left.len().saturating_sub(2)];
        let batch_right = &right[..right.len().saturating_sub(2)];
        let one = [Int::literal(1)];
        let or_one = |axes: &[Int]| if axes.is_empty() { one.to_vec() } else { axes.to_vec() };

        if batch_right.is_empty() {
            let extents = [batch_left, rows, columns].concat();
            self.checked(&extents, span)?;
            let flat_rows = Int::product(batch_left.iter().chain(rows)).unwrap_or(Int::literal(1));
            let x = self.reshaped(a.0, &[flat_rows, inner.clone()]);
            let y = self.reshaped(b.0, &[inner.clone(), or_one(columns)[0].clone()]);
            let product = self.graph.matmul(x, y);
            let id = self.reshape(product, &shape_of(&extents));
            return Some(self.tensor(id, extents, span));
        }
        let Ok(batch) = broadcast_extents(batch_left, batch_right) else {
            self.batches_differ(op_span, a, b);
            return None;
        };
        let extents = [&batch[..], rows, columns].concat();
        self.checked(&extents, span)?;
        let (rows, columns) = (or_one(rows), or_one(columns));
        let x_extents = [&batch[..], &rows, std::slice::from_ref(inner)].concat();
        let y_extents = [&batch[..], std::slice::from_ref(inner), &columns].concat();
        self.checked(&x_extents, span)?;
        self.checked(&y_extents, span)?;
        let x = self.with_row(a.0, &rows, inner);
        let (x, y) = (self.broadcast_to(&x, &x_extents), self.broadcast_to(b.0, &y_extents));
        let product = self.graph.matmul(x, y);
        let id = self.reshape(product, &shape_of(&extents));
        Some(self.tensor(id, extents, span))
    }

    /// A vector as a matrix of one row.
    fn with_row(&mut self, tensor: &Tensor, rows: &[Int], inner: &Int) -> Tensor {
        if tensor.rank() > 1 {
            return tensor.clone();
        }
        let extents = [rows, std::slice::from_ref(inner)].concat();
        let id = self.reshaped(tensor, &extents);
        self.tensor(id, extents, tensor.origin)
    }

    fn reshaped(&mut self, tensor: &Tensor, extents: &[Int]) -> gradc_ir::ValueId {
        self.reshape(tensor.id, &shape_of(extents))
    }

    /// `x.T` of a tensor of at least two axes.
    pub(super) fn transposed(&mut self, tensor: &Tensor, span: Span) -> Tensor {
        let id = self.graph.transpose_last(tensor.id);
        let mut extents = tensor.extents.to_vec();
        let rank = extents.len();
        extents.swap(rank - 2, rank - 1);
        self.tensor(id, extents, span)
    }

    fn not_a_matrix(&mut self, tensor: &Tensor, at: Span) -> Value {
        if tensor.rank() == 0 {
            let diagnostic =
                error_at(codes::RANK_MISMATCH, "`@` multiplies matrices", at, format!("this is `{tensor}`"));
            return self.report(diagnostic.help("a scalar is multiplied with `*`"));
        }
        let message = format!("`@` takes f32 or f64, not {}", tensor.dtype);
        let operand = self.quoted(at).unwrap_or("…");
        let diagnostic = error_at(codes::WRONG_DTYPE, message, at, format!("this is `{tensor}`"));
        self.report(diagnostic.help(format!("convert it: `cast({operand}, f32)`")))
    }

    fn inner_extents_differ(
        &mut self,
        place: Span,
        a: (&Tensor, Span),
        b: (&Tensor, Span),
        inner: (&Int, &Int),
    ) -> Value {
        let (left, right) = (shape_text(&a.0.extents), shape_text(&b.0.extents));
        let message = format!("`@` does not fit the shapes `{left}` and `{right}`");
        let why = format!("{} is not {}", extent_text(inner.0), extent_text(inner.1));
        let diagnostic = error_at(codes::MATMUL_SHAPES, message, place, why)
            .secondary(a.1, format!("this is `{}`", a.0))
            .secondary(b.1, format!("this is `{}`", b.0));
        let diagnostic = self.explain_shapes(diagnostic, &[a, b]);
        let diagnostic = match self.product_that_fits(a, b) {
            Some(form) => diagnostic.help(format!("did you mean `{form}`?")),
            None => {
                diagnostic.help("the last axis of the left side must be as long as the one before last of the right")
            }
        };
        self.report(diagnostic)
    }

    fn batches_differ(&mut self, place: Span, a: (&Tensor, Span), b: (&Tensor, Span)) {
        let (left, right) = (shape_text(&a.0.extents), shape_text(&b.0.extents));
        let message = format!("`@` does not fit the shapes `{left}` and `{right}`");
        let diagnostic = error_at(codes::MATMUL_SHAPES, message, place, "the leading axes do not fit")
            .secondary(a.1, format!("this is `{}`", a.0))
            .secondary(b.1, format!("this is `{}`", b.0));
        let diagnostic = self.explain_shapes(diagnostic, &[a, b]);
        self.report(diagnostic.note("all axes but the last two must be equal, or 1 on one side"));
    }

    /// A product of the same operands that would fit: one side transposed, or the two swapped.
    fn product_that_fits(&self, a: (&Tensor, Span), b: (&Tensor, Span)) -> Option<String> {
        let (left, right) = (&a.0.extents, &b.0.extents);
        if left.len() < 2 || right.len() < 2 {
            return None;
        }
        let last_two = |extents: &[Int]| [extents[extents.len() - 2].value(), extents[extents.len() - 1].value()];
        let ([m, k], [p, n]) = (last_two(left), last_two(right));
        let (left, right) = (self.quoted(a.1)?, self.quoted(b.1)?);
        let flip = |text: &str| text.strip_suffix(".T").map_or_else(|| format!("{text}.T"), str::to_owned);
        if k == n {
            Some(format!("{left} @ {}", flip(right)))
        } else if m == p {
            Some(format!("{} @ {right}", flip(left)))
        } else if n == m {
            Some(format!("{right} @ {left}"))
        } else {
            None
        }
    }
}
