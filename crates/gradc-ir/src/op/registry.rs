//! The list of all operators.

use super::*;

/// Every operator, in the order of its file.
pub static ALL: &[&OpDef] = &[
    &abs::ABS,
    &add::ADD,
    &and::AND,
    &broadcast::BROADCAST,
    &cast::CAST,
    &concat::CONCAT,
    &div::DIV,
    &eq::EQ,
    &erf::ERF,
    &exp::EXP,
    &expm1::EXPM1,
    &full::FULL,
    &gather::GATHER,
    &ge::GE,
    &gt::GT,
    &iota::IOTA,
    &le::LE,
    &log::LOG,
    &log1p::LOG1P,
    &lt::LT,
    &matmul::MATMUL,
    &max::MAX,
    &min::MIN,
    &mul::MUL,
    &ne::NE,
    &neg::NEG,
    &not::NOT,
    &one_hot::ONE_HOT,
    &or::OR,
    &overlap_add::OVERLAP_ADD,
    &pad::PAD,
    &pow::POW,
    &random::RANDOM,
    &reduce_max::REDUCE_MAX,
    &reduce_mean::REDUCE_MEAN,
    &reduce_min::REDUCE_MIN,
    &reduce_sum::REDUCE_SUM,
    &reshape::RESHAPE,
    &rsqrt::RSQRT,
    &scan::SCAN,
    &scatter_add::SCATTER_ADD,
    &select::SELECT,
    &sigmoid::SIGMOID,
    &sign::SIGN,
    &slice::SLICE,
    &sqrt::SQRT,
    &stop_gradient::STOP_GRADIENT,
    &sub::SUB,
    &tanh::TANH,
    &transpose::TRANSPOSE,
    &window::WINDOW,
];

/// The operator called `name`.
pub fn find(name: &str) -> Option<&'static OpDef> {
    ALL.iter().find(|def| def.name == name).copied()
}
