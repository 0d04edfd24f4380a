//! What is made of one exponential computes it once.
//!
//! The simplifier writes the derivatives of sigmoid and tanh so that no digits are lost where these saturate: as
//! `sigmoid(x) * sigmoid(-x)` and `(1 + |tanh(x)|) * 2 * sigmoid(-2 * |x|)`. Computed as it stands, the backward pass would
//! take another exponential for each. But both functions of such a pair are quotients of the same one:
//!
//! - with `e = exp(-|x|)` and `s = sigmoid(x) = select(x < 0, e, 1) / (1 + e)`, `sigmoid(-x)` is `1 - s` where that
//!   loses nothing, below zero, and `e * s` elsewhere;
//! - with `u = expm1(2 * |x|)`, `sigmoid(-2 * |x|)` is `1 / (u + 2)`, and `tanh(x)` is `sign(x) * u` times that, or `sign(x)`
//!   where `u` is so large that this is nearer.
//!
//! The two arguments of a pair of sigmoids need not be `x` and `-x`: `c * y` and `-c * y` will do.
//!
//! So the pair is written in terms of that, and the places of values see to the rest: the forward pass keeps `e` or `u`
//! instead of `x`.

use std::borrow::Cow;

use gradc_ir::op::{abs::ABS, mul::MUL, neg::NEG, sigmoid::SIGMOID, tanh::TANH};
use gradc_ir::{Graph, OpDef, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Where `u` is greater than this, `u / (u + 2)` is 1 in every type that arithmetic is done in.
const LARGE: f64 = 1e20;

/// What a value becomes, with the value that both of its pair are functions of.
#[derive(Clone, Copy)]
enum Half {
    /// `sigmoid(x)`
    Sigmoid(ValueId),
    /// `sigmoid(-x)`, of which `sigmoid(x)` is there earlier or `x` is the operand of a negation.
    Complement(ValueId),
    /// `tanh(x)`
    Tanh(ValueId),
    /// `sigmoid(-2 * |x|)`
    Tail(ValueId),
}

/// The graph with each such pair in terms of one exponential.
pub(super) fn share(graph: &Graph) -> Cow<'_, Graph> {
    let halves = pairs(graph);
    if halves.is_empty() {
        return Cow::Borrowed(graph);
    }
    let mut known = Exponentials::default();
    Cow::Owned(super::rewritten(graph, |value, graph, places| {
        halves.get(&value).map(|half| Sharing { graph, known: &mut known }.write(*half, places))
    }))
}

/// The live values that are one of a pair.
fn pairs(graph: &Graph) -> FxHashMap<ValueId, Half> {
    let live = graph.live();
    let applied = |value: ValueId, def: &'static OpDef| {
        graph.op(value).is_some_and(|op| op.is(def)).then(|| graph.operands(value)[0])
    };
    let mut halves: Vec<(ValueId, Half)> = Vec::new();
    // The operand of the first sigmoid of each multiple of a value.
    let mut first: FxHashMap<(ValueId, u64), ValueId> = FxHashMap::default();
    for value in graph.values().filter(|value| live[value.index()]) {
        if let Some(x) = applied(value, &TANH) {
            halves.push((value, Half::Tanh(x)));
        } else if let Some(x) = applied(value, &SIGMOID) {
            halves.push((value, Half::Sigmoid(x)));
            let (base, factor) = multiple(graph, x);
            let opposite = first.get(&(base, (-factor).to_bits())).copied();
            first.entry((base, factor.to_bits())).or_insert(x);
            if let Some(x) = applied(x, &NEG).or(opposite) {
                halves.push((value, Half::Complement(x)));
            } else if let Some(x) = twice_below(graph, x).and_then(|magnitude| applied(magnitude, &ABS)) {
                halves.push((value, Half::Tail(x)));
            }
        }
    }
    let all = |choose: fn(&Half) -> Option<ValueId>| -> FxHashSet<ValueId> {
        halves.iter().filter_map(|(_, half)| choose(half)).collect()
    };
    let complemented = all(|half| if let Half::Complement(x) = half { Some(*x) } else { None });
    let sigmoids = all(|half| if let Half::Sigmoid(x) = half { Some(*x) } else { None });
    let tails = all(|half| if let Half::Tail(x) = half { Some(*x) } else { None });
    let tanhs = all(|half| if let Half::Tanh(x) = half { Some(*x) } else { None });
    let has_partner = |half: &Half| match half {
        Half::Sigmoid(x) => complemented.contains(x),
        Half::Complement(x) => sigmoids.contains(x),
        Half::Tanh(x) => tails.contains(x),
        Half::Tail(x) => tanhs.contains(x),
    };
    let mut chosen = FxHashMap::default();
    for (value, half) in halves.into_iter().filter(|(_, half)| has_partner(half)) {
        // A value may be half of several pairs; one is enough.
        chosen.entry(value).or_insert(half);
    }
    chosen
}

