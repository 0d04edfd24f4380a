//! `a, b, … = scan(length=…, reverse=…) { carries, slices, constants; the body; its results }`

use super::{Algebra, Arity, Case, Class, Derivative, Domain, Evaluate, Notation, Op, OpDef, TypeError, result};
use crate::attr::{Attr, AttrKind, AttrSource, AttrSpec, Attrs};
use crate::tensor::Tensor;
use crate::{Body, DType, Graph, NodeKind, Role, Shape, TensorType, ValueId};

/// A loop over a time axis. Its own value is all its results, packed: see [`result`].
pub static SCAN: OpDef = OpDef {
    name: "scan",
    class: Class::Scan,
    arity: Arity::AtLeast(0),
    attrs: &[
        AttrSpec::from("body", AttrKind::Body, AttrSource::Block),
        AttrSpec::from("carries", AttrKind::Int, AttrSource::Block),
        AttrSpec::from("sequences", AttrKind::Int, AttrSource::Block),
        AttrSpec::new("length", AttrKind::Int),
        AttrSpec::new("reverse", AttrKind::Bool),
    ],
    notation: Notation::Call,
    infer: |attrs, operands| Scan::from_attrs(attrs).infer(operands),
    evaluate: Evaluate::Tensor(|attrs, operands, _| Scan::from_attrs(attrs).evaluate(operands)),
    derivative: Derivative::Body,
    lower: None,
    algebra: Algebra::NONE,
    domain: Domain::SMOOTH,
    cases,
    doc: "Runs a body `length` times. Operands are, in this order, the first values of the carries, sequences, which have \
          one slice a step along their axis 0, and constants, the same in every step. The body is a graph of its own: its \
          inputs are the carries, the slices and the constants, its results the next carries and then what is stacked \
          along axis 0. The results of the loop are the last carries and the stacks. In reverse, the last slices come \
          first, and what a step gives is stacked where its slices were. Without a step, the carries stay what they were. \
          It is an operator, not a repetition of its body, so that a loop over a thousand steps is as small a graph as \
          one over ten, compiles in the same time, and keeps only what its derivative needs. The derivative in reverse \
          mode is a loop in the other direction around the derivative of the body: cotangents of carries are its \
          carries, those of constants are summed in carries, those of sequences are stacked. What it needs of the forward \
          loop is stacked there, no more than the least that avoids computing contractions, reductions and inner loops \
          again; elementwise operations are repeated. The derivative in forward mode is a loop in the same direction. A \
          body may hold loops. Values within a body have no name outside: there is no derivative by them.",
};

/// The largest number of steps: they are counted in `i32`.
pub const MAX_LENGTH: usize = i32::MAX as usize;

/// What a loop is beside its operands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// One step. Inputs: carries, slices, constants. Results: next carries, then what is stacked.
    pub body: Body,
    /// How many carries.
    pub carries: usize,
    /// How many sequences.
    pub sequences: usize,
    /// How many steps.
    pub length: usize,
    /// Whether the last slices come first.
    pub reverse: bool,
}

impl Scan {
    /// The loop that an operator is, if it is one.
    pub fn of(op: &Op) -> Option<Scan> {
        op.is(&SCAN).then(|| Scan::from_attrs(&op.attrs))
    }

    fn from_attrs(attrs: &Attrs) -> Scan {
        Scan {
            body: attrs.body("body").clone(),
            carries: attrs.int("carries"),
            sequences: attrs.int("sequences"),
            length: attrs.int("length"),
            reverse: attrs.bool("reverse"),
        }
    }

    /// The operator.
    pub fn op(&self) -> Op {
        SCAN.with(Attrs::new([
            ("body", Attr::from(self.body.clone())),
            ("carries", self.carries.into()),
            ("sequences", self.sequences.into()),
            ("length", self.length.into()),
            ("reverse", self.reverse.into()),
        ]))
    }

    /// Where the constants begin among the operands.
    pub fn first_constant(&self) -> usize {
        self.carries + self.sequences
    }

    /// Whether operand `index` is a sequence.
    pub fn is_sequence(&self, index: usize) -> bool {
        (self.carries..self.first_constant()).contains(&index)
    }

    /// How many results the loop has: last carries and stacks.
    pub fn results(&self) -> usize {
        self.body.results().len()
    }

