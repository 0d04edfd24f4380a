//! Growing a graph, one random application after the other.

use gradc_ir::op::ALL;
use gradc_ir::{Arity, Class, DType, Derivative, Graph, Init, Op, OpDef, Role, Shape, TensorType, ValueId};

use crate::interval::{Facts, range};
use crate::random::Random;
use crate::{FLOATS, INTEGERS};

/// What floats are held to. Sums and products of a few such numbers are harmless.
const LIMIT: (f64, f64) = (-4.0, 4.0);

/// What integers are held to.
const INTEGER_LIMIT: (f64, f64) = (-1000.0, 1000.0);

/// The most elements of a value.
const MAX_ELEMENTS: usize = 2000;

/// How many times as often as an operator values are given a derivative rule of their own.
const RULES: usize = 3;

/// A random graph of about `size` applications with floats of type `float`, in which some values have a derivative rule of
/// their own ([`Graph::without_rules`] removes them): inputs, parameters and a state with its
/// update, every value that nothing else uses as an output, and a loss that depends on all of these that are floats.
pub fn random_graph(seed: u64, size: usize, float: DType) -> Graph {
    let mut garden = Garden::new(seed, float);
    let mut grown = 0;
    // An attempt that does not fit is dropped; the bound makes it certain that this ends.
    for _ in 0..20 * size + 20 {
        if grown >= size {
            break;
        }
        let choice = garden.random.below(ALL.len() + RULES);
        let found = match ALL.get(choice) {
            Some(def) => garden.grow(def),
            None => garden.grow_rule(),
        };
        if let Some(value) = found {
            grown += 1;
            if garden.random.chance(0.3) {
                let name = format!("v{}", value.index());
                garden.graph.set_value_name(value, name);
            }
        }
    }
    garden.harvest()
}

/// Whether numbers between these stay what they are in a type.
fn holds(dtype: DType, facts: Facts) -> bool {
    match dtype {
        DType::U8 => facts.within((dtype.least(), dtype.greatest())),
        _ => !dtype.is_integer() || facts.within(INTEGER_LIMIT),
    }
}

/// A graph under construction.
pub(crate) struct Garden {
    pub(crate) graph: Graph,
    pub(crate) random: Random,
    pub(crate) float: DType,
    /// By value.
    facts: Vec<Facts>,
    /// The extents that most axes have.
    extents: Vec<usize>,
}

impl Garden {
    fn new(seed: u64, float: DType) -> Garden {
        let mut random = Random::new(seed);
        let mut graph = Graph::new(format!("random_{seed}"));
        let extents: Vec<usize> = (0..3).map(|_| *random.pick(&[1, 2, 3, 4, 5, 7, 8, 9, 16, 17])).collect();
        let (a, b, c) = (extents[0], extents[1], extents[2]);
        graph.input("x", TensorType::new(float, [a, b]));
        graph.input("y", TensorType::new(float, [b]));
        graph.param("w", TensorType::new(float, [b, c]), Init::Uniform { low: (-1.0).into(), high: 1.0.into() });
        graph.param("b", TensorType::new(float, [c]), Init::Constant(0.0.into()));
        graph.input("scale", TensorType::scalar(float));
        graph.input("i", TensorType::new(DType::I32, [a]));
        graph.input("j", TensorType::new(DType::I32, [b, c]));
        graph.input("keep", TensorType::new(DType::Bool, [a, b]));
        graph.state("mean", TensorType::new(float, [b]), Init::Constant(0.0.into()));
        let mut garden = Garden { graph, random, float, facts: Vec::new(), extents };
        garden.note_new_values(None);
        garden
    }

    pub(crate) fn facts(&self, value: ValueId) -> Facts {
        self.facts[value.index()]
    }

    /// Gives facts to values that have none: to leaves and constants their own, to others `facts`.
    pub(crate) fn note_new_values(&mut self, facts: Option<Facts>) {
        for value in self.graph.values().skip(self.facts.len()) {
            let of_leaf = match self.graph.dtype(value) {
                DType::Bool => Facts::exact(0.0, 1.0),
                dtype if dtype.is_integer() => Facts::exact(INTEGERS.0, INTEGERS.1),
                _ => Facts::exact(FLOATS.0, FLOATS.1),
            };
            let of_constant = self.graph.as_full(value).map(|x| Facts::exact(x, x));
            self.facts.push(of_constant.or(facts.filter(|_| self.graph.leaf(value).is_none())).unwrap_or(of_leaf));
        }
    }

