//! What the derivative of a loop keeps of the loop.
//!
//! The derivative of a body reads values of the body, in another loop. A value can be brought there by stacking it over
//! all steps, or computed there again from others that are brought. [`least`] decides: contractions, reductions and inner
//! loops are never computed again, and of all ways to do so it takes one that stacks the fewest bytes, and among these the
//! one that computes least again. That is a minimum cut between what is dear or comes from outside, and what the derivative
//! reads: of all minimum cuts the last. What is left of a saturated activation may be dear as well
//! ([`Rules::keeping_complements`](crate::Rules::keeping_complements)).

use std::collections::VecDeque;

use gradc_ir::op::{broadcast::BROADCAST, full::FULL, mul::MUL, sigmoid::SIGMOID, sub::SUB, tanh::TANH};
use gradc_ir::{Class, Graph, OpDef, ValueId};

/// What it takes to bring a value into the other loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// It is there anyway: a slice, a constant, or a value that the loop stacks already.
    Free,
    /// It has to be stacked.
    Stacked,
}

/// The values that are to be brought so that all of `read` can be computed, in order. `supply` says of each leaf what it
/// takes to bring it, and which other values are stacked already. Values from `made` on were made by the derivative: of
/// two ways that cost the same, the one that keeps what the reader knows is better. `is_dear` says what is not to be computed
/// again, other than what [never is](is_large).
pub(crate) fn least(
    graph: &Graph,
    read: &[ValueId],
    supply: impl Fn(ValueId) -> Option<Supply>,
    is_dear: impl Fn(ValueId) -> bool,
    made: usize,
) -> Vec<ValueId> {
    let needed = graph.ancestors(read.iter().copied());
    let mut network = Network::new(2 * graph.len() + 2);
    let (source, sink) = (2 * graph.len(), 2 * graph.len() + 1);
    let (before, after) = (|value: ValueId| 2 * value.index(), |value: ValueId| 2 * value.index() + 1);
    for value in graph.values().filter(|value| needed[value.index()]) {
        let weight = match supply(value) {
            Some(Supply::Free) => 0,
            _ if graph.is_packed(value) => UNBOUNDED,
            _ => weight(graph, value, made),
        };
        network.connect(before(value), after(value), weight);
        if graph.leaf(value).is_some() || is_large(graph, value) || is_dear(value) {
            network.connect(source, before(value), UNBOUNDED);
        }
        for &operand in graph.operands(value) {
            network.connect(after(operand), before(value), UNBOUNDED);
        }
    }
    read.iter().for_each(|&value| network.connect(after(value), sink, UNBOUNDED));
    network.saturate(source, sink);
    let computed = network.reaches(sink);
    let is_cut = |value: &ValueId| needed[value.index()] && !computed[before(*value)] && computed[after(*value)];
    graph.values().filter(is_cut).collect()
}

/// More than all values together weigh.
const UNBOUNDED: u64 = 1 << 60;

/// Bytes, with a preference for values of the body among equals.
fn weight(graph: &Graph, value: ValueId, made: usize) -> u64 {
    let eighths = if value.index() < made { 8 } else { 9 };
    (graph.ty(value).bytes() as u64).saturating_mul(eighths).min(UNBOUNDED / 4)
}

/// Whether a value is what is left of an activation: `1 - sigmoid(x)`, or `1 - y * y` for `y = tanh(x)`.
pub(crate) fn is_complement(graph: &Graph, value: ValueId) -> bool {
    let is = |value: ValueId, def: &'static OpDef| graph.op(value).is_some_and(|op| op.is(def));
    if !is(value, &SUB) {
        return false;
    }
    let &[whole, part] = graph.operands(value) else { return false };
    let whole = if is(whole, &BROADCAST) { graph.operands(whole)[0] } else { whole };
    let is_one = graph.op(whole).is_some_and(|op| op.is(&FULL) && op.attrs.float("value") == 1.0);
    let is_square_of_tanh = || matches!(graph.operands(part), &[y, other] if y == other && is(y, &TANH));
    is_one && (is(part, &SIGMOID) || is(part, &MUL) && is_square_of_tanh())
}

