//! Whole models: compiled in every mode, at every level and in both precisions, they agree with the interpreter on the
//! graph that nothing has simplified, and their gradients with central differences of the loss.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradc::elaborate::Dims;
use gradc::ir::{DType, Graph, LeafKind, Role, TensorType};
use gradc::pipeline::{Unobserved, lower};
use gradc::{Goal, Level, Mode, Model, Options, Program, State, Tensor, TensorView, index_bounds, interpret};
use gradc_testing::Random;

const MODES: [Mode; 3] = [Mode::Strict, Mode::Accurate, Mode::Fast];
const LEVELS: [u8; 3] = [0, 1, 2];
const FLOATS: [DType; 2] = [DType::F32, DType::F64];

/// A result by what it is for and its name.
type Results = BTreeMap<(String, String), Tensor>;

/// Numbers for the leaves of a model, which `f32` holds exactly, so that both precisions compute with the same ones.
struct Leaves {
    numbers: BTreeMap<String, Vec<f64>>,
}

impl Leaves {
    /// Random inputs, with indices in range, and first values that are moved away from zeros and ones.
    fn random(graph: &Graph, seed: u64) -> Leaves {
        let mut random = Random::new(seed);
        let bounds = index_bounds(graph);
        let mut numbers = BTreeMap::new();
        for leaf in graph.leaves(LeafKind::Input) {
            let (name, ty) = (graph.value_name(leaf).expect("an input has a name"), graph.ty(leaf));
            let mut draw = || match ty.dtype {
                DType::Bool => f64::from(u8::from(random.chance(0.5))),
                dtype if dtype.is_integer() => random.below(bounds.get(&**name).copied().unwrap_or(4)) as f64,
                _ => single(random.unit() * 3.0 - 1.5),
            };
            numbers.insert(name.to_string(), (0..ty.shape.elements()).map(|_| draw()).collect());
        }
        for (name, value) in State::initial(graph, seed).parameters() {
            let mut moved = |number: f64| single(number + 0.1 * (random.unit() - 0.5));
            numbers.insert(name.to_owned(), value.numbers().into_iter().map(&mut moved).collect());
        }
        Leaves { numbers }
    }

    /// These leaves in the types that `graph` has them in.
    fn bind(&self, graph: &Graph) -> (State, Vec<(String, Tensor)>) {
        let tensor = |name: &str, ty: &TensorType| {
            Tensor::from_numbers(ty, self.numbers[name].iter().copied()).expect("as many numbers as elements")
        };
        let mut state = State::initial(graph, 0);
        let types: Vec<(String, TensorType)> =
            state.parameters().map(|(n, value)| (n.to_owned(), value.ty())).collect();
        for (name, ty) in types {
            state.set(&name, &tensor(&name, &ty)).expect("the parameter is there");
        }
        let live = graph.live();
        let inputs = graph.leaves(LeafKind::Input).filter(|leaf| live[leaf.index()]).filter_map(|leaf| {
            let name = graph.value_name(leaf)?;
            Some((name.to_string(), tensor(name, graph.ty(leaf))))
        });
        let inputs = inputs.collect();
        (state, inputs)
    }
}

fn single(number: f64) -> f64 {
    f64::from(number as f32)
}

fn views(inputs: &[(String, Tensor)]) -> Vec<(&str, TensorView<'_>)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect()
}

/// Everything that a model computes, and the derivative by all that has one.
fn goal(model: &Model) -> Goal {
    match model.graph().loss() {
        None => Goal::Forward,
        Some(_) => {
            let inputs = model.inputs().filter(|(_, ty)| ty.dtype.is_float());
            Goal::Gradient { wrt: inputs.map(|(name, _)| name.to_owned()).collect() }
        }
    }
}

fn interpreted(model: &Model, leaves: &Leaves, goal: &Goal, options: &Options) -> Results {
    let graph = lower(model.graph(), goal, options, &mut Unobserved).expect("the goal fits the model");
    let (state, inputs) = leaves.bind(&graph);
    let results =
        interpret(&graph, &index_bounds(model.graph()), &state, &views(&inputs)).expect("inputs and state fit");
    results.into_iter().map(|(role, name, tensor)| ((role.keyword().to_owned(), name), tensor)).collect()
}

