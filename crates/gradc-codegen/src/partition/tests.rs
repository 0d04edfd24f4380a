//! Supersteps, held against each single byte that their parts touch.

use std::collections::HashSet;

use gradc_autodiff::gradient;
use gradc_ir::{DType, Graph, LeafKind, Role, TensorType, ValueId};
use gradc_schedule::kernel::{Affine, Expr, LoopVar, Stmt};
use gradc_schedule::plan::{Axes, BufferId, Location, MatrixRef, Operand, print};
use gradc_schedule::{Options, schedule};
use gradc_testing::{random_graph, random_loop};
use rustc_hash::FxHashMap;

use super::*;
use crate::matmul::{packing, scratch_bytes};

/// A byte of the arena, or of a slot.
type Byte = (Option<u32>, i64);

/// What a part touches.
#[derive(Default)]
struct Bytes {
    read: HashSet<Byte>,
    written: HashSet<Byte>,
}

impl Bytes {
    fn add(&mut self, plan: &Plan, buffer: BufferId, from: i64, count: usize, written: bool) {
        let (space, start) = match plan.buffers[buffer.0 as usize].location {
            Location::Arena(offset) => (None, offset as i64),
            Location::Slot(slot) => (Some(slot.0), 0),
        };
        let bytes = (0..count as i64).map(|at| (space, start + from + at));
        if written { self.written.extend(bytes) } else { self.read.extend(bytes) }
    }

    /// Statements of a piece, with their loops run as they are.
    fn body(
        &mut self,
        plan: &Plan,
        piece: &Piece,
        buffers: &[BufferId],
        body: &[Stmt],
        at: &mut FxHashMap<LoopVar, i64>,
    ) {
        for stmt in body {
            let (buffer, address, written) = match stmt {
                Stmt::Loop(inner) => {
                    for index in 0..inner.extent {
                        at.insert(inner.var, index as i64);
                        self.body(plan, piece, buffers, &inner.body, at);
                    }
                    continue;
                }
                Stmt::Let { expr: Expr::LoadIndexed { buffer, .. }, .. } => (*buffer, None, false),
                Stmt::ScatterAdd { buffer, .. } => (*buffer, None, true),
                Stmt::Let { expr: Expr::Load { buffer, address }, .. } => (*buffer, Some(address), false),
                Stmt::Store { buffer, address, .. } => (*buffer, Some(address), true),
                _ => continue,
            };
            let size = piece.kernel.buffers[buffer].dtype.size();
            let value = |address: &Affine| {
                address.terms.iter().map(|(var, stride)| at[var] * stride).sum::<i64>() + address.offset
            };
            match address {
                Some(address) => {
                    let element = value(address) + piece.offsets[buffer];
                    self.add(plan, buffers[buffer], element * size as i64, size, written);
                }
                // Any element of it.
                None => {
                    self.add(plan, buffers[buffer], 0, plan.buffers[buffers[buffer].0 as usize].ty.bytes(), written)
                }
            }
        }
    }

    fn matrix(
        &mut self,
        plan: &Plan,
        size: usize,
        matrix: &MatrixRef,
        ranges: [std::ops::Range<usize>; 3],
        written: bool,
    ) {
        let places =
            |axes: &Axes, range: &std::ops::Range<usize>| range.clone().map(|at| axes.at(at)).collect::<Vec<usize>>();
        let [batch, rows, columns] =
            [(&matrix.batch, &ranges[0]), (&matrix.rows, &ranges[1]), (&matrix.columns, &ranges[2])]
                .map(|(axes, range)| places(axes, range));
        for (batch, row) in batch.iter().flat_map(|batch| rows.iter().map(move |row| (batch, row))) {
            for column in &columns {
                let element = matrix.offset + batch + row + column;
                self.add(plan, matrix.buffer, (element * size) as i64, size, written);
            }
        }
    }
}

