//! From what was found out to a certificate.

use egg::Id;
use gradc_ir::op::mul::MUL;
use gradc_ir::{Graph, ValueId};
use rustc_hash::FxHashMap;

use super::theory::{Found, Theory};
use super::trim::needed;
use super::{Certificate, Lemma, Reasons, Section, Step, StepKind};
use crate::term::Term;

/// The certificate of what the results depend on.
pub(super) fn certificate(reasons: &Reasons) -> Certificate {
    let (proof, raw, result) = (&reasons.proof, &reasons.raw, &reasons.result);
    let results = proof.results.iter().copied();
    let main = needed(&proof.theory, results);
    // The claims of each region that some use of it is needed for.
    let mut claims: Vec<Vec<usize>> = vec![Vec::new(); proof.regions.len()];
    for found in kept(&proof.theory, &main) {
        if let Found::Claim { site, claim, .. } = found {
            claims[proof.uses[*site].region].push(*claim);
        }
    }
    let mut numbers: Vec<Option<usize>> = vec![None; proof.regions.len()];
    let mut lemmas = Vec::new();
    for (region, claims) in claims.iter_mut().enumerate().filter(|(_, claims)| !claims.is_empty()) {
        claims.sort_unstable();
        claims.dedup();
        let claims: Vec<(Id, Id)> = claims.iter().map(|&claim| proof.regions[region].claims[claim]).collect();
        numbers[region] = Some(lemmas.len());
        lemmas.push(lemma(&proof.regions[region], &claims, lemmas.len() + 1));
    }
    let mut writer = Writer::new("terms", prefix(raw));
    for leaf in raw.values().filter(|&value| raw.leaf(value).is_some()) {
        let node = raw.node(leaf);
        let init = match &node.kind {
            gradc_ir::NodeKind::Leaf { init, .. } => init.clone(),
            gradc_ir::NodeKind::Op(_) => None,
        };
        if let (Some(kind), Some(name), Some(id)) = (raw.leaf(leaf), raw.value_name(leaf), proof.raw[leaf.index()]) {
            let value = writer.graph.add_leaf(kind, name.clone(), node.ty.clone(), init);
            writer.values.insert(id, value);
        }
    }
    writer.steps(&proof.theory, &main, |site| {
        let at = &proof.uses[site];
        numbers[at.region].map(|lemma| (lemma, &at.inputs[..]))
    });
    Certificate {
        pass: reasons.pass,
        mode: reasons.options.mode,
        trust_indices: reasons.options.trust_indices,
        raw: raw.clone(),
        result: result.clone(),
        lemmas,
        main: writer.finish(),
        at: 0..0,
    }
}

fn kept<'t>(theory: &'t Theory, needed: &'t [bool]) -> impl Iterator<Item = &'t Found> {
    theory.steps.iter().zip(needed).filter(|(_, needed)| **needed).map(|(found, _)| found)
}

fn lemma(region: &super::record::RegionProof, claims: &[(Id, Id)], number: usize) -> Lemma {
    let theory = &region.theory;
    let needed = needed(theory, claims.iter().copied());
    let mut writer = Writer::new(&format!("lemma{number}"), "e".to_owned());
    for (input, facts) in region.inputs.iter().enumerate() {
        let value = writer.graph.input(format!("x{}", input + 1), facts.ty.clone());
        if let Some(id) = theory.closure.leaf(input) {
            writer.values.insert(id, value);
        }
    }
    writer.steps(theory, &needed, |_| None);
    let claims = claims.iter().map(|&(left, right)| {
        let claim = (writer.write(theory, left), writer.write(theory, right));
        (claim, 0..0)
    });
    let claims = claims.collect();
    Lemma { inputs: region.inputs.clone(), claims, section: writer.finish(), at: 0..0 }
}

/// What the names of terms begin with: no leaf is called so.
fn prefix(graph: &Graph) -> String {
    let is_taken = |prefix: &str| {
        let begins = |value: ValueId| {
            graph.leaf(value).is_some() && graph.value_name(value).is_some_and(|name| name.starts_with(prefix))
        };
        graph.values().any(begins)
    };
    let mut prefix = "e".to_owned();
    while is_taken(&prefix) {
        prefix.push('_');
    }
    prefix
}

