//! Formulas that say what they mean, computed in a way that loses fewer digits or takes fewer operations.
//!
//! The graph that reaches the scheduler is the one that people read. What is done here is no simplification: the formulas
//! become longer, and are rounded otherwise. So nothing of it is done in the strict mode.

mod centre;
mod factor;
mod share;

use std::borrow::Cow;

use gradc_ir::{Graph, ValueId};

/// The graph with what can be computed better written so.
pub(crate) fn refine(graph: &Graph) -> Cow<'_, Graph> {
    [centre::centre, share::share, factor::distribute].into_iter().fold(Cow::Borrowed(graph), |graph, pass| match graph
    {
        Cow::Borrowed(graph) => pass(graph),
        Cow::Owned(graph) => Cow::Owned(pass(&graph).into_owned()),
    })
}

/// The graph with some values written anew; `write` is given a value and the graph so far, with the places of earlier values
/// in it, and says which value of that graph it becomes, if it is one of them.
pub(crate) fn rewritten(
    graph: &Graph,
    mut write: impl FnMut(ValueId, &mut Graph, &[ValueId]) -> Option<ValueId>,
) -> Graph {
    let mut new = graph.emptied();
    let mut places: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        new.set_origin(graph.node(value).origin);
        let place = match write(value, &mut new, &places) {
            Some(written) => {
                if let Some(name) = graph.value_name(value) {
                    new.set_value_name(written, name.clone());
                }
                written
            }
            None => {
                let operands: Vec<ValueId> =
                    graph.operands(value).iter().map(|operand| places[operand.index()]).collect();
                new.copy_node(graph, value, &operands)
            }
        };
        places.push(place);
    }
    for output in graph.outputs() {
        new.add_output(output.role, output.name.clone(), places[output.value.index()]);
    }
    new
}
