//! What is recorded while a graph is simplified, where a certificate is asked for.
//!
//! Recording is cheap and changes nothing: rules that are applied are noted as they were found, in the names of the place
//! where they were. What that means is made out afterwards, by [`record`](super::record).

use egg::Id;
use gradc_ir::{Graph, ValueId};

use crate::canonical::Arena;
use crate::egraph::Within;
use crate::pattern::Bindings;
use crate::region::Used;
use crate::rules::compiled::Compiled;
use crate::term::Term;

/// An application of a rule. Operands are named as they were then.
#[derive(Clone)]
pub(crate) struct Applied {
    /// The rule.
    pub(crate) rule: &'static Compiled,
    /// The term that it matched.
    pub(crate) term: Term,
    /// What its variables stand for.
    pub(crate) bindings: Bindings,
    /// What it is equal to; none for rules that learn.
    pub(crate) found: Option<Id>,
    /// The sum that the term is two terms of, if it is.
    pub(crate) within: Option<Within>,
}

/// Notes what is applied, if it was asked to; else does nothing.
#[derive(Default)]
pub(crate) struct Recorder(Option<Vec<Applied>>);

impl Recorder {
    /// A recorder that records or does not.
    pub(crate) fn new(is_recording: bool) -> Recorder {
        Recorder(is_recording.then(Vec::new))
    }

    /// Another one that records if this does.
    pub(crate) fn fresh(&self) -> Recorder {
        Recorder::new(self.is_recording())
    }

    /// Whether it records.
    pub(crate) fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    /// Notes an application.
    pub(crate) fn record(&mut self, applied: impl FnOnce() -> Applied) {
        if let Some(all) = &mut self.0 {
            all.push(applied());
        }
    }

    /// What was noted, if it was asked to.
    pub(crate) fn take(&mut self) -> Option<Vec<Applied>> {
        self.0.take()
    }
}

/// All that was done to a graph, in order.
pub(crate) struct Trail {
    /// The graph.
    pub(crate) graph: Graph,
    /// The graph after its loops were improved, and for each value of the graph where it is there; none where nothing has
    /// become of it.
    pub(crate) improved: Option<(Graph, Vec<Option<ValueId>>)>,
    /// The canonical forms, the first before any region was solved.
    pub(crate) forms: Vec<Form>,
}

/// A canonical form, and the regions that it was cut into to make the next one.
pub(crate) struct Form {
    /// The values; `Term::Leaf` is the number of a leaf's value in the improved graph.
    pub(crate) terms: Vec<Term>,
    /// What was applied while it was written.
    pub(crate) applied: Vec<Applied>,
    /// The regions.
    pub(crate) regions: Vec<Used>,
}

impl Trail {
    /// Nothing has been done to a graph yet.
    pub(crate) fn new(graph: &Graph) -> Trail {
        Trail { graph: graph.clone(), improved: None, forms: Vec::new() }
    }

    /// A form was rewritten region by region.
    pub(crate) fn pass(&mut self, arena: &mut Arena<'_>, regions: Vec<Used>) {
        let terms = arena.ids().map(|id| arena.node(id).term.clone()).collect();
        self.forms.push(Form { terms, applied: arena.recorder.take().unwrap_or_default(), regions });
    }

    /// The last form is there. `improved` is the graph with better loops, if it is another.
    pub(crate) fn end(&mut self, arena: &mut Arena<'_>, improved: Option<(Graph, Vec<Option<ValueId>>)>) {
        self.pass(arena, Vec::new());
        self.improved = Some(improved.unwrap_or_else(|| (self.graph.clone(), self.graph.values().map(Some).collect())));
    }
}
