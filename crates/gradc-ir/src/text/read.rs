//! Text to graph.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use gradc_diagnostics::{FileId, Span};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::scan::{Scanned, Token, scan};
use super::{literal_type, printed_names};
use crate::attr::{AttrSource, AttrSpec};
use crate::{
    Attr, AttrKind, Attrs, DType, Graph, Init, LeafKind, Notation, Op, OpDef, Origin, Role, Shape, TensorType, ValueId,
    op, verify,
};

/// Why a text is not a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// Where, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

pub(super) type Result<T> = std::result::Result<T, ReadError>;

/// The graph that a text describes. Values get spans in `file`. The first thing that is wrong is the error: a graph is
/// written by gradc, so people seldom make several mistakes in one.
pub fn read(file: Option<FileId>, text: &str) -> Result<Graph> {
    let tokens = scan(text).map_err(|at| ReadError { at, message: "unexpected character".into() })?;
    let mut reader = Reader { tokens, next: 0, file, frame: Frame::default(), depth: 0 };
    reader.graph()?;
    verify::verify(&reader.frame.graph)
        .map_err(|error| ReadError { at: 0..text.len().min(1), message: error.to_string() })?;
    Ok(reader.frame.graph)
}

/// An operand as it is written.
pub(super) enum Operand {
    Value { value: ValueId, transposed: bool },
    Literal(f64),
}

/// What stands to the right of `=`, before the result's type is known.
pub(super) struct Application<'t> {
    def: &'static OpDef,
    pub(super) operands: SmallVec<[Operand; 3]>,
    /// Attributes that are written, by name.
    pub(super) attrs: Vec<(&'t str, Attr)>,
}

pub(super) struct Reader<'t> {
    pub(super) tokens: Vec<Scanned<'t>>,
    pub(super) next: usize,
    file: Option<FileId>,
    pub(super) frame: Frame<'t>,
    /// How many blocks lie around what is being read.
    pub(super) depth: usize,
}

/// The graph that is being read, or the body of an operator, with the names that are known in it.
#[derive(Default)]
pub(super) struct Frame<'t> {
    pub(super) graph: Graph,
    values: FxHashMap<&'t str, ValueId>,
    literals: FxHashMap<(u64, TensorType), ValueId>,
}

impl Frame<'_> {
    /// Takes the names away that the values would be printed with if they had none: these are not the user's.
    pub(super) fn forget_temporaries(&mut self) {
        let is_numbered = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or(name);
            last.strip_prefix('t').is_some_and(|number| number.parse::<usize>().is_ok())
        };
        let mut temporaries: Vec<(ValueId, Arc<str>)> = Vec::new();
        for value in self.graph.values().filter(|&value| self.graph.leaf(value).is_none()) {
            if let Some(name) = self.graph.value_name(value).filter(|name| is_numbered(name)) {
                temporaries.push((value, name.clone()));
            }
        }
        temporaries.iter().for_each(|&(value, _)| self.graph.forget_value_name(value));
        let printed = printed_names(&self.graph);
        if temporaries.iter().any(|(value, name)| printed.known(*value) != Some(&**name)) {
            temporaries.into_iter().for_each(|(value, name)| self.graph.set_value_name(value, name));
        }
    }
}

impl<'t> Reader<'t> {
    fn graph(&mut self) -> Result<()> {
        self.newlines();
        self.keyword("graph")?;
        let name = self.name("the name of the graph")?;
        self.frame.graph.set_name(name);
        self.symbol("{")?;
        loop {
            self.newlines();
            let start = self.next;
            match self.peek() {
                Token::Symbol("}") => break,
                Token::Name(_) => self.line()?,
                _ => return self.unexpected("a value, a result or `}`"),
            }
            if self.peek() != Token::Symbol("}") && self.peek() != Token::Newline {
                return self.unexpected("the end of the line");
            }
            debug_assert!(self.next > start, "every line is at least one token");
        }
        self.advance();
        self.newlines();
        if self.peek() == Token::End { Ok(()) } else { self.unexpected("the end of the file") }
    }

    fn line(&mut self) -> Result<()> {
        let start = self.next;
        let first = self.name("a name")?;
        if matches!(self.peek(), Token::Symbol("=" | ",")) {
            return self.value(first, start);
        }
        if let Some(kind) =
            [LeafKind::Input, LeafKind::Param, LeafKind::State].into_iter().find(|k| k.keyword() == first)
        {
            return self.leaf(kind);
        }
        if let Some(role) = Role::ALL.into_iter().find(|role| role.keyword() == first) {
            return self.result(role);
        }
        self.unexpected("`=`")
    }

