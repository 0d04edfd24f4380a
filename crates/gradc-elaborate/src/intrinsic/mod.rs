//! The builtin functions: those that are one operator of the graph or know something when compiling. Everything that
//! can be written in the language is in the prelude instead.

mod arguments;
mod einsum;
mod elementwise;
mod gather;
mod movement;
mod query;
mod reduce;
mod source;
mod windows;

use std::fmt;

use gradc_diagnostics::Span;
use gradc_ir::op::{self, OpDef};
use gradc_ir::{DType, Init};

use crate::eval::Evaluator;
use crate::value::{Slot, Value};

pub(crate) use arguments::Arguments;

/// A builtin function.
pub(crate) struct Intrinsic {
    pub(crate) name: &'static str,
    /// Names of the parameters, and whether each is required.
    pub(crate) parameters: &'static [(&'static str, bool)],
    action: Action,
}

impl fmt::Debug for Intrinsic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

enum Action {
    /// An elementwise operator of one operand, which also works on numbers.
    Unary(&'static OpDef),
    /// An elementwise operator of two, which also works on numbers.
    Binary(&'static OpDef),
    /// A reduction.
    Reduce(&'static OpDef),
    /// An elementwise operator of two, or with one operand a reduction.
    BinaryOrReduce(&'static OpDef, &'static OpDef),
    /// A recipe for a parameter.
    Init(InitKind),
    /// A constant tensor; also a recipe.
    Filled(f64),
    /// Anything else.
    Function(fn(&mut Evaluator<'_>, &Arguments<'_>) -> Option<Value>),
}

/// The kinds of recipes for a parameter's first value that are builtin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InitKind {
    Constant,
    Uniform,
    Normal,
    TruncatedNormal,
    Orthogonal,
}

impl InitKind {
    /// As [`Init::from_parts`] knows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            InitKind::Constant => "constant",
            InitKind::Uniform => "uniform",
            InitKind::Normal => "normal",
            InitKind::TruncatedNormal => "truncated_normal",
            InitKind::Orthogonal => "orthogonal",
        }
    }

    /// What is taken for arguments that are left out.
    fn defaults(self) -> &'static [f64] {
        match self {
            InitKind::Constant => &[0.0],
            InitKind::Uniform => &[0.0, 1.0],
            InitKind::Normal | InitKind::TruncatedNormal => &[0.0, 1.0],
            InitKind::Orthogonal => &[1.0],
        }
    }
}

/// A name that is always known.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Builtin {
    Intrinsic(&'static Intrinsic),
    DType(DType),
    All,
    Infinity,
    /// Whether what is compiled is a training step or its gradient.
    Training,
}

const UNARY: &[(&str, bool)] = &[("x", true)];
const BINARY: &[(&str, bool)] = &[("a", true), ("b", true)];
const REDUCE: &[(&str, bool)] = &[("x", true), ("axis", false), ("keep", false)];
const WINDOW: &[(&str, bool)] = &[("x", true), ("axis", true), ("size", true), ("stride", false), ("dilation", false)];
const OVERLAP_ADD: &[(&str, bool)] =
    &[("x", true), ("axis", true), ("extent", false), ("stride", false), ("dilation", false)];
const EINSUM: &[(&str, bool)] = &[
    ("equation", true),
    ("a", true),
    ("b", false),
    ("c", false),
    ("d", false),
    ("e", false),
    ("f", false),
    ("g", false),
    ("h", false),
];
const BINARY_OR_REDUCE: &[(&str, bool)] = &[("a", true), ("b", false), ("axis", false), ("keep", false)];

