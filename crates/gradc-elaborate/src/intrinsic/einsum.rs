//! `einsum("bij,bjk->bik", a, b)`: sums of products by named axes, in Einstein's notation.
//!
//! The equation names the axes of each operand with letters and, after `->`, those of the result; without `->` these are the
//! letters that occur once, in alphabetical order. What is not in the result is summed over. A letter that an operand has
//! twice is its diagonal. `...` stands for the axes that are not named, which are broadcast.
//!
//! Operands are multiplied from left to right, each product as one matrix product with what both have and nothing after needs
//! as the inner axis.

use gradc_diagnostics::{Diagnostic, Span, codes};

use super::Arguments;
use crate::eval::{Evaluator, axes_text, error_at, explain_dims, extent_text};
use crate::int::{Int, shape_of};
use crate::value::{Tensor, Value};

/// The name of an axis: a letter, or the position from the last among those that `...` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Rest(usize),
    Letter(char),
}

/// A tensor whose axes have names, each once.
struct Named {
    id: gradc_ir::ValueId,
    labels: Vec<Label>,
}

/// The equation: for each operand and the result, letters, with the position of `...` among them.
struct Equation {
    operands: Vec<Term>,
    result: Option<Term>,
}

#[derive(Clone, Debug, Default)]
struct Term {
    letters: Vec<char>,
    rest: Option<usize>,
}

/// `einsum(equation, a, b, …)`
pub(super) fn einsum(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>) -> Option<Value> {
    let Value::String(text) = arguments.value(0) else {
        return arguments.wrong(evaluator, 0, "a string such as `\"ij,jk->ik\"`");
    };
    let count = (1..arguments.intrinsic.parameters.len()).take_while(|&at| arguments.given(at).is_some()).count();
    let operands = (1..=count).map(|at| arguments.tensor(evaluator, at)).collect::<Option<Vec<&Tensor>>>()?;
    let equation = match Equation::parse(text) {
        Ok(equation) => equation,
        Err(problem) => return bad_equation(evaluator, arguments, &problem),
    };
    if equation.operands.len() != count {
        let problem = format!("it names {} operands, and there are {count}", equation.operands.len());
        return bad_equation(evaluator, arguments, &problem);
    }
    for (at, operand) in operands.iter().enumerate().skip(1) {
        if operand.dtype != operands[0].dtype {
            let (first, other) = ((operands[0], arguments.place(1)), (*operand, arguments.place(at + 1)));
            evaluator.dtype_mismatch("einsum", arguments.span, first, other);
            return None;
        }
    }
    if !operands[0].dtype.is_float() {
        let (dtype, place) = (operands[0].dtype, arguments.place(1));
        let message = format!("`einsum` takes floats, not {dtype}");
        let diagnostic = error_at(codes::WRONG_DTYPE, message, place, format!("this is `{}`", operands[0]));
        evaluator.report(diagnostic.help("convert it: `cast(…, f32)`"));
        return None;
    }
    let mut sum = Sum { evaluator, arguments, extents: Vec::new() };
    let mut named = Vec::with_capacity(count);
    for (at, (term, operand)) in equation.operands.iter().zip(&operands).enumerate() {
        named.push(sum.named(at, term, operand)?);
    }
    let wanted = sum.wanted(&equation, &named)?;
    sum.check_sizes(&named, &wanted)?;
    let id = sum.product(named, &wanted)?;
    let extents: Vec<Int> = wanted.iter().map(|&label| sum.extent(label)).collect();
    Some(Value::Tensor(evaluator.tensor(id, extents, arguments.span)))
}

fn bad_equation<T>(evaluator: &mut Evaluator<'_>, arguments: &Arguments<'_>, problem: &str) -> Option<T> {
    let message = format!("this equation does not fit: {problem}");
    let diagnostic = error_at(codes::BAD_EINSUM, message, arguments.place(0), "");
    evaluator.report(
        diagnostic.help("for example `\"bij,bjk->bik\"`: letters for the axes of each operand, and for the result"),
    );
    None
}

impl Equation {
    fn parse(text: &str) -> Result<Equation, String> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (operands, result) = match text.split_once("->") {
            Some((operands, result)) => (operands, Some(Term::parse(result)?)),
            None => (&*text, None),
        };
        Ok(Equation { operands: operands.split(',').map(Term::parse).collect::<Result<_, _>>()?, result })
    }
}

