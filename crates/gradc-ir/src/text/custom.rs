//! Values with a derivative rule of their own: a line for the value and a block for the rule.

use std::fmt::Write;
use std::ops::Range;

use super::print::{INDENT, Printer};
use super::read::{Reader, Result, fail};
use super::scan::Token;
use crate::op::custom::{CUSTOM, Custom};
use crate::{Body, LeafKind, Role, TensorType, ValueId};

/// What the inputs of a rule are, in order: the first two are bound to operands.
const INPUTS: [&str; 4] = ["wrt", "const", "result", "cotangent"];

/// What a rule gives.
const GIVES: &str = "gives";

impl Printer<'_> {
    /// The line and the block of a value with a rule.
    pub(super) fn custom(&mut self, value: ValueId, custom: &Custom) {
        let (graph, indent) = (custom.rule.graph(), INDENT.repeat(self.depth + 1));
        let mut inner = Printer::new(graph, self.depth + 1);
        let operands = self.graph.operands(value);
        for (index, &input) in custom.rule.inputs().iter().enumerate() {
            let read = operands.len() - 1;
            let kind = usize::from(index >= custom.wrt) + usize::from(index >= read) + usize::from(index > read);
            let _ = write!(inner.text, "{indent}{} {} : {}", INPUTS[kind], inner.names.get(input), graph.ty(input));
            if let Some(&operand) = operands.get(index + 1) {
                let _ = write!(inner.text, " = {}", self.names.get(operand));
            }
            inner.text.push('\n');
        }
        let lines = inner.lines();
        if !lines.is_empty() {
            inner.text.push('\n');
        }
        for line in lines {
            inner.text.push_str(&indent);
            inner.value(line);
        }
        if custom.wrt > 0 {
            inner.text.push('\n');
        }
        for output in graph.outputs() {
            let _ = writeln!(inner.text, "{indent}{GIVES} {} = {}", output.name, inner.names.get(output.value));
        }
        let (name, own, computed) = (custom.name(), self.names.get(value), self.names.get(operands[0]));
        let close = INDENT.repeat(self.depth);
        let text =
            format!("{own} = custom {name}({computed}) {{\n{}{close}}} : {}\n", inner.text, self.graph.ty(value));
        self.text.push_str(&text);
    }
}

/// What a block says beside its values: names of operands with their places, and how many inputs there are of each kind.
#[derive(Default)]
struct Block<'t> {
    operands: Vec<(&'t str, Range<usize>)>,
    inputs: [usize; 4],
}

impl<'t> Reader<'t> {
    /// Whether what is assigned here is a value with a rule.
    pub(super) fn begins_custom(&self) -> bool {
        let after = |count: usize| self.tokens.get(self.next + count).map(|scanned| scanned.token);
        after(1) == Some(Token::Name(CUSTOM.name)) && matches!(after(2), Some(Token::Name(_)))
    }

