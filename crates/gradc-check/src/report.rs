//! What a check found.

use gradc::Phase;
use gradc::ir::TensorType;

use crate::finding::Finding;

/// What a check of one model found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The model.
    pub model: String,
    /// The phase that it was checked in; `None` where it is the same in both.
    pub phase: Option<Phase>,
    /// What the random numbers were derived from.
    pub seed: u64,
    /// What was differentiated, at the point of the check: the loss, or for a model without one a sum of its outputs
    /// with random weights.
    pub loss: f64,
    /// Parameters, then what else was asked for.
    pub targets: Vec<TargetReport>,
    /// Identities that hold for the gradient as a whole.
    pub identities: Vec<IdentityReport>,
    /// Where in the model kinks were met and disagreements arise.
    pub findings: Vec<Finding>,
}

/// How the derivative by one value compares with finite differences.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TargetReport {
    /// The parameter, input or value.
    pub name: String,
    /// Its type in the model.
    pub ty: TensorType,
    /// What the loss was moved along.
    pub compared: Compared,
    /// The root mean square of the gradient's elements; `None` where it is absent, and differences must be zero.
    pub gradient: Option<f64>,
    /// The largest relative error.
    pub error: f64,
    /// What it may be.
    pub tolerance: f64,
    /// What that means.
    pub verdict: Verdict,
}

/// Along what a parameter was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Along every axis: this many.
    Entries(usize),
    /// Along this many random directions.
    Directions(usize),
}

/// How two ways to compute the same numbers compare.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IdentityReport {
    /// What was compared.
    pub name: &'static str,
    /// The largest relative error.
    pub error: f64,
    /// What it may be.
    pub tolerance: f64,
    /// What that means.
    pub verdict: Verdict,
    /// Where the error is largest, if it is of one value.
    pub of: Option<String>,
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// They agree.
    Ok,
    /// There is no derivative to agree with: the loss has a kink here. What the gradient says lies between the slopes of
    /// the two sides.
    Kink,
    /// They were not compared: a derivative rule of the program's own is not meant to agree.
    Skipped,
    /// They disagree.
    Fail,
}

impl Verdict {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Kink => "kink",
            Verdict::Skipped => "skip",
            Verdict::Fail => "FAIL",
        }
    }
}

impl Report {
    /// Whether nothing disagrees.
    pub fn passed(&self) -> bool {
        self.count(Verdict::Fail) == 0 && !self.findings.iter().any(Finding::is_error)
    }

    /// How many comparisons failed, those of rules of the program's own with what they belong to included.
    pub fn failed(&self) -> usize {
        let rules = self.findings.iter().filter(|finding| matches!(finding, Finding::OtherRule { fails: true, .. }));
        self.count(Verdict::Fail) + rules.count()
    }

    /// How many gradients and identities came out as `verdict`.
    pub fn count(&self, verdict: Verdict) -> usize {
        let targets = self.targets.iter().map(|target| target.verdict);
        targets.chain(self.identities.iter().map(|identity| identity.verdict)).filter(|&own| own == verdict).count()
    }
}
