//! Certificates: why a simplified graph is equal to the one that it was made from, written down so that it can be checked.
//!
//! - `trail` is what is recorded while a graph is simplified, if that is asked for.
//! - `theory` and `record` make out of it equations between ground terms, one for each application of a rule; `trim` keeps
//!   those that the results depend on, and `emit` makes a [`Certificate`] of them.
//! - `text` and `read` write and read it; docs/certificates.md has the format.
//! - `check` checks one. It looks up each equation's rule, matches it and builds its right side, and works out by
//!   congruence (`closure`) what follows; `sample` computes both sides on random numbers. It knows nothing of the e-graph,
//!   of the canonical form, of regions, of cost or of how a result was chosen.

mod check;
mod closure;
mod derivation;
mod emit;
mod notation;
mod read;
mod record;
mod sample;
mod text;
mod theory;
mod trail;
mod trim;

use std::ops::Range;

use gradc_ir::{Graph, ValueId};

pub use check::{Checked, Rejection};
pub use derivation::{Because, Derivation, Line};
pub use read::{Malformed, is_certificate, read};
pub(crate) use trail::{Applied, Recorder, Trail};

use crate::Simplified;
use crate::facts::Facts;
use crate::options::{Mode, Options};
use crate::run::Made;
use record::Proof;

/// Which pass a certificate is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Before differentiation.
    Stabilise,
    /// After it.
    Simplify,
}

impl Pass {
    /// The word in a certificate.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Stabilise => "stabilise",
            Pass::Simplify => "simplify",
        }
    }
}

/// Why a graph is equal to the one that it was made from.
#[derive(Clone, Debug)]
pub struct Certificate {
    pass: Pass,
    mode: Mode,
    /// Whether integers that are inputs are taken to be in range where they are indices.
    trust_indices: bool,
    raw: Graph,
    result: Graph,
    lemmas: Vec<Lemma>,
    main: Section,
    at: Place,
}

/// Where something is in the text of a certificate, in bytes; nothing for what was not read.
type Place = Range<usize>;

/// Equations that are used in several places.
#[derive(Clone, Debug)]
struct Lemma {
    /// What is taken to be known about the inputs, which are the leaves of the section's graph, in order.
    inputs: Vec<Facts>,
    section: Section,
    /// What it shows to be equal.
    claims: Vec<((ValueId, ValueId), Place)>,
    at: Place,
}

/// Steps on terms.
#[derive(Clone, Debug)]
struct Section {
    /// All terms that the steps are about.
    terms: Graph,
    steps: Vec<Step>,
    at: Place,
}

/// One step.
#[derive(Clone, Debug)]
struct Step {
    kind: StepKind,
    at: Place,
}

#[derive(Clone, Debug)]
enum StepKind {
    /// Two terms are the sides of a rule.
    Rule { rule: String, left: ValueId, right: ValueId },
    /// A rule says something about a term.
    Learn { rule: String, term: ValueId },
    /// An operator applied to numbers is a number.
    Fold { left: ValueId, right: ValueId },
    /// The same terms added up in another order.
    Reorder { left: ValueId, right: ValueId },
    /// What has become of the results of a loop.
    Loop { pairs: Vec<(ValueId, ValueId)> },
    /// What a lemma says of these.
    Lemma { lemma: usize, inputs: Vec<ValueId> },
}

impl Certificate {
    /// Which pass it is of.
    pub fn pass(&self) -> Pass {
        self.pass
    }

    /// Which rules may be used.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The graph before the pass.
    pub fn raw(&self) -> &Graph {
        &self.raw
    }

    /// The graph after it.
    pub fn result(&self) -> &Graph {
        &self.result
    }
}

/// Why a simplified graph is what it is.
pub struct Reasons {
    pass: Pass,
    options: Options,
    raw: Graph,
    result: Graph,
    proof: Proof,
}

/// What [`simplify`](crate::simplify) makes of a graph, with the reasons.
pub fn simplify_with_reasons(graph: &Graph, options: &Options) -> (Simplified, Reasons) {
    let Made { simplified, trails, .. } = crate::simplify_recording(graph, options, true);
    let reasons = Reasons::new(Pass::Simplify, options, graph, &simplified.graph, &trails);
    (simplified, reasons)
}

/// What [`stabilise`](crate::stabilise) makes of a graph, with the reasons.
pub fn stabilise_with_reasons(graph: &Graph, options: &Options) -> (Simplified, Reasons) {
    let Made { simplified, trails, .. } = crate::stabilise_recording(graph, options, true);
    let reasons = Reasons::new(Pass::Stabilise, &crate::stabilising(options), graph, &simplified.graph, &trails);
    (simplified, reasons)
}

impl Reasons {
    fn new(pass: Pass, options: &Options, raw: &Graph, result: &Graph, trails: &[Trail]) -> Reasons {
        let proof = record::prove(raw, result, trails, options);
        Reasons { pass, options: *options, raw: raw.clone(), result: result.clone(), proof }
    }

    /// The reasons as something that can be checked: only what the results depend on.
    pub fn certificate(&self) -> Certificate {
        emit::certificate(self)
    }
}
