//! Optimisers as graphs: what a training step does with its gradients is part of the one static graph.

use std::collections::BTreeMap;
use std::sync::Arc;

use gradc_elaborate::{Optimizer, TrainConfig};
use gradc_ir::{DType, Graph, Init, LeafKind, Role, TensorType, ValueId};

/// The input that the learning rate of a step is given as.
pub const LEARNING_RATE: &str = "train.lr";
/// The input that the number of the step is given as, counted from 1.
pub const STEP: &str = "train.step";

/// What a training step does between the gradients and the parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct UpdateRule {
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Bound on the magnitude of each element of the gradient, applied first.
    pub clip_value: Option<f64>,
    /// Bound on the Euclidean norm of all gradients together, applied second.
    pub clip_norm: Option<f64>,
}

impl Default for UpdateRule {
    /// Adam as its authors recommend it, without clipping.
    fn default() -> UpdateRule {
        let optimizer = Optimizer::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
        UpdateRule { optimizer, clip_value: None, clip_norm: None }
    }
}

impl From<&TrainConfig> for UpdateRule {
    fn from(config: &TrainConfig) -> UpdateRule {
        UpdateRule { optimizer: config.optimizer, clip_value: config.clip_value, clip_norm: config.clip_norm }
    }
}

impl UpdateRule {
    /// The learning rate before any schedule.
    pub fn learning_rate(&self) -> f64 {
        match self.optimizer {
            Optimizer::Sgd { lr, .. }
            | Optimizer::Adam { lr, .. }
            | Optimizer::AdamW { lr, .. }
            | Optimizer::RmsProp { lr, .. } => lr,
        }
    }

    /// The same rule with another learning rate.
    #[must_use]
    pub fn with_learning_rate(&self, rate: f64) -> UpdateRule {
        let mut rule = self.clone();
        let (Optimizer::Sgd { lr, .. }
        | Optimizer::Adam { lr, .. }
        | Optimizer::AdamW { lr, .. }
        | Optimizer::RmsProp { lr, .. }) = &mut rule.optimizer;
        *lr = rate;
        rule
    }
}

/// Appends the update of every parameter that `graph` has a [`Role::Gradient`] result for, as [`Role::Update`] results,
/// with the state that the optimiser keeps. The gradients' results stay.
///
/// Parameters of 16 bits are updated in `f32`, and so is what the optimiser keeps for them; each step rounds the new
/// parameter once. There is no copy of them with more digits.
pub fn append_update(graph: &mut Graph, rule: &UpdateRule) {
    let params: BTreeMap<Arc<str>, ValueId> =
        graph.leaves(LeafKind::Param).filter_map(|param| Some((graph.value_name(param)?.clone(), param))).collect();
    let gradients: Vec<(ValueId, ValueId)> = graph
        .outputs_of(Role::Gradient)
        .filter_map(|output| Some((*params.get(&output.name)?, output.value)))
        .collect();
    if gradients.is_empty() {
        return;
    }
    let double = gradients.iter().any(|&(param, _)| graph.dtype(param) == DType::F64);
    let dtype = if double { DType::F64 } else { DType::F32 };
    let mut shared = Shared {
        learning_rate: graph.input(LEARNING_RATE, TensorType::scalar(dtype)),
        step: graph.input(STEP, TensorType::scalar(dtype)),
        numbers: BTreeMap::new(),
        spread: BTreeMap::new(),
        corrections: BTreeMap::new(),
    };
    let wide = |&(_, gradient): &(ValueId, ValueId)| graph.cast(gradient, graph.dtype(gradient).arithmetic());
    let cotangents: Vec<ValueId> = gradients.iter().map(wide).collect();
    let cotangents = clip_by_value(graph, cotangents, rule.clip_value, &mut shared);
    let cotangents = clip_by_norm(graph, cotangents, rule.clip_norm, dtype, &mut shared);
    for ((param, _), gradient) in gradients.into_iter().zip(cotangents) {
        let mut slot = Slot::new(graph, param, &mut shared);
        let next = slot.step(&rule.optimizer, gradient);
        let name = slot.name.clone();
        graph.add_output(Role::Update, name, next);
    }
}

