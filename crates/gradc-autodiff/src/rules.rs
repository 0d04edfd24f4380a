//! Where derivatives come from.

use std::fmt;

use gradc_ir::{Derivative, Graph, OpDef, ValueId};

/// The derivative that each operator is differentiated by: its own, or what a function gives in its place. A gradient
/// check shows what it is worth by finding rules that are made wrong on purpose.
#[derive(Clone, Copy)]
pub struct Rules<'r> {
    lookup: &'r dyn Fn(&'static OpDef) -> Derivative,
    pub(crate) keeps_complements: bool,
}

impl<'r> Rules<'r> {
    /// The derivatives that `lookup` gives.
    pub fn new(lookup: &'r dyn Fn(&'static OpDef) -> Derivative) -> Rules<'r> {
        Rules { lookup, keeps_complements: false }
    }

    /// The same, where loops keep what is left of a saturated activation for their derivatives: `1 - sigmoid(x)` and
    /// `1 - tanh(x)²`. Whoever simplifies the loop can compute these from `x`; in the loop that goes backward there is only the
    /// activation, from which they are differences without digits. It takes memory for one more value for each activation.
    pub fn keeping_complements(self) -> Rules<'r> {
        Rules { keeps_complements: true, ..self }
    }

    /// The derivative of the operator that `value` applies; a leaf has none.
    pub fn of(&self, graph: &Graph, value: ValueId) -> Option<Derivative> {
        graph.op(value).map(|op| (self.lookup)(op.def))
    }
}

impl Default for Rules<'static> {
    fn default() -> Rules<'static> {
        Rules::new(&|def| def.derivative)
    }
}

impl fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rules")
    }
}