    fn leaf(&mut self, kind: LeafKind) -> Result<()> {
        let at = self.here();
        let name = self.name("a name")?;
        self.symbol(":")?;
        let ty = self.ty()?;
        let init = if self.take("=") { Some(self.init()?) } else { None };
        match (kind, &init) {
            (LeafKind::Input, Some(_)) => return fail(at, format!("the input {name} cannot have a first value")),
            (LeafKind::Param | LeafKind::State, None) => return fail(at, format!("{name} has no first value")),
            _ => {}
        }
        self.set_span(at.clone());
        let value = self.frame.graph.add_leaf(kind, name, ty, init);
        self.define(name, value, at)
    }

    fn init(&mut self) -> Result<Init> {
        let at = self.here();
        let name = self.name("an initialiser")?;
        self.symbol("(")?;
        let mut arguments = Vec::new();
        while !self.take(")") {
            if !arguments.is_empty() {
                self.symbol(",")?;
            }
            arguments.push(self.number()?);
        }
        match Init::from_parts(name, &arguments) {
            Some(init) => Ok(init),
            None => fail(at, format!("{name} with {} arguments is no initialiser", arguments.len())),
        }
    }

    fn result(&mut self, role: Role) -> Result<()> {
        let name = self.name("the name of the result")?;
        self.symbol("=")?;
        let value = self.known_value()?;
        self.frame.graph.add_output(role, name, value);
        Ok(())
    }

    pub(super) fn value(&mut self, name: &'t str, start: usize) -> Result<()> {
        if self.begins_several() {
            return self.several(name, start);
        }
        self.symbol("=")?;
        let application = self.application()?;
        self.symbol(":")?;
        let ty = self.ty()?;
        let at = self.tokens[start].start..self.tokens[self.next - 1].end;
        self.set_span(at.clone());
        let op = self.complete(&application, &ty, at.clone())?;
        let operands = self.resolve(&op, &application.operands, &ty, at.clone())?;
        let value = match self.frame.graph.apply(op, &operands) {
            Ok(value) => value,
            Err(error) => return fail(at, error.to_string()),
        };
        if *self.frame.graph.ty(value) != ty {
            return fail(at, format!("this is {}, not {ty}", self.frame.graph.ty(value)));
        }
        self.frame.graph.set_value_name(value, name);
        self.define(name, value, at)
    }

