//! What compiled models cost on the machine at hand: time, memory, and how near it all is to what the machine can do.
//!
//! [`bench()`] compiles a model, runs it again and again on random data and gives a [`Report`]: the median and the least time
//! of a run, the time of each stage of the compiler, floating-point operations, bytes moved, and the share of the
//! [roofline](Roofline). [`profile`](Options::profile) adds the time of each step, with the places in the source that
//! its values come from. [`ablate`] measures what parts of the simplifier are worth.
//!
//! The machine's limits are measured, not looked up ([`Machine::measure`]). This crate reads the clock, so what it reports
//! differs from run to run; everything else (data, work, bytes) is a function of model and options.
//!
//! ```
//! use std::time::Duration;
//!
//! use gradc::Program;
//! use gradc_bench::{Machine, Options, StageTimes, bench};
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
//! let options = Options { time: Duration::ZERO, ..Options::default() };
//! let mut machine = Machine::measure(Duration::from_millis(1), gradc::available_threads());
//! let report = bench(&model, &options, &mut machine, StageTimes::default())?;
//! assert!(report.runs.least <= report.runs.median);
//! # Ok::<(), gradc::Error>(())
//! ```

mod ablation;
mod data;
mod machine;
mod measure;
mod report;
mod stages;
mod work;

pub use ablation::{Variant, ablate};
pub use machine::Machine;
pub use measure::{Options, bench};
pub use report::{Report, Roofline, Runs, StepReport};
pub use stages::{StageTime, StageTimes};
pub use work::{Work, gemm_flops};
