//! What a loop goes over, and how.

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_ir::{DType, TensorType, ValueId};
use gradc_syntax::ast::{ScanOption, Sequence};

use super::Carry;
use crate::eval::report::{error_at, explain_dims, extent_text};
use crate::eval::{Evaluator, axes_text};
use crate::int::Int;
use crate::value::{Tensor, Value};

/// The sequences and options of a loop.
pub(super) struct Header {
    /// How many steps there are: the extent of the sequences along the time axis.
    pub(super) length: Int,
    /// The sequences, with the time axis in front.
    pub(super) sources: Vec<Tensor>,
    /// The time axis.
    pub(super) axis: usize,
    /// Whether the last slices come first.
    pub(super) reverse: bool,
    /// After how many steps no gradient flows on through the carries; 0 if it flows through all.
    truncate: usize,
}

impl<'a> Evaluator<'a> {
    /// `None` where something is wrong, which has been reported.
    pub(super) fn header(&mut self, sequences: &'a [Sequence], options: &'a [ScanOption]) -> Option<Header> {
        let values: Vec<Value> = sequences.iter().map(|sequence| self.expr(&sequence.value)).collect();
        let (mut axis, mut reverse, mut truncate) = (Some(0), Some(false), Some(0));
        for option in options {
            let (value, span) = (self.expr(&option.value), option.value.span);
            match option.name.text.as_str() {
                "axis" => axis = self.time_axis(&value, span),
                "reverse" => reverse = self.direction(&value, span),
                "truncate" => truncate = self.truncation(&value, span),
                // The resolver has reported it.
                _ => return None,
            }
        }
        let (axis, reverse, truncate) = (axis?, reverse?, truncate?);
        let tensors: Vec<Option<Tensor>> =
            values.into_iter().zip(sequences).map(|(value, sequence)| self.sequence(value, sequence, axis)).collect();
        let tensors: Vec<Tensor> = tensors.into_iter().collect::<Option<_>>()?;
        let length = self.length(&tensors, sequences, axis)?;
        let sources = tensors.iter().zip(sequences).map(|(tensor, sequence)| self.time_first(tensor, axis, sequence));
        Some(Header { length, sources: sources.collect(), axis, reverse, truncate })
    }

    fn time_axis(&mut self, value: &Value, span: Span) -> Option<usize> {
        match value {
            Value::Int(axis) if axis.value() >= 0 => usize::try_from(axis.value()).ok(),
            other => {
                self.wrong_kind("`axis` of a `scan`", "a whole number from 0 on", other, span);
                None
            }
        }
    }

    fn direction(&mut self, value: &Value, span: Span) -> Option<bool> {
        match value {
            Value::Bool(reverse) => Some(*reverse),
            other => {
                self.wrong_kind("`reverse` of a `scan`", "`true` or `false`", other, span);
                None
            }
        }
    }

    fn truncation(&mut self, value: &Value, span: Span) -> Option<usize> {
        match value {
            Value::Int(steps) if steps.value() >= 0 => usize::try_from(steps.value()).ok(),
            other => {
                self.wrong_kind("`truncate` of a `scan`", "a number of steps, 0 for no truncation", other, span);
                None
            }
        }
    }

    fn sequence(&mut self, value: Value, sequence: &'a Sequence, axis: usize) -> Option<Tensor> {
        let span = sequence.value.span;
        match value {
            Value::Tensor(tensor) if tensor.rank() > axis => Some(tensor),
            Value::Tensor(tensor) => {
                let message = format!("there is no axis {axis} to scan");
                let label = format!("`{tensor}` has {}", axes_text(tensor.rank()));
                self.report(error_at(codes::AXIS_OUT_OF_RANGE, message, span, label));
                None
            }
            Value::Int(_) => {
                let diagnostic = Diagnostic::error(codes::WRONG_KIND, "a `scan` goes over a tensor")
                    .primary(span, format!("this is {}", value.kind()));
                let number = self.quoted(span).unwrap_or("n");
                self.report(diagnostic.help(format!("to count steps, go over `iota({number})`")));
                None
            }
            other => {
                self.wrong_kind("what a `scan` goes over", "a tensor", &other, span);
                None
            }
        }
    }

