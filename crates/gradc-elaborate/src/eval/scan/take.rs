//! Taking the body of a loop out of the graph that it was evaluated into.

use std::sync::Arc;

use gradc_diagnostics::{Span, codes};
use gradc_ir::{Body, Class, Graph, ValueId};

use crate::eval::Evaluator;
use crate::eval::report::error_at;
use crate::value::Tensor;

impl Evaluator<'_> {
    /// The body that computes the next carries, which have names, and what is stacked from the leaves that stand in for
    /// carries and slices; and what it needs besides, the constants of the loop. The values from `begin` on were made for
    /// the body.
    pub(super) fn taken_out(
        &mut self,
        begin: usize,
        leaves: &[ValueId],
        next: &[(&str, ValueId)],
        stacked: &[Tensor],
        span: Span,
    ) -> Option<(Body, Vec<ValueId>)> {
        let varies = Varies::new(&self.graph, begin, leaves);
        self.name_within(&varies);
        let stacks = stacked.iter().map(|tensor| {
            let name: Arc<str> = self.graph.value_name(tensor.id).cloned().unwrap_or_else(|| "ys".into());
            (name, tensor.id)
        });
        let results: Vec<(Arc<str>, ValueId)> =
            next.iter().map(|&(name, value)| (name.into(), value)).chain(stacks).collect();
        let constants = constants(&self.graph, &varies, results.iter().map(|&(_, value)| value));
        let inputs: Vec<ValueId> = leaves.iter().chain(&constants).copied().collect();
        match Body::new(&self.graph.part(&inputs, &results)) {
            Ok(body) => Some((body, constants)),
            Err(error) => {
                let message = format!("this `scan` cannot be made a loop: {error}");
                self.report(error_at(codes::TOO_MUCH_WORK, message, span, ""));
                None
            }
        }
    }

    /// Names that functions and the prelude give to values of a body: they are called after what is in there.
    fn name_within(&mut self, varies: &Varies) {
        let names = std::mem::take(&mut self.inner_names);
        let (within, around) = names.into_iter().partition(|name| varies.has(name.id));
        self.inner_names = around;
        self.apply_inner_names(within, varies.begin);
    }
}

/// Which values are another in each step.
struct Varies {
    begin: usize,
    varies: Vec<bool>,
}

impl Varies {
    fn new(graph: &Graph, begin: usize, leaves: &[ValueId]) -> Varies {
        let mut found = Varies { begin, varies: vec![false; graph.len() - begin] };
        for index in begin..graph.len() {
            let value = ValueId::from_index(index);
            found.varies[index - begin] =
                leaves.contains(&value) || graph.operands(value).iter().any(|&operand| found.has(operand));
        }
        found
    }

    fn has(&self, value: ValueId) -> bool {
        value.index().checked_sub(self.begin).is_some_and(|index| self.varies[index])
    }
}

/// The values that are the same in every step and that those that are not are computed from. Literals and what only moves
/// elements, such as a broadcast, are repeated in the body: kernels read through them.
fn constants(graph: &Graph, varies: &Varies, results: impl Iterator<Item = ValueId>) -> Vec<ValueId> {
    let (mut constants, mut seen) = (Vec::new(), rustc_hash::FxHashSet::default());
    let mut stack: Vec<ValueId> = results.collect();
    while let Some(value) = stack.pop() {
        if !seen.insert(value) {
            continue;
        }
        let class = graph.op(value).map(|op| op.def.class);
        let repeated = match class {
            Some(Class::Source) => true,
            Some(Class::Movement) => graph.operands(value).len() == 1,
            _ => false,
        };
        if varies.has(value) || repeated {
            stack.extend(graph.operands(value));
        } else {
            constants.push(value);
        }
    }
    constants.sort_unstable();
    constants
}
