//! Addresses, loads and stores.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value, types};
use gradc_ir::DType;
use gradc_schedule::kernel::{Access, Affine, Combine, Reg};

use super::Emitter;
use crate::half::Halves;
use crate::lanes::LanesExt;
use crate::width::Width;

/// An element's place: a pointer, and a distance in bytes that is known.
#[derive(Clone, Copy)]
struct Place {
    pointer: Value,
    offset: i64,
}

/// The flags of stores to buffers: in bounds by the check of the plan; aligned to their elements only.
fn store_flags() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// The flags of loads. Buffers do not overlap, so one that is only read does not change while a kernel runs, and its
/// loads leave the loops that they do not depend on.
fn load_flags(access: Access) -> MemFlagsData {
    match access {
        Access::Read => store_flags().with_readonly().with_can_move(),
        Access::Write | Access::ReadWrite => store_flags(),
    }
}

impl Emitter<'_, '_> {
    /// The elements at an address that moves with the loops.
    pub(super) fn load(&mut self, buffer: usize, address: &Affine) -> Value {
        let place = self.place(buffer, address);
        self.load_lanes(buffer, place, self.lane_stride(address))
    }

    /// The elements at an address that an index takes part in, the same for all lanes.
    pub(super) fn load_indexed(&mut self, buffer: usize, address: &Affine, index: Reg, stride: i64) -> Value {
        let dtype = self.kernel.buffers[buffer].dtype;
        if self.kernel.buffers[buffer].elements == 0 {
            // There is nothing to load; what guards the index chooses the other branch.
            return self.code.constant(self.width, dtype, 0.0);
        }
        let index = self.scalar(index);
        let place = self.place(buffer, address);
        let place = self.indexed(buffer, place, index, stride);
        self.load_lanes(buffer, place, self.lane_stride(address))
    }

    /// Stores the active lanes to consecutive elements.
    pub(super) fn store(&mut self, buffer: usize, address: &Affine, value: Value) {
        let place = self.place(buffer, address);
        let dtype = self.kernel.buffers[buffer].dtype;
        let width = self.width;
        match (dtype, width.lanes) {
            (DType::F16 | DType::Bf16, _) => self.store_halves(buffer, place, value),
            (DType::U8, 1) => self.store_byte(place, value),
            (_, 1) => self.store_raw(place, value),
            (DType::Bool, 4) if width.active >= 2 => {
                let one = self.code.constant(width, DType::I32, 1.0);
                let bytes = self.code.builder.ins().band(value, one);
                self.store_bytes(buffer, place, bytes);
            }
            (DType::U8, _) if width.active >= 2 => self.store_bytes(buffer, place, value),
            (DType::U8, _) => {
                let byte = self.code.extract(width, dtype, value, 0);
                self.store_byte(place, byte);
            }
            (DType::I32 | DType::F32 | DType::F64, _) if width.is_full() => self.store_raw(place, value),
            (DType::I32 | DType::F32, _) if width.active >= 2 => {
                let pair = self.code.bits_as(types::F64X2, value);
                let pair = self.code.builder.ins().extractlane(pair, 0);
                self.store_raw(place, pair);
                if width.active == 3 {
                    let third = self.code.extract(width, dtype, value, 2);
                    self.store_raw(self.moved(buffer, place, 1, 2), third);
                }
            }
            _ => {
                for lane in 0..width.active {
                    let scalar = self.code.extract(width, dtype, value, lane);
                    self.store_raw(self.moved(buffer, place, 1, lane), scalar);
                }
            }
        }
    }

