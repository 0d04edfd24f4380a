//! What is known of vector loops before they are emitted, whatever emits them.

use gradc_schedule::kernel::{Affine, Expr, Loop, LoopVar, Reg, Stmt};
use rustc_hash::FxHashSet;

/// Which statements of a loop differ from iteration to iteration.
pub(crate) struct Variance<'a> {
    var: LoopVar,
    registers: FxHashSet<Reg>,
    written: FxHashSet<&'a usize>,
}

impl<'a> Variance<'a> {
    /// Of this loop.
    pub(crate) fn new(inner: &'a Loop) -> Variance<'a> {
        let written = inner
            .body
            .iter()
            .filter_map(|stmt| match stmt {
                Stmt::Store { buffer, .. } | Stmt::ScatterAdd { buffer, .. } => Some(buffer),
                _ => None,
            })
            .collect();
        // An accumulator changes within the loop that it is combined in.
        let registers = inner
            .body
            .iter()
            .filter_map(|stmt| if let Stmt::Accumulate { reg, .. } = stmt { Some(*reg) } else { None })
            .collect();
        Variance { var: inner.var, registers, written }
    }

    /// Whether a statement varies; statements are asked for in order.
    pub(crate) fn of(&mut self, stmt: &Stmt) -> bool {
        let Stmt::Let { reg, expr, .. } = stmt else { return true };
        let moves = |address: &Affine| address.stride(self.var) != 0;
        let varies = match expr {
            Expr::Const(_) => false,
            Expr::Load { buffer, address } => moves(address) || self.written.contains(buffer),
            Expr::LoadIndexed { buffer, address, index, .. } => {
                moves(address) || self.written.contains(buffer) || self.registers.contains(index)
            }
            Expr::Op(_, operands) => operands.iter().any(|operand| self.registers.contains(operand)),
            Expr::Index(affine) => moves(affine),
        };
        if varies {
            self.registers.insert(*reg);
        }
        varies
    }
}