    /// Accepts a new value with these facts; a float beyond the limit is brought back into it.
    pub(crate) fn accept(&mut self, value: ValueId, facts: Facts) -> ValueId {
        self.note_new_values(Some(facts));
        if !self.graph.dtype(value).is_float() || facts.within(LIMIT) {
            return value;
        }
        let factor = LIMIT.1 / facts.low.abs().max(facts.high.abs());
        let scaled = self.graph.scale(value, factor);
        let facts = Facts { low: facts.low * factor, high: facts.high * factor, exact: false };
        self.note_new_values(Some(facts));
        scaled
    }

    /// Whether a value of this shape is small enough.
    pub(crate) fn affordable(&self, shape: &[usize]) -> bool {
        Shape::checked_elements(shape).is_some_and(|elements| elements <= MAX_ELEMENTS)
    }

    /// One of the extents that most axes have.
    pub(crate) fn extent(&mut self) -> usize {
        *self.random.pick(&self.extents)
    }

    /// A value that holds `wanted`; recent ones more often, so that graphs grow deep.
    pub(crate) fn find(&mut self, wanted: impl Fn(&Garden, ValueId) -> bool) -> Option<ValueId> {
        let found: Vec<ValueId> =
            self.graph.values().filter(|&value| !self.graph.is_packed(value) && wanted(self, value)).collect();
        if found.is_empty() {
            return None;
        }
        let recent = &found[found.len() * 2 / 3..];
        let choices = if self.random.chance(0.5) { recent } else { &found };
        Some(*self.random.pick(choices))
    }

    pub(crate) fn find_of(&mut self, dtype: DType) -> Option<ValueId> {
        self.find(|garden, value| garden.graph.dtype(value) == dtype)
    }

    /// Applies `def` to something, or gives up.
    fn grow(&mut self, def: &'static OpDef) -> Option<ValueId> {
        match def.class {
            Class::Elementwise => self.grow_elementwise(def),
            Class::Reduce => self.grow_reduce(def),
            Class::Contract => self.grow_contract(),
            Class::Source | Class::Movement | Class::Accumulate | Class::Indexed => self.rearrange(def),
            Class::Scan | Class::Custom => None,
        }
    }

    fn grow_elementwise(&mut self, def: &'static OpDef) -> Option<ValueId> {
        let cases = (def.cases)(2, self.float);
        let case = self.random.pick(&cases).clone();
        let dtypes: Vec<DType> = case.operands.iter().map(|ty| ty.dtype).collect();
        let op = def.with(case.attrs);
        let anchor = self.find(|garden, value| dtypes.contains(&garden.graph.dtype(value)))?;
        let shape = self.graph.shape(anchor).clone();
        let decides = decides(&op, &case.operands);
        let mut operands = Vec::new();
        for (i, &dtype) in dtypes.iter().enumerate() {
            let operand = self.shaped(dtype, &shape, decides)?;
            let interval = def.domain.smooth[i.min(def.domain.smooth.len() - 1)];
            operands.push(if decides { operand } else { self.squashed(operand, interval) });
        }
        self.apply_elementwise(op, &operands)
    }

    fn apply_elementwise(&mut self, op: Op, operands: &[ValueId]) -> Option<ValueId> {
        let known: Vec<(DType, Facts)> =
            operands.iter().map(|&operand| (self.graph.dtype(operand), self.facts(operand))).collect();
        let (low, high) = range(&op, &known)?;
        let dtype = op.infer(&operands.iter().map(|&operand| self.graph.ty(operand)).collect::<Vec<_>>()).ok()?.dtype;
        if !holds(dtype, Facts::exact(low, high)) {
            return None;
        }
        // A conversion to fewer digits is a greater error than any other operator's.
        if dtype.is_half() && dtype != self.float {
            return None;
        }
        // A selection takes its elements as they are, but most other operators on floats round.
        let exact = !dtype.is_float() && known.iter().all(|(_, facts)| facts.exact);
        let value = self.graph.emit(op, operands);
        Some(self.accept(value, Facts { low, high, exact }))
    }

