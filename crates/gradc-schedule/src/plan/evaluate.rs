//! A plain evaluator of plans, for tests: kernels by their evaluator, matrix products by their definition.

use gradc_ir::{DType, Tensor};
use half::{bf16, f16};

use super::{BufferId, Gemm, Location, MatrixRef, Operand, Packed, Plan, Scan, ScanSlot, SlotKind, Step};
use crate::kernel::{self, Storage};

/// Runs a plan. `leaves` has a tensor for each slot of a leaf, in the order of the interface. Gives what every slot of the
/// interface holds in the end: leaves, some of them updated, and results.
///
/// The arena is one block of bytes, as it is on a machine, and holds noise in the beginning.
///
/// # Panics
/// Where the tensors are not of the slots' types, or where the plan does not hold what [`verify`](super::verify) checks.
pub fn evaluate(plan: &Plan, leaves: &[Tensor]) -> Vec<Tensor> {
    let mut leaves = leaves.iter();
    let slots = plan.interface.iter().map(|slot| match &slot.kind {
        SlotKind::Leaf(_) => {
            let tensor = leaves.next().filter(|tensor| *tensor.ty() == slot.ty);
            tensor.unwrap_or_else(|| panic!("{} needs a {}", slot.name, slot.ty)).data().to_vec()
        }
        SlotKind::Result(_) => vec![slot.ty.dtype.round(f64::NAN); slot.ty.shape.elements()],
    });
    let mut memory = Memory { plan, slots: slots.collect(), arena: vec![0xa5; plan.arena_bytes] };
    memory.run();
    plan.interface.iter().zip(memory.slots).map(|(slot, elements)| Tensor::new(slot.ty.clone(), elements)).collect()
}

struct Memory<'p> {
    plan: &'p Plan,
    slots: Vec<Storage>,
    arena: Vec<u8>,
}

impl Memory<'_> {
    fn run(&mut self) {
        for step in &self.plan.steps {
            match step {
                Step::Kernel { kernel, buffers } => {
                    let mut storage: Vec<Storage> = buffers.iter().map(|&buffer| self.read(buffer)).collect();
                    kernel::evaluate(&self.plan.kernels[*kernel], &mut storage);
                    buffers.iter().zip(&storage).for_each(|(&buffer, elements)| self.write(buffer, elements));
                }
                Step::Gemm(gemm) => self.gemm(gemm),
                Step::Pack(gemm) => self.pack(gemm),
                Step::Scan(scan) => self.scan(scan),
            }
        }
    }

    fn scan(&mut self, scan: &Scan) {
        let body = &self.plan.bodies[scan.body];
        for slot in &scan.slots {
            if let ScanSlot::Carry { start, memory } = *slot {
                let first = self.read(start);
                self.write(memory, &first);
            }
        }
        for step in 0..scan.length {
            let part = if scan.reverse { scan.length - 1 - step } else { step };
            let range = |at: usize| {
                let elements = body.interface[at].ty.shape.elements();
                part * elements..(part + 1) * elements
            };
            let given = scan.slots.iter().enumerate().map(|(at, slot)| match *slot {
                ScanSlot::Carry { memory, .. } => self.read(memory),
                ScanSlot::Whole(buffer) => self.read(buffer),
                ScanSlot::Slice(buffer) => self.read(buffer)[range(at)].to_vec(),
            });
            let mut inner = Memory { plan: body, slots: given.collect(), arena: vec![0xa5; body.arena_bytes] };
            inner.run();
            for (at, (slot, elements)) in scan.slots.iter().zip(&inner.slots).enumerate() {
                match *slot {
                    ScanSlot::Carry { memory, .. } => self.write(memory, elements),
                    ScanSlot::Slice(buffer) => {
                        let mut whole = self.read(buffer);
                        whole[range(at)].copy_from_slice(elements);
                        self.write(buffer, &whole);
                    }
                    ScanSlot::Whole(_) => {}
                }
            }
        }
    }

    fn read(&self, buffer: BufferId) -> Storage {
        let buffer = &self.plan.buffers[buffer.0 as usize];
        match buffer.location {
            Location::Slot(slot) => self.slots[slot.0 as usize].clone(),
            Location::Arena(offset) => {
                let bytes = &self.arena[offset..offset + buffer.ty.bytes()];
                bytes.chunks_exact(buffer.ty.dtype.size()).map(|bytes| decode(buffer.ty.dtype, bytes)).collect()
            }
        }
    }

    fn write(&mut self, buffer: BufferId, elements: &[f64]) {
        let buffer = &self.plan.buffers[buffer.0 as usize];
        match buffer.location {
            Location::Slot(slot) => self.slots[slot.0 as usize].copy_from_slice(elements),
            Location::Arena(offset) => {
                let bytes = &mut self.arena[offset..offset + buffer.ty.bytes()];
                let chunks = bytes.chunks_exact_mut(buffer.ty.dtype.size());
                chunks.zip(elements).for_each(|(bytes, &element)| encode(buffer.ty.dtype, element, bytes));
            }
        }
    }

    fn pack(&mut self, gemm: &Gemm) {
        let Some(Packed { operand, buffer }) = gemm.packed else { return };
        let (from, to) = (*gemm.operand(operand), packed_matrix(gemm, operand));
        let (elements, mut packed) = (self.read(from.buffer), self.read(buffer));
        packed.fill(gemm.dtype.round(f64::NAN));
        let (rows, columns) = if operand == Operand::A { (gemm.m, gemm.k) } else { (gemm.k, gemm.n) };
        for (batch, row) in (0..gemm.batch).flat_map(|batch| (0..rows).map(move |row| (batch, row))) {
            for column in 0..columns {
                packed[at(&to, batch, row, column)] = elements[at(&from, batch, row, column)];
            }
        }
        self.write(buffer, &packed);
    }

    fn gemm(&mut self, gemm: &Gemm) {
        let mut c = self.read(gemm.c.buffer);
        let ([a_buffer, b_buffer], packed) = (gemm.reads(), gemm.packed.map(|packed| packed.operand));
        let (a, b) = (self.read(a_buffer), self.read(b_buffer));
        let a_matrix = if packed == Some(Operand::A) { packed_matrix(gemm, Operand::A) } else { gemm.a };
        let b_matrix = if packed == Some(Operand::B) { packed_matrix(gemm, Operand::B) } else { gemm.b };
        let scale = gemm.dtype.round(gemm.scale * gemm.factor.map_or(1.0, |factor| self.read(factor)[0]));
        for batch in 0..gemm.batch {
            for (row, column) in (0..gemm.m).flat_map(|row| (0..gemm.n).map(move |column| (row, column))) {
                let target = &mut c[at(&gemm.c, batch, row, column)];
                let start = if gemm.accumulate { *target } else { 0.0 };
                let sum = (0..gemm.k)
                    .fold(0.0, |sum, p| sum + a[at(&a_matrix, batch, row, p)] * b[at(&b_matrix, batch, p, column)]);
                *target = gemm.dtype.round(start + scale * sum);
            }
        }
        self.write(gemm.c.buffer, &c);
        if let Some(scratch) = gemm.scratch {
            let ty = &self.plan.buffers[scratch.0 as usize].ty;
            self.write(scratch, &vec![ty.dtype.round(f64::NAN); ty.shape.elements()]);
        }
    }
}