/// Whether it takes much to compute a value.
fn is_large(graph: &Graph, value: ValueId) -> bool {
    let class = graph.op(value).map(|op| op.def.class);
    let of_loop = || graph.as_result(value).is_some_and(|(packed, _)| graph.as_scan(packed).is_some());
    matches!(class, Some(Class::Contract | Class::Reduce | Class::Accumulate)) || of_loop()
}

/// A network of pipes.
struct Network {
    /// For each node, the numbers of its pipes; the pipe back is next to the pipe.
    pipes: Vec<Vec<usize>>,
    ends: Vec<usize>,
    capacities: Vec<u64>,
}

impl Network {
    fn new(nodes: usize) -> Network {
        Network { pipes: vec![Vec::new(); nodes], ends: Vec::new(), capacities: Vec::new() }
    }

    fn connect(&mut self, from: usize, to: usize, capacity: u64) {
        for (at, end, capacity) in [(from, to, capacity), (to, from, 0)] {
            self.pipes[at].push(self.ends.len());
            self.ends.push(end);
            self.capacities.push(capacity);
        }
    }

    /// Lets as much flow as can, one shortest way after the other (Dinic's algorithm).
    fn saturate(&mut self, source: usize, sink: usize) {
        loop {
            let levels = self.levels(source);
            if levels[sink] == usize::MAX {
                return;
            }
            let mut next = vec![0; self.pipes.len()];
            while self.push(source, sink, &levels, &mut next) {}
        }
    }

    /// How many pipes away from `source` each node is, along pipes that are not full.
    fn levels(&self, source: usize) -> Vec<usize> {
        let mut levels = vec![usize::MAX; self.pipes.len()];
        levels[source] = 0;
        let mut queue = VecDeque::from([source]);
        while let Some(node) = queue.pop_front() {
            for &pipe in self.pipes[node].iter().filter(|&&pipe| self.capacities[pipe] > 0) {
                if levels[self.ends[pipe]] == usize::MAX {
                    levels[self.ends[pipe]] = levels[node] + 1;
                    queue.push_back(self.ends[pipe]);
                }
            }
        }
        levels
    }

    /// Fills one way from `source` to `sink` along rising levels, if there is one. `next` is for each node the first of its
    /// pipes that may still lead there.
    fn push(&mut self, source: usize, sink: usize, levels: &[usize], next: &mut [usize]) -> bool {
        let mut way: Vec<usize> = Vec::new();
        let mut node = source;
        while node != sink {
            let open =
                |&pipe: &usize| self.capacities[pipe] > 0 && levels[self.ends[pipe]] == levels[node].saturating_add(1);
            match self.pipes[node].get(next[node]) {
                Some(pipe) if open(pipe) => {
                    way.push(*pipe);
                    node = self.ends[*pipe];
                }
                Some(_) => next[node] += 1,
                None => {
                    let Some(pipe) = way.pop() else { return false };
                    node = self.ends[pipe ^ 1];
                    next[node] += 1;
                }
            }
        }
        let amount = way.iter().map(|&pipe| self.capacities[pipe]).min().unwrap_or(0);
        for pipe in way {
            self.capacities[pipe] -= amount;
            self.capacities[pipe ^ 1] = self.capacities[pipe ^ 1].saturating_add(amount);
        }
        amount > 0
    }