/// `y` and `c`, where a value is `c * y` or the negation of that; any value is once itself.
fn multiple(graph: &Graph, value: ValueId) -> (ValueId, f64) {
    let (op, operands) = (graph.op(value), graph.operands(value));
    if op.is_some_and(|op| op.is(&NEG)) {
        let (base, factor) = multiple_by_constant(graph, operands[0]);
        return (base, -factor);
    }
    multiple_by_constant(graph, value)
}

fn multiple_by_constant(graph: &Graph, value: ValueId) -> (ValueId, f64) {
    if let Some(op) = graph.op(value)
        && op.is(&MUL)
    {
        let (a, b) = (graph.operands(value)[0], graph.operands(value)[1]);
        match (graph.as_full(a), graph.as_full(b)) {
            (Some(factor), _) => return (b, factor),
            (_, Some(factor)) => return (a, factor),
            _ => {}
        }
    }
    (value, 1.0)
}

/// `y`, where a value is `-2 * y`.
fn twice_below(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let &[a, b] = graph.op(value).filter(|op| op.is(&MUL)).map(|_| graph.operands(value))? else { return None };
    match (graph.as_full(a), graph.as_full(b)) {
        (Some(-2.0), _) => Some(b),
        (_, Some(-2.0)) => Some(a),
        _ => None,
    }
}

/// What is there in the new graph.
#[derive(Default)]
struct Exponentials {
    /// By `x` in the new graph, `exp(-|x|)` and `sigmoid(x)`.
    logistics: FxHashMap<ValueId, (ValueId, ValueId)>,
    /// By `x` in the new graph, `u = expm1(2 * |x|)` and `1 / (u + 2)`.
    growths: FxHashMap<ValueId, (ValueId, ValueId)>,
}

struct Sharing<'a> {
    graph: &'a mut Graph,
    known: &'a mut Exponentials,
}

impl Sharing<'_> {
    fn write(&mut self, half: Half, places: &[ValueId]) -> ValueId {
        match half {
            Half::Sigmoid(x) => self.logistic(places[x.index()]).1,
            Half::Complement(x) => {
                let (e, s) = self.logistic(places[x.index()]);
                let graph = &mut *self.graph;
                let (half, one) = (graph.full_like(s, 0.5), graph.full_like(s, 1.0));
                let below = graph.lt(s, half);
                let rest = graph.sub(one, s);
                let tail = graph.mul(e, s);
                graph.select(below, rest, tail)
            }
            Half::Tanh(x) => {
                let x = places[x.index()];
                let (u, tail) = self.growth(x);
                let graph = &mut *self.graph;
                let (one, large) = (graph.full_like(u, 1.0), graph.full_like(u, LARGE));
                let product = graph.mul(u, tail);
                // Where `u` is infinite as well.
                let saturated = graph.gt(u, large);
                let magnitude = graph.select(saturated, one, product);
                let sign = graph.sign(x);
                graph.mul(sign, magnitude)
            }
            Half::Tail(x) => self.growth(places[x.index()]).1,
        }
    }

    /// `exp(-|x|)` and `sigmoid(x)`.
    fn logistic(&mut self, x: ValueId) -> (ValueId, ValueId) {
        if let Some(&known) = self.known.logistics.get(&x) {
            return known;
        }
        let graph = &mut *self.graph;
        let magnitude = graph.abs(x);
        let negative = graph.neg(magnitude);
        let e = graph.exp(negative);
        let (zero, one) = (graph.full_like(x, 0.0), graph.full_like(x, 1.0));
        let below = graph.lt(x, zero);
        let numerator = graph.select(below, e, one);
        let denominator = graph.add(e, one);
        let s = graph.div(numerator, denominator);
        self.known.logistics.insert(x, (e, s));
        (e, s)
    }

    /// `u = expm1(2 * |x|)` and `1 / (u + 2)`.
    fn growth(&mut self, x: ValueId) -> (ValueId, ValueId) {
        if let Some(&known) = self.known.growths.get(&x) {
            return known;
        }
        let graph = &mut *self.graph;
        let magnitude = graph.abs(x);
        let twice = graph.add(magnitude, magnitude);
        let u = graph.expm1(twice);
        let two = graph.full_like(u, 2.0);
        let more = graph.add(u, two);
        let one = graph.full_like(u, 1.0);
        let tail = graph.div(one, more);
        self.known.growths.insert(x, (u, tail));
        (u, tail)
    }
}
