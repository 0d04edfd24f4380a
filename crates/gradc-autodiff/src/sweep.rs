//! The two sweeps over a graph, which append the derivative to it.

use gradc_ir::{Derivative, Graph, Jvp, Origin, ValueId, Vjp};

use crate::mask::{Mask, carried, may_be_infinite, pushed};
use crate::rules::Rules;
use crate::{custom, scan};

/// Appends the reverse-mode derivative: given cotangents of some values, those of each of `wrt`, or none.
///
/// Cotangents that meet are added in the order of the sweep: later users first. Those of 16 bits are added in `f32`, and
/// their sum is rounded once.
pub(crate) fn pull_back(
    graph: &mut Graph,
    rules: &Rules<'_>,
    seeds: &[(ValueId, ValueId)],
    wrt: &[ValueId],
) -> Vec<Option<ValueId>> {
    let of: Vec<ValueId> = seeds.iter().map(|&(value, _)| value).collect();
    let between = between(graph, wrt, &of);
    let suspect = may_be_infinite(graph);
    let mut cotangents: Vec<Option<(ValueId, Mask)>> = vec![None; between.len()];
    for &(value, seed) in seeds.iter().filter(|(value, _)| between[value.index()]) {
        receive(graph, &mut cotangents[value.index()], seed, Mask::default());
    }
    for value in (0..between.len()).rev().map(ValueId::from_index) {
        let wanted: Vec<bool> = graph.operands(value).iter().map(|operand| between[operand.index()]).collect();
        if graph.is_packed(value) {
            let of_results = results(graph, value, between.len()).into_iter();
            let of_results: Vec<Option<(ValueId, Mask)>> =
                of_results.map(|result| rounded(graph, &mut cotangents[result?.index()], result?)).collect();
            // What all of them are zero in, what is made of them together is zero in.
            let masks = of_results.iter().flatten().map(|(_, mask)| mask.clone());
            let Some(mask) = masks.reduce(|all, mask| all.of_sum(&mask, graph)) else { continue };
            if between[value.index()] {
                let given: Vec<Option<ValueId>> =
                    of_results.iter().map(|result| result.as_ref().map(|(cotangent, _)| *cotangent)).collect();
                graph.set_origin(graph.node(value).origin);
                let contributions = match graph.as_custom(value) {
                    Some(own) => custom::pull_back(graph, value, &own, &given, &wanted),
                    None => scan::pull_back(graph, rules, value, &given, &wanted),
                };
                distribute(graph, &mut cotangents, value, &suspect, &mask, contributions);
            }
            continue;
        }
        let Some((cotangent, mask)) = rounded(graph, &mut cotangents[value.index()], value) else { continue };
        name_after(graph, value, cotangent, "d_");
        let Some(Derivative::Rules { vjp, .. }) = rules.of(graph, value) else { continue };
        graph.set_origin(graph.node(value).origin);
        let mut rule = Vjp::new(graph, value, cotangent, &wanted);
        vjp(&mut rule);
        let contributions = rule.finish();
        distribute(graph, &mut cotangents, value, &suspect, &mask, contributions);
    }
    graph.set_origin(Origin::default());
    wrt.iter().map(|&value| Some(rounded(graph, &mut cotangents[value.index()], value)?.0)).collect()
}

/// The cotangent of a value, in its element type.
fn rounded(graph: &mut Graph, slot: &mut Option<(ValueId, Mask)>, value: ValueId) -> Option<(ValueId, Mask)> {
    let (sum, _) = slot.as_mut()?;
    *sum = graph.cast(*sum, graph.dtype(value));
    slot.clone()
}

/// Adds what each operand of `value` receives to its cotangent. `mask` says where that of the value was zero.
fn distribute(
    graph: &mut Graph,
    cotangents: &mut [Option<(ValueId, Mask)>],
    value: ValueId,
    suspect: &[bool],
    mask: &Mask,
    contributions: impl IntoIterator<Item = Option<ValueId>>,
) {
    for (position, contribution) in contributions.into_iter().enumerate() {
        let Some(contribution) = contribution else { continue };
        let operand = graph.operands(value)[position];
        let (contribution, mask) = carried(graph, value, suspect, mask, contribution);
        receive(graph, &mut cotangents[operand.index()], contribution, mask);
    }
}

/// Adds a part of a cotangent to what there is of it. A sum is of the type that its elements are computed in.
fn receive(graph: &mut Graph, slot: &mut Option<(ValueId, Mask)>, part: ValueId, mask: Mask) {
    *slot = Some(match slot.take() {
        None => (part, mask),
        Some((sum, known)) => {
            let mask = known.of_sum(&mask, graph);
            let dtype = graph.dtype(part).arithmetic();
            let (sum, part) = (graph.cast(sum, dtype), graph.cast(part, dtype));
            (graph.add(sum, part), mask)
        }
    });
}

