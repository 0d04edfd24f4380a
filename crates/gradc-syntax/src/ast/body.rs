//! Blocks and the statements in them.

use gradc_diagnostics::Span;

use super::{Expr, Name, Type};

/// `{ statements value }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// The statements, without the last expression.
    pub statements: Vec<Statement>,
    /// The last expression, if the block ends with one.
    pub value: Option<Box<Expr>>,
    /// From brace to brace.
    pub span: Span,
    height: u32,
}

impl Block {
    /// A block of these parts.
    pub fn new(statements: Vec<Statement>, value: Option<Expr>, span: Span) -> Self {
        let tallest = statements.iter().map(Statement::height);
        let height = tallest.chain(value.iter().map(Expr::height)).max();
        Self { height: height.unwrap_or(0) + 1, statements, value: value.map(Box::new), span }
    }

    /// The most expressions, statements and blocks on a path from here to a leaf, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }
}

/// One statement with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// Which one.
    pub kind: StatementKind,
    /// The whole statement.
    pub span: Span,
}

/// What can stand in a body. Which of them are allowed in which body is not decided here.
#[derive(Debug, Clone, PartialEq)]
pub enum StatementKind {
    /// `param w: [i, units] = init`
    Param {
        /// The parameter's name.
        name: Name,
        /// Its type.
        ty: Type,
        /// An initializer, a call of one, or a number.
        init: Expr,
    },
    /// `state running_mean: [c] = zeros`
    State {
        /// The state's name.
        name: Name,
        /// Its type.
        ty: Type,
        /// An initializer, a call of one, or a number.
        init: Expr,
    },
    /// `update running_mean = value`
    Update {
        /// The state that has this value from the next training step on.
        name: Name,
        /// The value.
        value: Expr,
    },
    /// `let name = value`
    Let {
        /// The new name.
        name: Name,
        /// Its value.
        value: Expr,
    },
    /// `name = value`
    Assign {
        /// The name that is bound again.
        name: Name,
        /// Its new value.
        value: Expr,
    },
    /// `for i in start..end { … }`
    For {
        /// The variable.
        variable: Name,
        /// The first value.
        start: Expr,
        /// One more than the last value.
        end: Expr,
        /// What is repeated. Its [`Block::value`] is always `None`.
        body: Block,
    },
    /// `input pixels: f32[batch, 64]`
    Input {
        /// The input's name.
        name: Name,
        /// Its type.
        ty: Type,
    },
    /// `output logits` or `output probs = softmax(logits)`
    Output {
        /// The output's name.
        name: Name,
        /// Its value; without one, that of the name.
        value: Option<Expr>,
    },
    /// `loss cross_entropy(logits, label)`
    Loss {
        /// The loss.
        value: Expr,
    },
    /// `metric top = accuracy(logits, label)`
    Metric {
        /// The name under which it is shown.
        name: Name,
        /// Its value.
        value: Expr,
    },
    /// An `if` or a `scan` that is not the last in its block, and stands there for the statements in it.
    Expr(Expr),
    /// Something that could not be parsed, which has been reported.
    Error {
        /// The name that it would have declared, if that could be read: its uses are not errors.
        name: Option<Name>,
    },
}

impl Statement {
    /// The most expressions, statements and blocks on a path from here to a leaf.
    pub fn height(&self) -> u32 {
        let below = match &self.kind {
            StatementKind::Param { ty, init, .. } | StatementKind::State { ty, init, .. } => {
                init.height().max(ty.height())
            }
            StatementKind::Input { ty, .. } => ty.height(),
            StatementKind::Let { value, .. }
            | StatementKind::Assign { value, .. }
            | StatementKind::Update { value, .. }
            | StatementKind::Loss { value }
            | StatementKind::Metric { value, .. }
            | StatementKind::Expr(value) => value.height(),
            StatementKind::Output { value, .. } => value.as_ref().map_or(0, Expr::height),
            StatementKind::For { start, end, body, .. } => start.height().max(end.height()).max(body.height()),
            StatementKind::Error { .. } => 0,
        };
        below + 1
    }
}
