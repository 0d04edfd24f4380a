//! How a function depends on some of its inputs, as far as its operators say: whether it is linear in them, and what of it
//! is zero where they are.

use crate::op::add::ADD;
use crate::op::custom::Custom;
use crate::op::scan::Scan;
use crate::op::stop_gradient::STOP_GRADIENT;
use crate::{Attr, Body, Graph, Op, ValueId};
use std::collections::BTreeMap;

/// In which operands an operator is linear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Linear {
    /// In none, or nobody has said so.
    #[default]
    No,
    /// In all of them together: `f(a + b, c + d) = f(a, c) + f(b, d)`.
    Together,
    /// In each of them while the others are fixed: a product.
    Each,
    /// In these together while the others are fixed.
    In(&'static [usize]),
}

/// How a value depends on the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependence {
    /// It is zero.
    Zero,
    /// It does not depend on them.
    Fixed,
    /// It is linear in them together.
    Linear,
    /// It is not, or that cannot be seen.
    Other,
}

use Dependence::{Fixed, Other, Zero};

impl Dependence {
    /// Of a sum.
    fn plus(self, other: Dependence) -> Dependence {
        match (self, other) {
            (Zero, a) | (a, Zero) => a,
            (a, b) if a == b => a,
            _ => Other,
        }
    }
}

/// The first value on the way from `inputs` to the results that is not seen to be linear in them together; a result that
/// does not depend on them at all, unless it is zero, is such a value too. A derivative that is stopped on the way is no
/// linear function.
pub(crate) fn first_nonlinear(graph: &Graph, inputs: &[ValueId]) -> Option<ValueId> {
    let inputs = |value: ValueId| if inputs.contains(&value) { Dependence::Linear } else { Fixed };
    let found = dependences(graph, &inputs, &mut Loops::default());
    let live = graph.live();
    let lost = graph.values().find(|value| live[value.index()] && found.of[value.index()] == Other);
    let fixed = || graph.outputs().iter().map(|output| output.value).find(|value| found.of[value.index()] == Fixed);
    lost.or_else(fixed)
}

/// The dependences of the values of a graph, and of packed results.
struct Found {
    of: Vec<Dependence>,
    results: Vec<Vec<Dependence>>,
}

/// What is known of the loops of a graph, by their packed values.
#[derive(Default)]
struct Loops(BTreeMap<ValueId, Known>);

/// How the carries of a loop depend on the inputs, as far as steps have been looked at, and those of the loops within it.
/// What enters a loop is looked at again with more dependences, never with fewer, and its results only grow with it: so what
/// was known stays true, and each carry changes at most twice in all. Begun anew, loops would be gone through as often as
/// those around them together, for each of their carries: a power with the depth.
#[derive(Default)]
struct Known {
    carries: Vec<Dependence>,
    within: Loops,
}

fn dependences(graph: &Graph, inputs: &dyn Fn(ValueId) -> Dependence, loops: &mut Loops) -> Found {
    let mut found = Found { of: Vec::with_capacity(graph.len()), results: vec![Vec::new(); graph.len()] };
    for value in graph.values() {
        let dependence = match graph.op(value) {
            None => inputs(value),
            Some(op) => {
                let operands: Vec<Dependence> =
                    graph.operands(value).iter().map(|operand| found.of[operand.index()]).collect();
                if let Some((packed, index)) = graph.as_result(value) {
                    found.results[packed.index()][index]
                } else if graph.is_packed(value) {
                    let custom = || Custom::of(op).map(|custom| of_custom(&custom, &operands));
                    let mut scanned = |scan: Scan| of_loop(&scan, operands.clone(), loops.0.entry(value).or_default());
                    let results = Scan::of(op).map(&mut scanned).or_else(custom);
                    // What is packed is read by its results alone.
                    found.results[value.index()] = results.unwrap_or_default();
                    Zero
                } else {
                    of_operator(graph, value, op, &operands)
                }
            }
        };
        found.of.push(dependence);
    }
    found
}

