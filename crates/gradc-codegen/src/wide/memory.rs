//! Addresses, loads and stores of wide vectors.

use gradc_ir::DType;
use gradc_schedule::kernel::{Affine, Combine, Expr, Reg, Stmt};
use smallvec::SmallVec;

use super::lower::{Around, Lowering};
use super::program::{Class, Id, Instruction, Op, Place, Source};
use crate::half::Halves;
use crate::lanes::{Lanes, LanesExt};

/// Loop counters, each with the distance in bytes that it moves an address by; outermost first.
pub(super) type Terms = SmallVec<[(Id, i64); 4]>;

/// An address that an index takes part in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct IndexedKey {
    buffer: usize,
    terms: Terms,
    pub(super) index: Reg,
    stride: i64,
}

impl<'k> Lowering<'k> {
    /// Computes the addresses that move with the loop that has just been entered, at the beginning of its body.
    pub(super) fn prepare(&mut self, body: &'k [Stmt]) {
        for stmt in body {
            let (buffer, address) = match stmt {
                Stmt::Let {
                    expr: Expr::Load { buffer, address } | Expr::LoadIndexed { buffer, address, .. }, ..
                }
                | Stmt::Store { buffer, address, .. }
                | Stmt::ScatterAdd { buffer, address, .. } => (*buffer, address),
                Stmt::Loop(inner) => {
                    self.prepare(&inner.body);
                    continue;
                }
                _ => continue,
            };
            let Some(&Around { var, .. }) = self.loops.last() else { continue };
            if address.stride(var) == 0 {
                continue;
            }
            let (terms, _) = self.terms(buffer, address);
            let entered = |other: &_| self.loops.iter().any(|around| around.var == *other);
            let goes_on = address.terms.iter().any(|(other, _)| !entered(other));
            let is_plain = matches!(stmt, Stmt::Let { expr: Expr::Load { .. }, .. } | Stmt::Store { .. });
            match terms.last() {
                // The machine adds a term that moves by one element itself.
                Some(last) if !goes_on && last.1 == self.size(buffer) => {
                    if is_plain {
                        self.pointer(buffer, &terms[..terms.len() - 1]);
                    }
                }
                _ => {
                    self.pointer(buffer, &terms);
                }
            }
        }
    }

