//! What a model keeps between runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use gradc_diagnostics::{Code, codes};
use gradc_elaborate::RESERVED;
use gradc_ir::{Graph, LeafKind, TensorType};

use crate::coded::{About, Coded};
use crate::initial::initial_values;
use crate::{Tensor, TensorView};

/// The parameters and the state of a model, and the state of its training step, by name.
///
/// Programs compiled for different batch sizes work on one and the same state.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    entries: Vec<Entry>,
    positions: BTreeMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    name: String,
    kind: LeafKind,
    value: Tensor,
    revision: Revision,
}

/// What was set is the same, whenever it was set.
impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        (&self.name, self.kind, &self.value) == (&other.name, other.kind, &other.value)
    }
}

/// What a value is told by from all that were there before it, in this state and in others: values of one revision are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Revision(u64);

impl Revision {
    /// One that there has not been.
    fn new() -> Revision {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Revision(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why values do not fit a state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateError {
    /// There is no parameter of this name.
    Unknown {
        /// The name that was given.
        name: String,
        /// A name that may have been meant.
        suggestion: Option<String>,
    },
    /// The value has another shape or element type.
    WrongType {
        /// The parameter.
        name: String,
        /// Its type.
        expected: TensorType,
        /// The type of the value that was given.
        found: TensorType,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateError::Unknown { name, suggestion } => {
                write!(f, "the model has no parameter `{name}`")?;
                match suggestion {
                    Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
                    None => Ok(()),
                }
            }
            StateError::WrongType { name, expected, found } => {
                write!(f, "the parameter `{name}` is {expected}, the value given for it {found}")
            }
        }
    }
}

impl std::error::Error for StateError {}

impl Coded for StateError {
    fn code(&self) -> Code {
        codes::OTHER_PARAMETERS
    }

    fn about(&self) -> Option<About<'_>> {
        match self {
            StateError::Unknown { .. } => Some(About::Model),
            StateError::WrongType { name, .. } => Some(About::Parameter(name)),
        }
    }
}

impl State {
    /// The first values of all parameters and state of `graph`, drawn with `seed`.
    pub fn initial(graph: &Graph, seed: u64) -> State {
        let mut state = State { entries: Vec::new(), positions: BTreeMap::new() };
        state.include(graph, seed);
        state
    }

    /// Adds the first values of those parameters and states of `graph` that are not in it yet.
    pub fn include(&mut self, graph: &Graph, seed: u64) {
        for (name, kind, value) in initial_values(graph, seed) {
            if !self.positions.contains_key(&name) {
                self.positions.insert(name.clone(), self.entries.len());
                self.entries.push(Entry { name, kind, value, revision: Revision::new() });
            }
        }
    }

    /// The parameters, in the order of the model.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.of_kind(LeafKind::Param)
    }

    /// The states that the model declares, in its order.
    pub fn model_state(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.of_kind(LeafKind::State).filter(|(name, _)| !of_training_step(name))
    }

    /// What the training step keeps for itself: the optimiser's moments, the place in the sequence of random numbers.
    pub fn optimizer(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.of_kind(LeafKind::State).filter(|(name, _)| of_training_step(name))
    }

    /// What a trained model is: its parameters and its states.
    pub fn weights(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.parameters().chain(self.model_state())
    }

    fn of_kind(&self, kind: LeafKind) -> impl Iterator<Item = (&str, &Tensor)> {
        self.entries.iter().filter(move |entry| entry.kind == kind).map(|entry| (entry.name.as_str(), &entry.value))
    }

    /// A parameter, or a piece of state.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.positions.get(name).map(|&position| &self.entries[position].value)
    }

    /// Replaces a parameter, or a piece of state.
    ///
    /// # Errors
    /// Where there is none of that name, or it has another type. Nothing is changed then.
    pub fn set<'a>(&mut self, name: &str, value: impl Into<TensorView<'a>>) -> Result<(), StateError> {
        let Some(&position) = self.positions.get(name) else {
            let known = self.entries.iter().map(|entry| entry.name.as_str());
            let suggestion = gradc_diagnostics::did_you_mean(name, known).map(str::to_owned);
            return Err(StateError::Unknown { name: name.to_owned(), suggestion });
        };
        let (value, entry) = (value.into(), &mut self.entries[position]);
        let (expected, found) = (entry.value.ty(), value.ty());
        if expected != found {
            return Err(StateError::WrongType { name: name.to_owned(), expected, found });
        }
        (entry.value, entry.revision) = (value.to_owned(), Revision::new());
        Ok(())
    }

    /// Takes over every value that `other` has under the same name and type.
    pub fn adopt(&mut self, other: &State) {
        for entry in &mut self.entries {
            let known = other.positions.get(&entry.name).map(|&position| &other.entries[position]);
            if let Some(known) = known.filter(|known| known.value.ty() == entry.value.ty()) {
                (entry.value, entry.revision) = (known.value.clone(), known.revision);
            }
        }
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    pub(crate) fn at(&self, position: usize) -> Option<(&str, &Tensor)> {
        self.entries.get(position).map(|entry| (entry.name.as_str(), &entry.value))
    }

    /// Of the value at a position.
    pub(crate) fn revision(&self, position: usize) -> Option<Revision> {
        self.entries.get(position).map(|entry| entry.revision)
    }

    /// The value at a position is going to be another one: see [`State::at_mut`] and [`State::values_mut`].
    pub(crate) fn renew(&mut self, position: usize) {
        self.entries[position].revision = Revision::new();
    }

    /// The value at a position. Before it is changed, it is renewed.
    pub(crate) fn at_mut(&mut self, position: usize) -> &mut Tensor {
        &mut self.entries[position].value
    }

    /// All values. Before one is changed, it is renewed.
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }
}

/// Whether a state is kept by the training step, not by the model: the elaborator keeps these paths free.
fn of_training_step(name: &str) -> bool {
    name.split_once('.').is_some_and(|(first, _)| RESERVED.contains(&first))
}
