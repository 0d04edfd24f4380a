//! Instructions to bytes.

use super::address::{Address, Displacement};
use super::form::{Form, ModRm, Prefix, Role, Slot};
use super::listing::Line;
use super::operand::{Base, Mask, Memory, Operand, Register, RegisterClass};
use super::prefix::{Context, Numbers};

/// Code that grows instruction by instruction.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    code: Vec<u8>,
    references: Vec<Reference>,
    /// The instructions again, if there is to be a listing.
    lines: Option<Vec<Line>>,
}

/// A place in the code where the distance to a label is missing.
#[derive(Debug)]
struct Reference {
    at: usize,
    /// What the distance counts from.
    from: usize,
    label: u32,
}

/// An operand in ModRM:r/m.
enum RegisterOrMemory {
    Register(u8),
    Memory(Address),
}

/// Bytes behind the address.
enum Immediate {
    None,
    Number(i64),
    /// A jump to this place.
    Target(usize),
}

/// An instruction by the fields that its operands go to.
struct Fields {
    numbers: Numbers,
    context: Context,
    rm: Option<RegisterOrMemory>,
    immediate: Immediate,
}

impl Assembler {
    /// No code yet. A listing of it is kept only if it `lists`.
    pub(crate) fn new(lists: bool) -> Assembler {
        Assembler { lines: lists.then(Vec::new), ..Assembler::default() }
    }

    /// How many bytes there are.
    pub(crate) fn position(&self) -> usize {
        self.code.len()
    }

    /// Appends an instruction.
    ///
    /// # Errors
    /// Where the form does not take such operands.
    pub(crate) fn emit(&mut self, form: &'static Form, operands: &[Operand], mask: Option<Mask>) -> Result<(), String> {
        let start = self.code.len();
        if self.encode(form, operands, mask).is_none() {
            self.code.truncate(start);
            let Form { opcode, instruction, .. } = form;
            return Err(format!("{instruction} ({opcode}) does not take {operands:?} under the mask {mask:?}"));
        }
        if let Some(lines) = &mut self.lines {
            lines.push(Line { form, operands: operands.into(), mask });
        }
        Ok(())
    }

    /// Appends an instruction, or a part of it where it is not one.
    fn encode(&mut self, form: &Form, operands: &[Operand], mask: Option<Mask>) -> Option<()> {
        let Fields { numbers, context, rm, immediate } = form.fields(operands, mask)?;
        form.prefix.encode(&mut self.code, &numbers, context);
        let in_opcode = if form.mod_rm == ModRm::InOpcode { numbers.base & 0b111 } else { 0 };
        self.code.push(form.byte | in_opcode);
        let reg = (numbers.reg & 0b111) << 3;
        let mut reference = None;
        match rm {
            Some(RegisterOrMemory::Register(number)) => self.code.push(0b11 << 6 | reg | number & 0b111),
            Some(RegisterOrMemory::Memory(address)) => {
                self.code.push(address.mode << 6 | reg | address.rm);
                self.code.extend(address.sib);
                match address.displacement {
                    Displacement::Byte(units) => self.code.extend(units.to_le_bytes()),
                    Displacement::Double(bytes) => self.code.extend(bytes.to_le_bytes()),
                    Displacement::Label(label) => {
                        reference = Some((self.code.len(), label));
                        self.code.extend([0; 4]);
                    }
                }
            }
            None => {}
        }
        self.immediate(form, immediate)?;
        let from = self.code.len();
        self.references.extend(reference.map(|(at, label)| Reference { at, from, label }));
        Some(())
    }

    /// The bytes of an immediate. In instructions on vectors a byte is a set of bits, otherwise a signed number.
    fn immediate(&mut self, form: &Form, immediate: Immediate) -> Option<()> {
        let is_legacy = matches!(form.prefix, Prefix::Legacy { .. });
        match (immediate, form.immediate) {
            (Immediate::None, 0) => {}
            (Immediate::Number(number), 1) if is_legacy => self.code.extend(i8::try_from(number).ok()?.to_le_bytes()),
            (Immediate::Number(number), 1) => self.code.push(u8::try_from(number).ok()?),
            (Immediate::Number(number), 4) => self.code.extend(i32::try_from(number).ok()?.to_le_bytes()),
            (Immediate::Number(number), 8) => self.code.extend(number.to_le_bytes()),
            (Immediate::Target(target), 4) => {
                let distance = target as i64 - (self.code.len() + 4) as i64;
                self.code.extend(i32::try_from(distance).ok()?.to_le_bytes());
            }
            _ => return None,
        }
        Some(())
    }

