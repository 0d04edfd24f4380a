//! What is computed once for all applications that are alike. Nets have thousands of values, but few operators on
//! operands of different facts: the type of an application, its facts, its cost and the rules that may match it are looked
//! up, not computed again.

use std::hash::{Hash, Hasher};
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

/// The number of what an operand is, as far as an application is concerned before rules look deeper: its operator and facts.
pub(super) type KindNumber = u32;

/// What has a [`KindNumber`].
#[derive(Clone, Copy)]
pub(super) struct Operand<'t> {
    /// Its operator, unless it is a leaf.
    pub(super) op: Option<&'t Op>,
    pub(super) facts: &'t Facts,
}

/// What holds for every application of an operator to such operands.
pub(super) struct Application {
    pub(super) number: FactsNumber,
    pub(super) kind: KindNumber,
    pub(super) facts: Rc<Facts>,
    pub(super) cost: u64,
    /// The constant that it is, unless it is written as one.
    pub(super) literal: Option<Op>,
    /// The rules that may match it.
    pub(super) rules: Box<[&'static Compiled]>,
}

/// A number before some others, in few bytes. Of one table, they are the same where the numbers are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Short([u32; 4]);

impl Hash for Short {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Short([a, b, c, d]) = *self;
        state.write_u64(u64::from(a) << 32 | u64::from(b));
        state.write_u64(u64::from(c) << 32 | u64::from(d));
    }
}

/// Numbers for operators and facts, and what is known about applications. One table serves all passes over a graph, so
/// that numbers can be compared between them.
#[derive(Default)]
pub(crate) struct Table {
    ops: FxHashMap<Op, OpNumber>,
    numbers: FxHashMap<Key, FactsNumber>,
    facts: Vec<Rc<Facts>>,
    kinds: FxHashMap<(OpNumber, FactsNumber), KindNumber>,
    /// The numbers of lists of more than three numbers.
    lists: FxHashMap<Box<[u32]>, u32>,
    applications: FxHashMap<Short, Option<Rc<Application>>>,
}

/// In the place of the number of an operator, that of a leaf.
pub(super) const LEAF: OpNumber = u32::MAX;

/// In the place of the second number, where there is none; ...
const ABSENT: u32 = u32::MAX;

/// ... or where the number of a list follows.
const LIST: u32 = u32::MAX - 1;

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

    /// The number of what an operand is; a leaf has the operator [`LEAF`].
    pub(super) fn kind(&mut self, op: OpNumber, facts: FactsNumber) -> KindNumber {
        let next = self.kinds.len() as KindNumber;
        *self.kinds.entry((op, facts)).or_insert(next)
    }

    /// A number before some others.
    pub(super) fn short(&mut self, first: u32, others: impl ExactSizeIterator<Item = u32>) -> Short {
        let mut short = [first, ABSENT, ABSENT, ABSENT];
        if others.len() < short.len() {
            short[1..].iter_mut().zip(others).for_each(|(place, other)| *place = other);
        } else {
            let next = self.lists.len() as u32;
            let list: Box<[u32]> = others.collect();
            short[1..3].copy_from_slice(&[LIST, *self.lists.entry(list).or_insert(next)]);
        }
        Short(short)
    }

    /// What holds for an operator applied to operands of these kinds; `None` where they do not fit.
    pub(super) fn application<'t>(
        &mut self,
        (number, op): (OpNumber, &Op),
        kinds: impl ExactSizeIterator<Item = KindNumber>,
        operands: impl Fn() -> SmallVec<[Operand<'t>; 4]>,
        rules: &RuleSet,
    ) -> Option<Rc<Application>> {
        let key = self.short(number, kinds);
        if let Some(known) = self.applications.get(&key) {
            return known.clone();
        }
        let found = self.examined((number, op), &operands(), rules).map(Rc::new);
        self.applications.insert(key, found.clone());
        found
    }

    fn examined(
        &mut self,
        (op_number, op): (OpNumber, &Op),
        operands: &[Operand<'_>],
        rules: &RuleSet,
    ) -> Option<Application> {
        let known: SmallVec<[&Facts; 4]> = operands.iter().map(|operand| operand.facts).collect();
        let facts = Facts::of_application(op, &known)?;
        let types: SmallVec<[_; 4]> = known.iter().map(|facts| &facts.ty).collect();
        let cost = cost::cost(op, &types, &facts.ty);
        let literal = facts.constant.map(|value| crate::ops::full(value, &facts.ty)).filter(|literal| literal != op);
        let applies = |position: usize, def| operands[position].op.is_some_and(|op| op.is(def));
        let may_match = |compiled: &&Compiled| compiled.may_match(op, known.len(), |position| known[position], applies);
        let rules = rules.for_op(op).filter(may_match).collect();
        let (number, facts) = self.facts(facts);
        Some(Application { number, kind: self.kind(op_number, number), facts, cost, literal, rules })
    }
}
