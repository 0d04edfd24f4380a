//! Programs that are shared out: the same bits on any number of threads.

use std::num::NonZeroUsize;

use gradc_codegen::{Binding, Options, Program, Sharing, compile, packing, scratch_bytes};
use gradc_ir::{DType, Graph, LeafKind, Role, ScalarOp, TensorType, ValueId};
use gradc_runtime::Team;
use gradc_schedule::kernel::{Access, Affine, Combine, Expr, Kernel, LoopKind, Reg, Stmt, Storage, split};
use gradc_schedule::plan::{
    Buffer, BufferId, Gemm, Location, MatrixRef, Plan, Prologue, Slot, SlotId, SlotKind, Step, print,
};
use gradc_schedule::schedule;
use gradc_testing::{random_bindings, random_graph, random_loop};

use crate::graphs::memory_of;
use crate::support::{Memory, affine, apply, elementwise, execute, lets, load, looped, param, plan_of, run, store};

const F32: DType = DType::F32;

fn shared(threads: usize) -> Options {
    Options { threads: NonZeroUsize::new(threads), sharing: Sharing::Everything, ..Options::default() }
}

/// Numbers whose sums round.
fn numbers(count: usize) -> Storage {
    (0..count).map(|at| F32.round(((at * 7919) % 2003) as f64 / 700.0 - 1.3)).collect()
}

/// A kernel can be cut, and has the same bits in any number of pieces.
fn check(kernel: &Kernel) {
    assert!(split(kernel).is_some(), "{} can be cut", kernel.name);
    let buffers: Vec<Storage> = kernel
        .buffers
        .iter()
        .map(|param| match param.dtype.is_float() {
            true => numbers(param.elements),
            false => (0..param.elements).map(|at| ((at * 31) % 7) as f64).collect(),
        })
        .collect();
    let bits = |results: Vec<Storage>| -> Vec<Vec<u64>> {
        results.iter().map(|values| values.iter().map(|value| value.to_bits()).collect()).collect()
    };
    let expected = bits(execute(kernel, &buffers, &Options::default()));
    for threads in [2, 3, 5] {
        let program = compile(&plan_of(kernel.clone()), &shared(threads)).expect("the kernel is right");
        assert_eq!(program.threads(), threads, "{} is shared", kernel.name);
        assert!(bits(execute(kernel, &buffers, &shared(threads))) == expected, "{} on {threads}", kernel.name);
    }
}

/// `y[j] += Σᵢ f(x[i, j])` and `z[i, j] = f(x[i, j])`, in place: it can be cut at columns alone.
fn columns(rows: usize, columns: usize) -> Kernel {
    let at = affine(0, &[(1, columns as i64), (2, 1)]);
    let inner = vec![
        load(1, F32, 0, at.clone()),
        apply(2, F32, ScalarOp::Tanh, &[1]),
        store(0, at, 2),
        load(3, F32, 1, affine(0, &[(2, 1)])),
        apply(4, F32, ScalarOp::Add, &[3, 2]),
        store(1, affine(0, &[(2, 1)]), 4),
    ];
    Kernel {
        name: format!("columns of {rows} × {columns}"),
        buffers: vec![param("z", F32, rows * columns, Access::ReadWrite), param("y", F32, columns, Access::Write)],
        body: vec![
            lets(0, F32, Expr::Const(0.0.into())),
            looped(0, columns, LoopKind::Vector, vec![store(1, affine(0, &[(0, 1)]), 0)]),
            looped(1, rows, LoopKind::Serial, vec![looped(2, columns, LoopKind::Vector, inner)]),
        ],
    }
}

