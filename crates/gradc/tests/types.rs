//! Element types from end to end: what goes in and comes out of compiled programs, how conversions round, and how
//! parameters of 16 bits are trained.

use std::collections::BTreeMap;

use gradc::ir::op::Arity;
use gradc::ir::{Class, DType, Graph, LeafKind, Role, TensorType};
use gradc::pipeline::{Unobserved, lower};
use gradc::{Executable, Goal, Level, Mode, Options, Program, Tensor, TensorView, bf16, f16, index_bounds, interpret};
use ndarray::{Array1, arr1, arr2};

/// The outputs of a model by name, for these inputs.
fn run(source: &str, inputs: &[(&str, TensorView<'_>)], options: &Options) -> Vec<(String, Tensor)> {
    let program = Program::from_source("types.net", source).unwrap_or_else(|error| panic!("{error}"));
    let model = program.only_model().unwrap_or_else(|error| panic!("{error}"));
    let mut executable = model.compile(&Goal::Forward, options).unwrap_or_else(|error| panic!("{error}"));
    let mut state = executable.initial_state(0);
    executable.run(&mut state, inputs).unwrap_or_else(|error| panic!("{error}"));
    let outputs = executable.graph().outputs_of(Role::Output).map(|output| output.name.to_string());
    let outputs: Vec<String> = outputs.collect();
    let tensor = |name: String| {
        let tensor = executable.result(Role::Output, &name).expect("an output is there after a run").to_owned();
        (name, tensor)
    };
    outputs.into_iter().map(tensor).collect()
}

const LEVELS: [Level; 2] = [Level::None, Level::Full];

/// Numbers at which conversions differ: halfway between neighbours, subnormal, at the ends of ranges and beyond, no numbers.
const EDGES: [f64; 34] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.75,
    2.9,
    -2.9,
    1.00390625,
    1.01171875,
    1.00048828125,
    1.00146484375,
    255.0,
    256.0,
    -129.0,
    300.7,
    2048.0,
    2049.0,
    65504.0,
    65519.996,
    65520.0,
    -7e4,
    5.960464477539063e-8,
    2.9802322387695312e-8,
    8.940696716308594e-8,
    1e-40,
    3e9,
    -3e9,
    3.3961e38,
    1e19,
    -1e19,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

/// What a conversion means, step by step, on the host's types.
fn convert(number: f64, from: DType, to: DType) -> f64 {
    // From an integer to an integer the low bits stay; from a float what is too large becomes the nearest.
    let wraps = from.is_integer();
    match to {
        DType::Bool => f64::from(u8::from(number != 0.0)),
        DType::U8 if wraps => f64::from(number as i64 as u8),
        DType::U8 => f64::from(number as u8),
        DType::I32 if wraps => f64::from(number as i64 as i32),
        DType::I32 => f64::from(number as i32),
        DType::I64 => number as i64 as f64,
        DType::F16 => f16::from_f32(number as f32).to_f64(),
        DType::Bf16 => bf16::from_f32(number as f32).to_f64(),
        DType::F32 => f64::from(number as f32),
        DType::F64 => number,
    }
}

#[test]
fn every_type_converts_to_every_other() {
    for from in DType::ALL {
        let numbers: Vec<f64> = EDGES.iter().map(|&number| convert(number, DType::F64, from)).collect();
        let ty = TensorType::new(from, [EDGES.len()]);
        let tensor = Tensor::from_numbers(&ty, numbers.iter().copied()).expect("as many numbers as elements");
        for to in DType::ALL {
            let source = format!("model m {{\n input x: {from}[{}]\n output y = cast(x, {to})\n}}", EDGES.len());
            for level in LEVELS {
                let options = Options { level, mode: Mode::Strict, ..Options::default() };
                let results = run(&source, &[("x", tensor.view())], &options);
                assert_eq!(results[0].1.ty(), TensorType::new(to, [EDGES.len()]));
                for (number, found) in numbers.iter().zip(results[0].1.numbers()) {
                    let expected = convert(*number, from, to);
                    let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                    assert!(same, "{number:e} from {from} to {to} is {found:e}, not {expected:e}");
                }
            }
        }
    }
}

/// A half stays one through a wider type; a wider number does not through a half.
#[test]
fn only_conversions_that_lose_nothing_are_left_out() {
    let source = "model m {
        input x: f32[3]
        output narrow = cast(cast(x, bf16), f32)
        output wide = cast(cast(cast(x, f16), f64), f16)
    }";
    for mode in [Mode::Strict, Mode::Accurate, Mode::Fast] {
        let x = arr1(&[1.001f32, -0.1, 1e-3]);
        let results = run(source, &[("x", (&x).into())], &Options { mode, ..Options::default() });
        let narrow: Vec<f64> = x.iter().map(|&x| bf16::from_f32(x).to_f64()).collect();
        let wide: Vec<f64> = x.iter().map(|&x| f16::from_f32(x).to_f64()).collect();
        assert_eq!((results[0].1.numbers(), results[1].1.numbers()), (narrow, wide), "{mode}");
    }
}

/// A fused chain rounds at each value, as the same chain on the host does.
#[test]
fn each_value_of_a_chain_is_rounded() {
    let source = "model m {
        input a: bf16[1001]
        input b: bf16[1001]
        output y = (a * b + a) / b - 0.3
    }";
    let numbers = |step: usize| -> Array1<bf16> {
        (0..1001).map(|i| bf16::from_f32((i * step % 1009) as f32 / 100.0 - 4.97)).collect()
    };
    let (a, b) = (numbers(7), numbers(11));
    let options = Options { mode: Mode::Strict, ..Options::default() };
    let results = run(source, &[("a", (&a).into()), ("b", (&b).into())], &options);
    let found = results[0].1.as_bf16().expect("the output is bf16");
    let round = |number: f32| bf16::from_f32(number).to_f32();
    for ((&a, &b), found) in a.iter().zip(&b).zip(found) {
        let (a, b) = (a.to_f32(), b.to_f32());
        let expected = bf16::from_f32(round(round(round(a * b) + a) / b) - bf16::from_f32(0.3).to_f32());
        assert_eq!(found.to_bits(), expected.to_bits(), "{a} and {b}");
    }
}

