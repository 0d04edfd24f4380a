//! Where values live: which are computed once and which are recomputed wherever they are read.
//!
//! A *root* is computed once, by one step; it is kept in memory if another step needs it. Every other value is part of
//! the expressions that read it and exists in registers only. What is read in a way that needs memory is a root: results,
//! operands of matrix products and loops, tables that are gathered from, operands of reshapes that move nothing. So is
//! what is read more than once and costs more to compute than [`RECOMPUTE_LIMIT`] (what is in it several times counts once),
//! and what is repeated by a broadcast or by windows that overlap, and does. A movement that is read more than once is never
//! a root for its cost: its operand is.
//!
//! A product of matrices reads its operands through movements ([`matrix`](crate::matrix)), so what is behind these is in memory,
//! and they are not. Nor is a product that is itself nothing but moved: the root is where it goes.

use gradc_ir::op::Arity;
use gradc_ir::op::{broadcast, concat, gather, pad, reshape, result, scatter_add, window};
use gradc_ir::{Class, Graph, Op, ScalarBuilder, ScalarOp, ScalarValue, ValueId};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::Options;
use crate::groups::SMALL;
use crate::index::splits;
use crate::matrix::{Destination, Uses, destination, is_for_products, is_movement, is_nested, matrix_view};
use crate::reduction::{count, unrolled};

/// A value whose expression costs up to this much (in additions; see [`cost_of`]) is recomputed for every reader. It is
/// what storing and loading again would cost, with two loads of operands from memory.
pub(crate) const RECOMPUTE_LIMIT: u32 = 8;

/// A value whose expression costs more than this is stored before it is repeated by a broadcast, where what that saves is more than
/// what it costs to begin a kernel.
const SPREAD_LIMIT: u32 = 5;

/// What loading an element costs.
const LOAD_COST: u32 = 2;

/// An expression that costs this much or is as deep becomes a root, so that kernels (and recursion over expressions) stay
/// small.
const EXPRESSION_COST_LIMIT: u32 = 512;
const EXPRESSION_DEPTH_LIMIT: u32 = 96;

/// What a value is to the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// No result depends on it.
    Dead,
    /// In the caller's memory.
    Leaf,
    /// The elements of another value in the same order: it has the memory of that one.
    View,
    /// Part of the expressions that read it.
    Inline,
    /// Computed once.
    Root,
}

/// The place of each value of a graph.
pub(crate) struct Places<'g> {
    graph: &'g Graph,
    place: Vec<Place>,
    /// For views, the value in whose memory they are.
    base: Vec<ValueId>,
    /// For inline values, what an element costs, and how deep the expression is.
    expressions: Vec<Expression>,
    readers: Vec<u32>,
    is_result: Vec<bool>,
    /// The products of matrices that are written to another value's memory, by that value.
    placed: FxHashMap<ValueId, Placed>,
    /// For such a product, and what is between, that value.
    destinations: FxHashMap<ValueId, ValueId>,
}

/// A product of matrices, and where it goes.
pub(crate) struct Placed {
    /// The product.
    pub(crate) product: ValueId,
    /// The root.
    pub(crate) destination: Destination,
}

#[derive(Clone, Copy, Default)]
struct Expression {
    cost: u32,
    depth: u32,
    /// Whether it can be computed for a position in row-major order: it is elementwise throughout.
    flat: bool,
}