/// What each part of a step touches.
fn touched(plan: &Plan, step: &Step, parts: &StepParts, pieces: &[Vec<Vec<Piece>>]) -> Vec<Bytes> {
    match (step, parts) {
        (Step::Kernel { kernel, buffers }, StepParts::Kernel { way, .. }) => {
            let of_piece = |piece: &Piece| {
                let mut bytes = Bytes::default();
                bytes.body(plan, piece, buffers, &piece.kernel.body, &mut FxHashMap::default());
                bytes
            };
            pieces[*kernel][*way].iter().map(of_piece).collect()
        }
        (Step::Gemm(gemm), StepParts::Product(parts)) => {
            let of_part = |part: &gradc_runtime::MatmulPart| {
                let (mut bytes, size) = (Bytes::default(), gemm.dtype.size());
                let (batch, rows, columns) = (part.batch(), part.rows(), part.columns());
                let packed = |operand: Operand| gemm.packed.filter(|packed| packed.operand == operand);
                for (operand, extents) in
                    [(Operand::A, [rows.clone(), 0..gemm.k]), (Operand::B, [0..gemm.k, columns.clone()])]
                {
                    let [rows, columns] = extents;
                    match packed(operand) {
                        // Some of it.
                        Some(packed) => {
                            bytes.add(plan, packed.buffer, 0, plan.buffers[packed.buffer.0 as usize].ty.bytes(), false)
                        }
                        None => bytes.matrix(plan, size, gemm.operand(operand), [batch.clone(), rows, columns], false),
                    }
                }
                bytes.matrix(plan, size, &gemm.c, [batch, rows, columns], true);
                if let Some(factor) = gemm.factor {
                    bytes.add(plan, factor, 0, size, false);
                }
                if let (Some(scratch), 1) = (gemm.scratch, parts.len()) {
                    bytes.add(plan, scratch, 0, plan.buffers[scratch.0 as usize].ty.bytes(), true);
                }
                bytes
            };
            parts.iter().map(of_part).collect()
        }
        (Step::Pack(gemm), StepParts::Packing(parts)) => {
            let packed = gemm.packed.expect("an operand is packed");
            let bytes = |buffer: BufferId| plan.buffers[buffer.0 as usize].ty.bytes();
            let of_part = |at: usize| {
                let (mut touched, from, bytes_of_all) =
                    (Bytes::default(), gemm.operand(packed.operand).buffer, bytes(packed.buffer));
                touched.add(plan, from, 0, bytes(from), false);
                // Each has panels of its own, somewhere.
                let (start, end) = (bytes_of_all * at / parts.len(), bytes_of_all * (at + 1) / parts.len());
                touched.add(plan, packed.buffer, start as i64, end - start, true);
                touched
            };
            (0..parts.len()).map(of_part).collect()
        }
        _ => unreachable!("a loop is a superstep of its own"),
    }
}

/// How many supersteps of how many steps in all, over a plan and its bodies, have parts, and how many loops.
#[derive(Default)]
struct Count {
    supersteps: usize,
    steps: usize,
    loops: usize,
}

/// Proves that no part of a superstep touches what another one writes, and that all steps are in a superstep.
fn check(plan: &Plan, shares: &Shares, pieces: &[Vec<Vec<Piece>>], count: &mut Count) {
    let mut next = 0;
    for superstep in &shares.supersteps {
        assert_eq!(superstep.steps.start, next, "supersteps follow one another");
        next = superstep.steps.end;
        assert!(next > superstep.steps.start);
        let steps = || superstep.steps.clone().zip(&plan.steps[superstep.steps.clone()]);
        if let Some((step, Step::Scan(_))) = steps().next() {
            assert_eq!((superstep.steps.len(), superstep.parts), (1, shares.steps[step].count()));
            count.loops += usize::from(superstep.parts > 1);
            continue;
        }
        if superstep.parts == 1 {
            continue;
        }
        (count.supersteps, count.steps) = (count.supersteps + 1, count.steps + superstep.steps.len());
        let mut all: Vec<Bytes> = (0..superstep.parts).map(|_| Bytes::default()).collect();
        for (number, step) in steps() {
            let touched = touched(plan, step, &shares.steps[number], pieces);
            assert!(touched.len() <= all.len());
            for (all, bytes) in all.iter_mut().zip(touched) {
                all.read.extend(bytes.read);
                all.written.extend(bytes.written);
            }
        }
        for (part, other) in (0..all.len()).flat_map(|part| (0..all.len()).map(move |other| (part, other))) {
            let (a, b) = (&all[part], &all[other]);
            let is_apart = part == other || a.written.is_disjoint(&b.written) && a.written.is_disjoint(&b.read);
            assert!(is_apart, "parts {part} and {other} of {superstep:?} have bytes in common\n{}", print(plan));
        }
    }
    assert_eq!(next, plan.steps.len());
    let mut rest = &pieces[plan.kernels.len()..];
    for (body, shares) in plan.bodies.iter().zip(&shares.bodies) {
        let (its, others) = rest.split_at(body.all_kernels().len());
        check(body, shares, its, count);
        rest = others;
    }
}

fn check_graph(graph: &Graph, count: &mut Count) {
    for fuse in [true, false] {
        let options = Options { fuse, refine: fuse, scratch_bytes, packing, ..Options::default() };
        let plan = schedule(graph, &options);
        for threads in [2, 3] {
            let partition = Partition::new(&plan, threads, Sharing::Everything);
            check(&plan, &partition.shares, partition.pieces(), count);
        }
    }
}

