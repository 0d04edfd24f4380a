//! What simplification did.

use std::collections::BTreeMap;

use crate::rules;

/// How often each rule was applied, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, usize>);

impl Tally {
    /// Counts one application.
    pub(crate) fn count(&mut self, rule: &'static str) {
        self.count_times(rule, 1);
    }

    /// Counts some applications.
    pub(crate) fn count_times(&mut self, rule: &'static str, times: usize) {
        *self.0.entry(rule).or_default() += times;
    }

    /// Adds what another tally counted.
    pub(crate) fn absorb(&mut self, other: &Tally) {
        other.iter().for_each(|(rule, times)| self.count_times(rule, times));
    }

    /// Rules and how often each was applied, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        self.0.iter().map(|(&rule, &times)| (rule, times))
    }

    /// Whether no rule was applied.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What simplification did to a graph.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The rules whose results are in the graph, or that replaced something on the spot.
    pub fired: Tally,
    /// For each value of the resulting graph, the rules that made it; none for values that were there before.
    pub made_by: Vec<Vec<&'static str>>,
    /// Regions that went through an e-graph.
    pub regions: usize,
    /// Regions among them that were unlike all before them; the others were given the result of their like.
    pub distinct_regions: usize,
    /// Terms in all e-graphs together.
    pub terms: usize,
    /// Applications in the canonical form that were unlike all before them: another operator, or one on operands of which
    /// other things are known. Rules are tried on the spot only where the first of them leaves it open.
    pub distinct_applications: usize,
    /// Regions in which a limit ended the search for more equalities.
    pub limited_regions: usize,
    /// Regions that stay as they were, flawed formulas aside, because a machine takes longer for what was found.
    pub kept_regions: usize,
    /// Formulas that lost digits or overflowed, and were replaced by ones that do not, even where these cost more.
    pub repaired: usize,
    /// The cost of the canonical form, before rules with alternatives.
    pub cost_before: u64,
    /// The cost of the result: not more than before, but for what was repaired.
    pub cost_after: u64,
}

impl Report {
    /// Whether a rule about how elements are moved was applied. Such a rule may take arithmetic away, and loops that values had in
    /// common.
    pub fn has_moved(&self) -> bool {
        let moves = |rule| rules::compiled::find(rule).is_some_and(|compiled| compiled.is_about("movement"));
        self.fired.iter().any(|(rule, _)| moves(rule))
    }
}
