//! Bodies that are run for each part of sequences.

use gradc_codegen::{CodegenError, Options, compile};
use gradc_ir::{DType, Graph, Init, LeafKind, Role, Tensor, TensorType};
use gradc_schedule::plan::{
    Buffer, BufferId, Location, Plan, Scan, ScanSlot, Slot, SlotId, SlotKind, Step, evaluate, print, verify,
};

use crate::support::{Memory, run};

/// `c ← tanh(x + (w @ cᵀ)ᵀ)`, of which each step gives the square.
fn body(width: usize) -> Plan {
    let mut graph = Graph::new("cell");
    let matrix = |rows: usize, columns: usize| TensorType::new(DType::F32, [rows, columns]);
    let x = graph.input("x", matrix(1, width));
    let w = graph.input("w", matrix(width, width));
    let c = graph.state("c", matrix(1, width), Init::Constant(0.0.into()));
    let product = graph.matmul_with(c, false, w, true);
    let sum = graph.add(x, product);
    let next = graph.tanh(sum);
    let square = graph.mul(next, next);
    graph.add_output(Role::Output, "y", square);
    graph.add_output(Role::Update, "c", next);
    gradc_schedule::schedule(&graph, &gradc_schedule::Options::default())
}

/// A plan of one step, which runs `body` on buffers of the caller's. `slots` says for each slot of the body how often its
/// buffer has the slot's tensor in it.
fn scan_of(body: Plan, length: usize, reverse: bool, times: impl Fn(&Slot) -> Option<usize>) -> Plan {
    let mut plan = Plan {
        name: "scan".into(),
        kernels: Vec::new(),
        bodies: Vec::new(),
        steps: Vec::new(),
        buffers: Vec::new(),
        interface: Vec::new(),
        arena_bytes: body.arena_bytes,
    };
    let add = |plan: &mut Plan, name: String, kind: SlotKind, dtype: DType, elements: usize| {
        let ty = TensorType::new(dtype, [elements]);
        plan.interface.push(Slot { kind, name: name.clone(), ty: ty.clone() });
        plan.buffers.push(Buffer { name, ty, location: Location::Slot(SlotId(plan.interface.len() as u32 - 1)) });
        BufferId(plan.buffers.len() as u32 - 1)
    };
    let (input, output) = (SlotKind::Leaf(LeafKind::Input), SlotKind::Result(Role::Output));
    let mut slots = Vec::new();
    // Leaves come first in every interface.
    for slot in body.interface.iter().filter(|slot| matches!(slot.kind, SlotKind::Leaf(_))) {
        let elements = slot.ty.shape.elements() * times(slot).unwrap_or(1);
        let buffer = add(&mut plan, slot.name.clone(), input.clone(), slot.ty.dtype, elements);
        slots.push(match slot.kind {
            SlotKind::Leaf(LeafKind::State) => ScanSlot::Carry { start: buffer, memory: buffer },
            _ if times(slot).is_some() => ScanSlot::Slice(buffer),
            _ => ScanSlot::Whole(buffer),
        });
    }
    for slot in body.interface.iter().filter(|slot| matches!(slot.kind, SlotKind::Result(_))) {
        let elements = slot.ty.shape.elements() * length;
        slots.push(ScanSlot::Slice(add(&mut plan, slot.name.clone(), output.clone(), slot.ty.dtype, elements)));
    }
    for (given, slot) in slots.iter_mut().zip(&body.interface) {
        if let ScanSlot::Carry { memory, .. } = given {
            *memory =
                add(&mut plan, format!("last {}", slot.name), output.clone(), slot.ty.dtype, slot.ty.shape.elements());
        }
    }
    let ty = TensorType::new(DType::Bool, [body.arena_bytes]);
    plan.buffers.push(Buffer { name: "arena".into(), ty, location: Location::Arena(0) });
    let arena = BufferId(plan.buffers.len() as u32 - 1);
    plan.bodies.push(body);
    plan.steps.push(Step::Scan(Scan { body: 0, length, reverse, slots, arena }));
    plan
}