fn compiled(model: &Model, leaves: &Leaves, goal: &Goal, options: &Options) -> Results {
    let mut executable = model.compile(goal, options).expect("the model compiles");
    let (mut state, inputs) = leaves.bind(executable.graph());
    executable.run(&mut state, &views(&inputs)).expect("inputs and state fit");
    let outputs = executable.graph().outputs().iter();
    let result = |role: Role, name: &str| executable.result(role, name).expect("a result is there after a run");
    outputs.map(|o| ((o.role.keyword().to_owned(), o.name.to_string()), result(o.role, &o.name))).collect()
}

/// Fails where a tensor is further from the expected one than `tolerance` times the latter's greatest magnitude.
fn assert_close(found: &Results, expected: &Results, tolerance: f64, what: &str) {
    let names = |results: &Results| results.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{what}: other results");
    for (name, expected) in expected {
        let (found_numbers, numbers) = (found[name].numbers(), expected.numbers());
        assert_eq!(found[name].ty().shape, expected.ty().shape, "{what}: {name:?}");
        let exact = !expected.ty().dtype.is_float();
        let scale = numbers.iter().fold(0.0f64, |scale, number| scale.max(number.abs()));
        for (i, (found, expected)) in found_numbers.iter().zip(&numbers).enumerate() {
            let bound = if exact { 0.0 } else { tolerance * scale };
            let fits = found == expected || (found - expected).abs() <= bound;
            assert!(fits, "{what}: {name:?}[{i}] is {found}, not {expected} (greatest magnitude {scale})");
        }
    }
}

/// The results of a model, compiled with these options, against the interpreter's on the raw graph in `f64`.
fn check_compiled(model: &Model, leaves: &Leaves, expected: &Results, options: &Options, what: &str) {
    let found = compiled(model, leaves, &goal(model), options);
    let tolerance = if options.float == Some(DType::F64) { 1e-10 } else { 2e-4 };
    let (mode, level, float) = (options.mode, options.level, options.float);
    assert_close(&found, expected, tolerance, &format!("{what}, {mode:?}, {level:?}, {float:?}"));
}

fn raw() -> Options {
    Options { mode: Mode::Strict, level: Level::None, float: Some(DType::F64), ..Options::default() }
}

fn check_gradient(model: &Model, leaves: &Leaves, seed: u64, what: &str) {
    if model.graph().loss().is_none() {
        return;
    }
    let options = Options { float: Some(DType::F64), ..Options::default() };
    let gradients = compiled(model, leaves, &goal(model), &options);
    let gradients: BTreeMap<&String, &Tensor> =
        gradients.iter().filter(|((role, _), _)| role == Role::Gradient.keyword()).map(|((_, n), t)| (n, t)).collect();
    assert!(!gradients.is_empty(), "{what}: there are gradients");
    let loss = lower(model.graph(), &Goal::Forward, &raw(), &mut Unobserved).expect("the model has a loss");
    let name = loss.outputs_of(Role::Loss).next().expect("the model has a loss").name.to_string();
    for direction in 0..3 {
        let mut random = Random::new(seed * 31 + direction);
        let mut along = 0.0;
        let mut steps: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
        for (name, gradient) in &gradients {
            let step: Vec<f64> = gradient.numbers().iter().map(|_| random.unit() * 2.0 - 1.0).collect();
            along += step.iter().zip(gradient.numbers()).map(|(step, gradient)| step * gradient).sum::<f64>();
            steps.insert(name, step);
        }
        let at = |distance: f64| {
            let mut numbers = leaves.numbers.clone();
            for (name, step) in &steps {
                let moved = numbers.get_mut(*name).expect("what has a gradient is a leaf");
                moved.iter_mut().zip(step).for_each(|(number, step)| *number += distance * step);
            }
            let results = interpreted(model, &Leaves { numbers }, &Goal::Forward, &raw());
            results[&(Role::Loss.keyword().to_owned(), name.clone())].number().expect("a loss is one number")
        };
        let h = 1e-6;
        let difference = (at(h) - at(-h)) / (2.0 * h);
        let error = (along - difference).abs() / difference.abs().max(1e-3);
        assert!(
            error < 1e-6,
            "{what}: the derivative along direction {direction} is {along}, differences {difference}"
        );
        assert!(difference.abs() > 1e-9, "{what}: the loss does not change along direction {direction}");
    }
}