/// 2000 ones are 2000, though counting them in `bf16` ends at 256, and their mean is 1, though their sum is beyond `f16`.
#[test]
fn sums_products_and_means_are_rounded_once() {
    let source = "model m {
        input x: bf16[3, 2000]
        input h: f16[2000]
        output sums = sum(x, axis = 1)
        output columns = sum(x, axis = 0)
        output products = x @ x.T
        output average = mean(h)
        loss mean(h)
    }";
    for (mode, level) in [(Mode::Strict, Level::None), (Mode::Accurate, Level::Full), (Mode::Fast, Level::Full)] {
        let x = ndarray::Array2::from_elem((3, 2000), bf16::ONE);
        let h = Array1::from_elem(2000, f16::from_f32(100.0));
        let options = Options { mode, level, ..Options::default() };
        let results = run(source, &[("x", (&x).into()), ("h", (&h).into())], &options);
        let numbers = |at: usize| results[at].1.numbers();
        assert_eq!(numbers(0), [2000.0; 3]);
        assert_eq!(numbers(1), [3.0; 2000]);
        assert_eq!(numbers(2), [2000.0; 9]);
        assert_eq!(numbers(3), [100.0]);
    }
}

/// Machine code has all 64 bits.
#[test]
fn long_integers_are_exact() {
    let source = "model m {
        input k: i64[4]
        output square = k * k
        output next = k + 1
        output equal = k == 9007199254740992
        output back = cast(cast(k, i32), i64)
    }";
    let k = arr1(&[i64::MAX, (1 << 53) + 1, -3_000_000_019, i64::MIN]);
    for level in LEVELS {
        let results = run(source, &[("k", (&k).into())], &Options { level, ..Options::default() });
        let of = |at: usize| results[at].1.as_i64().expect("the output is i64").iter().copied().collect::<Vec<i64>>();
        assert_eq!(of(0), k.iter().map(|k| k.wrapping_mul(*k)).collect::<Vec<_>>());
        assert_eq!(of(1), k.iter().map(|k| k.wrapping_add(1)).collect::<Vec<_>>());
        assert_eq!(results[2].1.numbers(), [0.0; 4]);
        assert_eq!(of(3), k.iter().map(|&k| i64::from(k as i32)).collect::<Vec<_>>());
    }
}

