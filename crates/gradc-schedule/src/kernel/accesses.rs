//! Every access to a buffer, with the loops that its address moves in.

use rustc_hash::FxHashMap;

use super::{Affine, Expr, Kernel, LoopVar, Stmt};

/// A statement's access to a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryAccess<'k> {
    /// Which of the kernel's buffers.
    pub buffer: usize,
    /// Of which element; `None` where an index says that, which may be any.
    pub address: Option<&'k Affine>,
    /// Whether it is written; otherwise it is read alone.
    pub is_write: bool,
}

/// How often loops run. Those that an address moves in are known where it is visited.
#[derive(Clone, Debug, Default)]
pub struct Extents(FxHashMap<LoopVar, usize>);

impl Extents {
    /// How often a loop runs: once where there is none.
    pub fn of(&self, var: LoopVar) -> usize {
        self.0.get(&var).copied().unwrap_or(1)
    }
}

/// Calls `visit` for each access of the statements of a kernel that run.
pub fn visit_accesses<'k>(kernel: &'k Kernel, visit: &mut impl FnMut(MemoryAccess<'k>, &Extents)) {
    of_body(&kernel.body, &mut Extents::default(), visit);
}

fn of_body<'k>(body: &'k [Stmt], extents: &mut Extents, visit: &mut impl FnMut(MemoryAccess<'k>, &Extents)) {
    for stmt in body {
        let (&buffer, address, is_write) = match stmt {
            // What does not run touches nothing.
            Stmt::Loop(inner) if inner.extent == 0 => continue,
            Stmt::Loop(inner) => {
                extents.0.insert(inner.var, inner.extent);
                of_body(&inner.body, extents, visit);
                continue;
            }
            Stmt::Let { expr: Expr::Load { buffer, address }, .. } => (buffer, Some(address), false),
            Stmt::Let { expr: Expr::LoadIndexed { buffer, .. }, .. } => (buffer, None, false),
            Stmt::Store { buffer, address, .. } => (buffer, Some(address), true),
            Stmt::ScatterAdd { buffer, .. } => (buffer, None, true),
            Stmt::Let { .. } | Stmt::Accumulator { .. } | Stmt::Accumulate { .. } => continue,
        };
        visit(MemoryAccess { buffer, address, is_write }, extents);
    }
}
