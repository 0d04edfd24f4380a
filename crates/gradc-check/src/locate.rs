//! Which operator it is: each on its own, at the values that it has in the model.

use gradc::autodiff::Rules;
use gradc::ir::{Derivative, Graph, Op, Tensor, ValueId};

use crate::difference::{Slope, compare};
use crate::evaluate::{Bindings, values};
use crate::finding::{Finding, Rule};
use crate::options::Options;
use crate::point::Random;
use crate::report::Verdict;
use crate::steps::steps;
use crate::subject::Subject;

/// The application closest to the loss whose rule disagrees with finite differences of the operator alone.
pub(crate) fn wrong_rule(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    options: &Options,
    rule: Rule,
) -> Option<Finding> {
    let between = between(subject);
    wrong_rule_in(rules, &subject.graph, &|value| between[value.index()], point, options, rule)
}

/// The last application of a graph, of those that count, whose rule is wrong; those of a loop in its body, in some of its
/// steps.
fn wrong_rule_in(
    rules: &Rules<'_>,
    graph: &Graph,
    counts: &dyn Fn(ValueId) -> bool,
    point: &Bindings,
    options: &Options,
    rule: Rule,
) -> Option<Finding> {
    // Operands are computed for many values at once, but not all kept.
    const AT_ONCE: usize = 128;
    let counted: Vec<ValueId> = graph.values().rev().filter(|&value| counts(value)).collect();
    counted.chunks(AT_ONCE).find_map(|some| {
        let operands: Vec<ValueId> = some.iter().flat_map(|&value| graph.operands(value)).copied().collect();
        let mut operands = values(graph, point, &operands).into_iter();
        some.iter().find_map(|&value| {
            let tensors: Vec<Tensor> = operands.by_ref().take(graph.operands(value).len()).collect();
            if graph.as_scan(value).is_some() {
                let mut steps = steps(graph, point, value).into_iter().rev();
                return steps.find_map(|(body, point)| wrong_rule_in(rules, &body, &|_| true, &point, options, rule));
            }
            if !differentiable(graph, value) {
                return None;
            }
            let op = graph.op(value)?;
            let mut random = Random::new(options.seed, &format!("operator {}", value.index()));
            let alone = Alone::new(op, tensors, &mut random)?;
            let operands = alone.disagreement(rules, rule, options, &mut random)?;
            Some(Finding::WrongRule { operator: op.def.name, span: graph.node(value).origin.span, rule, operands })
        })
    })
}

/// For each value, whether the loss depends on one of the targets by way of it.
pub(crate) fn between(subject: &Subject) -> Vec<bool> {
    let after = subject.graph.descendants(subject.leaves());
    let before = subject.graph.ancestors(subject.results.iter().copied());
    subject.graph.values().map(|value| after[value.index()] && before[value.index()]).collect()
}

/// Whether an operator is meant to have a derivative here: not where a `stop_gradient` or a comparison is.
fn differentiable(graph: &Graph, value: ValueId) -> bool {
    let has_rules = graph.op(value).is_some_and(|op| matches!(op.def.derivative, Derivative::Rules { .. }));
    has_rules && graph.dtype(value).is_float()
}

/// One application of an operator as a graph of its own, with random weights for the elements of its result.
struct Alone {
    graph: Graph,
    op: Op,
    /// The leaves for the operands, and what they hold.
    operands: Vec<(ValueId, Tensor)>,
    result: ValueId,
    weights: Tensor,
}

