//! Rules ready to run: parsed, and found by the operator at their root.

use std::sync::OnceLock;

use egg::Id;
use gradc_ir::{Class, Op, OpDef, TensorType};
use rustc_hash::FxHashMap;

use super::marks::Marks;
use super::product::{Factors, is_product};
use super::{Fact, Lhs, Match, Rhs, Rule, Subject, Wanted, table};
use crate::facts::Facts;
use crate::options::Options;
use crate::pattern::{Bindings, Matches, Names, Pattern, build, match_term, parse};
use crate::term::Term;
use crate::terms::Terms;

/// A rule with its formulas parsed.
pub(crate) struct Compiled {
    /// The rule.
    pub(crate) rule: &'static Rule,
    /// What its table is about.
    subject: Subject,
    names: Names,
    lhs: Option<Pattern>,
    rhs: Option<Pattern>,
    /// How far below the root it looks before it matches, and where the rule says so, before it builds.
    reach: u8,
    /// What must be known about operands of the root for the rule to be right, whatever its attributes.
    direct: Vec<Fact>,
    /// What the operands of a term that matches are, among other things.
    pub(crate) needed: Marks,
}

/// What a rule says of the class that it matched.
pub(crate) enum Outcome {
    /// It equals this one.
    Equal(Id),
    /// This is known about it.
    Learnt(Box<Facts>),
}

impl Compiled {
    /// Parses a rule; the error says what is wrong with its text.
    pub(super) fn new(subject: Subject, rule: &'static Rule) -> Result<Compiled, String> {
        let mut names = Names::default();
        let lhs = match rule.lhs {
            Lhs::Formula(text) => Some(parse(text, &mut names)?),
            Lhs::Any(..) => None,
        };
        let known = (names.values.len(), names.attrs.len());
        let rhs = match rule.rhs {
            Rhs::Formula(text) => Some(parse(text, &mut names)?),
            Rhs::Built(..) | Rhs::Learn(..) => None,
        };
        if (names.values.len(), names.attrs.len()) != known {
            return Err("the right side has variables that the left side does not".to_owned());
        }
        let reach = lhs.as_ref().map_or(1, Pattern::depth).max(rule.sees.unwrap_or(0));
        let direct = lhs.as_ref().map_or(Vec::new(), |lhs| direct_conditions(rule, lhs, &names));
        let needed = Marks::needed(lhs.as_ref(), rule);
        Ok(Compiled { rule, subject, names, lhs, rhs, reach, direct, needed })
    }

    /// The parsed left side of a rule on a formula.
    #[cfg(test)]
    pub(crate) fn lhs(&self) -> Option<(&Pattern, &Names)> {
        self.lhs.as_ref().map(|lhs| (lhs, &self.names))
    }

    /// Whether its table is about this.
    pub(crate) fn is_about(&self, subject: &str) -> bool {
        self.subject.name() == subject
    }

    /// Whether an application of `op`, the operator at the root, to so many operands may match, as far as can be said without
    /// a look at what these are applied to; `facts` are an operand's, and `applies` says whether one of its terms applies an
    /// operator.
    pub(crate) fn may_match<'f>(
        &self,
        op: &Op,
        count: usize,
        facts: impl Fn(usize) -> &'f Facts,
        applies: impl Fn(usize, &'static OpDef) -> bool,
    ) -> bool {
        let may_match =
            |pattern: &Pattern, position: usize| pattern.may_match(facts(position), |def| applies(position, def));
        let is_met = |fact: &Fact| (0..count).any(|position| fact.holds(facts(position), |_| None));
        let has_form = match &self.lhs {
            Some(Pattern::Apply { def, operands: patterns, .. }) if patterns.len() == count => {
                let in_order = || patterns.iter().zip(0..).all(|(pattern, position)| may_match(pattern, position));
                let other_way =
                    || patterns.iter().rev().zip(0..).all(|(pattern, position)| may_match(pattern, position));
                in_order() || def.algebra.commutative && other_way()
            }
            Some(Pattern::Apply { .. }) => false,
            Some(Pattern::Spread { operand, .. }) => may_match(operand, 0),
            Some(_) => true,
            None => match self.rule.operands {
                None => true,
                Some(Wanted::One(def)) => (0..count).any(|position| applies(position, def)),
                Some(Wanted::All(def)) => {
                    let is_such = |position: usize| {
                        facts(position).constant.is_some()
                            || applies(position, def)
                            || applies(position, &gradc_ir::op::broadcast::BROADCAST)
                    };
                    (0..count).any(|position| applies(position, def)) && (0..count).all(is_such)
                }
                Some(Wanted::Identity) => (0..count).any(|position| is_identity(op, facts(position))),
            },
        };
        has_form && self.direct.iter().all(is_met)
    }

