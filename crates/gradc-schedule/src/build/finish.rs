//! What is done to a kernel once its buffers are known: loops are merged, the innermost ones marked as vector loops, and
//! everything is numbered in order, so that kernels that do the same are equal.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kernel::{Access, Affine, BufferParam, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};

/// Finishes a kernel. `merged` gives for each of its buffers the first one that shares its memory, or itself.
pub(crate) fn finish(mut kernel: Kernel, merged: &[usize]) -> Kernel {
    merge_buffers(&mut kernel, merged);
    kernel.body = kernel.body.into_iter().map(collapse).collect();
    kernel.body.iter_mut().for_each(mark_vectors);
    renumber(&mut kernel);
    kernel
}

/// Numbers and names everything in order.
pub(super) fn renumber(kernel: &mut Kernel) {
    let mut numbering = Numbering::default();
    numbering.body(&mut kernel.body);
    name_buffers(&mut kernel.buffers);
}

fn merge_buffers(kernel: &mut Kernel, merged: &[usize]) {
    let mut renumbered = vec![0; merged.len()];
    let mut buffers: Vec<BufferParam> = Vec::new();
    for (old, param) in kernel.buffers.drain(..).enumerate() {
        if merged[old] == old {
            renumbered[old] = buffers.len();
            buffers.push(param);
        } else {
            renumbered[old] = renumbered[merged[old]];
            let shared = &mut buffers[renumbered[old]].access;
            *shared = if *shared == param.access { param.access } else { Access::ReadWrite };
        }
    }
    kernel.buffers = buffers;
    for_each_buffer(&mut kernel.body, &mut |buffer| *buffer = renumbered[*buffer]);
}

fn for_each_buffer(body: &mut [Stmt], change: &mut impl FnMut(&mut usize)) {
    for stmt in body {
        match stmt {
            Stmt::Let { expr: Expr::Load { buffer, .. } | Expr::LoadIndexed { buffer, .. }, .. }
            | Stmt::Store { buffer, .. }
            | Stmt::ScatterAdd { buffer, .. } => change(buffer),
            Stmt::Loop(inner) => for_each_buffer(&mut inner.body, change),
            Stmt::Let { .. } | Stmt::Accumulator { .. } | Stmt::Accumulate { .. } => {}
        }
    }
}

/// Makes one loop of two where the outer one contains just the inner one and every function of their indices is one of
/// the merged index.
fn collapse(stmt: Stmt) -> Stmt {
    let Stmt::Loop(mut outer) = stmt else { return stmt };
    outer.body = outer.body.into_iter().map(collapse).collect();
    if let [Stmt::Loop(inner)] = outer.body.as_mut_slice() {
        let mut merges = true;
        let (out, within, extent) = (outer.var, inner.var, inner.extent as i64);
        for_each_function(&mut inner.body, &mut |function| {
            merges &= function.stride(out) == extent * function.stride(within);
        });
        if merges {
            for_each_function(&mut inner.body, &mut |function| function.terms.retain(|term| term.0 != out));
            let body = std::mem::take(&mut inner.body);
            let extent = outer.extent * inner.extent;
            return Stmt::Loop(Loop { var: within, extent, kind: LoopKind::Serial, body });
        }
    }
    Stmt::Loop(outer)
}

pub(super) fn for_each_function(body: &mut [Stmt], visit: &mut impl FnMut(&mut Affine)) {
    for stmt in body {
        match stmt {
            Stmt::Let { expr, .. } => match expr {
                Expr::Load { address, .. } | Expr::LoadIndexed { address, .. } => visit(address),
                Expr::Index(position) => visit(position),
                Expr::Const(_) | Expr::Op(..) => {}
            },
            Stmt::Store { address, .. } | Stmt::ScatterAdd { address, .. } => visit(address),
            Stmt::Accumulator { .. } | Stmt::Accumulate { .. } => {}
            Stmt::Loop(inner) => for_each_function(&mut inner.body, visit),
        }
    }
}

