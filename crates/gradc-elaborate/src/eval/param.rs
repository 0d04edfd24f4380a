//! What a layer or model keeps: `param w: [i, units] = init` and `state mean: [c] = zeros`.

use gradc_diagnostics::{Span, codes};
use gradc_ir::{DType, LeafKind, TensorType};
use gradc_syntax::ast::{Expr, Name, Type};

use super::Evaluator;
use super::report::{error_at, explain_dims, shape_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};

impl<'a> Evaluator<'a> {
    pub(super) fn param(&mut self, name: &'a Name, ty: &'a Type, init: &'a Expr, span: Span) {
        let value = self.declare_leaf(LeafKind::Param, name, ty, init, span);
        self.declare(&name.text, value.map_or(Value::Error, Value::Tensor));
    }

    pub(super) fn state(&mut self, name: &'a Name, ty: &'a Type, init: &'a Expr, span: Span) {
        let value = self.declare_leaf(LeafKind::State, name, ty, init, span);
        self.declare(&name.text, value.map_or(Value::Error, Value::Tensor));
    }

    fn declare_leaf(
        &mut self,
        kind: LeafKind,
        name: &'a Name,
        ty: &'a Type,
        init: &'a Expr,
        span: Span,
    ) -> Option<Tensor> {
        let declared = self.declared_type(ty);
        let recipe = self.expr(init);
        let (dtype, extents) = declared?;
        self.holds_numbers(kind, dtype, ty)?;
        // What a fn declares, which owns nothing, has been reported by the resolver.
        let application = self.frames.last_mut().and_then(|frame| frame.application.as_mut())?;
        let part = application.numbered(&name.text);
        let instance = application.instance.clone();
        let known = instance.leaves.borrow().get(&part).cloned();
        if let Some(known) = known {
            return self.shared(&known, &extents, name, &instance.path);
        }
        let init = self.initial_value(&recipe, &extents, init.span)?;
        self.locate(span);
        let path = instance.path_of(&part);
        let id = self.graph.add_leaf(kind, path, TensorType::new(dtype, shape_of(&extents)), Some(init));
        let tensor = self.tensor(id, extents, ty.span);
        let list = if kind == LeafKind::Param { &mut self.results.params } else { &mut self.results.states };
        list.push((tensor.clone(), name.span));
        instance.leaves.borrow_mut().insert(part, tensor.clone());
        Some(tensor)
    }

    /// Parameters are floats; state may count too.
    fn holds_numbers(&mut self, kind: LeafKind, dtype: DType, ty: &Type) -> Option<()> {
        let (message, label) = match kind {
            LeafKind::Param if !dtype.is_float() => {
                (format!("a parameter must hold floats, not {dtype}"), "only floats can be trained")
            }
            LeafKind::State if dtype == DType::Bool => {
                ("a state must hold numbers, not bool".to_owned(), "keep 0 and 1 in its place")
            }
            _ => return Some(()),
        };
        let at = ty.element.as_ref().map_or(ty.span, |word| word.span);
        self.report(error_at(codes::PARAM_NOT_FLOAT, message, at, label));
        None
    }

    /// A leaf of an instance that is applied again: it must need the same shape.
    fn shared(&mut self, known: &Tensor, extents: &[Int], name: &Name, path: &str) -> Option<Tensor> {
        let same = known.extents.len() == extents.len()
            && known.extents.iter().zip(extents).all(|(a, b)| a.value() == b.value());
        if same {
            return Some(known.clone());
        }
        let (first, now) = (shape_text(&known.extents), shape_text(extents));
        let message = format!("`{path}` is used twice with different shapes of `{}`", name.text);
        let call = self.frames.last().map_or(name.span, |frame| frame.call);
        let label = format!("here `{}` must be `{now}`, but `{first}` when it was first used", name.text);
        let diagnostic = error_at(codes::SHARED_SHAPE, message, call, label)
            .secondary(name.span, "this parameter")
            .note("all uses of a named instance share its parameters")
            .help("make a second instance for the other shape");
        self.report(explain_dims(diagnostic, &[&known.extents, extents]));
        None
    }
}