/// The graph with the gradients of its parameters as results.
fn with_gradients(graph: &Graph) -> Graph {
    let leaves: Vec<ValueId> = graph.leaves(LeafKind::Param).filter(|&leaf| graph.dtype(leaf).is_float()).collect();
    let gradient = gradient(graph, graph.loss().expect("there is a loss"), &leaves);
    let mut graph = gradient.graph;
    for (number, cotangent) in gradient.cotangents.iter().enumerate() {
        if let Some(cotangent) = cotangent {
            graph.add_output(Role::Gradient, format!("d{number}"), *cotangent);
        }
    }
    graph.without_rules()
}

/// Layers of `width` with tanh, or with normalised rows, and their loss.
fn layers(batch: usize, width: usize, depth: usize, normalised: bool) -> Graph {
    let ty = |extents: [usize; 2]| TensorType::new(DType::F32, extents);
    let mut graph = Graph::new("layers");
    let mut h = graph.input("x", ty([batch, width]));
    for layer in 0..depth {
        let weight = graph.add_leaf(LeafKind::Param, format!("w{layer}"), ty([width, width]), None);
        let product = graph.matmul(h, weight);
        h = graph.tanh(product);
        if normalised {
            let exponential = graph.exp(h);
            let sum = graph.reduce_sum(exponential, &[1]);
            let sum = graph.broadcast(sum, &[0], &[batch, width]);
            h = graph.div(exponential, sum);
        }
    }
    let square = graph.mul(h, h);
    let loss = graph.reduce_sum(square, &[0, 1]);
    graph.add_output(Role::Output, "y", h);
    graph.add_output(Role::Loss, "loss", loss);
    graph
}

#[test]
fn parts_of_supersteps_of_random_graphs_are_apart() {
    let mut count = Count::default();
    for (seed, size) in (0..60).map(|seed| (seed, 2 + seed as usize % 40)) {
        for dtype in [DType::F32, DType::F64] {
            let graph = random_graph(seed, size, dtype);
            check_graph(&graph.clone().without_rules(), &mut count);
            check_graph(&with_gradients(&graph), &mut count);
        }
    }
    assert!(count.steps > 2 * count.supersteps, "{} steps in {} supersteps", count.steps, count.supersteps);
}

#[test]
fn parts_of_supersteps_of_loops_are_apart() {
    let mut count = Count::default();
    for seed in 0..30 {
        check_graph(&random_loop(seed, 2 + seed as usize % 20, DType::F32).without_rules(), &mut count);
    }
    assert!(count.loops > 0, "in some loops nobody waits");
}

#[test]
fn a_batch_goes_through_all_layers_without_waiting() {
    for (batch, width, normalised) in [(64, 64, false), (17, 65, true), (34, 40, true), (3, 5, true)] {
        let graph = layers(batch, width, 4, normalised);
        let mut count = Count::default();
        check_graph(&graph, &mut count);
        check_graph(&with_gradients(&graph), &mut count);
        let options = Options { scratch_bytes, packing, ..Options::default() };
        let mut outputs = layers(batch, width, 4, normalised);
        outputs.retain_outputs(|output| output.role == Role::Output);
        let plan = schedule(&outputs, &options);
        let partition = Partition::new(&plan, 2, Sharing::Everything);
        let expected = Superstep { steps: plan.prologue.steps..plan.steps.len(), parts: 2 };
        assert_eq!(partition.shares.supersteps.last(), Some(&expected), "{batch} × {width}\n{}", print(&plan));
    }
}

/// An m × k matrix times a k × n matrix.
fn product([m, n, k]: [usize; 3]) -> Gemm {
    let matrix = |rows: usize, columns: usize| MatrixRef::plain(BufferId(0), 1, rows, columns);
    let (a, b, c) = (matrix(m, k), matrix(k, n), matrix(m, n));
    let dtype = DType::F32;
    Gemm { dtype, batch: 1, m, n, k, a, b, c, accumulate: false, scale: 1.0, factor: None, scratch: None, packed: None }
}

#[test]
fn products_of_few_rows_are_shared_by_what_they_load() {
    let elements = 1 << 16;
    let many = product_work(&product([64, 256, 256]));
    assert_eq!(many, 64 * elements / MULTIPLICATIONS);
    // One row or one column takes half as long as there are elements to load, not an eighth of it.
    for shape in [[1, 256, 256], [256, 1, 256]] {
        assert_eq!(product_work(&product(shape)), elements / 2);
        assert!(product_work(&product(shape)) >= STEP);
    }
    // Two rows load as much as one, and four are multiplied as fast as any.
    assert_eq!(product_work(&product([2, 256, 256])), elements / 2);
    assert_eq!(product_work(&product([4, 256, 256])), 4 * elements / MULTIPLICATIONS);
    assert!(product_work(&product([1, 64, 64])) < STEP);
    assert_eq!(product_work(&product([0, 64, 64])), 0);
}
