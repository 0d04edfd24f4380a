//! The compiler's work on deep networks, by counts: what layers have in common is worked out once. And what a change of one
//! layer does to the printed gradient.

use gradc::elaborate::Optimizer;
use gradc::pipeline::{Artefact, Observer, Report, Stage, lower};
use gradc::{Goal, Options, Program, UpdateRule};

/// What the simplifier says that it did, and how many values there are in the end.
#[derive(Default)]
struct Counts {
    simplified: Option<Report>,
    values: usize,
}

impl Observer for Counts {
    fn simplified(&mut self, stage: Stage, report: &Report) {
        if stage == Stage::Simplify {
            self.simplified = Some(report.clone());
        }
    }

    fn end(&mut self, _: Stage, artefact: Artefact<'_>) {
        if let Artefact::Graph(graph) = artefact {
            self.values = graph.len();
        }
    }
}

fn counts(source: &str, goal: &Goal) -> (Report, usize) {
    let model = Program::from_source("model.net", source).and_then(|program| program.only_model());
    let model = model.unwrap_or_else(|error| panic!("{error}\n{source}"));
    let mut counts = Counts::default();
    let options = Options::default();
    lower(&model.graph_for(goal, &options), goal, &options, &mut counts).expect("the model can be trained");
    (counts.simplified.expect("a graph is simplified"), counts.values)
}

fn training(optimizer: Optimizer) -> Goal {
    Goal::Training(UpdateRule { optimizer, ..UpdateRule::default() })
}

fn residual_tower(layers: usize) -> String {
    format!(
        "
dim batch = 32
layer block(x: [.., d]) -> [.., d] {{ x + dense(relu(dense(x, d)), d) }}
model tower {{
    input x: f32[batch, 16]
    input label: i32[batch]
    let h = x
    for i in 0..{layers} {{ h = block(h) }}
    let logits = dense(h, 10)
    output logits
    loss cross_entropy(logits, label)
}}
"
    )
}

#[test]
fn a_deep_tower_is_mostly_one_layer() {
    let sgd = Optimizer::Sgd { lr: 0.1, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let adam = Optimizer::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    for goal in [Goal::Gradient { wrt: Vec::new() }, training(sgd), training(adam)] {
        let (small, small_values) = counts(&residual_tower(20), &goal);
        let (large, large_values) = counts(&residual_tower(200), &goal);
        assert!(large_values > 9 * small_values && large_values < 10 * small_values);
        assert!(large.regions > 8 * small.regions && large.regions < 12 * small.regions, "a region is a block");
        // Some layers share a region; the last region of a kind may hold fewer.
        assert!(large.distinct_regions <= 12, "{} distinct regions: {goal:?}", large.distinct_regions);
        assert!(2 * large.terms < 3 * small.terms, "{} terms, {} in a tenth of it", large.terms, small.terms);
        assert!(large.distinct_applications <= small.distinct_applications + 10, "{goal:?}");
        assert_eq!(large.limited_regions, small.limited_regions, "{goal:?}");
    }
}

/// Layers of which no two have the same shape, with all kinds of activations.
fn zoo(layers: usize) -> String {
    let activations = ["relu", "sigmoid", "tanh", "silu", "gelu", "softplus", "elu", "leaky_relu"];
    let layer = |i: usize| {
        let activation = activations[i % activations.len()];
        format!("    let h{} = {activation}(dense(h{i}, {}))\n", i + 1, 8 + i)
    };
    chain(&(0..layers).map(layer).collect::<String>(), layers)
}

fn chain(layers: &str, last: usize) -> String {
    format!(
        "
dim batch = 32
model chain {{
    input x: f32[batch, 16]
    input label: i32[batch]
    let h0 = x
{layers}
    let logits = dense(h{last}, 10)
    output logits
    loss cross_entropy(logits, label)
}}
"
    )
}

#[test]
fn different_layers_take_work_in_proportion() {
    let goal = Goal::Gradient { wrt: Vec::new() };
    let ((small, _), (large, _)) = (counts(&zoo(16), &goal), counts(&zoo(64), &goal));
    assert!(large.terms < 5 * small.terms, "{} terms for 64 layers, {} for 16", large.terms, small.terms);
    assert!(large.distinct_applications < 5 * small.distinct_applications);
}

#[test]
fn the_search_for_better_ways_comes_to_an_end() {
    let adam = Optimizer::Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    for source in [residual_tower(20), zoo(200)] {
        for goal in [Goal::Gradient { wrt: Vec::new() }, training(adam)] {
            let (report, _) = counts(&source, &goal);
            assert_eq!(report.limited_regions, 0, "of {}: {goal:?}", report.distinct_regions);
        }
    }
}

/// The printed gradient of ten layers with a function that has names of its own. The sixth layer is what
/// `sixth` says.
fn gradient(sixth: &str) -> String {
    let layer = |i: usize| match i {
        5 => format!("    {sixth}\n"),
        _ => format!("    let h{} = own(dense(h{i}, 16))\n", i + 1),
    };
    let layers = chain(&(0..10).map(layer).collect::<String>(), 10);
    let source =
        format!("fn own(x: [..]) -> [..] {{\n let e = exp(-x)\n let s = 1 / (1 + e)\n x * s + s\n}}\n{layers}");
    let model = Program::from_source("model.net", &source).and_then(|program| program.only_model());
    let model = model.unwrap_or_else(|error| panic!("{error}\n{source}"));
    let (goal, options) = (Goal::Gradient { wrt: Vec::new() }, Options::default());
    let graph = lower(&model.graph_for(&goal, &options), &goal, &options, &mut gradc::pipeline::Unobserved);
    gradc::ir::text::print(&graph.expect("there is a loss"))
}

/// Another layer in the middle changes the lines of this layer and no others, and these stay in their order.
#[test]
fn a_change_of_one_layer_changes_its_lines_alone() {
    let same = "let h6 = own(dense(h5, 16))";
    let others = [
        "let h6 = tanh(dense(h5, 16))",
        "let h6 = gelu(dense(h5, 16))",
        "let h6 = softmax(dense(h5, 16))",
        "let h6 = own(own(dense(h5, 16)))",
        "let h6 = dense(h5, 16)",
        "let h6 = own(dense(h5, 24))",
        // One more layer, whose parameters have a name, as those without are numbered.
        "let more = dense(_, 16)\n let m = tanh(more(h5))\n let h6 = own(dense(m, 16))",
    ];
    let plain = gradient(same);
    for other in others {
        // The values, parameters and derivatives of the layer, and what it is put on and is put on it.
        let is_of_layer = |line: &&str| {
            let mut words = line.split(|c: char| !(c.is_alphanumeric() || "_.".contains(c)));
            let of = |word: &str, name: &str| {
                word.strip_prefix(name).is_some_and(|rest| !rest.starts_with(char::is_numeric))
            };
            let name = |word: &str| ["h6", "dense.5", "m", "more", "dense.6.w"].iter().any(|name| of(word, name));
            let first = line.trim_start_matches([' ', '*']);
            words.any(|word| name(word.strip_prefix("d_").unwrap_or(word))) || of(first, "d_h5")
        };
        let changed = gradient(other);
        assert_ne!(changed, plain);
        let rest: Vec<&str> = plain.lines().filter(|line| !is_of_layer(line)).collect();
        let left: Vec<&str> = changed.lines().filter(|line| !is_of_layer(line)).collect();
        assert_eq!(left, rest, "{other}");
        assert!(4 * rest.len() > 3 * plain.lines().count(), "{other}: most lines are of other layers");
    }
}
