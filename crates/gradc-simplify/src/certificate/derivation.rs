//! Derivations for people: from a value as it was to the value as it is, one equation a line.
//!
//! A value of the result is called by its name wherever it occurs, so that each derivation is about one value: what its
//! operands were before has a derivation of its own.

use std::collections::BTreeMap;
use std::fmt;

use egg::Id;
use gradc_ir::{Graph, Role, ValueId, text};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Reasons;
use super::closure::{Closure, Reason};
use super::notation::Notation;
use super::record::{Placing, Proof, RegionProof, Use};
use super::text::{FOLD, LOOP, REORDER};
use super::theory::{Found, Theory};
use crate::rules::{FpClass, Rule};
use crate::term::Term;

/// How a value came to be what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Derivation {
    /// The value's name in the printed graph.
    pub name: String,
    /// Whether there was such a value before. If not, the derivation is that of the first value of the result that was made
    /// together with it.
    pub of: String,
    /// What it was, and what became of it, line by line; a single line where nothing did.
    pub lines: Vec<Line>,
}

/// One line of a derivation: equal to the line before it, for this reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The value.
    pub expression: String,
    /// Why; none for the first.
    pub by: Option<Because>,
}

/// Why two lines are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Because {
    /// The rule's name.
    pub rule: &'static str,
    /// In which sense they are equal.
    pub class: FpClass,
    /// Why the rule is right.
    pub reason: &'static str,
    /// Whether the rule was used from right to left.
    pub backwards: bool,
}

/// How wide a formula may be that the reason stands beside.
const FORMULA: usize = 60;

impl fmt::Display for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of != self.name {
            writeln!(f, "{} comes about in the derivation of {}:", self.name, self.of)?;
        }
        let width = |line: &Line| line.expression.chars().count();
        let column = self.lines.iter().map(width).filter(|&width| width <= FORMULA).max().unwrap_or(0);
        let margin = self.of.chars().count();
        for line in &self.lines {
            let Some(by) = &line.by else {
                writeln!(f, "{} = {}", self.of, line.expression)?;
                continue;
            };
            write!(f, "{:margin$} = ", "")?;
            if width(line) <= FORMULA {
                write!(f, "{:<column$}   ", line.expression)?;
            } else {
                write!(f, "{}\n{:margin$}       ", line.expression, "")?;
            }
            let backwards = if by.backwards { ", from right to left" } else { "" };
            writeln!(f, "by {} ({}){backwards}: {}", by.rule, by.class.name(), by.reason)?;
        }
        if self.lines.len() < 2 {
            writeln!(f, "no rule has changed it")?;
        }
        Ok(())
    }
}

/// A derivation of more lines is cut short.
const MAX_LINES: usize = 500;

/// One step: the term after it, and why.
#[derive(Clone, Copy)]
struct Move {
    term: Id,
    because: Because,
}

/// What terms are called, by their class, in the derivation of one of them, which is not called by its own name.
struct Named<'n> {
    names: &'n FxHashMap<Id, String>,
    own: Id,
}

impl Named<'_> {
    fn name(&self, closure: &Closure, id: Id) -> Option<&str> {
        let root = closure.root(id);
        if root == closure.root(self.own) { None } else { self.names.get(&root).map(String::as_str) }
    }
}

impl Reasons {
    /// The names of the result's values as they are printed.
    fn printed(&self) -> BTreeMap<ValueId, String> {
        let names = text::printed_names(&self.result);
        let named = |value: ValueId| Some((value, names.known(value)?.to_owned()));
        self.result.values().filter_map(named).collect()
    }

    /// How the value of this name in the printed result came to be what it is; also the gradient `d_x` by the name of `x`.
    pub fn explain(&mut self, name: &str) -> Option<Derivation> {
        let printed = self.printed();
        let value = printed.iter().find(|(_, known)| *known == name).map(|(value, _)| *value);
        let value = value.or_else(|| gradient(&self.result, name))?;
        let shown = printed.get(&value).cloned().unwrap_or_else(|| name.to_owned());
        let of = self.origin_of(value, &printed);
        let of_name = printed.get(&of).cloned().unwrap_or_else(|| shown.clone());
        let lines = self.lines(of, &self.class_names(&printed))?;
        Some(Derivation { name: shown, of: of_name, lines: lines.into_iter().map(|(_, line)| line).collect() })
    }

