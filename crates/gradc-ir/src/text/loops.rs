//! Loops: a line for the results and a block for the body.

use std::fmt::Write;
use std::ops::Range;

use super::print::{INDENT, Printer, written_attrs};
use super::read::{Reader, Result, fail};
use super::scan::Token;
use crate::op::scan::{SCAN, Scan};
use crate::{Body, DType, LeafKind, Role, TensorType, ValueId};

/// What an input of a body is bound to, and a result is.
const INPUTS: [&str; 3] = ["carry", "slice", "const"];
const RESULTS: [&str; 2] = ["next", "stack"];

/// How a result is written that nothing reads.
const UNUSED: &str = "_";

impl Printer<'_> {
    /// The line and the block of a loop.
    pub(super) fn scan(&mut self, value: ValueId, scan: &Scan) {
        let results = self.graph.scan_results(value);
        let name = |result: &Option<ValueId>| match result.filter(|&result| self.is_live(result)) {
            Some(result) => self.names.get(result).to_owned(),
            None => UNUSED.to_owned(),
        };
        let names: Vec<String> = results.iter().map(name).collect();
        let attrs: Vec<String> = written_attrs(&scan.op(), DType::F64).collect();
        let _ = writeln!(self.text, "{} = scan({}) {{", names.join(", "), attrs.join(", "));
        let block = self.block(value, scan);
        let types: Vec<String> = (0..scan.results()).map(|index| scan.result_type(index).to_string()).collect();
        let _ = writeln!(self.text, "{block}{}}} : {}", INDENT.repeat(self.depth), types.join(", "));
    }

    fn block(&self, value: ValueId, scan: &Scan) -> String {
        let (graph, indent) = (scan.body.graph(), INDENT.repeat(self.depth + 1));
        let mut inner = Printer::new(graph, self.depth + 1);
        for (index, &input) in scan.body.inputs().iter().enumerate() {
            let kind = usize::from(index >= scan.carries) + usize::from(index >= scan.first_constant());
            let operand = self.graph.op(value).map(|op| self.operand(value, op, index)).unwrap_or_default();
            let (name, ty) = (inner.names.get(input), graph.ty(input));
            let _ = writeln!(inner.text, "{indent}{} {name} : {ty} = {operand}", INPUTS[kind]);
        }
        let lines = inner.lines();
        if !lines.is_empty() && !scan.body.inputs().is_empty() {
            inner.text.push('\n');
        }
        for line in lines {
            inner.text.push_str(&indent);
            inner.value(line);
        }
        if !inner.text.is_empty() {
            inner.text.push('\n');
        }
        for (index, output) in graph.outputs().iter().enumerate() {
            let kind = RESULTS[usize::from(index >= scan.carries)];
            let _ = writeln!(inner.text, "{indent}{kind} {} = {}", output.name, inner.names.get(output.value));
        }
        inner.text
    }
}

/// What an input of a body is bound to, as it is written.
enum Bound<'t> {
    Name(&'t str),
    Number(f64),
}

/// What a block says beside its values.
#[derive(Default)]
struct Block<'t> {
    /// The operands with their places.
    operands: Vec<(Bound<'t>, Range<usize>)>,
    /// How many inputs there are of each kind, and results.
    inputs: [usize; 3],
    results: [usize; 2],
}

impl<'t> Reader<'t> {
    /// Whether what is assigned here is a loop.
    pub(super) fn begins_loop(&self) -> bool {
        let after = |count: usize| self.tokens.get(self.next + count).map(|scanned| scanned.token);
        after(1) == Some(Token::Name(SCAN.name)) && after(2) == Some(Token::Symbol("("))
    }

