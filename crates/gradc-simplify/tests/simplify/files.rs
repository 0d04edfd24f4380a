//! tests/simplify/*.net: what the simplifier makes of the derivative of a small model. The first line of a file says in
//! which mode, `// accurate`, and what to look for.

use std::path::Path;

use gradc_ir::text::print;
use gradc_simplify::{Mode, Options, simplify};

fn check(name: &str, text: &str) -> String {
    let mode = text.strip_prefix("// ").and_then(|text| text.split(':').next()).and_then(Mode::from_name);
    let mode = mode.unwrap_or_else(|| panic!("{name} does not begin with its mode"));
    let raw = crate::common::raw_gradient(&crate::common::model(name, text), mode);
    let simplified = simplify(&raw.without_rules(), &Options::in_mode(mode));
    let report = &simplified.report;
    assert!(report.cost_after <= report.cost_before || report.repaired > 0, "{name}: the result costs more");
    let fired: Vec<String> = report.fired.iter().map(|(rule, times)| format!("{rule} {times}")).collect();
    let raw_size = crate::common::operations(&raw.pruned());
    let size = crate::common::operations(&simplified.graph);
    format!(
        "{text}\n---- raw: {raw_size} operations\n{}\n---- simplified ({mode}): {size} operations\n{}\n---- rules\n{}\n",
        print(&raw.pruned()),
        print(&simplified.graph),
        fired.join("\n"),
    )
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
