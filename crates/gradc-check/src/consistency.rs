//! Identities that hold for a gradient as a whole.

use std::collections::BTreeMap;

use gradc::autodiff::Rules;
use gradc::ir::{DType, Graph, Role, Tensor, ValueId};
use gradc::pipeline::{Unobserved, lower_by};
use gradc::{Error, Goal};

use crate::custom;
use crate::difference::{Slope, compare, jumps, relative_error};
use crate::evaluate::{Bindings, Compiled, interpreted, values};
use crate::finding::Finding;
use crate::options::Options;
use crate::point::Random;
use crate::report::{IdentityReport, Verdict};
use crate::subject::Subject;

/// What two exact ways to compute one number may differ by, relative to its terms: rounding.
const EXACT: f64 = 1e-9;

/// Ulps of the loss and of the largest gradient that any gradient may be wrong by: it may be a difference of larger
/// numbers, and what of a saturated slope is left after rounding depends on how it is written.
const ULPS: f64 = 512.0;

/// The gradient as the rules wrote it.
pub(crate) struct Gradient {
    /// The subject's graph with its gradient: a result for each target that it is not absent for, named after the leaf.
    graph: Graph,
    /// The numbers by machine code that nothing was optimised in.
    compiled: BTreeMap<String, Vec<f64>>,
}

impl Gradient {
    pub(crate) fn new(rules: &Rules<'_>, subject: &Subject, point: &Bindings) -> Result<Gradient, Error> {
        let leaves = subject.leaves();
        let found = rules.gradient(&subject.graph, subject.loss, &leaves);
        let mut graph = found.graph;
        for (leaf, cotangent) in leaves.iter().zip(found.cotangents) {
            if let (Some(name), Some(cotangent)) = (subject.graph.value_name(*leaf), cotangent) {
                graph.add_output(Role::Gradient, name.clone(), cotangent);
            }
        }
        let mut machine = Compiled::plainly(graph.clone(), subject, point)?;
        machine.run()?;
        let compiled = gradients(&graph, &machine);
        Ok(Gradient { graph, compiled })
    }

    /// The derivative of the loss by a leaf; `None` where it is absent.
    pub(crate) fn by(&self, leaf: &str) -> Option<&[f64]> {
        self.compiled.get(leaf).map(Vec::as_slice)
    }

    /// The graph that the pipeline makes of it.
    fn optimised(&self, rules: &Rules<'_>, subject: &Subject, compile: &gradc::Options) -> Result<Graph, Error> {
        let goal = Goal::Gradient { wrt: self.compiled.keys().cloned().collect() };
        let mut lowered = lower_by(rules, &subject.graph, &goal, compile, &mut Unobserved)?;
        lowered.retain_outputs(|output| matches!(output.role, Role::Loss | Role::Gradient));
        Ok(lowered)
    }

    pub(crate) fn is_finite(&self) -> bool {
        self.compiled.values().flatten().all(|x| x.is_finite())
    }
}

/// The gradients that a machine has computed, by name.
fn gradients(graph: &Graph, machine: &Compiled) -> BTreeMap<String, Vec<f64>> {
    let names = graph.outputs_of(Role::Gradient).map(|output| output.name.to_string());
    names.filter_map(|name| machine.result(Role::Gradient, &name).map(|numbers| (name, numbers))).collect()
}

/// Forward mode against reverse mode, optimised against unoptimised, machine code against the interpreter.
pub(crate) fn identities(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    gradient: &Gradient,
    loss: f64,
    options: &Options,
) -> Result<Vec<IdentityReport>, Error> {
    let compile = gradc::Options { float: None, ..options.compile.clone() };
    let lowered = gradient.optimised(rules, subject, &compile)?;
    let mut machine = Compiled::new(lowered.clone(), subject, &compile, point)?;
    machine.run()?;
    let optimised = gradients(&lowered, &machine);
    let plain_reference = by_name(interpreted(&gradient.graph, subject, point)?);
    let optimised_reference = by_name(interpreted(&lowered, subject, point)?);
    let in_code = [(&gradient.compiled, &plain_reference), (&optimised, &optimised_reference)];
    let in_code =
        in_code.map(|(machine, reference)| same("machine code against the interpreter", loss, machine, reference));
    let [plain, optimised_in_code] = in_code;
    let in_code = if optimised_in_code.error > plain.error { optimised_in_code } else { plain };
    Ok(vec![
        dot_test(rules, subject, point, options)?,
        same("optimised against unoptimised gradient", loss, &optimised_reference, &plain_reference),
        in_code,
    ])
}