/// Parameters of 16 bits are trained, with moments of 32.
#[test]
fn parameters_of_16_bits_are_trained() {
    for dtype in ["bf16", "f16"] {
        let source = format!(
            "dim batch = 4
            model line {{
                input x: {dtype}[batch, 1]
                input y: {dtype}[batch, 1]
                param w: {dtype}[1, 1] = constant(0.5)
                param b: f32[1] = zeros
                loss mse(cast(x @ w, f32) + b, cast(y, f32))
            }}
            // A step of the usual 0.001 would be lost between neighbours.
            train {{ optimizer adam(lr = 0.02) }}"
        );
        let model = Program::from_source("line.net", &source).and_then(|program| program.only_model());
        let model = model.unwrap_or_else(|error| panic!("{error}"));
        let mut step = model.compile_training(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
        let kept: Vec<String> =
            step.state().optimizer().map(|(name, tensor)| format!("{name}: {}", tensor.ty())).collect();
        assert!(kept.iter().all(|kept| kept.contains(": f32")) && kept.len() == 4, "{kept:?}");
        let number = |value: f32| if dtype == "f16" { f64::from(f16::from_f32(value)) } else { f64::from(value) };
        let array = |values: [f32; 4]| {
            let ty = TensorType::new(DType::from_name(dtype).expect("it is a type"), [4, 1]);
            Tensor::from_numbers(&ty, values.map(number)).expect("four numbers")
        };
        let (x, y) = (array([0.0, 1.0, 2.0, 3.0]), array([1.0, 3.0, 5.0, 7.0]));
        let mut losses = Vec::new();
        for _ in 0..3000 {
            losses.push(step.run(&[("x", x.view()), ("y", y.view())]).unwrap_or_else(|error| panic!("{error}")));
        }
        assert!(losses[0] > 5.0 && losses[2999] < 0.05, "{dtype}: {} to {}", losses[0], losses[2999]);
        let weight = step.state().get("w").expect("the parameter is there").ty();
        assert_eq!(weight.dtype.name(), dtype);
    }
}

/// Inputs are views of the caller's memory in every type, whatever the layout.
#[test]
fn views_of_every_type_go_in() {
    let source = "model m {
        input a: u8[2, 3]
        input b: i64[2, 3]
        input c: f16[2, 3]
        output y = cast(a, f32) + cast(b, f32) + cast(c, f32)
    }";
    let a = arr2(&[[1u8, 3], [200, 5], [0, 255]]);
    let b = arr2(&[[1i64, -3], [200, 5], [0, 255]]);
    let c = arr2(&[[0.5f32, -3.25], [2.0, 0.0], [1.0, 6e4]]).mapv(f16::from_f32);
    let inputs = [("a", a.t().into()), ("b", b.t().into()), ("c", c.t().into())];
    let results = run(source, &inputs, &Options::default());
    assert_eq!(results[0].1.numbers(), [2.5, 402.0, 1.0, -3.25, 10.0, 60510.0]);
}

