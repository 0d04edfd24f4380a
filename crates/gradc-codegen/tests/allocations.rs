//! A run of a program allocates nothing.

// Counting what is allocated takes an allocator.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use gradc_codegen::{Binding, Options, compile, scratch_bytes};
use gradc_ir::{DType, Graph, Init, Role, TensorType};
use gradc_schedule::schedule;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn runs_allocate_nothing() {
    let mut graph = Graph::new("softmax");
    let x = graph.input("x", TensorType::new(DType::F32, [64, 10]));
    let w = graph.param("w", TensorType::new(DType::F32, [64, 10]), Init::Constant(0.0.into()));
    let sum = graph.add(x, w);
    let exp = graph.exp(sum);
    let total = graph.reduce_sum(exp, &[1]);
    let total = graph.broadcast(total, &[0], &[64, 10]);
    let probability = graph.div(exp, total);
    let next = graph.sub(w, probability);
    // The transposed operands are packed.
    let products = graph.matmul_with(probability, false, x, true);
    graph.add_output(Role::Output, "p", probability);
    graph.add_output(Role::Output, "products", products);
    graph.add_output(Role::Update, "w", next);
    let plan = schedule(&graph, &gradc_schedule::Options { scratch_bytes, ..Default::default() });
    let program = compile(&plan, &Options::default()).expect("the plan is well-formed");
    let mut arena = program.new_arena().expect("there is memory");
    let (x, mut w, mut p, mut products) = (vec![1.0f32; 640], vec![0.0f32; 640], vec![0.0f32; 640], vec![0.0f32; 4096]);

    let before = ALLOCATIONS.with(Cell::get);
    assert!(before > 0, "the counter counts");
    for _ in 0..100 {
        let slots =
            &mut [Binding::read(&x), Binding::write(&mut w), Binding::write(&mut p), Binding::write(&mut products)];
        program.run(&mut arena, slots).expect("the tensors fit");
    }
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
    assert!((p.iter().sum::<f32>() - 64.0).abs() < 1e-3);
    assert!((w[0] + 10.0).abs() < 1e-3);
    assert!(products.iter().all(|product| (product - 1.0).abs() < 1e-3));
}
