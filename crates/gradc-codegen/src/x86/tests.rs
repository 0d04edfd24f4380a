//! Every form, with every register and all kinds of addresses, held against the crate iced-x86: its description of the form, the
//! bytes that it encodes, what it makes of ours, and how it writes that.

use std::collections::HashMap;

use iced_x86::{
    Code as Oracle, Decoder, DecoderOptions, Encoder, Formatter, Instruction, IntelFormatter, OpKind,
    Register as OracleRegister,
};

use super::form::{Form, Prefix, Role, Slot};
use super::operand::{Base, Mask, Memory, Operand, Register, RegisterClass};
use super::{Assembler, opcodes};

fn forms() -> impl Iterator<Item = &'static Form> {
    [opcodes::general::ALL, opcodes::vex::ALL, opcodes::evex::ALL].into_iter().flatten().copied()
}

/// A form's text as the oracle describes it: without rounding and with other words for the same, where that is how it has it.
fn described(form: &Form) -> (String, String) {
    let instruction = form.instruction.replace(" {er}", "{er}").replace(" {sae}", "{sae}");
    let opcode = match form.prefix {
        Prefix::Legacy { .. } => form.opcode.replace("REX.W + ", "").replace("66 ", ""),
        // The manual ignores W of VMOVMSKPS and VMOVMSKPD.
        _ if form.instruction.contains("VMOVMSK") => form.opcode.replace("WIG", "W0"),
        _ => form.opcode.to_owned(),
    };
    (opcode, instruction)
}

/// What the oracle calls each form.
fn oracles() -> HashMap<(String, String), Oracle> {
    let known = Oracle::values().filter(|code| {
        let info = code.op_code();
        info.mode64() && info.is_instruction()
    });
    known
        .map(|code| {
            let info = code.op_code();
            // Sizes of operands are prefixes.
            let words = info.op_code_string().split(' ').filter(|word| !matches!(*word, "o16" | "o32" | "o64"));
            let opcode = words.collect::<Vec<_>>().join(" ").replace("+ro", "+rd");
            ((opcode, info.instruction_string().to_owned()), code)
        })
        .collect()
}

fn oracle_register(register: Register) -> OracleRegister {
    let first = match register.class {
        // ah, ch, dh and bh come between the old registers and the new ones.
        RegisterClass::R8 if register.number < 4 => OracleRegister::AL,
        RegisterClass::R8 => OracleRegister::AL + 4,
        RegisterClass::R16 => OracleRegister::AX,
        RegisterClass::R32 => OracleRegister::EAX,
        RegisterClass::R64 => OracleRegister::RAX,
        RegisterClass::K => OracleRegister::K0,
        RegisterClass::Xmm => OracleRegister::XMM0,
        RegisterClass::Ymm => OracleRegister::YMM0,
        RegisterClass::Zmm => OracleRegister::ZMM0,
    };
    first + u32::from(register.number)
}

fn immediate_kind(form: &Form) -> OpKind {
    match (form.prefix, form.immediate) {
        (Prefix::Legacy { w: true, .. }, 1) => OpKind::Immediate8to64,
        (Prefix::Legacy { .. }, 1) => OpKind::Immediate8to32,
        (_, 1) => OpKind::Immediate8,
        (Prefix::Legacy { w: true, .. }, 4) => OpKind::Immediate32to64,
        (_, 4) => OpKind::Immediate32,
        _ => OpKind::Immediate64,
    }
}

/// Where the constant lies that memory at a label is.
const PLACE: usize = 0x1234;

/// The same instruction, made of the oracle's parts.
fn oracle_instruction(code: Oracle, form: &Form, operands: &[Operand], mask: Option<Mask>) -> Instruction {
    let mut instruction = Instruction::default();
    instruction.set_code(code);
    for (at, operand) in operands.iter().enumerate() {
        let at = at as u32;
        match *operand {
            Operand::Register(register) => {
                instruction.set_op_kind(at, OpKind::Register);
                instruction.set_op_register(at, oracle_register(register));
            }
            Operand::Memory(memory) => {
                instruction.set_op_kind(at, OpKind::Memory);
                // As short as can be. Without a base there are always 32 bits, which the oracle would count in units of the
                // operand where it may choose.
                let is_absolute = memory.base == Base::None;
                instruction.set_memory_displ_size(if is_absolute { 8 } else { 1 });
                instruction.set_memory_displacement64(memory.displacement as u64);
                match memory.base {
                    Base::None => {}
                    Base::Register(base) => instruction.set_memory_base(oracle_register(base)),
                    Base::Label(_) => {
                        instruction.set_memory_base(OracleRegister::RIP);
                        instruction.set_memory_displacement64(PLACE as u64);
                    }
                }
                if let Some(index) = memory.index {
                    instruction.set_memory_index(oracle_register(index));
                    instruction.set_memory_index_scale(memory.scale.into());
                }
                instruction.set_is_broadcast(memory.broadcast);
            }
            Operand::Immediate(number) => {
                instruction.set_op_kind(at, immediate_kind(form));
                instruction.set_immediate_i64(at, number);
            }
            Operand::Target(target) => {
                instruction.set_op_kind(at, OpKind::NearBranch64);
                instruction.set_near_branch64(target as u64);
            }
        }
    }
    if let Some(mask) = mask {
        instruction.set_op_mask(oracle_register(mask.register));
        instruction.set_zeroing_masking(mask.zeroing);
    }
    instruction
}

