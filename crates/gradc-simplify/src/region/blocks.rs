//! Blocks: the values among which a closed form lies.
//!
//! A block begins with a product of matrices of the forward pass, or with a loop. What is computed from its result belongs to it until
//! the next product. Products beside each other, as those of a gate and of what it lets through, are in one block where their results
//! meet. The backward pass of all that belongs to it as well: differentiation has given each value there the origin of the forward
//! value that it pulls a cotangent through. So which block a value is in depends on its own layer alone, and not on how many layers
//! there are before it or how large they are.

use gradc_ir::op::scan::SCAN;
use gradc_ir::{Class, Graph, Origin, Role, ValueId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// The block of what depends on no product of matrices and is used by nothing that does.
const NOWHERE: u32 = u32::MAX;

/// Where in the network a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Its block: the position of the product that it begins with.
    pub(crate) block: u32,
    /// The position of a value of the forward pass that it is near to: itself, or what its cotangent has come back to.
    pub(crate) anchor: u32,
}

/// For each value of a graph, where it is.
pub(crate) fn spots(graph: &Graph) -> Vec<Spot> {
    let is_forward = forward(graph);
    let anchors = anchors(graph, &is_forward);
    blocks(graph, &is_forward).into_iter().zip(anchors).map(|(block, anchor)| Spot { block, anchor }).collect()
}

/// For each value of a graph, its anchor.
fn anchors(graph: &Graph, is_forward: &[bool]) -> Vec<u32> {
    let mut anchors: Vec<u32> = (0..graph.len() as u32).collect();
    for value in graph.values().filter(|value| !is_forward[value.index()]) {
        // A cotangent goes back from what was computed late to what was computed early.
        let operands = graph.operands(value).iter().filter(|&&operand| says_place(graph, operand));
        anchors[value.index()] = operands.map(|operand| anchors[operand.index()]).min().unwrap_or(NOWHERE);
    }
    let mut first_use = vec![NOWHERE; graph.len()];
    for value in graph.values().rev() {
        let index = value.index();
        anchors[index] = if anchors[index] == NOWHERE { first_use[index] } else { anchors[index] };
        for operand in graph.operands(value) {
            first_use[operand.index()] = first_use[operand.index()].min(anchors[index]);
        }
    }
    anchors
}

/// For each value of a graph, its block.
fn blocks(graph: &Graph, is_forward: &[bool]) -> Vec<u32> {
    let says_place = graph.values().map(|value| says_place(graph, value)).collect();
    let mut blocks = Blocks { graph, says_place, of: vec![NOWHERE; graph.len()] };
    blocks.place_forward(is_forward);
    // What is computed from inputs and state alone belongs to the place where it is used.
    blocks.place_by_use();
    blocks.place_backward(is_forward);
    blocks.place_by_use();
    blocks.unite_results();
    blocks.of
}

/// The blocks as far as they are known.
struct Blocks<'g> {
    graph: &'g Graph,
    /// Whether a value is of one place in the network.
    says_place: Vec<bool>,
    /// For each value, its block.
    of: Vec<u32>,
}

