//! Compiled training steps against the published formulas of each optimiser, written plainly in `f64`.

use std::collections::BTreeMap;

use gradc::elaborate::Optimizer;
use gradc::ir::{DType, Role, TensorType};
use gradc::pipeline::{Unobserved, lower};
use gradc::{
    Goal, Level, Mode, Model, Options, Program, State, Tensor, TensorView, UpdateRule, index_bounds, interpret,
};
use gradc_testing::Random;

const SOURCE: &str = "
    model m {
        input x: f32[4, 3]
        input target: f32[4, 2]
        param w: [3, 2] = normal(0, 1)
        param b: [2] = normal(0, 1)
        param scale: [] = 1.5
        loss 3 * mse(scale * tanh(x @ w + b), target)
    }
";

const STEPS: u64 = 5;

/// What is kept of each parameter, by name.
type Values = BTreeMap<String, Vec<f64>>;

/// A parameter with its gradient and what the optimiser keeps of it: two moments, and a momentum.
struct Slot<'a> {
    p: &'a mut [f64],
    g: &'a [f64],
    m: &'a mut [f64],
    v: &'a mut [f64],
    buffer: &'a mut [f64],
}

impl Slot<'_> {
    /// One step: `torch.optim` has the same formulas (SGD, Adam, AdamW and RMSprop).
    fn step(&mut self, optimizer: &Optimizer, lr: f64, t: i32) {
        for i in 0..self.p.len() {
            let (p, g) = (self.p[i], self.g[i]);
            match *optimizer {
                Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                    let g = g + weight_decay * p;
                    self.buffer[i] = momentum * self.buffer[i] + g;
                    let direction = if nesterov { g + momentum * self.buffer[i] } else { self.buffer[i] };
                    self.p[i] = p - lr * direction;
                }
                Optimizer::Adam { beta1, beta2, eps, .. } => self.p[i] = p - lr * self.adam(i, (beta1, beta2, eps), t),
                Optimizer::AdamW { beta1, beta2, eps, weight_decay, .. } => {
                    let decayed = p * (1.0 - lr * weight_decay);
                    self.p[i] = decayed - lr * self.adam(i, (beta1, beta2, eps), t);
                }
                Optimizer::RmsProp { decay, eps, momentum, .. } => {
                    self.v[i] = decay * self.v[i] + (1.0 - decay) * g * g;
                    self.buffer[i] = momentum * self.buffer[i] + g / (self.v[i].sqrt() + eps);
                    self.p[i] = p - lr * self.buffer[i];
                }
            }
        }
    }

    fn adam(&mut self, i: usize, (beta1, beta2, eps): (f64, f64, f64), t: i32) -> f64 {
        let g = self.g[i];
        self.m[i] = beta1 * self.m[i] + (1.0 - beta1) * g;
        self.v[i] = beta2 * self.v[i] + (1.0 - beta2) * g * g;
        let (mean, mean_square) = (self.m[i] / (1.0 - beta1.powi(t)), self.v[i] / (1.0 - beta2.powi(t)));
        mean / (mean_square.sqrt() + eps)
    }
}

fn clip(gradients: &mut Values, rule: &UpdateRule) {
    if let Some(bound) = rule.clip_value {
        gradients.values_mut().flatten().for_each(|g| *g = g.clamp(-bound, bound));
    }
    if let Some(bound) = rule.clip_norm {
        let norm = gradients.values().flatten().map(|g| g * g).sum::<f64>().sqrt();
        let factor = (bound / norm).min(1.0);
        gradients.values_mut().flatten().for_each(|g| *g *= factor);
    }
}

fn model() -> Model {
    Program::from_source("m.net", SOURCE).and_then(|program| program.only_model()).expect("the model is well formed")
}

