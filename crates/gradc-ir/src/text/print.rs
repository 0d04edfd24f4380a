//! Graph to text.

use std::fmt::Write;

use smallvec::SmallVec;

use super::{Names, literal_type};
use crate::attr::{AttrSource, write_number};
use crate::op::custom::Custom;
use crate::op::scan::Scan;
use crate::{Attr, DType, Graph, LeafKind, NodeKind, Notation, Op, Role, TensorType, ValueId};

/// The text of a graph: its leaves, the values that its results depend on in the order of the graph, and its results.
///
/// Values that outputs, loss and metrics depend on come first; then what only gradients depend on; then what only
/// tangents and Hessian-vector products do; then what only updates do. A forward value that a derivative uses is marked
/// with a star.
pub fn print(graph: &Graph) -> String {
    Printer::new(graph, 1).print()
}

/// As [`print()`], with what `note` says about a value as a comment at the end of its line.
pub fn print_with_notes(graph: &Graph, note: &dyn Fn(ValueId) -> Option<String>) -> String {
    Printer { note: Some(note), ..Printer::new(graph, 1) }.print()
}

/// The names that [`print()`] gives to values.
pub fn printed_names(graph: &Graph) -> Names {
    Printer::new(graph, 1).names
}

/// The text of a graph's leaves and of some values with all that these depend on, in the order of the graph: each of them
/// has a line of its own, also a constant. The graph's results are left out.
pub fn print_values(graph: &Graph, values: &[ValueId]) -> String {
    let mut shown = graph.clone();
    shown.retain_outputs(|_| false);
    values.iter().for_each(|value| shown.add_output(Role::Output, format!("{}", value.index()), *value));
    let mut printer = Printer::new(&shown, 1);
    let _ = writeln!(printer.text, "graph {} {{", graph.name());
    shown.values().filter(|&value| shown.leaf(value).is_some()).for_each(|leaf| printer.leaf(leaf));
    for value in printer.lines() {
        printer.text.push_str(INDENT);
        printer.value(value);
    }
    printer.text.push_str("}\n");
    printer.text
}

pub(super) const INDENT: &str = "    ";
const STARRED: &str = "  * ";

/// The part of the text that a value stands in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Forward,
    Backward,
    Tangent,
    Update,
}

impl Section {
    const ALL: [Section; 4] = [Section::Forward, Section::Backward, Section::Tangent, Section::Update];

    fn title(self) -> &'static str {
        match self {
            Section::Forward => "forward",
            Section::Backward => "backward",
            Section::Tangent => "tangent",
            Section::Update => "update",
        }
    }

    /// Where a result of this role stands.
    fn of(role: Role) -> Section {
        match role {
            Role::Output | Role::Loss | Role::Metric => Section::Forward,
            Role::Gradient => Section::Backward,
            Role::Tangent | Role::HessianVector => Section::Tangent,
            Role::Update => Section::Update,
        }
    }

    /// Whether it holds a derivative.
    fn derives(self) -> bool {
        matches!(self, Section::Backward | Section::Tangent)
    }
}

pub(super) struct Printer<'g> {
    pub(super) graph: &'g Graph,
    sections: Vec<Option<Section>>,
    /// Whether a value has a line of its own: all but constants that stand as literals wherever they are used.
    lined: Vec<bool>,
    pub(super) names: Names,
    pub(super) text: String,
    /// How deep the lines are indented.
    pub(super) depth: usize,
    note: Option<&'g dyn Fn(ValueId) -> Option<String>>,
}

