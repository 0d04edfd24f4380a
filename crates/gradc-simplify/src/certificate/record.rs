//! From what was recorded to a certificate.

use std::rc::Rc;

use egg::Id;
use gradc_ir::{Graph, LeafKind, NodeKind, Output, ValueId};
use rustc_hash::FxHashMap;

use super::theory::{Found, Theory};
use super::trail::Trail;
use crate::canonical::leaf_facts;
use crate::facts::Facts;
use crate::options::Options;
use crate::region::{History, LocalNode, Solution, SolvedTerm};
use crate::term::Term;

/// Everything that was found out about a graph on the way to a simpler one.
pub(super) struct Proof {
    pub(super) theory: Theory,
    /// Regions of different structure.
    pub(super) regions: Vec<RegionProof>,
    /// Where regions were used.
    pub(super) uses: Vec<Use>,
    /// For each value of the graph, its term, if a result depends on it.
    pub(super) raw: Vec<Option<Id>>,
    /// The same for the simplified graph.
    pub(super) result: Vec<Option<Id>>,
    /// What each result was, and is.
    pub(super) results: Vec<(Id, Id)>,
}

/// What was found out about a region, whatever its inputs are.
pub(super) struct RegionProof {
    pub(super) theory: Theory,
    /// What is known about the inputs: `Term::Leaf(i)`.
    pub(super) inputs: Vec<Facts>,
    /// Terms of the region as it was, and what they were found to be equal to.
    pub(super) claims: Vec<(Id, Id)>,
}

/// A region where it was used: its number, and its inputs.
pub(super) struct Use {
    pub(super) region: usize,
    pub(super) inputs: Vec<Id>,
}

/// Reconstructs how `result` came from `raw`, in one run after another.
pub(super) fn prove(raw: &Graph, result: &Graph, trails: &[Trail], options: &Options) -> Proof {
    let leaves = raw.values().map(|value| match raw.leaf(value) {
        Some(kind) => leaf_facts(raw, value, kind, options),
        None => Facts::of_type(raw.ty(value).clone()),
    });
    let mut proof = Proof {
        theory: Theory::new(leaves.collect()),
        regions: Vec::new(),
        uses: Vec::new(),
        raw: Vec::new(),
        result: Vec::new(),
        results: Vec::new(),
    };
    proof.raw = terms_of(&mut proof.theory, raw, raw, &raw.live());
    let mut first_loop = 0;
    for trail in trails {
        proof.run(raw, trail, first_loop);
        first_loop += trail.graph.len();
    }
    proof.result = terms_of(&mut proof.theory, raw, result, &result.live());
    let results = raw.outputs().iter().zip(result.outputs());
    let pair = |(was, is): (&Output, &Output)| Some((proof.raw[was.value.index()]?, proof.result[is.value.index()]?));
    proof.results = results.filter_map(pair).collect();
    proof
}

/// The terms of the leaves and of some values of a graph with the leaves of `raw`.
fn terms_of(theory: &mut Theory, raw: &Graph, graph: &Graph, wanted: &[bool]) -> Vec<Option<Id>> {
    let leaves: FxHashMap<(LeafKind, &str), ValueId> = raw
        .values()
        .filter_map(|value| Some(((raw.leaf(value)?, raw.value_name(value).map(|name| &**name)?), value)))
        .collect();
    let mut terms: Vec<Option<Id>> = vec![None; graph.len()];
    for value in graph.values() {
        terms[value.index()] = match &graph.node(value).kind {
            NodeKind::Leaf { kind, .. } => {
                let name = graph.value_name(value).map_or("", |name| &**name);
                leaves.get(&(*kind, name)).map(|leaf| theory.insert(Term::Leaf(leaf.index() as u32)))
            }
            NodeKind::Op(_) if !wanted[value.index()] => None,
            NodeKind::Op(op) => {
                let operands: Option<Vec<Id>> = graph.operands(value).iter().map(|x| terms[x.index()]).collect();
                operands.map(|operands| theory.insert(Term::apply(op.clone(), operands)))
            }
        };
    }
    terms
}

