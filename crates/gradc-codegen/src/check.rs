//! The check of a plan before it is compiled: whatever passes it can be run without harm.
//!
//! The verifier of kernels knows types, scopes and affine bounds. This adds what only the machine depends on: that
//! indexed addresses are within bounds whatever the index was computed from, that steps give kernels buffers as large
//! as they say, that what is written overlaps nothing else of the same step and is no input, and that all memory is
//! where it is said to be.

use std::ops::Range;

use gradc_ir::{DType, LeafKind, ScalarOp, Shape};
use gradc_schedule::kernel::{Access, Affine, Expr, Kernel, Loop, LoopVar, Reg, Stmt, verify};
use gradc_schedule::plan::{
    BufferId, Gemm, Location, MatrixRef, Operand, Packed, Plan, Scan, ScanSlot, SlotId, SlotKind, Step,
};
use rustc_hash::FxHashMap;

use crate::error::CodegenError;
use crate::matmul::{packing, scratch_bytes};

type Check<T = ()> = Result<T, String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

/// Checks a whole plan.
pub(crate) fn plan(plan: &Plan) -> Result<(), CodegenError> {
    let invalid = |place: String| move |problem: String| CodegenError::Invalid { place, problem };
    for buffer in &plan.buffers {
        location(plan, buffer).map_err(invalid(format!("buffer {}", buffer.name)))?;
    }
    for kernel in &plan.kernels {
        let place = format!("kernel {}", kernel.name);
        verify(kernel).map_err(|error| error.message).map_err(invalid(place.clone()))?;
        Indices::new(kernel).body(&kernel.body).map_err(invalid(place))?;
    }
    plan.bodies.iter().try_for_each(self::plan)?;
    for (number, step) in plan.steps.iter().enumerate() {
        let checked = match step {
            Step::Kernel { kernel, buffers } => kernel_step(plan, *kernel, buffers),
            Step::Gemm(gemm) => gemm_step(plan, gemm),
            Step::Pack(gemm) => pack_step(plan, gemm),
            Step::Scan(scan) => scan_step(plan, scan),
        };
        checked.map_err(invalid(format!("step {number}")))?;
    }
    Ok(())
}

/// A buffer lies where it is said to.
fn location(plan: &Plan, buffer: &gradc_schedule::plan::Buffer) -> Check {
    let bytes = buffer.ty.bytes();
    match buffer.location {
        Location::Arena(offset) => {
            ensure(offset % Plan::ALIGNMENT == 0, || format!("the offset {offset} is not aligned"))?;
            let end = offset.checked_add(bytes);
            ensure(end.is_some_and(|end| end <= plan.arena_bytes), || "it reaches beyond the arena".to_owned())
        }
        Location::Slot(slot) => {
            let slot = plan.interface.get(slot.0 as usize).ok_or("there is no such slot")?;
            ensure(slot.ty.dtype == buffer.ty.dtype && slot.ty.bytes() == bytes, || {
                format!("it is {}, its slot {}", buffer.ty, slot.ty)
            })
        }
    }
}

fn kernel_step(plan: &Plan, kernel: usize, buffers: &[BufferId]) -> Check {
    let kernel = plan.kernels.get(kernel).ok_or("there is no such kernel")?;
    ensure(kernel.buffers.len() == buffers.len(), || {
        format!("{} takes {} buffers, not {}", kernel.name, kernel.buffers.len(), buffers.len())
    })?;
    let mut places = Vec::new();
    for (param, &id) in kernel.buffers.iter().zip(buffers) {
        let buffer = plan.buffers.get(id.0 as usize).ok_or("there is no such buffer")?;
        let bytes = param.elements.checked_mul(param.dtype.size());
        ensure(bytes.is_some_and(|bytes| bytes <= buffer.ty.bytes()), || {
            format!(
                "{} has {} elements of {}, and {} is {}",
                param.name, param.elements, param.dtype, buffer.name, buffer.ty
            )
        })?;
        if let Location::Slot(_) = buffer.location {
            ensure(param.dtype.size() <= buffer.ty.dtype.size(), || format!("{} may not be aligned", buffer.name))?;
        }
        places.push((region(plan, id), param.access != Access::Read, buffer.name.as_str()));
    }
    apart(plan, &places)
}