/// `min(max(g, −c), c)` for each gradient.
fn clip_by_value(graph: &mut Graph, gradients: Vec<ValueId>, bound: Option<f64>, shared: &mut Shared) -> Vec<ValueId> {
    let Some(bound) = bound else { return gradients };
    let clip = |gradient| {
        let (low, high) = (shared.number(graph, -bound, gradient), shared.number(graph, bound, gradient));
        let raised = graph.max(gradient, low);
        graph.min(raised, high)
    };
    gradients.into_iter().map(clip).collect()
}

/// `g · min(1, c / ‖all g‖)` for each gradient (Pascanu, Mikolov and Bengio, 2013). A norm of zero clips nothing; a norm
/// that is not finite makes every gradient NaN, so that it is noticed.
fn clip_by_norm(
    graph: &mut Graph,
    gradients: Vec<ValueId>,
    bound: Option<f64>,
    dtype: DType,
    shared: &mut Shared,
) -> Vec<ValueId> {
    let Some(bound) = bound else { return gradients };
    let Some(norm) = global_norm(graph, &gradients, dtype) else { return gradients };
    graph.set_value_name(norm, "gradient_norm");
    let bound = graph.full_like(norm, bound);
    let ratio = graph.div(bound, norm);
    let one = graph.full_like(norm, 1.0);
    let factor = graph.min(one, ratio);
    graph.set_value_name(factor, "clip_factor");
    let scale = |gradient| {
        let factor = shared.spread(graph, factor, gradient);
        graph.mul(gradient, factor)
    };
    gradients.into_iter().map(scale).collect()
}

/// `sqrt(Σ g²)` over all elements of all `gradients`, a `dtype`; `None` where there are none.
fn global_norm(graph: &mut Graph, gradients: &[ValueId], dtype: DType) -> Option<ValueId> {
    let mut total = None;
    for &gradient in gradients {
        let squares = sum_of_squares(graph, gradient);
        let squares = graph.cast(squares, dtype);
        total = Some(match total {
            None => squares,
            Some(total) => graph.add(total, squares),
        });
    }
    total.map(|total| graph.sqrt(total))
}

fn sum_of_squares(graph: &mut Graph, value: ValueId) -> ValueId {
    let squares = graph.mul(value, value);
    let axes: Vec<usize> = (0..graph.shape(value).rank()).collect();
    graph.reduce_sum(squares, &axes)
}

/// What the updates of all parameters have in common: it is computed once for each type of parameters.
struct Shared {
    learning_rate: ValueId,
    step: ValueId,
    /// Numbers, by their bits, in the types that they were asked for.
    numbers: BTreeMap<(u64, TensorType), ValueId>,
    /// Scalars, likewise.
    spread: BTreeMap<(ValueId, TensorType), ValueId>,
    /// `1 − βᵗ`, by the bits of β.
    corrections: BTreeMap<u64, ValueId>,
}

impl Shared {
    /// A number in the type of a value.
    fn number(&mut self, graph: &mut Graph, number: f64, like: ValueId) -> ValueId {
        let key = (number.to_bits(), graph.ty(like).clone());
        *self.numbers.entry(key).or_insert_with(|| graph.full_like(like, number))
    }

    /// A scalar in the type of a value.
    fn spread(&mut self, graph: &mut Graph, scalar: ValueId, like: ValueId) -> ValueId {
        let ty = graph.ty(like).clone();
        *self.spread.entry((scalar, ty.clone())).or_insert_with(|| {
            let scalar = graph.cast(scalar, ty.dtype);
            graph.broadcast_scalar(scalar, &ty.shape)
        })
    }

    /// `1 − βᵗ` as `−expm1(t·ln β)`: for β near 1 it keeps the digits that the difference cancels.
    fn correction(&mut self, graph: &mut Graph, beta: f64) -> ValueId {
        *self.corrections.entry(beta.to_bits()).or_insert_with(|| {
            let exponent = graph.scale(self.step, beta.ln());
            let growth = graph.expm1(exponent);
            graph.neg(growth)
        })
    }
}

/// One parameter and its share of the optimiser's state.
struct Slot<'g> {
    graph: &'g mut Graph,
    shared: &'g mut Shared,
    /// The parameter, in the type that its update is computed in.
    param: ValueId,
    name: String,
    /// The parameter's own type.
    dtype: DType,
}

