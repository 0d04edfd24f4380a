//! The graph that is checked: a model in `f64` whose leaves are all inputs, with one loss.

use std::collections::BTreeMap;

use gradc::autodiff::Rules;
use gradc::ir::{DType, Graph, LeafKind, Role, Tensor, TensorType, ValueId};
use gradc::pipeline::find_value;
use gradc::{Error, GoalError, index_bounds};

use crate::custom;
use crate::decisions;
use crate::evaluate::{Bindings, values};
use crate::held::Opened;

/// What is differentiated, by what.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The model in `f64`. Every leaf is an input, and the loss is the only result.
    pub(crate) graph: Graph,
    /// The loss, a scalar.
    pub(crate) loss: ValueId,
    /// Every float that the model computes: the loss, and outputs besides.
    pub(crate) results: Vec<ValueId>,
    /// The outputs among these, by name.
    pub(crate) outputs: Vec<(String, ValueId)>,
    /// By what it is differentiated: leaves of the graph.
    pub(crate) targets: Vec<Target>,
    /// Which inputs are indices, and their bounds.
    pub(crate) bounds: BTreeMap<String, usize>,
    /// Inputs that the check added, with what they hold: displacements of values that are no leaves, at zero.
    pub(crate) added: Bindings,
    /// Weights of the outputs of a model without a loss: the names of inputs that are to be drawn.
    pub(crate) weights: Vec<String>,
}

/// A value that is moved.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The user's name for it.
    pub(crate) name: String,
    /// The leaf that is moved: the value itself, or a displacement that is added to it.
    pub(crate) leaf: ValueId,
    /// Its type in the model.
    pub(crate) ty: TensorType,
}

impl Subject {
    /// The model as it is checked, with the parameters as targets and `wrt` besides.
    pub(crate) fn new(model: &Graph, wrt: &[String]) -> Result<Subject, Error> {
        let mut forward = model.clone();
        let with_loss = forward.loss().is_some();
        forward.retain_outputs(|output| match with_loss {
            true => output.role == Role::Loss,
            false => output.role == Role::Output && model.dtype(output.value).is_float(),
        });
        if forward.outputs().is_empty() {
            return Err(GoalError::NoLoss.into());
        }
        let bounds = index_bounds(&forward);
        let forward = forward.in_precision(DType::F64);
        let moved = targets(&forward, model, wrt)?;
        let mut subject = Subject {
            graph: forward.emptied(),
            loss: ValueId::from_index(0),
            results: Vec::new(),
            outputs: Vec::new(),
            targets: Vec::new(),
            bounds,
            added: Vec::new(),
            weights: Vec::new(),
        };
        let renumbered = subject.copy(&forward, &moved);
        subject.targets.sort_by_key(|target| moved.iter().position(|(name, _, _)| *name == target.name));
        subject.add_loss(&forward, &renumbered);
        let outputs = model.outputs_of(Role::Output).filter(|output| model.dtype(output.value).is_float());
        subject.outputs = outputs.map(|output| (output.name.to_string(), renumbered[output.value.index()])).collect();
        subject.results = subject.outputs.iter().map(|(_, value)| *value).collect();
        subject.results.push(subject.loss);
        subject.results.sort_unstable();
        subject.results.dedup();
        Ok(subject)
    }

    /// Copies the graph: leaves become inputs, and a displacement is added to each value that is moved and no leaf.
    fn copy(&mut self, forward: &Graph, moved: &[(String, ValueId, TensorType)]) -> Vec<ValueId> {
        let mut renumbered = Vec::with_capacity(forward.len());
        for value in forward.values() {
            let operands: Vec<ValueId> =
                forward.operands(value).iter().map(|operand: &ValueId| renumbered[operand.index()]).collect();
            let is_leaf = forward.leaf(value).is_some();
            let mut copy = match forward.value_name(value) {
                Some(name) if is_leaf => {
                    self.graph.add_leaf(LeafKind::Input, name.clone(), forward.ty(value).clone(), None)
                }
                _ => self.graph.copy_node(forward, value, &operands),
            };
            for (name, _, ty) in moved.iter().filter(|(_, target, _)| *target == value) {
                let mut leaf = copy;
                if !is_leaf {
                    let zeros = Tensor::from_fn(forward.ty(value).clone(), |_| 0.0);
                    let displacement = format!("displacement of {name}");
                    leaf = self.graph.input(displacement.as_str(), zeros.ty().clone());
                    self.added.push((displacement, zeros));
                    self.graph.set_origin(forward.node(value).origin);
                    copy = self.graph.add(copy, leaf);
                }
                self.targets.push(Target { name: name.clone(), leaf, ty: ty.clone() });
            }
            renumbered.push(copy);
        }
        renumbered
    }

