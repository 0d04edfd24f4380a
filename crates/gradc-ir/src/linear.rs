//! Whether a function is linear in one of its inputs, as far as its operators say.

use crate::op::custom::CUSTOM;
use crate::op::scan::Scan;
use crate::op::stop_gradient::STOP_GRADIENT;
use crate::{Attr, Graph, Op, ValueId};

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

/// How a value depends on the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependence {
    /// It is zero.
    Zero,
    /// It does not depend on it.
    Fixed,
    /// It is linear in it.
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

/// The first value on the way from `input` to the results that is not seen to be linear in it; a result that does not depend
/// on it at all, unless it is zero, is such a value too. A derivative that is stopped on the way is no linear function.
pub(crate) fn first_nonlinear(graph: &Graph, input: ValueId) -> Option<ValueId> {
    let inputs = |value: ValueId| if value == input { Dependence::Linear } else { Fixed };
    let found = dependences(graph, &inputs);
    let live = graph.live();
    let lost = graph.values().find(|value| live[value.index()] && found.of[value.index()] == Other);
    let fixed = || graph.outputs().iter().map(|output| output.value).find(|value| found.of[value.index()] == Fixed);
    lost.or_else(fixed)
}

/// The dependences of the values of a graph, and of the results of its loops.
struct Found {
    of: Vec<Dependence>,
    results: Vec<Vec<Dependence>>,
}

fn dependences(graph: &Graph, inputs: &dyn Fn(ValueId) -> Dependence) -> Found {
    let mut found = Found { of: Vec::with_capacity(graph.len()), results: vec![Vec::new(); graph.len()] };
    for value in graph.values() {
        let dependence = match graph.op(value) {
            None => inputs(value),
            Some(op) => {
                let operands: Vec<Dependence> =
                    graph.operands(value).iter().map(|operand| found.of[operand.index()]).collect();
                if let Some((scan, index)) = graph.as_scan_result(value) {
                    found.results[scan.index()][index]
                } else if let Some(scan) = Scan::of(op) {
                    let results = of_loop(&scan, operands);
                    // The loop itself is read by its results alone.
                    found.results[value.index()] = results;
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
    if op.is(&STOP_GRADIENT) || op.is(&CUSTOM) || !graph.dtype(value).is_float() {
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
fn of_loop(scan: &Scan, mut operands: Vec<Dependence>) -> Vec<Dependence> {
    loop {
        let given = |value: ValueId| {
            let position = scan.body.inputs().iter().position(|&input| input == value);
            position.map_or(Other, |position| operands[position])
        };
        let found = dependences(scan.body.graph(), &given);
        let results: Vec<Dependence> = scan.body.results().map(|value| found.of[value.index()]).collect();
        let carried: Vec<Dependence> = (0..scan.carries).map(|index| operands[index].plus(results[index])).collect();
        if carried == operands[..scan.carries] {
            return carried.into_iter().chain(results.into_iter().skip(scan.carries)).collect();
        }
        operands.splice(..scan.carries, carried);
    }
}

#[cfg(test)]
mod tests {
    use crate::text::read;
    use crate::{Graph, ValueId};

    /// The name of the value at which linearity in `g` is lost.
    fn lost(lines: &str) -> Option<String> {
        let leaves = "input x : f64[3]\ninput g : f64[3]\ninput c : bool[3]\n";
        let text = format!("graph rule {{\n{leaves}{lines}\noutput r = r\n}}\n");
        let graph: Graph = read(None, &text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let g: ValueId = graph.find_value("g").expect("it is an input");
        super::first_nonlinear(&graph, g).map(|value| graph.value_name(value).expect("all have names").to_string())
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
}
