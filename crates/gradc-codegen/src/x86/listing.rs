//! Instructions as text, in Intel's syntax.

use std::fmt::Write;

use super::form::{Form, Prefix, Role, Slot};
use super::operand::{Base, Mask, Memory, Operand, Register, RegisterClass};

/// An instruction of a listing.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) form: &'static Form,
    pub(super) operands: Box<[Operand]>,
    pub(super) mask: Option<Mask>,
}

/// What is compared by VCMPPS and VCMPPD, by imm8: table 3-1 of the manual, with the first name of each.
const COMPARISONS: [&str; 32] = [
    "eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord", "eq_uq", "nge", "ngt", "false", "neq_oq", "ge", "gt",
    "true", "eq_os", "lt_oq", "le_oq", "unord_s", "neq_us", "nlt_uq", "nle_uq", "ord_s", "eq_us", "nge_uq", "ngt_uq",
    "false_os", "neq_os", "ge_oq", "gt_oq", "true_us",
];

/// The same for VPCMPD and VPCMPQ.
const INTEGER_COMPARISONS: [&str; 8] = ["eq", "lt", "le", "false", "neq", "nlt", "nle", "true"];

/// General registers, as they are called where they have 16 bits; the others have numbers.
const GENERAL: [&str; 8] = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];

impl Line {
    /// The instruction, at whose operands `place` says where labels are.
    pub(super) fn text(&self, place: impl Fn(u32) -> usize) -> String {
        let (mut text, predicate) = self.mnemonic();
        // A comparison that is in the name is no operand.
        let shown = self.operands.len() - usize::from(predicate);
        let mut operands = Vec::with_capacity(shown);
        for operand in &self.operands[..shown] {
            operands.push(match operand {
                Operand::Register(register) => name(*register),
                Operand::Memory(memory) => self.memory(memory, &place),
                Operand::Immediate(number) => self.immediate(*number),
                Operand::Target(target) => hexadecimal(*target as u64),
            });
        }
        if let Some(mask) = self.mask
            && let Some(first) = operands.first_mut()
        {
            let _ = write!(first, "{{{}}}{}", name(mask.register), if mask.zeroing { "{z}" } else { "" });
        }
        if !operands.is_empty() {
            text.push(' ');
            text.push_str(&operands.join(","));
        }
        text
    }

    /// The name of the instruction, and whether that says what the last operand does.
    fn mnemonic(&self) -> (String, bool) {
        let name = self.form.instruction.split(' ').next().unwrap_or_default().to_lowercase();
        let (start, names) = match name.as_str() {
            "vcmpps" | "vcmppd" => ("vcmp", &COMPARISONS[..]),
            "vpcmpd" | "vpcmpq" => ("vpcmp", &INTEGER_COMPARISONS[..]),
            _ => return (name, false),
        };
        let Some(Operand::Immediate(number)) = self.operands.last() else { return (name, false) };
        match usize::try_from(*number).ok().and_then(|number| names.get(number)) {
            Some(comparison) => (format!("{start}{comparison}{}", &name[start.len()..]), true),
            None => (name, false),
        }
    }

    fn memory(&self, memory: &Memory, place: impl Fn(u32) -> usize) -> String {
        let mut terms = String::new();
        match memory.base {
            Base::Register(base) => terms.push_str(&name(base)),
            Base::Label(label) => terms.push_str(&hexadecimal(place(label) as u64)),
            Base::None => {}
        }
        if let Some(index) = memory.index {
            let plus = if terms.is_empty() { "" } else { "+" };
            let _ = write!(terms, "{plus}{}", name(index));
            if memory.scale != 1 || memory.base == Base::None {
                let _ = write!(terms, "*{}", memory.scale);
            }
        }
        if terms.is_empty() {
            terms = hexadecimal(memory.displacement as u64);
        } else if memory.displacement != 0 {
            let sign = if memory.displacement < 0 { "-" } else { "+" };
            let _ = write!(terms, "{sign}{}", hexadecimal(memory.displacement.unsigned_abs().into()));
        }
        format!("{}[{terms}]{}", self.size(), self.lanes(memory))
    }

    /// How much memory it is, where neither the instruction's name nor a register says so.
    fn size(&self) -> &'static str {
        let slots = || self.form.slots.iter().flatten();
        let Some(slot) = slots().find(|slot| slot.memory.is_some()) else { return "" };
        let is_said = !matches!(self.form.prefix, Prefix::Legacy { .. })
            || slots().any(|other| other.role == Role::Reg && other.register == slot.register);
        match slot.memory {
            _ if is_said => "",
            Some(1) => "byte ptr ",
            Some(2) => "word ptr ",
            Some(4) => "dword ptr ",
            Some(8) => "qword ptr ",
            _ => "",
        }
    }

    /// For how many lanes one element is.
    fn lanes(&self, memory: &Memory) -> String {
        let slot = self.form.slots.iter().flatten().find(|slot| slot.broadcast.is_some());
        match slot {
            Some(Slot { memory: Some(vector), broadcast: Some(element), .. }) if memory.broadcast => {
                format!("{{1to{}}}", vector / element)
            }
            _ => String::new(),
        }
    }

    /// A number, in as many bits as the operands have.
    fn immediate(&self, number: i64) -> String {
        let is_short =
            matches!(self.operands.first(), Some(Operand::Register(first)) if first.class == RegisterClass::R32);
        let is_byte = !matches!(self.form.prefix, Prefix::Legacy { .. });
        let bits = if is_byte {
            0xff
        } else if is_short {
            u64::from(u32::MAX)
        } else {
            u64::MAX
        };
        hexadecimal(number as u64 & bits)
    }
}

/// A number as Intel's assembler writes it.
fn hexadecimal(number: u64) -> String {
    if number < 10 {
        return number.to_string();
    }
    let digits = format!("{number:X}");
    let zero = if digits.starts_with(|first: char| first.is_ascii_digit()) { "" } else { "0" };
    format!("{zero}{digits}h")
}

fn name(register: Register) -> String {
    let Register { class, number } = register;
    let old = GENERAL.get(usize::from(number));
    match (class, old) {
        (RegisterClass::K, _) => format!("k{number}"),
        (RegisterClass::Xmm, _) => format!("xmm{number}"),
        (RegisterClass::Ymm, _) => format!("ymm{number}"),
        (RegisterClass::Zmm, _) => format!("zmm{number}"),
        (RegisterClass::R64, Some(old)) => format!("r{old}"),
        (RegisterClass::R32, Some(old)) => format!("e{old}"),
        (RegisterClass::R16, Some(old)) => (*old).to_owned(),
        (RegisterClass::R8, Some(old)) => format!("{}l", old.trim_end_matches('x')),
        (RegisterClass::R64, None) => format!("r{number}"),
        (RegisterClass::R32, None) => format!("r{number}d"),
        (RegisterClass::R16, None) => format!("r{number}w"),
        (RegisterClass::R8, None) => format!("r{number}b"),
    }
}
