//! What is the same in training and inference, and what is not: `training`, state and its updates.

use gradc::ir::{DType, Role};
use gradc::{Goal, Level, Mode, Model, Options, Phase, Program, State, UpdateRule, index_bounds, interpret};
use ndarray::{Array2, arr1, arr2};

/// Keeps the mean of what it has seen, and subtracts the mean of the batch in training, that mean otherwise.
const CENTRED: &str = "
    dim batch = 2
    layer centred(x: [n, c]) -> [n, c] {
        state average: [c] = zeros
        state steps: i32[] = 0
        let now = if training { mean(x, axis = 0) } else { average }
        update average = 0.75 * average + 0.25 * now
        update steps = steps + 1
        x - now
    }
    model m {
        input x: f32[batch, 2]
        let first = centred(_)
        let h = first(x)
        param w: [2] = ones
        output y = w * h
        loss mean(square(y - 1))
    }
    train { optimizer sgd(lr = 0.5) }
";

fn model() -> Model {
    Program::from_source("m.net", CENTRED).expect("it has no mistakes").only_model().expect("there is one")
}

fn numbers(state: &State, name: &str) -> Vec<f64> {
    state.get(name).expect("it is there").numbers()
}

fn batch() -> Array2<f32> {
    arr2(&[[1.0, 4.0], [3.0, 8.0]])
}

#[test]
fn a_step_updates_state_after_it_and_nothing_else_does() {
    for level in [Level::None, Level::Full] {
        for mode in [Mode::Strict, Mode::Accurate, Mode::Fast] {
            let options = Options { level, mode, ..Options::default() };
            let mut step = model().compile_training(&options).expect("it trains");
            let x = batch();
            step.run(&[("x", x.view().into())]).expect("the batch fits");
            assert_eq!(numbers(step.state(), "first.average"), [0.5, 1.5], "{level:?} {mode:?}");
            step.run(&[("x", x.view().into())]).expect("the batch fits");
            assert_eq!(numbers(step.state(), "first.average"), [0.875, 2.625]);
            assert_eq!(numbers(step.state(), "first.steps"), [2.0]);

            let mut inference = model().compile_inference(&options).expect("it compiles");
            inference.load(step.state());
            let w = numbers(step.state(), "w");
            for _ in 0..2 {
                inference.run(&[("x", x.view().into())]).expect("the batch fits");
                let y = inference.output("y").expect("it has this output").numbers();
                assert_eq!(y[1], f64::from((w[1] * (4.0 - 2.625)) as f32));
            }
            assert_eq!(numbers(inference.state_mut(), "first.average"), [0.875, 2.625]);
        }
    }
}

#[test]
fn the_goal_decides_and_the_option_overrides() {
    let model = model();
    let gradient = Goal::Gradient { wrt: vec!["x".to_owned()] };
    let training = Goal::Training(UpdateRule::default());
    let phases = [
        (Goal::Outputs, None, false),
        (Goal::Forward, None, false),
        (gradient.clone(), None, true),
        (training, None, true),
        (Goal::Forward, Some(Phase::Training), true),
        (gradient, Some(Phase::Inference), false),
    ];
    for (goal, phase, is_training) in phases {
        let options = Options { phase, ..Options::default() };
        let mut executable = model.compile(&goal, &options).expect("it compiles");
        let mut state = executable.initial_state(0);
        let before = state.clone();
        let x = batch();
        executable.run_training(&mut state, &[("x", x.view().into())], 0.0, 1).expect("the batch fits");
        if let Some(y) = executable.result(Role::Output, "y") {
            let expected = if is_training { [-1.0, -2.0, 1.0, 2.0] } else { [1.0, 4.0, 3.0, 8.0] };
            assert_eq!(y.numbers(), expected, "{goal:?} {phase:?}");
        }
        let updates = matches!(goal, Goal::Training(_));
        assert_eq!(state != before, updates, "{goal:?} changes state only if it is a training step");
    }
}

#[test]
fn both_phases_begin_with_the_same_values() {
    let model = model();
    let training = model.elaborated().graph_for(Phase::Training);
    assert!(!std::ptr::eq(training, model.graph()));
    assert_eq!(State::initial(training, 3), State::initial(model.graph(), 3));
    let names: Vec<&str> = model.states().map(|(name, _)| name).collect();
    assert_eq!(names, ["first.average", "first.steps"]);
}

