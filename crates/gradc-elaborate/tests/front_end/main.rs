//! The front end as a user meets it: programs in, graphs and diagnostics out.

mod diagnostics;
mod documentation;
mod elaboration;
mod explanations;
mod hostile;
mod interface;
mod prelude;
mod properties;
mod recurrent;
mod support;
