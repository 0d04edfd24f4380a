//! The text of a plan.

use std::fmt::{self, Write};

use gradc_ir::LeafKind;

use super::{
    Axes, Axis, Buffer, BufferId, Gemm, Location, MatrixRef, Operand, Packed, Plan, Recomputed, Scan, ScanSlot,
    SlotKind, Step,
};
use crate::kernel::{Access, reach};

/// The text of a plan: its buffers with their places, its steps with the bytes that each reads and writes, and the size
/// of the arena; then its bodies in the same way. The kernels are not in it; see [`print_kernels`].
pub fn print(plan: &Plan) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_plan(&mut text, plan);
    text
}

/// The text of all kernels of a plan, those of its bodies included.
pub fn print_kernels(plan: &Plan) -> String {
    plan.all_kernels().into_iter().map(crate::kernel::print).collect::<Vec<_>>().join("\n")
}

fn write_plan(out: &mut String, plan: &Plan) -> fmt::Result {
    let kernels = plan.kernels.len();
    writeln!(
        out,
        "plan {}: {} steps, {kernels} kernels, arena {} bytes",
        plan.name,
        plan.steps.len(),
        plan.arena_bytes
    )?;
    if let Some(Recomputed { values, flops, bytes_without }) = plan.recomputed {
        writeln!(
            out,
            "computes {values} values again, {flops} operations, instead of an arena of {bytes_without} bytes"
        )?;
    }
    out.push_str("\nbuffers:\n");
    for (i, buffer) in plan.buffers.iter().enumerate() {
        write!(out, "  b{i} {}: {} ", buffer.name, buffer.ty)?;
        write_location(out, plan, buffer)?;
    }
    let (prologue, steps) = plan.steps.split_at(plan.prologue.steps);
    if !prologue.is_empty() {
        out.push_str("\nonce for many runs:\n");
        write_steps(out, plan, prologue, 0)?;
    }
    out.push_str("\nsteps:\n");
    write_steps(out, plan, steps, prologue.len())?;
    for body in &plan.bodies {
        out.push('\n');
        write_plan(out, body)?;
    }
    Ok(())
}

fn write_steps(out: &mut String, plan: &Plan, steps: &[Step], first: usize) -> fmt::Result {
    for (i, step) in steps.iter().enumerate() {
        write!(out, "  {} ", first + i)?;
        match step {
            Step::Kernel { kernel, buffers } => write_kernel(out, plan, *kernel, buffers)?,
            Step::Gemm(gemm) => write_gemm(out, plan, gemm)?,
            Step::Pack(gemm) => write_pack(out, plan, gemm)?,
            Step::Scan(scan) => write_scan(out, plan, scan)?,
        }
        let traffic = traffic(plan, step);
        writeln!(out, "  # reads {}, writes {} bytes", traffic.read, traffic.written)?;
    }
    Ok(())
}

fn write_scan(out: &mut String, plan: &Plan, scan: &Scan) -> fmt::Result {
    let Some(body) = plan.bodies.get(scan.body) else { return out.write_str("scan ?") };
    let order = if scan.reverse { ", last first" } else { "" };
    write!(out, "scan {} ({} times{order})", body.name, scan.length)?;
    for (i, (given, slot)) in scan.slots.iter().zip(&body.interface).enumerate() {
        write!(out, "{} {}", if i > 0 { "," } else { ":" }, slot.name)?;
        match (*given, &slot.kind) {
            (ScanSlot::Carry { start, memory }, _) => {
                write!(out, " in {} from {}", Named(plan, memory), Named(plan, start))?;
            }
            (ScanSlot::Slice(buffer), SlotKind::Leaf(_)) => write!(out, " of {}", Named(plan, buffer))?,
            (ScanSlot::Slice(buffer), SlotKind::Result(_)) => write!(out, " to {}", Named(plan, buffer))?,
            (ScanSlot::Whole(buffer), _) => write!(out, " = {}", Named(plan, buffer))?,
        }
    }
    Ok(())
}

fn write_location(out: &mut String, plan: &Plan, buffer: &Buffer) -> fmt::Result {
    let slot = match buffer.location {
        Location::Arena(offset) => return writeln!(out, "at {offset}..{}", offset + buffer.ty.bytes()),
        Location::Slot(slot) => slot,
    };
    let kind = match plan.interface.get(slot.0 as usize).map(|slot| &slot.kind) {
        Some(SlotKind::Leaf(LeafKind::Input)) => "input",
        Some(SlotKind::Leaf(LeafKind::Param)) => "param",
        Some(SlotKind::Leaf(LeafKind::State)) => "state",
        Some(SlotKind::Result(role)) => role.keyword(),
        None => "?",
    };
    writeln!(out, "slot {} ({kind})", slot.0)
}

fn write_kernel(out: &mut String, plan: &Plan, kernel: usize, buffers: &[BufferId]) -> fmt::Result {
    let name = plan.kernels.get(kernel).map_or("?", |kernel| kernel.name.as_str());
    write!(out, "{name}(")?;
    for (i, buffer) in buffers.iter().enumerate() {
        write!(out, "{}{}", if i > 0 { ", " } else { "" }, Named(plan, *buffer))?;
    }
    out.push(')');
    Ok(())
}

