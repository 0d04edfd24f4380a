//! The gradc compiler as a library: from a network written in ten lines to machine code that trains and runs it inside a
//! Rust program.
//!
//! ```
//! use gradc::{Options, Program};
//! use ndarray::{arr1, arr2};
//!
//! let source = "
//!     dim batch = 4
//!     model line {
//!         input x: f32[batch, 1]
//!         input y: f32[batch, 1]
//!         output prediction = dense(x, 1)
//!         loss mse(prediction, y)
//!     }
//!     train { optimizer sgd(lr = 0.1) }
//! ";
//! let model = Program::from_source("line.net", source)?.only_model()?;
//! let mut step = model.compile_training(&Options::default())?;
//! let (x, y) = (arr2(&[[0f32], [1.0], [2.0], [3.0]]), arr2(&[[1f32], [3.0], [5.0], [7.0]]));
//! let mut loss = f64::INFINITY;
//! for _ in 0..500 {
//!     loss = step.run(&[("x", x.view().into()), ("y", y.view().into())])?;
//! }
//! assert!(loss < 1e-6, "y = 2x + 1 is learned");
//!
//! let mut inference = model.bind("batch", 1)?.compile_inference(&Options::default())?;
//! inference.load(step.state());
//! inference.run(&[("x", arr2(&[[10f32]]).view().into())])?;
//! let prediction = inference.output("prediction").expect("the model has this output").numbers();
//! assert!((prediction[0] - 21.0).abs() < 0.01);
//! # Ok::<(), gradc::Error>(())
//! ```
//!
//! - [`Program`] is a source file with what it imports, [`Model`] one of its models for concrete dims.
//! - [`Model::compile_training`] and [`Model::compile_inference`] give steps that hold their parameters.
//!   [`Model::compile`] gives an [`Executable`] for any [`Goal`], which is given a [`State`] with each run, so that programs
//!   compiled for different batch sizes can share one. Goals are also products of Jacobians and Hessians with vectors;
//!   [`Model::jacobian`] gives a whole one.
//! - [`pipeline`] is the order of the passes, with a door for those who want to see what each makes.
//!
//! Errors are values ([`Error`]), each with a stable code ([`Coded`]); nothing that a source file holds makes this crate panic.

mod bounds;
mod coded;
mod differentiate;
mod error;
mod executable;
mod initial;
mod interpret;
mod jacobian;
mod memory;
mod optimizer;
pub mod pipeline;
mod program;
mod proof;
mod state;
mod step;
mod summary;
mod tensor;
mod threads;

pub use gradc_autodiff as autodiff;
pub use gradc_diagnostics as diagnostics;
pub use gradc_elaborate as elaborate;
pub use gradc_interp as interp;
pub use gradc_ir as ir;
pub use gradc_schedule as schedule;
pub use gradc_simplify::certificate;

pub use bounds::index_bounds;
pub use coded::{About, Coded};
pub use error::{Error, InputError, Problems};
pub use executable::Executable;
pub use gradc_elaborate::Phase;
pub use half::{bf16, f16};
pub use initial::{initial_value, initial_values};
pub use interpret::interpret;
pub use jacobian::JacobianBy;
pub use memory::ensure_state_fits;
pub use optimizer::{LEARNING_RATE, STEP, UpdateRule, append_update};
pub use pipeline::{Goal, GoalError, Level, Mode, Options, Subject, Vectors, Without};
pub use program::{Model, Program};
pub use proof::{Verified, verify_proof};
pub use state::{State, StateError};
pub use step::{Inference, TrainingStep};
pub use summary::{Cost, Demand, cost};
pub use tensor::{Tensor, TensorView};
pub use threads::available_threads;

/// The README's examples, which run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

/// The examples of the page on derivatives, likewise.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/derivatives.md")]
mod derivatives {}