fn of_operator(graph: &Graph, value: ValueId, op: &Op, operands: &[Dependence]) -> Dependence {
    if graph.as_full(value) == Some(0.0) {
        return Zero;
    }
    let is_fixed = |dependence: &Dependence| matches!(dependence, Zero | Fixed);
    let zero = operands.iter().all(|dependence| *dependence == Zero);
    if operands.iter().all(is_fixed) {
        let keeps_zero = match op.def.algebra.linear {
            Linear::Together => zero && !operands.is_empty(),
            Linear::Each => operands.contains(&Zero),
            Linear::In(list) => list.iter().all(|&i| operands[i] == Zero) && fills_with_zero(op),
            Linear::No => false,
        };
        return if keeps_zero { Zero } else { Fixed };
    }
    if op.is(&STOP_GRADIENT) || !graph.dtype(value).is_float() {
        return Other;
    }
    let sum = |mut dependences: Box<dyn Iterator<Item = Dependence> + '_>| {
        dependences.try_fold(Zero, |sum, next| Some(sum.plus(next)).filter(|sum| *sum != Other))
    };
    let result = match op.def.algebra.linear {
        Linear::No => None,
        Linear::Together => sum(Box::new(operands.iter().copied())),
        Linear::Each => match operands {
            _ if operands.iter().filter(|dependence| !is_fixed(dependence)).count() > 1 => None,
            _ if operands.contains(&Zero) => Some(Zero),
            _ => operands.iter().copied().find(|dependence| !is_fixed(dependence)),
        },
        Linear::In(list) => {
            let rest_is_fixed = (0..operands.len()).all(|i| list.contains(&i) || is_fixed(&operands[i]));
            let together = sum(Box::new(list.iter().map(|&i| operands[i])));
            together.filter(|_| rest_is_fixed && fills_with_zero(op))
        }
    };
    result.unwrap_or(Other)
}

/// Whether what an operator adds to the elements of its operand is zero.
fn fills_with_zero(op: &Op) -> bool {
    op.attrs.iter().all(|(_, attr)| !matches!(attr, Attr::Float(number) if number.get() != 0.0))
}

/// Of the results of a loop.
fn of_loop(scan: &Scan, mut operands: Vec<Dependence>, known: &mut Known) -> Vec<Dependence> {
    operands.iter_mut().zip(&known.carries).for_each(|(operand, known)| *operand = operand.plus(*known));
    loop {
        let given = |value: ValueId| {
            let position = scan.body.inputs().iter().position(|&input| input == value);
            position.map_or(Other, |position| operands[position])
        };
        let found = dependences(scan.body.graph(), &given, &mut known.within);
        let results: Vec<Dependence> = scan.body.results().map(|value| found.of[value.index()]).collect();
        let carried: Vec<Dependence> = (0..scan.carries).map(|index| operands[index].plus(results[index])).collect();
        if carried == operands[..scan.carries] {
            known.carries.clone_from(&carried);
            return carried.into_iter().chain(results.into_iter().skip(scan.carries)).collect();
        }
        operands.splice(..scan.carries, carried);
    }
}

/// Of values with a rule of their own: how they depend on anything is the rule's to say.
fn of_custom(custom: &Custom, operands: &[Dependence]) -> Vec<Dependence> {
    let fixed = operands.iter().all(|dependence| matches!(dependence, Zero | Fixed));
    operands[..custom.results].iter().map(|&value| if fixed { value } else { Other }).collect()
}

impl Body {
    /// The function where these inputs are zero, as an absence is: what is linear in them is zero too, whatever it is
    /// multiplied by. The inputs are still there, and nothing reads them. With whether each result is zero for that reason.
    pub fn where_absent(&self, absent: &[ValueId]) -> (Body, Vec<bool>) {
        let (graph, vanishes) = where_absent(self.graph(), &|value| absent.contains(&value));
        let body = Body::new(&graph).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
        (body, self.results().map(|result| vanishes[result.index()]).collect())
    }
}