impl Proof {
    /// What was done in one run, whose loops have numbers from `first_loop` on.
    fn run(&mut self, raw: &Graph, trail: &Trail, first_loop: usize) {
        let Some((improved, moved)) = &trail.improved else { return };
        let improved_terms = terms_of(&mut self.theory, raw, improved, &vec![true; improved.len()]);
        self.loops(&trail.graph, moved, &improved_terms, first_loop);
        let mut known: FxHashMap<*const Solution, usize> = FxHashMap::default();
        for form in &trail.forms {
            let mut ground: Vec<Id> = Vec::with_capacity(form.terms.len());
            for term in &form.terms {
                let id = match term {
                    Term::Leaf(number) => improved_terms[*number as usize],
                    Term::Apply(op, children) => {
                        let children = children.iter().map(|&child| ground[usize::from(child)]);
                        Some(self.theory.insert(Term::apply(op.clone(), children)))
                    }
                };
                ground.push(id.unwrap_or_else(|| unreachable!("gradc has a bug: a leaf is lost")));
            }
            for applied in &form.applied {
                self.theory.replay(applied, &ground);
            }
            for solved in &form.regions {
                let members: Vec<Id> = solved.members.iter().map(|&member| ground[usize::from(member)]).collect();
                self.use_region(&mut known, &solved.solution, &members);
            }
        }
    }

    /// What has become of the results of the loops of a graph, which have numbers from `first` on.
    fn loops(&mut self, graph: &Graph, moved: &[Option<ValueId>], terms: &[Option<Id>], first: usize) {
        let live = graph.live();
        for value in graph.values().filter(|value| live[value.index()]) {
            let Some((scan, _)) = graph.as_result(value).filter(|(packed, _)| graph.as_scan(*packed).is_some()) else {
                continue;
            };
            let term = |value: ValueId| terms[moved[value.index()]?.index()];
            let Some(now) = term(value) else { continue };
            let operands: Option<Vec<Id>> = graph.operands(scan).iter().map(|&operand| term(operand)).collect();
            let (Some(scan_op), Some(op), Some(operands)) = (graph.op(scan), graph.op(value), operands) else {
                continue;
            };
            let packed = self.theory.insert(Term::apply(scan_op.clone(), operands));
            let was = self.theory.insert(Term::apply(op.clone(), [packed]));
            self.theory.push(Found::Loop { number: first + scan.index(), left: was, right: now });
        }
    }

    /// What a region's solution says where it was used.
    fn use_region(&mut self, known: &mut FxHashMap<*const Solution, usize>, solution: &Rc<Solution>, members: &[Id]) {
        let Some(history) = &solution.history else { return };
        let region = *known.entry(Rc::as_ptr(solution)).or_insert_with(|| {
            self.regions.push(RegionProof::new(solution, history));
            self.regions.len() - 1
        });
        let is_input = |node: &LocalNode| matches!(node, LocalNode::Input(_));
        let inputs: Vec<Id> = history
            .structure
            .nodes
            .iter()
            .zip(members)
            .filter(|(node, _)| is_input(node))
            .map(|(_, &member)| member)
            .collect();
        let subjects: Rc<[Id]> = inputs.clone().into();
        let mut places = Placing { inputs: &inputs, placed: FxHashMap::default() };
        for (claim, &(left, right)) in self.regions[region].claims.iter().enumerate() {
            let left = places.place(&mut self.theory, &self.regions[region].theory, left);
            let right = places.place(&mut self.theory, &self.regions[region].theory, right);
            let subjects = Rc::clone(&subjects);
            self.theory.push(Found::Claim { site: self.uses.len(), claim, left, right, subjects });
        }
        self.uses.push(Use { region, inputs });
    }
}

/// Terms of a region, written with what its inputs are.
pub(super) struct Placing<'i> {
    pub(super) inputs: &'i [Id],
    pub(super) placed: FxHashMap<Id, Id>,
}