/// Windows that overlap within each of several rows of 24 are added up; what they are added to is cleared in one loop over
/// all rows.
fn windows(rows: usize) -> Kernel {
    let to = affine(0, &[(1, 24), (2, 7), (3, 1)]);
    let inner = vec![
        load(1, F32, 1, to.clone()),
        load(2, F32, 0, affine(0, &[(1, 30), (2, 10), (3, 1)])),
        apply(3, F32, ScalarOp::Add, &[1, 2]),
        store(1, to, 3),
    ];
    let within = looped(2, 3, LoopKind::Serial, vec![looped(3, 10, LoopKind::Vector, inner)]);
    Kernel {
        name: format!("windows of {rows} rows"),
        buffers: vec![param("x", F32, rows * 30, Access::Read), param("y", F32, rows * 24, Access::Write)],
        body: vec![
            lets(0, F32, Expr::Const(0.0.into())),
            looped(0, rows * 24, LoopKind::Vector, vec![store(1, affine(0, &[(0, 1)]), 0)]),
            looped(1, rows, LoopKind::Serial, vec![within]),
        ],
    }
}

/// Softmax-like rows: a reduction, and a second pass over the row.
fn rows(rows: usize, columns: usize) -> Kernel {
    let at = |var: u32| affine(0, &[(0, columns as i64), (var, 1)]);
    let sum = vec![
        load(1, F32, 0, at(1)),
        apply(2, F32, ScalarOp::Exp, &[1]),
        store(1, at(1), 2),
        Stmt::Accumulate { reg: Reg(0), combine: Combine::Sum, value: Reg(2) },
    ];
    let divide = vec![load(3, F32, 1, at(2)), apply(4, F32, ScalarOp::Div, &[3, 0]), store(1, at(2), 4)];
    let row = vec![
        Stmt::Accumulator { reg: Reg(0), dtype: F32, combine: Combine::Sum, start: 0.0.into() },
        looped(1, columns, LoopKind::Vector, sum),
        looped(2, columns, LoopKind::Vector, divide),
    ];
    Kernel {
        name: format!("{rows} rows of {columns}"),
        buffers: vec![param("x", F32, rows * columns, Access::Read), param("y", F32, rows * columns, Access::Write)],
        body: vec![looped(0, rows, LoopKind::Serial, row)],
    }
}

/// `y[i] = x[last - i] + x[i] · index(i)`: one buffer is walked in two ways, another one backwards, and the index counts.
fn directions(extent: usize) -> Kernel {
    let backwards = affine(extent as i64 - 1, &[(0, -1)]);
    let body = vec![
        load(0, F32, 0, backwards.clone()),
        load(1, F32, 0, affine(0, &[(0, 1)])),
        load(2, F32, 1, backwards),
        lets(3, DType::I32, Expr::Index(affine(5, &[(0, 3)]))),
        lets(4, F32, Expr::Op(ScalarOp::Cast(F32), [Reg(3)].into_iter().collect())),
        apply(5, F32, ScalarOp::Mul, &[1, 4]),
        apply(6, F32, ScalarOp::Add, &[0, 5]),
        apply(7, F32, ScalarOp::Sub, &[6, 2]),
        store(2, affine(0, &[(0, 1)]), 7),
    ];
    Kernel {
        name: format!("directions of {extent}"),
        buffers: vec![
            param("x", F32, extent, Access::Read),
            param("w", F32, extent, Access::Read),
            param("y", F32, extent, Access::Write),
        ],
        body: vec![looped(0, extent, LoopKind::Vector, body)],
    }
}

/// `y[i, j] = x[index[i], j]`
fn chosen(rows: usize, columns: usize, table: usize) -> Kernel {
    let inner = vec![
        lets(
            5,
            F32,
            Expr::LoadIndexed { buffer: 0, address: affine(0, &[(1, 1)]), index: Reg(4), stride: columns as i64 },
        ),
        store(2, affine(0, &[(0, columns as i64), (1, 1)]), 5),
    ];
    let row = vec![
        load(0, DType::I32, 1, affine(0, &[(0, 1)])),
        lets(1, DType::I32, Expr::Const(0.0.into())),
        apply(2, DType::I32, ScalarOp::Max, &[0, 1]),
        lets(3, DType::I32, Expr::Const((table as f64 - 1.0).into())),
        apply(4, DType::I32, ScalarOp::Min, &[2, 3]),
        looped(1, columns, LoopKind::Vector, inner),
    ];
    Kernel {
        name: format!("{rows} chosen rows"),
        buffers: vec![
            param("x", F32, table * columns, Access::Read),
            param("index", DType::I32, rows, Access::Read),
            param("y", F32, rows * columns, Access::Write),
        ],
        body: vec![looped(0, rows, LoopKind::Serial, row)],
    }
}

