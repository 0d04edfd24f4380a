//! Forms of instructions, read from the notation of Intel's manual when the compiler is built.
//!
//! A form is a row of the tables there: `VEX.256.0F.WIG 58 /r`, the column "Opcode"; `VADDPS ymm1, ymm2, ymm3/m256`, the column
//! "Instruction"; and where the operands are encoded. "Op/En" there refers to a table of that, for which there is a letter for
//! each operand here ([`Role`]), or `ZO` for none.

use super::operand::RegisterClass;

/// A form of an instruction.
#[derive(Debug)]
pub(crate) struct Form {
    /// The column "Opcode".
    pub(super) opcode: &'static str,
    /// The column "Instruction".
    pub(super) instruction: &'static str,
    pub(super) prefix: Prefix,
    /// The byte that says which instruction it is.
    pub(super) byte: u8,
    pub(super) mod_rm: ModRm,
    /// Bytes of an immediate, or of the distance of a jump.
    pub(super) immediate: u8,
    pub(super) slots: [Option<Slot>; 4],
    /// Whether a mask may restrict it (`{k1}`), and may make zeros of the other lanes (`{z}`).
    pub(super) masks: bool,
    pub(super) zeroes: bool,
}

/// What comes before the opcode byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// 66, REX.W and 0F, each where it is there.
    Legacy {
        operand_size: bool,
        w: bool,
        escape: bool,
    },
    Vex(VectorPrefix),
    Evex(VectorPrefix, TupleType),
}

/// The fields of VEX and EVEX that belong to the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VectorPrefix {
    /// VEX.L or EVEX.L'L: the length of vectors is 128 bits times 2 to this power.
    pub(super) length: u8,
    /// The prefix that it stands for: none, 66, F3 or F2.
    pub(super) pp: u8,
    /// The map of opcodes: 0F, 0F38 or 0F3A.
    pub(super) map: u8,
    pub(super) w: bool,
}

/// The tuple type of EVEX: how much memory an operand is, in units of which a displacement of one byte counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TupleType {
    /// There is no memory, or it is no EVEX.
    NotApplicable,
    /// A vector, or one element of it for each lane.
    Full,
    FullMem,
    HalfMem,
    QuarterMem,
    EighthMem,
    /// An element.
    Tuple1Scalar,
}

/// What is in the byte ModRM beside an operand in r/m.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ModRm {
    /// There is no such byte.
    None,
    /// `/r`: a register; `/vsib`: one, and r/m is memory by a vector of indices.
    Register,
    /// `/0` to `/7`: a part of the opcode.
    Digit(u8),
    /// `+rd`: there is no such byte, but the opcode holds a register.
    InOpcode,
}

/// Where an operand is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `R`: ModRM:reg.
    Reg,
    /// `M`: ModRM:r/m, or memory by a vector of indices.
    Rm,
    /// `V`: VEX.vvvv or EVEX.vvvv.
    Vvvv,
    /// `O`: opcode + rd.
    Opcode,
    /// `I`: an immediate.
    Immediate,
    /// `S`: bits 7 to 4 of an immediate byte, a register.
    Is4,
    /// `D`: the distance of a jump.
    Offset,
}

/// What an operand may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) role: Role,
    /// A register.
    pub(super) register: Option<RegisterClass>,
    /// So many bytes of memory; 0 where only their address counts.
    pub(super) memory: Option<u8>,
    /// One element of so many bytes for each lane.
    pub(super) broadcast: Option<u8>,
    /// Memory at these indices.
    pub(super) indices: Option<RegisterClass>,
}

impl Form {
    /// A form in the notation of the manual. What that does not allow is an error when this crate is built.
    pub(super) const fn new(opcode: &'static str, instruction: &'static str, roles: &str, tuple: TupleType) -> Form {
        let mut form = Form {
            opcode,
            instruction,
            prefix: Prefix::Legacy { operand_size: false, w: false, escape: false },
            byte: 0,
            mod_rm: ModRm::None,
            immediate: 0,
            slots: [None; 4],
            masks: false,
            zeroes: false,
        };
        form.read_opcode(opcode.as_bytes(), tuple);
        form.read_instruction(instruction.as_bytes(), roles.as_bytes());
        form
    }

