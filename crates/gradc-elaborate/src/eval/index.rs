//! `x[1:3, :, -1, ..]`

use gradc_diagnostics::{Span, codes};
use gradc_syntax::ast::{BinaryOp, Expr, Subscript, SubscriptKind};

use super::Evaluator;
use super::expr::axes_text;
use super::report::{error_at, explain_dims, extent_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};

/// What is taken of one axis.
struct Part {
    start: usize,
    limit: usize,
    stride: usize,
    extent: Int,
    /// Whether a single index was written, which drops the axis.
    dropped: bool,
}

impl<'a> Evaluator<'a> {
    pub(super) fn index(&mut self, base: &'a Expr, subscripts: &'a [Subscript], span: Span) -> Value {
        let value = self.expr(base);
        match &value {
            Value::Error => Value::Error,
            Value::Tensor(tensor) => self.index_tensor(&tensor.clone(), base.span, subscripts, span),
            Value::List(list) => self.index_list(list, subscripts, span),
            other => {
                let message = "only tensors and lists can be indexed";
                let label = format!("this is {}", other.kind());
                self.report(error_at(codes::WRONG_KIND, message, base.span, label))
            }
        }
    }

    fn index_list(&mut self, list: &[Value], subscripts: &'a [Subscript], span: Span) -> Value {
        let [subscript] = subscripts else {
            return self.report(error_at(
                codes::TOO_MANY_SUBSCRIPTS,
                "a list has one axis",
                span,
                "more are indexed here",
            ));
        };
        let length = Int::extent_of(list.len());
        match self.part(subscript, &length, 0) {
            Some(part) if part.dropped => list.get(part.start).cloned().unwrap_or(Value::Error),
            Some(part) => {
                let entries = list[part.start..part.limit].iter().step_by(part.stride);
                self.list_of(entries.cloned().collect(), span)
            }
            None => Value::Error,
        }
    }

    fn index_tensor(&mut self, x: &Tensor, base: Span, subscripts: &'a [Subscript], span: Span) -> Value {
        let named = subscripts.iter().filter(|subscript| !matches!(subscript.kind, SubscriptKind::Rest)).count();
        if named > x.rank() {
            let message = format!("{} are indexed, but `{x}` has {}", axes_text(named), axes_text(x.rank()));
            let at = subscripts.get(x.rank()).map_or(span, |subscript| subscript.span);
            let diagnostic = error_at(codes::TOO_MANY_SUBSCRIPTS, message, at, "there is no axis for this");
            return self.report(diagnostic.secondary(base, format!("this is `{x}`")));
        }
        let mut rests = subscripts.iter().filter(|subscript| matches!(subscript.kind, SubscriptKind::Rest));
        if let (Some(first), Some(second)) = (rests.next(), rests.next()) {
            let message = "`..` can stand once in an index";
            let diagnostic = error_at(codes::MISPLACED_REST, message, second.span, "a second `..`");
            return self.report(diagnostic.secondary(first.span, "the first"));
        }
        let Some(parts) = self.parts(x, subscripts, x.rank() - named) else { return Value::Error };
        self.locate(span);
        let bounds = |of: fn(&Part) -> usize| parts.iter().map(of).collect::<Vec<usize>>();
        let (start, limit, stride) = (bounds(|part| part.start), bounds(|part| part.limit), bounds(|part| part.stride));
        let sliced = self.graph.slice(x.id, &start, &limit, &stride);
        let extents: Vec<Int> = parts.iter().filter(|part| !part.dropped).map(|part| part.extent.clone()).collect();
        let id = self.reshape(sliced, &shape_of(&extents));
        Value::Tensor(self.tensor(id, extents, span))
    }

    /// What is taken of each axis. `unnamed` is the number of axes that no entry but `..` names.
    fn parts(&mut self, x: &Tensor, subscripts: &'a [Subscript], unnamed: usize) -> Option<Vec<Part>> {
        let mut parts = Vec::with_capacity(x.rank());
        let mut good = true;
        for subscript in subscripts {
            if matches!(subscript.kind, SubscriptKind::Rest) {
                let first = parts.len();
                parts.extend(x.extents[first..first + unnamed].iter().map(Part::whole));
                continue;
            }
            let axis = parts.len();
            let part = self.part(subscript, &x.extents[axis], axis);
            good &= part.is_some();
            parts.push(part.unwrap_or_else(|| Part::whole(&x.extents[axis])));
        }
        let first = parts.len();
        parts.extend(x.extents[first..].iter().map(Part::whole));
        good.then_some(parts)
    }

