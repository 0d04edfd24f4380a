//! Less memory than keeping everything takes: values are computed again, and results are the same.

use std::path::Path;

use gradc::ir::Role;
use gradc::schedule;
use gradc::schedule::kernel::Access;
use gradc::schedule::plan::{Plan, Step};
use gradc::{Error, Executable, Goal, Level, Model, Options, Program, Tensor, TensorView, UpdateRule, index_bounds};
use gradc_testing::{Random, random_network};

/// The training step of a model, or its gradient, within a limit.
fn compile(model: &Model, limit: Option<usize>, level: Level) -> Result<Executable, Error> {
    let rule = model.train_config().map(UpdateRule::from).unwrap_or_default();
    model.compile(&Goal::Training(rule), &Options { memory_limit: limit, level, ..Options::default() })
}

/// All that a training step gives: results, then parameters, each with its name.
fn step(model: &Model, executable: &mut Executable) -> Vec<(String, Vec<f64>)> {
    let bounds = index_bounds(model.graph());
    let mut state = executable.initial_state(3);
    let mut random = Random::new(7);
    let inputs: Vec<(String, Tensor)> = executable
        .inputs()
        .map(|(name, ty)| {
            let mut draw = || match ty.dtype.is_float() {
                true => f64::from((random.unit() * 2.0 - 1.0) as f32),
                false => random.below(bounds.get(name).copied().unwrap_or(2)) as f64,
            };
            let numbers: Vec<f64> = (0..ty.shape.elements()).map(|_| draw()).collect();
            (name.to_owned(), Tensor::from_numbers(ty, numbers).expect("as many numbers as elements"))
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    executable.run_training(&mut state, &views, 1e-2, 1).expect("inputs and state fit");
    let outputs = executable.graph().outputs().iter().filter(|output| output.role != Role::Update);
    let results = outputs
        .filter_map(|output| Some((output.name.to_string(), executable.result(output.role, &output.name)?.numbers())));
    let parameters = state.parameters().map(|(name, value)| (name.to_owned(), value.clone().numbers()));
    results.chain(parameters).collect()
}

/// Compiles with less and less memory. Each program stays within its limit, computes the same, and never less than with more
/// memory; the last one is refused. Returns the least memory that sufficed, with what keeping everything takes.
fn check(model: &Model, what: &str, level: Level) -> (usize, usize) {
    let mut whole = compile(model, None, level).unwrap_or_else(|error| panic!("{what}: {error}"));
    let bytes = whole.plan().arena_bytes;
    assert!(whole.plan().recomputed.is_none(), "{what}: what is small is kept");
    let expected = step(model, &mut whole);
    let (mut flops, mut least) = (0, bytes);
    for percent in [100, 80, 60, 40, 20, 0] {
        let limit = bytes * percent / 100;
        match compile(model, Some(limit), level) {
            Ok(mut program) => {
                let plan = program.plan();
                assert!(plan.arena_bytes <= limit, "{what}: {} bytes of {limit}", plan.arena_bytes);
                assert_eq!(plan.recomputed.is_some(), plan.arena_bytes < bytes, "{what} at {percent} %");
                let again = plan.recomputed.map_or(0, |recomputed| recomputed.flops);
                assert!(again >= flops, "{what} at {percent} %: {again} operations again, {flops} with more memory");
                (flops, least) = (again, plan.arena_bytes);
                assert_same(&step(model, &mut program), &expected, 2e-4, &format!("{what} at {percent} %"));
            }
            Err(Error::OverMemoryLimit { limit: stated, least: fewest }) => {
                assert_eq!(stated, limit);
                // What is said to suffice does.
                let program = compile(model, Some(fewest), level).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(program.plan().arena_bytes <= fewest, "{what}");
                return (fewest, bytes);
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
    (least, bytes)
}

/// Sums may be in another order, where other kernels compute them, and deep towers magnify what that rounds.
fn assert_same(found: &[(String, Vec<f64>)], expected: &[(String, Vec<f64>)], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for ((name, found), (_, expected)) in found.iter().zip(expected) {
        let size = expected.iter().fold(1e-3f64, |size, x| size.max(x.abs()));
        for (&a, &b) in found.iter().zip(expected) {
            let same = a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= tolerance * size;
            assert!(same, "{what}: {name} is {a}, not {b}");
        }
    }
}

fn model(source: &str) -> Model {
    let program = Program::from_source("m.net", source).and_then(|program| program.only_model());
    program.unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// With the square root of the number of layers, the memory of a deep network grows.
#[test]
fn deep_chains_take_sublinear_memory() {
    let chain = |layers: usize| {
        model(&format!(
            "model m {{
                input x: f32[64, 16]
                let h = x
                for i in 0..{layers} {{ h = tanh(dense(h, 16)) }}
                loss mean(square(h))
            }}"
        ))
    };
    let (least, all) = check(&chain(16), "16 layers", Level::Full);
    assert!(least < all, "{least} of {all}");
    let (of_256, all) = check(&chain(256), "256 layers", Level::Full);
    assert!(10 * of_256 < all, "{of_256} of {all}");
    assert!(of_256 < 6 * least, "{of_256} for sixteen times as many layers as take {least}");
}

#[test]
fn residual_networks() {
    let source = "model m {
        input x: f32[17, 33]
        input label: i32[17]
        let h = x
        for i in 0..20 { h = h + dense(gelu(dense(layer_norm(h), 65)), 33) }
        loss cross_entropy(dense(h, 10), label)
    }
    train { optimizer adam(lr = 0.001); clip_norm 1 }";
    check(&model(source), "a residual network at -O0", Level::None);
    // The norm of the gradient needs all of it.
    check(&model(source), "a residual network with clipping", Level::Full);
    let source = source.replace("; clip_norm 1", "");
    let (least, all) = check(&model(&source), "a residual network", Level::Full);
    assert!(2 * least < all, "{least} of {all}");
}

/// Random numbers are the same when they are computed again.
#[test]
fn dropout() {
    let source = "model m {
        input x: f32[63, 65]
        let h = x
        for i in 0..8 { h = dropout(relu(dense(h, 65)), 0.3) }
        loss mean(square(h))
    }";
    check(&model(source), "dropout", Level::Full);
}

#[test]
fn examples() {
    for (file, batch) in [("transformer2.net", 2), ("lenet.net", 5), ("lstm32.net", 3), ("residual32.net", 7)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/suite").join(file);
        let model = Program::from_path(path).and_then(|program| program.only_model()).expect("the example is right");
        check(&model.bind("batch", batch).expect("any batch size fits"), file, Level::Full);
    }
}

#[test]
fn random_networks() {
    for seed in 0..60 {
        check(&model(&random_network(seed)), &format!("seed {seed}"), Level::Full);
    }
}

/// What is larger than any cache is computed again without being asked for.
#[test]
fn large_activations_are_not_kept() {
    let linear = "h + dense(gelu_tanh(dense(layer_norm(h), 256)), 64)";
    // Random numbers, and statistics that are updated while what is computed again reads others.
    let noisy = "h + dense(dropout(gelu_tanh(batch_norm(dense(h, 256))), 0.3), 64)";
    for layer in [linear, noisy] {
        check_large(&format!(
            "model m {{
                input x: f32[16384, 64]
                let h = x
                for i in 0..2 {{ h = {layer} }}
                loss mean(square(h))
            }}
            train {{ optimizer sgd(lr = 1) }}"
        ));
    }
}