/// Appends the forward-mode derivative: given tangents of some values, those of each of `of`, or none.
///
/// A value that has a tangent of its own and depends on others that have moves by both.
pub(crate) fn push_forward(
    graph: &mut Graph,
    rules: &Rules<'_>,
    seeds: &[(ValueId, ValueId)],
    of: &[ValueId],
) -> Vec<Option<ValueId>> {
    let from: Vec<ValueId> = seeds.iter().map(|&(value, _)| value).collect();
    let between = between(graph, &from, of);
    let suspect = may_be_infinite(graph);
    let mut tangents: Vec<Option<(ValueId, Mask)>> = vec![None; between.len()];
    for &(value, seed) in seeds {
        meet(graph, &mut tangents[value.index()], seed, Mask::default());
    }
    for value in (0..between.len()).map(ValueId::from_index).filter(|value| between[value.index()]) {
        let Some(derivative) = rules.of(graph, value) else { continue };
        let given: Vec<Option<&(ValueId, Mask)>> =
            graph.operands(value).iter().map(|operand| tangents[operand.index()].as_ref()).collect();
        let operands: Vec<Option<ValueId>> = given.iter().map(|given| given.map(|(tangent, _)| *tangent)).collect();
        let masks = given.into_iter().flatten().map(|(_, mask)| mask.clone());
        let mask = masks.reduce(|mask, other| mask.of_sum(&other, graph)).unwrap_or_default();
        graph.set_origin(graph.node(value).origin);
        if operands.iter().all(Option::is_none) {
            continue;
        }
        if graph.is_packed(value) {
            let found = match graph.as_custom(value) {
                Some(own) => custom::push_forward(graph, rules, value, &own, &operands),
                None => scan::push_forward(graph, rules, value, &operands),
            };
            let results = results(graph, value, between.len());
            for (result, tangent) in results.into_iter().zip(found) {
                if let (Some(result), Some(tangent)) = (result.filter(|v| between[v.index()]), tangent) {
                    let (tangent, mask) = pushed(graph, value, &suspect, &mask, tangent);
                    meet(graph, &mut tangents[result.index()], tangent, mask);
                    name_after(graph, result, tangent, "t_");
                }
            }
        } else if let Derivative::Rules { jvp, .. } = derivative {
            let mut rule = Jvp::new(graph, value, &operands);
            jvp(&mut rule);
            let Some(tangent) = rule.finish() else { continue };
            let (tangent, mask) = pushed(graph, value, &suspect, &mask, tangent);
            meet(graph, &mut tangents[value.index()], tangent, mask);
            if let Some((tangent, _)) = tangents[value.index()] {
                name_after(graph, value, tangent, "t_");
            }
        }
    }
    graph.set_origin(Origin::default());
    of.iter().map(|value| tangents[value.index()].as_ref().map(|(tangent, _)| *tangent)).collect()
}

/// For each value, whether a derivative flows through it from one of `from` to one of `to`: it is a float that lies on
/// a path between them.
pub(crate) fn between(graph: &Graph, from: &[ValueId], to: &[ValueId]) -> Vec<bool> {
    let after = graph.descendants(from.iter().copied());
    let before = graph.ancestors(to.iter().copied());
    let on_path = |value: ValueId| after[value.index()] && before[value.index()] && graph.dtype(value).is_float();
    graph.values().map(on_path).collect()
}

/// Whether an operator that has this value as its result passes a derivative on.
pub(crate) fn passes(graph: &Graph, value: ValueId) -> bool {
    matches!(graph.op(value).map(|op| op.def.derivative), Some(Derivative::Rules { .. } | Derivative::Body))
        && graph.dtype(value).is_float()
}

/// The results that a value packs among the first `count` values of the graph: those that were there before the sweep.
fn results(graph: &Graph, packed: ValueId, count: usize) -> Vec<Option<ValueId>> {
    let results = graph.results_of(packed).into_iter();
    results.map(|result| result.filter(|result| result.index() < count)).collect()
}

/// Adds what arrives to what is there.
fn meet(graph: &mut Graph, slot: &mut Option<(ValueId, Mask)>, arriving: ValueId, mask: Mask) {
    *slot = Some(match slot.take() {
        None => (arriving, mask),
        Some((sum, known)) => (graph.add(sum, arriving), known.of_sum(&mask, graph)),
    });
}

/// Names a derivative after the value it belongs to, if that has a name and the derivative none yet.
fn name_after(graph: &mut Graph, value: ValueId, derivative: ValueId, prefix: &str) {
    if let Some(name) = graph.value_name(value).cloned()
        && graph.value_name(derivative).is_none()
        && graph.as_full(derivative).is_none()
    {
        graph.set_value_name(derivative, format!("{prefix}{name}"));
        // Named under the layer of the value, wherever the rule was that made it.
        graph.set_value_scope(derivative, graph.node(value).origin.scope);
    }
}