    fn part(&mut self, subscript: &'a Subscript, extent: &Int, axis: usize) -> Option<Part> {
        match &subscript.kind {
            SubscriptKind::Rest => Some(Part::whole(extent)),
            SubscriptKind::At(index) => {
                let value = self.position(index)?.value();
                let from_start = if value < 0 { value.checked_add(extent.value())? } else { value };
                if from_start < 0 || from_start >= extent.value() {
                    self.out_of_range(value, index.span, extent, axis);
                    return None;
                }
                let start = usize::try_from(from_start).unwrap_or(0);
                Some(Part { start, limit: start + 1, stride: 1, extent: Int::literal(1), dropped: true })
            }
            SubscriptKind::Slice { start, stop, step } => {
                let from = self.end(start.as_ref(), &Int::literal(0), extent, axis);
                let to = self.end(stop.as_ref(), extent, extent, axis);
                let stride = self.stride(step.as_ref());
                let (from, to, stride) = (from?, to?, stride?);
                let (first, last) = (from.extent(), to.extent());
                if first >= last {
                    let label = format!("from {first} to {last}");
                    self.report(error_at(codes::EMPTY_SLICE, "this slice is empty", subscript.span, label));
                    return None;
                }
                // Any step beyond the end takes the first element alone, also one that no operator takes.
                let stride = stride.min(last - first);
                // Without a step the length is a difference in the user's own names: `batch - 1`.
                let length = to.arithmetic(BinaryOp::Sub, &from).ok().flatten().filter(|_| stride == 1);
                let extent = length.unwrap_or_else(|| Int::extent_of((last - first).div_ceil(stride)));
                Some(Part { start: first, limit: last, stride, extent, dropped: false })
            }
        }
    }

    /// A whole number in an index.
    fn position(&mut self, index: &'a Expr) -> Option<Int> {
        match self.expr(index) {
            Value::Int(int) => Some(int),
            Value::Tensor(tensor) => {
                let message = "an index must be known when compiling";
                let label = format!("this is a tensor `{tensor}`");
                let diagnostic = error_at(codes::CONDITION_NOT_CONSTANT, message, index.span, label);
                self.report(diagnostic.help("read elements at computed positions with `gather(x, indices)`"));
                None
            }
            other => {
                self.wrong_kind("an index", "a whole number", &other, index.span);
                None
            }
        }
    }

    /// The start or stop of a slice, counted from the start.
    fn end(&mut self, end: Option<&'a Expr>, default: &Int, extent: &Int, axis: usize) -> Option<Int> {
        let Some(expr) = end else { return Some(default.clone()) };
        let position = self.position(expr)?;
        let from_start = match position.value() {
            0.. => Some(position.clone()),
            back => {
                back.checked_neg().and_then(|back| extent.arithmetic(BinaryOp::Sub, &Int::literal(back)).ok().flatten())
            }
        };
        match from_start.filter(|from_start| (0..=extent.value()).contains(&from_start.value())) {
            Some(from_start) => Some(from_start),
            None => {
                self.out_of_range(position.value(), expr.span, extent, axis);
                None
            }
        }
    }

    fn stride(&mut self, step: Option<&'a Expr>) -> Option<usize> {
        let Some(expr) = step else { return Some(1) };
        let value = self.position(expr)?.value();
        match usize::try_from(value) {
            Ok(stride) if stride > 0 => Some(stride),
            _ => {
                let message = format!("the step of a slice must be at least 1, not {value}");
                self.report(error_at(codes::BAD_STEP, message, expr.span, ""));
                None
            }
        }
    }

    fn out_of_range(&mut self, index: i64, span: Span, extent: &Int, axis: usize) {
        let message = format!("the index {index} is out of range");
        let label = format!("axis {axis} has {} elements", extent_text(extent));
        let diagnostic = error_at(codes::INDEX_OUT_OF_RANGE, message, span, label)
            .note("the first element has index 0, the last one -1");
        self.report(explain_dims(diagnostic, &[std::slice::from_ref(extent)]));
    }
}

impl Part {
    /// All of an axis.
    fn whole(extent: &Int) -> Part {
        Part { start: 0, limit: extent.extent(), stride: 1, extent: extent.clone(), dropped: false }
    }
}