/// Attention of three heads, whose scores are sums of 32 products, and linear layers.
const ATTENTION: &str = "layer self_attention(x: [batch, n, d]) -> [batch, n, d] {
    param query: [d, d] = glorot_uniform
    param key: [d, d] = glorot_uniform
    param value: [d, d] = glorot_uniform
    let q = transpose(reshape(x @ query, [batch, n, 3, d / 3]), [0, 2, 1, 3])
    let k = transpose(reshape(x @ key, [batch, n, 3, d / 3]), [0, 2, 1, 3])
    let v = transpose(reshape(x @ value, [batch, n, 3, d / 3]), [0, 2, 1, 3])
    reshape(transpose(attention(q, k, v), [0, 2, 1, 3]), [batch, n, d])
}
model m {
    input x: f32[96, 64, 96]
    let h = x
    for i in 0..2 {
        h = h + self_attention(layer_norm(h))
        h = h + dense(gelu_tanh(dense(layer_norm(h), 384)), 96)
    }
    loss mean(square(h))
}
train { optimizer sgd(lr = 1) }";

/// What is computed from the scores is not kept, nor are they.
#[test]
fn scores_of_attention_are_not_kept() {
    check_large(ATTENTION);
    let program = compile(&model(ATTENTION), None, Level::Full).expect("there is memory");
    let Plan { arena_bytes, recomputed, .. } = program.plan();
    let bytes_without = recomputed.expect("something is computed again").bytes_without;
    assert!(5 * arena_bytes < 3 * bytes_without, "{arena_bytes} bytes instead of {bytes_without}");
}

/// What is normalised is multiplied with three gradients in three steps, and one step computes it again for all of them.
#[test]
fn a_step_computes_again_once() {
    let program = compile(&model(ATTENTION), None, Level::Full).expect("there is memory");
    let plan = program.plan();
    let mut looked_at = 0;
    for step in &plan.steps {
        let Step::Kernel { kernel, buffers } = step else { continue };
        let params = &plan.kernels[*kernel].buffers;
        let written = buffers.iter().zip(params).filter(|(_, param)| param.access == Access::Write);
        let names = written.map(|(buffer, _)| plan.buffers[buffer.0 as usize].name.trim_end_matches(".again"));
        let mut names: Vec<&str> = names.filter(|name| name.contains('.')).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}\n{}", schedule::plan::print(plan));
        looked_at += count;
    }
    assert!(looked_at > 0, "no value has a name:\n{}", schedule::plan::print(plan));
}

fn check_large(source: &str) {
    let model = model(source);
    let mut all = compile(&model, None, Level::None).expect("there is memory");
    let expected = step(&model, &mut all);
    for limit in [None, Some(usize::MAX)] {
        let mut less = compile(&model, limit, Level::Full).expect("there is memory");
        let again = less.plan().recomputed.expect("something is computed again");
        assert!(again.bytes_without > 64 << 20, "{} bytes", again.bytes_without);
        let bytes = less.plan().arena_bytes;
        assert!(10 * bytes < 7 * again.bytes_without, "{bytes} of {}", again.bytes_without);
        // Unsimplified, sums over all rows are rounded in another way.
        assert_same(&step(&model, &mut less), &expected, 2e-4, source);
    }
}
