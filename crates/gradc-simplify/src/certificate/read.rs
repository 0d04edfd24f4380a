//! Reads certificates; docs/certificates.md has the format.

use std::fmt;
use std::ops::Range;

use gradc_ir::{Graph, LeafKind, Shape, ValueId, text};
use rustc_hash::FxHashMap;

use super::text::{FOLD, HEADER, INDEX_IN_RANGE, LOOP, NO_TERMS, ONE_HOT, REORDER, SYMMETRIC, VANISHING};
use super::{Certificate, Lemma, Pass, Place, Section, Step, StepKind};
use crate::facts::{Facts, Range as Bounds, mask};
use crate::options::Mode;

/// Why a text is not a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Malformed {}

type Result<T> = std::result::Result<T, Malformed>;

/// Whether a text begins as certificates do.
pub fn is_certificate(text: &str) -> bool {
    text.trim_start_matches('\u{feff}').trim_start().starts_with("gradc certificate")
}

/// The certificates of a text, one after the other.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(text: &str) -> Result<Vec<Certificate>> {
    let mut reader = Reader { text, at: 0 };
    let mut certificates = Vec::new();
    while reader.peek().is_some() {
        certificates.push(reader.certificate()?);
    }
    if certificates.is_empty() {
        return fail(&(0..text.len().min(1)), format!("expected `{HEADER}`"));
    }
    Ok(certificates)
}

fn fail<T>(at: &Place, message: impl Into<String>) -> Result<T> {
    Err(Malformed { at: at.clone(), message: message.into() })
}

/// The terms of a graph by name.
type Names = FxHashMap<String, ValueId>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

/// One line without what surrounds it, and where it is.
#[derive(Clone)]
struct Line<'t> {
    text: &'t str,
    at: Place,
}

impl<'t> Reader<'t> {
    /// The next line that is not empty, and where the one after it begins.
    fn next_line(&self) -> Option<(Line<'t>, usize)> {
        let mut begin = self.at;
        while begin < self.text.len() {
            let rest = &self.text[begin..];
            let length = rest.find('\n').unwrap_or(rest.len());
            let after = (begin + length + 1).min(self.text.len());
            let line = &rest[..length];
            let trimmed = line.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            if !trimmed.is_empty() && !trimmed.starts_with("//") {
                let start = begin + line.find(trimmed).unwrap_or(0);
                return Some((Line { text: trimmed, at: start..start + trimmed.len() }, after));
            }
            begin = after;
        }
        None
    }