impl Blocks<'_> {
    /// The block of a value, if it has one and that says anything about what is computed from it.
    fn known(&self, value: ValueId) -> Option<u32> {
        Some(self.of[value.index()]).filter(|&block| block != NOWHERE && self.says_place[value.index()])
    }

    fn place_forward(&mut self, is_forward: &[bool]) {
        // For each value, how many products it depends on one after the other. Of two with the same number, none depends on the other.
        let mut depths = vec![0u32; self.graph.len()];
        let mut joined = Joined((0..self.graph.len() as u32).collect());
        for value in self.graph.values().filter(|value| is_forward[value.index()]) {
            let operands = self.graph.operands(value);
            let depth = operands.iter().map(|operand| depths[operand.index()]).max().unwrap_or(0);
            if begins_block(self.graph, value) {
                depths[value.index()] = depth + 1;
                self.of[value.index()] = value.index() as u32;
                continue;
            }
            depths[value.index()] = depth;
            let deepest = operands.iter().filter(|operand| depths[operand.index()] == depth);
            let block = deepest.filter_map(|&operand| self.known(operand)).reduce(|one, other| joined.join(one, other));
            let any = || operands.iter().filter_map(|&operand| self.known(operand)).max();
            self.of[value.index()] = block.or_else(any).unwrap_or(NOWHERE);
        }
        let placed = self.of.iter_mut().filter(|block| **block != NOWHERE);
        placed.for_each(|block| *block = joined.first(*block));
    }

    fn place_backward(&mut self, is_forward: &[bool]) {
        let mut by_origin: FxHashMap<Origin, SmallVec<[u32; 2]>> = FxHashMap::default();
        for value in self.graph.values().filter(|&value| is_forward[value.index()] && self.graph.leaf(value).is_none())
        {
            let (block, origin) = (self.of[value.index()], self.graph.node(value).origin);
            if block != NOWHERE && origin.span.is_some() {
                let of_origin = by_origin.entry(origin).or_default();
                of_origin.push(block);
            }
        }
        by_origin.values_mut().for_each(|blocks| {
            blocks.sort_unstable();
            blocks.dedup();
        });
        for value in self.graph.values().filter(|value| !is_forward[value.index()]) {
            let node = self.graph.node(value);
            let known = |forward: bool| {
                let operands = node.operands.iter().filter(move |operand| is_forward[operand.index()] == forward);
                operands.filter_map(|&operand| self.known(operand))
            };
            self.of[value.index()] = match by_origin.get(&node.origin) {
                // Where one function is called by several layers, a cotangent comes from its own block or a later one, and what it
                // meets there was computed before.
                Some(own) => {
                    let from_computed = known(true).max().and_then(|from| own.iter().find(|&&block| block >= from));
                    let to_cotangent =
                        || own.iter().rfind(|&&block| known(false).min().is_none_or(|last| block <= last));
                    from_computed.or_else(to_cotangent).or(own.first()).copied().unwrap_or(NOWHERE)
                }
                None => known(true).chain(known(false)).min().unwrap_or(NOWHERE),
            };
        }
    }

    /// Puts the results of a loop where the loop is: no region is given a loop as an input.
    fn unite_results(&mut self) {
        for value in self.graph.values() {
            if let [packed] = *self.graph.operands(value)
                && self.graph.is_packed(packed)
            {
                self.of[value.index()] = self.of[packed.index()];
            }
        }
    }

    /// Gives what has no block yet that of what uses it first.
    fn place_by_use(&mut self) {
        let mut first_use = vec![NOWHERE; self.of.len()];
        for value in self.graph.values().rev() {
            let index = value.index();
            if self.of[index] == NOWHERE {
                self.of[index] = first_use[index];
            }
            for operand in self.graph.operands(value).iter().map(|operand| operand.index()) {
                if self.says_place[operand] {
                    first_use[operand] = first_use[operand].min(self.of[index]);
                }
            }
        }
    }
}

/// Which blocks are one: for each, one that it is joined to, or itself.
struct Joined(Vec<u32>);

impl Joined {
    /// The first block among those that this one is joined to.
    fn first(&mut self, block: u32) -> u32 {
        let mut first = block;
        while self.0[first as usize] != first {
            first = self.0[first as usize];
        }
        // So that the next look is short.
        let mut next = block;
        while next != first {
            next = std::mem::replace(&mut self.0[next as usize], first);
        }
        first
    }

    /// Makes two blocks one.
    fn join(&mut self, one: u32, other: u32) -> u32 {
        let (one, other) = (self.first(one), self.first(other));
        let (first, second) = (one.min(other), one.max(other));
        self.0[second as usize] = first;
        first
    }
}

/// Whether a value of the forward pass begins a block.
fn begins_block(graph: &Graph, value: ValueId) -> bool {
    graph.op(value).is_some_and(|op| op.def.class == Class::Contract || op.is(&SCAN))
}

/// Whether a value is of one place in the network. A leaf is not, nor is one number for the whole network, such as the factor of a
/// clipped gradient, or one that is spread out.
fn says_place(graph: &Graph, value: ValueId) -> bool {
    let is_number = |value: ValueId| !graph.is_packed(value) && graph.shape(value).rank() == 0;
    let is_spread = graph.op(value).is_some_and(|op| op.def.class == Class::Movement)
        && graph.operands(value).iter().all(|&operand| is_number(operand));
    graph.leaf(value).is_none() && !is_number(value) && !is_spread
}

/// For each value, whether some result depends on it that is not a derivative or an update.
fn forward(graph: &Graph) -> Vec<bool> {
    let mut forward = vec![false; graph.len()];
    let is_forward = |role: Role| matches!(role, Role::Output | Role::Loss | Role::Metric);
    let results = graph.outputs().iter().filter(|output| is_forward(output.role));
    results.for_each(|output| forward[output.value.index()] = true);
    for value in graph.values().rev() {
        if forward[value.index()] {
            graph.operands(value).iter().for_each(|operand| forward[operand.index()] = true);
        }
    }
    forward
}
