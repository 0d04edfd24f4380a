//! Training steps on several threads: the same bits as on one, whatever the model is made of.

use std::num::NonZeroUsize;
use std::path::Path;

use gradc::ir::Role;
use gradc::{Goal, Model, Options, Program, Tensor, TensorView, UpdateRule};
use gradc_testing::Random;

/// Everything that a training step leaves behind, after two of them.
fn trained(model: &Model, threads: usize) -> (Vec<Vec<u64>>, usize) {
    let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
    let rule = model.train_config().map(UpdateRule::from).unwrap_or_default();
    let mut executable = model.compile(&Goal::Training(rule), &options).expect("the model compiles");
    let mut state = executable.initial_state(3);
    let mut random = Random::new(7);
    let inputs: Vec<(String, Tensor)> = executable
        .inputs()
        .map(|(name, ty)| {
            let bound = executable.bound(name).unwrap_or(2);
            let mut draw = || match ty.dtype.is_float() {
                true => f64::from((random.unit() * 3.0 - 1.5) as f32),
                false => random.below(bound) as f64,
            };
            let numbers: Vec<f64> = (0..ty.shape.elements()).map(|_| draw()).collect();
            (name.to_owned(), Tensor::from_numbers(ty, numbers).expect("as many numbers as elements"))
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    for step in 1..=2 {
        executable.run_training(&mut state, &views, 1e-3, step).expect("inputs and state fit");
    }
    let outputs = executable.graph().outputs().iter().filter(|output| output.role != Role::Update);
    let results = outputs.filter_map(|output| executable.result(output.role, &output.name));
    let parameters: Vec<Tensor> = state.parameters().map(|(_, value)| value.clone()).collect();
    let bits = |tensor: Tensor| tensor.numbers().into_iter().map(f64::to_bits).collect();
    (results.chain(parameters).map(bits).collect(), executable.machine().threads())
}

fn check(model: &Model, what: &str) {
    let (expected, alone) = trained(model, 1);
    assert_eq!(alone, 1);
    for threads in [2, 3] {
        let (found, shared) = trained(model, threads);
        assert_eq!(shared, threads, "{what} is large enough to be shared");
        assert!(found == expected, "{what}: other bits on {threads} threads");
    }
}

/// The model of a file of the suite, with another batch size if given.
fn suite(file: &str, batch: Option<usize>) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/suite").join(file);
    let model = Program::from_path(path).and_then(|program| program.only_model()).expect("the example is right");
    match batch {
        Some(batch) => model.bind("batch", batch).expect("any batch size fits"),
        None => model,
    }
}

#[test]
fn products_and_updates() {
    check(&suite("mlp_mnist.net", None), "mlp_mnist");
    check(&suite("mlp_mnist.net", Some(37)), "mlp_mnist of 37");
}

#[test]
fn convolutions_and_pools() {
    check(&suite("lenet.net", Some(17)), "lenet of 17");
}

#[test]
fn rows_and_heads() {
    check(&suite("transformer2.net", Some(3)), "transformer2 of 3");
}

/// Sums over everything and over rows are cut into chunks, whoever adds them up; some numbers of rows leave a rest.
#[test]
fn whole_sums() {
    let sums = suite("ewise1m.net", None);
    for n in [40_000, 65_536, 100_003] {
        check(&sums.bind("n", n).expect("any number fits"), &format!("ewise1m of {n}"));
    }
    let source = "
        dim batch = 3001
        model m {
            input x: f32[batch, 45]
            input y: f32[batch, 45]
            let h = layer_norm(gelu(x * 2.0))
            param gain: [45] = normal(1, 0.1)
            param shift: [45] = normal(0, 0.1)
            let p = h * gain + shift
            output p
            loss mse(p, y)
        }
        train { optimizer sgd(lr = 0.01) }
    ";
    let model = Program::from_source("m.net", source).and_then(|program| program.only_model());
    let model = model.expect("the model is right");
    check(&model, "layer norm of 3,001 rows");
    check(&model.bind("batch", 4096).expect("any batch size fits"), "layer norm of 4,096 rows");
}

#[test]
fn loops() {
    check(&suite("lstm32.net", Some(9)), "lstm32 of 9");
}

/// Random numbers depend on position, not on the order in which they are drawn.
#[test]
fn dropout() {
    let source = "
        dim batch = 61
        model m {
            input x: f64[batch, 130]
            input label: i32[batch]
            let h = dropout(gelu(dense(x, 259)), 0.3)
            let k = dropout(relu(dense(h, 517)), 0.5)
            output logits = dense(k, 11)
            loss cross_entropy(logits, label)
        }
        train { optimizer adam(lr = 0.001) }
    ";
    for float in ["f32", "f64"] {
        let source = source.replace("f64", float);
        let model = Program::from_source("m.net", source.as_str()).and_then(|program| program.only_model());
        check(&model.expect("the model is right"), &format!("dropout in {float}"));
    }
}
