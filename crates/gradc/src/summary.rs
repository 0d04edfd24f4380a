//! What a model costs.

use gradc_ir::{Graph, LeafKind, Work, work};

/// Counts over one run of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Operations that results depend on, as [`gradc_ir::work`] counts them.
    pub operations: usize,
    /// Floating-point operations, counted there.
    pub flops: u64,
    /// Number of trainable numbers.
    pub parameters: usize,
    /// Bytes of the parameters.
    pub parameter_bytes: usize,
}

/// The cost of what the results of `graph` depend on.
pub fn cost(graph: &Graph) -> Cost {
    let mut cost = Cost::default();
    for param in graph.leaves(LeafKind::Param) {
        let ty = graph.ty(param);
        cost.parameters += ty.shape.elements();
        cost.parameter_bytes += ty.bytes();
    }
    let Work { operations, flops } = work(graph);
    (cost.operations, cost.flops) = (operations, flops);
    cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::{DType, Init, Role, TensorType};

    #[test]
    fn only_what_results_depend_on_counts() {
        let mut graph = Graph::new("g");
        let x = graph.input("x", TensorType::new(DType::F32, [2, 3]));
        let w = graph.param("w", TensorType::new(DType::F32, [3, 5]), Init::Constant(0.0.into()));
        let y = graph.matmul(x, w);
        let dead = graph.exp(y);
        let z = graph.neg(y);
        let sum = graph.reduce_sum(z, &[0, 1]);
        graph.add_output(Role::Loss, "loss", sum);
        assert_eq!(graph.ty(dead), graph.ty(z));
        let expected = Cost { operations: 3, flops: 2 * 2 * 5 * 3 + 10 + 10, parameters: 15, parameter_bytes: 60 };
        assert_eq!(cost(&graph), expected);
    }
}
