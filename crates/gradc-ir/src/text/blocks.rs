//! Operators with several results and a body: a line for the results and a block for the body.
//!
//! Loops and derivative rules are both written so: `a, b = HEAD { BLOCK } : TYPES`. What differs is the head, which
//! [`loops`](super::loops) and [`custom`](super::custom) write and read, and the words in the block.

use std::fmt::Write;
use std::ops::Range;

use super::print::{INDENT, Printer};
use super::read::{Reader, Result, fail};
use super::scan::Token;
use crate::{Body, LeafKind, Op, Role, TensorType, ValueId};

/// What the inputs and the results of a kind of body are called. They come in this order.
pub(super) struct Words {
    /// The bodies, in an error.
    pub(super) bodies: &'static str,
    /// The inputs that are bound to operands.
    pub(super) bound: &'static [&'static str],
    /// The other inputs.
    pub(super) free: &'static [&'static str],
    pub(super) results: &'static [&'static str],
    /// Whether values with the names of such as have none have none indeed.
    pub(super) has_temporaries: bool,
}

impl Words {
    fn inputs(&self) -> impl Iterator<Item = &'static str> {
        self.bound.iter().chain(self.free).copied()
    }
}

/// The most kinds of inputs, or of results, that a body has.
const KINDS: usize = 4;

/// How a result is written that nothing reads.
const UNUSED: &str = "_";

impl Printer<'_> {
    /// The line and the block of an operator with several results. `inputs` are, for each input of the body, which of
    /// the words it is introduced by, and which operand it is bound to; `results` are which of the words each result is.
    pub(super) fn several(
        &mut self,
        value: ValueId,
        head: &str,
        body: &Body,
        words: &Words,
        inputs: &dyn Fn(usize) -> (usize, Option<usize>),
        results: &dyn Fn(usize) -> usize,
    ) {
        let name = |result: Option<ValueId>| match result.filter(|&result| self.is_live(result)) {
            Some(result) => self.names.get(result).to_owned(),
            None => UNUSED.to_owned(),
        };
        let names: Vec<String> = self.graph.results_of(value).into_iter().map(name).collect();
        let types = self.graph.result_types(value).unwrap_or_default();
        let types: Vec<String> = types.iter().map(TensorType::to_string).collect();

        let (graph, indent) = (body.graph(), INDENT.repeat(self.depth + 1));
        let mut inner = Printer::new(graph, self.depth + 1);
        for (index, &input) in body.inputs().iter().enumerate() {
            let (kind, operand) = inputs(index);
            let word = words.inputs().nth(kind).unwrap_or_default();
            let _ = write!(inner.text, "{indent}{word} {} : {}", inner.names.get(input), graph.ty(input));
            if let Some((op, operand)) = self.graph.op(value).zip(operand) {
                let _ = write!(inner.text, " = {}", self.operand(value, op, operand));
            }
            inner.text.push('\n');
        }
        let lines = inner.lines();
        inner.blank_line(!lines.is_empty());
        for line in lines {
            inner.text.push_str(&indent);
            inner.value(line);
        }
        inner.blank_line(!graph.outputs().is_empty());
        for (index, output) in graph.outputs().iter().enumerate() {
            let word = words.results[results(index)];
            let _ = writeln!(inner.text, "{indent}{word} {} = {}", output.name, inner.names.get(output.value));
        }
        let (block, close) = (inner.text, INDENT.repeat(self.depth));
        let _ = writeln!(self.text, "{} = {head} {{\n{block}{close}}} : {}", names.join(", "), types.join(", "));
    }

    /// A blank line between what is written and what follows, if both are anything.
    fn blank_line(&mut self, follows: bool) {
        if follows && !self.text.is_empty() {
            self.text.push('\n');
        }
    }
}

/// What an input of a body is bound to, as it is written.
enum Bound<'t> {
    Name(&'t str),
    Number(f64),
}

/// What a block says beside its values.
#[derive(Default)]
pub(super) struct Block<'t> {
    /// The operands with their places.
    operands: Vec<(Bound<'t>, Range<usize>)>,
    /// How many inputs there are of each kind, and results.
    pub(super) inputs: [usize; KINDS],
    pub(super) results: [usize; KINDS],
}

impl<'t> Reader<'t> {
    /// Whether what is assigned here has several results.
    pub(super) fn begins_several(&self) -> bool {
        self.peek() == Token::Symbol(",") || self.begins_loop() || self.begins_custom()
    }

    /// An operator with several results, from after the first of their names on.
    pub(super) fn several(&mut self, first: &'t str, start: usize) -> Result<()> {
        let mut names = vec![first];
        while self.take(",") {
            names.push(self.name("the name of a result")?);
        }
        let (op, operands) = match (self.begins_loop(), self.begins_custom()) {
            (true, _) => self.scan()?,
            (_, true) => self.custom()?,
            _ => return self.unexpected("a loop or a rule: only these have several results"),
        };
        self.symbol(":")?;
        let mut types = vec![self.ty()?];
        while self.take(",") {
            types.push(self.ty()?);
        }
        let at = self.tokens[start].start..self.tokens[self.next - 1].end;
        self.set_span(at.clone());
        match self.frame.graph.apply(op, &operands) {
            Ok(value) => self.results(value, &names, &types, at),
            Err(error) => fail(at, error.to_string()),
        }
    }

