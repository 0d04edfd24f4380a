//! The instructions that are used, in the notation of Intel's manual (volume 2 of the Software Developer's Manual).
//!
//! A row is a name, the columns "Opcode" and "Instruction" of the manual, where each operand is encoded ([`Role`](super::form)
//! lists the letters), and for EVEX the tuple type. Of several forms of an instruction the name says which it is.

pub(crate) mod evex;
pub(crate) mod general;
pub(crate) mod vex;

/// Declares forms, and a list of all of them for tests.
macro_rules! forms {
    (tuple) => { $crate::x86::form::TupleType::NotApplicable };
    (tuple $tuple:ident) => { $crate::x86::form::TupleType::$tuple };
    ($($name:ident: $opcode:literal, $instruction:literal, $roles:ident $($tuple:ident)?;)*) => {
        $(
            #[doc = concat!("`", $instruction, "`: `", $opcode, "`")]
            pub(crate) static $name: $crate::x86::form::Form = $crate::x86::form::Form::new(
                $opcode,
                $instruction,
                stringify!($roles),
                $crate::x86::opcodes::forms!(tuple $($tuple)?),
            );
        )*

        #[cfg(test)]
        pub(crate) static ALL: &[&$crate::x86::form::Form] = &[$(&$name),*];
    };
}
use forms;