#[test]
fn indices_of_every_integer_type_must_be_in_range() {
    for dtype in [DType::U8, DType::I32, DType::I64] {
        let source = format!("model m {{\n input x: f32[4]\n input at: {dtype}[2]\n output y = gather(x, at)\n}}");
        let model = Program::from_source("types.net", &source).and_then(|program| program.only_model());
        let model = model.unwrap_or_else(|error| panic!("{error}"));
        let mut executable =
            model.compile(&Goal::Forward, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
        let mut state = executable.initial_state(0);
        let x = arr1(&[1.0f32, 2.0, 3.0, 4.0]);
        let mut run = |at: [f64; 2]| {
            let at = Tensor::from_numbers(&TensorType::new(dtype, [2]), at).expect("two numbers");
            executable.run(&mut state, &[("x", (&x).into()), ("at", at.view())]).map_err(|error| error.to_string())
        };
        assert_eq!(run([3.0, 0.0]), Ok(()));
        let error = run([0.0, 4.0]).expect_err("4 is out of range");
        assert!(error.contains("element 1 of the input `at` is 4"), "{error}");
    }
}

/// A whole model in 16 bits, with its gradients: the kernels of the optimised graph round where the interpreter does.
#[test]
fn a_model_of_16_bits_is_the_interpreters() {
    for dtype in [DType::Bf16, DType::F16] {
        let source = format!(
            "dim batch = 4
            model m {{
                input x: {dtype}[batch, 6, 8]
                input image: {dtype}[batch, 8, 8, 1]
                input label: u8[batch]
                input lengths: i64[batch]
                let a = multi_head_attention(layer_norm(x), 2, mask = padding_mask(lengths, 6), causal = true)
                let b = lstm(a, 5, lengths = lengths)
                let c = max_pool2d(relu(conv2d(image, 3, 3)), 2)
                let d = batch_norm(reshape(c, [batch, -1]))
                let g = gelu(dense(d, 7)) + rms_norm(dense(d, 7)) + softmax(sum(b, axis = 1) @ ones([5, 7], {dtype}))
                output logits = dense(g, 10)
                loss cross_entropy(cast(logits, f32), label)
            }}"
        );
        let model = Program::from_source("m.net", &source).and_then(|program| program.only_model());
        let model = model.unwrap_or_else(|error| panic!("{error}"));
        let mut executable = model
            .compile(&Goal::Gradient { wrt: Vec::new() }, &Options::default())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut state = executable.initial_state(3);
        let numbers = |count: usize, step: usize| (0..count).map(move |i| (i * step % 101) as f64 / 50.0 - 1.0);
        let tensor = |dtype, shape: &[usize], step| {
            let ty = TensorType::new(dtype, shape);
            Tensor::from_numbers(&ty, numbers(ty.shape.elements(), step)).expect("as many numbers as elements")
        };
        let (x, image) = (tensor(dtype, &[4, 6, 8], 37), tensor(dtype, &[4, 8, 8, 1], 59));
        let (label, lengths) = (arr1(&[1u8, 2, 3, 9]), arr1(&[6i64, 3, 1, 4]));
        let inputs =
            [("x", x.view()), ("image", image.view()), ("label", (&label).into()), ("lengths", (&lengths).into())];
        let expected = interpret(executable.graph(), &index_bounds(model.graph()), &state, &inputs)
            .unwrap_or_else(|error| panic!("{error}"));
        executable.run(&mut state, &inputs).unwrap_or_else(|error| panic!("{error}"));
        assert!(expected.len() > 10, "{} results", expected.len());
        for (role, name, expected) in expected {
            // What a training step updates is no result of its own.
            let Some(found) = executable.result(role, &name).map(|found| found.numbers()) else { continue };
            let expected = expected.numbers();
            let scale = expected.iter().fold(0.0f64, |scale, number| scale.max(number.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let close = (found - expected).abs() <= 4.0 * dtype.epsilon() * scale;
                assert!(close, "{dtype}: {name} is {found:e}, not {expected:e} (of up to {scale:e})");
            }
        }
    }
}

/// What many uses of a parameter contribute to its gradient is added up like any other sum.
#[test]
fn gradients_of_16_bits_do_not_stall() {
    let steps = "input x: H[2000, 3]
        param w: H[3] = ones
        let s = full([3], 0.0, f32)
        scan x_t in x { s = s + cast(tanh(w * x_t), f32) }
        loss sum(s)";
    let unrolled = "input x: H[3]
        param w: H[3] = ones
        let s = full([3], 0.0, f32)
        for i in 0..600 { s = s + cast(tanh(w * x + i * 0.0001), f32) }
        loss sum(s)";
    for (text, x_type) in [(steps, vec![2000, 3]), (unrolled, vec![3])] {
        let gradient = |half: &str, options: &Options| {
            let source = format!("model m {{ {} }}", text.replace('H', half));
            let program = Program::from_source("types.net", &source).unwrap_or_else(|error| panic!("{error}"));
            let model = program.only_model().unwrap_or_else(|error| panic!("{error}"));
            let goal = Goal::Gradient { wrt: Vec::new() };
            let mut executable = model.compile(&goal, options).unwrap_or_else(|error| panic!("{error}"));
            let mut state = executable.initial_state(0);
            let x = TensorType { dtype: model.inputs().next().expect("an input").1.dtype, shape: x_type[..].into() };
            let x = Tensor::filled(&x, 0.01);
            executable.run(&mut state, &[("x", x.view())]).unwrap_or_else(|error| panic!("{error}"));
            executable.result(Role::Gradient, "w").expect("it has a gradient").numbers()
        };
        let expected = gradient("f32", &Options::default());
        for (half, level) in [("bf16", Level::None), ("bf16", Level::Full), ("f16", Level::None), ("f16", Level::Full)]
        {
            let found = gradient(half, &Options { level, ..Options::default() });
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() <= 1e-2 * expected,
                    "{half}, {level:?}: {found}, not {expected}\n{text}"
                );
            }
        }
    }
}

