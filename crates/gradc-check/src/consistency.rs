//! Identities that hold for a gradient as a whole.

use std::collections::BTreeMap;

use gradc::autodiff::Rules;
use gradc::ir::{DType, Graph, Role, Tensor, ValueId};
use gradc::pipeline::{Unobserved, lower_by};
use gradc::{Error, Goal};

use crate::custom;
use crate::difference::{Slope, compare, compare_beyond, jumps, relative_error};
use crate::evaluate::{Bindings, Compiled, interpreted, values};
use crate::finding::Finding;
use crate::options::Options;
use crate::point::Random;
use crate::report::{IdentityReport, Verdict};
use crate::rounding;
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

/// Forward mode against reverse mode, optimised against unoptimised, machine code against the interpreter. The derivatives of
/// what is `undefined` at the point are not compared.
pub(crate) fn identities(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    gradient: &Gradient,
    loss: f64,
    undefined: &[ValueId],
    options: &Options,
) -> Result<Vec<IdentityReport>, Error> {
    let compile = gradc::Options { float: None, ..options.compile.clone() };
    let lowered = gradient.optimised(rules, subject, &compile)?;
    let mut machine = Compiled::new(lowered.clone(), subject, &compile, point)?;
    machine.run()?;
    let optimised = gradients(&lowered, &machine);
    let plain_reference = by_name(interpreted(&gradient.graph, subject, point)?);
    let optimised_reference = by_name(interpreted(&lowered, subject, point)?);
    let (plain, better) = ((&gradient.graph, &plain_reference), (&lowered, &optimised_reference));
    let in_code = |numbers, exact| same("machine code against the interpreter", loss, numbers, exact, point);
    let (plain_in_code, optimised_in_code) = (in_code(&gradient.compiled, plain), in_code(&optimised, better));
    let in_code = if optimised_in_code.error > plain_in_code.error { optimised_in_code } else { plain_in_code };
    Ok(vec![
        dot_test(rules, subject, point, options, undefined)?,
        same("optimised against unoptimised gradient", loss, &optimised_reference, plain, point),
        in_code,
    ])
}

fn by_name(results: Vec<(Role, String, Vec<f64>)>) -> BTreeMap<String, Vec<f64>> {
    results.into_iter().filter(|(role, ..)| *role == Role::Gradient).map(|(_, name, numbers)| (name, numbers)).collect()
}

/// Whether two gradients are the same, to rounding; `expected` are the numbers that a graph gives at a point.
fn same(
    name: &'static str,
    loss: f64,
    found: &BTreeMap<String, Vec<f64>>,
    (graph, expected): (&Graph, &BTreeMap<String, Vec<f64>>),
    point: &Bindings,
) -> IdentityReport {
    let magnitude = |numbers: &[f64]| numbers.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    let largest = expected.values().map(|numbers| magnitude(numbers)).fold(loss.abs(), f64::max);
    let noise = ULPS * f64::EPSILON * largest;
    let (mut error, mut of) = (0.0f64, None);
    for (name, expected) in expected {
        let found = found.get(name).map_or(&[][..], Vec::as_slice);
        let mut worst = largest_error(found, expected, noise);
        if worst > EXACT {
            let value = graph.outputs_of(Role::Gradient).find(|output| *output.name == **name);
            let rounding = value.map_or(0.0, |output| rounding::noise(graph, point, &[output.value])[0]);
            worst = largest_error(found, expected, noise.max(rounding));
        }
        if worst > error {
            (error, of) = (worst, Some(name.clone()));
        }
    }
    IdentityReport { name, error, tolerance: EXACT, verdict: verdict(error, EXACT), of }
}

fn verdict(error: f64, tolerance: f64) -> Verdict {
    if error <= tolerance { Verdict::Ok } else { Verdict::Fail }
}

/// `⟨J v, w⟩ = ⟨v, Jᵀ w⟩` for the Jacobian of all results but those that are undefined by all targets, random `v` and `w`.
fn dot_test(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    options: &Options,
    undefined: &[ValueId],
) -> Result<IdentityReport, Error> {
    let leaves = subject.leaves();
    let results: Vec<ValueId> = subject.results.iter().copied().filter(|value| !undefined.contains(value)).collect();
    let mut random = Random::new(options.seed, "dot test");
    let draw = |values: &[ValueId], random: &mut Random| -> Vec<Tensor> {
        values.iter().map(|&value| random.tensor(subject.graph.ty(value))).collect()
    };
    let (along, weights) = (draw(&leaves, &mut random), draw(&results, &mut random));
    let forward = rules.jvp(&subject.graph, &leaves, &results);
    let forward_point = with(&forward.graph, point, &forward.inputs, &along);
    let tangents = compiled_values(&forward.graph, subject, &forward_point, &forward.tangents)?;
    let reverse = rules.vjp(&subject.graph, &results, &leaves);
    let reverse_point = with(&reverse.graph, point, &reverse.inputs, &weights);
    let cotangents = compiled_values(&reverse.graph, subject, &reverse_point, &reverse.cotangents)?;
    let (onward, backward) = (inner(&tangents, &weights), inner(&cotangents, &along));
    let error_above =
        |noise| relative_error(onward.value, backward.value, onward.scale.max(backward.scale), noise, EXACT);
    let mut error = error_above(0.0);
    if error > EXACT {
        // Terms may have cancelled within the Jacobian.
        let onward = rounding_of(&forward.graph, &forward_point, &forward.tangents, &weights);
        let backward = rounding_of(&reverse.graph, &reverse_point, &reverse.cotangents, &along);
        error = error_above(onward + backward);
    }
    let name = "forward mode against reverse mode";
    // A rule that is not linear has no transpose.
    let verdict = match custom::is_nonlinear(&subject.graph, &leaves, &results) {
        true => Verdict::Skipped,
        false => verdict(error, EXACT),
    };
    Ok(IdentityReport { name, error, tolerance: EXACT, verdict, of: None })
}

