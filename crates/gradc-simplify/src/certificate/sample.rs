//! Computing the two sides of a step on random numbers.
//!
//! A step is about a few operators, not about all that their operands were computed from: where it says nothing of how an
//! operand came about, the operand is drawn anew, as anything that the facts about it allow.

use egg::Id;
use gradc_ir::{DType, Graph, Shape, Tensor, TensorType, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

use super::closure::Closure;
use crate::cost;
use crate::facts::Facts;
use crate::pattern::Bindings;
use crate::rules::compiled::Compiled;
use crate::term::Term;

/// How large the numbers are that are drawn for a step, once each: what is small beside others is not seen among them.
const MAGNITUDES: [f64; 3] = [3.0, 3.0, 0.01];

/// The same for a loop, whose numbers grow from step to step where those that they are multiplied with are large.
const LOOP_MAGNITUDES: [f64; 4] = [3.0, 0.3, 0.03, 0.0003];

/// The largest relative difference of two sides that are equal over the reals, computed in `f64`, where their numbers are of
/// `f32` or `f64`. Those are not exact, so neither is what is made of them.
const TOLERANCE: f64 = 1e-6;

/// What numbers of a narrower type may make two sides differ by, in units of its precision: `0.1 * 0.3` was rounded where it is
/// one number.
const ROUNDINGS: f64 = 4.0;

/// What one step may cost to compute, in the units of the simplifier's cost, and what all may together.
const STEP: u64 = 32_000_000;
const ALL: u64 = 4_000_000_000;

/// The same for a loop: that has to be computed.
const LOOP: u64 = 8_000_000_000;

/// How many elements may be held while a step is computed.
const MAX_ELEMENTS: usize = 1 << 24;

/// What came of computing two sides.
pub(super) enum Sampled {
    /// They are equal, up to rounding where the rule is not strict.
    Agree,
    /// It would take too long.
    TooLarge,
    /// They are not equal.
    Differ(String),
}

/// How much is done to see whether two sides are equal.
struct Effort {
    /// What it may cost.
    bound: u64,
    /// How large the numbers are that are drawn.
    magnitudes: &'static [f64],
    /// Whether it is about loops, which are one operator each.
    is_loop: bool,
}

/// By how much two sides may differ.
struct Allowed {
    /// Not at all.
    is_exact: bool,
    /// So much relative to the largest number.
    tolerance: f64,
    /// That is the largest number of the two sides, since what a loop computes on the way is not seen.
    is_loop: bool,
}

/// What rounding in `f64` may add to that in a loop, relative to the largest number of all.
const LOOP_ROUNDING: f64 = 1e-11;

/// Draws numbers and counts the work.
pub(super) struct Sampler {
    left: u64,
    random: Random,
}

impl Sampler {
    pub(super) fn new() -> Sampler {
        Sampler { left: ALL, random: Random(0x5eed) }
    }

    /// Computes both sides, with random numbers for `cuts`; bit for bit if `exact`.
    pub(super) fn compare(&mut self, closure: &Closure, pairs: &[(Id, Id)], cuts: &[Id], exact: bool) -> Sampled {
        self.compare_within(
            closure,
            pairs,
            cuts,
            exact,
            &Effort { bound: STEP, magnitudes: &MAGNITUDES, is_loop: false },
        )
    }

    /// The same, cut in the first of several ways in which both sides agree.
    pub(super) fn compare_somehow(
        &mut self,
        closure: &Closure,
        pair: (Id, Id),
        choices: &[Vec<Id>],
        exact: bool,
    ) -> Sampled {
        let mut first = None;
        for cuts in choices {
            match self.compare(closure, &[pair], cuts, exact) {
                Sampled::Differ(message) => first = first.or(Some(message)),
                agreed => return agreed,
            }
        }
        Sampled::Differ(first.unwrap_or_default())
    }

    /// The same for a loop.
    pub(super) fn compare_loop(&mut self, closure: &Closure, pairs: &[(Id, Id)], cuts: &[Id], exact: bool) -> Sampled {
        self.left = self.left.saturating_add(LOOP);
        let effort = Effort { bound: LOOP, magnitudes: &LOOP_MAGNITUDES, is_loop: true };
        let sampled = self.compare_within(closure, pairs, cuts, exact, &effort);
        self.left = self.left.min(ALL);
        sampled
    }

    fn compare_within(
        &mut self,
        closure: &Closure,
        pairs: &[(Id, Id)],
        cuts: &[Id],
        exact: bool,
        effort: &Effort,
    ) -> Sampled {
        let Some((mut graph, leaves)) = excerpt(closure, pairs, cuts) else { return Sampled::TooLarge };
        let work = work(&graph);
        let elements: usize = graph.values().map(|value| graph.shape(value).elements()).fold(0, usize::saturating_add);
        if work > effort.bound || work > self.left || elements > MAX_ELEMENTS {
            return Sampled::TooLarge;
        }
        self.left -= work;
        let tolerance = tolerance(&graph);
        if !exact {
            graph = graph.in_precision(DType::F64);
        }
        for &magnitude in effort.magnitudes {
            let mut drawn =
                |&(leaf, id): &(ValueId, Id)| draw(closure.facts_of(id), graph.ty(leaf), magnitude, &mut self.random);
            let drawn: Vec<Tensor> = leaves.iter().map(&mut drawn).collect();
            let inputs = leaves.iter().map(|&(leaf, _)| leaf).zip(drawn);
            let Some(computed) = evaluate(&graph, inputs) else {
                return Sampled::Differ("an operator does not fit its operands".to_owned());
            };
            let allowed = Allowed { is_exact: exact, tolerance, is_loop: effort.is_loop };
            if let Some(difference) = difference(&graph, &computed, &allowed) {
                return Sampled::Differ(difference);
            }
        }
        Sampled::Agree
    }
}

/// Where an application of a rule may be cut off, the first choice first: at what its variables stand for. But a function may
/// ask that one value be computed from another, such as `h = g / 2`, and a part of the formula may be what a variable stands
/// for elsewhere in it, as in `x + -y` where `x` is `-y`: then what contains another variable is not cut. A rule on a class
/// of operators has no variables: it is cut at the operands where the right side is made of these, else at theirs.
pub(super) fn cuts(closure: &Closure, compiled: &Compiled, bindings: &Bindings, left: Id, right: Id) -> Vec<Vec<Id>> {
    let without_others = |bound: &[Id], depth: usize| {
        let contains = |id: Id| {
            let parts = closure.term(id).operands().iter().map(|&operand| within(closure, operand, depth - 1));
            parts.flatten().any(|part| bound.contains(&part))
        };
        bound.iter().copied().filter(|&id| !contains(id)).collect::<Vec<Id>>()
    };
    let parts = |of: &[Id]| -> Vec<Id> {
        let below = |id: &Id| match closure.term(*id).operands() {
            [] => vec![*id],
            operands => operands.to_vec(),
        };
        of.iter().flat_map(below).collect()
    };
    let mut choices = if compiled.has_formula() {
        let bound: Vec<Id> = bindings.variables().filter_map(|variable| bindings.value(variable)).collect();
        // A function may also look at what a variable stands for: of `-x` and of `x` it may make the same.
        vec![bound.clone(), without_others(&bound, 1), without_others(&bound, DEPTH), parts(&bound)]
    } else {
        let operands = closure.term(left).operands();
        let below = parts(operands);
        vec![made_of(closure, left, right), without_others(&below, 1), without_others(&below, DEPTH), operands.to_vec()]
    };
    choices.dedup();
    choices
}

/// For each operand of `left`, the operand itself if `right` is computed from it as it is, and otherwise its operands. From what
/// an operand is computed is not looked at: in `reshape(x) - broadcast(y)`, `y` may be made of that `reshape(x)`, while
/// `reshape(x - broadcast(y))` is made of `x`.
fn made_of(closure: &Closure, left: Id, right: Id) -> Vec<Id> {
    let term = closure.term(left);
    let ends = |id: &Id| term.operands().iter().any(|own| own == id || closure.term(*own).operands().contains(id));
    let mut reached: FxHashSet<Id> = FxHashSet::default();
    let mut layer = vec![right];
    for _ in 0..=DEPTH {
        reached.extend(&layer);
        layer.retain(|id| !ends(id));
        layer = layer.iter().flat_map(|&id| closure.term(id).operands().iter().copied()).collect();
    }
    // What the same operator was applied to counts: it is of its application twice that `f(f(x)) = f(x)` speaks.
    let is_cut = |operand: Id| reached.contains(&operand) && closure.term(operand).op() != term.op();
    let cut = |&operand: &Id| match is_cut(operand) {
        true => vec![operand],
        false => closure.term(operand).operands().to_vec(),
    };
    term.operands().iter().flat_map(cut).collect()
}

/// How many operators the formula of a rule has one within another, at most.
const DEPTH: usize = 4;

/// The terms that a term is made of, itself included, so many operators deep.
fn within(closure: &Closure, term: Id, depth: usize) -> FxHashSet<Id> {
    let mut found: FxHashSet<Id> = FxHashSet::default();
    let mut layer = vec![term];
    for _ in 0..=depth {
        found.extend(&layer);
        layer = layer.iter().flat_map(|&id| closure.term(id).operands().iter().copied()).collect();
    }
    found
}

/// The graph of some pairs of terms, with inputs where it is cut off, and what these are. The results are the pairs, one
/// after the other. `None` where it is too large.
fn excerpt(closure: &Closure, pairs: &[(Id, Id)], cuts: &[Id]) -> Option<(Graph, Vec<(ValueId, Id)>)> {
    const MAX_TERMS: usize = 20_000;
    let mut graph = Graph::new("excerpt");
    let mut leaves = Vec::new();
    let mut values: FxHashMap<Id, ValueId> = FxHashMap::default();
    let mut stack: Vec<Id> = pairs.iter().rev().flat_map(|&(left, right)| [right, left]).collect();
    while let Some(&id) = stack.last() {
        if values.contains_key(&id) {
            stack.pop();
            continue;
        }
        if values.len() > MAX_TERMS || stack.len() > MAX_TERMS {
            return None;
        }
        let value = match closure.term(id) {
            Term::Apply(op, children) if closure.number(id).is_some() || !cuts.contains(&id) => {
                let missing: Vec<Id> = children.iter().copied().filter(|child| !values.contains_key(child)).collect();
                if !missing.is_empty() {
                    stack.extend(missing);
                    continue;
                }
                let operands: Vec<ValueId> = children.iter().map(|child| values[child]).collect();
                graph.apply(op.clone(), &operands).ok()?
            }
            _ => {
                let leaf = graph.input(format!("x{}", leaves.len()), closure.ty(id).clone());
                leaves.push((leaf, id));
                leaf
            }
        };
        stack.pop();
        values.insert(id, value);
    }
    for (number, (left, right)) in pairs.iter().enumerate() {
        graph.add_output(gradc_ir::Role::Output, format!("left{number}"), values[left]);
        graph.add_output(gradc_ir::Role::Output, format!("right{number}"), values[right]);
    }
    Some((graph, leaves))
}

/// What a graph costs to compute, the steps of its loops included.
fn work(graph: &Graph) -> u64 {
    graph.values().fold(0u64, |total, value| {
        let Some(op) = graph.op(value) else { return total };
        let types: Vec<&TensorType> = graph.operands(value).iter().map(|&operand| graph.ty(operand)).collect();
        let elements: u64 = types.iter().map(|ty| ty.shape.elements() as u64).sum::<u64>();
        let own = cost::cost(op, &types, graph.ty(value));
        let moved = graph.shape(value).elements() as u64;
        let steps = graph.as_scan(value).map_or(0, |scan| work(scan.body.graph()).saturating_mul(scan.length as u64));
        [own, elements, moved, steps].into_iter().fold(total, u64::saturating_add)
    })
}

/// Every value of a graph.
fn evaluate(graph: &Graph, inputs: impl Iterator<Item = (ValueId, Tensor)>) -> Option<Vec<Tensor>> {
    let mut given: FxHashMap<ValueId, Tensor> = inputs.collect();
    let mut values: Vec<Tensor> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let tensor = match graph.op(value) {
            None => given.remove(&value)?,
            Some(op) => {
                let operands: Vec<&Tensor> = graph.operands(value).iter().map(|x| &values[x.index()]).collect();
                op.evaluate(&operands).ok()?
            }
        };
        values.push(tensor);
    }
    Some(values)
}