/// Squares of f16 numbers are soon beyond its range, and averages in bf16 stand still.
#[test]
fn the_prelude_computes_16_bits_in_32() {
    let source = "model m {
        input a: f16[300, 400]
        input rows: f16[2, 3]
        input image: f16[2, 2, 1]
        input same: f16[1, 4]
        output length = norm(a)
        output deviation = std(a * 300)
        output rms = rms_norm(rows, affine = false)
        output centred = layer_norm(rows, affine = false)
        output pooled = avg_pool2d(image, 2)
        output alike = layer_norm(same, affine = false)
        output angle = cosine_similarity(rows, rows)
        loss cast(sum(layer_norm(same, affine = false) * 3), f32)
    }";
    let program = Program::from_source("types.net", source).unwrap_or_else(|error| panic!("{error}"));
    let model = program.only_model().unwrap_or_else(|error| panic!("{error}"));
    let numbers = |shape: &[usize], f: &dyn Fn(usize) -> f64| {
        let ty = TensorType { dtype: DType::F16, shape: shape.into() };
        Tensor::from_numbers(&ty, (0..ty.shape.elements()).map(f)).expect("as many numbers as elements")
    };
    let a = numbers(&[300, 400], &|i| if i % 2 == 0 { 1.0 } else { -1.0 });
    let rows = numbers(&[2, 3], &|i| [300.0, 400.0, 0.0, -500.0, 20.0, 600.0][i]);
    let (image, same) = (numbers(&[2, 2, 1], &|_| 30000.0), numbers(&[1, 4], &|_| 0.0));
    let inputs = [("a", a.view()), ("rows", rows.view()), ("image", image.view()), ("same", same.view())];
    for level in LEVELS {
        let goal = Goal::Gradient { wrt: vec!["same".to_owned()] };
        let options = Options { level, ..Options::default() };
        let mut executable = model.compile(&goal, &options).unwrap_or_else(|error| panic!("{error}"));
        let mut state = executable.initial_state(0);
        executable.run(&mut state, &inputs).unwrap_or_else(|error| panic!("{error}"));
        let output = |name: &str| executable.result(Role::Output, name).expect("an output").numbers();
        let near = |name: &str, expected: &[f64]| {
            let found = output(name);
            let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-3 * b.abs().max(1.0));
            assert!(close && found.len() == expected.len(), "{name}, {level:?}: {found:?}, not {expected:?}");
        };
        near("length", &[346.41]);
        near("deviation", &[300.0]);
        near("rms", &[1.0392, 1.3856, 0.0, -1.1091, 0.0444, 1.3309]);
        near("centred", &[0.3922, 0.9806, -1.3728, -1.2019, -0.0445, 1.2464]);
        near("pooled", &[30000.0]);
        near("alike", &[0.0; 4]);
        near("angle", &[1.0, 1.0]);
        let gradient = executable.result(Role::Gradient, "same").expect("it was asked for").numbers();
        assert!(gradient.iter().all(|g| g.is_finite()), "{gradient:?}");
    }
}

