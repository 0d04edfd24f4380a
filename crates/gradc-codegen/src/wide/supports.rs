//! Which kernels can be made of wide vectors.

use gradc_ir::{DType, ScalarOp};
use gradc_schedule::kernel::{Affine, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};
use rustc_hash::{FxHashMap, FxHashSet};

use super::program::Extension;

/// The greatest distance within a buffer, and the greatest extent.
const GREATEST: usize = i32::MAX as usize;

/// The size in bytes of the lanes that a kernel is computed in, or `None` where it cannot be made of wide vectors. All its
/// numbers have one width; truth values take any.
pub(super) fn lane(kernel: &Kernel, extension: Extension) -> Option<u8> {
    let mut check = Check { kernel, extension, narrow: false, wide: false, numbers: FxHashMap::default() };
    for param in &kernel.buffers {
        check.note(param.dtype)?;
        param.elements.checked_mul(param.dtype.size()).filter(|&bytes| bytes <= GREATEST)?;
    }
    check.body(&kernel.body, None)?;
    if check.narrow && check.wide {
        return None;
    }
    Some(if check.wide { 8 } else { 4 })
}

/// Whether what a kernel adds up in memory is loaded as it was stored. Where windows overlap, a load that takes parts of two
/// stores waits for both to be in the cache.
pub(super) fn suits(kernel: &Kernel, extension: Extension) -> bool {
    let mut loops = Vec::new();
    kernel.body.iter().all(|stmt| is_aligned(kernel, stmt, extension, &mut loops))
}

fn is_aligned<'k>(kernel: &Kernel, stmt: &'k Stmt, extension: Extension, loops: &mut Vec<&'k Loop>) -> bool {
    let Stmt::Loop(inner) = stmt else { return true };
    let adds_up = |buffer: &usize, address: &Affine| {
        inner.body.iter().any(|stmt| {
            matches!(stmt, Stmt::Let { expr: Expr::Load { buffer: other, address: at }, .. } if other == buffer && at == address)
        })
    };
    let overlaps = inner.kind == LoopKind::Vector
        && inner.body.iter().any(|stmt| match stmt {
            Stmt::Store { buffer, address, .. } if adds_up(buffer, address) => {
                let size = kernel.buffers[*buffer].dtype.size();
                let steps = loops.iter().filter(|around| around.extent > 1).map(|around| address.stride(around.var));
                let mut near = steps.map(|step| step.unsigned_abs() as usize).filter(|&step| step < inner.extent);
                near.any(|step| !(step * size).is_multiple_of(extension.bytes()))
            }
            _ => false,
        });
    loops.push(inner);
    let within = inner.body.iter().all(|stmt| is_aligned(kernel, stmt, extension, loops));
    loops.pop();
    within && !overlaps
}

struct Check<'k> {
    kernel: &'k Kernel,
    extension: Extension,
    /// Whether there are numbers of 32 bits, and of 64.
    narrow: bool,
    wide: bool,
    /// The registers, and which numbers they are where these are known.
    numbers: FxHashMap<Reg, (DType, Option<f64>)>,
}

impl<'k> Check<'k> {
    fn note(&mut self, dtype: DType) -> Option<()> {
        match dtype.arithmetic() {
            DType::Bool => {}
            DType::F64 => self.wide = true,
            DType::F32 | DType::I32 => self.narrow = true,
            _ => return None,
        }
        Some(())
    }

    /// Statements, in a vector loop of this index if they are in one.
    fn body(&mut self, body: &'k [Stmt], vector: Option<LoopVar>) -> Option<()> {
        body.iter().try_for_each(|stmt| self.stmt(stmt, vector))
    }

    fn stmt(&mut self, stmt: &'k Stmt, vector: Option<LoopVar>) -> Option<()> {
        match stmt {
            Stmt::Let { reg, dtype, expr } => {
                self.note(*dtype)?;
                self.expr(expr, vector)?;
                let number = if let Expr::Const(value) = expr { Some(value.get()) } else { None };
                self.numbers.insert(*reg, (*dtype, number));
                Some(())
            }
            Stmt::Store { buffer, address, .. } => self.access(*buffer, address, vector),
            Stmt::ScatterAdd { .. } => Some(()),
            Stmt::Accumulator { reg, dtype, .. } => {
                self.note(*dtype)?;
                self.numbers.insert(*reg, (*dtype, None));
                (*dtype != DType::Bool).then_some(())
            }
            Stmt::Accumulate { .. } => Some(()),
            Stmt::Loop(inner) => self.inner(inner),
        }
    }

    fn inner(&mut self, inner: &'k Loop) -> Option<()> {
        if inner.extent > GREATEST {
            return None;
        }
        if inner.kind == LoopKind::Serial {
            return self.body(&inner.body, None);
        }
        let accumulated: FxHashSet<Reg> = inner
            .body
            .iter()
            .filter_map(|stmt| if let Stmt::Accumulate { reg, .. } = stmt { Some(*reg) } else { None })
            .collect();
        let reads_running = inner.body.iter().any(|stmt| match stmt {
            Stmt::Let { expr: Expr::Op(_, operands), .. } => operands.iter().any(|reg| accumulated.contains(reg)),
            Stmt::Store { value, .. } | Stmt::Accumulate { value, .. } => accumulated.contains(value),
            _ => false,
        });
        if reads_running {
            return None;
        }
        self.body(&inner.body, Some(inner.var))
    }

    fn expr(&mut self, expr: &'k Expr, vector: Option<LoopVar>) -> Option<()> {
        match expr {
            Expr::Const(_) => Some(()),
            Expr::Index(_) => {
                self.narrow = true;
                Some(())
            }
            Expr::Load { buffer, address } => self.access(*buffer, address, vector),
            Expr::LoadIndexed { buffer, address, .. } => {
                let stride = vector.map_or(0, |var| address.stride(var));
                self.access(*buffer, address, vector)?;
                matches!(stride, 0 | 1).then_some(())
            }
            Expr::Op(op, operands) => self.op(*op, operands),
        }
    }

    /// An access to memory: elements that are narrower than a lane are gathered nowhere, and AVX2 has no masks for them.
    fn access(&self, buffer: usize, address: &Affine, vector: Option<LoopVar>) -> Option<()> {
        let dtype = self.kernel.buffers[buffer].dtype;
        let is_narrow = dtype.size() < dtype.arithmetic().size() || dtype == DType::Bool;
        let stride = vector.map_or(0, |var| address.stride(var));
        let works = !is_narrow || stride == 0 || stride == 1 && self.extension == Extension::Avx512;
        works.then_some(())
    }

    fn op(&self, op: ScalarOp, operands: &[Reg]) -> Option<()> {
        let (dtype, _) = *self.numbers.get(operands.first()?)?;
        let works = match op {
            ScalarOp::Pow => {
                let (_, exponent) = *self.numbers.get(operands.get(1)?)?;
                exponent.is_some_and(|value| value.fract() == 0.0 && (-1.0..=4.0).contains(&value))
            }
            ScalarOp::Erf | ScalarOp::Erfc => dtype != DType::F64,
            _ => true,
        };
        works.then_some(())
    }
}
