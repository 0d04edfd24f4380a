//! `y = custom name(value) { wrt, constants, result, cotangent; the rule; its results }`

use super::{Algebra, Arity, Class, Derivative, Domain, Evaluate, Notation, Op, OpDef, TypeError};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::linear::first_nonlinear;
use crate::op::scan::Scan;
use crate::{Body, Graph, TensorType, ValueId};

/// A value with a derivative rule of its own, in the place of the one that follows from how it is computed.
///
/// Its operands are the value, then those that the rule gives a cotangent, then what the rule reads besides. It is the
/// value itself: nothing is computed, and [`Graph::without_rules`] leaves the value in its place once the derivative is
/// written. It is a note for differentiation and not in the registry.
pub static CUSTOM: OpDef = OpDef {
    name: "custom",
    class: Class::Custom,
    arity: Arity::AtLeast(1),
    attrs: &[
        AttrSpec::from("rule", AttrKind::Body, AttrSource::Block),
        AttrSpec::from("wrt", AttrKind::Int, AttrSource::Block),
    ],
    notation: Notation::Call,
    infer: |attrs, operands| Custom::from_attrs(attrs).infer(operands),
    evaluate: Evaluate::Tensor(|_, operands, _| operands[0].data().to_vec()),
    derivative: Derivative::Body,
    lower: None,
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases: |_, _| vec![],
    doc: "",
};

/// A derivative rule that a program gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// The rule. Inputs: the operands it gives a cotangent, what it reads besides, the result, the cotangent of the result.
    /// Results: a cotangent for each of the first.
    pub rule: Body,
    /// How many operands the rule gives a cotangent.
    pub wrt: usize,
}

impl Custom {
    /// The rule that an operator holds, if it holds one.
    pub fn of(op: &Op) -> Option<Custom> {
        op.is(&CUSTOM).then(|| Custom::from_attrs(&op.attrs))
    }

    fn from_attrs(attrs: &Attrs) -> Custom {
        Custom { rule: attrs.body("rule").clone(), wrt: attrs.int("wrt") }
    }

    /// The operator.
    pub fn op(&self) -> Op {
        CUSTOM.with(Attrs::new([("rule", Attr::from(self.rule.clone())), ("wrt", self.wrt.into())]))
    }

    /// The name of the function that it is the rule of.
    pub fn name(&self) -> &str {
        self.rule.graph().name()
    }

    /// The input of the rule that stands for the cotangent of the result.
    pub fn cotangent(&self) -> ValueId {
        self.rule.inputs()[self.rule.inputs().len() - 1]
    }

    /// Where the rule is not linear in the cotangent: a value of the rule. A rule that is has a transpose, the derivative in
    /// forward mode.
    pub fn nonlinear(&self) -> Option<ValueId> {
        first_nonlinear(self.rule.graph(), self.cotangent())
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
        let (graph, inputs) = (self.rule.graph(), self.rule.inputs());
        let fail = |message: String| Err(TypeError(message));
        let value = operands[0];
        if !value.dtype.is_float() {
            return fail(format!("{value} has no derivative"));
        }
        if inputs.len() != operands.len() + 1 || self.wrt >= operands.len() || self.rule.results().len() != self.wrt {
            return fail("the rule has another number of inputs or results".into());
        }
        let given = operands[1..].iter().copied().chain([value, value]);
        for (index, (&input, expected)) in inputs.iter().zip(given).enumerate() {
            if graph.ty(input) != expected {
                return fail(format!("input {index} of the rule is {}, not {expected}", graph.ty(input)));
            }
        }
        for index in 0..self.wrt {
            let (operand, cotangent) = (operands[index + 1], self.rule.result_type(index));
            if operand != cotangent || !operand.dtype.is_float() {
                return fail(format!("cotangent {index} of the rule is {cotangent}, for {operand}"));
            }
        }
        Ok(value.clone())
    }
}

impl Graph {
    /// `operands[0]` with a derivative rule of its own.
    pub fn custom(&mut self, custom: &Custom, operands: &[ValueId]) -> ValueId {
        self.emit(custom.op(), operands)
    }

    /// The rule that a value has, if it has one.
    pub fn as_custom(&self, value: ValueId) -> Option<Custom> {
        self.op(value).and_then(Custom::of)
    }

    /// The operands of a value that its derivative may flow to.
    pub fn differentiable_operands(&self, value: ValueId) -> &[ValueId] {
        let operands = self.operands(value);
        match self.op(value).filter(|op| op.is(&CUSTOM)) {
            Some(op) => &operands[1..=op.attrs.int("wrt")],
            None => operands,
        }
    }

    /// An equal graph without rules of the program's, whose derivative they no longer say; in the bodies of loops too.
    pub fn without_rules(&self) -> Graph {
        self.replacing_rules(&mut |_, _, operands| operands[0]).0
    }

    /// A graph with what `replace` makes of each value that has a rule of its own, in the bodies of loops too. It is given
    /// the graph to write to, the rule and the operands there. With the new number of each value.
    pub fn replacing_rules(
        &self,
        replace: &mut dyn FnMut(&mut Graph, &Custom, &[ValueId]) -> ValueId,
    ) -> (Graph, Vec<ValueId>) {
        if !self.has_rules() {
            return (self.clone(), self.values().collect());
        }
        let mut graph = self.emptied();
        let mut renumbered: Vec<ValueId> = Vec::with_capacity(self.len());
        for value in self.values() {
            let operands: Vec<ValueId> =
                self.operands(value).iter().map(|operand| renumbered[operand.index()]).collect();
            graph.set_origin(self.node(value).origin);
            let new = if let Some(custom) = self.as_custom(value) {
                let new = replace(&mut graph, &custom, &operands);
                if let (Some(name), None) = (self.value_name(value), graph.value_name(new)) {
                    graph.set_value_name(new, name.clone());
                    graph.set_value_scope(new, self.node(value).origin.scope);
                }
                new
            } else if let Some(scan) = self.as_scan(value).filter(|scan| scan.body.graph().has_rules()) {
                let body = Body::new(&scan.body.graph().replacing_rules(replace).0);
                let body = body.unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
                graph.scan(&Scan { body, ..scan }, &operands)
            } else {
                graph.copy_node(self, value, &operands)
            };
            renumbered.push(new);
        }
        for output in self.outputs() {
            graph.add_output(output.role, output.name.clone(), renumbered[output.value.index()]);
        }
        graph.set_origin(self.origin());
        (graph, renumbered)
    }

    /// Whether a value has a rule of its own, in the bodies of loops too.
    pub fn has_rules(&self) -> bool {
        self.values().filter_map(|value| self.op(value)).any(|op| {
            op.is(&CUSTOM) || Scan::of(op).is_some_and(|scan| scan.body.graph().has_rules())
        })
    }
}
