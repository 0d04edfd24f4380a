//! `a, b, … = custom name(values) { wrt, constants, results, cotangents; the rule; what it gives }`

use rustc_hash::FxHashMap;

use super::{Algebra, Arity, Class, Derivative, Domain, Evaluate, Notation, Op, OpDef, TypeError, result};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::linear::first_nonlinear;
use crate::op::scan::Scan;
use crate::tensor::Tensor;
use crate::{Body, Graph, TensorType, ValueId};

/// Values with one derivative rule of their own, in the place of the one that follows from how they are computed.
///
/// Its operands are the values, then those that the rule gives a cotangent, then what the rule reads besides. Its results
/// are the values themselves, packed: see [`result`]. Nothing is computed, and [`Graph::without_rules`]
/// leaves the values in the place of the results once the derivative is written. It is a note for differentiation and not
/// in the registry.
pub static CUSTOM: OpDef = OpDef {
    name: "custom",
    class: Class::Custom,
    arity: Arity::AtLeast(1),
    attrs: &[
        AttrSpec::from("rule", AttrKind::Body, AttrSource::Block),
        AttrSpec::from("results", AttrKind::Int, AttrSource::Block),
        AttrSpec::from("wrt", AttrKind::Int, AttrSource::Block),
    ],
    notation: Notation::Call,
    infer: |attrs, operands| Custom::from_attrs(attrs).infer(operands),
    evaluate: Evaluate::Tensor(|attrs, operands, _| Custom::from_attrs(attrs).evaluate(operands)),
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
    /// The rule. Inputs: the operands it gives a cotangent, what it reads besides, the results, the cotangents of the
    /// results. Its own results: a cotangent for each of the first.
    pub rule: Body,
    /// How many values it is the rule of.
    pub results: usize,
    /// How many operands the rule gives a cotangent.
    pub wrt: usize,
}

impl Custom {
    /// The rule that an operator holds, if it holds one.
    pub fn of(op: &Op) -> Option<Custom> {
        op.is(&CUSTOM).then(|| Custom::from_attrs(&op.attrs))
    }

    fn from_attrs(attrs: &Attrs) -> Custom {
        Custom { rule: attrs.body("rule").clone(), results: attrs.int("results"), wrt: attrs.int("wrt") }
    }

    /// The operator.
    pub fn op(&self) -> Op {
        CUSTOM.with(Attrs::new([
            ("rule", Attr::from(self.rule.clone())),
            ("results", self.results.into()),
            ("wrt", self.wrt.into()),
        ]))
    }

    /// The name of the function that it is the rule of.
    pub fn name(&self) -> &str {
        self.rule.graph().name()
    }

    /// The operands that the rule gives a cotangent, among all operands.
    pub fn arguments<'v, V>(&self, operands: &'v [V]) -> &'v [V] {
        &operands[self.results..self.results + self.wrt]
    }

    /// The inputs of the rule that stand for the cotangents of the results.
    pub fn cotangents(&self) -> &[ValueId] {
        &self.rule.inputs()[self.rule.inputs().len() - self.results..]
    }

    /// The type of result `index`.
    pub fn result_type(&self, index: usize) -> &TensorType {
        self.rule.graph().ty(self.cotangents()[index])
    }

    /// Where the rule is not linear in the cotangents together: a value of the rule. A rule that is has a transpose, the
    /// derivative in forward mode.
    pub fn nonlinear(&self) -> Option<ValueId> {
        first_nonlinear(self.rule.graph(), self.cotangents())
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
        let graph = self.rule.graph();
        let fail = |message: String| Err(TypeError(message));
        let inputs = self.rule.inputs().len();
        let counts = self.results.checked_mul(2).zip(self.results.checked_add(self.wrt));
        let fits = counts.is_some_and(|(own, least)| {
            own <= inputs && inputs - own + self.results == operands.len() && least <= operands.len()
        });
        if !fits || self.results == 0 || self.rule.results().len() != self.wrt {
            return fail("the rule has another number of inputs or results".into());
        }
        let (values, rest) = operands.split_at(self.results);
        if let Some(value) = values.iter().find(|value| !value.dtype.is_float()) {
            return fail(format!("{value} has no derivative"));
        }
        let given = rest.iter().chain(values).chain(values);
        for (index, (&input, expected)) in self.rule.inputs().iter().zip(given).enumerate() {
            if graph.ty(input) != *expected {
                return fail(format!("input {index} of the rule is {}, not {expected}", graph.ty(input)));
            }
        }
        for (index, &operand) in rest.iter().enumerate().take(self.wrt) {
            let cotangent = self.rule.result_type(index);
            if operand != cotangent || !operand.dtype.is_float() {
                return fail(format!("cotangent {index} of the rule is {cotangent}, for {operand}"));
            }
        }
        result::packed_type(&self.result_types())
    }

    /// The types of all results.
    pub fn result_types(&self) -> Vec<TensorType> {
        (0..self.results).map(|index| self.result_type(index).clone()).collect()
    }

    fn evaluate(&self, operands: &[&Tensor]) -> Vec<f64> {
        let mut packed = result::packed_zeros(&self.result_types());
        let values = operands.iter().take(self.results).enumerate();
        values.for_each(|(index, value)| result::write(&mut packed, index, 0, value));
        packed
    }
}