/// The two encoders, on one form.
struct Pair {
    form: &'static Form,
    oracle: Oracle,
    /// How many instructions were compared.
    count: usize,
}

impl Pair {
    fn all() -> Vec<Pair> {
        let oracles = oracles();
        let known = |form| {
            let described = described(form);
            *oracles.get(&described).unwrap_or_else(|| panic!("the oracle does not know {described:?}"))
        };
        forms().map(|form| Pair { form, oracle: known(form), count: 0 }).collect()
    }

    fn compare(&mut self, operands: &[Operand], mask: Option<Mask>) {
        let mut assembler = Assembler::new(true);
        assembler.emit(self.form, operands, mask).unwrap_or_else(|problem| panic!("{problem}"));
        let ours = assembler.finish(|_| PLACE);
        let mut encoder = Encoder::new(64);
        let instruction = oracle_instruction(self.oracle, self.form, operands, mask);
        let what = || format!("{} {operands:?} {mask:?}", self.form.instruction);
        encoder.encode(&instruction, 0).unwrap_or_else(|problem| panic!("{}: {problem}", what()));
        assert_eq!(ours.bytes, encoder.take_buffer(), "{}", what());

        // Also where registers have to differ, as in gathers.
        let decoded = Decoder::new(64, &ours.bytes, DecoderOptions::NO_INVALID_CHECK).decode();
        assert_eq!((decoded.code(), decoded.len()), (self.oracle, ours.bytes.len()), "{}", what());
        let mut text = String::new();
        let mut formatter = IntelFormatter::new();
        formatter.options_mut().set_branch_leading_zeros(false);
        formatter.format(&decoded, &mut text);
        match (self.form.instruction, mask) {
            // Of two equal operands of a product the oracle writes one.
            ("IMUL r64, r/m64, imm32", _) if operands[0] == operands[1] => {
                let register = text.split_once(' ').and_then(|(_, rest)| rest.split_once(','));
                let (register, _) = register.expect("there are operands");
                text.insert_str("imul ".len(), &format!("{register},"));
            }
            // It leaves out a size that only this instruction has.
            ("MOVSXD r64, r/m32", _) => text = text.replace(",[", ",dword ptr ["),
            // And the mask of a gather as an operand; the manual has it as any other mask.
            (instruction, Some(mask)) if instruction.starts_with("VGATHER") => {
                let number = mask.register.number;
                text = text.replace(&format!(",k{number},"), &format!("{{k{number}}},"));
            }
            _ => {}
        }
        assert_eq!(ours.listing, [text.as_str()], "{}", what());
        self.count += 1;
    }

    fn greatest(&self, class: RegisterClass) -> u8 {
        match (class, self.form.prefix) {
            (RegisterClass::K, _) => 7,
            (RegisterClass::Xmm | RegisterClass::Ymm | RegisterClass::Zmm, Prefix::Evex(..)) => 31,
            _ => 15,
        }
    }

    /// Some register for an operand, another one for each number.
    fn register(&self, class: RegisterClass, number: usize) -> Register {
        Register::new(class, (number % (usize::from(self.greatest(class)) + 1)) as u8)
    }

    /// Operands of which those that may be registers are, as numbers say, and others are as simple as can be.
    fn registers(&self, numbers: [usize; 4]) -> Vec<Operand> {
        let operand = |(slot, number): (&Slot, usize)| match (slot.register, slot.role) {
            (Some(class), _) => self.register(class, number).into(),
            (None, Role::Immediate) => Operand::Immediate(number as i64 % 128),
            (None, Role::Offset) => Operand::Target(number),
            (None, _) => {
                let index = slot.indices.map(|class| Register::new(class, 6));
                Operand::Memory(Memory { index, ..Memory::at(Register::RDI, 8) })
            }
        };
        self.form.slots.iter().flatten().zip(numbers).map(operand).collect()
    }

    /// The operand that may be memory, and what it may be.
    fn memory(&self) -> Option<(usize, Slot)> {
        self.form.slots.iter().flatten().copied().enumerate().find(|(_, slot)| slot.memory.is_some())
    }

