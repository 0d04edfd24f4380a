//! Products of small matrices along a long depth, cut into chunks.
//!
//! The gradient of a filter is a product with few elements of which each is a sum over every window of every example. It is cut
//! neither by rows nor by columns, so that it would be one thread's; and as one long sum it would lose digits. So it is a
//! batch of products, one for each chunk of the depth, whose results are added up pairwise. As with the chunks of kernels
//! ([`chunked`](crate::build::chunked)), how many there are depends on the product alone.

use gradc_ir::ScalarOp;
use smallvec::smallvec;

use crate::kernel::{Access, Affine, BufferParam, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};
use crate::plan::{BufferId, Gemm, MatrixRef};

/// The most chunks.
const MOST_CHUNKS: usize = 16;

/// The least depth of a chunk.
const LEAST_DEPTH: usize = 512;

/// The least multiplications of a product that is cut: some ten microseconds.
const LEAST_WORK: usize = 1 << 20;

/// About as many rows and columns as a multiplier of matrices works on at a time; a product of several such tiles is cut at these.
const TILE: (usize, usize) = (16, 32);

/// The most tiles of a product that is cut along its depth.
const MOST_TILES: usize = 3;

/// How many chunks a product is cut into, all of them equally deep; `None` where it is computed as one.
pub(crate) fn chunks(gemm: &Gemm) -> Option<usize> {
    let Gemm { batch, m, n, k, a, b, c, accumulate, .. } = *gemm;
    let is_plain = !accumulate && c == MatrixRef::plain(c.buffer, batch, m, n);
    let is_cut = |count: &usize| a.columns.split(*count).is_some() && b.rows.split(*count).is_some();
    if is_plain { chunks_where([batch, m, n, k], is_cut) } else { None }
}

/// The same for a product with a result of its own, row by row: its batch, rows, columns, and depth.
pub(crate) fn chunks_of(extents: [usize; 4]) -> Option<usize> {
    chunks_where(extents, |_| true)
}

/// The same, of the numbers of chunks that are possible.
fn chunks_where([batch, m, n, k]: [usize; 4], is_possible: impl Fn(&usize) -> bool) -> Option<usize> {
    let tiles = m.div_ceil(TILE.0) * n.div_ceil(TILE.1);
    let work = m.saturating_mul(n).saturating_mul(k);
    if batch != 1 || tiles > MOST_TILES || work < LEAST_WORK {
        return None;
    }
    let is_right = |count: &usize| k.is_multiple_of(*count) && k / count >= LEAST_DEPTH && is_possible(count);
    (2..=MOST_CHUNKS).rev().find(is_right)
}

/// The product of each of so many chunks, as many as [`chunks`] says, to a buffer that holds one result after another.
pub(crate) fn batch(gemm: &Gemm, count: usize, partial: BufferId) -> Option<Gemm> {
    let Gemm { m, n, k, a, b, .. } = *gemm;
    let ((a_batch, a_columns), (b_batch, b_rows)) = (a.columns.split(count)?, b.rows.split(count)?);
    Some(Gemm {
        batch: count,
        k: k / count,
        a: MatrixRef { batch: a_batch, columns: a_columns, ..a },
        b: MatrixRef { batch: b_batch, rows: b_rows, ..b },
        c: MatrixRef::plain(partial, count, m, n),
        ..*gemm
    })
}

/// The kernel that adds up the results of the chunks, its first buffer, to its second one.
pub(crate) fn sum(gemm: &Gemm, count: usize) -> Kernel {
    let (elements, var, dtype) = (gemm.m * gemm.n, LoopVar(0), gemm.dtype);
    let mut body: Vec<Stmt> = Vec::new();
    let mut define = |expr: Expr| {
        let reg = Reg(body.len() as u32);
        body.push(Stmt::Let { reg, dtype, expr });
        reg
    };
    let mut terms: Vec<Reg> = (0..count)
        .map(|chunk| {
            let address = Affine::var(var).scaled(1, (chunk * elements) as i64);
            define(Expr::Load { buffer: 0, address })
        })
        .collect();
    while terms.len() > 1 {
        let add = |pair: &[Reg]| match *pair {
            [a, b] => define(Expr::Op(ScalarOp::Add, smallvec![a, b])),
            _ => pair[0],
        };
        terms = terms.chunks(2).map(add).collect();
    }
    body.push(Stmt::Store { buffer: 1, address: Affine::var(var), value: terms[0] });
    let param =
        |name: &str, elements: usize, access: Access| BufferParam { name: name.into(), dtype, elements, access };
    Kernel {
        name: "matmul_total".into(),
        buffers: vec![param("x0", count * elements, Access::Read), param("y0", elements, Access::Write)],
        body: vec![Stmt::Loop(Loop { var, extent: elements, kind: LoopKind::Vector, body })],
    }
}
