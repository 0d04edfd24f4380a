//! What derivative rules are given, and where they put their results.

use std::ops::{Deref, DerefMut};

use smallvec::SmallVec;

use crate::attr::Attrs;
use crate::{Graph, NodeKind, ValueId};

/// One application of a vector-Jacobian rule: the operator, its operands, its result and the cotangent of the result.
/// It dereferences to the graph that the rule writes to.
pub struct Vjp<'g> {
    graph: &'g mut Graph,
    result: ValueId,
    cotangent: ValueId,
    wanted: &'g [bool],
    contributions: SmallVec<[Option<ValueId>; 3]>,
}

impl<'g> Vjp<'g> {
    /// The rule's surroundings for `result`, whose cotangent is `cotangent`; `wanted` says for each operand whether its
    /// cotangent is needed.
    pub fn new(graph: &'g mut Graph, result: ValueId, cotangent: ValueId, wanted: &'g [bool]) -> Vjp<'g> {
        let contributions = SmallVec::from_elem(None, wanted.len());
        Vjp { graph, result, cotangent, wanted, contributions }
    }

    /// The `i`th operand.
    pub fn operand(&self, i: usize) -> ValueId {
        self.graph.operands(self.result)[i]
    }

    /// How many operands there are.
    pub fn arity(&self) -> usize {
        self.wanted.len()
    }

    /// The result of the forward operation.
    pub fn result(&self) -> ValueId {
        self.result
    }

    /// The derivative of the loss by the result, of the result's type.
    pub fn cotangent(&self) -> ValueId {
        self.cotangent
    }

    /// The operator's attributes.
    pub fn attrs(&self) -> Attrs {
        attrs_of(self.graph, self.result)
    }

    /// Sets the cotangent that operand `i` receives to what `rule` writes. The rule is run only where it is wanted.
    pub fn contribute(&mut self, i: usize, rule: impl FnOnce(&mut Graph) -> ValueId) {
        if self.wanted[i] {
            let value = rule(self.graph);
            debug_assert_eq!(self.graph.shape(value), self.graph.shape(self.operand(i)), "cotangent of operand {i}");
            self.contributions[i] = Some(value);
        }
    }

    /// For each operand, the cotangent it receives; `None` is the absence of a gradient.
    pub fn finish(self) -> SmallVec<[Option<ValueId>; 3]> {
        self.contributions
    }
}

impl Deref for Vjp<'_> {
    type Target = Graph;
    fn deref(&self) -> &Graph {
        self.graph
    }
}

impl DerefMut for Vjp<'_> {
    fn deref_mut(&mut self) -> &mut Graph {
        self.graph
    }
}

/// One application of a Jacobian-vector rule: the operator, its operands, and the tangents of those that have one.
/// It dereferences to the graph that the rule writes to.
pub struct Jvp<'g> {
    graph: &'g mut Graph,
    result: ValueId,
    tangents: &'g [Option<ValueId>],
    sum: Option<ValueId>,
}

impl<'g> Jvp<'g> {
    /// The rule's surroundings for `result`; `tangents` has one entry an operand.
    pub fn new(graph: &'g mut Graph, result: ValueId, tangents: &'g [Option<ValueId>]) -> Jvp<'g> {
        Jvp { graph, result, tangents, sum: None }
    }

    /// The `i`th operand.
    pub fn operand(&self, i: usize) -> ValueId {
        self.graph.operands(self.result)[i]
    }

    /// How many operands there are.
    pub fn arity(&self) -> usize {
        self.tangents.len()
    }

    /// The result of the forward operation.
    pub fn result(&self) -> ValueId {
        self.result
    }

    /// The operator's attributes.
    pub fn attrs(&self) -> Attrs {
        attrs_of(self.graph, self.result)
    }

    /// Adds what `rule` makes of the tangent of operand `i` to the tangent of the result, if the operand has one.
    pub fn contribute(&mut self, i: usize, rule: impl FnOnce(&mut Graph, ValueId) -> ValueId) {
        if let Some(tangent) = self.tangents[i] {
            let value = rule(self.graph, tangent);
            debug_assert_eq!(self.graph.shape(value), self.graph.shape(self.result), "tangent from operand {i}");
            self.sum = Some(match self.sum {
                None => value,
                Some(sum) => self.graph.add(sum, value),
            });
        }
    }

    /// For operators that need all tangents at once: sets the tangent of the result to what `rule` makes of them. Those
    /// that are absent are zeros.
    pub fn contribute_all(&mut self, rule: impl FnOnce(&mut Graph, &[ValueId]) -> ValueId) {
        let mut tangents: SmallVec<[ValueId; 3]> = SmallVec::new();
        for (i, tangent) in self.tangents.iter().enumerate() {
            let operand = self.operand(i);
            tangents.push(tangent.unwrap_or_else(|| self.graph.full_like(operand, 0.0)));
        }
        self.sum = Some(rule(self.graph, &tangents));
    }

    /// The tangent of the result; `None` is the absence of one.
    pub fn finish(self) -> Option<ValueId> {
        self.sum
    }
}

impl Deref for Jvp<'_> {
    type Target = Graph;
    fn deref(&self) -> &Graph {
        self.graph
    }
}

impl DerefMut for Jvp<'_> {
    fn deref_mut(&mut self) -> &mut Graph {
        self.graph
    }
}

fn attrs_of(graph: &Graph, result: ValueId) -> Attrs {
    match &graph.node(result).kind {
        NodeKind::Op(op) => op.attrs.clone(),
        NodeKind::Leaf { .. } => unreachable!("a leaf has no derivative rule"),
    }
}
