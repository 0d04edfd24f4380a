//! What elaboration gives.

use gradc_diagnostics::Span;
use gradc_ir::{DType, Graph, Role, TensorType, ValueId};

use crate::{Phase, TrainConfig};

/// A model for concrete values of the dims.
#[derive(Debug, Clone)]
pub struct Elaborated {
    /// The forward pass as it is for inference: for outputs, and for a loss and metrics that are only reported.
    ///
    /// - Inputs are leaves with the names that the model gives them. Parameters and states are leaves named by their
    ///   paths: `residual.2.dense.0.w`.
    /// - Results have the roles [`Role::Output`], [`Role::Loss`] (called `loss`) and [`Role::Metric`].
    /// - Values that a `let` binds carry its name; where code was unrolled, several carry one name.
    /// - Every value has an origin: the place in the user's files (for code of the prelude, the call of it) and the
    ///   layer instance.
    ///
    /// Values that no result depends on are still in it. Constants have all their digits: [`Graph::settled`] or
    /// [`Graph::in_precision`] rounds them.
    pub graph: Graph,
    /// The forward pass of a training step, with the updates of state as results of the role [`Role::Update`], if the
    /// model has state that is updated or asks whether it is `training`. Its inputs, parameters and states are those of
    /// [`Elaborated::graph`].
    pub training: Option<Graph>,
    /// What the `train` block for this model says, if there is one.
    pub train: Option<TrainConfig>,
    /// The dims that the model's file sees, in the order of their definition.
    pub dims: Vec<DimInfo>,
    /// The inputs, in the order of their declaration.
    pub inputs: Vec<LeafInfo>,
    /// The parameters, in the order of the graph.
    pub params: Vec<LeafInfo>,
    /// The states, in the order of the graph.
    pub states: Vec<LeafInfo>,
    /// The results, in the order of the graph.
    pub results: Vec<ResultInfo>,
}

impl Elaborated {
    /// The forward pass of a phase.
    pub fn graph_for(&self, phase: Phase) -> &Graph {
        match phase {
            Phase::Training => self.training.as_ref().unwrap_or(&self.graph),
            Phase::Inference => &self.graph,
        }
    }

    /// The dim that leads the inputs: the first axis of every input that has axes.
    pub fn batch_dim(&self) -> Option<&DimInfo> {
        self.dims.iter().find(|dim| dim.is_batch)
    }
}

/// A dim with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimInfo {
    /// Its name.
    pub name: String,
    /// Its value, at least 1.
    pub value: usize,
    /// The place of the name in its definition.
    pub span: Span,
    /// Whether the value was given from outside.
    pub overridden: bool,
    /// Whether it is the first axis of every input that has axes.
    pub is_batch: bool,
}

/// An input, a parameter or a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafInfo {
    /// Its name: for a parameter or a state, the path.
    pub name: String,
    /// The leaf.
    pub value: ValueId,
    /// Its type.
    pub ty: TensorType,
    /// Its type in the user's own names: `f32[batch, 2 * d]`.
    pub symbolic: String,
    /// The place of the name in its declaration. All instances of one layer share it.
    pub span: Span,
}

/// A result of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The value.
    pub value: ValueId,
    /// Its type in the user's own names.
    pub symbolic: String,
    /// The statement.
    pub span: Span,
}

/// An input as it is declared, before dims have values: from it a caller can infer dims from data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputDecl {
    /// Its name.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its axes.
    pub axes: Vec<InputAxis>,
    /// The place of the declaration.
    pub span: Span,
}

/// One axis of an input, as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputAxis {
    /// In the user's own names: `batch`, `2 * d`, `64`.
    pub text: String,
    /// The dim, if it is just a dim: the data says its value.
    pub dim: Option<String>,
    /// The value with the defaults of all dims.
    pub value: usize,
}
