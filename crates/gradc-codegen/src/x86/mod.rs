//! Machine code of x86-64: the instructions that wide vectors are made of, and no others.
//!
//! [`opcodes`] is the table of them, in the notation of Intel's manual, which [`form`] reads. An [`operand`] is a register, memory
//! or a number. The [`assembler`] puts both together, with [`prefix`] and [`address`] for the parts of an instruction that are
//! the same in all; [`listing`] writes instructions as text. The tests encode and write every form with every register and all
//! kinds of addresses with the crate iced-x86 as well.

mod address;
mod assembler;
mod form;
mod listing;
pub(crate) mod opcodes;
mod operand;
mod prefix;
#[cfg(test)]
mod tests;

pub(crate) use assembler::{Assembler, Code};
pub(crate) use form::Form;
pub(crate) use operand::{Base, Mask, Memory, Operand, Register, RegisterClass};