    /// All code. `place` says where what belongs to a label will be, in bytes from the start of the code.
    pub(crate) fn finish(mut self, place: impl Fn(u32) -> usize) -> Code {
        for reference in &self.references {
            let distance = place(reference.label) as i64 - reference.from as i64;
            self.code[reference.at..reference.at + 4].copy_from_slice(&(distance as i32).to_le_bytes());
        }
        let lines = self.lines.unwrap_or_default();
        Code { listing: lines.iter().map(|line| line.text(&place)).collect(), bytes: self.code }
    }
}

/// What was assembled.
pub(crate) struct Code {
    pub(crate) bytes: Vec<u8>,
    /// A line for each instruction, if a listing was asked for.
    pub(crate) listing: Vec<String>,
}

impl Form {
    /// The fields of an instruction, or `None` where this form does not take such operands.
    fn fields(&self, operands: &[Operand], mask: Option<Mask>) -> Option<Fields> {
        let slots = self.slots.iter().flatten();
        let takes_mask = mask.is_none_or(|mask| self.masks && (self.zeroes || !mask.zeroing));
        if slots.clone().count() != operands.len() || !takes_mask {
            return None;
        }
        let context = Context { mask, broadcast: false };
        let mut fields = Fields { numbers: Numbers::default(), context, rm: None, immediate: Immediate::None };
        if let ModRm::Digit(digit) = self.mod_rm {
            fields.numbers.reg = digit;
        }
        for (slot, operand) in slots.zip(operands) {
            match (slot.role, *operand) {
                (Role::Immediate, Operand::Immediate(number)) => fields.immediate = Immediate::Number(number),
                (Role::Offset, Operand::Target(target)) => fields.immediate = Immediate::Target(target),
                (Role::Rm, Operand::Memory(memory)) if self.takes(slot, &memory) => {
                    let address = Address::new(&memory, self.prefix.disp8_unit(memory.broadcast))?;
                    fields.memory(&memory, address);
                }
                (role, Operand::Register(register))
                    if slot.register == Some(register.class) && register.number <= self.greatest(register.class) =>
                {
                    fields.register(role, register);
                }
                _ => return None,
            }
        }
        Some(fields)
    }

    /// The greatest number of a register of this class in an instruction of this form.
    fn greatest(&self, class: RegisterClass) -> u8 {
        match class {
            RegisterClass::K => 7,
            RegisterClass::Xmm | RegisterClass::Ymm | RegisterClass::Zmm if matches!(self.prefix, Prefix::Evex(..)) => {
                31
            }
            _ => 15,
        }
    }

    /// Whether this memory may be the operand.
    fn takes(&self, slot: &Slot, memory: &Memory) -> bool {
        let size = if memory.broadcast { slot.broadcast } else { slot.memory };
        let base_fits = match memory.base {
            Base::None => true,
            Base::Register(base) => base.class == RegisterClass::R64 && base.number <= 15,
            Base::Label(_) => slot.indices.is_none(),
        };
        let index_fits = match (memory.index, slot.indices) {
            (Some(index), indices) => {
                index.class == indices.unwrap_or(RegisterClass::R64) && index.number <= self.greatest(index.class)
            }
            (None, indices) => indices.is_none(),
        };
        size.is_some() && base_fits && index_fits
    }
}

impl Fields {
    fn register(&mut self, role: Role, register: Register) {
        let Register { class, number } = register;
        // ah to bh are what these bytes are called without a prefix.
        self.numbers.needs_rex |= class == RegisterClass::R8 && (4..8).contains(&number);
        match role {
            Role::Reg => self.numbers.reg = number,
            Role::Vvvv => self.numbers.vvvv = number,
            Role::Opcode => self.numbers.base = number,
            Role::Is4 => self.immediate = Immediate::Number(i64::from(number) << 4),
            Role::Rm => {
                self.numbers.base = number;
                self.numbers.rm_is_register = true;
                self.rm = Some(RegisterOrMemory::Register(number));
            }
            Role::Immediate | Role::Offset => {}
        }
    }

    fn memory(&mut self, memory: &Memory, address: Address) {
        if let Base::Register(base) = memory.base {
            self.numbers.base = base.number;
        }
        if let Some(index) = memory.index {
            self.numbers.index = index.number;
            self.numbers.index_is_vector = index.class != RegisterClass::R64;
        }
        self.context.broadcast = memory.broadcast;
        self.rm = Some(RegisterOrMemory::Memory(address));
    }
}
