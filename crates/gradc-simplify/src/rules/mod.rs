//! The rules: tables by subject, one line a rule.
//!
//! A rule says that two formulas are equal, in which sense ([`FpClass`]), under which conditions, and why. Nothing can be
//! a rule that the tests do not sample: they go through [`table`].

pub(crate) mod compiled;
mod condition;
mod manual;
pub(crate) mod marks;
mod opposite;
pub(crate) mod product;

#[cfg(test)]
mod tests;

pub use condition::Fact;
pub use manual::manual;

use egg::Id;
use gradc_ir::op::Algebra;
use gradc_ir::{Attrs, Class, OpDef, TensorType};

use crate::facts::Facts;
use crate::options::Mode;
use crate::pattern::{Bindings, Names};
use crate::terms::Terms;
use product::Factors;

macro_rules! subjects {
    ($($subject:ident)*) => {
        $(mod $subject;)*

        /// Every rule with its subject, in the order of the tables.
        pub fn table() -> impl Iterator<Item = (Subject, &'static Rule)> {
            std::iter::empty()$(.chain($subject::RULES.iter().map(|rule| (Subject(stringify!($subject)), rule))))*
        }

        impl Subject {
            /// Every subject, in the order of the tables.
            pub const ALL: &[Subject] = &[$(Subject(stringify!($subject))),*];
        }
    };
}

subjects! { activation arithmetic log_exp matmul movement normalisation power reduce select softmax }

/// What the rules of a table are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject(&'static str);

impl Subject {
    /// The word in the manual and in reports.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// In which sense the two sides of a rule are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FpClass {
    /// Bit for bit, the payloads of NaN aside.
    Strict,
    /// Over the reals; in floating point the right side is not less accurate, and NaN or infinite for finite operands
    /// just where the left side is (but see [`Flaw::Breaks`] and `Rule::overflows`). The sign of a zero may differ. Operands and
    /// results within a factor of 2²⁰ of the ends of the element type's range, and products in between that vanish, are not looked
    /// at: else not even `x + y - y` could be `x`, nor `g / s - h / s` be `(g - h) / s`.
    Accurate,
    /// Over the reals.
    Fast,
}

impl FpClass {
    /// The word in the manual and in derivations.
    pub fn name(self) -> &'static str {
        match self {
            FpClass::Strict => "strict",
            FpClass::Accurate => "accurate",
            FpClass::Fast => "fast",
        }
    }

    /// Whether rules of this class may be used in a mode.
    pub fn allowed_in(self, mode: Mode) -> bool {
        let least = match self {
            FpClass::Strict => Mode::Strict,
            FpClass::Accurate => Mode::Accurate,
            FpClass::Fast => Mode::Fast,
        };
        mode >= least
    }
}

/// What is wrong with the left side of a rule, so that it is avoided even where it is cheaper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flaw {
    /// It loses digits, which `accurate` does not accept.
    Cancels,
    /// It is rounded more often. What is written so may stay, but `accurate` does not bring it in where it is cheaper.
    Rounds,
    /// It has kinks that its value does not have, so that its derivative is put together of halves.
    Kinks,
    /// It breaks down: it overflows, divides zero by zero or has no right digit left where the result is an ordinary number.
    Breaks,
}

/// In which sums a rule on two terms is looked for among more of them. That reorders additions, and what they round is not the
/// same in another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InSums {
    /// In all. What takes the place of the two terms is exactly their sum, or has the value of each: of three terms, the whole is
    /// rounded less often than before.
    Exact,
    /// In sums of a derivative alone: nobody has said in which order it is to be added up.
    Derivative,
    /// In `fast` mode alone. Where the other terms cancel one of the two, the digits that are left are those of the other, and
    /// may be lost in what takes their place.
    Fast,
}

impl InSums {
    /// Whether a rule is looked for in a sum of so many terms in a mode; `keeps_order` says that the program has written it.
    pub(crate) fn allows(self, mode: Mode, keeps_order: bool, terms: usize) -> bool {
        match (mode, self) {
            (Mode::Strict, _) => false,
            (Mode::Accurate, InSums::Exact) => !keeps_order || terms <= 3,
            (Mode::Accurate, InSums::Derivative) => !keeps_order,
            (Mode::Accurate, InSums::Fast) => false,
            (Mode::Fast, _) => true,
        }
    }
}