    /// A value of this element type and shape, if there is one or one can be made by a broadcast; one without rounding
    /// errors if that is asked for.
    fn shaped(&mut self, dtype: DType, shape: &Shape, exact: bool) -> Option<ValueId> {
        let fits = |garden: &Garden, value: ValueId| {
            garden.graph.dtype(value) == dtype && (!exact || garden.facts(value).exact)
        };
        if self.random.chance(0.8)
            && let Some(value) = self.find(|garden, value| fits(garden, value) && garden.graph.shape(value) == shape)
        {
            return Some(value);
        }
        let suffix = |garden: &Garden, value: ValueId| shape.ends_with(garden.graph.shape(value));
        let narrow = self.find(|garden, value| fits(garden, value) && suffix(garden, value))?;
        let axes: Vec<usize> = (shape.rank() - self.graph.shape(narrow).rank()..shape.rank()).collect();
        let value = self.graph.broadcast(narrow, &axes, shape);
        Some(self.accept(value, self.facts(narrow)))
    }

    /// A float operand brought smoothly into an interval, if it is not within it.
    fn squashed(&mut self, operand: ValueId, (low, high): (f64, f64)) -> ValueId {
        let facts = self.facts(operand);
        if !self.graph.dtype(operand).is_float() || facts.within((low, high)) {
            return operand;
        }
        let unit = self.graph.sigmoid(operand);
        self.note_new_values(Some(Facts { low: 0.0, high: 1.0, exact: false }));
        let stretched = self.graph.scale(unit, high - low);
        self.note_new_values(Some(Facts { low: 0.0, high: high - low, exact: false }));
        let offset = self.graph.full_like(stretched, low);
        let value = self.graph.add(stretched, offset);
        self.accept(value, Facts { low, high, exact: false })
    }

    fn grow_reduce(&mut self, def: &'static OpDef) -> Option<ValueId> {
        let cases = (def.cases)(2, self.float);
        let dtype = self.random.pick(&cases).operands[0].dtype;
        let x =
            self.find(|garden, value| garden.graph.dtype(value) == dtype && garden.graph.shape(value).rank() > 0)?;
        let shape = self.graph.shape(x).clone();
        let mut axes: Vec<usize> = (0..shape.rank()).filter(|_| self.random.chance(0.5)).collect();
        if axes.is_empty() {
            axes.push(self.random.below(shape.rank()));
        }
        let count: usize = axes.iter().map(|&axis| shape[axis]).product();
        let facts = self.facts(x).summed(count).or(self.facts(x));
        if !holds(dtype, facts) {
            return None;
        }
        let attrs = gradc_ir::Attrs::new([("axes", gradc_ir::Attr::from(&*axes))]);
        let value = self.graph.emit(def.with(attrs), &[x]);
        Some(self.accept(value, Facts { exact: dtype.is_integer(), ..facts }))
    }

    /// A matrix product with another value where one fits, with a new parameter otherwise.
    fn grow_contract(&mut self) -> Option<ValueId> {
        let float = self.float;
        let a = self.find(|garden, value| {
            garden.graph.dtype(value) == float && (2..4).contains(&garden.graph.shape(value).rank())
        })?;
        let (transpose_a, transpose_b) = (self.random.chance(0.4), self.random.chance(0.4));
        let shape = self.graph.shape(a).clone();
        let (batch, matrix) = shape.split_at(shape.rank() - 2);
        let (rows, inner) = if transpose_a { (matrix[1], matrix[0]) } else { (matrix[0], matrix[1]) };
        let fits = |garden: &Garden, value: ValueId| {
            let other = garden.graph.shape(value);
            garden.graph.dtype(value) == float
                && other.rank() == shape.rank()
                && other[..batch.len()] == *batch
                && other[batch.len() + usize::from(transpose_b)] == inner
        };
        let b = match self.find(fits) {
            Some(b) if self.random.chance(0.6) => b,
            _ => {
                let columns = self.extent();
                let matrix = if transpose_b { [columns, inner] } else { [inner, columns] };
                let ty = TensorType::new(float, batch.iter().copied().chain(matrix).collect::<Shape>());
                self.param(ty)
            }
        };
        let columns = self.graph.shape(b)[shape.rank() - 1 - usize::from(transpose_b)];
        let result: Shape = batch.iter().copied().chain([rows, columns]).collect();
        if !self.affordable(&result) {
            return None;
        }
        let largest = |facts: Facts| facts.low.abs().max(facts.high.abs());
        let product = largest(self.facts(a)) * largest(self.facts(b));
        let value = self.graph.matmul_with(a, transpose_a, b, transpose_b);
        Some(self.accept(value, Facts { low: -product, high: product, exact: false }.summed(inner)))
    }

