//! Tensor types, the operator registry and the typed graph that every gradc pass works on.
//!
//! # What a graph means
//!
//! A [`Graph`] is a list of values in an order in which every value follows its operands. A value is a leaf
//! ([`LeafKind`]: an input, a parameter or a piece of state) or one operator applied to earlier values, and has
//! one [`TensorType`]: an element type and a concrete shape. Nothing in a graph is implicit:
//!
//! - **Broadcasting is an operator.** Elementwise operators take operands of one and the same shape.
//! - **Constants are typed.** `full` fills a whole shape with one number; the text form writes it as a literal.
//! - **A loop is an operator.** [`scan`](op::scan) holds the graph of one step as an attribute; a value stays one tensor.
//! - **A derivative may be a program's own.** [`custom`](op::custom) holds the graph of the rule that values are to be
//!   differentiated by.
//! - **Results have roles.** What a graph is for is the list of its [`Output`]s: outputs, the loss, metrics,
//!   gradients, and the updates a training step makes to its parameters and state.
//!
//! # Operators are data
//!
//! One operator is one file under [`op`], and one static [`OpDef`]: its name, attributes, type rule, reference
//! evaluation, derivative rules, scalar lowering, test cases and manual text. [`op::ALL`] lists them. Passes match
//! on an operator's [`Class`], not on its name, wherever they can.
//!
//! # What this crate does not know
//!
//! No source language, no simplification rules, no kernels. It is the only crate that uses petgraph.

pub mod attr;
pub mod body;
pub mod dtype;
pub mod graph;
pub mod hash;
pub mod init;
pub mod linear;
pub mod op;
mod part;

pub mod scalar;
pub mod shape;
pub mod tensor;
pub mod text;
pub mod verify;
mod work;

pub use attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
pub use body::Body;
pub use dtype::DType;
pub use graph::{Graph, LeafKind, Node, NodeKind, Origin, Output, Role, ScopeId, ValueId};
pub use hash::fnv1a;
pub use init::Init;
pub use linear::Linear;
pub use op::{Arity, Case, Class, Derivative, Domain, Jvp, Notation, Op, OpDef, TypeError, Vjp};
pub use scalar::{ScalarBuilder, ScalarOp, ScalarValue};
pub use shape::{Shape, TensorType};
pub use tensor::Tensor;
pub use work::{Work, work};
