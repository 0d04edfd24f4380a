//! Which numbers an integer input may hold.

use std::collections::BTreeMap;

use gradc_ir::op::scan::Scan;
use gradc_ir::op::{gather, one_hot, scatter_add, stop_gradient};
use gradc_ir::{Class, Graph, LeafKind, ValueId};

use crate::TensorView;
use crate::error::InputError;

/// For each integer input that is used as an index (a class label, a row of a table), by name: the number below which all
/// its elements must be.
///
/// The simplifier may assume it ([`gradc_simplify::Options::trust_indices`]), so every run checks its inputs against it.
pub fn index_bounds(graph: &Graph) -> BTreeMap<String, usize> {
    let mut bounds = BTreeMap::new();
    for (input, bound) in bounded(graph) {
        if let Some(name) = graph.value_name(input) {
            bounds.entry(name.to_string()).and_modify(|b: &mut usize| *b = (*b).min(bound)).or_insert(bound);
        }
    }
    bounds
}

/// Checks the elements of an input against its bound, if it has one.
///
/// # Errors
/// [`InputError::IndexOutOfRange`] for the first that is not in range.
pub(crate) fn check_indices(name: &str, bound: Option<usize>, input: &TensorView<'_>) -> Result<(), InputError> {
    let Some(bound) = bound else { return Ok(()) };
    match out_of_range(input, bound) {
        Some((position, value)) => Err(InputError::IndexOutOfRange { name: name.to_owned(), position, value, bound }),
        None => Ok(()),
    }
}

/// The first element of a tensor of integers that is not from 0 to below `bound`, and where it is.
fn out_of_range(view: &TensorView<'_>, bound: usize) -> Option<(usize, i64)> {
    let outside = |(_, value): &(usize, i64)| usize::try_from(*value).map_or(true, |value| value >= bound);
    match view {
        TensorView::U8(array) => array.iter().map(|&value| i64::from(value)).enumerate().find(outside),
        TensorView::I32(array) => array.iter().map(|&value| i64::from(value)).enumerate().find(outside),
        TensorView::I64(array) => array.iter().copied().enumerate().find(outside),
        _ => None,
    }
}

/// Integer inputs that are used as an index, each with what its elements must be below.
fn bounded(graph: &Graph) -> Vec<(ValueId, usize)> {
    let mut bounded = Vec::new();
    // The input whose elements a value holds, moved about but not changed.
    let mut source: Vec<Option<ValueId>> = vec![None; graph.len()];
    for value in graph.values() {
        if graph.leaf(value) == Some(LeafKind::Input) && graph.dtype(value).is_integer() {
            source[value.index()] = Some(value);
            continue;
        }
        let (Some(op), operands) = (graph.op(value), graph.operands(value)) else { continue };
        let moved = op.def.class == Class::Movement && operands.len() == 1;
        if moved || op.is(&stop_gradient::STOP_GRADIENT) {
            source[value.index()] = source[operands[0].index()];
        }
        let mut note = |indices: ValueId, bound: usize| {
            bounded.extend(source[indices.index()].map(|input| (input, bound)));
        };
        if op.is(&one_hot::ONE_HOT) {
            note(operands[0], op.attrs.int("depth"));
        } else if op.is(&gather::GATHER) {
            note(operands[1], graph.shape(operands[0])[op.attrs.int("axis")]);
        } else if op.is(&scatter_add::SCATTER_ADD) {
            note(operands[0], graph.shape(value)[op.attrs.int("axis")]);
        } else if let Some(scan) = Scan::of(op).filter(|scan| scan.length > 0) {
            // The slices of a sequence and the constants are elements of the operand; carries change.
            for (input, bound) in self::bounded(scan.body.graph()) {
                let position = scan.body.inputs().iter().position(|&other| other == input);
                position
                    .filter(|&position| position >= scan.carries)
                    .into_iter()
                    .for_each(|i| note(operands[i], bound));
            }
        }
    }
    bounded
}