    /// A loop, from after the first of its names on.
    pub(super) fn scan(&mut self, first: &'t str, start: usize) -> Result<()> {
        let mut names = vec![first];
        while self.take(",") {
            names.push(self.name("the name of a result")?);
        }
        if !self.begins_loop() {
            return self.unexpected("a loop: only these have several results");
        }
        self.symbol("=")?;
        let at = self.here();
        self.name("a loop")?;
        self.symbol("(")?;
        let header = self.call(&SCAN)?;
        let attr = |name: &str| header.attrs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let (Some(length), Some(reverse), true) = (attr("length"), attr("reverse"), header.operands.is_empty()) else {
            return fail(at, "a loop has a length, may be reversed, and its operands stand in its block".into());
        };
        let (block, body) = self.block(at.clone())?;
        let attrs = [
            ("body", body.into()),
            ("carries", block.inputs[0].into()),
            ("sequences", block.inputs[1].into()),
            ("length", length),
            ("reverse", reverse),
        ];
        let op = SCAN.with(crate::Attrs::new(attrs));
        let operands = self.bind(&block, &Scan::of(&op).map_or_else(Vec::new, |scan| operand_types(&scan)))?;
        self.symbol(":")?;
        let mut types = vec![self.ty()?];
        while self.take(",") {
            types.push(self.ty()?);
        }
        let at = self.tokens[start].start..self.tokens[self.next - 1].end;
        self.set_span(at.clone());
        let value = match self.frame.graph.apply(op, &operands) {
            Ok(value) => value,
            Err(error) => return fail(at, error.to_string()),
        };
        self.results(value, &names, &types, at)
    }

    /// The values that the names stand for.
    fn results(&mut self, value: ValueId, names: &[&'t str], types: &[TensorType], at: Range<usize>) -> Result<()> {
        let count = self.frame.graph.scan_results(value).len();
        if names.len() != count || types.len() != count {
            return fail(at, format!("this loop has {count} results"));
        }
        for (index, (&name, ty)) in names.iter().zip(types).enumerate().filter(|(_, (name, _))| **name != UNUSED) {
            let result = self.frame.graph.scan_result(value, index);
            if self.frame.graph.ty(result) != ty {
                return fail(at, format!("{name} is {}, not {ty}", self.frame.graph.ty(result)));
            }
            self.frame.graph.set_value_name(result, name);
            self.define(name, result, at.clone())?;
        }
        Ok(())
    }

    fn bind(&mut self, block: &Block<'t>, types: &[TensorType]) -> Result<Vec<ValueId>> {
        let mut operands = Vec::with_capacity(types.len());
        for ((bound, at), ty) in block.operands.iter().zip(types) {
            operands.push(match bound {
                Bound::Name(name) => self.value_called(name, at.clone())?,
                Bound::Number(number) => self.literal(*number, ty.clone()),
            });
        }
        Ok(operands)
    }

    /// The block of a loop: braces, and what lies between them.
    fn block(&mut self, at: Range<usize>) -> Result<(Block<'t>, Body)> {
        self.symbol("{")?;
        if self.depth == Body::MAX_DEPTH {
            return fail(at, format!("loops may lie within each other at most {} deep", Body::MAX_DEPTH));
        }
        let outer = std::mem::take(&mut self.frame);
        self.depth += 1;
        let mut block = Block::default();
        loop {
            self.newlines();
            if self.take("}") {
                break;
            }
            self.line_of_block(&mut block)?;
            if !matches!(self.peek(), Token::Symbol("}") | Token::Newline) {
                return self.unexpected("the end of the line");
            }
        }
        self.depth -= 1;
        let inner = std::mem::replace(&mut self.frame, outer);
        match Body::new(&inner.graph) {
            Ok(body) => Ok((block, body)),
            Err(error) => fail(at, error.to_string()),
        }
    }

    fn line_of_block(&mut self, block: &mut Block<'t>) -> Result<()> {
        let (start, at) = (self.next, self.here());
        let first = self.name("a value, a result or `}`")?;
        if matches!(self.peek(), Token::Symbol("=" | ",")) {
            return self.value(first, start);
        }
        if let Some(kind) = INPUTS.iter().position(|keyword| *keyword == first) {
            if block.inputs[kind + 1..].iter().any(|&later| later > 0) {
                return fail(at, format!("{first} comes too late: carries, then slices, then constants"));
            }
            block.inputs[kind] += 1;
            return self.input_of_block(block);
        }
        if let Some(kind) = RESULTS.iter().position(|keyword| *keyword == first) {
            if block.results[kind + 1..].iter().any(|&later| later > 0) {
                return fail(at, format!("{first} comes too late: next carries, then stacks"));
            }
            block.results[kind] += 1;
            let name = self.name("the name of the result")?;
            self.symbol("=")?;
            let value = self.known_value()?;
            self.frame.graph.add_output(Role::Output, name, value);
            if block.results[0] > block.inputs[0] {
                return fail(at, "there are more next carries than carries".into());
            }
            return Ok(());
        }
        self.unexpected("`=`")
    }

    fn input_of_block(&mut self, block: &mut Block<'t>) -> Result<()> {
        let at = self.here();
        let name = self.name("a name")?;
        self.symbol(":")?;
        let ty = self.ty()?;
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
        self.set_span(at.clone());
        let value = self.frame.graph.add_leaf(LeafKind::Input, name, ty, None);
        self.define(name, value, at)
    }
}

fn operand_types(scan: &Scan) -> Vec<TensorType> {
    (0..scan.body.inputs().len()).map(|index| scan.operand_type(index)).collect()
}

#[cfg(test)]
mod tests {
    use crate::text::{print, read};