fn by_name(results: Vec<(Role, String, Vec<f64>)>) -> BTreeMap<String, Vec<f64>> {
    results.into_iter().filter(|(role, ..)| *role == Role::Gradient).map(|(_, name, numbers)| (name, numbers)).collect()
}

/// Whether two gradients are the same, to rounding.
fn same(
    name: &'static str,
    loss: f64,
    found: &BTreeMap<String, Vec<f64>>,
    expected: &BTreeMap<String, Vec<f64>>,
) -> IdentityReport {
    let magnitude = |numbers: &[f64]| numbers.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let largest = expected.values().map(|numbers| magnitude(numbers)).fold(loss.abs(), f64::max);
    let noise = ULPS * f64::EPSILON * largest;
    let (mut error, mut of) = (0.0f64, None);
    for (name, expected) in expected {
        let worst = largest_error(found.get(name).map_or(&[][..], Vec::as_slice), expected, noise);
        if worst > error {
            (error, of) = (worst, Some(name.clone()));
        }
    }
    IdentityReport { name, error, tolerance: EXACT, verdict: verdict(error, EXACT), of }
}

fn verdict(error: f64, tolerance: f64) -> Verdict {
    if error <= tolerance { Verdict::Ok } else { Verdict::Fail }
}

/// `⟨J v, w⟩ = ⟨v, Jᵀ w⟩` for the Jacobian of all results by all targets, random `v` and `w`.
fn dot_test(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    options: &Options,
) -> Result<IdentityReport, Error> {
    let leaves = subject.leaves();
    let mut random = Random::new(options.seed, "dot test");
    let draw = |values: &[ValueId], random: &mut Random| -> Vec<Tensor> {
        values.iter().map(|&value| random.tensor(subject.graph.ty(value))).collect()
    };
    let (along, weights) = (draw(&leaves, &mut random), draw(&subject.results, &mut random));
    let forward = rules.jvp(&subject.graph, &leaves, &subject.results);
    let tangents = compiled_values(
        &forward.graph,
        subject,
        &with(&forward.graph, point, &forward.inputs, &along),
        &forward.tangents,
    )?;
    let reverse = rules.vjp(&subject.graph, &subject.results, &leaves);
    let cotangents = compiled_values(
        &reverse.graph,
        subject,
        &with(&reverse.graph, point, &reverse.inputs, &weights),
        &reverse.cotangents,
    )?;
    let (onward, backward) = (inner(&tangents, &weights), inner(&cotangents, &along));
    let error = relative_error(onward.value, backward.value, onward.scale.max(backward.scale), 0.0, EXACT);
    let name = "forward mode against reverse mode";
    // A rule that is not linear has no transpose.
    let verdict = match custom::is_nonlinear(&subject.graph, &leaves, &subject.results) {
        true => Verdict::Skipped,
        false => verdict(error, EXACT),
    };
    Ok(IdentityReport { name, error, tolerance: EXACT, verdict, of: None })
}

/// The inner product of derivatives, where they are not absent, and directions.
fn inner(derivatives: &[Option<Vec<f64>>], along: &[Tensor]) -> Slope {
    let parts = derivatives.iter().zip(along).filter_map(|(own, along)| Some(Slope::of(own.as_ref()?, along.data())));
    parts.fold(Slope::default(), Slope::plus)
}

/// The point, and what more inputs hold.
fn with(graph: &Graph, point: &Bindings, inputs: &[ValueId], tensors: &[Tensor]) -> Bindings {
    let more = inputs.iter().zip(tensors);
    let named = more.filter_map(|(input, tensor)| Some((graph.value_name(*input)?.to_string(), tensor.clone())));
    point.iter().cloned().chain(named).collect()
}

/// Values of a graph, by machine code that nothing was optimised in.
fn compiled_values(
    graph: &Graph,
    subject: &Subject,
    point: &Bindings,
    wanted: &[Option<ValueId>],
) -> Result<Vec<Option<Vec<f64>>>, Error> {
    let mut graph = graph.clone();
    graph.retain_outputs(|_| false);
    for (i, value) in wanted.iter().enumerate() {
        value.iter().for_each(|&value| graph.add_output(Role::Output, i.to_string(), value));
    }
    let mut machine = Compiled::plainly(graph, subject, point)?;
    machine.run()?;
    Ok((0..wanted.len()).map(|i| machine.result(Role::Output, &i.to_string())).collect())
}

