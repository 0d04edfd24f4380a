//! Parameters: `param w: [i, units] = init`.

use gradc_diagnostics::{Span, codes};
use gradc_ir::TensorType;
use gradc_syntax::ast::{Expr, Name, Type};

use super::Evaluator;
use super::report::{error_at, explain_dims, shape_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};

impl<'a> Evaluator<'a> {
    pub(super) fn param(&mut self, name: &'a Name, ty: &'a Type, init: &'a Expr, span: Span) {
        let value = self.declare_param(name, ty, init, span);
        self.declare(&name.text, value.map_or(Value::Error, Value::Tensor));
    }

    fn declare_param(&mut self, name: &'a Name, ty: &'a Type, init: &'a Expr, span: Span) -> Option<Tensor> {
        let declared = self.declared_type(ty);
        let recipe = self.expr(init);
        let (dtype, extents) = declared?;
        if !dtype.is_float() {
            let message = format!("a parameter must hold floats, not {dtype}");
            let at = ty.element.as_ref().map_or(ty.span, |word| word.span);
            self.report(error_at(codes::PARAM_NOT_FLOAT, message, at, "only floats can be trained"));
            return None;
        }
        // A param in a fn, which owns none, has been reported by the resolver.
        let application = self.frames.last_mut().and_then(|frame| frame.application.as_mut())?;
        let part = application.numbered(&name.text);
        let instance = application.instance.clone();
        let known = instance.params.borrow().get(&part).cloned();
        if let Some(known) = known {
            return self.shared(&known, &extents, name, &instance.path);
        }
        let init = self.initial_value(&recipe, &extents, init.span)?;
        self.locate(span);
        if self.frames.last().is_some_and(|frame| !frame.library) {
            self.user_names.insert(&name.text);
        }
        let path = instance.path_of(&part);
        let id = self.graph.param(path, TensorType::new(dtype, shape_of(&extents)), init);
        let tensor = self.tensor(id, extents, ty.span);
        self.results.params.push((tensor.clone(), name.span));
        instance.params.borrow_mut().insert(part, tensor.clone());
        Some(tensor)
    }

    /// The parameter of an instance that is applied again: it must need the same shape.
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