    /// Every way in which a term matches, conditions included.
    pub(crate) fn matches(&self, terms: &dyn Terms, term: &Term) -> Matches {
        self.matches_where(terms, term, |_| true)
    }

    /// Every way in which a term matches so that the rule is right, whether it is of use or not.
    pub(crate) fn licensed_matches(&self, terms: &dyn Terms, term: &Term) -> Matches {
        self.matches_where(terms, term, |fact| !fact.is_preference())
    }

    fn matches_where(&self, terms: &dyn Terms, term: &Term, counts: fn(Fact) -> bool) -> Matches {
        // Most terms end here, so nothing is looked up before it is asked for.
        let Some(op) = term.op() else { return Matches::new() };
        let operands = term.operands();
        let applies = |position: usize, def: &'static OpDef| {
            terms.terms(operands[position]).iter().any(|term| term.applies(def).is_some())
        };
        if !self.may_match(op, operands.len(), |position| terms.facts(operands[position]), applies) {
            return Matches::new();
        }
        self.matches_considered(terms, term, counts)
    }

    /// The same as [`Compiled::matches`] for a term that [may match](Compiled::may_match).
    pub(crate) fn matches_of_candidate(&self, terms: &dyn Terms, term: &Term) -> Matches {
        self.matches_considered(terms, term, |_| true)
    }

    fn matches_considered(&self, terms: &dyn Terms, term: &Term, counts: fn(Fact) -> bool) -> Matches {
        let unbound = Bindings::unbound(&self.names);
        let mut found = match &self.lhs {
            Some(lhs) => match_term(terms, lhs, term, unbound),
            None => Matches::from_buf([unbound]),
        };
        found.retain(|bindings| {
            self.rule.when.iter().filter(|(_, fact)| counts(*fact)).all(|(name, fact)| {
                let value = self.names.value(name).and_then(|variable| bindings.value(variable));
                let axes = |name: &str| bindings.attrs(self.names.attr(name)?).map(|attrs| attrs.ints("axes"));
                value.is_some_and(|value| fact.holds(terms.facts(value), axes))
            })
        });
        found
    }

    /// How far below the class of a term there are classes on which it depends whether the term matches, and, unless it
    /// [may say more](Compiled::may_say_more), what is made of it.
    pub(crate) fn reach(&self) -> u8 {
        self.reach
    }

    /// Whether it may say something else when it is applied again where nothing within its reach has changed. A formula
    /// does not; what a function builds may depend on anything, unless the rule says on what.
    pub(crate) fn may_say_more(&self) -> bool {
        self.rhs.is_none() && self.rule.sees.is_none()
    }

    /// Whether the left side is a formula, not an operator of a class.
    pub(crate) fn has_formula(&self) -> bool {
        self.lhs.is_some()
    }

    /// The left side with these values for its variables, as a term of this type.
    pub(crate) fn left(&self, terms: &mut dyn Terms, bindings: &Bindings, ty: &TensorType) -> Option<Id> {
        build(terms, self.lhs.as_ref()?, bindings, Some(ty))
    }

    /// The values that the rule must know something about to be right.
    pub(crate) fn subjects(&self, bindings: &Bindings) -> Vec<Id> {
        if matches!(self.rule.rhs, Rhs::Learn(..)) {
            return bindings.variables().filter_map(|variable| bindings.value(variable)).collect();
        }
        let conditions = self.rule.when.iter().filter(|(_, fact)| !fact.is_preference());
        conditions.filter_map(|(name, _)| bindings.value(self.names.value(name)?)).collect()
    }

    /// The variable that must be a product, and the factors that this must have where a term matches.
    pub(crate) fn product(
        &self,
        terms: &mut dyn Terms,
        term: &Term,
        ty: &TensorType,
        bindings: &Bindings,
    ) -> Option<(usize, Factors)> {
        let (name, factors) = self.rule.product?;
        let found = Match { root: None, term, ty, bindings, names: &self.names };
        Some((self.names.value(name)?, factors(terms, &found)?))
    }

    /// Applies the rule to one match of a term, which is in the class `root` or in none yet, with these facts; `None` where it does not apply after all.
    pub(crate) fn apply(
        &self,
        terms: &mut dyn Terms,
        term: &Term,
        root: Option<Id>,
        facts: &Facts,
        bindings: &Bindings,
    ) -> Option<Outcome> {
        let found = Match { root, term, ty: &facts.ty, bindings, names: &self.names };
        match (&self.rhs, self.rule.rhs) {
            (Some(rhs), _) => build(terms, rhs, bindings, Some(&facts.ty)).map(Outcome::Equal),
            (None, Rhs::Built(_, function)) => {
                if let Some((name, factors)) = self.rule.product {
                    let (value, factors) = (found.value(name)?, factors(terms, &found)?);
                    if !is_product(terms, value, &factors) {
                        return None;
                    }
                }
                function(terms, &found).map(Outcome::Equal)
            }
            (None, Rhs::Learn(_, learn)) => {
                let mut facts = facts.clone();
                learn(terms, &found, &mut facts);
                Some(Outcome::Learnt(Box::new(facts)))
            }
            (None, Rhs::Formula(_)) => unreachable!("formulas are parsed"),
        }
    }
}