#[test]
fn pieces_of_kernels_have_the_bits_of_the_whole() {
    for extent in [129, 192, 1000, 1023] {
        check(&elementwise(ScalarOp::Add, &[F32, F32], F32, extent, LoopKind::Vector));
        check(&elementwise(ScalarOp::Exp, &[F32], F32, extent, LoopKind::Vector));
        check(&directions(extent));
    }
    for count in [2, 5, 17, 18, 64] {
        check(&rows(count, 33));
        check(&windows(count));
        check(&chosen(count, 9, 6));
    }
    for width in [128, 200, 257] {
        check(&columns(7, width));
    }
}

#[test]
fn what_iterations_share_is_not_cut() {
    let refused = |kernel: &Kernel| assert_eq!(split(kernel), None, "{}", kernel.name);
    let mut total = rows(4, 8);
    total.body.insert(0, Stmt::Accumulator { reg: Reg(9), dtype: F32, combine: Combine::Sum, start: 0.0.into() });
    if let Some(Stmt::Loop(row)) = total.body.last_mut() {
        row.body.push(Stmt::Accumulate { reg: Reg(9), combine: Combine::Sum, value: Reg(0) });
    }
    refused(&total);
    // Each row is made of the one before it.
    let mut next = elementwise(ScalarOp::Add, &[F32, F32], F32, 200, LoopKind::Serial);
    next.buffers.iter_mut().for_each(|param| param.elements = 201);
    if let Stmt::Loop(inner) = &mut next.body[0] {
        inner.body[0] = load(0, F32, 2, Affine::default().plus(&affine(1, &[(0, 1)]), 1));
    }
    next.buffers[2].access = Access::ReadWrite;
    refused(&next);
    // Rows of 24 that reach into the next one.
    let mut overlapping = windows(6);
    overlapping.buffers[1].elements += 8;
    if let Some(Stmt::Loop(outer)) = overlapping.body.last_mut()
        && let Stmt::Loop(within) = &mut outer.body[0]
    {
        within.extent = 4;
    }
    overlapping.buffers[0].elements += 10;
    refused(&overlapping);
    // One element for all.
    let mut same = elementwise(ScalarOp::Add, &[F32, F32], F32, 200, LoopKind::Serial);
    if let Stmt::Loop(inner) = &mut same.body[0] {
        inner.body[3] = store(2, affine(0, &[]), 2);
    }
    refused(&same);
}

/// A plan whose buffers are slots: inputs, then results.
fn plan(inputs: &[usize], results: &[usize], steps: Vec<Step>) -> Plan {
    let slot = |kind: SlotKind, at: usize, elements: usize| Slot {
        kind,
        name: format!("s{at}"),
        ty: TensorType::new(F32, [elements]),
    };
    let leaves = inputs.iter().map(|&elements| (SlotKind::Leaf(LeafKind::Input), elements));
    let written = results.iter().map(|&elements| (SlotKind::Result(Role::Output), elements));
    let interface: Vec<Slot> =
        leaves.chain(written).enumerate().map(|(at, (kind, elements))| slot(kind, at, elements)).collect();
    let buffers = (0..interface.len()).map(|at| Buffer {
        name: interface[at].name.clone(),
        ty: interface[at].ty.clone(),
        location: Location::Slot(SlotId(at as u32)),
    });
    Plan {
        name: "shared".into(),
        kernels: Vec::new(),
        bodies: Vec::new(),
        steps,
        prologue: Prologue::default(),
        computed: Vec::new(),
        buffers: buffers.collect(),
        interface,
        arena_bytes: 0,
        recomputed: None,
    }
}