fn gemm_step(plan: &Plan, gemm: &Gemm) -> Check {
    extents_fit(gemm)?;
    let mut places = Vec::new();
    for (operand, rows, columns) in [(Operand::A, gemm.m, gemm.k), (Operand::B, gemm.k, gemm.n)] {
        match gemm.packed.filter(|packed| packed.operand == operand) {
            Some(packed) => places.push((packed_operand(plan, gemm, packed)?, false, "a packed operand")),
            None => places.push((matrix(plan, gemm, gemm.operand(operand), [rows, columns])?, false, "an operand")),
        }
    }
    places.push((matrix(plan, gemm, &gemm.c, [gemm.m, gemm.n])?, true, "a product"));
    // Parts that run at the same time write rows, columns or batches that differ. Where rows or columns are of several axes, they
    // are cut where no two parts have an element in common; but what is there before must be added to.
    let is_empty = gemm.batch == 0 || gemm.m == 0 || gemm.n == 0;
    let is_safe = if gemm.c.is_plain() { gemm.c.is_apart() } else { gemm.accumulate };
    ensure(is_empty || is_safe, || "elements of a product overlap".to_owned())?;
    if let Some(id) = gemm.factor {
        let buffer = plan.buffers.get(id.0 as usize).ok_or("there is no such buffer")?;
        let is_number = buffer.ty.dtype == gemm.dtype && buffer.ty.shape.elements() == 1;
        ensure(is_number, || format!("{} is {}, and no factor", buffer.name, buffer.ty))?;
        places.push((region(plan, id), false, buffer.name.as_str()));
    }
    let needed = scratch_bytes(gemm);
    if let Some(id) = gemm.scratch {
        let buffer = plan.buffers.get(id.0 as usize).ok_or("there is no such buffer")?;
        let in_arena = matches!(buffer.location, Location::Arena(_));
        ensure(in_arena, || format!("{} is scratch memory outside of the arena", buffer.name))?;
        ensure(needed <= buffer.ty.bytes(), || {
            format!("{} is {}, and {needed} bytes of scratch memory are needed", buffer.name, buffer.ty)
        })?;
        places.push((region(plan, id), true, buffer.name.as_str()));
    } else {
        ensure(needed == 0, || format!("there is none of the {needed} bytes of scratch memory that are needed"))?;
    }
    apart(plan, &places)
}

/// An operand is packed for the products that read it: what they read is there, all of it.
fn pack_step(plan: &Plan, gemm: &Gemm) -> Check {
    let packed = gemm.packed.ok_or("it is not said what is packed")?;
    let extents = match packed.operand {
        Operand::A => [gemm.m, gemm.k],
        Operand::B => [gemm.k, gemm.n],
    };
    extents_fit(gemm)?;
    let from = matrix(plan, gemm, gemm.operand(packed.operand), extents)?;
    apart(plan, &[(from, false, "an operand"), (packed_operand(plan, gemm, packed)?, true, "a packed operand")])
}

/// Strides of 0 reach nothing, however often. With no more than any tensor has, what is planned for a product does not overflow.
fn extents_fit(gemm: &Gemm) -> Check {
    let extents = [gemm.batch, gemm.m, gemm.n, gemm.k];
    ensure(extents.iter().all(|&extent| extent <= Shape::MAX_ELEMENTS), || "a product is too large".to_owned())?;
    ensure(gemm.dtype.is_float(), || format!("matrices of {} cannot be multiplied", gemm.dtype))
}

/// A matrix is within its buffer: where that is.
fn matrix(plan: &Plan, gemm: &Gemm, matrix: &MatrixRef, [rows, columns]: [usize; 2]) -> Check<Region> {
    let buffer = plan.buffers.get(matrix.buffer.0 as usize).ok_or("there is no such buffer")?;
    let extents = [matrix.batch, matrix.rows, matrix.columns].map(|axes| axes.extent());
    ensure(extents == [gemm.batch, rows, columns].map(Some), || {
        format!("a matrix in {} is not {} times {rows} x {columns}", buffer.name, gemm.batch)
    })?;
    let reached = reach(matrix, gemm.batch, rows, columns).ok_or("a stride is too large")?;
    let bytes = reached.checked_mul(gemm.dtype.size());
    ensure(bytes.is_some_and(|bytes| bytes <= buffer.ty.bytes()), || {
        format!("a matrix reaches {reached} elements into {}, which is {}", buffer.name, buffer.ty)
    })?;
    ensure(buffer.ty.dtype.size() >= gemm.dtype.size(), || format!("{} may not be aligned", buffer.name))?;
    Ok(region(plan, matrix.buffer))
}