    /// The type of operand `index`.
    pub fn operand_type(&self, index: usize) -> TensorType {
        let ty = self.body.graph().ty(self.body.inputs()[index]);
        if self.is_sequence(index) { self.stacked(ty) } else { ty.clone() }
    }

    /// The type of result `index`.
    pub fn result_type(&self, index: usize) -> TensorType {
        let ty = self.body.result_type(index);
        if index < self.carries { ty.clone() } else { self.stacked(ty) }
    }

    fn stacked(&self, ty: &TensorType) -> TensorType {
        ty.with_shape(std::iter::once(self.length).chain(ty.shape.iter().copied()).collect::<Shape>())
    }

    fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
        let inputs = self.body.inputs();
        let fail = |message: String| Err(TypeError(message));
        if operands.len() != inputs.len() {
            return fail(format!("the body has {} inputs, not {}", inputs.len(), operands.len()));
        }
        let named = self.carries.checked_add(self.sequences);
        if named.is_none_or(|named| named > inputs.len()) || self.carries > self.results() {
            return fail("the body has fewer carries or sequences than that".into());
        }
        if self.length > MAX_LENGTH {
            return fail(format!("{} steps are too many", self.length));
        }
        for (index, &ty) in operands.iter().enumerate() {
            let expected = self.operand_type(index);
            if *ty != expected {
                return fail(format!("operand {index} is {ty}, not {expected}"));
            }
        }
        for (index, &input) in inputs.iter().enumerate().take(self.carries) {
            let (before, after) = (self.body.graph().ty(input), self.body.result_type(index));
            if before != after {
                return fail(format!("carry {index} is {before} before a step and {after} after it"));
            }
        }
        result::packed_type(&self.result_types())
    }

    /// The types of all results.
    pub fn result_types(&self) -> Vec<TensorType> {
        (0..self.results()).map(|index| self.result_type(index)).collect()
    }

    fn evaluate(&self, operands: &[&Tensor]) -> Vec<f64> {
        let mut packed = result::packed_zeros(&self.result_types());
        let mut carries: Vec<Tensor> = operands[..self.carries].iter().map(|&first| first.clone()).collect();
        let steps: Vec<usize> = if self.reverse { (0..self.length).rev().collect() } else { (0..self.length).collect() };
        for step in steps {
            let slices: Vec<Tensor> =
                (self.carries..self.first_constant()).map(|index| self.slice(operands, index, step)).collect();
            let inputs: Vec<&Tensor> =
                carries.iter().chain(&slices).chain(operands[self.first_constant()..].iter().copied()).collect();
            let mut results = self.body.evaluate(&inputs).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
            for (index, stacked) in (self.carries..).zip(&results[self.carries..]) {
                result::write(&mut packed, index, step * stacked.data().len(), stacked);
            }
            results.truncate(self.carries);
            carries = results;
        }
        carries.iter().enumerate().for_each(|(index, carry)| result::write(&mut packed, index, 0, carry));
        packed
    }

    fn slice(&self, operands: &[&Tensor], index: usize, step: usize) -> Tensor {
        let ty = self.body.graph().ty(self.body.inputs()[index]);
        let count = ty.shape.elements();
        Tensor::new(ty.clone(), operands[index].data()[step * count..(step + 1) * count].to_vec())
    }
}

impl Graph {
    /// A loop, as the value that only its results read; see [`Graph::result_of`].
    pub fn scan(&mut self, scan: &Scan, operands: &[ValueId]) -> ValueId {
        self.emit(scan.op(), operands)
    }

    /// The loop that a value is, if it is one.
    pub fn as_scan(&self, value: ValueId) -> Option<Scan> {
        self.op(value).and_then(Scan::of)
    }

    /// Replaces the body of a loop by one that stacks more: it has the same inputs, and the results of the body that it
    /// replaces come first.
    pub fn extend_scan(&mut self, scan: ValueId, body: Body) {
        let extended = Scan { body, ..self.as_scan(scan).expect("only a loop has a body") };
        let types: Vec<&TensorType> = self.operands(scan).iter().map(|&operand| self.ty(operand)).collect();
        let op = extended.op();
        let ty = op.infer(&types).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
        let node = self.node_mut(scan);
        node.kind = NodeKind::Op(op);
        node.ty = ty;
    }
}