/// Hessian-vector products: symmetric, and differences of the gradient.
pub(crate) fn second_order(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    options: &Options,
) -> Result<Vec<IdentityReport>, Error> {
    let leaves = subject.leaves();
    let mut random = Random::new(options.seed, "second order");
    let mut draw = || -> Vec<Tensor> { leaves.iter().map(|&leaf| random.tensor(subject.graph.ty(leaf))).collect() };
    let (u, v) = (draw(), draw());
    let second = rules.hvp(&subject.graph, subject.loss, &leaves);
    let times = |along: &[Tensor], onto: &[Tensor]| -> Result<Slope, Error> {
        let point = with(&second.graph, point, &second.inputs, along);
        Ok(inner(&compiled_values(&second.graph, subject, &point, &second.tangents)?, onto))
    };
    let (uhv, vhu) = (times(&v, &u)?, times(&u, &v)?);
    let error = relative_error(uhv.value, vhu.value, uhv.scale.max(vhu.scale), 0.0, EXACT);
    let symmetric = IdentityReport {
        name: "Hessian-vector products are symmetric",
        error,
        tolerance: EXACT,
        verdict: verdict(error, EXACT),
        of: None,
    };

    let (held, held_point) = subject.held_still(point);
    let first = rules.gradient(&held.graph, held.loss, &held.leaves());
    let mut graph = first.graph;
    let mut sum = graph.scalar(0.0, DType::F64);
    let mut weighted = held_point.clone();
    for (cotangent, weights) in first.cotangents.iter().zip(&u) {
        let Some(cotangent) = *cotangent else { continue };
        let name = format!("weights {}", cotangent.index());
        let leaf = graph.input(name.as_str(), weights.ty().clone());
        weighted.push((name, weights.clone()));
        let products = graph.mul(leaf, cotangent);
        let axes: Vec<usize> = (0..weights.ty().shape.rank()).collect();
        let term = graph.reduce_sum(products, &axes);
        sum = graph.add(sum, term);
    }
    graph.retain_outputs(|_| false);
    graph.add_output(Role::Loss, "loss", sum);
    let mut machine = Compiled::plainly(graph, &held, &weighted)?;
    let mut moved = |t: f64| {
        for (&leaf, along) in leaves.iter().zip(&v) {
            let Some(name) = subject.graph.value_name(leaf) else { continue };
            let Some((_, at)) = point.iter().find(|(own, _)| **own == **name) else { continue };
            machine.set(name, at.data().iter().zip(along.data()).map(|(x, v)| x + t * v));
        }
        machine.loss()
    };
    let mut comparison = compare(&mut moved, uhv, options.step, options.tolerance)?;
    if comparison.verdict == Verdict::Fail && jumps(&mut moved, options.step)? {
        comparison.verdict = Verdict::Kink;
    }
    let differences = IdentityReport {
        name: "Hessian-vector product against differences of the gradient",
        error: comparison.error,
        tolerance: options.tolerance,
        verdict: comparison.verdict,
        of: None,
    };
    Ok(vec![symmetric, differences])
}

/// The first operator of the model that machine code and interpreter disagree on, where every value is a result.
pub(crate) fn wrong_code(subject: &Subject, point: &Bindings) -> Result<Option<Finding>, Error> {
    let graph = &subject.graph;
    let live = graph.live();
    // What is packed is read through its results, which are values of their own.
    let is_applied = |value: ValueId| graph.op(value).is_some() && !graph.is_packed(value);
    let applied: Vec<ValueId> = graph.values().filter(|v| live[v.index()] && is_applied(*v)).collect();
    let wanted: Vec<Option<ValueId>> = applied.iter().copied().map(Some).collect();
    let found = compiled_values(graph, subject, point, &wanted)?;
    let expected = values(graph, point, &applied);
    let errors = found.iter().zip(&expected);
    let errors = errors.map(|(found, expected)| largest_error(found.as_deref().unwrap_or(&[]), expected.data(), 0.0));
    let wrong = applied.iter().zip(errors).find(|(_, error)| *error > EXACT);
    Ok(wrong.and_then(|(&value, error)| {
        let (operator, span) = (graph.op(value)?.def.name, graph.node(value).origin.span);
        Some(Finding::WrongCode { operator, span, error })
    }))
}