/// `C = A · B`, m × n of k products, with scratch memory in the arena.
fn product([m, n, k]: [usize; 3]) -> Plan {
    let matrix = |buffer: u32, rows: usize, columns: usize| MatrixRef::plain(BufferId(buffer), 1, rows, columns);
    let gemm = Gemm {
        dtype: F32,
        batch: 1,
        m,
        n,
        k,
        a: matrix(0, m, k),
        b: matrix(1, k, n),
        c: matrix(2, m, n),
        accumulate: false,
        scale: 1.0,
        factor: None,
        scratch: None,
        packed: None,
    };
    let bytes = gradc_codegen::scratch_bytes(&gemm);
    let mut plan = plan(&[m * k, k * n], &[m * n], Vec::new());
    plan.buffers.push(Buffer {
        name: "scratch".into(),
        ty: TensorType::new(F32, [bytes.div_ceil(4)]),
        location: Location::Arena(0),
    });
    plan.arena_bytes = bytes;
    plan.steps.push(Step::Gemm(Box::new(Gemm { scratch: (bytes > 0).then_some(BufferId(3)), ..gemm })));
    plan
}

fn results(plan: &Plan, options: &Options) -> Vec<Storage> {
    let program = compile(plan, options).expect("the plan is right");
    let mut memory: Vec<Memory> =
        plan.interface.iter().map(|slot| Memory::new(F32, &numbers(slot.ty.shape.elements()))).collect();
    run(&program, &mut memory);
    memory.iter().map(Memory::values).collect()
}

#[test]
fn products_have_the_same_bits_on_any_number_of_threads() {
    for extents in [[1, 70, 900], [70, 1, 33], [13, 65, 400], [100, 130, 500], [2, 2, 2]] {
        let plan = product(extents);
        let expected = results(&plan, &Options::default());
        for threads in [2, 3, 7] {
            assert!(results(&plan, &shared(threads)) == expected, "{extents:?} on {threads} threads");
        }
    }
}

/// Where one run has the other threads, another one does without.
#[test]
fn a_program_runs_on_several_threads_of_its_caller() {
    let plan = product([100, 130, 500]);
    let expected = results(&plan, &Options::default());
    let program = compile(&plan, &shared(2)).expect("the plan is right");
    let repeat = || {
        for _ in 0..20 {
            let mut memory: Vec<Memory> =
                plan.interface.iter().map(|slot| Memory::new(F32, &numbers(slot.ty.shape.elements()))).collect();
            run(&program, &mut memory);
            assert!(memory.iter().map(Memory::values).eq(expected.iter().cloned()));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(repeat);
        }
    });
}

