//! The table of rules as a page of the manual.

use std::fmt::Write;

use super::{Flaw, FpClass, InSums, Rhs, Rule, table};

/// docs/rewrite-rules.md: every rule with its class, its conditions and its reason.
pub fn manual() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut current = None;
    for (subject, rule) in table() {
        if current != Some(subject) {
            current = Some(subject);
            let title = subject.name().replace('_', " ");
            let _ = writeln!(page, "\n## {}\n\n{}\n{}", capitalised(&title), HEADER, RULER);
        }
        let _ = writeln!(page, "{}", row(rule));
    }
    page
}

const INTRODUCTION: &str = "\
# Rewrite rules

Generated from the tables in crates/gradc-simplify/src/rules; a test holds this page to them.

A rule says that two formulas are equal. Its class says in which sense, and so in which modes it is used:

- **strict** rules keep every bit. They are used in all modes.
- **accurate** rules are identities over the reals whose right side is not less accurate than the left, and NaN or infinite
  for finite operands just where the left side is, unless the left side *breaks* down or *overflows* on the way. They are used
  in `accurate`, which is the default, and in `fast`.
- **fast** rules are identities over the reals. They are used in `fast` alone.

In the formulas, `x` is any value, `#c` a number, `f` any operator of the class that the rule is about, and `A` in `sum[A](x)`
the attributes of the operator; `spread[A](x)` is the broadcast that undoes a reduction over `A`. Where the left side
*cancels*, *breaks* down or has *kinks* that its value does not have, it is avoided even if it is cheaper; where it *rounds*
more often, it is not brought in. Rules marked ⟲ also run before differentiation, those marked ⟳ only then.

Numbers have ends, and where they are near, hardly any formula can be written otherwise: of `p * g - p * m`, with `g` and `m` next
to the greatest number and `p` small, both products are ordinary, and in `p * (g - m)` the difference overflows. So what an accurate
rule promises is promised of operands and results that are within 2⁻²⁰ of the greatest number and 2²⁰ times the least normal one,
and where no product of two values vanishes on the way. A number that is small, which is between 2⁻²⁰ and 2²⁰ in magnitude (2⁻⁴ and
2⁴ in `f16`), may change its place in a product; another may not.

Sums are not reordered, but for rules that are also looked for between two terms that do not stand together. Those marked Σ make of
the two what is exactly their sum; in accurate mode they may do so in a sum of three terms, which is then rounded less often, and in a
derivative in any: in which order the parts of a derivative are added up, nobody has said. Those marked ∂ may, in accurate mode,
only there; those marked ≈ only in `fast` mode: where the other terms cancel one of the two, what takes their place has lost the
digits of the other.
";

const HEADER: &str = "| rule | class | left side | right side | where | why |";
const RULER: &str = "|---|---|---|---|---|---|";

fn row(rule: &Rule) -> String {
    let class = match rule.class {
        FpClass::Strict => "strict",
        FpClass::Accurate => "accurate",
        FpClass::Fast => "fast",
    };
    let flaw = match rule.flaw {
        None if rule.overflows => " *(overflows)*",
        None => "",
        Some(Flaw::Cancels) => " *(cancels)*",
        Some(Flaw::Rounds) => " *(rounds)*",
        Some(Flaw::Kinks) => " *(kinks)*",
        Some(Flaw::Breaks) => " *(breaks)*",
    };
    let before = match (rule.before, rule.stabilises) {
        (true, _) => " ⟳",
        (false, true) => " ⟲",
        (false, false) => "",
    };
    let in_sums = match rule.in_sums {
        None => "",
        Some(InSums::Exact) => " Σ",
        Some(InSums::Derivative) => " ∂",
        Some(InSums::Fast) => " ≈",
    };
    let conditions: Vec<String> = rule.when.iter().map(|(name, fact)| format!("{name} {fact}")).collect();
    let right = match rule.rhs {
        Rhs::Learn(text, _) => format!("*known: {text}*"),
        Rhs::Formula(text) | Rhs::Built(text, _) => format!("`{text}`"),
    };
    format!(
        "| {}{before}{in_sums} | {class} | `{}`{flaw} | {right} | {} | {} |",
        rule.name,
        rule.left(),
        conditions.join(", "),
        rule.reason.replace('|', "\\|"),
    )
}

fn capitalised(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
