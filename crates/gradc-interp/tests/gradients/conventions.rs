//! What the derivative is where it does not exist: at kinks and ties, at poles, at NaN, beyond the ends.

use gradc_autodiff::{gradient, jvp};
use gradc_interp::evaluate_values;
use gradc_ir::{DType, Graph, Tensor, TensorType, ValueId};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// The derivative of `Σ w · f(x₀, x₁, …)` by each `xᵢ`, for vectors: by reverse mode, after making sure that forward mode
/// says the same for each unit vector where `w` is one.
fn derivatives(xs: &[&[f64]], w: f64, f: impl Fn(&mut Graph, &[ValueId]) -> ValueId) -> Vec<Vec<f64>> {
    let mut graph = Graph::new("convention");
    let mut bindings = Vec::new();
    for (i, x) in xs.iter().enumerate() {
        let ty = TensorType::new(DType::F64, [x.len()]);
        let leaf = graph.input(format!("x{i}"), ty.clone());
        bindings.push((leaf, Tensor::new(ty, x.to_vec())));
    }
    let leaves: Vec<ValueId> = bindings.iter().map(|(leaf, _)| *leaf).collect();
    let y = f(&mut graph, &leaves);
    let weighted = graph.scale(y, w);
    let axes: Vec<usize> = (0..graph.shape(weighted).rank()).collect();
    let loss = graph.reduce_sum(weighted, &axes);
    let reverse = gradient(&graph, loss, &leaves);
    let cotangents: Vec<ValueId> = reverse.cotangents.into_iter().map(Option::unwrap).collect();
    let found = evaluate_values(&reverse.graph, &bindings, &cotangents).unwrap();
    let forward = jvp(&graph, &leaves, &[loss]);
    for (i, cotangent) in found.iter().enumerate() {
        for (j, &expected) in cotangent.data().iter().enumerate() {
            let unit = |k: usize, ty: &TensorType| {
                Tensor::from_fn(ty.clone(), |index| f64::from(u8::from(k == i && index[0] == j)))
            };
            let mut moved = bindings.clone();
            let inputs = forward.inputs.iter().enumerate();
            moved.extend(inputs.map(|(k, &input)| (input, unit(k, bindings[k].1.ty()))));
            let tangent = evaluate_values(&forward.graph, &moved, &[forward.tangents[0].unwrap()]).unwrap();
            // Along a unit vector, the other elements move by 0, which times an infinite slope is NaN: no disagreement.
            let along = tangent[0].data()[0];
            assert!(along.is_nan() || expected.is_nan() || along == expected, "{along} forward, {expected} backward");
        }
    }
    found.iter().map(|tensor| tensor.data().to_vec()).collect()
}

/// The derivative of one function of one vector.
fn slopes(x: &[f64], f: impl Fn(&mut Graph, ValueId) -> ValueId) -> Vec<f64> {
    derivatives(&[x], 1.0, |graph, leaves| f(graph, leaves[0])).remove(0)
}

#[track_caller]
fn assert_same(found: &[f64], expected: &[f64]) {
    let same = |(a, b): (&f64, &f64)| a == b || (a.is_nan() && b.is_nan());
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?}, expected {expected:?}");
}

#[test]
fn abs_is_flat_at_zero() {
    assert_same(&slopes(&[-2.0, -0.0, 0.0, 3.0, NAN, -INF], Graph::abs), &[-1.0, 0.0, 0.0, 1.0, 0.0, -1.0]);
}

#[test]
fn abs_at_zero_stays_flat_under_an_infinite_cotangent() {
    let root_of_magnitude = |graph: &mut Graph, x| {
        let magnitude = graph.abs(x);
        graph.sqrt(magnitude)
    };
    assert_same(&slopes(&[0.0, 4.0, -4.0], root_of_magnitude), &[0.0, 0.25, -0.25]);
}

#[test]
fn max_and_min_share_ties_evenly() {
    let (a, b): (&[f64], &[f64]) = (&[1.0, 2.0, 0.0, NAN, INF], &[2.0, 2.0, -0.0, 1.0, INF]);
    let greater = derivatives(&[a, b], 3.0, |graph, x| graph.max(x[0], x[1]));
    assert_same(&greater[0], &[0.0, 1.5, 1.5, 0.0, 1.5]);
    assert_same(&greater[1], &[3.0, 1.5, 1.5, 0.0, 1.5]);
    let lesser = derivatives(&[a, b], 3.0, |graph, x| graph.min(x[0], x[1]));
    assert_same(&lesser[0], &[3.0, 1.5, 1.5, 0.0, 1.5]);
    assert_same(&lesser[1], &[0.0, 1.5, 1.5, 0.0, 1.5]);
}

#[test]
fn the_greatest_of_oneself_has_slope_one() {
    assert_same(&slopes(&[-1.0, 0.0, 2.0], |graph, x| graph.max(x, x)), &[1.0, 1.0, 1.0]);
}

