//! Random numbers: where they stand in the sequence.
//!
//! Every call has a stream of its own, and every training step its place in it. The numbers are a function of the seed of
//! the run, the stream, the step and the position in the tensor; see the operator, [`gradc_ir::op::random`].

use gradc_diagnostics::Span;
use gradc_ir::{DType, Graph, Init, TensorType, ValueId};

use super::{Evaluator, Phase};
use crate::int::{Int, shape_of};
use crate::value::Tensor;

/// The seed, as the run gives it.
const SEED: &str = "random.seed";
/// The training steps made.
const STEP: &str = "random.step";

/// A loop whose body is being evaluated.
pub(super) struct LoopStep {
    length: usize,
    /// The leaf that stands in for the position of a step, once something in the body is random.
    leaf: Option<ValueId>,
}

impl LoopStep {
    pub(super) fn new(length: usize) -> LoopStep {
        LoopStep { length, leaf: None }
    }

    /// The positions of all steps as a sequence of the loop, with the leaf that stands in for its slices; none where nothing
    /// depends on them.
    pub(super) fn sequence(self, graph: &mut Graph) -> Option<(ValueId, ValueId)> {
        let leaf = self.leaf?;
        Some((graph.iota(0, &TensorType::new(DType::I32, [self.length])), leaf))
    }
}

/// What all random numbers of a model depend on.
#[derive(Default)]
pub(super) struct Sequence {
    /// Seed and step, once something is random.
    leaves: Option<[ValueId; 2]>,
    /// Calls so far, by the path of the layer that they are in.
    calls: rustc_hash::FxHashMap<String, u32>,
    /// The streams that are taken.
    streams: rustc_hash::FxHashSet<u32>,
}

impl Evaluator<'_> {
    /// Uniform on [0, 1), of a float type.
    pub(crate) fn random(&mut self, extents: &[Int], dtype: DType, span: Span) -> Tensor {
        let [seed, step] = self.random_leaves();
        let stream = self.next_stream();
        let shape = shape_of(extents);
        let scalar = TensorType::scalar(DType::I32);
        let stream = self.graph.full(f64::from(stream as i32), &scalar);
        let [seed, stream, step] = [seed, stream, step].map(|value| self.graph.broadcast_scalar(value, &shape));
        let index = self.graph.iota(0, &TensorType::new(DType::I32, [shape.elements()]));
        let index = self.graph.reshape(index, &shape);
        let index = match self.steps_before() {
            Some(steps) => {
                let count = self.graph.full(shape.elements() as f64, &scalar);
                let first = self.graph.mul(steps, count);
                let first = self.graph.broadcast_scalar(first, &shape);
                self.graph.add(first, index)
            }
            None => index,
        };
        let id = self.graph.random([seed, stream, step, index], dtype);
        self.tensor(id, extents.to_vec(), span)
    }

    /// In the body of a loop, the position of the step: the numbers are those of a tensor with the steps along a first axis. In
    /// loops within each other, the axes of all of them come first.
    fn steps_before(&mut self) -> Option<ValueId> {
        let scalar = TensorType::scalar(DType::I32);
        let mut steps = None;
        for i in 0..self.loops.len() {
            let length = self.loops[i].length;
            let leaf = match self.loops[i].leaf {
                Some(leaf) => leaf,
                None => {
                    let leaf = self.stand_in("step", scalar.clone());
                    *self.loops[i].leaf.insert(leaf)
                }
            };
            steps = Some(match steps {
                None => leaf,
                Some(around) => {
                    let length = self.graph.full(length as f64, &scalar);
                    let first = self.graph.mul(around, length);
                    self.graph.add(first, leaf)
                }
            });
        }
        steps
    }

    /// A model with random numbers counts its training steps.
    pub(super) fn count_random_steps(&mut self, span: Span) {
        let Some([_, step]) = self.sequence.leaves else { return };
        if self.phase() == Phase::Training {
            self.locate(span);
            let one = self.graph.full_like(step, 1.0);
            let next = self.graph.add(step, one);
            let next = self.tensor(next, [], span);
            self.add_update(STEP, &next, span);
        }
    }

    fn random_leaves(&mut self) -> [ValueId; 2] {
        if let Some(leaves) = self.sequence.leaves {
            return leaves;
        }
        let scalar = TensorType::scalar(DType::I32);
        let seed = self.graph.state(SEED, scalar.clone(), Init::Seed);
        let step = self.graph.state(STEP, scalar, Init::Constant(0.0.into()));
        *self.sequence.leaves.insert([seed, step])
    }

    /// A stream that depends on the path of the layer and on the calls before in it, so that it stays what it is when
    /// code elsewhere changes.
    fn next_stream(&mut self) -> u32 {
        let owner = self.frames.iter().rev().find_map(|frame| frame.application.as_ref());
        let path = owner.map(|application| application.instance.path.clone()).unwrap_or_default();
        let count = self.sequence.calls.entry(path.clone()).or_default();
        let mut stream = folded(&format!("{path}#{count}"));
        *count += 1;
        // Two calls hardly ever hash to the same; then the second takes the next that is free.
        while !self.sequence.streams.insert(stream) {
            stream = stream.wrapping_add(1);
        }
        stream
    }
}

/// The 64-bit FNV-1a hash, folded to 32 bits by exclusive or.
fn folded(text: &str) -> u32 {
    let hash = gradc_ir::fnv1a(text);
    (hash >> 32) as u32 ^ hash as u32
}