#[test]
fn the_interpreter_computes_the_updates_too() {
    let model = model();
    let goal = Goal::Training(UpdateRule::from(model.train_config().expect("there is a block")));
    let options = Options { float: Some(DType::F64), ..Options::default() };
    let graph =
        gradc::pipeline::lower(&model.graph_for(&goal, &options), &goal, &options, &mut gradc::pipeline::Unobserved)
            .expect("it has a loss");
    let state = State::initial(&graph, 0);
    let x = batch().mapv(f64::from);
    let (rate, step) = (ndarray::arr0(0.5f64), ndarray::arr0(1.0f64));
    let inputs =
        [("x", x.view().into()), (gradc::LEARNING_RATE, rate.view().into()), (gradc::STEP, step.view().into())];
    let results = interpret(&graph, &index_bounds(model.graph()), &state, &inputs).expect("the inputs fit");
    let update = |name: &str| {
        let found = results.iter().find(|(role, own, _)| *role == Role::Update && own == name);
        found.map(|(_, _, value)| value.numbers())
    };
    assert_eq!(update("first.average"), Some(vec![0.5, 1.5]));
    assert_eq!(update("first.steps"), Some(vec![1.0]));
    // The gradient of mean((w·h − 1)²) by w is mean over the batch of (w·h − 1)·h, as there are two columns.
    assert_eq!(update("w"), Some(vec![1.0 - 0.5 * 1.0, 1.0 - 0.5 * 4.0]));
}

/// The language has no such state, but an emitted graph may.
#[test]
fn truth_values_are_kept_as_numbers_are() {
    const ALTERNATES: &str = "graph g {
        input x : f32[3]
        state odd : bool[3] = constant(1)
        param all : bool[3] = constant(1)

        t1 = odd && all : bool[3]
        y = select(t1, x, -1) : f32[3]
        next = !odd : bool[3]

        output y = y
        update odd = next
    }";
    let model = Program::from_source("g.ir", ALTERNATES).and_then(|program| program.only_model()).expect("a graph");
    let mut executable = model.compile(&Goal::Forward, &Options::default()).expect("it compiles");
    let mut state = executable.initial_state(0);
    let x = arr1(&[1f32, 2.0, 3.0]);
    for expected in [[1.0, 2.0, 3.0], [-1.0; 3], [1.0, 2.0, 3.0]] {
        executable.run(&mut state, &[("x", x.view().into())]).expect("the input fits");
        assert_eq!(executable.result(Role::Output, "y").expect("it has this output").numbers(), expected);
    }
    assert_eq!(numbers(&state, "odd"), [0.0; 3]);
    assert_eq!(numbers(&state, "all"), [1.0; 3]);
}

/// The simplifier makes use of what an index may be, so out of range it would be silently wrong.
#[test]
fn indices_are_checked_by_the_interpreter_too() {
    for label in ["label", "stop_gradient(label)"] {
        let counts = format!(
            "model m {{\n    input label: i32[3]\n    output counts = sum(one_hot({label}, 4), axis = -1)\n}}\n"
        );
        check_refused(&counts);
    }
}

/// A model whose input `label` must be below 4.
fn check_refused(source: &str) {
    let model = Program::from_source("m.net", source).and_then(|program| program.only_model()).expect("a model");
    let (goal, options) = (Goal::Forward, Options::default());
    let mut executable = model.compile(&goal, &options).expect("it compiles");
    let mut state = executable.initial_state(0);
    let label = arr1(&[0, 3, 4]);
    let inputs = [("label", label.view().into())];
    let expected = "element 2 of the input `label` is 4: it is used as an index, which must be from 0 to 3";
    let compiled = executable.run(&mut state, &inputs).expect_err("it is out of range");
    assert_eq!(compiled.to_string(), expected);
    let interpreted = interpret(executable.graph(), &index_bounds(model.graph()), &state, &inputs);
    assert_eq!(interpreted.expect_err("it is out of range").to_string(), expected);
}