/// A packed operand is one that can be packed, and has as much memory as that takes: where that is.
fn packed_operand(plan: &Plan, gemm: &Gemm, packed: Packed) -> Check<Region> {
    let buffer = plan.buffers.get(packed.buffer.0 as usize).ok_or("there is no such buffer")?;
    let known = packing(gemm).filter(|packing| packing.operand == packed.operand);
    let needed = known.ok_or("the operand cannot be packed")?.bytes;
    ensure(buffer.ty.dtype.size() >= gemm.dtype.size(), || format!("{} may not be aligned", buffer.name))?;
    ensure(needed <= buffer.ty.bytes(), || {
        format!("{} is {}, and {needed} bytes are needed to pack an operand", buffer.name, buffer.ty)
    })?;
    Ok(region(plan, packed.buffer))
}

/// Every slot of the body gets memory that is large enough at each step, and what the body writes is nothing else's.
fn scan_step(plan: &Plan, scan: &Scan) -> Check {
    let body = plan.bodies.get(scan.body).ok_or("there is no such body")?;
    ensure(body.interface.len() == scan.slots.len(), || {
        format!("{} takes {} slots, not {}", body.name, body.interface.len(), scan.slots.len())
    })?;
    let mut places = Vec::new();
    let mut add = |id: BufferId, times: usize, bytes: usize, alignment: usize, written: bool| {
        let buffer = plan.buffers.get(id.0 as usize).ok_or("there is no such buffer")?;
        let needed = times.checked_mul(bytes);
        ensure(needed.is_some_and(|needed| needed <= buffer.ty.bytes()), || {
            format!("{} is {}, which is less than {times} times {bytes} bytes", buffer.name, buffer.ty)
        })?;
        if let Location::Slot(_) = buffer.location {
            ensure(alignment <= buffer.ty.dtype.size(), || format!("{} may not be aligned", buffer.name))?;
        }
        places.push((region(plan, id), written, buffer.name.as_str()));
        Ok::<(), String>(())
    };
    let written = body.written_slots();
    for (at, (given, slot)) in (0..).map(SlotId).zip(scan.slots.iter().zip(&body.interface)) {
        let (bytes, alignment) = (slot.ty.bytes(), slot.ty.dtype.size());
        match (*given, &slot.kind) {
            (ScanSlot::Carry { start, memory }, SlotKind::Leaf(LeafKind::State)) => {
                add(start, 1, bytes, alignment, false)?;
                add(memory, 1, bytes, alignment, true)?;
            }
            (ScanSlot::Slice(buffer), SlotKind::Leaf(LeafKind::Input)) => {
                add(buffer, scan.length, bytes, alignment, false)?;
            }
            (ScanSlot::Slice(buffer), SlotKind::Result(_)) => add(buffer, scan.length, bytes, alignment, true)?,
            (ScanSlot::Whole(_), _) if written.contains(&at) => {
                return Err(format!("{} is the same in all steps, and is written", slot.name));
            }
            (ScanSlot::Whole(buffer), SlotKind::Leaf(LeafKind::Param)) => add(buffer, 1, bytes, alignment, false)?,
            _ => return Err(format!("{} is not what it is given for", slot.name)),
        }
    }
    ensure(
        matches!(plan.buffers.get(scan.arena.0 as usize).map(|buffer| buffer.location), Some(Location::Arena(_))),
        || format!("the arena of {} is not in the arena", body.name),
    )?;
    add(scan.arena, 1, body.arena_bytes, 1, true)?;
    apart(plan, &places)
}

/// One more than the greatest element that a matrix of each batch reaches.
fn reach(matrix: &MatrixRef, batch: usize, rows: usize, columns: usize) -> Option<usize> {
    if batch == 0 || rows == 0 || columns == 0 {
        return Some(0);
    }
    matrix.furthest()?.checked_add(1)
}

/// A piece of the arena, or of a slot.
type Region = (Option<u32>, Range<usize>);

fn region(plan: &Plan, id: BufferId) -> Region {
    let buffer = &plan.buffers[id.0 as usize];
    match buffer.location {
        Location::Arena(offset) => (None, offset..offset + buffer.ty.bytes()),
        Location::Slot(slot) => (Some(slot.0), 0..buffer.ty.bytes()),
    }
}