impl Term {
    fn parse(text: &str) -> Result<Term, String> {
        let mut term = Term::default();
        let mut left = text;
        while let Some(c) = left.chars().next() {
            if let Some(after) = left.strip_prefix("...") {
                if term.rest.replace(term.letters.len()).is_some() {
                    return Err("`...` is there twice".to_owned());
                }
                left = after;
            } else if c.is_ascii_alphabetic() {
                term.letters.push(c);
                left = &left[1..];
            } else {
                return Err(format!("`{}` is no letter", c.escape_debug()));
            }
        }
        Ok(term)
    }

    /// The names of `rank` axes, if there are as many letters, or fewer and a `...`.
    fn labels(&self, rank: usize) -> Option<Vec<Label>> {
        let open = rank.checked_sub(self.letters.len())?;
        let letter = |c: &char| Label::Letter(*c);
        match self.rest {
            None => (open == 0).then(|| self.letters.iter().map(letter).collect()),
            Some(at) => {
                let before = self.letters[..at].iter().map(letter);
                Some(
                    before
                        .chain((0..open).rev().map(Label::Rest))
                        .chain(self.letters[at..].iter().map(letter))
                        .collect(),
                )
            }
        }
    }
}

/// A sum of products under construction.
struct Sum<'e, 'a, 's> {
    evaluator: &'e mut Evaluator<'a>,
    arguments: &'e Arguments<'s>,
    /// What is known of each axis: its extent, and the place of the operand that said so.
    extents: Vec<(Label, Int, Span)>,
}