    fn peek(&self) -> Option<Line<'t>> {
        self.next_line().map(|(line, _)| line)
    }

    fn line(&mut self, expected: &str) -> Result<Line<'t>> {
        match self.next_line() {
            Some((line, after)) => {
                self.at = after;
                Ok(line)
            }
            None => {
                fail(&(self.text.len()..self.text.len()), format!("expected {expected}, found the end of the file"))
            }
        }
    }

    /// A line that is just this.
    fn exactly(&mut self, words: &str) -> Result<Line<'t>> {
        let line = self.line(&format!("`{words}`"))?;
        if line.text == words { Ok(line) } else { fail(&line.at, format!("expected `{words}`")) }
    }

    /// What stands after a word on the next line.
    fn after(&mut self, word: &str) -> Result<Line<'t>> {
        let line = self.line(&format!("`{word}`"))?;
        match rest_after(&line, word) {
            Some(rest) => Ok(rest),
            None => fail(&line.at, format!("expected `{word}`")),
        }
    }

    fn certificate(&mut self) -> Result<Certificate> {
        let header = self.exactly(HEADER)?;
        let pass = self.after("pass")?;
        let pass = match [Pass::Stabilise, Pass::Simplify].into_iter().find(|known| known.name() == pass.text) {
            Some(pass) => pass,
            None => return fail(&pass.at, "the pass is stabilise or simplify"),
        };
        let mode = self.after("mode")?;
        let Some(mode) = Mode::from_name(mode.text) else {
            return fail(&mode.at, "the mode is strict, accurate or fast");
        };
        let indices = self.after("indices")?;
        let trust_indices = match indices.text {
            "trusted" => true,
            "unknown" => false,
            _ => return fail(&indices.at, "indices are trusted or unknown"),
        };
        self.exactly("before")?;
        let (raw, _) = self.graph()?;
        self.exactly("after")?;
        let (result, _) = self.graph()?;
        let mut lemmas = Vec::new();
        while let Some(rest) = self.peek().and_then(|line| rest_after(&line, "lemma")) {
            let expected = (lemmas.len() + 1).to_string();
            if rest.text != expected {
                return fail(&rest.at, format!("expected lemma {expected}"));
            }
            self.after("lemma")?;
            lemmas.push(self.lemma()?);
        }
        self.exactly("proof")?;
        let (terms, at) = self.graph()?;
        let names = names(&terms);
        let mut steps = Vec::new();
        loop {
            let line = self.line("a step or `end`")?;
            if line.text == "end" {
                break;
            }
            steps.push(step(&line, &names, lemmas.len())?);
        }
        let main = Section { terms, steps, at };
        Ok(Certificate { pass, mode, trust_indices, raw, result, lemmas, main, at: header.at })
    }

    fn lemma(&mut self) -> Result<Lemma> {
        let (terms, at) = self.graph()?;
        if let Some(leaf) = terms.values().find(|&v| terms.leaf(v).is_some_and(|kind| kind != LeafKind::Input)) {
            let name = terms.value_name(leaf).map_or("", |name| name);
            return fail(&at, format!("{name} is not an input: the leaves of a lemma are"));
        }
        let leaves: Vec<ValueId> = terms.leaves(LeafKind::Input).collect();
        let mut inputs: Vec<Facts> = leaves.iter().map(|&leaf| Facts::of_type(terms.ty(leaf).clone())).collect();
        let names = names(&terms);
        let (mut steps, mut claims) = (Vec::new(), Vec::new());
        while let Some(line) = self.peek() {
            if line.text == "proof" || rest_after(&line, "lemma").is_some_and(|rest| !rest.text.contains(" of ")) {
                break;
            }
            let line = self.line("a step")?;
            if let Some(rest) = rest_after(&line, "know") {
                let (name, facts) = rest.text.split_once(' ').unwrap_or((rest.text, ""));
                let position = names.get(name).and_then(|value| leaves.iter().position(|leaf| leaf == value));
                let Some(position) = position else { return fail(&rest.at, format!("{name} is not an input")) };
                let Some(known) = facts_of(facts, &inputs[position]) else {
                    return fail(&rest.at, "this is not what can be known about an input");
                };
                inputs[position] = known;
            } else if let Some(rest) = rest_after(&line, "claim") {
                claims.push((equation(&rest, &names)?, line.at));
            } else {
                // No lemma rests on another.
                steps.push(step(&line, &names, 0)?);
            }
        }
        Ok(Lemma { inputs, section: Section { terms, steps, at: at.clone() }, claims, at })
    }

    /// A graph, which ends with the first line that is `}` alone and not indented.
    fn graph(&mut self) -> Result<(Graph, Place)> {
        let first = self.line("a graph")?;
        if rest_after(&first, "graph").is_none() {
            return fail(&first.at, "expected a graph");
        }
        let begin = first.at.start;
        let Some(length) = self.text[begin..].find("\n}") else {
            return fail(&first.at, "this graph does not end");
        };
        let end = begin + length + 2;
        let graph = text::read(None, &self.text[begin..end])
            .map_err(|error| Malformed { at: begin + error.at.start..begin + error.at.end, message: error.message })?;
        self.at = end;
        Ok((graph, first.at))
    }
}

fn rest_after<'t>(line: &Line<'t>, word: &str) -> Option<Line<'t>> {
    let rest = line.text.strip_prefix(word)?;
    let text = rest.strip_prefix(' ')?.trim_start();
    Some(Line { text, at: line.at.end - text.len()..line.at.end })
}

fn names(graph: &Graph) -> Names {
    graph.values().filter_map(|value| Some((graph.value_name(value)?.to_string(), value))).collect()
}

