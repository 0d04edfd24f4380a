//! What each root reads from memory.

use gradc_ir::{Class, Graph, ValueId};
use rustc_hash::FxHashSet;

use crate::index::{Index, operand_reads};
use crate::kernel::Affine;
use crate::matrix::{MatrixView, matrix_view, plain_view};
use crate::places::{Place, Places, is_assembled};
use crate::reduction::reduction;

/// A read of a root or a leaf.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Need {
    /// What is read.
    pub(crate) value: ValueId,
    /// The element in row-major order, as a function of the loops of the reader (see
    /// [`loops_of`](crate::reduction::loops_of)); `None` where it is found at run time or the loops are not those.
    pub(crate) at: Option<Affine>,
}

/// What `root` reads, each read once, in the order in which its expression has them.
pub(crate) fn needs_of(graph: &Graph, places: &Places<'_>, root: ValueId) -> Vec<Need> {
    let Some(op) = graph.op(root) else { return Vec::new() };
    let mut walk = Walk { graph, places, needs: Vec::new(), known: FxHashSet::default(), seen: FxHashSet::default() };
    let operands = graph.operands(root);
    let own_loops = is_assembled(op);
    if let Some(product) = places.product(root) {
        graph.operands(product).iter().for_each(|&operand| walk.add(operand_view(graph, places, operand).value, None));
    } else if op.def.class == Class::Scan {
        operands.iter().for_each(|&operand| walk.add(places.memory(operand).unwrap_or(operand), None));
    } else if own_loops || reduction(graph, root).is_some() {
        operands.iter().for_each(|&operand| walk.read(operand, &Index::identity(graph.shape(operand))));
    } else {
        walk.operands(root, &Index::identity(graph.shape(root)));
    }
    if own_loops {
        walk.needs.iter_mut().for_each(|need| need.at = None);
    }
    walk.needs
}

/// The operand of a matrix product in memory.
pub(crate) fn operand_view(graph: &Graph, places: &Places<'_>, operand: ValueId) -> MatrixView {
    let inline = |value: ValueId| places.of(value) == Place::Inline;
    let view = match places.of(operand) {
        Place::Inline => matrix_view(graph, operand, inline),
        _ => None,
    };
    let view = view.unwrap_or_else(|| plain_view(graph, operand));
    MatrixView { value: places.memory(view.value).unwrap_or(view.value), ..view }
}

struct Walk<'a, 'g> {
    graph: &'g Graph,
    places: &'a Places<'g>,
    needs: Vec<Need>,
    known: FxHashSet<Need>,
    seen: FxHashSet<(ValueId, Affine)>,
}

impl Walk<'_, '_> {
    fn add(&mut self, value: ValueId, at: Option<Affine>) {
        let need = Need { value, at };
        if self.known.insert(need.clone()) {
            self.needs.push(need);
        }
    }

    fn read(&mut self, value: ValueId, at: &Index) {
        let position = at.flat(self.graph.shape(value));
        match self.places.memory(value) {
            Some(memory) => self.add(memory, Some(position)),
            None if self.seen.insert((value, position)) => self.operands(value, at),
            None => {}
        }
    }

    fn operands(&mut self, value: ValueId, at: &Index) {
        for read in operand_reads(self.graph, value, at) {
            match read.at {
                Some(at) => self.read(read.operand, &at),
                None => self.add(self.places.memory(read.operand).unwrap_or(read.operand), None),
            }
        }
    }
}
