//! Where a model is not smooth, or not finite: the first operator in its order, in the bodies of loops too.

use gradc::autodiff::Rules;
use gradc::ir::{Graph, Tensor, ValueId};

use crate::evaluate::{Bindings, values};
use crate::finding::Finding;
use crate::locate::{between, displaced};
use crate::steps::{Steps, bound};
use crate::subject::Subject;

/// The share of a rise that is a kink's and not the curvature's of a smooth operator.
const KINKED: f64 = 1e-3;

/// What is moved: a target, along a direction, by so much to both sides.
pub(crate) struct Move<'a> {
    /// The number of the target.
    pub(crate) target: usize,
    pub(crate) direction: &'a [f64],
    pub(crate) step: f64,
}

/// The first operator on the way from a target to the loss that is not smooth where the target moves. `held` is a subject
/// without `stop_gradient`; `agrees` says whether the gradient is between the slopes of the two sides.
pub(crate) fn kink(held: &Subject, point: &Bindings, moved: &Move<'_>, agrees: bool) -> Option<Finding> {
    let (graph, target) = (&held.graph, &held.targets[moved.target]);
    let name = graph.value_name(target.leaf)?;
    let after = graph.descendants([target.leaf]);
    let before = graph.ancestors([held.loss]);
    let at = |t: f64| -> Bindings {
        let moved = point.iter().map(|(own, tensor)| match **own == **name {
            true => (own.clone(), displaced(tensor, moved.direction, t)),
            false => (own.clone(), tensor.clone()),
        });
        moved.collect()
    };
    let points = [at(-moved.step), at(0.0), at(moved.step)];
    let on_way = |value: ValueId| after[value.index()] && before[value.index()];
    let place = kinked(graph, &points, &on_way, moved.step)?;
    let Place { operator, span, elements, of } = place;
    Some(Finding::Kink { target: target.name.clone(), operator, span, elements, of, agrees })
}

/// An operator that is not smooth, and in how many of its elements.
struct Place {
    operator: &'static str,
    span: Option<gradc::diagnostics::Span>,
    elements: usize,
    of: usize,
}

/// The first operator of those that count that rises unevenly between three points.
fn kinked(graph: &Graph, points: &[Bindings; 3], counts: &dyn Fn(ValueId) -> bool, step: f64) -> Option<Place> {
    let floats: Vec<ValueId> = graph.values().filter(|&value| counts(value) && graph.dtype(value).is_float()).collect();
    let [below, here, above] = points.each_ref().map(|point| values(graph, point, &floats));
    floats.iter().enumerate().find_map(|(i, &value)| {
        let op = graph.op(value)?;
        let elements = below[i].data().iter().zip(here[i].data()).zip(above[i].data());
        let count = elements.filter(|((below, here), above)| is_kinked(**below, **here, **above, step)).count();
        if count == 0 {
            return None;
        }
        in_steps(graph, points, value, step).or_else(|| {
            let (operator, span) = (op.def.name, graph.node(value).origin.span);
            Some(Place { operator, span, elements: count, of: graph.shape(value).elements() })
        })
    })
}

/// The same in the steps of a loop, in their order.
fn in_steps(graph: &Graph, points: &[Bindings; 3], value: ValueId, step: f64) -> Option<Place> {
    let [mut below, mut here, mut above] =
        [&points[0], &points[1], &points[2]].map(|point| Steps::new(graph, point, value));
    let (below, here, above) = (below.as_mut()?, here.as_mut()?, above.as_mut()?);
    let scan = graph.as_scan(value)?;
    let body = scan.body.graph();
    let live = body.live();
    below.zip(here).zip(above).find_map(|((below, here), above)| {
        let points = [below, here, above].map(|inputs| bound(body, &inputs));
        kinked(body, &points, &|value| live[value.index()], step)
    })
}