/// All models of a file: everything at one batch size, the default options at the others.
fn check(path: &str, dims: &[(&str, i64)]) {
    let program = Program::from_path(root().join(path)).unwrap_or_else(|error| panic!("{error}"));
    for name in program.models() {
        for (seed, batch) in [(1, 3), (2, 1), (3, 17)] {
            let mut bound: Dims = dims.iter().map(|(name, extent)| ((*name).to_owned(), *extent)).collect();
            let has_batch =
                program.inputs(name).iter().any(|i| i.axes.iter().any(|a| a.dim.as_deref() == Some("batch")));
            if has_batch {
                bound.set("batch", batch);
            }
            let model = program.model_with(name, bound).unwrap_or_else(|error| panic!("{path}: {error}"));
            let what = format!("{path}, {name}, batch {batch}");
            let leaves = Leaves::random(model.graph(), seed);
            let expected = interpreted(&model, &leaves, &goal(&model), &raw());
            for (mode, level) in MODES.into_iter().flat_map(|mode| LEVELS.map(|level| (mode, level))) {
                let everything = seed == 1 || (level == 2 && mode == Mode::Accurate);
                for float in FLOATS.into_iter().filter(|_| everything) {
                    let level = Level::from_number(level);
                    let options = Options { mode, level, float: Some(float), ..Options::default() };
                    check_compiled(&model, &leaves, &expected, &options, &what);
                }
            }
            if seed == 1 {
                check_gradient(&model, &leaves, seed, &what);
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

macro_rules! models {
    ($($test:ident: $path:literal $(, $dim:ident = $extent:literal)*;)*) => {
        /// The files that are tested.
        const TESTED: &[&str] = &[$($path),*];

        $(#[test]
        fn $test() {
            check($path, &[$((stringify!($dim), $extent)),*]);
        })*
    };
}

models! {
    digits: "examples/digits.net";
    mnist: "examples/mnist.net", pixels = 20;
    lenet: "examples/lenet.net", side = 16;
    resnet: "examples/resnet.net", side = 4;
    sigmoid_chain: "examples/gradients/sigmoid_chain.net";
    softmax_ce: "examples/gradients/softmax_ce.net";
    residual: "examples/gradients/residual.net";
    depth_sigmoid: "examples/depth/sigmoid.net", width = 9;
    depth_relu: "examples/depth/relu.net", width = 9;
    depth_residual: "examples/depth/residual.net";
    autoencoder: "examples/autoencoder.net";
    lstm: "examples/lstm.net";
    transformer: "examples/transformer.net", time = 5, width = 12, vocabulary = 9;
    mixture: "examples/mixture.net";
    regression_linear: "examples/regression/linear.net";
    regression_logistic: "examples/regression/logistic.net";
    activations: "tests/run/activations.net";
    attention: "tests/run/attention.net";
    convolution: "tests/run/convolution.net";
    double: "tests/run/double.net";
    integers: "tests/run/integers.net";
    losses: "tests/run/losses.net";
    movement: "tests/run/movement.net";
    products: "tests/run/products.net";
    reductions: "tests/run/reductions.net";
    scalar: "tests/run/scalar.net";
    shared: "tests/run/shared.net";
}

#[test]
fn every_example_is_tested() {
    let mut files = Vec::new();
    for folder in ["examples", "examples/gradients", "examples/depth", "examples/regression", "tests/run"] {
        for entry in std::fs::read_dir(root().join(folder)).expect("the folder is there") {
            let name = entry.expect("an entry can be read").file_name();
            let name = name.to_str().expect("file names are UTF-8");
            if name.ends_with(".net") {
                files.push(format!("{folder}/{name}"));
            }
        }
    }
    let mut tested = TESTED.to_vec();
    files.sort_unstable();
    tested.sort_unstable();
    assert_eq!(tested, files, "left: what is tested, right: the files");
}
