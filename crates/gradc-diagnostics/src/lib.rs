//! What every stage of gradc uses to talk about source text.
//!
//! - [`SourceMap`] owns the text of every file that was read; a [`FileId`] names one of them and a
//!   [`Span`] is a range of its bytes.
//! - A [`Code`] is a stable number such as `E0101`. The table of all of them is [`codes`]: one line
//!   of the table and one markdown file (the text of `gradc --explain CODE`) make a new code.
//! - A [`Diagnostic`] is one problem: a code, a message, labels on spans, notes and helps. It is a
//!   plain value. Machine output reads it through its accessors.
//! - [`render`] turns diagnostics into the text that a person reads.
//! - [`did_you_mean`] finds the name that was probably meant.
//!
//! Nothing here prints, reads a file or knows the language: the crate returns strings, and the
//! binary at the edge decides where they go.
//!
//! ```
//! use gradc_diagnostics::{Color, Diagnostic, SourceMap, Span, codes, render};
//!
//! let mut sources = SourceMap::new();
//! let file = sources.add("model.net", "let h = rleu(x)\n");
//! let problem = Diagnostic::error(codes::UNKNOWN_CHARACTER, "an example of a message")
//!     .primary(Span::new(file, 8, 12), "the place it is about")
//!     .help("what to do about it");
//! let text = render(&[problem], &sources, Color::Never);
//! assert!(text.starts_with("error[E0102]: an example of a message"));
//! assert!(text.contains("model.net:1:9"));
//! ```

mod code;
pub mod codes;
mod diagnostic;
mod render;
mod source;
mod suggest;

pub use code::Code;
pub use diagnostic::{Diagnostic, Label, Severity};
pub use render::{Color, render};
pub use source::{FileId, MAX_SOURCE_BYTES, Position, SourceMap, Span};
pub use suggest::did_you_mean;
