//! The one door into these tests: a graph is scheduled, with fusion and without (then with scratch memory), and with
//! operands that are packed once, its plan is verified and run, and the
//! results are compared with the interpreter's.

use gradc_ir::{Graph, LeafKind, Role, Tensor, ValueId};
use gradc_schedule::plan::{self, Gemm, Operand, Packing, Plan};
use gradc_schedule::{Options, schedule};

/// Checks the plan of a graph on some leaves, and gives the fused one.
pub(crate) fn check(graph: &Graph, bindings: &[(ValueId, Tensor)], tolerance: f64) -> Plan {
    gradc_ir::verify::verify(graph).unwrap();
    let expected = gradc_interp::evaluate(graph, bindings).unwrap();
    let options =
        Options { fuse: false, refine: false, memory_limit: None, scratch_bytes: |_| 100, ..Options::default() };
    let (plain, fused) = (schedule(graph, &options), schedule(graph, &Options::default()));
    let packed = schedule(graph, &Options { packing: right, ..Options::default() });
    for plan in [&plain, &fused, &packed] {
        let context = || format!("{}\n{}", plan::print(plan), plan::print_kernels(plan));
        plan::verify(plan).unwrap_or_else(|error| panic!("{error}\n{}", context()));
        let slots = plan::evaluate(plan, &leaves(graph, bindings));
        for (output, expected) in graph.outputs().iter().zip(&expected) {
            let found = result(graph, plan, &slots, output.role, &output.name);
            let name = &output.name;
            assert_close(found, expected, tolerance, || format!("{} {name}\n{}", output.role.keyword(), context()));
        }
    }
    fused
}

/// Whatever multiplies would have its right operand packed, in a little more memory than it has elements.
pub(crate) fn right(gemm: &Gemm) -> Option<Packing> {
    let elements = gemm.packed_elements(Operand::B)?;
    Some(Packing { operand: Operand::B, bytes: elements * gemm.dtype.size() + 8 })
}

/// The tensors of all leaves in the order of a plan's interface.
pub(crate) fn leaves(graph: &Graph, bindings: &[(ValueId, Tensor)]) -> Vec<Tensor> {
    let kinds = [LeafKind::Input, LeafKind::Param, LeafKind::State].into_iter();
    let tensor = |leaf: ValueId| bindings.iter().find(|binding| binding.0 == leaf).unwrap().1.clone();
    kinds.flat_map(|kind| graph.leaves(kind)).map(tensor).collect()
}

/// The slot that a result is in.
fn result<'t>(graph: &Graph, plan: &Plan, slots: &'t [Tensor], role: Role, name: &str) -> &'t Tensor {
    let is_it = |slot: &plan::Slot| match &slot.kind {
        plan::SlotKind::Result(found) => *found == role && slot.name == name,
        plan::SlotKind::Leaf(_) => {
            role == Role::Update && slot.name == name && graph.outputs().iter().any(|output| *output.name == *name)
        }
    };
    &slots[plan.interface.iter().position(is_it).unwrap()]
}

fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, context: impl Fn() -> String) {
    assert_eq!(found.ty(), expected.ty(), "{}", context());
    for (i, (&a, &b)) in found.data().iter().zip(expected.data()).enumerate() {
        let close = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * (1.0 + b.abs());
        assert!(close, "element {i} is {a}, not {b}: {}", context());
    }
}
