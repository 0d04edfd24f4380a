//! The prelude and `einsum` against JAX, from tests/prelude/prelude.safetensors: values and derivatives, compiled and
//! interpreted, at several levels and in all modes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use gradc::ir::{DType, Role, TensorType};
use gradc::{Goal, Level, Mode, Options, Phase, Program, State, Tensor, TensorView, index_bounds, interpret};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// One case of the file.
struct Case {
    name: String,
    expression: String,
    phase: Phase,
    inputs: Vec<String>,
    params: Vec<String>,
    /// The inputs, the parameters, `value`, the weights `w` of its sum, and `grad.…`.
    tensors: BTreeMap<String, Tensor>,
}

fn cases() -> Vec<Case> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/prelude/prelude.safetensors");
    let bytes = std::fs::read(path).expect("the file is there");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("it is a safetensors file");
    let listed = header.metadata().as_ref().and_then(|metadata| metadata.get("cases")).expect("it lists its cases");
    let listed: Vec<Value> = serde_json::from_str(listed).expect("the list is JSON");
    let file = SafeTensors::deserialize(&bytes).expect("it is a safetensors file");
    let tensors: Vec<(String, Tensor)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, tensor(view.dtype(), view.shape(), view.data())))
        .collect();
    let text = |value: &Value| value.as_str().expect("it is a string").to_owned();
    let texts = |value: &Value| value.as_array().expect("it is a list").iter().map(text).collect();
    let case = |entry: &Value| {
        let name = text(&entry["name"]);
        let own = tensors.iter().filter_map(|(key, tensor)| {
            let key = key.strip_prefix(&name)?.strip_prefix('/')?;
            Some((key.to_owned(), tensor.clone()))
        });
        Case {
            expression: text(&entry["expression"]),
            phase: if entry["phase"] == "training" { Phase::Training } else { Phase::Inference },
            inputs: texts(&entry["inputs"]),
            params: texts(&entry["params"]),
            tensors: own.collect(),
            name,
        }
    };
    listed.iter().map(case).collect()
}

/// An array of the file; floats are double.
fn tensor(dtype: Dtype, shape: &[usize], data: &[u8]) -> Tensor {
    let (dtype, numbers): (DType, Vec<f64>) = match dtype {
        Dtype::F64 => (DType::F64, data.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()),
        Dtype::I32 => (DType::I32, data.as_chunks().0.iter().map(|&b| f64::from(i32::from_le_bytes(b))).collect()),
        Dtype::I64 => (DType::I32, data.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect()),
        Dtype::BOOL => (DType::Bool, data.iter().map(|&byte| f64::from(byte)).collect()),
        other => panic!("{other:?} is not in the file"),
    };
    Tensor::from_numbers(&TensorType::new(dtype, shape), numbers).expect("the file is whole")
}

impl Case {
    /// The expression as a model of `f32`, with the weighted sum as its loss.
    fn source(&self) -> String {
        let mut text = String::from("model m {\n");
        let mut declare = |name: &str| {
            let ty = self.tensors[name].ty();
            let dtype = if ty.dtype.is_float() { DType::F32 } else { ty.dtype };
            let extents: Vec<String> = ty.shape.iter().map(usize::to_string).collect();
            let _ = writeln!(text, "    input {name}: {dtype}[{}]", extents.join(", "));
        };
        self.inputs.iter().for_each(|name| declare(name));
        let differentiated = self.tensors.contains_key("w");
        if differentiated {
            declare("w");
        }
        let _ = writeln!(text, "    let y = {}\n    output y", self.expression);
        text + if differentiated { "    loss sum(w * y)\n}\n" } else { "}\n" }
    }

