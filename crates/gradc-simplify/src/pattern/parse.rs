//! Reads patterns.

use gradc_ir::op::{self, Notation, OpDef};

use super::Pattern;

/// The names of a rule's variables, in the order of their numbers. Both sides of a rule share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Value variables; those that stand for numbers begin with `#`.
    pub(crate) values: Vec<String>,
    /// Attribute variables.
    pub(crate) attrs: Vec<String>,
}

impl Names {
    fn number(names: &mut Vec<String>, name: &str) -> usize {
        names.iter().position(|known| known == name).unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        })
    }

    /// The number of the value variable called `name`.
    pub(crate) fn value(&self, name: &str) -> Option<usize> {
        self.values.iter().position(|known| known == name)
    }

    /// The number of the attribute variable called `name`.
    pub(crate) fn attr(&self, name: &str) -> Option<usize> {
        self.attrs.iter().position(|known| known == name)
    }
}

/// Reads a pattern, whose variables are added to `names`; the error says what is wrong. Rules are constants, so an error
/// is a bug in the table, and the tests read all of it.
pub(crate) fn parse(text: &str, names: &mut Names) -> Result<Pattern, String> {
    let mut parser = Parser { rest: text.trim_start(), names };
    let pattern = parser.comparison()?;
    if parser.rest.is_empty() { Ok(pattern) } else { Err(format!("`{}` is left over", parser.rest)) }
}

struct Parser<'t, 'n> {
    rest: &'t str,
    names: &'n mut Names,
}

/// Infix operators by precedence, loosest first. Longer symbols come before their prefixes.
const LEVELS: [&[&str]; 3] = [&["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/"]];

impl<'t> Parser<'t, '_> {
    fn comparison(&mut self) -> Result<Pattern, String> {
        self.infix(0)
    }

    fn infix(&mut self, level: usize) -> Result<Pattern, String> {
        let Some(symbols) = LEVELS.get(level) else { return self.prefix() };
        let mut left = self.infix(level + 1)?;
        while let Some(symbol) = self.symbol(symbols) {
            self.eat(symbol);
            let right = self.infix(level + 1)?;
            let def = notated(Notation::Infix(symbol)).ok_or_else(|| format!("no operator is written {symbol}"))?;
            left = Pattern::Apply { def, attrs: None, operands: vec![left, right] };
        }
        Ok(left)
    }

    /// Which of these the text goes on with. All rules are read when the first program is compiled, so it is seen at once
    /// where there is none.
    fn symbol(&self, symbols: &[&'static str]) -> Option<&'static str> {
        let may_begin = self.rest.as_bytes().first().is_some_and(|byte| b"=!<>+-*/".contains(byte));
        if may_begin { symbols.iter().find(|symbol| self.rest.starts_with(**symbol)).copied() } else { None }
    }

    fn prefix(&mut self) -> Result<Pattern, String> {
        if !self.eat("-") {
            return self.atom();
        }
        match self.prefix()? {
            Pattern::Number(value) => Ok(Pattern::Number(-value)),
            operand => Ok(Pattern::Apply { def: &op::neg::NEG, attrs: None, operands: vec![operand] }),
        }
    }

    fn atom(&mut self) -> Result<Pattern, String> {
        if self.eat("(") {
            let inner = self.comparison()?;
            return self.expect(")").map(|()| inner);
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit()) {
            let number = self.take(|c| c.is_ascii_alphanumeric() || c == '.');
            return number.parse().map(Pattern::Number).map_err(|error| format!("{number}: {error}"));
        }
        let constant = self.eat("#");
        let name = self.take(|c| c.is_ascii_alphanumeric() || c == '_');
        match name {
            "" => Err(format!("expected a value before `{}`", self.rest)),
            _ if constant => Ok(Pattern::Constant(Names::number(&mut self.names.values, &format!("#{name}")))),
            _ if self.rest.starts_with(['(', '[']) => self.application(name),
            _ => Ok(Pattern::Variable(Names::number(&mut self.names.values, name))),
        }
    }

    fn application(&mut self, name: &str) -> Result<Pattern, String> {
        let mut attrs = None;
        if self.eat("[") {
            let variable = self.take(|c| c.is_ascii_alphanumeric());
            attrs = Some(Names::number(&mut self.names.attrs, variable));
            self.expect("]")?;
        }
        self.expect("(")?;
        let mut operands = vec![self.comparison()?];
        while self.eat(",") {
            operands.push(self.comparison()?);
        }
        self.expect(")")?;
        if name == "spread" {
            let axes = attrs.ok_or("spread needs [attributes]")?;
            return Ok(Pattern::Spread { axes, operand: Box::new(operands.swap_remove(0)) });
        }
        let def = op::find(name).ok_or_else(|| format!("no operator is called {name}"))?;
        if !def.arity.admits(operands.len()) || attrs.is_some() == def.attrs.is_empty() {
            return Err(format!("{name} does not have these operands and attributes"));
        }
        Ok(Pattern::Apply { def, attrs, operands })
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        taken
    }

    fn eat(&mut self, symbol: &str) -> bool {
        match self.rest.strip_prefix(symbol) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, symbol: &str) -> Result<(), String> {
        if self.eat(symbol) { Ok(()) } else { Err(format!("expected `{symbol}` before `{}`", self.rest)) }
    }
}

/// The operator that is written with an infix symbol.
fn notated(notation: Notation) -> Option<&'static OpDef> {
    op::ALL.iter().find(|def| def.notation == notation).copied()
}