/// A running mean of bf16 inputs comes to the mean.
#[test]
fn statistics_of_16_bits_do_not_stall() {
    let source = "model m {
        input x: bf16[4, 2]
        loss cast(sum(batch_norm(x)), f32)
    }";
    let program = Program::from_source("types.net", source).unwrap_or_else(|error| panic!("{error}"));
    let model = program.only_model().unwrap_or_else(|error| panic!("{error}"));
    let mut step = model.compile_training(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let x = Tensor::from_numbers(&TensorType::new(DType::Bf16, [4, 2]), [9.5, 10.0, 10.0, 10.5, 9.5, 10.5, 11.0, 9.0]);
    let x = x.expect("eight numbers");
    for _ in 0..200 {
        step.run(&[("x", x.view())]).unwrap_or_else(|error| panic!("{error}"));
    }
    let mean = step.state().get("batch_norm.0.running_mean").expect("it has a running mean").numbers();
    assert!(mean.iter().all(|mean| (mean - 10.0).abs() < 1e-3), "{mean:?}");
}

/// Whole numbers at the ends of 64 bits, where an `f64` ends to hold them, and small ones.
const WHOLE: [i64; 14] = [
    i64::MIN,
    i64::MIN + 1,
    -(1 << 53) - 1,
    -(1 << 53),
    -3_000_000_000,
    -1,
    0,
    1,
    3,
    3_000_000_000,
    (1 << 53) - 1,
    (1 << 53) + 1,
    i64::MAX - 1,
    i64::MAX,
];

/// What an elementwise operator is of 64-bit integers, by Rust's own arithmetic.
fn on_the_host(name: &str, x: &[i64]) -> i64 {
    match (name, x) {
        ("add", [a, b]) => a.wrapping_add(*b),
        ("sub", [a, b]) => a.wrapping_sub(*b),
        ("mul", [a, b]) => a.wrapping_mul(*b),
        ("neg", [a]) => a.wrapping_neg(),
        ("abs", [a]) => a.wrapping_abs(),
        ("sign", [a]) => a.signum(),
        ("max", [a, b]) => *a.max(b),
        ("min", [a, b]) => *a.min(b),
        ("eq", [a, b]) => i64::from(a == b),
        ("ne", [a, b]) => i64::from(a != b),
        ("lt", [a, b]) => i64::from(a < b),
        ("le", [a, b]) => i64::from(a <= b),
        ("gt", [a, b]) => i64::from(a > b),
        ("ge", [a, b]) => i64::from(a >= b),
        ("select", [which, a, b]) => *if *which == 1 { a } else { b },
        ("stop_gradient", [a]) => *a,
        (other, _) => panic!("`{other}` takes integers: what is it of them?"),
    }
}

