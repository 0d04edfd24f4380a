//! Random graphs and tensors, for the tests of every crate. No other crate depends on this one outside its tests.
//!
//! [`random_graph`] makes a well-typed graph over all operators, in which some values have a derivative rule of their own
//! that says what is true anyway, and [`random_bindings`] tensors for its leaves. Both are
//! functions of a seed, the same on every machine. The graphs are well conditioned:
//!
//! - every float stays within a few units of zero, finite, and away from the poles of the operators it meets;
//! - what decides about other values (comparisons, signs, rounding to integers, indices) is computed without rounding,
//!   so that an implementation that rounds otherwise decides the same;
//! - indices that read are in range.
//!
//! So two right implementations, or two precisions, differ by a small multiple of the rounding error.
//!
//! ```
//! use gradc_ir::DType;
//!
//! let graph = gradc_testing::random_graph(7, 20, DType::F32);
//! let bindings = gradc_testing::random_bindings(&graph, 7);
//! let results = gradc_interp::evaluate(&graph, &bindings)?;
//! assert!(results.iter().all(|tensor| tensor.data().iter().all(|x| x.is_finite())));
//! # Ok::<(), gradc_interp::EvalError>(())
//! ```

use gradc_ir::{DType, Domain, Graph, Tensor, TensorType, ValueId};

mod exact;
mod grow;
mod interval;
mod loops;
mod movements;
mod networks;
mod random;
mod rearrange;
mod rules;
mod samples;

pub use exact::{Arithmetic, ExactTensor};
pub use grow::random_graph;
pub use loops::random_loop;
pub use movements::random_movements;
pub use networks::random_network;
pub use random::Random;
pub use samples::{SIZES, Sample, smooth_samples, special_samples};

/// The whole numbers that [`random_bindings`] gives to integer leaves, both ends included.
pub const INTEGERS: (f64, f64) = (0.0, 2.0);

/// The floats that [`random_bindings`] gives to float leaves.
pub const FLOATS: (f64, f64) = (-1.5, 1.5);

/// Tensors for all leaves of a graph: floats from [`FLOATS`], integers from [`INTEGERS`], truth values that hold half
/// of the time.
pub fn random_bindings(graph: &Graph, seed: u64) -> Vec<(ValueId, Tensor)> {
    let mut random = Random::new(seed);
    let leaves = graph.values().filter(|&value| graph.leaf(value).is_some());
    let tensor = |leaf: ValueId| {
        let ty = graph.ty(leaf);
        (leaf, random_tensor(ty, if ty.dtype.is_integer() { INTEGERS } else { FLOATS }, &mut random))
    };
    leaves.map(tensor).collect()
}

/// A tensor of type `ty` with elements from `low` to `high`: floats between them, whole numbers with both ends included,
/// truth values that hold half of the time whatever the ends.
pub fn random_tensor(ty: &TensorType, (low, high): (f64, f64), random: &mut Random) -> Tensor {
    Tensor::from_fn(ty.clone(), |_| match ty.dtype {
        DType::Bool => f64::from(u8::from(random.chance(0.5))),
        // What is less than a `u8` wraps around.
        dtype if dtype.is_integer() => dtype.wrap((low + random.unit() * (high - low + 1.0)).floor().min(high) as i64),
        _ => low + random.unit() * (high - low),
    })
}

/// Tensors of the types of a case's operands, from where the operator is smooth; all floats differ by a margin where it has
/// kinks at ties.
pub fn random_operands(domain: &Domain, operands: &[TensorType], random: &mut Random) -> Vec<Tensor> {
    let interval = |i: usize| domain.smooth[i.min(domain.smooth.len() - 1)];
    let tensors = operands.iter().enumerate().map(|(i, ty)| random_tensor(ty, interval(i), random)).collect();
    if domain.kink_at_ties { spread(tensors, domain.smooth[0], random) } else { tensors }
}

/// The same tensors with their floats evenly spaced between `low` and `high`, in random order.
fn spread(tensors: Vec<Tensor>, (low, high): (f64, f64), random: &mut Random) -> Vec<Tensor> {
    let total: usize = tensors.iter().map(|tensor| tensor.shape().elements()).sum();
    let mut places: Vec<usize> = (0..total).collect();
    (1..total).rev().for_each(|i| places.swap(i, random.below(i + 1)));
    let mut place = places.into_iter();
    let spaced = |tensor: Tensor| match tensor.ty().dtype.is_float() {
        true => Tensor::from_fn(tensor.ty().clone(), |_| {
            low + (high - low) * (place.next().unwrap_or(0) as f64 + 0.5) / total as f64
        }),
        false => tensor,
    };
    tensors.into_iter().map(spaced).collect()
}