/// Writes terms as a graph, and steps.
struct Writer {
    graph: Graph,
    values: FxHashMap<Id, ValueId>,
    prefix: String,
    /// How many terms were written.
    written: usize,
    steps: Vec<Step>,
}

impl Writer {
    fn new(name: &str, prefix: String) -> Writer {
        Writer { graph: Graph::new(name), values: FxHashMap::default(), prefix, written: 0, steps: Vec::new() }
    }

    /// The value of a term.
    fn write(&mut self, theory: &Theory, term: Id) -> ValueId {
        let mut stack = vec![term];
        while let Some(&id) = stack.last() {
            let Term::Apply(op, children) = theory.closure.term(id) else {
                stack.pop();
                continue;
            };
            let missing: Vec<Id> =
                children.iter().rev().copied().filter(|child| !self.values.contains_key(child)).collect();
            if self.values.contains_key(&id) || missing.is_empty() {
                stack.pop();
                if !self.values.contains_key(&id) {
                    let mut operands: Vec<ValueId> = children.iter().map(|child| self.values[child]).collect();
                    if op.def.algebra.commutative && self.is_other_way_round(op.is(&MUL), &operands) {
                        operands.reverse();
                    }
                    let value = self.graph.emit(op.clone(), &operands);
                    self.written += 1;
                    self.graph.set_value_name(value, format!("{}{}", self.prefix, self.written));
                    self.values.insert(id, value);
                }
            } else {
                stack.extend(missing);
            }
        }
        self.values[&term]
    }

    /// Numbers are written before what they multiply and after what they are added to.
    fn is_other_way_round(&self, multiplies: bool, operands: &[ValueId]) -> bool {
        let is_number: Vec<bool> = operands.iter().map(|&operand| self.graph.as_full(operand).is_some()).collect();
        match is_number[..] {
            [true, false] => !multiplies,
            [false, true] => multiplies,
            _ => operands[0] > operands[1],
        }
    }

    fn steps<'u>(&mut self, theory: &Theory, needed: &[bool], lemma: impl Fn(usize) -> Option<(usize, &'u [Id])>) {
        let mut used = rustc_hash::FxHashSet::default();
        let mut last_loop = None;
        for found in kept(theory, needed) {
            let sides = found.sides();
            let mut written = || sides.map(|(left, right)| (self.write(theory, left), self.write(theory, right)));
            let kind = match found {
                Found::Rule { rule, .. } => {
                    written().map(|(left, right)| StepKind::Rule { rule: rule.name.to_owned(), left, right })
                }
                Found::Fold { .. } => written().map(|(left, right)| StepKind::Fold { left, right }),
                Found::Reorder { .. } => written().map(|(left, right)| StepKind::Reorder { left, right }),
                Found::Learnt { rule, term, .. } => {
                    Some(StepKind::Learn { rule: rule.name.to_owned(), term: self.write(theory, *term) })
                }
                Found::Loop { number, .. } => {
                    let pair = written();
                    if last_loop == Some(*number)
                        && let (Some(Step { kind: StepKind::Loop { pairs }, .. }), Some(pair)) =
                            (self.steps.last_mut(), pair)
                    {
                        pairs.push(pair);
                        continue;
                    }
                    last_loop = Some(*number);
                    pair.map(|pair| StepKind::Loop { pairs: vec![pair] })
                }
                Found::Claim { site, .. } if !used.insert(*site) => None,
                Found::Claim { site, .. } => lemma(*site).map(|(lemma, inputs)| {
                    let inputs = inputs.iter().map(|&input| self.write(theory, input)).collect();
                    StepKind::Lemma { lemma, inputs }
                }),
            };
            self.steps.extend(kind.map(|kind| Step { kind, at: 0..0 }));
        }
    }

    fn finish(self) -> Section {
        Section { terms: self.graph, steps: self.steps, at: 0..0 }
    }
}
