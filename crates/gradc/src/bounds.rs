//! Which numbers an integer input may hold.

use std::collections::BTreeMap;

use gradc_ir::op::{gather, one_hot, scatter_add};
use gradc_ir::{Class, DType, Graph, LeafKind, ValueId};

/// For each integer input that is used as an index (a class label, a row of a table), by name: the number below which all
/// its elements must be.
///
/// The simplifier may assume it ([`gradc_simplify::Options::trust_indices`]), so every run checks its inputs against it.
pub fn index_bounds(graph: &Graph) -> BTreeMap<String, usize> {
    let mut bounds = BTreeMap::new();
    // The input whose elements a value holds, moved about but not changed.
    let mut source: Vec<Option<ValueId>> = vec![None; graph.len()];
    for value in graph.values() {
        if graph.leaf(value) == Some(LeafKind::Input) && graph.dtype(value) == DType::I32 {
            source[value.index()] = Some(value);
            continue;
        }
        let (Some(op), operands) = (graph.op(value), graph.operands(value)) else { continue };
        if op.def.class == Class::Movement && operands.len() == 1 {
            source[value.index()] = source[operands[0].index()];
        }
        let (indices, bound) = if op.is(&one_hot::ONE_HOT) {
            (operands[0], op.attrs.int("depth"))
        } else if op.is(&gather::GATHER) {
            (operands[1], graph.shape(operands[0])[op.attrs.int("axis")])
        } else if op.is(&scatter_add::SCATTER_ADD) {
            (operands[0], graph.shape(value)[op.attrs.int("axis")])
        } else {
            continue;
        };
        if let Some(name) = source[indices.index()].and_then(|input| graph.value_name(input)) {
            bounds.entry(name.to_string()).and_modify(|b: &mut usize| *b = (*b).min(bound)).or_insert(bound);
        }
    }
    bounds
}
