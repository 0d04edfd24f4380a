//! What is not run: plans that could do harm, and memory that does not fit.

use gradc_codegen::{Binding, CodegenError, Options, RunError, compile, scratch_bytes};
use gradc_ir::{DType, Graph, LeafKind, Role, ScalarOp, TensorType};
use gradc_schedule::kernel::{Access, Combine, Expr, Kernel, LoopKind, Reg, Stmt};
use gradc_schedule::plan::{Axes, Buffer, BufferId, Gemm, Location, MatrixRef, Plan, Scan, ScanSlot, SlotKind, Step};
use gradc_schedule::schedule;

use crate::support::{affine, elementwise, lets, load, looped, param, plan_of, store};

fn addition() -> Plan {
    plan_of(elementwise(ScalarOp::Add, &[DType::F32, DType::F32], DType::F32, 8, LoopKind::Vector))
}

fn assert_invalid(plan: &Plan, problem: &str) {
    match compile(plan, &Options::default()).err() {
        Some(CodegenError::Invalid { problem: found, .. }) => assert!(found.contains(problem), "{found}"),
        other => panic!("{problem}: {other:?}"),
    }
}

#[test]
fn addresses_out_of_bounds() {
    let mut plan = addition();
    plan.kernels[0].buffers[0].elements = 7;
    assert_invalid(&plan, "reaches from 0 to 7 of 7");
}

#[test]
fn indices_that_nothing_clamps() {
    let gather = |checked: bool| {
        let mut row = vec![
            load(0, DType::I32, 0, affine(0, &[(0, 1)])),
            lets(1, DType::I32, Expr::Const(4.0.into())),
            lets(2, DType::I32, Expr::Const(0.0.into())),
            lets(3, DType::I32, Expr::Op(ScalarOp::Min, [Reg(0), Reg(1)].into_iter().collect())),
        ];
        if checked {
            row.push(lets(4, DType::I32, Expr::Op(ScalarOp::Max, [Reg(3), Reg(2)].into_iter().collect())));
        }
        let index = Reg(if checked { 4 } else { 3 });
        row.push(lets(5, DType::F32, Expr::LoadIndexed { buffer: 1, address: affine(0, &[]), index, stride: 1 }));
        row.push(store(2, affine(0, &[(0, 1)]), 5));
        plan_of(Kernel {
            name: "gather".to_owned(),
            buffers: vec![
                param("index", DType::I32, 3, Access::Read),
                param("table", DType::F32, 5, Access::Read),
                param("out", DType::F32, 3, Access::Write),
            ],
            body: vec![looped(0, 3, LoopKind::Serial, row)],
        })
    };
    assert!(compile(&gather(true), &Options::default()).is_ok());
    assert_invalid(&gather(false), "an indexed address reaches from -2147483648 to 4");
}

/// A register is known by its number as long as its loop runs; after that the number may be another's.
#[test]
fn indices_that_are_sums() {
    let start = Stmt::Accumulator { reg: Reg(0), dtype: DType::I32, combine: Combine::Sum, start: 0.0.into() };
    let add = Stmt::Accumulate { reg: Reg(0), combine: Combine::Sum, value: Reg(1) };
    let indexed = Expr::LoadIndexed { buffer: 1, address: affine(0, &[]), index: Reg(0), stride: 1 };
    let plan = plan_of(Kernel {
        name: "sum".to_owned(),
        buffers: vec![
            param("x", DType::I32, 3, Access::Read),
            param("table", DType::F32, 5, Access::Read),
            param("out", DType::F32, 1, Access::Write),
        ],
        body: vec![
            looped(0, 2, LoopKind::Serial, vec![lets(0, DType::I32, Expr::Const(0.0.into()))]),
            start,
            looped(1, 3, LoopKind::Serial, vec![load(1, DType::I32, 0, affine(0, &[(1, 1)])), add]),
            lets(2, DType::F32, indexed),
            store(2, affine(0, &[]), 2),
        ],
    });
    assert_invalid(&plan, "an indexed address reaches from -2147483648");
}

#[test]
fn buffers_that_overlap_what_is_written() {
    let mut plan = addition();
    plan.arena_bytes = 64;
    plan.buffers[0].location = Location::Arena(0);
    plan.buffers[2].location = Location::Arena(0);
    assert_invalid(&plan, "overlap");
}

