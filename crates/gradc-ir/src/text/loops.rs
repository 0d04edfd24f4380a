//! Loops: `last, all = scan(length=…, reverse=…) { … }`.

use super::blocks::{Applied, Words};
use super::print::{Printer, written_attrs};
use super::read::{Reader, Result, fail};
use super::scan::Token;
use crate::op::scan::{SCAN, Scan};
use crate::{DType, ValueId};

const WORDS: Words = Words {
    bodies: "loops",
    bound: &["carry", "slice", "const"],
    free: &[],
    results: &["next", "stack"],
    has_temporaries: false,
};

impl Printer<'_> {
    /// The line and the block of a loop.
    pub(super) fn scan(&mut self, value: ValueId, scan: &Scan) {
        let attrs: Vec<String> = written_attrs(&scan.op(), DType::F64).collect();
        let head = format!("{}({})", SCAN.name, attrs.join(", "));
        let kind = |index: usize| usize::from(index >= scan.carries) + usize::from(index >= scan.first_constant());
        let inputs = |index: usize| (kind(index), Some(index));
        self.several(value, &head, &scan.body, &WORDS, &inputs, &|index| usize::from(index >= scan.carries));
    }
}

impl Reader<'_> {
    /// Whether what is assigned here is a loop.
    pub(super) fn begins_loop(&self) -> bool {
        let after = |count: usize| self.tokens.get(self.next + count).map(|scanned| scanned.token);
        after(1) == Some(Token::Name(SCAN.name)) && after(2) == Some(Token::Symbol("("))
    }

    /// A loop, from the `=` on.
    pub(super) fn scan(&mut self) -> Result<Applied> {
        self.symbol("=")?;
        let at = self.here();
        self.name("a loop")?;
        self.symbol("(")?;
        let header = self.call(&SCAN)?;
        let attr = |name: &str| header.attrs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let (Some(length), Some(reverse), true) = (attr("length"), attr("reverse"), header.operands.is_empty()) else {
            return fail(at, "a loop has a length, may be reversed, and its operands stand in its block".into());
        };
        let (block, body) = self.block(&WORDS, "", at.clone())?;
        if block.results[0] > block.inputs[0] {
            return fail(at, "there are more next carries than carries".into());
        }
        let attrs = [
            ("body", body.into()),
            ("carries", block.inputs[0].into()),
            ("sequences", block.inputs[1].into()),
            ("length", length),
            ("reverse", reverse),
        ];
        let op = SCAN.with(crate::Attrs::new(attrs));
        let scan = Scan::of(&op).expect("it is a loop");
        let types = (0..scan.body.inputs().len()).map(|index| scan.operand_type(index));
        let operands = self.bind(&block, types)?;
        Ok((op, operands))
    }
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
        assert_eq!(refused("next s = t3", "next s = t4"), "t4 is not defined before this line");
        assert_eq!(refused("last, all, _ =", "last, all ="), "there are 3 results here, with as many types");
        assert_eq!(
            refused("= w\n\n        t1", "= w\n        carry c : f32[3] = w\n        t1"),
            "carry comes too late: the order is carry, slice, const"
        );
        assert_eq!(refused("slice x_t : f32[3] = x", "slice x_t : i32[3] = x"), "operands differ: f32[3] and i32[3]");
        assert_eq!(refused("length=8", "length=7"), "operand 1 is f32[8, 3], not f32[7, 3]");
        assert_eq!(refused("        next s = t3\n", ""), "there are 2 results here, with as many types");
        let result = "        next s = t3\n        stack all = t1\n        stack k = k\n";
        assert_eq!(refused(result, ""), "the body has fewer carries or sequences than that");
        let deep = "a = scan(length=1, reverse=false) {\n".repeat(100_000);
        let error = read(None, &format!("graph g {{\n{deep}")).expect_err("too deep");
        assert_eq!(error.message, "loops may lie within each other at most 8 deep");
    }
}
