//! Operands that stay the same are packed once: in the prologue of a plan, and in memory that nothing else is in.

mod common;

use common::{check, right};
use gradc_ir::{DType, Graph, Init, LeafKind, Role, TensorType, ValueId};
use gradc_schedule::plan::{self, Location, Plan, SlotId, SlotKind, Step};
use gradc_schedule::{Options, schedule};
use gradc_testing::random_bindings;

fn options() -> Options {
    Options { packing: right, ..Options::default() }
}

fn matrix(rows: usize, columns: usize) -> TensorType {
    TensorType::new(DType::F64, [rows, columns])
}

fn param(graph: &mut Graph, name: &str, rows: usize, columns: usize) -> ValueId {
    graph.param(name, matrix(rows, columns), Init::Constant(0.0.into()))
}

/// Three products in a row, with parameters of which the second one is updated.
fn layers() -> Graph {
    let mut graph = Graph::new("layers");
    let x = graph.input("x", matrix(5, 3));
    let (u, v, w) = (param(&mut graph, "u", 3, 7), param(&mut graph, "v", 7, 7), param(&mut graph, "w", 4, 7));
    let h = graph.matmul(x, u);
    let h = graph.matmul(h, v);
    let y = graph.matmul_with(h, false, w, true);
    let next = graph.exp(v);
    graph.add_output(Role::Output, "y", y);
    graph.add_output(Role::Update, "v", next);
    graph
}

/// Checks the plan of a graph with packed operands, and gives it.
fn checked(graph: &Graph) -> Plan {
    check(graph, &random_bindings(graph, 3), 1e-12);
    schedule(graph, &options())
}

#[test]
fn parameters_that_are_not_updated_are_packed_once() {
    let plan = checked(&layers());
    let names: Vec<&str> =
        plan.prologue.reads.iter().map(|slot| plan.interface[slot.0 as usize].name.as_str()).collect();
    assert_eq!((plan.prologue.steps, names), (2, vec!["u", "w"]));
    assert_eq!(plan.lasting_bytes(), (21 + 1 + 28 + 1) * 8);
    insta::assert_snapshot!(plan::print(&plan));
}

#[test]
fn inputs_are_not_packed() {
    let mut graph = Graph::new("inputs");
    let (x, y) = (graph.input("x", matrix(2, 3)), graph.input("y", matrix(3, 2)));
    let product = graph.matmul(x, y);
    graph.add_output(Role::Output, "z", product);
    assert_eq!(checked(&graph).prologue.steps, 0);
}

#[test]
fn products_of_the_same_form_share_a_packed_operand() {
    let products = |rows: [usize; 2]| {
        let mut graph = Graph::new("shared");
        let w = param(&mut graph, "w", 3, 2);
        for (number, rows) in rows.into_iter().enumerate() {
            let x = graph.input(format!("x{number}"), matrix(rows, 3));
            let y = graph.matmul(x, w);
            graph.add_output(Role::Output, format!("y{number}"), y);
        }
        checked(&graph).prologue.steps
    };
    assert_eq!(products([5, 5]), 1);
    assert_eq!(products([5, 6]), 2);
}

#[test]
fn a_batch_of_one_matrix_is_packed_as_one() {
    let mut graph = Graph::new("batch");
    let x = graph.input("x", TensorType::new(DType::F64, [4, 2, 3]));
    let w = param(&mut graph, "w", 3, 5);
    let all = graph.broadcast(w, &[1, 2], &[4, 3, 5]);
    let y = graph.matmul(x, all);
    graph.add_output(Role::Output, "y", y);
    let plan = checked(&graph);
    assert_eq!((plan.prologue.steps, plan.lasting_bytes()), (1, (15 + 1) * 8));
}

#[test]
fn what_the_limit_leaves_no_room_for_is_not_packed() {
    let graph = layers();
    let (plain, packed) = (schedule(&graph, &Options::default()), schedule(&graph, &options()));
    assert!(plain.arena_bytes < packed.arena_bytes);
    for (limit, expected) in
        [(packed.arena_bytes, &packed), (packed.arena_bytes - 1, &plain), (plain.arena_bytes, &plain)]
    {
        let found = schedule(&graph, &Options { memory_limit: Some(limit), ..options() });
        assert_eq!(plan::print(&found), plan::print(expected));
    }
}

#[test]
fn the_verifier_sees_what_a_prologue_must_not_do() {
    let refused = |change: &dyn Fn(&mut Plan), message: &str| {
        let mut plan = schedule(&layers(), &options());
        plan::verify(&plan).expect("the plan is right");
        change(&mut plan);
        let error = plan::verify(&plan).expect_err(message);
        assert!(error.to_string().contains(message), "{error}, not {message}");
    };
    let slot_of = |plan: &Plan, name: &str| plan.interface.iter().position(|slot| slot.name == name).expect("a slot");
    refused(&|plan| plan.prologue.steps = 100, "the prologue is longer than the plan");
    refused(&|plan| plan.prologue.reads.clear(), "is read where it does not hold its value");
    let reads_input = |plan: &mut Plan| {
        let u = slot_of(plan, "u");
        plan.interface[u].kind = SlotKind::Leaf(LeafKind::Input);
    };
    refused(&reads_input, "u is another one in each run");
    let reads_updated = |plan: &mut Plan| plan.prologue.reads.push(SlotId(slot_of(plan, "v") as u32));
    refused(&reads_updated, "v is written, and the prologue reads it");
    // Everything that is written in a run is where a packed operand is.
    let overwrites = |plan: &mut Plan| {
        let lasting: Vec<_> = plan.steps[..2].iter().flat_map(|step| plan.writes(step)).collect();
        let place = plan.buffers[lasting[0].0 as usize].location;
        for (at, buffer) in plan.buffers.iter_mut().enumerate() {
            if !lasting.iter().any(|id| id.0 as usize == at) && matches!(buffer.location, Location::Arena(_)) {
                buffer.location = place;
            }
        }
    };
    refused(&overwrites, "is written over what the prologue has left");
    let has_no_room = |plan: &mut Plan| {
        let Step::Pack(gemm) = &plan.steps[0] else { unreachable!("the first step packs") };
        let packed = gemm.packed.expect("an operand is packed").buffer;
        plan.buffers[packed.0 as usize].ty = TensorType::new(DType::F64, [20]);
    };
    refused(&has_no_room, "has no room for a packed operand");
}