    const fn read_opcode(&mut self, text: &'static [u8], tuple: TupleType) {
        let (mut operand_size, mut w, mut escape) = (false, false, false);
        let mut rest = text;
        while !rest.is_empty() {
            let (word, after) = cut(rest, b' ');
            rest = after;
            let is_legacy = matches!(self.prefix, Prefix::Legacy { .. });
            match word {
                [b'V', b'E', b'X', b'.', fields @ ..] => self.prefix = Prefix::Vex(VectorPrefix::read(fields)),
                [b'E', b'V', b'E', b'X', b'.', fields @ ..] => {
                    self.prefix = Prefix::Evex(VectorPrefix::read(fields), tuple);
                }
                b"REX.W" => w = true,
                b"+" => {}
                b"66" if is_legacy => operand_size = true,
                b"0F" if is_legacy => escape = true,
                b"/r" | b"/vsib" => self.mod_rm = ModRm::Register,
                [b'/', digit @ b'0'..=b'7'] => self.mod_rm = ModRm::Digit(*digit - b'0'),
                b"ib" | b"/is4" => self.immediate = 1,
                b"id" | b"cd" => self.immediate = 4,
                b"io" => self.immediate = 8,
                [high, low] => self.byte = hexadecimal(*high) << 4 | hexadecimal(*low),
                [high, low, b'+', b'r', _] => {
                    self.byte = hexadecimal(*high) << 4 | hexadecimal(*low);
                    self.mod_rm = ModRm::InOpcode;
                }
                _ => panic!("a word of an opcode is not known"),
            }
        }
        if let Prefix::Legacy { .. } = self.prefix {
            self.prefix = Prefix::Legacy { operand_size, w, escape };
        }
    }

    const fn read_instruction(&mut self, text: &'static [u8], roles: &[u8]) {
        let (_, mut rest) = cut(text, b' ');
        let mut at = 0;
        while !rest.is_empty() {
            let (operand, after) = cut(rest, b',');
            rest = if let [b' ', after @ ..] = after { after } else { after };
            let (what, decoration) = cut(operand, b' ');
            if let [b'{', b'k', _, b'}', zeroes @ ..] = decoration {
                self.masks = true;
                self.zeroes = !zeroes.is_empty();
            }
            self.slots[at] = Some(Slot::read(what, roles[at]));
            at += 1;
        }
        assert!(at == roles.len() || at == 0 && matches!(roles, b"ZO"), "each operand has a role");
    }
}

impl VectorPrefix {
    /// `256.66.0F38.W0`, where the prefix may be missing, and what may be anything is 0.
    const fn read(text: &'static [u8]) -> VectorPrefix {
        let mut read = VectorPrefix { length: 0, pp: 0, map: 0, w: false };
        let mut rest = text;
        while !rest.is_empty() {
            let (field, after) = cut(rest, b'.');
            rest = after;
            match field {
                b"128" | b"L0" | b"LIG" | b"W0" | b"WIG" => {}
                b"256" | b"L1" => read.length = 1,
                b"512" => read.length = 2,
                b"66" => read.pp = 1,
                b"F3" => read.pp = 2,
                b"F2" => read.pp = 3,
                b"0F" => read.map = 1,
                b"0F38" => read.map = 2,
                b"0F3A" => read.map = 3,
                b"W1" => read.w = true,
                _ => panic!("a field of a prefix is not known"),
            }
        }
        assert!(read.map != 0, "a prefix has a map");
        read
    }

    /// Bytes of a vector.
    const fn bytes(self) -> u8 {
        16 << self.length
    }