    fn check(&self, level: Level, mode: Mode, float: DType) {
        let what = format!("{} at {level:?} {mode:?} {float}", self.name);
        let program =
            Program::from_source("case.net", &self.source()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let model = program.only_model().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let by_inputs = self.inputs.iter().filter(|name| self.tensors.contains_key(&format!("grad.{name}")));
        let goal = match self.tensors.contains_key("w") {
            true => Goal::Gradient { wrt: by_inputs.cloned().collect() },
            false => Goal::Forward,
        };
        let options = Options { level, mode, float: Some(float), phase: Some(self.phase), ..Options::default() };
        let mut executable = model.compile(&goal, &options).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        let in_float = |tensor: &Tensor| {
            let ty = tensor.ty();
            let dtype = if ty.dtype.is_float() { float } else { ty.dtype };
            Tensor::from_numbers(&ty.with_dtype(dtype), tensor.numbers()).expect("there are as many numbers")
        };
        let mut state: State = executable.initial_state(0);
        let params: Vec<&str> = model.parameters().map(|(name, _)| name).collect();
        assert_eq!(params, self.params, "{what}: the parameters");
        for name in &self.params {
            let value = in_float(&self.tensors[name]);
            state.set(name, value.view()).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        let needed: Vec<String> = executable.inputs().map(|(name, _)| name.to_owned()).collect();
        let given: Vec<(String, Tensor)> =
            needed.into_iter().map(|name| (name.clone(), in_float(&self.tensors[&name]))).collect();
        let inputs: Vec<(&str, TensorView<'_>)> =
            given.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        let interpreted =
            interpret(executable.graph(), &index_bounds(model.graph()), &state, &inputs).expect("the inputs fit");
        executable.run(&mut state, &inputs).expect("the inputs fit");
        let wrt = |name: &String| (Role::Gradient, name.clone(), format!("grad.{name}"));
        let results = self.inputs.iter().chain(&self.params).map(wrt);
        for (role, name, key) in results.chain([(Role::Output, "y".to_owned(), "value".to_owned())]) {
            let Some(expected) = self.tensors.get(&key) else { continue };
            let compiled = executable.result(role, &name).unwrap_or_else(|| panic!("{what}: no {key}"));
            compare(&format!("{what}: {key}, compiled"), &compiled, expected, float);
            let found = interpreted.iter().find(|(own, other, _)| *own == role && *other == name);
            compare(&format!("{what}: {key}, interpreted"), &found.expect("it is a result").2, expected, float);
        }
    }
}

/// Relative to the number itself, or to a share of the greatest, as sums of terms of both signs are.
fn compare(what: &str, found: &Tensor, expected: &Tensor, float: DType) {
    assert_eq!(found.ty().shape, expected.ty().shape, "{what}: the shape");
    let (tolerance, share, floor) = if float == DType::F64 { (1e-10, 0.01, 1e-13) } else { (2e-4, 0.05, 2e-5) };
    let greatest = expected.numbers().iter().fold(0.0f64, |most, x| most.max(x.abs()));
    for (at, (x, y)) in found.numbers().iter().zip(expected.numbers()).enumerate() {
        let scale = y.abs().max(share * greatest);
        assert!((x - y).abs() <= tolerance * scale + floor, "{what}: element {at} is {x}, not {y}");
    }
}

fn all(level: Level, mode: Mode, float: DType) {
    let cases = cases();
    assert!(cases.len() > 150, "only {} cases were found", cases.len());
    cases.iter().for_each(|case| case.check(level, mode, float));
}

#[test]
fn without_optimisation() {
    all(Level::None, Mode::Strict, DType::F64);
}

#[test]
fn optimised() {
    all(Level::Full, Mode::Accurate, DType::F64);
}

#[test]
fn optimised_in_fast_mode() {
    all(Level::Full, Mode::Fast, DType::F64);
}

#[test]
fn optimised_in_single_precision() {
    all(Level::Full, Mode::Accurate, DType::F32);
}

/// Every function has a case; the others have tests of their own, by name.
#[test]
fn every_function_has_a_case() {
    const ELSEWHERE: &[&str] = &[
        // crates/gradc/tests/random.rs
        "bernoulli",
        "dropout",
        "random_normal",
        "random_uniform",
        // Parts of functions that have cases.
        "answers",
        "axis_from_start",
        "causal_mask",
        "multi_margin_accuracy",
        "normalise",
        "paired",
        "share",
        "sign_accuracy",
        // crates/gradc/tests/types.rs
        "widened",
    ];
    /// Convolutions, pooling and recurrent layers with their parts, which tests of their own hold to plain loops.
    const APART: &[&str] = &[
        "avg_pool",
        "avg_pool1d",
        "avg_pool2d",
        "conv1d",
        "conv2d",
        "conv_transpose1d",
        "conv_transpose2d",
        "convolve",
        "convolve_transposed",
        "cropped",
        "first_axes",
        "global_avg_pool1d",
        "global_avg_pool2d",
        "global_max_pool1d",
        "global_max_pool2d",
        "gru",
        "gru_cell",
        "half",
        "lstm",
        "lstm_cell",
        "margins",
        "max_pool",
        "max_pool1d",
        "max_pool2d",
        "padded",
        "per_axis",
        "pool_margins",
        "positive_per_axis",
        "product",
        "rnn",
        "rnn_cell",
        "sequence_lengths",
        "window_axes",
        "windows",
    ];
    let cases = cases();
    let prelude = gradc::elaborate::PRELUDE;
    let declared = prelude.lines().filter_map(|line| {
        let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("layer "))?;
        rest.split_once('(').map(|(name, _)| name)
    });
    let declared: BTreeSet<&str> = declared.collect();
    // Whole names: `gelu(` is no call of `elu`.
    let called: BTreeSet<&str> = cases.iter().flat_map(|case| calls(&case.expression)).collect();
    let is_elsewhere = |name: &&&str| ELSEWHERE.contains(*name) || APART.contains(*name);
    let missing: Vec<&&str> = declared.difference(&called).filter(|name| !is_elsewhere(name)).collect();
    assert!(missing.is_empty(), "tests/prelude/generate.py has no case of {missing:?}");
    let gone: Vec<&&str> = ELSEWHERE.iter().chain(APART).filter(|name| !declared.contains(*name)).collect();
    assert!(gone.is_empty(), "there are no functions {gone:?}");
}

/// The names that are followed by an opening bracket.
fn calls(expression: &str) -> impl Iterator<Item = &str> {
    let before = expression.split('(').rev().skip(1);
    before.map(|text| text.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(""))
}
