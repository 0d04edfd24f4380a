//! Derivatives at kinks, ties and poles, under masks, and of extreme numbers: tests/derivatives has the cases.

use std::path::Path;

use gradc::interp::evaluate_values;
use gradc::ir::op::ALL as ALL_OPERATORS;
use gradc::ir::{DType, Graph, LeafKind, OpDef, Role, Tensor as Reference, TensorType, ValueId};
use gradc::pipeline::{Unobserved, lower};
use gradc::{Goal, Level, Mode, Model, Options, Program, State, Tensor, TensorView, index_bounds, interpret};

/// The largest relative error, in either precision.
const TOLERANCE: f64 = 1e-5;

/// The largest error relative to the terms of a difference: a few roundings of `f32`.
const ROUNDING: f64 = 4.0 * f32::EPSILON as f64;

/// The modes that a file holds in.
const ALL: [Mode; 3] = [Mode::Strict, Mode::Accurate, Mode::Fast];

/// A case of a data file.
#[derive(Default)]
struct Case {
    name: String,
    /// The lines of the model: inputs, `let`s and loops.
    lines: Vec<String>,
    inputs: Vec<(String, Vec<f64>)>,
    wrt: Vec<String>,
    of: String,
    expected: Vec<(String, Vec<f64>)>,
    /// Whether only optimised code is to be right.
    optimised: bool,
    /// Whether only machine code is to be right, and that not in strict mode.
    compiled: bool,
    /// The size of the numbers that the derivative is a difference of.
    terms: f64,
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|word| word.parse().unwrap_or_else(|_| panic!("{word} is a number"))).collect()
}

fn cases(file: &str) -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/derivatives").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("case ") {
            cases.push(Case { name: name.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a file begins with a case");
        if line == "optimised" {
            case.optimised = true;
        } else if line == "compiled" {
            case.optimised = true;
            case.compiled = true;
        } else if let Some(terms) = line.strip_prefix("terms ") {
            case.terms = numbers(terms)[0];
        } else if let Some(of) = line.strip_prefix("of ") {
            case.of = of.to_owned();
        } else if line.starts_with("let ") || line.starts_with("scan ") {
            case.lines.push(line.to_owned());
        } else if let Some((name, expected)) = line.strip_prefix("d ").and_then(|rest| rest.split_once(" = ")) {
            case.expected.push((name.to_owned(), numbers(expected)));
        } else {
            let (declaration, given) = line.split_once(" = ").unwrap_or_else(|| panic!("{line} is an input"));
            let (name, ty) = declaration.split_once(' ').unwrap_or_else(|| panic!("{line} has a type"));
            let plain = name.trim_start_matches('*');
            if plain != name {
                case.wrt.push(plain.to_owned());
            }
            case.lines.push(format!("input {plain}: {ty}"));
            case.inputs.push((plain.to_owned(), numbers(given)));
        }
    }
    cases
}

impl Case {
    fn model(&self) -> Model {
        let text = format!("model m {{\n{}\nloss sum({})\n}}\n", self.lines.join("\n"), self.of);
        let model = Program::from_source("case.net", &text).and_then(|program| program.only_model());
        model.unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// What is wrong with the gradients that are found. Where they are not exact, their error is relative to the largest.
    fn check(&self, found: &[(String, Tensor)], dtype: DType, exact: bool, how: &str, wrong: &mut Vec<String>) {
        let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        for (name, expected) in &self.expected {
            let (_, tensor) =
                found.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("{name} has a gradient"));
            let found = tensor.numbers();
            assert_eq!(found.len(), expected.len(), "{}: {name}", self.name);
            let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
            let agrees = |(found, expected): (&f64, &f64)| {
                let scale = if exact { expected.abs() } else { largest };
                let allowed = (TOLERANCE * scale).max(ROUNDING * self.terms).max(least);
                // What is infinite has its sign, and NaN agrees with nothing.
                found == expected || (found - expected).abs() <= allowed
            };
            if !found.iter().zip(expected).all(agrees) {
                wrong.push(format!("{}, {how}: by {name}\n  {found:?}\n  {expected:?}", self.name));
            }
        }
    }
}