    /// Bytes of an element.
    const fn element(self) -> u8 {
        if self.w { 8 } else { 4 }
    }
}

impl Prefix {
    /// What a displacement of one byte counts, in bytes.
    pub(super) fn disp8_unit(self, broadcast: bool) -> i32 {
        let Prefix::Evex(prefix, tuple) = self else { return 1 };
        i32::from(match tuple {
            TupleType::NotApplicable => 1,
            TupleType::Full if broadcast => prefix.element(),
            TupleType::Full | TupleType::FullMem => prefix.bytes(),
            TupleType::HalfMem => prefix.bytes() / 2,
            TupleType::QuarterMem => prefix.bytes() / 4,
            TupleType::EighthMem => prefix.bytes() / 8,
            TupleType::Tuple1Scalar => prefix.element(),
        })
    }
}

impl Slot {
    const fn read(text: &'static [u8], role: u8) -> Slot {
        let role = match role {
            b'R' => Role::Reg,
            b'M' => Role::Rm,
            b'V' => Role::Vvvv,
            b'O' => Role::Opcode,
            b'I' => Role::Immediate,
            b'S' => Role::Is4,
            b'D' => Role::Offset,
            _ => panic!("a role is not known"),
        };
        let mut slot = Slot { role, register: None, memory: None, broadcast: None, indices: None };
        let mut is_general = false;
        let mut rest = text;
        while !rest.is_empty() {
            let (part, after) = cut(rest, b'/');
            rest = after;
            match part {
                [b'i', b'm', b'm', ..] | [b'r', b'e', b'l', ..] => {}
                // The register of `r/m64` is as large as the memory.
                b"r" => is_general = true,
                [b'r', bits @ ..] => slot.register = Some(general(bytes(bits))),
                [b'k', _] => slot.register = Some(RegisterClass::K),
                [b'x', b'm', b'm', _] => slot.register = Some(RegisterClass::Xmm),
                [b'y', b'm', b'm', _] => slot.register = Some(RegisterClass::Ymm),
                [b'z', b'm', b'm', _] => slot.register = Some(RegisterClass::Zmm),
                [b'm', bits @ .., b'b', b'c', b's', b't'] => slot.broadcast = Some(bytes(bits)),
                [b'm', bits @ ..] => {
                    slot.memory = Some(bytes(bits));
                    if is_general {
                        slot.register = Some(general(bytes(bits)));
                    }
                }
                [b'v', b'm', bits @ .., vectors] => {
                    slot.memory = Some(bytes(bits));
                    slot.indices = Some(match vectors {
                        b'y' => RegisterClass::Ymm,
                        b'z' => RegisterClass::Zmm,
                        _ => panic!("a vector of indices is not known"),
                    });
                }
                _ => panic!("an operand is not known"),
            }
        }
        slot
    }
}

/// The general registers of so many bytes.
const fn general(bytes: u8) -> RegisterClass {
    match bytes {
        1 => RegisterClass::R8,
        2 => RegisterClass::R16,
        4 => RegisterClass::R32,
        8 => RegisterClass::R64,
        _ => panic!("there are no general registers of this size"),
    }
}

/// What is before a separator, and what is behind it.
const fn cut(text: &'static [u8], separator: u8) -> (&'static [u8], &'static [u8]) {
    let mut at = 0;
    while at < text.len() {
        if text[at] == separator {
            return (text.split_at(at).0, text.split_at(at + 1).1);
        }
        at += 1;
    }
    (text, &[])
}

const fn hexadecimal(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'A'..=b'F' => digit - b'A' + 10,
        _ => panic!("a digit is not hexadecimal"),
    }
}

/// The bytes of so many bits, in decimal digits.
const fn bytes(digits: &[u8]) -> u8 {
    let (mut at, mut bits) = (0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "a number has digits");
        bits = 10 * bits + (digits[at] - b'0') as u16;
        at += 1;
    }
    (bits / 8) as u8
}