impl<'g> Printer<'g> {
    pub(super) fn new(graph: &'g Graph, depth: usize) -> Printer<'g> {
        let sections = sections(graph);
        let lined = lined(graph, &sections);
        let printed = |section| {
            let (sections, lined) = (&sections, &lined);
            graph.values().filter(move |v| lined[v.index()] && sections[v.index()] == Some(section))
        };
        let order = Section::ALL.into_iter().flat_map(printed);
        let names = Names::new(graph, order.flat_map(|value| defined(graph, value)).collect::<Vec<_>>());
        Printer { graph, sections, lined, names, text: String::new(), depth, note: None }
    }

    fn print(mut self) -> String {
        let _ = writeln!(self.text, "graph {} {{", self.graph.name());
        let leaves: Vec<ValueId> = self.graph.values().filter(|&v| self.graph.leaf(v).is_some()).collect();
        leaves.into_iter().for_each(|leaf| self.leaf(leaf));
        Section::ALL.into_iter().for_each(|section| self.section(section));
        self.results();
        self.text.push_str("}\n");
        self.text
    }

    fn leaf(&mut self, value: ValueId) {
        let node = self.graph.node(value);
        let NodeKind::Leaf { kind, init } = &node.kind else { return };
        let _ = write!(self.text, "{INDENT}{} {} : {}", kind.keyword(), self.names.get(value), node.ty);
        if let Some(init) = init {
            let _ = write!(self.text, " = {init}");
        }
        self.text.push('\n');
    }

    fn section(&mut self, section: Section) {
        let in_section = |v: &ValueId| self.sections[v.index()] == Some(section) && self.lined[v.index()];
        let values: Vec<ValueId> =
            self.graph.values().filter(|v| self.graph.leaf(*v).is_none()).filter(in_section).collect();
        if values.is_empty() {
            return;
        }
        let starred: Vec<bool> = values.iter().map(|&value| self.used_later(value, section)).collect();
        let derivative = if self.sections.contains(&Some(Section::Backward)) { "gradient" } else { "tangent" };
        let legend = if starred.contains(&true) { format!(" (* = the {derivative} uses it)") } else { String::new() };
        let _ = writeln!(self.text, "\n{INDENT}// {}{legend}", section.title());
        for (value, starred) in values.into_iter().zip(starred) {
            self.text.push_str(if starred { STARRED } else { INDENT });
            self.value(value);
            if let Some(note) = self.note.and_then(|note| note(value)) {
                self.text.pop();
                let _ = writeln!(self.text, "  // {note}");
            }
        }
    }

    /// The values that have a line, in order.
    pub(super) fn lines(&self) -> Vec<ValueId> {
        self.graph.values().filter(|v| self.graph.leaf(*v).is_none() && self.lined[v.index()]).collect()
    }

    /// Whether a result depends on a value.
    pub(super) fn is_live(&self, value: ValueId) -> bool {
        self.sections[value.index()].is_some()
    }

    /// Whether a derivative uses a value of the forward section by its name; a literal there is no such use.
    fn used_later(&self, value: ValueId, section: Section) -> bool {
        let by_name = |(user, position): (ValueId, usize)| {
            self.sections[user.index()].is_some_and(Section::derives) && literal(self.graph, user, position).is_none()
        };
        let mut defined = defined(self.graph, value).into_iter();
        section == Section::Forward && defined.any(|value| self.graph.users(value).any(by_name))
    }

    pub(super) fn value(&mut self, value: ValueId) {
        let Some(op) = self.graph.op(value) else { return };
        if let Some(scan) = Scan::of(op) {
            return self.scan(value, &scan);
        }
        if let Some(custom) = Custom::of(op) {
            return self.custom(value, &custom);
        }
        let _ = write!(self.text, "{} = ", self.names.get(value));
        let operands: SmallVec<[String; 3]> =
            (0..self.graph.operands(value).len()).map(|position| self.operand(value, op, position)).collect();
        match op.def.notation {
            Notation::Infix(symbol) => {
                let _ = write!(self.text, "{} {symbol} {}", operands[0], operands[1]);
            }
            Notation::Prefix(symbol) => {
                let _ = write!(self.text, "{symbol}{}", operands[0]);
            }
            Notation::Call => {
                let mut arguments: Vec<String> = operands.into_vec();
                arguments.extend(written_attrs(op, self.graph.dtype(value)));
                let _ = write!(self.text, "{}({})", op.def.name, arguments.join(", "));
            }
        }
        let _ = writeln!(self.text, " : {}", self.graph.ty(value));
    }

    pub(super) fn operand(&self, user: ValueId, op: &Op, position: usize) -> String {
        let operand = self.graph.operands(user)[position];
        if let Some(number) = literal(self.graph, user, position) {
            let mut text = String::new();
            let _ = write_number(&mut text, number, self.graph.dtype(operand));
            return text;
        }
        let transposed = op
            .def
            .attrs
            .iter()
            .any(|spec| spec.source == AttrSource::TransposeOf(position) && op.attrs.bool(spec.name));
        format!("{}{}", self.names.get(operand), if transposed { "^T" } else { "" })
    }

    fn results(&mut self) {
        if self.graph.outputs().is_empty() {
            return;
        }
        self.text.push('\n');
        for role in Role::ALL {
            for output in self.graph.outputs_of(role) {
                let value = self.names.get(output.value);
                let _ = writeln!(self.text, "{INDENT}{} {} = {value}", role.keyword(), output.name);
            }
        }
    }
}

/// The values that the line of a value gives a name: itself, or the results that it packs.
fn defined(graph: &Graph, value: ValueId) -> Vec<ValueId> {
    match graph.is_packed(value) {
        true => graph.results_of(value).into_iter().flatten().collect(),
        false => vec![value],
    }
}

fn sections(graph: &Graph) -> Vec<Option<Section>> {
    let of_section = |section: Section| {
        graph.ancestors(graph.outputs().iter().filter(|o| Section::of(o.role) == section).map(|output| output.value))
    };
    let reached = Section::ALL.map(|section| (section, of_section(section)));
    // The first section that needs it.
    let section = |v: ValueId| reached.iter().find(|(_, reached)| reached[v.index()]).map(|(section, _)| *section);
    let mut sections: Vec<Option<Section>> = graph.values().map(section).collect();
    // A constant stands where it is first used by its name, or as a result. Where it is written as a literal does not
    // count: the reader does not know that this is the same value.
    let mut named: Vec<Option<Section>> = vec![None; graph.len()];
    for output in graph.outputs() {
        let section = Section::of(output.role);
        let slot = &mut named[output.value.index()];
        *slot = Some(slot.map_or(section, |earlier| earlier.min(section)));
    }
    for constant in graph.values().filter(|&v| graph.as_full(v).is_some()) {
        let users = graph.users(constant).filter(|&(user, position)| literal(graph, user, position).is_none());
        let sections_of_users = users.filter_map(|(user, _)| sections[user.index()]);
        if let Some(first) = sections_of_users.chain(named[constant.index()]).min() {
            sections[constant.index()] = Some(first);
        }
    }
    sections
}

fn lined(graph: &Graph, sections: &[Option<Section>]) -> Vec<bool> {
    let live = |v: ValueId| sections[v.index()].is_some();
    let is_line = |v: ValueId| live(v) && graph.as_full(v).is_none() && graph.as_result(v).is_none();
    let mut lined: Vec<bool> = graph.values().map(is_line).collect();
    for output in graph.outputs() {
        lined[output.value.index()] = graph.as_result(output.value).is_none();
    }
    for user in graph.values().filter(|&v| live(v)) {
        for (position, operand) in graph.operands(user).iter().enumerate() {
            if literal(graph, user, position).is_none() && graph.as_result(*operand).is_none() {
                lined[operand.index()] = true;
            }
        }
    }
    lined
}

/// The number that operand `position` of `user` is written as, if it is a constant that a literal can stand for.
fn literal(graph: &Graph, user: ValueId, position: usize) -> Option<f64> {
    let (op, operands) = (graph.op(user)?, graph.operands(user));
    let number = graph.as_full(operands[position])?;
    let known: SmallVec<[Option<&TensorType>; 4]> =
        operands.iter().map(|&v| graph.as_full(v).is_none().then(|| graph.ty(v))).collect();
    let ty = literal_type(op, position, &known, graph.ty(user))?;
    // One operand at least is written by name, so that a line is never a computation on literals alone.
    let named = known.iter().any(Option::is_some);
    (named && ty == *graph.ty(operands[position])).then_some(number)
}

/// The attributes that are written. Numbers among them have the element type of the result.
pub(super) fn written_attrs(op: &Op, dtype: DType) -> impl Iterator<Item = String> + '_ {
    let shown = move |value: &Attr| match value {
        Attr::Float(number) => {
            let mut text = String::new();
            let _ = write_number(&mut text, number.get(), dtype);
            text
        }
        other => other.to_string(),
    };
    op.def.attrs.iter().zip(op.attrs.iter()).filter_map(move |(spec, (name, value))| match spec.source {
        AttrSource::Written => Some(format!("{name}={}", shown(value))),
        AttrSource::Positional => Some(shown(value)),
        AttrSource::ResultShape | AttrSource::ResultDType | AttrSource::TransposeOf(_) | AttrSource::Block => None,
    })
}

