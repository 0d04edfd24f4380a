//! What is computed once for all applications that are alike. Nets have thousands of values, but few operators on
//! operands of different facts: the type of an application, its facts, its cost and the rules that may match it are looked
//! up, not computed again.

use std::rc::Rc;

use gradc_ir::Op;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::cost;
use crate::facts::{Facts, Key};
use crate::rules::compiled::{Compiled, RuleSet};

/// The number of an operator with its attributes; those of one table are equal where the operators are.
pub(crate) type OpNumber = u32;

/// The number of a set of facts, likewise.
pub(crate) type FactsNumber = u32;

/// What an operand is, as far as an application is concerned before rules look deeper.
#[derive(Clone, Copy)]
pub(super) struct Operand<'t> {
    /// Its operator, unless it is a leaf.
    pub(super) op: Option<(OpNumber, &'t Op)>,
    pub(super) number: FactsNumber,
    pub(super) facts: &'t Facts,
}

/// What holds for every application of an operator to such operands.
pub(super) struct Application {
    pub(super) number: FactsNumber,
    pub(super) facts: Rc<Facts>,
    pub(super) cost: u64,
    /// The constant that it is, unless it is written as one.
    pub(super) literal: Option<Op>,
    /// The rules that may match it.
    pub(super) rules: Box<[&'static Compiled]>,
}

/// Numbers for operators and facts, and what is known about applications. One table serves all passes over a graph, so
/// that numbers can be compared between them.
#[derive(Default)]
pub(crate) struct Table {
    ops: FxHashMap<Op, OpNumber>,
    numbers: FxHashMap<Key, FactsNumber>,
    facts: Vec<Rc<Facts>>,
    applications: FxHashMap<SmallVec<[u32; 8]>, Option<Rc<Application>>>,
}

/// In the key of an application, in the place of the operator of an operand that is a leaf.
const LEAF: u32 = u32::MAX;

impl Table {
    /// How many applications were unlike all before them.
    pub(crate) fn distinct_applications(&self) -> usize {
        self.applications.len()
    }

    /// The number of an operator.
    pub(crate) fn op(&mut self, op: &Op) -> OpNumber {
        if let Some(&number) = self.ops.get(op) {
            return number;
        }
        let number = self.ops.len() as OpNumber;
        self.ops.insert(op.clone(), number);
        number
    }

    /// The number of facts, and the one copy that is shared.
    pub(crate) fn facts(&mut self, facts: Facts) -> (FactsNumber, Rc<Facts>) {
        let number = *self.numbers.entry(facts.key()).or_insert_with(|| {
            self.facts.push(Rc::new(facts));
            (self.facts.len() - 1) as FactsNumber
        });
        (number, self.facts[number as usize].clone())
    }

    /// What holds for an operator applied to operands; `None` where they do not fit.
    pub(super) fn application(
        &mut self,
        (number, op): (OpNumber, &Op),
        operands: &[Operand<'_>],
        rules: &RuleSet,
    ) -> Option<Rc<Application>> {
        let mut key: SmallVec<[u32; 8]> = SmallVec::with_capacity(1 + 2 * operands.len());
        key.push(number);
        for operand in operands {
            key.push(operand.number);
            key.push(operand.op.map_or(LEAF, |(number, _)| number));
        }
        if let Some(known) = self.applications.get(&key) {
            return known.clone();
        }
        let found = self.examined(op, operands, rules).map(Rc::new);
        self.applications.insert(key, found.clone());
        found
    }

    fn examined(&mut self, op: &Op, operands: &[Operand<'_>], rules: &RuleSet) -> Option<Application> {
        let known: SmallVec<[&Facts; 4]> = operands.iter().map(|operand| operand.facts).collect();
        let facts = Facts::of_application(op, &known)?;
        let types: SmallVec<[_; 4]> = known.iter().map(|facts| &facts.ty).collect();
        let cost = cost::cost(op, &types, &facts.ty);
        let literal = facts.constant.map(|value| crate::ops::full(value, &facts.ty)).filter(|literal| literal != op);
        let applies = |position: usize, def| operands[position].op.is_some_and(|(_, op)| op.is(def));
        let may_match = |compiled: &&Compiled| compiled.may_match(known.len(), |position| known[position], applies);
        let rules = rules.for_op(op).filter(may_match).collect();
        let (number, facts) = self.facts(facts);
        Some(Application { number, facts, cost, literal, rules })
    }
}
