//! The verifier of kernels: run on every kernel in debug builds and in tests.
//!
//! It checks that
//! - every loop has an index of its own, and functions of indices name only those of loops around them;
//! - every register is defined once, is visible where it is read, and has the type that its expression gives;
//! - affine addresses are within their buffers' bounds in every iteration that runs;
//! - storage types are not computed with: see [`DType::arithmetic`];
//! - accumulators are declared outside of the loop that combines into them;
//! - buffers that are only read are not written;
//! - vector loops keep their promise (see [`LoopKind::Vector`]).

use std::fmt;

use gradc_ir::{DType, ScalarOp};
use rustc_hash::FxHashSet;

use super::{Access, Affine, Combine, Expr, Kernel, Loop, LoopKind, LoopVar, Reg, Stmt};

/// What is wrong with a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// The kernel's name.
    pub kernel: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel {}: {}", self.kernel, self.message)
    }
}

impl std::error::Error for KernelError {}

/// Checks a kernel; the first thing that is wrong is the error.
///
/// # Errors
/// Where it does not hold what this page lists.
pub fn verify(kernel: &Kernel) -> Result<(), KernelError> {
    let mut verifier = Verifier { kernel, scope: Vec::new(), loops: Vec::new(), vars: FxHashSet::default() };
    verifier.body(&kernel.body).map_err(|message| KernelError { kernel: kernel.name.clone(), message })
}

/// A register that is visible.
struct Visible {
    reg: Reg,
    dtype: DType,
    /// How many loops are around its definition.
    depth: usize,
    accumulator: Option<Combine>,
}

struct Verifier<'k> {
    kernel: &'k Kernel,
    /// Registers in order of definition; those of inner loops are dropped where these end.
    scope: Vec<Visible>,
    /// The loops around, outermost first.
    loops: Vec<&'k Loop>,
    vars: FxHashSet<LoopVar>,
}

type Check<T = ()> = Result<T, String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

impl<'k> Verifier<'k> {
    fn body(&mut self, body: &'k [Stmt]) -> Check {
        let visible = self.scope.len();
        body.iter().try_for_each(|stmt| self.stmt(stmt))?;
        self.scope.truncate(visible);
        Ok(())
    }

    fn stmt(&mut self, stmt: &'k Stmt) -> Check {
        match stmt {
            Stmt::Let { reg, dtype, expr } => {
                self.expr(*reg, *dtype, expr)?;
                self.define(*reg, *dtype, None)
            }
            Stmt::Store { buffer, address, value } => {
                self.written(*buffer, *value)?;
                self.address(*buffer, address)
            }
            Stmt::ScatterAdd { buffer, address, index, value, guard, .. } => {
                self.written(*buffer, *value)?;
                self.is_added_up(self.visible(*value)?.dtype)?;
                self.typed(*index, DType::I32)?;
                self.typed(*guard, DType::Bool)?;
                self.address(*buffer, address)
            }
            Stmt::Accumulator { reg, dtype, combine, .. } => {
                if *combine == Combine::Sum {
                    self.is_added_up(*dtype)?;
                }
                self.define(*reg, *dtype, Some(*combine))
            }
            Stmt::Accumulate { reg, combine, value } => {
                let (dtype, depth) = match self.visible(*reg)? {
                    Visible { accumulator: Some(declared), dtype, depth, .. } if declared == combine => {
                        (*dtype, *depth)
                    }
                    _ => return Err(format!("{reg} is not an accumulator of {combine}")),
                };
                ensure(depth < self.loops.len(), || format!("{reg} is combined in the loop that declares it"))?;
                self.typed(*value, dtype)
            }
            Stmt::Loop(inner) => {
                ensure(self.vars.insert(inner.var), || format!("two loops have the index i{}", inner.var.0))?;
                self.loops.push(inner);
                self.body(&inner.body)?;
                if inner.kind == LoopKind::Vector {
                    self.vector(inner)?;
                }
                self.loops.pop();
                Ok(())
            }
        }
    }

    fn is_added_up(&self, dtype: DType) -> Check {
        ensure(is_computed_in(dtype), || format!("{dtype} is added up"))
    }

    fn define(&mut self, reg: Reg, dtype: DType, accumulator: Option<Combine>) -> Check {
        ensure(self.visible(reg).is_err(), || format!("{reg} is defined twice"))?;
        self.scope.push(Visible { reg, dtype, depth: self.loops.len(), accumulator });
        Ok(())
    }

    fn visible(&self, reg: Reg) -> Check<&Visible> {
        // Registers are numbered in order of definition, mostly; where they are, this finds them at once.
        self.scope.iter().rev().find(|visible| visible.reg == reg).ok_or_else(|| format!("{reg} is not visible"))
    }

    fn typed(&self, reg: Reg, dtype: DType) -> Check {
        let found = self.visible(reg)?.dtype;
        ensure(found == dtype, || format!("{reg} is {found}, not {dtype}"))
    }

    fn written(&self, buffer: usize, value: Reg) -> Check {
        let param = self.kernel.buffers.get(buffer).ok_or_else(|| format!("there is no buffer {buffer}"))?;
        ensure(param.access != Access::Read, || format!("{} is written", param.name))?;
        self.typed(value, param.dtype)
    }

