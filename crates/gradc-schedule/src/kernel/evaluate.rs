//! A plain evaluator of kernels: what their statements mean.

use gradc_ir::{DType, ScalarOp};

use super::{Affine, Combine, Expr, Kernel, Loop, LoopVar, Reg, Stmt};

/// The elements of a buffer, each held as an `f64` that the element type can represent.
pub type Storage = Vec<f64>;

/// Runs a kernel on its buffers, which are in the order of [`Kernel::buffers`] and of their sizes. Every register is
/// rounded to its type.
///
/// # Panics
/// Where the kernel does not hold what [`verify`](super::verify) checks: that is a bug.
pub fn evaluate(kernel: &Kernel, buffers: &mut [Storage]) {
    let mut machine = Machine { kernel, buffers, registers: Vec::new(), indices: Vec::new() };
    machine.body(&kernel.body);
}

struct Machine<'k> {
    kernel: &'k Kernel,
    buffers: &'k mut [Storage],
    registers: Vec<(f64, DType)>,
    indices: Vec<i64>,
}

impl Machine<'_> {
    fn body(&mut self, body: &[Stmt]) {
        body.iter().for_each(|stmt| self.stmt(stmt));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let { reg, dtype, expr } => {
                let value = self.expr(*dtype, expr);
                self.set(*reg, *dtype, value);
            }
            Stmt::Store { buffer, address, value } => {
                let at = self.address(address);
                self.buffers[*buffer][at] = self.get(*value);
            }
            Stmt::ScatterAdd { buffer, address, index, stride, value, guard } => {
                if self.get(*guard) != 0.0 {
                    let at = self.indexed(address, *index, *stride);
                    let dtype = self.kernel.buffers[*buffer].dtype;
                    let sum = dtype.sum(self.buffers[*buffer][at], self.get(*value));
                    self.buffers[*buffer][at] = dtype.round(sum);
                }
            }
            Stmt::Accumulator { reg, dtype, start, .. } => self.set(*reg, *dtype, start.get()),
            Stmt::Accumulate { reg, combine, value } => {
                let (running, dtype) = self.registers[reg.0 as usize];
                let combined = scalar(combine.op(), dtype, dtype, [running, self.get(*value), 0.0]);
                self.set(*reg, dtype, combined);
            }
            Stmt::Loop(Loop { var, extent, body, .. }) => {
                for index in 0..*extent {
                    self.set_index(*var, index as i64);
                    self.body(body);
                }
            }
        }
    }

    fn expr(&mut self, dtype: DType, expr: &Expr) -> f64 {
        match expr {
            Expr::Const(value) => value.get(),
            Expr::Load { buffer, address } => self.buffers[*buffer][self.address(address)],
            Expr::LoadIndexed { buffer, address, index, stride } => {
                self.buffers[*buffer][self.indexed(address, *index, *stride)]
            }
            Expr::Op(op, operands) => {
                let from = operands.first().map_or(dtype, |reg| self.registers[reg.0 as usize].1);
                let x: [f64; 3] = std::array::from_fn(|i| operands.get(i).map_or(0.0, |&reg| self.get(reg)));
                scalar(*op, from, dtype, x)
            }
            Expr::Index(position) => self.affine(position) as f64,
        }
    }

    fn get(&self, reg: Reg) -> f64 {
        self.registers[reg.0 as usize].0
    }

    fn set(&mut self, reg: Reg, dtype: DType, value: f64) {
        let at = reg.0 as usize;
        if self.registers.len() <= at {
            self.registers.resize(at + 1, (f64::NAN, DType::F64));
        }
        self.registers[at] = (dtype.round(value), dtype);
    }

    fn set_index(&mut self, var: LoopVar, value: i64) {
        let at = var.0 as usize;
        if self.indices.len() <= at {
            self.indices.resize(at + 1, 0);
        }
        self.indices[at] = value;
    }

    fn affine(&self, function: &Affine) -> i64 {
        function.terms.iter().fold(function.offset, |sum, &(var, stride)| sum + stride * self.indices[var.0 as usize])
    }

    fn address(&self, function: &Affine) -> usize {
        usize::try_from(self.affine(function)).expect("gradc has a bug: an address is negative")
    }

    fn indexed(&self, function: &Affine, index: Reg, stride: i64) -> usize {
        let address = self.affine(function) + stride * self.get(index) as i64;
        usize::try_from(address).expect("gradc has a bug: an address is negative")
    }
}

