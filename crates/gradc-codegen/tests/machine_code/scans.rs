//! Bodies that are run for each part of sequences.

use gradc_codegen::{CodegenError, Options, compile};
use gradc_ir::op::result::result;
use gradc_ir::op::scan::{SCAN, Scan as Loop};
use gradc_ir::{Body, DType, Graph, Init, LeafKind, Role, Tensor, TensorType, ValueId};
use gradc_schedule::plan::{
    Buffer, BufferId, Location, Plan, Prologue, Scan, ScanSlot, Slot, SlotId, SlotKind, Step, evaluate, print, verify,
};
use gradc_testing::{Random, random_bindings, random_loop, random_operands};

use crate::graphs::{check_graph, tolerance};
use crate::support::{Memory, run};

/// `c ← tanh(x + (w @ cᵀ)ᵀ)`, of which each step gives the square.
fn body(width: usize) -> Plan {
    let mut graph = Graph::new("cell");
    let matrix = |rows: usize, columns: usize| TensorType::new(DType::F32, [rows, columns]);
    let x = graph.input("x", matrix(1, width));
    let w = graph.param("w", matrix(width, width), Init::Constant(0.0.into()));
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
        prologue: Prologue::default(),
        computed: Vec::new(),
        buffers: Vec::new(),
        interface: Vec::new(),
        arena_bytes: body.arena_bytes,
        recomputed: None,
    };
    let add = |plan: &mut Plan, name: String, kind: SlotKind, dtype: DType, elements: usize| {
        let ty = TensorType::new(dtype, [elements]);
        plan.interface.push(Slot { kind, name: name.clone(), ty: ty.clone() });
        plan.buffers.push(Buffer { name, ty, location: Location::Slot(SlotId(plan.interface.len() as u32 - 1)) });
        BufferId(plan.buffers.len() as u32 - 1)
    };
    let (leaf, output) = (SlotKind::Leaf, SlotKind::Result(Role::Output));
    let mut slots = Vec::new();
    // Leaves come first in every interface.
    for slot in body.interface.iter().filter(|slot| matches!(slot.kind, SlotKind::Leaf(_))) {
        let elements = slot.ty.shape.elements() * times(slot).unwrap_or(1);
        // What is the same in all steps is a parameter, of this plan as well, if it is a body itself.
        let kind = leaf(if times(slot).is_some() { LeafKind::Input } else { LeafKind::Param });
        let buffer = add(&mut plan, slot.name.clone(), kind, slot.ty.dtype, elements);
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

/// Each way to apply the operator that its file lists, at a size, with all results; the operands are parameters.
fn loops(size: usize, float: DType) -> Vec<(Graph, Vec<(ValueId, Tensor)>)> {
    let graph = |case: gradc_ir::op::Case| {
        let mut graph = Graph::new("loop");
        let leaves: Vec<ValueId> = (0..)
            .zip(&case.operands)
            .map(|(i, ty)| graph.param(format!("x{i}"), ty.clone(), Init::Constant(0.0.into())))
            .collect();
        let value = graph.emit(SCAN.with(case.attrs), &leaves);
        let results = graph.as_scan(value).map_or(0, |scan| scan.results());
        for index in 0..results {
            let result = graph.result_of(value, index);
            graph.add_output(Role::Output, format!("y{index}"), result);
        }
        let tensors = random_operands(&SCAN.domain, &case.operands, &mut Random::new(size as u64));
        (graph, leaves.into_iter().zip(tensors).collect())
    };
    (SCAN.cases)(size, float).into_iter().map(graph).collect()
}

#[test]
fn loops_agree_with_the_interpreter() {
    for float in [DType::F64, DType::F32] {
        for size in [0, 1, 3, 5, 17] {
            for (graph, bindings) in loops(size, float) {
                check_graph(&graph, &bindings, tolerance(float), &Options::default());
            }
        }
    }
}

/// The sum of the squares of all results in `f64`.
fn squares(graph: &mut Graph) -> ValueId {
    let outputs = graph.outputs().iter().map(|output| output.value);
    let outputs: Vec<ValueId> = outputs.filter(|&value| graph.dtype(value) == DType::F64).collect();
    let mut total = graph.scalar(0.0, DType::F64);
    for value in outputs {
        let square = graph.mul(value, value);
        let axes: Vec<usize> = (0..graph.shape(value).rank()).collect();
        let sum = graph.reduce_sum(square, &axes);
        total = graph.add(total, sum);
    }
    total
}

#[test]
fn derivatives_of_loops_agree_with_the_interpreter() {
    for size in [0, 1, 3, 5] {
        for (mut graph, bindings) in loops(size, DType::F64) {
            let loss = squares(&mut graph);
            let wrt: Vec<ValueId> =
                graph.leaves(LeafKind::Param).filter(|&leaf| graph.dtype(leaf).is_float()).collect();
            let gradient = gradc_autodiff::gradient(&graph, loss, &wrt);
            let mut graph = gradient.graph;
            for (&leaf, cotangent) in wrt.iter().zip(gradient.cotangents) {
                let Some(cotangent) = cotangent else { continue };
                let name = graph.value_name(leaf).cloned().expect("leaves have names");
                let next = graph.sub(leaf, cotangent);
                graph.add_output(Role::Gradient, name.clone(), cotangent);
                graph.add_output(Role::Update, name, next);
            }
            check_graph(&graph, &bindings, 1e-10, &Options::default());
        }
    }
}

/// Results that nothing reads, that are read twice or written to a state that the loop began with, and carries that are
/// exchanged.
#[test]
fn results_that_are_unread_shared_or_kept() {
    let vector = TensorType::new(DType::F64, [5]);
    let mut body = Graph::new("swap");
    let inputs: Vec<ValueId> = ["a", "b", "x"].map(|name| body.input(name, vector.clone())).into();
    let sum = body.add(inputs[0], inputs[2]);
    for (name, value) in [("a", inputs[1]), ("b", sum), ("a was", inputs[0]), ("slice", inputs[2])] {
        body.add_output(Role::Output, name, value);
    }
    let body = Body::new(&body).expect("the body is well-formed");
    for length in [0, 1, 2, 5] {
        let mut graph = Graph::new("outer");
        let (a, b) = (graph.state("a", vector.clone(), Init::Constant(0.0.into())), graph.input("b", vector.clone()));
        let xs = graph.input("xs", TensorType::new(DType::F64, [length, 5]));
        let scan = Loop { body: body.clone(), carries: 2, sequences: 1, length, reverse: length == 5 };
        let value = graph.scan(&scan, &[a, b, xs]);
        let last = graph.result_of(value, 0);
        let again = graph.emit(result(0, &scan.result_type(0)), &[value]);
        let doubled = graph.add(last, again);
        let slices = graph.result_of(value, 3);
        for (name, value) in [("last", last), ("again", again), ("doubled", doubled), ("slices", slices)] {
            graph.add_output(Role::Output, name, value);
        }
        graph.add_output(Role::Update, "a", last);
        check_graph(&graph, &random_bindings(&graph, 3), 0.0, &Options::default());
    }
}

#[test]
fn random_loops_agree_with_the_interpreter() {
    for (seed, size) in (0..60).map(|seed| (seed, 2 + seed as usize % 30)) {
        let graph = random_loop(seed, size, DType::F64).without_rules();
        check_graph(&graph, &random_bindings(&graph, seed), 1e-8, &Options::default());
    }
}

/// The plan of a loop is as large for a thousand steps as for ten, and its memory is that of what is stacked.
#[test]
fn the_plan_of_a_loop_does_not_grow_with_its_length() {
    let plan = |size: usize| {
        let (graph, _) = loops(size, DType::F32).swap_remove(0);
        gradc_schedule::schedule(&graph, &gradc_schedule::Options::default())
    };
    let (short, long) = (plan(10), plan(1000));
    assert_eq!(short.all_steps().len(), long.all_steps().len());
    assert_eq!(short.arena_bytes, long.arena_bytes);
}