const fn intrinsic(name: &'static str, parameters: &'static [(&'static str, bool)], action: Action) -> Intrinsic {
    Intrinsic { name, parameters, action }
}

/// All of them, by name.
static ALL: &[Intrinsic] = &[
    intrinsic("abs", UNARY, Action::Unary(&op::abs::ABS)),
    intrinsic("broadcast", &[("x", true), ("dims", true)], Action::Function(movement::broadcast)),
    intrinsic("cast", &[("x", true), ("type", true)], Action::Function(elementwise::cast)),
    intrinsic("ceil", UNARY, Action::Unary(&op::ceil::CEIL)),
    intrinsic("concat", &[("parts", true), ("axis", false)], Action::Function(movement::concat)),
    intrinsic("constant", &[("value", true)], Action::Init(InitKind::Constant)),
    intrinsic("dim", &[("x", true), ("axis", true)], Action::Function(query::dim)),
    intrinsic("dtype", UNARY, Action::Function(query::dtype)),
    intrinsic("einsum", EINSUM, Action::Function(einsum::einsum)),
    intrinsic("erf", UNARY, Action::Unary(&op::erf::ERF)),
    intrinsic("erfc", UNARY, Action::Unary(&op::erfc::ERFC)),
    intrinsic("exp", UNARY, Action::Unary(&op::exp::EXP)),
    intrinsic("expm1", UNARY, Action::Unary(&op::expm1::EXPM1)),
    intrinsic("fail", &[("message", true)], Action::Function(query::fail)),
    intrinsic("floor", UNARY, Action::Unary(&op::floor::FLOOR)),
    intrinsic("full", &[("dims", true), ("value", true), ("type", false)], Action::Function(source::full)),
    intrinsic("gather", &[("x", true), ("indices", true), ("axis", false)], Action::Function(gather::gather)),
    intrinsic("iota", &[("n", true), ("type", false)], Action::Function(source::iota)),
    intrinsic("is_int", UNARY, Action::Function(query::is_int)),
    intrinsic("is_list", UNARY, Action::Function(query::is_list)),
    intrinsic("is_number", UNARY, Action::Function(query::is_number)),
    intrinsic("is_tensor", UNARY, Action::Function(query::is_tensor)),
    intrinsic("len", &[("list", true)], Action::Function(query::len)),
    intrinsic("log", UNARY, Action::Unary(&op::log::LOG)),
    intrinsic("log1p", UNARY, Action::Unary(&op::log1p::LOG1P)),
    intrinsic("max", BINARY_OR_REDUCE, Action::BinaryOrReduce(&op::max::MAX, &op::reduce_max::REDUCE_MAX)),
    intrinsic("mean", REDUCE, Action::Reduce(&op::reduce_mean::REDUCE_MEAN)),
    intrinsic("min", BINARY_OR_REDUCE, Action::BinaryOrReduce(&op::min::MIN, &op::reduce_min::REDUCE_MIN)),
    intrinsic("normal", &[("mean", false), ("std", false)], Action::Init(InitKind::Normal)),
    intrinsic("one_hot", &[("indices", true), ("n", true), ("type", false)], Action::Function(gather::one_hot)),
    intrinsic("ones", &[("dims", true), ("type", false)], Action::Filled(1.0)),
    intrinsic("orthogonal", &[("gain", false)], Action::Init(InitKind::Orthogonal)),
    intrinsic("overlap_add", OVERLAP_ADD, Action::Function(windows::overlap_add)),
    intrinsic("pad", &[("x", true), ("low", true), ("high", true), ("value", false)], Action::Function(movement::pad)),
    intrinsic("pow", BINARY, Action::Binary(&op::pow::POW)),
    intrinsic("random", &[("dims", true), ("type", false)], Action::Function(source::random)),
    intrinsic("rank", UNARY, Action::Function(query::rank)),
    intrinsic("reshape", &[("x", true), ("dims", true)], Action::Function(movement::reshape)),
    intrinsic("round", UNARY, Action::Unary(&op::round::ROUND)),
    intrinsic("rsqrt", UNARY, Action::Unary(&op::rsqrt::RSQRT)),
    intrinsic("select", &[("condition", true), ("a", true), ("b", true)], Action::Function(elementwise::select)),
    intrinsic("sigmoid", UNARY, Action::Unary(&op::sigmoid::SIGMOID)),
    intrinsic("sign", UNARY, Action::Unary(&op::sign::SIGN)),
    intrinsic("size", UNARY, Action::Function(query::size)),
    intrinsic("sqrt", UNARY, Action::Unary(&op::sqrt::SQRT)),
    intrinsic("stop_gradient", UNARY, Action::Function(elementwise::stop_gradient)),
    intrinsic("sum", REDUCE, Action::Reduce(&op::reduce_sum::REDUCE_SUM)),
    intrinsic("tanh", UNARY, Action::Unary(&op::tanh::TANH)),
    intrinsic("transpose", &[("x", true), ("axes", true)], Action::Function(movement::transpose)),
    intrinsic("truncated_normal", &[("mean", false), ("std", false)], Action::Init(InitKind::TruncatedNormal)),
    intrinsic("uniform", &[("low", false), ("high", false)], Action::Init(InitKind::Uniform)),
    intrinsic("window", WINDOW, Action::Function(windows::window)),
    intrinsic("zeros", &[("dims", true), ("type", false)], Action::Filled(0.0)),
];

impl Intrinsic {
    /// The recipe that the bare name stands for in a `param`: `zeros` and `ones`.
    pub(crate) fn constant_init(&self) -> Option<Init> {
        match self.action {
            Action::Filled(value) => Some(Init::Constant(value.into())),
            Action::Init(InitKind::Orthogonal) => Init::from_parts("orthogonal", &[1.0]),
            _ => None,
        }
    }
}

/// What a builtin name means.
pub(crate) fn builtin(name: &str) -> Option<Builtin> {
    let position = ALL.binary_search_by(|intrinsic| intrinsic.name.cmp(name)).ok();
    match position {
        Some(position) => Some(Builtin::Intrinsic(&ALL[position])),
        None if name == "all" => Some(Builtin::All),
        None if name == "inf" => Some(Builtin::Infinity),
        None if name == "training" => Some(Builtin::Training),
        None => DType::from_name(name).map(Builtin::DType),
    }
}

/// Every builtin name.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter()
        .map(|intrinsic| intrinsic.name)
        .chain(DType::ALL.into_iter().map(DType::name))
        .chain(["all", "inf", "training"])
}

/// How an operator is written in the language.
pub(crate) fn shown_name(def: &'static OpDef) -> &'static str {
    match def.notation {
        op::Notation::Infix(symbol) | op::Notation::Prefix(symbol) => symbol,
        op::Notation::Call => def.name,
    }
}

/// Applies a builtin to complete arguments, none of which is an error.
pub(crate) fn run(evaluator: &mut Evaluator<'_>, intrinsic: &'static Intrinsic, slots: &[Slot], span: Span) -> Value {
    let arguments = Arguments::new(intrinsic, slots, span);
    let value = match intrinsic.action {
        Action::Unary(def) => elementwise::unary(evaluator, def, &arguments),
        Action::Binary(def) => elementwise::binary(evaluator, def, &arguments),
        Action::Reduce(def) => reduce::reduce(evaluator, def, &arguments),
        Action::BinaryOrReduce(binary, reduction) => match arguments.given(1) {
            Some(_) => elementwise::binary_without_axis(evaluator, binary, &arguments),
            None => reduce::reduce_or_keep(evaluator, reduction, &arguments),
        },
        Action::Init(kind) => source::recipe(evaluator, kind, &arguments),
        Action::Filled(value) => source::filled(evaluator, value, &arguments),
        Action::Function(function) => function(evaluator, &arguments),
    };
    value.unwrap_or(Value::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_names_are_found() {
        assert!(ALL.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(names().all(|name| builtin(name).is_some()));
        assert!(builtin("relu").is_none());
    }
}
