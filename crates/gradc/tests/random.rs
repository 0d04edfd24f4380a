//! Random numbers: the same bits however they are computed, and dropout.

use gradc::ir::{DType, Role};
use gradc::{Executable, Goal, Level, Mode, Model, Options, Phase, Program, State, index_bounds, interpret};
use ndarray::{Array1, Array2};

fn model(source: &str) -> Model {
    let program = Program::from_source("m.net", source).unwrap_or_else(|error| panic!("{error:?}"));
    program.only_model().unwrap_or_else(|error| panic!("{error:?}"))
}

fn every_option() -> Vec<Options> {
    let mut options = Vec::new();
    for level in [Level::None, Level::Local, Level::Full] {
        for mode in [Mode::Strict, Mode::Accurate, Mode::Fast] {
            for float in [None, Some(DType::F64)] {
                options.push(Options { level, mode, float, phase: Some(Phase::Training), ..Options::default() });
            }
        }
    }
    options
}

/// The output `y` of a model without inputs, compiled and interpreted.
fn both(model: &Model, options: &Options, change: impl Fn(&mut State)) -> [Vec<f64>; 2] {
    let mut executable = model.compile(&Goal::Forward, options).expect("it compiles");
    let mut state = executable.initial_state(7);
    change(&mut state);
    let results =
        interpret(executable.graph(), &index_bounds(model.graph()), &state, &[]).expect("there are no inputs");
    let interpreted = results.into_iter().find(|(_, name, _)| name == "y").expect("it has this output").2.numbers();
    executable.run(&mut state, &[]).expect("there are no inputs");
    [executable.result(Role::Output, "y").expect("it has this output").numbers(), interpreted]
}

#[test]
fn the_same_bits_at_every_level_in_every_mode_and_precision() {
    let model = model("model m {\n output y = random([7, 19])\n}\n");
    let [first, _] = both(&model, &Options::default(), |_| {});
    assert!(first.iter().all(|u| (0.0..1.0).contains(u) && (u * 16_777_216.0).fract() == 0.0));
    for options in every_option() {
        for numbers in both(&model, &options, |_| {}) {
            assert_eq!(numbers, first, "{options:?}");
        }
    }
}

#[test]
fn an_element_depends_on_seed_place_step_and_position_alone() {
    let options = Options::default();
    let plain = "model m {\n output y = random([64])\n}\n";
    let [first, _] = both(&model(plain), &options, |_| {});
    // Other code around it, and another shape, change nothing.
    let around = "layer noise(x) { x + random(x.shape) }\nmodel m {\n let z = noise(zeros([8]))\n output y = random([4, 16])\n \
                  output z\n}\n";
    let [second, _] = both(&model(around), &options, |_| {});
    assert_eq!(first, second);
    let step = ndarray::arr0(1i32);
    let [next, _] = both(&model(plain), &options, |state| {
        state.set("random.step", step.view()).expect("it is there");
    });
    let seed = ndarray::arr0(123i32);
    let [other, _] = both(&model(plain), &options, |state| {
        state.set("random.seed", seed.view()).expect("it is there");
    });
    let [twice, _] =
        both(&model("model m {\n let x = random([64])\n output y = random([64]) + 0 * x\n}\n"), &options, |_| {});
    for different in [&next, &other, &twice] {
        let same = first.iter().zip(different.iter()).filter(|(a, b)| a == b).count();
        assert!(same < 3, "{same} of 64 numbers are the same");
    }
}

/// The steps of a loop draw what a tensor with the time axis in front holds, in loops within each other with both axes.
#[test]
fn each_step_of_a_loop_draws_its_part_of_one_tensor() {
    let whole = model("model m {\n output y = random([5, 4, 3])\n}\n");
    let [expected, _] = both(&whole, &Options::default(), |_| {});
    let over = |body: &str| model(&format!("model m {{\n output y = {body}\n}}\n"));
    let plain = over("scan _ in iota(5) { random([4, 3]) }");
    let nested = over("scan _ in iota(5) { scan _ in iota(4) { random([3]) } }");
    let backwards = over("scan _ in iota(5), reverse = true { random([4, 3]) }");
    for model in [plain, nested, backwards] {
        for options in every_option() {
            for numbers in both(&model, &options, |_| {}) {
                assert_eq!(numbers, expected, "{options:?}");
            }
        }
    }
}

/// Backwards, a step drops what it dropped forwards, whether it is kept or drawn again.
#[test]
fn dropout_in_the_steps_of_a_loop() {
    let source = "model m {
        input x: f64[6, 8]
        param w: f64[8] = ones
        output y = scan x_t in x { dropout(w * x_t, 0.5) }
        loss sum(y * y) / 2
    }";
    let model = model(source);
    let x = Array2::from_shape_fn((6, 8), |(i, j)| 1.0 + (i * 8 + j) as f64);
    for level in [Level::None, Level::Full] {
        let options = Options { level, ..Options::default() };
        let goal = Goal::Gradient { wrt: vec!["x".to_owned()] };
        let mut executable = model.compile(&goal, &options).expect("it compiles");
        let mut state = executable.initial_state(3);
        executable.run(&mut state, &[("x", x.view().into())]).expect("the input fits");
        let y = executable.result(Role::Output, "y").expect("it has this output").numbers();
        let by_x = executable.result(Role::Gradient, "x").expect("it was asked for").numbers();
        let rows: Vec<Vec<bool>> = y.chunks(8).map(|row| row.iter().map(|y| *y == 0.0).collect()).collect();
        assert!((1..6).any(|row| rows[row] != rows[0]), "the same is dropped in every step: {rows:?}");
        for ((x, y), slope) in x.iter().zip(&y).zip(by_x) {
            assert!(*y == 0.0 && slope == 0.0 || *y == 2.0 * x && slope == 4.0 * x, "{x} {y} {slope}");
        }
    }
}

