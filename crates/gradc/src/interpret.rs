//! Evaluation by the reference interpreter, in place of compiled code.

use std::collections::BTreeMap;

use gradc_interp::EvalError;
use gradc_ir::{Graph, LeafKind, Role, Tensor as Reference, ValueId};

use crate::bounds::check_indices;
use crate::error::{Error, InputError};
use crate::memory;
use crate::state::State;
use crate::{Tensor, TensorView};

/// The results of `graph`, in its order, computed operator by operator by their reference evaluation. `bounds` says which
/// inputs are indices ([`index_bounds`](crate::index_bounds) of the graph that this one was made of).
///
/// # Errors
/// Where inputs or state do not fit, or there is not enough memory.
pub fn interpret(
    graph: &Graph,
    bounds: &BTreeMap<String, usize>,
    state: &State,
    inputs: &[(&str, TensorView<'_>)],
) -> Result<Vec<(Role, String, Tensor)>, Error> {
    let live = graph.live();
    memory::ensure(peak_bytes(graph, &live))?;
    for (name, view) in inputs {
        check_indices(name, bounds.get(*name).copied(), view)?;
    }
    let mut bindings = Vec::new();
    for leaf in graph.values().filter(|leaf| live[leaf.index()]) {
        let (Some(kind), Some(name)) = (graph.leaf(leaf), graph.value_name(leaf)) else { continue };
        let given = match kind {
            LeafKind::Input => inputs.iter().find(|(own, _)| *own == &**name).map(|(_, view)| view.view()),
            LeafKind::Param | LeafKind::State => state.get(name).map(Tensor::view),
        };
        let expected = graph.ty(leaf).clone();
        let Some(given) = given else {
            return Err(InputError::Missing { name: name.to_string(), expected }.into());
        };
        let found = given.ty();
        if found != expected {
            return Err(InputError::WrongType { name: name.to_string(), expected, found }.into());
        }
        bindings.push((leaf, Reference::new(expected, given.numbers())));
    }
    let results = gradc_interp::evaluate(graph, &bindings)
        .unwrap_or_else(|error: EvalError| unreachable!("every live leaf is bound to a tensor of its type: {error}"));
    let tensor = |reference: &Reference| {
        Tensor::from_numbers(reference.ty(), reference.data().iter().copied())
            .unwrap_or_else(|| unreachable!("a tensor has as many numbers as its type"))
    };
    let named = graph.outputs().iter().zip(&results);
    Ok(named.map(|(output, result)| (output.role, output.name.to_string(), tensor(result))).collect())
}

/// The most memory that the interpreter holds at once: every element is a double, and a value lives until its last use.
fn peak_bytes(graph: &Graph, live: &[bool]) -> usize {
    let bytes = |value: ValueId| graph.shape(value).elements().saturating_mul(size_of::<f64>());
    let mut uses = vec![0usize; graph.len()];
    for value in graph.values().filter(|value| live[value.index()]) {
        graph.operands(value).iter().for_each(|operand| uses[operand.index()] += 1);
    }
    graph.outputs().iter().for_each(|output| uses[output.value.index()] += 1);
    let (mut held, mut peak) = (0usize, 0usize);
    for value in graph.values().filter(|value| live[value.index()]) {
        held = held.saturating_add(bytes(value));
        peak = peak.max(held);
        for operand in graph.operands(value) {
            uses[operand.index()] -= 1;
            if uses[operand.index()] == 0 {
                held = held.saturating_sub(bytes(*operand));
            }
        }
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::{DType, TensorType};

    #[test]
    fn values_that_do_not_fit_are_an_error() {
        let mut graph = Graph::new("large");
        // Together more than any address space holds, so that no system grants it.
        for i in 0..32 {
            let value = graph.full(f64::from(i), &TensorType::new(DType::F32, [1 << 20, 1 << 20]));
            graph.add_output(Role::Output, format!("y{i}"), value);
        }
        let result = interpret(&graph, &BTreeMap::new(), &State::initial(&graph, 0), &[]);
        assert!(matches!(result, Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn a_value_is_held_until_its_last_use() {
        let mut graph = Graph::new("chain");
        let mut value = graph.input("x", TensorType::new(DType::F32, [10]));
        for _ in 0..5 {
            value = graph.exp(value);
        }
        graph.add_output(Role::Output, "y", value);
        assert_eq!(peak_bytes(&graph, &graph.live()), 2 * 10 * size_of::<f64>());
    }
}
