//! Writing what a pattern stands for.

use egg::Id;
use gradc_ir::op::select::SELECT;
use gradc_ir::{Class, DType, Op, OpDef, TensorType};
use smallvec::SmallVec;

use super::{Bindings, Pattern};
use crate::ops;
use crate::terms::Terms;

/// Adds what `pattern` stands for. `expected` is the type it must have, where that is known: numbers and spreads take
/// their shape from it or from the other operands. `None` where the pattern does not fit the bindings' types.
pub(crate) fn build(
    terms: &mut dyn Terms,
    pattern: &Pattern,
    bindings: &Bindings,
    expected: Option<&TensorType>,
) -> Option<Id> {
    match pattern {
        Pattern::Variable(variable) => bindings.value(*variable),
        Pattern::Constant(variable) => {
            let bound = bindings.value(*variable)?;
            let number = terms.facts(bound).constant?;
            match expected {
                Some(ty) => terms.literal(number, ty),
                None => Some(bound),
            }
        }
        Pattern::Number(number) => terms.literal(*number, expected?),
        Pattern::Spread { axes, operand } => {
            let operand = build(terms, operand, bindings, None)?;
            let shape = &expected?.shape;
            let kept = ops::other_axes(bindings.attrs(*axes)?.ints("axes"), shape.rank());
            terms.apply(ops::broadcast(&kept, shape), &[operand])
        }
        Pattern::Apply { def, attrs, operands } => {
            let children = build_operands(terms, def, operands, bindings, expected)?;
            let op = match attrs {
                Some(variable) => def.with(bindings.attrs(*variable)?.clone()),
                None => def.op(),
            };
            terms.apply(Op { ..op }, &children)
        }
    }
}

/// Operands that have a type of their own come first; the others take theirs from these.
fn build_operands(
    terms: &mut dyn Terms,
    def: &'static OpDef,
    operands: &[Pattern],
    bindings: &Bindings,
    expected: Option<&TensorType>,
) -> Option<SmallVec<[Id; 3]>> {
    let hint = expected.filter(|ty| def.class == Class::Elementwise && keeps_type(def, ty.dtype));
    let mut children: SmallVec<[Option<Id>; 3]> = SmallVec::from_elem(None, operands.len());
    let mut context = None;
    for (i, operand) in operands.iter().enumerate().filter(|(_, operand)| !operand.takes_type_from_context()) {
        let child = build(terms, operand, bindings, hint)?;
        children[i] = Some(child);
        if !is_condition(def, i) {
            context = Some(terms.facts(child).ty.clone());
        } else if context.is_none() {
            context = hint.cloned();
        }
    }
    let context = context.or_else(|| hint.cloned());
    for (i, operand) in operands.iter().enumerate() {
        if children[i].is_none() {
            let truths = || context.as_ref().map(|ty| ty.with_dtype(DType::Bool));
            let ty = if is_condition(def, i) { truths() } else { context.clone() };
            children[i] = Some(build(terms, operand, bindings, ty.as_ref())?);
        }
    }
    children.into_iter().collect()
}

fn is_condition(def: &'static OpDef, operand: usize) -> bool {
    std::ptr::eq(def, &SELECT) && operand == 0
}

/// Whether the operands that are not conditions have the type of the result.
fn keeps_type(def: &'static OpDef, result: DType) -> bool {
    def.attrs.is_empty() && (result != DType::Bool || std::ptr::eq(def, &SELECT))
}
