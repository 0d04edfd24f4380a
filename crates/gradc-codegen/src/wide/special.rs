//! Operations that are more than one machine instruction, or differ between the extensions.

use iced_x86::{Code, Register};

use super::encode::{Assembler, Encoded, Operand};
use super::program::{Instruction, Op, Source};

impl Assembler<'_> {
    /// A wide instruction, for AVX2 and for AVX-512.
    fn either(&self, avx2: Code, avx512: Code) -> Code {
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
                let code = self.either(Code::VEX_Vxorps_ymm_ymm_ymmm256, Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32);
                self.emit(code, &[first, first, first], None)
            }
            Op::Copy if self.is_general(result) => {
                let from = self.register(instruction.a, 0)?;
                self.emit(Code::Mov_r64_rm64, &[first, from.into()], None)
            }
            Op::Copy => {
                let from = self.register(instruction.a, 0)?;
                self.copy(result, from)
            }
            Op::Splat => {
                let general = self.register(instruction.a, 0)?;
                let word = Operand::Register(Register::EAX + (general as u32 - Register::RAX as u32));
                if self.is_avx512() {
                    return self.emit(Code::EVEX_Vpbroadcastd_zmm_k1z_r32, &[first, word], None);
                }
                let low = Operand::Register(self.first(result));
                self.emit(Code::VEX_Vmovd_xmm_rm32, &[low, word], None)?;
                self.emit(Code::VEX_Vpbroadcastd_ymm_xmmm32, &[first, low], None)
            }
            Op::RepeatFirst => self.shuffle(instruction, 0, 0),
            Op::Swap(32) => self.shuffle(instruction, 0x4e, 0x01),
            Op::Swap(16) => self.shuffle(instruction, 0xb1, 0x01),
            Op::Swap(bytes) => {
                let from = self.register(swapped(instruction), 1)?;
                let code =
                    self.either(Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8, Code::EVEX_Vshufps_zmm_k1z_zmm_zmmm512b32_imm8);
                let order = if bytes == 8 { 0x4e } else { 0xb1 };
                self.emit(code, &[first, from.into(), from.into()], Some(order))
            }
            _ => Err(format!("{:?} moves nothing", instruction.op)),
        }
    }

    /// Parts of 128 bits in another order.
    fn shuffle(&mut self, instruction: &Instruction, of_four: u8, of_two: u8) -> Encoded {
        let result = self.result(instruction)?;
        let from = Operand::Register(self.register(swapped(instruction), 1)?);
        if self.is_avx512() {
            let code = Code::EVEX_Vshuff64x2_zmm_k1z_zmm_zmmm512b64_imm8;
            return self.emit(code, &[result.into(), from, from], Some(of_four));
        }
        self.emit(Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, &[result.into(), from, from], Some(of_two))
    }

    /// A constant, loaded to this register.
    fn register_in(&mut self, source: Source, result: Register) -> Encoded<Register> {
        match self.operand(source)? {
            Operand::Register(register) => Ok(register),
            Operand::Memory(memory) => {
                self.load_vector(result, memory)?;
                Ok(result)
            }
        }
    }

    fn is_general(&self, register: Register) -> bool {
        (Register::RAX as u32..=Register::R15 as u32).contains(&(register as u32))
    }

    /// Addresses.
    pub(super) fn general(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let first = Operand::Register(result);
        match instruction.op {
            Op::Base => {
                let table = self.at(super::encode::TABLE, Register::None, 1, instruction.immediate);
                self.emit(Code::Mov_r64_rm64, &[first, table], None)
            }
            Op::FromFirst => {
                let a = self.register(instruction.a, 0)?;
                let code = self.either(Code::VEX_Vmovd_rm32_xmm, Code::EVEX_Vmovd_rm32_xmm);
                let low = Operand::Register(self.first(a));
                self.emit(code, &[Register::EAX.into(), low], None)?;
                self.emit(Code::Movsxd_r64_rm32, &[first, Register::EAX.into()], None)
            }
            _ => {
                let b = self.register(instruction.b, 1)?;
                let factor = instruction.immediate;
                let (index, scale) = match factor {
                    1 | 2 | 4 | 8 => (b, factor as u32),
                    _ => {
                        // r11 is where b was loaded to, if it was.
                        self.multiply(Register::R11, b, factor)?;
                        (Register::R11, 1)
                    }
                };
                let sum = match instruction.a {
                    Source::None => self.at(Register::None, index, scale, 0),
                    a => {
                        let a = self.register(a, 0)?;
                        self.at(a, index, scale, 0)
                    }
                };
                self.emit(Code::Lea_r64_m, &[first, sum], None)
            }
        }
    }

    fn multiply(&mut self, to: Register, from: Register, factor: i64) -> Encoded {
        if let Ok(factor) = i32::try_from(factor) {
            let machine = iced_x86::Instruction::with3(Code::Imul_r64_rm64_imm32, to, from, factor);
            return self.encode(&machine.map_err(|error| error.to_string())?, None);
        }
        self.emit(Code::Push_r64, &[Register::RAX.into()], None)?;
        self.emit_immediate(Code::Mov_r64_imm64, Register::RAX, factor)?;
        self.copy_general(to, from)?;
        self.emit(Code::Imul_r64_rm64, &[to.into(), Register::RAX.into()], None)?;
        self.emit(Code::Pop_r64, &[Register::RAX.into()], None)
    }

    fn copy_general(&mut self, to: Register, from: Register) -> Encoded {
        if to == from { Ok(()) } else { self.emit(Code::Mov_r64_rm64, &[to.into(), from.into()], None) }
    }

    /// `mask ? b : a`
    pub(super) fn blend(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let a = self.register(instruction.a, 0)?;
        let b = self.operand(instruction.b)?;
        if self.is_avx512() {
            let mask = self.mask(instruction, 0)?;
            let code = if self.program.lane == 4 {
                Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32
            } else {
                Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64
            };
            return self.emit_merged(code, &[result.into(), a.into(), b], mask);
        }
        let mask = self.mask(instruction, 1)?;
        let code = if self.program.lane == 4 {
            Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm
        } else {
            Code::VEX_Vblendvpd_ymm_ymm_ymmm256_ymm
        };
        self.emit(code, &[result.into(), a.into(), b, mask.into()], None)
    }

    /// Comparisons of AVX2: equal, or greater.
    pub(super) fn compare_integers(&mut self, instruction: &Instruction) -> Encoded {
        let result = self.result(instruction)?;
        let a = self.register(instruction.a, 0)?;
        let b = self.operand(instruction.b)?;
        let code = match (instruction.immediate, self.program.lane) {
            (0, 4) => Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256,
            (0, _) => Code::VEX_Vpcmpeqq_ymm_ymm_ymmm256,
            (_, 4) => Code::VEX_Vpcmpgtd_ymm_ymm_ymmm256,
            _ => Code::VEX_Vpcmpgtq_ymm_ymm_ymmm256,
        };
        self.emit(code, &[result.into(), a.into(), b], None)
    }

    /// Loads and stores.
    pub(super) fn memory(&mut self, op: Op, instruction: &Instruction) -> Encoded {
        let place = Operand::Memory(self.place(instruction.place)?);
        if instruction.result.is_some() {
            self.load(op, instruction, place)
        } else {
            self.store(op, instruction, place)
        }
    }

    fn load(&mut self, op: Op, instruction: &Instruction, place: Operand) -> Encoded {
        let first = Operand::Register(self.result(instruction)?);
        let is_double = self.program.lane == 8;
        if let Some(code) = self.part(op, instruction) {
            let part = self.part_register(self.result(instruction)?, instruction);
            return self.emit(code, &[part, place], None);
        }
        let mask = self.mask(instruction, 1)?;
        let code = match (op, is_double) {
            (Op::LoadByte | Op::LoadWord, _) => {
                let word = self.low_word(self.result(instruction)?);
                let code = if op == Op::LoadByte { Code::Movzx_r32_rm8 } else { Code::Movzx_r32_rm16 };
                return self.emit(code, &[word, place], None);
            }
            (Op::Gather, _) => return self.gather(instruction, place),
            (Op::LoadSplat, false) => {
                self.either(Code::VEX_Vbroadcastss_ymm_m32, Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32)
            }
            (Op::LoadSplat, true) => {
                self.either(Code::VEX_Vbroadcastsd_ymm_m64, Code::EVEX_Vbroadcastsd_zmm_k1z_xmmm64)
            }
            (Op::LoadBytes, false) => self.either(Code::VEX_Vpmovzxbd_ymm_xmmm64, Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128),
            (Op::LoadBytes, true) => self.either(Code::VEX_Vpmovzxbq_ymm_xmmm32, Code::EVEX_Vpmovzxbq_zmm_k1z_xmmm64),
            (Op::LoadWords, _) => self.either(Code::VEX_Vpmovzxwd_ymm_xmmm128, Code::EVEX_Vpmovzxwd_zmm_k1z_ymmm256),
            (_, false) => self.either(Code::VEX_Vmovups_ymm_ymmm256, Code::EVEX_Vmovups_zmm_k1z_zmmm512),
            (_, true) => self.either(Code::VEX_Vmovups_ymm_ymmm256, Code::EVEX_Vmovupd_zmm_k1z_zmmm512),
        };
        if mask == Register::None || self.is_avx512() {
            let (code, part) = self.narrowed(code, self.result(instruction)?, instruction);
            return self.emit_masked(code, &[part, place], None, mask);
        }
        let code = if is_double { Code::VEX_Vmaskmovpd_ymm_ymm_m256 } else { Code::VEX_Vmaskmovps_ymm_ymm_m256 };
        self.emit(code, &[first, mask.into(), place], None)
    }

    /// The instruction for a part of a vector: a half, a quarter and so on.
    fn part(&self, op: Op, instruction: &Instruction) -> Option<Code> {
        let bytes = instruction.immediate * i64::from(self.program.lane);
        let (avx2, avx512) = match (op, bytes) {
            _ if bytes == 0 || instruction.mask.is_some() => return None,
            (Op::Load, 32) => (Code::VEX_Vmovups_ymm_ymmm256, Code::EVEX_Vmovups_ymm_k1z_ymmm256),
            (Op::Load, 16) => (Code::VEX_Vmovups_xmm_xmmm128, Code::EVEX_Vmovups_xmm_k1z_xmmm128),
            (Op::Load, 8) => (Code::VEX_Vmovsd_xmm_m64, Code::EVEX_Vmovsd_xmm_k1z_m64),
            (Op::Load, 4) => (Code::VEX_Vmovss_xmm_m32, Code::EVEX_Vmovss_xmm_k1z_m32),
            (Op::Store, 32) => (Code::VEX_Vmovups_ymmm256_ymm, Code::EVEX_Vmovups_ymmm256_k1z_ymm),
            (Op::Store, 16) => (Code::VEX_Vmovups_xmmm128_xmm, Code::EVEX_Vmovups_xmmm128_k1z_xmm),
            (Op::Store, 8) => (Code::VEX_Vmovsd_m64_xmm, Code::EVEX_Vmovsd_m64_k1_xmm),
            (Op::Store, 4) => (Code::VEX_Vmovss_m32_xmm, Code::EVEX_Vmovss_m32_k1_xmm),
            (Op::LoadBytes, 32) => (Code::INVALID, Code::EVEX_Vpmovzxbd_ymm_k1z_xmmm64),
            (Op::LoadBytes, 16) => (Code::INVALID, Code::EVEX_Vpmovzxbd_xmm_k1z_xmmm32),
            (Op::LoadWords, 32) => (Code::INVALID, Code::EVEX_Vpmovzxwd_ymm_k1z_xmmm128),
            (Op::LoadWords, 16) => (Code::INVALID, Code::EVEX_Vpmovzxwd_xmm_k1z_xmmm64),
            (Op::StoreBytes, 32) => (Code::INVALID, Code::EVEX_Vpmovdb_xmmm64_k1z_ymm),
            (Op::StoreBytes, 16) => (Code::INVALID, Code::EVEX_Vpmovdb_xmmm32_k1z_xmm),
            (Op::StoreWords, 32) => (Code::INVALID, Code::EVEX_Vpmovdw_xmmm128_k1z_ymm),
            (Op::StoreWords, 16) => (Code::INVALID, Code::EVEX_Vpmovdw_xmmm64_k1z_xmm),
            _ => return None,
        };
        Some(self.either(avx2, avx512))
    }

    /// An instruction under a mask and its register, as narrow as the lanes that matter allow: accesses that cross a line of the
    /// cache are slow, even where a mask leaves out what is beyond.
    fn narrowed(&self, code: Code, register: Register, instruction: &Instruction) -> (Code, Operand) {
        let is_half = instruction.mask.is_some() && instruction.immediate * i64::from(self.program.lane) <= 32;
        let half = match code {
            Code::EVEX_Vmovups_zmm_k1z_zmmm512 => Code::EVEX_Vmovups_ymm_k1z_ymmm256,
            Code::EVEX_Vmovupd_zmm_k1z_zmmm512 => Code::EVEX_Vmovupd_ymm_k1z_ymmm256,
            Code::EVEX_Vmovups_zmmm512_k1z_zmm => Code::EVEX_Vmovups_ymmm256_k1z_ymm,
            Code::EVEX_Vmovupd_zmmm512_k1z_zmm => Code::EVEX_Vmovupd_ymmm256_k1z_ymm,
            _ => return (code, register.into()),
        };
        if !is_half {
            return (code, register.into());
        }
        (half, Operand::Register(Register::YMM0 + (self.first(register) as u32 - Register::XMM0 as u32)))
    }

    /// The register that holds a part of a vector; the rest of it becomes zero where this is loaded.
    fn part_register(&self, register: Register, instruction: &Instruction) -> Operand {
        let bytes = instruction.immediate * i64::from(self.program.lane);
        let start = if bytes == 32 { Register::YMM0 } else { Register::XMM0 };
        Operand::Register(start + (self.first(register) as u32 - Register::XMM0 as u32))
    }

    /// Elements at the distances in `a` from a place. The machine clears the mask as it goes.
    fn gather(&mut self, instruction: &Instruction, place: Operand) -> Encoded {
        let result = self.result(instruction)?;
        let Operand::Memory(place) = place else { return Err("a place is a register".to_owned()) };
        let distances = self.register(instruction.a, 2)?;
        let place = self.gathered(place, distances);
        let is_double = self.program.lane == 8;
        if self.is_avx512() {
            let k7 = Operand::Register(Register::K7);
            match instruction.mask {
                Some(mask) => {
                    let mask = self.register(mask.into(), 0)?;
                    self.emit(Code::VEX_Korw_kr_kr_kr, &[k7, mask.into(), mask.into()], None)?;
                }
                None => self.emit(Code::VEX_Kxnorw_kr_kr_kr, &[k7, k7, k7], None)?,
            }
            let code = if is_double { Code::EVEX_Vgatherqpd_zmm_k1_vm64z } else { Code::EVEX_Vgatherdps_zmm_k1_vm32z };
            // What is not gathered stays what it was.
            let zero = Operand::Register(result);
            self.emit(Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, &[zero, zero, zero], None)?;
            return self.emit_merged(code, &[zero, place], Register::K7);
        }
        let mask = Operand::Register(self.scratch(1));
        match instruction.mask {
            Some(id) => {
                let from = self.register(id.into(), 1)?;
                self.copy(self.scratch(1), from)?;
            }
            None => self.emit(Code::VEX_Vpcmpeqd_ymm_ymm_ymmm256, &[mask, mask, mask], None)?,
        }
        let first = Operand::Register(result);
        self.emit(Code::VEX_Vxorps_ymm_ymm_ymmm256, &[first, first, first], None)?;
        let code = if is_double { Code::VEX_Vgatherqpd_ymm_vm64y_ymm } else { Code::VEX_Vgatherdps_ymm_vm32y_ymm };
        self.emit(code, &[first, place, mask], None)
    }

    fn store(&mut self, op: Op, instruction: &Instruction, place: Operand) -> Encoded {
        let is_double = self.program.lane == 8;
        if op == Op::StoreTruth {
            return self.store_truth(instruction, place);
        }
        let value = self.register(instruction.a, 0)?;
        let low = Operand::Register(self.first(value));
        match op {
            Op::StoreFirst => {
                let code = match is_double {
                    false => self.either(Code::VEX_Vmovss_m32_xmm, Code::EVEX_Vmovss_m32_k1_xmm),
                    true => self.either(Code::VEX_Vmovsd_m64_xmm, Code::EVEX_Vmovsd_m64_k1_xmm),
                };
                return self.emit(code, &[place, low], None);
            }
            Op::StoreFirstByte | Op::StoreFirstWord => {
                // The base may be in rax.
                let code = self.either(Code::VEX_Vmovd_rm32_xmm, Code::EVEX_Vmovd_rm32_xmm);
                return self.through_word(place, op == Op::StoreFirstByte, |assembler, word| {
                    assembler.emit(code, &[word, low], None)
                });
            }
            _ => {}
        }
        if let Some(code) = self.part(op, instruction) {
            let part = self.part_register(value, instruction);
            return self.emit(code, &[place, part], None);
        }
        let mask = self.mask(instruction, 1)?;
        let code = match (op, is_double) {
            (Op::StoreBytes, false) => Code::EVEX_Vpmovdb_xmmm128_k1z_zmm,
            (Op::StoreBytes, true) => Code::EVEX_Vpmovqb_xmmm64_k1z_zmm,
            (Op::StoreWords, _) => Code::EVEX_Vpmovdw_ymmm256_k1z_zmm,
            (_, false) => self.either(Code::VEX_Vmovups_ymmm256_ymm, Code::EVEX_Vmovups_zmmm512_k1z_zmm),
            (_, true) => self.either(Code::VEX_Vmovups_ymmm256_ymm, Code::EVEX_Vmovupd_zmmm512_k1z_zmm),
        };
        if mask == Register::None || self.is_avx512() {
            let (code, part) = self.narrowed(code, value, instruction);
            return self.emit_masked(code, &[place, part], None, mask);
        }
        let code = if is_double { Code::VEX_Vmaskmovpd_m256_ymm_ymm } else { Code::VEX_Vmaskmovps_m256_ymm_ymm };
        self.emit(code, &[place, mask.into(), value.into()], None)
    }

    /// The first lane of a mask as a byte.
    fn store_truth(&mut self, instruction: &Instruction, place: Operand) -> Encoded {
        let mask = Operand::Register(self.register(instruction.a, 0)?);
        let code = match (self.is_avx512(), self.program.lane) {
            (true, _) => Code::VEX_Kmovw_r32_kr,
            (false, 4) => Code::VEX_Vmovmskps_r32_ymm,
            (false, _) => Code::VEX_Vmovmskpd_r32_ymm,
        };
        self.through_word(place, true, |assembler, word| {
            assembler.emit(code, &[word, mask], None)?;
            let Operand::Register(register) = word else { return Ok(()) };
            assembler.emit_immediate(Code::And_rm32_imm8, register, 1)
        })
    }

    /// Stores the lowest byte or 16 bits of what `load` puts in a general register.
    fn through_word(
        &mut self,
        place: Operand,
        is_byte: bool,
        load: impl FnOnce(&mut Self, Operand) -> Encoded,
    ) -> Encoded {
        // The address is computed first, so that one register is free.
        self.emit(Code::Lea_r64_m, &[Register::RAX.into(), place], None)?;
        load(self, Register::R11D.into())?;
        let at = self.at(Register::RAX, Register::None, 1, 0);
        if is_byte {
            self.emit(Code::Mov_rm8_r8, &[at, Register::R11L.into()], None)
        } else {
            self.emit(Code::Mov_rm16_r16, &[at, Register::R11W.into()], None)
        }
    }

    fn low_word(&self, register: Register) -> Operand {
        Operand::Register(Register::EAX + (register as u32 - Register::RAX as u32))
    }
}

/// What a shuffle reads.
fn swapped(instruction: &Instruction) -> Source {
    if instruction.b == Source::None { instruction.a } else { instruction.b }
}