    /// Adds a scalar to an element at an indexed address where the guard holds.
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
        let index = self.scalar(index);
        let (value, guard) = (self.scalar(value), self.scalar(guard));
        let place = self.place(buffer, address);
        let place = self.indexed(buffer, place, index, stride);
        let old = self.load_scalar(buffer, place);
        let new = self.code.lanes(Width::SCALAR).combine(dtype, Combine::Sum, old, value);
        let new = self.code.select(Width::SCALAR, dtype, guard, new, old);
        self.store_raw(place, new);
    }

    /// The place of the first lane's element. Terms of outer loops come first, so that they leave the inner ones.
    fn place(&mut self, buffer: usize, address: &Affine) -> Place {
        let size = self.kernel.buffers[buffer].dtype.size() as i64;
        let mut place = Place { pointer: self.bases[buffer], offset: address.offset * size };
        for at in 0..self.loops.len() {
            let (var, position) = self.loops[at];
            let stride = address.stride(var) * size;
            place.offset += stride * position.offset;
            if let (Some(value), true) = (position.value, stride != 0) {
                let term = self.multiple(value, stride);
                place.pointer = self.code.builder.ins().iadd(place.pointer, term);
            }
        }
        place
    }

    /// A place moved by an index.
    fn indexed(&mut self, buffer: usize, place: Place, index: Value, stride: i64) -> Place {
        let size = self.kernel.buffers[buffer].dtype.size() as i64;
        let index = self.code.builder.ins().sextend(types::I64, index);
        let distance = self.multiple(index, stride * size);
        Place { pointer: self.code.builder.ins().iadd(place.pointer, distance), ..place }
    }

    /// The place of another lane's element.
    fn moved(&self, buffer: usize, place: Place, lane_stride: i64, lane: u8) -> Place {
        let size = self.kernel.buffers[buffer].dtype.size() as i64;
        Place { offset: place.offset + i64::from(lane) * lane_stride * size, ..place }
    }

    /// Pointer and distance as an instruction takes them.
    fn operand_of(&mut self, place: Place) -> (Value, i32) {
        match i32::try_from(place.offset) {
            Ok(offset) => (place.pointer, offset),
            Err(_) => (self.code.builder.ins().iadd_imm_s(place.pointer, place.offset), 0),
        }
    }

    fn load_lanes(&mut self, buffer: usize, place: Place, lane_stride: i64) -> Value {
        let dtype = self.kernel.buffers[buffer].dtype;
        let width = self.width;
        if width.is_scalar() {
            return self.load_scalar(buffer, place);
        }
        let is_byte = matches!(dtype, DType::Bool | DType::U8);
        match lane_stride {
            1 if dtype.is_half() => self.load_halves(buffer, place),
            0 => {
                let scalar = self.load_scalar(buffer, place);
                self.code.splat(width, dtype, scalar)
            }
            1 if width.is_full() && !is_byte => self.load_raw(buffer, width.ty(dtype), place),
            1 if is_byte && width.lanes == 4 && width.active >= 2 => {
                let words = self.load_bytes(buffer, place);
                if dtype == DType::U8 {
                    return words;
                }
                let zero = self.code.constant(width, DType::I32, 0.0);
                self.code.builder.ins().icmp(IntCC::NotEqual, words, zero)
            }
            1 if !is_byte && width.lanes == 4 && width.active >= 2 => {
                // Two elements at once, and the third.
                let pair = self.load_raw(buffer, types::F64, place);
                let pair = self.code.builder.ins().scalar_to_vector(types::F64X2, pair);
                let vector = self.code.bits_as(width.ty(dtype), pair);
                if width.active == 2 {
                    return vector;
                }
                let third = self.load_scalar(buffer, self.moved(buffer, place, 1, 2));
                self.code.insert(width, dtype, vector, third, 2)
            }
            _ => {
                let first = self.load_scalar(buffer, place);
                let mut vector = self.code.first_lane(width, dtype, first);
                for lane in 1..width.active {
                    let scalar = self.load_scalar(buffer, self.moved(buffer, place, lane_stride, lane));
                    vector = self.code.insert(width, dtype, vector, scalar, lane);
                }
                vector
            }
        }
    }

    /// One element; any byte but 0 is true.
    fn load_scalar(&mut self, buffer: usize, place: Place) -> Value {
        let dtype = self.kernel.buffers[buffer].dtype;
        if dtype.is_half() {
            let bits = self.load_word(buffer, place);
            return self.code.lanes(Width::SCALAR).half_from_bits(dtype, bits);
        }
        if dtype == DType::U8 {
            return self.load_word(buffer, place);
        }
        let value = self.load_raw(buffer, Width::SCALAR.ty(dtype), place);
        if dtype != DType::Bool {
            return value;
        }
        let zero = self.code.builder.ins().iconst(types::I8, 0);
        self.code.builder.ins().icmp(IntCC::NotEqual, value, zero)
    }

    fn load_raw(&mut self, buffer: usize, ty: Type, place: Place) -> Value {
        let (pointer, offset) = self.operand_of(place);
        let flags = load_flags(self.kernel.buffers[buffer].access);
        self.code.builder.ins().load(ty, flags, pointer, offset)
    }

    fn store_raw(&mut self, place: Place, value: Value) {
        let (pointer, offset) = self.operand_of(place);
        self.code.builder.ins().store(store_flags(), value, pointer, offset);
    }

    /// An element of one or two bytes as an `i32`, with zeros before it.
    fn load_word(&mut self, buffer: usize, place: Place) -> Value {
        let (pointer, offset) = self.operand_of(place);
        let param = &self.kernel.buffers[buffer];
        let (flags, ins) = (load_flags(param.access), self.code.builder.ins());
        match param.dtype.size() {
            1 => ins.uload8(types::I32, flags, pointer, offset),
            _ => ins.uload16(types::I32, flags, pointer, offset),
        }
    }

    fn store_byte(&mut self, place: Place, word: Value) {
        let (pointer, offset) = self.operand_of(place);
        self.code.builder.ins().istore8(store_flags(), word, pointer, offset);
    }

    /// Consecutive floats of 16 bits.
    fn load_halves(&mut self, buffer: usize, place: Place) -> Value {
        let width = self.width;
        let dtype = self.kernel.buffers[buffer].dtype;
        let bits = if width.is_full() {
            let (pointer, offset) = self.operand_of(place);
            let flags = load_flags(self.kernel.buffers[buffer].access);
            self.code.builder.ins().uload16x4(flags, pointer, offset)
        } else {
            let first = self.load_word(buffer, place);
            let mut vector = self.code.first_lane(width, DType::I32, first);
            for lane in 1..width.active {
                let bits = self.load_word(buffer, self.moved(buffer, place, 1, lane));
                vector = self.code.insert(width, DType::I32, vector, bits, lane);
            }
            vector
        };
        self.code.lanes(width).half_from_bits(dtype, bits)
    }

    /// The active lanes to consecutive floats of 16 bits.
    fn store_halves(&mut self, buffer: usize, place: Place, value: Value) {
        let width = self.width;
        let bits = self.code.lanes(width).half_to_bits(self.kernel.buffers[buffer].dtype, value);
        if width.lanes == 4 && width.is_full() {
            let halves = self.code.builder.ins().unarrow(bits, bits);
            let halves = self.code.bits_as(types::F64X2, halves);
            let halves = self.code.builder.ins().extractlane(halves, 0);
            return self.store_raw(place, halves);
        }
        for lane in 0..width.active {
            let bits = self.code.extract(width, DType::I32, bits, lane);
            let (pointer, offset) = self.operand_of(self.moved(buffer, place, 1, lane));
            self.code.builder.ins().istore16(store_flags(), bits, pointer, offset);
        }
    }

    /// Bytes as words: four, or the first two or three.
    fn load_bytes(&mut self, buffer: usize, place: Place) -> Value {
        let bytes = if self.width.is_full() {
            self.load_raw(buffer, types::I32, place)
        } else {
            let pair = self.load_raw(buffer, types::I16, place);
            let pair = self.code.builder.ins().uextend(types::I32, pair);
            if self.width.active == 2 {
                pair
            } else {
                let third = self.load_raw(buffer, types::I8, self.moved(buffer, place, 1, 2));
                let third = self.code.builder.ins().uextend(types::I32, third);
                let third = self.code.builder.ins().ishl_imm_u(third, 16);
                self.code.builder.ins().bor(pair, third)
            }
        };
        let bytes = self.code.builder.ins().scalar_to_vector(types::I32X4, bytes);
        let bytes = self.code.bits_as(types::I8X16, bytes);
        let halves = self.code.builder.ins().uwiden_low(bytes);
        self.code.builder.ins().uwiden_low(halves)
    }

    /// Words from 0 to 255 as bytes: four, or the first two or three.
    fn store_bytes(&mut self, buffer: usize, place: Place, words: Value) {
        let halves = self.code.builder.ins().snarrow(words, words);
        let bytes = self.code.builder.ins().unarrow(halves, halves);
        let bytes = self.code.bits_as(types::I32X4, bytes);
        let bytes = self.code.builder.ins().extractlane(bytes, 0);
        if self.width.is_full() {
            return self.store_raw(place, bytes);
        }
        let pair = self.code.builder.ins().ireduce(types::I16, bytes);
        self.store_raw(place, pair);
        if self.width.active == 3 {
            let third = self.code.builder.ins().ushr_imm_u(bytes, 16);
            let third = self.code.builder.ins().ireduce(types::I8, third);
            self.store_raw(self.moved(buffer, place, 1, 2), third);
        }
    }
}