fn cases(n: usize, float: DType) -> Vec<Case> {
    let case = |carries: usize, sequences: usize, reverse: bool, step: Graph| {
        let body = Body::new(&step).unwrap_or_else(|error| panic!("gradc has a bug: {error}"));
        let scan = Scan { body, carries, sequences, length: n, reverse };
        let operands = (0..scan.body.inputs().len()).map(|index| scan.operand_type(index)).collect();
        Case { attrs: scan.op().attrs, operands }
    };
    vec![
        case(1, 1, false, recurrence(float)),
        case(2, 1, true, counter(float)),
        case(0, 1, false, map(float)),
        case(1, 0, false, iteration(float)),
        case(1, 1, true, nested(float)),
    ]
}

/// A graph with one output for each of `results`.
fn body(mut graph: Graph, results: &[(&str, ValueId)]) -> Graph {
    results.iter().for_each(|&(name, value)| graph.add_output(Role::Output, name, value));
    graph
}

/// A recurrent cell.
fn recurrence(float: DType) -> Graph {
    let mut graph = Graph::new("cell");
    let mut input = |name: &str, shape: &[usize]| graph.input(name, TensorType::new(float, shape));
    let (h, x, w, u) = (input("h", &[2, 3]), input("x", &[2, 4]), input("w", &[4, 3]), input("u", &[3, 3]));
    let (from_x, from_h) = (graph.matmul(x, w), graph.matmul(h, u));
    let z = graph.add(from_x, from_h);
    let next = graph.tanh(z);
    body(graph, &[("h", next), ("hs", next)])
}

/// Two carries, of which one counts the steps.
fn counter(float: DType) -> Graph {
    let mut graph = Graph::new("counter");
    let (a, count) = (graph.input("a", TensorType::new(float, [3])), graph.input("n", TensorType::scalar(DType::I32)));
    let x = graph.input("x", TensorType::new(float, [3]));
    let one = graph.scalar(1.0, DType::I32);
    let more = graph.add(count, one);
    let gate = graph.sigmoid(a);
    let gated = graph.mul(gate, x);
    let shift = graph.full_like(gated, 0.3);
    let (next, product) = (graph.add(gated, shift), graph.mul(a, x));
    body(graph, &[("a", next), ("n", more), ("products", product)])
}

/// No carries: each step for itself.
fn map(float: DType) -> Graph {
    let mut graph = Graph::new("map");
    let (x, k) = (graph.input("x", TensorType::new(float, [2])), graph.input("k", TensorType::new(float, [2])));
    let (scaled, bounded) = (graph.mul(x, k), graph.tanh(x));
    let y = graph.mul(scaled, bounded);
    let sum = graph.reduce_sum(scaled, &[0]);
    body(graph, &[("ys", y), ("sums", sum)])
}

/// No sequences: a function applied again and again.
fn iteration(float: DType) -> Graph {
    let mut graph = Graph::new("iteration");
    let (a, k) = (graph.input("a", TensorType::new(float, [3])), graph.input("k", TensorType::new(float, [3])));
    let product = graph.mul(a, k);
    let next = graph.tanh(product);
    body(graph, &[("a", next)])
}

/// A loop in a loop.
fn nested(float: DType) -> Graph {
    let step = |graph: &mut Graph, h: ValueId, x: ValueId| {
        let product = graph.mul(h, x);
        let bounded = graph.tanh(product);
        graph.sub(bounded, x)
    };
    let mut inner = Graph::new("inner");
    let (h, x) = (inner.input("h", TensorType::new(float, [2])), inner.input("x", TensorType::new(float, [2])));
    let next = step(&mut inner, h, x);
    let inner = Body::new(&body(inner, &[("h", next), ("hs", next)])).unwrap_or_else(|error| panic!("{error}"));
    let mut graph = Graph::new("outer");
    let (h, xs) = (graph.input("h", TensorType::new(float, [2])), graph.input("xs", TensorType::new(float, [3, 2])));
    let scan = Scan { body: inner, carries: 1, sequences: 1, length: 3, reverse: false };
    let scan = graph.scan(&scan, &[h, xs]);
    let (last, all) = (graph.result_of(scan, 0), graph.result_of(scan, 1));
    let sum = graph.reduce_sum(all, &[0]);
    let next = graph.sigmoid(last);
    body(graph, &[("h", next), ("sums", sum)])
}
