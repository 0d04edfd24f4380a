//! The checks: each says what is wrong, or how large the derivative was that it found right.

use gradc_autodiff::{gradient, jvp};
use gradc_interp::evaluate_values;
use gradc_ir::verify::verify;
use gradc_ir::{Case, DType, Graph, OpDef, Tensor, ValueId};
use gradc_testing::{Random, random_operands, random_tensor};

/// What a check found right: the largest magnitude among the derivatives it looked at. Zero means that it proved nothing.
pub(crate) type Checked = Result<f64, String>;

/// A graph, where to evaluate it, and which of its leaves to vary.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) graph: Graph,
    pub(crate) bindings: Vec<(ValueId, Tensor)>,
    pub(crate) wrt: Vec<ValueId>,
    pub(crate) random: Random,
}

impl Subject {
    /// Adds an input that holds `tensor`.
    pub(crate) fn input(&mut self, name: String, tensor: Tensor) -> ValueId {
        let leaf = self.graph.input(name, tensor.ty().clone());
        self.bindings.push((leaf, tensor));
        leaf
    }

    /// Random weights of the type of `like`, as an input: neither equal nor one, so that no factor hides.
    pub(crate) fn weights(&mut self, like: ValueId) -> ValueId {
        let tensor = random_tensor(self.graph.ty(like), (-1.5, 1.5), &mut self.random);
        self.input(format!("weights_{}", like.index()), tensor)
    }

    /// The sum over all elements of `a · b`.
    pub(crate) fn inner_product(&mut self, a: ValueId, b: ValueId) -> ValueId {
        let product = self.graph.mul(a, b);
        let axes: Vec<usize> = (0..self.graph.shape(product).rank()).collect();
        self.graph.reduce_sum(product, &axes)
    }

    fn evaluate(&self, values: &[ValueId]) -> Vec<Tensor> {
        evaluate_values(&self.graph, &self.bindings, values).expect("the subject is complete")
    }

    /// `loss` where the leaves have moved by `step` along `direction`.
    fn loss_at(&self, loss: ValueId, direction: &[Tensor], step: f64) -> f64 {
        let mut bindings = self.bindings.clone();
        for (leaf, along) in self.wrt.iter().zip(direction) {
            let (_, tensor) = bindings.iter_mut().find(|(bound, _)| bound == leaf).expect("what varies is bound");
            let moved = tensor.data().iter().zip(along.data()).map(|(x, v)| x + step * v);
            *tensor = Tensor::new(tensor.ty().clone(), moved.collect());
        }
        evaluate_values(&self.graph, &bindings, &[loss]).expect("the subject is complete")[0].data()[0]
    }

    /// A random direction to move the leaves along.
    fn direction(&mut self) -> Vec<Tensor> {
        self.wrt.iter().map(|&leaf| random_tensor(self.graph.ty(leaf), (-1.0, 1.0), &mut self.random)).collect()
    }
}

/// An operator applied to inputs, as a case says.
pub(crate) fn applied(def: &'static OpDef, case: &Case, seed: u64) -> (Subject, ValueId) {
    let mut random = Random::new(seed);
    let tensors = random_operands(&def.domain, &case.operands, &mut random);
    let mut subject = Subject { graph: Graph::new(def.name), bindings: vec![], wrt: vec![], random };
    let mut operands = Vec::new();
    for (i, tensor) in tensors.into_iter().enumerate() {
        let leaf = subject.input(format!("x{i}"), tensor);
        subject.wrt.extend(subject.graph.dtype(leaf).is_float().then_some(leaf));
        operands.push(leaf);
    }
    let result = case.apply(&mut subject.graph, def, &operands);
    (subject, result)
}

/// An operator in the middle of a graph: its operands are `3x + 0.3`, and the loss is `1.7 · Σ w · tanh(2 · op(…))` plus
/// a term that meets the operand on another path. A rule that drops or misjudges the cotangent it is given fails here.
/// `None` where the result is no float.
pub(crate) fn composed(def: &'static OpDef, case: &Case, seed: u64) -> Option<(Subject, ValueId)> {
    let mut random = Random::new(seed);
    let tensors = random_operands(&def.domain, &case.operands, &mut random);
    let mut subject = Subject { graph: Graph::new(def.name), bindings: vec![], wrt: vec![], random };
    let (mut operands, mut others) = (Vec::new(), Vec::new());
    for (i, tensor) in tensors.into_iter().enumerate() {
        if !tensor.ty().dtype.is_float() {
            operands.push(subject.input(format!("x{i}"), tensor));
            continue;
        }
        let before = tensor.data().iter().map(|x| (x - 0.3) / 3.0).collect();
        let leaf = subject.input(format!("x{i}"), Tensor::new(tensor.ty().clone(), before));
        subject.wrt.push(leaf);
        let scaled = subject.graph.scale(leaf, 3.0);
        let shift = subject.graph.full_like(scaled, 0.3);
        operands.push(subject.graph.add(scaled, shift));
        let (weights, square) = (subject.weights(leaf), subject.graph.mul(leaf, leaf));
        others.push(subject.inner_product(weights, square));
    }
    let result = case.apply(&mut subject.graph, def, &operands);
    if !subject.graph.dtype(result).is_float() {
        return None;
    }
    let weights = subject.weights(result);
    let doubled = subject.graph.scale(result, 2.0);
    let bounded = subject.graph.tanh(doubled);
    let mut loss = subject.inner_product(weights, bounded);
    loss = subject.graph.scale(loss, 1.7);
    for other in others {
        loss = subject.graph.add(loss, other);
    }
    Some((subject, loss))
}