    /// What an instruction needs that does nothing without a mask.
    fn mask(&self) -> Option<Mask> {
        let needs = self.form.masks && self.memory().is_some_and(|(_, slot)| slot.indices.is_some());
        needs.then_some(Mask { register: Register::new(RegisterClass::K, 1), zeroing: false })
    }
}

/// Each two operands are all pairs of registers.
#[test]
fn every_register_is_encoded_as_the_oracle_does() {
    let mut count = 0;
    for mut pair in Pair::all() {
        let slots: Vec<usize> =
            (0..4).filter(|&at| pair.form.slots[at].is_some_and(|slot| slot.register.is_some())).collect();
        let mask = pair.mask();
        for &one in &slots {
            for &other in &slots {
                for number in 0..32 * 32 {
                    let mut numbers = [number / 3, number / 5, number / 7, number / 11];
                    (numbers[one], numbers[other]) = (number / 32, number % 32);
                    pair.compare(&pair.registers(numbers), mask);
                }
            }
        }
        if slots.is_empty() {
            pair.compare(&pair.registers([0; 4]), mask);
        }
        count += pair.count;
    }
    assert!(count > 500_000, "{count}");
}

/// Every base with every index; each scale; displacements about the limits of one byte, in units of each size.
#[test]
fn every_address_is_encoded_as_the_oracle_does() {
    let near = |limit: i32| (-1..=1).map(move |by| limit.saturating_add(by));
    let units = [1, 4, 8, 16, 32, 64];
    let limits = units.into_iter().flat_map(|unit| [-129 * unit, -128 * unit, -unit, unit, 127 * unit, 128 * unit]);
    let displacements: Vec<i32> = limits.chain([0, 4096, i32::MIN, i32::MAX]).flat_map(near).collect();
    let bases: Vec<Base> = [Base::None]
        .into_iter()
        .chain((0..16).map(|number| Base::Register(Register::new(RegisterClass::R64, number))))
        .collect();
    let mut count = 0;
    for mut pair in Pair::all() {
        let Some((at, slot)) = pair.memory() else { continue };
        let class = slot.indices.unwrap_or(RegisterClass::R64);
        let mut indices: Vec<Option<Register>> =
            (0..=pair.greatest(class)).map(|number| Some(Register::new(class, number))).collect();
        match slot.indices {
            Some(_) => {}
            // rsp is no index.
            None => indices[4] = None,
        }
        let mut addresses = Vec::new();
        for (number, (&base, &index)) in
            bases.iter().flat_map(|base| indices.iter().map(move |index| (base, index))).enumerate()
        {
            let displacement = displacements[number % displacements.len()];
            addresses.push(Memory { base, index, scale: 1 << (number % 4), displacement, broadcast: false });
        }
        for (number, &displacement) in displacements.iter().enumerate() {
            for base in [0, 1, 5, 6, 13, 14] {
                let index = indices[(number + base) % indices.len()];
                let scale = 1 << (number % 4);
                addresses.push(Memory { base: bases[base], index, scale, displacement, broadcast: false });
            }
        }
        if slot.indices.is_none() {
            addresses.push(Memory::label(7));
        }
        let mask = pair.mask();
        for (number, memory) in addresses.into_iter().enumerate() {
            // A scale of nothing is not encoded.
            let scale = if memory.index.is_some() { memory.scale } else { 1 };
            let broadcasts = if slot.broadcast.is_some() { &[false, true][..] } else { &[false] };
            for &broadcast in broadcasts {
                let mut operands = pair.registers([number, number / 3, number / 5, number / 7]);
                operands[at] = Operand::Memory(Memory { scale, broadcast, ..memory });
                pair.compare(&operands, mask);
            }
        }
        count += pair.count;
    }
    assert!(count > 100_000, "{count}");
}

#[test]
fn every_mask_is_encoded_as_the_oracle_does() {
    let mut masked = 0;
    for mut pair in Pair::all().into_iter().filter(|pair| pair.form.masks) {
        for number in 1..8 {
            let register = Register::new(RegisterClass::K, number);
            let mut operands = pair.registers([number.into(); 4]);
            pair.compare(&operands, Some(Mask { register, zeroing: false }));
            if pair.form.zeroes && matches!(operands[0], Operand::Register(_)) {
                pair.compare(&operands, Some(Mask { register, zeroing: true }));
            }
            if let Some((at, slot)) = pair.memory().filter(|(_, slot)| slot.indices.is_none()) {
                operands[at] = Operand::Memory(Memory { broadcast: slot.broadcast.is_some(), ..Memory::label(0) });
                pair.compare(&operands, Some(Mask { register, zeroing: pair.form.zeroes && at > 0 }));
            }
        }
        masked += 1;
    }
    assert!(masked > 80, "{masked}");
}

