//! Random data for a model's inputs.

use gradc::ir::{DType, TensorType};
use gradc::{Executable, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

/// Below which number random integers are that nothing bounds: sizes and counts, of which small ones are sure to be valid.
const UNBOUNDED: usize = 4;

/// A tensor for each input that a run needs, a function of the seed alone: floats from the standard normal distribution,
/// integers that are indices within their bounds.
pub(crate) fn inputs(executable: &Executable, seed: u64) -> Option<Vec<(String, Tensor)>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut of_type = |name: &str, ty: &TensorType| {
        let bound = executable.bound(name).unwrap_or(if ty.dtype == DType::Bool { 2 } else { UNBOUNDED });
        let below = Uniform::new(0, bound.max(1)).ok()?;
        let numbers: Vec<f64> = match ty.dtype.is_float() {
            true => StandardNormal.sample_iter(&mut rng).take(ty.shape.elements()).collect(),
            false => below.sample_iter(&mut rng).take(ty.shape.elements()).map(|number| number as f64).collect(),
        };
        Tensor::from_numbers(ty, numbers)
    };
    executable.inputs().map(|(name, ty)| Some((name.to_owned(), of_type(name, ty)?))).collect()
}