/// What is made of values that have a rule of their own: see [`Graph::replacing_rules`].
pub type Replace<'r> = dyn FnMut(&mut Graph, &Custom, &[ValueId]) -> Vec<ValueId> + 'r;

impl Graph {
    /// The first of `operands`, as many as the rule has results, with a derivative rule of their own: packed, see
    /// [`Graph::result_of`].
    pub fn custom(&mut self, custom: &Custom, operands: &[ValueId]) -> ValueId {
        self.emit(custom.op(), operands)
    }

    /// The rule that values have, if this is some of them packed.
    pub fn as_custom(&self, value: ValueId) -> Option<Custom> {
        self.op(value).and_then(Custom::of)
    }

    /// The operands of a value that its derivative may flow to.
    pub fn differentiable_operands(&self, value: ValueId) -> &[ValueId] {
        let operands = self.operands(value);
        self.as_custom(value).map_or(operands, |custom| custom.arguments(operands))
    }

    /// An equal graph without rules of the program's, whose derivative they no longer say; in the bodies of loops too.
    pub fn without_rules(&self) -> Graph {
        self.replacing_rules(&mut |_, custom, operands| operands[..custom.results].to_vec()).0
    }

    /// A graph with what `replace` makes of the values that have a rule of their own, in the bodies of loops too. It is
    /// given the graph to write to, the rule and the operands there, and gives a value for each of the results. With the
    /// new number of each value; packed values with a rule have none, and share that of another.
    pub fn replacing_rules(
        &self,
        replace: &mut Replace<'_>,
    ) -> (Graph, Vec<ValueId>) {
        if !self.has_rules() {
            return (self.clone(), self.values().collect());
        }
        let mut graph = self.emptied();
        let mut renumbered: Vec<ValueId> = Vec::with_capacity(self.len());
        let mut replaced: FxHashMap<ValueId, Vec<ValueId>> = FxHashMap::default();
        for value in self.values() {
            let operands: Vec<ValueId> =
                self.operands(value).iter().map(|operand| renumbered[operand.index()]).collect();
            graph.set_origin(self.node(value).origin);
            let result = self.as_result(value).and_then(|(packed, index)| Some(replaced.get(&packed)?[index]));
            let new = if let Some(new) = result {
                if let (Some(name), None) = (self.value_name(value), graph.value_name(new)) {
                    graph.set_value_name(new, name.clone());
                    graph.set_value_scope(new, self.node(value).origin.scope);
                }
                new
            } else if let Some(custom) = self.as_custom(value) {
                let all = replace(&mut graph, &custom, &operands);
                let first = all[0];
                replaced.insert(value, all);
                first
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

    /// Whether there are values with a rule of their own, in the bodies of loops too.
    pub fn has_rules(&self) -> bool {
        self.values().filter_map(|value| self.op(value)).any(|op| {
            op.is(&CUSTOM) || Scan::of(op).is_some_and(|scan| scan.body.graph().has_rules())
        })
    }
}
