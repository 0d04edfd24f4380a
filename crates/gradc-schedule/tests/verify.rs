//! The verifiers find what is wrong.

use gradc_ir::{DType, Graph, Role, ScalarOp, TensorType};
use gradc_schedule::kernel::{
    self, Access, Affine, BufferParam, Combine, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt,
};
use gradc_schedule::plan::{self, Axes, Buffer, BufferId, Location, Plan, Step};
use gradc_schedule::{Options, schedule};

/// A kernel of one loop over 4 elements, reading `x` and writing `y`, both f32[4].
fn kernel(kind: LoopKind, body: Vec<Stmt>) -> Kernel {
    let buffer = |name: &str, access| BufferParam { name: name.into(), dtype: DType::F32, elements: 4, access };
    let body = vec![Stmt::Loop(Loop { var: LoopVar(0), extent: 4, kind, body })];
    Kernel { name: "test".into(), buffers: vec![buffer("x", Access::Read), buffer("y", Access::Write)], body }
}

fn at(stride: i64, offset: i64) -> Affine {
    Affine::var(LoopVar(0)).scaled(stride, offset)
}

fn load(reg: u32, buffer: usize, address: Affine) -> Stmt {
    Stmt::Let { reg: Reg(reg), dtype: DType::F32, expr: Expr::Load { buffer, address } }
}

fn store(buffer: usize, address: Affine, value: u32) -> Stmt {
    Stmt::Store { buffer, address, value: Reg(value) }
}

fn op(reg: u32, dtype: DType, op: ScalarOp, operands: &[u32]) -> Stmt {
    Stmt::Let { reg: Reg(reg), dtype, expr: Expr::Op(op, operands.iter().map(|&reg| Reg(reg)).collect()) }
}

#[track_caller]
fn check(kernel: &Kernel, expected: &str) {
    let found = kernel::verify(kernel).map_or_else(|error| error.message, |()| "right".into());
    assert_eq!(found, expected, "{}", kernel::print(kernel));
}

#[test]
fn right_kernels_pass() {
    check(&kernel(LoopKind::Vector, vec![load(0, 0, at(1, 0)), store(1, at(1, 0), 0)]), "right");
    check(&kernel(LoopKind::Vector, vec![load(0, 0, at(-1, 3)), store(1, at(1, 0), 0)]), "right");
    check(&kernel(LoopKind::Serial, vec![load(0, 0, at(1, 0)), store(1, at(0, 2), 0)]), "right");
}

#[test]
fn addresses_are_within_bounds() {
    let body = vec![load(0, 0, at(1, 1)), store(1, at(1, 0), 0)];
    check(&kernel(LoopKind::Serial, body), "x[i0 + 1] reaches from 1 to 4 of 4");
    let body = vec![load(0, 0, at(1, 0)), store(1, at(-1, 2), 0)];
    check(&kernel(LoopKind::Serial, body), "y[-i0 + 2] reaches from -1 to 2 of 4");
    let mut outside = kernel(LoopKind::Serial, vec![]);
    outside.body.push(load(0, 0, at(1, 0)));
    check(&outside, "i0 names an index of no loop around it");
}

#[test]
fn registers_are_visible_and_typed() {
    check(&kernel(LoopKind::Serial, vec![store(1, at(1, 0), 7)]), "%7 is not visible");
    let twice = vec![load(0, 0, at(1, 0)), load(0, 0, at(1, 0))];
    check(&kernel(LoopKind::Serial, twice), "%0 is defined twice");
    let compare = vec![load(0, 0, at(1, 0)), op(1, DType::F32, ScalarOp::Lt, &[0, 0])];
    check(&kernel(LoopKind::Serial, compare), "%1 is declared f32 and computed as bool");
    let and = vec![load(0, 0, at(1, 0)), op(1, DType::Bool, ScalarOp::And, &[0, 0])];
    check(&kernel(LoopKind::Serial, and), "And is applied to [F32, F32]");
    let mut escaped = kernel(LoopKind::Serial, vec![load(0, 0, at(1, 0))]);
    escaped.body.push(store(1, Affine::constant(0), 0));
    check(&escaped, "%0 is not visible");
}

