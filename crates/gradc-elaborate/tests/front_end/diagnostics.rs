//! What users see for programs that are wrong: every program in the folders of tests/diagnostics is one case, and its
//! snapshot lies beside it.

use crate::support;

/// The folders; that of syntax errors is tested with the parser.
const FOLDERS: [&str; 11] =
    ["calls", "imports", "layers", "limits", "models", "names", "rules", "shapes", "state", "train", "types"];

#[test]
fn programs_that_are_wrong() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/diagnostics");
    for folder in FOLDERS {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(root.join(folder));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.remove_input_file();
        settings.bind(|| {
            insta::glob!("../../../../tests/diagnostics", &format!("{folder}/*.net"), |path| {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let text = std::fs::read_to_string(path).expect("the case can be read");
                let directory = path.parent().expect("a file is in a folder");
                let run = support::run(&name, &text, directory);
                assert!(!run.diagnostics.is_empty(), "{name} has no error");
                insta::assert_snapshot!(folder, run.rendered());
            });
        });
    }
}