/// The largest difference that the rounding of the numbers in a graph accounts for, relative to the largest value.
fn tolerance(graph: &Graph) -> f64 {
    let of_value = |value: ValueId| match graph.as_scan(value) {
        Some(scan) => tolerance(scan.body.graph()),
        None if graph.as_full(value).is_some() && graph.dtype(value).is_float() => {
            ROUNDINGS * graph.dtype(value).epsilon()
        }
        None => 0.0,
    };
    graph.values().map(of_value).fold(TOLERANCE, f64::max)
}

/// Where the results of a graph, which are pairs, differ by more than is allowed.
fn difference(graph: &Graph, computed: &[Tensor], allowed: &Allowed) -> Option<String> {
    let finite =
        |tensor: &Tensor| tensor.data().iter().copied().filter(|x| x.is_finite()).fold(0.0, |m: f64, x| m.max(x.abs()));
    let is_shown = |value: &ValueId| !graph.is_packed(*value);
    let scale = graph.values().filter(is_shown).map(|value| finite(&computed[value.index()])).fold(0.0, f64::max);
    let results: Vec<&Tensor> = graph.outputs().iter().map(|output| &computed[output.value.index()]).collect();
    for pair in results.chunks_exact(2) {
        let margin = match allowed.is_loop {
            false => allowed.tolerance * scale,
            true => allowed.tolerance * finite(pair[0]).max(finite(pair[1])) + LOOP_ROUNDING * scale,
        };
        for (&left, &right) in pair[0].data().iter().zip(pair[1].data()) {
            let same = left.to_bits() == right.to_bits() || left.is_nan() && right.is_nan();
            let close = (left - right).abs() <= margin;
            // What is not a number on the left may be one on the right.
            let agrees = same || !allowed.is_exact && (close || !left.is_finite());
            if !agrees {
                return Some(format!("{left:e} and {right:e}"));
            }
        }
    }
    None
}

