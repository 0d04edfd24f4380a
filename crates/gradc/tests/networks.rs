//! What simplification makes of gradients, against what differentiation gave: over random networks and all examples it
//! takes fewer operations, no more arithmetic, less time on a machine, and is no less accurate.
//!
//! An *operation* is what `gradc bench --ablate` counts, [`gradc::cost`]: a value that results depend on and that is neither
//! a leaf nor a constant; those of a loop's body count once. Those of the *backward* part are the ones that gradients
//! depend on and the loss does not. *Raw* is the gradient as differentiation gives it, at `-O0`.
//!
//! *Time* is what a machine would take for the plan of a graph, by the arithmetic, the bytes moved and the kernels begun: see
//! [`Demand`]. No gradient takes longer than the raw one. A formula that overflows or cancels can be had for less than one that
//! does not, but is none that anybody wants. So where there is one, a gradient may take as long as the *right* one instead:
//! differentiation is given the stabilised forward graph, and what it gives is stabilised once more, if there are flawed formulas
//! in it. No rule that saves work is used for that but those that keep every bit. All graphs are fused as they are by default, so
//! that it is simplification alone that is looked at.
//!
//! The error of a gradient at one point is a matter of luck: roundings may cancel. So it is compared over several points
//! that differ by so little that only the roundings do, and with what roundings do to the raw formula at all, wherever they
//! fall: the raw graph in `f64`, in which each result is multiplied by a random number within half a unit in the last place
//! of `f32` of one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradc::elaborate::Dims;
use gradc::interp::evaluate;
use gradc::ir::{Class, DType, Graph, LeafKind, Role, Tensor, TensorType, ValueId};
use gradc::pipeline::{Artefact, Observer, Report, Stage, lower};
use gradc::schedule::{self, schedule};
use gradc::{Demand, Goal, Level, Mode, Model, Options, Program, index_bounds};
use gradc_simplify::stabilise;
use gradc_testing::{Random, random_network, random_tensor};

/// Half a unit in the last place of one.
const UNIT: f64 = 1.0 / (1u64 << 24) as f64;

/// How much finer `f64` is.
const FINER: f64 = 1.0 / (1u64 << 29) as f64;

/// Points at which gradients are compared.
const POINTS: u64 = 2;

/// The simplified gradient may be off by so many times what roundings do to the raw one. They are a few draws of what is
/// random.
const TIMES: f64 = 3.0;

/// And by so many units of the greatest element of a tensor, for the roundings of a few operations.
const UNITS: f64 = 8.0;

/// A model and the numbers for its leaves.
struct Case {
    what: String,
    model: Model,
    seed: u64,
}

/// What the stages of the pipeline made.
#[derive(Default)]
struct Stages {
    /// How many flawed formulas were replaced, before differentiation and after it.
    stabilised: usize,
    repaired: usize,
    /// What differentiation gave.
    differentiated: Option<Graph>,
}

impl Observer for Stages {
    fn simplified(&mut self, stage: Stage, report: &Report) {
        match stage {
            Stage::Stabilise => self.stabilised += report.repaired,
            _ => self.repaired += report.repaired,
        }
    }

    fn end(&mut self, stage: Stage, artefact: Artefact<'_>) {
        if let (Stage::Differentiate, Artefact::Graph(graph)) = (stage, artefact) {
            self.differentiated = Some(graph.without_rules());
        }
    }
}

impl Stages {
    /// Whether there was any flawed formula.
    fn is_flawed(&self) -> bool {
        self.stabilised + self.repaired > 0
    }

    /// The gradient without flawed formulas, and otherwise as differentiation gave it: the `raw` one, where it has none.
    fn right(self, raw: &Graph, mode: Mode) -> Graph {
        let graph = match self.is_flawed() {
            true => self.differentiated.expect("there was something to differentiate"),
            false => raw.clone(),
        };
        match self.repaired {
            0 => graph,
            _ => stabilise(&graph, &gradc_simplify::Options::in_mode(mode)).graph,
        }
    }
}