    fn expr(&self, reg: Reg, dtype: DType, expr: &Expr) -> Check {
        let found = match expr {
            Expr::Const(_) => dtype,
            Expr::Load { buffer, address } => {
                self.address(*buffer, address)?;
                self.kernel.buffers[*buffer].dtype
            }
            Expr::LoadIndexed { buffer, address, index, .. } => {
                self.typed(*index, DType::I32)?;
                self.address(*buffer, address)?;
                self.kernel.buffers[*buffer].dtype
            }
            Expr::Op(op, operands) => self.op(*op, operands)?,
            Expr::Index(position) => {
                self.function(position)?;
                DType::I32
            }
        };
        ensure(found == dtype, || format!("{reg} is declared {dtype} and computed as {found}"))
    }

    /// The type of an operation's result.
    fn op(&self, op: ScalarOp, operands: &[Reg]) -> Check<DType> {
        use ScalarOp::*;
        let types = operands.iter().map(|&reg| Ok(self.visible(reg)?.dtype)).collect::<Check<Vec<_>>>()?;
        let result = match (op, types.as_slice()) {
            (Add | Sub | Mul, &[a, b]) if a == b && a != DType::Bool && is_computed_in(a) => a,
            (Min | Max, &[a, b]) if a == b && a != DType::Bool => a,
            (Div | Pow, &[a, b]) if a == b && a.is_float() && is_computed_in(a) => a,
            (Neg | Abs | Sign, &[a]) if a != DType::Bool && a != DType::U8 => a,
            (Floor | Ceil | Round | Sqrt | Rsqrt | Exp | Expm1 | Log | Log1p | Tanh | Sigmoid | Erf | Erfc, &[a])
                if a.is_float() && is_computed_in(a) =>
            {
                a
            }
            (Eq | Ne | Lt | Le | Gt | Ge, &[a, b]) if a == b => DType::Bool,
            (And | Or, &[DType::Bool, DType::Bool]) | (Not, &[DType::Bool]) => DType::Bool,
            (Select, &[DType::Bool, a, b]) if a == b => a,
            (Cast(to), &[from]) if is_conversion(from, to) => to,
            (Xor, &[DType::I32, DType::I32]) => DType::I32,
            (RotateLeft(bits) | ShiftRight(bits), &[DType::I32]) if bits < 32 => DType::I32,
            _ => return Err(format!("{op:?} is applied to {types:?}")),
        };
        Ok(result)
    }

    /// All indices of a function belong to loops around it.
    fn function(&self, function: &Affine) -> Check {
        let unknown = function.terms.iter().find(|term| !self.loops.iter().any(|around| around.var == term.0));
        ensure(unknown.is_none(), || format!("{function} names an index of no loop around it"))
    }

    /// An address is within bounds in every iteration that runs.
    fn address(&self, buffer: usize, address: &Affine) -> Check {
        let param = self.kernel.buffers.get(buffer).ok_or_else(|| format!("there is no buffer {buffer}"))?;
        self.function(address)?;
        if self.loops.iter().any(|around| around.extent == 0) {
            return Ok(());
        }
        let extent = |var| self.loops.iter().find(|around| around.var == var).map_or(1, |around| around.extent);
        let (least, greatest) = address.range(extent);
        ensure(least >= 0 && greatest < param.elements as i64, || {
            format!("{}[{address}] reaches from {least} to {greatest} of {}", param.name, param.elements)
        })
    }

    /// A vector loop keeps its promise.
    fn vector(&self, inner: &Loop) -> Check {
        let mut stored: Vec<(usize, &Affine)> = Vec::new();
        let mut defined: FxHashSet<Reg> = FxHashSet::default();
        for stmt in &inner.body {
            match stmt {
                Stmt::Let { reg, expr, .. } => {
                    defined.insert(*reg);
                    match expr {
                        Expr::Load { buffer, .. } | Expr::LoadIndexed { buffer, .. }
                            if stored.iter().any(|store| store.0 == *buffer) =>
                        {
                            return Err(format!("{reg} loads in a vector loop what this loop has stored"));
                        }
                        Expr::LoadIndexed { index, .. } if defined.contains(index) => {
                            return Err(format!("{reg} loads at an index that varies in a vector loop"));
                        }
                        _ => {}
                    }
                }
                Stmt::Store { buffer, address, .. } if address.stride(inner.var) == 1 => {
                    stored.push((*buffer, address));
                }
                Stmt::Accumulate { .. } => {}
                _ => return Err(format!("the vector loop of i{} contains something else", inner.var.0)),
            }
        }
        let elsewhere = inner.body.iter().any(|stmt| match stmt {
            Stmt::Let { expr: Expr::Load { buffer, address }, .. } => {
                stored.iter().any(|store| store.0 == *buffer && store.1 != address)
            }
            Stmt::Let { expr: Expr::LoadIndexed { buffer, .. }, .. } => stored.iter().any(|store| store.0 == *buffer),
            _ => false,
        });
        ensure(!elsewhere, || format!("the vector loop of i{} depends on its own stores", inner.var.0))
    }
}

/// Whether arithmetic is done in this type.
fn is_computed_in(dtype: DType) -> bool {
    dtype.arithmetic() == dtype
}

/// Storage types are converted from and to the type that arithmetic on them is done in, and to themselves.
fn is_conversion(from: DType, to: DType) -> bool {
    from == to || (is_computed_in(from) || from.arithmetic() == to) && (is_computed_in(to) || to.arithmetic() == from)
}