/// Marks the loops that hold what [`LoopKind::Vector`] promises.
fn mark_vectors(stmt: &mut Stmt) {
    let Stmt::Loop(inner) = stmt else { return };
    inner.body.iter_mut().for_each(mark_vectors);
    if is_vector(inner) {
        inner.kind = LoopKind::Vector;
    }
}

fn is_vector(inner: &Loop) -> bool {
    let mut loaded: Vec<(usize, &Affine)> = Vec::new();
    let mut stored: Vec<usize> = Vec::new();
    let mut defined: FxHashSet<Reg> = FxHashSet::default();
    for stmt in &inner.body {
        match stmt {
            Stmt::Let { reg, expr, .. } => {
                match expr {
                    Expr::Load { buffer, .. } if stored.contains(buffer) => return false,
                    Expr::Load { buffer, address } => loaded.push((*buffer, address)),
                    Expr::LoadIndexed { index, .. } if defined.contains(index) => return false,
                    _ => {}
                }
                defined.insert(*reg);
            }
            Stmt::Store { buffer, address, .. } => {
                let elsewhere = loaded.iter().any(|load| load.0 == *buffer && load.1 != address);
                if address.stride(inner.var) != 1 || elsewhere {
                    return false;
                }
                stored.push(*buffer);
            }
            Stmt::Accumulate { .. } => {}
            Stmt::ScatterAdd { .. } | Stmt::Accumulator { .. } | Stmt::Loop(_) => return false,
        }
    }
    true
}

/// Numbers loops and registers in the order in which they appear.
#[derive(Default)]
struct Numbering {
    registers: FxHashMap<Reg, Reg>,
    next_loop: u32,
    vars: FxHashMap<LoopVar, LoopVar>,
}

impl Numbering {
    fn body(&mut self, body: &mut [Stmt]) {
        body.iter_mut().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        match stmt {
            Stmt::Let { reg, expr, .. } => {
                match expr {
                    Expr::Const(_) => {}
                    Expr::Load { address, .. } | Expr::Index(address) => self.function(address),
                    Expr::LoadIndexed { address, index, .. } => {
                        self.function(address);
                        *index = self.registers[index];
                    }
                    Expr::Op(_, operands) => {
                        operands.iter_mut().for_each(|operand| *operand = self.registers[operand]);
                    }
                }
                *reg = self.define(*reg);
            }
            Stmt::Store { address, value, .. } => {
                self.function(address);
                *value = self.registers[value];
            }
            Stmt::ScatterAdd { address, index, value, guard, .. } => {
                self.function(address);
                [index, value, guard].into_iter().for_each(|reg| *reg = self.registers[reg]);
            }
            Stmt::Accumulator { reg, .. } => *reg = self.define(*reg),
            Stmt::Accumulate { reg, value, .. } => {
                [reg, value].into_iter().for_each(|reg| *reg = self.registers[reg]);
            }
            Stmt::Loop(inner) => {
                let var = LoopVar(self.next_loop);
                self.next_loop += 1;
                self.vars.insert(inner.var, var);
                inner.var = var;
                self.body(&mut inner.body);
            }
        }
    }

    fn define(&mut self, old: Reg) -> Reg {
        let new = Reg(self.registers.len() as u32);
        self.registers.insert(old, new);
        new
    }

    fn function(&self, function: &mut Affine) {
        *function = function.substituted(|var| Affine::var(self.vars[&var]));
    }
}

/// `x0`, `x1`, … for what is read, `y0`, … for what is written, `z0`, … for both.
fn name_buffers(buffers: &mut [BufferParam]) {
    let mut counts = [0; 3];
    for param in buffers {
        let (kind, letter) = match param.access {
            Access::Read => (0, 'x'),
            Access::Write => (1, 'y'),
            Access::ReadWrite => (2, 'z'),
        };
        param.name = format!("{letter}{}", counts[kind]);
        counts[kind] += 1;
    }
}
