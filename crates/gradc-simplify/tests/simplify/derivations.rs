//! How values of a gradient are derived from the raw ones, as `gradc explain` and `--blame` show it.

use std::fmt::Write;
use std::path::Path;

use gradc_ir::text::{print_with_notes, printed_names};
use gradc_simplify::certificate::simplify_with_reasons;
use gradc_simplify::{Mode, Options};

use crate::common::{model, raw_gradient};

/// The simplified gradient of a model with the rules that made each line, and the derivation of every value that some rule
/// changed.
fn derivations(name: &str, text: &str, mode: Mode) -> String {
    let raw = raw_gradient(&model(name, text), mode);
    let (simplified, mut reasons) = simplify_with_reasons(&raw, &Options::in_mode(mode));
    let graph = simplified.graph;
    let rules = reasons.blame();
    let mut shown = print_with_notes(&graph, &|value| {
        let rules = &rules[value.index()];
        (!rules.is_empty()).then(|| rules.join(", "))
    });
    let names = printed_names(&graph);
    for value in graph.values().filter(|&value| graph.op(value).is_some()) {
        let Some(name) = names.known(value) else { continue };
        let derivation = reasons.explain(name).expect("it is printed");
        let is_changed = derivation.lines.len() > 1;
        assert_eq!(is_changed, !rules[value.index()].is_empty(), "{name}: blame and derivation disagree\n{derivation}");
        if is_changed && derivation.name == derivation.of {
            let _ = write!(shown, "\n{derivation}");
        }
    }
    shown
}

#[test]
fn derivations_read_like_those_of_a_textbook() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(tests.join("explain"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for name in ["sigmoid_derivative", "tanh_derivative", "cross_entropy_naive", "layer_norm", "residual"] {
        let text = std::fs::read_to_string(tests.join(format!("simplify/{name}.net"))).unwrap();
        settings.bind(|| insta::assert_snapshot!(name, derivations(name, &text, Mode::Accurate)));
    }
}
