//! Numerical gradient checks: does a model's gradient say what happens when its parameters move?
//!
//! [`check`] evaluates a model in `f64` at one point and holds its derivatives against each other and against the numbers
//! that the model itself gives:
//!
//! - **Finite differences.** For each parameter, the gradient against central differences of the loss along random
//!   directions, or along every axis where the parameter is small.
//! - **The dot test.** Forward mode is the transpose of reverse mode: `⟨J v, w⟩ = ⟨v, Jᵀ w⟩`.
//! - **What the compiler made of it.** The optimised gradient against the one that the rules wrote, and machine code
//!   against the reference interpreter.
//! - **Second order**, on request: Hessian-vector products are symmetric, and are differences of the gradient.
//!
//! Where they disagree, each operator's rule is held against differences of that operator alone, from the loss
//! backwards, and the first that is wrong is named with its place in the source. Where a difference does not converge
//! because the loss has a kink there, the operator and its place are named too; that is no failure.
//!
//! A model's `stop_gradient` is taken at its word: differences hold still what it marks. So is a derivative rule of its own
//! (`vjp`): the model is compared as if the rule were right, and that it is another derivative than that of what is computed
//! is worth a warning.
//!
//! The check is a function of the model and its [`Options`]: the same ones give the same [`Report`].
//!
//! ```
//! use gradc::Program;
//! use gradc_check::{Options, Point, check};
//!
//! let source = "
//!     model m {
//!         input x: f32[4, 3]
//!         input label: i32[4]
//!         output logits = dense(x, 5)
//!         loss cross_entropy(logits, label)
//!     }
//! ";
//! let model = Program::from_source("m.net", source)?.only_model()?;
//! let report = check(&model, &Point::default(), &Options::default())?;
//! assert!(report.passed(), "{}", report.table());
//! # Ok::<(), gradc::Error>(())
//! ```

mod consistency;
mod custom;
mod decisions;
mod difference;
mod evaluate;
mod finding;
mod function;
mod held;
mod locate;
mod options;
mod point;
mod report;
mod rounding;
mod run;
mod singular;
mod steps;
mod subject;
mod table;

pub use finding::{Finding, Reason, Rule};
pub use options::Options;
pub use point::Point;
pub use report::{Compared, IdentityReport, Report, TargetReport, Verdict};
pub use run::{check, check_by};

/// The examples of the page on checks, which run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/check.md")]
mod page {}