#[test]
fn distributions_have_their_moments() {
    let of = |call: &str| {
        let [numbers, _] = both(&model(&format!("model m {{\n output y = {call}\n}}\n")), &Options::default(), |_| {});
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        let moment = |k: i32| numbers.iter().map(|x| (x - mean).powi(k)).sum::<f64>() / n;
        (mean, moment(2), moment(3), moment(4), numbers)
    };
    let (mean, variance, _, fourth, numbers) = of("random_uniform([1000, 100], low = -1, high = 3)");
    assert!((mean - 1.0).abs() < 0.02 && (variance - 16.0 / 12.0).abs() < 0.02 && (fourth - 256.0 / 80.0).abs() < 0.05);
    assert!(numbers.iter().all(|x| (-1.0..3.0).contains(x)));
    // Neighbours are not correlated.
    let product: f64 = numbers.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum::<f64>() / 99_999.0;
    assert!(product.abs() < 0.02, "{product}");

    let (mean, variance, third, fourth, numbers) = of("random_normal([1000, 100], mean = 2, std = 3)");
    assert!((mean - 2.0).abs() < 0.04 && (variance - 9.0).abs() < 0.15, "{mean} {variance}");
    assert!(third.abs() < 0.8 && (fourth / 81.0 - 3.0).abs() < 0.15, "{third} {fourth}");
    let beyond = numbers.iter().filter(|x| (*x - 2.0).abs() > 3.0 * 1.959_964).count();
    assert!((4800..5200).contains(&beyond), "{beyond} of 100000 are beyond what 5 % should be");

    let (mean, ..) = of("cast(bernoulli([1000, 100], p = 0.3), f32)");
    assert!((mean - 0.3).abs() < 0.006, "{mean}");
}

const DROPPED: &str = "
    dim batch = 64
    model m {
        input x: f32[batch, 32]
        param w: [32] = ones
        output y = dropout(w * x, RATE)
        loss sum(y)
    }
";

fn run(rate: &str, goal: &Goal, options: &Options) -> (Executable, State, Vec<f64>) {
    let model = model(&DROPPED.replace("RATE", rate));
    let mut executable = model.compile(goal, options).expect("it compiles");
    let mut state = executable.initial_state(3);
    let x = Array2::from_shape_fn((64, 32), |(i, j)| 1.0 + (i * 32 + j) as f32);
    executable.run(&mut state, &[("x", x.view().into())]).expect("the input fits");
    let y = executable.result(Role::Output, "y").expect("it has this output").numbers();
    (executable, state, y)
}

#[test]
fn dropout_drops_in_training_alone_and_backwards_the_same() {
    let x: Vec<f64> = (0..64 * 32).map(|i| 1.0 + f64::from(i)).collect();
    let gradient = Goal::Gradient { wrt: vec!["x".to_owned()] };
    for level in [Level::None, Level::Full] {
        let options = Options { level, ..Options::default() };
        assert_eq!(run("0.25", &Goal::Forward, &options).2, x);
        let (executable, _, y) = run("0.25", &gradient, &options);
        let kept = y.iter().filter(|y| **y != 0.0).count();
        assert!((1450..1620).contains(&kept), "{kept} of 2048 are kept");
        let by_x = executable.result(Role::Gradient, "x").expect("it was asked for").numbers();
        for ((x, y), slope) in x.iter().zip(&y).zip(by_x) {
            let factor = if *y == 0.0 { 0.0 } else { f64::from((1.0f64 / 0.75) as f32) };
            assert_eq!((*y, slope), (f64::from((x * factor) as f32), factor));
        }
        let by_w = executable.result(Role::Gradient, "w").expect("it is a parameter").numbers();
        let sums: Vec<f64> = (0..32).map(|j| (0..64).map(|i| y[i * 32 + j]).sum()).collect();
        by_w.iter().zip(sums).for_each(|(g, sum)| assert!((g - sum).abs() <= 1e-5 * sum.abs(), "{g} {sum}"));
        // Nothing is dropped, and everything is.
        assert_eq!(run("0", &gradient, &options).2, x);
        assert!(run("1", &gradient, &options).2.iter().all(|y| *y == 0.0));
    }
}

#[test]
fn every_step_has_its_numbers_and_a_resumed_run_the_same() {
    let source = "dim batch = 8\nmodel m {\n input x: f32[batch]\n param w: [batch] = ones\n output y = dropout(w * x)\n \
                  loss sum(y)\n}\ntrain {\n optimizer sgd(lr = 0.125)\n seed 5\n}\n";
    let x = Array1::from_elem(8, 1.0f32);
    let losses = |step: &mut gradc::TrainingStep, count: usize| -> Vec<f64> {
        (0..count).map(|_| step.run(&[("x", x.view().into())]).expect("the input fits")).collect()
    };
    let model = model(source);
    let mut whole = model.compile_training(&Options::default()).expect("it trains");
    let all = losses(&mut whole, 6);
    assert!(all.windows(2).any(|pair| pair[0] != pair[1]), "{all:?}");

    let mut first = model.compile_training(&Options::default()).expect("it trains");
    let begun = losses(&mut first, 3);
    let mut second = model.compile_training(&Options::default()).expect("it trains");
    *second.state_mut() = first.state().clone();
    let ended = losses(&mut second, 3);
    assert_eq!([begun, ended].concat(), all);
    assert_eq!(second.state(), whole.state());
    assert_eq!(whole.state().get("random.step").expect("it is there").numbers(), [6.0]);
}