    /// Whether the value of this name in the printed result has it from the program, and not from what it is a part of: then what is
    /// so called in another printed graph is the same value.
    pub fn is_named(&self, name: &str) -> bool {
        let printed = self.printed();
        let mut named = printed.iter().filter(|(_, known)| *known == name);
        named.any(|(value, _)| self.result.leaf(*value).is_some() || self.result.value_name(*value).is_some())
    }

    /// Where a value of this name is one of a loop's steps, which have derivations of no value: what that loop gives, by the names
    /// in the printed result.
    pub fn loop_with(&self, name: &str) -> Option<Vec<String>> {
        let printed = self.printed();
        let is_around =
            |packed: &ValueId| self.result.as_scan(*packed).is_some_and(|scan| has_in_steps(scan.body.graph(), name));
        let packed = self.result.values().find(is_around)?;
        let results = self.result.results_of(packed).into_iter().flatten();
        Some(results.filter_map(|result| printed.get(&result).cloned()).collect())
    }

    /// For each value of the result, the rules that made it, in order; none where it is what it was.
    pub fn blame(&mut self) -> Vec<Vec<&'static str>> {
        let printed = self.printed();
        let names = self.class_names(&printed);
        let mut blamed: Vec<Vec<&'static str>> = vec![Vec::new(); self.result.len()];
        for value in printed.keys().copied().filter(|&value| self.result.op(value).is_some()).collect::<Vec<_>>() {
            let of = self.origin_of(value, &printed);
            let Some(lines) = self.lines(of, &names) else { continue };
            let own = self.proof.result[value.index()].filter(|_| of != value);
            let makes_it = |pair: &&[(Id, Line)]| {
                own.is_none_or(|own| !self.contains(pair[0].0, own) && self.contains(pair[1].0, own))
            };
            let rule = |line: &Line| line.by.filter(|by| *by != LIKEWISE).map(|by| by.rule);
            let mut rules: Vec<&'static str> =
                lines.windows(2).filter(makes_it).filter_map(|pair| rule(&pair[1].1)).collect();
            if rules.is_empty() {
                // It was there all along, in the operands of what was rewritten.
                rules = lines.iter().filter_map(|(_, line)| rule(line)).collect();
            }
            let slot = &mut blamed[value.index()];
            for rule in rules {
                if !slot.contains(&rule) {
                    slot.push(rule);
                }
            }
        }
        // The line of a loop is that of all its results.
        for packed in self.result.values().filter(|&value| self.result.is_packed(value)) {
            let results = self.result.results_of(packed).into_iter().flatten();
            let mut rules: Vec<&'static str> = results.flat_map(|result| blamed[result.index()].clone()).collect();
            rules.sort_unstable();
            rules.dedup();
            blamed[packed.index()] = rules;
        }
        blamed
    }

    /// The derivation of a value that was there before, each line with its term.
    fn lines(&mut self, value: ValueId, names: &FxHashMap<Id, String>) -> Option<Vec<(Id, Line)>> {
        let (first, moves) = self.moves(value, names)?;
        let named = Named { names, own: first };
        let closure = &self.proof.theory.closure;
        let notation = Notation::new(closure, |id| named.name(closure, id).map(str::to_owned));
        let mut lines = vec![(first, Line { expression: notation.show(first), by: None })];
        for step in moves.into_iter().take(MAX_LINES) {
            let expression = notation.show(step.term);
            match lines.iter().position(|(_, line)| line.expression == expression) {
                // What leads back to where it was already is a detour.
                Some(known) => lines.truncate(known + 1),
                None => lines.push((step.term, Line { expression, by: Some(step.because) })),
            }
        }
        Some(lines)
    }

    /// Whether two terms apply the same operator to equal operands.
    fn are_alike(&self, a: Id, b: Id) -> bool {
        let closure = &self.proof.theory.closure;
        let (a, b) = (closure.term(a), closure.term(b));
        let same = |(a, b): (&Id, &Id)| closure.are_equal(*a, *b);
        let (own, others) = (a.operands(), b.operands());
        let swapped = || own.len() == 2 && is_commutative(a) && own.iter().zip(others.iter().rev()).all(same);
        a.op() == b.op() && own.len() == others.len() && (own.iter().zip(others).all(same) || swapped())
    }

    /// Whether a term has another among those that it is made of, up to equality.
    fn contains(&self, term: Id, part: Id) -> bool {
        let closure = &self.proof.theory.closure;
        let mut seen: FxHashSet<Id> = FxHashSet::default();
        let mut stack = vec![term];
        while let Some(id) = stack.pop() {
            if closure.are_equal(id, part) {
                return true;
            }
            if seen.insert(id) && seen.len() < 4096 {
                stack.extend(closure.term(id).operands());
            }
        }
        false
    }

    /// The value itself if it was there before, else the first that depends on it and was.
    fn origin_of(&self, value: ValueId, printed: &BTreeMap<ValueId, String>) -> ValueId {
        let below = self.result.descendants([value]);
        let candidates = self.result.values().filter(|user| below[user.index()] && printed.contains_key(user));
        let mut candidates = candidates.filter(|&user| self.counterpart(user).is_some());
        candidates.next().unwrap_or(value)
    }

    /// The term that a value of the result was before. Of those that are equal to it, it is the one that is written in the same
    /// way, for then it is what it was; else the one of its name; else the last.
    fn counterpart(&self, value: ValueId) -> Option<Id> {
        let closure = &self.proof.theory.closure;
        let is = self.proof.result[value.index()]?;
        let was = self.raw.values().filter(|raw| self.raw.op(*raw).is_some());
        let was = was.filter_map(|raw| Some((raw, self.proof.raw[raw.index()]?)));
        let equal: Vec<(ValueId, Id)> = was.filter(|&(_, id)| closure.are_equal(id, is)).collect();
        let name = self.result.value_name(value);
        let alike = equal.iter().find(|(_, id)| self.are_alike(*id, is));
        let named = || equal.iter().find(|(raw, _)| name.is_some() && self.raw.value_name(*raw) == name);
        alike.or_else(named).or(equal.last()).map(|&(_, id)| id)
    }

    /// The names of the result's values by the classes of their terms; numbers stand for themselves.
    fn class_names(&self, printed: &BTreeMap<ValueId, String>) -> FxHashMap<Id, String> {
        let closure = &self.proof.theory.closure;
        let mut names: FxHashMap<Id, String> = FxHashMap::default();
        for (value, name) in printed {
            if let Some(id) = self.proof.result[value.index()].filter(|&id| closure.literal_of(id).is_none()) {
                names.entry(closure.root(id)).or_insert_with(|| name.clone());
            }
        }
        names
    }

    /// What a value was, and every step to what it is.
    fn moves(&mut self, value: ValueId, names: &FxHashMap<Id, String>) -> Option<(Id, Vec<Move>)> {
        let (was, is) = (self.counterpart(value)?, self.proof.result[value.index()]?);
        let named = Named { names, own: was };
        let Proof { theory, regions, uses, .. } = &mut self.proof;
        let mut moves = Vec::new();
        let mut shown = Shown::default();
        chain(theory, was, is, &mut Main { regions, uses, named: &named }, &mut shown, &mut moves);
        Some((was, moves))
    }
}