impl Sum<'_, '_, '_> {
    fn extent(&self, label: Label) -> Int {
        let known = self.extents.iter().find(|(own, ..)| *own == label);
        known.map_or(Int::literal(1), |(_, extent, _)| extent.clone())
    }

    /// An operand with the names of its axes: diagonals are taken, and broadcast axes of extent 1 removed.
    fn named(&mut self, at: usize, term: &Term, operand: &Tensor) -> Option<Named> {
        let place = self.arguments.place(at + 1);
        let Some(labels) = term.labels(operand.rank()) else {
            let message = format!("the equation names {} of an operand", axes_text(term.letters.len()));
            let label = format!("this is `{operand}`, which has {}", axes_text(operand.rank()));
            let diagnostic = error_at(codes::BAD_EINSUM, message, place, label);
            let diagnostic = diagnostic.secondary(self.arguments.place(0), "in this equation");
            self.evaluator
                .report(diagnostic.help("name every axis with a letter; `...` stands for those without a name"));
            return None;
        };
        for (label, extent) in labels.iter().zip(operand.extents.iter()) {
            self.note(*label, extent, place)?;
        }
        let mut named = Named { id: operand.id, labels };
        self.drop_ones(&mut named, operand);
        while let Some((first, second)) = named.repeated() {
            named = self.diagonal(named, first, second);
        }
        Some(named)
    }

    /// Notes the extent of an axis; it must be the same wherever the axis occurs. Those of `...` are broadcast.
    fn note(&mut self, label: Label, extent: &Int, place: Span) -> Option<()> {
        let Some((_, known, first)) = self.extents.iter_mut().find(|(own, ..)| *own == label) else {
            self.extents.push((label, extent.clone(), place));
            return Some(());
        };
        if known.value() == extent.value() {
            *known = known.more_telling(extent).clone();
            return Some(());
        }
        match label {
            Label::Rest(_) if extent.value() == 1 => return Some(()),
            Label::Rest(_) if known.value() == 1 => {
                (*known, *first) = (extent.clone(), place);
                return Some(());
            }
            Label::Rest(_) | Label::Letter(_) => {}
        }
        let (known, first) = (known.clone(), *first);
        let name = match label {
            Label::Letter(c) => format!("the axis `{c}`"),
            Label::Rest(_) => "an axis of `...`".to_owned(),
        };
        let message = format!("{name} has the extents {} and {}", extent_text(&known), extent_text(extent));
        let diagnostic = match first == place {
            true => error_at(codes::EINSUM_EXTENTS, message, place, "both in this operand"),
            false => error_at(codes::EINSUM_EXTENTS, message, place, format!("here it is {}", extent_text(extent)))
                .secondary(first, format!("here it is {}", extent_text(&known))),
        };
        let diagnostic: Diagnostic = diagnostic.secondary(self.arguments.place(0), "in this equation");
        self.evaluator.report(explain_dims(diagnostic, &[&[known], std::slice::from_ref(extent)]));
        None
    }

    /// Removes axes of `...` of extent 1: what is multiplied with them is broadcast.
    fn drop_ones(&mut self, named: &mut Named, operand: &Tensor) {
        let kept = |at: &usize| !matches!(named.labels[*at], Label::Rest(_)) || operand.extents[*at].value() != 1;
        let kept: Vec<usize> = (0..named.labels.len()).filter(kept).collect();
        if kept.len() < named.labels.len() {
            let extents: Vec<Int> = kept.iter().map(|&at| operand.extents[at].clone()).collect();
            named.id = self.evaluator.reshape(named.id, &shape_of(&extents));
            named.labels = kept.iter().map(|&at| named.labels[at]).collect();
        }
    }

    /// The elements at which two axes of one name have equal positions: every (n + 1)th of the two as one axis.
    fn diagonal(&mut self, named: Named, first: usize, second: usize) -> Named {
        let graph = &mut self.evaluator.graph;
        let rank = named.labels.len();
        let others: Vec<usize> = (0..rank).filter(|&axis| axis != first && axis != second).collect();
        let moved = graph.transpose(named.id, &[&others[..], &[first, second]].concat());
        let n = graph.shape(moved)[rank - 1];
        let mut shape: Vec<usize> = graph.shape(moved)[..rank - 2].to_vec();
        shape.push(n * n);
        let flat = graph.reshape(moved, &shape);
        let mut stride = vec![1; rank - 1];
        stride[rank - 2] = n + 1;
        let id = graph.slice(flat, &vec![0; rank - 1], &shape, &stride);
        let labels = others.iter().map(|&axis| named.labels[axis]).chain([named.labels[first]]).collect();
        Named { id, labels }
    }

    /// The axes of the result.
    fn wanted(&mut self, equation: &Equation, operands: &[Named]) -> Option<Vec<Label>> {
        let mut rests: Vec<Label> = self.extents.iter().map(|(label, ..)| *label).collect();
        rests.retain(|label| matches!(label, Label::Rest(_)));
        rests.sort_unstable();
        rests.reverse();
        let Some(term) = &equation.result else {
            let all: Vec<char> = equation.operands.iter().flat_map(|term| term.letters.clone()).collect();
            let mut once: Vec<char> =
                all.iter().copied().filter(|c| all.iter().filter(|d| *d == c).count() == 1).collect();
            once.sort_unstable();
            return Some(rests.into_iter().chain(once.into_iter().map(Label::Letter)).collect());
        };
        let problem = term.letters.iter().enumerate().find_map(|(at, c)| {
            let known = self.extents.iter().any(|(label, ..)| *label == Label::Letter(*c));
            if !known {
                Some(format!("no operand has the axis `{c}` of the result"))
            } else {
                term.letters[..at].contains(c).then(|| format!("the result has the axis `{c}` twice"))
            }
        });
        let problem = problem.or_else(|| {
            let lost = term.rest.is_none() && !rests.is_empty();
            lost.then(|| "the result has no `...`, which operands have".to_owned())
        });
        if let Some(problem) = problem {
            return bad_equation(self.evaluator, self.arguments, &problem);
        }
        debug_assert!(!operands.is_empty());
        term.labels(term.letters.len() + if term.rest.is_some() { rests.len() } else { 0 })
    }

    /// Refuses what would be too large: the result, and each product on the way to it.
    fn check_sizes(&mut self, operands: &[Named], wanted: &[Label]) -> Option<()> {
        let mut labels: Vec<Label> = Vec::new();
        for (at, operand) in operands.iter().enumerate() {
            labels.extend(operand.labels.iter().filter(|label| !labels.contains(label)).copied().collect::<Vec<_>>());
            let needed =
                |label: &Label| wanted.contains(label) || operands[at + 1..].iter().any(|o| o.labels.contains(label));
            labels.retain(needed);
            let extents: Vec<Int> = labels.iter().map(|&label| self.extent(label)).collect();
            self.evaluator.checked(&extents, self.arguments.span)?;
        }
        let extents: Vec<Int> = wanted.iter().map(|&label| self.extent(label)).collect();
        self.evaluator.checked(&extents, self.arguments.span)
    }

    /// The operands multiplied from left to right, summed over what the result does not have.
    fn product(&mut self, operands: Vec<Named>, wanted: &[Label]) -> Option<gradc_ir::ValueId> {
        let mut left: Option<Named> = None;
        let mut rest: std::collections::VecDeque<Named> = operands.into();
        while let Some(next) = rest.pop_front() {
            let needed =
                |label: &Label| wanted.contains(label) || rest.iter().any(|later| later.labels.contains(label));
            let product = match left.take() {
                None => next,
                Some(left) => self.multiply(left, next, &needed),
            };
            // What neither the result nor a later operand has is summed over.
            left = Some(self.summed(product, needed));
        }
        let product = left?;
        // An axis of `...` that is 1 everywhere was removed from all operands.
        let present: Vec<Label> = wanted.iter().copied().filter(|label| product.labels.contains(label)).collect();
        let id = self.ordered(&product, &present);
        let shape: Vec<usize> = wanted.iter().map(|&label| self.extent(label).extent()).collect();
        Some(self.evaluator.reshape(id, &shape))
    }

    /// Sums over the axes that nothing keeps.
    fn summed(&mut self, value: Named, keep: impl Fn(&Label) -> bool) -> Named {
        let axes: Vec<usize> = (0..value.labels.len()).filter(|&axis| !keep(&value.labels[axis])).collect();
        if axes.is_empty() {
            return value;
        }
        let id = self.evaluator.graph.reduce_sum(value.id, &axes);
        Named { id, labels: value.labels.into_iter().filter(|label| keep(label)).collect() }
    }

    /// The product of two, summed over what both have and nothing needs.
    fn multiply(&mut self, a: Named, b: Named, needed: &dyn Fn(&Label) -> bool) -> Named {
        let a = self.summed(a, |label| needed(label) || b.labels.contains(label));
        let b = self.summed(b, |label| needed(label) || a.labels.contains(label));
        let both = |label: &&Label| b.labels.contains(label);
        let (shared, left): (Vec<Label>, Vec<Label>) = a.labels.iter().partition(|label| both(label));
        let right: Vec<Label> = b.labels.iter().copied().filter(|label| !a.labels.contains(label)).collect();
        let (batch, inner): (Vec<Label>, Vec<Label>) = shared.into_iter().partition(|label| needed(label));
        let labels = [&batch[..], &left, &right].concat();
        let shape: Vec<usize> = labels.iter().map(|&label| self.extent(label).extent()).collect();
        if inner.is_empty() {
            let (x, y) = (self.spread(&a, &labels, &shape), self.spread(&b, &labels, &shape));
            return Named { id: self.evaluator.graph.mul(x, y), labels };
        }
        let count =
            |sum: &Self, labels: &[Label]| labels.iter().map(|&label| sum.extent(label).extent()).product::<usize>();
        let (m, k, n) = (count(self, &left), count(self, &inner), count(self, &right));
        let batch_shape: Vec<usize> = batch.iter().map(|&label| self.extent(label).extent()).collect();
        let x = self.ordered(&a, &[&batch[..], &left, &inner].concat());
        let x = self.evaluator.reshape(x, &[&batch_shape[..], &[m, k]].concat());
        let y = self.ordered(&b, &[&batch[..], &inner, &right].concat());
        let y = self.evaluator.reshape(y, &[&batch_shape[..], &[k, n]].concat());
        let product = self.evaluator.graph.matmul(x, y);
        Named { id: self.evaluator.reshape(product, &shape), labels }
    }

    /// The axes in this order, which has all of them.
    fn ordered(&mut self, value: &Named, labels: &[Label]) -> gradc_ir::ValueId {
        let position = |label: &Label| value.labels.iter().position(|own| own == label);
        let permutation: Vec<usize> = labels.iter().filter_map(position).collect();
        self.evaluator.graph.transpose(value.id, &permutation)
    }

    /// A value along all of these axes, repeated along those it does not have.
    fn spread(&mut self, value: &Named, labels: &[Label], shape: &[usize]) -> gradc_ir::ValueId {
        let own: Vec<Label> = labels.iter().copied().filter(|label| value.labels.contains(label)).collect();
        let ordered = self.ordered(value, &own);
        let axes: Vec<usize> = (0..labels.len()).filter(|&at| own.contains(&labels[at])).collect();
        match axes.len() == labels.len() {
            true => ordered,
            false => self.evaluator.graph.broadcast(ordered, &axes, shape),
        }
    }
}

impl Named {
    /// The positions of a name that is there twice.
    fn repeated(&self) -> Option<(usize, usize)> {
        let second = |first: usize| {
            let later = self.labels[first + 1..].iter().position(|label| *label == self.labels[first])?;
            Some((first, first + 1 + later))
        };
        (0..self.labels.len()).find_map(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_read() {
        let equation = Equation::parse(" b i j , ...jk -> b...k ").unwrap();
        assert_eq!(equation.operands[0].letters, ['b', 'i', 'j']);
        assert_eq!((equation.operands[1].rest, equation.result.unwrap().rest), (Some(0), Some(1)));
        for wrong in ["i1->i", "i..j", "...i...", "ij->i->j", "i;j"] {
            assert!(Equation::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_named_counts_from_the_last_axis() {
        let term = Term::parse("a...b").unwrap();
        let letter = Label::Letter;
        assert_eq!(term.labels(4), Some(vec![letter('a'), Label::Rest(1), Label::Rest(0), letter('b')]));
        assert_eq!(term.labels(1), None);
        assert_eq!(Term::parse("ab").unwrap().labels(3), None);
    }
}
