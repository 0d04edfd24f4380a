//! The verifier of plans: run on every plan in debug builds and in tests.
//!
//! It checks that
//! - kernels hold what [`kernel::verify`](crate::kernel::verify) checks, and are given distinct buffers of their types;
//! - matrices are within their buffers, and the result of a product is not an operand of it;
//! - bodies hold all of this, and their slots are given buffers of their types (or of as many of these as the scan has
//!   steps), of which no two are one where one of them is written;
//! - buffers in the arena are aligned and within it;
//! - whatever a step reads has been written whole and not been overwritten since by another buffer in its place;
//! - the prologue reads no leaves but those that it says, which are no inputs and which nothing writes, and it writes to the arena
//!   alone, where no step after it writes; the body of a loop has none, and writes nothing that is the same in all its steps;
//! - every result has been written in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gradc_ir::LeafKind;

use super::{
    Buffer, BufferId, Gemm, Location, MatrixRef, Operand, Packed, Plan, Scan, ScanSlot, Slot, SlotId, SlotKind, Step,
};
use crate::kernel::{self, Access};

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// The step, if it is about one.
    pub step: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.step {
            Some(step) => write!(f, "step {step}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for PlanError {}

/// Checks a plan; the first thing that is wrong is the error.
///
/// # Errors
/// Where it does not hold what this page lists.
pub fn verify(plan: &Plan) -> Result<(), PlanError> {
    let fail = |message: String| PlanError { step: None, message };
    plan.kernels.iter().try_for_each(kernel::verify).map_err(|error| fail(error.to_string()))?;
    for body in &plan.bodies {
        verify(body).map_err(|error| fail(format!("body {}: {error}", body.name)))?;
    }
    plan.buffers.iter().try_for_each(|buffer| place(plan, buffer)).map_err(fail)?;
    let mut state = State { plan, arena: BTreeMap::new(), slots: Vec::new(), lasting: BTreeSet::new() };
    let count = plan.prologue.steps;
    ensure(count <= plan.steps.len(), || "the prologue is longer than the plan".into()).map_err(fail)?;
    // The prologue is given nothing else.
    let lasts = |at: usize| plan.prologue.reads.contains(&SlotId(at as u32));
    state.slots = (0..plan.interface.len()).map(lasts).collect();
    for (i, step) in plan.steps.iter().enumerate() {
        if i == count {
            state.begin_run().map_err(fail)?;
        }
        state.step(step).map_err(|message| PlanError { step: Some(i), message })?;
    }
    if count == plan.steps.len() {
        state.begin_run().map_err(fail)?;
    }
    match plan.interface.iter().zip(&state.slots).find(|(slot, written)| !**written && slot.ty.bytes() > 0) {
        Some((slot, _)) => Err(fail(format!("{} is never written", slot.name))),
        None => Ok(()),
    }
}

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

fn place(plan: &Plan, buffer: &Buffer) -> Result<(), String> {
    let fits = match buffer.location {
        Location::Arena(offset) => offset % Plan::ALIGNMENT == 0 && offset + buffer.ty.bytes() <= plan.arena_bytes,
        Location::Slot(slot) => plan.interface.get(slot.0 as usize).is_some_and(|slot| slot.ty == buffer.ty),
    };
    ensure(fits, || format!("{} is not where a {} can be", buffer.name, buffer.ty))
}

/// What memory holds between two steps.
struct State<'p> {
    plan: &'p Plan,
    /// By offset, the buffers in the arena whose values are there, whole.
    arena: BTreeMap<usize, BufferId>,
    /// Whether each slot has a value.
    slots: Vec<bool>,
    /// What the prologue has written.
    lasting: BTreeSet<BufferId>,
}

impl State<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Gemm(gemm) => self.gemm(gemm),
            Step::Pack(gemm) => self.pack(gemm),
            Step::Scan(scan) => self.scan(scan),
            Step::Kernel { kernel, buffers } => self.kernel(*kernel, buffers),
        }
    }

    /// What comes after the prologue finds all leaves, and what the prologue has left in the arena.
    fn begin_run(&mut self) -> Result<(), String> {
        let Plan { steps, prologue, interface, .. } = self.plan;
        let written = if prologue.reads.is_empty() { BTreeSet::new() } else { self.plan.written_slots() };
        for (at, slot) in (0..).map(SlotId).zip(interface) {
            if prologue.reads.contains(&at) {
                let stays = matches!(slot.kind, SlotKind::Leaf(LeafKind::Param | LeafKind::State));
                ensure(stays, || format!("{} is another one in each run, and the prologue reads it", slot.name))?;
                ensure(!written.contains(&at), || format!("{} is written, and the prologue reads it", slot.name))?;
            }
        }
        self.slots = interface.iter().map(|slot| matches!(slot.kind, SlotKind::Leaf(_))).collect();
        self.lasting = self.arena.values().copied().collect();
        steps[..prologue.steps].iter().flat_map(|step| self.plan.writes(step)).try_for_each(|id| {
            let lasts = self.lasting.contains(&id) || self.bytes(id) == 0;
            ensure(lasts, || format!("b{} is written by the prologue, and does not last", id.0))
        })
    }

    fn kernel(&mut self, kernel: usize, buffers: &[BufferId]) -> Result<(), String> {
        let plan = self.plan;
        let kernel = plan.kernels.get(kernel).ok_or("there is no such kernel")?;
        ensure(kernel.buffers.len() == buffers.len(), || format!("{} takes other buffers", kernel.name))?;
        for (i, (param, &id)) in kernel.buffers.iter().zip(buffers).enumerate() {
            let buffer = self.buffer(id)?;
            let fits = param.dtype == buffer.ty.dtype && param.elements == buffer.ty.shape.elements();
            ensure(fits, || format!("{} is not {}[{}]", buffer.name, param.dtype, param.elements))?;
            ensure(!buffers[..i].contains(&id), || format!("{} is given twice", buffer.name))?;
            if param.access != Access::Write {
                self.read(id)?;
            }
        }
        let params = || kernel.buffers.iter().zip(buffers);
        for (_, &id) in params().filter(|(param, _)| param.access != Access::Read) {
            self.write(id)?;
        }
        // What it writes must not have been written over what it reads or writes.
        params().try_for_each(|(_, &id)| self.read(id))
    }

    fn gemm(&mut self, gemm: &Gemm) -> Result<(), String> {
        let Gemm { batch, m, n, k, a, b, c, .. } = gemm;
        self.matrix(gemm, a, [*batch, *m, *k])?;
        self.matrix(gemm, b, [*batch, *k, *n])?;
        self.matrix(gemm, c, [*batch, *m, *n])?;
        ensure(c.is_plain() || gemm.accumulate, || "a product is not added to elements that may overlap".into())?;
        let operands = gemm.reads();
        if let Some(packed) = gemm.packed {
            self.packed(gemm, packed)?;
        }
        ensure(!operands.contains(&c.buffer), || "a product overwrites an operand".into())?;
        operands.iter().try_for_each(|&operand| self.read(operand))?;
        if let Some(factor) = gemm.factor {
            let ty = &self.buffer(factor)?.ty;
            let is_number = ty.dtype == gemm.dtype && ty.shape.elements() == 1;
            ensure(is_number, || format!("b{} is no factor", factor.0))?;
            ensure(factor != c.buffer, || "a product overwrites its factor".into())?;
            self.read(factor)?;
        }
        if gemm.accumulate {
            self.read(c.buffer)?;
        }
        self.write(c.buffer)?;
        if let Some(scratch) = gemm.scratch {
            self.write(scratch)?;
        }
        // Neither C nor scratch memory must be where an operand is, or scratch memory where C is.
        let read = operands.into_iter().chain([c.buffer]).chain(gemm.factor);
        read.into_iter().try_for_each(|buffer| self.read(buffer))
    }

    fn pack(&mut self, gemm: &Gemm) -> Result<(), String> {
        let packed = gemm.packed.ok_or("it is not said what is packed")?;
        let matrix = gemm.operand(packed.operand);
        match packed.operand {
            Operand::A => self.matrix(gemm, matrix, [gemm.batch, gemm.m, gemm.k])?,
            Operand::B => self.matrix(gemm, matrix, [gemm.batch, gemm.k, gemm.n])?,
        }
        self.packed(gemm, packed)?;
        ensure(matrix.buffer != packed.buffer, || "an operand is packed where it is".into())?;
        self.read(matrix.buffer)?;
        self.write(packed.buffer)?;
        self.read(matrix.buffer)
    }

    /// A packed operand is in memory that has room for its elements.
    fn packed(&self, gemm: &Gemm, packed: Packed) -> Result<(), String> {
        let Buffer { name, ty, .. } = self.buffer(packed.buffer)?;
        let elements = gemm.packed_elements(packed.operand);
        let fits = ty.dtype == gemm.dtype && elements.is_some_and(|elements| elements <= ty.shape.elements());
        ensure(fits, || format!("{name} has no room for a packed operand"))
    }

    fn scan(&mut self, scan: &Scan) -> Result<(), String> {
        let plan = self.plan;
        let body = plan.bodies.get(scan.body).ok_or("there is no such body")?;
        ensure(body.interface.len() == scan.slots.len(), || format!("{} takes other slots", body.name))?;
        scan.slots.iter().zip(&body.interface).try_for_each(|(slot, kind)| self.scan_slot(scan, slot, kind))?;
        ensure(body.prologue.steps == 0, || format!("{} has a prologue of its own", body.name))?;
        let (written, slots) = (body.written_slots(), (0..).map(SlotId).zip(&scan.slots));
        let is_written = |(at, slot): (SlotId, &ScanSlot)| matches!(slot, ScanSlot::Whole(_)) && written.contains(&at);
        ensure(!slots.into_iter().any(is_written), || format!("{} writes what is constant in its loop", body.name))?;
        let arena = self.buffer(scan.arena)?;
        ensure(arena.ty.bytes() == body.arena_bytes, || format!("the arena of {} has another size", body.name))?;
        let written: Vec<BufferId> = scan.writes(body).chain([scan.arena]).collect();
        for (i, id) in written.iter().enumerate() {
            let other = written[..i].iter().copied().chain(scan.reads(body)).any(|other| other == *id);
            ensure(!other, || format!("b{} is given twice", id.0))?;
        }
        scan.reads(body).try_for_each(|id| self.read(id))?;
        written.iter().try_for_each(|&id| self.write(id))?;
        scan.reads(body).chain(written.iter().copied()).try_for_each(|id| self.read(id))
    }

    /// A buffer fits the slot of a body that it is given for.
    fn scan_slot(&self, scan: &Scan, given: &ScanSlot, slot: &Slot) -> Result<(), String> {
        let fits = |id: BufferId, times: usize| {
            let ty = &self.buffer(id)?.ty;
            let same = ty.dtype == slot.ty.dtype && ty.shape.elements() == times * slot.ty.shape.elements();
            ensure(same, || format!("b{} is a {ty}, not {times} times {} for {}", id.0, slot.ty, slot.name))
        };
        match (*given, &slot.kind) {
            (ScanSlot::Carry { start, memory }, SlotKind::Leaf(LeafKind::State)) => {
                fits(start, 1)?;
                fits(memory, 1)
            }
            (ScanSlot::Slice(buffer), SlotKind::Leaf(LeafKind::Input) | SlotKind::Result(_)) => {
                fits(buffer, scan.length)
            }
            (ScanSlot::Whole(buffer), SlotKind::Leaf(LeafKind::Param)) => fits(buffer, 1),
            _ => Err(format!("{} is not what it is given for", slot.name)),
        }
    }

    fn matrix(&self, gemm: &Gemm, matrix: &MatrixRef, extents: [usize; 3]) -> Result<(), String> {
        let buffer = self.buffer(matrix.buffer)?;
        ensure(buffer.ty.dtype == gemm.dtype, || format!("{} is not {}", buffer.name, gemm.dtype))?;
        let own = [matrix.batch, matrix.rows, matrix.columns].map(|axes| axes.extent());
        ensure(own == extents.map(Some), || format!("a matrix in {} has other extents", buffer.name))?;
        if extents.contains(&0) {
            return Ok(());
        }
        let fits = matrix.furthest().is_some_and(|last| last < buffer.ty.shape.elements());
        ensure(fits, || format!("a matrix reaches beyond {}", buffer.name))
    }

    fn buffer(&self, id: BufferId) -> Result<&Buffer, String> {
        self.plan.buffers.get(id.0 as usize).ok_or_else(|| format!("there is no buffer {}", id.0))
    }

    fn read(&self, id: BufferId) -> Result<(), String> {
        let buffer = self.buffer(id)?;
        let holds = match buffer.location {
            Location::Arena(offset) => buffer.ty.bytes() == 0 || self.arena.get(&offset) == Some(&id),
            Location::Slot(slot) => buffer.ty.bytes() == 0 || self.slots[slot.0 as usize],
        };
        ensure(holds, || format!("{} (b{}) is read where it does not hold its value", buffer.name, id.0))
    }

    fn write(&mut self, id: BufferId) -> Result<(), String> {
        let buffer = self.buffer(id)?;
        let (bytes, location) = (buffer.ty.bytes(), buffer.location);
        match location {
            Location::Slot(slot) => self.slots[slot.0 as usize] = true,
            Location::Arena(offset) if bytes > 0 => {
                let before = self.arena.range(..offset).next_back();
                let reaching = before.filter(|(start, other)| *start + self.bytes(**other) > offset);
                let overlapped: Vec<usize> = reaching
                    .into_iter()
                    .chain(self.arena.range(offset..offset + bytes))
                    .map(|(start, _)| *start)
                    .collect();
                let mut removed = overlapped.iter().filter_map(|start| self.arena.remove(start));
                if let Some(lasting) = removed.find(|before| self.lasting.contains(before)) {
                    return Err(format!("b{} is written over what the prologue has left in b{}", id.0, lasting.0));
                }
                removed.for_each(drop);
                self.arena.insert(offset, id);
            }
            Location::Arena(_) => {}
        }
        Ok(())
    }

    fn bytes(&self, id: BufferId) -> usize {
        self.buffer(id).map_or(0, |buffer| buffer.ty.bytes())
    }
}
