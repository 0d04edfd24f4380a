//! Reading the arguments of a builtin.

use gradc_diagnostics::{Span, codes};
use gradc_ir::DType;

use super::Intrinsic;
use crate::eval::{Evaluator, axes_text, error_at};
use crate::int::Int;
use crate::value::{Argument, Slot, Tensor, Value};

/// The arguments of a builtin, by position of the parameter. Reading one that is of the wrong kind reports that.
pub(crate) struct Arguments<'s> {
    pub(crate) intrinsic: &'static Intrinsic,
    slots: &'s [Slot],
    /// The call.
    pub(crate) span: Span,
}

impl<'s> Arguments<'s> {
    pub(super) fn new(intrinsic: &'static Intrinsic, slots: &'s [Slot], span: Span) -> Arguments<'s> {
        Arguments { intrinsic, slots, span }
    }

    /// The argument, unless it was left out.
    pub(crate) fn given(&self, position: usize) -> Option<&'s Argument> {
        match self.slots.get(position) {
            Some(Slot::Given(argument)) => Some(argument),
            _ => None,
        }
    }

    /// The place of an argument; that of the call if it was left out.
    pub(crate) fn place(&self, position: usize) -> Span {
        self.given(position).map_or(self.span, |argument| argument.span)
    }

    /// The value of an argument that is required.
    pub(crate) fn value(&self, position: usize) -> &'s Value {
        self.given(position).map_or(&Value::Error, |argument| &argument.value)
    }

    fn what(&self, position: usize) -> String {
        format!("`{}` of `{}`", self.intrinsic.parameters[position].0, self.intrinsic.name)
    }

    /// Reports that an argument is of the wrong kind.
    pub(crate) fn wrong<T>(&self, evaluator: &mut Evaluator<'_>, position: usize, expected: &str) -> Option<T> {
        evaluator.wrong_kind(&self.what(position), expected, self.value(position), self.place(position));
        None
    }

    pub(crate) fn tensor(&self, evaluator: &mut Evaluator<'_>, position: usize) -> Option<&'s Tensor> {
        match self.value(position) {
            Value::Tensor(tensor) => Some(tensor),
            _ => self.wrong(evaluator, position, "a tensor"),
        }
    }

    /// A tensor; a number is made a scalar of f32.
    pub(crate) fn tensor_or_number(&self, evaluator: &mut Evaluator<'_>, position: usize) -> Option<Tensor> {
        match self.value(position) {
            Value::Tensor(tensor) => Some(tensor.clone()),
            value @ (Value::Int(_) | Value::Float(_)) => {
                let id = evaluator.full(value.number().unwrap_or(0.0), DType::F32, &[]);
                Some(evaluator.tensor(id, [], self.place(position)))
            }
            _ => self.wrong(evaluator, position, "a tensor"),
        }
    }

    pub(crate) fn number(&self, evaluator: &mut Evaluator<'_>, position: usize, default: f64) -> Option<f64> {
        match self.given(position) {
            None => Some(default),
            Some(argument) => match argument.value.number() {
                Some(number) => Some(number),
                None => self.wrong(evaluator, position, "a number that is known when compiling"),
            },
        }
    }

    pub(crate) fn flag(&self, evaluator: &mut Evaluator<'_>, position: usize) -> Option<bool> {
        match self.given(position).map(|argument| &argument.value) {
            None => Some(false),
            Some(Value::Bool(value)) => Some(*value),
            Some(_) => self.wrong(evaluator, position, "`true` or `false`"),
        }
    }

    pub(crate) fn dtype(&self, evaluator: &mut Evaluator<'_>, position: usize, default: DType) -> Option<DType> {
        match self.given(position).map(|argument| &argument.value) {
            None => Some(default),
            Some(Value::DType(dtype)) => Some(*dtype),
            Some(_) => self.wrong(evaluator, position, "an element type such as `f32`"),
        }
    }

    /// A whole number of at least 1.
    pub(crate) fn extent(&self, evaluator: &mut Evaluator<'_>, position: usize) -> Option<Int> {
        evaluator.extent(self.value(position), self.place(position))
    }

    /// A list of whole numbers.
    pub(crate) fn ints(&self, evaluator: &mut Evaluator<'_>, position: usize) -> Option<Vec<Int>> {
        if let Value::List(list) = self.value(position)
            && let Some(fraction) = list.iter().find(|entry| matches!(entry, Value::Float(_)))
        {
            evaluator.extent(fraction, self.place(position));
            return None;
        }
        let ints = match self.value(position) {
            Value::List(list) => list
                .iter()
                .map(|entry| match entry {
                    Value::Int(int) => Some(int.clone()),
                    _ => None,
                })
                .collect::<Option<Vec<Int>>>(),
            _ => None,
        };
        match ints {
            Some(ints) => Some(ints),
            None => self.wrong(evaluator, position, "a list of whole numbers such as `[2, 3]`"),
        }
    }

    /// A list of extents: a shape.
    pub(crate) fn shape(&self, evaluator: &mut Evaluator<'_>, position: usize) -> Option<Vec<Int>> {
        let ints = self.ints(evaluator, position)?;
        let place = self.place(position);
        let extents = ints.into_iter().map(|int| evaluator.extent(&Value::Int(int), place));
        let extents: Vec<Int> = extents.collect::<Option<_>>()?;
        evaluator.checked(&extents, place)?;
        Some(extents)
    }

    /// One axis of a tensor; a negative one counts from the last.
    pub(crate) fn axis(
        &self,
        evaluator: &mut Evaluator<'_>,
        position: usize,
        default: i64,
        x: &Tensor,
    ) -> Option<usize> {
        match self.given(position).map(|argument| &argument.value) {
            None => self.checked_axis(evaluator, position, default, x),
            Some(Value::Int(axis)) => self.checked_axis(evaluator, position, axis.value(), x),
            Some(_) => self.wrong(evaluator, position, "an axis: a whole number"),
        }
    }

    /// `all`, one axis or a list of them, in order.
    pub(crate) fn axes(&self, evaluator: &mut Evaluator<'_>, position: usize, x: &Tensor) -> Option<Vec<usize>> {
        let list = match self.given(position).map(|argument| &argument.value) {
            None | Some(Value::All) => return Some((0..x.rank()).collect()),
            Some(Value::Int(axis)) => vec![axis.clone()],
            Some(Value::List(_)) => self.ints(evaluator, position)?,
            Some(_) => return self.wrong(evaluator, position, "`all`, an axis or a list of axes"),
        };
        let axes = list.iter().map(|axis| self.checked_axis(evaluator, position, axis.value(), x));
        let mut axes: Vec<usize> = axes.collect::<Option<_>>()?;
        axes.sort_unstable();
        if axes.windows(2).any(|pair| pair[0] == pair[1]) {
            let message = format!("an axis is named twice in `{}`", self.intrinsic.name);
            evaluator.report(error_at(codes::DUPLICATE_AXIS, message, self.place(position), "each may be named once"));
            return None;
        }
        Some(axes)
    }

    pub(crate) fn checked_axis(
        &self,
        evaluator: &mut Evaluator<'_>,
        position: usize,
        axis: i64,
        x: &Tensor,
    ) -> Option<usize> {
        let rank = i64::try_from(x.rank()).unwrap_or(i64::MAX);
        let from_start = if axis < 0 { axis.saturating_add(rank) } else { axis };
        if (0..rank).contains(&from_start) {
            return usize::try_from(from_start).ok();
        }
        let message = format!("there is no axis {axis}");
        let label = format!("`{x}` has {}", axes_text(x.rank()));
        let diagnostic = error_at(codes::AXIS_OUT_OF_RANGE, message, self.place(position), label);
        evaluator.report(match rank {
            0 => diagnostic.help("a scalar has no axes"),
            _ => diagnostic.help(format!("axes are counted from 0 to {}, or from -1 back to -{rank}", rank - 1)),
        });
        None
    }
}