    /// The values that the names stand for.
    fn results(&mut self, value: ValueId, names: &[&'t str], types: &[TensorType], at: Range<usize>) -> Result<()> {
        let count = self.frame.graph.results_of(value).len();
        if names.len() != count || types.len() != count {
            return fail(at, format!("there are {count} results here, with as many types"));
        }
        for (index, (&name, ty)) in names.iter().zip(types).enumerate().filter(|(_, (name, _))| **name != UNUSED) {
            let result = self.frame.graph.result_of(value, index);
            if self.frame.graph.ty(result) != ty {
                return fail(at, format!("{name} is {}, not {ty}", self.frame.graph.ty(result)));
            }
            self.frame.graph.set_value_name(result, name);
            self.define(name, result, at.clone())?;
        }
        Ok(())
    }

    /// The operands that a block binds, which have these types.
    pub(super) fn bind(
        &mut self,
        block: &Block<'t>,
        types: impl IntoIterator<Item = TensorType>,
    ) -> Result<Vec<ValueId>> {
        let mut operands = Vec::with_capacity(block.operands.len());
        for ((bound, at), ty) in block.operands.iter().zip(types) {
            operands.push(match bound {
                Bound::Name(name) => self.value_called(name, at.clone())?,
                Bound::Number(number) => self.literal(*number, ty),
            });
        }
        Ok(operands)
    }

    /// A block: braces, and what lies between them. The graph of the body is called `name`.
    pub(super) fn block(&mut self, words: &Words, name: &str, at: Range<usize>) -> Result<(Block<'t>, Body)> {
        self.symbol("{")?;
        if self.depth == Body::MAX_DEPTH {
            return fail(at, format!("{} may lie within each other at most {} deep", words.bodies, Body::MAX_DEPTH));
        }
        let outer = std::mem::take(&mut self.frame);
        self.frame.graph.set_name(name);
        self.depth += 1;
        let mut block = Block::default();
        loop {
            self.newlines();
            if self.take("}") {
                break;
            }
            self.line_of_block(words, &mut block)?;
            if !matches!(self.peek(), Token::Symbol("}") | Token::Newline) {
                return self.unexpected("the end of the line");
            }
        }
        self.depth -= 1;
        if words.has_temporaries {
            self.frame.forget_temporaries();
        }
        let inner = std::mem::replace(&mut self.frame, outer);
        match Body::new(&inner.graph) {
            Ok(body) => Ok((block, body)),
            Err(error) => fail(at, error.to_string()),
        }
    }

    fn line_of_block(&mut self, words: &Words, block: &mut Block<'t>) -> Result<()> {
        let (start, at) = (self.next, self.here());
        let first = self.name("a value, a result or `}`")?;
        if matches!(self.peek(), Token::Symbol("=" | ",")) {
            return self.value(first, start);
        }
        let in_order = |counts: &mut [usize; KINDS], kind: usize, all: Vec<&str>| {
            if counts[kind + 1..].iter().any(|&later| later > 0) {
                return fail(at.clone(), format!("{first} comes too late: the order is {}", all.join(", ")));
            }
            counts[kind] += 1;
            Ok(())
        };
        if let Some(kind) = words.inputs().position(|word| word == first) {
            in_order(&mut block.inputs, kind, words.inputs().collect())?;
            return self.input_of_block(block, kind < words.bound.len());
        }
        if let Some(kind) = words.results.iter().position(|word| *word == first) {
            in_order(&mut block.results, kind, words.results.to_vec())?;
            let name = self.name("the name of the result")?;
            self.symbol("=")?;
            let value = self.known_value()?;
            self.frame.graph.add_output(Role::Output, name, value);
            return Ok(());
        }
        self.unexpected("`=`")
    }

    fn input_of_block(&mut self, block: &mut Block<'t>, is_bound: bool) -> Result<()> {
        let at = self.here();
        let name = self.name("a name")?;
        self.symbol(":")?;
        let ty = self.ty()?;
        if is_bound {
            self.symbol("=")?;
            let place = self.here();
            let bound = match self.peek() {
                Token::Number(number) => {
                    self.advance();
                    Bound::Number(number)
                }
                _ => Bound::Name(self.name("a value or a number")?),
            };
            block.operands.push((bound, place));
        }
        self.set_span(at.clone());
        let value = self.frame.graph.add_leaf(LeafKind::Input, name, ty, None);
        self.define(name, value, at)
    }
}

/// An operator with its operands, as it is read.
pub(super) type Applied = (Op, Vec<ValueId>);