fn write_gemm(out: &mut String, plan: &Plan, gemm: &Gemm) -> fmt::Result {
    let Gemm { dtype, batch, m, n, k, a, b, c, accumulate, scale, factor, scratch, packed } = gemm;
    let operator = if *accumulate { "+=" } else { "=" };
    write!(out, "gemm {dtype} ")?;
    if *batch != 1 {
        write!(out, "{batch} x ")?;
    }
    write!(out, "{m} x {n} x {k}: ")?;
    match *c == MatrixRef::plain(c.buffer, *batch, *m, *n) {
        true => write!(out, "{}", Named(plan, c.buffer))?,
        false => write_matrix(out, plan, c)?,
    }
    write!(out, " {operator} ")?;
    if *scale != 1.0 {
        write!(out, "{scale} * ")?;
    }
    if let Some(factor) = factor {
        write!(out, "{} * ", Named(plan, *factor))?;
    }
    for (operand, matrix, before) in [(Operand::A, a, ""), (Operand::B, b, " @ ")] {
        out.push_str(before);
        match packed.filter(|packed| packed.operand == operand) {
            Some(packed) => write!(out, "{}", Named(plan, packed.buffer))?,
            None => write_matrix(out, plan, matrix)?,
        }
    }
    match scratch {
        Some(scratch) => write!(out, " in {}", Named(plan, *scratch)),
        None => Ok(()),
    }
}

fn write_pack(out: &mut String, plan: &Plan, gemm: &Gemm) -> fmt::Result {
    let Some(Packed { operand, buffer }) = gemm.packed else { return out.write_str("pack ?") };
    let (rows, columns) = if operand == Operand::A { (gemm.m, gemm.k) } else { (gemm.k, gemm.n) };
    write!(out, "pack {} {rows} x {columns}: {} = ", gemm.dtype, Named(plan, buffer))?;
    write_matrix(out, plan, gemm.operand(operand))
}

fn write_matrix(out: &mut String, plan: &Plan, matrix: &MatrixRef) -> fmt::Result {
    let MatrixRef { buffer, offset, batch, rows, columns } = matrix;
    write!(out, "{}(", Named(plan, *buffer))?;
    if *offset > 0 {
        write!(out, "from {offset}, ")?;
    }
    write!(out, "rows {}, columns {}", Strides(rows), Strides(columns))?;
    if !batch.is_empty() {
        write!(out, ", batches {}", Strides(batch))?;
    }
    out.push(')');
    Ok(())
}

/// The stride of an axis; of several, each with how many there are.
struct Strides<'a>(&'a Axes);

impl fmt::Display for Strides<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stride) = self.0.stride() {
            return write!(f, "{stride}");
        }
        for (i, Axis { extent, stride }) in self.0.iter().enumerate() {
            write!(f, "{}{stride} x {extent}", if i > 0 { " + " } else { "" })?;
        }
        Ok(())
    }
}

/// A buffer by its number and name.
struct Named<'p>(&'p Plan, BufferId);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named(plan, buffer) = self;
        let name = plan.buffers.get(buffer.0 as usize).map_or("?", |buffer| buffer.name.as_str());
        write!(f, "b{}:{name}", buffer.0)
    }
}

/// Bytes that a step reads and writes, scratch memory apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Of what it reads.
    pub read: usize,
    /// Of what it writes.
    pub written: usize,
}

/// The bytes of the buffers that a step reads and writes, each counted once; of kernels, from the first to the last element that
/// they touch.
pub fn traffic(plan: &Plan, step: &Step) -> Traffic {
    let bytes = |buffer: BufferId| plan.buffers.get(buffer.0 as usize).map_or(0, |buffer| buffer.ty.bytes());
    match step {
        Step::Gemm(gemm) => {
            let [a, b] = gemm.reads();
            let second = if a == b { 0 } else { bytes(b) };
            let (operands, result) = (bytes(a) + second, bytes(gemm.c.buffer));
            Traffic { read: operands + if gemm.accumulate { result } else { 0 }, written: result }
        }
        Step::Pack(gemm) => match gemm.packed {
            Some(packed) => Traffic { read: bytes(gemm.operand(packed.operand).buffer), written: bytes(packed.buffer) },
            None => Traffic::default(),
        },
        Step::Scan(scan) => match plan.bodies.get(scan.body) {
            Some(body) => {
                Traffic { read: scan.reads(body).map(bytes).sum(), written: scan.writes(body).map(bytes).sum() }
            }
            None => Traffic::default(),
        },
        Step::Kernel { kernel, .. } => {
            let Some(kernel) = plan.kernels.get(*kernel) else { return Traffic::default() };
            let touched = reach(kernel);
            let of = |used: fn(Access) -> bool| {
                let params = kernel.buffers.iter().zip(&touched).filter(|(param, _)| used(param.access));
                params.map(|(param, elements)| elements * param.dtype.size()).sum()
            };
            Traffic { read: of(|access| access != Access::Write), written: of(|access| access != Access::Read) }
        }
    }
}
