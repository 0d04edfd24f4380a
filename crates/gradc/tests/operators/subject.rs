//! An operator applied to a sample, with its derivatives, as a program that can be run in every way.

use std::collections::BTreeMap;

use gradc::ir::text::print;
use gradc::ir::{DType, Graph, OpDef, Role, TensorType, ValueId};
use gradc::pipeline::{Unobserved, lower};
use gradc::{Goal, Level, Mode, Model, Options, Program, State, Tensor, TensorView, index_bounds, interpret};
use gradc_autodiff::{gradient, jvp};
use gradc_testing::Sample;

/// Results by name: `result`, `jvp`, and for the float operand `i` `vjp_i`, `second_i` and the other ways to come to the
/// second derivative, `second_by_reverse_i` and `second_by_forward_i`. An absent derivative has no entry.
pub(crate) type Results = BTreeMap<String, Vec<f64>>;

/// How far a sample is differentiated.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub(crate) enum Order {
    /// Not at all.
    Zero,
    /// Along its tangents, and by its operands.
    First,
    /// Also the derivative by its operands along the tangents.
    Second,
}

/// A sample as a program.
pub(crate) struct Subject {
    model: Model,
    inputs: Vec<(String, TensorType, Vec<f64>)>,
}

impl Subject {
    /// The operator applied to inputs. It goes through the text form, as an emitted graph of a user's would.
    pub(crate) fn new(def: &'static OpDef, sample: &Sample, order: Order) -> Subject {
        let (graph, inputs) = build(def, sample, order);
        let program = Program::from_source("sample.ir", &print(&graph)).unwrap_or_else(|error| panic!("{error}"));
        Subject { model: program.only_model().unwrap_or_else(|error| panic!("{error}")), inputs }
    }

    /// What the reference interpreter says, with every float in the precision `float`.
    pub(crate) fn interpreted(&self, float: DType) -> Results {
        let options = Options { mode: Mode::Strict, level: Level::None, float: Some(float), ..Options::default() };
        let graph = lower(self.model.graph(), &Goal::Forward, &options, &mut Unobserved).expect("it has results");
        let inputs = self.inputs(float);
        let results = interpret(&graph, &index_bounds(self.model.graph()), &State::initial(&graph, 0), &views(&inputs));
        let results = results.unwrap_or_else(|error| panic!("{error}\n{}", print(&graph)));
        results.into_iter().map(|(_, name, tensor)| (name, tensor.numbers())).collect()
    }

    /// What machine code says.
    pub(crate) fn compiled(&self, options: &Options) -> Results {
        let mut executable = self.model.compile(&Goal::Forward, options).unwrap_or_else(|error| panic!("{error}"));
        let inputs = self.inputs(options.float.unwrap_or(DType::F64));
        // Simplification may find that an input has no influence.
        let needed: Vec<String> = executable.inputs().map(|(name, _)| name.to_owned()).collect();
        let given: Vec<_> = inputs.into_iter().filter(|(name, _)| needed.contains(name)).collect();
        let mut state = executable.initial_state(0);
        executable.run(&mut state, &views(&given)).unwrap_or_else(|error| panic!("{error}"));
        let names: Vec<String> = executable.graph().outputs().iter().map(|output| output.name.to_string()).collect();
        let numbers =
            |name: &str| executable.result(Role::Output, name).expect("a result is there after a run").numbers();
        names.into_iter().map(|name| (name.clone(), numbers(&name))).collect()
    }

    fn inputs(&self, float: DType) -> Vec<(String, Tensor)> {
        let tensor = |(name, ty, numbers): &(String, TensorType, Vec<f64>)| {
            let dtype = if ty.dtype.is_float() { float } else { ty.dtype };
            let tensor = Tensor::from_numbers(&ty.with_dtype(dtype), numbers.iter().copied());
            (name.clone(), tensor.expect("a sample has as many numbers as its type"))
        };
        self.inputs.iter().map(tensor).collect()
    }
}

fn views(inputs: &[(String, Tensor)]) -> Vec<(&str, TensorView<'_>)> {
    inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect()
}

type Inputs = Vec<(String, TensorType, Vec<f64>)>;

