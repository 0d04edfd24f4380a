//! Instructions with registers to machine code.

use iced_x86::{Code, Encoder, Instruction as Machine, OpKind, Register};

use super::Wide;
use super::codes::{code, multiply_add};
use super::program::{Class, ConstantId, Extension, Id, Instruction, Op, Place, Program, Source};
use super::registers::{Allocation, Location};

/// General registers for values that are on their way; nothing else is in them.
const SCRATCH: [Register; 2] = [Register::RAX, Register::R11];
/// The table of addresses that a kernel is given.
pub(super) const TABLE: Register = Register::RDI;
/// Registers that a function gives back as they were, by number; rbp is another one.
const SAVED: u32 = 1 << 3 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15;

/// An operand of a machine instruction.
#[derive(Clone, Copy)]
pub(super) enum Operand {
    Register(Register),
    Memory(Memory),
}

/// An operand in memory.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    base: Register,
    index: Register,
    scale: u32,
    offset: i64,
    /// Whether it is one number that is meant for each lane.
    is_lane: bool,
    /// The constant that it is; its place is not known before all code is.
    constant: Option<ConstantId>,
}

impl From<Register> for Operand {
    fn from(register: Register) -> Operand {
        Operand::Register(register)
    }
}

/// What cannot be encoded: a bug.
pub(super) type Encoded<T = ()> = Result<T, String>;

/// Machine code of a program whose values have places, with its constants behind it.
pub(super) fn encode(program: &Program, allocation: &Allocation) -> Encoded<Wide> {
    let mut assembler = Assembler {
        program,
        allocation,
        encoder: Encoder::new(64),
        position: 0,
        references: Vec::new(),
        loops: Vec::new(),
    };
    assembler.prologue()?;
    for instruction in &program.instructions {
        assembler.instruction(instruction)?;
    }
    assembler.epilogue()?;
    Ok(assembler.finish())
}

/// A place in the code where the distance to a constant is missing.
struct Reference {
    at: usize,
    /// What the distance counts from.
    from: usize,
    constant: ConstantId,
}

pub(super) struct Assembler<'p> {
    pub(super) program: &'p Program,
    allocation: &'p Allocation,
    encoder: Encoder,
    position: usize,
    references: Vec<Reference>,
    /// Where the loops begin that have not ended.
    loops: Vec<usize>,
}

