//! Instructions with registers to machine code.

use smallvec::{SmallVec, smallvec};

use super::Wide;
use super::codes::{code, multiply_add};
use super::program::{Class, ConstantId, Extension, Id, Instruction, Op, Place, Program, Source};
use super::registers::{Allocation, Location};
use crate::x86::opcodes::{evex, general, vex};
use crate::x86::{self, Base, Form, Mask, Memory, Operand, Register, RegisterClass};

/// General registers for values that are on their way; nothing else is in them.
const SCRATCH: [Register; 2] = [Register::RAX, Register::R11];
/// The mask for values on their way.
pub(super) const MASK_SCRATCH: Register = Register::new(RegisterClass::K, 7);
/// The table of addresses that a kernel is given.
pub(super) const TABLE: Register = Register::RDI;
/// Registers that a function gives back as they were, by number; rbp is another one.
const SAVED: u32 = 1 << 3 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 15;

/// What cannot be encoded: a bug.
pub(super) type Encoded<T = ()> = Result<T, String>;

/// Machine code of a program whose values have places, with its constants behind it, and as text if that is asked for.
pub(super) fn encode(program: &Program, allocation: &Allocation, lists: bool) -> Encoded<Wide> {
    let mut assembler = Assembler { program, allocation, machine: x86::Assembler::new(lists), loops: Vec::new() };
    assembler.prologue()?;
    for instruction in &program.instructions {
        assembler.instruction(instruction)?;
    }
    assembler.epilogue()?;
    Ok(assembler.finish())
}

pub(super) struct Assembler<'p> {
    pub(super) program: &'p Program,
    allocation: &'p Allocation,
    /// Takes the instructions. Its labels are the numbers of constants.
    machine: x86::Assembler,
    /// Where the loops begin that have not ended.
    loops: Vec<usize>,
}

