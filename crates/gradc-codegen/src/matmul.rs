//! Products of a plan in the terms of the runtime.

use gradc_runtime::{self as runtime, Matmul, Strides};
use gradc_schedule::plan::{Axes, Gemm, MatrixRef, Operand, Packing};
use smallvec::SmallVec;

/// The bytes of scratch memory that a product needs, whatever machine it runs on: what
/// [`schedule`](gradc_schedule::schedule) has to be told, for a plan that is to be compiled.
pub fn scratch_bytes(gemm: &Gemm) -> usize {
    matmul(gemm).scratch_bytes(gemm.dtype.size())
}

/// How an operand of a product can be packed, whatever machine it runs on: what [`schedule`](gradc_schedule::schedule) is told, for a
/// plan in which operands that stay the same are packed once.
pub fn packing(gemm: &Gemm) -> Option<Packing> {
    let runtime::Packing { operand, bytes } = matmul(&Gemm { packed: None, ..*gemm }).packing(gemm.dtype.size())?;
    let operand = match operand {
        runtime::Operand::A => Operand::A,
        runtime::Operand::B => Operand::B,
    };
    Some(Packing { operand, bytes })
}

/// What the runtime is told of a product.
pub(crate) fn matmul(gemm: &Gemm) -> Matmul {
    let strides = |matrix: MatrixRef| Strides {
        row: axes(&matrix.rows),
        column: axes(&matrix.columns),
        batch: axes(&matrix.batch),
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
        packed: gemm.packed.is_some(),
    }
}

fn axes(axes: &Axes) -> runtime::Axes {
    let axes = axes.iter().map(|axis| runtime::Axis { extent: axis.extent, stride: axis.stride });
    let axes: SmallVec<[runtime::Axis; Axes::MOST]> = axes.collect();
    runtime::Axes::nested(&axes).unwrap_or_else(|| unreachable!("gradc has a bug: a product has more axes than it may"))
}

const _: () = assert!(Axes::MOST <= runtime::Axes::MOST);