fn is_commutative(term: &Term) -> bool {
    term.op().is_some_and(|op| op.def.algebra.commutative)
}

/// The gradient by `x`, for `d_x`.
fn gradient(graph: &Graph, name: &str) -> Option<ValueId> {
    let of = name.strip_prefix("d_")?;
    graph.outputs_of(Role::Gradient).find(|output| *output.name == *of).map(|output| output.value)
}

/// Whether the body of a loop, or of a loop within it, has a value that is printed by this name.
fn has_in_steps(body: &Graph, name: &str) -> bool {
    let names = text::printed_names(body);
    body.values().any(|value| names.known(value) == Some(name))
        || body.values().filter_map(|value| body.as_scan(value)).any(|scan| has_in_steps(scan.body.graph(), name))
}

/// What a chain asks about the place that it is in.
trait Guide {
    /// Whether a term is called by a name, so that nothing is said about what is within.
    fn is_named(&mut self, theory: &Theory, term: Id) -> bool;

    /// The steps that a step stands for, from the term that it begins with, if it stands for several.
    fn expand(&mut self, theory: &mut Theory, step: usize, from: Id) -> Option<Vec<Move>>;
}

/// Pairs of terms between which every step has been shown.
type Shown = FxHashSet<(Id, Id)>;

/// What was shown of another part of the formula.
const LIKEWISE: Because = Because {
    rule: "the same steps",
    class: FpClass::Strict,
    reason: "this part of it occurs more than once",
    backwards: false,
};

