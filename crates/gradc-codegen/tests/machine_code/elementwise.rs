//! Every scalar operation, on every element type it takes, at extents around the sizes of vectors and rounds.

use crate::support::{check, check_with, elementwise};
use gradc_codegen::{Contraction, Features, Listings, OptLevel, Options, Sharing, Vectors};
use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::LoopKind;

const EXTENTS: [usize; 13] = [0, 1, 3, 4, 5, 15, 16, 17, 31, 33, 63, 65, 1000];

/// Machines without extensions, and compilation without optimisation.
const OTHERS: [Options; 2] =
    [Options { features: Features::Baseline, ..DEFAULT }, Options { opt_level: OptLevel::None, ..DEFAULT }];

const DEFAULT: Options = Options {
    opt_level: OptLevel::Speed,
    contraction: Contraction::Never,
    features: Features::Native,
    vectors: Vectors::Widest,
    listings: Listings { clif: false, assembly: false },
    threads: None,
    sharing: Sharing::WorthWhile,
};

/// Operands that go through every pair of edges, then through ordinary numbers.
fn operand(dtype: DType, position: usize, extent: usize) -> Vec<f64> {
    let edges: &[f64] = match dtype {
        DType::Bool => &[0.0, 1.0],
        DType::I32 => &[0.0, 1.0, -1.0, 7.0, -13.0, i32::MAX as f64, i32::MIN as f64, 65_537.0],
        DType::U8 => &[0.0, 1.0, 2.0, 127.0, 128.0, 254.0, 255.0],
        DType::I64 => &[0.0, 1.0, -1.0, 7.0, -13.0, 65_537.0, 4_294_967_296.0, -2_147_483_649.0],
        DType::F16 | DType::Bf16 | DType::F32 | DType::F64 => &[
            0.5,
            -0.0,
            0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1.0,
            -1.0,
            -2.5,
            3.0,
            1e-40,
            -1e-40,
            1e38,
            -3e9,
            1e-3,
            17.25,
        ],
    };
    (0..extent)
        .map(|at| {
            let value = match position {
                0 => edges[at % edges.len()],
                _ => edges[(at / edges.len() + at * position) % edges.len()],
            };
            let ordinary = ((at * 7919 + position * 104_729) % 2003) as f64 / 200.0 - 5.0;
            dtype.round(if at < 600 { value } else { ordinary })
        })
        .collect()
}

fn battery(op: ScalarOp, operands: &[DType], result: DType, ulps: f64) {
    for extent in EXTENTS {
        let mut buffers: Vec<Vec<f64>> =
            operands.iter().enumerate().map(|(at, &dtype)| operand(dtype, at, extent)).collect();
        buffers.push(vec![0.0; extent]);
        for kind in [LoopKind::Vector, LoopKind::Serial] {
            let kernel = elementwise(op, operands, result, extent, kind);
            check(&kernel, &buffers, ulps);
            if extent == 33 {
                OTHERS.iter().for_each(|options| check_with(&kernel, &buffers, ulps, options));
            }
        }
    }
}

const FLOATS: [DType; 2] = [DType::F32, DType::F64];
const NUMBERS: [DType; 4] = [DType::I32, DType::I64, DType::F32, DType::F64];

#[test]
fn arithmetic_is_exact() {
    for dtype in NUMBERS {
        for op in [ScalarOp::Add, ScalarOp::Sub, ScalarOp::Mul, ScalarOp::Min, ScalarOp::Max] {
            battery(op, &[dtype, dtype], dtype, 0.0);
        }
        for op in [ScalarOp::Neg, ScalarOp::Abs, ScalarOp::Sign] {
            battery(op, &[dtype], dtype, 0.0);
        }
    }
    for dtype in FLOATS {
        battery(ScalarOp::Div, &[dtype, dtype], dtype, 0.0);
        for op in [ScalarOp::Sqrt, ScalarOp::Floor, ScalarOp::Ceil, ScalarOp::Round] {
            battery(op, &[dtype], dtype, 0.0);
        }
    }
}

/// Of storage types, what rounds nothing.
#[test]
fn storage_types_are_chosen_from() {
    for dtype in [DType::U8, DType::F16, DType::Bf16] {
        for op in [ScalarOp::Min, ScalarOp::Max] {
            battery(op, &[dtype, dtype], dtype, 0.0);
        }
    }
    for dtype in [DType::F16, DType::Bf16] {
        for op in [ScalarOp::Neg, ScalarOp::Abs, ScalarOp::Sign] {
            battery(op, &[dtype], dtype, 0.0);
        }
    }
}

#[test]
fn comparisons_and_logic_are_exact() {
    for dtype in DType::ALL {
        for op in [ScalarOp::Eq, ScalarOp::Ne, ScalarOp::Lt, ScalarOp::Le, ScalarOp::Gt, ScalarOp::Ge] {
            battery(op, &[dtype, dtype], DType::Bool, 0.0);
        }
        battery(ScalarOp::Select, &[DType::Bool, dtype, dtype], dtype, 0.0);
    }
    battery(ScalarOp::And, &[DType::Bool, DType::Bool], DType::Bool, 0.0);
    battery(ScalarOp::Or, &[DType::Bool, DType::Bool], DType::Bool, 0.0);
    battery(ScalarOp::Not, &[DType::Bool], DType::Bool, 0.0);
}

#[test]
fn operations_on_bits_are_exact() {
    battery(ScalarOp::Xor, &[DType::I32, DType::I32], DType::I32, 0.0);
    for bits in [0, 1, 8, 13, 31] {
        battery(ScalarOp::RotateLeft(bits), &[DType::I32], DType::I32, 0.0);
        battery(ScalarOp::ShiftRight(bits), &[DType::I32], DType::I32, 0.0);
    }
}

#[test]
fn conversions_are_exact() {
    for from in DType::ALL {
        for to in DType::ALL {
            let computed = |dtype: DType| dtype.arithmetic() == dtype;
            let direct = from == to || from.arithmetic() == to || from == to.arithmetic();
            if direct || computed(from) && computed(to) {
                battery(ScalarOp::Cast(to), &[from], to, 0.0);
            }
        }
    }
}

#[test]
fn functions_are_accurate() {
    for dtype in FLOATS {
        for op in [
            ScalarOp::Rsqrt,
            ScalarOp::Exp,
            ScalarOp::Expm1,
            ScalarOp::Log,
            ScalarOp::Log1p,
            ScalarOp::Tanh,
            ScalarOp::Sigmoid,
            ScalarOp::Erf,
            ScalarOp::Erfc,
        ] {
            battery(op, &[dtype], dtype, 4.0);
        }
        battery(ScalarOp::Pow, &[dtype, dtype], dtype, 1.0);
    }
}
