//! What a model keeps between runs.

use std::collections::BTreeMap;
use std::fmt;

use gradc_ir::{Graph, LeafKind, TensorType};

use crate::initial::initial_values;
use crate::{Tensor, TensorView};

/// The parameters of a model, and the state of its optimiser, by name.
///
/// Programs compiled for different batch sizes work on one and the same state.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    entries: Vec<Entry>,
    positions: BTreeMap<String, usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: String,
    kind: LeafKind,
    value: Tensor,
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

impl State {
    /// The first values of all parameters and state of `graph`, drawn with `seed`.
    pub fn initial(graph: &Graph, seed: u64) -> State {
        let mut state = State { entries: Vec::new(), positions: BTreeMap::new() };
        for (name, kind, value) in initial_values(graph, seed) {
            state.positions.insert(name.clone(), state.entries.len());
            state.entries.push(Entry { name, kind, value });
        }
        state
    }

    /// The parameters, in the order of the model.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.of_kind(LeafKind::Param)
    }

    /// What the optimiser remembers, in the order of the model.
    pub fn optimizer(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.of_kind(LeafKind::State)
    }

    fn of_kind(&self, kind: LeafKind) -> impl Iterator<Item = (&str, &Tensor)> {
        self.entries.iter().filter(move |entry| entry.kind == kind).map(|entry| (entry.name.as_str(), &entry.value))
    }

    /// A parameter, or a piece of the optimiser's state.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.positions.get(name).map(|&position| &self.entries[position].value)
    }

    /// Replaces a parameter, or a piece of the optimiser's state.
    ///
    /// # Errors
    /// Where there is none of that name, or it has another type. Nothing is changed then.
    pub fn set<'a>(&mut self, name: &str, value: impl Into<TensorView<'a>>) -> Result<(), StateError> {
        let Some(&position) = self.positions.get(name) else {
            let known = self.entries.iter().map(|entry| entry.name.as_str());
            let suggestion = gradc_diagnostics::did_you_mean(name, known).map(str::to_owned);
            return Err(StateError::Unknown { name: name.to_owned(), suggestion });
        };
        let (value, slot) = (value.into(), &mut self.entries[position].value);
        let (expected, found) = (slot.ty(), value.ty());
        if expected != found {
            return Err(StateError::WrongType { name: name.to_owned(), expected, found });
        }
        *slot = value.to_owned();
        Ok(())
    }

    /// Takes over every value that `other` has under the same name and type.
    pub fn adopt(&mut self, other: &State) {
        for entry in &mut self.entries {
            if let Some(value) = other.get(&entry.name).filter(|value| value.ty() == entry.value.ty()) {
                entry.value = value.clone();
            }
        }
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    pub(crate) fn at(&self, position: usize) -> Option<(&str, &Tensor)> {
        self.entries.get(position).map(|entry| (entry.name.as_str(), &entry.value))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.entries.iter_mut().map(|entry| &mut entry.value)
    }
}