#[test]
fn reductions_share_among_all_extremes() {
    let x: &[f64] = &[2.0, -1.0, 2.0, -1.0, 2.0, 0.5];
    let third = 1.0 / 3.0;
    assert_same(&slopes(x, |graph, x| graph.reduce_max(x, &[0])), &[third, 0.0, third, 0.0, third, 0.0]);
    assert_same(&slopes(x, |graph, x| graph.reduce_min(x, &[0])), &[0.0, 0.5, 0.0, 0.5, 0.0, 0.0]);
    assert_same(&slopes(&[1.0, NAN], |graph, x| graph.reduce_max(x, &[0])), &[0.0, 0.0]);
}

#[test]
fn sqrt_at_zero_is_infinitely_steep() {
    assert_same(&slopes(&[0.0, 4.0, INF], Graph::sqrt), &[INF, 0.25, 0.0]);
    assert!(slopes(&[-1.0], Graph::sqrt)[0].is_nan());
    let unused = derivatives(&[&[0.0]], 0.0, |graph, x| graph.sqrt(x[0]));
    assert!(unused[0][0].is_nan(), "0 · inf is not hidden");
}

#[test]
fn rsqrt_at_its_ends() {
    assert_same(&slopes(&[0.0, 0.25, INF], Graph::rsqrt), &[-INF, -4.0, 0.0]);
}

/// `sqrt(x)` where `x` is positive, else 0.
fn root_of_positive(graph: &mut Graph, x: ValueId) -> ValueId {
    let zero = graph.full_like(x, 0.0);
    let positive = graph.gt(x, zero);
    let root = graph.sqrt(x);
    graph.select(positive, root, zero)
}

#[test]
fn a_branch_not_taken_receives_zero_whatever_computed_it() {
    assert_same(&slopes(&[4.0, 0.0, -1.0], root_of_positive), &[0.25, 0.0, 0.0]);
    let guarded_argument = |graph: &mut Graph, x| {
        let (zero, one) = (graph.full_like(x, 0.0), graph.full_like(x, 1.0));
        let positive = graph.gt(x, zero);
        let argument = graph.select(positive, x, one);
        let root = graph.sqrt(argument);
        graph.select(positive, root, zero)
    };
    assert_same(&slopes(&[4.0, 0.0, -1.0, NAN], guarded_argument), &[0.25, 0.0, 0.0, 0.0]);
}

#[test]
fn a_branch_not_taken_stays_zero_in_second_derivatives() {
    let second = |graph: &mut Graph, x: ValueId| {
        let y = root_of_positive(graph, x);
        let sum = graph.reduce_sum(y, &[0]);
        let first = gradient(graph, sum, &[x]);
        *graph = first.graph;
        first.cotangents[0].unwrap()
    };
    assert_same(&slopes(&[4.0, 0.0, -1.0], second), &[-0.03125, 0.0, 0.0]);
}

#[test]
fn what_is_also_used_outside_of_a_choice_is_not_hidden_by_it() {
    let both = |graph: &mut Graph, x: ValueId| {
        let zero = graph.full_like(x, 0.0);
        let positive = graph.gt(x, zero);
        let root = graph.sqrt(x);
        let chosen = graph.select(positive, root, zero);
        graph.add(chosen, root)
    };
    let slope = slopes(&[4.0, 0.0], both);
    assert_same(&slope, &[0.5, INF]);
}

#[test]
fn select_passes_infinities_only_where_they_are_taken() {
    let steep = |graph: &mut Graph, x| {
        let zero = graph.full_like(x, 0.0);
        let positive = graph.gt(x, zero);
        let chosen = graph.select(positive, x, zero);
        graph.sqrt(chosen)
    };
    // Below zero the cotangent that reaches the select is 1/(2·0): a mask would make 0 · inf of it.
    assert_same(&slopes(&[-1.0, 4.0, 0.0], steep), &[0.0, 0.25, 0.0]);
}

#[test]
fn powers_of_negative_numbers_by_whole_exponents() {
    let power = |exponent: f64| {
        move |graph: &mut Graph, x: ValueId| {
            let exponent = graph.full_like(x, exponent);
            graph.pow(x, exponent)
        }
    };
    assert_same(&slopes(&[-3.0, -0.5, 0.0, 2.0], power(2.0)), &[-6.0, -1.0, 0.0, 4.0]);
    assert_same(&slopes(&[-3.0, 0.0, 2.0], power(3.0)), &[27.0, 0.0, 12.0]);
    assert_same(&slopes(&[-2.0, 2.0], power(-1.0)), &[-0.25, -0.25]);
    assert_same(&slopes(&[-2.0, 0.0, INF, NAN], power(0.0)), &[0.0, 0.0, 0.0, 0.0]);
    assert_same(&slopes(&[-2.0, 0.0, 5.0], power(1.0)), &[1.0, 1.0, 1.0]);
    assert_same(&slopes(&[0.0, 4.0], power(0.5)), &[INF, 0.25]);
}

