//! Where `stop_gradient` is, in loops too.
//!
//! What a `stop_gradient` in the body of a loop gives is another value in each step. Such a loop becomes two: one that
//! stacks these values, and one that takes them as sequences. The stacks are values of the graph around, where they can be
//! held still like any other.

use std::sync::Arc;

use gradc::ir::op::scan::Scan;
use gradc::ir::op::stop_gradient::STOP_GRADIENT;
use gradc::ir::{Body, Graph, ValueId};

/// An equal graph in which no loop computes what a `stop_gradient` gives and goes on with it.
pub(crate) struct Opened {
    /// The graph, without results.
    pub(crate) graph: Graph,
    /// For each value of the graph it was made from, the value there.
    pub(crate) renumbered: Vec<ValueId>,
    /// What is to be held still, in the graph's order: what each `stop_gradient` gives, and stacks of it.
    pub(crate) stops: Vec<ValueId>,
}

impl Opened {
    /// Opens the loops of a graph, and those within their bodies.
    pub(crate) fn new(graph: &Graph) -> Opened {
        let live = graph.live();
        let mut opened =
            Opened { graph: graph.emptied(), renumbered: Vec::with_capacity(graph.len()), stops: Vec::new() };
        for value in graph.values() {
            let operands: Vec<ValueId> =
                graph.operands(value).iter().map(|operand| opened.renumbered[operand.index()]).collect();
            opened.graph.set_origin(graph.node(value).origin);
            let scan = graph.as_scan(value).filter(|_| live[value.index()]);
            let held = scan.and_then(|scan| opened.scan(&scan, &operands));
            let copy = held.unwrap_or_else(|| opened.graph.copy_node(graph, value, &operands));
            if live[value.index()] && graph.op(value).is_some_and(|op| op.is(&STOP_GRADIENT)) {
                opened.stops.push(copy);
            }
            opened.renumbered.push(copy);
        }
        opened
    }

    /// A loop as two, if it has anything to be held still.
    fn scan(&mut self, scan: &Scan, operands: &[ValueId]) -> Option<ValueId> {
        let step = Opened::new(scan.body.graph());
        if step.stops.is_empty() {
            return None;
        }
        let inputs: Vec<ValueId> = scan.body.inputs().iter().map(|input| step.renumbered[input.index()]).collect();
        let outputs = scan.body.graph().outputs().iter();
        let results: Vec<(Arc<str>, ValueId)> =
            outputs.map(|output| (output.name.clone(), step.renumbered[output.value.index()])).collect();
        let stopped = step.stops.iter().map(|&stop| ("stopped".into(), stop));
        let body = |inputs: &[ValueId], results: &[(Arc<str>, ValueId)]| {
            let body = Body::new(&step.graph.part(inputs, results));
            body.unwrap_or_else(|error| unreachable!("gradc has a bug: {error}"))
        };
        let all: Vec<(Arc<str>, ValueId)> = results.iter().cloned().chain(stopped).collect();
        let recording = self.graph.scan(&Scan { body: body(&inputs, &all), ..scan.clone() }, operands);
        let stacks: Vec<ValueId> =
            (scan.results()..all.len()).map(|index| self.graph.result_of(recording, index)).collect();

        let constants = scan.first_constant();
        let inputs = [&inputs[..constants], &step.stops, &inputs[constants..]].concat();
        let operands = [&operands[..constants], &stacks, &operands[constants..]].concat();
        let sequences = scan.sequences + stacks.len();
        let held = Scan { body: body(&inputs, &results), sequences, ..scan.clone() };
        self.stops.extend(stacks);
        Some(self.graph.scan(&held, &operands))
    }
}