#[test]
fn every_size_of_immediate_is_encoded_as_the_oracle_does() {
    let mut count = 0;
    for mut pair in Pair::all().into_iter().filter(|pair| pair.form.immediate > 0) {
        let Some(at) = pair
            .form
            .slots
            .iter()
            .position(|slot| slot.is_some_and(|slot| matches!(slot.role, Role::Immediate | Role::Offset)))
        else {
            continue;
        };
        let is_legacy = matches!(pair.form.prefix, Prefix::Legacy { .. });
        let (least, greatest) = match pair.form.immediate {
            1 if is_legacy => (i8::MIN.into(), i8::MAX.into()),
            1 => (0, u8::MAX.into()),
            4 => (i32::MIN.into(), i32::MAX.into()),
            _ => (i64::MIN, i64::MAX),
        };
        for number in [least, least / 2, 0, 1, 9, 10, 31, 32, 0x6b, greatest / 2, greatest] {
            let mut operands = pair.registers([1; 4]);
            operands[at] = match operands[at] {
                Operand::Target(_) if number < 0 => continue,
                Operand::Target(_) => Operand::Target(number as usize),
                _ => Operand::Immediate(number),
            };
            pair.compare(&operands, None);
        }
        for number in [least.wrapping_sub(1), greatest.wrapping_add(1)].into_iter().filter(|_| pair.form.immediate < 8)
        {
            let mut operands = pair.registers([1; 4]);
            if let Operand::Immediate(_) = operands[at] {
                operands[at] = Operand::Immediate(number);
                assert!(Assembler::new(false).emit(pair.form, &operands, None).is_err(), "{operands:?}");
            }
        }
        count += 1;
    }
    assert!(count > 20, "{count}");
}

/// Operands that a form does not take are refused, and leave no bytes.
#[test]
fn what_a_form_does_not_take_is_refused() {
    let xmm = |number| Register::new(RegisterClass::Xmm, number);
    let ymm = |number| Operand::Register(Register::new(RegisterClass::Ymm, number));
    let rsp = Memory { index: Some(Register::RSP), ..Memory::at(Register::RAX, 0) };
    let scaled = Memory { index: Some(Register::RDI), scale: 3, ..Memory::at(Register::RAX, 0) };
    let lane = Memory { broadcast: true, ..Memory::at(Register::RAX, 0) };
    let zeroing = Some(Mask { register: Register::new(RegisterClass::K, 1), zeroing: true });
    let refused: [(&'static Form, &[Operand], Option<Mask>); 8] = [
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(1)], None),
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(1), xmm(2).into()], None),
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(16), ymm(2)], None),
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(1), rsp.into()], None),
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(1), scaled.into()], None),
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(1), lane.into()], None),
        (&opcodes::vex::VADDPS, &[ymm(0), ymm(1), ymm(2)], zeroing),
        (&opcodes::evex::VMOVSS_STORE, &[Memory::at(Register::RAX, 0).into(), xmm(0).into()], zeroing),
    ];
    for (form, operands, mask) in refused {
        let mut assembler = Assembler::new(true);
        assert!(assembler.emit(form, operands, mask).is_err(), "{} {operands:?}", form.instruction);
        assert_eq!(assembler.position(), 0);
    }
}

/// A jump backwards and one to itself, and two constants behind the code.
#[test]
fn jumps_and_labels_are_distances() {
    let mut assembler = Assembler::new(true);
    let zmm = Operand::Register(Register::new(RegisterClass::Zmm, 3));
    let emit = |assembler: &mut Assembler, form, operands: &[Operand]| {
        assembler.emit(form, operands, None).expect("it is encoded");
    };
    emit(&mut assembler, &opcodes::evex::VADDPS, &[zmm, zmm, Memory::label(1).into()]);
    emit(&mut assembler, &opcodes::evex::VSHUFPS, &[zmm, zmm, Memory::label(0).into(), Operand::Immediate(1)]);
    emit(&mut assembler, &opcodes::general::JL, &[Operand::Target(0)]);
    let at = assembler.position();
    emit(&mut assembler, &opcodes::general::JL, &[Operand::Target(at)]);
    let code = assembler.finish(|label| 64 * (1 + label as usize));
    let decoded: Vec<Instruction> = Decoder::new(64, &code.bytes, DecoderOptions::NONE).into_iter().collect();
    assert_eq!(decoded[0].memory_displacement64(), 128);
    assert_eq!(decoded[1].memory_displacement64(), 64);
    assert_eq!((decoded[2].near_branch64(), decoded[3].near_branch64()), (0, at as u64));
    assert_eq!(code.listing.len(), 4);
}