/// Whether a number rises unevenly around the middle of three places that are a step apart. Curvature alone makes the
/// rises differ by the square of the step.
fn is_kinked(below: f64, here: f64, above: f64, step: f64) -> bool {
    let (left, right) = (here - below, above - here);
    let rounding = 16.0 * f64::EPSILON * below.abs().max(above.abs()).max(here.abs());
    let curved = (KINKED * (left.abs() + right.abs())).max(step.powf(1.5));
    // Also where one of them is NaN.
    let even = (right - left).abs() <= curved + rounding;
    !even
}

/// The first operator that makes something that is not finite from what is: forwards, or where the loss is finite, in the
/// gradient.
pub(crate) fn not_finite(rules: &Rules<'_>, subject: &Subject, point: &Bindings) -> Option<Finding> {
    let graph = &subject.graph;
    if !is_finite(&values(graph, point, &[subject.loss])[0]) {
        return forwards(graph, point, subject.loss, None);
    }
    backwards_from(rules, subject, point, subject.loss, None)
}

/// The same for an output that is not finite, forwards.
pub(crate) fn undefined(subject: &Subject, point: &Bindings, output: ValueId) -> Option<Finding> {
    forwards(&subject.graph, point, output, subject.name_of(output))
}

/// The same for the first output whose derivative is not finite where it is.
pub(crate) fn steep(rules: &Rules<'_>, subject: &Subject, point: &Bindings) -> Option<Finding> {
    subject.outputs.iter().find_map(|(name, output)| backwards_from(rules, subject, point, *output, Some(name)))
}

fn backwards_from(
    rules: &Rules<'_>,
    subject: &Subject,
    point: &Bindings,
    result: ValueId,
    output: Option<&str>,
) -> Option<Finding> {
    let seed = Tensor::from_fn(subject.graph.ty(result).clone(), |_| 1.0);
    let between = between(subject);
    let seeds = [(result, seed)];
    let finding = backwards(rules, &subject.graph, point, &|value| between[value.index()], &seeds)?;
    Some(finding.of_output(output))
}

fn is_finite(tensor: &Tensor) -> bool {
    tensor.data().iter().all(|x| x.is_finite())
}

/// An operator as a finding; of a rule of the program's own, its function.
fn found(graph: &Graph, value: ValueId, in_gradient: bool) -> Option<Finding> {
    let (operator, span) = (graph.op(value)?.def.name, graph.node(value).origin.span);
    let function = graph.as_custom(value).map(|custom| custom.name().to_owned());
    Some(Finding::NotFinite { operator, function, span, in_gradient, output: None })
}

/// The first value that is not finite on the way to a result, which is the loss or this output.
fn forwards(graph: &Graph, point: &Bindings, result: ValueId, output: Option<&str>) -> Option<Finding> {
    let before = graph.ancestors([result]);
    Some(first_not_finite(graph, point, &before)?.of_output(output))
}

/// The first value that is not finite of those that count.
fn first_not_finite(graph: &Graph, point: &Bindings, counts: &[bool]) -> Option<Finding> {
    let applied = |value: &ValueId| counts[value.index()] && graph.op(*value).is_some();
    let all: Vec<ValueId> = graph.values().filter(applied).collect();
    let tensors = values(graph, point, &all);
    let (&broken, _) = all.iter().zip(&tensors).find(|(_, tensor)| !is_finite(tensor))?;
    let within = Steps::new(graph, point, broken).zip(graph.as_scan(broken)).and_then(|(mut steps, scan)| {
        let body = scan.body.graph();
        steps.find_map(|inputs| first_not_finite(body, &bound(body, &inputs), &body.live()))
    });
    within.or_else(|| found(graph, broken, false))
}