#[test]
fn powers_by_a_variable_exponent() {
    let by = |x: &[f64], y: &[f64]| derivatives(&[x, y], 1.0, |graph, v| graph.pow(v[0], v[1]));
    let at_zero = by(&[0.0, 0.0, 0.0], &[2.0, 0.5, 1.0]);
    assert_same(&at_zero[1], &[0.0, 0.0, 0.0]);
    assert_same(&at_zero[0], &[0.0, INF, 1.0]);
    let at_exponent_zero = by(&[-2.0, 0.0, 1.0], &[0.0, 0.0, 0.0]);
    assert_same(&at_exponent_zero[0], &[0.0, 0.0, 0.0]);
    let negative = by(&[-2.0], &[3.0]);
    assert_same(&negative[0], &[12.0]);
    assert!(negative[1][0].is_nan(), "the power is no real number for exponents nearby");
}

#[test]
fn second_derivatives_of_powers_do_not_leak_nan() {
    let second = |base: &[f64], exponent: f64| {
        slopes(base, |graph, x| {
            // Not a constant that the rule can look at: x − x + exponent.
            let nothing = graph.sub(x, x);
            let nothing = graph.stop_gradient(nothing);
            let constant = graph.full_like(x, exponent);
            let exponent = graph.add(nothing, constant);
            let y = graph.pow(x, exponent);
            let sum = graph.reduce_sum(y, &[0]);
            let first = gradient(graph, sum, &[x]);
            *graph = first.graph;
            first.cotangents[0].unwrap()
        })
    };
    assert_same(&second(&[-2.0, 0.0, 3.0], 0.0), &[0.0, 0.0, 0.0]);
    assert_same(&second(&[-2.0, 0.0, 3.0], 2.0), &[2.0, 2.0, 2.0]);
    assert_same(&second(&[-2.0, 0.0, 3.0], 1.0), &[0.0, 0.0, 0.0]);
    assert_same(&second(&[-2.0, 0.0, 3.0], 3.0), &[-12.0, 0.0, 18.0]);
}

#[test]
fn saturated_activations_have_slope_zero_not_nan() {
    assert_same(&slopes(&[-1e3, 1e3], Graph::sigmoid), &[0.0, 0.0]);
    assert_same(&slopes(&[-1e3, 1e3, INF], Graph::tanh), &[0.0, 0.0, 0.0]);
    assert_same(&slopes(&[-1e3, 1e3, -INF], Graph::erf), &[0.0, 0.0, 0.0]);
    assert_same(&slopes(&[-1e3, 0.0], Graph::expm1), &[0.0, 1.0]);
    assert_same(&slopes(&[0.0, -0.5, INF], Graph::log1p), &[1.0, 2.0, 0.0]);
}

/// An `i32` vector in the graph: positions from `first` on.
fn indices(graph: &mut Graph, numbers: &[f64]) -> ValueId {
    let parts: Vec<ValueId> =
        numbers.iter().map(|&number| graph.full(number, &TensorType::new(DType::I32, [1]))).collect();
    graph.concat(&parts, 0)
}

#[test]
fn gather_adds_up_repeated_indices_and_passes_over_those_out_of_range() {
    let read = |graph: &mut Graph, x| {
        let at = indices(graph, &[2.0, 0.0, 2.0, -1.0, 3.0, 2.0]);
        graph.gather(x, at, 0)
    };
    assert_same(&slopes(&[10.0, 20.0, 30.0], read), &[1.0, 0.0, 3.0]);
}

#[test]
fn scatter_add_gives_nothing_back_to_what_it_passed_over() {
    let added = |graph: &mut Graph, x| {
        let at = indices(graph, &[0.0, -1.0, 1.0, 2.0, 0.0]);
        let sums = graph.scatter_add(at, x, 0, 2);
        let weights = graph.iota(0, &TensorType::new(DType::F64, [2]));
        let one = graph.full_like(weights, 1.0);
        let weights = graph.add(weights, one);
        graph.mul(sums, weights)
    };
    assert_same(&slopes(&[5.0, 6.0, 7.0, 8.0, 9.0], added), &[1.0, 0.0, 2.0, 0.0, 1.0]);
}

#[test]
fn stop_gradient_makes_a_constant() {
    let product = |graph: &mut Graph, x| {
        let fixed = graph.stop_gradient(x);
        graph.mul(x, fixed)
    };
    assert_same(&slopes(&[3.0, -2.0], product), &[3.0, -2.0]);
}

#[test]
fn casts_between_floats_pass_the_derivative_and_through_integers_they_do_not() {
    let through_single = |graph: &mut Graph, x| {
        let single = graph.cast(x, DType::F32);
        let square = graph.mul(single, single);
        graph.cast(square, DType::F64)
    };
    assert_same(&slopes(&[3.0], through_single), &[6.0]);
    let rounded = |graph: &mut Graph, x| {
        let whole = graph.cast(x, DType::I32);
        let whole = graph.cast(whole, DType::F64);
        graph.mul(whole, x)
    };
    assert_same(&slopes(&[3.7], rounded), &[3.0]);
}
