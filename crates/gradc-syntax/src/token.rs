//! The words and signs of the language.

use logos::Logos;

/// What a token is.
///
/// Some kinds are never right: signs of other languages, broken literals. They are told apart here
/// so that [`lex`](crate::lexer::lex) can say what is to be written in their place.
#[derive(Logos, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[logos(skip r"[ \t\r\f\u{feff}]+")]
pub(crate) enum TokenKind {
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*", priority = 10)]
    Ident,
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?([eE][+-]?[0-9][0-9_]*)?", priority = 10)]
    Number,
    #[regex(r#""([^"\\\n]|\\[^\n])*""#)]
    String,

    #[token("import", priority = 20)]
    Import,
    #[token("const", priority = 20)]
    Const,
    #[token("fn", priority = 20)]
    Fn,
    #[token("layer", priority = 20)]
    Layer,
    #[token("initializer", priority = 20)]
    Initializer,
    #[token("model", priority = 20)]
    Model,
    #[token("train", priority = 20)]
    Train,
    #[token("param", priority = 20)]
    Param,
    #[token("let", priority = 20)]
    Let,
    #[token("for", priority = 20)]
    For,
    #[token("in", priority = 20)]
    In,
    #[token("scan", priority = 20)]
    Scan,
    #[token("input", priority = 20)]
    Input,
    #[token("output", priority = 20)]
    Output,
    #[token("loss", priority = 20)]
    Loss,
    #[token("metric", priority = 20)]
    Metric,
    #[token("if", priority = 20)]
    If,
    #[token("else", priority = 20)]
    Else,
    #[token("true", priority = 20)]
    True,
    #[token("false", priority = 20)]
    False,
    #[token("_", priority = 20)]
    Underscore,

    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token("{")]
    LeftBrace,
    #[token("}")]
    RightBrace,
    #[token(",")]
    Comma,
    #[token(";")]
    Semicolon,
    #[token(":")]
    Colon,
    #[token(".")]
    Dot,
    #[token("..")]
    DotDot,
    #[token("->")]
    Arrow,
    #[token("=")]
    Assign,
    #[token("||")]
    OrOr,
    #[token("&&")]
    AndAnd,
    #[token("==")]
    EqEq,
    #[token("!=")]
    NotEq,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEq,
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEq,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("@")]
    At,
    #[token("**")]
    StarStar,
    #[token("!")]
    Bang,

    #[token("\n")]
    Newline,
    #[regex(r"//[^\n]*", allow_greedy = true)]
    Comment,

    /// A string that is still open at the end of its line.
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#, priority = 1)]
    OpenString,
    /// `'text'`
    #[regex(r"'[^'\n]*'")]
    SingleQuoted,
    /// `12abc`, `1e`, `0x10`
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?([eE][+-]?[0-9][0-9_]*)?[A-Za-z_][A-Za-z0-9_]*", priority = 5)]
    BadNumber,
    /// A word with letters outside of ASCII.
    #[regex(r"[\p{L}_][\p{L}\p{M}\p{N}_]*", priority = 4)]
    ForeignWord,
    /// `# text`
    #[regex(r"#[^\n]*", allow_greedy = true)]
    HashComment,
    /// `/* text */`, also if it is never closed.
    #[token("/*", |lexer| {
        let rest = lexer.remainder();
        lexer.bump(rest.find("*/").map_or(rest.len(), |at| at + 2));
    })]
    BlockComment,
    #[token("&")]
    And,
    #[token("|")]
    Or,
    #[token("^")]
    Caret,
    #[token("++")]
    PlusPlus,
    #[regex(r"(\+|-|\*|/|%|@|\*\*|:)=")]
    CompoundAssign,
    #[token("===")]
    EqEqEq,
    #[token("!==")]
    NotEqEq,
    #[token("=>")]
    FatArrow,
    #[token("...")]
    DotDotDot,
    #[token("..=")]
    DotDotEq,

    /// Something that has been reported and that nothing can be made of.
    Broken,
    /// After the last token.
    End,
}

impl TokenKind {
    /// The closing partner of an opening delimiter.
    pub(crate) fn closer(self) -> Option<TokenKind> {
        match self {
            TokenKind::LeftParen => Some(TokenKind::RightParen),
            TokenKind::LeftBracket => Some(TokenKind::RightBracket),
            TokenKind::LeftBrace => Some(TokenKind::RightBrace),
            _ => None,
        }
    }

    /// Whether it is `)`, `]` or `}`.
    pub(crate) fn is_closer(self) -> bool {
        matches!(self, TokenKind::RightParen | TokenKind::RightBracket | TokenKind::RightBrace)
    }

    /// Whether it is a word that cannot be a name.
    pub(crate) fn is_keyword(self) -> bool {
        self.is_item_keyword()
            || self.is_statement_keyword()
            || matches!(
                self,
                TokenKind::In | TokenKind::If | TokenKind::Else | TokenKind::Scan | TokenKind::True | TokenKind::False
            )
    }

    /// Whether an item begins with it. The word `dim` does too, but is also the name of a function.
    pub(crate) fn is_item_keyword(self) -> bool {
        matches!(
            self,
            TokenKind::Import
                | TokenKind::Const
                | TokenKind::Fn
                | TokenKind::Layer
                | TokenKind::Initializer
                | TokenKind::Model
                | TokenKind::Train
        )
    }

    /// Whether a statement begins with it.
    pub(crate) fn is_statement_keyword(self) -> bool {
        matches!(
            self,
            TokenKind::Param
                | TokenKind::Let
                | TokenKind::For
                | TokenKind::Input
                | TokenKind::Output
                | TokenKind::Loss
                | TokenKind::Metric
        )
    }

    /// Whether an operand can begin with it and nothing else can: not so `-`, `(` and `[`.
    pub(crate) fn starts_operand(self) -> bool {
        matches!(
            self,
            TokenKind::Ident
                | TokenKind::Number
                | TokenKind::BadNumber
                | TokenKind::String
                | TokenKind::True
                | TokenKind::False
                | TokenKind::Underscore
                | TokenKind::If
                | TokenKind::Scan
                | TokenKind::Bang
        )
    }
}

/// One token: what it is, where it is, and whether it is the first of its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Whether there is a line break between the token before and this one.
    pub(crate) first_of_line: bool,
    pub(crate) start: u32,
    pub(crate) end: u32,
}
