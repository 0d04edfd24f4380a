//! Addresses: ModRM, SIB and displacement (volume 2 of the manual, sections 2.1.5 and 2.2.1.6).

use super::operand::{Base, Memory, RegisterClass};

/// An address as it is encoded, all but what the prefix holds of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// ModRM:mod.
    pub(super) mode: u8,
    /// ModRM:r/m.
    pub(super) rm: u8,
    pub(super) sib: Option<u8>,
    pub(super) displacement: Displacement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Displacement {
    /// In units of the operand.
    Byte(i8),
    Double(i32),
    /// The distance to a label, of 32 bits.
    Label(u32),
}

/// r/m where there is a SIB.
const HAS_SIB: u8 = 0b100;
/// r/m where an address counts from the end of the instruction, and SIB:base where it counts from 0; mod is 00 for both.
const NO_BASE: u8 = 0b101;
/// SIB:index where there is no index. So rsp cannot be one, but r12 can.
const NO_INDEX: u8 = 0b100;

impl Address {
    /// How memory is encoded, or `None` where it cannot be, in an instruction in which displacements of one byte count so many.
    ///
    /// A displacement of 0 is written as any other. With most bases an address could do without, but not with rbp and r13.
    pub(super) fn new(memory: &Memory, unit: i32) -> Option<Address> {
        let Memory { base, index, scale, displacement, .. } = *memory;
        if let Base::Label(label) = base {
            let displacement = Displacement::Label(label);
            return (index.is_none() && memory.displacement == 0).then_some(Address {
                mode: 0b00,
                rm: NO_BASE,
                sib: None,
                displacement,
            });
        }
        let index = match index {
            Some(index) if index.class == RegisterClass::R64 && index.number == NO_INDEX => return None,
            Some(index) => index.number & 0b111,
            None => NO_INDEX,
        };
        let scale = matches!(scale, 1 | 2 | 4 | 8).then_some(scale.trailing_zeros() as u8)?;
        let sib = |base: u8| Some(scale << 6 | index << 3 | base);
        let Base::Register(base) = base else {
            return Some(Address {
                mode: 0b00,
                rm: HAS_SIB,
                sib: sib(NO_BASE),
                displacement: Displacement::Double(displacement),
            });
        };
        let base = base.number & 0b111;
        let units = (displacement % unit == 0).then(|| i8::try_from(displacement / unit).ok()).flatten();
        let (mode, displacement) = match units {
            Some(units) => (0b01, Displacement::Byte(units)),
            None => (0b10, Displacement::Double(displacement)),
        };
        let (rm, sib) = if memory.index.is_some() || base == HAS_SIB { (HAS_SIB, sib(base)) } else { (base, None) };
        Some(Address { mode, rm, sib, displacement })
    }
}
