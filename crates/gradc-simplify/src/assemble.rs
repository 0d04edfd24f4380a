//! From the simplified arena back to a graph that reads like the one it came from: values that survive keep their names
//! and origins, stand in their old order, and have their operands in the order in which they were written.

use egg::Id;
use gradc_ir::{Graph, NodeKind, Op, Origin, ValueId};
use smallvec::SmallVec;

use crate::canonical::Arena;
use crate::term::Term;

/// The graph of an arena. `places` says for each value of `source` where it is in the arena, if it is still computed.
/// Also gives for each value of the new graph the rules that made it.
pub(crate) fn assemble(source: &Graph, arena: &Arena<'_>, places: &[Option<Id>]) -> (Graph, Vec<Vec<&'static str>>) {
    let mut writer = Writer {
        source,
        arena,
        places,
        counterparts: Vec::new(),
        values: vec![None; arena.len()],
        stack: Vec::new(),
        graph: source.emptied(),
        made_by: Vec::new(),
    };
    let needed = writer.needed();
    writer.counterparts = counterparts(source, places, &needed);
    writer.graph.reserve(arena.len());
    for value in source.values() {
        match (&source.node(value).kind, places[value.index()]) {
            (NodeKind::Leaf { .. }, place) => writer.write_leaf(value, place),
            (_, Some(id)) if needed[usize::from(id)] => writer.write(id),
            _ => {}
        }
    }
    for output in source.outputs() {
        let value = places[output.value.index()].and_then(|id| writer.values[usize::from(id)]);
        let value = value.unwrap_or_else(|| unreachable!("gradc has a bug: the result {} is lost", output.name));
        writer.graph.add_output(output.role, output.name.clone(), value);
    }
    writer.graph.set_origin(source.origin());
    (writer.graph, writer.made_by)
}

/// For each value of the arena, the first value of the source that it is, and the first that has a name.
#[derive(Clone, Copy, Default)]
struct Counterpart {
    first: Option<ValueId>,
    named: Option<ValueId>,
}

fn counterparts(source: &Graph, places: &[Option<Id>], needed: &[bool]) -> Vec<Counterpart> {
    let mut counterparts = vec![Counterpart::default(); needed.len()];
    for value in source.values() {
        if let Some(id) = places[value.index()].filter(|&id| needed[usize::from(id)]) {
            let counterpart = &mut counterparts[usize::from(id)];
            counterpart.first = counterpart.first.or(Some(value));
            if source.value_name(value).is_some() {
                counterpart.named = counterpart.named.or(Some(value));
            }
        }
    }
    for value in source.values().filter(|&value| source.value_name(value).is_some()) {
        if let Some(id) = named_in_place_of(source, value, places, needed) {
            let named = &mut counterparts[usize::from(id)].named;
            *named = named.or(Some(value));
        }
    }
    counterparts
}

/// A named value that was only another view of one that survives (the same elements in another shape) leaves it its name.
fn named_in_place_of(source: &Graph, value: ValueId, places: &[Option<Id>], needed: &[bool]) -> Option<Id> {
    let survives = |value: ValueId| places[value.index()].filter(|&id| needed[usize::from(id)]);
    let mut viewed = value;
    while survives(viewed).is_none() {
        let op = source.op(viewed)?;
        if !op.is(&gradc_ir::op::reshape::RESHAPE) && !op.is(&gradc_ir::op::stop_gradient::STOP_GRADIENT) {
            return None;
        }
        viewed = source.operands(viewed)[0];
    }
    survives(viewed)
}

struct Writer<'w, 'r> {
    source: &'w Graph,
    arena: &'w Arena<'r>,
    places: &'w [Option<Id>],
    counterparts: Vec<Counterpart>,
    values: Vec<Option<ValueId>>,
    /// What is being written, users below what they wait for.
    stack: Vec<Id>,
    graph: Graph,
    made_by: Vec<Vec<&'static str>>,
}

