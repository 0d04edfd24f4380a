//! Operations that are more than one machine instruction, or differ between the extensions.

use super::encode::{Assembler, Encoded, MASK_SCRATCH, TABLE};
use super::program::{Instruction, Op, Source};
use crate::x86::opcodes::{evex, general, vex};
use crate::x86::{Base, Form, Memory, Operand, Register, RegisterClass};

impl Assembler<'_> {
    /// A wide instruction, for AVX2 and for AVX-512.
    fn either(&self, avx2: &'static Form, avx512: &'static Form) -> &'static Form {
        if self.is_avx512() { avx512 } else { avx2 }
    }

    /// Values that move.
    pub(super) fn movement(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let first = Operand::Register(result);
        match instruction.op {
            Op::Constant => {
                let from = self.register_in(instruction.a, result)?;
                self.copy(result, from)
            }
            Op::Zero => {
                // The upper part becomes zero with it.
                let form = self.either(&vex::VXORPS, &evex::VPXORD);
                self.emit(form, &[first, first, first])
            }
            Op::Copy if result.class == RegisterClass::R64 => {
                let from = self.register(instruction.a, 0)?;
                self.emit(&general::MOV_LOAD, &[first, from.into()])
            }
            Op::Copy => {
                let from = self.register(instruction.a, 0)?;
                self.copy(result, from)
            }
            Op::Splat => {
                let general = self.register(instruction.a, 0)?;
                let double = Operand::Register(general.of(RegisterClass::R32));
                if self.is_avx512() {
                    return self.emit(&evex::VPBROADCASTD, &[first, double]);
                }
                let low = Operand::Register(result.of(RegisterClass::Xmm));
                self.emit(&vex::VMOVD_FROM_R32, &[low, double])?;
                self.emit(&vex::VPBROADCASTD, &[first, low])
            }
            Op::RepeatFirst => self.shuffle(instruction, 0, 0),
            Op::Swap(32) => self.shuffle(instruction, 0x4e, 0x01),
            Op::Swap(16) => self.shuffle(instruction, 0xb1, 0x01),
            Op::Swap(bytes) => {
                let from = self.register(swapped(instruction), 1)?;
                let form = self.either(&vex::VSHUFPS, &evex::VSHUFPS);
                let order = if bytes == 8 { 0x4e } else { 0xb1 };
                self.emit(form, &[first, from.into(), from.into(), Operand::Immediate(order)])
            }
            _ => Err(format!("{:?} moves nothing", instruction.op)),
        }
    }

    /// Parts of 128 bits in another order.
    fn shuffle(&mut self, instruction: &Instruction, of_four: i64, of_two: i64) -> Encoded {
        let result = self.result(instruction)?;
        let from = Operand::Register(self.register(swapped(instruction), 1)?);
        if self.is_avx512() {
            return self.emit(&evex::VSHUFF64X2, &[result.into(), from, from, of_four.into()]);
        }
        self.emit(&vex::VPERM2F128, &[result.into(), from, from, of_two.into()])
    }

    /// A constant, loaded to this register.
    fn register_in(&mut self, source: Source, result: Register) -> Encoded<Register> {
        if let Operand::Memory(memory) = self.operand(source)? {
            self.load_vector(result, memory)?;
            return Ok(result);
        }
        self.register(source, 0)
    }

    /// Addresses.
    pub(super) fn general(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let first = Operand::Register(result);
        match instruction.op {
            Op::Base => {
                let offset = i32::try_from(instruction.immediate).map_err(|_| "the table of addresses is too long")?;
                self.emit(&general::MOV_LOAD, &[first, Memory::at(TABLE, offset).into()])
            }
            Op::FromFirst => {
                let a = self.register(instruction.a, 0)?;
                let form = self.either(&vex::VMOVD_TO_R32, &evex::VMOVD_TO_R32);
                let eax = Operand::Register(Register::RAX.of(RegisterClass::R32));
                self.emit(form, &[eax, a.of(RegisterClass::Xmm).into()])?;
                self.emit(&general::MOVSXD, &[first, eax])
            }
            _ => {
                let b = self.register(instruction.b, 1)?;
                let factor = instruction.immediate;
                let (index, scale) = match factor {
                    1 | 2 | 4 | 8 => (b, factor as u8),
                    _ => {
                        // r11 is where b was loaded to, if it was.
                        self.multiply(Register::R11, b, factor)?;
                        (Register::R11, 1)
                    }
                };
                let base = match instruction.a {
                    Source::None => Base::None,
                    a => Base::Register(self.register(a, 0)?),
                };
                let sum = Memory { base, index: Some(index), scale, displacement: 0, broadcast: false };
                self.emit(&general::LEA, &[first, sum.into()])
            }
        }
    }

    fn multiply(&mut self, to: Register, from: Register, factor: i64) -> Encoded {
        if i32::try_from(factor).is_ok() {
            return self.emit(&general::IMUL_IMM32, &[to.into(), from.into(), factor.into()]);
        }
        self.emit(&general::PUSH, &[Register::RAX.into()])?;
        self.emit(&general::MOV_IMM64, &[Register::RAX.into(), factor.into()])?;
        self.copy_general(to, from)?;
        self.emit(&general::IMUL, &[to.into(), Register::RAX.into()])?;
        self.emit(&general::POP, &[Register::RAX.into()])
    }

    fn copy_general(&mut self, to: Register, from: Register) -> Encoded {
        if to == from { Ok(()) } else { self.emit(&general::MOV_LOAD, &[to.into(), from.into()]) }
    }

    /// `mask ? b : a`
    pub(super) fn blend(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let a = self.register(instruction.a, 0)?;
        let b = self.operand(instruction.b)?;
        let form = self.form(Op::Blend)?;
        let mask = self.mask(instruction, if self.is_avx512() { 0 } else { 1 })?.ok_or("a mask is missing")?;
        if self.is_avx512() {
            return self.emit_merged(form, &[result.into(), a.into(), b], mask);
        }
        self.emit(form, &[result.into(), a.into(), b, mask.into()])
    }

    /// Comparisons of AVX2: equal, or greater.
    pub(super) fn compare_integers(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let a = self.register(instruction.a, 0)?;
        let b = self.operand(instruction.b)?;
        let form = match (instruction.immediate, self.program.lane) {
            (0, 4) => &vex::VPCMPEQD,
            (0, _) => &vex::VPCMPEQQ,
            (_, 4) => &vex::VPCMPGTD,
            _ => &vex::VPCMPGTQ,
        };
        self.emit(form, &[result.into(), a.into(), b])
    }

    /// Loads and stores.
    pub(super) fn memory(&mut self, op: Op, instruction: &Instruction) -> Encoded {
        let place = self.place(instruction.place)?;
        if instruction.result.is_some() {
            self.load(op, instruction, place)
        } else {
            self.store(op, instruction, place.into())
        }
    }

    fn load(&mut self, op: Op, instruction: &Instruction, place: Memory) -> Encoded {
        let result = self.result(instruction)?;
        let is_double = self.program.lane == 8;
        if let Some((form, class)) = self.part(op, instruction) {
            return self.emit(form, &[result.of(class).into(), place.into()]);
        }
        let mask = self.mask(instruction, 1)?;
        if let (Some(mask), false) = (mask, self.is_avx512())
            && op != Op::Gather
        {
            let form = if is_double { &vex::VMASKMOVPD_LOAD } else { &vex::VMASKMOVPS_LOAD };
            return self.emit(form, &[result.into(), mask.into(), place.into()]);
        }
        let form = match (op, is_double) {
            (Op::LoadByte | Op::LoadWord, _) => {
                let form = if op == Op::LoadByte { &general::MOVZX_BYTE } else { &general::MOVZX_WORD };
                return self.emit(form, &[result.of(RegisterClass::R32).into(), place.into()]);
            }
            (Op::Gather, _) => return self.gather(instruction, place),
            (Op::LoadSplat, false) => self.either(&vex::VBROADCASTSS, &evex::VBROADCASTSS),
            (Op::LoadSplat, true) => self.either(&vex::VBROADCASTSD, &evex::VBROADCASTSD),
            (Op::LoadBytes, false) => self.either(&vex::VPMOVZXBD, &evex::VPMOVZXBD),
            (Op::LoadBytes, true) => self.either(&vex::VPMOVZXBQ, &evex::VPMOVZXBQ),
            (Op::LoadWords, _) => self.either(&vex::VPMOVZXWD, &evex::VPMOVZXWD),
            (_, false) if self.is_half(instruction) => {
                return self.emit_masked(&evex::VMOVUPS_LOAD_256, &[half(result), place.into()], mask);
            }
            (_, true) if self.is_half(instruction) => {
                return self.emit_masked(&evex::VMOVUPD_LOAD_256, &[half(result), place.into()], mask);
            }
            (_, false) => self.either(&vex::VMOVUPS_LOAD, &evex::VMOVUPS_LOAD),
            (_, true) => self.either(&vex::VMOVUPS_LOAD, &evex::VMOVUPD_LOAD),
        };
        self.emit_masked(form, &[result.into(), place.into()], mask)
    }

    /// The instruction for a part of a vector, a half, a quarter and so on, and the class of the register that holds it. The rest
    /// of the register becomes zero where the part is loaded.
    fn part(&self, op: Op, instruction: &Instruction) -> Option<(&'static Form, RegisterClass)> {
        let bytes = instruction.immediate * i64::from(self.program.lane);
        if bytes == 0 || instruction.mask.is_some() {
            return None;
        }
        let form = match (op, bytes) {
            (Op::Load, 32) => self.either(&vex::VMOVUPS_LOAD, &evex::VMOVUPS_LOAD_256),
            (Op::Load, 16) => self.either(&vex::VMOVUPS_LOAD_128, &evex::VMOVUPS_LOAD_128),
            (Op::Load, 8) => self.either(&vex::VMOVSD_LOAD, &evex::VMOVSD_LOAD),
            (Op::Load, 4) => self.either(&vex::VMOVSS_LOAD, &evex::VMOVSS_LOAD),
            (Op::Store, 32) => self.either(&vex::VMOVUPS_STORE, &evex::VMOVUPS_STORE_256),
            (Op::Store, 16) => self.either(&vex::VMOVUPS_STORE_128, &evex::VMOVUPS_STORE_128),
            (Op::Store, 8) => self.either(&vex::VMOVSD_STORE, &evex::VMOVSD_STORE),
            (Op::Store, 4) => self.either(&vex::VMOVSS_STORE, &evex::VMOVSS_STORE),
            // With AVX2 there are no vectors of bytes or words.
            (Op::LoadBytes, 32) => &evex::VPMOVZXBD_256,
            (Op::LoadBytes, 16) => &evex::VPMOVZXBD_128,
            (Op::LoadWords, 32) => &evex::VPMOVZXWD_256,
            (Op::LoadWords, 16) => &evex::VPMOVZXWD_128,
            (Op::StoreBytes, 32) => &evex::VPMOVDB_256,
            (Op::StoreBytes, 16) => &evex::VPMOVDB_128,
            (Op::StoreWords, 32) => &evex::VPMOVDW_256,
            (Op::StoreWords, 16) => &evex::VPMOVDW_128,
            _ => return None,
        };
        Some((form, if bytes == 32 { RegisterClass::Ymm } else { RegisterClass::Xmm }))
    }

    /// Whether an instruction under a mask can be as narrow as half a vector: accesses that cross a line of the cache are slow, even
    /// where a mask leaves out what is beyond.
    fn is_half(&self, instruction: &Instruction) -> bool {
        let bytes = instruction.immediate * i64::from(self.program.lane);
        self.is_avx512() && instruction.mask.is_some() && bytes <= 32
    }

    /// Elements at the distances in `a` from a place. The machine clears the mask as it goes.
    fn gather(&mut self, instruction: &Instruction, place: Memory) -> Encoded {
        let result = Operand::Register(self.result(instruction)?);
        let distances = self.register(instruction.a, 2)?;
        let place = Operand::Memory(Memory { index: Some(distances), scale: 1, ..place });
        let is_double = self.program.lane == 8;
        if self.is_avx512() {
            let scratch = Operand::Register(MASK_SCRATCH);
            match instruction.mask {
                Some(mask) => {
                    let mask = self.register(mask.into(), 0)?;
                    self.emit(&vex::KORW, &[scratch, mask.into(), mask.into()])?;
                }
                None => self.emit(&vex::KXNORW, &[scratch, scratch, scratch])?,
            }
            let form = if is_double { &evex::VGATHERQPD } else { &evex::VGATHERDPS };
            // What is not gathered stays what it was.
            self.emit(&evex::VPXORD, &[result, result, result])?;
            return self.emit_merged(form, &[result, place], MASK_SCRATCH);
        }
        let mask = Operand::Register(self.scratch(1));
        match instruction.mask {
            Some(id) => {
                let from = self.register(id.into(), 1)?;
                self.copy(self.scratch(1), from)?;
            }
            None => self.emit(&vex::VPCMPEQD, &[mask, mask, mask])?,
        }
        self.emit(&vex::VXORPS, &[result, result, result])?;
        let form = if is_double { &vex::VGATHERQPD } else { &vex::VGATHERDPS };
        self.emit(form, &[result, place, mask])
    }

    fn store(&mut self, op: Op, instruction: &Instruction, place: Operand) -> Encoded {
        let is_double = self.program.lane == 8;
        if op == Op::StoreTruth {
            return self.store_truth(instruction, place);
        }
        let value = self.register(instruction.a, 0)?;
        let low = Operand::Register(value.of(RegisterClass::Xmm));
        match op {
            Op::StoreFirst => {
                let form = match is_double {
                    false => self.either(&vex::VMOVSS_STORE, &evex::VMOVSS_STORE),
                    true => self.either(&vex::VMOVSD_STORE, &evex::VMOVSD_STORE),
                };
                return self.emit(form, &[place, low]);
            }
            Op::StoreFirstByte | Op::StoreFirstWord => {
                // The base may be in rax.
                let form = self.either(&vex::VMOVD_TO_R32, &evex::VMOVD_TO_R32);
                return self.through_general(place, op == Op::StoreFirstByte, |assembler, double| {
                    assembler.emit(form, &[double, low])
                });
            }
            _ => {}
        }
        if let Some((form, class)) = self.part(op, instruction) {
            return self.emit(form, &[place, value.of(class).into()]);
        }
        let mask = self.mask(instruction, 1)?;
        if let (Some(mask), false) = (mask, self.is_avx512()) {
            let form = if is_double { &vex::VMASKMOVPD_STORE } else { &vex::VMASKMOVPS_STORE };
            return self.emit(form, &[place, mask.into(), value.into()]);
        }
        let form = match (op, is_double) {
            (Op::StoreBytes, false) => &evex::VPMOVDB,
            (Op::StoreBytes, true) => &evex::VPMOVQB,
            (Op::StoreWords, _) => &evex::VPMOVDW,
            (_, false) if self.is_half(instruction) => {
                return self.emit_masked(&evex::VMOVUPS_STORE_256, &[place, half(value)], mask);
            }
            (_, true) if self.is_half(instruction) => {
                return self.emit_masked(&evex::VMOVUPD_STORE_256, &[place, half(value)], mask);
            }
            (_, false) => self.either(&vex::VMOVUPS_STORE, &evex::VMOVUPS_STORE),
            (_, true) => self.either(&vex::VMOVUPS_STORE, &evex::VMOVUPD_STORE),
        };
        self.emit_masked(form, &[place, value.into()], mask)
    }

    /// The first lane of a mask as a byte.
    fn store_truth(&mut self, instruction: &Instruction, place: Operand) -> Encoded {
        let mask = Operand::Register(self.register(instruction.a, 0)?);
        let form = match (self.is_avx512(), self.program.lane) {
            (true, _) => &vex::KMOVW_TO_R32,
            (false, 4) => &vex::VMOVMSKPS,
            (false, _) => &vex::VMOVMSKPD,
        };
        self.through_general(place, true, |assembler, double| {
            assembler.emit(form, &[double, mask])?;
            assembler.emit(&general::AND_R32, &[double, Operand::Immediate(1)])
        })
    }

    /// Stores the lowest byte or 16 bits of what `load` puts in a general register.
    fn through_general(
        &mut self,
        place: Operand,
        is_byte: bool,
        load: impl FnOnce(&mut Self, Operand) -> Encoded,
    ) -> Encoded {
        // The address is computed first, so that one register is free.
        self.emit(&general::LEA, &[Register::RAX.into(), place])?;
        load(self, Register::R11.of(RegisterClass::R32).into())?;
        let at = Operand::Memory(Memory::at(Register::RAX, 0));
        if is_byte {
            self.emit(&general::MOV_STORE_BYTE, &[at, Register::R11.of(RegisterClass::R8).into()])
        } else {
            self.emit(&general::MOV_STORE_WORD, &[at, Register::R11.of(RegisterClass::R16).into()])
        }
    }
}

/// The first half of a vector of 512 bits.
fn half(register: Register) -> Operand {
    register.of(RegisterClass::Ymm).into()
}

/// What a shuffle reads.
fn swapped(instruction: &Instruction) -> Source {
    if instruction.b == Source::None { instruction.a } else { instruction.b }
}