impl Case {
    fn random(seed: u64) -> Case {
        let text = random_network(seed);
        let program = Program::from_source("random.net", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let model = program.only_model().unwrap_or_else(|error| panic!("{error}\n{text}"));
        Case { what: format!("seed {seed}\n{text}"), model, seed }
    }

    /// The graph of the loss and its gradient, and the stages before it.
    fn gradient(&self, level: Level, mode: Mode, float: DType) -> (Graph, Stages) {
        let goal = Goal::Gradient { wrt: Vec::new() };
        let options = Options { level, mode, float: Some(float), ..Options::default() };
        let forward = self.model.graph_for(&goal, &options);
        let mut stages = Stages::default();
        let graph = lower(&forward, &goal, &options, &mut stages);
        (graph.unwrap_or_else(|error| panic!("{}: {error}", self.what)), stages)
    }

    /// The loss and the gradient at a point.
    fn results(&self, graph: &Graph, point: u64) -> Vec<(String, Tensor)> {
        let bounds = index_bounds(graph);
        let leaves = graph.values().filter(|&leaf| graph.leaf(leaf).is_some());
        let bindings: Vec<(ValueId, Tensor)> = leaves
            .map(|leaf| {
                let name = graph.value_name(leaf).expect("leaves have names");
                (leaf, self.number(graph.ty(leaf), name, bounds.get(&**name).copied(), point))
            })
            .collect();
        let results = evaluate(graph, &bindings).unwrap_or_else(|error| panic!("{}: {error}", self.what));
        let named = graph.outputs().iter().zip(results);
        let asked = named.filter(|(output, _)| matches!(output.role, Role::Loss | Role::Gradient));
        asked.map(|(output, tensor)| (output.name.to_string(), tensor)).collect()
    }

    /// A tensor for a leaf: numbers that `f32` holds, whatever its type; at each point a little other ones.
    fn number(&self, ty: &TensorType, name: &str, bound: Option<usize>, point: u64) -> Tensor {
        let hash = name.bytes().fold(self.seed, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let mut near = Random::new(hash ^ (point + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        if name.starts_with(NOISE) {
            return Tensor::from_fn(ty.clone(), |_| 1.0 + (2.0 * near.unit() - 1.0) * UNIT);
        }
        let rows = ty.shape.iter().rev().skip(1).product::<usize>().max(1) as f64;
        let range = match name {
            _ if !ty.dtype.is_float() => (0.0, bound.unwrap_or(4).saturating_sub(1) as f64),
            "chance" => (0.0, 1.0),
            _ if name.ends_with("running_var") => (0.5, 2.0),
            _ if !name.contains('.') => (-2.0, 2.0),
            _ => (-1.5 / rows.sqrt(), 1.5 / rows.sqrt()),
        };
        let mut random = Random::new(hash);
        if !ty.dtype.is_float() {
            return random_tensor(ty, range, &mut random);
        }
        let single = TensorType::new(DType::F32, ty.shape.clone());
        let moved = |x: f64, by: f64| DType::F32.round(x * (1.0 + (by - 0.5) / 2048.0));
        let numbers =
            random_tensor(&single, range, &mut random).data().iter().map(|&x| moved(x, near.unit())).collect();
        Tensor::new(single, numbers).cast(ty.dtype)
    }
}

/// What the names of the inputs of [`noisy`] begin with.
const NOISE: &str = "noise.";

/// A graph in which each result that is rounded is multiplied by an input.
fn noisy(graph: &Graph) -> Graph {
    let mut new = graph.emptied();
    let mut places: Vec<ValueId> = Vec::with_capacity(graph.len());
    for value in graph.values() {
        let operands: Vec<ValueId> = graph.operands(value).iter().map(|operand| places[operand.index()]).collect();
        let place = new.copy_node(graph, value, &operands);
        let moves = |class: Class| matches!(class, Class::Movement | Class::Source | Class::Indexed | Class::Custom);
        let rounds = graph.op(value).is_some_and(|op| !moves(op.def.class));
        places.push(if rounds && !graph.is_packed(value) && graph.dtype(value).is_float() {
            let noise = new.input(format!("{NOISE}{}", value.index()), graph.ty(value).clone());
            new.mul(place, noise)
        } else {
            place
        });
    }
    for output in graph.outputs() {
        new.add_output(output.role, output.name.clone(), places[output.value.index()]);
    }
    new
}

/// The operations that gradients depend on and nothing else does.
fn backward_operations(graph: &Graph) -> usize {
    let mut forward = graph.clone();
    forward.retain_outputs(|output| output.role != Role::Gradient);
    gradc::cost(graph).operations - gradc::cost(&forward).operations
}

/// What a graph asks of a machine.
fn demand(graph: &Graph, mode: Mode) -> Demand {
    let options = schedule::Options {
        fuse: true,
        refine: mode != Mode::Strict,
        memory_limit: None,
        lean: false,
        packing: |_| None,
        scratch_bytes: gradc_codegen::scratch_bytes,
    };
    Demand::of(&schedule(&graph.without_rules(), &options), gradc::cost(graph).flops)
}

/// What was measured of gradients.
#[derive(Default)]
struct Saved {
    /// For each graph, the share of the backward operations that is left.
    left: Vec<f64>,
    /// For each graph, the share of the time.
    times: Vec<f64>,
    /// All that the graphs ask for that these are held against, and the simplified ones.
    demand: [Demand; 2],
}

impl Saved {
    /// The share of the backward operations that is saved.
    fn mean(&self) -> f64 {
        1.0 - self.left.iter().sum::<f64>() / self.left.len() as f64
    }

    /// The share of the time of one more graph.
    fn note(&mut self, before: Demand, simple: Demand) -> f64 {
        let share = simple.seconds() / before.seconds();
        self.times.push(share);
        for (sum, own) in self.demand.iter_mut().zip([before, simple]) {
            sum.bytes += own.bytes;
            sum.kernels += own.kernels;
        }
        share
    }

    /// Fewer bytes are moved by fewer kernels, and that takes less time.
    fn assert_less(&self, mode: Mode) {
        let [before, simple] = self.demand;
        let time = self.times.iter().sum::<f64>() / self.times.len() as f64;
        assert!(simple.bytes < before.bytes, "{mode}: {} bytes are moved, else {}", simple.bytes, before.bytes);
        assert!(simple.kernels < before.kernels, "{mode}: {} kernels, else {}", simple.kernels, before.kernels);
        assert!(time <= most_time(mode), "{mode}: {time} of the time on average");
    }
}

/// Compares the cost of a simplified gradient with those of the raw one and of the right one.
fn compare_cost(case: &Case, mode: Mode, raw: &Graph, simple: &Graph, stages: Stages, saved: &mut Saved) {
    let (before, after) = (backward_operations(raw), backward_operations(simple));
    saved.left.push(after as f64 / before as f64);
    let (raw_cost, cost) = (gradc::cost(raw), gradc::cost(simple));
    let what = || format!("{mode}, {}", case.what);
    // What is repaired, is at any price.
    if !stages.is_flawed() {
        assert!(cost.operations <= raw_cost.operations, "{} operations, {}", cost.operations, what());
        assert!(cost.flops <= raw_cost.flops, "{} flops, raw {}, {}", cost.flops, raw_cost.flops, what());
    }
    let [raw, right] = [raw, &stages.right(raw, mode)].map(|graph| demand(graph, mode));
    let share = saved.note(if right.seconds() < raw.seconds() { raw } else { right }, demand(simple, mode));
    assert!(share <= 1.0 + ROUNDING, "{share} of the time, {}", what());
}

/// The greatest distance of an element.
fn distance(found: &Tensor, exact: &Tensor) -> f64 {
    found.data().iter().zip(exact.data()).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

/// Compares the errors of simplified gradients with those of the raw one, in both precisions.
fn compare_errors(case: &Case, mode: Mode, raw: &Graph, simple: [&Graph; 2]) {
    let (exact, _) = case.gradient(Level::None, mode, DType::F64);
    let noisy = noisy(&exact);
    let mut errors: BTreeMap<String, [f64; 4]> = BTreeMap::new();
    for point in 0..POINTS {
        let graphs = [raw, &noisy, simple[0], simple[1]];
        let found = graphs.map(|graph| case.results(graph, point));
        for (i, (name, exact)) in case.results(&exact, point).into_iter().enumerate() {
            let scale = exact.data().iter().fold(0.0, |scale: f64, x| scale.max(x.abs()));
            assert!(scale.is_finite(), "{name} is not finite: {}", case.what);
            let [of_raw, of_noisy, of_single, of_double] =
                found.each_ref().map(|results| distance(&results[i].1, &exact));
            let of_raw = if of_raw.is_nan() { 0.0 } else { of_raw };
            let worst = errors.entry(name).or_default();
            let now = [scale, of_raw.max(of_noisy), of_single, of_double];
            worst
                .iter_mut()
                .zip(now)
                .for_each(|(worst, now)| *worst = if now > *worst || now.is_nan() { now } else { *worst });
        }
    }
    for (name, [scale, of_raw, of_single, of_double]) in errors {
        let bound = TIMES * of_raw + UNITS * UNIT * scale;
        let what =
            || format!("{mode}, {name}: {of_single:e} and {of_double:e}, raw {of_raw:e} of {scale:e}, {}", case.what);
        assert!(of_single <= bound, "{}", what());
        // What is exact is itself rounded to f64.
        assert!(of_double <= 2.0 * bound * FINER, "{}", what());
    }
}

/// Compares everything in one mode; what was saved is that in `f32`.
fn compare(case: &Case, mode: Mode, saved: &mut Saved) {
    let (raw, _) = case.gradient(Level::None, mode, DType::F32);
    let (single, stages) = case.gradient(Level::Full, mode, DType::F32);
    compare_cost(case, mode, &raw, &single, stages, saved);
    // Fast mode may lose accuracy.
    if mode != Mode::Fast {
        let (double, _) = case.gradient(Level::Full, mode, DType::F64);
        compare_errors(case, mode, &raw, [&single, &double]);
    }
}

/// Compares random networks.
fn compare_random(seeds: impl Iterator<Item = u64>, mode: Mode) -> Saved {
    let mut saved = Saved::default();
    seeds.for_each(|seed| compare(&Case::random(seed), mode, &mut saved));
    saved
}

/// 1,000 networks in the mode that is the default, in parts that run beside each other.
fn part_of_thousand(part: u64) {
    let saved = compare_random(250 * part..250 * (part + 1), Mode::Accurate);
    assert!(saved.mean() >= LEAST_SAVED, "only {} of the backward operations are saved", saved.mean());
    saved.assert_less(Mode::Accurate);
}

/// The share of the backward operations that is saved on average.
const LEAST_SAVED: f64 = 0.3;

/// The share of the time that is left on average, at most.
fn most_time(mode: Mode) -> f64 {
    match mode {
        // There is not much that keeps every bit.
        Mode::Strict => 0.99,
        Mode::Accurate => 0.95,
        Mode::Fast => 0.93,
    }
}

/// Shares that differ by less than this are the same.
const ROUNDING: f64 = 1e-9;

#[test]
fn random_networks_0() {
    part_of_thousand(0);
}

#[test]
fn random_networks_1() {
    part_of_thousand(1);
}

#[test]
fn random_networks_2() {
    part_of_thousand(2);
}

#[test]
fn random_networks_3() {
    part_of_thousand(3);
}

#[test]
fn random_networks_in_the_other_modes() {
    compare_random((0..1000).step_by(10), Mode::Strict).assert_less(Mode::Strict);
    compare_random((0..1000).step_by(20), Mode::Fast).assert_less(Mode::Fast);
}

/// Extents that make the examples small: nobody waits for the interpreter.
const SMALL: [(&str, i64); 8] = [
    ("batch", 3),
    ("pixels", 20),
    ("side", 16),
    ("time", 5),
    ("length", 5),
    ("width", 12),
    ("vocabulary", 9),
    ("n", 100),
];

/// The extents for a file: never more than it says itself.
fn small_dims(text: &str) -> Dims {
    let said = |dim: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix("dim ")?.strip_prefix(dim)?.strip_prefix(" = "))?;
        Some(line.split_whitespace().next()?.parse().unwrap_or(i64::MAX))
    };
    let small = |&(dim, extent): &(&str, i64)| Some((dim.to_owned(), extent.min(said(dim)?)));
    SMALL.iter().filter_map(small).collect()
}

/// The models of a folder that have a loss.
fn examples(folder: &str) -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(folder);
    let entries = std::fs::read_dir(root).expect("the folder is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "net"));
    files.sort_unstable();
    let mut cases = Vec::new();
    for file in files {
        let program = Program::from_path(&file).unwrap_or_else(|error| panic!("{error}"));
        for name in program.models() {
            let text = std::fs::read_to_string(&file).expect("the file is there");
            let model = program
                .model_with(name, small_dims(&text))
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            if model.graph().outputs_of(Role::Loss).next().is_some()
                && model.graph().leaves(LeafKind::Param).next().is_some()
            {
                cases.push(Case { what: format!("{}, {name}", file.display()), model, seed: 1 });
            }
        }
    }
    assert!(!cases.is_empty());
    cases
}

#[test]
fn examples_in_every_mode() {
    for folder in ["", "suite", "depth", "gradients", "regression"] {
        for case in examples(folder) {
            Mode::ALL.into_iter().for_each(|mode| compare(&case, mode, &mut Saved::default()));
        }
    }
}
