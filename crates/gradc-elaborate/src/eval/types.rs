//! The types in signatures: matching them against arguments binds the names in them.

use std::rc::Rc;

use gradc_diagnostics::{Diagnostic, Span, codes};
use gradc_ir::DType;
use gradc_syntax::ast::{Axis, Expr, ExprKind, Function, Name, Parameter, Type};

use super::Evaluator;
use super::expr::axes_text;
use super::report::{error_at, explain_dims, extent_text, shape_text, value_of_dim};
use crate::int::{Int, Named, ShowShape};
use crate::program::Meaning;
use crate::value::{Slot, Tensor, Value};

/// What an axis must be, to be checked when all names are bound.
pub(super) struct Constraint<'a> {
    expected: &'a Expr,
    extent: Int,
    axis: usize,
    tensor: Tensor,
    name: &'a str,
    /// The argument.
    span: Span,
}

/// What the types of a function's parameters have given so far.
struct Binding<'a> {
    function: &'a Function,
    constraints: Vec<Constraint<'a>>,
    /// The parameters that were given a number, which is a scalar in the body.
    scalars: Vec<(&'a str, Tensor)>,
}

/// What element types a type admits.
enum Element {
    Any,
    Float,
    Int,
    Exactly(DType),
}

impl<'a> Evaluator<'a> {
    /// Declares the parameters of a function, and matches the arguments against their types.
    pub(super) fn bind_parameters(&mut self, function: &'a Function, slots: &[Slot]) -> Option<Vec<Constraint<'a>>> {
        let mut binding = Binding { function, constraints: Vec::new(), scalars: Vec::new() };
        let mut waiting = Vec::new();
        // One after another: a default may use what comes before it, and what the types there bind.
        for (parameter, slot) in function.parameters.iter().zip(slots) {
            let (value, span) = match (slot, &parameter.default) {
                (Slot::Given(argument), _) => (argument.value.clone(), argument.span),
                (_, Some(default)) => (self.expr(default), default.span),
                (_, None) => return None,
            };
            if value.is_error() {
                return None;
            }
            self.declare(&parameter.name.text, value.clone());
            match &parameter.ty {
                None => {}
                // The element type is what a later parameter says.
                Some(Type { element: Some(word), .. }) if self.is_awaited(&word.text, function) => {
                    waiting.push((parameter, value, span));
                }
                Some(ty) => self.bind_type(parameter, ty, &value, span, &mut binding)?,
            }
        }
        for (parameter, value, span) in waiting {
            self.bind_type(parameter, parameter.ty.as_ref()?, &value, span, &mut binding)?;
        }
        for (name, scalar) in binding.scalars {
            self.declare(name, Value::Tensor(scalar));
        }
        Some(binding.constraints)
    }

    /// Whether a name is that of a parameter that has no value yet.
    fn is_awaited(&self, name: &str, function: &Function) -> bool {
        function.parameters.iter().any(|parameter| parameter.name.text == name)
            && self.frames.last().is_some_and(|frame| frame.variable(name).is_none())
    }

    /// Matches the argument for a parameter against its type.
    fn bind_type(
        &mut self,
        parameter: &'a Parameter,
        ty: &'a Type,
        value: &Value,
        span: Span,
        binding: &mut Binding<'a>,
    ) -> Option<()> {
        let tensor = self.as_tensor(value, ty, &parameter.name, span)?;
        self.match_type(ty, &tensor, &parameter.name.text, span, binding)?;
        if let Value::Int(_) | Value::Float(_) | Value::Bool(_) = value {
            binding.scalars.push((&parameter.name.text, tensor));
        }
        Some(())
    }

    /// An argument for a parameter that has the type of a tensor. A number becomes a scalar.
    fn as_tensor(&mut self, value: &Value, ty: &'a Type, name: &Name, span: Span) -> Option<Tensor> {
        match value {
            Value::Tensor(tensor) => Some(tensor.clone()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                let dtype = match (self.element(ty)?, value) {
                    (Element::Exactly(dtype), _) => dtype,
                    (Element::Int, _) => DType::I32,
                    (_, Value::Bool(_)) => DType::Bool,
                    _ => DType::F32,
                };
                let id = self.spread(value, span, dtype, &Rc::from([]))?;
                Some(self.tensor(id, [], span))
            }
            other => {
                let diagnostic = error_at(
                    codes::WRONG_KIND,
                    format!("`{}` must be a tensor", name.text),
                    span,
                    format!("this is {}", other.kind()),
                );
                self.report(diagnostic.secondary(ty.span, "declared here"));
                None
            }
        }
    }

    fn match_type(
        &mut self,
        ty: &'a Type,
        tensor: &Tensor,
        name: &'a str,
        span: Span,
        binding: &mut Binding<'a>,
    ) -> Option<()> {
        self.check_element(ty, tensor, name, span)?;
        let rest = ty.axes.iter().position(|axis| matches!(axis, Axis::Rest { .. }));
        let fixed = ty.axes.iter().filter(|axis| matches!(axis, Axis::Dim(_))).count();
        if fixed + 1 < ty.axes.len() {
            // Two `..`, which the resolver has reported.
            return None;
        }
        if tensor.rank() < fixed || (rest.is_none() && tensor.rank() != fixed) {
            self.rank_mismatch(ty, tensor, name, span);
            return None;
        }
        let stretched = tensor.rank() - fixed;
        let mut axis = 0;
        for pattern in &ty.axes {
            match pattern {
                Axis::Rest { name: rest, .. } => {
                    let extents: Rc<[Int]> = tensor.extents[axis..axis + stretched].into();
                    let key = rest.as_ref().map_or("", |rest| rest.text.as_str());
                    self.match_rest(key, extents, tensor, name, span)?;
                    axis += stretched;
                }
                Axis::Dim(expected) => {
                    let extent = tensor.extents[axis].clone();
                    match &expected.kind {
                        ExprKind::Name(fresh) if self.is_fresh(fresh, binding.function) => {
                            self.declare(fresh, Value::Int(extent));
                        }
                        _ => {
                            let tensor = tensor.clone();
                            binding.constraints.push(Constraint { expected, extent, axis, tensor, name, span });
                        }
                    }
                    axis += 1;
                }
            }
        }
        Some(())
    }

    /// Whether a name in a type is one that the type itself binds: it is neither an argument, nor bound before, nor
    /// a dim or const.
    fn is_fresh(&self, name: &str, function: &Function) -> bool {
        let Some(frame) = self.frames.last() else { return false };
        frame.variable(name).is_none()
            && !self.is_awaited(name, function)
            && !matches!(self.program.meaning(frame.unit, name), Some(Meaning::Dim(_) | Meaning::Const(_)))
    }

    fn match_rest(&mut self, key: &'a str, extents: Rc<[Int]>, tensor: &Tensor, name: &str, span: Span) -> Option<()> {
        let known = self.frames.last().and_then(|frame| frame.rests.get(key).cloned());
        let Some((bound, by)) = known else {
            if !key.is_empty() {
                self.declare(key, Value::List(extents.iter().cloned().map(Value::Int).collect()));
            }
            if let Some(frame) = self.frames.last_mut() {
                frame.rests.insert(key, (extents, span));
            }
            return Some(());
        };
        if bound.len() == extents.len() && bound.iter().zip(extents.iter()).all(|(a, b)| a.value() == b.value()) {
            return Some(());
        }
        let message = format!("`{name}` has the leading axes `{}`, not `{}`", ShowShape(&extents), ShowShape(&bound));
        let diagnostic = error_at(codes::DIM_MISMATCH, message, span, format!("this is `{tensor}`"))
            .secondary(by, format!("`..{key}` is `{}` because of this", ShowShape(&bound)))
            .note("`..` stands for the same axes everywhere in one signature");
        self.report(explain_dims(diagnostic, &[&extents, &bound]));
        None
    }

    pub(super) fn check_constraints(&mut self, constraints: Vec<Constraint<'a>>) -> bool {
        let mut all = true;
        for constraint in constraints {
            let expected = self.expr(constraint.expected);
            all &= match expected {
                Value::Int(expected) if expected.value() == constraint.extent.value() => true,
                Value::Int(expected) => {
                    self.axis_mismatch(&constraint, &expected);
                    false
                }
                other => {
                    self.wrong_kind("a dim in a type", "a whole number", &other, constraint.expected.span);
                    false
                }
            };
        }
        all
    }

    fn axis_mismatch(&mut self, constraint: &Constraint<'a>, expected: &Int) {
        let Constraint { name, tensor, extent, axis, span, .. } = constraint;
        let written = self.quoted(constraint.expected.span).map_or_else(
            || extent_text(expected),
            |text| {
                if text == expected.to_string() || !expected.is_symbolic() && text.parse::<i64>().is_ok() {
                    extent_text(expected)
                } else {
                    format!("{text} = {}", extent_text(expected))
                }
            },
        );
        let message = format!("axis {axis} of `{name}` must be {written}, not {}", extent_text(extent));
        let diagnostic = error_at(codes::DIM_MISMATCH, message, *span, format!("this is `{tensor}`"))
            .secondary(constraint.expected.span, format!("expected {written}"));
        let diagnostic = self.explain_shapes(diagnostic, &[(tensor, *span)]);
        let diagnostic = explain_dims_again(diagnostic, expected);
        let diagnostic = match tensor.rank() {
            2 if tensor.extents[1 - axis.min(&1)].value() == expected.value() => match self.quoted(*span) {
                Some(text) => diagnostic.help(format!("did you mean `{text}.T`?")),
                None => diagnostic,
            },
            _ => diagnostic,
        };
        self.report(diagnostic);
    }

    fn rank_mismatch(&mut self, ty: &'a Type, tensor: &Tensor, name: &str, span: Span) {
        let fixed = ty.axes.iter().filter(|axis| matches!(axis, Axis::Dim(_))).count();
        let open = fixed != ty.axes.len();
        let wanted = if open { format!("at least {}", axes_text(fixed)) } else { axes_text(fixed) };
        let message = format!("`{name}` must have {wanted}, not {}", tensor.rank());
        let diagnostic = error_at(codes::RANK_MISMATCH, message, span, format!("this is `{tensor}`"))
            .secondary(ty.span, "declared here");
        let diagnostic = self.explain_shapes(diagnostic, &[(tensor, span)]);
        let diagnostic = if !open && tensor.rank() > fixed && fixed > 0 {
            diagnostic.help("begin the type with `..` to take any number of leading axes")
        } else {
            diagnostic
        };
        self.report(diagnostic);
    }

    /// Which elements a type admits. `None`: the word means nothing, which has been reported.
    fn element(&mut self, ty: &'a Type) -> Option<Element> {
        let Some(word) = &ty.element else { return Some(Element::Any) };
        if word.text == "float" {
            return Some(Element::Float);
        }
        if word.text == "int" {
            return Some(Element::Int);
        }
        // No item can take the place of a type's own name here.
        if let Some(dtype) = DType::from_name(&word.text) {
            return Some(Element::Exactly(dtype));
        }
        match self.name(&word.text) {
            Value::DType(dtype) => Some(Element::Exactly(dtype)),
            Value::Error => None,
            other => {
                let message = format!("`{}` is not an element type", word.text);
                let label = format!("this is {}", other.kind());
                self.report(error_at(codes::UNKNOWN_ELEMENT, message, word.span, label));
                None
            }
        }
    }

    fn check_element(&mut self, ty: &'a Type, tensor: &Tensor, name: &str, span: Span) -> Option<()> {
        let (fits, wanted) = match self.element(ty)? {
            Element::Any => return Some(()),
            Element::Float => (tensor.dtype.is_float(), "floats".to_owned()),
            Element::Int => (tensor.dtype.is_integer(), "integers".to_owned()),
            Element::Exactly(dtype) => (tensor.dtype == dtype, format!("`{dtype}`")),
        };
        if fits {
            return Some(());
        }
        let message = format!("`{name}` must hold {wanted}, not `{}`", tensor.dtype);
        let at = ty.element.as_ref().map_or(ty.span, |word| word.span);
        let diagnostic = error_at(codes::DTYPE_MISMATCH, message, span, format!("this is `{tensor}`"))
            .secondary(at, "declared here");
        let target = match self.element(ty)? {
            Element::Exactly(dtype) => dtype,
            Element::Int => DType::I32,
            Element::Any | Element::Float => DType::F32,
        };
        let operand = self.quoted(span).unwrap_or("…");
        self.report(diagnostic.help(format!("convert it: `cast({operand}, {target})`")));
        None
    }

    /// The element type and the shape that a declaration states: of an input or a parameter.
    pub(super) fn declared_type(&mut self, ty: &'a Type) -> Option<(DType, Vec<Int>)> {
        let element = self.element(ty);
        let extents = self.declared_axes(ty)?;
        self.checked(&extents, ty.span)?;
        let dtype = match element? {
            Element::Exactly(dtype) => dtype,
            Element::Int => DType::I32,
            Element::Any | Element::Float => DType::F32,
        };
        Some((dtype, extents))
    }

    /// The extents that a type states, all of whose names have a value.
    fn declared_axes(&mut self, ty: &'a Type) -> Option<Vec<Int>> {
        let mut extents = Vec::with_capacity(ty.axes.len());
        let mut good = true;
        for axis in &ty.axes {
            match axis {
                Axis::Dim(size) => {
                    let value = self.expr(size);
                    match self.extent(&value, size.span) {
                        Some(extent) => extents.push(extent),
                        None => good = false,
                    }
                }
                Axis::Rest { name, .. } => {
                    let key = name.as_ref().map_or("", |name| name.text.as_str());
                    // The resolver has reported one that nothing binds.
                    match self.frames.last().and_then(|frame| frame.rests.get(key)) {
                        Some((rest, _)) => extents.extend(rest.iter().cloned()),
                        None => good = false,
                    }
                }
            }
        }
        good.then_some(extents)
    }

    /// A value as the extent of an axis: a whole number of at least 1.
    pub(crate) fn extent(&mut self, value: &Value, span: Span) -> Option<Int> {
        let int = match value {
            Value::Error => return None,
            Value::Int(int) => int,
            Value::Float(number) => {
                let diagnostic = error_at(
                    codes::DIM_NOT_WHOLE,
                    format!("a dim must be a whole number, not {value}"),
                    span,
                    if number.fract() == 0.0 {
                        "this has a point".to_owned()
                    } else {
                        format!("{value} is a fraction")
                    },
                );
                self.report(match number.fract() == 0.0 {
                    true => diagnostic.help(format!("write it without a point: `{number:.0}`")),
                    false => diagnostic,
                });
                return None;
            }
            other => {
                self.wrong_kind("a dim", "a whole number", &other.clone(), span);
                return None;
            }
        };
        if int.value() >= 1 && int.value() <= gradc_ir::Shape::MAX_ELEMENTS as i64 {
            return Some(int.clone());
        }
        let (code, message) = match int.value() {
            ..=0 => (codes::DIM_NOT_POSITIVE, format!("a dim must be at least 1, not {}", int.value())),
            _ => (codes::TENSOR_TOO_LARGE, format!("a dim is at most 2^40, not {}", int.value())),
        };
        let diagnostic = error_at(code, message, span, format!("this is {}", extent_text(int)));
        self.report(explain_dims(diagnostic, &[std::slice::from_ref(int)]));
        None
    }

    /// The value of a function, which must have the type after `->`.
    pub(super) fn check_result(&mut self, ty: &'a Type, value: Value, function: &'a Function) -> Value {
        let body = function.body.value.as_ref().map_or(function.body.span, |value| value.span);
        let tensor = match value {
            Value::Error => return Value::Error,
            Value::Tensor(tensor) => tensor,
            Value::Int(_) | Value::Float(_) | Value::Bool(_) if ty.axes.is_empty() => {
                return self.as_tensor(&value, ty, &function.name, body).map_or(Value::Error, Value::Tensor);
            }
            other => {
                let what = format!("the value of `{}`", function.name.text);
                return self.wrong_kind(&what, "a tensor", &other, body);
            }
        };
        if self.check_element(ty, &tensor, &function.name.text, body).is_none() {
            return Value::Error;
        }
        let Some(expected) = self.declared_axes(ty) else { return Value::Error };
        let fits = expected.len() == tensor.rank()
            && expected.iter().zip(tensor.extents.iter()).all(|(a, b)| a.value() == b.value());
        if fits {
            let extents = expected.iter().zip(tensor.extents.iter()).map(|(a, b)| a.more_telling(b).clone());
            return Value::Tensor(Tensor { extents: extents.collect(), ..tensor });
        }
        let (found, wanted) = (shape_text(&tensor.extents), shape_text(&expected));
        let message = format!("`{}` gives `{found}`, but declares `{wanted}`", function.name.text);
        let diagnostic = Diagnostic::error(codes::RESULT_MISMATCH, message)
            .primary(body, format!("this is `{tensor}`"))
            .secondary(ty.span, format!("this is `{wanted}`"));
        self.report(explain_dims(diagnostic, &[&tensor.extents, &expected]))
    }
}

fn explain_dims_again(diagnostic: Diagnostic, extent: &Int) -> Diagnostic {
    let known: Vec<Span> = diagnostic.labels().iter().map(|label| label.span).collect();
    crate::int::names_in(&[std::slice::from_ref(extent)])
        .into_iter()
        .filter(|named| !known.contains(&named.declared))
        .fold(diagnostic, |diagnostic, Named { name, value, declared, given }| {
            diagnostic.secondary(declared, value_of_dim(&name, value, given))
        })
}