    /// The loss, or where there is none the sum of all outputs, each element times a random weight.
    fn add_loss(&mut self, forward: &Graph, renumbered: &[ValueId]) {
        let mut sum: Option<ValueId> = forward.loss().map(|loss| renumbered[loss.index()]);
        for output in forward.outputs_of(Role::Output) {
            let value = renumbered[output.value.index()];
            let ty = self.graph.ty(value).clone();
            let axes: Vec<usize> = (0..ty.shape.rank()).collect();
            let name = format!("weights of {}", output.name);
            let weights = self.graph.input(name.as_str(), ty);
            self.weights.push(name);
            let products = self.graph.mul(weights, value);
            let term = self.graph.reduce_sum(products, &axes);
            sum = Some(sum.map_or(term, |sum| self.graph.add(sum, term)));
        }
        if let Some(sum) = sum {
            self.loss = sum;
            self.graph.add_output(Role::Loss, "loss", sum);
        }
    }

    /// The name of an output.
    pub(crate) fn name_of(&self, output: ValueId) -> Option<&str> {
        self.outputs.iter().find(|(_, value)| *value == output).map(|(name, _)| name.as_str())
    }

    /// The leaves that are moved.
    pub(crate) fn leaves(&self) -> Vec<ValueId> {
        self.targets.iter().map(|target| target.leaf).collect()
    }

    /// The subject in which each value with a rule of the program's own moves as the rule says.
    pub(crate) fn as_declared(&self, rules: &Rules<'_>) -> Subject {
        self.rewritten(custom::as_declared(rules, &self.graph))
    }

    /// The subject with every decision under a `stop_gradient`: held still, it is the piece of the function that a point is
    /// on.
    pub(crate) fn on_a_piece(&self) -> Subject {
        self.rewritten(decisions::held(&self.graph))
    }

    fn rewritten(&self, (graph, renumbered): (Graph, Vec<ValueId>)) -> Subject {
        let mut result = Subject { graph, ..self.clone() };
        let renumber = |value: &mut ValueId| *value = renumbered[value.index()];
        renumber(&mut result.loss);
        result.results.iter_mut().for_each(renumber);
        result.outputs.iter_mut().for_each(|(_, value)| renumber(value));
        result.targets.iter_mut().for_each(|target| renumber(&mut target.leaf));
        result
    }

    /// The subject with what every `stop_gradient` gives held at what it is at `point`: the function whose derivative the
    /// gradient is. With what it is to be evaluated at.
    pub(crate) fn held_still(&self, point: &Bindings) -> (Subject, Bindings) {
        let opened = Opened::new(&self.graph);
        let mut tensors = values(&opened.graph, point, &opened.stops).into_iter();
        let mut result = Subject { graph: self.graph.emptied(), ..self.clone() };
        let mut renumbered: Vec<ValueId> = Vec::with_capacity(opened.graph.len());
        let mut bindings = point.clone();
        for value in opened.graph.values() {
            let operands: Vec<ValueId> =
                opened.graph.operands(value).iter().map(|operand| renumbered[operand.index()]).collect();
            let stopped = if opened.stops.binary_search(&value).is_ok() { tensors.next() } else { None };
            renumbered.push(match stopped {
                Some(tensor) => {
                    let name = format!("held still {}", value.index());
                    let leaf = result.graph.input(name.as_str(), opened.graph.ty(value).clone());
                    bindings.push((name, tensor));
                    leaf
                }
                None => result.graph.copy_node(&opened.graph, value, &operands),
            });
        }
        let renumber = |value: ValueId| renumbered[opened.renumbered[value.index()].index()];
        result.loss = renumber(self.loss);
        result.graph.add_output(Role::Loss, "loss", result.loss);
        result.results.iter_mut().for_each(|value| *value = renumber(*value));
        result.outputs.iter_mut().for_each(|(_, value)| *value = renumber(*value));
        result.targets.iter_mut().for_each(|target| target.leaf = renumber(target.leaf));
        (result, bindings)
    }
}

/// What is moved: each parameter that the loss may depend on, and what is asked for by name, with its type in the model.
fn targets(forward: &Graph, model: &Graph, wrt: &[String]) -> Result<Vec<(String, ValueId, TensorType)>, GoalError> {
    let live = forward.live();
    let params =
        forward.leaves(LeafKind::Param).filter(|param| live[param.index()] && forward.dtype(*param).is_float());
    let named = params.filter_map(|param| Some((forward.value_name(param)?.to_string(), param)));
    let mut targets: Vec<(String, ValueId)> = named.collect();
    for name in wrt {
        let value = find_value(forward, name)?;
        if targets.iter().all(|(known, _)| known != name) {
            targets.push((name.clone(), value));
        }
    }
    Ok(targets.into_iter().map(|(name, value)| (name, value, model.ty(value).clone())).collect())
}
