//! A compiled step allocates nothing: its memory, with that for the packed operands of matrix products, is planned when
//! it is compiled.
#![allow(unsafe_code, reason = "an allocator cannot be written without")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroUsize;

use gradc::ir::Role;
use gradc::schedule::plan::Step;
use gradc::{Executable, Goal, Options, Program, State, Tensor, TensorView, UpdateRule};

thread_local! {
    /// The allocations of this thread.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, counting.
struct Counting;

// SAFETY: every call is handed on to the system's allocator; the counter is a thread's own and needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = COUNT.get();
    run();
    COUNT.get() - before
}

/// A model without matrix products.
const ELEMENTWISE: &str = "
    dim batch = 7
    model m {
        input x: f32[batch, 12]
        input label: i32[batch]
        param scale: [12] = normal(1, 0.1)
        param shift: [12] = 0.1
        param table: [5, 12] = normal(0, 1)
        let h = gelu(softmax(scale * x + shift))
        output logits = h + gather(table, label)
        loss cross_entropy(logits, label)
    }
";

/// A model of matrix products, above all.
const PRODUCTS: &str = "
    dim batch = 7
    model m {
        input x: f32[batch, 12]
        input label: i32[batch]
        let h = relu(dense(x, 33, init = he_normal))
        for i in 0..2 { h = h + gelu(dense(h, 33)) }
        output logits = dense(h, 5)
        loss cross_entropy(logits, label)
    }
";

/// A program for `goal` on so many threads, its state, and zeros for its inputs.
fn program(source: &str, goal: &Goal, threads: usize) -> (Executable, State, Vec<(String, Tensor)>) {
    let model = Program::from_source("m.net", source).and_then(|program| program.only_model());
    let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
    let executable = model.and_then(|model| model.compile(goal, &options)).expect("the model compiles");
    assert_eq!(executable.machine().threads(), threads);
    let state = executable.initial_state(1);
    let inputs = executable.inputs().map(|(name, ty)| (name.to_owned(), Tensor::zeros(ty))).collect();
    (executable, state, inputs)
}

/// Runs a program three times in this thread, and three times in a new one, which has set up nothing yet. Returns the
/// allocations of both, and the matrix products of one run.
fn measure(source: &str, goal: &Goal, threads: usize) -> ([usize; 2], usize) {
    let (mut executable, mut state, inputs) = program(source, goal, threads);
    let inputs: Vec<(&str, TensorView<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let mut run = |step| executable.run_training(&mut state, &inputs, 1e-3, step).expect("the inputs fit");
    // The first run finds the parameters in the state.
    run(1);
    let here = allocations(|| (2..5).for_each(&mut run));
    let there = std::thread::scope(|scope| {
        let thread = scope.spawn(|| allocations(|| (5..8).for_each(&mut run)));
        thread.join().expect("the runs end")
    });
    let loss = executable.results(Role::Loss).next().and_then(|name| executable.number(Role::Loss, name));
    assert!(loss.is_some_and(f64::is_finite), "the runs computed a loss");
    let products = executable.plan().steps.iter().filter(|step| matches!(step, Step::Gemm(_))).count();
    ([here, there], products)
}

fn check(goal: &Goal) {
    let (counts, products) = measure(ELEMENTWISE, goal, 1);
    assert_eq!((counts, products), ([0, 0], 0), "{goal:?}");
    let (counts, products) = measure(PRODUCTS, goal, 1);
    assert!(products >= 4, "the model has {products} matrix products");
    assert_eq!(counts, [0, 0], "{products} products for {goal:?}");
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
}

#[test]
fn a_forward_pass_allocates_nothing() {
    check(&Goal::Forward);
}

#[test]
fn a_gradient_allocates_nothing() {
    check(&Goal::Gradient { wrt: vec!["x".into()] });
}

#[test]
fn a_training_step_allocates_nothing() {
    check(&Goal::Training(UpdateRule { clip_norm: Some(1.0), ..UpdateRule::default() }));
}

/// What a thread does for another one is what it does for itself.
#[test]
fn a_training_step_that_is_shared_allocates_nothing() {
    let large = PRODUCTS.replace("dim batch = 7", "dim batch = 128").replace("12", "256").replace("33", "512");
    let (counts, products) = measure(&large, &Goal::Training(UpdateRule::default()), 2);
    assert_eq!(counts, [0, 0], "{products} products");
}
