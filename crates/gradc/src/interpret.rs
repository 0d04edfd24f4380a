//! Evaluation by the reference interpreter, in place of compiled code.

use gradc_interp::EvalError;
use gradc_ir::{Graph, LeafKind, Role, Tensor as Reference};

use crate::error::{Error, InputError};
use crate::state::State;
use crate::{Tensor, TensorView};

/// The results of `graph`, in its order, computed operator by operator by their reference evaluation.
///
/// # Errors
/// Where inputs or state do not fit.
pub fn interpret(
    graph: &Graph,
    state: &State,
    inputs: &[(&str, TensorView<'_>)],
) -> Result<Vec<(Role, String, Tensor)>, Error> {
    let live = graph.live();
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