/// Numbers that `f32` holds exactly.
fn inputs(model: &Model, step: u64) -> Values {
    let mut random = Random::new(step);
    let mut draw = || f64::from((random.unit() * 4.0 - 2.0) as f32);
    model.inputs().map(|(name, ty)| (name.to_owned(), (0..ty.shape.elements()).map(|_| draw()).collect())).collect()
}

fn tensors(model: &Model, numbers: &Values, float: DType) -> Vec<(String, Tensor)> {
    let tensor = |(name, ty): (&str, &gradc::ir::TensorType)| {
        let numbers = numbers[name].iter().copied();
        (name.to_owned(), Tensor::from_numbers(&ty.with_dtype(float), numbers).expect("as many as there are elements"))
    };
    model.inputs().map(tensor).collect()
}

fn views(tensors: &[(String, Tensor)]) -> Vec<(&str, TensorView<'_>)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect()
}

fn parameters(state: &State) -> Values {
    state.parameters().map(|(name, tensor)| (name.to_owned(), tensor.numbers())).collect()
}

/// The parameters after each step, by the formulas, with gradients by the interpreter.
fn expected(rule: &UpdateRule, first: &Values) -> Vec<Values> {
    let model = model();
    let options = Options { level: Level::None, float: Some(DType::F64), ..Options::default() };
    let goal = Goal::Gradient { wrt: Vec::new() };
    let graph = lower(model.graph(), &goal, &options, &mut Unobserved).expect("the model has a loss");
    let mut state = State::initial(&graph, 0);
    let mut params = first.clone();
    let zeros = || -> Values { first.iter().map(|(name, p)| (name.clone(), vec![0.0; p.len()])).collect() };
    let (mut m, mut v, mut buffer) = (zeros(), zeros(), zeros());
    let mut history = Vec::new();
    for t in 1..=STEPS {
        for (name, numbers) in &params {
            let ty = state.get(name).expect("the parameter is there").ty();
            let value = Tensor::from_numbers(&ty, numbers.iter().copied()).expect("as many as there are elements");
            state.set(name, &value).expect("of its type");
        }
        let tensors = tensors(&model, &inputs(&model, t), DType::F64);
        let results =
            interpret(&graph, &index_bounds(model.graph()), &state, &views(&tensors)).expect("the inputs fit");
        let of_role = results.into_iter().filter(|(role, ..)| *role == Role::Gradient);
        let mut gradients: Values = of_role.map(|(_, name, tensor)| (name, tensor.numbers())).collect();
        assert_eq!(gradients.len(), 3, "every parameter has a gradient");
        clip(&mut gradients, rule);
        for (name, p) in &mut params {
            let kept = |values: &'static str| format!("{name} has {values}");
            let mut slot = Slot {
                g: &gradients[name],
                m: m.get_mut(name).unwrap_or_else(|| panic!("{}", kept("a mean"))),
                v: v.get_mut(name).unwrap_or_else(|| panic!("{}", kept("a mean square"))),
                buffer: buffer.get_mut(name).unwrap_or_else(|| panic!("{}", kept("a momentum"))),
                p,
            };
            slot.step(&rule.optimizer, rule.learning_rate(), i32::try_from(t).expect("few steps"));
        }
        history.push(params.clone());
    }
    history
}