fn build(def: &'static OpDef, sample: &Sample, order: Order) -> (Graph, Inputs) {
    let mut graph = Graph::new(def.name);
    let mut inputs = Vec::new();
    let (mut operands, mut floats) = (Vec::new(), Vec::new());
    for (i, tensor) in sample.operands.iter().enumerate() {
        let mut numbers = tensor.data().to_vec();
        let name = format!("x{i}");
        let leaf = graph.input(name.clone(), tensor.ty().clone());
        operands.push(match tensor.ty().dtype {
            // An index that is an input must be in range; one that is computed need not be.
            dtype if dtype.is_integer() => {
                numbers.iter_mut().for_each(|number| *number = dtype.sum(*number, 1.0));
                let one = graph.full_like(leaf, 1.0);
                graph.sub(leaf, one)
            }
            _ => leaf,
        });
        if tensor.ty().dtype.is_float() {
            floats.push((leaf, i));
        }
        inputs.push((name, tensor.ty().clone(), numbers));
    }
    let result = sample.case.apply(&mut graph, def, &operands);
    graph.add_output(Role::Output, "result", result);
    let Some(cotangent) = sample.cotangent.as_ref().filter(|_| order >= Order::First && !floats.is_empty()) else {
        return (graph, inputs);
    };

    let weights = graph.input("cotangent", cotangent.ty().clone());
    inputs.push(("cotangent".to_owned(), cotangent.ty().clone(), cotangent.data().to_vec()));
    let loss = inner_product(&mut graph, &[(weights, result)]);
    let leaves: Vec<ValueId> = floats.iter().map(|(leaf, _)| *leaf).collect();
    let reverse = gradient(&graph, loss, &leaves);
    // The result, and the cotangents that there are, moved along the tangents.
    let moved: Vec<ValueId> = [result].into_iter().chain(reverse.cotangents.iter().copied().flatten()).collect();
    let forward = jvp(&reverse.graph, &leaves, &moved);
    let mut graph = forward.graph;
    for (input, (_, i)) in forward.inputs.iter().zip(&floats) {
        let name = graph.value_name(*input).expect("an input has a name").to_string();
        let tangent = sample.tangents[*i].as_ref().expect("a float has a tangent");
        inputs.push((name, tangent.ty().clone(), tangent.data().to_vec()));
    }
    let mut tangents = forward.tangents.into_iter();
    let along = tangents.next().flatten();
    add(&mut graph, "jvp".to_owned(), along);
    let named = |name: &str, i: usize| format!("{name}_{}", floats[i].1);
    let pairs: Vec<(ValueId, ValueId)> =
        forward.inputs.iter().zip(&reverse.cotangents).filter_map(|(&t, &c)| Some((t, c?))).collect();
    for (i, cotangent) in reverse.cotangents.into_iter().enumerate() {
        add(&mut graph, named("vjp", i), cotangent);
        let second = cotangent.and_then(|_| tangents.next().flatten());
        add(&mut graph, named("second", i), second.filter(|_| order >= Order::Second));
    }
    if order >= Order::Second {
        let forward_first: Vec<(ValueId, ValueId)> = along.into_iter().map(|along| (weights, along)).collect();
        for (name, pairs) in [("second_by_reverse", pairs), ("second_by_forward", forward_first)] {
            let projected = inner_product(&mut graph, &pairs);
            let again = gradient(&graph, projected, &leaves);
            graph = again.graph;
            for (i, value) in again.cotangents.into_iter().enumerate() {
                add(&mut graph, named(name, i), value);
            }
        }
    }
    (graph, inputs)
}

/// The sum over all elements of all products.
fn inner_product(graph: &mut Graph, pairs: &[(ValueId, ValueId)]) -> ValueId {
    let mut sum = graph.scalar(0.0, DType::F64);
    for &(a, b) in pairs {
        let product = graph.mul(a, b);
        let axes: Vec<usize> = (0..graph.shape(product).rank()).collect();
        let term = graph.reduce_sum(product, &axes);
        sum = graph.add(sum, term);
    }
    sum
}

fn add(graph: &mut Graph, name: String, value: Option<ValueId>) {
    if let Some(value) = value {
        graph.add_output(Role::Output, name, value);
    }
}