#[test]
fn accumulators_are_declared_outside() {
    let declare = |combine| Stmt::Accumulator { reg: Reg(9), dtype: DType::F32, combine, start: 0.0.into() };
    let combine = Stmt::Accumulate { reg: Reg(9), combine: Combine::Sum, value: Reg(0) };
    let inside = vec![declare(Combine::Sum), load(0, 0, at(1, 0)), combine.clone()];
    check(&kernel(LoopKind::Serial, inside), "%9 is combined in the loop that declares it");
    let mut other = kernel(LoopKind::Vector, vec![load(0, 0, at(1, 0)), combine.clone()]);
    other.body.insert(0, declare(Combine::Max));
    check(&other, "%9 is not an accumulator of sum");
    let mut right = kernel(LoopKind::Vector, vec![load(0, 0, at(1, 0)), combine]);
    right.body.insert(0, declare(Combine::Sum));
    check(&right, "right");
}

#[test]
fn vector_loops_keep_their_promise() {
    let vector = |body| kernel(LoopKind::Vector, body);
    let still = vec![load(0, 0, at(1, 0)), store(1, at(0, 0), 0)];
    check(&vector(still), "the vector loop of i0 contains something else");
    let after = vec![load(0, 0, at(1, 0)), store(1, at(1, 0), 0), load(1, 1, at(1, 0))];
    check(&vector(after), "%1 loads in a vector loop what this loop has stored");
    let shifted = vec![load(0, 1, at(0, 0)), store(1, at(1, 0), 0)];
    check(&vector(shifted), "the vector loop of i0 depends on its own stores");
}

#[test]
fn what_is_read_is_not_written() {
    let mut kernel = kernel(LoopKind::Serial, vec![load(0, 1, at(1, 0)), store(0, at(1, 0), 0)]);
    check(&kernel, "x is written");
    kernel.buffers[0].access = Access::ReadWrite;
    check(&kernel, "right");
}

/// The plan of `y = (x @ x) @ (x @ x)`, both factors of which are in the arena.
fn products() -> Plan {
    let mut graph = Graph::new("products");
    let x = graph.input("x", TensorType::new(DType::F32, [4, 4]));
    let (a, b) = (graph.matmul(x, x), graph.matmul_with(x, true, x, false));
    let y = graph.matmul(a, b);
    graph.add_output(Role::Output, "y", y);
    schedule(&graph, &Options::default())
}

#[track_caller]
fn check_plan(change: impl FnOnce(&mut Plan), expected: &str) {
    let mut plan = products();
    change(&mut plan);
    let found = plan::verify(&plan).map_or_else(|error| error.to_string(), |()| "right".into());
    assert_eq!(found, expected, "{}", plan::print(&plan));
}

#[test]
fn plans_are_checked_step_by_step() {
    check_plan(|_| {}, "right");
    check_plan(|plan| drop(plan.steps.pop()), "y is never written");
    check_plan(|plan| plan.steps.swap(1, 2), "step 1: v2 (b3) is read where it does not hold its value");
    check_plan(|plan| plan.arena_bytes = 64, "v2 is not where a f32[4, 4] can be");
    let move_to = |plan: &mut Plan, offset| plan.buffers[3].location = Location::Arena(offset);
    check_plan(|plan| move_to(plan, 0), "step 2: v1 (b2) is read where it does not hold its value");
    check_plan(|plan| move_to(plan, 32), "v2 is not where a f32[4, 4] can be");
    let widen = |plan: &mut Plan| match &mut plan.steps[0] {
        Step::Gemm(gemm) => gemm.a.rows = Axes::one(gemm.m, 5),
        other => unreachable!("the first step is a product, not {other:?}"),
    };
    check_plan(widen, "step 0: a matrix reaches beyond x");
    let scratch = |at: u32| {
        move |plan: &mut Plan| match &mut plan.steps[2] {
            Step::Gemm(gemm) => gemm.scratch = Some(BufferId(at)),
            _ => unreachable!("the third step is a product"),
        }
    };
    check_plan(scratch(9), "step 2: there is no buffer 9");
    let overlapping = |plan: &mut Plan| {
        let over = Buffer { name: "scratch".into(), ..plan.buffers[2].clone() };
        plan.buffers.push(over);
        scratch(4)(plan);
    };
    check_plan(overlapping, "step 2: v1 (b2) is read where it does not hold its value");
}