/// Every step from one term to an equal one.
fn chain(theory: &mut Theory, from: Id, to: Id, guide: &mut dyn Guide, shown: &mut Shown, moves: &mut Vec<Move>) {
    for (from, to, reason) in theory.closure.path(from, to) {
        match reason {
            Reason::Step(step) => match guide.expand(theory, step, from) {
                Some(expanded) => moves.extend(expanded),
                None => moves.push(Move { term: to, because: because(&theory.steps[step], from) }),
            },
            Reason::Congruence(swapped) => {
                let Term::Apply(op, _) = theory.closure.term(from).clone() else { continue };
                let pairs = theory.closure.operand_pairs(from, to, swapped);
                let mut operands: Vec<Id> = pairs.iter().map(|&(before, _)| before).collect();
                for (position, (before, after)) in pairs.into_iter().enumerate() {
                    if before != after && !guide.is_named(theory, before) {
                        let mut inner = Vec::new();
                        chain(theory, before, after, guide, shown, &mut inner);
                        if !shown.insert((before, after)) && inner.len() > 1 {
                            inner = vec![Move { term: after, because: LIKEWISE }];
                        }
                        for step in inner {
                            operands[position] = step.term;
                            let term = theory.insert(Term::apply(op.clone(), operands.iter().copied()));
                            moves.push(Move { term, ..step });
                        }
                    }
                    operands[position] = after;
                }
            }
        }
        if moves.len() > 4 * MAX_LINES {
            return;
        }
    }
}

fn because(found: &Found, from: Id) -> Because {
    let backwards = found.sides().is_some_and(|(left, _)| left != from);
    let of = |rule: &'static Rule| Because { rule: rule.name, class: rule.class, reason: rule.reason, backwards };
    let plain = |rule, class, reason| Because { rule, class, reason, backwards: false };
    match found {
        Found::Rule { rule, .. } | Found::Learnt { rule, .. } => of(rule),
        Found::Fold { .. } => plain(FOLD, FpClass::Strict, "an operator on numbers is a number"),
        Found::Reorder { .. } => plain(REORDER, FpClass::Accurate, "the same terms, added up in another order"),
        Found::Loop { .. } => plain(LOOP, FpClass::Strict, "what the loop has become; checked by computing both"),
        Found::Claim { .. } => unreachable!("claims are expanded"),
    }
}

/// The graph as a whole.
struct Main<'p> {
    regions: &'p mut [RegionProof],
    uses: &'p [Use],
    named: &'p Named<'p>,
}

impl Guide for Main<'_> {
    fn is_named(&mut self, theory: &Theory, term: Id) -> bool {
        self.named.name(&theory.closure, term).is_some()
    }

    fn expand(&mut self, theory: &mut Theory, step: usize, from: Id) -> Option<Vec<Move>> {
        let Found::Claim { site, claim, left, .. } = theory.steps[step] else { return None };
        let Use { region, inputs } = &self.uses[site];
        let region = &mut self.regions[*region];
        let (first, last) = region.claims[claim];
        let (first, last) = if from == left { (first, last) } else { (last, first) };
        let mut guide =
            Within { main: theory, named: self.named, placing: Placing { inputs, placed: FxHashMap::default() } };
        let mut moves = Vec::new();
        chain(&mut region.theory, first, last, &mut guide, &mut Shown::default(), &mut moves);
        let mut place = |id: Id| guide.placing.place(guide.main, &region.theory, id);
        Some(moves.into_iter().map(|step| Move { term: place(step.term), ..step }).collect())
    }
}

/// A region where it is used.
struct Within<'p> {
    main: &'p mut Theory,
    named: &'p Named<'p>,
    placing: Placing<'p>,
}

impl Guide for Within<'_> {
    fn is_named(&mut self, theory: &Theory, term: Id) -> bool {
        let placed = self.placing.place(self.main, theory, term);
        self.named.name(&self.main.closure, placed).is_some()
    }

    fn expand(&mut self, _: &mut Theory, _: usize, _: Id) -> Option<Vec<Move>> {
        None
    }
}