impl Assembler<'_> {
    pub(super) fn is_avx512(&self) -> bool {
        self.program.extension == Extension::Avx512
    }

    /// A vector register by number.
    pub(super) fn vector(&self, number: u32) -> Register {
        if self.is_avx512() { Register::ZMM0 + number } else { Register::YMM0 + number }
    }

    /// A vector register for values on their way.
    pub(super) fn scratch(&self, which: u32) -> Register {
        self.vector(if self.is_avx512() { 29 } else { 13 } + which)
    }

    /// The first 128 bits of a vector register.
    pub(super) fn first(&self, register: Register) -> Register {
        Register::XMM0 + (register as u32 - self.vector(0) as u32)
    }

    /// Emits a machine instruction.
    pub(super) fn emit(&mut self, code: Code, operands: &[Operand], immediate: Option<u8>) -> Encoded {
        self.emit_masked(code, operands, immediate, Register::None)
    }

    /// Emits a machine instruction that a mask restricts; lanes of a register beyond it become zeros.
    pub(super) fn emit_masked(
        &mut self,
        code: Code,
        operands: &[Operand],
        immediate: Option<u8>,
        mask: Register,
    ) -> Encoded {
        let zeros = mask != Register::None && matches!(operands[0], Operand::Register(_));
        self.emit_any(code, operands, immediate, mask, zeros)
    }

    /// Emits a machine instruction in which a mask chooses.
    pub(super) fn emit_merged(&mut self, code: Code, operands: &[Operand], mask: Register) -> Encoded {
        self.emit_any(code, operands, None, mask, false)
    }

    /// Memory with the distances in a vector for an index.
    pub(super) fn gathered(&self, memory: Memory, distances: Register) -> Operand {
        Operand::Memory(Memory { index: distances, scale: 1, ..memory })
    }

    /// `base + index · scale + offset` as an operand.
    pub(super) fn at(&self, base: Register, index: Register, scale: u32, offset: i64) -> Operand {
        Operand::Memory(Memory { base, index, scale, offset, is_lane: false, constant: None })
    }

    fn emit_any(
        &mut self,
        code: Code,
        operands: &[Operand],
        immediate: Option<u8>,
        mask: Register,
        zeros: bool,
    ) -> Encoded {
        let mut machine = Machine::default();
        machine.set_code(code);
        let mut constant = None;
        for (at, operand) in operands.iter().enumerate() {
            match operand {
                Operand::Register(register) => {
                    machine.set_op_kind(at as u32, OpKind::Register);
                    machine.set_op_register(at as u32, *register);
                }
                Operand::Memory(memory) => {
                    machine.set_op_kind(at as u32, OpKind::Memory);
                    machine.set_memory_base(memory.base);
                    machine.set_memory_index(memory.index);
                    machine.set_memory_index_scale(memory.scale);
                    machine.set_memory_displ_size(if memory.constant.is_some() { 8 } else { 1 });
                    // A constant's place is filled in at the end.
                    let offset = if memory.constant.is_some() { self.position as i64 } else { memory.offset };
                    machine.set_memory_displacement64(offset as u64);
                    machine.set_is_broadcast(memory.is_lane);
                    constant = memory.constant;
                }
            }
        }
        if let Some(immediate) = immediate {
            machine.set_op_kind(operands.len() as u32, OpKind::Immediate8);
            machine.set_immediate8(immediate);
        }
        if mask != Register::None {
            machine.set_op_mask(mask);
            machine.set_zeroing_masking(zeros);
        }
        self.encode(&machine, constant)
    }

    pub(super) fn encode(&mut self, machine: &Machine, constant: Option<ConstantId>) -> Encoded {
        let length = self
            .encoder
            .encode(machine, self.position as u64)
            .map_err(|error| format!("{:?} cannot be encoded: {error}", machine.code()))?;
        if let Some(constant) = constant {
            let offset = self.encoder.get_constant_offsets().displacement_offset();
            self.references.push(Reference { at: self.position + offset, from: self.position + length, constant });
        }
        self.position += length;
        Ok(())
    }

    /// An instruction with an immediate of up to 64 bits in its last operand.
    pub(super) fn emit_immediate(&mut self, code: Code, register: Register, immediate: i64) -> Encoded {
        let machine = Machine::with2(code, register, immediate).map_err(|error| error.to_string())?;
        self.encode(&machine, None)
    }

    fn prologue(&mut self) -> Encoded {
        for number in (0..16).filter(|number| SAVED & self.allocation.general & 1 << number != 0) {
            self.emit(Code::Push_r64, &[Operand::Register(Register::RAX + number)], None)?;
        }
        if self.allocation.stack > 0 {
            self.emit(Code::Push_r64, &[Register::RBP.into()], None)?;
            self.emit(Code::Mov_r64_rm64, &[Register::RBP.into(), Register::RSP.into()], None)?;
            self.emit_immediate(Code::Sub_rm64_imm32, Register::RSP, i64::from(self.allocation.stack))?;
            self.emit_immediate(Code::And_rm64_imm8, Register::RSP, -64)?;
        }
        Ok(())
    }

    fn epilogue(&mut self) -> Encoded {
        // Code that knows nothing of wide vectors is slow while their upper parts are in use.
        self.emit(Code::VEX_Vzeroupper, &[], None)?;
        if self.allocation.stack > 0 {
            self.emit(Code::Mov_r64_rm64, &[Register::RSP.into(), Register::RBP.into()], None)?;
            self.emit(Code::Pop_r64, &[Register::RBP.into()], None)?;
        }
        for number in (0..16).rev().filter(|number| SAVED & self.allocation.general & 1 << number != 0) {
            self.emit(Code::Pop_r64, &[Operand::Register(Register::RAX + number)], None)?;
        }
        self.emit(Code::Retnq, &[], None)
    }

    /// Appends the constants, and fills in where they are.
    fn finish(mut self) -> Wide {
        let mut bytes = self.encoder.take_buffer();
        let code = bytes.len();
        let repeated = if self.is_avx512() { 0 } else { self.program.extension.bytes() };
        let places: Vec<usize> = self
            .program
            .pool
            .entries
            .iter()
            .map(|entry| {
                let size = entry.len().max(repeated);
                bytes.resize(bytes.len().next_multiple_of(size), 0xcc);
                let place = bytes.len();
                bytes.extend(entry.iter().cycle().take(size));
                place
            })
            .collect();
        for reference in &self.references {
            let distance = places[reference.constant.0 as usize] as i64 - reference.from as i64;
            bytes[reference.at..reference.at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
        }
        Wide { bytes, code }
    }

    fn location(&self, id: Id) -> Location {
        self.allocation.locations[id.0 as usize]
    }

    fn class(&self, id: Id) -> Class {
        self.program.classes[id.0 as usize]
    }

    /// The register of its class that a value is in.
    fn numbered(&self, class: Class, number: u8) -> Register {
        match class {
            Class::Vector => self.vector(number.into()),
            Class::Mask => Register::K0 + u32::from(number),
            Class::General => Register::RAX + u32::from(number),
        }
    }

    fn on_stack(&self, offset: u32) -> Memory {
        Memory {
            base: Register::RSP,
            index: Register::None,
            scale: 1,
            offset: offset.into(),
            is_lane: false,
            constant: None,
        }
    }

    fn in_pool(&self, constant: ConstantId) -> Memory {
        let is_lane = self.is_avx512() && self.program.pool.entries[constant.0 as usize].len() <= 8;
        Memory { base: Register::RIP, index: Register::None, scale: 1, offset: 0, is_lane, constant: Some(constant) }
    }

    /// A vector operand as it is: in a register, or in memory.
    pub(super) fn operand(&self, source: Source) -> Encoded<Operand> {
        Ok(match source {
            Source::None => return Err("an operand is missing".to_owned()),
            Source::Constant(constant) => Operand::Memory(self.in_pool(constant)),
            Source::Value(id) => match self.location(id) {
                Location::Register(number) => self.numbered(self.class(id), number).into(),
                Location::Stack(offset) => Operand::Memory(self.on_stack(offset)),
                Location::Pool(constant) => Operand::Memory(self.in_pool(constant)),
                Location::Nowhere => return Err(format!("value {} has no place", id.0)),
            },
        })
    }

    /// An operand in a register: its own, or a scratch register of its class.
    pub(super) fn register(&mut self, source: Source, which: u32) -> Encoded<Register> {
        let memory = match self.operand(source)? {
            Operand::Register(register) => return Ok(register),
            Operand::Memory(memory) => memory,
        };
        let class = match source {
            Source::Value(id) => self.class(id),
            _ => Class::Vector,
        };
        let (register, code) = match class {
            Class::General => (SCRATCH[which as usize], Code::Mov_r64_rm64),
            Class::Mask => (Register::K7, Code::VEX_Kmovw_kr_km16),
            Class::Vector => {
                let register = self.scratch(which);
                self.load_vector(register, memory)?;
                return Ok(register);
            }
        };
        self.emit(code, &[register.into(), Operand::Memory(memory)], None)?;
        Ok(register)
    }

    pub(super) fn load_vector(&mut self, register: Register, memory: Memory) -> Encoded {
        let code = match (self.is_avx512(), memory.is_lane, self.program.lane) {
            (false, ..) => Code::VEX_Vmovups_ymm_ymmm256,
            (true, false, _) => Code::EVEX_Vmovups_zmm_k1z_zmmm512,
            (true, true, 4) => Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32,
            (true, true, _) => Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64,
        };
        self.emit(code, &[register.into(), Operand::Memory(Memory { is_lane: false, ..memory })], None)
    }

    /// The register that a result is computed in.
    pub(super) fn result(&self, instruction: &Instruction) -> Encoded<Register> {
        let id = instruction.result.ok_or("a result is missing")?;
        Ok(match (self.location(id), self.class(id)) {
            (Location::Register(number), class) => self.numbered(class, number),
            (_, Class::Vector) => self.scratch(0),
            (_, Class::Mask) => Register::K7,
            (_, Class::General) => SCRATCH[0],
        })
    }

    /// Puts a result where it belongs.
    fn keep(&mut self, instruction: &Instruction) -> Encoded {
        let Some(id) = instruction.result else { return Ok(()) };
        let Location::Stack(offset) = self.location(id) else { return Ok(()) };
        let register = self.result(instruction)?;
        let code = match (self.class(id), self.is_avx512()) {
            (Class::General, _) => Code::Mov_rm64_r64,
            (Class::Mask, _) => Code::VEX_Kmovw_m16_kr,
            (Class::Vector, true) => Code::EVEX_Vmovups_zmmm512_k1z_zmm,
            (Class::Vector, false) => Code::VEX_Vmovups_ymmm256_ymm,
        };
        self.emit(code, &[Operand::Memory(self.on_stack(offset)), register.into()], None)
    }

    /// The memory at a place.
    pub(super) fn place(&mut self, place: Option<Place>) -> Encoded<Memory> {
        let place = place.ok_or("a place is missing")?;
        let base = self.register(place.base.into(), 0)?;
        let index = match place.index {
            Some(index) => self.register(index.into(), 1)?,
            None => Register::None,
        };
        let (scale, offset) = (place.scale.into(), place.offset.into());
        Ok(Memory { base, index, scale, offset, is_lane: false, constant: None })
    }

    /// The register of a mask, if there is one.
    pub(super) fn mask(&mut self, instruction: &Instruction, which: u32) -> Encoded<Register> {
        match instruction.mask {
            Some(mask) => self.register(mask.into(), which),
            None => Ok(Register::None),
        }
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) -> Encoded {
        if to == from {
            return Ok(());
        }
        let code = if self.is_avx512() { Code::EVEX_Vmovups_zmm_k1z_zmmm512 } else { Code::VEX_Vmovups_ymm_ymmm256 };
        self.emit(code, &[to.into(), from.into()], None)
    }

    fn instruction(&mut self, instruction: &Instruction) -> Encoded {
        // A constant that is read in its place is loaded by nobody.
        if let Some(Location::Pool(_)) = instruction.result.map(|result| self.location(result)) {
            return Ok(());
        }
        match instruction.op {
            Op::LoopBegin => {
                let counter = self.result(instruction)?;
                let word = Register::EAX + (counter as u32 - Register::RAX as u32);
                self.emit(Code::Xor_r32_rm32, &[word.into(), word.into()], None)?;
                self.keep(instruction)?;
                self.loops.push(self.position);
                return Ok(());
            }
            Op::LoopEnd => return self.end_loop(instruction),
            Op::MultiplyAdd => self.multiply_add(instruction)?,
            Op::Constant | Op::Zero | Op::Copy | Op::Splat | Op::RepeatFirst | Op::Swap(_) => {
                self.movement(instruction)?
            }
            Op::Base | Op::Address | Op::FromFirst => self.general(instruction)?,
            Op::MaskConstant => {
                let result = self.result(instruction)?;
                self.emit_immediate(Code::Mov_r32_imm32, Register::EAX, instruction.immediate)?;
                self.emit(Code::VEX_Kmovw_kr_r32, &[result.into(), Register::EAX.into()], None)?;
            }
            Op::Blend => self.blend(instruction)?,
            Op::IntCompare if !self.is_avx512() => self.compare_integers(instruction)?,
            op if instruction.place.is_some() => self.memory(op, instruction)?,
            op => {
                let code = code(op, self.program.extension, self.program.lane)
                    .ok_or_else(|| format!("there is no instruction for {op:?}"))?;
                self.plain(code, instruction)?;
            }
        }
        self.keep(instruction)
    }

    /// An operation that is one instruction.
    fn plain(&mut self, code: Code, instruction: &Instruction) -> Encoded {
        let mut operands = vec![Operand::Register(self.result(instruction)?)];
        let on_masks =
            is_mask(self.result(instruction)?) && !matches!(instruction.op, Op::Compare | Op::IntCompare | Op::Test);
        if instruction.a != Source::None {
            operands.push(self.register(instruction.a, 0)?.into());
        }
        if instruction.b != Source::None {
            // Masks that are on the stack go through a register; there is one, and a general one in between.
            let b = if on_masks { self.second_mask(instruction.b)?.into() } else { self.operand(instruction.b)? };
            let b = match (b, instruction.op, self.is_avx512()) {
                (Operand::Memory(_), Op::ShiftLeft | Op::ShiftRight, false) => self.register(instruction.b, 1)?.into(),
                (b, ..) => b,
            };
            operands.push(b);
        }
        let immediate = match instruction.op {
            Op::Round | Op::ShiftLeft | Op::ShiftRight | Op::RotateLeft | Op::Compare | Op::IntCompare => {
                Some(instruction.immediate as u8)
            }
            _ => None,
        };
        self.emit(code, &operands, immediate)
    }

    /// A second mask: k0 is never a value's, and may be an operand where it is not what restricts.
    fn second_mask(&mut self, source: Source) -> Encoded<Register> {
        match self.operand(source)? {
            Operand::Register(register) => Ok(register),
            memory => {
                self.emit(Code::VEX_Kmovw_kr_km16, &[Register::K0.into(), memory], None)?;
                Ok(Register::K0)
            }
        }
    }

    /// Each form overwrites its first operand, and may read its last in memory.
    fn multiply_add(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let a = self.register(instruction.a, 0)?;
        let b = self.operand(instruction.b)?;
        let c = match (b, self.operand(instruction.c)?) {
            (Operand::Memory(_), Operand::Memory(_)) => self.register(instruction.c, 1)?.into(),
            (_, c) => c,
        };
        let is_result = |operand: Operand| matches!(operand, Operand::Register(register) if register == result);
        let (extension, lane) = (self.program.extension, self.program.lane);
        let form = |order| multiply_add(order, extension, lane);
        let (first, last) = (Operand::Register(result), Operand::Register(a));
        match (b, c) {
            // result = a · b + result
            (_, c) if is_result(c) => self.emit(form(231), &[first, last, b], None),
            // result = result · b + c
            (Operand::Memory(_), c) => {
                if a != result {
                    self.copy(result, a)?;
                }
                self.emit(form(132), &[first, c, b], None)
            }
            // result = a · result + c
            (b, c) if is_result(b) => self.emit(form(213), &[first, last, c], None),
            (b, c) => {
                self.copy(result, a)?;
                self.emit(form(213), &[first, b, c], None)
            }
        }
    }

    fn end_loop(&mut self, instruction: &Instruction) -> Encoded {
        let begin = self.loops.pop().ok_or("a loop ends that has not begun")?;
        let id = instruction.result.ok_or("a loop has no counter")?;
        let counter = self.register(id.into(), 0)?;
        let step = instruction.place.map_or(1, |place| place.offset);
        self.emit_immediate(Code::Add_rm64_imm32, counter, step.into())?;
        self.keep(instruction)?;
        self.emit_immediate(Code::Cmp_rm64_imm32, counter, instruction.immediate)?;
        let jump = Machine::with_branch(Code::Jl_rel32_64, begin as u64).map_err(|error| error.to_string())?;
        self.encode(&jump, None)
    }
}

fn is_mask(register: Register) -> bool {
    (Register::K0 as u32..=Register::K7 as u32).contains(&(register as u32))
}
