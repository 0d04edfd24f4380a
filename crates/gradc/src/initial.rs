//! First values of parameters and state.

use gradc_ir::{Graph, Init, LeafKind, NodeKind, TensorType, fnv1a};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal, Uniform};

use crate::Tensor;

/// The first value of every parameter and piece of state of `graph`, by name, parameters first,
/// in the order of the graph.
///
/// Each is drawn from a generator of its own, seeded by `seed` and its name: a parameter keeps its first value when
/// others are added, removed or moved. Numbers are drawn in `f64` and rounded, so an `f64` model begins where its `f32`
/// twin does, to within rounding.
pub fn initial_values(graph: &Graph, seed: u64) -> Vec<(String, LeafKind, Tensor)> {
    let of_kind = |kind| graph.leaves(kind);
    of_kind(LeafKind::Param)
        .chain(of_kind(LeafKind::State))
        .filter_map(|leaf| {
            let node = graph.node(leaf);
            let name = node.name.as_deref()?;
            let NodeKind::Leaf { kind, init: Some(init) } = &node.kind else { return None };
            Some((name.to_owned(), *kind, initial_value(init, &node.ty, name, seed)))
        })
        .collect()
}

/// One first value: what `init` gives for a tensor of type `ty` called `name`.
pub fn initial_value(init: &Init, ty: &TensorType, name: &str, seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name));
    let count = ty.shape.elements();
    let numbers: Vec<f64> = match init {
        Init::Constant(value) => return Tensor::filled(ty, value.get()),
        Init::Seed => (0..count).map(|_| f64::from(rng.next_u32() as i32)).collect(),
        Init::Uniform { low, high } => {
            let unit: Vec<f64> = match Uniform::new(0.0, 1.0) {
                Ok(uniform) => uniform.sample_iter(&mut rng).take(count).collect(),
                Err(_) => unreachable!("the unit interval is an interval"),
            };
            unit.into_iter().map(|u| low.get() + (high.get() - low.get()) * u).collect()
        }
        Init::Normal { mean, std } => (0..count).map(|_| mean.get() + std.get() * normal(&mut rng)).collect(),
        Init::TruncatedNormal { mean, std } => {
            let mut truncated = || {
                loop {
                    let z = normal(&mut rng);
                    if z.abs() <= 2.0 {
                        return z;
                    }
                }
            };
            (0..count).map(|_| mean.get() + std.get() * truncated()).collect()
        }
        Init::Orthogonal { gain } => {
            let columns = ty.shape.last().copied().unwrap_or(1);
            let rows = count.checked_div(columns).unwrap_or(0);
            orthogonal(rows, columns, &mut rng).into_iter().map(|q| gain.get() * q).collect()
        }
    };
    Tensor::from_numbers(ty, numbers).unwrap_or_else(|| unreachable!("as many numbers were drawn as {ty} has elements"))
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// A `rows × columns` matrix, row-major, with orthonormal columns where there are at least as many rows, else with
/// orthonormal rows; uniformly distributed, by orthogonalising a normal matrix (Gram–Schmidt, each vector twice: "twice
/// is enough", Giraud, Langou and Rozložník, 2005).
fn orthogonal(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(count);
    while basis.len() < count {
        let mut vector: Vec<f64> = (0..length).map(|_| normal(rng)).collect();
        for _ in 0..2 {
            for unit in &basis {
                let overlap = dot(unit, &vector);
                vector.iter_mut().zip(unit).for_each(|(x, u)| *x -= overlap * u);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        // A draw that lies in the span of the others has probability zero, but then it has no direction: draw again.
        if norm > 1e-8 {
            vector.iter_mut().for_each(|x| *x /= norm);
            basis.push(vector);
        }
    }
    let element = |row: usize, column: usize| if rows >= columns { basis[column][row] } else { basis[row][column] };
    (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))).map(|(r, c)| element(r, c)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradc_ir::DType;

    fn draw(init: Init, shape: &[usize]) -> Vec<f64> {
        initial_value(&init, &TensorType::new(DType::F64, shape), "w", 7).numbers()
    }

    fn mean_and_std(numbers: &[f64]) -> (f64, f64) {
        let n = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / n;
        (mean, (numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt())
    }

    #[test]
    fn distributions_have_their_moments_and_bounds() {
        let uniform = draw(Init::Uniform { low: (-0.5).into(), high: 0.5.into() }, &[100, 100]);
        let (mean, std) = mean_and_std(&uniform);
        assert!(mean.abs() < 0.01 && (std - 1.0 / 12f64.sqrt()).abs() < 0.01, "{mean} {std}");
        assert!(uniform.iter().all(|x| (-0.5..0.5).contains(x)));

        let (mean, std) = mean_and_std(&draw(Init::Normal { mean: 1.0.into(), std: 2.0.into() }, &[100, 100]));
        assert!((mean - 1.0).abs() < 0.06 && (std - 2.0).abs() < 0.06, "{mean} {std}");

        let truncated = draw(Init::TruncatedNormal { mean: 0.0.into(), std: 2.0.into() }, &[100, 100]);
        assert!(truncated.iter().all(|x| x.abs() <= 4.0));
    }

    #[test]
    fn orthogonal_matrices_are_orthogonal() {
        for (rows, columns) in [(5, 3), (3, 5), (4, 4), (1, 1), (0, 3), (3, 0)] {
            let q = draw(Init::Orthogonal { gain: 1.0.into() }, &[rows, columns]);
            let at = |r: usize, c: usize| q[r * columns + c];
            let count = rows.min(columns);
            for (i, j) in (0..count).flat_map(|i| (0..count).map(move |j| (i, j))) {
                let product: f64 = match rows >= columns {
                    true => (0..rows).map(|r| at(r, i) * at(r, j)).sum(),
                    false => (0..columns).map(|c| at(i, c) * at(j, c)).sum(),
                };
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{rows}x{columns}: {product}");
            }
        }
    }

    #[test]
    fn a_value_depends_on_seed_and_name_alone() {
        let init = Init::Normal { mean: 0.0.into(), std: 1.0.into() };
        let ty = TensorType::new(DType::F32, [4]);
        let value = |name: &str, seed| initial_value(&init, &ty, name, seed);
        assert_eq!(value("a", 1), value("a", 1));
        assert_ne!(value("a", 1), value("b", 1));
        assert_ne!(value("a", 1), value("a", 2));
    }
}