/// How much of the inner product of derivatives and directions is rounding.
fn rounding_of(graph: &Graph, point: &Bindings, derivatives: &[Option<ValueId>], along: &[Tensor]) -> f64 {
    let (graph, sum, point) = weighted_sum(graph, point, derivatives, along);
    rounding::noise(&graph, &point, &[sum])[0]
}

/// The inner product of derivatives, where they are not absent, and directions as a value of a graph, with what that is to be
/// evaluated at.
fn weighted_sum(
    graph: &Graph,
    point: &Bindings,
    derivatives: &[Option<ValueId>],
    along: &[Tensor],
) -> (Graph, ValueId, Bindings) {
    let (mut graph, mut point) = (graph.clone(), point.clone());
    let mut sum = graph.scalar(0.0, DType::F64);
    for (number, (derivative, weights)) in derivatives.iter().zip(along).enumerate() {
        let Some(derivative) = *derivative else { continue };
        // Two leaves may have the same derivative.
        let name = format!("weights {number}");
        let leaf = graph.input(name.as_str(), weights.ty().clone());
        point.push((name, weights.clone()));
        let products = graph.mul(leaf, derivative);
        let axes: Vec<usize> = (0..weights.ty().shape.rank()).collect();
        let term = graph.reduce_sum(products, &axes);
        sum = graph.add(sum, term);
    }
    (graph, sum, point)
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
    let error_above = |noise| relative_error(uhv.value, vhu.value, uhv.scale.max(vhu.scale), noise, EXACT);
    let mut error = error_above(0.0);
    if error > EXACT {
        let noise = |along: &[Tensor], onto: &[Tensor]| {
            rounding_of(&second.graph, &with(&second.graph, point, &second.inputs, along), &second.tangents, onto)
        };
        error = error_above(noise(&v, &u) + noise(&u, &v));
    }
    let symmetric = IdentityReport {
        name: "Hessian-vector products are symmetric",
        error,
        tolerance: EXACT,
        verdict: verdict(error, EXACT),
        of: None,
    };

    let (held, held_point) = subject.held_still(point);
    let first = rules.gradient(&held.graph, held.loss, &held.leaves());
    let (mut graph, sum, weighted) = weighted_sum(&first.graph, &held_point, &first.cotangents, &u);
    graph.retain_outputs(|_| false);
    graph.add_output(Role::Loss, "loss", sum);
    let mut machine = Compiled::plainly(graph.clone(), &held, &weighted)?;
    let mut moved = |t: f64| {
        for (&leaf, along) in leaves.iter().zip(&v) {
            let Some(name) = subject.graph.value_name(leaf) else { continue };
            let Some((_, at)) = point.iter().find(|(own, _)| **own == **name) else { continue };
            machine.set(name, at.data().iter().zip(along.data()).map(|(x, v)| x + t * v));
        }
        machine.loss()
    };
    let mut comparison = compare(&mut moved, uhv, options.step, options.tolerance)?;
    if comparison.verdict == Verdict::Fail {
        let rounding = rounding::noise(&graph, &weighted, &[sum])[0];
        comparison = compare_beyond(&mut moved, uhv, options.step, options.tolerance, rounding)?;
    }
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
    let numbers = |i: usize| (found[i].as_deref().unwrap_or(&[]), expected[i].data());
    let wrong = first_beyond_rounding(graph, point, &applied, numbers);
    Ok(wrong.and_then(|(value, error)| {
        let (operator, span) = (graph.op(value)?.def.name, graph.node(value).origin.span);
        Some(Finding::WrongCode { operator, span, error })
    }))
}

/// The first of some values of a graph of which there are two versions that differ by more than rounding, and by how much.
fn first_beyond_rounding<'n>(
    graph: &Graph,
    point: &Bindings,
    all: &[ValueId],
    numbers: impl Fn(usize) -> (&'n [f64], &'n [f64]),
) -> Option<(ValueId, f64)> {
    let error = |i: usize, noise: f64| {
        let (found, expected) = numbers(i);
        largest_error(found, expected, noise)
    };
    let differ: Vec<usize> = (0..all.len()).filter(|&i| error(i, 0.0) > EXACT).collect();
    if differ.is_empty() {
        return None;
    }
    let is_float = |i: &usize| graph.dtype(all[*i]).is_float();
    let floats: Vec<ValueId> = differ.iter().filter(|i| is_float(i)).map(|&i| all[i]).collect();
    let mut noise = rounding::noise(graph, point, &floats).into_iter();
    let beyond = |i: usize| {
        let noise = if is_float(&i) { noise.next().unwrap_or(0.0) } else { 0.0 };
        Some((all[i], error(i, noise))).filter(|(_, error)| *error > EXACT)
    };
    differ.into_iter().find_map(beyond)
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
    first_beyond_rounding(plain, point, &first, |i| (found[i].data(), expected[i].data()))
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
