//! How much arithmetic a graph is.

use crate::op::matmul;
use crate::op::reduce_mean::REDUCE_MEAN;
use crate::op::scan::Scan;
use crate::{Class, Graph};

/// Counts over one run of a graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Operations that results depend on: values that are not leaves or constants.
    pub operations: usize,
    /// Floating-point operations: two for each term of a matrix product, one for each element of an elementwise result
    /// and for each element that a reduction reads; a mean also divides. Movement is free.
    pub flops: u64,
}

impl Work {
    /// Whether it is more than another by either count.
    pub fn exceeds(self, other: Work) -> bool {
        self.operations > other.operations || self.flops > other.flops
    }
}

/// The work of what the results of a graph depend on. The body of a loop counts once among the operations, and its
/// floating-point operations for each step.
pub fn work(graph: &Graph) -> Work {
    let mut total = Work::default();
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
                    let step = work(scan.body.graph());
                    total.operations += step.operations;
                    step.flops.saturating_mul(scan.length as u64)
                }
                None => continue,
            },
        };
        total.operations += 1;
        total.flops = total.flops.saturating_add(flops);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Body, DType, Role, TensorType};

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
        assert_eq!(work(&graph), Work { operations: 4, flops: 90 });
    }
}