/// A graph where some of its inputs are zero, and which of its values are zero because of that.
fn where_absent(graph: &Graph, absent: &dyn Fn(ValueId) -> bool) -> (Graph, Vec<bool>) {
    let found = dependences(graph, &|value| if absent(value) { Zero } else { Fixed }, &mut Loops::default());
    let after = graph.descendants(graph.values().filter(|&value| graph.leaf(value).is_some() && absent(value)));
    let vanishes: Vec<bool> = graph
        .values()
        .map(|value| after[value.index()] && found.of[value.index()] == Zero && !graph.is_packed(value))
        .collect();
    let mut new = graph.emptied();
    let mut copies: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let operands = graph.operands(value);
        let present = |operand: &&ValueId| !vanishes[operand.index()];
        new.set_origin(graph.node(value).origin);
        let copy = |new: &mut Graph, op: Option<Op>| {
            let mut operand = |operand: ValueId| match vanishes[operand.index()] {
                true => new.full(0.0, graph.ty(operand)),
                false => copies[operand.index()],
            };
            let operands: Vec<ValueId> = operands.iter().map(|&value| operand(value)).collect();
            match op {
                Some(op) => new.emit(op, &operands),
                None => new.copy_node(graph, value, &operands),
            }
        };
        let own = match graph.op(value) {
            None => copy(&mut new, None),
            Some(_) if vanishes[value.index()] => new.full(0.0, graph.ty(value)),
            Some(op) if op.is(&ADD) && operands.iter().filter(present).count() == 1 => {
                operands.iter().find(present).map(|operand| copies[operand.index()]).expect("there is one")
            }
            Some(op) => match Scan::of(op) {
                Some(scan) => {
                    let gone = |index: usize| match index < scan.carries {
                        true => found.results[value.index()][index] == Zero,
                        false => vanishes[operands[index].index()],
                    };
                    let inputs = scan.body.inputs().to_vec();
                    let absent: Vec<ValueId> = (0..inputs.len()).filter(|&i| gone(i)).map(|i| inputs[i]).collect();
                    let (body, _) = scan.body.where_absent(&absent);
                    copy(&mut new, Some(Scan { body, ..scan }.op()))
                }
                None => copy(&mut new, None),
            },
        };
        copies.push(own);
    }
    for output in graph.outputs() {
        let value = output.value.index();
        let result = if vanishes[value] { new.full(0.0, graph.ty(output.value)) } else { copies[value] };
        new.add_output(output.role, output.name.clone(), result);
    }
    (new, vanishes)
}

#[cfg(test)]
mod tests {
    use crate::text::{print, read};
    use crate::{Body, Graph, ValueId};