/// Compiled steps in all modes and both precisions end where the formulas do.
fn check(rule: &UpdateRule) {
    let model = model();
    let round = |numbers: Vec<f64>| numbers.into_iter().map(|number| f64::from(number as f32)).collect();
    let first: Values =
        parameters(&State::initial(model.graph(), 3)).into_iter().map(|(name, p)| (name, round(p))).collect();
    let history = expected(rule, &first);
    for mode in [Mode::Strict, Mode::Accurate, Mode::Fast] {
        for (float, tolerance) in [(DType::F32, 1e-6), (DType::F64, 1e-12)] {
            let options = Options { mode, float: Some(float), ..Options::default() };
            let mut executable = model.compile(&Goal::Training(rule.clone()), &options).expect("the model compiles");
            let mut state = executable.initial_state(3);
            for (name, numbers) in &first {
                let ty = state.get(name).expect("the parameter is there").ty();
                let value = Tensor::from_numbers(&ty, numbers.iter().copied()).expect("as many as there are elements");
                state.set(name, &value).expect("of its type");
            }
            for (t, expected) in (1..=STEPS).zip(&history) {
                let tensors = tensors(&model, &inputs(&model, t), float);
                executable.run_training(&mut state, &views(&tensors), rule.learning_rate(), t).expect("the inputs fit");
                for (name, found) in parameters(&state) {
                    for (i, (found, expected)) in found.iter().zip(&expected[&name]).enumerate() {
                        let error = (found - expected).abs() / expected.abs().max(1.0);
                        let what = format!("{rule:?}, {mode:?}, {float}, step {t}: {name}[{i}]");
                        assert!(error <= tolerance, "{what} is {found}, not {expected}");
                    }
                }
            }
        }
    }
}

fn plain(optimizer: Optimizer) -> UpdateRule {
    UpdateRule { optimizer, clip_value: None, clip_norm: None }
}

fn sgd(momentum: f64, nesterov: bool, weight_decay: f64) -> Optimizer {
    Optimizer::Sgd { lr: 0.05, momentum, nesterov, weight_decay }
}

const ADAM: Optimizer = Optimizer::Adam { lr: 0.02, beta1: 0.9, beta2: 0.999, eps: 1e-8 };

#[test]
fn sgd_alone() {
    check(&plain(sgd(0.0, false, 0.0)));
}

#[test]
fn sgd_with_momentum() {
    check(&plain(sgd(0.9, false, 0.0)));
}

#[test]
fn sgd_with_nesterov() {
    check(&plain(sgd(0.9, true, 0.0)));
}

#[test]
fn sgd_with_weight_decay() {
    check(&plain(sgd(0.0, false, 0.1)));
    check(&plain(sgd(0.8, false, 0.1)));
    check(&plain(sgd(0.8, true, 0.1)));
}

#[test]
fn adam() {
    check(&plain(ADAM));
    check(&plain(Optimizer::Adam { lr: 0.05, beta1: 0.5, beta2: 0.9, eps: 0.1 }));
}

#[test]
fn adamw() {
    check(&plain(Optimizer::AdamW { lr: 0.02, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.3 }));
}

#[test]
fn rmsprop() {
    check(&plain(Optimizer::RmsProp { lr: 0.01, decay: 0.9, eps: 1e-8, momentum: 0.0 }));
    check(&plain(Optimizer::RmsProp { lr: 0.01, decay: 0.99, eps: 1e-3, momentum: 0.9 }));
}

#[test]
fn clipping() {
    for optimizer in [sgd(0.9, true, 0.0), ADAM] {
        check(&UpdateRule { optimizer, clip_value: Some(0.3), clip_norm: None });
        check(&UpdateRule { optimizer, clip_value: None, clip_norm: Some(0.5) });
        check(&UpdateRule { optimizer, clip_value: Some(0.4), clip_norm: Some(0.6) });
        // Bounds that nothing reaches.
        check(&UpdateRule { optimizer, clip_value: Some(1e3), clip_norm: Some(1e3) });
    }
}

