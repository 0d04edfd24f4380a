//! tests/simplify/*.net: what gradc makes of the gradient of a small model, by all float inputs and parameters that its loss depends
//! on. The first line of a file says in which mode, `// accurate`, and what to look for.

use std::fmt::Write;
use std::path::Path;

use gradc::ir::text::print;
use gradc::ir::{Graph, ValueId};
use gradc::pipeline::{Artefact, Observer, Report, Stage, lower};
use gradc::{Goal, Mode, Options, Program};

/// What the stages made, and the rules that fired in them.
#[derive(Default)]
struct Seen {
    raw: Option<Graph>,
    rules: Vec<(Stage, Vec<String>)>,
    repaired: usize,
    costs: Option<[u64; 2]>,
}

impl Observer for Seen {
    fn end(&mut self, stage: Stage, artefact: Artefact<'_>) {
        if let (Stage::Differentiate, Artefact::Graph(graph)) = (stage, artefact) {
            self.raw = Some(graph.pruned());
        }
    }

    fn simplified(&mut self, stage: Stage, report: &Report) {
        let fired = report.fired.iter().map(|(rule, times)| format!("{rule} {times}"));
        self.rules.push((stage, fired.collect()));
        self.repaired += report.repaired;
        self.costs = Some([report.cost_before, report.cost_after]);
    }
}

/// The float leaves that the loss depends on.
fn leaves(graph: &Graph) -> Vec<String> {
    let loss = graph.loss().expect("the model has a loss");
    let below = graph.ancestors([loss]);
    let is_one =
        |&value: &ValueId| graph.leaf(value).is_some() && graph.dtype(value).is_float() && below[value.index()];
    let name = |value| graph.value_name(value).expect("leaves have names").to_string();
    graph.values().filter(is_one).map(name).collect()
}

/// How many values of a graph are computed.
fn operations(graph: &Graph) -> usize {
    graph.values().filter(|&value| graph.op(value).is_some_and(|op| op.def.name != "full")).count()
}

fn check(name: &str, text: &str) -> String {
    let mode = text.strip_prefix("// ").and_then(|text| text.split(':').next()).and_then(Mode::from_name);
    let mode = mode.unwrap_or_else(|| panic!("{name} does not begin with its mode"));
    let program = Program::from_source(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let model = program.only_model().unwrap_or_else(|error| panic!("{name}: {error}"));
    let (goal, options) = (Goal::Gradient { wrt: leaves(model.graph()) }, Options { mode, ..Options::default() });
    let mut seen = Seen::default();
    let simplified = lower(&model.graph_for(&goal, &options), &goal, &options, &mut seen);
    let simplified = simplified.unwrap_or_else(|error| panic!("{name}: {error}"));
    let [before, after] = seen.costs.expect("it is simplified");
    assert!(after <= before || seen.repaired > 0, "{name}: the result costs more");
    let raw = seen.raw.expect("it is differentiated");
    let mut shown = format!(
        "{text}\n---- raw: {} operations\n{}\n---- simplified ({mode}): {} operations\n{}\n",
        operations(&raw),
        print(&raw),
        operations(&simplified),
        print(&simplified),
    );
    for (stage, rules) in seen.rules {
        let when = if stage == Stage::Stabilise { "before differentiation" } else { "after" };
        if !rules.is_empty() {
            let _ = writeln!(shown, "---- rules {when}\n{}", rules.join("\n"));
        }
    }
    shown
}

#[test]
fn files() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/simplify");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(directory.clone());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "net"));
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        settings.bind(|| insta::assert_snapshot!(name, check(name, &text)));
    }
}
