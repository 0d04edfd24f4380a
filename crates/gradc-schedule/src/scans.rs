//! Loops: their bodies are graphs, and get plans of their own.

use gradc_ir::op::scan::Scan;
use gradc_ir::{Body, Graph, Init, LeafKind, Role, ValueId};
use rustc_hash::FxHashMap;

use crate::plan::{
    self, Buffer, BufferId, Gemm, Location, Packed, Plan, Prologue, ScanSlot, Slot, SlotId, SlotKind, Step,
};
use crate::{Options, schedule};

/// The plans of the bodies of a graph's loops. Equal bodies share one, where the loops give them the same in each step.
pub(crate) struct Bodies {
    /// The plans.
    pub(crate) plans: Vec<Plan>,
    /// For each, the operands of its products that are to be packed before the loop: for its last slots, in their order.
    packed: Vec<Vec<Gemm>>,
    by_body: FxHashMap<Key, usize>,
}

impl Bodies {
    /// Schedules the bodies of all loops in `roots`.
    pub(crate) fn new(graph: &Graph, roots: impl Iterator<Item = ValueId>, options: &Options) -> Bodies {
        // The arena of a body is a buffer of the plan, whose memory is limited as a whole.
        let options = &Options { memory_limit: None, ..options.clone() };
        let unpacked = &Options { packing: |_| None, ..options.clone() };
        let mut bodies = Bodies { plans: Vec::new(), packed: Vec::new(), by_body: FxHashMap::default() };
        for scan in roots.filter_map(|root| graph.as_scan(root)) {
            if !bodies.by_body.contains_key(&key(&scan)) {
                let options = if scan.length < FEW { unpacked } else { options };
                let (plan, packed) = without_prologue(schedule(&with_state(&scan), options));
                bodies.plans.push(plan);
                bodies.packed.push(packed);
                bodies.by_body.insert(key(&scan), bodies.plans.len() - 1);
            }
        }
        bodies
    }

    /// The products of a plan whose operands are to be packed before the loop.
    pub(crate) fn packed(&self, position: usize) -> &[Gemm] {
        &self.packed[position]
    }

    /// The position of the plan of a loop's body.
    pub(crate) fn position(&self, scan: &Scan) -> Option<usize> {
        self.by_body.get(&key(scan)).copied()
    }
}

/// What the plan of a body depends on: its inputs are carries, sequences and constants, so many of each.
type Key = (Body, usize, usize);

fn key(scan: &Scan) -> Key {
    (scan.body.clone(), scan.carries, scan.sequences)
}

/// In a loop of so few steps it is not worth while to pack what is the same in all of them.
const FEW: usize = 4;

/// A plan of a body whose prologue is left to the plan around it: it packs the operands of these products, and the body is given them
/// in slots of their own, behind all others.
fn without_prologue(mut plan: Plan) -> (Plan, Vec<Gemm>) {
    let count = plan.prologue.steps;
    let mut products = Vec::with_capacity(count);
    for step in &plan.steps[..count] {
        let Step::Pack(gemm) = step else { unreachable!("a prologue packs") };
        let Some(Packed { buffer, .. }) = gemm.packed else { continue };
        let Buffer { name, ty, location } = &mut plan.buffers[buffer.0 as usize];
        // What lasts is behind everything else.
        if let Location::Arena(offset) = *location {
            plan.arena_bytes = plan.arena_bytes.min(offset);
        }
        *location = Location::Slot(SlotId(plan.interface.len() as u32));
        plan.interface.push(Slot { kind: SlotKind::Leaf(LeafKind::Param), name: name.clone(), ty: ty.clone() });
        products.push(**gemm);
    }
    plan.steps.drain(..count);
    plan.computed.drain(..count);
    plan.prologue = Prologue::default();
    (plan, products)
}