impl Placing<'_> {
    /// The term of a region where it is used.
    pub(super) fn place(&mut self, theory: &mut Theory, region: &Theory, term: Id) -> Id {
        let mut stack = vec![term];
        while let Some(&id) = stack.last() {
            let missing = |operand: &Id| !self.placed.contains_key(operand);
            let missing: Vec<Id> = region.closure.term(id).operands().iter().copied().filter(missing).collect();
            if !missing.is_empty() && !self.placed.contains_key(&id) {
                stack.extend(missing);
                continue;
            }
            stack.pop();
            if self.placed.contains_key(&id) {
                continue;
            }
            let placed = match region.closure.term(id) {
                Term::Leaf(number) => self.inputs[*number as usize],
                Term::Apply(op, children) => {
                    let children = children.iter().map(|child| self.placed[child]);
                    theory.insert(Term::apply(op.clone(), children))
                }
            };
            self.placed.insert(id, placed);
        }
        self.placed[&term]
    }
}

impl RegionProof {
    fn new(solution: &Solution, history: &History) -> RegionProof {
        let inputs: Vec<Facts> = history
            .structure
            .nodes
            .iter()
            .filter_map(|node| match node {
                LocalNode::Input(facts) => Some(facts.facts()),
                LocalNode::Value(..) => None,
            })
            .collect();
        let mut theory = Theory::new(inputs.clone());
        let mut ground: Vec<Id> = Vec::with_capacity(history.terms.len());
        for term in &history.terms {
            let id = match term {
                Term::Leaf(_) => theory.insert(term.clone()),
                Term::Apply(op, children) => {
                    let children = children.iter().map(|&child| ground[usize::from(child)]);
                    theory.insert(Term::apply(op.clone(), children))
                }
            };
            ground.push(id);
        }
        for applied in &history.applied {
            theory.replay(applied, &ground);
        }
        let mut solved: Vec<Id> = Vec::with_capacity(solution.nodes.len());
        for node in &solution.nodes {
            solved.push(match &node.term {
                SolvedTerm::Input(member) => {
                    let original = history.originals[*member as usize];
                    ground[usize::from(original)]
                }
                SolvedTerm::Apply(op, operands) => {
                    let operands = operands.iter().map(|&operand| solved[operand as usize]);
                    theory.insert(Term::apply(op.clone(), operands))
                }
            });
        }
        let place =
            |(original, place): (&Id, &Option<u32>)| Some((ground[usize::from(*original)], solved[(*place)? as usize]));
        let claims: Vec<(Id, Id)> =
            history.originals.iter().zip(&solution.places).filter_map(place).filter(|(a, b)| a != b).collect();
        RegionProof { theory, inputs, claims }
    }
}

#[cfg(test)]
mod tests {
    use gradc_ir::DType;
    use gradc_testing::random_graph;

    use super::super::{read, simplify_with_reasons};
    use crate::{Mode, Options};

    /// What was found accounts for the result, and its certificate holds after it was written and read.
    #[test]
    fn random_graphs_have_certificates() {
        for (seed, dtype) in (0..80).zip([DType::F32, DType::F64, DType::Bf16, DType::F16].into_iter().cycle()) {
            for mode in Mode::ALL {
                let graph = random_graph(seed, 25, dtype);
                let options = Options { trust_indices: false, ..Options::in_mode(mode) };
                let (_, reasons) = simplify_with_reasons(&graph, &options);
                for (number, region) in reasons.proof.regions.iter().enumerate() {
                    for &(a, b) in &region.claims {
                        assert!(region.theory.closure.are_equal(a, b), "{mode} {seed}: region {number}");
                    }
                }
                for &(was, is) in &reasons.proof.results {
                    assert!(reasons.proof.theory.closure.are_equal(was, is), "{mode} {seed}");
                }
                let text = reasons.certificate().to_string();
                let certificates = read(&text).unwrap_or_else(|error| panic!("{mode} {seed}: {error:?}\n{text}"));
                let checked = certificates[0].check();
                let checked = checked.unwrap_or_else(|error| {
                    panic!("{mode} {seed}: {}: {}\n{text}", &text[error.at.clone()], error.message)
                });
                assert_eq!(checked.results, graph.outputs().len());
            }
        }
    }
}