/// The interpreter holds numbers as `f64`, so that it is no witness here.
#[test]
fn integers_of_64_bits_are_those_of_the_host() {
    let pairs: Vec<(i64, i64)> = WHOLE.iter().flat_map(|&a| WHOLE.map(|b| (a, b))).collect();
    let ty = |dtype| TensorType::new(dtype, [pairs.len()]);
    let first: Vec<i64> = pairs.iter().map(|pair| pair.0).collect();
    let second: Vec<i64> = pairs.iter().map(|pair| pair.1).collect();
    let which: Vec<bool> = (0..pairs.len()).map(|i| i % 3 == 0).collect();
    let mut tried = Vec::new();
    for def in gradc::ir::op::ALL.iter().filter(|def| def.class == Class::Elementwise) {
        for attrs in (def.cases)(2, DType::F32).into_iter().map(|case| case.attrs).take(1) {
            let mut graph = Graph::new(def.name);
            let c = graph.input("c", ty(DType::Bool));
            let (a, b) = (graph.input("a", ty(DType::I64)), graph.input("b", ty(DType::I64)));
            let (operands, numbers): (Vec<_>, Vec<Vec<i64>>) = match def.arity {
                Arity::Exactly(1) => (vec![a], vec![first.clone()]),
                Arity::Exactly(2) => (vec![a, b], vec![first.clone(), second.clone()]),
                _ => (vec![c, a, b], vec![which.iter().map(|&c| c.into()).collect(), first.clone(), second.clone()]),
            };
            let Ok(result) = graph.apply(def.with(attrs), &operands) else { continue };
            if graph.dtype(result).is_float() {
                continue;
            }
            graph.add_output(Role::Output, "y", result);
            tried.push(def.name);
            let expected: Vec<i64> = (0..pairs.len())
                .map(|at| on_the_host(def.name, &numbers.iter().map(|all| all[at]).collect::<Vec<_>>()))
                .collect();
            for level in LEVELS {
                let options = Options { level, ..Options::default() };
                let lowered = lower(&graph, &Goal::Forward, &options, &mut Unobserved).expect("nothing is asked for");
                let mut executable = Executable::compile(lowered, &BTreeMap::new(), &options, &mut Unobserved)
                    .unwrap_or_else(|error| panic!("{error}"));
                let (c, a, b) = (arr1(&which), arr1(&first), arr1(&second));
                let inputs = [("c", (&c).into()), ("a", (&a).into()), ("b", (&b).into())];
                let named = |name: &str| executable.graph().find_leaf(LeafKind::Input, name).is_some();
                let inputs: Vec<(&str, TensorView<'_>)> = inputs.into_iter().filter(|(name, _)| named(name)).collect();
                let mut state = executable.initial_state(0);
                executable.run(&mut state, &inputs).unwrap_or_else(|error| panic!("{}: {error}", def.name));
                let found = executable.result(Role::Output, "y").expect("it is there").to_owned();
                let found: Vec<i64> = match found.as_i64() {
                    Some(whole) => whole.iter().copied().collect(),
                    None => found.numbers().into_iter().map(|number| number as i64).collect(),
                };
                for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(found, expected, "{} of {:?} at {level:?}", def.name, pairs[at]);
                }
            }
        }
    }
    assert!(tried.len() >= 14, "{tried:?}");
}

#[test]
fn sums_and_extremes_of_64_bits_are_those_of_the_host() {
    let source = "model m { input x: i64[14]\n output a = sum(x)\n output b = max(x)\n output c = min(x)\n output d = cumsum(x)\n
        output e = x[::2]\n output f = cast(cast(x, u8), i64)\n output g = cast(cast(x, i32), i64) }";
    let x = arr1(&WHOLE);
    let sums: Vec<i64> = WHOLE
        .iter()
        .scan(0i64, |sum, &x| {
            *sum = sum.wrapping_add(x);
            Some(*sum)
        })
        .collect();
    let expected: [(&str, Vec<i64>); 7] = [
        ("a", vec![sums[13]]),
        ("b", vec![i64::MAX]),
        ("c", vec![i64::MIN]),
        ("d", sums),
        ("e", WHOLE.iter().copied().step_by(2).collect()),
        ("f", WHOLE.iter().map(|&x| i64::from(x as u8)).collect()),
        ("g", WHOLE.iter().map(|&x| i64::from(x as i32)).collect()),
    ];
    for level in LEVELS {
        let results = run(source, &[("x", (&x).into())], &Options { level, ..Options::default() });
        for ((name, found), (expected_name, expected)) in results.iter().zip(&expected) {
            let found: Vec<i64> = found.as_i64().expect("it is of 64 bits").iter().copied().collect();
            assert_eq!((name.as_str(), &found), (*expected_name, expected), "{level:?}");
        }
    }
}