/// No region that is written overlaps another one, nor is it an input: whoever runs a plan lends these to be read.
fn apart(plan: &Plan, places: &[(Region, bool, &str)]) -> Check {
    let is_input = |slot: u32| plan.interface[slot as usize].kind == SlotKind::Leaf(LeafKind::Input);
    for (at, (a, a_written, a_name)) in places.iter().enumerate() {
        for (b, b_written, b_name) in &places[..at] {
            let overlap = a.0 == b.0 && a.1.start < b.1.end && b.1.start < a.1.end;
            ensure(!overlap || !(*a_written || *b_written), || format!("{a_name} and {b_name} overlap"))?;
        }
        ensure(!(*a_written && a.0.is_some_and(is_input)), || format!("{a_name} is an input, and is written"))?;
    }
    Ok(())
}

/// The values that registers of type `i32` may have, to prove indexed addresses.
struct Indices<'k> {
    kernel: &'k Kernel,
    /// The least and the greatest value; registers that are not here may have any.
    ranges: FxHashMap<Reg, (i64, i64)>,
    extents: FxHashMap<LoopVar, usize>,
}

const ANY: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

impl<'k> Indices<'k> {
    fn new(kernel: &'k Kernel) -> Indices<'k> {
        Indices { kernel, ranges: FxHashMap::default(), extents: FxHashMap::default() }
    }

    fn body(&mut self, body: &[Stmt]) -> Check {
        body.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt) -> Check {
        match stmt {
            Stmt::Let { reg, dtype, expr } => {
                if let Expr::LoadIndexed { buffer, address, index, stride } = expr {
                    self.indexed(*buffer, address, *index, *stride)?;
                }
                if *dtype == DType::I32 {
                    let range = self.range(expr);
                    self.ranges.insert(*reg, range);
                }
                Ok(())
            }
            Stmt::ScatterAdd { buffer, address, index, stride, .. } => self.indexed(*buffer, address, *index, *stride),
            // What does not run needs no proof, and has no range.
            Stmt::Loop(Loop { extent: 0, .. }) => Ok(()),
            Stmt::Loop(inner) => {
                self.extents.insert(inner.var, inner.extent);
                self.body(&inner.body)
            }
            // The name may have been another register's, in a loop that has ended.
            Stmt::Accumulator { reg, .. } => {
                self.ranges.remove(reg);
                Ok(())
            }
            Stmt::Store { .. } | Stmt::Accumulate { .. } => Ok(()),
        }
    }

    fn of(&self, reg: Reg) -> (i64, i64) {
        self.ranges.get(&reg).copied().unwrap_or(ANY)
    }

    fn affine(&self, affine: &Affine) -> (i64, i64) {
        affine.range(|var| self.extents.get(&var).copied().unwrap_or(1))
    }

    fn range(&self, expr: &Expr) -> (i64, i64) {
        let range = match expr {
            Expr::Const(value) => {
                let value = DType::I32.round(value.get()) as i64;
                (value, value)
            }
            Expr::Index(affine) => self.affine(affine),
            Expr::Op(op, operands) => {
                let of = |at: usize| self.of(operands[at]);
                match op {
                    ScalarOp::Min => (of(0).0.min(of(1).0), of(0).1.min(of(1).1)),
                    ScalarOp::Max => (of(0).0.max(of(1).0), of(0).1.max(of(1).1)),
                    ScalarOp::Add => (of(0).0 + of(1).0, of(0).1 + of(1).1),
                    ScalarOp::Sub => (of(0).0 - of(1).1, of(0).1 - of(1).0),
                    ScalarOp::Select => (of(1).0.min(of(2).0), of(1).1.max(of(2).1)),
                    _ => ANY,
                }
            }
            Expr::Load { .. } | Expr::LoadIndexed { .. } => ANY,
        };
        // What leaves 32 bits wraps.
        if range.0 < ANY.0 || range.1 > ANY.1 { ANY } else { range }
    }

    fn indexed(&self, buffer: usize, address: &Affine, index: Reg, stride: i64) -> Check {
        let param = &self.kernel.buffers[buffer];
        if param.elements == 0 {
            // Nothing is emitted for it.
            return Ok(());
        }
        let (least, greatest) = self.affine(address);
        let (low, high) = self.of(index);
        let ends = [low.checked_mul(stride), high.checked_mul(stride)];
        let [Some(a), Some(b)] = ends else { return Err(format!("the index into {} is not clamped", param.name)) };
        let (least, greatest) = (least.saturating_add(a.min(b)), greatest.saturating_add(a.max(b)));
        ensure(least >= 0 && greatest < param.elements as i64, || {
            format!(
                "an indexed address reaches from {least} to {greatest} of {} elements of {}",
                param.elements, param.name
            )
        })
    }
}