    /// A new parameter.
    fn param(&mut self, ty: TensorType) -> ValueId {
        let name = format!("w{}", self.graph.len());
        let value = self.graph.param(name, ty, Init::Normal { mean: 0.0.into(), std: 0.5.into() });
        self.note_new_values(None);
        value
    }

    /// The graph with results: what nothing uses, the update of the state, and a loss over all floats among them.
    fn harvest(mut self) -> Graph {
        let unused: Vec<ValueId> = self
            .graph
            .values()
            .filter(|&value| self.graph.leaf(value).is_none() && self.graph.users(value).next().is_none())
            .collect();
        for (i, &value) in unused.iter().enumerate() {
            self.graph.add_output(Role::Output, format!("out{i}"), value);
        }
        let mut terms: Vec<ValueId> =
            unused.iter().copied().filter(|&value| self.graph.dtype(value) == self.float).collect();
        let leaves = ["x", "w"]
            .map(|name| self.graph.values().find(|&v| self.graph.value_name(v).is_some_and(|n| **n == *name)));
        terms.extend(leaves.into_iter().flatten());
        let loss = self.loss(&terms);
        self.graph.set_value_name(loss, "loss");
        self.graph.add_output(Role::Loss, "loss", loss);
        self.update_state();
        self.graph
    }

    /// The mean of smooth, differently weighted functions of the terms: their cotangents are neither equal nor one.
    fn loss(&mut self, terms: &[ValueId]) -> ValueId {
        let zero = self.graph.scalar(0.0, self.float);
        terms.iter().enumerate().fold(zero, |sum, (i, &term)| {
            let slope = self.graph.scale(term, 0.7 + 0.1 * (i % 5) as f64);
            let bounded = self.graph.tanh(slope);
            let product = self.graph.mul(bounded, term);
            let weight = (1.0 + 0.3 * (i % 3) as f64) / self.graph.shape(term).elements().max(1) as f64;
            let weighted = self.graph.scale(product, weight);
            let axes: Vec<usize> = (0..self.graph.shape(term).rank()).collect();
            let total = self.graph.reduce_sum(weighted, &axes);
            self.graph.add(sum, total)
        })
    }

    /// The state follows an input at a distance.
    fn update_state(&mut self) {
        let [state, input] = ["mean", "y"]
            .map(|name| self.graph.values().find(|&value| self.graph.value_name(value).is_some_and(|n| **n == *name)));
        if let (Some(state), Some(input)) = (state, input) {
            let kept = self.graph.scale(state, 0.9);
            let added = self.graph.scale(input, 0.1);
            let next = self.graph.add(kept, added);
            self.graph.add_output(Role::Update, "mean", next);
        }
    }
}

/// Whether a small change of a float operand can change the result by a jump.
fn decides(op: &Op, operands: &[TensorType]) -> bool {
    let takes_floats = operands.iter().any(|ty| ty.dtype.is_float());
    let jumps = match op.infer(&operands.iter().collect::<Vec<_>>()) {
        Ok(ty) if ty.dtype.is_float() => {
            let domain = &op.def.domain;
            matches!(op.def.derivative, Derivative::None(_)) && (domain.kink_at_ties || !domain.kinks.is_empty())
        }
        _ => true,
    };
    takes_floats && jumps && op.def.arity != Arity::Exactly(0)
}