/// The loss's derivative along random directions: from the cotangents, and by a five-point central difference.
pub(crate) fn reverse_mode(subject: &Subject, loss: ValueId) -> Checked {
    let found = gradient(&subject.graph, loss, &subject.wrt);
    verify(&found.graph).map_err(|error| format!("the gradient is ill-formed: {error}"))?;
    let mut subject = Subject { graph: found.graph, ..subject.clone() };
    let nothing_varies = subject.wrt.iter().all(|&leaf| subject.graph.shape(leaf).elements() == 0);
    let mut largest = 0.0f64;
    for _ in 0..if nothing_varies { 0 } else { 2 } {
        let direction = subject.direction();
        let mut along = Sum::default();
        for (cotangent, v) in found.cotangents.iter().zip(&direction) {
            if let Some(cotangent) = cotangent {
                let value = &subject.evaluate(&[*cotangent])[0];
                if value.ty() != v.ty() {
                    return Err(format!("the cotangent of {} is {}", v.ty(), value.ty()));
                }
                along.add_products(value, v);
            }
        }
        let h = 1e-4;
        let at = |steps: f64| subject.loss_at(loss, &direction, steps * h);
        let difference = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);
        along.agrees_with(difference, 1e-7, "finite differences")?;
        largest = largest.max(along.value.abs());
    }
    Ok(largest)
}

/// `⟨JVP v, w⟩ = ⟨v, VJP w⟩` for a result, random `v` and `w`.
pub(crate) fn transpose(subject: &Subject, result: ValueId) -> Checked {
    let mut subject = subject.clone();
    let weights = subject.weights(result);
    let loss = subject.inner_product(weights, result);
    let direction = subject.direction();
    let weights = subject.evaluate(&[weights]).remove(0);

    let reverse = gradient(&subject.graph, loss, &subject.wrt);
    let mut backward = Sum::default();
    for (cotangent, v) in reverse.cotangents.iter().zip(&direction) {
        if let Some(cotangent) = cotangent {
            let value = evaluate_values(&reverse.graph, &subject.bindings, &[*cotangent]).map_err(|e| e.to_string())?;
            backward.add_products(&value[0], v);
        }
    }

    let forward = jvp(&subject.graph, &subject.wrt, &[result]);
    verify(&forward.graph).map_err(|error| format!("the tangent is ill-formed: {error}"))?;
    let mut bindings = subject.bindings.clone();
    bindings.extend(forward.inputs.iter().copied().zip(direction));
    let mut onward = Sum::default();
    if let Some(tangent) = forward.tangents[0] {
        let tangent = evaluate_values(&forward.graph, &bindings, &[tangent]).map_err(|e| e.to_string())?;
        onward.add_products(&tangent[0], &weights);
    }
    onward.magnitude = onward.magnitude.max(backward.magnitude);
    onward.agrees_with(backward.value, 1e-12, "the transposed rule")?;
    Ok(onward.value.abs())
}

/// The gradient's own gradient: the derivative of `⟨u, gradient⟩` for random `u`.
pub(crate) fn second_order(subject: &Subject, loss: ValueId) -> Checked {
    let first = gradient(&subject.graph, loss, &subject.wrt);
    let mut subject = Subject { graph: first.graph, ..subject.clone() };
    let mut projected = subject.graph.scalar(0.0, DType::F64);
    for cotangent in first.cotangents.into_iter().flatten() {
        let weights = subject.weights(cotangent);
        let term = subject.inner_product(weights, cotangent);
        projected = subject.graph.add(projected, term);
    }
    reverse_mode(&subject, projected)
}

/// Whether the gradient is an absence.
pub(crate) fn absent(subject: &Subject, result: ValueId) -> Result<(), String> {
    if !subject.graph.dtype(result).is_float() {
        let forward = jvp(&subject.graph, &subject.wrt, &[result]);
        return if forward.tangents[0].is_none() { Ok(()) } else { Err("there is a tangent".into()) };
    }
    let mut subject = subject.clone();
    let weights = subject.weights(result);
    let loss = subject.inner_product(weights, result);
    let found = gradient(&subject.graph, loss, &subject.wrt);
    let forward = jvp(&subject.graph, &subject.wrt, &[result]);
    match found.cotangents.iter().all(Option::is_none) && forward.tangents[0].is_none() {
        true => Ok(()),
        false => Err("there is a derivative".into()),
    }
}

/// A sum that remembers how large its terms were.
#[derive(Default)]
struct Sum {
    value: f64,
    magnitude: f64,
}

impl Sum {
    fn add_products(&mut self, a: &Tensor, b: &Tensor) {
        for (x, y) in a.data().iter().zip(b.data()) {
            self.value += x * y;
            self.magnitude += (x * y).abs();
        }
    }

    fn agrees_with(&self, expected: f64, tolerance: f64, what: &str) -> Result<(), String> {
        let scale = self.magnitude.max(expected.abs()) + tolerance;
        // Written so that NaN disagrees.
        if (self.value - expected).abs() <= tolerance * scale {
            return Ok(());
        }
        Err(format!("{} by the rule, {expected} by {what}", self.value))
    }
}