    /// Computes the addresses with an index that a vector loop uses, before it.
    pub(super) fn prepare_indexed(&mut self, body: &[&'k Stmt]) {
        for stmt in body {
            if let Stmt::Let { expr: Expr::LoadIndexed { buffer, address, index, stride }, .. } = stmt {
                let (terms, _) = self.terms(*buffer, address);
                self.indexed_pointer(*buffer, &terms, *index, *stride);
            }
        }
    }

    /// The elements at an address that moves with the loops.
    pub(super) fn load(&mut self, buffer: usize, address: &Affine) -> Source {
        if let Some(kept) = self.kept(buffer) {
            // It changes while what is loaded may still be read.
            return self.builder.copied(kept);
        }
        let stride = self.lane_stride(address);
        let place = if matches!(stride, 0 | 1) {
            self.place(buffer, address)
        } else {
            // The machine adds the distances of lanes in place of a term.
            let (terms, offset) = self.terms(buffer, address);
            Place { base: self.pointer(buffer, &terms), index: None, scale: 1, offset: offset as i32 }
        };
        self.load_lanes(buffer, place, stride)
    }

    /// The elements at an address that an index takes part in, the same for all lanes.
    pub(super) fn load_indexed(&mut self, buffer: usize, address: &Affine, (index, stride): (Reg, i64)) -> Source {
        if self.kernel.buffers[buffer].elements == 0 {
            // There is nothing to load; what guards the index chooses the other branch.
            return self.builder.constant(self.kernel.buffers[buffer].dtype, 0.0);
        }
        let place = self.indexed_place(buffer, address, index, stride);
        self.load_lanes(buffer, place, self.lane_stride(address))
    }

    /// Stores the lanes that matter to consecutive elements; outside of vector loops, the first.
    pub(super) fn store(&mut self, buffer: usize, address: &Affine, value: Source) {
        if let Some(kept) = self.kept(buffer) {
            let value = self.builder.register(value);
            return self.builder.copy(kept, value);
        }
        let place = self.place(buffer, address);
        self.store_at(buffer, place, value);
    }

    fn store_at(&mut self, buffer: usize, place: Place, value: Source) {
        let dtype = self.kernel.buffers[buffer].dtype;
        let value = if dtype.is_half() { self.builder.half_to_bits(dtype, value) } else { value };
        if self.vector.is_none() {
            let op = match dtype {
                DType::Bool => Op::StoreTruth,
                DType::U8 => Op::StoreFirstByte,
                DType::F16 | DType::Bf16 => Op::StoreFirstWord,
                _ => Op::StoreFirst,
            };
            return self.builder.store(op, place, value, None);
        }
        let (op, value) = match dtype {
            DType::Bool => {
                let (one, zero) = (self.builder.lane_constant(1), self.builder.lane_constant(0));
                (Op::StoreBytes, self.builder.select(DType::I32, value, one, zero))
            }
            DType::U8 => (Op::StoreBytes, value),
            DType::F16 | DType::Bf16 => (Op::StoreWords, value),
            _ => (Op::Store, value),
        };
        self.builder.store(op, place, value, self.tail);
    }

    /// Adds to an element at an indexed address where the guard holds.
    pub(super) fn scatter_add(
        &mut self,
        buffer: usize,
        address: &Affine,
        (index, stride): (Reg, i64),
        value: Reg,
        guard: Reg,
    ) {
        let dtype = self.kernel.buffers[buffer].dtype;
        if self.kernel.buffers[buffer].elements == 0 {
            return;
        }
        let (value, guard) = (self.operand(value).value, self.operand(guard).value);
        let place = self.indexed_place(buffer, address, index, stride);
        let old = self.load_lanes(buffer, place, 0);
        let new = self.builder.combine(dtype, Combine::Sum, old, value);
        let new = self.builder.select(dtype, guard, new, old);
        self.store_at(buffer, place, new);
    }

    fn load_lanes(&mut self, buffer: usize, place: Place, stride: i64) -> Source {
        let dtype = self.kernel.buffers[buffer].dtype;
        let tail = self.tail;
        let size = dtype.size() as i64;
        match (stride, dtype) {
            (0, DType::Bool | DType::U8 | DType::F16 | DType::Bf16) => {
                let op = if size == 1 { Op::LoadByte } else { Op::LoadWord };
                let general = self.builder.load(op, place, None);
                let general = self.builder.register(general);
                let words = self.builder.splat(general);
                self.widened(dtype, words)
            }
            (0, _) => self.builder.load(Op::LoadSplat, place, None),
            (1, DType::Bool | DType::U8) => {
                let words = self.builder.load(Op::LoadBytes, place, tail);
                self.widened(dtype, words)
            }
            (1, DType::F16 | DType::Bf16) => {
                let words = self.builder.load(Op::LoadWords, place, tail);
                self.widened(dtype, words)
            }
            (1, _) => self.builder.load(Op::Load, place, tail),
            _ => {
                let distances = self.builder.vector_constant(|lane| lane * stride * size);
                self.builder.gather(place, distances, tail)
            }
        }
    }

    /// Elements as they are in registers, from their bits in memory.
    fn widened(&mut self, dtype: DType, words: Source) -> Source {
        match dtype {
            DType::Bool => self.builder.not_zero(words),
            DType::F16 | DType::Bf16 => self.builder.half_from_bits(dtype, words),
            _ => words,
        }
    }

    /// How far an address moves from lane to lane: 0 outside of vector loops.
    fn lane_stride(&self, address: &Affine) -> i64 {
        self.vector.map_or(0, |var| address.stride(var))
    }

    /// Bytes of an element.
    fn size(&self, buffer: usize) -> i64 {
        self.kernel.buffers[buffer].dtype.size() as i64
    }

    /// The parts of an address that move with counters, and the distance in bytes that does not.
    fn terms(&self, buffer: usize, address: &Affine) -> (Terms, i64) {
        let size = self.size(buffer);
        let mut offset = address.offset * size;
        let mut terms = Terms::new();
        for around in &self.loops {
            let stride = address.stride(around.var) * size;
            offset += stride * around.offset;
            if let (Some(counter), true) = (around.counter, stride != 0) {
                terms.push((counter, stride));
            }
        }
        (terms, offset)
    }

    /// The place of the first lane's element.
    fn place(&mut self, buffer: usize, address: &Affine) -> Place {
        let (terms, offset) = self.terms(buffer, address);
        let offset = offset as i32;
        if let Some((&(counter, stride), others)) = terms.split_last()
            && stride == self.size(buffer)
        {
            let base = self.pointer(buffer, others);
            return Place { base, index: Some(counter), scale: stride as u8, offset };
        }
        Place { base: self.pointer(buffer, &terms), index: None, scale: 1, offset }
    }

    fn indexed_place(&mut self, buffer: usize, address: &Affine, index: Reg, stride: i64) -> Place {
        let (terms, offset) = self.terms(buffer, address);
        let offset = offset as i32;
        if let Some((&(counter, by), others)) = terms.split_last()
            && by == self.size(buffer)
        {
            let base = self.indexed_pointer(buffer, others, index, stride);
            return Place { base, index: Some(counter), scale: by as u8, offset };
        }
        Place { base: self.indexed_pointer(buffer, &terms, index, stride), index: None, scale: 1, offset }
    }

    /// A buffer's address, moved by counters.
    fn pointer(&mut self, buffer: usize, terms: &[(Id, i64)]) -> Id {
        let Some((&(counter, stride), others)) = terms.split_last() else { return self.bases[buffer] };
        let key = (buffer, Terms::from_slice(terms));
        if let Some(&id) = self.pointers.get(&key) {
            return id;
        }
        let a = self.pointer(buffer, others).into();
        let sum = Instruction { a, b: counter.into(), immediate: stride, ..Instruction::new(Op::Address) };
        let id = self.builder.define(Class::General, sum);
        self.pointers.insert(key, id);
        id
    }

    /// The same, moved by an index as well.
    fn indexed_pointer(&mut self, buffer: usize, terms: &[(Id, i64)], index: Reg, stride: i64) -> Id {
        let key = IndexedKey { buffer, terms: Terms::from_slice(terms), index, stride };
        if let Some(&id) = self.indexed.get(&key) {
            return id;
        }
        let pointer = self.pointer(buffer, terms);
        let position = self.operand(index).value;
        let a = self.builder.register(position).into();
        let position = self.builder.define(Class::General, Instruction { a, ..Instruction::new(Op::FromFirst) });
        let immediate = stride * self.size(buffer);
        let sum = Instruction { a: pointer.into(), b: position.into(), immediate, ..Instruction::new(Op::Address) };
        let id = self.builder.define(Class::General, sum);
        self.indexed.insert(key, id);
        id
    }
}