fn sequence(width: usize, length: usize, reverse: bool) -> Plan {
    scan_of(body(width), length, reverse, |slot| (slot.name == "x").then_some(length))
}

/// Machine code and evaluator agree.
fn check(plan: &Plan) -> Vec<Vec<f64>> {
    verify(plan).unwrap_or_else(|error| panic!("{error}\n{}", print(plan)));
    let leaves: Vec<Tensor> = plan
        .interface
        .iter()
        .filter(|slot| matches!(slot.kind, SlotKind::Leaf(_)))
        .map(|slot| {
            let elements = (0..slot.ty.shape.elements()).map(|at| ((at * 37 % 19) as f64 - 9.0) / 11.0);
            Tensor::new(slot.ty.clone(), elements.collect())
        })
        .collect();
    let expected = evaluate(plan, &leaves);
    let program = compile(plan, &Options::default()).unwrap_or_else(|error| panic!("{error}\n{}", print(plan)));
    let mut memory: Vec<Memory> = plan
        .interface
        .iter()
        .enumerate()
        .map(|(at, slot)| match leaves.get(at) {
            Some(leaf) => Memory::new(slot.ty.dtype, leaf.data()),
            None => Memory::new(slot.ty.dtype, &vec![f64::NAN; slot.ty.shape.elements()]),
        })
        .collect();
    run(&program, &mut memory);
    for ((slot, expected), actual) in plan.interface.iter().zip(&expected).zip(&memory) {
        let close = expected.data().iter().zip(actual.values()).all(|(a, b)| (a - b).abs() <= 1e-5);
        assert!(close, "{}: {:?}, not {:?}", slot.name, actual.values(), expected.data());
    }
    memory.iter().map(Memory::values).collect()
}

#[test]
fn sequences_of_all_lengths_in_both_directions() {
    for width in [1, 3, 5, 17] {
        for length in [0, 1, 2, 5] {
            let forward = check(&sequence(width, length, false));
            let backward = check(&sequence(width, length, true));
            assert_eq!(forward[4] != backward[4], length > 1, "the direction matters: {width} × {length}");
        }
    }
}

#[test]
fn a_body_may_have_a_body() {
    let inner = sequence(3, 4, true);
    // The inner scan begins with the same carry at each step of the outer one, and takes the next sequence.
    let plan = scan_of(inner, 5, false, |slot| (slot.name == "x").then_some(5));
    check(&plan);
}

#[test]
fn buffers_that_are_too_short_or_shared_are_refused() {
    let refused = |change: &dyn Fn(&mut Plan, &mut Scan), problem: &str| {
        let mut plan = sequence(3, 4, false);
        let Some(Step::Scan(mut scan)) = plan.steps.pop() else { unreachable!("the plan is a scan") };
        change(&mut plan, &mut scan);
        plan.steps.push(Step::Scan(scan));
        assert!(verify(&plan).is_err(), "{problem}");
        match compile(&plan, &Options::default()).err() {
            Some(CodegenError::Invalid { problem: found, .. }) => assert!(found.contains(problem), "{found}"),
            other => panic!("{problem}: {other:?}"),
        }
    };
    refused(&|_, scan| scan.length = 5, "which is less than 5 times 12 bytes");
    refused(&|_, scan| scan.slots.truncate(3), "takes 4 slots, not 3");
    refused(&|_, scan| scan.body = 1, "there is no such body");
    refused(&|_, scan| scan.slots.swap(1, 2), "is not what it is given for");
    refused(&|plan, _| plan.bodies[0].arena_bytes += 64, "which is less than 1 times");
    let alias = |_: &mut Plan, scan: &mut Scan| {
        if let (ScanSlot::Slice(x), ScanSlot::Carry { memory, .. }) = (scan.slots[0], &mut scan.slots[2]) {
            *memory = x;
        }
    };
    refused(&alias, "overlap");
}