/// An operand as it is packed here: row by row, once where all of a batch have the same.
fn packed_matrix(gemm: &Gemm, operand: Operand) -> MatrixRef {
    let own = gemm.operand(operand);
    let (rows, columns) = if operand == Operand::A { (gemm.m, gemm.k) } else { (gemm.k, gemm.n) };
    let plain = MatrixRef::plain(own.buffer, gemm.batch, rows, columns);
    let is_one = own.batch.iter().all(|axis| axis.stride == 0);
    MatrixRef { batch: if is_one { own.batch } else { plain.batch }, ..plain }
}

/// Where an element of a matrix is.
fn at(matrix: &MatrixRef, batch: usize, row: usize, column: usize) -> usize {
    matrix.offset + matrix.batch.at(batch) + matrix.rows.at(row) + matrix.columns.at(column)
}

fn decode(dtype: DType, bytes: &[u8]) -> f64 {
    match (dtype, bytes) {
        (DType::Bool | DType::U8, &[byte]) => f64::from(byte),
        (DType::I64, bytes) => bytes.try_into().map_or(0.0, |bytes| i64::from_le_bytes(bytes) as f64),
        (DType::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f64(),
        (DType::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f64(),
        (DType::I32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
        (DType::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (_, bytes) => f64::from_le_bytes(bytes.try_into().unwrap_or_default()),
    }
}

fn encode(dtype: DType, element: f64, bytes: &mut [u8]) {
    match dtype {
        DType::Bool | DType::U8 => bytes.copy_from_slice(&[element as u8]),
        DType::F16 => bytes.copy_from_slice(&f16::from_f64(element).to_le_bytes()),
        DType::Bf16 => bytes.copy_from_slice(&bf16::from_f64(element).to_le_bytes()),
        DType::I64 => bytes.copy_from_slice(&(element as i64).to_le_bytes()),
        DType::I32 => bytes.copy_from_slice(&(element as i32).to_le_bytes()),
        DType::F32 => bytes.copy_from_slice(&(element as f32).to_le_bytes()),
        DType::F64 => bytes.copy_from_slice(&element.to_le_bytes()),
    }
}
