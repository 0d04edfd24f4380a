//! Products of a plan in the terms of the runtime.

use gradc_runtime::{Matmul, Strides};
use gradc_schedule::plan::{Gemm, MatrixRef};

/// The bytes of scratch memory that a product needs, whatever machine it runs on: what
/// [`schedule`](gradc_schedule::schedule) has to be told, for a plan that is to be compiled.
pub fn scratch_bytes(gemm: &Gemm) -> usize {
    matmul(gemm).scratch_bytes(gemm.dtype.size())
}

/// What the runtime is told of a product.
pub(crate) fn matmul(gemm: &Gemm) -> Matmul {
    let strides = |matrix: MatrixRef| Strides {
        row: matrix.row_stride,
        column: matrix.column_stride,
        batch: matrix.batch_stride,
    };
    Matmul {
        batch: gemm.batch,
        m: gemm.m,
        n: gemm.n,
        k: gemm.k,
        a: strides(gemm.a),
        b: strides(gemm.b),
        c: strides(gemm.c),
        accumulate: gemm.accumulate,
        scale: gemm.scale,
    }
}
