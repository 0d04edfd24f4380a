//! What instructions work on: registers, memory, numbers.

/// Which registers, and how much of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegisterClass {
    R8,
    R16,
    R32,
    R64,
    /// Masks.
    K,
    Xmm,
    Ymm,
    Zmm,
}

/// A register, numbered as the machine numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Register {
    pub(crate) class: RegisterClass,
    pub(crate) number: u8,
}

impl Register {
    pub(crate) const RAX: Register = Register::new(RegisterClass::R64, 0);
    pub(crate) const RSP: Register = Register::new(RegisterClass::R64, 4);
    pub(crate) const RBP: Register = Register::new(RegisterClass::R64, 5);
    pub(crate) const RDI: Register = Register::new(RegisterClass::R64, 7);
    pub(crate) const R11: Register = Register::new(RegisterClass::R64, 11);

    pub(crate) const fn new(class: RegisterClass, number: u8) -> Register {
        Register { class, number }
    }

    /// The register of another class with this number: more or less of the same one, if both are general or both vectors.
    pub(crate) const fn of(self, class: RegisterClass) -> Register {
        Register::new(class, self.number)
    }
}

/// What an address counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    None,
    Register(Register),
    /// The place of a label, which is known when all code is. Nothing is added to it.
    Label(u32),
}

/// An operand in memory: at `base + index · scale + displacement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) base: Base,
    /// A general register, or a vector of them for a gather.
    pub(crate) index: Option<Register>,
    /// 1, 2, 4 or 8.
    pub(crate) scale: u8,
    pub(crate) displacement: i32,
    /// Whether it is one element, meant for each lane.
    pub(crate) broadcast: bool,
}

impl Memory {
    /// What is so many bytes from where a register points.
    pub(crate) fn at(base: Register, displacement: i32) -> Memory {
        Memory { base: Base::Register(base), index: None, scale: 1, displacement, broadcast: false }
    }

    /// What is at a label.
    pub(crate) fn label(label: u32) -> Memory {
        Memory { base: Base::Label(label), index: None, scale: 1, displacement: 0, broadcast: false }
    }
}

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Register(Register),
    Memory(Memory),
    Immediate(i64),
    /// A place in the code, to jump to.
    Target(usize),
}

impl From<Register> for Operand {
    fn from(register: Register) -> Operand {
        Operand::Register(register)
    }
}

impl From<Memory> for Operand {
    fn from(memory: Memory) -> Operand {
        Operand::Memory(memory)
    }
}

impl From<i64> for Operand {
    fn from(number: i64) -> Operand {
        Operand::Immediate(number)
    }
}

/// A mask that restricts an instruction to some lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask {
    /// k1 to k7.
    pub(crate) register: Register,
    /// Whether the other lanes of the result become zero; they stay as they are otherwise.
    pub(crate) zeroing: bool,
}
