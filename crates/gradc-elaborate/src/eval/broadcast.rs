//! Broadcasting, made explicit.

use std::rc::Rc;

use gradc_diagnostics::{Span, codes};
use gradc_ir::ValueId;

use super::Evaluator;
use super::report::{error_at, extent_text, shape_text};
use crate::int::{Int, shape_of};
use crate::limits::MOST_POSITIONS;
use crate::value::Tensor;

impl<'a> Evaluator<'a> {
    /// The shape of `a op b`: shapes are aligned at their last axes, and an extent of 1 stretches.
    pub(crate) fn broadcast_shapes(
        &mut self,
        op: &str,
        place: Span,
        a: (&Tensor, Span),
        b: (&Tensor, Span),
    ) -> Option<Rc<[Int]>> {
        let (left, right) = (&a.0.extents, &b.0.extents);
        if left.len() == right.len() && left.iter().zip(right.iter()).all(|(l, r)| l.value() == r.value()) {
            // Most operands have one shape.
            let same = left.iter().zip(right.iter()).map(|(l, r)| l.more_telling(r).clone());
            return Some(same.collect());
        }
        match broadcast_extents(left, right) {
            Ok(extents) => {
                self.checked(&extents, place)?;
                Some(extents.into())
            }
            Err((l, r)) => {
                self.shapes_differ(op, place, a, b, (&l, &r));
                None
            }
        }
    }

    fn shapes_differ(&mut self, op: &str, place: Span, a: (&Tensor, Span), b: (&Tensor, Span), extents: (&Int, &Int)) {
        let ((left, left_span), (right, right_span)) = (a, b);
        let (left_shape, right_shape) = (shape_text(&left.extents), shape_text(&right.extents));
        let message = format!("`{op}` does not fit the shapes `{left_shape}` and `{right_shape}`");
        let why = format!("{} is not {}", extent_text(extents.0), extent_text(extents.1));
        let diagnostic = error_at(codes::SHAPES_DIFFER, message, place, why)
            .secondary(left_span, format!("this is `{left}`"))
            .secondary(right_span, format!("this is `{right}`"));
        let diagnostic = self.explain_shapes(diagnostic, &[a, b]);
        let diagnostic = match self.fitting_form(op, a, b) {
            Some(form) => diagnostic.help(format!("did you mean `{form}`?")),
            None => diagnostic.help(
                "shapes are compared from their last axis on; two extents fit if they are equal or one of them is 1",
            ),
        };
        self.report(diagnostic);
    }

    /// A form of the operation that would fit: with one side transposed.
    fn fitting_form(&self, op: &str, a: (&Tensor, Span), b: (&Tensor, Span)) -> Option<String> {
        let (left, right) = (&a.0.extents, &b.0.extents);
        let swapped = left.len() == 2
            && right.len() == 2
            && left[0].value() == right[1].value()
            && left[1].value() == right[0].value();
        let (left, right) = (self.quoted(a.1)?, self.quoted(b.1)?);
        swapped.then(|| match right.strip_suffix(".T") {
            Some(right) => format!("{left} {op} {right}"),
            None => format!("{left} {op} {right}.T"),
        })
    }

    /// A tensor in a larger shape that it fits: axes of extent 1 are removed, then it is repeated.
    pub(crate) fn broadcast_to(&mut self, tensor: &Tensor, extents: &[Int]) -> ValueId {
        let missing = extents.len() - tensor.rank();
        let mut kept = Vec::with_capacity(tensor.rank());
        for (axis, extent) in tensor.extents.iter().enumerate() {
            if extent.value() == extents[missing + axis].value() {
                kept.push(missing + axis);
            }
        }
        if kept.len() == extents.len() {
            return tensor.id;
        }
        let shape = shape_of(extents);
        let squeezed: Vec<usize> = kept.iter().map(|&axis| shape[axis]).collect();
        let squeezed = self.reshape(tensor.id, &squeezed);
        self.graph.broadcast(squeezed, &kept, &shape)
    }

    /// Reports a shape of more elements or axes than gradc handles.
    pub(crate) fn checked(&mut self, extents: &[Int], place: Span) -> Option<()> {
        let shape: Vec<usize> = extents.iter().map(Int::extent).collect();
        if gradc_ir::Shape::checked_elements(&shape).is_some() {
            return Some(());
        }
        let message = match shape.len() > gradc_ir::Shape::MAX_RANK {
            true => format!("a tensor has at most {} axes", gradc_ir::Shape::MAX_RANK),
            false => "a tensor has at most 2^40 elements".to_owned(),
        };
        let shown: String = shape_text(extents).chars().take(120).collect();
        let diagnostic = error_at(codes::TENSOR_TOO_LARGE, message, place, format!("this would be `{shown}`"));
        self.report(super::report::explain_dims(diagnostic, &[extents]));
        None
    }

    /// Reports an axis that is too long for its positions to be counted, or chosen from by indices.
    pub(crate) fn countable(&mut self, extent: &Int, place: Span) -> Option<()> {
        if extent.value() <= MOST_POSITIONS {
            return Some(());
        }
        let message = "positions are counted along axes of at most 2^31";
        let diagnostic = error_at(codes::TENSOR_TOO_LARGE, message, place, format!("this is {}", extent.value()));
        self.report(super::report::explain_dims(diagnostic, &[std::slice::from_ref(extent)]));
        None
    }
}

/// The extents of two shapes that are broadcast against each other, or the first two that do not fit, from the front.
pub(super) fn broadcast_extents(left: &[Int], right: &[Int]) -> Result<Vec<Int>, (Int, Int)> {
    let rank = left.len().max(right.len());
    let of = |extents: &[Int], axis: usize| extents.len().checked_sub(rank - axis).map(|axis| extents[axis].clone());
    let mut extents = Vec::with_capacity(rank);
    for axis in 0..rank {
        extents.push(match (of(left, axis), of(right, axis)) {
            (Some(l), Some(r)) if l.value() == r.value() => l.more_telling(&r).clone(),
            (Some(l), Some(r)) if r.value() == 1 => l,
            (Some(l), Some(r)) if l.value() == 1 => r,
            (Some(l), Some(r)) => return Err((l, r)),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => break,
        });
    }
    Ok(extents)
}