impl Assembler<'_> {
    pub(super) fn is_avx512(&self) -> bool {
        self.program.extension == Extension::Avx512
    }

    /// A vector register by number.
    pub(super) fn vector(&self, number: u8) -> Register {
        Register::new(if self.is_avx512() { RegisterClass::Zmm } else { RegisterClass::Ymm }, number)
    }

    /// A vector register for values on their way.
    pub(super) fn scratch(&self, which: u8) -> Register {
        self.vector(if self.is_avx512() { 29 } else { 13 } + which)
    }

    /// Emits a machine instruction.
    pub(super) fn emit(&mut self, form: &'static Form, operands: &[Operand]) -> Encoded {
        self.machine.emit(form, operands, None)
    }

    /// Emits a machine instruction that a mask restricts, if there is one; lanes of a register beyond it become zeros.
    pub(super) fn emit_masked(&mut self, form: &'static Form, operands: &[Operand], mask: Option<Register>) -> Encoded {
        let zeroing = matches!(operands[0], Operand::Register(_));
        self.machine.emit(form, operands, mask.map(|register| Mask { register, zeroing }))
    }

    /// Emits a machine instruction in which a mask chooses.
    pub(super) fn emit_merged(&mut self, form: &'static Form, operands: &[Operand], mask: Register) -> Encoded {
        self.machine.emit(form, operands, Some(Mask { register: mask, zeroing: false }))
    }

    /// The registers that this function uses and has to give back as they were.
    fn saved(&self) -> impl DoubleEndedIterator<Item = Register> + use<> {
        let used = SAVED & self.allocation.general;
        (0..16).filter(move |number| used & 1 << number != 0).map(|number| Register::new(RegisterClass::R64, number))
    }

    fn prologue(&mut self) -> Encoded {
        for register in self.saved() {
            self.emit(&general::PUSH, &[register.into()])?;
        }
        if self.allocation.stack > 0 {
            self.emit(&general::PUSH, &[Register::RBP.into()])?;
            self.emit(&general::MOV_LOAD, &[Register::RBP.into(), Register::RSP.into()])?;
            self.emit(&general::SUB, &[Register::RSP.into(), i64::from(self.allocation.stack).into()])?;
            self.emit(&general::AND, &[Register::RSP.into(), (-64).into()])?;
        }
        Ok(())
    }

    fn epilogue(&mut self) -> Encoded {
        // Code that knows nothing of wide vectors is slow while their upper parts are in use.
        self.emit(&vex::VZEROUPPER, &[])?;
        if self.allocation.stack > 0 {
            self.emit(&general::MOV_LOAD, &[Register::RSP.into(), Register::RBP.into()])?;
            self.emit(&general::POP, &[Register::RBP.into()])?;
        }
        for register in self.saved().rev() {
            self.emit(&general::POP, &[register.into()])?;
        }
        self.emit(&general::RET, &[])
    }

    /// Appends the constants, and fills in where they are.
    fn finish(self) -> Wide {
        let mut end = self.machine.position();
        let repeated = if self.is_avx512() { 0 } else { self.program.extension.bytes() };
        let entries = &self.program.pool.entries;
        let sizes: Vec<usize> = entries.iter().map(|entry| entry.len().max(repeated)).collect();
        let places: Vec<usize> = sizes
            .iter()
            .map(|size| {
                let place = end.next_multiple_of(*size);
                end = place + size;
                place
            })
            .collect();
        let x86::Code { mut bytes, listing } = self.machine.finish(|constant| places[constant as usize]);
        for ((entry, size), place) in entries.iter().zip(sizes).zip(&places) {
            bytes.resize(*place, 0xcc);
            bytes.extend(entry.iter().cycle().take(size));
        }
        Wide { bytes, listing }
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
            Class::Vector => self.vector(number),
            Class::Mask => Register::new(RegisterClass::K, number),
            Class::General => Register::new(RegisterClass::R64, number),
        }
    }

    fn on_stack(&self, offset: u32) -> Memory {
        // The stack of a function is small.
        Memory::at(Register::RSP, offset as i32)
    }

    fn in_pool(&self, constant: ConstantId) -> Memory {
        let broadcast = self.is_avx512() && self.program.pool.entries[constant.0 as usize].len() <= 8;
        Memory { broadcast, ..Memory::label(constant.0) }
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
    pub(super) fn register(&mut self, source: Source, which: u8) -> Encoded<Register> {
        let memory = match self.operand(source)? {
            Operand::Register(register) => return Ok(register),
            Operand::Memory(memory) => memory,
            other => return Err(format!("{other:?} holds no value")),
        };
        let class = match source {
            Source::Value(id) => self.class(id),
            _ => Class::Vector,
        };
        let (register, form) = match class {
            Class::General => (SCRATCH[usize::from(which)], &general::MOV_LOAD),
            Class::Mask => (MASK_SCRATCH, &vex::KMOVW_LOAD),
            Class::Vector => {
                let register = self.scratch(which);
                self.load_vector(register, memory)?;
                return Ok(register);
            }
        };
        self.emit(form, &[register.into(), memory.into()])?;
        Ok(register)
    }

    pub(super) fn load_vector(&mut self, register: Register, memory: Memory) -> Encoded {
        let form = match (self.is_avx512(), memory.broadcast, self.program.lane) {
            (false, ..) => &vex::VMOVUPS_LOAD,
            (true, false, _) => &evex::VMOVUPS_LOAD,
            (true, true, 4) => &evex::VBROADCASTSS,
            (true, true, _) => &evex::VBROADCASTSD,
        };
        self.emit(form, &[register.into(), Memory { broadcast: false, ..memory }.into()])
    }

    /// The register that a result is computed in.
    pub(super) fn result(&self, instruction: &Instruction) -> Encoded<Register> {
        let id = instruction.result.ok_or("a result is missing")?;
        Ok(match (self.location(id), self.class(id)) {
            (Location::Register(number), class) => self.numbered(class, number),
            (_, Class::Vector) => self.scratch(0),
            (_, Class::Mask) => MASK_SCRATCH,
            (_, Class::General) => SCRATCH[0],
        })
    }

    /// Puts a result where it belongs.
    fn keep(&mut self, instruction: &Instruction) -> Encoded {
        let Some(id) = instruction.result else { return Ok(()) };
        let Location::Stack(offset) = self.location(id) else { return Ok(()) };
        let register = self.result(instruction)?;
        let form = match (self.class(id), self.is_avx512()) {
            (Class::General, _) => &general::MOV_STORE,
            (Class::Mask, _) => &vex::KMOVW_STORE,
            (Class::Vector, true) => &evex::VMOVUPS_STORE,
            (Class::Vector, false) => &vex::VMOVUPS_STORE,
        };
        self.emit(form, &[self.on_stack(offset).into(), register.into()])
    }

    /// The memory at a place.
    pub(super) fn place(&mut self, place: Option<Place>) -> Encoded<Memory> {
        let place = place.ok_or("a place is missing")?;
        let base = Base::Register(self.register(place.base.into(), 0)?);
        let index = place.index.map(|index| self.register(index.into(), 1)).transpose()?;
        Ok(Memory { base, index, scale: place.scale, displacement: place.offset, broadcast: false })
    }

    /// The register of a mask, if there is one.
    pub(super) fn mask(&mut self, instruction: &Instruction, which: u8) -> Encoded<Option<Register>> {
        instruction.mask.map(|mask| self.register(mask.into(), which)).transpose()
    }

    pub(super) fn copy(&mut self, to: Register, from: Register) -> Encoded {
        if to == from {
            return Ok(());
        }
        let form = if self.is_avx512() { &evex::VMOVUPS_LOAD } else { &vex::VMOVUPS_LOAD };
        self.emit(form, &[to.into(), from.into()])
    }

    fn instruction(&mut self, instruction: &Instruction) -> Encoded {
        // A constant that is read in its place is loaded by nobody.
        if let Some(Location::Pool(_)) = instruction.result.map(|result| self.location(result)) {
            return Ok(());
        }
        match instruction.op {
            Op::LoopBegin => {
                let counter = self.result(instruction)?;
                let double = counter.of(RegisterClass::R32);
                self.emit(&general::XOR_R32, &[double.into(), double.into()])?;
                self.keep(instruction)?;
                self.loops.push(self.machine.position());
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
                let eax = Register::RAX.of(RegisterClass::R32);
                self.emit(&general::MOV_IMM32, &[eax.into(), instruction.immediate.into()])?;
                self.emit(&vex::KMOVW_FROM_R32, &[result.into(), eax.into()])?;
            }
            Op::Blend => self.blend(instruction)?,
            Op::IntCompare if !self.is_avx512() => self.compare_integers(instruction)?,
            op if instruction.place.is_some() => self.memory(op, instruction)?,
            op => {
                let form = self.form(op)?;
                self.plain(form, instruction)?;
            }
        }
        self.keep(instruction)
    }

    /// The machine's instruction for an operation that is one.
    pub(super) fn form(&self, op: Op) -> Encoded<&'static Form> {
        code(op, self.program.extension, self.program.lane).ok_or_else(|| format!("there is no instruction for {op:?}"))
    }

    /// An operation that is one instruction.
    fn plain(&mut self, form: &'static Form, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let mut operands: SmallVec<[Operand; 4]> = smallvec![result.into()];
        let on_masks =
            result.class == RegisterClass::K && !matches!(instruction.op, Op::Compare | Op::IntCompare | Op::Test);
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
        if let Op::Round | Op::ShiftLeft | Op::ShiftRight | Op::RotateLeft | Op::Compare | Op::IntCompare =
            instruction.op
        {
            operands.push(instruction.immediate.into());
        }
        self.emit(form, &operands)
    }

    /// A second mask: k0 is never a value's, and may be an operand where it is not what restricts.
    fn second_mask(&mut self, source: Source) -> Encoded<Register> {
        match self.operand(source)? {
            Operand::Register(register) => Ok(register),
            memory => {
                let k0 = Register::new(RegisterClass::K, 0);
                self.emit(&vex::KMOVW_LOAD, &[k0.into(), memory])?;
                Ok(k0)
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
            (_, c) if is_result(c) => self.emit(form(231), &[first, last, b]),
            // result = result · b + c
            (Operand::Memory(_), c) => {
                if a != result {
                    self.copy(result, a)?;
                }
                self.emit(form(132), &[first, c, b])
            }
            // result = a · result + c
            (b, c) if is_result(b) => self.emit(form(213), &[first, last, c]),
            (b, c) => {
                self.copy(result, a)?;
                self.emit(form(213), &[first, b, c])
            }
        }
    }

    fn end_loop(&mut self, instruction: &Instruction) -> Encoded {
        let begin = self.loops.pop().ok_or("a loop ends that has not begun")?;
        let id = instruction.result.ok_or("a loop has no counter")?;
        let counter = self.register(id.into(), 0)?;
        let step = instruction.place.map_or(1, |place| place.offset);
        self.emit(&general::ADD, &[counter.into(), i64::from(step).into()])?;
        self.keep(instruction)?;
        self.emit(&general::CMP, &[counter.into(), instruction.immediate.into()])?;
        self.emit(&general::JL, &[Operand::Target(begin)])
    }
}