#[test]
fn buffers_outside_the_arena() {
    let mut plan = addition();
    plan.arena_bytes = 64;
    plan.buffers[0].location = Location::Arena(64);
    assert_invalid(&plan, "beyond the arena");
}

#[test]
fn matrices_beyond_their_buffers() {
    let mut plan = addition();
    let matrix = |buffer: u32, rows: usize, columns: usize| MatrixRef {
        rows: Axes::one(rows, 3),
        ..MatrixRef::plain(BufferId(buffer), 1, rows, columns)
    };
    let (a, b, c) = (matrix(0, 2, 4), matrix(1, 4, 2), matrix(2, 2, 2));
    let gemm = Gemm {
        dtype: DType::F32,
        batch: 1,
        m: 2,
        n: 2,
        k: 4,
        a,
        b,
        c,
        accumulate: false,
        scale: 1.0,
        factor: None,
        scratch: None,
        packed: None,
    };
    plan.steps.push(Step::Gemm(Box::new(gemm)));
    assert_invalid(&plan, "a matrix reaches");
}

/// A step of a loop is given what is the same in all of them to be read: the caller may have bound it for that only.
#[test]
fn bodies_that_write_what_is_the_same_in_all_steps() {
    let body = |access: Access| {
        let copy = vec![load(0, DType::F32, 0, affine(0, &[(0, 1)])), store(1, affine(0, &[(0, 1)]), 0)];
        let buffers = vec![param("x", DType::F32, 4, Access::Read), param("y", DType::F32, 4, access)];
        let mut body =
            plan_of(Kernel { name: "copy".to_owned(), buffers, body: vec![looped(0, 4, LoopKind::Vector, copy)] });
        body.interface.iter_mut().for_each(|slot| slot.kind = SlotKind::Leaf(LeafKind::Param));
        body
    };
    let mut plan = body(Access::Write);
    plan.arena_bytes = 64;
    let arena =
        Buffer { name: "arena".to_owned(), ty: TensorType::new(DType::Bool, [0]), location: Location::Arena(0) };
    plan.buffers.push(arena);
    plan.bodies = vec![body(Access::Write)];
    let slots = vec![ScanSlot::Whole(BufferId(0)), ScanSlot::Whole(BufferId(1))];
    plan.steps = vec![Step::Scan(Scan { body: 0, length: 2, reverse: false, slots, arena: BufferId(2) })];
    assert_invalid(&plan, "y is the same in all steps, and is written");
}

#[test]
fn addresses_whose_range_overflows() {
    let mut plan = addition();
    // 8 · 2^61 wraps to 0.
    let Stmt::Loop(row) = &mut plan.kernels[0].body[0] else { unreachable!("the kernel is a loop") };
    row.extent = 9;
    row.kind = LoopKind::Serial;
    row.body[0] = load(0, DType::F32, 0, affine(0, &[(0, 1 << 61)]));
    plan.kernels[0].buffers.iter_mut().for_each(|buffer| buffer.elements = 9);
    for (buffer, slot) in plan.buffers.iter_mut().zip(&mut plan.interface) {
        (buffer.ty, slot.ty) = (TensorType::new(DType::F32, [9]), TensorType::new(DType::F32, [9]));
    }
    assert_invalid(&plan, "reaches from 0 to");
}

/// `y = x @ x`, f32[8, 8].
fn product(scratch_bytes: fn(&Gemm) -> usize) -> Plan {
    let mut graph = Graph::new("product");
    let x = graph.input("x", TensorType::new(DType::F32, [8, 8]));
    let y = graph.matmul(x, x);
    graph.add_output(Role::Output, "y", y);
    schedule(&graph, &gradc_schedule::Options { scratch_bytes, ..Default::default() })
}