impl<'g> Places<'g> {
    /// Decides for each value of `graph`.
    pub(crate) fn new(graph: &'g Graph, options: &Options) -> Places<'g> {
        let live = graph.live();
        let mut places = Places {
            graph,
            place: vec![Place::Dead; graph.len()],
            base: graph.values().collect(),
            expressions: vec![Expression::default(); graph.len()],
            readers: vec![0; graph.len()],
            is_result: vec![false; graph.len()],
            placed: FxHashMap::default(),
            destinations: FxHashMap::default(),
        };
        graph.outputs().iter().for_each(|output| places.is_result[output.value.index()] = true);
        for value in graph.values().filter(|value| live[value.index()]) {
            graph.operands(value).iter().for_each(|operand| places.readers[operand.index()] += 1);
        }
        for value in graph.values() {
            match graph.op(value) {
                None => places.place[value.index()] = Place::Leaf,
                Some(op) if live[value.index()] => places.decide(value, op, options),
                Some(_) => {}
            }
        }
        graph.outputs().iter().for_each(|output| places.require_memory(output.value));
        places.settle_products();
        places
    }

    /// The place of a value.
    pub(crate) fn of(&self, value: ValueId) -> Place {
        self.place[value.index()]
    }

    /// The value in whose memory `value` is, if it is in memory.
    pub(crate) fn memory(&self, value: ValueId) -> Option<ValueId> {
        matches!(self.of(value), Place::Leaf | Place::Root | Place::View).then_some(self.base[value.index()])
    }

    /// The product of matrices that a root is, if it is one: itself, or what is written to its memory.
    pub(crate) fn product(&self, root: ValueId) -> Option<ValueId> {
        let is_product = |root: &ValueId| self.graph.op(*root).is_some_and(|op| op.def.class == Class::Contract);
        self.placed(root).map(|placed| placed.product).or_else(|| Some(root).filter(is_product))
    }

    /// The product of matrices that is written to the memory of a root other than itself.
    pub(crate) fn placed(&self, root: ValueId) -> Option<&Placed> {
        self.placed.get(&root)
    }

    /// For a product that is written to the memory of another value, and for what is between these, that value.
    pub(crate) fn destination(&self, value: ValueId) -> Option<ValueId> {
        self.destinations.get(&value).copied()
    }

    /// What computing one element of a root costs, reads included.
    pub(crate) fn cost(&self, root: ValueId) -> u32 {
        let Some(op) = self.graph.op(root) else { return 0 };
        self.combined(root, op).cost
    }

    /// All roots, in the graph's order.
    pub(crate) fn roots(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.graph.values().filter(|&value| self.of(value) == Place::Root)
    }

    fn decide(&mut self, value: ValueId, op: &Op, options: &Options) {
        let operands = self.graph.operands(value);
        self.place[value.index()] = Place::Inline;
        if self.destination(value).is_some() {
            return;
        }
        if self.placed(value).is_some() {
            self.place[value.index()] = Place::Root;
            return;
        }
        if op.is(&reshape::RESHAPE) {
            return self.decide_reshape(value, operands[0], options);
        }
        if let Some(same) = self.same_result(value) {
            return self.view(value, same);
        }
        let root = match op.def.class {
            Class::Contract => {
                operands.iter().for_each(|&operand| self.require_matrix(operand));
                !options.fuse || !self.place_elsewhere(value)
            }
            Class::Reduce => true,
            Class::Indexed if op.is(&gather::GATHER) => {
                self.require_memory(operands[0]);
                false
            }
            Class::Movement | Class::Accumulate | Class::Indexed => is_assembled(op),
            Class::Scan => {
                if !op.is(&result::RESULT) {
                    operands.iter().for_each(|&operand| self.require_memory(operand));
                }
                true
            }
            Class::Source | Class::Elementwise => false,
            Class::Custom => {
                unreachable!("gradc has a bug: a derivative rule is left where there is nothing to differentiate")
            }
        };
        if self.repeats_too_much(value, op) {
            self.require_memory(operands[0]);
        }
        if root || !options.fuse {
            self.place[value.index()] = Place::Root;
        } else {
            self.decide_expression(value, op);
        }
    }

    /// Whether a product is written to another value's memory; then that value is a root instead.
    fn place_elsewhere(&mut self, product: ValueId) -> bool {
        let Some(destination) = destination(self.graph, product, self) else { return false };
        for value in destination.between.iter().chain([&product]) {
            self.destinations.insert(*value, destination.value);
        }
        self.placed.insert(destination.value, Placed { product, destination });
        true
    }

    /// Whether the operand of `value` is repeated and costs more than it may then: what a broadcast repeats, what is in
    /// several windows (these are read far more often than elements are computed), or what a reduction is unrolled into.
    fn repeats_too_much(&self, value: ValueId, op: &Op) -> bool {
        let Some(&operand) = self.graph.operands(value).first() else { return false };
        let cost = self.expression(operand).cost;
        if op.is(&broadcast::BROADCAST) {
            let elements = self.graph.shape(value).elements();
            let saved = elements.saturating_mul(cost.saturating_sub(LOAD_COST) as usize);
            cost > RECOMPUTE_LIMIT || cost > SPREAD_LIMIT && saved > SMALL
        } else if op.is(&window::WINDOW) {
            overlap(op) && cost > LOAD_COST
        } else {
            unrolled(self.graph, value).is_some() && self.combined(value, op).cost > EXPRESSION_COST_LIMIT
        }
    }

    /// A root where reading it as an expression would cost too much.
    fn decide_expression(&mut self, value: ValueId, op: &Op) {
        let shared = self.readers[value.index()] > 1;
        let mut expression = self.combined(value, op);
        let too_large = expression.cost > EXPRESSION_COST_LIMIT || expression.depth > EXPRESSION_DEPTH_LIMIT;
        if too_large || shared && expression.cost > RECOMPUTE_LIMIT && self.is_costly(value, op) {
            if op.def.class == Class::Elementwise {
                return self.require_memory(value);
            }
            self.graph.operands(value).iter().for_each(|&operand| self.require_memory(operand));
            expression = self.combined(value, op);
        }
        self.expressions[value.index()] = expression;
    }

    /// Whether computing `value` again costs more than it may, where what is in its expression several times is computed once: a
    /// kernel does so with what is read at the same element.
    fn is_costly(&self, value: ValueId, op: &Op) -> bool {
        // Of anything else, operands are read at other elements.
        if op.def.class != Class::Elementwise {
            return true;
        }
        let mut cost = cost_of(op);
        let mut seen: SmallVec<[ValueId; 8]> = SmallVec::new();
        let mut open: SmallVec<[ValueId; 8]> = SmallVec::from_slice(self.graph.operands(value));
        while let Some(operand) = open.pop() {
            if cost > RECOMPUTE_LIMIT {
                return true;
            }
            if seen.contains(&operand) {
                continue;
            }
            seen.push(operand);
            match self.graph.op(operand) {
                Some(op) if self.of(operand) == Place::Inline && op.def.class == Class::Elementwise => {
                    cost += cost_of(op);
                    open.extend(self.graph.operands(operand).iter().copied());
                }
                _ => cost = cost.saturating_add(self.expression(operand).cost),
            }
        }
        cost > RECOMPUTE_LIMIT
    }

    /// A reshape is the operand's memory in another shape, unless the operand can be computed at its positions, or all that read
    /// it are products of matrices that can do so through it.
    fn decide_reshape(&mut self, value: ValueId, operand: ValueId, options: &Options) {
        let (from, to) = (self.graph.shape(operand), self.graph.shape(value));
        let expression = self.expression(operand);
        let inline = self.of(operand) == Place::Inline && options.fuse;
        let is_read_through = || {
            let is_nested = is_nested(self.graph, value, |value| self.of(value) == Place::Inline);
            is_nested && is_for_products(self.graph, value, self)
        };
        let is_expression = inline && expression.depth < EXPRESSION_DEPTH_LIMIT;
        if is_expression && (expression.flat || splits(from, to) || is_read_through()) {
            self.expressions[value.index()] = Expression { depth: expression.depth + 1, ..expression };
        } else {
            self.view(value, operand);
        }
    }

    /// Another value that is the same result of a loop.
    fn same_result(&self, value: ValueId) -> Option<ValueId> {
        let (scan, index) = self.graph.as_result(value)?;
        let same = |other: ValueId| other < value && self.graph.as_result(other) == Some((scan, index));
        self.graph.users(scan).map(|(user, _)| user).find(|&user| self.of(user) == Place::Root && same(user))
    }

    fn view(&mut self, value: ValueId, operand: ValueId) {
        self.require_memory(operand);
        self.place[value.index()] = Place::View;
        self.base[value.index()] = self.base[operand.index()];
    }

    /// Sees to it that `value` is in memory.
    fn require_memory(&mut self, value: ValueId) {
        if self.of(value) != Place::Inline {
            return;
        }
        if self.graph.op(value).is_some_and(|op| op.is(&reshape::RESHAPE)) {
            self.view(value, self.graph.operands(value)[0]);
        } else {
            self.place[value.index()] = Place::Root;
            self.settle_reshapes(value);
        }
    }

    /// Sees to it that a kernel can compute `value`, which was read through by products: a reshape among the movements that it
    /// is may be one that no kernel computes.
    fn settle_reshapes(&mut self, value: ValueId) {
        let mut value = value;
        while let Some(op) = self.graph.op(value).filter(|op| is_movement(op)) {
            let operand = self.graph.operands(value)[0];
            let is_view = self.of(value) == Place::Inline
                && op.is(&reshape::RESHAPE)
                && !self.expression(operand).flat
                && !splits(self.graph.shape(operand), self.graph.shape(value));
            if is_view {
                return self.view(value, operand);
            }
            value = operand;
        }
    }

    /// Sees to it that the operand of a matrix product is in memory, as matrices.
    fn require_matrix(&mut self, operand: ValueId) {
        let inline = |value: ValueId| self.of(value) == Place::Inline;
        let view = matrix_view(self.graph, operand, inline);
        self.require_memory(view.map_or(operand, |view| view.value));
    }

    /// What is between an operand of a product and its matrix may have become a root after the product was decided on, and
    /// what is left of the view may be none that a product takes: then the operand is a root after all.
    fn settle_products(&mut self) {
        let products: Vec<ValueId> = self.roots().filter_map(|root| self.product(root)).collect();
        loop {
            let before = self.roots().count();
            for &product in &products {
                self.graph.operands(product).iter().for_each(|&operand| self.require_matrix(operand));
            }
            if self.roots().count() == before {
                return;
            }
        }
    }

    /// What reading an element of `value` is.
    fn expression(&self, value: ValueId) -> Expression {
        match self.of(value) {
            Place::Inline => self.expressions[value.index()],
            _ => {
                let scalar = self.graph.shape(value).elements() == 1;
                Expression { cost: if scalar { 0 } else { LOAD_COST }, depth: 0, flat: true }
            }
        }
    }

    fn combined(&self, value: ValueId, op: &Op) -> Expression {
        let elementwise = matches!(op.def.class, Class::Elementwise) || self.graph.as_full(value).is_some();
        let start = Expression { cost: cost_of(op), depth: 0, flat: elementwise };
        if unrolled(self.graph, value).is_some() {
            let operand = self.graph.operands(value)[0];
            let count = count(self.graph, value);
            let Expression { cost, depth, .. } = self.expression(operand);
            return Expression {
                cost: cost.saturating_add(1).saturating_mul(count as u32),
                depth: depth + 1,
                flat: false,
            };
        }
        let operands = self.graph.operands(value).iter().map(|&operand| self.expression(operand));
        let sum = operands.fold(start, |sum, operand| Expression {
            cost: sum.cost.saturating_add(operand.cost),
            depth: sum.depth.max(operand.depth),
            flat: sum.flat && operand.flat,
        });
        Expression { depth: sum.depth + 1, ..sum }
    }
}

impl Uses for Places<'_> {
    fn is_result(&self, value: ValueId) -> bool {
        self.is_result[value.index()]
    }

