//! Lexer, parser, syntax tree and formatter of the gradc language

pub mod ast;
