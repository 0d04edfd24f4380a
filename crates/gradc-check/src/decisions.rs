//! The pieces of a piecewise function.
//!
//! Comparisons, signs, roundings, and which operand is the greatest decide what a function computes. A finite difference
//! that crosses such a decision is one between two pieces, and says nothing of the derivative of either; where there are
//! many (a deep network of rectifiers has tens of thousands), no step misses them all. With every decision held at what it
//! is at a point, what is left is the piece at that point, whose derivative is the function's.

use std::sync::Arc;

use gradc::ir::op::{
    abs::ABS, ceil::CEIL, floor::FLOOR, max::MAX, min::MIN, reduce_max::REDUCE_MAX, reduce_min::REDUCE_MIN,
    round::ROUND, sign::SIGN,
};
use gradc::ir::{Body, DType, Graph, Op, ValueId};

use gradc::ir::op::scan::Scan;

/// An equal graph in which every decision is under a `stop_gradient`, in loops too; and the new number of
/// each value.
pub(crate) fn held(graph: &Graph) -> (Graph, Vec<ValueId>) {
    let mut result = graph.emptied();
    let mut renumbered: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let operands: Vec<ValueId> = graph.operands(value).iter().map(|operand| renumbered[operand.index()]).collect();
        result.set_origin(graph.node(value).origin);
        let piece = match (graph.as_scan(value), graph.op(value)) {
            (Some(scan), _) => Some(result.scan(&in_steps(&scan), &operands)),
            (None, Some(op)) => piece(&mut result, op, &operands),
            (None, None) => None,
        };
        let copy = piece.unwrap_or_else(|| {
            let copy = result.copy_node(graph, value, &operands);
            let decides = graph.op(value).is_some() && !graph.dtype(value).is_float();
            let is_float = |operand: &ValueId| graph.dtype(*operand).is_float();
            if decides && graph.operands(value).iter().any(is_float) { result.stop_gradient(copy) } else { copy }
        });
        renumbered.push(copy);
    }
    for output in graph.outputs() {
        result.add_output(output.role, output.name.clone(), renumbered[output.value.index()]);
    }
    (result, renumbered)
}

/// A loop with the decisions of each step held.
fn in_steps(scan: &Scan) -> Scan {
    let (graph, renumbered) = held(scan.body.graph());
    let inputs: Vec<ValueId> = scan.body.inputs().iter().map(|input| renumbered[input.index()]).collect();
    let outputs = scan.body.graph().outputs().iter();
    let results: Vec<(Arc<str>, ValueId)> =
        outputs.map(|output| (output.name.clone(), renumbered[output.value.index()])).collect();
    let body = Body::new(&graph.part(&inputs, &results));
    Scan { body: body.unwrap_or_else(|error| unreachable!("gradc has a bug: {error}")), ..scan.clone() }
}

/// What an operator that decides computes on the piece that it is on. What is shared at a tie is shared as the derivative
/// shares it.
fn piece(graph: &mut Graph, op: &Op, operands: &[ValueId]) -> Option<ValueId> {
    if !graph.dtype(operands.first().copied()?).is_float() {
        return None;
    }
    let steps = [&SIGN, &FLOOR, &CEIL, &ROUND];
    if steps.iter().any(|def| op.is(def)) {
        let level = graph.emit(op.clone(), operands);
        return Some(graph.stop_gradient(level));
    }
    if op.is(&ABS) {
        let sign = graph.sign(operands[0]);
        let sign = graph.stop_gradient(sign);
        return Some(graph.mul(operands[0], sign));
    }
    if op.is(&MAX) || op.is(&MIN) {
        let (a, b) = (operands[0], operands[1]);
        let (first, second) =
            if op.is(&MAX) { (graph.gt(a, b), graph.lt(a, b)) } else { (graph.lt(a, b), graph.gt(a, b)) };
        let (first, second) = (graph.stop_gradient(first), graph.stop_gradient(second));
        let sum = graph.add(a, b);
        let middle = graph.scale(sum, 0.5);
        let rest = graph.select(second, b, middle);
        return Some(graph.select(first, a, rest));
    }
    if op.is(&REDUCE_MAX) || op.is(&REDUCE_MIN) {
        let (x, axes) = (operands[0], op.attrs.ints("axes").to_vec());
        let shape = graph.shape(x).clone();
        let extreme = graph.emit(op.clone(), operands);
        let spread = graph.broadcast_back(extreme, &axes, &shape);
        let is_extreme = graph.eq(x, spread);
        let is_extreme = graph.stop_gradient(is_extreme);
        let zeros = graph.full_like(x, 0.0);
        let chosen = graph.select(is_extreme, x, zeros);
        let ones = graph.cast(is_extreme, DType::F64);
        let (sum, count) = (graph.reduce_sum(chosen, &axes), graph.reduce_sum(ones, &axes));
        return Some(graph.div(sum, count));
    }
    None
}