    /// For each node, whether there is a way from it to `sink` that is not full.
    fn reaches(&self, sink: usize) -> Vec<bool> {
        let mut reaches = vec![false; self.pipes.len()];
        reaches[sink] = true;
        let mut stack = vec![sink];
        while let Some(node) = stack.pop() {
            for &pipe in &self.pipes[node] {
                let (before, forward) = (self.ends[pipe], pipe ^ 1);
                if self.capacities[forward] > 0 && !reaches[before] {
                    reaches[before] = true;
                    stack.push(before);
                }
            }
        }
        reaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::{DType, TensorType};

    /// The names of what is kept so that `read` can be computed.
    fn kept(graph: &Graph, read: &[ValueId], free: &[ValueId]) -> Vec<String> {
        let supply = |value: ValueId| {
            let stacked = graph.leaf(value).map(|_| Supply::Stacked);
            if free.contains(&value) { Some(Supply::Free) } else { stacked }
        };
        let found = least(graph, read, supply, |value| is_complement(graph, value), usize::MAX);
        found.into_iter().map(|value| graph.value_name(value).map_or("?".into(), |name| name.to_string())).collect()
    }

    fn named(graph: &mut Graph, name: &str, value: ValueId) -> ValueId {
        graph.set_value_name(value, name);
        value
    }

    #[test]
    fn a_sum_is_kept_instead_of_its_two_products_and_the_last_value_of_equals() {
        let mut graph = Graph::new("cell");
        let mut input = |name: &str, shape: &[usize]| graph.input(name, TensorType::new(DType::F32, shape));
        let (x, h, w) = (input("x", &[4, 3]), input("h", &[4, 3]), input("w", &[3, 3]));
        let (a, b) = (graph.matmul(x, w), graph.matmul(h, w));
        let z = graph.add(a, b);
        let z = named(&mut graph, "z", z);
        let y = graph.tanh(z);
        let y = named(&mut graph, "y", y);
        assert_eq!(kept(&graph, &[y], &[x, w]), ["y"]);
        assert_eq!(kept(&graph, &[y, z], &[x, w]), ["z"]);
        assert_eq!(kept(&graph, &[y, h], &[x, w]), ["h", "y"]);
        // What is there anyway is used; what must not be computed again is kept.
        assert_eq!(kept(&graph, &[y], &[x, w, z]), ["z"]);
        assert_eq!(kept(&graph, &[y], &[x, w, h]), ["y"]);
    }

    #[test]
    fn what_is_left_of_an_activation_is_kept() {
        let mut graph = Graph::new("cell");
        let x = graph.input("x", TensorType::new(DType::F32, [4, 3]));
        for activation in [Graph::sigmoid, Graph::tanh] {
            let y = activation(&mut graph, x);
            let y = named(&mut graph, "y", y);
            let square = graph.mul(y, y);
            let one = graph.full_like(y, 1.0);
            let part = if graph.op(y).is_some_and(|op| op.is(&TANH)) { square } else { y };
            let rest = graph.sub(one, part);
            let rest = named(&mut graph, "rest", rest);
            assert_eq!(kept(&graph, &[rest, y], &[]), ["y", "rest"]);
            let slope = graph.mul(y, rest);
            let slope = named(&mut graph, "slope", slope);
            assert_eq!(kept(&graph, &[slope], &[]), ["slope"]);
            // A difference of something else, or from something else, is computed again.
            let (two, other) = (graph.full_like(y, 2.0), graph.mul(x, y));
            for other in [graph.sub(one, x), graph.sub(two, part), graph.sub(x, part), graph.sub(one, other)] {
                assert_eq!(kept(&graph, &[other, x], &[]), ["x"]);
            }
        }
    }

    #[test]
    fn what_is_small_is_kept_and_what_is_large_computed_again() {
        let mut graph = Graph::new("outer");
        let (a, b) =
            (graph.input("a", TensorType::new(DType::F32, [9])), graph.input("b", TensorType::new(DType::F32, [9])));
        let large = graph.broadcast(a, &[0], &[9, 9]);
        let other = graph.broadcast(b, &[1], &[9, 9]);
        let product = graph.mul(large, other);
        let e = graph.exp(product);
        assert_eq!(kept(&graph, &[e], &[]), ["a", "b"]);
        let sum = graph.reduce_sum(e, &[0, 1]);
        let sum = named(&mut graph, "sum", sum);
        assert_eq!(kept(&graph, &[sum], &[]), ["sum"]);
    }
}