/// A tensor of which these facts hold, of numbers up to a magnitude if they allow it.
fn draw(facts: &Facts, ty: &TensorType, magnitude: f64, random: &mut Random) -> Tensor {
    let (low, high) = bounds(facts, magnitude);
    let mut tensor = Tensor::from_fn(ty.clone(), |_| match ty.dtype {
        DType::Bool => f64::from(u8::from(random.unit() < 0.5)),
        dtype if dtype.is_integer() => (low + random.unit() * (high - low + 1.0)).floor().min(high),
        dtype => dtype.round(low + random.unit() * (high - low)),
    });
    if let Some(axis) = facts.sums_to_one {
        let sums = along(&tensor, &[axis], 0.0, |a, b| a + b.abs());
        tensor = combined(&tensor, &[axis], &sums, |x, sum| if sum == 0.0 { x } else { x.abs() / sum });
        if facts.one_hot {
            tensor = hot(&tensor, axis);
        }
    }
    if facts.sums_to_zero_along != 0 {
        let axes = axes_of(facts.sums_to_zero_along);
        let count: usize = axes.iter().map(|&axis| ty.shape[axis]).product();
        let sums = along(&tensor, &axes, 0.0, |a, b| a + b);
        tensor = combined(&tensor, &axes, &sums, |x, sum| x - sum / count as f64);
    }
    if facts.symmetric {
        let rank = ty.shape.rank();
        tensor = Tensor::from_fn(ty.clone(), |index| {
            let mut index = Shape::from(index).to_vec();
            index[rank - 2..].sort_unstable();
            tensor.at(&index)
        });
    }
    if facts.shifted_along != 0 {
        let axes = axes_of(facts.shifted_along);
        let greatest = along(&tensor, &axes, f64::NEG_INFINITY, f64::max);
        tensor = combined(&tensor, &axes, &greatest, |x, greatest| x - greatest);
    }
    tensor
}