impl Alone {
    fn new(op: &Op, tensors: Vec<Tensor>, random: &mut Random) -> Option<Alone> {
        let mut graph = Graph::new(op.def.name);
        let mut operands = Vec::with_capacity(tensors.len());
        for (number, tensor) in tensors.into_iter().enumerate() {
            operands.push((graph.input(format!("x{number}"), tensor.ty().clone()), tensor));
        }
        let leaves: Vec<ValueId> = operands.iter().map(|(leaf, _)| *leaf).collect();
        let result = graph.apply(op.clone(), &leaves).ok()?;
        // Where the operator gives no number there is none to compare with.
        let at: Vec<&Tensor> = operands.iter().map(|(_, tensor)| tensor).collect();
        let here = op.evaluate(&at).ok()?;
        let drawn = random.tensor(graph.ty(result));
        let is_defined = here.data().iter().map(|x| x.is_finite());
        let weights = is_defined.zip(drawn.data()).map(|(defined, &weight)| if defined { weight } else { 0.0 });
        let weights = Tensor::new(drawn.ty().clone(), weights.collect());
        Some(Alone { graph, op: op.clone(), operands, result, weights })
    }

    /// The float operands, by which it is differentiated.
    fn floats(&self) -> Vec<usize> {
        (0..self.operands.len()).filter(|&i| self.operands[i].1.ty().dtype.is_float()).collect()
    }

    /// The operands by which the rule is wrong.
    fn disagreement(
        &self,
        rules: &Rules<'_>,
        rule: Rule,
        options: &Options,
        random: &mut Random,
    ) -> Option<Vec<usize>> {
        let floats = self.floats();
        let together = (floats.len() > 1).then(|| floats.clone());
        let mut moves: Vec<(Vec<usize>, Vec<Tensor>)> = Vec::new();
        for moved in floats.iter().map(|&i| vec![i]).chain(together) {
            let random = moved.iter().map(|&i| random.tensor(self.operands[i].1.ty())).collect();
            moves.push((moved.clone(), random));
            // All elements alike, so that those that are equal stay equal.
            let alike = moved.iter().map(|&i| Tensor::from_fn(self.operands[i].1.ty().clone(), |_| 1.0)).collect();
            moves.push((moved, alike));
        }
        let wrong = moves.into_iter().find(|(moved, along)| {
            let verdict = match rule {
                Rule::Reverse | Rule::Forward => self.first_order(rules, rule, moved, along, options),
                Rule::Second => self.second_order(rules, moved, along, options),
            };
            verdict == Verdict::Fail
        });
        wrong.map(|(moved, _)| moved)
    }

    fn first_order(
        &self,
        rules: &Rules<'_>,
        rule: Rule,
        moved: &[usize],
        along: &[Tensor],
        options: &Options,
    ) -> Verdict {
        let leaves: Vec<ValueId> = moved.iter().map(|&i| self.operands[i].0).collect();
        let claimed = match rule {
            Rule::Forward => {
                let tangents = rules.jvp(&self.graph, &leaves, &[self.result]);
                let point = self.point(&tangents.graph, &tangents.inputs, along);
                let tangent = tangents.tangents[0].map(|tangent| values(&tangents.graph, &point, &[tangent]));
                tangent.map_or(Slope::default(), |tangent| self.weighted(&tangent[0]))
            }
            _ => {
                let pullback = rules.vjp(&self.graph, &[self.result], &leaves);
                let point = self.point(&pullback.graph, &pullback.inputs, std::slice::from_ref(&self.weights));
                slope(&pullback.graph, &point, &pullback.cotangents, along)
            }
        };
        if !claimed.value.is_finite() {
            // At a pole there is nothing to compare with: what is not finite in the model is looked for elsewhere.
            return Verdict::Ok;
        }
        let mut loss = |t: f64| {
            let displaced = self.displaced(moved, along, t);
            let operands: Vec<&Tensor> = displaced.iter().collect();
            self.op.evaluate(&operands).map(|result| self.weighted(&result).value)
        };
        match compare(&mut loss, claimed, options.step, options.tolerance) {
            // As close to where it is not defined as any step.
            Ok(comparison) if comparison.error.is_infinite() => Verdict::Ok,
            Ok(comparison) => comparison.verdict,
            Err(_) => Verdict::Ok,
        }
    }

    /// The inner product of results, or of their tangents, and the weights, where these are not zero.
    fn weighted(&self, result: &Tensor) -> Slope {
        let weighted = result.data().iter().zip(self.weights.data()).filter(|(_, weight)| **weight != 0.0);
        let (numbers, weights): (Vec<f64>, Vec<f64>) = weighted.unzip();
        Slope::of(&numbers, &weights)
    }

