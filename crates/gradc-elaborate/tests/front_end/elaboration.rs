//! Graphs that programs elaborate to.

use crate::support;

/// Every program in tests/elaborate is one case: its graph, in text form, lies beside it, with that of the training step
/// where it is another.
#[test]
fn programs_and_their_graphs() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../../../../tests/elaborate");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.remove_input_file();
    settings.bind(|| {
        insta::glob!("../../../../tests/elaborate", "*.net", |path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let text = std::fs::read_to_string(path).expect("the case can be read");
            let run = support::run(&name, &text, path.parent().expect("a file is in a folder"));
            assert!(run.diagnostics.is_empty(), "{}", run.rendered());
            let graphs = run.models.iter().flat_map(|model| std::iter::once(&model.graph).chain(&model.training));
            let graphs: Vec<String> = graphs.map(gradc_ir::text::print).collect();
            insta::assert_snapshot!("graph", graphs.join("\n"));
        });
    });
}

#[test]
fn the_examples_have_no_errors_and_no_warnings() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut found = 0;
    for folder in [".", "gradients", "depth"] {
        for entry in std::fs::read_dir(examples.join(folder)).expect("the folder is there") {
            let path = entry.expect("readable").path();
            if path.extension().is_none_or(|extension| extension != "net") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("the example can be read");
            let run = support::run(&path.to_string_lossy(), &text, &examples.join(folder));
            assert!(run.diagnostics.is_empty(), "{}", run.rendered());
            assert!(!run.models.is_empty(), "{} has no model", path.display());
            found += 1;
        }
    }
    assert!(found >= 8, "only {found} examples were found");
}