    fn is_live(&self, value: ValueId) -> bool {
        self.readers[value.index()] > 0 || self.is_result(value)
    }
}

/// Whether the result is put together in memory by loops over the operands.
pub(crate) fn is_assembled(op: &Op) -> bool {
    op.def.class == Class::Accumulate || op.is(&concat::CONCAT) || op.is(&pad::PAD) || op.is(&scatter_add::SCATTER_ADD)
}

/// Whether an element may be in several of these windows.
fn overlap(op: &Op) -> bool {
    op.attrs.int("stride") <= op.attrs.int("dilation") * (op.attrs.int("size") - 1)
}

/// What one element costs on top of its operands, in additions.
pub(crate) fn cost_of(op: &Op) -> u32 {
    match (op.def.class, op.def.lower) {
        (_, Some(lower)) => {
            let mut counter = Counter::default();
            let (Arity::Exactly(count) | Arity::AtLeast(count)) = op.def.arity;
            let operands = vec![ScalarValue(0); count];
            lower(&mut counter, &op.attrs, &operands);
            counter.cost
        }
        // An index that is compared and clamped.
        (Class::Indexed, None) => 4,
        _ => 0,
    }
}

/// Adds up the cost of scalar operations.
#[derive(Default)]
struct Counter {
    cost: u32,
}

impl ScalarBuilder for Counter {
    fn constant(&mut self, _: f64) -> ScalarValue {
        ScalarValue(0)
    }

    fn integer(&mut self, _: i32) -> ScalarValue {
        ScalarValue(0)
    }

    fn op(&mut self, op: ScalarOp, _: &[ScalarValue]) -> ScalarValue {
        use ScalarOp::*;
        self.cost += match op {
            Add | Sub | Mul | Min | Max | Neg | Abs | Sign => 1,
            Eq | Ne | Lt | Le | Gt | Ge | And | Or | Not | Select | Cast(_) => 1,
            Xor | ShiftRight(_) => 1,
            RotateLeft(_) => 3,
            Floor | Ceil | Round => 1,
            Div | Sqrt | Rsqrt => 4,
            Exp | Expm1 | Log | Log1p | Tanh | Sigmoid | Erf | Erfc => 20,
            Pow => 40,
        };
        ScalarValue(0)
    }
}