/// What a program leaves in its slots: run as it is, run while other threads are busy, so that each part of a superstep is done
/// before the next one begins, and run with all threads waiting for one another after each step.
fn left_behind(program: &Program, memory: &[Memory]) -> [Vec<Vec<u64>>; 3] {
    let bits = |run: &dyn Fn(&mut [Binding<'_>])| {
        let mut memory = memory.to_vec();
        run(&mut memory.iter_mut().map(Memory::bind).collect::<Vec<_>>());
        memory.iter().map(|memory| memory.values().into_iter().map(f64::to_bits).collect()).collect()
    };
    let arena = || program.new_arena().expect("there is memory");
    let as_it_is = bits(&|slots| program.run(&mut arena(), slots).expect("the tensors fit"));
    let team = Team::of_process(program.threads());
    let busy = team.enter();
    let one_by_one = bits(&|slots| program.run(&mut arena(), slots).expect("the tensors fit"));
    drop(busy);
    let observed = bits(&|slots| {
        let mut steps = 0;
        program.run_observed(&mut arena(), slots, &mut |step| steps = step + 1).expect("the tensors fit");
        assert!(steps > 0);
    });
    [as_it_is, one_by_one, observed]
}

/// A graph's results have the same bits on any number of threads, wherever these wait for one another.
fn check_graph(graph: &Graph, seed: u64) {
    let plan =
        schedule(graph, &gradc_schedule::Options { scratch_bytes, packing, ..gradc_schedule::Options::default() });
    let memory = memory_of(graph, &plan, &random_bindings(graph, seed));
    let alone = compile(&plan, &Options::default()).expect("the plan is right");
    let [expected, ..] = left_behind(&alone, &memory);
    for threads in [2, 3] {
        let program = compile(&plan, &shared(threads)).expect("the plan is right");
        for (found, how) in left_behind(&program, &memory).into_iter().zip(["as it is", "one by one", "observed"]) {
            assert!(found == expected, "{threads} threads, {how}\n{}", print(&plan));
        }
    }
}

/// The graph with its gradients as results.
fn with_gradients(graph: &Graph) -> Graph {
    let leaves: Vec<ValueId> = graph.leaves(LeafKind::Param).filter(|&leaf| graph.dtype(leaf).is_float()).collect();
    let gradient = gradc_autodiff::gradient(graph, graph.loss().expect("there is a loss"), &leaves);
    let mut graph = gradient.graph;
    for (number, cotangent) in gradient.cotangents.iter().enumerate() {
        if let Some(cotangent) = cotangent {
            graph.add_output(Role::Gradient, format!("d{number}"), *cotangent);
        }
    }
    graph.without_rules()
}

/// Layers with a residual and normalised rows, their loss, and its gradients.
fn layers(dtype: DType, batch: usize, width: usize) -> Graph {
    let ty = |extents: [usize; 2]| TensorType::new(dtype, extents);
    let mut graph = Graph::new("layers");
    let mut h = graph.input("x", ty([batch, width]));
    for layer in 0..3 {
        let weight = graph.add_leaf(LeafKind::Param, format!("w{layer}"), ty([width, width]), None);
        let bias = graph.add_leaf(LeafKind::Param, format!("b{layer}"), TensorType::new(dtype, [width]), None);
        let (product, bias) = (graph.matmul(h, weight), graph.broadcast(bias, &[1], &[batch, width]));
        let sum = graph.add(product, bias);
        let exponential = graph.exp(sum);
        let total = graph.reduce_sum(exponential, &[1]);
        let total = graph.broadcast(total, &[0], &[batch, width]);
        let share = graph.div(exponential, total);
        h = graph.add(h, share);
    }
    let square = graph.mul(h, h);
    let loss = graph.reduce_sum(square, &[0, 1]);
    graph.add_output(Role::Output, "y", h);
    graph.add_output(Role::Loss, "loss", loss);
    with_gradients(&graph)
}

#[test]
fn layers_have_the_same_bits_wherever_threads_wait() {
    for dtype in [DType::F32, DType::F64] {
        for (batch, width) in [(0, 4), (1, 64), (3, 5), (17, 63), (64, 65), (65, 17), (64, 128)] {
            check_graph(&layers(dtype, batch, width), 5);
        }
    }
}

#[test]
fn random_graphs_have_the_same_bits_wherever_threads_wait() {
    for (seed, size) in (400..460).map(|seed| (seed, 2 + seed as usize % 40)) {
        let graph = random_graph(seed, size, if seed % 2 == 0 { DType::F32 } else { DType::F64 });
        check_graph(&with_gradients(&graph), seed);
    }
}

#[test]
fn loops_have_the_same_bits_wherever_threads_wait() {
    for seed in 500..530 {
        check_graph(&random_loop(seed, 2 + seed as usize % 20, DType::F32).without_rules(), seed);
    }
}

#[test]
fn small_programs_run_on_one_thread() {
    let options = Options { threads: NonZeroUsize::new(4), ..Options::default() };
    let threads = |extents: [usize; 3]| compile(&product(extents), &options).expect("the plan is right").threads();
    assert_eq!(threads([16, 32, 32]), 1);
    assert_eq!(threads([256, 512, 512]), 4);
}
