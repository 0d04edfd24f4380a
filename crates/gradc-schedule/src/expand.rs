//! Operators that have no loops of their own are written in others that do.

use std::borrow::Cow;

use gradc_ir::op::reduce_mean::REDUCE_MEAN;
use gradc_ir::{Graph, Op, ValueId};

/// The graph with each mean as a sum that is divided.
pub(crate) fn expand(graph: &Graph) -> Cow<'_, Graph> {
    if !graph.values().any(|value| graph.op(value).is_some_and(is_expanded)) {
        return Cow::Borrowed(graph);
    }
    let mut expanded = graph.emptied();
    let mut places: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let operands: Vec<ValueId> = graph.operands(value).iter().map(|operand| places[operand.index()]).collect();
        places.push(match graph.op(value) {
            Some(op) if is_expanded(op) => {
                expanded.set_origin(graph.node(value).origin);
                let mean = mean(&mut expanded, operands[0], op.attrs.ints("axes"));
                if let Some(name) = graph.value_name(value) {
                    expanded.set_value_name(mean, name.clone());
                }
                mean
            }
            _ => expanded.copy_node(graph, value, &operands),
        });
    }
    for output in graph.outputs() {
        expanded.add_output(output.role, output.name.clone(), places[output.value.index()]);
    }
    Cow::Owned(expanded)
}

fn is_expanded(op: &Op) -> bool {
    op.is(&REDUCE_MEAN)
}

fn mean(graph: &mut Graph, x: ValueId, axes: &[usize]) -> ValueId {
    let count = axes.iter().map(|&axis| graph.shape(x)[axis] as f64).product();
    let sum = graph.reduce_sum(x, axes);
    let count = graph.full_like(sum, count);
    graph.div(sum, count)
}