/// One along an axis where the element is the first of the greatest, zero elsewhere.
fn hot(tensor: &Tensor, axis: usize) -> Tensor {
    let greatest = along(tensor, &[axis], f64::NEG_INFINITY, f64::max);
    let mut taken: FxHashSet<Vec<usize>> = FxHashSet::default();
    Tensor::from_fn(tensor.ty().clone(), |index| {
        let row = without(index, &[axis]);
        let is_hot = tensor.at(index) == greatest[&row] && taken.insert(row);
        f64::from(u8::from(is_hot))
    })
}

/// Between which numbers to draw: within a magnitude of zero, if that is allowed.
fn bounds(facts: &Facts, magnitude: f64) -> (f64, f64) {
    if facts.ty.dtype.is_integer() {
        let low = facts.range.low.max(0.0).min(facts.range.high);
        return (low, facts.range.high.min(low + 2.0));
    }
    let (low, high) = (facts.range.low, facts.range.high);
    if low > magnitude {
        (low, high.min(low * 2.0))
    } else if high < -magnitude {
        (low.max(high * 2.0), high)
    } else {
        (low.max(-magnitude), high.min(magnitude))
    }
}

fn axes_of(mask: u32) -> Vec<usize> {
    (0..Shape::MAX_RANK).filter(|axis| mask >> axis & 1 == 1).collect()
}

/// The position without some axes.
fn without(index: &[usize], axes: &[usize]) -> Vec<usize> {
    index.iter().enumerate().filter(|(axis, _)| !axes.contains(axis)).map(|(_, &i)| i).collect()
}

/// The elements along some axes, combined.
fn along(tensor: &Tensor, axes: &[usize], from: f64, combine: fn(f64, f64) -> f64) -> FxHashMap<Vec<usize>, f64> {
    let mut found: FxHashMap<Vec<usize>, f64> = FxHashMap::default();
    let _ = Tensor::from_fn(tensor.ty().clone(), |index| {
        let slot = found.entry(without(index, axes)).or_insert(from);
        *slot = combine(*slot, tensor.at(index));
        0.0
    });
    found
}

fn combined(
    tensor: &Tensor,
    axes: &[usize],
    others: &FxHashMap<Vec<usize>, f64>,
    combine: impl Fn(f64, f64) -> f64,
) -> Tensor {
    let dtype = tensor.ty().dtype;
    Tensor::from_fn(tensor.ty().clone(), |index| dtype.round(combine(tensor.at(index), others[&without(index, axes)])))
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the same numbers on every machine.
struct Random(u64);

impl Random {
    /// A number from 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