    /// A value with a rule, from after its name on.
    pub(super) fn custom(&mut self, name: &'t str, start: usize) -> Result<()> {
        self.symbol("=")?;
        let at = self.here();
        self.name("a value with a rule")?;
        let function = self.name("the name of a function")?;
        self.symbol("(")?;
        let value = self.known_value()?;
        self.symbol(")")?;
        let (block, rule) = self.rule_block(function, at)?;
        let mut operands = vec![value];
        for (operand, at) in &block.operands {
            operands.push(self.value_called(operand, at.clone())?);
        }
        self.symbol(":")?;
        let ty = self.ty()?;
        let at = self.tokens[start].start..self.tokens[self.next - 1].end;
        self.set_span(at.clone());
        let op = Custom { rule, wrt: block.inputs[0] }.op();
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

    fn rule_block(&mut self, function: &'t str, at: Range<usize>) -> Result<(Block<'t>, Body)> {
        self.symbol("{")?;
        if self.depth == Body::MAX_DEPTH {
            return fail(at, format!("rules may lie within each other at most {} deep", Body::MAX_DEPTH));
        }
        let outer = std::mem::take(&mut self.frame);
        self.frame.graph.set_name(function);
        self.depth += 1;
        let mut block = Block::default();
        loop {
            self.newlines();
            if self.take("}") {
                break;
            }
            self.line_of_rule(&mut block)?;
            if !matches!(self.peek(), Token::Symbol("}") | Token::Newline) {
                return self.unexpected("the end of the line");
            }
        }
        self.depth -= 1;
        let inner = std::mem::replace(&mut self.frame, outer);
        if block.inputs[2..] != [1, 1] {
            return fail(at, "a rule has one result and one cotangent".into());
        }
        match Body::new(&inner.graph) {
            Ok(rule) => Ok((block, rule)),
            Err(error) => fail(at, error.to_string()),
        }
    }

    fn line_of_rule(&mut self, block: &mut Block<'t>) -> Result<()> {
        let (start, at) = (self.next, self.here());
        let first = self.name("a value, a result or `}`")?;
        if matches!(self.peek(), Token::Symbol("=" | ",")) {
            return self.value(first, start);
        }
        if first == GIVES {
            let name = self.name("the name of a cotangent")?;
            self.symbol("=")?;
            let value = self.known_value()?;
            self.frame.graph.add_output(Role::Output, name, value);
            return Ok(());
        }
        let Some(kind) = INPUTS.iter().position(|keyword| *keyword == first) else { return self.unexpected("`=`") };
        if block.inputs[kind + 1..].iter().any(|&later| later > 0) {
            return fail(at, format!("{first} comes too late: {}", INPUTS.join(", ")));
        }
        block.inputs[kind] += 1;
        let place = self.here();
        let name = self.name("a name")?;
        self.symbol(":")?;
        let ty: TensorType = self.ty()?;
        if kind < 2 {
            self.symbol("=")?;
            let at = self.here();
            block.operands.push((self.name("a value")?, at));
        }
        self.set_span(place.clone());
        let value = self.frame.graph.add_leaf(LeafKind::Input, name, ty, None);
        self.define(name, value, place)
    }
}

#[cfg(test)]
mod tests {
    use crate::text::{print, read};

    const RULES: &str = "\
graph g {
    input x : f32[3]
    input k : f32[3]

    // forward
    t1 = x * k : f32[3]
    y = custom scaled(t1) {
        wrt x : f32[3] = x
        const k : f32[3] = k
        result y : f32[3]
        cotangent g : f32[3]

        t1 = exp(x) : f32[3]
        e = custom same(t1) {
            wrt x : f32[3] = x
            result y : f32[3]
            cotangent g : f32[3]

            gives x = g
        } : f32[3]
        t2 = g * k : f32[3]
        t3 = t2 * e : f32[3]

        gives x = t3
    } : f32[3]

    output y = y
}
";

    #[test]
    fn rules_round_trip() {
        let graph = read(None, RULES).unwrap_or_else(|error| panic!("{error} at {}", &RULES[error.at.clone()]));
        assert_eq!(print(&graph), RULES);
    }

    #[test]
    fn rules_that_are_wrong_are_refused() {
        let refused = |from: &str, to: &str| {
            assert!(RULES.contains(from), "{from}");
            read(None, &RULES.replacen(from, to, 1)).expect_err(to).message
        };
        assert_eq!(refused("gives x = t3", "gives x = t4"), "t4 is not defined before this line; did you mean t1?");
        assert_eq!(refused("        gives x = t3\n", ""), "the rule has another number of inputs or results");
        assert_eq!(refused("        result y : f32[3]\n", ""), "a rule has one result and one cotangent");
        assert_eq!(
            refused("const k : f32[3] = k\n", "const k : f32[3] = k\n        wrt z : f32[3] = x\n"),
            "wrt comes too late: wrt, const, result, cotangent"
        );
        assert_eq!(
            refused("const k : f32[3] = k", "const k : f32[3] = t9"),
            "t9 is not defined before this line; did you mean t1?"
        );
        let deep = "a = custom f(x) {\nwrt x : f32[1] = x\n".repeat(100_000);
        let error = read(None, &format!("graph g {{\ninput x : f32[1]\n{deep}")).expect_err("too deep");
        assert_eq!(error.message, "rules may lie within each other at most 8 deep");
    }
}
