//! The list of all operators.

use super::*;

/// Every operator, in the order of its name.
pub static ALL: &[&OpDef] = &[
    &add::ADD,
    &broadcast::BROADCAST,
    &div::DIV,
    &eq::EQ,
    &exp::EXP,
    &full::FULL,
    &gt::GT,
    &log::LOG,
    &matmul::MATMUL,
    &max::MAX,
    &mul::MUL,
    &neg::NEG,
    &reduce_sum::REDUCE_SUM,
    &reshape::RESHAPE,
    &select::SELECT,
    &sub::SUB,
    &transpose::TRANSPOSE,
];

/// The operator called `name`.
pub fn find(name: &str) -> Option<&'static OpDef> {
    ALL.iter().find(|def| def.name == name).copied()
}
