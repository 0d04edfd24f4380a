//! What can go wrong.

use std::fmt;

/// Why a plan was not compiled. After elaboration nothing that a user wrote leads here but the size of memory.
#[derive(Debug)]
pub enum CodegenError {
    /// The plan is not well-formed: a bug of an earlier stage.
    Invalid {
        /// Which kernel or step.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// This machine is not one that code can be made for.
    Target(String),
    /// The code generator failed.
    Cranelift(String),
    /// A kernel of wide vectors could not be encoded: a bug.
    Wide(String),
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodegenError::Invalid { place, problem } => write!(f, "{place}: {problem}"),
            CodegenError::Target(problem) => write!(f, "no code can be made for this machine: {problem}"),
            CodegenError::Cranelift(problem) | CodegenError::Wide(problem) => {
                write!(f, "code generation failed: {problem}")
            }
        }
    }
}

impl std::error::Error for CodegenError {}

/// Why a program did not run: the caller gave it something else than it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunError {
    /// Another number of slots.
    SlotCount {
        /// As many as the plan's interface has.
        expected: usize,
        /// As many as were given.
        given: usize,
    },
    /// A slot has another size.
    SlotSize {
        /// The slot's name.
        slot: String,
        /// Its size in bytes.
        expected: usize,
        /// The size in bytes of what was given.
        given: usize,
    },
    /// A slot is not aligned to its element size.
    SlotAlignment {
        /// The slot's name.
        slot: String,
    },
    /// A slot that the program writes was given for reading only.
    SlotReadOnly {
        /// The slot's name.
        slot: String,
    },
    /// The arena was made for another program.
    Arena,
    /// There is not enough memory for an arena.
    OutOfMemory {
        /// The size that was asked for.
        bytes: usize,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::SlotCount { expected, given } => {
                write!(f, "the program has {expected} slots, and {given} were given")
            }
            RunError::SlotSize { slot, expected, given } => {
                write!(f, "`{slot}` takes {expected} bytes, and {given} were given")
            }
            RunError::SlotAlignment { slot } => write!(f, "the memory for `{slot}` is not aligned to its elements"),
            RunError::SlotReadOnly { slot } => {
                write!(f, "`{slot}` is written by the program, and was given for reading only")
            }
            RunError::Arena => f.write_str("the arena was made for another program"),
            RunError::OutOfMemory { bytes } => write!(f, "there is not enough memory for an arena of {bytes} bytes"),
        }
    }
}

impl std::error::Error for RunError {}
