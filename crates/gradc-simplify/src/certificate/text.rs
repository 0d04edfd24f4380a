//! Writes certificates; docs/certificates.md has the format.

use std::fmt;

use gradc_ir::text::{print, print_values};
use gradc_ir::{Graph, ValueId};

use super::{Certificate, Lemma, Section, StepKind};
use crate::facts::Facts;

/// What a certificate begins with.
pub(super) const HEADER: &str = "gradc certificate 1";

/// What is known about an input.
pub(super) const ONE_HOT: &str = "one-hot";
pub(super) const SYMMETRIC: &str = "symmetric";
pub(super) const VANISHING: &str = "made of exponentials";
pub(super) const INDEX_IN_RANGE: &str = "index in range";

/// What is said in the place of a rule.
pub(super) const FOLD: &str = "arithmetic";
pub(super) const REORDER: &str = "reordering";
pub(super) const LOOP: &str = "evaluation";
/// In the place of the inputs of a lemma that has none.
pub(super) const NO_TERMS: &str = "()";

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        writeln!(f, "pass {}", self.pass.name())?;
        writeln!(f, "mode {}", self.mode)?;
        writeln!(f, "indices {}", if self.trust_indices { "trusted" } else { "unknown" })?;
        write!(f, "\nbefore\n{}", print(&self.raw))?;
        write!(f, "\nafter\n{}", print(&self.result))?;
        for (number, lemma) in self.lemmas.iter().enumerate() {
            writeln!(f, "\nlemma {}", number + 1)?;
            write_lemma(f, lemma)?;
        }
        writeln!(f, "\nproof")?;
        write_section(f, &self.main, &[], &[])?;
        writeln!(f, "end")
    }
}

fn write_lemma(f: &mut fmt::Formatter<'_>, lemma: &Lemma) -> fmt::Result {
    let leaves: Vec<ValueId> = lemma.section.terms.leaves(gradc_ir::LeafKind::Input).collect();
    let known: Vec<String> = leaves
        .iter()
        .zip(&lemma.inputs)
        .filter_map(|(&leaf, facts)| Some(format!("know {} {}", name(&lemma.section.terms, leaf), facts_text(facts)?)))
        .collect();
    let claims: Vec<ValueId> = lemma.claims.iter().flat_map(|(claim, _)| [claim.0, claim.1]).collect();
    write_section(f, &lemma.section, &known, &claims)?;
    for ((left, right), _) in &lemma.claims {
        writeln!(f, "claim {} = {}", name(&lemma.section.terms, *left), name(&lemma.section.terms, *right))?;
    }
    Ok(())
}

fn write_section(f: &mut fmt::Formatter<'_>, section: &Section, known: &[String], claims: &[ValueId]) -> fmt::Result {
    let graph = &section.terms;
    let mut named: Vec<ValueId> = claims.to_vec();
    section.steps.iter().for_each(|step| named.extend(step.kind.terms()));
    named.sort_unstable();
    named.dedup();
    write!(f, "{}", print_values(graph, &named))?;
    known.iter().try_for_each(|line| writeln!(f, "{line}"))?;
    for step in &section.steps {
        let name = |value: &ValueId| name(graph, *value);
        match &step.kind {
            StepKind::Rule { rule, left, right } => writeln!(f, "{} = {} by {rule}", name(left), name(right))?,
            StepKind::Fold { left, right } => writeln!(f, "{} = {} by {FOLD}", name(left), name(right))?,
            StepKind::Reorder { left, right } => writeln!(f, "{} = {} by {REORDER}", name(left), name(right))?,
            StepKind::Learn { rule, term } => writeln!(f, "learn {} by {rule}", name(term))?,
            StepKind::Loop { pairs } => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(left, right)| format!("{} = {}", name(left), name(right))).collect();
                writeln!(f, "{} by {LOOP}", pairs.join(", "))?;
            }
            StepKind::Lemma { lemma, inputs } => {
                let inputs: Vec<&str> = inputs.iter().map(name).collect();
                let inputs = if inputs.is_empty() { NO_TERMS.to_owned() } else { inputs.join(", ") };
                writeln!(f, "lemma {} of {inputs}", lemma + 1)?;
            }
        }
    }
    Ok(())
}

impl StepKind {
    /// The terms that a step names.
    pub(super) fn terms(&self) -> Vec<ValueId> {
        match self {
            StepKind::Rule { left, right, .. } | StepKind::Fold { left, right } | StepKind::Reorder { left, right } => {
                vec![*left, *right]
            }
            StepKind::Learn { term, .. } => vec![*term],
            StepKind::Loop { pairs } => pairs.iter().flat_map(|(left, right)| [*left, *right]).collect(),
            StepKind::Lemma { inputs, .. } => inputs.clone(),
        }
    }
}

fn name(graph: &Graph, value: ValueId) -> &str {
    graph.value_name(value).map_or("", |name| name)
}

/// What is known beside the type, if anything is.
fn facts_text(facts: &Facts) -> Option<String> {
    let plain = Facts::of_type(facts.ty.clone());
    let mut parts = Vec::new();
    if facts.range != plain.range {
        let range = facts.range;
        let nan = if range.nan { " or nan" } else { "" };
        parts.push(format!("from {:?} to {:?}{nan}", range.low, range.high));
    }
    if let Some(axis) = facts.sums_to_one {
        parts.push(format!("sums to 1 along {axis}"));
    }
    for (mask, what) in [(facts.sums_to_zero_along, "sums to 0"), (facts.shifted_along, "greatest 0")] {
        if mask != 0 {
            let axes = (0..32).filter(|axis| mask >> axis & 1 == 1).map(|axis: u32| axis.to_string());
            parts.push(format!("{what} along {}", axes.collect::<Vec<_>>().join(" ")));
        }
    }
    let flags = [
        (facts.one_hot, ONE_HOT),
        (facts.symmetric, SYMMETRIC),
        (facts.vanishing, VANISHING),
        (facts.trusted_index, INDEX_IN_RANGE),
    ];
    for (is_known, what) in flags {
        parts.extend(is_known.then(|| what.to_owned()));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}
