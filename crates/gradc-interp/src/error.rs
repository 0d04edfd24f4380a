use std::fmt;
use std::sync::Arc;

use gradc_ir::{TensorType, TypeError, ValueId};

/// Why a graph cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalError {
    /// A leaf that is needed has no tensor.
    MissingBinding {
        /// The leaf.
        name: Arc<str>,
        /// Its type.
        expected: TensorType,
    },
    /// A tensor has another type than its leaf.
    WrongType {
        /// The leaf.
        name: Arc<str>,
        /// The leaf's type.
        expected: TensorType,
        /// The tensor's type.
        found: TensorType,
    },
    /// The graph has no leaf of this name.
    UnknownLeaf {
        /// The name.
        name: Arc<str>,
    },
    /// A tensor is given for a value that is not a leaf of the graph.
    NotALeaf {
        /// The value.
        value: ValueId,
    },
    /// The graph applies an operator to operands that do not fit it; the verifier rejects such a graph.
    IllTyped {
        /// The application.
        value: ValueId,
        /// Why they do not fit.
        error: TypeError,
    },
}

impl fmt::Display for EvalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EvalError::MissingBinding { name, expected } => write!(f, "{name} needs a tensor {expected}"),
            EvalError::WrongType { name, expected, found } => write!(f, "{name} is {expected}, not {found}"),
            EvalError::UnknownLeaf { name } => write!(f, "nothing is called {name}"),
            EvalError::NotALeaf { value } => write!(f, "value {} is not a leaf", value.index()),
            EvalError::IllTyped { value, error } => write!(f, "value {}: {error}", value.index()),
        }
    }
}

impl std::error::Error for EvalError {}
