//! The accuracy of the functions that are written out in kernels, over their whole domains.
//!
//! The bounds are the greatest errors that were measured over eight million arguments of each function, rounded up;
//! the tests take fewer.
//! The functions' documentation states them.

use gradc_codegen::{Features, Options, Vectors, compile};
use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::LoopKind;

use crate::support::{Memory, elementwise, plan_of, run, ulp_error, widths};

/// Every exponent with both signs, with as many mantissas of each, and the special values.
fn samples(dtype: DType, mantissas: u64) -> Vec<f64> {
    let (mantissa_bits, exponents) = if dtype == DType::F64 { (52, 2048) } else { (23, 256) };
    let mut samples = vec![0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    for upper in 0..2 * exponents {
        for at in 0..mantissas {
            // Odd steps through the mantissas, so that every bit of them is on and off, and both ends.
            let mask = (1u64 << mantissa_bits) - 1;
            let mantissa = match at {
                0 => 0,
                1 => mask,
                _ => (at + upper * mantissas).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - mantissa_bits),
            };
            let bits = (upper << mantissa_bits) | mantissa;
            samples.push(if dtype == DType::F64 { f64::from_bits(bits) } else { f32::from_bits(bits as u32).into() });
        }
    }
    samples
}

/// The greatest error of a function in units in the last place, and where it is.
fn greatest_error(
    op: ScalarOp,
    dtype: DType,
    (features, vectors): (Features, Vectors),
    samples: &[f64],
    exact: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let kernel = elementwise(op, &[dtype], dtype, samples.len(), LoopKind::Vector);
    let options = Options { features, vectors, ..Options::default() };
    let program = compile(&plan_of(kernel), &options).expect("the kernel is well-formed");
    let mut memory = [Memory::new(dtype, samples), Memory::new(dtype, &vec![0.0; samples.len()])];
    run(&program, &mut memory);
    let errors = samples.iter().zip(memory[1].values()).map(|(&x, found)| {
        let error = match dtype {
            // The distance from the real number, not from its rounding.
            DType::F32 => error_in_f32(exact(x), found),
            _ => ulp_error(dtype, exact(x), found),
        };
        (error, x)
    });
    errors.fold((0.0, 0.0), |worst, error| if error.0 > worst.0 { error } else { worst })
}

/// The error of a rounded result in units in the last place of the exact one.
fn error_in_f32(exact: f64, found: f64) -> f64 {
    let rounded = DType::F32.round(exact);
    if rounded == 0.0 || !rounded.is_finite() || !found.is_finite() {
        return ulp_error(DType::F32, rounded, found);
    }
    ulp_error(DType::F32, exact, found)
}

struct Bound {
    op: ScalarOp,
    exact: fn(f64) -> f64,
    /// For `f32`, with fused multiply-add and without.
    single: (f64, f64),
    /// For `f64`, in whole units: the reference is rounded as well, and may itself be one unit off.
    double: f64,
}

const BOUNDS: [Bound; 9] = [
    Bound { op: ScalarOp::Exp, exact: libm::exp, single: (1.1, 1.0), double: 1.0 },
    Bound { op: ScalarOp::Expm1, exact: libm::expm1, single: (1.5, 1.6), double: 2.0 },
    Bound { op: ScalarOp::Log, exact: libm::log, single: (0.8, 0.8), double: 1.0 },
    Bound { op: ScalarOp::Log1p, exact: libm::log1p, single: (0.8, 0.8), double: 1.0 },
    Bound { op: ScalarOp::Tanh, exact: libm::tanh, single: (2.4, 2.4), double: 3.0 },
    Bound { op: ScalarOp::Sigmoid, exact: sigmoid, single: (2.2, 2.2), double: 2.0 },
    Bound { op: ScalarOp::Erf, exact: libm::erf, single: (1.1, 1.2), double: 0.0 },
    Bound { op: ScalarOp::Erfc, exact: libm::erfc, single: (4.0, 4.0), double: 0.0 },
    Bound { op: ScalarOp::Rsqrt, exact: |x| x.sqrt().recip(), single: (1.5, 1.5), double: 0.0 },
];

fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}

