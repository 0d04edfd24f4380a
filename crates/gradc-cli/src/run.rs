//! `gradc run` and `gradc init`

use std::collections::BTreeMap;
use std::path::Path;

use gradc::ir::attr::shortest;
use gradc::ir::{DType, Graph, Role};
use gradc::pipeline::Unobserved;
use gradc::{Executable, Goal, Model, Options, State, Tensor, TensorView};
use gradc_train::weights::{self, WeightFile};
use gradc_train::{Array, data, model as train_model, tensors};
use serde_json::{Value, json};

use crate::args::{InitArgs, RunArgs};
use crate::model::{Said, dims, model, model_name, model_with, options, program};
use crate::output::{Failure, Outcome, Output, counted};

pub(crate) fn run(args: &RunArgs, output: &mut Output) -> Outcome {
    let program = program(&args.file, output)?;
    let name = model_name(&program, &args.compile)?;
    let arrays = match &args.data {
        Some(path) => {
            let inputs = program.input_names(&name);
            data::read_npz_where(path, |key| inputs.contains(key)).said()?
        }
        None => BTreeMap::new(),
    };
    let shapes = arrays.iter().map(|(name, array)| (name.as_str(), array.shape()));
    let dims = program.dims_for(&name, &dims(&args.compile), shapes);
    let model = model_with(&program, &name, dims, output)?;
    let (phase, threads) = (args.phase.map(Into::into), args.threads.threads);
    let options = Options { phase, threads, ..options(&args.compile, args.dtype) };
    let wants_gradient = args.grad || !args.wrt.is_empty();
    let has_gradient = model.graph().outputs_of(Role::Gradient).next().is_some();
    let goal = match wants_gradient && (!has_gradient || !args.wrt.is_empty()) {
        true => Goal::Gradient { wrt: args.wrt.clone() },
        false => Goal::Forward,
    };
    let forward = model.graph_for(&goal, &options);
    let bounds = gradc::index_bounds(&forward);
    let graph = gradc::pipeline::lower(&forward, &goal, &options, &mut Unobserved);
    let graph = graph.said_of(&model)?;
    let mut state = state(&model, &graph, args.weights.as_deref(), args.seed)?;
    let inputs = inputs(&model, &graph, arrays)?;
    let views: Vec<(&str, TensorView<'_>)> =
        inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let mut results = if args.interp {
        gradc::interpret(&graph, &bounds, &state, &views).said_of(&model)?
    } else {
        let mut executable = Executable::compile(graph, &bounds, &options, &mut Unobserved).said_of(&model)?;
        executable.run(&mut state, &views).said_of(&model)?;
        let outputs = executable.graph().outputs().iter();
        outputs.filter_map(|o| Some((o.role, o.name.to_string(), executable.result(o.role, &o.name)?))).collect()
    };
    // A run keeps no state, so it tells of none.
    results.retain(|(role, ..)| *role != Role::Update);
    deliver(results, args.out.as_deref(), output)
}

/// The weights of a file, or the first values.
fn state(model: &Model, graph: &Graph, path: Option<&Path>, seed: Option<u64>) -> Result<State, Failure> {
    let seed = seed.or_else(|| model.train_config().map(|config| config.seed)).unwrap_or(0);
    gradc::ensure_state_fits(graph).said_of(model)?;
    let mut state = State::initial(graph, seed);
    if let Some(path) = path {
        let parameters = weights::read_parameters(path, &train_model::parameter_specs(&state)).said_of(model)?;
        for (name, array) in &parameters {
            state.set(name, tensors::view(array)).said_of(model)?;
        }
    }
    Ok(state)
}

/// The inputs that the graph needs, in its element types. Other arrays of the file are left alone.
fn inputs(model: &Model, graph: &Graph, mut arrays: BTreeMap<String, Array>) -> Result<Vec<(String, Tensor)>, Failure> {
    let live = graph.live();
    let mut inputs = Vec::new();
    for leaf in graph.leaves(gradc::ir::LeafKind::Input).filter(|leaf| live[leaf.index()]) {
        let Some(name) = graph.value_name(leaf) else { continue };
        if let Some(array) = arrays.remove(&**name) {
            let tensor = tensors::input(name, array, graph.dtype(leaf)).said_of(model)?;
            inputs.push((name.to_string(), tensor));
        }
    }
    Ok(inputs)
}

fn deliver(results: Vec<(Role, String, Tensor)>, out: Option<&Path>, output: &mut Output) -> Outcome {
    let named = results.into_iter().map(|(role, name, tensor)| {
        let name = match role {
            Role::Output | Role::Loss | Role::Metric => name,
            derivative => format!("{}.{name}", derivative.keyword()),
        };
        (name, tensor)
    });
    let named: Vec<(String, Tensor)> = named.collect();
    match out {
        Some(path) => {
            let arrays: Vec<(&str, Array)> =
                named.iter().map(|(name, tensor)| (name.as_str(), tensors::array(tensor))).collect();
            let arrays: Vec<(&str, &Array)> = arrays.iter().map(|(name, array)| (*name, array)).collect();
            data::write_npz(path, &arrays).said()
        }
        None => named.iter().try_for_each(|(name, tensor)| print(name, tensor, output)),
    }
}

/// Numbers that are printed of a large tensor.
const SHOWN: usize = 8;

fn print(name: &str, tensor: &Tensor, output: &mut Output) -> Outcome {
    let ty = tensor.ty();
    if output.json() {
        let shape: &[usize] = &ty.shape;
        return output.object(&json!({
            "name": name, "dtype": ty.dtype.name(), "shape": shape, "data": in_json(tensor),
        }));
    }
    let list = shown(tensor);
    let text = match (ty.shape.rank(), ty.shape.elements() > SHOWN) {
        (0, _) => list.join(""),
        (_, false) => format!("[{}]", list.join(", ")),
        (_, true) => format!("[{}, …]", list.join(", ")),
    };
    output.line(format_args!("{name} : {ty} = {text}"))
}

/// The first elements as text. An `i64` has more digits than an `f64`.
fn shown(tensor: &Tensor) -> Vec<String> {
    if let Some(whole) = tensor.as_i64() {
        return whole.iter().take(SHOWN).map(i64::to_string).collect();
    }
    let dtype = tensor.ty().dtype;
    let shown = |number: f64| match dtype {
        DType::F32 => format!("{}", number as f32),
        dtype if dtype.is_half() => shortest(number, dtype).to_string(),
        _ => number.to_string(),
    };
    tensor.numbers().into_iter().take(SHOWN).map(shown).collect()
}

/// All elements in JSON, which has no infinities and no NaN: these are the strings `"inf"`, `"-inf"` and `"NaN"`.
fn in_json(tensor: &Tensor) -> Vec<Value> {
    if let Some(whole) = tensor.as_i64() {
        return whole.iter().map(|&number| Value::from(number)).collect();
    }
    let whole = tensor.ty().dtype.is_integer();
    let number = |number: f64| match (number.is_finite(), whole) {
        (true, true) => Value::from(number as i64),
        (true, false) => Value::from(number),
        (false, _) => Value::from(number.to_string()),
    };
    tensor.numbers().into_iter().map(number).collect()
}

pub(crate) fn init(args: &InitArgs, output: &mut Output) -> Outcome {
    let program = program(&args.file, output)?;
    let model = model(&program, &args.compile, output)?;
    let seed = args.seed.or_else(|| model.train_config().map(|config| config.seed)).unwrap_or(0);
    gradc::ensure_state_fits(model.graph()).said_of(&model)?;
    let state = State::initial(model.graph(), seed);
    let arrays = state.weights().map(|(name, tensor)| (name.to_owned(), tensors::array(tensor))).collect();
    weights::write(&args.out, &WeightFile { arrays, metadata: BTreeMap::new() }).said()?;
    let count: usize = state.parameters().map(|(_, tensor)| tensor.ty().shape.elements()).sum();
    if output.json() {
        return output.object(&json!({ "event": "init", "parameters": count, "seed": seed }));
    }
    output.line(format_args!("{}, written to {}", counted(count, "parameter"), args.out.display()))
}
