//! Expressions.

use gradc_diagnostics::Span;

use super::{Block, Name};

/// An expression with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// Which one.
    pub kind: ExprKind,
    /// The whole expression, with parentheses around it.
    pub span: Span,
    height: u32,
}

impl Expr {
    /// An expression of this kind.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        let height = kind.height_below() + 1;
        Self { kind, span, height }
    }

    /// The most expressions, statements and blocks on a path from here to a leaf, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1_000`: no point and no exponent.
    Int(i64),
    /// `0.5`, `1e-3`. Always finite.
    Float(f64),
    /// `true` or `false`
    Bool(bool),
    /// `"text"`, escapes resolved.
    String(String),
    /// `name`
    Name(String),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `-x` or `!x`
    Unary {
        /// Which.
        op: UnaryOp,
        /// On what.
        operand: Box<Expr>,
    },
    /// `a + b`
    Binary {
        /// Which.
        op: BinaryOp,
        /// The operator's own place.
        op_span: Span,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// `f(a, name = b, _)`
    Call {
        /// What is called.
        callee: Box<Expr>,
        /// The arguments, in order; positional ones come first.
        arguments: Vec<Argument>,
    },
    /// `x[1:3, :, -1, ..]`
    Index {
        /// What is indexed.
        base: Box<Expr>,
        /// One for each axis that is named.
        subscripts: Vec<Subscript>,
    },
    /// `x.T`, `x.shape`
    Field {
        /// Of what.
        base: Box<Expr>,
        /// Which; not checked here.
        field: Name,
    },
    /// `if c { a } else if d { b } else { e }`
    If {
        /// The conditions with their bodies, at least one.
        branches: Vec<Branch>,
        /// The body after the last `else`.
        otherwise: Option<Block>,
    },
    /// `scan x_t in x, m_t in mask, axis = 1 { … }`
    Scan {
        /// The sequences, at least one.
        sequences: Vec<Sequence>,
        /// What follows them; not checked here.
        options: Vec<ScanOption>,
        /// One step.
        body: Box<Block>,
    },
    /// Something that could not be parsed, which has been reported.
    Error,
}

impl ExprKind {
    fn height_below(&self) -> u32 {
        fn tallest(heights: impl Iterator<Item = u32>) -> u32 {
            heights.max().unwrap_or(0)
        }
        match self {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::String(_)
            | ExprKind::Name(_)
            | ExprKind::Error => 0,
            ExprKind::List(elements) => tallest(elements.iter().map(Expr::height)),
            ExprKind::Unary { operand, .. } => operand.height,
            ExprKind::Binary { left, right, .. } => left.height.max(right.height),
            ExprKind::Call { callee, arguments } => tallest(arguments.iter().map(Argument::height)).max(callee.height),
            ExprKind::Index { base, subscripts } => tallest(subscripts.iter().map(Subscript::height)).max(base.height),
            ExprKind::Field { base, .. } => base.height,
            ExprKind::If { branches, otherwise } => {
                let heights = branches.iter().map(|branch| branch.condition.height.max(branch.body.height()));
                tallest(heights.chain(otherwise.iter().map(Block::height)))
            }
            ExprKind::Scan { sequences, options, body } => {
                let sequences = sequences.iter().map(|sequence| sequence.value.height);
                let options = options.iter().map(|option| option.value.height);
                tallest(sequences.chain(options)).max(body.height())
            }
        }
    }
}

/// `x_t in x`: a variable of a `scan` and the tensor whose slices it stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The variable.
    pub variable: Name,
    /// The tensor.
    pub value: Expr,
}

/// `name = value` after the sequences of a `scan`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanOption {
    /// Which option.
    pub name: Name,
    /// What it is set to.
    pub value: Expr,
}

/// One condition of an `if`, with its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// What decides; known when compiling.
    pub condition: Expr,
    /// What it decides about.
    pub body: Block,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// The name in `name = value`.
    pub name: Option<Name>,
    /// The value.
    pub value: ArgumentValue,
    /// The whole argument.
    pub span: Span,
}

impl Argument {
    fn height(&self) -> u32 {
        match &self.value {
            ArgumentValue::Expr(value) => value.height,
            ArgumentValue::Hole => 0,
        }
    }
}

/// What is passed.
#[derive(Debug, Clone, PartialEq)]
pub enum ArgumentValue {
    /// An expression.
    Expr(Expr),
    /// `_`: left open, which makes the call a partial application.
    Hole,
}

/// One entry between the brackets of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscript {
    /// Which one.
    pub kind: SubscriptKind,
    /// The whole entry.
    pub span: Span,
}

impl Subscript {
    fn height(&self) -> u32 {
        match &self.kind {
            SubscriptKind::At(index) => index.height,
            SubscriptKind::Rest => 0,
            SubscriptKind::Slice { start, stop, step } => {
                let parts = [start, stop, step];
                let heights = parts.into_iter().flatten().map(|part| part.height);
                heights.max().unwrap_or(0)
            }
        }
    }
}

/// How one axis is indexed.
#[derive(Debug, Clone, PartialEq)]
pub enum SubscriptKind {
    /// `i`: takes one and drops the axis.
    At(Expr),
    /// `start:stop:step`, each of which may be left out.
    Slice {
        /// The first index.
        start: Option<Expr>,
        /// The index after the last.
        stop: Option<Expr>,
        /// The distance between two.
        step: Option<Expr>,
    },
    /// `..`: all axes that the other entries do not name.
    Rest,
}

/// An operator before its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `!`
    Not,
}

impl UnaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "!",
        }
    }
}

/// An operator between its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `||`
    Or,
    /// `&&`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `@`
    MatMul,
    /// `**`
    Pow,
}

impl BinaryOp {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "||",
            BinaryOp::And => "&&",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
            BinaryOp::MatMul => "@",
            BinaryOp::Pow => "**",
        }
    }

    /// Whether it compares: these do not associate, `a < b < c` is an error.
    pub fn is_comparison(self) -> bool {
        matches!(self, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
    }
}
