//! From syntax trees to typed graphs: names, dims, layers and the prelude.
//!
//! This is the last stage that can find something wrong with what a user wrote. It has two steps.
//!
//! - [`analyse`] loads a file with what it imports and checks all names and calls, also of code that no model uses.
//! - [`Analysis::elaborate`] unrolls one model for concrete values of the dims: layers and functions are expanded,
//!   loops repeated, broadcasting made explicit. The result is an [`Elaborated`]: the forward graph, the dims, and
//!   what the `train` block says.
//!
//! Neither fails: both return what is wrong as diagnostics, all of it at once.
//!
//! # What this crate does not know
//!
//! It does no input or output: imports are read through [`Files`]. It differentiates nothing and makes no training
//! step; a [`TrainConfig`] is only data. Losses, activations, initializers and `dense` are not known to it either:
//! they are in the prelude, which is source of the language ([`PRELUDE`]).
//!
//! ```
//! use gradc_diagnostics::SourceMap;
//! use gradc_elaborate::{Dims, NoFiles, analyse};
//!
//! let mut sources = SourceMap::new();
//! let text = "dim batch = 8\nmodel m {\n input x: f32[batch, 3]\n output y = relu(dense(x, 2))\n}\n";
//! let root = sources.add("m.net", text);
//! let analysis = analyse(&mut sources, root, &NoFiles);
//! assert!(analysis.diagnostics().is_empty());
//!
//! let mut dims = Dims::new();
//! dims.set("batch", 16);
//! let (elaborated, diagnostics) = analysis.elaborate("m", &dims);
//! assert!(diagnostics.is_empty());
//! let elaborated = elaborated.expect("nothing is wrong");
//! assert_eq!(elaborated.inputs[0].ty.to_string(), "f32[16, 3]");
//! assert_eq!(elaborated.inputs[0].symbolic, "f32[batch, 3]");
//! ```

mod analysis;
mod elaborated;
mod eval;
mod files;
mod int;
mod intrinsic;
mod library;
mod limits;
mod program;
mod resolve;
mod signature;
mod stack;
mod train;
mod value;

pub use analysis::{Analysis, Dims, analyse};
pub use elaborated::{DimInfo, Elaborated, InputAxis, InputDecl, LeafInfo, ResultInfo};
pub use eval::{Phase, RESERVED};
pub use files::{Files, NoFiles, PRELUDE, PRELUDE_NAME};
pub use stack::on_large_stack;
pub use train::{DataField, DataSource, Located, Optimizer, Schedule, TrainConfig};
