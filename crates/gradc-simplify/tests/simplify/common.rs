//! What the tests of the simplifier share: from a source to the raw derivative of its model.

use gradc_diagnostics::SourceMap;
use gradc_elaborate::{Dims, NoFiles, analyse};
use gradc_ir::{Graph, Role, ValueId};
use gradc_simplify::{Mode, Options};

/// The graph of the only model of a source.
pub(crate) fn model(name: &str, text: &str) -> Graph {
    model_with(name, text, &[])
}

/// The same with values for its dims.
pub(crate) fn model_with(name: &str, text: &str, dims: &[(&str, i64)]) -> Graph {
    let dims: Dims = dims.iter().map(|&(name, extent)| (name.to_owned(), extent)).collect();
    let mut sources = SourceMap::new();
    let root = sources.add(name, text.to_owned());
    let analysis = analyse(&mut sources, root, &NoFiles);
    assert!(!analysis.has_errors(), "{name}: {:?}", analysis.diagnostics());
    let model = analysis.models()[0].to_owned();
    let (elaborated, diagnostics) = analysis.elaborate(&model, &dims);
    elaborated.unwrap_or_else(|| panic!("{name}: {diagnostics:?}")).graph
}

/// The graph with the derivative of its loss by every float leaf that the loss depends on.
pub(crate) fn differentiated(graph: &Graph) -> Graph {
    let loss = graph.loss().expect("the model has a loss");
    let is_target = |&value: &ValueId| graph.leaf(value).is_some() && graph.dtype(value).is_float();
    let targets: Vec<ValueId> = graph.values().filter(is_target).collect();
    let found = gradc_autodiff::gradient(graph, loss, &targets);
    let mut result = found.graph;
    for (target, cotangent) in targets.into_iter().zip(found.cotangents) {
        if let Some(cotangent) = cotangent {
            let name = result.value_name(target).expect("leaves have names").clone();
            result.add_output(Role::Gradient, name, cotangent);
        }
    }
    result
}

/// Stabilised and differentiated, as the pipeline does before it simplifies.
pub(crate) fn raw_gradient(graph: &Graph, mode: Mode) -> Graph {
    differentiated(&gradc_simplify::stabilise(graph, &Options::in_mode(mode)).graph)
}

/// How many values of a graph are computed.
pub(crate) fn operations(graph: &Graph) -> usize {
    graph.values().filter(|&value| graph.op(value).is_some_and(|op| op.def.name != "full")).count()
}