/// Both parameters see the same gradients, so each goes as it does alone in its own precision, and the norm is that of all.
#[test]
fn parameters_of_both_precisions_are_trained_together() {
    const BOTH: &str = "
        model both {
            input x: f32[3]
            param single: f32[3] = 2
            param double: f64[3] = 2
            loss sum(cast(single * x, f64)) + sum(double * cast(x, f64))
        }
    ";
    const ALONE: &str = "
        model alone {
            input x: f32[3]
            param single: f32[3] = 2
            loss sum(single * x)
        }
    ";
    let x = Tensor::from_numbers(&TensorType::new(DType::F32, [3]), [0.5, -1.0, 2.0]).expect("three numbers");
    let train = |source: &str, rule: &UpdateRule| {
        let model = Program::from_source("m.net", source).and_then(|program| program.only_model()).expect("a model");
        let mut executable = model.compile(&Goal::Training(rule.clone()), &Options::default()).expect("it compiles");
        let mut state = executable.initial_state(0);
        for step in 1..=STEPS {
            executable.run_training(&mut state, &[("x", x.view())], 0.1, step).expect("the input fits");
        }
        parameters(&state)
    };
    let rms_prop = Optimizer::RmsProp { lr: 0.1, decay: 0.9, eps: 1e-8, momentum: 0.9 };
    let adamw = Optimizer::AdamW { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.3 };
    for optimizer in [sgd(0.9, true, 0.1), ADAM, adamw, rms_prop] {
        let (together, alone) = (train(BOTH, &plain(optimizer)), train(ALONE, &plain(optimizer)));
        for (i, (single, double)) in together["single"].iter().zip(&together["double"]).enumerate() {
            assert!((single - double).abs() < 1e-6, "{optimizer:?}: {single} and {double}");
            assert!((single - alone["single"][i]).abs() < 1e-6, "{optimizer:?}: {single} and {}", alone["single"][i]);
        }
    }
    // Two gradients of one norm are as long as √2 of it.
    let clipped = |bound: f64| UpdateRule { clip_norm: Some(bound), ..plain(sgd(0.0, false, 0.0)) };
    let (together, alone) = (train(BOTH, &clipped(0.5 * 2f64.sqrt())), train(ALONE, &clipped(0.5)));
    for (both, alone) in [(&together["single"], &alone["single"]), (&together["double"], &alone["single"])] {
        assert!(both.iter().zip(alone).all(|(both, alone)| (both - alone).abs() < 1e-6), "{both:?}, not {alone:?}");
    }
}

/// Stabilising finds that the loss does not depend on `w`. Weight decay takes from it at every level all the same.
#[test]
fn how_much_is_optimised_does_not_decide_what_is_trained() {
    let source = "
        model m {
            input x: f32[4, 3]
            param w: [3] = ones
            param u: [3] = ones
            param unused: [3] = ones
            let c = x > 0
            let h = select(c, select(c, x * u, x * w), x * u)
            output y = unused
            loss mean(square(sum(h, axis = 1)))
        }
    ";
    let model = Program::from_source("m.net", source).and_then(|program| program.only_model()).expect("a model");
    let optimizer = Optimizer::AdamW { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.5 };
    let x = Tensor::from_numbers(&TensorType::new(DType::F32, [4, 3]), (0..12).map(|i| f64::from(i) / 5.0 - 1.0));
    let x = x.expect("twelve numbers");
    let trained = |level: Level| {
        let options = Options { level, mode: Mode::Strict, ..Options::default() };
        let mut executable = model.compile(&Goal::Training(plain(optimizer)), &options).expect("it compiles");
        let mut state = executable.initial_state(0);
        for step in 1..=STEPS {
            executable.run_training(&mut state, &[("x", x.view())], 0.1, step).expect("the input fits");
        }
        let kept: Vec<String> = state.optimizer().map(|(name, _)| name.to_owned()).collect();
        (kept, parameters(&state))
    };
    let (kept, expected) = trained(Level::None);
    assert!(kept.iter().any(|name| name.ends_with('w')) && expected["w"][0] < 0.9, "{kept:?} {expected:?}");
    assert_eq!(expected["unused"], [1.0; 3]);
    for level in [Level::from_number(1), Level::Full] {
        let (names, found) = trained(level);
        assert_eq!(names, kept, "{level:?}");
        // Sums may be in another order: kernels that are fused have other loops.
        for (name, expected) in &expected {
            let near = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-6;
            assert!(
                found[name].iter().zip(expected).all(near),
                "{level:?}: {name} is {:?}, not {expected:?}",
                found[name]
            );
        }
    }
}
