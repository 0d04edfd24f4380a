//! Training steps of convolutions and of attention copy nothing to make matrices of it: no buffer is as large as the windows would
//! be, and heads are not moved. They learn what the interpreter says.

use std::num::NonZeroUsize;

use gradc::ir::{LeafKind, Role};
use gradc::{Executable, Goal, Model, Options, Program, Tensor, TensorView, UpdateRule, index_bounds, interpret};
use gradc_testing::Random;

fn model(source: &str) -> Model {
    let program = Program::from_source("model.net", source).expect("the source is right");
    program.only_model().expect("it has one model")
}

fn compiled(model: &Model, threads: usize) -> Executable {
    let rule = model.train_config().map(UpdateRule::from).unwrap_or_default();
    let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
    model.compile(&Goal::Training(rule), &options).expect("the model compiles")
}

/// What a step leaves of the parameters and the loss, and what the interpreter says of them.
fn step(executable: &mut Executable, model: &Model) -> [Vec<(String, Vec<f64>)>; 2] {
    let mut random = Random::new(7);
    let inputs: Vec<(String, Tensor)> = executable
        .inputs()
        .map(|(name, ty)| {
            let numbers = (0..ty.shape.elements()).map(|_| f64::from((random.unit() - 0.5) as f32));
            (name.to_owned(), Tensor::from_numbers(ty, numbers).expect("as many numbers as elements"))
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let mut state = executable.initial_state(3);
    executable.set_training(0.1, 1);
    let graph = executable.graph().clone();
    let mut interpreted = Vec::new();
    // The rate is an input of the graph that nobody else knows of.
    let rate: Vec<(String, Tensor)> = graph
        .leaves(LeafKind::Input)
        .filter_map(|leaf| Some((graph.value_name(leaf)?.to_string(), graph.ty(leaf))))
        .filter(|(name, _)| inputs.iter().all(|(input, _)| input != name))
        .map(|(name, ty)| (name, Tensor::from_numbers(ty, vec![0.1; ty.shape.elements()]).expect("it is a number")))
        .collect();
    let all: Vec<(&str, TensorView<'_>)> =
        views.iter().cloned().chain(rate.iter().map(|(name, tensor)| (name.as_str(), tensor.view()))).collect();
    for (role, name, tensor) in interpret(&graph, &index_bounds(model.graph()), &state, &all).expect("all is bound") {
        if matches!(role, Role::Update | Role::Loss) {
            interpreted.push((name, tensor.numbers()));
        }
    }
    executable.run_training(&mut state, &views, 0.1, 1).expect("inputs and state fit");
    let mut found: Vec<(String, Vec<f64>)> =
        state.parameters().map(|(name, value)| (name.to_owned(), value.clone().numbers())).collect();
    found.extend(executable.loss().map(|loss| ("loss".to_owned(), vec![loss])));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    interpreted.sort_by(|a, b| a.0.cmp(&b.0));
    [found, interpreted]
}

/// Checks that the largest value of a training step has so many bytes at most, and what the step does.
fn check(source: &str, most: usize) {
    let model = model(source);
    let mut alone = compiled(&model, 1);
    let plan = alone.plan();
    let values = plan.buffers.iter().filter(|buffer| buffer.name != "scratch");
    let largest = values.max_by_key(|buffer| buffer.ty.bytes()).expect("there are buffers");
    let text = || gradc_schedule::plan::print(plan);
    assert!(largest.ty.bytes() <= most, "{} is {} of {most} bytes\n{}", largest.name, largest.ty.bytes(), text());
    let [found, expected] = step(&mut alone, &model);
    assert_eq!(found.len(), expected.len());
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        let scale = expected.iter().fold(0.0f64, |scale, number| scale.max(number.abs()));
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!((a - b).abs() <= 1e-4 * scale, "{source}: {name}[{i}] is {a}, not {b}");
        }
    }
    for threads in [2, 3] {
        let [shared, _] = step(&mut compiled(&model, threads), &model);
        let bits = |results: &[(String, Vec<f64>)]| -> Vec<Vec<u64>> {
            results.iter().map(|(_, numbers)| numbers.iter().map(|number| number.to_bits()).collect()).collect()
        };
        assert!(bits(&shared) == bits(&found), "{source}: other bits on {threads} threads");
    }
}

/// A convolution of an image that is computed, so that it has a gradient too.
fn convolution(batch: usize, side: usize, channels: usize, layer: &str) -> String {
    format!(
        "model convolved {{
            input x: f32[{batch}, {side}, {side}, 3]
            let images = tanh(dense(x, {channels}))
            let y = {layer}
            output y
            loss mean(square(y))
        }}
        train {{ optimizer sgd(lr = 0.1) }}"
    )
}

const F32: usize = 4;

#[test]
fn convolutions() {
    let images = |batch: usize, side: usize, channels: usize| batch * side * side * channels * F32;
    // Windows of 3 × 3 would be nine times as large as images, those of 5 × 5 as large as 25 of them.
    let same = "conv2d(images, 8, 3, padding = 1)";
    check(&convolution(6, 13, 8, same), images(6, 15, 8));
    check(&convolution(4, 17, 8, "conv2d(images, 8, 5, bias = false)"), images(4, 17, 8));
    check(&convolution(9, 16, 7, "conv2d(images, 5, 3, stride = 2)"), images(9, 16, 7));
    check(&convolution(5, 17, 8, "conv2d(images, 7, 3, dilation = 3)"), images(5, 17, 8));
    check(&convolution(5, 11, 6, "conv2d(images, 6, 1)"), images(5, 11, 6));
    check(&convolution(5, 11, 6, "conv2d(images, 6, 1, stride = 2)"), images(5, 11, 6));
    check(&convolution(3, 12, 8, "conv2d(images, 12, 3, groups = 2)"), images(3, 12, 12));
    check(&convolution(3, 9, 8, "conv_transpose2d(images, 4, 4, stride = 2)"), images(3, 20, 4));
}

#[test]
fn attention() {
    let (batch, length, width, heads) = (3, 17, 24, 3);
    let source = format!(
        "const heads = {heads}
        layer attend(x: [batch, n, d]) -> [batch, n, d] {{
            let size = d / heads
            param query: [d, d] = glorot_uniform
            param key: [d, d] = glorot_uniform
            param value: [d, d] = glorot_uniform
            param out: [d, d] = glorot_uniform
            let q = transpose(reshape(x @ query, [batch, n, heads, size]), [0, 2, 1, 3])
            let k = transpose(reshape(x @ key, [batch, n, heads, size]), [0, 2, 1, 3])
            let v = transpose(reshape(x @ value, [batch, n, heads, size]), [0, 2, 1, 3])
            reshape(transpose(attention(q, k, v), [0, 2, 1, 3]), [batch, n, d]) @ out
        }}
        model attentive {{
            input x: f32[{batch}, {length}, {width}]
            let y = attend(attend(x))
            output y
            loss mean(square(y))
        }}
        train {{ optimizer sgd(lr = 0.1) }}"
    );
    check(&source, batch * heads * length * length * F32);
    // Nothing but products and what is computed element by element: no kernel moves.
    let executable = compiled(&model(&source), 1);
    let moved: Vec<&str> = executable.plan().kernels.iter().map(|kernel| kernel.name.as_str()).collect();
    assert!(moved.iter().all(|name| !name.contains("transpose") && !name.contains("reshape")), "{moved:?}");
}