fn term(name: &str, at: &Place, names: &Names) -> Result<ValueId> {
    match names.get(name.trim()) {
        Some(value) => Ok(*value),
        None => fail(at, format!("there is no term {}", name.trim())),
    }
}

fn equation(line: &Line<'_>, names: &Names) -> Result<(ValueId, ValueId)> {
    let Some((left, right)) = line.text.split_once(" = ") else { return fail(&line.at, "expected an equation") };
    Ok((term(left, &line.at, names)?, term(right, &line.at, names)?))
}

fn step(line: &Line<'_>, names: &Names, lemmas: usize) -> Result<Step> {
    let step = |kind| Ok(Step { kind, at: line.at.clone() });
    if let Some(rest) = rest_after(line, "lemma") {
        let Some((number, inputs)) = rest.text.split_once(" of ") else {
            return fail(&line.at, "expected `lemma NUMBER of TERMS`");
        };
        let number: Option<usize> = number.parse().ok().filter(|number| (1..=lemmas).contains(number));
        let Some(number) = number else { return fail(&line.at, "there is no such lemma before this line") };
        let inputs = match inputs {
            NO_TERMS => Vec::new(),
            some => some.split(',').map(|name| term(name, &line.at, names)).collect::<Result<Vec<_>>>()?,
        };
        return step(StepKind::Lemma { lemma: number - 1, inputs });
    }
    let Some((what, rule)) = line.text.rsplit_once(" by ") else {
        return fail(&line.at, "expected `TERM = TERM by RULE`, `learn TERM by RULE` or `lemma NUMBER of TERMS`");
    };
    let what = Line { text: what, at: line.at.clone() };
    if let Some(rest) = rest_after(&what, "learn") {
        return step(StepKind::Learn { rule: rule.to_owned(), term: term(rest.text, &line.at, names)? });
    }
    if rule == LOOP {
        let pairs = what.text.split(',').map(|pair| equation(&Line { text: pair, at: line.at.clone() }, names));
        return step(StepKind::Loop { pairs: pairs.collect::<Result<_>>()? });
    }
    let (left, right) = equation(&what, names)?;
    step(match rule {
        FOLD => StepKind::Fold { left, right },
        REORDER => StepKind::Reorder { left, right },
        rule => StepKind::Rule { rule: rule.to_owned(), left, right },
    })
}

/// What `text` says in addition to what is known already.
fn facts_of(text: &str, plain: &Facts) -> Option<Facts> {
    let mut facts = plain.clone();
    let rank = facts.ty.shape.rank();
    let axes = |text: &str| {
        let axes: Option<Vec<usize>> = text.split_whitespace().map(|axis| axis.parse().ok()).collect();
        axes.filter(|axes| !axes.is_empty() && axes.iter().all(|&axis| axis < rank.min(Shape::MAX_RANK)))
    };
    for part in text.split(", ") {
        if let Some(range) = part.strip_prefix("from ") {
            let (range, nan) = range.strip_suffix(" or nan").map_or((range, false), |range| (range, true));
            let (low, high) = range.split_once(" to ")?;
            let (low, high): (f64, f64) = (low.parse().ok()?, high.parse().ok()?);
            if low.is_nan() || high.is_nan() || low > high {
                return None;
            }
            facts.range = Bounds { low, high, nan };
        } else if let Some(axis) = part.strip_prefix("sums to 1 along ") {
            let &[axis] = &axes(axis)?[..] else { return None };
            facts.sums_to_one = Some(axis);
        } else if let Some(along) = part.strip_prefix("sums to 0 along ") {
            facts.sums_to_zero_along = mask(&axes(along)?);
        } else if let Some(along) = part.strip_prefix("greatest 0 along ") {
            facts.shifted_along = mask(&axes(along)?);
        } else {
            match part {
                ONE_HOT => facts.one_hot = true,
                // Else what is drawn of it could not be.
                SYMMETRIC if rank >= 2 && facts.ty.shape[rank - 1] == facts.ty.shape[rank - 2] => {
                    facts.symmetric = true
                }
                VANISHING => facts.vanishing = true,
                INDEX_IN_RANGE => facts.trusted_index = true,
                _ => return None,
            }
        }
    }
    Some(facts)
}