#[test]
fn scratch_memory_that_is_missing_small_or_in_use() {
    let mut plan = product(scratch_bytes);
    assert!(compile(&plan, &Options::default()).is_ok());
    assert_invalid(&product(|_| 0), "there is none of the");
    assert_invalid(&product(|_| 64), "bytes of scratch memory are needed");
    let Step::Gemm(gemm) = &mut plan.steps[0] else { unreachable!("the only step is a product") };
    gemm.scratch = Some(gemm.c.buffer);
    assert_invalid(&plan, "y is scratch memory outside of the arena");

    let mut plan = product(scratch_bytes);
    let Step::Gemm(gemm) = &mut plan.steps[0] else { unreachable!("the only step is a product") };
    let moved = BufferId(plan.buffers.len() as u32);
    let y = Buffer { location: Location::Arena(0), ..plan.buffers[gemm.c.buffer.0 as usize].clone() };
    gemm.c.buffer = moved;
    plan.buffers.push(y);
    assert_invalid(&plan, "overlap");
}

/// Where no stride reaches anything, any extents are within a buffer.
#[test]
fn products_that_are_too_large_of_other_extents_or_on_top_of_each_other() {
    let changed = |change: &dyn Fn(&mut Gemm)| {
        let mut plan = product(scratch_bytes);
        let Step::Gemm(gemm) = &mut plan.steps[0] else { unreachable!("the only step is a product") };
        change(gemm);
        plan
    };
    let too_large = changed(&|gemm| {
        gemm.n = usize::MAX / 4;
        (gemm.b.columns, gemm.c.columns) = (Axes::one(gemm.n, 0), Axes::one(gemm.n, 0));
    });
    assert_invalid(&too_large, "a product is too large");
    assert_invalid(&changed(&|gemm| gemm.n = 7), "is not 1 times 8 x 7");
    assert_invalid(&changed(&|gemm| gemm.c.rows = Axes::one(8, 1)), "elements of a product overlap");
}

#[test]
fn memory_that_does_not_fit_the_interface() {
    let program = compile(&addition(), &Options::default()).expect("the plan is well-formed");
    let mut arena = program.new_arena().expect("there is memory");
    let (x, mut out) = ([1.0f32; 8], [0.0f32; 8]);
    let error = program.run(&mut arena, &mut [Binding::read(&x)]).unwrap_err();
    assert_eq!(error, RunError::SlotCount { expected: 3, given: 1 });

    let error = program
        .run(&mut arena, &mut [Binding::read(&x), Binding::read(&x[1..]), Binding::write(&mut out)])
        .unwrap_err();
    assert_eq!(error, RunError::SlotSize { slot: "x1".to_owned(), expected: 32, given: 28 });

    let error = program.run(&mut arena, &mut [Binding::read(&x), Binding::read(&x), Binding::read(&x)]).unwrap_err();
    assert_eq!(error, RunError::SlotReadOnly { slot: "out".to_owned() });

    let bytes = [0u8; 40];
    let odd = usize::from(bytes.as_ptr().addr() % 4 == 0);
    let unaligned = Binding::Read(&bytes[odd..odd + 32]);
    let error = program.run(&mut arena, &mut [Binding::read(&x), unaligned, Binding::write(&mut out)]).unwrap_err();
    assert_eq!(error, RunError::SlotAlignment { slot: "x1".to_owned() });

    assert!(program.run(&mut arena, &mut [Binding::read(&x), Binding::read(&x), Binding::write(&mut out)]).is_ok());
    assert_eq!(out, [2.0; 8]);
}

#[test]
fn arenas_of_smaller_programs() {
    let mut plan = addition();
    let small = compile(&plan, &Options::default()).expect("the plan is well-formed");
    plan.arena_bytes = 4096;
    let large = compile(&plan, &Options::default()).expect("the plan is well-formed");
    let (x, mut out) = ([1.0f32; 8], [0.0f32; 8]);
    let mut arena = small.new_arena().expect("there is memory");
    let slots = &mut [Binding::read(&x), Binding::read(&x), Binding::write(&mut out)];
    assert_eq!(large.run(&mut arena, slots), Err(RunError::Arena));
}

#[test]
fn arenas_larger_than_memory() {
    let mut plan = addition();
    plan.arena_bytes = 1 << 60;
    let program = compile(&plan, &Options::default()).expect("the plan is well-formed");
    assert_eq!(program.new_arena().err(), Some(RunError::OutOfMemory { bytes: 1 << 60 }));
}

#[test]
fn programs_cross_threads() {
    fn crosses<T: Send + Sync>() {}
    crosses::<gradc_codegen::Program>();
    crosses::<gradc_codegen::Arena>();
}
