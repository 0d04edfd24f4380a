//! Graphs as functions: compiled, or interpreted.

use gradc::interp::{bind, evaluate_values};
use gradc::ir::{Graph, LeafKind, Role, Tensor as Reference, ValueId};
use gradc::pipeline::Unobserved;
use gradc::{Error, Executable, Mode, Options, State, Tensor, Without};

use crate::subject::Subject;

/// What the leaves of a graph are, by name.
pub(crate) type Bindings = Vec<(String, Reference)>;

/// A graph whose leaves are all inputs, compiled, with what it is evaluated at.
pub(crate) struct Compiled {
    executable: Executable,
    state: State,
    inputs: Vec<(String, Tensor)>,
}

impl Compiled {
    /// Compiles `graph`, which has been lowered, to be evaluated at `point`.
    pub(crate) fn new(graph: Graph, subject: &Subject, options: &Options, point: &Bindings) -> Result<Compiled, Error> {
        let state = State::initial(&graph, 0);
        let inputs = inputs(&graph, point);
        let executable = Executable::compile(graph, &subject.bounds, options, &mut Unobserved)?;
        Ok(Compiled { executable, state, inputs })
    }

    /// Compiles `graph` as it is, without any rewriting.
    pub(crate) fn plainly(graph: Graph, subject: &Subject, point: &Bindings) -> Result<Compiled, Error> {
        Compiled::new(graph, subject, &unoptimised(), point)
    }

    /// Gives an input other numbers.
    pub(crate) fn set(&mut self, leaf: &str, numbers: impl IntoIterator<Item = f64>) {
        if let Some((_, tensor)) = self.inputs.iter_mut().find(|(name, _)| name == leaf)
            && let Some(changed) = Tensor::from_numbers(&tensor.ty(), numbers)
        {
            *tensor = changed;
        }
    }

    /// Evaluates the graph; the results are kept.
    pub(crate) fn run(&mut self) -> Result<(), Error> {
        let views: Vec<_> = self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
        self.executable.run(&mut self.state, &views)
    }

    /// Evaluates the graph and gives its loss.
    pub(crate) fn loss(&mut self) -> Result<f64, Error> {
        self.run()?;
        Ok(self.executable.loss().unwrap_or(f64::NAN))
    }

    /// The numbers of a result of the last run.
    pub(crate) fn result(&self, role: Role, name: &str) -> Option<Vec<f64>> {
        self.executable.result(role, name).map(|tensor| tensor.numbers())
    }
}

/// Options under which nothing is rewritten. Kernels are fused, which changes no bit and saves most of the time.
fn unoptimised() -> Options {
    Options { mode: Mode::Strict, without: Some(Without::Simplifier), ..Options::default() }
}

/// The results of a graph by the reference interpreter: role, name, numbers.
pub(crate) fn interpreted(
    graph: &Graph,
    subject: &Subject,
    point: &Bindings,
) -> Result<Vec<(Role, String, Vec<f64>)>, Error> {
    let state = State::initial(graph, 0);
    let inputs = inputs(graph, point);
    let views: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.view())).collect();
    let results = gradc::interpret(graph, &subject.bounds, &state, &views)?;
    Ok(results.into_iter().map(|(role, name, tensor)| (role, name, tensor.numbers())).collect())
}

/// The inputs that `graph` has, as tensors of the library.
fn inputs(graph: &Graph, point: &Bindings) -> Vec<(String, Tensor)> {
    let has = |name: &str| graph.find_leaf(LeafKind::Input, name).is_some();
    let tensor = |reference: &Reference| Tensor::from_numbers(reference.ty(), reference.data().iter().copied());
    point.iter().filter(|(name, _)| has(name)).filter_map(|(name, own)| Some((name.clone(), tensor(own)?))).collect()
}

/// Some values of a graph by the reference interpreter.
pub(crate) fn values(graph: &Graph, point: &Bindings, wanted: &[ValueId]) -> Vec<Reference> {
    let has = |name: &str| graph.find_leaf(LeafKind::Input, name).is_some();
    let known = point.iter().filter(|(name, _)| has(name)).map(|(name, tensor)| (name.as_str(), tensor.clone()));
    let bound = bind(graph, known).and_then(|bound| evaluate_values(graph, &bound, wanted));
    bound.unwrap_or_else(|error| unreachable!("every leaf of a checked graph has a tensor of its type: {error}"))
}