/// A formula that is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lhs {
    /// A pattern; see the notation in the pattern module.
    Formula(&'static str),
    /// Any application of an operator of a class, with what it has to look like in words.
    Any(Class, &'static str),
}

/// What the operands must be where a rule is on any operator of a class, so that most applications are passed over at once.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// One of them applies this operator.
    One(&'static OpDef),
    /// One of them applies this operator, and each of the others does, or applies a broadcast, or is a number.
    All(&'static OpDef),
    /// One of them is the number that the operator is the identity with.
    Identity,
}

/// What an application of a rule builds on.
pub(crate) struct Match<'m> {
    /// The class that the term is in, if it is in one already.
    pub(crate) root: Option<Id>,
    /// The term that matched.
    pub(crate) term: &'m crate::term::Term,
    /// Its type.
    pub(crate) ty: &'m TensorType,
    pub(crate) bindings: &'m Bindings,
    pub(crate) names: &'m Names,
}

impl Match<'_> {
    /// The value that a variable of the left side stands for.
    fn value(&self, name: &str) -> Option<Id> {
        self.bindings.value(self.names.value(name)?)
    }

    /// The attributes that a variable of the left side stands for.
    fn attrs(&self, name: &str) -> Option<&Attrs> {
        self.bindings.attrs(self.names.attr(name)?)
    }

    /// The number that a `#` variable of the left side stands for.
    fn number(&self, terms: &dyn Terms, name: &str) -> Option<f64> {
        terms.facts(self.value(name)?).constant
    }
}

/// What takes the place of the left side.
#[derive(Clone, Copy)]
pub(crate) enum Rhs {
    /// A formula.
    Formula(&'static str),
    /// What a function builds, with how it is written in the manual; it builds nothing where the rule does not apply.
    Built(&'static str, fn(&mut dyn Terms, &Match<'_>) -> Option<Id>),
    /// Nothing: the value stays, and this is learnt about it, with how it is written in the manual.
    Learn(&'static str, fn(&dyn Terms, &Match<'_>, &mut Facts)),
}

/// The factors of a value, made of the values of the other variables of a rule.
pub(crate) type FactorsOf = fn(&mut dyn Terms, &Match<'_>) -> Option<Factors>;

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name, in the manual, snapshots and blame.
    pub name: &'static str,
    /// In which sense the sides are equal.
    pub class: FpClass,
    /// What is looked for.
    pub(crate) lhs: Lhs,
    /// What it is equal to.
    pub(crate) rhs: Rhs,
    /// Where the left side is any operator of a class: what the operator must say about itself, ...
    pub(crate) algebra: Option<fn(&Algebra) -> bool>,
    /// ... and what its operands must be.
    pub(crate) operands: Option<Wanted>,
    /// Where a function builds the right side: how far below the root there are classes on which depends what it builds, if
    /// that is said.
    pub(crate) sees: Option<u8>,
    /// Where a function builds the right side: a variable that must be the product of these.
    pub(crate) product: Option<(&'static str, FactorsOf)>,
    /// What must be known about the variables.
    pub when: &'static [(&'static str, Fact)],
    /// What is wrong with the left side.
    pub flaw: Option<Flaw>,
    /// Whether something within the left side may overflow where the result does not.
    pub overflows: bool,
    /// Whether the right side is better wherever the left side occurs, so that it can replace it on the spot.
    pub local: bool,
    /// Whether the two terms of its sum are also looked for among those of a longer one, and in which.
    pub in_sums: Option<InSums>,
    /// Whether it makes an unstable formula stable, so that it runs before differentiation too.
    pub stabilises: bool,
    /// Whether it needs `stop_gradient` to have done its work.
    pub differentiated: bool,
    /// Whether it is for what is still to be differentiated alone: its right side has the better derivative.
    pub before: bool,
    /// Why it is right, and of its class.
    pub reason: &'static str,
    /// Shapes, attributes and ranges at which it is tested; none for rules that work on any shape.
    pub samples: &'static [&'static str],
}

