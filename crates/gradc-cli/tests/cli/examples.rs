//! The examples, each trained by its command: that they come to what their documentation says.

use gradc_train::{data, weights};

use crate::{Folder, example, numbers};

/// The last word of what `gradc train` prints for an example.
fn trained(folder: &Folder, arguments: &str) -> f64 {
    let (file, rest) = arguments.split_once(' ').unwrap_or((arguments, ""));
    let said = folder.succeed(&format!("train {} {rest}", example(file).display()));
    let result = said.lines().rfind(|line| !line.starts_with("weights")).expect("it says something");
    let word = result.rsplit(' ').next().expect("a line has a last word");
    word.parse().unwrap_or_else(|error| panic!("{result}: {error}"))
}

/// The weights `w` and then the bias `b` that an example is trained to.
fn coefficients(folder: &Folder, file: &str) -> Vec<f64> {
    trained(folder, &format!("{file} --out trained.safetensors"));
    let file = weights::read(&folder.path("trained.safetensors")).unwrap_or_else(|error| panic!("{error}"));
    numbers(&file.arrays["w"]).into_iter().chain(numbers(&file.arrays["b"])).collect()
}

/// The rows of a data set with a one at the end of each, and their targets.
fn rows(name: &str, target: &str) -> (Vec<Vec<f64>>, Vec<f64>) {
    let arrays = data::read_npz(&example(name)).unwrap_or_else(|error| panic!("{error}"));
    let features = numbers(&arrays["features"]);
    let width = arrays["features"].shape()[1];
    let rows = features.chunks(width).map(|row| row.iter().copied().chain([1.0]).collect()).collect();
    (rows, numbers(&arrays[target]))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `x` of `A x = b` for a positive definite matrix, by elimination.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for pivot in 0..n {
        let row = a[pivot].clone();
        for below in pivot + 1..n {
            let factor = a[below][pivot] / row[pivot];
            a[below].iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
            b[below] -= factor * b[pivot];
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        x[i] = (b[i] - dot(&a[i][i + 1..], &x[i + 1..])) / a[i][i];
    }
    x
}

/// Σ over rows of `weight · row · rowᵀ`.
fn moments(rows: &[Vec<f64>], weights: &[f64]) -> Vec<Vec<f64>> {
    let entry = |i: usize, j: usize| rows.iter().zip(weights).map(|(row, weight)| weight * row[i] * row[j]).sum();
    let n = rows[0].len();
    (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect()
}

/// Σ over rows of `weight · row`.
fn weighted(rows: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let entry = |i: usize| rows.iter().zip(weights).map(|(row, weight)| weight * row[i]).sum();
    (0..rows[0].len()).map(entry).collect()
}

#[track_caller]
fn assert_same(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance, "{found}, not {expected}");
    }
}

#[test]
fn linear_regression_comes_to_the_normal_equations() {
    let (rows, targets) = rows("data/diabetes.npz", "progression");
    let expected = solve(moments(&rows, &vec![1.0; rows.len()]), weighted(&rows, &targets));
    assert_same(&coefficients(&Folder::new(), "regression/linear.net"), &expected, 1e-9);
}

#[test]
fn logistic_regression_comes_to_the_optimum_of_newtons_method() {
    let (rows, targets) = rows("data/breast_cancer.npz", "malignant");
    let (n, width) = (rows.len() as f64, rows[0].len());
    // Of the mean over the rows, and without one of the bias.
    let penalty = |i: usize| if i + 1 < width { 1.0 / 569.0 } else { 0.0 };
    let mut expected = vec![0.0; width];
    for _ in 0..20 {
        let p: Vec<f64> = rows.iter().map(|row| 1.0 / (1.0 + (-dot(row, &expected)).exp())).collect();
        let errors: Vec<f64> = p.iter().zip(&targets).map(|(p, target)| (p - target) / n).collect();
        let mut gradient = weighted(&rows, &errors);
        let mut hessian = moments(&rows, &p.iter().map(|p| p * (1.0 - p) / n).collect::<Vec<_>>());
        for i in 0..width {
            gradient[i] += penalty(i) * expected[i];
            hessian[i][i] += penalty(i);
        }
        let step = solve(hessian, gradient);
        expected.iter_mut().zip(&step).for_each(|(x, step)| *x -= step);
    }
    assert_same(&coefficients(&Folder::new(), "regression/logistic.net"), &expected, 1e-9);
}

#[test]
fn the_autoencoder_beats_as_many_principal_components() {
    // Eight of them leave an error of 0.0239.
    let error = trained(&Folder::new(), "autoencoder.net --epochs 40");
    assert!(error < 0.018, "{error}");
}

#[test]
fn a_mixture_of_experts_beats_one() {
    let folder = Folder::new();
    let (one, eight) = (trained(&folder, "mixture.net --dim experts=1"), trained(&folder, "mixture.net"));
    assert!(one > 0.94 && eight > one && eight > 0.96, "{one} {eight}");
}

#[test]
fn a_small_transformer_beats_pairs_of_characters() {
    let text = std::fs::read(example("data/shakespeare.txt")).expect("the text can be read");
    let (train, held_out) = text.split_at(text.len() - (0.1 * text.len() as f64).round() as usize);
    let mut counts = vec![[0_u32; 128]; 128];
    train.windows(2).for_each(|pair| counts[usize::from(pair[0])][usize::from(pair[1])] += 1);
    let followed_by_the_likeliest = |pair: &&[u8]| {
        let row = &counts[usize::from(pair[0])];
        row[usize::from(pair[1])] > 0 && row.iter().max() == Some(&row[usize::from(pair[1])])
    };
    let pairs = held_out.windows(2).filter(followed_by_the_likeliest).count() as f64 / held_out.len() as f64;
    let arguments = "transformer.net --dim blocks=1 --dim width=16 --dim time=16 --dim batch=32 --epochs 1";
    let accuracy = trained(&Folder::new(), arguments);
    assert!((0.26..0.28).contains(&pairs) && accuracy > pairs + 0.06, "{accuracy}, by pairs {pairs}");
}