    /// The extent along the time axis, which all sequences share.
    fn length(&mut self, tensors: &[Tensor], sequences: &'a [Sequence], axis: usize) -> Option<Int> {
        let mut length = tensors.first()?.extents[axis].clone();
        for (tensor, sequence) in tensors.iter().zip(sequences) {
            let own = &tensor.extents[axis];
            if own.value() != length.value() {
                let (a, b) = (extent_text(&length), extent_text(own));
                let message = format!("the sequences differ along axis {axis}: {a} and {b}");
                let first = sequences.first().map_or(sequence.value.span, |first| first.value.span);
                let diagnostic =
                    error_at(codes::SHAPES_DIFFER, message, sequence.value.span, format!("this is `{tensor}`"))
                        .secondary(first, format!("this is `{}`", tensors[0]))
                        .help("all sequences of a `scan` have the same extent along its axis");
                self.report(explain_dims(diagnostic, &[&tensors[0].extents, &tensor.extents]));
                return None;
            }
            length = length.more_telling(own).clone();
        }
        Some(length)
    }

    /// A sequence with its time axis in front.
    fn time_first(&mut self, tensor: &Tensor, axis: usize, sequence: &'a Sequence) -> Tensor {
        if axis == 0 {
            return tensor.clone();
        }
        let mut order: Vec<usize> = (0..tensor.rank()).collect();
        order.remove(axis);
        order.insert(0, axis);
        self.locate(sequence.value.span);
        let id = self.graph.transpose(tensor.id, &order);
        let extents: Vec<Int> = order.iter().map(|&axis| tensor.extents[axis].clone()).collect();
        self.tensor(id, extents, sequence.value.span)
    }

    /// Stops gradients through the carries where a new stretch of steps begins: as if each stretch were a loop of its own
    /// that begins with the last values of the one before as constants. Gives the sequence that says where that is, with
    /// the leaf that stands in for its slices.
    pub(super) fn truncated(&mut self, header: &Header, carries: &[Option<Carry<'a>>]) -> Option<(ValueId, ValueId)> {
        let length = header.length.extent();
        let every = Some(header.truncate).filter(|every| (1..length).contains(every))?;
        let boundaries = self.boundaries(length, every, header.reverse);
        let leaf = self.stand_in("boundary", TensorType::scalar(DType::Bool));
        for carry in carries.iter().flatten().filter(|carry| carry.first.dtype.is_float()) {
            let shape = self.graph.shape(carry.leaf).clone();
            let at_boundary = self.graph.broadcast(leaf, &[], &shape);
            let fixed = self.graph.stop_gradient(carry.leaf);
            let id = self.graph.select(at_boundary, fixed, carry.leaf);
            let tensor = self.tensor(id, carry.first.extents.clone(), carry.first.origin);
            self.rebind(carry.assignment.name, Value::Tensor(tensor));
        }
        Some((boundaries, leaf))
    }

    /// For each step, whether a new stretch of `every` steps begins with it; not so the first.
    fn boundaries(&mut self, length: usize, every: usize, reverse: bool) -> ValueId {
        let stretches = length.div_ceil(every);
        let total = stretches * every;
        let (place, start) = if reverse { (every - 1, total - length) } else { (0, 0) };
        let graph = &mut self.graph;
        let within = graph.iota(1, &TensorType::new(DType::I32, [stretches, every]));
        let place = graph.full_like(within, place as f64);
        let begins = graph.eq(within, place);
        let begins = graph.reshape(begins, &[total]);
        let begins = graph.slice_axis(begins, 0, start, start + length);
        let step = graph.iota(0, &TensorType::new(DType::I32, [length]));
        let first = graph.full_like(step, if reverse { length - 1 } else { 0 } as f64);
        let later = graph.ne(step, first);
        graph.and(begins, later)
    }
}
