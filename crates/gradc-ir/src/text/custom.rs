//! Derivative rules: `y = custom name(values) { … }`.

use super::blocks::{Applied, Words};
use super::print::Printer;
use super::read::{Reader, Result, fail};
use super::scan::Token;
use crate::ValueId;
use crate::op::custom::{CUSTOM, Custom};

const WORDS: Words = Words {
    bodies: "rules",
    bound: &["wrt", "const"],
    free: &["result", "cotangent"],
    results: &["gives"],
    // What is written by the rule gets its names there.
    has_temporaries: true,
};

impl Printer<'_> {
    /// The line and the block of values with a rule.
    pub(super) fn custom(&mut self, value: ValueId, custom: &Custom) {
        let operands = self.graph.operands(value);
        let values: Vec<&str> = operands[..custom.results].iter().map(|&value| self.names.get(value)).collect();
        let head = format!("{} {}({})", CUSTOM.name, custom.name(), values.join(", "));
        let bound = operands.len() - custom.results;
        let inputs = |index: usize| match index {
            _ if index < custom.wrt => (0, Some(custom.results + index)),
            _ if index < bound => (1, Some(custom.results + index)),
            _ => (2 + usize::from(index >= bound + custom.results), None),
        };
        self.several(value, &head, &custom.rule, &WORDS, &inputs, &|_| 0);
    }
}

impl Reader<'_> {
    /// Whether what is assigned here are values with a rule.
    pub(super) fn begins_custom(&self) -> bool {
        let after = |count: usize| self.tokens.get(self.next + count).map(|scanned| scanned.token);
        after(1) == Some(Token::Name(CUSTOM.name)) && matches!(after(2), Some(Token::Name(_)))
    }

    /// Values with a rule, from the `=` on.
    pub(super) fn custom(&mut self) -> Result<Applied> {
        self.symbol("=")?;
        let at = self.here();
        self.name("a rule")?;
        let function = self.name("the name of a function")?;
        self.symbol("(")?;
        let mut operands = vec![self.known_value()?];
        while self.take(",") {
            operands.push(self.known_value()?);
        }
        self.symbol(")")?;
        let (block, rule) = self.block(&WORDS, function, at.clone())?;
        let [wrt, _, results, cotangents] = block.inputs;
        if results != operands.len() || cotangents != results {
            return fail(at, "a rule has a result and a cotangent for each of its values".into());
        }
        let types: Vec<_> = rule.inputs().iter().map(|&input| rule.graph().ty(input).clone()).collect();
        operands.extend(self.bind(&block, types)?);
        Ok((Custom { rule, results, wrt }.op(), operands))
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
    t2 = exp(x) : f32[3]
    t3 = sum(t1, axes=[0]) : f32[]
    a, _, b = custom several(t2, t1, t3) {
        wrt x : f32[3] = x
        result y : f32[3]
        result y_2 : f32[3]
        result y_3 : f32[]
        cotangent g : f32[3]
        cotangent g_2 : f32[3]
        cotangent g_3 : f32[]

        t1 = g * y : f32[3]
        t2 = t1 + g_2 : f32[3]
        t3 = broadcast(g_3, axes=[]) : f32[3]
        t4 = t2 + t3 : f32[3]

        gives x = t4
    } : f32[3], f32[3], f32[]
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
    output a = a
    output b = b
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
        assert_eq!(refused("gives x = t3", "gives x = t4"), "t4 is not defined before this line");
        assert_eq!(refused("        gives x = t3\n", ""), "the rule has another number of inputs or results");
        let counts = "a rule has a result and a cotangent for each of its values";
        let cotangent = "        cotangent g : f32[3]\n\n        t1 = exp(x)";
        assert_eq!(refused(&format!("        result y : f32[3]\n{cotangent}"), cotangent), counts);
        assert_eq!(refused("several(t2, t1, t3)", "several(t2, t1)"), counts);
        assert_eq!(refused("several(t2, t1, t3)", "several(t1, t3, t2)"), "input 2 of the rule is f32[3], not f32[]");
        assert_eq!(refused("a, _, b = custom", "a, b = custom"), "there are 3 results here, with as many types");
        assert_eq!(refused("f32[3], f32[3], f32[]", "f32[3], f32[3], f32[3]"), "b is f32[], not f32[3]");
        assert_eq!(
            refused("a, _, b = custom several(t2, t1, t3) {", "a, b = exp(x)"),
            "expected a loop or a rule: only these have several results, found `=`"
        );
        assert_eq!(
            refused("const k : f32[3] = k\n", "const k : f32[3] = k\n        wrt z : f32[3] = x\n"),
            "wrt comes too late: the order is wrt, const, result, cotangent"
        );
        assert_eq!(refused("const k : f32[3] = k", "const k : f32[3] = t9"), "t9 is not defined before this line");
        let deep = "a = custom f(x) {\nwrt x : f32[1] = x\n".repeat(100_000);
        let error = read(None, &format!("graph g {{\ninput x : f32[1]\n{deep}")).expect_err("too deep");
        assert_eq!(error.message, "rules may lie within each other at most 8 deep");
    }
}