/// The operator closest to the loss whose derivative gives a value that counts a cotangent that is not finite, when some
/// values receive these.
fn backwards(
    rules: &Rules<'_>,
    graph: &Graph,
    point: &Bindings,
    counts: &dyn Fn(ValueId) -> bool,
    seeds: &[(ValueId, Tensor)],
) -> Option<Finding> {
    let on_way: Vec<ValueId> = graph.values().filter(|&value| counts(value) && graph.dtype(value).is_float()).collect();
    let cotangents = cotangents(rules, graph, point, seeds, &on_way);
    let received = on_way.iter().zip(&cotangents);
    let (&broken, _) = received.rev().find(|(_, own)| own.as_ref().is_some_and(|own| !is_finite(own)))?;
    // Of the users of that value, the one that is closest to the loss: all that follow it are finite.
    let user = graph.users(broken).map(|(user, _)| user).filter(|user| counts(*user)).last()?;
    let given = |value: ValueId| on_way.iter().position(|&own| own == value).and_then(|at| cotangents[at].clone());
    let within = graph.as_scan(user).and_then(|scan| {
        let results = graph.results_of(user);
        let received: Vec<Option<Tensor>> = results.into_iter().map(|result| result.and_then(given)).collect();
        backwards_in_steps(rules, graph, point, user, &scan, &received)
    });
    within.or_else(|| found(graph, user, true))
}

/// The same in the steps of a loop whose results receive `received`, from the last on.
fn backwards_in_steps(
    rules: &Rules<'_>,
    graph: &Graph,
    point: &Bindings,
    value: ValueId,
    scan: &gradc::ir::op::scan::Scan,
    received: &[Option<Tensor>],
) -> Option<Finding> {
    let body = scan.body.graph();
    let results: Vec<ValueId> = scan.body.results().collect();
    let live = body.live();
    let carried: Vec<ValueId> = scan.body.inputs()[..scan.carries].to_vec();
    let zeros = |value: ValueId| Tensor::from_fn(body.ty(value).clone(), |_| 0.0);
    let mut of_carries: Vec<Tensor> =
        (0..scan.carries).map(|index| received[index].clone().unwrap_or_else(|| zeros(results[index]))).collect();
    let mut steps = Steps::new(graph, point, value)?;
    let carries: Vec<Vec<Tensor>> = steps.by_ref().map(|inputs| inputs[..scan.carries].to_vec()).collect();
    for (number, carries) in carries.iter().enumerate().rev() {
        let at = if scan.reverse { scan.length - 1 - number } else { number };
        let slice = |index: usize| {
            let (ty, stack) = (body.ty(results[index]).clone(), received[index].as_ref()?);
            let count = ty.shape.elements();
            Some(Tensor::new(ty, stack.data()[at * count..(at + 1) * count].to_vec()))
        };
        let of_stacks = (scan.carries..results.len()).filter_map(|index| Some((results[index], slice(index)?)));
        let of_carried = results.iter().copied().zip(of_carries.iter().cloned());
        let seeds: Vec<(ValueId, Tensor)> =
            of_carried.chain(of_stacks).filter(|(v, _)| body.dtype(*v).is_float()).collect();
        let point = bound(body, &steps.inputs(carries, number));
        if let Some(finding) = backwards(rules, body, &point, &|value| live[value.index()], &seeds) {
            return Some(finding);
        }
        let next = cotangents(rules, body, &point, &seeds, &carried);
        of_carries = next.into_iter().zip(&carried).map(|(own, &input)| own.unwrap_or_else(|| zeros(input))).collect();
    }
    None
}

/// The cotangents of `wrt`, where they are not absent, when some values receive these.
fn cotangents(
    rules: &Rules<'_>,
    graph: &Graph,
    point: &Bindings,
    seeds: &[(ValueId, Tensor)],
    wrt: &[ValueId],
) -> Vec<Option<Tensor>> {
    let of: Vec<ValueId> = seeds.iter().map(|&(value, _)| value).collect();
    let pullback = rules.vjp(graph, &of, wrt);
    let mut point = point.clone();
    for (&input, (_, seed)) in pullback.inputs.iter().zip(seeds) {
        let name = pullback.graph.value_name(input).map(ToString::to_string).unwrap_or_default();
        point.push((name, seed.clone()));
    }
    let present: Vec<ValueId> = pullback.cotangents.iter().flatten().copied().collect();
    let mut tensors = values(&pullback.graph, &point, &present).into_iter();
    pullback.cotangents.iter().map(|own| own.and_then(|_| tensors.next())).collect()
}
