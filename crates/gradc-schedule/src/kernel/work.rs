//! About how much work statements are, and how much memory they touch.

use gradc_ir::ScalarOp;

use super::{Expr, Kernel, LoopKind, Stmt, visit_accesses};

/// About how many instructions a statement becomes, where vectors have so many lanes.
pub fn weight(stmt: &Stmt, lanes: u8) -> u32 {
    let Stmt::Let { expr, .. } = stmt else { return 1 };
    match expr {
        Expr::Const(_) => 0,
        Expr::Load { .. } | Expr::Index(_) => 1,
        Expr::LoadIndexed { .. } => 4 * u32::from(lanes),
        Expr::Op(op, _) => match op {
            ScalarOp::Min | ScalarOp::Max | ScalarOp::Sign => 5,
            ScalarOp::Exp | ScalarOp::Expm1 | ScalarOp::Sigmoid => 24,
            ScalarOp::Tanh | ScalarOp::Erf | ScalarOp::Erfc | ScalarOp::Log | ScalarOp::Log1p => 32,
            ScalarOp::Pow => 40,
            // Where it is not an instruction.
            ScalarOp::Floor | ScalarOp::Ceil | ScalarOp::Round => 8,
            ScalarOp::RotateLeft(_) => 3,
            _ => 1,
        },
    }
}

/// About how many instructions statements are when they run, with vectors of some width between the narrowest and the widest
/// there are.
pub fn work(body: &[Stmt]) -> u64 {
    const LANES: u8 = 8;
    let of = |stmt: &Stmt| match stmt {
        Stmt::Loop(inner) => {
            let rounds =
                if inner.kind == LoopKind::Vector { inner.extent.div_ceil(LANES.into()) } else { inner.extent };
            work(&inner.body).saturating_mul(rounds as u64)
        }
        other => u64::from(weight(other, LANES)),
    };
    body.iter().map(of).fold(0, u64::saturating_add)
}

/// For each buffer of a kernel, how many elements there are from the first to the last that it may touch.
pub fn reach(kernel: &Kernel) -> Vec<usize> {
    // The first and the last element of each buffer.
    let mut ranges: Vec<Option<(i64, i64)>> = vec![None; kernel.buffers.len()];
    visit_accesses(kernel, &mut |access, extents| {
        let all = (0, i64::MAX - 1);
        let (least, greatest) = access.address.map_or(all, |address| address.range(|var| extents.of(var)));
        let known = ranges[access.buffer].unwrap_or((least, greatest));
        ranges[access.buffer] = Some((known.0.min(least), known.1.max(greatest)));
    });
    let elements = kernel.buffers.iter().map(|param| param.elements);
    let touched = elements.zip(ranges).map(|(elements, range)| match range {
        None => 0,
        Some((least, greatest)) => elements.min(usize::try_from(greatest - least).map_or(elements, |span| span + 1)),
    });
    touched.collect()
}