fn check_bounds(dtype: DType, mantissas: u64, bound: impl Fn(&Bound) -> (f64, f64)) {
    let samples = samples(dtype, mantissas);
    let mut failures = Vec::new();
    for case in &BOUNDS {
        let native = widths().map(|vectors| ((Features::Native, vectors), bound(case).0));
        for (way, limit) in native.chain([((Features::Baseline, Vectors::Bits128), bound(case).1)]) {
            let (error, at) = greatest_error(case.op, dtype, way, &samples, case.exact);
            if error > limit {
                failures.push(format!("{:?} {way:?} in {dtype}: {error:.3} ulp at {at:e}, not {limit}", case.op));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn functions_in_f32_are_within_their_bounds() {
    check_bounds(DType::F32, 512, |bound| bound.single);
}

#[test]
fn functions_in_f64_are_within_their_bounds() {
    check_bounds(DType::F64, 64, |bound| (bound.double, bound.double));
}

/// Each lane goes through the same roundings, however wide the vectors are.
#[test]
fn functions_have_the_same_bits_in_vectors_of_every_width() {
    for dtype in [DType::F32, DType::F64] {
        let samples = samples(dtype, 64);
        for op in BOUNDS.iter().map(|case| case.op) {
            let kernel = elementwise(op, &[dtype], dtype, samples.len(), LoopKind::Vector);
            let results: Vec<Vec<u64>> = widths()
                .map(|vectors| {
                    let options = Options { vectors, ..Options::default() };
                    let found = &crate::support::execute(&kernel, &[samples.clone(), samples.clone()], &options)[1];
                    found.iter().map(|found| if found.is_nan() { 0 } else { found.to_bits() }).collect()
                })
                .collect();
            let narrow = &results[0];
            for (at, &x) in samples.iter().enumerate() {
                let bits = results.iter().map(|result| result[at]);
                assert!(bits.into_iter().all(|bits| bits == narrow[at]), "{op:?}({x:e}) in {dtype} differs");
            }
        }
    }
}

/// Every pair of edges, and pairs of which the power is an ordinary number.
#[test]
fn powers_in_f32_are_within_their_bound() {
    let infinity = f64::INFINITY;
    let mut edges = vec![0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 1e-40, 1e-30, 0.99, 1.01, 8_388_609.0, 16_777_215.0];
    edges.extend([16_777_216.0, 33_554_432.0, 1e30, f64::from(f32::MAX), infinity, f64::NAN]);
    let edges: Vec<f64> = edges.iter().flat_map(|&x| [DType::F32.round(x), -DType::F32.round(x)]).collect();
    let mut pairs: Vec<(f64, f64)> = edges.iter().flat_map(|&x| edges.iter().map(move |&y| (x, y))).collect();
    let positive = samples(DType::F32, 64).into_iter().filter(|x| *x > 0.0 && x.is_finite());
    // Exponents at which the power has any exponent of its own.
    pairs.extend(positive.enumerate().map(|(at, x)| {
        let scale = (at % 301) as f64 / 1.7 - 88.0;
        (x, DType::F32.round(scale / if x == 1.0 { 1.0 } else { x.ln() }))
    }));
    let (xs, ys): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let kernel = elementwise(ScalarOp::Pow, &[DType::F32; 2], DType::F32, xs.len(), LoopKind::Vector);
    for features in [Features::Native, Features::Baseline] {
        let program = compile(&plan_of(kernel.clone()), &Options { features, ..Options::default() });
        let zeros = Memory::new(DType::F32, &vec![0.0; xs.len()]);
        let mut memory = [Memory::new(DType::F32, &xs), Memory::new(DType::F32, &ys), zeros];
        run(&program.expect("the kernel is well-formed"), &mut memory);
        for (&(x, y), found) in pairs.iter().zip(memory[2].values()) {
            let error = error_in_f32(libm::pow(x, y), found);
            assert!(error <= 0.51, "pow({x:e}, {y:e}) is {found:e}: {error} ulp");
        }
    }
}

/// The tails that textbook forms lose.
#[test]
fn saturated_functions_keep_their_tails() {
    for (op, x, expected) in [
        (ScalarOp::Sigmoid, -50.0, 1.928_749_847_963_917_8e-22),
        (ScalarOp::Sigmoid, -100.0, 3.720_075_976_020_836e-44),
        (ScalarOp::Expm1, 1e-10, 1.000_000_000_05e-10),
        (ScalarOp::Log1p, -1e-10, -1.000_000_000_05e-10),
        (ScalarOp::Tanh, 1e-20, 1e-20),
        (ScalarOp::Exp, -100.0, 3.720_075_976_020_836e-44),
    ] {
        let x = DType::F32.round(x);
        let kernel = elementwise(op, &[DType::F32], DType::F32, 1, LoopKind::Vector);
        let found = crate::support::execute(&kernel, &[vec![x], vec![0.0]], &Options::default())[1][0];
        let expected = DType::F32.round(expected);
        assert!(ulp_error(DType::F32, expected, found) <= 3.0, "{op:?}({x:e}) is {found:e}, not {expected:e}");
    }
}