impl Combine {
    /// What changes nothing when it is combined with a number of this type: the result over no elements.
    pub fn identity(self, dtype: DType) -> f64 {
        match self {
            Combine::Sum => 0.0,
            Combine::Max => dtype.least(),
            Combine::Min => dtype.greatest(),
        }
    }

    /// The operation that combines two numbers.
    pub fn op(self) -> ScalarOp {
        match self {
            Combine::Sum => ScalarOp::Add,
            Combine::Max => ScalarOp::Max,
            Combine::Min => ScalarOp::Min,
        }
    }
}

/// One scalar operation on operands of which the first has type `from`; the result has type `dtype`, and is not rounded yet.
fn scalar(op: ScalarOp, from: DType, dtype: DType, [a, b, c]: [f64; 3]) -> f64 {
    let truth = |value: bool| f64::from(u8::from(value));
    match op {
        ScalarOp::Add if dtype.is_integer() => dtype.wrap((a as i64).wrapping_add(b as i64)),
        ScalarOp::Sub if dtype.is_integer() => dtype.wrap((a as i64).wrapping_sub(b as i64)),
        ScalarOp::Mul if dtype.is_integer() => dtype.wrap((a as i64).wrapping_mul(b as i64)),
        ScalarOp::Neg if dtype.is_integer() => dtype.wrap((a as i64).wrapping_neg()),
        ScalarOp::Abs if dtype.is_integer() => dtype.wrap((a as i64).wrapping_abs()),
        ScalarOp::Add => a + b,
        ScalarOp::Sub => a - b,
        ScalarOp::Mul => a * b,
        ScalarOp::Div => a / b,
        ScalarOp::Min => -maximum(-a, -b),
        ScalarOp::Max => maximum(a, b),
        ScalarOp::Pow => libm::pow(a, b),
        ScalarOp::Neg => -a,
        ScalarOp::Abs => a.abs(),
        ScalarOp::Sign if a.is_nan() || a == 0.0 => a,
        ScalarOp::Sign => a.signum(),
        ScalarOp::Floor => a.floor(),
        ScalarOp::Ceil => a.ceil(),
        ScalarOp::Round => a.round_ties_even(),
        ScalarOp::Sqrt => a.sqrt(),
        ScalarOp::Rsqrt => a.sqrt().recip(),
        ScalarOp::Exp => libm::exp(a),
        ScalarOp::Expm1 => libm::expm1(a),
        ScalarOp::Log => libm::log(a),
        ScalarOp::Log1p => libm::log1p(a),
        ScalarOp::Tanh => libm::tanh(a),
        ScalarOp::Sigmoid => sigmoid(a),
        ScalarOp::Erf => libm::erf(a),
        ScalarOp::Erfc => libm::erfc(a),
        ScalarOp::Eq => truth(a == b),
        ScalarOp::Ne => truth(a != b),
        ScalarOp::Lt => truth(a < b),
        ScalarOp::Le => truth(a <= b),
        ScalarOp::Gt => truth(a > b),
        ScalarOp::Ge => truth(a >= b),
        ScalarOp::And => truth(a != 0.0 && b != 0.0),
        ScalarOp::Or => truth(a != 0.0 || b != 0.0),
        ScalarOp::Not => truth(a == 0.0),
        ScalarOp::Select => {
            if a != 0.0 {
                b
            } else {
                c
            }
        }
        ScalarOp::Cast(to) => to.convert(a, from),
        ScalarOp::Xor => f64::from(a as i32 ^ b as i32),
        ScalarOp::RotateLeft(bits) => f64::from((a as i32).rotate_left(u32::from(bits))),
        ScalarOp::ShiftRight(bits) => f64::from((a as i32 as u32 >> bits) as i32),
    }
}

/// The greater one; NaN if either is, and +0 above −0.
fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == b {
        if a.is_sign_negative() { b } else { a }
    } else {
        a.max(b)
    }
}

/// Without overflow on either side.
fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x < 0.0 { e / (1.0 + e) } else { 1.0 / (1.0 + e) }
}