/// The first named value that optimisation has changed.
pub(crate) fn wrong_rewrite(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    gradient: &Gradient,
    options: &Options,
) -> Result<Option<Finding>, Error> {
    let compile = gradc::Options { float: None, ..options.compile.clone() };
    let optimised = gradient.optimised(rules, subject, &compile)?;
    Ok(first_difference(&gradient.graph, &optimised, point).and_then(|(value, error)| {
        let graph = &gradient.graph;
        let (operator, span) = (graph.op(value)?.def.name, graph.node(value).origin.span);
        Some(Finding::WrongRewrite { value: path_and_name(graph, value)?, operator, span, error })
    }))
}

/// The first value of `plain`, in its order, that `other` has another number for under the same path and name, and by how
/// much they differ.
fn first_difference(plain: &Graph, other: &Graph, point: &Bindings) -> Option<(ValueId, f64)> {
    let named = |graph: &Graph| -> BTreeMap<String, ValueId> {
        let live = graph.live();
        let computed = graph.values().filter(|v| live[v.index()] && graph.op(*v).is_some());
        computed.filter_map(|value| Some((path_and_name(graph, value)?, value))).collect()
    };
    let others = named(other);
    let both = named(plain).into_iter().filter_map(|(name, value)| Some((value, *others.get(&name)?)));
    let mut both: Vec<(ValueId, ValueId)> = both.filter(|(a, b)| plain.ty(*a) == other.ty(*b)).collect();
    both.sort_unstable();
    let (first, second): (Vec<ValueId>, Vec<ValueId>) = both.into_iter().unzip();
    let (expected, found) = (values(plain, point, &first), values(other, point, &second));
    let errors = found.iter().zip(&expected).map(|(found, expected)| largest_error(found.data(), expected.data(), 0.0));
    first.into_iter().zip(errors).find(|(_, error)| *error > EXACT)
}

/// A value's name under the path of its layer.
fn path_and_name(graph: &Graph, value: ValueId) -> Option<String> {
    let (name, path) = (graph.value_name(value)?, graph.scope_path(graph.node(value).origin.scope));
    Some(if path.is_empty() { name.to_string() } else { format!("{path}.{name}") })
}

/// The largest error of numbers relative to the greatest of them, where differences up to `noise` mean nothing; infinite
/// where one is NaN and the other not, or where there are not as many.
fn largest_error(found: &[f64], expected: &[f64], noise: f64) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let scale = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let error = |(a, b): (&f64, &f64)| match a.is_nan() || b.is_nan() {
        true if a.is_nan() && b.is_nan() => 0.0,
        true => f64::INFINITY,
        // Beside an infinite number, every other one is infinitely wrong.
        false if (a.is_infinite() || b.is_infinite()) && a != b => f64::INFINITY,
        false => relative_error(*a, *b, scale, noise, EXACT),
    };
    found.iter().zip(expected).map(error).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use gradc::ir::{DType, TensorType};

    use super::*;

    /// `log(1 + factor * x * x)`, with names for what it is computed from.
    fn graph(factor: f64) -> Graph {
        let mut graph = Graph::new("g");
        let x = graph.input("x", TensorType::new(DType::F64, [2]));
        let square = graph.mul(x, x);
        graph.set_value_name(square, "square");
        let slope = graph.scale(square, factor);
        graph.set_value_name(slope, "slope");
        let y = graph.log1p(slope);
        graph.set_value_name(y, "y");
        graph.add_output(Role::Output, "y", y);
        graph
    }

    #[test]
    fn the_first_value_that_differs_is_found() {
        let point = vec![("x".to_owned(), Tensor::new(TensorType::new(DType::F64, [2]), vec![0.5, 2.0]))];
        let plain = graph(2.0);
        assert_eq!(first_difference(&plain, &graph(2.0), &point), None);
        let (value, error) = first_difference(&plain, &graph(2.5), &point).expect("they differ");
        assert_eq!(plain.value_name(value).map(|name| &**name), Some("slope"));
        assert!((error - 0.2).abs() < 0.06, "{error}");
    }
}