impl<'g> Slot<'g> {
    fn new(graph: &'g mut Graph, param: ValueId, shared: &'g mut Shared) -> Slot<'g> {
        let name = graph.value_name(param).map(|name| name.to_string()).unwrap_or_default();
        let dtype = graph.dtype(param);
        let param = graph.cast(param, dtype.arithmetic());
        Slot { graph, shared, param, name, dtype }
    }

    /// The parameter's next value.
    fn step(&mut self, optimizer: &Optimizer, gradient: ValueId) -> ValueId {
        let direction = match *optimizer {
            Optimizer::Sgd { momentum, nesterov, weight_decay, .. } => {
                let gradient = self.add_scaled(gradient, self.param, weight_decay);
                self.momentum(gradient, momentum, nesterov)
            }
            Optimizer::Adam { beta1, beta2, eps, .. } => self.adam(gradient, beta1, beta2, eps),
            Optimizer::AdamW { beta1, beta2, eps, weight_decay, .. } => {
                // Decoupled: the decay is not part of the gradient that the moments see (Loshchilov and Hutter, 2019).
                let direction = self.adam(gradient, beta1, beta2, eps);
                self.add_scaled(direction, self.param, weight_decay)
            }
            Optimizer::RmsProp { decay, eps, momentum, .. } => {
                let squares = self.graph.mul(gradient, gradient);
                let mean_square = self.moving_average("v", squares, decay);
                let root = self.graph.sqrt(mean_square);
                let eps = self.shared.number(self.graph, eps, root);
                let denominator = self.graph.add(root, eps);
                let scaled = self.graph.div(gradient, denominator);
                self.momentum(scaled, momentum, false)
            }
        };
        let rate = self.shared.spread(self.graph, self.shared.learning_rate, self.param);
        let change = self.graph.mul(rate, direction);
        let next = self.graph.sub(self.param, change);
        self.graph.cast(next, self.dtype)
    }

    /// `b ← μ·b + g`; the direction is `b`, or `g + μ·b` with Nesterov's correction (Sutskever et al., 2013).
    fn momentum(&mut self, gradient: ValueId, momentum: f64, nesterov: bool) -> ValueId {
        if momentum == 0.0 {
            return gradient;
        }
        let buffer = self.state("momentum");
        let next = self.add_scaled(gradient, buffer, momentum);
        self.update("momentum", next);
        if nesterov { self.add_scaled(gradient, next, momentum) } else { next }
    }

    /// `m̂ / (√v̂ + ε)` (Kingma and Ba, 2015, algorithm 1).
    fn adam(&mut self, gradient: ValueId, beta1: f64, beta2: f64, eps: f64) -> ValueId {
        let mean = self.moving_average("m", gradient, beta1);
        let squares = self.graph.mul(gradient, gradient);
        let mean_square = self.moving_average("v", squares, beta2);
        let mean = self.without_bias(mean, beta1);
        let mean_square = self.without_bias(mean_square, beta2);
        let root = self.graph.sqrt(mean_square);
        let eps = self.shared.number(self.graph, eps, root);
        let denominator = self.graph.add(root, eps);
        self.graph.div(mean, denominator)
    }

    /// `a ← β·a + (1 − β)·x`
    fn moving_average(&mut self, name: &str, x: ValueId, beta: f64) -> ValueId {
        let average = self.state(name);
        let kept = self.scaled(average, beta);
        let next = self.add_scaled(kept, x, 1.0 - beta);
        self.update(name, next);
        next
    }

    /// `a / (1 − βᵗ)`
    fn without_bias(&mut self, average: ValueId, beta: f64) -> ValueId {
        let correction = self.shared.correction(self.graph, beta);
        let correction = self.shared.spread(self.graph, correction, average);
        self.graph.div(average, correction)
    }

    /// `a + factor·b`
    fn add_scaled(&mut self, a: ValueId, b: ValueId, factor: f64) -> ValueId {
        if factor == 0.0 {
            return a;
        }
        let scaled = self.scaled(b, factor);
        self.graph.add(a, scaled)
    }

    /// `factor·a`
    fn scaled(&mut self, a: ValueId, factor: f64) -> ValueId {
        let factor = self.shared.number(self.graph, factor, a);
        self.graph.mul(factor, a)
    }

    fn state(&mut self, kind: &str) -> ValueId {
        let ty = self.graph.ty(self.param).clone();
        self.graph.state(self.state_name(kind), ty, Init::Constant(0.0.into()))
    }

    fn update(&mut self, kind: &str, next: ValueId) {
        let name = self.state_name(kind);
        self.graph.add_output(Role::Update, name, next);
    }

    fn state_name(&self, kind: &str) -> String {
        format!("optimizer.{kind}.{}", self.name)
    }
}
