//! The syntax tree: what was written, with a [`Span`] on everything, and nothing about its meaning.
//!
//! A tree is always there, even for a broken file. Where something could not be parsed it holds
//! [`Item::Error`], [`StatementKind::Error`] or [`ExprKind::Error`], and a diagnostic has been
//! reported: later stages skip these quietly.
//!
//! # Depth
//!
//! The parser limits how deep trees are. Every path from a root to a leaf passes at most
//! [`MAX_HEIGHT`] expressions, statements and blocks, so that a plain recursive walk over the tree
//! (and its drop) is safe on an ordinary stack. This also holds for `a + a + …`, which is a tree
//! that is deep on its left side.

mod body;
mod expr;

use gradc_diagnostics::Span;

pub use body::{Block, Statement, StatementKind};
pub use expr::{
    Argument, ArgumentValue, BinaryOp, Branch, Expr, ExprKind, ScanOption, Sequence, Subscript, SubscriptKind, UnaryOp,
};

/// The largest [`Expr::height`] and [`Block::height`] in a tree that the parser made.
pub const MAX_HEIGHT: u32 = 256;

/// One source file.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// The items, in source order.
    pub items: Vec<Item>,
    /// The whole file.
    pub span: Span,
}

/// A name with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The name itself.
    pub text: String,
    /// The place.
    pub span: Span,
}

/// What can stand at the top level of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `import "other.net"`
    Import(Import),
    /// `dim batch = 64`
    Dim(Definition),
    /// `const eps = 1e-5`
    Const(Definition),
    /// `fn f(…) { … }`, `layer f(…) { … }` or `initializer f { … }`
    Function(Function),
    /// `model name { … }`
    Model(Model),
    /// `train { … }`
    Train(Train),
    /// Something that could not be parsed, which has been reported.
    Error {
        /// The name that it would have declared, if that could be read: its uses are not errors.
        name: Option<Name>,
        /// What was skipped.
        span: Span,
    },
}

impl Item {
    /// The place of the whole item, with its attributes.
    pub fn span(&self) -> Span {
        match self {
            Item::Import(import) => import.span,
            Item::Dim(definition) | Item::Const(definition) => definition.span,
            Item::Function(function) => function.span,
            Item::Model(model) => model.span,
            Item::Train(train) => train.span,
            Item::Error { span, .. } => *span,
        }
    }
}

/// `import "other.net"`
#[derive(Debug, Clone, PartialEq)]
pub struct Import {
    /// The path as written, relative to the importing file.
    pub path: StringLiteral,
    /// The whole item.
    pub span: Span,
}

/// A string between quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    /// The text that it stands for, escapes resolved.
    pub value: String,
    /// The literal, with its quotes.
    pub span: Span,
}

/// `dim name = value` or `const name = value`
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// What is defined.
    pub name: Name,
    /// Its value.
    pub value: Expr,
    /// The whole item.
    pub span: Span,
}

/// Which keyword a function was declared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FunctionKind {
    /// `fn`: owns no parameters.
    Fn,
    /// `layer`: owns parameters.
    Layer,
    /// `initializer`: makes the initial value of a parameter.
    Initializer,
}

impl FunctionKind {
    /// The keyword.
    pub fn keyword(self) -> &'static str {
        match self {
            FunctionKind::Fn => "fn",
            FunctionKind::Layer => "layer",
            FunctionKind::Initializer => "initializer",
        }
    }
}

/// `fn`, `layer` or `initializer`, which look the same but for the keyword.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// The keyword.
    pub kind: FunctionKind,
    /// `@name(arguments)` before it.
    pub attributes: Vec<Attribute>,
    /// Its name.
    pub name: Name,
    /// The formal parameters, in order; empty for an initializer without parentheses.
    pub parameters: Vec<Parameter>,
    /// The type after `->`.
    pub result: Option<Type>,
    /// The statements and the value.
    pub body: Block,
    /// How it is differentiated, if that is said.
    pub rule: Option<Box<DerivativeRule>>,
    /// From the first attribute or the keyword up to the name, the parameters and the result: what
    /// a diagnostic about the declaration points at.
    pub signature: Span,
    /// The whole item.
    pub span: Span,
}

/// `vjp(g) { … }` after the body of a `fn`: what the arguments receive when the result receives `g`.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivativeRule {
    /// The name of the cotangent of the result.
    pub cotangent: Name,
    /// The name of the result, if it has one here: `vjp(g, y)`.
    pub result: Option<Name>,
    /// The statements, and the cotangents as the value.
    pub body: Block,
    /// `vjp` and its parameters: what a diagnostic about the rule points at.
    pub header: Span,
}

/// A formal parameter: `name`, `name: type`, `name = default` or `name: type = default`.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: Name,
    /// The type, if one is written.
    pub ty: Option<Type>,
    /// The value when the argument is left out.
    pub default: Option<Expr>,
    /// The whole of it.
    pub span: Span,
}

/// What an attribute says.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeKind {
    /// `@metric(name)`: a model whose loss is this function gets the function `name` as its metric.
    Metric {
        /// The function that measures.
        function: Name,
    },
}

/// `@name(arguments)` before a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// Which one, with its arguments.
    pub kind: AttributeKind,
    /// From `@` to the closing parenthesis.
    pub span: Span,
}

/// `model name { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: Name,
    /// The statements. A model has no value: [`Block::value`] is always `None`.
    pub body: Block,
    /// The whole item.
    pub span: Span,
}

/// `train { … }` or `train name { … }`
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    /// The model it is about, if the file has several.
    pub model: Option<Name>,
    /// The settings, in source order.
    pub settings: Vec<Setting>,
    /// The keyword `train`, and the name: what a diagnostic about the block points at.
    pub header: Span,
    /// The whole item.
    pub span: Span,
}

/// One line of a `train` block: `name argument, …`, or with fields: `data "x.npz" { pixels = images }`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Which setting.
    pub name: Name,
    /// What follows it, separated by commas.
    pub arguments: Vec<Expr>,
    /// `name = name` between braces, if there are braces.
    pub fields: Vec<SettingField>,
    /// The whole line.
    pub span: Span,
}

/// `name = value` between the braces of a setting.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingField {
    /// The left side.
    pub name: Name,
    /// The right side.
    pub value: Expr,
    /// Both.
    pub span: Span,
}

/// The type of a tensor: `[.., d]`, `f32[batch, 64]`, `i32[]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// The word before the bracket, such as `f32`; not checked here.
    pub element: Option<Name>,
    /// The axes between the brackets.
    pub axes: Vec<Axis>,
    /// The whole type.
    pub span: Span,
}

/// One entry between the brackets of a type.
#[derive(Debug, Clone, PartialEq)]
pub enum Axis {
    /// `..` or `..name`: any number of axes.
    Rest {
        /// The name, if it has one.
        name: Option<Name>,
        /// The dots and the name.
        span: Span,
    },
    /// The size of one axis.
    Dim(Expr),
}

impl Axis {
    /// The place.
    pub fn span(&self) -> Span {
        match self {
            Axis::Rest { span, .. } => *span,
            Axis::Dim(size) => size.span,
        }
    }
}

impl Type {
    /// The height of the tallest dim in it.
    pub fn height(&self) -> u32 {
        let heights = self.axes.iter().map(|axis| match axis {
            Axis::Rest { .. } => 0,
            Axis::Dim(size) => size.height(),
        });
        heights.max().unwrap_or(0)
    }
}
