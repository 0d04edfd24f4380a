//! The text of a kernel.

use std::fmt::{self, Write};

use gradc_ir::ScalarOp;
use gradc_ir::attr::write_number;

use super::{Access, Affine, Combine, Expr, Kernel, LoopKind, Reg, Stmt};

/// The text of a kernel: one line for its buffers and one for each statement. Equal kernels have equal texts, and
/// kernels of equal text are equal.
pub fn print(kernel: &Kernel) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "kernel {}", kernel.name);
    let _ = write_definition(&mut text, kernel);
    text
}

fn write_definition(out: &mut String, kernel: &Kernel) -> fmt::Result {
    out.push('(');
    for (i, buffer) in kernel.buffers.iter().enumerate() {
        let access = match buffer.access {
            Access::Read => "",
            Access::Write => "write ",
            Access::ReadWrite => "readwrite ",
        };
        let separator = if i > 0 { ", " } else { "" };
        write!(out, "{separator}{}: {access}{}[{}]", buffer.name, buffer.dtype, buffer.elements)?;
    }
    out.push_str(") {\n");
    write_body(out, kernel, &kernel.body, 1)?;
    out.push_str("}\n");
    Ok(())
}

fn write_body(out: &mut String, kernel: &Kernel, body: &[Stmt], depth: usize) -> fmt::Result {
    for stmt in body {
        write!(out, "{:1$}", "", 4 * depth)?;
        write_stmt(out, kernel, stmt, depth)?;
        out.push('\n');
    }
    Ok(())
}

fn write_stmt(out: &mut String, kernel: &Kernel, stmt: &Stmt, depth: usize) -> fmt::Result {
    let name = |buffer: usize| kernel.buffers.get(buffer).map_or("?", |buffer| buffer.name.as_str());
    match stmt {
        Stmt::Let { reg, dtype, expr } => {
            write!(out, "{reg}: {dtype} = ")?;
            match expr {
                Expr::Const(value) => write_number(out, value.get(), *dtype),
                Expr::Load { buffer, address } => write!(out, "load {}[{address}]", name(*buffer)),
                Expr::LoadIndexed { buffer, address, index, stride } => {
                    write!(out, "load {}[{}]", name(*buffer), Indexed(address, *index, *stride))
                }
                Expr::Op(op, operands) => write_op(out, *op, operands),
                Expr::Index(position) => write!(out, "index {position}"),
            }
        }
        Stmt::Store { buffer, address, value } => write!(out, "store {}[{address}] = {value}", name(*buffer)),
        Stmt::ScatterAdd { buffer, address, index, stride, value, guard } => {
            write!(out, "if {guard} add {}[{}] += {value}", name(*buffer), Indexed(address, *index, *stride))
        }
        Stmt::Accumulator { reg, dtype, combine, start } => {
            write!(out, "accumulator {reg}: {dtype} = {combine} from ")?;
            write_number(out, start.get(), *dtype)
        }
        Stmt::Accumulate { reg, combine, value } => write!(out, "{reg} = {combine} {reg}, {value}"),
        Stmt::Loop(inner) => {
            let kind = match inner.kind {
                LoopKind::Serial => "for",
                LoopKind::Vector => "vector",
            };
            writeln!(out, "{kind} i{} in 0..{} {{", inner.var.0, inner.extent)?;
            write_body(out, kernel, &inner.body, depth + 1)?;
            write!(out, "{:1$}}}", "", 4 * depth)
        }
    }
}

fn write_op(out: &mut String, op: ScalarOp, operands: &[Reg]) -> fmt::Result {
    match op {
        ScalarOp::Cast(dtype) => write!(out, "cast {dtype}")?,
        ScalarOp::RotateLeft(bits) => write!(out, "rotateleft by {bits}")?,
        ScalarOp::ShiftRight(bits) => write!(out, "shiftright by {bits}")?,
        other => out.push_str(&format!("{other:?}").to_lowercase()),
    }
    for (i, operand) in operands.iter().enumerate() {
        write!(out, "{} {operand}", if i > 0 { "," } else { "" })?;
    }
    Ok(())
}

/// An affine address with an indexed part.
struct Indexed<'a>(&'a Affine, Reg, i64);

impl fmt::Display for Indexed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Indexed(address, index, stride) = self;
        if **address != Affine::default() {
            write!(f, "{address} + ")?;
        }
        if *stride == 1 { write!(f, "{index}") } else { write!(f, "{stride}*{index}") }
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl fmt::Display for Combine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Combine::Sum => "sum",
            Combine::Max => "max",
            Combine::Min => "min",
        })
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(var, stride)) in self.terms.iter().enumerate() {
            let sign = match (i, stride < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            f.write_str(sign)?;
            if stride.abs() != 1 {
                write!(f, "{}*", stride.abs())?;
            }
            write!(f, "i{}", var.0)?;
        }
        match self.offset {
            offset if self.terms.is_empty() => write!(f, "{offset}"),
            0 => Ok(()),
            offset if offset < 0 => write!(f, " - {}", -offset),
            offset => write!(f, " + {offset}"),
        }
    }
}