    const LOOPS: &str = "\
graph g {
    input x : f32[8, 3]
    input xs : f32[8, 2, 3]
    param w : f32[3] = constant(1)

    // forward
    last, all, _ = scan(length=8, reverse=true) {
        carry s : f32[3] = 0
        slice x_t : f32[3] = x
        slice xs_t : f32[2, 3] = xs
        const k : f32[3] = w

        t1 = s + x_t : f32[3]
        _, inner = scan(length=2, reverse=false) {
            carry s : f32[3] = t1
            slice x : f32[3] = xs_t

            t1 = x * 0.5 : f32[3]

            next s = t1
            stack x = s
        } : f32[3], f32[2, 3]
        t2 = sum(inner, axes=[0]) : f32[3]
        t3 = t2 * k : f32[3]

        next s = t3
        stack all = t1
        stack k = k
    } : f32[3], f32[8, 3], f32[8, 3]
    y = exp(all) : f32[8, 3]

    output last = last
    output y = y
}
";

    #[test]
    fn loops_round_trip() {
        let graph = read(None, LOOPS).unwrap_or_else(|error| panic!("{error} at {}", &LOOPS[error.at.clone()]));
        assert_eq!(print(&graph), LOOPS);
    }

    #[test]
    fn blocks_that_are_wrong_are_refused() {
        let refused = |from: &str, to: &str| {
            assert!(LOOPS.contains(from), "{from}");
            read(None, &LOOPS.replacen(from, to, 1)).expect_err(to).message
        };
        assert_eq!(refused("next s = t3", "next s = t4"), "t4 is not defined before this line; did you mean t1?");
        assert_eq!(refused("last, all, _ =", "last, all ="), "this loop has 3 results");
        assert_eq!(
            refused("= w\n\n        t1", "= w\n        carry c : f32[3] = w\n        t1"),
            "carry comes too late: carries, then slices, then constants"
        );
        assert_eq!(refused("slice x_t : f32[3] = x", "slice x_t : i32[3] = x"), "operands differ: f32[3] and i32[3]");
        assert_eq!(refused("length=8", "length=7"), "operand 1 is f32[8, 3], not f32[7, 3]");
        assert_eq!(refused("        next s = t3\n", ""), "this loop has 2 results");
        let result = "        next s = t3\n        stack all = t1\n        stack k = k\n";
        assert_eq!(refused(result, ""), "the body has fewer carries or sequences than that");
        let deep = "a = scan(length=1, reverse=false) {\n".repeat(100_000);
        let error = read(None, &format!("graph g {{\n{deep}")).expect_err("too deep");
        assert_eq!(error.message, "loops may lie within each other at most 8 deep");
    }
}