    /// The derivative of `⟨u, vjp(w)⟩` by the operands, for random `u`.
    fn second_order(&self, rules: &Rules<'_>, moved: &[usize], along: &[Tensor], options: &Options) -> Verdict {
        let floats: Vec<ValueId> = self.floats().into_iter().map(|i| self.operands[i].0).collect();
        let first = rules.vjp(&self.graph, &[self.result], &floats);
        let mut graph = first.graph;
        let mut point = self.point(&graph, &first.inputs, std::slice::from_ref(&self.weights));
        let mut random = Random::new(options.seed, "second order");
        let mut sum: Option<ValueId> = None;
        // Operands may receive the same cotangent.
        for (number, cotangent) in first.cotangents.into_iter().flatten().enumerate() {
            let name = format!("weights {number}");
            let ty = graph.ty(cotangent).clone();
            let weights = graph.input(name.as_str(), ty.clone());
            point.push((name, random.tensor(&ty)));
            let products = graph.mul(weights, cotangent);
            let axes: Vec<usize> = (0..ty.shape.rank()).collect();
            let term = graph.reduce_sum(products, &axes);
            sum = Some(sum.map_or(term, |sum| graph.add(sum, term)));
        }
        let Some(sum) = sum else { return Verdict::Ok };
        let leaves: Vec<ValueId> = moved.iter().map(|&i| self.operands[i].0).collect();
        let second = rules.gradient(&graph, sum, &leaves);
        let claimed = slope(&second.graph, &point, &second.cotangents, along);
        if !claimed.value.is_finite() {
            return Verdict::Ok;
        }
        let mut loss = |t: f64| -> Result<f64, std::convert::Infallible> {
            let mut point = point.clone();
            for (i, tensor) in self.displaced(moved, along, t).into_iter().enumerate() {
                point[i].1 = tensor;
            }
            Ok(values(&graph, &point, &[sum])[0].data().iter().sum())
        };
        match compare(&mut loss, claimed, options.step, options.tolerance) {
            Ok(comparison) if comparison.error.is_infinite() => Verdict::Ok,
            Ok(comparison) => comparison.verdict,
        }
    }

    /// What the leaves hold, those of the operands first, in order.
    fn point(&self, graph: &Graph, more: &[ValueId], tensors: &[Tensor]) -> Bindings {
        let own = self.operands.iter().map(|(leaf, tensor)| (*leaf, tensor));
        let all = own.chain(more.iter().copied().zip(tensors));
        all.filter_map(|(leaf, tensor)| Some((graph.value_name(leaf)?.to_string(), tensor.clone()))).collect()
    }

    /// The operands, where some have moved.
    fn displaced(&self, moved: &[usize], along: &[Tensor], t: f64) -> Vec<Tensor> {
        let mut tensors: Vec<Tensor> = self.operands.iter().map(|(_, tensor)| tensor.clone()).collect();
        for (&i, direction) in moved.iter().zip(along) {
            tensors[i] = displaced(&tensors[i], direction.data(), t);
        }
        tensors
    }
}

/// The inner product of the cotangents and a direction.
fn slope(graph: &Graph, point: &Bindings, cotangents: &[Option<ValueId>], along: &[Tensor]) -> Slope {
    let parts = cotangents.iter().zip(along).filter_map(|(cotangent, along)| Some((cotangent.as_ref()?, along)));
    let slope = |(cotangent, along): (&ValueId, &Tensor)| {
        Slope::of(values(graph, point, &[*cotangent])[0].data(), along.data())
    };
    parts.map(slope).fold(Slope::default(), Slope::plus)
}

/// A tensor moved by `t` along a direction.
pub(crate) fn displaced(tensor: &Tensor, direction: &[f64], t: f64) -> Tensor {
    let moved = tensor.data().iter().zip(direction).map(|(x, v)| x + t * v);
    Tensor::new(tensor.ty().clone(), moved.collect())
}
