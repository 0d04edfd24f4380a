//! What a model costs.

use gradc_ir::op::matmul;
use gradc_ir::op::reduce_mean::REDUCE_MEAN;
use gradc_ir::op::scan::Scan;
use gradc_ir::{Class, Graph, LeafKind};

/// Counts over one run of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Operations that results depend on: values that are not leaves or constants.
    pub operations: usize,
    /// Floating-point operations: two for each term of a matrix product, one for each element of an elementwise result
    /// and for each element that a reduction reads; a mean also divides. Movement is free.
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
    (cost.operations, cost.flops) = work(graph);
    cost
}

/// The operations that results depend on, and the floating-point operations that they take. The body of a loop counts
/// once among the operations, and its work for each step.
fn work(graph: &Graph) -> (usize, u64) {
    let (mut operations, mut total) = (0, 0u64);
    let live = graph.live();
    for value in graph.values().filter(|value| live[value.index()]) {
        let Some(op) = graph.op(value) else { continue };
        let operand = |i: usize| graph.ty(graph.operands(value)[i]);
        let elements = graph.shape(value).elements() as u64;
        let flops = match op.def.class {
            Class::Source | Class::Custom => continue,
            Class::Elementwise => elements,
            // A mean also divides.
            Class::Reduce if op.is(&REDUCE_MEAN) => operand(0).shape.elements() as u64 + elements,
            Class::Reduce | Class::Accumulate => operand(0).shape.elements() as u64,
            Class::Contract => 2 * elements * matmul::sizes(&op.attrs, operand(0), operand(1)).2 as u64,
            Class::Movement | Class::Indexed => 0,
            Class::Scan => match Scan::of(op) {
                Some(scan) => {
                    let (inner, step) = work(scan.body.graph());
                    operations += inner;
                    step.saturating_mul(scan.length as u64)
                }
                None => continue,
            },
        };
        operations += 1;
        total = total.saturating_add(flops);
    }
    (operations, total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::{Body, DType, Init, Role, TensorType};

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

    #[test]
    fn the_work_of_a_loop_is_that_of_all_its_steps() {
        let mut step = Graph::new("step");
        let x = step.input("x", TensorType::new(DType::F32, [3]));
        let (e, y) = (step.exp(x), step.neg(x));
        let y = step.add(e, y);
        step.add_output(Role::Output, "y", y);
        let body = Body::new(&step).unwrap();
        let mut graph = Graph::new("g");
        let x = graph.input("x", TensorType::new(DType::F32, [10, 3]));
        let scan = graph.scan(&Scan { body, carries: 0, sequences: 1, length: 10, reverse: false }, &[x]);
        let y = graph.result_of(scan, 0);
        graph.add_output(Role::Output, "y", y);
        assert_eq!(cost(&graph), Cost { operations: 4, flops: 90, ..Cost::default() });
    }
}
