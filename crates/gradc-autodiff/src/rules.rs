//! Where derivatives come from.

use std::fmt;

use gradc_ir::{Derivative, Graph, OpDef, ValueId};

/// The derivative that each operator is differentiated by: its own, or what a function gives in its place. A gradient
/// check shows what it is worth by finding rules that are made wrong on purpose.
#[derive(Clone, Copy)]
pub struct Rules<'r> {
    lookup: &'r dyn Fn(&'static OpDef) -> Derivative,
}

impl<'r> Rules<'r> {
    /// The derivatives that `lookup` gives.
    pub fn new(lookup: &'r dyn Fn(&'static OpDef) -> Derivative) -> Rules<'r> {
        Rules { lookup }
    }

    /// The derivative of the operator that `value` applies; a leaf has none.
    pub fn of(&self, graph: &Graph, value: ValueId) -> Option<Derivative> {
        graph.op(value).map(|op| (self.lookup)(op.def))
    }
}

impl Default for Rules<'static> {
    fn default() -> Rules<'static> {
        Rules { lookup: &|def| def.derivative }
    }
}

impl fmt::Debug for Rules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rules")
    }
}