impl LeafKind {
    /// The keyword in the text form.
    pub fn keyword(self) -> &'static str {
        match self {
            LeafKind::Input => "input",
            LeafKind::Param => "param",
            LeafKind::State => "state",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::print;
    use crate::text::read;

    /// What is printed, read and printed again stays the same text.
    fn check(text: &str) {
        let graph = read(None, text).unwrap_or_else(|error| panic!("{error} at {:?}:\n{text}", error.at));
        let printed = print(&graph);
        assert_eq!(printed, text);
        let again = read(None, &printed).expect("what is printed can be read");
        assert_eq!(print(&again), text);
    }

    #[test]
    fn the_three_sections_round_trip() {
        check(
            "\
graph g {
    input x : f32[4, 3]
    param w : f32[3, 2] = normal(0, 0.5)
    state m : f32[3, 2] = constant(0)

    // forward (* = the gradient uses it)
  * z = x @ w : f32[4, 2]
    y = max(z, 0) : f32[4, 2]
    t1 = z > -0.5 : bool[4, 2]
    t2 = select(t1, y, -inf) : f32[4, 2]
    loss = sum(t2, axes=[0, 1]) : f32[]

    // backward
    d_z = -z : f32[4, 2]
    d_w = x^T @ d_z : f32[3, 2]

    // update
    m_next = m * 0.9 : f32[3, 2]
    w_next = w - m_next : f32[3, 2]

    loss loss = loss
    grad w = d_w
    update w = w_next
    update m = m_next
}
",
        );
    }