/// The body with its carries as state that it updates: one step's update is where the next finds it. What is the same in all steps
/// of the loop are its parameters.
fn with_state(scan: &Scan) -> Graph {
    let body = scan.body.graph();
    let mut graph = body.emptied();
    let mut inputs = 0;
    let mut map: Vec<ValueId> = Vec::with_capacity(body.len());
    for value in body.values() {
        let operands: Vec<ValueId> = body.operands(value).iter().map(|operand| map[operand.index()]).collect();
        map.push(match (body.leaf(value), body.value_name(value)) {
            (Some(_), Some(name)) => {
                inputs += 1;
                let first = || Some(Init::Constant(0.0.into()));
                let (kind, init) = match inputs {
                    _ if inputs <= scan.carries => (LeafKind::State, first()),
                    _ if inputs <= scan.carries + scan.sequences => (LeafKind::Input, None),
                    _ => (LeafKind::Param, first()),
                };
                graph.add_leaf(kind, name.clone(), body.ty(value).clone(), init)
            }
            _ => graph.copy_node(body, value, &operands),
        });
    }
    for (at, output) in body.outputs().iter().enumerate() {
        let value = map[output.value.index()];
        match scan.body.inputs().get(at).filter(|_| at < scan.carries).and_then(|&input| body.value_name(input)) {
            Some(carry) => graph.add_output(Role::Update, carry.clone(), value),
            None => graph.add_output(Role::Output, output.name.clone(), value),
        }
    }
    graph
}

/// What the slots of a body's plan are bound to: sequences and constants, then carries, then stacks, as the interface of
/// the plan of [`with_state`] has them; not what is packed. `operands` are the buffers of the loop's operands, `results` those of its results.
pub(crate) fn slots(scan: &Scan, operands: &[BufferId], results: &[BufferId]) -> Vec<ScanSlot> {
    let (starts, given) = operands.split_at(scan.carries);
    let (last, stacks) = results.split_at(scan.carries);
    let (sequences, constants) = given.split_at(scan.sequences);
    let carries = starts.iter().zip(last).map(|(&start, &memory)| ScanSlot::Carry { start, memory });
    sequences
        .iter()
        .map(|&buffer| ScanSlot::Slice(buffer))
        .chain(constants.iter().map(|&buffer| ScanSlot::Whole(buffer)))
        .chain(carries)
        .chain(stacks.iter().map(|&buffer| ScanSlot::Slice(buffer)))
        .collect()
}

/// A step that runs a loop.
pub(crate) fn step(scan: &Scan, body: usize, slots: Vec<ScanSlot>, arena: BufferId) -> plan::Step {
    plan::Step::Scan(plan::Scan { body, length: scan.length, reverse: scan.reverse, slots, arena })
}

#[cfg(test)]
mod tests {
    use gradc_ir::{DType, TensorType};

    use super::*;

    /// What is a slice in each step of one loop, and the same in all steps of another, is read in another way.
    #[test]
    fn loops_of_one_body_share_its_plan_only_where_they_give_it_the_same() {
        let mut step = Graph::new("step");
        let x = step.input("x", TensorType::new(DType::F32, [3]));
        let w = step.input("w", TensorType::new(DType::F32, [3]));
        let y = step.mul(x, w);
        step.add_output(Role::Output, "y", y);
        let body = Body::new(&step).unwrap();
        let mut graph = Graph::new("g");
        let xs = graph.input("xs", TensorType::new(DType::F32, [10, 3]));
        let w = graph.input("w", TensorType::new(DType::F32, [3]));
        for (sequences, operands) in [(2, [xs, xs]), (1, [xs, w]), (1, [xs, w])] {
            let scan = Scan { body: body.clone(), carries: 0, sequences, length: 10, reverse: false };
            let scan = graph.scan(&scan, &operands);
            let y = graph.result_of(scan, 0);
            graph.add_output(Role::Output, format!("y{}", y.index()), y);
        }
        let plan = schedule(&graph, &Options::default());
        assert_eq!(plan.bodies.len(), 2);
        assert_eq!(plan::verify(&plan), Ok(()));
    }
}