/// A rule between two formulas.
const fn rule(name: &'static str, class: FpClass, lhs: &'static str, rhs: &'static str, reason: &'static str) -> Rule {
    Rule {
        name,
        class,
        lhs: Lhs::Formula(lhs),
        rhs: Rhs::Formula(rhs),
        algebra: None,
        operands: None,
        sees: None,
        product: None,
        when: &[],
        flaw: None,
        overflows: false,
        local: false,
        in_sums: None,
        stabilises: false,
        differentiated: false,
        before: false,
        reason,
        samples: &[],
    }
}

impl Rule {
    /// The right side is built by a function.
    const fn built(self, build: fn(&mut dyn Terms, &Match<'_>) -> Option<Id>) -> Rule {
        let Rhs::Formula(shown) = self.rhs else { return self };
        Rule { rhs: Rhs::Built(shown, build), ..self }
    }

    /// The left side stays, and something is learnt about it.
    const fn learns(self, learn: fn(&dyn Terms, &Match<'_>, &mut Facts)) -> Rule {
        let Rhs::Formula(shown) = self.rhs else { return self };
        Rule { rhs: Rhs::Learn(shown, learn), ..self }
    }

    /// The left side is any operator of a class.
    const fn any(self, class: Class) -> Rule {
        let Lhs::Formula(shown) = self.lhs else { return self };
        Rule { lhs: Lhs::Any(class, shown), ..self }
    }

    /// Of the operators of the class, those that say this about themselves.
    const fn that(self, algebra: fn(&Algebra) -> bool) -> Rule {
        Rule { algebra: Some(algebra), ..self }
    }

    /// Of the applications, those to such operands.
    const fn to(self, operands: Wanted) -> Rule {
        Rule { operands: Some(operands), ..self }
    }

    /// What is built depends on nothing that is further below the root. The order of the terms of a class depends on their
    /// operands.
    const fn sees(self, levels: u8) -> Rule {
        Rule { sees: Some(levels), ..self }
    }

    /// The variable must be the product of these, in whatever order it was multiplied.
    const fn where_product(self, variable: &'static str, factors: FactorsOf) -> Rule {
        Rule { product: Some((variable, factors)), ..self }
    }

    const fn when(self, when: &'static [(&'static str, Fact)]) -> Rule {
        Rule { when, ..self }
    }

    const fn local(self) -> Rule {
        Rule { local: true, ..self }
    }

    const fn in_sums(self, which: InSums) -> Rule {
        Rule { in_sums: Some(which), ..self }
    }

    const fn flawed(self, flaw: Flaw) -> Rule {
        Rule { flaw: Some(flaw), ..self }
    }

    const fn overflows(self) -> Rule {
        Rule { overflows: true, ..self }
    }

    const fn stabilises(self) -> Rule {
        Rule { stabilises: true, ..self }
    }

    const fn differentiated(self) -> Rule {
        Rule { differentiated: true, ..self }
    }

    const fn before(self) -> Rule {
        Rule { before: true, stabilises: true, ..self }
    }

    const fn at(self, samples: &'static [&'static str]) -> Rule {
        Rule { samples, ..self }
    }

    /// How the left side is written in the manual.
    pub fn left(&self) -> &'static str {
        match self.lhs {
            Lhs::Formula(text) | Lhs::Any(_, text) => text,
        }
    }

    /// How the right side is written in the manual.
    pub fn right(&self) -> &'static str {
        match self.rhs {
            Rhs::Formula(text) | Rhs::Built(text, _) | Rhs::Learn(text, _) => text,
        }
    }

    /// Whether the left side may be NaN or infinite, for finite operands, where the right side is finite.
    #[cfg(test)]
    fn may_break(&self) -> bool {
        self.flaw == Some(Flaw::Breaks) || self.overflows
    }

    /// Whether the left side must not be chosen in a mode, and why.
    pub(crate) fn avoided_flaw(&self, mode: Mode) -> Option<Flaw> {
        let is_avoided = match self.flaw? {
            Flaw::Cancels | Flaw::Rounds => mode == Mode::Accurate,
            Flaw::Breaks | Flaw::Kinks => mode >= Mode::Accurate,
        };
        self.flaw.filter(|_| is_avoided)
    }
}