/// Checks the cases of a file, in some modes. `exact` says in which modes and at which levels each derivative is right by
/// itself.
fn check_file(file: &str, modes: &[Mode], exact: fn(Mode, Level) -> bool) {
    let mut wrong = Vec::new();
    for case in cases(file) {
        let model = case.model();
        for dtype in [DType::F32, DType::F64] {
            for &mode in modes {
                for level in [Level::None, Level::Local, Level::Full] {
                    if case.optimised && (level != Level::Full || mode == Mode::Strict) {
                        continue;
                    }
                    let options = Options { mode, level, float: Some(dtype), ..Options::default() };
                    let how = format!("{dtype} {mode:?} {level:?}");
                    let found = gradients(&case, &model, &options);
                    for (by, found) in found.into_iter().filter(|(by, _)| !case.compiled || *by == "compiled") {
                        case.check(&found, dtype, exact(mode, level), &format!("{how} {by}"), &mut wrong);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Gradients by name.
type Gradients = Vec<(String, Tensor)>;

/// The gradients in machine code, and by the interpreter.
fn gradients(case: &Case, model: &Model, options: &Options) -> [(&'static str, Gradients); 2] {
    let goal = Goal::Gradient { wrt: case.wrt.clone() };
    let mut executable = model.compile(&goal, options).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let types: Vec<(String, TensorType)> = executable.inputs().map(|(n, ty)| (n.to_owned(), ty.clone())).collect();
    let tensors: Vec<(String, Tensor)> = types
        .into_iter()
        .map(|(name, ty)| {
            let (_, numbers) = case.inputs.iter().find(|(own, _)| *own == name).expect("every input is given");
            // As f32 has them in either precision: that is what the expected numbers are of.
            let rounded = numbers.iter().map(|&x| if ty.dtype.is_float() { f64::from(x as f32) } else { x });
            let tensor = Tensor::from_numbers(&ty, rounded).unwrap_or_else(|| panic!("{}: {name} is {ty}", case.name));
            (name, tensor)
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = tensors.iter().map(|(n, tensor)| (n.as_str(), tensor.view())).collect();
    let mut state = State::initial(executable.graph(), 0);
    executable.run(&mut state, &views).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let gradient = |name: &String| Some((name.clone(), executable.result(Role::Gradient, name)?));
    let compiled: Gradients = case.wrt.iter().filter_map(gradient).collect();
    let graph = lower(model.graph(), &goal, options, &mut Unobserved).expect("it was compiled");
    let results = interpret(&graph, &index_bounds(model.graph()), &state, &views)
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let interpreted: Gradients =
        results.into_iter().filter(|(role, ..)| *role == Role::Gradient).map(|(_, name, t)| (name, t)).collect();
    [("compiled", compiled), ("interpreted", interpreted)]
}

#[test]
fn conventions() {
    check_file("conventions.txt", &ALL, |_, _| true);
}

#[test]
fn what_a_select_did_not_take() {
    check_file("masks.txt", &[Mode::Strict, Mode::Accurate], |_, _| true);
}

#[test]
fn extreme_numbers() {
    check_file("extreme.txt", &ALL, |mode, level| mode == Mode::Accurate && level == Level::Full);
}

/// Every operator that has a kink has a case in which it is met: at one of the points that its file names, or at a tie.
#[test]
fn every_kink_of_an_operator_has_a_case() {
    let graphs: Vec<(Graph, Vec<(ValueId, Reference)>)> = cases("conventions.txt")
        .iter()
        .map(|case| {
            let graph = case.model().graph().in_precision(DType::F64);
            let bindings = graph.leaves(LeafKind::Input).filter_map(|leaf| {
                let name = graph.value_name(leaf)?;
                let (_, numbers) = case.inputs.iter().find(|(own, _)| **own == **name)?;
                Some((leaf, Reference::new(graph.ty(leaf).clone(), numbers.clone())))
            });
            let bindings = bindings.collect();
            (graph, bindings)
        })
        .collect();
    let is_met = |def: &'static OpDef| {
        graphs.iter().any(|(graph, bindings)| {
            let applied = graph.values().filter(|&value| graph.op(value).is_some_and(|op| op.is(def)));
            applied.into_iter().any(|value| {
                let operands = evaluate_values(graph, bindings, graph.operands(value)).expect("every input is given");
                let first = operands[0].data();
                let at_point = first.iter().any(|x| def.domain.kinks.contains(x));
                let at_tie = match &operands[..] {
                    [only] => (1..only.data().len()).any(|i| first[..i].contains(&first[i])),
                    [a, b, ..] => a.data().iter().zip(b.data()).any(|(a, b)| a == b),
                    [] => false,
                };
                at_point || def.domain.kink_at_ties && at_tie
            })
        })
    };
    let has_kinks = |def: &&&'static OpDef| !def.domain.kinks.is_empty() || def.domain.kink_at_ties;
    let missing: Vec<&str> =
        ALL_OPERATORS.iter().filter(has_kinks).filter(|def| !is_met(def)).map(|def| def.name).collect();
    assert!(missing.is_empty(), "tests/derivatives/conventions.txt meets no kink of {missing:?}");
}

/// What is known of sums of exponentials and of repeated numbers holds where there is something to sum.
#[test]
fn sums_of_nothing_are_zero() {
    let text = "graph empty {
        input x : f32[2, 0]
        input s : f32[2]
        greatest = amax(x, axes=[1]) : f32[2]
        spread = broadcast(greatest, axes=[0]) : f32[2, 0]
        shifted = x - spread : f32[2, 0]
        exps = exp(shifted) : f32[2, 0]
        total = sum(exps, axes=[1]) : f32[2]
        larger = max(total, 0.5) : f32[2]
        totals = broadcast(total, axes=[0]) : f32[2, 0]
        shares = exps / totals : f32[2, 0]
        share = sum(shares, axes=[1]) : f32[2]
        copies = broadcast(s, axes=[0]) : f32[2, 0]
        repeated = sum(copies, axes=[1]) : f32[2]
        output larger = larger
        output share = share
        output repeated = repeated
    }";
    let model = Program::from_source("empty.ir", text).and_then(|program| program.only_model());
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    let x = Tensor::from_numbers(&TensorType::new(DType::F32, [2, 0]), []).expect("no numbers");
    let s = Tensor::from_numbers(&TensorType::new(DType::F32, [2]), [f64::INFINITY, 1.0]).expect("two numbers");
    // Fast mode takes all numbers to be finite, also the quotients of nothing.
    for mode in [Mode::Strict, Mode::Accurate] {
        for level in [Level::None, Level::Local, Level::Full] {
            let options = Options { mode, level, ..Options::default() };
            let mut executable = model.compile(&Goal::Forward, &options).unwrap_or_else(|error| panic!("{error}"));
            let named: Vec<String> = executable.inputs().map(|(name, _)| name.to_owned()).collect();
            let inputs = [("x", x.view()), ("s", s.view())];
            let inputs: Vec<_> = inputs.into_iter().filter(|(name, _)| named.iter().any(|own| own == name)).collect();
            let mut state = executable.initial_state(0);
            executable.run(&mut state, &inputs).unwrap_or_else(|error| panic!("{error}"));
            for (name, expected) in [("larger", 0.5), ("share", 0.0), ("repeated", 0.0)] {
                let found = executable.result(Role::Output, name).expect("it is there").numbers();
                assert_eq!(found, [expected; 2], "{name} {mode:?} {level:?}");
            }
        }
    }
}