    #[test]
    fn constants_that_no_literal_can_stand_for_have_lines() {
        check(
            "\
graph g {
    input c : bool[2]

    // forward
    t1 = full(0.5) : f32[2]
    t2 = select(c, nan, 1) : f32[2]
    t3 = full(1e-10) : f64[]
    t4 = -t1 : f32[2]

    output a = t2
    output b = t3
    output c = t4
}
",
        );
    }

    #[test]
    fn values_that_are_called_as_numbers_get_other_names() {
        use crate::{DType, Graph, Role, TensorType};
        let mut graph = Graph::new("g");
        let x = graph.input("x", TensorType::new(DType::F32, [2]));
        let mut value = x;
        for name in ["inf", "nan", "infinite"] {
            value = graph.exp(value);
            graph.set_value_name(value, name);
        }
        graph.add_output(Role::Output, "y", value);
        let text = print(&graph);
        for line in ["inf_2 = exp(x)", "nan_2 = exp(inf_2)", "infinite = exp(nan_2)"] {
            assert!(text.contains(line), "{text}");
        }
        check(&text);
    }

    #[test]
    fn names_that_meet_get_numbers_under_their_layer() {
        use crate::{DType, Graph, Origin, Role, TensorType};
        let mut graph = Graph::new("g");
        let x = graph.input("x", TensorType::new(DType::F32, [2]));
        let mut h = x;
        for path in ["block.0", "block.1"] {
            let scope = graph.add_scope(path);
            graph.set_origin(Origin { scope, ..Origin::default() });
            h = graph.exp(h);
            h = graph.neg(h);
            graph.set_value_name(h, "h");
        }
        graph.set_origin(Origin::default());
        let y = graph.exp(h);
        graph.set_value_name(y, "x");
        graph.add_output(Role::Output, "y", y);
        let text = print(&graph);
        assert!(text.contains("block.0.h.t1 = exp(x)"), "{text}");
        assert!(text.contains("block.1.h = -block.1.h.t1"), "{text}");
        assert!(text.contains("x_2 = exp(block.1.h)"), "{text}");
        let read = read(None, &text).expect("what is printed can be read");
        assert_eq!(print(&read), text);
    }
}
