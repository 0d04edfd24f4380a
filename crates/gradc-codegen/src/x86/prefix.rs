//! What comes before the opcode: REX, VEX and EVEX (volume 2 of the manual, sections 2.2.1, 2.3.5 and 2.7.1).

use super::form::{Prefix, VectorPrefix};
use super::operand::Mask;

/// The numbers of the registers of an instruction. ModRM, SIB and the opcode hold three bits of each; the prefix holds the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// ModRM:reg.
    pub(super) reg: u8,
    /// VEX.vvvv, which the prefix holds alone.
    pub(super) vvvv: u8,
    /// SIB:index.
    pub(super) index: u8,
    /// ModRM:r/m, SIB:base, or the register in the opcode.
    pub(super) base: u8,
    /// Whether `base` is the number of a register in ModRM:r/m, and so there is no index.
    pub(super) rm_is_register: bool,
    /// Whether `index` is the number of a vector register.
    pub(super) index_is_vector: bool,
    /// Whether a byte is operated on that has a register only where there is a prefix: spl, bpl, sil or dil.
    pub(super) needs_rex: bool,
}

fn bit(number: u8, which: u8) -> u8 {
    number >> which & 1
}

/// What of EVEX belongs neither to the opcode nor to a register.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context {
    pub(super) mask: Option<Mask>,
    pub(super) broadcast: bool,
}

impl Prefix {
    /// Appends the prefix.
    pub(super) fn encode(self, code: &mut Vec<u8>, numbers: &Numbers, context: Context) {
        match self {
            Prefix::Legacy { operand_size, w, escape } => {
                if operand_size {
                    code.push(0x66);
                }
                let rex =
                    u8::from(w) << 3 | bit(numbers.reg, 3) << 2 | bit(numbers.index, 3) << 1 | bit(numbers.base, 3);
                if rex != 0 || numbers.needs_rex {
                    code.push(0x40 | rex);
                }
                if escape {
                    code.push(0x0f);
                }
            }
            Prefix::Vex(prefix) => prefix.vex(code, numbers),
            Prefix::Evex(prefix, _) => prefix.evex(code, numbers, context),
        }
    }
}

impl VectorPrefix {
    /// Two bytes where that is enough, three otherwise. All bits of register numbers are inverted.
    fn vex(self, code: &mut Vec<u8>, numbers: &Numbers) {
        let [r, x, b] = [numbers.reg, numbers.index, numbers.base].map(|number| bit(number, 3) ^ 1);
        let last = (numbers.vvvv ^ 0b1111) << 3 | self.length << 2 | self.pp;
        if x == 1 && b == 1 && !self.w && self.map == 1 {
            code.extend([0xc5, r << 7 | last]);
        } else {
            code.extend([0xc4, r << 7 | x << 6 | b << 5 | self.map, u8::from(self.w) << 7 | last]);
        }
    }

    /// Four bytes. R′, X and V′ are a fifth bit of registers: that of a register in r/m is in X, that of a vector of indices in V′.
    fn evex(self, code: &mut Vec<u8>, numbers: &Numbers, context: Context) {
        let Numbers { reg, vvvv, index, base, .. } = *numbers;
        let r = bit(reg, 3) ^ 1;
        let x = if numbers.rm_is_register { bit(base, 4) } else { bit(index, 3) } ^ 1;
        let b = bit(base, 3) ^ 1;
        let r_prime = bit(reg, 4) ^ 1;
        let v_prime = bit(if numbers.index_is_vector { index } else { vvvv }, 4) ^ 1;
        let mask = context.mask.map_or(0, |mask| mask.register.number);
        let zeroing = context.mask.is_some_and(|mask| mask.zeroing);
        code.extend([
            0x62,
            r << 7 | x << 6 | b << 5 | r_prime << 4 | self.map,
            u8::from(self.w) << 7 | (vvvv & 0b1111 ^ 0b1111) << 3 | 1 << 2 | self.pp,
            u8::from(zeroing) << 7 | self.length << 5 | u8::from(context.broadcast) << 4 | v_prime << 3 | mask,
        ]);
    }
}