    fn application(&mut self) -> Result<Application<'t>> {
        let at = self.here();
        if let Token::Symbol(symbol) = self.peek() {
            let Some(def) = find_prefix(symbol) else { return self.unexpected("an expression") };
            self.advance();
            let operand = self.operand()?;
            return Ok(Application { def, operands: SmallVec::from_iter([operand]), attrs: Vec::new() });
        }
        if let Token::Name(name) = self.peek()
            && self.peek_after() == Token::Symbol("(")
        {
            let Some(def) = op::find(name) else { return fail(at, format!("there is no operator {name}")) };
            self.advance();
            self.advance();
            return self.call(def);
        }
        let first = self.operand()?;
        let Token::Symbol(symbol) = self.peek() else { return self.unexpected("an operator") };
        let Some(def) = find_infix(symbol) else { return self.unexpected("an operator") };
        self.advance();
        let second = self.operand()?;
        Ok(Application { def, operands: SmallVec::from_iter([first, second]), attrs: Vec::new() })
    }

    /// The arguments of a call, up to the closing parenthesis.
    pub(super) fn call(&mut self, def: &'static OpDef) -> Result<Application<'t>> {
        let mut application = Application { def, operands: SmallVec::new(), attrs: Vec::new() };
        let positional = def.attrs.iter().find(|spec| spec.source == AttrSource::Positional);
        let mut first = true;
        while !self.take(")") {
            if !first {
                self.symbol(",")?;
            }
            first = false;
            if let Token::Name(name) = self.peek()
                && self.peek_after() == Token::Symbol("=")
            {
                self.advance();
                self.advance();
                let value = self.attr(def.attrs.iter().find(|spec| spec.name == name))?;
                application.attrs.push((name, value));
            } else if let Some(spec) = positional {
                let value = self.attr(Some(spec))?;
                application.attrs.push((spec.name, value));
            } else {
                let operand = self.operand()?;
                application.operands.push(operand);
            }
        }
        Ok(application)
    }

    fn attr(&mut self, spec: Option<&AttrSpec>) -> Result<Attr> {
        let Some(spec) = spec else { return self.unexpected("an attribute of this operator") };
        Ok(match spec.kind {
            AttrKind::Bool => Attr::Bool(match self.name("true or false")? {
                "true" => true,
                "false" => false,
                _ => return self.unexpected("true or false"),
            }),
            AttrKind::Int => Attr::Int(self.integer()?),
            AttrKind::Ints => Attr::from(&*self.integers()?),
            AttrKind::Float => Attr::from(self.number()?),
            AttrKind::DType => Attr::DType(self.dtype()?),
            AttrKind::Body => return self.unexpected("an attribute that is not a body"),
        })
    }

    fn operand(&mut self) -> Result<Operand> {
        if let Token::Number(number) = self.peek() {
            self.advance();
            return Ok(Operand::Literal(number));
        }
        let value = self.known_value()?;
        Ok(Operand::Value { value, transposed: self.take("^T") })
    }

    /// The operator with all attributes: those that were written, and those that the result's type or an operand's mark
    /// stand for.
    fn complete(&self, application: &Application<'t>, ty: &TensorType, at: Range<usize>) -> Result<Op> {
        let def = application.def;
        let transposed =
            |i: usize| matches!(application.operands.get(i), Some(Operand::Value { transposed: true, .. }));
        let mut attrs = Vec::with_capacity(def.attrs.len());
        for spec in def.attrs {
            let value = match spec.source {
                AttrSource::ResultShape => Some(Attr::from(&*ty.shape)),
                AttrSource::ResultDType => Some(Attr::DType(ty.dtype)),
                AttrSource::TransposeOf(operand) => Some(Attr::Bool(transposed(operand))),
                AttrSource::Block => None,
                AttrSource::Written | AttrSource::Positional => {
                    let written = application.attrs.iter().find(|(name, _)| *name == spec.name);
                    written.map(|(_, value)| in_type(value, ty.dtype))
                }
            };
            let Some(value) = value else { return fail(at, format!("{} needs {}", def.name, spec.name)) };
            attrs.push((spec.name, value));
        }
        let may_transpose = |i: usize| def.attrs.iter().any(|spec| spec.source == AttrSource::TransposeOf(i));
        if (0..application.operands.len()).any(|i| transposed(i) && !may_transpose(i)) {
            return fail(at, format!("an operand of {} cannot be marked as transposed", def.name));
        }
        Ok(def.with(Attrs::new(attrs)))
    }

    /// The operands as values; literals become constants.
    fn resolve(&mut self, op: &Op, operands: &[Operand], ty: &TensorType, at: Range<usize>) -> Result<Vec<ValueId>> {
        let mut types: SmallVec<[Option<TensorType>; 3]> = SmallVec::new();
        for operand in operands {
            types.push(match operand {
                Operand::Value { value, .. } => Some(self.frame.graph.ty(*value).clone()),
                Operand::Literal(_) => None,
            });
        }
        let known: SmallVec<[Option<&TensorType>; 3]> = types.iter().map(Option::as_ref).collect();
        let mut values = Vec::with_capacity(operands.len());
        for (position, operand) in operands.iter().enumerate() {
            values.push(match operand {
                Operand::Value { value, .. } => *value,
                Operand::Literal(number) => match literal_type(op, position, &known, ty) {
                    Some(ty) => self.literal(*number, ty),
                    None => return fail(at, format!("{} does not take a number here", op.def.name)),
                },
            });
        }
        Ok(values)
    }

    pub(super) fn literal(&mut self, number: f64, ty: TensorType) -> ValueId {
        let graph = &mut self.frame.graph;
        *self.frame.literals.entry((number.to_bits(), ty)).or_insert_with_key(|(_, ty)| graph.full(number, ty))
    }

    pub(super) fn known_value(&mut self) -> Result<ValueId> {
        let at = self.here();
        let name = self.name("a value")?;
        self.value_called(name, at)
    }

    pub(super) fn value_called(&self, name: &str, at: Range<usize>) -> Result<ValueId> {
        match self.frame.values.get(name) {
            Some(value) => Ok(*value),
            None => {
                let mut known: Vec<&str> = self.frame.values.keys().copied().collect();
                known.sort_unstable();
                let close = gradc_diagnostics::did_you_mean(name, known);
                let help = close.map_or(String::new(), |close| format!("; did you mean {close}?"));
                fail(at, format!("{name} is not defined before this line{help}"))
            }
        }
    }

    pub(super) fn define(&mut self, name: &'t str, value: ValueId, at: Range<usize>) -> Result<()> {
        match self.frame.values.insert(name, value) {
            None => Ok(()),
            Some(_) => fail(at, format!("{name} is defined twice")),
        }
    }

    pub(super) fn ty(&mut self) -> Result<TensorType> {
        let dtype = self.dtype()?;
        let at = self.here();
        let extents = self.integers()?;
        if Shape::checked_elements(&extents).is_none() {
            return fail(at, "this shape is too large".into());
        }
        Ok(TensorType::new(dtype, extents.as_slice()))
    }

    fn dtype(&mut self) -> Result<DType> {
        let at = self.here();
        let name = self.name("an element type")?;
        DType::from_name(name).map_or_else(|| fail(at, format!("{name} is not an element type")), Ok)
    }

    fn integers(&mut self) -> Result<Vec<usize>> {
        self.symbol("[")?;
        let mut integers = Vec::new();
        while !self.take("]") {
            if !integers.is_empty() {
                self.symbol(",")?;
            }
            integers.push(self.integer()?);
        }
        Ok(integers)
    }

    fn integer(&mut self) -> Result<usize> {
        let at = self.here();
        let number = self.number()?;
        let largest = Shape::MAX_ELEMENTS as f64;
        if number.fract() == 0.0 && (0.0..=largest).contains(&number) {
            Ok(number as usize)
        } else {
            fail(at, "expected a whole number that is not negative nor too large".into())
        }
    }

    pub(super) fn number(&mut self) -> Result<f64> {
        match self.peek() {
            Token::Number(number) => {
                self.advance();
                Ok(number)
            }
            _ => self.unexpected("a number"),
        }
    }

    pub(super) fn name(&mut self, what: &str) -> Result<&'t str> {
        match self.peek() {
            Token::Name(name) => {
                self.advance();
                Ok(name)
            }
            _ => self.unexpected(what),
        }
    }

    fn keyword(&mut self, keyword: &str) -> Result<()> {
        if self.peek() == Token::Name(keyword) {
            self.advance();
            return Ok(());
        }
        self.unexpected(&format!("`{keyword}`"))
    }

    pub(super) fn symbol(&mut self, symbol: &str) -> Result<()> {
        if self.take(symbol) { Ok(()) } else { self.unexpected(&format!("`{symbol}`")) }
    }

    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let found = self.peek() == Token::Symbol(symbol);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn newlines(&mut self) {
        while self.peek() == Token::Newline {
            self.advance();
        }
    }

    pub(super) fn peek(&self) -> Token<'t> {
        self.tokens[self.next].token
    }

    pub(super) fn peek_after(&self) -> Token<'t> {
        self.tokens.get(self.next + 1).map_or(Token::End, |scanned| scanned.token)
    }

    pub(super) fn advance(&mut self) {
        if self.next + 1 < self.tokens.len() {
            self.next += 1;
        }
    }

    pub(super) fn here(&self) -> Range<usize> {
        self.tokens[self.next].start..self.tokens[self.next].end
    }

    pub(super) fn set_span(&mut self, at: Range<usize>) {
        let offset = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let span = self.file.map(|file| Span { file, start: offset(at.start), end: offset(at.end) });
        self.frame.graph.set_origin(Origin { span, ..Origin::default() });
    }

    pub(super) fn unexpected<T>(&self, expected: &str) -> Result<T> {
        let found = match self.peek() {
            Token::Name(name) => format!("`{name}`"),
            Token::Number(number) => format!("`{number}`"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::Newline => "the end of the line".into(),
            Token::End => "the end of the file".into(),
        };
        fail(self.here(), format!("expected {expected}, found {found}"))
    }
}

pub(super) fn fail<T>(at: Range<usize>, message: String) -> Result<T> {
    Err(ReadError { at, message })
}

/// An attribute of a value of type `dtype`: numbers have that type too.
fn in_type(value: &Attr, dtype: DType) -> Attr {
    match value {
        Attr::Float(number) if !number.get().is_nan() => Attr::from(dtype.round(number.get())),
        other => other.clone(),
    }
}

fn find_infix(symbol: &str) -> Option<&'static OpDef> {
    op::ALL.iter().find(|def| matches!(def.notation, Notation::Infix(own) if own == symbol)).copied()
}

fn find_prefix(symbol: &str) -> Option<&'static OpDef> {
    op::ALL.iter().find(|def| matches!(def.notation, Notation::Prefix(own) if own == symbol)).copied()
}