impl Writer<'_, '_> {
    /// For each value of the arena, whether a result depends on it.
    fn needed(&self) -> Vec<bool> {
        let mut needed = vec![false; self.arena.len()];
        for output in self.source.outputs() {
            if let Some(id) = self.places[output.value.index()] {
                needed[usize::from(id)] = true;
            }
        }
        for id in self.arena.ids().rev().filter(|&id| !self.arena.operands(id).is_empty()) {
            if needed[usize::from(id)] {
                self.arena.operands(id).iter().for_each(|&operand| needed[usize::from(operand)] = true);
            }
        }
        needed
    }

    /// Leaves are the graph's interface: they stay, needed or not.
    fn write_leaf(&mut self, value: ValueId, place: Option<Id>) {
        let new = self.graph.copy_node(self.source, value, &[]);
        self.made_by.push(Vec::new());
        if let Some(id) = place {
            self.values[usize::from(id)] = Some(new);
        }
    }

    /// Writes a value after those that it is computed from.
    fn write(&mut self, id: Id) {
        self.stack.push(id);
        while let Some(&id) = self.stack.last() {
            let waiting = self.stack.len();
            if self.values[usize::from(id)].is_none() {
                let missing = |operand: &&Id| self.values[usize::from(**operand)].is_none();
                self.stack.extend(self.arena.operands(id).iter().rev().filter(missing));
            }
            if self.stack.len() == waiting {
                self.stack.pop();
                if self.values[usize::from(id)].is_none() {
                    self.write_value(id);
                }
            }
        }
    }

    fn write_value(&mut self, id: Id) {
        let node = self.arena.node(id);
        let Term::Apply(op, _) = &node.term else { return };
        let counterpart = self.counterparts[usize::from(id)];
        let origin = match counterpart.named.or(counterpart.first) {
            Some(value) => self.source.node(value).origin,
            None => self.origin_near(node.near),
        };
        self.graph.set_origin(origin);
        let operands = self.written_operands(id, op);
        let value = self.graph.emit_typed(op.clone(), &operands, node.facts.ty.clone());
        if let Some(name) = counterpart.named.and_then(|named| self.source.value_name(named)) {
            self.graph.set_value_name(value, name.clone());
        }
        self.values[usize::from(id)] = Some(value);
        self.made_by.push(self.arena.made_by(id).to_vec());
    }

    fn origin_near(&self, position: usize) -> Origin {
        self.source.node(ValueId::from_index(position)).origin
    }

    /// The operands in the order in which the source wrote them; where it did not, a number before what it multiplies and
    /// after what it is added to, and other values as they follow each other.
    fn written_operands(&self, id: Id, op: &Op) -> SmallVec<[ValueId; 3]> {
        let mut ids: SmallVec<[Id; 3]> = SmallVec::from_slice(self.arena.operands(id));
        if op.def.algebra.commutative && ids.len() == 2 {
            let place = |value: &ValueId| self.places[value.index()];
            let as_source = self.counterparts[usize::from(id)].first.filter(|&first| self.source.op(first) == Some(op));
            let is_written = |order: [Id; 2]| {
                as_source.is_some_and(|first| self.source.operands(first).iter().map(place).eq(order.map(Some)))
            };
            let other_way = is_written([ids[1], ids[0]]);
            if other_way || !is_written([ids[0], ids[1]]) && self.is_other_way_round(op, &ids) {
                ids.swap(0, 1);
            }
        }
        let mut values = SmallVec::new();
        ids.iter().for_each(|&id| values.extend(self.values[usize::from(id)]));
        values
    }

    fn is_other_way_round(&self, op: &Op, ids: &[Id]) -> bool {
        let is_number = |id: Id| self.arena.node(id).facts.constant.is_some();
        let multiplies = op.is(&gradc_ir::op::mul::MUL);
        match (is_number(ids[0]), is_number(ids[1])) {
            (true, false) => !multiplies,
            (false, true) => multiplies,
            _ => self.values[usize::from(ids[0])] > self.values[usize::from(ids[1])],
        }
    }
}
