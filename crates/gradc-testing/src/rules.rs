//! Derivative rules around values of a random graph.

use std::sync::Arc;

use gradc_ir::op::custom::Custom;
use gradc_ir::{Body, Derivative, Graph, ValueId, Vjp};

use crate::grow::Garden;
use crate::interval::Facts;

/// The most values that one rule is the rule of.
const MOST: usize = 3;

impl Garden {
    /// Gives some values one derivative rule of their own, which says what the rules of their operators say; or gives up.
    /// Nothing reads some of the results, which then have no cotangent.
    pub(crate) fn grow_rule(&mut self) -> Option<ValueId> {
        let mut values: Vec<ValueId> = Vec::new();
        for _ in 0..1 + self.random.below(MOST) {
            let value = self.find(|garden, value| garden.is_differentiable(value))?;
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let (custom, operands) = Rule::of(&self.graph, &values).finish(values.len())?;
        let operands: Vec<ValueId> = values.iter().copied().chain(operands).collect();
        let packed = self.graph.custom(&custom, &operands);
        self.note_new_values(Some(Facts::exact(0.0, 0.0)));
        let always = self.random.below(values.len());
        for (index, &value) in values.iter().enumerate() {
            if index == always || self.random.chance(0.7) {
                self.graph.result_of(packed, index);
                self.note_new_values(Some(self.facts(value)));
            }
        }
        Some(self.graph.result_of(packed, always))
    }

    fn is_differentiable(&self, value: ValueId) -> bool {
        let op = self.graph.op(value).filter(|_| self.graph.dtype(value) == self.float);
        op.is_some_and(|op| matches!(op.def.derivative, Derivative::Rules { .. }))
    }
}

/// A rule under construction.
struct Rule {
    graph: Graph,
    /// For each operand of the values: what it is outside, the input that it is here, and the cotangent that it receives.
    operands: Vec<(ValueId, ValueId, Option<ValueId>)>,
    /// The values, computed here once more, and their cotangents.
    results: Vec<ValueId>,
    cotangents: Vec<ValueId>,
}

impl Rule {
    /// The rule of some values of `outside`, each of which an operator with rules gives.
    fn of(outside: &Graph, values: &[ValueId]) -> Rule {
        let graph = Graph::new("rule");
        let mut rule = Rule { graph, operands: Vec::new(), results: Vec::new(), cotangents: Vec::new() };
        for &value in values {
            let Some((op, Derivative::Rules { vjp, .. })) = outside.op(value).map(|op| (op, op.def.derivative)) else {
                unreachable!("only values that are differentiable are given rules")
            };
            let numbers: Vec<usize> = outside.operands(value).iter().map(|&x| rule.operand(outside, x)).collect();
            let inside: Vec<ValueId> = numbers.iter().map(|&number| rule.operands[number].1).collect();
            let result = rule.graph.emit(op.clone(), &inside);
            let cotangent = rule.graph.input(format!("g{}", value.index()), outside.ty(value).clone());
            let wanted: Vec<bool> = inside.iter().map(|&input| rule.graph.dtype(input).is_float()).collect();
            let mut own = Vjp::new(&mut rule.graph, result, cotangent, &wanted);
            vjp(&mut own);
            for (number, found) in numbers.into_iter().zip(own.finish()) {
                let received = &mut rule.operands[number].2;
                *received = match (*received, found) {
                    (Some(sum), Some(part)) => Some(rule.graph.add(sum, part)),
                    (sum, part) => sum.or(part),
                };
            }
            rule.results.push(result);
            rule.cotangents.push(cotangent);
        }
        rule
    }

    /// The number of an operand, known or new.
    fn operand(&mut self, outside: &Graph, value: ValueId) -> usize {
        if let Some(known) = self.operands.iter().position(|&(known, ..)| known == value) {
            return known;
        }
        let input = self.graph.input(format!("x{}", value.index()), outside.ty(value).clone());
        self.operands.push((value, input, None));
        self.operands.len() - 1
    }

    /// The rule of so many values, and its operands; none if nothing receives anything.
    fn finish(mut self, results: usize) -> Option<(Custom, Vec<ValueId>)> {
        // Those that receive something come first.
        self.operands.sort_by_key(|(_, _, received)| received.is_none());
        let given: Vec<(Arc<str>, ValueId)> = (0..)
            .zip(&self.operands)
            .filter_map(|(number, (_, _, received))| Some((format!("d{number}").into(), (*received)?)))
            .collect();
        if given.is_empty() {
            return None;
        }
        let inputs = self.operands.iter().map(|&(_, inside, _)| inside);
        let inputs: Vec<ValueId> = inputs.chain(self.results).chain(self.cotangents).collect();
        let body = Body::new(&self.graph.part(&inputs, &given));
        let rule = body.unwrap_or_else(|error| panic!("the rule is a function: {error}"));
        let operands = self.operands.iter().map(|&(outside, ..)| outside).collect();
        Some((Custom { rule, results, wrt: given.len() }, operands))
    }
}