/// The conditions on variables that are operands of the root, where these do not depend on attributes.
fn direct_conditions(rule: &Rule, lhs: &Pattern, names: &Names) -> Vec<Fact> {
    let Pattern::Apply { operands, .. } = lhs else { return Vec::new() };
    let is_direct = |name: &str| {
        let variable = names.value(name);
        operands.iter().any(|operand| match operand {
            Pattern::Variable(own) | Pattern::Constant(own) => Some(*own) == variable,
            _ => false,
        })
    };
    let counts = |(name, fact): &&(&str, Fact)| is_direct(name) && !fact.is_preference() && !fact.is_along_axes();
    rule.when.iter().filter(counts).map(|(_, fact)| *fact).collect()
}

/// Whether this is known of the number that an operator says is its identity.
pub(super) fn is_identity(op: &Op, facts: &Facts) -> bool {
    let is_that = |identity: f64, constant: f64| constant.to_bits() == facts.ty.dtype.round(identity).to_bits();
    op.def.algebra.right_identity.zip(facts.constant).is_some_and(|(identity, constant)| is_that(identity, constant))
}

/// A choice of rules, by the operator at their root.
pub(crate) struct RuleSet {
    by_operator: FxHashMap<&'static str, Vec<&'static Compiled>>,
    by_class: FxHashMap<Class, Vec<&'static Compiled>>,
    reach: u8,
}

impl RuleSet {
    /// The rules that `choose` picks.
    pub(crate) fn new(choose: impl Fn(&Compiled) -> bool) -> RuleSet {
        let mut set = RuleSet { by_operator: FxHashMap::default(), by_class: FxHashMap::default(), reach: 0 };
        for compiled in all().iter().filter(|compiled| choose(compiled)) {
            set.reach = set.reach.max(compiled.reach);
            match (compiled.rule.lhs, compiled.lhs.as_ref().and_then(Pattern::root)) {
                (_, Some(def)) => set.by_operator.entry(def.name).or_default().push(compiled),
                (Lhs::Any(class, _), None) => set.by_class.entry(class).or_default().push(compiled),
                (Lhs::Formula(_), None) => unreachable!("the tests check that the root of a rule is an application"),
            }
        }
        set
    }

    /// The furthest [reach](Compiled::reach) of a rule.
    pub(crate) fn reach(&self) -> u8 {
        self.reach
    }

    /// Whether a rule only learns facts.
    pub(crate) fn learns(compiled: &Compiled) -> bool {
        matches!(compiled.rule.rhs, Rhs::Learn(..))
    }

    /// The rules that may match a term, in the order of the tables within each of the two kinds.
    pub(crate) fn for_term(&self, term: &Term) -> impl Iterator<Item = &'static Compiled> {
        term.op().into_iter().flat_map(|op| self.for_op(op))
    }

    /// The same for a term that applies an operator.
    pub(crate) fn for_op(&self, op: &Op) -> impl Iterator<Item = &'static Compiled> {
        let of_operator = self.by_operator.get(op.def.name);
        let of_class = self.by_class.get(&op.def.class);
        let is_such = |compiled: &&Compiled| compiled.rule.algebra.is_none_or(|algebra| algebra(&op.def.algebra));
        of_operator.into_iter().chain(of_class).flatten().copied().filter(is_such)
    }
}

/// Whether a rule may be used.
pub(crate) fn allowed(compiled: &Compiled, options: &Options) -> bool {
    let rule = compiled.rule;
    rule.class.allowed_in(options.mode)
        && if options.differentiated { !rule.before } else { !rule.differentiated }
        && options.without != Some(compiled.subject)
}

/// The rule of this name.
pub(crate) fn find(name: &str) -> Option<&'static Compiled> {
    all().iter().find(|compiled| compiled.rule.name == name)
}

/// Every rule, parsed once.
pub(crate) fn all() -> &'static [Compiled] {
    static ALL: OnceLock<Vec<Compiled>> = OnceLock::new();
    ALL.get_or_init(|| {
        let compile = |(subject, rule): (Subject, &'static Rule)| {
            Compiled::new(subject, rule).unwrap_or_else(|error| panic!("gradc has a bug: rule {}: {error}", rule.name))
        };
        table().map(compile).collect()
    })
}