    /// The name of the value at which linearity in `g` is lost.
    fn lost(lines: &str) -> Option<String> {
        let leaves = "input x : f64[3]\ninput g : f64[3]\ninput c : bool[3]\n";
        let text = format!("graph rule {{\n{leaves}{lines}\noutput r = r\n}}\n");
        let graph: Graph = read(None, &text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let g: ValueId = graph.find_value("g").expect("it is an input");
        super::first_nonlinear(&graph, &[g]).map(|value| graph.value_name(value).expect("all have names").to_string())
    }

    #[test]
    fn what_is_linear_is_seen_to_be() {
        for lines in [
            "r = g * x : f64[3]",
            "t = exp(x) : f64[3]\nu = t * g : f64[3]\nr = u / x : f64[3]",
            "t = g + g : f64[3]\nr = -t : f64[3]",
            "s = sum(g, axes=[0]) : f64[]\nt = broadcast(s, axes=[]) : f64[3]\nr = t - g : f64[3]",
            "r = select(c, g, 0) : f64[3]",
            "r = pad(g, low=[1], high=[1], interior=[0], value=0) : f64[5]",
            "z = full(0) : f64[3]\nr = z * x : f64[3]",
            "r = scan(length=2, reverse=false) {\ncarry s : f64[3] = 0\nconst k : f64[3] = x\nconst g : f64[3] = g\n\
             t = g * k : f64[3]\nu = s + t : f64[3]\nnext s = u\n} : f64[3]",
        ] {
            assert_eq!(lost(lines), None, "{lines}");
        }
    }

    #[test]
    fn what_is_not_is_found_where_it_is_lost() {
        for (lines, value) in [
            ("r = g * g : f64[3]", "r"),
            ("t = tanh(g) : f64[3]\nr = t * x : f64[3]", "t"),
            ("r = g + x : f64[3]", "r"),
            ("r = exp(x) : f64[3]", "r"),
            ("r = x / g : f64[3]", "r"),
            ("r = max(g, 0) : f64[3]", "r"),
            ("r = select(c, g, 1) : f64[3]", "r"),
            ("t = g > 0 : bool[3]\nr = select(t, g, 0) : f64[3]", "t"),
            ("t = stop_gradient(g) : f64[3]\nr = t * x : f64[3]", "t"),
            ("r = pad(g, low=[1], high=[1], interior=[0], value=1) : f64[5]", "r"),
            (
                "r = scan(length=2, reverse=false) {\ncarry s : f64[3] = x\nconst g : f64[3] = g\n\
                 u = s + g : f64[3]\nnext s = u\n} : f64[3]",
                "r",
            ),
        ] {
            assert_eq!(lost(lines).as_deref(), Some(value), "{lines}");
        }
    }

    /// Loops in loops, each of which hands what is within it through all its carries.
    fn nested(depth: usize, innermost: &str) -> String {
        const CARRIES: usize = 20;
        if depth == 0 {
            return innermost.to_owned();
        }
        let lines = |line: &dyn Fn(usize) -> String| (0..CARRIES).map(line).collect::<String>();
        format!(
            "r{unused} = scan(length=2, reverse=false) {{\n{carries}const g : f64[3] = g\n{within}\n{next}}} : f64[3]{types}",
            unused = ", _".repeat(CARRIES - 1),
            carries = lines(&|i| format!("carry c{i} : f64[3] = 0\n")),
            within = nested(depth - 1, innermost),
            next = lines(&|i| match i + 1 {
                CARRIES => format!("next c{i} = r\n"),
                after => format!("next c{i} = c{after}\n"),
            }),
            types = ", f64[3]".repeat(CARRIES - 1),
        )
    }

    /// Gone through anew in each step of those around them, the innermost loops would be so 20^8 times.
    #[test]
    fn loops_in_loops_are_not_begun_anew() {
        assert_eq!(lost(&nested(8, "r = g + g : f64[3]")), None);
        assert_eq!(lost(&nested(8, "r = g * g : f64[3]")).as_deref(), Some("r"));
    }

    const ABSENT: &str = "\
graph rule {
    input x : f64[3]
    input g : f64[3]
    input h : f64[3]

    // forward
    t1 = h * x : f64[3]
    sum = sum(t1, axes=[0]) : f64[]
    t2 = tanh(h) : f64[3]
    a = g + t1 : f64[3]
    b = t2 * x : f64[3]
    last, all = scan(length=3, reverse=false) {
        carry s : f64[] = 0
        slice x : f64[] = x
        slice g : f64[] = g
        slice h : f64[] = h

        t1 = h * x : f64[]
        t2 = s + t1 : f64[]
        t3 = g * x : f64[]
        t4 = t3 + t2 : f64[]

        next s = t2
        stack all = t4
    } : f64[], f64[3]
    c = -all : f64[3]

    output sum = sum
    output a = a
    output b = b
    output last = last
    output c = c
}
";

    const WITHOUT: &str = "\
graph rule {
    input x : f64[3]
    input g : f64[3]
    input h : f64[3]

    // forward
    t2.t1 = full(0) : f64[3]
    t2 = tanh(t2.t1) : f64[3]
    b = t2 * x : f64[3]
    _, all = scan(length=3, reverse=false) {
        carry s : f64[] = 0
        slice x : f64[] = x
        slice g : f64[] = g
        slice h : f64[] = 0

        t3 = g * x : f64[]
        s.t1 = full(0) : f64[]

        next s = s.t1
        stack all = t3
    } : f64[], f64[3]
    c = -all : f64[3]
    sum.t1 = full(0) : f64[]
    last.t1 = full(0) : f64[]

    output sum = sum.t1
    output a = g
    output b = b
    output last = last.t1
    output c = c
}
";

    /// What is linear in an absence is one itself, in loops too; what is not is computed of zeros.
    #[test]
    fn what_is_made_of_an_absence_is_gone() {
        let graph = read(None, ABSENT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(print(&graph), ABSENT);
        let body = Body::new(&graph).expect("it is a function");
        let h = body.graph().find_value("h").expect("it is an input");
        let (rest, vanishes) = body.where_absent(&[h]);
        assert_eq!(vanishes, [true, false, false, true, false]);
        assert_eq!(print(rest.graph()), WITHOUT);
        // Nothing vanishes of itself.
        assert_eq!(body.where_absent(&[]).0, body);
    }
}
