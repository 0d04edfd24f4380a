//! Operands that are packed once, before the products of many runs: the same bits as without, on any number of threads, and as long
//! as nobody says that they have changed.

use std::num::NonZeroUsize;

use gradc_codegen::{Arena, Binding, CodegenError, Options, Program, Sharing, compile, packing, scratch_bytes};
use gradc_ir::{DType, Graph, Init, Role, TensorType};
use gradc_schedule::plan::{Operand, Packed, Plan, Step};
use gradc_schedule::schedule;

use crate::support::Memory;

/// `y = x · w`, or `y = x · wᵀ`, where `w` is a parameter: its plan, with a packed operand or without.
fn product(dtype: DType, [m, n, k]: [usize; 3], transposed: bool, packed: bool) -> Plan {
    let mut graph = Graph::new("product");
    let x = graph.input("x", TensorType::new(dtype, [m, k]));
    let shape = if transposed { [n, k] } else { [k, n] };
    let w = graph.param("w", TensorType::new(dtype, shape), Init::Constant(0.0.into()));
    let y = graph.matmul_with(x, false, w, transposed);
    graph.add_output(Role::Output, "y", y);
    let packing = if packed { packing } else { |_: &_| None };
    schedule(&graph, &gradc_schedule::Options { scratch_bytes, packing, ..Default::default() })
}

fn numbers(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|at| ((at * 7919 + seed * 104_729) % 1009) as f64 / 503.0 - 1.0).collect()
}

/// The tensors of a plan's interface: x, w and y.
fn memory(plan: &Plan, seed: usize) -> Vec<Memory> {
    let tensor = |(at, slot): (usize, &gradc_schedule::plan::Slot)| {
        Memory::new(slot.ty.dtype, &numbers(slot.ty.shape.elements(), seed + at))
    };
    plan.interface.iter().enumerate().map(tensor).collect()
}

/// Runs a program, without its prologue if that has been done, and gives y.
fn run(program: &Program, arena: &mut Arena, memory: &mut [Memory], again: bool) -> Vec<f64> {
    let mut slots: Vec<Binding<'_>> = memory.iter_mut().map(Memory::bind).collect();
    let outcome = match again {
        true => program.run_again(arena, &mut slots),
        false => program.run(arena, &mut slots),
    };
    outcome.expect("the tensors fit");
    memory[2].values()
}

fn on(threads: usize) -> Options {
    Options { threads: NonZeroUsize::new(threads), sharing: Sharing::Everything, ..Options::default() }
}

#[test]
fn packed_operands_give_the_bits_of_others() {
    let shapes = [[1, 65, 17], [1, 500, 900], [3, 5, 63], [17, 63, 65], [65, 130, 1025], [64, 10, 200], [5, 0, 3]];
    for (dtype, shape) in [DType::F32, DType::F64].into_iter().flat_map(|dtype| shapes.map(|shape| (dtype, shape))) {
        for (transposed, threads) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
            let [plain, packed] = [false, true].map(|packed| product(dtype, shape, transposed, packed));
            let [other, program] =
                [&plain, &packed].map(|plan| compile(plan, &on(threads)).expect("the plan is right"));
            let (mut others, mut arena) = (other.new_arena().unwrap(), program.new_arena().unwrap());
            for seed in [1, 2] {
                let mut memory = memory(&packed, seed);
                let expected = run(&other, &mut others, &mut memory, false);
                let context = format!("{dtype} {shape:?} {transposed} {threads}");
                assert!(run(&program, &mut arena, &mut memory, false) == expected, "{context}");
                assert!(run(&program, &mut arena, &mut memory, true) == expected, "{context}, again");
            }
        }
    }
}

#[test]
fn the_prologue_is_run_once() {
    let plan = product(DType::F32, [5, 65, 17], false, true);
    assert_eq!(plan.prologue.steps, 1);
    let program = compile(&plan, &Options::default()).expect("the plan is right");
    let (mut before, mut after) = (memory(&plan, 1), memory(&plan, 1));
    after[1] = memory(&plan, 2).remove(1);
    let mut arena = program.new_arena().expect("there is memory");
    // In a new arena it has to be run.
    let old = run(&program, &mut arena, &mut before, true);
    assert_eq!(run(&program, &mut arena, &mut after, true), old, "what is packed is what it was");
    assert_ne!(run(&program, &mut arena, &mut after, false), old);
}

#[test]
fn operands_that_cannot_be_packed_are_refused() {
    let refused = |change: &dyn Fn(&mut Plan), problem: &str| {
        let mut plan = product(DType::F32, [5, 65, 17], false, true);
        change(&mut plan);
        match compile(&plan, &Options::default()).err() {
            Some(CodegenError::Invalid { problem: found, .. }) => assert!(found.contains(problem), "{found}"),
            other => panic!("{problem}: {other:?}"),
        }
    };
    fn gemm(step: &mut Step) -> &mut gradc_schedule::plan::Gemm {
        match step {
            Step::Pack(gemm) | Step::Gemm(gemm) => gemm,
            other => panic!("{other:?}"),
        }
    }
    for at in 0..2 {
        let other_operand = |plan: &mut Plan| {
            let packed = gemm(&mut plan.steps[at]).packed.as_mut().expect("an operand is packed");
            packed.operand = Operand::A;
        };
        refused(&other_operand, "the operand cannot be packed");
        let too_small = |plan: &mut Plan| {
            let packed = gemm(&mut plan.steps[at]).packed.expect("an operand is packed").buffer;
            plan.buffers[packed.0 as usize].ty = TensorType::new(DType::F32, [65 * 17]);
        };
        refused(&too_small, "bytes are needed to pack an operand");
        let elsewhere = |plan: &mut Plan| {
            let gemm = gemm(&mut plan.steps[at]);
            gemm.packed = Some(Packed { operand: Operand::B, buffer: gemm.b.buffer });
        };
        refused(&elsewhere, "bytes are needed to pack an operand");
    }
    refused(&|plan| gemm(&mut plan.steps[0]).packed = None, "it is not said what is packed");
    refused(&|plan| gemm(&mut plan.steps[0]).b.offset = 1, "a matrix reaches");
}
