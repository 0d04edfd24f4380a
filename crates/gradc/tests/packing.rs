//! Operands that stay the same are packed once, and nobody gets what an old value of a parameter gave.

use std::num::NonZeroUsize;

use gradc::ir::Role;
use gradc::schedule::plan::Step;
use gradc::{Executable, Goal, Model, Options, Program, State, Tensor, TensorView, UpdateRule};

const LAYERS: &str = "
    dim batch = 5
    model m {
        input x: f32[batch, 17]
        input label: i32[batch]
        let h = relu(dense(x, 63, init = he_normal))
        for i in 0..2 { h = h + gelu(dense(h, 63)) }
        output logits = dense(h, 65)
        loss cross_entropy(logits, label)
    }
";

const LOOP: &str = "
    dim batch = 3
    model m {
        input x: f32[batch, 6, 5]
        input label: i32[batch]
        let h = lstm(x, 33)
        output logits = dense(h[:, -1], 7)
        loss cross_entropy(logits, label)
    }
";

fn model(source: &str) -> Model {
    Program::from_source("m.net", source).and_then(|program| program.only_model()).expect("the model is right")
}

fn compile(source: &str, goal: &Goal, options: &Options) -> Executable {
    model(source).compile(goal, options).expect("the model compiles")
}

/// Numbers for the inputs.
fn inputs(executable: &Executable) -> Vec<(String, Tensor)> {
    let tensor = |ty: &gradc::ir::TensorType| {
        let numbers = (0..ty.shape.elements()).map(|at| ((at * 37) % 23) as f64 / 11.0 - 1.0);
        let is_float = ty.dtype.is_float();
        Tensor::from_numbers(ty, numbers.map(|number| if is_float { number } else { 0.0 })).expect("as many numbers")
    };
    executable.inputs().map(|(name, ty)| (name.to_owned(), tensor(ty))).collect()
}

/// The outputs for a state.
fn outputs(executable: &mut Executable, state: &mut State) -> Tensor {
    let inputs = inputs(executable);
    let views: Vec<(&str, TensorView<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    executable.run(state, &views).expect("the inputs fit");
    executable.result(Role::Output, "logits").expect("the model has an output")
}

/// The outputs of a program that has not run before.
fn expected(source: &str, state: &State) -> Tensor {
    outputs(&mut compile(source, &Goal::Outputs, &Options::default()), &mut state.clone())
}

/// A parameter that is a matrix, times a factor.
fn scale(state: &mut State, factor: f64) {
    let is_matrix = |(_, tensor): &(&str, &Tensor)| tensor.ty().shape.rank() == 2;
    let (name, tensor) = state.parameters().find(is_matrix).expect("the model has a matrix");
    let (name, ty) = (name.to_owned(), tensor.ty());
    let scaled = Tensor::from_numbers(&ty, tensor.numbers().into_iter().map(|number| factor * number));
    state.set(&name, scaled.expect("as many numbers").view()).expect("it has the same type");
}

#[test]
fn parameters_are_packed_for_outputs_and_not_where_they_are_updated() {
    let steps = |goal: &Goal| compile(LAYERS, goal, &Options::default()).plan().prologue.steps;
    assert_eq!(steps(&Goal::Outputs), 4);
    assert_eq!(steps(&Goal::Training(UpdateRule::default())), 0);
}

/// What is the same in all steps of a loop is packed before it, in the prologue if it is the same in all runs; for a few steps it is not.
#[test]
fn the_constants_of_a_loop_are_packed_before_it() {
    let packs = |source: &str, goal: &Goal| {
        let executable = compile(source, goal, &Options::default());
        let plan = executable.plan();
        assert!(plan.bodies.iter().all(|body| body.prologue.steps == 0));
        let (once, steps) = plan.steps.split_at(plan.prologue.steps);
        [once, steps].map(|steps| steps.iter().filter(|step| matches!(step, Step::Pack(_))).count())
    };
    let (outputs, training) = (Goal::Outputs, Goal::Training(UpdateRule::default()));
    assert_eq!(packs(LOOP, &outputs), [2, 0]);
    // The weights of the loop forward, and backward.
    assert_eq!(packs(LOOP, &training), [0, 2]);
    let short = LOOP.replace("batch, 6, 5", "batch, 3, 5");
    assert_eq!(packs(&short, &outputs), [1, 0]);
    assert_eq!(packs(&short, &training), [0, 0]);
}

#[test]
fn outputs_follow_the_parameters() {
    for source in [LAYERS, LOOP] {
        let mut executable = compile(source, &Goal::Outputs, &Options::default());
        let mut state = executable.initial_state(1);
        let first = outputs(&mut executable, &mut state);
        assert_eq!(first, expected(source, &state));
        assert_eq!(first, outputs(&mut executable, &mut state), "nothing has changed");
        // A parameter is set.
        scale(&mut state, 1.5);
        let second = outputs(&mut executable, &mut state);
        assert_eq!(second, expected(source, &state));
        assert_ne!(second, first);
        // Another state, of which the first one takes over the parameters, and a copy that is changed by itself.
        let mut other = executable.initial_state(2);
        let third = outputs(&mut executable, &mut other);
        assert_eq!(third, expected(source, &other));
        assert_eq!(second, outputs(&mut executable, &mut state));
        state.adopt(&other);
        assert_eq!(third, outputs(&mut executable, &mut state));
        let mut copy = state.clone();
        assert_eq!(third, outputs(&mut executable, &mut copy));
        scale(&mut copy, -2.0);
        assert_ne!(third, outputs(&mut executable, &mut copy));
        assert_eq!(third, outputs(&mut executable, &mut state));
    }
}

#[test]
fn outputs_follow_training() {
    for source in [LAYERS, LOOP] {
        let mut executable = compile(source, &Goal::Outputs, &Options::default());
        let mut training = compile(source, &Goal::Training(UpdateRule::default()), &Options::default());
        let mut state = training.initial_state(1);
        let inputs = inputs(&training);
        let views: Vec<(&str, TensorView<'_>)> =
            inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        let mut before = outputs(&mut executable, &mut state);
        for step in 1..4 {
            training.run_training(&mut state, &views, 1e-2, step).expect("the inputs fit");
            let found = outputs(&mut executable, &mut state);
            assert_eq!(found, expected(source, &state));
            assert_ne!(found, before);
            before = found;
        }
    }
}

/// A state says nothing about when it was set.
#[test]
fn equal_states_are_equal() {
    let executable = compile(LAYERS, &Goal::Outputs, &Options::default());
    let (mut state, other) = (executable.initial_state(1), executable.initial_state(1));
    assert_eq!(state, other);
    scale(&mut state, 2.0);
    assert_ne!(state, other);
    scale(&mut state, 0.5);
    assert_eq!(state, other);
}

#[test]
fn packed_operands_give_the_bits_of_others() {
    for source in [LAYERS, LOOP] {
        for threads in [1, 2] {
            let threads = NonZeroUsize::new(threads);
            let mut packed = compile(source, &Goal::Outputs, &Options { threads, ..Options::default() });
            assert!(packed.plan().lasting_bytes() > 0);
            // One byte less than it takes: what is packed is there twice.
            let memory_limit = Some(packed.plan().arena_bytes - 1);
            let mut other = compile(source, &Goal::Outputs, &Options { threads, memory_limit, ..Options::default() });
            assert_eq!(other.plan().lasting_bytes(), 0);
            let mut state = packed.initial_state(3);
            assert_eq!(outputs(&mut packed, &mut state), outputs(&mut other, &mut state));
        }
    }
}
