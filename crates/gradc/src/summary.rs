//! What a model costs: what its graph says, and what its plan asks of a machine.

use gradc_ir::{Graph, LeafKind, Work, work};
use gradc_schedule::plan::{Plan, Step, traffic};

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

/// What a plan asks of a machine, and how long that takes: the model of time by which alternatives are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Floating-point operations, as [`cost`] counts them.
    pub flops: u64,
    /// Bytes of the buffers that steps read and write, as [`traffic`] counts them.
    pub bytes: u64,
    /// Kernels and products that are begun.
    pub kernels: u64,
}

impl Demand {
    /// Floating-point operations that a core does in a second, bytes that it moves, and kernels that it begins. They stand for
    /// no machine, but weigh the three as most do.
    const FLOPS: f64 = 50e9;
    const BANDWIDTH: f64 = 20e9;
    const LAUNCHES: f64 = 10e6;

    /// The demand of a plan, but for what is done once for many runs; `flops` are those of the graph that it was made of.
    pub fn of(plan: &Plan, flops: u64) -> Demand {
        let mut sum = Demand { flops, ..Demand::default() };
        for step in &plan.steps[plan.prologue.steps..] {
            let own = Demand::of_step(plan, step);
            (sum.bytes, sum.kernels) = (sum.bytes.saturating_add(own.bytes), sum.kernels.saturating_add(own.kernels));
        }
        sum
    }

    /// What a step of a plan moves and begins. A loop does so as often as its body runs.
    pub fn of_step(plan: &Plan, step: &Step) -> Demand {
        if let Step::Scan(scan) = step {
            let once = Demand::of(&plan.bodies[scan.body], 0);
            let times = scan.length as u64;
            let (bytes, kernels) = (once.bytes.saturating_mul(times), once.kernels.saturating_mul(times));
            return Demand { flops: 0, bytes, kernels };
        }
        let traffic = traffic(plan, step);
        Demand { flops: 0, bytes: traffic.read as u64 + traffic.written as u64, kernels: 1 }
    }

    /// In seconds, on one core.
    pub fn seconds(self) -> f64 {
        self.flops as f64 / Demand::FLOPS
            + self.bytes as f64 / Demand::BANDWIDTH
            + self.kernels as f64 / Demand::LAUNCHES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::op::scan::Scan;
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

    #[test]
    fn the_demand_of_a_loop_is_that_of_all_its_steps() {
        let mut step = Graph::new("step");
        let x = step.input("x", TensorType::new(DType::F32, [3]));
        let y = step.neg(x);
        step.add_output(Role::Output, "y", y);
        let body = gradc_ir::Body::new(&step).unwrap();
        let mut graph = Graph::new("g");
        let x = graph.input("x", TensorType::new(DType::F32, [10, 3]));
        let scan = Scan { body, carries: 0, sequences: 1, length: 10, reverse: false };
        let scan = graph.scan(&scan, &[x]);
        let y = graph.result_of(scan, 0);
        graph.add_output(Role::Output, "y", y);
        let plan = gradc_schedule::schedule(&graph, &gradc_schedule::Options::default());
        let demand = Demand::of(&plan, 30);
        assert_eq!(demand, Demand { flops: 30, bytes: 10 * (12 + 12), kernels: 10 });
        assert!(demand.seconds() > Demand { flops: 0, ..demand }.seconds());
    }
}
